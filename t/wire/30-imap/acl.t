#!/usr/bin/python3
"""IMAP shared mailboxes: ACL (RFC 4314), LIST-MYRIGHTS (RFC 8440)."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"
ALL = b"lrswipkxteacd"
BOB, ALICE = b"bob@example.test", b"alice@example.test"
THERE = b'"Other Users/bob@example.test/%s"'
NAMES = re.compile(rb'\* (?:LIST|LSUB) \([^)]*\) "/" "?(.*?)"?$')


class Box(Line):
    def ok(self, command):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(b"OK"), "%r: %r" % (command, self.rest))
        return lines

    def no(self, command, how=b"NO [NOPERM]"):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def append(self, name, flags=b"()"):
        return self.imap(b"t", b"APPEND %s %s {%d+}\r\n%s" % (
            name, flags, len(MESSAGE), MESSAGE))[1]

    def flags(self, n):
        lines = self.ok(b"FETCH %d FLAGS" % n)
        return sorted(re.search(rb"FLAGS \(([^)]*)\)", lines[0]).group(1)
                      .replace(b"\\Recent", b"").split())

    def names(self, command):
        return [NAMES.match(li).group(1).decode() for li in self.ok(command)
                if NAMES.match(li)]


def login(s, name=b"bob"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (name, PASSWORD.encode()))
    return c


class Shared:
    """Bob's mailbox Team with a message, and both of them."""

    def __init__(self, s, rights, messages=1):
        self.bob, self.alice = login(s), login(s, b"alice")
        self.bob.ok(b"CREATE Team")
        for _ in range(messages):
            self.bob.append(b"Team")
        if rights:
            self.grant(rights)
        self.name = THERE % b"Team"

    def grant(self, rights, who=ALICE):
        self.bob.ok(b"SETACL Team %s %s" % (who, rights or b'""'))

    def __enter__(self):
        return self.bob, self.alice, self.name

    def __exit__(self, *exc):
        self.bob.imap(b"u", b"UNSELECT")
        for name in self.bob.names(b'LIST "" Team*')[::-1]:
            self.bob.ok(b"DELETE " + name.encode())
        self.bob.close()
        self.alice.close()


def test_owner(s):
    """the owner has all rights, and keeps them"""
    with Shared(s, b"") as (bob, alice, name):
        tap.contains(bob.ok(b"CAPABILITY")[0].split(), b"ACL")
        tap.contains(bob.ok(b"CAPABILITY")[0].split(), b"RIGHTS=kxte")
        tap.eq(bob.ok(b"MYRIGHTS Team"), [b"* MYRIGHTS Team " + ALL])
        tap.eq(bob.ok(b"GETACL Team"),
               [b'* ACL Team "%s" %s' % (BOB, ALL)])
        bob.no(b"SETACL Team %s lr" % BOB, b"NO [CANNOT]")
        bob.no(b"DELETEACL Team %s" % BOB, b"NO [CANNOT]")
        tap.eq(bob.ok(b"LISTRIGHTS Team %s" % BOB),
               [b'* LISTRIGHTS Team "%s" %s' % (BOB, ALL)])
        tap.eq(bob.ok(b"LISTRIGHTS Team " + ALICE),
               [b'* LISTRIGHTS Team "%s" "" l r s w i p k x t e a c d' % ALICE])


def test_set(s):
    """SETACL sets, adds and takes; c and d stand for others"""
    with Shared(s, b"lr") as (bob, alice, name):
        for given, want in ((b"lrs", b"lrs"), (b"+wi", b"lrswi"),
                            (b"-rw", b"lsi"), (b"+d", b"lsixted"),
                            (b"-d", b"lsi"), (b"c", b"kc")):
            bob.ok(b"SETACL Team %s %s" % (ALICE.upper(), given))
            tap.contains(bob.ok(b"GETACL Team")[0],
                         b'"%s" %s' % (ALICE, want), given)
        bob.ok(b"DELETEACL Team " + ALICE)
        tap.eq(bob.ok(b"GETACL Team"), [b'* ACL Team "%s" %s' % (BOB, ALL)])
        bob.no(b"SETACL Team %s lq" % ALICE, b"BAD")
        bob.no(b"SETACL Team nobody@example.test lr", b"NO [CANNOT]")
        bob.no(b"SETACL none %s lr" % ALICE, b"NO [NONEXISTENT]")
        for bad in (b"SETACL", b"SETACL Team", b"SETACL Team " + ALICE,
                    b"GETACL", b"MYRIGHTS", b"LISTRIGHTS Team"):
            bob.no(bad, b"BAD")


def test_hidden(s):
    """without a right there is no such mailbox, whatever one asks"""
    with Shared(s, b"") as (bob, alice, name):
        for command in (b"SELECT %s", b"EXAMINE %s", b"STATUS %s (MESSAGES)",
                        b"DELETE %s", b"RENAME %s x", b"GETACL %s",
                        b"MYRIGHTS %s", b"SETACL %s anyone lr",
                        b"GETMETADATA %s /shared/comment", b"SUBSCRIBE %s"):
            alice.no(command % name, b"NO [NONEXISTENT]")
            alice.no(command % (THERE % b"none"), b"NO [NONEXISTENT]")
        tap.ok(alice.append(name).startswith(b"NO [TRYCREATE]"))
        tap.eq([n for n in alice.names(b'LIST "" *') if "Other" in n], [])


def test_list(s):
    """what may be looked up is listed, with rights, status, subscription"""
    with Shared(s, b"lr") as (bob, alice, name):
        bob.ok(b"CREATE Team/Deep")     # has the rights of its parent
        bob.ok(b"SETACL INBOX %s l" % ALICE)
        plain = "Other Users/bob@example.test/"
        tap.eq([n for n in alice.names(b'LIST "" *') if "Other" in n],
               ["Other Users", "Other Users/bob@example.test",
                plain + "INBOX", plain + "Team", plain + "Team/Deep"])
        tap.eq(alice.names(b'LIST "" "Other Users/%"'),
               ["Other Users/bob@example.test"])
        tap.eq(alice.names(b'LIST "Other Users/bob@example.test/" %'),
               [plain + "INBOX", plain + "Team"])
        tap.eq(alice.ok(b'LIST "" "*/Team" RETURN (MYRIGHTS STATUS '
                        b'(MESSAGES))'),
               [b'* LIST (\\HasChildren) "/" ' + name,
                b"* MYRIGHTS %s lr" % name,
                b"* STATUS %s (MESSAGES 1)" % name])
        lines = alice.ok(b'LIST "" "*/INBOX" RETURN (MYRIGHTS STATUS '
                         b'(MESSAGES))')
        tap.eq(len(lines), 2, "no status without r: %r" % lines)
        alice.ok(b"SUBSCRIBE " + name)
        tap.eq(alice.names(b'LSUB "" "Other*"'), [plain + "Team"])
        tap.contains(alice.ok(b'LIST "" "*/Team" RETURN (SUBSCRIBED)')[0],
                     b"\\Subscribed")
        alice.ok(b"UNSUBSCRIBE " + name)
        tap.eq(bob.names(b'LIST "" "Other*"'), [])
        bob.ok(b"SETACL INBOX %s -l" % ALICE)


def test_read(s):
    """r reads; nothing else is allowed, and nothing is marked as read"""
    with Shared(s, b"lr") as (bob, alice, name):
        lines = alice.ok(b"SELECT " + name)
        tap.contains(alice.rest, b"[READ-ONLY]")
        tap.contains(lines, b"* OK [PERMANENTFLAGS ()] What can be kept")
        tap.contains(lines, b"* 1 EXISTS")
        tap.contains(alice.ok(b"FETCH 1 BODY[]")[0], MESSAGE)
        tap.eq(alice.flags(1), [])
        alice.ok(b"COPY 1 INBOX")
        alice.no(b"STORE 1 +FLAGS (\\Seen)", b"NO")
        alice.no(b"EXPUNGE")
        alice.no(b"MOVE 1 INBOX")
        alice.no(b"DELETE " + name)
        alice.no(b"CREATE " + THERE % b"Team/Sub")
        alice.no(b"CREATE " + THERE % b"Top")
        alice.no(b"GETACL " + name)
        alice.no(b"SETMETADATA %s (/shared/comment \"x\")" % name)
        tap.ok(alice.append(name).startswith(b"NO [NOPERM]"))
        alice.no(b"COPY 1 " + name)
        alice.ok(b"CLOSE")


def test_flags(s):
    """s, t and w let flags be set, each its own"""
    box = Shared(s, b"lrs")
    with box as (bob, alice, name):
        lines = alice.ok(b"SELECT " + name)
        tap.contains(alice.rest, b"[READ-WRITE]")
        tap.contains(lines,
                     b"* OK [PERMANENTFLAGS (\\Seen)] What can be kept")
        alice.ok(b"STORE 1 +FLAGS (\\Seen \\Flagged)")
        tap.eq(alice.flags(1), [b"\\Seen"])
        alice.no(b"STORE 1 +FLAGS (\\Deleted)")
        alice.no(b"STORE 1 +FLAGS (word)")
        bob.ok(b"SELECT Team")
        bob.ok(b"STORE 1 +FLAGS (\\Flagged)")
        alice.ok(b"STORE 1 FLAGS ()")
        tap.eq(alice.flags(1), [b"\\Flagged"])
        box.grant(b"lrt")
        alice.ok(b"STORE 1 FLAGS (\\Deleted \\Seen)")
        tap.eq(alice.flags(1), [b"\\Deleted", b"\\Flagged"])
        alice.ok(b"CLOSE")                      # removes nothing without e
        alice.ok(b"SELECT " + name)
        tap.eq(alice.flags(1), [b"\\Deleted", b"\\Flagged"])
        box.grant(b"lrw")
        alice.ok(b"STORE 1 -FLAGS (\\Flagged \\Deleted)")
        alice.ok(b"STORE 1 +FLAGS (word)")
        tap.eq(alice.flags(1), [b"\\Deleted", b"word"])
        box.grant(b"lre")
        alice.ok(b"EXPUNGE")
        tap.contains(alice.ok(b"STATUS %s (MESSAGES)" % name)[0],
                     b"MESSAGES 0")


def test_insert(s):
    """i lets messages in, with the flags that could be set there"""
    with Shared(s, b"lri", messages=0) as (bob, alice, name):
        alice.ok(b"CREATE Mine")
        tap.ok(alice.append(name, b"(\\Seen word)").startswith(b"OK"))
        alice.append(b"Mine", b"(\\Flagged \\Seen other)")
        alice.ok(b"SELECT Mine")
        alice.ok(b"COPY 1 " + name)
        bob.ok(b"SETACL Team %s +s" % ALICE)
        alice.ok(b"COPY 1 " + name)
        alice.ok(b"MOVE 1 " + name)
        bob.ok(b"SELECT Team")
        tap.eq([bob.flags(i) for i in (1, 2, 3, 4)],
               [[], [], [b"\\Seen"], [b"\\Seen"]])
        alice.ok(b"DELETE Mine")


def test_mailboxes(s):
    """k makes mailboxes below, x takes away; none changes its owner"""
    with Shared(s, b"lrkx") as (bob, alice, name):
        alice.ok(b"CREATE " + THERE % b"Team/a/b")
        tap.eq(bob.names(b'LIST "" Team/*'), ["Team/a", "Team/a/b"])
        tap.eq(alice.ok(b"MYRIGHTS " + THERE % b"Team/a"),
               [b"* MYRIGHTS %s lrkxcd" % (THERE % b"Team/a")])
        alice.ok(b"RENAME %s %s" % (THERE % b"Team/a", THERE % b"Team/c"))
        tap.eq(bob.names(b'LIST "" Team/*'), ["Team/c", "Team/c/b"])
        alice.no(b"RENAME %s %s" % (THERE % b"Team/c", THERE % b"Top"))
        alice.no(b"RENAME %s mine" % (THERE % b"Team/c"), b"NO [CANNOT]")
        alice.ok(b"CREATE mine")
        alice.no(b"RENAME mine %s" % (THERE % b"Team/mine"), b"NO [CANNOT]")
        alice.no(b"CREATE %s (USE (\\Sent))" % (THERE % b"Team/sent"))
        alice.ok(b"DELETE mine")
        alice.ok(b"DELETE " + THERE % b"Team/c/b")
        alice.no(b'CREATE "Other Users/x"', b"NO")
        alice.no(b'CREATE "Other Users"', b"NO")


def test_admin(s):
    """a lets rights be given"""
    with Shared(s, b"la") as (bob, alice, name):
        alice.ok(b"SETACL %s %s +r" % (name, ALICE))
        tap.eq(alice.ok(b"GETACL " + name),
               [b'* ACL %s "%s" %s "%s" lra' % (name, BOB, ALL, ALICE)])
        alice.ok(b"SELECT " + name)
        alice.ok(b"UNSELECT")


def test_anyone(s):
    """anyone is every account of the domain; "-" takes away"""
    box = Shared(s, b"")
    with box as (bob, alice, name):
        box.grant(b"lr", b"anyone")
        alice.ok(b"EXAMINE " + name)
        alice.ok(b"UNSELECT")
        box.grant(b"r", b"-" + ALICE)
        alice.no(b"EXAMINE " + name)
        tap.eq(alice.ok(b"MYRIGHTS " + name), [b"* MYRIGHTS %s l" % name])
        s.cli("domain", "add", "other.test")
        s.cli("account", "add", "eve@other.test", "--password-stdin",
              input=PASSWORD + "\n")
        eve = Box(s.ports["imap"])
        eve.line()
        eve.ok(b'LOGIN eve@other.test "%s"' % PASSWORD.encode())
        tap.eq(eve.names(b'LIST "" "Other*"'), [])
        eve.no(b"EXAMINE " + name, b"NO [NONEXISTENT]")
        eve.close()


def test_withdrawn(s):
    """a right that is withdrawn ends with the next command, or in IDLE"""
    box = Shared(s, b"lr")
    with box as (bob, alice, name):
        alice.ok(b"SELECT " + name)
        box.grant(b"")
        lines, rest = alice.imap(b"t", b"FETCH 1 BODY[]")
        tap.ok(lines[0].startswith(b"* BYE"), lines)
        tap.ok(rest.startswith(b"NO"), rest)
        box.grant(b"lr")
        alice = login(s, b"alice")
        alice.ok(b"SELECT " + name)
        alice.send(b"i IDLE\r\n")
        tap.eq(alice.line(), b"+ idling")
        bob.append(b"Team")
        tap.eq(alice.line(), b"* 2 EXISTS")
        alice.line()
        box.grant(b"")
        tap.ok(alice.line().startswith(b"* BYE"))
        alice.close()


def test_names(s):
    """names that are not of ASCII come back as they are given: literals"""
    name = "gr\u00fcn&blau@example.test"
    literal = b"{%d}\r\n%s" % (len(name.encode()), name.encode())
    sent = literal.replace(b"}", b"+}")
    s.add_account(name)
    with login(s) as bob, Box(s.ports["imap"]) as other:
        bob.ok(b"CREATE green")
        bob.ok(b"SETACL green %s lri" % sent)
        tap.eq(bob.ok(b"GETACL green"), [
            b'* ACL green "%s" %s %s lri' % (BOB, ALL, literal)])
        tap.ok(bob.ok(b"LISTRIGHTS green " + sent)[0].startswith(
            b"* LISTRIGHTS green %s \"\" l r" % literal))
        other.line()
        other.ok(b'LOGIN %s "%s"' % (sent, PASSWORD.encode()))
        other.ok(b"CREATE mine")
        other.ok(b"SETACL mine %s lri" % BOB)
        place = b'"Other Users/gr&APw-n&-blau@example.test/mine"'
        lines = bob.ok(b"GETQUOTAROOT " + place)
        tap.eq(lines[0], b"* QUOTAROOT %s %s" % (place, literal))
        tap.ok(lines[1].startswith(b"* QUOTA %s (" % literal), lines[1])


def test_command(s):
    """mailroom mailbox share does what SETACL does"""
    with Shared(s, b"") as (bob, alice, name):
        share = ("mailbox", "share", BOB.decode(), "Team")
        s.cli(*share, ALICE.decode(), "lrs")
        s.cli(*share, "-anyone", "e")
        tap.eq(alice.ok(b"MYRIGHTS " + name), [b"* MYRIGHTS %s lrs" % name])
        tap.eq(s.cli_json("mailbox", "rights", BOB.decode(), "Team"),
               [{"identifier": "-anyone", "rights": "ed"},
                {"identifier": ALICE.decode(), "rights": "lrs"}])
        s.cli(*share, ALICE.decode(), "none")
        alice.no(b"MYRIGHTS " + name, b"NO [NONEXISTENT]")
        for bad, status in ((("nobody@example.test", "lr"), 1),
                            ((BOB.decode(), "lr"), 1),
                            ((ALICE.decode(), "lq"), 2)):
            tap.eq(s.cli(*share, *bad, check=False).returncode, status)


def test_quota(s):
    """what is put into another's mailbox counts as the owner's"""
    with Shared(s, b"lri") as (bob, alice, name):
        s.cli("account", "set", BOB.decode(), "--quota", "60")
        tap.ok(alice.append(name).startswith(b"NO [OVERQUOTA]"))
        s.cli("account", "set", BOB.decode(), "--quota", "none")
        tap.ok(alice.append(name).startswith(b"OK"))


with Server() as server:
    tap.run(globals(), server)
tap.done()
