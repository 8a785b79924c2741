#!/usr/bin/python3
# test: timeout=180
"""The chain `local`: reports of the server pass its filters, and none is
lost for what a filter does."""
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from milter import Milter, Vanish, add_header, reply_code
from server import BUILD, Server, wait_for
from sink import Sink

MESSAGE = b"From: alice@example.test\r\nSubject: out\r\n\r\nx\r\n"


class House:
    def __enter__(self):
        self.says = None
        self.milter = Milter(self.step).__enter__()
        self.dns = FakeDNS({"gone.test A": ["127.0.0.1"]}).__enter__()
        self.sink = Sink(lambda s, verb, a: "550 5.1.1 no such user"
                         if verb == "RCPT" else None).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "1s"},
            "milter.words": {"socket": self.milter.socket,
                             "timeout": "2s"},
            "plugin.dkim": {"module": BUILD + "/plugins/dkim/dkim.so"},
            "chain": {"inbound": [], "submission": [],
                      "local": ["words", "dkim"]}}, start=False).__enter__()
        s = self.server
        s.cli("dkim", "new", "mail.example.test")
        s.start()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns, self.milter):
            part.__exit__(*exc)

    def step(self, session, command, data):
        if command == b"E" and self.says == "vanish":
            raise Vanish
        if command == b"E" and self.says is not None:
            return self.says
        return None

    def bounce(self, says):
        """A submission that bounces, with the filter saying this to the
        report."""
        self.says = says
        self.server.empty("alice")
        smtp = self.server.submission("alice")
        smtp.sendmail("alice@example.test", ["x@gone.test"], MESSAGE)
        smtp.quit()

    def report(self):
        wait_for("the report", lambda: self.server.messages("alice"))
        got = self.server.messages("alice")
        tap.eq(len(got), 1)
        tap.contains(got[0], b"550 5.1.1 no such user")
        return got[0]

    def settled(self, rows=0):
        wait_for("the queue", lambda: len(self.server.queue()) == rows)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_edits(h):
    """a report is changed by a milter and signed by a plugin"""
    h.bounce([add_header("X-Local", "seen"), (b"c", b"")])
    got = h.report()
    tap.contains(got, b"X-Local: seen")
    tap.contains(got, b"d=mail.example.test;")
    h.settled()
    steps = [(c, d) for s in h.milter.sessions for c, d in s.steps]
    tap.ok(any(c == b"M" and d.startswith(b"<>") for c, d in steps), steps)
    tap.ok(any(c == b"R" and d.startswith(b"<alice@example.test>")
               for c, d in steps), steps)


def test_tempfail(h):
    """a filter that puts it off is passed over"""
    h.bounce([(b"t", b"")])
    tap.ok(b"X-Local" not in h.report())
    h.settled()
    tap.contains(h.server.log_tail(), "sent without it")


def test_vanish(h):
    """a filter that dies is passed over"""
    h.bounce("vanish")
    h.report()
    h.settled()


def test_drop(h):
    """a filter that refuses or discards drops it, and the log names it"""
    for says in ([(b"d", b"")], [reply_code("550 5.7.1 no reports")]):
        h.server.log_mark()
        h.bounce(says)
        h.settled()
        time.sleep(.2)
        tap.eq(h.server.messages("alice"), [])
        tap.contains(h.server.log_tail(), "result=dropped")
        tap.contains(h.server.log_tail(), "filter=words")


def test_hold(h):
    """a report that is held can be seen and released"""
    h.bounce([(b"q", b"look at it\0"), (b"c", b"")])
    wait_for("the held report", lambda: [
        r["state"] for r in h.server.queue()] == ["held"])
    row = h.server.queue()[0]
    tap.contains(str(row), "look at it")
    h.says = None
    h.server.cli("queue", "release", str(row["id"]))
    h.report()
    h.settled()


with House() as house:
    tap.run(globals(), house)
tap.done()
