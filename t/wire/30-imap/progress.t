#!/usr/bin/python3
"""INPROGRESS (RFC 9585): a word in between while a search takes long."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"Subject: m\r\n\r\n" + 400 * b"some words, none of them there\r\n"
N = 1000
WORD = re.compile(rb'\* OK \[INPROGRESS \((NIL|"\w+") (\d+) (NIL|\d+)\)\] ')


class Box(Line):
    def ok(self, command, tag=b"t1"):
        lines, rest = self.imap(tag, command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def words(self, command, tag=b"t1"):
        return [m.groups() for m in map(WORD.match, self.ok(command, tag))
                if m]


def login(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def test_search(s):
    """SEARCH, SORT and THREAD of bodies: tag, how many, of how many"""
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"INPROGRESS")
        for _ in range(N // 100):
            c.ok(b"APPEND INBOX" + 100 * (b" {%d+}\r\n%s" % (
                len(MESSAGE), MESSAGE)))
        c.ok(b"SELECT INBOX")
        for command in (b"SEARCH BODY qz", b"UID SEARCH UNSEEN TEXT qz",
                        b"SORT (DATE) UTF-8 BODY qz",
                        b"THREAD REFERENCES UTF-8 BODY qz"):
            words = c.words(command)
            tap.ok(words, command)
            done = [int(w[1]) for w in words]
            tap.eq(done, sorted(set(done)), "it grows")
            for w in words:
                tap.eq((w[0], w[2]), (b'"t1"', b"%d" % N))
                tap.ok(0 < int(w[1]) < N, w)


def test_forms(s):
    """no goal for many mailboxes; no tag that would end the code"""
    with login(s) as c:
        c.ok(b"SELECT INBOX")
        words = c.words(b"ESEARCH IN (personal) BODY qz")
        tap.ok(words and all(w[2] == b"NIL" for w in words), words)
        words = c.words(b"SEARCH BODY qz", b"a]b")
        tap.ok(words and all(w[0] == b"NIL" for w in words), words)


# The index would leave little to look for.
with Server({"limits": {"progress_interval": "10ms"},
             "plugin.sqlite": {"index": False}}) as server:
    tap.run(globals(), server)
with Server({"limits": {"progress_interval": "0s"}}) as server:
    def test_off():
        """0: not announced"""
        with login(server) as c:
            tap.ok(b"INPROGRESS" not in c.ok(b"CAPABILITY")[0])
    tap.call("0: it is not announced", test_off)
tap.done()
