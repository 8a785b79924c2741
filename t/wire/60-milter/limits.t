#!/usr/bin/python3
# test: timeout=300
"""What an admin can say of a milter: sockets, times, what happens when it
fails, how many connections, for whom, and that it only observes; and what is
taken off a message before any filter sees it."""
import os
import re
import socket
import struct
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import CONTINUE, Milter, Vanish, add_header, reply_code
from server import SLOW, Server, free_ports, wait_for
from wire import stuff

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nbody\r\n"
USUAL = {"timeout": "1s", "data_timeout": "1s", "end_timeout": "1s",
         "connect_timeout": "1s", "negotiate_timeout": "1s",
         "breaker_failures": 0}


def session(s, name="smtp", message=MESSAGE, rcpts=("bob",)):
    """The codes of MAIL, RCPTs, DATA and the message, up to a refusal that
    ends it."""
    codes = []
    with s.line(name, ehlo="client.test") as c:
        codes.append(c.cmd("MAIL FROM:<a@elsewhere.test>"))
        if codes[-1] >= 400:
            return codes
        for r in rcpts:
            codes.append(c.cmd("RCPT TO:<%s@example.test>" % r))
        codes.append(c.cmd("DATA"))
        if codes[-1] == 354:
            c.send(stuff(message))
            codes.append(c.reply()[0])
        c.cmd("QUIT")
    return codes


class Rig:
    """configure() gives the first milter its section anew."""

    def __init__(self, s, one, two):
        self.s, self.one, self.two = s, one, two

    def configure(self, chain=("one",), socket=None, **settings):
        self.s.extra["milter.one"] = dict(
            USUAL, socket=socket or self.one.socket, **settings)
        self.s.chain = list(chain)
        self.s.write_config()
        self.s.restart()
        self.reset()

    def reset(self, step=None):
        self.one.step = step or (lambda session, command, data: None)
        self.two.step = lambda session, command, data: None
        self.one.sessions.clear()
        self.two.sessions.clear()
        self.s.empty("bob")
        self.s.drop_queue()
        self.s.log_mark()

    def log_tail(self):
        return self.s.log_tail()

    def log_mark(self):
        self.s.log_mark()


def at(letter, frames):
    return lambda session, command, data: frames \
        if command == letter.encode() else None


# ---------------------------------------------------------------- sockets

class Inet(Milter):
    """On a port of loopback."""

    def __init__(self, family, host):
        super().__init__()
        self.family, self.host, self.port = family, host, free_ports(1)[0]

    def __enter__(self):
        self.server = socket.socket(self.family)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind((self.host, self.port))
        self.server.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()
        return self


SOCKETS = [
    ("inet:host:port", "inet:127.0.0.1:%d", 4),
    ("inet:port@host", "inet:%d@127.0.0.1", 4),
    ("a name", "inet:localhost:%d", 4),
    ("host:port", "127.0.0.1:%d", 4),
    ("inet6:[address]:port", "inet6:[::1]:%d", 6),
    ("inet6:port@address", "inet6:%d@::1", 6),
]


def sockets(r, form, version):
    milter = Inet(*((socket.AF_INET, "127.0.0.1") if version == 4 else
                    (socket.AF_INET6, "::1")))
    try:
        milter.__enter__()
    except OSError as e:
        raise tap.Skip(str(e))
    r.configure(socket=form % milter.port)
    tap.eq(session(r.s)[-1], 250)
    tap.contains([c for c, _ in milter.sessions[-1].steps], b"E")
    milter.stop()


WRONG = [
    ("no socket", {"socket": ""}, "needs a socket"),
    ("no port", {"socket": "inet:localhost"}, "is no"),
    ("a relative path", {"socket": "unix:x"}, "is no"),
    ("no such listener", {"listeners": ["nobody"]}, "[listen.nobody]"),
    ("a macro without a value", {"macros": ["x"]}, "NAME=VALUE"),
    ("an unknown key", {"conections": 5}, "did you mean `connections`"),
]


def wrong(r, settings, text):
    r.s.extra["milter.one"] = dict(dict(USUAL, socket=r.one.socket),
                                   **settings)
    r.s.write_config()
    r.s.stop()
    r.s.log_mark()
    r.s.start(wait=False)
    tap.ok(r.s.proc.wait(20 * SLOW) != 0, "it started")
    r.s.kill()
    tap.contains(r.s.log_since_mark(), text)
    r.s.extra["milter.one"] = dict(USUAL, socket=r.one.socket)
    r.s.write_config()
    r.s.start()


# ------------------------------------------------------------------ times

def test_hangs_at_first(r):
    """no answer to the first frame: negotiate_timeout"""
    r.configure(negotiate_timeout="300ms", timeout="30s")
    r.one.silent = True
    start = time.monotonic()
    try:
        tap.eq(session(r.s), [451])
    finally:
        r.one.silent = False
    tap.ok(time.monotonic() - start < 3 * SLOW, "it waited longer")


def test_times(r):
    """each phase has its own time"""
    r.configure(timeout="200ms", data_timeout="900ms", end_timeout="2s")
    for letter, pause, good in (("M", 0.5, False), ("L", 0.5, True),
                                ("L", 1.4, False), ("E", 1.4, True)):
        r.reset(slow_once(letter.encode(), pause))
        codes = session(r.s)
        tap.eq(codes[-1] == 250, good, "%s %g: %r" % (letter, pause, codes))


def slow_once(letter, pause):
    seen = []

    def step(session, command, data):
        if command == letter and not seen:
            seen.append(1)
            time.sleep(pause)
        return None
    return step


def test_progress_ceiling(r):
    """progress for ever is given up after ten times the time"""
    r.configure(end_timeout="200ms")

    def step(session, command, data):
        while command == b"E":
            r.one.send(session, [(b"p", b"")])
            time.sleep(0.05)
    r.one.step = step
    start = time.monotonic()
    tap.eq(session(r.s)[-1], 451)
    took = time.monotonic() - start
    tap.ok(1.9 < took < 6 * SLOW, "%.1f s" % took)
    tap.contains(r.s.log_since_mark(), "only progress")


# ---------------------------------------------------------------- failure

def test_quarantine_failure(r):
    """on_failure quarantine: held until somebody looks, released whole"""
    r.configure(on_failure="quarantine")
    for letter in "CMRLE":
        r.reset(vanish_at(letter))
        tap.eq(session(r.s)[-1], 250, letter)
        tap.eq(r.s.messages("bob"), [], letter)
        rows = r.s.queue()
        tap.eq([row["state"] for row in rows], ["held"], letter)
        tap.contains(r.s.cli("queue", "list").stdout, "filter not available")
        r.s.cli("queue", "release", str(rows[0]["id"]))
        wait_for("release", lambda: r.s.messages("bob"))


def vanish_at(letter):
    def step(session, command, data):
        if command == letter.encode():
            raise Vanish
    return step


def test_quarantine(r):
    """held with its reason, a later filter is asked, its edits are there"""
    r.configure(chain=["one", "two"])
    r.reset(at("E", [(b"q", b"looks odd\0"), add_header("X-One", "1"),
                     CONTINUE]))
    r.two.step = at("E", [add_header("X-Two", "2"), CONTINUE])
    tap.eq(session(r.s)[-1], 250)
    tap.eq(r.s.messages("bob"), [])
    row, = r.s.queue()
    tap.contains(r.s.cli("queue", "list").stdout, "looks odd")
    r.s.cli("queue", "release", str(row["id"]))
    wait_for("release", lambda: r.s.messages("bob"))
    tap.contains(r.s.newest(), b"X-One: 1\r\nX-Two: 2\r\n")


def test_quarantine_refused(r):
    """a later filter may still refuse what an earlier one held"""
    r.configure(chain=["one", "two"])
    r.reset(at("E", [(b"q", b"odd\0"), CONTINUE]))
    r.two.step = at("E", [reply_code("554 5.7.1 worse")])
    tap.eq(session(r.s)[-1], 554)
    tap.eq(r.s.queue(), [])


def test_breaker(r):
    """after failures in a row it is left alone for a while, then tried"""
    r.configure(breaker_failures=2, breaker_pause="1s")
    r.reset(vanish_at("M"))
    for _ in range(2):
        tap.eq(session(r.s), [451])
    tap.eq(len(r.one.sessions), 2)
    for _ in range(5):
        tap.eq(session(r.s), [451])
    tap.eq(len(r.one.sessions), 2, "it was asked")
    tap.contains(r.s.log_since_mark(), "failed too often")
    tap.contains(r.s.log_since_mark(), "not asked now")
    time.sleep(1.1)
    tap.eq(session(r.s), [451])         # the trial fails: shut at once
    tap.eq(session(r.s), [451])
    tap.eq(len(r.one.sessions), 3)
    time.sleep(1.1)
    r.one.step = lambda session, command, data: None
    for _ in range(3):
        tap.eq(session(r.s)[-1], 250)
    r.one.step = vanish_at("M")         # one failure alone does not shut
    tap.eq(session(r.s), [451])
    r.one.step = lambda session, command, data: None
    tap.eq(session(r.s)[-1], 250)


def test_connections(r):
    """a bound on connections, and on the wait for one"""
    r.configure(connections=1, connection_wait="400ms")
    with r.s.line(ehlo="x.test") as first:
        first.must(250, "MAIL FROM:<a@b.test>")
        start = time.monotonic()
        tap.eq(session(r.s), [451])
        tap.ok(time.monotonic() - start > 0.3, "it did not wait")
        tap.contains(r.s.log_since_mark(), "connections are in use")
        got = []
        t = threading.Thread(target=lambda: got.append(session(r.s)[-1]))
        t.start()
        time.sleep(0.1)
        first.must(221, "QUIT")
        t.join(10)
    tap.eq(got, [250])
    tap.eq(session(r.s)[-1], 250)


def test_no_leak(r):
    """connections are given back however a session ends"""
    r.configure(connections=2, connection_wait="2s")
    for letter in "OCHMRTLNBE":
        r.one.step = vanish_at(letter)
        session(r.s)
        r.one.step = lambda session, command, data: None
        with r.s.line(ehlo="x.test") as c:
            c.must(250, "MAIL FROM:<a@b.test>")
    for _ in range(3):
        tap.eq(session(r.s)[-1], 250)


# ---------------------------------------------------------------- for whom

def test_listeners(r):
    """only sessions of its listeners are shown"""
    r.configure(listeners=["submission"])
    tap.eq(session(r.s)[-1], 250)
    tap.eq(len(r.one.sessions), 0)
    r.configure(listeners=["submission", "smtp"])
    tap.eq(session(r.s)[-1], 250)
    tap.eq(len(r.one.sessions), 1)


def test_macros(r):
    """an admin's macros: other values, and more of them at a stage"""
    r.configure(macros=["{daemon_name}=MSA", "{greylist}=white"],
                macros_rcpt=["{greylist}", "{client_addr}"],
                macros_end=["{daemon_name}"])
    r.one.symbols = struct.pack("!I", 5) + b"i\0"
    try:
        tap.eq(session(r.s)[-1], 250)
    finally:
        r.one.symbols = b""
    m = r.one.sessions[0].macros
    tap.eq(m["C"][b"{daemon_name}"], b"MSA")
    tap.eq((m["R"][b"{greylist}"], m["R"][b"{client_addr}"]),
           (b"white", b"127.0.0.1"))
    tap.contains(m["R"], b"{rcpt_addr}")
    tap.eq(sorted(m["E"]), [b"i", b"{daemon_name}"])


OBSERVED = [
    ("reject", at("E", [(b"r", b"")]), "reject"),
    ("a reply", at("E", [reply_code("421 4.7.0 bye")]), "hangup"),
    ("reject at MAIL", at("M", [(b"r", b"")]), "reject"),
    ("reject at connect", at("C", [(b"r", b"")]), "reject"),
    ("reject a recipient", at("R", [(b"r", b"")]), "reject"),
    ("discard", at("T", [(b"d", b"")]), "discard"),
    ("quarantine", at("E", [(b"q", b"odd\0"), CONTINUE]), "quarantine"),
    ("failure", vanish_at("L"), "tempfail"),
    ("edits", at("E", [add_header("X-Edit", "1"), (b"b", b"other\r\n"),
                       (b"-", b"<bob@example.test>\0"),
                       (b"e", b"<x@y.test>\0"), CONTINUE]), "pass"),
]


def observed(r, step, verdict):
    r.reset(step)
    tap.eq(session(r.s)[-1], 250)
    got = r.s.newest()
    tap.ok(b"X-Edit" not in got and got.endswith(b"\r\n\r\nbody\r\n"), got)
    tap.contains(got, b"Return-Path: <a@elsewhere.test>")
    tap.eq(r.s.queue(), [])
    tap.ok(re.search(r"filter\.observed .*filter=one verdict=%s" % verdict,
                     r.s.log_since_mark()), "not logged")
    # The next filter sees what the client sent.
    names = [d.split(b"\0")[0] for c, d in r.two.sessions[0].steps
             if c == b"L"]
    tap.eq(names, [b"From", b"Subject"])


def observed_again(r):
    """one that observes is asked about the next message of the session"""
    r.reset(at("M", [(b"r", b"")]))
    with r.s.line(ehlo="x.test") as c:
        for _ in range(2):
            c.must(250, "MAIL FROM:<a@b.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(MESSAGE))
            c.must(250)
        c.must(221, "QUIT")
    wait_for("quit", lambda: r.one.sessions[0].steps[-1][0] == b"Q")
    letters = b"".join(c for c, _ in r.one.sessions[0].steps if c != b"D")
    tap.eq(letters, b"OCHMMQ")


def report(r):
    """counted, and told"""
    n = r.s.cli_json("filter", "report", "one")
    tap.ok(all(n[k] for k in ("reject", "hangup", "discard", "quarantine",
                              "tempfail", "pass", "edited")), n)
    tap.ok(n["reject"] >= 4, n)
    text = r.s.cli("filter", "report", "one").stdout
    tap.contains(text, "refused")
    tap.eq(r.s.cli("filter", "report", "none", check=False).returncode, 1)


# -------------------------------------------------- before any filter sees

FORGED = [
    b"mail.example.test; spf=pass",
    b"mail.example.test;spf=pass",
    b"MAIL.Example.Test; spf=pass",
    b"mail.example.test 1; spf=pass",
    b"mail.example.test/1; spf=pass",
    b"mail.example.test.; spf=pass",
    b"mail.example.test\r\n\t; spf=pass",
    b"\r\n\tmail.example.test; spf=pass",
    b"\r\n (a\r\n\tfold) mail.example.test\r\n\t1; spf=pass",
    b"(comment) mail.example.test; spf=pass",
    b"(a (nested) \\) one)mail.example.test(x); spf=pass",
    b"\"mail.example.test\"; spf=pass",
    b"\"mail.exa\\mple.test\" 1; spf=pass",
    b"mail.example.test",
]
FOREIGN = [b"mx.elsewhere.test; spf=pass", b"mail.example.test.evil.test; x=y",
           b"(mail.example.test) mx.elsewhere.test; dkim=pass"]


def test_forged(r):
    """results under our own name go, in whatever form; others stay"""
    r.configure()
    head = b"".join(b"Authentication-Results: " + v + b"\r\n"
                    for v in FORGED + FOREIGN)
    head += b"authentication-results : mail.example.test; spf=pass\r\n"
    tap.eq(session(r.s, message=head + MESSAGE)[-1], 250)
    shown = [d.split(b"\0")[1] for c, d in r.one.sessions[0].steps
             if c == b"L" and d.lower().startswith(b"authentication-r")]
    tap.eq(shown, FOREIGN)
    tap.eq(r.s.newest().count(b"thentication-"), len(FOREIGN))


def test_removed(r):
    """the admin's list of names goes too"""
    r.s.extra["smtp"] = {"remove_headers": ["X-Spam-*", "X-Virus"]}
    r.configure()
    head = b"x-spam-status: No\r\nX-Spam-: x\r\nX-Spam: stays\r\n" \
        b"X-VIRUS: none\r\nX-Virus-Scanned: stays\r\n"
    tap.eq(session(r.s, message=head + MESSAGE)[-1], 250)
    names = [d.split(b"\0")[0] for c, d in r.one.sessions[0].steps
             if c == b"L"]
    tap.eq(names, [b"X-Spam", b"X-Virus-Scanned", b"From", b"Subject"])
    del r.s.extra["smtp"]


with Milter() as first, Milter() as second:
    sections = {"milter.one": dict(USUAL, socket=first.socket),
                "milter.two": {"socket": second.socket}}
    with Server(sections, chain=["one"]) as server:
        rig = Rig(server, first, second)
        tap.run(globals(), rig)
        rig.configure(chain=["one", "two"], mode="observe")
        tap.table([("observed: " + n, s, v) for n, s, v in OBSERVED],
                  observed, rig)
        tap.call("observed: the next message", observed_again, rig)
        tap.call("observed: the report", report, rig)
        tap.table(SOCKETS, sockets, rig)
        tap.table(WRONG, wrong, rig)
tap.done()
