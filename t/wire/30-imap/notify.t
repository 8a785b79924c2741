#!/usr/bin/python3
"""IMAP NOTIFY (RFC 5465): what changes elsewhere is told by itself."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: news\r\n\r\nx\r\n"
BOTH = b"MessageNew MessageExpunge"


class Box(Line):
    def ok(self, command):
        lines, self.rest = self.imap(b"t", command)
        tap.ok(self.rest.startswith(b"OK"), "%r: %r" % (command, self.rest))
        return lines

    def no(self, command, how):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def append(self, name):
        rest = self.imap(b"t", b"APPEND %s {%d+}\r\n%s" % (
            name, len(MESSAGE), MESSAGE))[1]
        tap.ok(rest.startswith(b"OK"), rest)

    def hears(self, pattern):
        """The next line, which comes without being asked for."""
        line = self.logical_line()
        tap.ok(re.fullmatch(pattern, line), "%r is not %r" % (line, pattern))

    def is_quiet(self):
        """Nothing has come: a NOOP is answered by OK alone."""
        tap.eq(self.ok(b"NOOP"), [])


def login(s, name=b"bob"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (name, PASSWORD.encode()))
    return c


class Two:
    """A session that waits, and one that works; mailboxes that go after."""

    def __init__(self, s, *names):
        self.one, self.two, self.names = login(s), login(s), names
        for name in names:
            self.two.ok(b"CREATE " + name)

    def __enter__(self):
        return self.one, self.two

    def __exit__(self, *exc):
        self.one.close()
        self.two.imap(b"u", b"UNSELECT")
        for name in self.names:
            self.two.imap(b"d", b"DELETE " + name)
        self.two.close()


def status(name, messages, uidnext):
    return rb"\* STATUS %s \(MESSAGES %d UIDNEXT %d UIDVALIDITY \d+\)" % (
        name, messages, uidnext)


def test_forms(s):
    """what is no NOTIFY is BAD, events that are not offered are NO"""
    for bad in (b"", b" FROB", b" NONE x", b" SET", b" SET ()",
                b" SET STATUS", b" SET (frob (%s))" % BOTH,
                b" SET (personal)", b" SET (personal ())",
                b" SET (personal %s)" % BOTH, b" SET (personal (MessageNew))",
                b" SET (personal (FlagChange))",
                b" SET (selected (MailboxName))",
                b" SET (personal (MessageNew (UID) MessageExpunge))",
                b" SET (selected (MessageNew (FROB) MessageExpunge))",
                b" SET (selected NONE) (selected-delayed NONE)",
                b" SET (mailboxes (%s))" % BOTH, b" SET (subtree () NONE)",
                b" SET (personal (%s)) " % BOTH):
        with login(s) as c:
            c.no(b"NOTIFY" + bad, b"BAD")
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"NOTIFY")
        for event in (b"AnnotationChange", b"New"):
            c.no(b"NOTIFY SET (personal (%s %s))" % (BOTH, event),
                 b"NO [BADEVENT (MessageNew MessageExpunge FlagChange "
                 b"MailboxName SubscriptionChange MailboxMetadataChange "
                 b"ServerMetadataChange)]")
        c.ok(b"NOTIFY SET (inboxes NONE) (subtree (a b) (%s))" % BOTH)
        c.ok(b"NOTIFY NONE")
        c.ok(b"NOTIFY NONE")


def test_other_mailboxes(s):
    """messages in other mailboxes are told by STATUS, flags if wanted"""
    with Two(s, b"a", b"b") as (one, two):
        one.ok(b"NOTIFY SET (mailboxes a (%s)) (personal (%s FlagChange))"
               % (BOTH, BOTH))
        two.append(b"a")
        one.hears(status(b"a", 1, 2))
        two.ok(b"SELECT a")
        two.ok(b"STORE 1 +FLAGS (\\Seen)")
        one.is_quiet()
        two.ok(b"STORE 1 +FLAGS (\\Deleted)")
        two.ok(b"EXPUNGE")
        one.hears(status(b"a", 0, 2))
        two.append(b"b")
        flagged = (rb"\* STATUS b \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ "
                   rb"UNSEEN %d HIGHESTMODSEQ \d+\)")
        one.hears(flagged % 1)
        two.ok(b"SELECT b")
        two.ok(b"STORE 1 +FLAGS (\\Seen)")
        one.hears(flagged % 0)
        one.ok(b"NOTIFY NONE")
        two.append(b"a")
        one.is_quiet()


def test_brackets_in_names(s):
    """a name with a bracket does not end the list of names"""
    with Two(s, b"a", b'"a)"') as (one, two):
        one.ok(b'NOTIFY SET (mailboxes ("a)" a %s) (%s))' % (
            b" ".join(b"other%d" % i for i in range(60)), BOTH))
        two.append(b"a")
        one.hears(status(b"a", 1, 2))
        two.append(b'"a)"')
        one.hears(status(rb'"a\)"', 1, 2))


def test_selected(s):
    """new messages of the selected mailbox come with what was asked of them"""
    with Two(s, b"a") as (one, two):
        one.ok(b"SELECT a")
        one.ok(b"NOTIFY SET (selected (MessageNew (UID FLAGS BODY.PEEK["
               b"HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))")
        two.append(b"a")
        one.hears(rb"\* 1 EXISTS")
        one.hears(rb"\* \d RECENT")
        one.hears(rb"(?s)\* 1 FETCH \(UID 1 FLAGS \(.*\) BODY\[HEADER.FIELDS "
                  rb"\(SUBJECT\)\] \{\d+\}\r\nSubject: news\r\n\r\n\)")
        two.ok(b"SELECT a")
        two.ok(b"STORE 1 +FLAGS (\\Flagged)")
        one.hears(rb"\* 1 FETCH \(UID 1 FLAGS \(\\Flagged.*\)\)")
        two.ok(b"STORE 1 +FLAGS (\\Deleted)")
        one.hears(rb"\* 1 FETCH .*")
        two.ok(b"EXPUNGE")
        one.hears(rb"\* 1 EXPUNGE")
        one.ok(b"UNSELECT")
        two.append(b"a")
        one.is_quiet()
        one.ok(b"SELECT INBOX")
        one.ok(b"SELECT a")
        two.append(b"a")
        one.hears(rb"\* 2 EXISTS")
        one.hears(rb"\* \d RECENT")
        one.hears(rb"(?s)\* 2 FETCH \(UID 3 .*")


def test_delayed(s):
    """selected-delayed keeps removals back until a command"""
    with Two(s, b"a") as (one, two):
        for _ in range(2):
            two.append(b"a")
        one.ok(b"SELECT a")
        one.ok(b"NOTIFY SET (selected-delayed (%s FlagChange))" % BOTH)
        two.ok(b"SELECT a")
        two.ok(b"STORE 1 +FLAGS (\\Deleted)")
        one.hears(rb"\* 1 FETCH .*")
        two.ok(b"EXPUNGE")
        two.append(b"a")
        one.hears(rb"\* 3 EXISTS")
        one.hears(rb"\* \d RECENT")
        tap.eq(one.ok(b"NOOP"), [b"* 1 EXPUNGE"])


def test_names(s):
    """mailboxes that are made, renamed, removed, subscribed"""
    with Two(s) as (one, two):
        one.ok(b"NOTIFY SET (personal (MailboxName SubscriptionChange))")
        two.ok(b"CREATE a")
        one.hears(rb'\* LIST \(\) "/" a')
        two.ok(b"SUBSCRIBE a")
        one.hears(rb'\* LIST \(\\Subscribed\) "/" a')
        two.ok(b"UNSUBSCRIBE a")
        one.hears(rb'\* LIST \(\) "/" a')
        two.ok(b"RENAME a b")
        one.hears(rb'\* LIST \(\) "/" b \("OLDNAME" \(a\)\)')
        two.append(b"b")
        two.ok(b"DELETE b")
        one.hears(rb'\* LIST \(\\NonExistent\) "/" b')
        one.ok(b"NOTIFY SET (subtree x (MailboxName %s))" % BOTH)
        two.ok(b"CREATE y")
        two.ok(b"CREATE x/y")
        one.hears(rb'\* LIST \(\) "/" x')
        one.hears(rb'\* LIST \(\) "/" x/y')
        two.append(b"x/y")
        one.hears(status(b"x/y", 1, 2))
        for name in (b"y", b"x/y", b"x"):
            two.ok(b"DELETE " + name)


def test_status(s):
    """SET STATUS says at once how all of them are, but the selected one"""
    with Two(s, b"a", b"b") as (one, two):
        two.append(b"a")
        one.ok(b"SELECT b")
        lines = one.ok(b"NOTIFY SET STATUS (selected NONE) (mailboxes (a b c)"
                       b" (%s))" % BOTH)
        tap.eq(len(lines), 1, lines)
        tap.ok(re.fullmatch(status(b"a", 1, 2), lines[0]), lines)


def test_subscribed(s):
    """what is subscribed later is told of from then on"""
    with Two(s, b"a") as (one, two):
        one.ok(b"NOTIFY SET (subscribed (%s SubscriptionChange))" % BOTH)
        two.append(b"a")
        one.is_quiet()
        two.ok(b"SUBSCRIBE a")
        one.hears(rb'\* LIST \(\\Subscribed\) "/" a')
        two.append(b"a")
        one.hears(status(b"a", 2, 3))
        two.ok(b"UNSUBSCRIBE a")
        one.hears(rb'\* LIST \(\) "/" a')


def test_idle(s):
    """IDLE tells the same, and after it NOTIFY goes on"""
    with Two(s, b"a") as (one, two):
        one.ok(b"SELECT INBOX")
        one.ok(b"NOTIFY SET (personal (%s))" % BOTH)
        one.send(b"i IDLE\r\n")
        one.hears(rb"\+ idling")
        two.append(b"a")
        one.hears(status(b"a", 1, 2))
        two.append(b"INBOX")
        one.hears(rb"\* \d+ EXISTS")
        one.hears(rb"\* \d+ RECENT")
        one.send(b"DONE\r\n")
        one.hears(rb"i OK .*")
        two.append(b"a")
        one.hears(status(b"a", 2, 3))


def test_commands_go_on(s):
    """a session that waits takes commands, several at once too"""
    with Two(s, b"a") as (one, two):
        one.ok(b"SELECT a")
        one.ok(b"NOTIFY SET (selected (%s)) (personal (%s))" % (BOTH, BOTH))
        one.send(b"".join(b"n%d NOOP\r\n" % i for i in range(50)))
        for i in range(50):
            one.hears(b"n%d OK .*" % i)
        two.append(b"a")
        one.hears(rb"\* 1 EXISTS")
        one.hears(rb"\* \d RECENT")
        one.ok(b"FETCH 1 FLAGS")
        one.ok(b"LOGOUT")


def test_annotations(s):
    """annotations that are set or taken away, by name"""
    with Two(s, b"a", b"b") as (one, two), login(s, b"alice") as alice:
        two.ok(b'SETMETADATA a (/private/before "x")')
        one.ok(b"NOTIFY SET (mailboxes (a b) (MailboxMetadataChange)) "
               b"(personal (ServerMetadataChange))")
        two.ok(b'SETMETADATA a (/private/comment "x" /shared/comment "y")')
        one.hears(rb"\* METADATA a /private/comment")
        one.hears(rb"\* METADATA a /shared/comment")
        two.ok(b'SETMETADATA a ("/shared/of two" "y")')
        one.hears(rb'\* METADATA a "/shared/of two"')
        two.ok(b"SETMETADATA a (/private/comment NIL)")
        one.hears(rb"\* METADATA a /private/comment")
        two.ok(b'SETMETADATA INBOX (/private/comment "x")')
        two.ok(b'SETMETADATA "" (/private/vendor/x "1")')
        one.hears(rb'\* METADATA "" /private/vendor/x')
        two.ok(b'SETMETADATA b (/private/specialuse "\\\\Sent")')
        one.hears(rb"\* METADATA b /private/specialuse")
        two.ok(b"SETACL a alice@example.test lrw")
        name = b'"Other Users/bob@example.test/a"'
        alice.ok(b'SETMETADATA %s (/private/mine "x")' % name)
        alice.ok(b'SETMETADATA "" (/private/mine "x")')
        alice.ok(b'SETMETADATA %s (/shared/ours "x")' % name)
        one.hears(rb"\* METADATA a /shared/ours")
        one.is_quiet()


def test_unauthenticate(s):
    """nothing is told to who logged out but stayed"""
    with Two(s, b"a") as (one, two):
        one.ok(b"NOTIFY SET (personal (%s))" % BOTH)
        one.ok(b"UNAUTHENTICATE")
        two.append(b"a")
        one.is_quiet()


def test_shared(s):
    """mailboxes of others, and those that are given just now"""
    with Two(s, b"team") as (_, bob), login(s, b"alice") as alice:
        alice.ok(b'NOTIFY SET (subtree "Other Users" (MailboxName %s))' % BOTH)
        bob.ok(b"SETACL team alice@example.test lr")
        alice.hears(rb'\* LIST \(\) "/" "Other Users/bob@example.test/team"')
        bob.append(b"team")
        alice.hears(status(rb'"Other Users/bob@example.test/team"', 1, 2))
        bob.ok(b"SETACL team alice@example.test -r")
        alice.hears(rb'\* LIST \(\\NonExistent\) "/" "Other Users/.*"')


def test_cost(s):
    """a parked session costs little, and all are woken"""
    def memory():
        return sum(int(re.search(r"VmRSS:\s+(\d+)", open(
            "/proc/%d/status" % pid).read()).group(1))
            for pid in s.workers("mailbox"))
    with Two(s, b"a") as (_, two):
        waiting = [login(s) for _ in range(20)]
        before = memory()
        waiting += [login(s) for _ in range(100)]
        idle = memory()
        for c in waiting:
            c.ok(b"NOTIFY SET (personal (%s MailboxName))" % BOTH)
        parked = memory()
        two.append(b"a")
        for c in waiting:
            c.hears(status(b"a", 1, 2))
            c.close()
        per = (parked - idle) / len(waiting)
        tap.ok(per < 16, "%.1f KiB each above %.1f KiB of a session" % (
            per, (idle - before) / 100))


def test_overflow(s):
    """too many mailboxes: the client is told that it is told no more"""
    with login(s, b"alice") as c:
        for i in range(135):
            c.ok(b"CREATE d%d/%s" % (i, b"/".join([b"x"] * 15)))
        lines = c.ok(b"NOTIFY SET (personal (%s))" % BOTH)
        tap.eq([li[:30] for li in lines], [b"* OK [NOTIFICATIONOVERFLOW] Ch"])
        c.ok(b"NOOP")


with Server() as server:
    tap.run(globals(), server)
tap.done()
