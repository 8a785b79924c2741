#!/usr/bin/python3
"""SEARCHRES, RFC 5182: SEARCH RETURN (SAVE), and "$" wherever a set may
stand."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"
BROKEN = b"SEARCH RETURN (SAVE) CHARSET X-FROB SUBJECT x"

# result options, what "$" is then, the untagged answer begins with
SAVED = [
    (b"SAVE", [2, 3, 5], None),
    (b"SAVE MIN", [2], b" MIN 2"),
    (b"MAX SAVE", [5], b" MAX 5"),
    (b"SAVE MIN MAX", [2, 5], b" MIN 2 MAX 5"),
    (b"SAVE ALL", [2, 3, 5], b" ALL 2:3,5"),
    (b"SAVE COUNT", [2, 3, 5], b" COUNT 3"),
    (b"MIN SAVE COUNT", [2, 3, 5], b" COUNT 3 MIN 2"),
    (b"MIN ALL SAVE", [2, 3, 5], b" MIN 2 ALL 2:3,5"),
]


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def refused(self, command, how):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))
        return rest

    def saved(self):
        """The UIDs that "$" names, asked for in three ways."""
        found = [int(n) for n in self.ok(b"UID SEARCH $")[0].split()[2:]]
        for command in (b"FETCH $ UID", b"UID FETCH $ UID"):
            lines = self.ok(command)
            tap.eq([int(re.search(rb"UID (\d+)", li).group(1))
                    for li in lines if b" FETCH " in li], found)
        return found


def login(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def fresh(s):
    """Messages 1 to 6 of a new mailbox, of which 2, 3 and 5 are flagged."""
    c = login(s)
    c.imap(b"x", b"DELETE q")
    c.ok(b"CREATE q")
    for n in range(1, 7):
        c.ok(b"APPEND q (%s) {%d+}\r\n%s"
             % (b"\\Flagged" if n in (2, 3, 5) else b"", len(MESSAGE),
                MESSAGE))
    c.ok(b"SELECT q")
    return c


def test_capability(s):
    """it is announced"""
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"SEARCHRES")


def test_options(s):
    """what is saved depends on the other options; SAVE alone is silent"""
    with fresh(s) as c:
        for kind in (b"", b"UID "):
            for options, want, said in SAVED:
                c.ok(b"SEARCH RETURN (SAVE) 6")
                lines = [li for li in
                         c.ok(kind + b"SEARCH RETURN (%s) FLAGGED" % options)
                         if b"SEARCH" in li]
                tap.eq(lines, [b'* ESEARCH (TAG "t")%s%s' % (
                    b" UID" if kind else b"", said)] if said else [])
                tap.eq(c.saved(), want, options)
        c.ok(b"SEARCH RETURN (SAVE MIN MAX) 4")
        tap.eq(c.saved(), [4])


def test_empty(s):
    """nothing is saved yet, or nothing was found: commands do nothing"""
    with fresh(s) as c:
        for _ in range(2):
            tap.eq(c.saved(), [])
            for command in (b"STORE $ +FLAGS (\\Deleted)", b"COPY $ INBOX",
                            b"MOVE $ INBOX", b"UID EXPUNGE $"):
                tap.eq(c.ok(command), [], command)
            tap.eq(c.ok(b"SEARCH NOT $"), [b"* SEARCH 1 2 3 4 5 6"])
            tap.eq(c.ok(b"SEARCH DELETED"), [b"* SEARCH"])
            c.ok(b"SEARCH RETURN (SAVE) FROM nobody")


def test_keys(s):
    """ "$" among other keys, and replaced by what it helped to find"""
    with fresh(s) as c:
        c.ok(b"SEARCH RETURN (SAVE) FLAGGED")
        tap.eq(c.ok(b"SEARCH OR $ 6"), [b"* SEARCH 2 3 5 6"])
        tap.eq(c.ok(b"SEARCH 3:6 NOT $"), [b"* SEARCH 4 6"])
        tap.eq(c.ok(b"SEARCH UID $ 3:6"), [b"* SEARCH 3 5"])
        c.ok(b"SEARCH RETURN (SAVE) $ NOT 2")
        tap.eq(c.saved(), [3, 5])


def test_commands(s):
    """STORE, COPY, UID EXPUNGE and MOVE take it"""
    with fresh(s) as c:
        c.imap(b"x", b"DELETE r")
        c.ok(b"CREATE r")
        c.ok(b"SEARCH RETURN (SAVE) FLAGGED")
        c.ok(b"COPY $ r")
        tap.contains(c.ok(b"STATUS r (MESSAGES)")[0], b"MESSAGES 3")
        c.ok(b"STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UID EXPUNGE $")
        tap.eq(c.ok(b"UID SEARCH ALL"), [b"* SEARCH 1 3 4 5 6"])
        c.ok(b"STORE $ +FLAGS.SILENT (kw)")
        tap.eq(c.ok(b"UID SEARCH KEYWORD kw"), [b"* SEARCH 3 5"])
        c.ok(b"UID MOVE $ r")
        tap.eq(c.ok(b"UID SEARCH ALL"), [b"* SEARCH 1 4 6"])
        tap.eq(c.saved(), [])


def test_many(s):
    """many sets in one search take no room of their own"""
    def peak():
        return max(s.memory(p) for p in s.workers("mailbox"))
    with login(s) as c:
        c.ok(b"CREATE many")
        c.ok(b"APPEND many" + b" {5+}\r\na: b\n" * 600)
        c.ok(b"SELECT many")
        c.ok(b"SEARCH RETURN (SAVE) " + b",".join(
            b"%d" % i for i in range(1, 600, 2)))
        before = peak()
        tap.eq(c.ok(b"SEARCH" + b" $" * 15900 + b" 1:9"),
               [b"* SEARCH 1 3 5 7 9"])
        tap.ok(peak() - before < 16 << 10, (before, peak()))


def test_expunged(s):
    """messages that are removed leave it, numbers that move do not matter"""
    with fresh(s) as c, login(s) as other:
        c.ok(b"SEARCH RETURN (SAVE) FLAGGED")
        other.ok(b"SELECT q")
        other.ok(b"STORE 1,3 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
        c.ok(b"NOOP")
        tap.eq(c.saved(), [2, 5])
        tap.eq(c.ok(b"SEARCH $"), [b"* SEARCH 1 3"])


def test_failure(s):
    """NO empties it, BAD and a search without SAVE leave it alone"""
    with fresh(s) as c:
        c.ok(b"SEARCH RETURN (SAVE) FLAGGED")
        c.refused(b"SEARCH RETURN (SAVE) FROB", b"BAD")
        c.refused(b"SEARCH RETURN (SAVE FROB) ALL", b"BAD")
        c.ok(b"SEARCH RETURN (ALL) 1")
        c.ok(b"SEARCH 1")
        c.refused(BROKEN.replace(b"SAVE", b"ALL"), b"NO")
        tap.eq(c.saved(), [2, 3, 5])
        tap.contains(c.refused(BROKEN, b"NO"), b"BADCHARSET")
        tap.eq(c.saved(), [])


def test_select(s):
    """another SELECT empties it"""
    with fresh(s) as c:
        for how in (b"SELECT q", b"EXAMINE q"):
            c.ok(b"SEARCH RETURN (SAVE) FLAGGED")
            c.ok(how)
            tap.eq(c.saved(), [])


with Server() as server:
    tap.run(globals(), server)
tap.done()
