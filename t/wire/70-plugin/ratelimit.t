#!/usr/bin/python3
# test: timeout=120
"""The ratelimit plugin: addresses, accounts, the window, and counters that
all processes share and that outlive them."""
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from outsider import ask, connect, server_of
from server import SLOW, Server, wait_for
from wire import Line


class House:
    def __enter__(self):
        self.server = Server({
            "smtp": {"xclient_networks": ["127.0.0.1"]},
            "workers": {"smtp": 2}, "limits": {"errors": 100},
        }, start=False).__enter__()
        s = self.server
        s.extra["plugin.ratelimit"] = {
            "module": s.plugin("ratelimit"), "address_limit": 20,
            "account_limit": 5, "window": "1h"}
        s.chain = ["ratelimit"]
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def count(s, address, n, rcpt="bob@example.test"):
    """Codes of n recipients over one connection."""
    codes = []
    with connect(s, address) as c:
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        for _ in range(n):
            codes.append(c.ask("RCPT TO:<%s>" % rcpt)[0])
    return codes


def test_address(h):
    """the twenty-first recipient of an address waits, another's does not"""
    s = h.server
    tap.eq(count(s, "192.0.2.1", 22), [250] * 20 + [450] * 2)
    tap.eq(ask(s, "192.0.2.1")[0], 450)
    tap.eq(ask(s, "192.0.2.2")[0], 250)


def test_guessing(h):
    """recipients that are refused count too"""
    s = h.server
    tap.eq(count(s, "192.0.2.3", 20, "nobody@example.test"), [550] * 20)
    tap.eq(ask(s, "192.0.2.3")[0], 450)


def test_v6(h):
    """IPv6 counts by /64: a client has all of its addresses"""
    s = h.server
    for n in range(20):
        tap.eq(ask(s, "2001:db8::%x" % (n + 1))[0], 250)
    tap.eq(ask(s, "2001:db8::ffff")[0], 450)
    tap.eq(ask(s, "2001:db8:0:1::1")[0], 250)


def test_account(h):
    """an account has a limit of its own, wherever it is"""
    s = h.server
    smtp = s.submission("alice")
    smtp.mail("alice@example.test")
    codes = [smtp.rcpt("bob@example.test")[0] for _ in range(4)]
    smtp.close()
    smtp = s.submission("alice")
    smtp.mail("alice@example.test")
    codes += [smtp.rcpt("bob@example.test")[0] for _ in range(2)]
    smtp.close()
    tap.eq(codes, [250] * 5 + [450])
    other = s.submission("bob")
    other.mail("bob@example.test")
    tap.eq(other.rcpt("alice@example.test")[0], 250)
    other.quit()


def test_loopback(h):
    """loopback without a login is not counted"""
    for _ in range(25):
        h.server.send(b"Subject: x\r\n\r\nx\r\n")


def pair(s):
    """Connections from one address, served by different processes. Many
    come at once, so that one process alone does not take them all."""
    lines = [Line(s.ports["smtp"], timeout=30 * SLOW) for _ in range(60)]
    found = {}
    for c in lines:
        c.must(220)
        pid = server_of(s, c)
        if pid in found:
            c.close()
        elif pid:
            found[pid] = c
    if len(found) < 2:
        for c in found.values():
            c.close()
        return None
    for c in found.values():
        c.must(220, "XCLIENT ADDR=198.51.100.1")
        c.must(250, "EHLO client.test")
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
    return list(found.values())


def test_shared(h):
    """two processes share the counters"""
    s = h.server
    tap.eq(len(s.workers("smtp")), 2)
    one, two = wait_for("connections to both", lambda: pair(s), 30)
    codes = []
    for n in range(11):
        for c in (one, two):
            codes.append(c.ask("RCPT TO:<bob@example.test>")[0])
    one.close()
    two.close()
    tap.eq(codes, [250] * 20 + [450] * 2)


def test_restart(h):
    """counters outlive the server"""
    s = h.server
    tap.eq(count(s, "203.0.113.1", 15), [250] * 15)
    s.kill()
    s.start()
    tap.eq(count(s, "203.0.113.1", 7), [250] * 5 + [450] * 2)
    tap.eq(ask(s, "192.0.2.1")[0], 450)


def test_window(h):
    """after the window it begins again"""
    s = h.server
    s.extra["plugin.ratelimit"].update(window="2s", address_limit=2)
    s.write_config()
    s.restart()
    tap.eq(count(s, "203.0.113.7", 3), [250, 250, 450])
    time.sleep(2.1)
    tap.eq(count(s, "203.0.113.7", 3), [250, 250, 450])


with House() as house:
    tap.run(globals(), house)
tap.done()
