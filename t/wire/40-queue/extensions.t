#!/usr/bin/python3
# test: timeout=120
"""What is passed on to other servers of the extensions they offer, and what
becomes of mail that needs one they lack."""
import email
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

ZONE = {"remote.test MX": [(10, "mx.remote.test")],
        "mx.remote.test A": ["127.0.0.1"]}
TO = "x@remote.test"
PLAIN = b"Subject: p\r\n\r\nplain\r\n"
GRUEN = ("Subject: g\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
         "gr\u00fcn\r\n.\r\n").encode()
BINARY = (b"Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: image/x\r\n"
          b"Content-Transfer-Encoding: binary\r\n\r\n\0\n\r\xff.\n.\r\n\n")


class House:
    def __enter__(self):
        self.dns = FakeDNS(ZONE).__enter__()
        self.replies = {}
        self.sink = Sink(lambda s, verb, argument: self.replies.get(
            (verb, argument.partition(">")[0]),
            self.replies.get(verb))).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "30m",
                      "connection_idle": "0s"}}).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def send(self, offers, text, mail="", rcpts=((TO, ""),), replies=None,
             sender="alice@example.test"):
        """What the other side got of it."""
        self.server.drop_queue()
        self.server.empty("alice")
        self.sink.messages.clear()
        self.sink.sessions.clear()
        self.sink.extensions = offers
        self.replies = replies or {}
        m = self.server.submission()
        m.command_encoding = "utf-8"
        m.ehlo("client.test")
        code, why = m.docmd(("MAIL FROM:<%s> %s" % (sender, mail)).strip())
        tap.eq(code, 250, why)
        for address, args in rcpts:
            code, why = m.docmd(("RCPT TO:<%s> %s" % (address, args)).strip())
            tap.eq(code, 250, why)
        if "BINARYMIME" in mail:
            m.send(b"BDAT %d LAST\r\n" % len(text) + text)
            tap.eq(m.getreply()[0], 250)
        else:
            tap.eq(m.data(text)[0], 250)
        m.quit()
        wait_for("an attempt", lambda: self.sink.messages or any(
            q["reply"] for q in self.server.queue()) or
            self.server.messages("alice"))
        return self.sink.messages

    def one(self, *args, **kw):
        got = self.send(*args, **kw)
        tap.eq(len(got), 1)
        return got[0]

    def report(self):
        wait_for("a report", lambda: self.server.messages("alice"))
        return self.server.messages("alice")[0]


def content(data):
    """Without what our server put on top."""
    return data[data.index(b"Subject: "):].partition(b"\r\nDate: ")[0] + \
        b"\r\n\r\n" + data.partition(b"\r\n\r\n")[2]


def commands(h, verb):
    return [c for s in h.sink.sessions for c in s.commands
            if c.startswith(verb)]


def test_nothing_offered(h):
    """a server without extensions is asked for none"""
    h.one([], PLAIN, "RET=HDRS ENVID=q BY=90;N", ((TO, "NOTIFY=DELAY"),))
    tap.eq(commands(h, "MAIL"), ["MAIL FROM:<alice@example.test>"])
    tap.eq(commands(h, "RCPT"), ["RCPT TO:<%s>" % TO])


def test_passed_on(h):
    """DSN, DELIVERBY, MT-PRIORITY are passed on as they were given"""
    m = h.one(["DSN", "DELIVERBY", "MT-PRIORITY", "8BITMIME"], PLAIN,
              "RET=HDRS ENVID=q+20r MT-PRIORITY=3 BY=90;RT",
              ((TO, "NOTIFY=DELAY,SUCCESS ORCPT=rfc822;o@r.test"),))
    tap.eq(m.args[:4], ["BODY=8BITMIME", "RET=HDRS", "ENVID=q+20r",
                        "MT-PRIORITY=3"])
    tap.ok(m.args[4] in ("BY=90;RT", "BY=89;RT", "BY=88;RT"), m.args[4])
    tap.eq(commands(h, "RCPT"), ["RCPT TO:<x@remote.test> NOTIFY=DELAY,"
                                 "SUCCESS ORCPT=rfc822;o@r.test"])


def test_relayed(h):
    """SUCCESS was asked for and the server has no DSN: "relayed" is told;
    one that has it reports itself"""
    h.one(["8BITMIME"], PLAIN, "", ((TO, "NOTIFY=SUCCESS"),))
    tap.contains(h.report(), b"Action: relayed")
    h.one(["DSN"], PLAIN, "", ((TO, "NOTIFY=SUCCESS"),))
    wait_for("an empty queue", lambda: not h.server.queue())
    tap.eq(h.server.messages("alice"), [])


def test_eight_bits(h):
    """8-bit text: as it is with 8BITMIME, else in quoted-printable"""
    tap.contains(h.one(["8BITMIME"], GRUEN, "BODY=8BITMIME").data,
                 "gr\u00fcn".encode())
    m = h.one(["SIZE"], GRUEN, "BODY=8BITMIME")
    tap.ok(all(b < 128 for b in m.data), "8 bits were sent")
    tap.eq(email.message_from_bytes(m.data).get_payload(decode=True),
           "gr\u00fcn\r\n.\r\n".encode())
    tap.eq(m.args, ["SIZE=%d" % len(m.data)])
    m = h.one([], PLAIN)
    tap.contains(m.data, b"\r\n\r\nplain\r\n")
    tap.eq(b"Transfer-Encoding" in m.data, False)


def test_binary(h):
    """BINARYMIME: by BDAT where it is known, else in base64"""
    body = BINARY.partition(b"\r\n\r\n")[2]
    m = h.one(["CHUNKING", "BINARYMIME", "8BITMIME"], BINARY,
              "BODY=BINARYMIME")
    tap.eq(m.data.partition(b"\r\n\r\n")[2], body)
    tap.eq(m.args, ["BODY=BINARYMIME"])
    for offers in (["8BITMIME"], ["CHUNKING", "8BITMIME"], []):
        m = h.one(offers, BINARY, "BODY=BINARYMIME")
        tap.ok(all(b < 128 for b in m.data), "8 bits were sent")
        tap.eq(email.message_from_bytes(m.data).get_payload(decode=True),
               body)


def test_utf8(h):
    """SMTPUTF8: passed on; lacked: only what needs it is returned, 5.6.7"""
    m = h.one(["SMTPUTF8", "8BITMIME"], PLAIN, "SMTPUTF8",
              (("\u00e4@remote.test", ""),))
    tap.eq((m.rcpts, m.args[-1]), (["\u00e4@remote.test"], "SMTPUTF8"))
    m = h.one(["8BITMIME"], PLAIN, "SMTPUTF8")
    tap.eq("SMTPUTF8" in m.args, False)
    for text, rcpt in ((PLAIN, "\u00e4@remote.test"),
                       ("Subject: gr\u00fcn\r\n\r\nx\r\n".encode(), TO)):
        tap.eq(h.send(["8BITMIME"], text, "SMTPUTF8", ((rcpt, ""),)), [])
        tap.contains(h.report(), b"5.6.7")


def test_size(h):
    """larger than the server takes: returned without sending it"""
    tap.eq(h.send(["SIZE 300"], PLAIN + b"x" * 70 + b"\r\n"), [])
    tap.contains(h.report(), b"5.3.4")
    tap.eq(commands(h, "MAIL"), [])


def test_requiretls(h):
    """REQUIRETLS to a server without it: returned, 5.7.30"""
    import smtplib
    s = h.server
    h.sink.extensions = ["8BITMIME"]
    h.sink.messages.clear()
    s.empty("alice")
    m = smtplib.SMTP_SSL("127.0.0.1", s.ports["submissions"], "c.test",
                         context=s.tls, timeout=30)
    m.login("alice@example.test", "correct horse")
    m.sendmail("alice@example.test", [TO], PLAIN, mail_options=["REQUIRETLS"])
    m.quit()
    tap.contains(h.report(), b"5.7.30")
    tap.eq(h.sink.messages, [])


def test_too_many(h):
    """452 behind some, or LIMITS RCPTMAX: the others follow at once"""
    rcpts = tuple(("u%d@remote.test" % i, "") for i in range(7))
    h.send(["LIMITS RCPTMAX=3", "PIPELINING"], PLAIN, "", rcpts)
    wait_for("all of them", lambda: sum(
        len(m.rcpts) for m in h.sink.messages) == 7)
    tap.eq([len(m.rcpts) for m in h.sink.messages], [3, 3, 1])
    tap.eq(len(h.sink.sessions), 1)
    h.send(["PIPELINING"], PLAIN, "", rcpts, replies={
        ("RCPT", "TO:<u5@remote.test"): "452 4.5.3 too many"})
    wait_for("six", lambda: sum(
        len(m.rcpts) for m in h.sink.messages) == 6)
    wait_for("the last one waits", lambda: [
        q["recipient"] for q in h.server.queue()] == ["u5@remote.test"])


with House() as house:
    tap.run(globals(), house)
tap.done()
