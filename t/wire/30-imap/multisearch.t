#!/usr/bin/python3
"""MULTISEARCH (RFC 7377): ESEARCH in many mailboxes at once."""
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

# mailbox: subjects of its messages; UIDs are 1, 2, ...
BOXES = {
    b"INBOX": [b"apple", b"pear", b"apple pie"],
    b"work": [b"meeting"],
    b"work/a": [b"apple", b"apple"],
    b"work/a/deep": [b"an apple"],
    b"work/b": [b"plum"],
    b"workshop": [b"apple"],
    "Gr\u00fcn".encode("utf-8"): [b"apple"],
}
GREEN = b"Gr&APw-n"


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def refused(self, command, how):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def found(self, command):
        """{mailbox: data}"""
        got = {}
        for line in self.ok(command):
            m = re.match(rb'\* ESEARCH \(TAG "t" MAILBOX ("[^"]*"|\S+) '
                         rb'UIDVALIDITY '
                         rb'(\d+)\) UID (.*)$', line)
            tap.ok(m, line)
            tap.ok(m.group(1) not in got, "told once: %r" % line)
            tap.contains(self.ok(b"STATUS %s (UIDVALIDITY)" % m.group(1))[0],
                         b"(UIDVALIDITY %s)" % m.group(2))
            got[m.group(1)] = m.group(3)
        return got


def login(s, who=b"bob"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (who, PASSWORD.encode()))
    return c


def test_capability(s):
    """it is announced"""
    with login(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"MULTISEARCH")
        for name, subjects in BOXES.items():
            name = GREEN if name[0] == ord("G") else name
            if name != b"INBOX":
                c.ok(b"CREATE " + name)
            for subject in subjects:
                m = b"Subject: %s\r\n\r\nx\r\n" % subject
                c.ok(b"APPEND %s {%d+}\r\n%s" % (name, len(m), m))
        c.ok(b"SUBSCRIBE work/a")
        c.ok(b"SUBSCRIBE gone")


def test_sources(s):
    """each way to name mailboxes; those without a match are not told of"""
    deep = {b"work/a": b"ALL 1:2", b"work/a/deep": b"ALL 1"}
    everywhere = {b"INBOX": b"ALL 1,3", **deep, b"workshop": b"ALL 1",
                  GREEN: b"ALL 1"}
    with login(s) as c:
        for sources, want in (
                (b"mailboxes INBOX", {b"INBOX": b"ALL 1,3"}),
                (b"mailboxes (inbox work work/a)",
                 {b"INBOX": b"ALL 1,3", b"work/a": b"ALL 1:2"}),
                (b"mailboxes (nowhere workshop)", {b"workshop": b"ALL 1"}),
                (b'mailboxes ("%s" "no/such&name")' % GREEN,
                 {GREEN: b"ALL 1"}),
                (b"subtree work", deep), (b"subtree (work/a)", deep),
                (b"subtree-one work", {b"work/a": b"ALL 1:2"}),
                (b"subtree-one work/a", deep),
                (b"inboxes", {b"INBOX": b"ALL 1,3"}),
                (b"subscribed", {b"INBOX": b"ALL 1,3",
                                 b"work/a": b"ALL 1:2"}),
                (b"personal", everywhere),
                (b"inboxes personal mailboxes INBOX", everywhere),
                (b"inboxes subtree-one work",
                 {b"INBOX": b"ALL 1,3", b"work/a": b"ALL 1:2"})):
            tap.eq(c.found(b"ESEARCH IN (%s) SUBJECT apple" % sources), want,
                   sources)


def test_results(s):
    """options hold for each mailbox; keys are read anew for each"""
    with login(s) as c:
        where = b"ESEARCH IN (mailboxes (INBOX work/a work/b)) "
        tap.eq(c.found(where + b"RETURN (COUNT MIN MAX) SUBJECT apple"),
               {b"INBOX": b"COUNT 2 MIN 1 MAX 3",
                b"work/a": b"COUNT 2 MIN 1 MAX 2"})
        tap.eq(c.found(where + b"RETURN (PARTIAL -1:-1) ALL"),
               {b"INBOX": b"PARTIAL (-1:-1 3)",
                b"work/a": b"PARTIAL (-1:-1 2)",
                b"work/b": b"PARTIAL (-1:-1 1)"})
        tap.eq(c.found(where + b"2:9"), {b"INBOX": b"ALL 2:3",
                                         b"work/a": b"ALL 2"})
        tap.eq(c.found(where + b"UID 3"), {b"INBOX": b"ALL 3"})
        c.refused(where + b"CHARSET x-frob SUBJECT a", b"NO [BADCHARSET")


def test_selected(s):
    """the selected mailbox, SAVE, and a search that goes on"""
    with login(s) as c:
        c.refused(b"ESEARCH SUBJECT apple", b"BAD")
        c.refused(b"ESEARCH IN (selected) SUBJECT apple", b"BAD")
        c.ok(b"SELECT work/a")
        for how in (b"", b"IN (selected) "):
            tap.eq(c.found(b"ESEARCH %sALL" % how), {b"work/a": b"ALL 1:2"})
        tap.eq(c.found(b"ESEARCH IN (selected inboxes) RETURN (COUNT) ALL"),
               {b"work/a": b"COUNT 2", b"INBOX": b"COUNT 3"})
        tap.eq(c.found(b"ESEARCH RETURN (SAVE) 2"), {})
        tap.eq(c.ok(b"UID SEARCH $"), [b"* SEARCH 2"])
        c.refused(b"ESEARCH IN (personal) RETURN (SAVE) ALL", b"BAD")
        tap.eq(c.ok(b"UID SEARCH $"), [b"* SEARCH 2"])
        lines = c.ok(b"ESEARCH RETURN (UPDATE COUNT) ALL")
        tap.ok(lines[0].startswith(b'* NO [NOUPDATE "t"]'), lines)
        tap.ok(lines[1].endswith(b"COUNT 2"), lines)
        # It is still selected, as it was.
        tap.eq(c.ok(b"UID SEARCH ALL"), [b"* SEARCH 1 2"])


def test_shared(s):
    """mailboxes of others by their names, where they may be read"""
    there = b'"Other Users/bob@example.test/%s"'
    with login(s) as bob, login(s, b"alice") as alice:
        every = b"ESEARCH IN (mailboxes (%s %s)) ALL" % (
            there % b"work", there % b"work/a")
        tap.eq(alice.found(every), {})
        bob.ok(b"SETACL work/a alice@example.test lr")
        bob.ok(b"SETACL work alice@example.test l")
        bob.ok(b"SETACL work/b alice@example.test r")
        tap.eq(alice.found(every), {there % b"work/a": b"ALL 1:2"})
        tap.eq(alice.found(b"ESEARCH IN (subtree %s) ALL" % (there % b"work")),
               {there % b"work/a": b"ALL 1:2"})
        tap.eq(alice.found(b"ESEARCH IN (personal) ALL"), {})
        alice.ok(b"SELECT " + there % b"work/a")
        tap.eq(alice.found(b"ESEARCH 2"), {there % b"work/a": b"ALL 2"})
        alice.ok(b"SELECT " + there % b"work/b")
        tap.eq(alice.found(b"ESEARCH 1"), {there % b"work/b": b"ALL 1"})


def test_wrong(s):
    """what is no ESEARCH"""
    with login(s) as c:
        c.ok(b"SELECT INBOX")
        for rest in (b"", b" IN () ALL", b" IN personal ALL",
                     b" IN (frob) ALL", b" IN (selected-delayed) ALL",
                     b" IN (personal (depth 1)) ALL", b" IN (mailboxes) ALL",
                     b" IN (mailboxes ()) ALL", b" IN (personal)",
                     b" IN (personal) FROB", b' IN ("personal") ALL',
                     b" IN (subtree (a ) ) ALL",
                     b" RETURN (MIN) IN (personal) ALL",
                     b" IN (personal) RETURN (FROB) ALL"):
            c.refused(b"ESEARCH" + rest, b"BAD")
        c.refused(b"UID ESEARCH ALL", b"BAD")


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
