#!/usr/bin/python3
"""IMAP mailboxes: names, LIST patterns, SELECT, STATUS, special use."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def no(self, command):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(b"NO"), "%r: %r" % (command, rest))
        return rest

    def names(self, command):
        """Names that LIST or LSUB shows."""
        found = []
        for line in self.ok(command):
            m = re.match(rb'\* (?:LIST|LSUB) \([^)]*\) "/" (.*)$', line)
            found.append(m.group(1).strip(b'"').decode())
        return found


def login(s, name="bob"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (name.encode(), PASSWORD.encode()))
    return c


def test_new_account(s):
    """a new account has its mailboxes, subscribed, with their use"""
    with login(s) as c:
        lines = b"\n".join(c.ok(b'LIST "" *'))
        for use in (b"Drafts", b"Sent", b"Junk", b"Trash", b"Archive"):
            tap.ok(re.search(rb"\\%s[^)]*\) \"/\" \"?%s" % (use, use), lines),
                   lines)
        tap.eq(sorted(c.names(b'LSUB "" *')),
               ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"])
        tap.eq(len(c.ok(b'LIST (SPECIAL-USE) "" *')), 5)


def test_list_patterns(s):
    """% stops at a level, * does not, the reference is put in front"""
    with login(s) as c:
        for name in (b"a", b"a/b", b"a/b/c", b"ab"):
            c.ok(b"CREATE " + name)
        for pattern, want in (
                (b'"" a', ["a"]), (b'"" a%', ["a", "ab"]),
                (b'"" a*', ["a", "a/b", "a/b/c", "ab"]),
                (b'"" a/%', ["a/b"]), (b'"" %/%', ["a/b"]),
                (b'a/ *', ["a/b", "a/b/c"]), (b'"a/" %', ["a/b"]),
                (b'"" a/*c', ["a/b/c"]), (b'"" "nothing*"', []),
                (b'"" inbox', ["INBOX"]), (b'"" %b', ["ab"])):
            tap.eq(sorted(c.names(b"LIST " + pattern)), want, pattern)
        tap.eq(c.ok(b'LIST "" ""'), [b'* LIST (\\Noselect) "/" ""'])
        for name in (b"a/b/c", b"a/b", b"ab", b"a"):
            c.ok(b"DELETE " + name)


def test_create(s):
    """CREATE: parents too, a trailing slash, names that are taken or bad"""
    with login(s) as c:
        c.ok(b"CREATE x/y/z")
        tap.eq(sorted(c.names(b'LIST "" x*')), ["x", "x/y", "x/y/z"])
        c.no(b"CREATE x/y")
        c.no(b"CREATE inbox")
        c.ok(b"CREATE slash/")
        tap.eq(c.names(b'LIST "" slash'), ["slash"])
        for bad in (b'""', b'"/x"', b'"x//y"', b'"a\x01b"'):
            rest = c.imap(b"t", b"CREATE " + bad)[1]
            tap.ok(rest[:2] in (b"NO", b"BA"), "%r: %r" % (bad, rest))
        for name in (b"x/y/z", b"x/y", b"x", b"slash"):
            c.ok(b"DELETE " + name)


def test_utf7(s):
    """names beyond ASCII in modified UTF-7; what is not canonical is not
    taken"""
    with login(s) as c:
        c.ok(b"CREATE Entw&APw-rfe")
        tap.contains(c.names(b'LIST "" *'), "Entw&APw-rfe")
        c.ok(b"CREATE A&-B")
        tap.contains(c.names(b'LIST "" *'), "A&-B")
        c.ok(b"CREATE &ZeVnLIqe-")
        for bad in (b"&", b"&x", b"&AGE-", b"A&APw", b"&!!!-"):
            rest = c.imap(b"t", b"CREATE " + bad)[1]
            tap.ok(rest[:2] in (b"NO", b"BA"), "%r: %r" % (bad, rest))
        c.ok(b"SELECT Entw&APw-rfe")
        c.ok(b"UNSELECT")
        for name in (b"Entw&APw-rfe", b"A&-B", b"&ZeVnLIqe-"):
            c.ok(b"DELETE " + name)


def test_delete(s):
    """DELETE: not INBOX, not what is not there"""
    with login(s) as c:
        c.no(b"DELETE INBOX")
        tap.ok(c.no(b"DELETE nothing"))
        c.ok(b"CREATE gone")
        c.ok(b"DELETE gone")
        tap.eq(c.names(b'LIST "" gone'), [])


def test_rename(s):
    """RENAME moves children along; of INBOX its messages"""
    s.empty("bob")
    with login(s) as c:
        c.ok(b"CREATE r/s")
        c.ok(b"RENAME r q")
        tap.eq(sorted(c.names(b'LIST "" q*')), ["q", "q/s"])
        tap.eq(c.names(b'LIST "" r*'), [])
        c.no(b"RENAME nothing x")
        c.no(b"RENAME q Sent")
        s.send(MESSAGE)
        c.ok(b"RENAME INBOX old")
        tap.contains(b"".join(c.ok(b"STATUS old (MESSAGES)")), b"MESSAGES 1")
        tap.contains(b"".join(c.ok(b"STATUS INBOX (MESSAGES)")),
                     b"MESSAGES 0")
        for name in (b"q/s", b"q", b"old"):
            c.ok(b"DELETE " + name)


def test_subscribe(s):
    """SUBSCRIBE, UNSUBSCRIBE, LSUB with %"""
    with login(s) as c:
        c.ok(b"CREATE sub/one")
        c.ok(b"SUBSCRIBE sub/one")
        tap.contains(c.names(b'LSUB "" *'), "sub/one")
        lines = b"".join(c.ok(b'LSUB "" sub%'))
        tap.ok(b"sub/one" not in lines)
        c.ok(b"UNSUBSCRIBE sub/one")
        tap.ok("sub/one" not in c.names(b'LSUB "" *'))
        c.ok(b"DELETE sub/one")
        c.ok(b"DELETE sub")


def test_select(s):
    """SELECT says all it must"""
    s.empty("bob")
    for _ in range(2):
        s.send(MESSAGE)
    with login(s) as c:
        lines = b"\n".join(c.ok(b"SELECT INBOX"))
        for want in (rb"\* 2 EXISTS", rb"\* 2 RECENT", rb"\* FLAGS \(.*\\Seen",
                     rb"\* OK \[UNSEEN 1\]", rb"\* OK \[UIDVALIDITY [1-9]",
                     rb"\* OK \[UIDNEXT [1-9]",
                     rb"\* OK \[PERMANENTFLAGS \(.*\\\*\)\]"):
            tap.ok(re.search(want, lines), "%r not in %r" % (want, lines))
        c.ok(b"UNSELECT")
        lines = b"\n".join(c.ok(b"SELECT inbox"))
        tap.contains(lines, b"* 0 RECENT", "recent twice")
        rest = c.imap(b"t", b"EXAMINE INBOX")[1]
        tap.contains(rest, b"[READ-ONLY]")
        rest = c.imap(b"t", b"STORE 1 +FLAGS (\\Seen)")[1]
        tap.ok(rest.startswith(b"NO"), rest)
        c.no(b"EXPUNGE")
        c.no(b"SELECT nothing")
        rest = c.imap(b"t", b"FETCH 1 FLAGS")[1]
        tap.ok(rest.startswith(b"BAD"), "still selected after a failed SELECT")


def test_status(s):
    """STATUS, each item"""
    s.empty("bob")
    s.send(MESSAGE)
    with login(s) as c:
        line = c.ok(b"STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY "
                    b"UNSEEN)")[0]
        for want in (rb"MESSAGES 1\b", rb"RECENT 1\b", rb"UIDNEXT \d+",
                     rb"UIDVALIDITY \d+", rb"UNSEEN 1\b"):
            tap.ok(re.search(want, line), "%r not in %r" % (want, line))
        c.no(b"STATUS nothing (MESSAGES)")


def test_accounts_apart(s):
    """one account sees nothing of another"""
    with login(s, "alice") as a, login(s, "bob") as b:
        a.ok(b"CREATE private")
        tap.eq(b.names(b'LIST "" private'), [])
        b.no(b"SELECT private")
        a.ok(b"DELETE private")


def test_deleted_while_selected(s):
    """a mailbox that another session deletes does not break this one"""
    with login(s) as one, login(s) as two:
        one.ok(b"CREATE doomed")
        one.ok(b"SELECT doomed")
        two.ok(b"DELETE doomed")
        one.send(b"t NOOP\r\n")
        try:
            one.until(b"t")
        except EOFError:
            pass
        two.ok(b"NOOP")


def test_uidvalidity(s):
    """a mailbox made again does not reuse UIDVALIDITY with old UIDs"""
    with login(s) as c:
        def numbers():
            line = c.ok(b"STATUS again (UIDVALIDITY UIDNEXT)")[0]
            return re.findall(rb"(\d+)", line)
        c.ok(b"CREATE again")
        c.ok(b"APPEND again {%d+}\r\n%s" % (len(MESSAGE), MESSAGE))
        before = numbers()
        c.ok(b"DELETE again")
        c.ok(b"CREATE again")
        after = numbers()
        tap.ok(before[0] != after[0] or int(after[1]) >= int(before[1]),
               "%r %r" % (before, after))
        c.ok(b"DELETE again")


with Server() as server:
    tap.run(globals(), server)
tap.done()
