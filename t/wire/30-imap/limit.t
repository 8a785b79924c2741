#!/usr/bin/python3
"""MESSAGELIMIT (RFC 9738): a command works on so many messages, and says where
to go on; UIDAFTER and UIDBEFORE."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"


class Box(Line):
    def ok(self, command, how=b"OK"):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(how), "%r: %r" % (command, self.rest))
        return lines

    def uids(self, command, how=b"OK"):
        lines = self.ok(command, how)
        if lines and lines[0].startswith(b"* S"):
            return [int(n) for n in lines[0].split()[2:]]
        return [int(m.group(1)) for m in (re.search(
            rb"FETCH \(UID (\d+)", li) for li in lines) if m]


def login(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def fresh(s, n=7, enable=None):
    """UIDs 1 to n; a command works on three messages."""
    c = login(s)
    if enable:
        c.ok(b"ENABLE " + enable)
    c.imap(b"x", b"DELETE l")
    c.imap(b"x", b"DELETE m")
    c.ok(b"CREATE l")
    c.ok(b"CREATE m")
    for _ in range(n):
        c.ok(b"APPEND l {%d+}\r\n%s" % (len(MESSAGE), MESSAGE))
    c.ok(b"SELECT l")
    return c


def test_capability(s):
    """it is announced with its number"""
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"MESSAGELIMIT=3")


def test_fetch(s):
    """FETCH: the highest UIDs first, the rest when it is asked for"""
    with fresh(s) as c:
        for kind in (b"FETCH", b"UID FETCH"):
            tap.eq(c.uids(kind + b" 1:* (UID)", b"OK [MESSAGELIMIT 3 5]"),
                   [5, 6, 7])
            tap.eq(c.uids(kind + b" 1:4 (UID)", b"OK [MESSAGELIMIT 3 2]"),
                   [2, 3, 4])
            tap.eq(c.uids(kind + b" 1 (UID)", b"OK FETCH"), [1])
            tap.eq(c.uids(kind + b" 1:2,7 (UID)", b"OK FETCH"), [1, 2, 7])
        tap.eq(c.uids(b"UID FETCH 5:99 (UID)", b"OK FETCH"), [5, 6, 7])
        tap.eq(c.uids(b"UID FETCH 1:* (UID) (PARTIAL 2:4)", b"OK FETCH"),
               [2, 3, 4])
        c.ok(b"UID FETCH 1:* (UID) (PARTIAL 2:5)", b"NO [MESSAGELIMIT 3]")


def test_store(s):
    """STORE; the code stands alone where another is in the answer"""
    with fresh(s) as c:
        c.ok(b"STORE 1:* +FLAGS.SILENT (\\Flagged)", b"OK [MESSAGELIMIT 3 5]")
        c.ok(b"UID STORE 1:3 +FLAGS (k)", b"OK STORE")
        tap.eq(c.uids(b"UID SEARCH UIDBEFORE 4 KEYWORD k", b"OK SEARCH"),
               [1, 2, 3])
        tap.eq(c.uids(b"UID SEARCH UIDBEFORE 5 UIDAFTER 1 FLAGGED",
                      b"OK SEARCH"), [])
        lines = c.ok(b"UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
                     b"OK [MODIFIED 5:7]")
        tap.ok(any(li.startswith(b"* NO [MESSAGELIMIT 3 5] ")
                   for li in lines), lines)


def test_copy_move(s):
    """COPY is all or nothing; MOVE goes on from the highest"""
    with fresh(s) as c:
        c.ok(b"COPY 1:4 m", b"NO [MESSAGELIMIT 3]")
        tap.contains(c.ok(b"STATUS m (MESSAGES)")[0], b"(MESSAGES 0)")
        c.ok(b"UID COPY 1:3 m", b"OK [COPYUID ")
        lines = c.ok(b"MOVE 1:* m", b"OK [MESSAGELIMIT 3 5]")
        tap.ok(re.match(rb"\* OK \[COPYUID \d+ 5:7 4:6\]", lines[0]), lines)
        lines = c.ok(b"UID MOVE 1:* m", b"OK [MESSAGELIMIT 3 2]")
        c.ok(b"UID MOVE 1:* m", b"OK MOVE")
        tap.contains(c.ok(b"STATUS m (MESSAGES)")[0], b"(MESSAGES 10)")
    with fresh(s, enable=b"QRESYNC") as c:
        lines = c.ok(b"UID MOVE 1:* m", b"OK [HIGHESTMODSEQ ")
        tap.ok(any(li.startswith(b"* NO [MESSAGELIMIT 3 5] ")
                   for li in lines), lines)
        tap.contains(lines, b"* VANISHED 5:7")


def test_expunge(s):
    """UID EXPUNGE counts what it removes; EXPUNGE and CLOSE are not bound"""
    with fresh(s, 9) as c:
        c.ok(b"UID STORE 1:3 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UID STORE 6,8 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UID EXPUNGE 1:*", b"OK [MESSAGELIMIT 3 3]")
        tap.eq(c.uids(b"UID SEARCH UIDBEFORE 6"), [2, 4, 5])
        c.ok(b"UID EXPUNGE 1:*", b"OK EXPUNGE")
        c.ok(b"UID STORE 4,5 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UID STORE 7,9 +FLAGS.SILENT (\\Deleted)")
        tap.eq(len([li for li in c.ok(b"EXPUNGE", b"OK EXPUNGE")
                    if li.endswith(b" EXPUNGE")]), 4)


def test_search(s):
    """SEARCH looks at so many; SORT and THREAD refuse more"""
    with fresh(s) as c:
        tap.eq(c.uids(b"UID SEARCH ALL", b"OK [MESSAGELIMIT 3 5]"), [5, 6, 7])
        tap.eq(c.uids(b"SEARCH SEEN", b"OK [MESSAGELIMIT 3 5]"), [])
        tap.eq(c.uids(b"SEARCH 2:4 UNSEEN", b"OK SEARCH"), [2, 3, 4])
        tap.eq(c.uids(b"UID SEARCH UIDBEFORE 5 UNSEEN",
                      b"OK [MESSAGELIMIT 3 2]"), [2, 3, 4])
        tap.eq(c.uids(b"UID SEARCH NOT UIDAFTER 6",
                      b"OK [MESSAGELIMIT 3 5]"), [5, 6])
        tap.eq(c.uids(b"UID SEARCH UIDBEFORE 1", b"OK SEARCH"), [])
        tap.eq(c.uids(b"UID SEARCH UIDAFTER 4294967295", b"OK SEARCH"), [])
        c.ok(b"SEARCH RETURN (SAVE) ALL", b"OK [MESSAGELIMIT 3 5]")
        tap.eq(c.uids(b"UID SEARCH $", b"OK SEARCH"), [5, 6, 7])
        lines = c.ok(b"SEARCH RETURN (UPDATE COUNT) ALL", b"OK [MESSAGELIMIT")
        tap.contains(lines, b'* ESEARCH (TAG "t") COUNT 3')
        tap.ok(lines[-1].startswith(b'* NO [NOUPDATE "t"]'), lines)
        c.ok(b"SORT (DATE) UTF-8 ALL", b"NO [MESSAGELIMIT 3]")
        c.ok(b"THREAD REFERENCES UTF-8 ALL", b"NO [MESSAGELIMIT 3]")
        tap.eq(c.uids(b"UID SORT (SIZE) UTF-8 UIDAFTER 4 UID 1:6",
                      b"OK SORT"), [5, 6])
        c.ok(b"THREAD ORDEREDSUBJECT UTF-8 UIDBEFORE 4", b"OK THREAD")
        for bad in (b"UIDAFTER", b"UIDAFTER 0", b"UIDBEFORE 1:2",
                    b"UIDBEFORE *", b"UIDAFTER 4294967296"):
            c.ok(b"SEARCH " + bad, b"BAD")


def test_append(s):
    """several messages in one APPEND"""
    with fresh(s, 1) as c:
        one = b" {%d+}\r\n%s" % (len(MESSAGE), MESSAGE)
        c.ok(b"APPEND l" + 4 * one, b"NO [MESSAGELIMIT 3]")
        tap.contains(c.ok(b"STATUS l (MESSAGES)")[0], b"(MESSAGES 1)")
        c.ok(b"APPEND l" + 3 * one, b"OK [APPENDUID ")


with Server({"limits": {"errors": 1000, "messages_per_command": 3}}) as server:
    tap.run(globals(), server)
tap.done()
