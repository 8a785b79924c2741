#!/usr/bin/python3
"""IMAP: several messages at once (MULTIAPPEND, RFC 3502)."""
import os
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: %d\r\n\r\nbody %d\r\n"


class Box(Line):
    def ok(self, command, want=b"OK"):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(want), "%r: %r" % (command[:200], rest))
        self.rest = rest
        return lines

    def texts(self, mailbox):
        """The messages of a mailbox, each with its flags."""
        self.ok(b"SELECT " + mailbox)
        self.send(b"f UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n")
        found = []
        while not (line := self.line()).startswith(b"f "):
            flags = set(re.search(rb"FLAGS \((.*?)\)", line).group(1).split())
            size = int(re.search(rb"\{(\d+)\}$", line).group(1))
            found.append((flags - {b"\\Recent"}, self.file.read(size)))
            self.line()
        return found


def fresh(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    c.imap(b"x", b"DELETE w")
    c.ok(b"CREATE w")
    return c


def test_multi(s):
    """flags and dates of each, all kinds of literals, one APPENDUID"""
    big = MESSAGE % (9, 9) + b"x" * 3000000 + b"\r\n"
    texts = [MESSAGE % (i, i) for i in range(3)] + [big, b"a\0b\r\n"]
    with fresh(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0], b" MULTIAPPEND")
        c.send(b'a APPEND w (\\Seen) {%d}\r\n' % len(texts[0]))
        tap.ok(c.line().startswith(b"+"))
        c.send(texts[0] + b' "17-Jul-1996 02:44:25 -0700" {%d+}\r\n'
               % len(texts[1]) + texts[1]
               + b' (\\Draft $Word) "17-Jul-1996 02:44:25 -0700" {%d}\r\n'
               % len(texts[2]))
        tap.ok(c.line().startswith(b"+"))
        c.send(texts[2] + b" {%d+}\r\n" % len(big) + big + b" ~{%d+}\r\n"
               % len(texts[4]) + texts[4] + b"\r\n")
        lines, rest = c.until(b"a")
        tap.ok(re.match(rb"OK \[APPENDUID \d+ 1:5\]", rest), rest)
        found = c.texts(b"w")
        tap.ok([t for _, t in found] == texts)
        tap.eq([f for f, _ in found], [{b"\\Seen"}, set(),
                                       {b"\\Draft", b"$Word"}, set(), set()])
        dates = c.ok(b"FETCH 1:3 INTERNALDATE")
        tap.eq([b"17-Jul-1996" in d for d in dates], [False, True, True])


def test_none(s):
    """what is wrong with one is wrong with all, and the session goes on"""
    good = b"{5+}\r\nabc\r\n"
    with fresh(s) as c:
        for bad, answer in ((b"{%d+}\r\n%s" % (5 << 20, b"x" * (5 << 20)),
                             b"NO [TOOBIG]"),
                            (b"(\\Frob) {5+}\r\nabc\r\n", b"BAD"),
                            (b"{0+}\r\n", b"NO"), (b"", b"BAD"),
                            (b"(\\Seen) x", b"BAD"), (b"{5+}\r\nabc\r\n)",
                                                    b"BAD")):
            for tail in (b"", b" " + good, b" " + good + b" " + good):
                c.ok(b"APPEND w " + good + b" " + bad + tail, answer)
                c.ok(b"NOOP")
        c.ok(b"APPEND nothing %s %s" % (good, good), b"NO [TRYCREATE]")
        # A literal that is refused is not asked for.
        c.ok(b"APPEND w " + good + b" {%d}" % (5 << 20), b"NO [TOOBIG]")
        tap.eq(c.texts(b"w"), [])
        c.ok(b"APPEND w" + 1001 * (b" " + good), b"NO [LIMIT]")
        tap.eq(c.texts(b"w"), [])
        c.ok(b"APPEND w" + 1000 * (b" " + good))
        tap.ok(b"1:1000]" in c.rest, c.rest)


def test_quota(s):
    """over quota with the last one, nothing is stored"""
    text = MESSAGE % (1, 1) + b"x" * 40000 + b"\r\n"
    with fresh(s) as c:
        s.cli("account", "set", "bob@example.test", "--quota", "100000")
        try:
            c.ok(b"APPEND w" + 3 * (b" {%d+}\r\n%s" % (len(text), text)),
                 b"NO [OVERQUOTA]")
            tap.eq(c.texts(b"w"), [])
            c.ok(b"APPEND w" + 2 * (b" {%d+}\r\n%s" % (len(text), text)))
            tap.ok([t for _, t in c.texts(b"w")] == [text, text])
        finally:
            s.cli("account", "set", "bob@example.test", "--quota", "0")


def test_cut_off(s):
    """a connection that ends in the middle leaves nothing"""
    with fresh(s) as c:
        c.send(b"a APPEND w {5+}\r\nabc\r\n {100+}\r\nabc")
    with fresh(s) as c:
        tap.eq(c.texts(b"w"), [])
    tap.eq(os.listdir(s.path("data", "tmp")), [])


with Server({"limits": {"message_size": 4 << 20, "errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
