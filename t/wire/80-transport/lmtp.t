#!/usr/bin/python3
# test: timeout=120
"""The lmtp transport: an answer for each recipient, a unix socket and a port,
and a runner that is killed before the answers came."""
import os
import signal
import sys
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from lmtpsink import LmtpSink
from server import Server, wait_for

HEAD = (b"From: alice@example.test\r\nSubject: out\r\n"
        b"Date: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
        b"Message-ID: <out@example.test>\r\n\r\n")
MESSAGE = HEAD + b".dot\r\nGr\xc3\xbc\xc3\x9fe\r\n..\r\n.\xff\r\nend\r\n"


class House:
    def __enter__(self):
        self.script = {}        # (verb, argument): [replies]
        self.hold = threading.Event()
        self.hold.set()
        self.server = Server(start=False).__enter__()
        self.unix = LmtpSink(self.answer,
                             self.server.path("lmtp.sock")).__enter__()
        self.tcp = LmtpSink(self.answer).__enter__()
        module = self.server.plugin("lmtp")
        self.server.extra.update({
            "queue": {"retry_first": "300ms", "retry_most": "500ms"},
            "plugin.byunix": {"module": module, "address": "unix:"
                              + self.server.path("lmtp.sock"),
                              "timeout": "3s"},
            "plugin.byport": {"module": module, "address": "127.0.0.1:%d"
                              % self.tcp.port},
            "plugin.nobody": {"module": module, "address": "unix:/nowhere"},
            "route.unix": {"domains": ["unix.test"], "transport": "byunix"},
            "route.port": {"domains": ["port.test"], "transport": "byport"},
            "route.dead": {"domains": ["dead.test"], "transport": "nobody"},
        })
        self.server.write_config()
        self.server.start()
        return self

    def __exit__(self, *exc):
        self.hold.set()
        for part in (self.server, self.unix, self.tcp):
            part.__exit__(*exc)

    def answer(self, session, verb, argument):
        if verb == ".":
            self.hold.wait(20)
        for key in ((verb, argument), (verb, "")):
            if self.script.get(key):
                return self.script[key].pop(0)
        return None

    def send(self, rcpts, message=MESSAGE):
        smtp = self.server.submission()
        smtp.sendmail("alice@example.test", rcpts, message,
                      ["BODY=8BITMIME"])
        smtp.quit()

    def reset(self):
        self.script.clear()
        self.server.drop_queue()
        self.server.empty("alice")
        for sink in (self.unix, self.tcp):
            sink.messages.clear()
            sink.sessions.clear()

    def drained(self):
        wait_for("an empty queue", lambda: not self.server.queue())

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_bytes(h):
    """by unix socket and by port, the bytes unchanged below our Received"""
    for sink, rcpt in ((h.unix, "x@unix.test"), (h.tcp, "x@port.test")):
        h.reset()
        h.send([rcpt])
        m = wait_for("the message", lambda: sink.messages)[0]
        tap.eq((m.sender, m.rcpts), ("alice@example.test", [rcpt]))
        tap.ok(m.data.endswith(MESSAGE), m.data)
        tap.eq(m.data.lower().count(b"received:"), 1)
        tap.eq(m.helo, "mail.example.test")
        h.drained()


def test_null_sender(h):
    """mail without a sender"""
    h.reset()
    with h.server.line("submissions", "client.test") as c:
        import base64
        c.must(235, "AUTH PLAIN " + base64.b64encode(
            b"\0alice@example.test\0correct horse").decode())
        c.must(250, "MAIL FROM:<>")
        c.must(250, "RCPT TO:<x@unix.test>")
        c.must(354, "DATA")
        c.send(HEAD + b"x\r\n.\r\n")
        c.must(250)
    m = wait_for("the message", lambda: h.unix.messages)[0]
    tap.eq(m.sender, "")


def test_fates(h):
    """each recipient has its own answer: kept, later, never"""
    h.reset()
    h.script = {(".", "later@unix.test"): ["452 4.2.2 full"],
                (".", "never@unix.test"): ["552 5.2.2 full for good"],
                ("RCPT", "TO:<unknown@unix.test>"):
                ["550 5.1.1 who is that"],
                ("RCPT", "TO:<slow@unix.test>"): ["450 4.2.1 not now"]}
    h.send(["%s@unix.test" % n for n in
            ("kept", "later", "never", "unknown", "slow")])
    h.drained()
    tap.eq(sorted(m.rcpts[0] for m in h.unix.messages),
           ["kept@unix.test", "later@unix.test", "slow@unix.test"])
    reports = b"".join(wait_for("reports", lambda: h.server.messages("alice")))
    for words in (b"never@unix.test", b"552 5.2.2 full for good",
                  b"unknown@unix.test", b"550 5.1.1 who is that"):
        tap.contains(reports, words)
    tap.ok(b"kept@unix.test" not in reports)


BREAKS = (("the greeting", "CONNECT", "", "421 4.3.2 busy"),
          ("no LMTP", "LHLO", "mail.example.test", "502 5.5.1 what"),
          ("a sender that is refused", "MAIL",
           "FROM:<alice@example.test>", "550 5.7.1 not you"),
          ("sender", "MAIL", "FROM:<alice@example.test>", "451 4.3.0 no"),
          ("DATA", "DATA", "", "451 4.3.0 no"),
          ("nonsense", "DATA", "", "250 yes"),
          ("no reply at all", "MAIL", "FROM:<alice@example.test>", "hm"),
          ("closed at DATA", "DATA", "", ""),
          ("closed after the dot", ".", "x@unix.test", ""))


def breaks(h, verb, argument, reply):
    h.reset()
    bounced = reply[:1] == "5" and verb == "MAIL"
    h.script = {(verb, argument): [reply]}
    h.send(["x@unix.test"])
    h.drained()
    tap.eq(len(h.unix.messages), 0 if bounced else 1)
    tap.eq(len(h.server.messages("alice")), 1 if bounced else 0)


def test_hangs(h):
    """a server that says nothing is given up in time"""
    h.reset()
    h.hold.clear()
    h.send(["x@unix.test"])
    row = wait_for("a deferral", lambda: [r for r in h.server.queue()
                                          if r["attempts"] > 0], 20)
    h.hold.set()
    tap.contains(str(row[0]), "4.4.2")
    h.drained()
    tap.ok(h.unix.messages)


def test_dead(h):
    """nobody listens: deferred, and the queue says why"""
    h.reset()
    h.send(["x@dead.test"])
    row = wait_for("a deferral", lambda: [r for r in h.server.queue()
                                          if r["attempts"] > 0])[0]
    tap.contains(str(row), "unix:/nowhere: No such file")
    h.reset()


def test_kill(h):
    """kill -9 of the runner before the answer: delivered by the next one"""
    h.reset()
    h.hold.clear()
    h.send(["x@unix.test", "y@unix.test"])
    wait_for("the message on its way", lambda: any(
        "DATA" in s.commands for s in h.unix.sessions))
    os.kill(h.server.worker("runner"), signal.SIGKILL)
    h.hold.set()
    h.drained()
    got = {m.rcpts[0] for m in h.unix.messages}
    tap.eq(got, {"x@unix.test", "y@unix.test"})
    for m in h.unix.messages:
        tap.ok(m.data.endswith(MESSAGE))


with House() as house:
    own = ("test_kill", "test_dead", "test_hangs")
    tap.run({k: v for k, v in globals().items() if k not in own}, house)
    tap.table([("broken off: " + row[0], *row[1:]) for row in BREAKS],
              breaks, house)
    for name in reversed(own):
        tap.call(tap.title(globals()[name]), globals()[name], house)
tap.done()
