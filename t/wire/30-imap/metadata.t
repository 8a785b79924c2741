#!/usr/bin/python3
"""IMAP annotations: METADATA (RFC 5464), LIST-METADATA (RFC 9590)."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line


class Box(Line):
    def ok(self, command):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(b"OK"), "%r: %r" % (command, self.rest))
        return lines

    def refused(self, command, how):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))


def login(s, name=b"bob"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (name, PASSWORD.encode()))
    return c


def test_capability(s):
    """it is offered to who is logged in"""
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"METADATA")


def test_set_and_get(s):
    """values come back as they are: text, long, of any bytes, none"""
    with login(s) as c:
        long = b"x" * 3000
        c.ok(b'SETMETADATA INBOX (/private/comment "Mine \\"a\\"" '
             b'/shared/comment {5+}\r\n\xc3\xa4\r\n\x01 '
             b'/private/vendor/a/nul ~{3+}\r\na\0b '
             b'/Private/Vendor/A/Long {%d+}\r\n%s)' % (len(long), long))
        for name, want in (
                (b"/private/comment", b'"Mine \\"a\\""'),
                (b"/SHARED/comment", b"{5}\r\n\xc3\xa4\r\n\x01"),
                (b"/private/vendor/a/nul", b"~{3}\r\na\0b"),
                (b"/private/vendor/a/long", b"{3000}\r\n" + long),
                (b"/private/nothing", b"NIL")):
            tap.eq(c.ok(b"GETMETADATA inbox " + name),
                   [b"* METADATA INBOX (%s %s)" % (name.lower(), want)])
        c.ok(b'SETMETADATA INBOX (/private/comment "" /shared/comment NIL)')
        tap.eq(c.ok(b"GETMETADATA INBOX (/private/comment /shared/comment)"),
               [b'* METADATA INBOX (/private/comment "" '
                b'/shared/comment NIL)'])


def test_names(s):
    """names that are no atoms are told in quotes"""
    with login(s) as c:
        c.ok(b'SETMETADATA INBOX ("/private/a) \\"b\\\\" "v")')
        for name in (b'"/private/a) \\"b\\\\"', b'("/private/a) \\"b\\\\")'):
            tap.eq(c.ok(b"GETMETADATA INBOX " + name),
                   [b'* METADATA INBOX ("/private/a) \\"b\\\\" "v")'])
        c.ok(b'SETMETADATA INBOX ("/private/a) \\"b\\\\" NIL)')
        tap.eq(c.ok(b'GETMETADATA INBOX ("/private/a b")'),
               [b'* METADATA INBOX ("/private/a b" NIL)'])


def test_depth(s):
    """DEPTH: the entry, the level below, all levels"""
    with login(s) as c:
        c.ok(b"CREATE deep")
        c.ok(b'SETMETADATA deep (/private/a "1" /private/a/b "2" '
             b'/private/a/b/c "3" /private/ab "4")')
        for depth, want in ((b"0", b'/private/a "1"'),
                            (b"1", b'/private/a "1" /private/a/b "2"'),
                            (b"infinity", b'/private/a "1" /private/a/b "2" '
                             b'/private/a/b/c "3"')):
            for form in (b"(DEPTH %s) deep", b"deep (DEPTH %s)"):
                tap.eq(c.ok(b"GETMETADATA " + form % depth + b" /private/a"),
                       [b"* METADATA deep (%s)" % want])
        tap.eq(c.ok(b"GETMETADATA (DEPTH 1) deep /private/none"), [])
        c.refused(b"GETMETADATA (DEPTH 2) deep /private/a", b"BAD")
        c.ok(b"DELETE deep")


def test_maxsize(s):
    """MAXSIZE leaves out what is longer, and says how long"""
    with login(s) as c:
        c.ok(b'SETMETADATA INBOX (/private/short "abc" '
             b'/private/long "abcdefghij")')
        tap.eq(c.ok(b"GETMETADATA (MAXSIZE 5) INBOX "
                    b"(/private/short /private/long)"),
               [b'* METADATA INBOX (/private/short "abc")'])
        tap.contains(c.rest, b"[METADATA LONGENTRIES 10]")


def test_limits(s):
    """too long, too many, not a name, not a mailbox"""
    with login(s) as c:
        c.refused(b"SETMETADATA INBOX (/private/big {65537+}\r\n%s)" %
                  (b"x" * 65537), b"NO [METADATA MAXSIZE 65536]")
        c.ok(b"SETMETADATA INBOX (/private/big {65536+}\r\n%s)" %
             (b"x" * 65536))
        c.ok(b"SETMETADATA INBOX (/private/big NIL)")
        c.ok(b"CREATE many")
        c.ok(b"SETMETADATA many (%s)" % b" ".join(
            b'/private/n%d "x"' % i for i in range(100)))
        c.refused(b'SETMETADATA many (/private/n0 "y" /private/one "x")',
                  b"NO [METADATA TOOMANY]")
        tap.eq(c.ok(b"GETMETADATA many /private/n0"),
               [b'* METADATA many (/private/n0 "x")'])
        c.ok(b'SETMETADATA many (/shared/one "x")')
        c.refused(b"SETMETADATA many (%s)" % b" ".join(
            b"/private/n%d NIL" % i for i in range(101)),
            b"NO [METADATA TOOMANY]")
        for bad in (b"/other/x", b"/private", b"/private/", b"/private//a",
                    b'"/private/a*"', b"/private/a/", b"comment",
                    b"/private/" + b"a" * 300):
            with login(s) as d:
                d.refused(b'SETMETADATA INBOX (%s "x")' % bad, b"BAD")
                d.refused(b"GETMETADATA INBOX " + bad, b"BAD")
        for bad in (b"", b"INBOX", b"INBOX ()", b"INBOX (/private/a)",
                    b'INBOX /private/a "x"', b'INBOX (/private/a "x") x'):
            c.refused(b"SETMETADATA " + bad, b"BAD")
        c.refused(b'SETMETADATA nothing (/private/a "x")',
                  b"NO [NONEXISTENT]")
        c.refused(b"GETMETADATA nothing /private/a", b"NO [NONEXISTENT]")
        c.ok(b"DELETE many")


def test_server(s):
    """the server: private ones are the account's, shared ones only read"""
    with login(s) as c, login(s, b"alice") as a:
        c.ok(b'SETMETADATA "" (/private/vendor/x/setting "7")')
        tap.eq(c.ok(b'GETMETADATA "" /private/vendor/x/setting'),
               [b'* METADATA "" (/private/vendor/x/setting "7")'])
        tap.eq(a.ok(b'GETMETADATA "" /private/vendor/x/setting'),
               [b'* METADATA "" (/private/vendor/x/setting NIL)'])
        c.refused(b'SETMETADATA "" (/shared/comment "x")', b"NO [NOPERM]")


def test_rename_and_delete(s):
    """annotations follow a mailbox, and end with it"""
    with login(s) as c:
        c.ok(b"CREATE old")
        c.ok(b'SETMETADATA old (/private/comment "c")')
        c.ok(b"RENAME old new")
        tap.eq(c.ok(b"GETMETADATA new /private/comment"),
               [b'* METADATA new (/private/comment "c")'])
        c.ok(b"DELETE new")
        c.ok(b"CREATE new")
        tap.eq(c.ok(b"GETMETADATA new /private/comment"),
               [b"* METADATA new (/private/comment NIL)"])
        c.ok(b"DELETE new")


def test_list(s):
    """LIST gives annotations along with each mailbox"""
    with login(s) as c:
        c.ok(b"CREATE tree/leaf")
        c.ok(b'SETMETADATA tree/leaf (/private/comment "c")')
        tap.eq(c.ok(b'LIST "" tree* RETURN (METADATA (/private/comment))'),
               [b'* LIST (\\HasChildren) "/" tree',
                b"* METADATA tree (/private/comment NIL)",
                b'* LIST (\\HasNoChildren) "/" tree/leaf',
                b'* METADATA tree/leaf (/private/comment "c")'])
        c.ok(b"DELETE tree/leaf")
        c.ok(b"DELETE tree")


def test_special_use(s):
    """/private/specialuse is what a mailbox is for (RFC 6154 section 4)"""
    with login(s) as c:
        tap.eq(c.ok(b"GETMETADATA Junk /private/specialuse"),
               [b'* METADATA Junk (/private/specialuse "\\\\Junk")'])
        c.ok(b"CREATE Out")
        tap.eq(c.ok(b"GETMETADATA Out /private/specialuse"),
               [b"* METADATA Out (/private/specialuse NIL)"])
        c.ok(b'SETMETADATA Out (/private/specialuse "\\\\Sent" '
             b'/private/comment "c")')
        tap.eq(c.ok(b'LIST (SPECIAL-USE) "" Out'),
               [b'* LIST (\\HasNoChildren \\Sent) "/" Out'])
        tap.eq(c.ok(b"GETMETADATA (DEPTH infinity) Out "
                    b"(/private/specialuse /private/comment)"),
               [b'* METADATA Out (/private/specialuse "\\\\Sent" '
                b'/private/comment "c")'])
        for bad in (b'"\\\\Important"', b'"Sent"', b'"\\\\Sent \\\\Junk"'):
            c.refused(b"SETMETADATA Out (/private/specialuse %s)" % bad,
                      b"NO [USEATTR]")
        c.refused(b'SETMETADATA "" (/private/specialuse "\\\\Sent")',
                  b"NO [NOPERM]")
        c.ok(b"SETMETADATA Out (/private/specialuse NIL)")
        tap.eq(c.ok(b'LIST (SPECIAL-USE) "" Out'), [])
        c.ok(b"SETACL Out alice@example.test lrswa")
        with login(s, b"alice") as a:
            name = b'"Other Users/bob@example.test/Out"'
            a.refused(b'SETMETADATA %s (/private/specialuse "\\\\Sent")' % name,
                      b"NO [NOPERM]")
        c.ok(b"DELETE Out")


def test_restart(s):
    """they are there after a restart"""
    with login(s) as c:
        c.ok(b'SETMETADATA INBOX (/private/kept "yes")')
    s.stop()
    s.start()
    with login(s) as c:
        tap.eq(c.ok(b"GETMETADATA INBOX /private/kept"),
               [b'* METADATA INBOX (/private/kept "yes")'])


with Server() as server:
    tap.run(globals(), server)
tap.done()
