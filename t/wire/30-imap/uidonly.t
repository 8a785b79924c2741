#!/usr/bin/python3
"""UIDONLY (RFC 9586): no message numbers in either direction."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"


class Box(Line):
    def ok(self, command):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(b"OK"), "%r: %r" % (command, self.rest))
        for line in lines:
            tap.ok(not self.uid_only or not re.match(
                rb"\* (\d+ (FETCH|EXPUNGE)|OK \[UNSEEN)", line), line)
        return lines

    def refused(self, command):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(b"BAD [UIDREQUIRED] "),
               "%r: %r" % (command, rest))


def login(s, uid_only):
    c = Box(s.ports["imap"])
    c.uid_only = uid_only
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if uid_only:
        tap.eq(c.ok(b"ENABLE UIDONLY"), [b"* ENABLED UIDONLY"])
    return c


def fresh(s, name=b"u"):
    """UIDs 3, 5, 6, 7 in a new mailbox."""
    with login(s, False) as c:
        c.imap(b"x", b"DELETE " + name)
        c.ok(b"CREATE " + name)
        for _ in range(7):
            c.ok(b"APPEND %s {%d+}\r\n%s" % (name, len(MESSAGE), MESSAGE))
        c.ok(b"SELECT " + name)
        c.ok(b"STORE 1,2,4 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"EXPUNGE")


def test_capability(s):
    """it is announced"""
    with login(s, False) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"UIDONLY")


def test_refused(s):
    """commands with numbers are BAD [UIDREQUIRED]"""
    fresh(s)
    with login(s, True) as c:
        c.ok(b"SELECT u")
        for command in (
                b"FETCH 1 FLAGS", b"FETCH * FLAGS", b"SEARCH ALL",
                b"SEARCH RETURN (COUNT) ALL", b"SORT (DATE) UTF-8 ALL",
                b"THREAD REFERENCES UTF-8 ALL", b"STORE 1 FLAGS ()",
                b"COPY 1 INBOX", b"MOVE 1 INBOX", b"UID SEARCH 1:2",
                b"UID SEARCH UNSEEN OR SEEN (NOT 2)", b"UID SEARCH *",
                b"UID SORT (DATE) UTF-8 1:*", b"ESEARCH IN (personal) 1",
                b"UID SEARCH RETURN (UPDATE) 1"):
            c.refused(command)
        c.ok(b"ENABLE QRESYNC")
        c.refused(b"SELECT u (QRESYNC (1 1 1:9 (1 1)))")
        c.ok(b"SELECT u (QRESYNC (1 1 1:9))")


def test_answers(s):
    """UIDFETCH and VANISHED, to this session's changes and to others'"""
    fresh(s)
    with login(s, True) as c, login(s, False) as other:
        tap.contains(c.ok(b"SELECT u"), b"* 4 EXISTS")
        other.ok(b"SELECT u")
        tap.eq(c.ok(b"UID FETCH 1:5 RFC822.SIZE"),
               [b"* %d UIDFETCH (RFC822.SIZE %d)" % (n, len(MESSAGE))
                for n in (3, 5)])
        tap.eq(c.ok(b"UID FETCH * (UID RFC822.SIZE)"),
               [b"* 7 UIDFETCH (UID 7 RFC822.SIZE %d)" % len(MESSAGE)])
        tap.eq(c.ok(b"UID SEARCH ALL"), [b"* SEARCH 3 5 6 7"])
        tap.eq(c.ok(b"UID SEARCH RETURN (SAVE ALL) UID 4:6"),
               [b'* ESEARCH (TAG "t") UID ALL 5:6'])
        tap.eq(len(c.ok(b"UID FETCH $ FLAGS")), 2)
        lines = c.ok(b"UID STORE 5 +FLAGS (\\Seen)")
        tap.ok(re.match(rb"\* 5 UIDFETCH \(FLAGS \([^)]*\\Seen[^)]*\)\)$",
                        lines[0]), lines)
        other.ok(b"STORE 1 +FLAGS.SILENT (\\Flagged \\Deleted)")
        lines = c.ok(b"NOOP")
        tap.ok(re.match(rb"\* 3 UIDFETCH \(FLAGS \(.*\\Flagged.*\)\)$",
                        lines[0]), lines)
        other.ok(b"EXPUNGE")
        tap.eq(c.ok(b"NOOP"), [b"* VANISHED 3"])
        c.ok(b"UID STORE 6:7 +FLAGS.SILENT (\\Deleted)")
        tap.eq(c.ok(b"UID EXPUNGE 6"), [b"* VANISHED 6"])
        tap.eq(c.ok(b"EXPUNGE"), [b"* VANISHED 7"])
        tap.contains(c.ok(b"UID MOVE 5 INBOX"), b"* VANISHED 5")
        c.ok(b"SELECT INBOX")
        tap.ok(c.ok(b"UID FETCH 1:* (BODY.PEEK[])")[0].startswith(
            b"* 1 UIDFETCH (BODY[] {"))


def test_contexts(s):
    """a search that answers in numbers ends with them"""
    fresh(s)
    with login(s, False) as c:
        c.ok(b"SELECT u")
        c.imap(b"n", b"SEARCH RETURN (UPDATE) UNSEEN")
        c.imap(b"u", b"UID SEARCH RETURN (UPDATE) UNSEEN")
        c.ok(b"ENABLE UIDONLY")
        c.uid_only = True
        lines = c.ok(b"UID STORE 6 +FLAGS (\\Seen)")
        tap.eq([li for li in lines if b"ESEARCH" in li],
               [b'* ESEARCH (TAG "u") UID REMOVEFROM (0 6)'])


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
