#!/usr/bin/python3
# test: timeout=120
"""At the door: pause before the greeting, early talkers, slow answers, how
often a peer may come, bans after wrong passwords. Peers are what a PROXY
header says, since loopback is spared."""
import base64
import socket
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server, wait_for
from wire import Line

CONFIG = {
    "smtp": {"greet_pause": "1s"},
    "limits": {"error_delay": "1s", "connection_rate": 20, "ban_after": 4,
               "ban_time": "1h", "auth_tries": 2, "errors": 100,
               "connections_per_network": 8},
    **{"listen." + n: {"proxy_networks": ["127.0.0.0/8"]}
       for n in ("smtp", "submission", "imap", "imaps", "submissions", "pop3s",
                 "pop3")}}


def come(s, peer, name="smtp", early=b""):
    """A connection of that peer; early: sent along with its header."""
    c = Line(s.ports[name])
    family = "TCP6" if ":" in peer else "TCP4"
    c.send(b"PROXY %s %s %s 1000 25\r\n" % (
        family.encode(), peer.encode(), b"::1" if family == "TCP6"
        else b"127.0.0.1") + early)
    return c


def timed(function, *args):
    start = time.monotonic()
    return function(*args), time.monotonic() - start


def test_pause(s):
    """strangers wait, once"""
    with come(s, "192.0.2.1") as c:
        code, took = timed(c.reply)
        tap.ok(code[0] == 220 and 0.8 < took < 5, "%r %r" % (code, took))
    with come(s, "192.0.2.1") as c:
        code, took = timed(c.reply)
        tap.ok(code[0] == 220 and took < 0.5, took)


def test_no_pause(s):
    """nobody waits on the submission port, IMAP and POP3"""
    for name in "submission", "imap", "pop3":
        with come(s, "192.0.2.9", name) as c:
            line, took = timed(c.line)
            tap.ok(took < 0.5, name)


def test_early(s):
    """who talks before the greeting is refused: at once, or in the pause"""
    with come(s, "192.0.2.2", early=b"EHLO spam.test\r\n") as c:
        code, took = timed(c.reply)
        tap.eq(code[0], 554)
        tap.ok(c.at_end(), "goes on")
    with come(s, "192.0.2.3") as c:
        time.sleep(0.3)
        c.send(b"HELO spam.test\r\n")
        tap.eq(c.reply()[0], 554)
    with come(s, "192.0.2.3") as c:
        tap.eq(c.reply()[0], 220, "nothing is remembered against it")


def test_slow_errors(s):
    """bad commands behind the third are answered late; good ones are not"""
    with come(s, "192.0.2.4") as c:
        c.reply()
        for n in range(5):
            code, took = timed(c.cmd, "FROB")
            tap.eq(code, 500)
            tap.ok((took > 0.8) == (n >= 3), "%d: %.2f" % (n, took))
        code, took = timed(c.cmd, "NOOP")
        tap.ok(took < 0.5, took)


def test_rate(s):
    """more connections a minute than allowed: 421"""
    codes = []
    for _ in range(45):     # the minute may end meanwhile
        with come(s, "192.0.2.5", "submission") as c:
            codes.append(c.reply()[0])
    tap.ok(codes[0] == 220 and 421 in codes, str(codes))
    with come(s, "192.0.2.6", "submission") as c:
        tap.eq(c.reply()[0], 220)


def test_network(s):
    """connections of one network at a time"""
    open_ones = [come(s, "198.51.100.%d" % n, "imap") for n in range(1, 9)]
    for c in open_ones:
        tap.ok(c.line().startswith(b"* OK"), "refused")
    with come(s, "198.51.100.99", "imap") as d:
        tap.ok(d.at_end(), "let in")
    with come(s, "198.51.101.99", "imap") as d:
        tap.ok(d.line().startswith(b"* OK"), "another network")
    for c in open_ones:
        c.close()
    with come(s, "2001:db8:1::1", "imap") as a:
        tap.ok(a.line().startswith(b"* OK"), "IPv6")


def try_login(s, peer, password, name="imaps", user="alice@example.test"):
    """"out", "no" or "ok", under TLS."""
    with come(s, peer, name) as c:
        try:
            if s.listeners[name][1] == "implicit":
                c.start_tls(s.tls)
            first = c.line()
        except (OSError, EOFError):
            return "out"
        if not first.startswith((b"* OK", b"+OK", b"220")):
            return "out"
        plain = base64.b64encode(b"\0%s\0%s" % (user.encode(),
                                                password.encode()))
        if name == "imaps":
            c.send(b'a LOGIN "%s" "%s"\r\n' % (user.encode(),
                                               password.encode()))
            while not (line := c.line()).startswith(b"a "):
                pass
            return "ok" if line.startswith(b"a OK") else "no"
        if name == "pop3s":
            c.send(b"AUTH PLAIN %s\r\n" % plain)
            return "ok" if c.line().startswith(b"+OK") else "no"
        c.must(250, "EHLO c.test")
        return "ok" if c.cmd(b"AUTH PLAIN " + plain) == 235 else "no"


def test_ban(s):
    """different wrong passwords ban, over all protocols and at once"""
    for n, name in enumerate(("imaps", "submissions", "imaps", "pop3s")):
        # each worker counts by itself
        for k in range(2):
            try_login(s, "203.0.113.1", "wrong %d %d" % (n, k), name)
    for name in "imaps", "submissions", "pop3s", "smtp":
        wait_for("out at " + name, lambda: try_login(
            s, "203.0.113.1", PASSWORD, name) == "out")
    tap.eq(try_login(s, "203.0.113.2", PASSWORD), "ok")
    bans = s.cli_json("ban", "list")
    tap.eq([b["peer"] for b in bans], ["203.0.113.1"])
    tap.contains(bans[0]["reason"], "wrong passwords")


def test_ban_stays(s):
    """a restart does not lift it; `ban remove` does"""
    s.restart()
    tap.eq(try_login(s, "203.0.113.1", PASSWORD), "out")
    s.cli("ban", "remove", "203.0.113.1")
    wait_for("in again", lambda: try_login(
        s, "203.0.113.1", PASSWORD) == "ok")
    tap.contains(s.cli("ban", "list").stdout, "nobody")


def test_same_password(s):
    """the same wrong password again and again bans nobody"""
    for _ in range(12):
        tap.eq(try_login(s, "203.0.113.3", "forgotten"), "no")
    tap.eq(try_login(s, "203.0.113.3", PASSWORD), "ok")


def test_good_history(s):
    """an address with a good login is not banned"""
    tap.eq(try_login(s, "203.0.113.4", PASSWORD), "ok")
    s.restart()
    for n in range(12):
        tap.eq(try_login(s, "203.0.113.4", "wrong %d" % n), "no")
    tap.eq(try_login(s, "203.0.113.4", PASSWORD), "ok")


def test_v6(s):
    """IPv6: the whole /64"""
    for n in range(6):
        try_login(s, "2001:db8:7:7::%x" % (n + 1), "wrong %d" % n)
    wait_for("out", lambda: try_login(
        s, "2001:db8:7:7::99", PASSWORD) == "out")
    tap.eq(try_login(s, "2001:db8:7:8::1", PASSWORD), "ok")


def test_by_hand(s):
    """ban add"""
    s.cli("ban", "add", "203.0.113.77")
    wait_for("out", lambda: try_login(
        s, "203.0.113.77", PASSWORD) == "out")
    tap.eq(s.cli("ban", "add", "somewhere", check=False).returncode, 2)


with Server(CONFIG) as server:
    tap.run(globals(), server)
tap.done()
