#!/usr/bin/python3
"""IMAP changes: STORE, APPEND, COPY, MOVE, EXPUNGE, and what other sessions
are told about them."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: %d\r\n\r\nbody\r\n"


class Box(Line):
    def ok(self, command, want=b"OK"):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(want), "%r: %r" % (command, rest))
        self.rest = rest
        return lines

    def flags(self, number):
        line = self.ok(b"FETCH %d FLAGS" % number)[-1]
        return set(re.search(rb"FLAGS \(([^)]*)\)", line).group(1).split()
                   ) - {b"\\Recent"}

    def append(self, mailbox, message, flags=b""):
        flags += b" " * bool(flags)
        self.ok(b"APPEND %s %s{%d+}\r\n%s" % (mailbox, flags, len(message),
                                              message))
        return self.rest

    def count(self, mailbox):
        line = self.ok(b"STATUS %s (MESSAGES)" % mailbox)[0]
        return int(re.search(rb"MESSAGES (\d+)", line).group(1))

    def uids(self, what=b"ALL"):
        line = self.ok(b"UID SEARCH " + what)[0]
        return [int(n) for n in line.split()[2:]]


def login(s, select=b"w"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if select:
        c.ok(b"SELECT " + select)
    return c


def fresh(s, n):
    """A session with n messages in mailbox w."""
    c = login(s, None)
    c.imap(b"x", b"DELETE w")
    c.ok(b"CREATE w")
    for i in range(n):
        c.append(b"w", MESSAGE % i)
    c.ok(b"SELECT w")
    return c


def test_flags(s):
    """STORE sets, adds, removes; keywords; SILENT says nothing"""
    with fresh(s, 2) as c:
        c.ok(b"STORE 1 FLAGS (\\Seen \\Flagged)")
        tap.eq(c.flags(1), {b"\\Seen", b"\\Flagged"})
        lines = c.ok(b"STORE 1 +FLAGS (\\Answered $Forwarded)")
        tap.contains(b"".join(lines), b"$Forwarded")
        lines = c.ok(b"STORE 1 -FLAGS (\\Seen)")
        tap.eq(c.flags(1), {b"\\Flagged", b"\\Answered", b"$Forwarded"})
        tap.eq([li for li in c.ok(b"STORE 1:2 +FLAGS.SILENT (\\Draft)")
                if b"FETCH" in li], [])
        tap.eq(c.flags(2), {b"\\Draft"})
        c.ok(b"STORE 1:2 FLAGS ()")
        tap.eq(c.flags(1) | c.flags(2), set())
        lines = c.ok(b"UID STORE 1 +FLAGS \\Seen")
        tap.contains(b"".join(lines), b"UID 1")
        c.ok(b"STORE 1 +FLAGS (\\Recent)", b"")
        c.ok(b"STORE 1 FLAGS (\\Frob)", b"")


def test_many_words(s):
    """keywords without brackets cost no more than they take"""
    def peak():
        return max(s.memory(p) for p in s.workers("mailbox"))
    with fresh(s, 1) as c:
        before = peak()
        rest = c.imap(b"t", b"STORE 1 FLAGS" + b" a" * 15900)[1]
        tap.eq(rest, b"BAD Too many keywords")
        tap.ok(peak() - before < 16 << 10, (before, peak()))
        c.ok(b"STORE 1 FLAGS" + b" a" * 10)


def test_append(s):
    """APPEND: flags, date, UIDPLUS, a mailbox that is not there"""
    with fresh(s, 0) as c:
        rest = c.append(b"w", MESSAGE % 1, b"(\\Seen kw)")
        m = re.match(rb"OK \[APPENDUID (\d+) (\d+)\]", rest)
        tap.ok(m, rest)
        tap.eq(c.flags(1), {b"\\Seen", b"kw"})
        rest = c.imap(b"t", b"APPEND nothing {1+}\r\nx")[1]
        tap.contains(rest, b"[TRYCREATE]")
        c.send(b"a APPEND w {%d}\r\n" % len(MESSAGE))
        tap.ok(c.line().startswith(b"+"))
        c.send(MESSAGE + b"\r\n")
        tap.ok(c.until(b"a")[1].startswith(b"OK"))
        tap.eq(c.count(b"w"), 2)


def test_append_big(s):
    """APPEND of 25 MB in bounded memory, the same bytes back"""
    import os
    pid = s.worker("mailbox")
    with fresh(s, 1) as c:
        before = s.memory(pid)
        message = b"Subject: big\r\n\r\n" + (
            os.urandom(30).hex().encode() + b"\r\n") * 400_000
        c.append(b"w", message)
        c.ok(b"FETCH 2 RFC822.SIZE")
        box = s.imap("bob", "w")
        got = box.fetch("2", "(BODY.PEEK[])")[1][0][1]
        box.logout()
        tap.ok(got == message, "bytes differ")
        grown = s.memory(pid) - before
        tap.ok(grown < 8192, "peak grew by %d KiB" % grown)


def test_append_line_ends(s):
    """APPEND keeps the bytes it is given, 8-bit too"""
    with fresh(s, 0) as c:
        message = b"Subject: x\r\n\r\n\xff\xfe.\r\n.\r\n..\r\n"
        c.append(b"w", message)
        line = c.ok(b"FETCH 1 BODY.PEEK[]")[0]
        tap.contains(line, b"{%d}\r\n%s" % (len(message), message))


def test_expunge(s):
    """EXPUNGE numbers go down as they are told"""
    with fresh(s, 5) as c:
        c.ok(b"STORE 2,4:5 +FLAGS.SILENT (\\Deleted)")
        gone = [int(li.split()[1]) for li in c.ok(b"EXPUNGE")
                if b"EXPUNGE" in li]
        left = [0, 1, 2, 3, 4]
        for n in gone:
            left.pop(n - 1)
        tap.eq(left, [0, 2])
        tap.eq(c.uids(), [1, 3])


def test_uid_expunge(s):
    """UID EXPUNGE removes only what it is told"""
    with fresh(s, 4) as c:
        c.ok(b"STORE 1:4 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UID EXPUNGE 2:3")
        tap.eq(c.uids(), [1, 4])


def test_close(s):
    """CLOSE removes silently, UNSELECT and EXAMINE do not"""
    with fresh(s, 3) as c:
        c.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"UNSELECT")
        tap.eq(c.count(b"w"), 3)
        c.ok(b"EXAMINE w")
        c.ok(b"CLOSE")
        tap.eq(c.count(b"w"), 3)
        c.ok(b"SELECT w")
        tap.eq([li for li in c.ok(b"CLOSE") if b"EXPUNGE" in li], [])
        tap.eq(c.count(b"w"), 2)


def test_copy(s):
    """COPY keeps flags and date, and tells the UIDs"""
    with fresh(s, 3) as c:
        c.imap(b"x", b"DELETE w2")
        c.ok(b"CREATE w2")
        c.ok(b"STORE 2 FLAGS (\\Flagged kw)")
        date = c.ok(b"FETCH 2 INTERNALDATE")[-1].split(b'"')[1]
        c.ok(b"COPY 2:3 w2")
        m = re.match(rb"OK \[COPYUID \d+ 2:3 1:2\]", c.rest)
        tap.ok(m, c.rest)
        tap.eq(c.count(b"w"), 3)
        rest = c.imap(b"t", b"COPY 1 nothing")[1]
        tap.contains(rest, b"[TRYCREATE]")
        c.ok(b"SELECT w2")
        tap.eq(c.flags(1), {b"\\Flagged", b"kw"})
        tap.eq(c.ok(b"FETCH 1 INTERNALDATE")[-1].split(b'"')[1], date)


def test_move(s):
    """MOVE: COPYUID, EXPUNGE, both mailboxes right"""
    with fresh(s, 3) as c:
        c.imap(b"x", b"DELETE w3")
        c.ok(b"CREATE w3")
        lines = c.ok(b"UID MOVE 1:2 w3")
        text = b"\n".join(lines)
        tap.ok(re.search(rb"COPYUID \d+ 1:2 1:2", text + c.rest), text)
        tap.eq(text.count(b"EXPUNGE"), 2)
        tap.eq((c.count(b"w"), c.count(b"w3")), (1, 2))
        c.ok(b"MOVE 1 w3")
        tap.eq((c.count(b"w"), c.count(b"w3")), (0, 3))


def test_other_session_told(s):
    """another session learns of new mail, flags and removals"""
    with fresh(s, 3) as one, login(s) as two:
        one.append(b"w", MESSAGE % 9)
        one.ok(b"STORE 1 +FLAGS (\\Flagged)")
        text = b"\n".join(two.ok(b"NOOP"))
        tap.contains(text, b"* 4 EXISTS")
        tap.ok(re.search(rb"\* 1 FETCH \(.*\\Flagged", text), text)
        one.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
        one.ok(b"EXPUNGE")
        tap.contains(b"\n".join(two.ok(b"NOOP")), b"* 2 EXPUNGE")
        tap.eq(two.uids(), [1, 3, 4])


def test_no_expunge_in_fetch(s):
    """numbers do not move during FETCH, STORE and SEARCH"""
    with fresh(s, 3) as one, login(s) as two:
        one.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        one.ok(b"EXPUNGE")
        for command in (b"FETCH 3 UID", b"SEARCH ALL",
                        b"STORE 3 +FLAGS (\\Seen)"):
            lines, rest = two.imap(b"t", command)
            tap.ok(not any(b"EXPUNGE" in li for li in lines), command)
        line = [li for li in two.ok(b"FETCH 3 UID") if b"FETCH" in li][0]
        tap.contains(line, b"UID 3")
        tap.contains(b"\n".join(two.ok(b"NOOP")), b"* 1 EXPUNGE")


def test_persist(s):
    """all of it is there after a restart"""
    with fresh(s, 2) as c:
        c.ok(b"STORE 2 +FLAGS (\\Answered word)")
    s.restart()
    with login(s) as c:
        tap.eq(c.flags(2), {b"\\Answered", b"word"})
        tap.eq(c.uids(), [1, 2])


def test_many(s):
    """2,000 messages: ranges, scattered STORE, EXPUNGE"""
    with fresh(s, 0) as c:
        m = MESSAGE % 1
        one = b"a APPEND w {%d+}\r\n%s\r\n" % (len(m), m)
        for _ in range(20):
            c.send(one * 100)
            for _ in range(100):
                c.until(b"a")
        c.ok(b"NOOP")
        tap.eq(len(c.uids()), 2000)
        odd = b",".join(b"%d" % i for i in range(1, 2001, 2))
        c.ok(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % odd)
        gone = [li for li in c.ok(b"EXPUNGE") if b"EXPUNGE" in li]
        tap.eq(len(gone), 1000)
        tap.eq(c.uids(), list(range(2, 2001, 2)))
        lines = [li for li in c.ok(b"FETCH 1:* (UID FLAGS)") if b"FETCH" in li]
        tap.eq(len(lines), 1000)


with Server() as server:
    tap.run(globals(), server)
tap.done()
