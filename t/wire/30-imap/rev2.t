#!/usr/bin/python3
"""IMAP4rev2 (RFC 9051) beside IMAP4rev1 (RFC 3501): what is different once it
is enabled, and what is there for both."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

NAME = "Entw\u00fcrfe".encode()
NAME7 = b"Entw&APw-rfe"
MESSAGE = (b"From: a@elsewhere.test\r\nSubject: m\r\nMIME-Version: 1.0\r\n"
           b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
           b"--b\r\n\r\ntext\r\n--b\r\nContent-Type: image/png\r\n"
           b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n")


class Box(Line):
    def ok(self, command):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(b"OK"), "%r: %r" % (command, self.rest))
        if self.rev2:
            for line in lines:
                tap.ok(not re.search(rb"\\Recent| RECENT|\[UNSEEN|^\* SEARCH",
                                     line), line)
        return lines

    def refused(self, command, how):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def append(self, name):
        self.ok(b"APPEND %s {%d+}\r\n%s" % (name, len(MESSAGE), MESSAGE))


def login(s, rev2):
    c = Box(s.ports["imap"])
    c.rev2 = False
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if rev2:
        tap.eq(c.ok(b"ENABLE IMAP4rev2"), [b"* ENABLED IMAP4rev2"])
    c.rev2 = rev2
    return c


def test_capability(s):
    """both revisions, before and after login; ENABLE once"""
    with Line(s.ports["imap"]) as c:
        tap.contains(c.line(), b"[CAPABILITY IMAP4rev1 IMAP4rev2 ")
    with login(s, False) as c:
        words = c.ok(b"CAPABILITY")[0].split()
        # What IMAP4rev2 has within it and IMAP4rev1 has as extensions.
        for word in (b"IMAP4rev2", b"IMAP4rev1", b"NAMESPACE", b"UNSELECT",
                     b"UIDPLUS", b"ESEARCH", b"SEARCHRES", b"ENABLE", b"IDLE",
                     b"SASL-IR", b"LIST-EXTENDED", b"LIST-STATUS", b"MOVE",
                     b"LITERAL+", b"BINARY", b"SPECIAL-USE", b"STATUS=SIZE"):
            tap.contains(words, word)
        tap.eq(c.ok(b"ENABLE imap4REV2 FROB"), [b"* ENABLED IMAP4rev2"])
        tap.eq(c.ok(b"ENABLE IMAP4rev2"), [b"* ENABLED"])


def test_select(s):
    """SELECT: LIST and CLOSED; no RECENT, no UNSEEN"""
    with login(s, False) as old, login(s, True) as new:
        old.append(b"INBOX")
        lines = b"\n".join(old.ok(b"EXAMINE inbox"))
        for word in (b" RECENT", b"[UNSEEN ", b"[UIDNEXT "):
            tap.contains(lines, word)
        tap.ok(b"* LIST" not in lines)
        tap.ok(b"[CLOSED]" not in b"\n".join(old.ok(b"EXAMINE INBOX")))
        tap.contains(b"".join(old.ok(b"FETCH * FLAGS")), b"\\Recent")
        lines = new.ok(b"SELECT INBOX")
        tap.contains(lines, b'* LIST () "/" INBOX')
        lines = new.ok(b"SELECT inbox")
        tap.ok(lines[0].startswith(b"* OK [CLOSED] "), lines)
        tap.contains(lines, b'* LIST () "/" INBOX ("OLDNAME" (inbox))')
        for want in (rb"\* \d+ EXISTS", rb"\* FLAGS \(",
                     rb"\* OK \[PERMANENTFLAGS \(", rb"\* OK \[UIDNEXT \d+\]",
                     rb"\* OK \[UIDVALIDITY \d+\]"):
            tap.ok(any(re.match(want, li) for li in lines), want)
        new.refused(b"SELECT nowhere", b"NO [NONEXISTENT]")
        new.refused(b"FETCH 1 FLAGS", b"BAD")


def test_recent(s):
    """arrivals: EXISTS without RECENT, flags without \\Recent"""
    with login(s, False) as old, login(s, True) as new:
        new.ok(b"SELECT INBOX")
        old.append(b"INBOX")
        lines = new.ok(b"NOOP")
        tap.ok(len(lines) == 1 and lines[0].endswith(b" EXISTS"), lines)
        new.ok(b"FETCH * FLAGS")
        new.ok(b"STORE * +FLAGS (\\Seen)")
        old.ok(b"SELECT INBOX")
        old.ok(b"STORE * +FLAGS (\\Flagged)")
        tap.contains(b"".join(new.ok(b"NOOP")), b"\\Flagged")


def test_search(s):
    """SEARCH is answered with ESEARCH, SORT with SORT"""
    with login(s, False) as old, login(s, True) as new:
        old.append(b"INBOX")
        for c in (old, new):
            c.ok(b"EXAMINE INBOX")
        n = int(old.ok(b"SEARCH *")[0].split()[2])
        uid = int(old.ok(b"UID SEARCH *")[0].split()[2])
        tap.eq(new.ok(b"SEARCH *"), [b'* ESEARCH (TAG "t") ALL %d' % n])
        tap.eq(new.ok(b"UID SEARCH UID %d" % uid),
               [b'* ESEARCH (TAG "t") UID ALL %d' % uid])
        tap.eq(new.ok(b"SEARCH SMALLER 1"), [b'* ESEARCH (TAG "t")'])
        tap.eq(new.ok(b"SEARCH RETURN (COUNT) *"),
               [b'* ESEARCH (TAG "t") COUNT 1'])
        tap.eq(new.ok(b"SEARCH RETURN (SAVE) *"), [])
        tap.eq(new.ok(b"SEARCH $"), [b'* ESEARCH (TAG "t") ALL %d' % n])
        tap.eq(new.ok(b"SORT (DATE) UTF-8 *"), [b"* SORT %d" % n])
        # UTF-8 without a charset, in a quoted string.
        tap.eq(new.ok('SEARCH SUBJECT "\u00fc"'.encode()),
               [b'* ESEARCH (TAG "t")'])


def test_names(s):
    """names in UTF-8 and in modified UTF-7 are the same mailboxes"""
    with login(s, False) as old, login(s, True) as new:
        new.ok(b'CREATE "%s"' % NAME)
        tap.eq([li for li in old.ok(b'LIST "" Entw*')],
               [b'* LIST (\\HasNoChildren) "/" %s' % NAME7])
        tap.eq(new.ok(b'LIST "" "Entw%%"'),
               [b'* LIST (\\HasNoChildren) "/" "%s"' % NAME])
        tap.eq(new.ok(b'STATUS "%s" (MESSAGES)' % NAME),
               [b'* STATUS "%s" (MESSAGES 0)' % NAME])
        tap.contains(new.ok(b'SELECT {%d+}\r\n%s' % (len(NAME), NAME)),
                     b'* LIST () "/" "%s"' % NAME)
        # The ampersand is one like others.
        tap.eq(new.ok(b"CREATE q&a/"), [
            b'* LIST () "/" q&a ("OLDNAME" (q&a/))'])
        tap.eq(old.ok(b'LIST "" q*'),
               [b'* LIST (\\HasNoChildren) "/" q&-a'])
        tap.eq(new.ok(b'RENAME q&a "\xc3\xa4"'), [
            b'* LIST () "/" "\xc3\xa4" ("OLDNAME" (q&a))'])
        tap.eq(old.ok(b"RENAME &AOQ- plain"), [])
        for name in (b'"%s"' % NAME, b"plain"):
            new.ok(b"DELETE " + name)
        new.refused(b'CREATE "\xff"', b"NO [CANNOT]")


def test_mailboxes(s):
    """STATUS, LIST, DELETE and MOVE as RFC 9051 has them"""
    with login(s, True) as c:
        c.ok(b"CREATE a/b")
        for _ in range(2):
            c.append(b"a/b")
        c.refused(b"DELETE a", b"NO [HASCHILDREN]")
        c.refused(b"DELETE INBOX", b"NO [CANNOT]")
        c.ok(b"SELECT a/b")
        c.ok(b"STORE 1 +FLAGS (\\Deleted)")
        tap.eq(c.ok(b"STATUS a/b (MESSAGES UNSEEN DELETED SIZE)"),
               [b"* STATUS a/b (MESSAGES 2 UNSEEN 2 DELETED 1 SIZE %d)"
                % (2 * len(MESSAGE))])
        tap.ok(b"\\HasChildren" in c.ok(b'LIST "" a')[0])
        tap.contains(c.ok(b'LIST "" Sent')[0], b"\\Sent")
        c.ok(b"SUBSCRIBE gone")
        tap.contains(c.ok(b'LIST (SUBSCRIBED) "" gone')[0], b"\\NonExistent")
        c.ok(b"UNSUBSCRIBE gone")
        lines = c.ok(b"MOVE 2 a")
        tap.ok(re.match(rb"\* OK \[COPYUID \d+ 2 1\] ", lines[0]), lines)
        tap.contains(lines, b"* 2 EXPUNGE")
        c.ok(b"UID EXPUNGE 1")
        c.ok(b"UNSELECT")
        c.ok(b"DELETE a/b")
        c.ok(b"DELETE a")
        tap.contains(c.ok(b"NAMESPACE")[0], b'(("" "/"))')


def test_binary(s):
    """FETCH of decoded parts"""
    with login(s, True) as c:
        c.append(b"INBOX")
        c.ok(b"SELECT INBOX")
        tap.contains(c.ok(b"FETCH * BINARY.SIZE[2]")[0], b"BINARY.SIZE[2] 3")
        got = c.ok(b"FETCH * BINARY.PEEK[2]")[0]
        tap.ok(re.search(rb"BINARY\[2\] ~?\{3\}\r\n\x00\x01\x02", got), got)
        c.refused(b"FETCH 1 BINARY[HEADER]", b"BAD")


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
