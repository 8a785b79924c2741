#!/usr/bin/python3
# test: timeout=180
"""The queue command: filters, many entries at once, and what a destination
that is down shows."""
import socket
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import SLOW, Server, free_ports, wait_for
from sink import Sink

MESSAGE = b"From: a@example.test\r\nSubject: s\r\n\r\nx\r\n"
ZONE = {name + ".test A": ["127.0.0.1"] for name in ("one", "two", "three")}


class House:
    """Nobody listens at first, and nothing is tried again by itself."""

    def __enter__(self):
        self.port = free_ports(1)[0]
        self.dns = FakeDNS(ZONE).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.port, "retry_first": "1h"}}).__enter__()
        return self

    def __exit__(self, *exc):
        self.server.__exit__()
        self.dns.__exit__()

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def fill(self):
        """Three of alice, one of bob; none is being delivered."""
        self.server.cli("queue", "drop", "all")
        for sender, rcpt in (("alice", "x@one.test"), ("alice", "y@one.test"),
                             ("alice", "x@two.test"), ("bob", "x@three.test")):
            smtp = self.server.submission(sender)
            smtp.sendmail(self.server.address(sender), [rcpt], MESSAGE)
            smtp.quit()
        wait_for("quiet", self.is_quiet)
        return {r["recipient"]: r for r in self.rows()}

    def is_quiet(self):
        rows = self.rows()
        time.sleep(0.3 * SLOW)
        return rows == self.rows() and all(r["state"] == "queued"
                                           for r in rows)

    def rows(self, *filters):
        return self.server.cli_json("queue", "list", *filters)

    def count(self, verb, *args):
        return next(iter(self.server.cli_json("queue", verb,
                                              *args).values()))


def test_filters(h):
    """list: by recipient, sender, domain, age, state, message"""
    rows = h.fill()
    for filters, expected in (
            ((), 4), (("--to", "x@one.test"), 1), (("--to", "one.test"), 2),
            (("--to", "@ONE.test"), 2), (("--to", "X@one.test"), 1),
            (("--to", "ne.test"), 0), (("--from", "bob@example.test"), 1),
            (("--from", "example.test"), 4), (("--from", "<>"), 0),
            (("--domain", "two.test"), 1), (("--older", "1h"), 0),
            (("--older", "1s", "--to", "one.test"), None),
            (("--state", "queued"), 4), (("--state", "held"), 0),
            ((rows["x@one.test"]["message"],), 1),
            ((str(rows["x@one.test"]["id"]),), 1)):
        if expected is not None:
            tap.eq(len(h.rows(*filters)), expected, filters)
    tap.contains(h.server.cli("queue", "list", "--to", "z@z.z").stdout,
                 "nothing in the queue fits")
    for bad in (("--to",), ("--older", "soon"), ("--state", "odd"), ("x",)):
        tap.eq(h.server.cli("queue", "list", *bad, check=False).returncode, 2)


def test_hold(h):
    """hold and release by filter"""
    h.fill()
    tap.eq(h.count("hold", "--domain", "one.test"), 2)
    tap.eq(len(h.rows("--state", "held")), 2)
    tap.eq(h.count("hold", "--domain", "one.test"), 0)
    tap.eq(h.count("release", "--state", "held", "--to", "y@one.test"), 1)
    tap.eq([r["recipient"] for r in h.rows("--state", "held")],
           ["x@one.test"])
    tap.eq(h.server.cli("queue", "hold", check=False).returncode, 2)
    tap.eq(h.count("release", "all"), 1)


def test_drop(h):
    """drop by filter, by number, and all"""
    rows = h.fill()
    tap.eq(h.count("drop", "--from", "alice@example.test", "--domain",
                   "two.test"), 1)
    tap.eq(h.count("drop", str(rows["x@three.test"]["id"])), 1)
    tap.eq(len(h.rows()), 2)
    tap.eq(h.count("drop", "all"), 2)
    tap.eq(h.rows(), [])


def test_requeue(h):
    """requeue: as if it had just come"""
    rows = h.fill()
    before = rows["x@two.test"]
    time.sleep(0.05)
    tap.eq(h.count("requeue", "--domain", "two.test"), 1)
    after = h.rows("--domain", "two.test")[0]
    tap.ok(after["expire_ms"] > before["expire_ms"])
    tap.ok(after["attempts"] <= 1, "%r (it may have had one)" % after)


def test_show(h):
    """show: several at once, with headers"""
    rows = h.fill()
    text = h.server.cli("queue", "show", str(rows["x@one.test"]["id"]),
                        rows["x@three.test"]["message"]).stdout
    tap.eq(text.count("Subject: s"), 2)
    tap.contains(text, "x@three.test")
    tap.eq(len(h.server.cli_json("queue", "show",
                                 str(rows["x@two.test"]["id"]))), 1)


def test_down(h):
    """a destination that is down: no attempts, and it is said why; retry
    tries it at once, and all goes out when it is back"""
    h.server.cli("queue", "drop", "all")
    h.server.cli("queue", "flush")
    time.sleep(0.5)
    smtp = h.server.submission()
    for number in range(30):
        smtp.sendmail("alice@example.test", ["u%d@one.test" % number],
                      MESSAGE)
    smtp.quit()
    wait_for("it to be known as down", lambda: "does not answer" in
             h.server.cli("queue", "list").stdout)
    time.sleep(0.5)
    tried = [r for r in h.rows() if r["attempts"]]
    tap.eq(len(h.rows()), 30)
    tap.ok(len(tried) <= 8, "%d attempts" % len(tried))
    tap.contains(h.server.cli("queue", "list").stdout, "refused")
    h.server.cli("queue", "flush", "--to", "u29@one.test")
    time.sleep(0.5)
    tap.eq(len(h.rows()), 30)
    sink = Sink()
    sink.socket = socket.create_server(("127.0.0.1", h.port), backlog=128)
    sink.port = h.port
    import threading
    threading.Thread(target=sink.accept, daemon=True).start()
    h.server.cli("queue", "flush")
    wait_for("all", lambda: len(sink.messages) == 30, 40)
    wait_for("an empty queue", lambda: not h.rows())
    tap.ok(len(sink.sessions) < 15, "%d connections" % len(sink.sessions))
    sink.__exit__()


with House() as house:
    tap.run(globals(), house)
tap.done()
