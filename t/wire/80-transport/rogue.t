#!/usr/bin/python3
# test: timeout=150
"""Transports that answer nonsense, nothing, or crash the runner, and an
observer that does not come back: other mail goes on, nothing is lost."""
import os
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, Server, wait_for

MODULE = os.path.join(BUILD, "t/wire/80-transport/rogue.so")
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class House:
    def __enter__(self):
        self.server = Server(start=False).__enter__()
        s = self.server
        module = s.path("rogue.so")
        with open(MODULE, "rb") as f, open(module, "wb") as g:
            g.write(f.read())
        os.chmod(module, 0o755)
        s.extra.update({
            "queue": {"retry_first": "1h", "concurrency": 2},
            "workers": {"crash_limit": 2, "restart_first": "50ms",
                        "restart_most": "200ms"},
            "plugin.rogue": {"module": module},
            # the same again: this one is loaded by the other workers too
            "plugin.watcher": {"module": module},
            "route.rogue": {"domains": ["rogue.test", ".rogue.test"],
                            "transport": "rogue"}})
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def send(self, rcpts):
        smtp = self.server.submission()
        smtp.sendmail("alice@example.test", rcpts, MESSAGE)
        smtp.quit()

    def row(self, rcpt):
        return wait_for("an attempt", lambda: [
            r for r in self.server.queue()
            if r["recipient"] == rcpt and r["attempts"] > 0])[0]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_answers(h):
    """no answer, a strange one, one beyond the list: tried again"""
    h.send(["%s@rogue.test" % n for n in
            ("good", "silent", "nonsense", "outside", "twice", "beyond")])
    for name, words in (("silent", "451 4.3.0 the transport gave no answer"),
                        ("nonsense", "451 4.3.5 the transport answered 99"),
                        ("outside", "gave no answer")):
        tap.contains(h.row(name + "@rogue.test")["reply"], words)
    tap.eq(len(h.server.queue()), 3)
    tap.eq(h.server.messages("alice"), [])
    h.server.drop_queue()


def test_lines(h):
    """a text with line ends does no harm to the report"""
    h.send(["lines@rogue.test"])
    report = wait_for("the report", lambda: h.server.messages("alice"))[0]
    tap.contains(report, b"5.7.1 one")
    tap.ok(b"\n250 two" not in report)


def test_crash(h):
    """messages that crash the runner: put off; others are delivered"""
    s = h.server
    good = ["good%d@g%d.rogue.test" % (n, n) for n in range(20)]
    bad = ["crash%d@c%d.rogue.test" % (n, n) for n in range(4)]
    s.log_mark()
    for n in range(20):
        h.send([good[n]])
        if n < 4:
            h.send([bad[n]])
    wait_for("the good to be gone", lambda: not [
        r for r in s.queue() if r["recipient"].startswith("good")], 30)
    for rcpt in bad:
        tap.contains(h.row(rcpt)["reply"], "the transport crashed")
    log = s.log_since_mark()
    crashes = log.count("worker.crash")
    print("# %d crashes" % crashes)
    tap.ok(4 <= crashes <= 8, crashes)
    # the last line of a runner that died may be missing
    told = sum("rcpt=%s fate=delivered" % rcpt in log for rcpt in good)
    tap.ok(told >= 20 - crashes, told)
    tap.ok(not any(b"good" in m for m in s.messages("alice")[1:]))
    s.drop_queue()
    tap.ok(s.answers(s.ports["smtp"]))


def test_not_moved(h):
    """a transport that crashed often is still where it must be"""
    h.send(["good@rogue.test"])
    wait_for("its delivery", lambda: not h.server.queue())


def test_observer(h):
    """an observer that sleeps holds up neither mail nor the end"""
    s = h.server
    start = time.monotonic()
    s.send(MESSAGE, sender="slow@elsewhere.test")
    for _ in range(20):
        s.send(MESSAGE)
    tap.ok(time.monotonic() - start < 5, "mail waited")
    tap.ok(len(s.messages("bob")) == 21)
    start = time.monotonic()
    tap.eq(s.stop(), 0)
    tap.ok(time.monotonic() - start < 10, "the end waited")


with House() as house:
    tap.run(globals(), house)
tap.done()
