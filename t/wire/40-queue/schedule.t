#!/usr/bin/python3
# test: timeout=240
"""Scheduling: open connections are used again, a slow or dead destination
holds up nobody, rates, routes by sender, hosts by the book."""
import socket
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import SLOW, Server, free_ports, wait_for
from sink import Sink

MESSAGE = b"From: a@example.test\r\nSubject: s\r\n\r\nx\r\n"
ZONE = {
    "one.test A": ["127.0.0.1"], "two.test A": ["127.0.0.1"],
    "tarpit.test A": ["127.0.0.2"], "slow.test A": ["127.0.0.1"],
    "paced.test A": ["127.0.0.1"], "source.test A": ["127.0.0.1"],
    "refused.test A": ["127.0.0.1"], "closing.test A": ["127.0.0.1"],
    "back.test A": ["127.0.0.1"],
    # ourselves by address, behind a better host and alone
    "cut.test MX": [(10, "one.test"), (20, "self.test"), (30, "bad.test")],
    "only.test MX": [(20, "self.test"), (30, "one.test")],
    "self.test A": ["127.0.0.9"], "bad.test A": ["127.0.0.3"],
    "equal.test MX": [(10, "e1.test"), (10, "e2.test")],
    "e1.test A": ["127.0.0.1"], "e2.test A": ["127.0.0.1"],
    "alias.test CNAME": ["one.test"],
    "odd.test MX": [(10, "."), (20, "one.test")],
}


class House:
    def __enter__(self):
        self.scripts = {}
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink(self.answer).__enter__()
        self.other = Sink().__enter__()
        port = self.sink.port
        self.tarpit = socket.create_server(("127.0.0.2", port), backlog=500)
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": port, "retry_first": "2s", "retry_most": "2s",
                      "greeting_timeout": "60s", "source": ["127.0.0.5"]},
            "listen.self": {"protocol": "smtp", "tls": "none",
                            "address": ["127.0.0.9:%d" % port]},
            "route.paced": {"domains": ["paced.test"], "rate": 300},
            "route.boss": {"domains": ["*"], "senders": ["bob@example.test"],
                           "host": "127.0.0.1:%d" % self.other.port},
        }).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.other, self.dns):
            part.__exit__(*exc)
        self.tarpit.close()

    def answer(self, session, verb, argument):
        action = self.scripts.get(verb)
        return action(session, argument) if action else None

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def reset(self):
        self.scripts.clear()
        self.server.cli("queue", "drop", "all")
        time.sleep(1.2)         # deliveries of what was dropped end
        self.sink.messages.clear()
        self.sink.sessions.clear()
        self.other.messages.clear()
        self.server.empty("alice")

    def send(self, *rcpts, sender="alice"):
        """Each a message of its own."""
        smtp = self.server.submission(sender)
        for rcpt in rcpts:
            smtp.sendmail(self.server.address(sender), [rcpt], MESSAGE)
        smtp.quit()

    def wait(self, n, seconds=15):
        wait_for("%d messages" % n,
                 lambda: len(self.sink.messages) >= n, seconds)

    def rcpts(self):
        return sorted(m.rcpts[0] for m in self.sink.messages)


def test_reuse(h):
    """messages to one destination share connections, which end by QUIT"""
    h.reset()
    h.send(*["u%d@one.test" % i for i in range(40)])
    h.wait(40)
    tap.ok(len(h.sink.sessions) <= 10, len(h.sink.sessions))
    wait_for("QUIT", lambda: all(s.commands[-1] == "QUIT"
                                 for s in h.sink.sessions))
    tap.ok(not any("RSET" in s.commands for s in h.sink.sessions))


def test_reuse_closed(h):
    """one that the other side has closed, or closes now, is not counted as
    an attempt"""
    h.reset()
    count = [0]

    def close_second(session, argument):
        count[0] += 1
        return "" if session.commands.count("DATA") else None

    h.scripts["MAIL"] = close_second
    h.send("a@closing.test")
    h.wait(1)
    h.send("b@closing.test")
    h.send("c@closing.test")
    h.wait(3, 2)
    wait_for("an empty queue", lambda: not h.server.queue())
    tap.ok(count[0] >= 4, count)
    tap.ok("deferred" not in h.server.log_since_mark())


def test_refused_then_next(h):
    """after a refused message the connection goes on, by RSET"""
    h.reset()
    h.scripts["RCPT"] = lambda s, a: "550 5.1.1 no" if "bad" in a else None
    h.send("bad@refused.test")
    wait_for("the report", lambda: h.server.messages("alice"))
    h.send("good@refused.test")
    h.wait(1)
    tap.eq(len(h.sink.sessions), 1)
    tap.ok("RSET" in h.sink.sessions[0].commands)


def test_tarpit(h):
    """300 messages to a destination that never says a word hold up nobody"""
    h.reset()
    h.send(*["t%d@tarpit.test" % i for i in range(300)])
    start = time.monotonic()
    h.send(*["u%d@two.test" % i for i in range(20)])
    h.wait(20, 5)
    tap.ok(time.monotonic() - start < 5 * SLOW)
    busy = [r for r in h.server.queue() if r["state"] == "being delivered"]
    tap.ok(len(busy) <= 40, len(busy))


def test_slow(h):
    """one that answers slowly has its connections, others theirs"""
    h.reset()

    def wait(session, argument):
        if "slow.test" in argument:
            time.sleep(1)

    h.scripts["RCPT"] = wait
    h.send(*["t%d@slow.test" % i for i in range(100)])
    h.send(*["u%d@two.test" % i for i in range(50)])
    wait_for("the quick ones", lambda: sum(
        r.endswith("two.test") for r in h.rcpts()) == 50, 5)
    tap.ok(sum(r.endswith("slow.test") for r in h.rcpts()) < 100)
    time.sleep(1.2)
    h.server.cli("queue", "drop", "all")
    time.sleep(1.2)             # those that had begun
    count = len(h.rcpts())
    time.sleep(1.5)
    tap.eq(len(h.rcpts()), count, "what was dropped goes out")


def test_rate(h):
    """a route with a rate: 300 a minute"""
    h.reset()
    start = time.monotonic()
    h.send(*["u%d@paced.test" % i for i in range(10)])
    h.wait(10)
    tap.ok(1.7 < time.monotonic() - start, time.monotonic() - start)


def test_sender_route(h):
    """what bob sends goes another way than what alice sends"""
    h.reset()
    h.send("x@one.test", sender="bob")
    wait_for("the other host", lambda: h.other.messages)
    h.send("x@one.test")
    h.wait(1)
    tap.eq(len(h.other.messages), 1)


def test_source(h):
    """mail leaves from the address that is set"""
    h.reset()
    seen = []
    h.scripts["CONNECT"] = lambda s, a: seen.append(s.conn.getpeername()[0])
    h.send("x@source.test")
    h.wait(1)
    tap.eq(set(seen), {"127.0.0.5"})


def test_hosts(h):
    """we are met in an MX list by our address: better hosts only; MX at a
    CNAME; an address literal; a root name among others"""
    h.reset()
    h.send("x@cut.test", "x@alias.test", "x@[127.0.0.1]", "x@odd.test")
    h.wait(4)
    tap.eq(h.rcpts(), sorted(["x@cut.test", "x@alias.test", "x@[127.0.0.1]",
                              "x@odd.test"]))


def test_hosts_loop(h):
    """nothing better than ourselves: returned, never tried"""
    h.reset()
    h.send("x@only.test")
    report = wait_for("the report", lambda: h.server.messages("alice"))[0]
    tap.contains(report, b"5.4.6")
    tap.eq(h.sink.messages, [])


def test_back(h):
    """what waits for a destination that comes back goes out at once, and
    what has no time left is returned meanwhile"""
    h.reset()
    h.scripts["CONNECT"] = lambda s, a: "421 4.3.2 closed"
    h.send(*["u%d@back.test" % i for i in range(30)])
    wait_for("it to be down", lambda: "queue.down" in
             h.server.log_since_mark())
    last = h.server.queue()[-1]
    h.server.stop()
    db = sqlite3.connect(h.server.data + "/sqlite/mailroom.db")
    db.execute("UPDATE queue SET expire_ms = 1 WHERE id = ?", (last["id"],))
    db.commit()
    db.close()
    h.server.start()
    report = wait_for("the report", lambda: h.server.messages("alice"), 20)[0]
    tap.contains(report, last["recipient"].encode())
    h.scripts.clear()
    h.wait(29, 15)
    wait_for("an empty queue", lambda: not h.server.queue())


with House() as house:
    tap.run(globals(), house)
tap.done()
