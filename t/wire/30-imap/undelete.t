#!/usr/bin/python3
"""What was expunged comes back: mailroom undelete."""
import re
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = (b"From: a@elsewhere.test\r\nDate: Mon, 2 Mar 2020 10:00:00 "
           b"-0500\r\nSubject: %s\r\n\r\nx\r\n")
OLD = b'"17-Jul-1996 02:44:25 +0000"'
BOB = "bob@example.test"


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def append(self, name, subject, flags=b""):
        text = MESSAGE % subject
        self.ok(b"APPEND %s (%s) %s {%d+}\r\n%s" % (name, flags, OLD,
                                                    len(text), text))


def login(s, select=None):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if select:
        c.ok(b"SELECT " + select)
    return c


def remove(c, numbers):
    c.ok(b"STORE %s +FLAGS.SILENT (\\Deleted)" % numbers)
    c.ok(b"EXPUNGE")


def database(s, sql, *values):
    db = sqlite3.connect(s.data + "/sqlite/mailroom.db", timeout=20)
    with db:
        rows = db.execute(sql, values).fetchall()
    db.close()
    return rows


def removed(s, *options):
    return [(r["mailbox"], r["uid"]) for r in
            s.cli_json("undelete", BOB, "--list", *options)]


def restore(s, *options):
    return s.cli_json("undelete", BOB, *options)["restored"]


def test_back(s):
    """with flags, keywords and dates, under new UIDs; MOVE leaves nothing"""
    with login(s, b"INBOX") as c:
        c.append(b"INBOX", b"one", b"\\Seen \\Flagged blue")
        c.append(b"INBOX", b"two")
        c.append(b"INBOX", b"moved")
        c.ok(b"NOOP")
        ids = re.findall(rb"EMAILID (\(\w+\))",
                         b" ".join(c.ok(b"FETCH 1:2 EMAILID")))
        c.ok(b"MOVE 3 Archive")
        remove(c, b"1:2")
        used = s.cli_json("account", "list")
        tap.eq([a["messages"] for a in used if a["account"] == BOB], [1])
        tap.eq(removed(s), [("INBOX", 1), ("INBOX", 2)])
        tap.eq(removed(s, "--mailbox", "Sent"), [])
        time.sleep(2.5)                 # for what collects to come by
        tap.eq(restore(s), 2)
        tap.eq(removed(s), [])
        tap.eq(restore(s), 0)
        got = c.ok(b"NOOP")
        tap.ok(b"* 2 EXISTS" in got, "%r" % got)
        got = c.ok(b"UID FETCH 4:5 (FLAGS INTERNALDATE EMAILID "
                   b"BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        text = b"\r\n".join(got)
        for i, flags in ((0, rb"\\Seen[^)]*\\Flagged|\\Flagged[^)]*\\Seen"),
                         (1, rb"\(\)|\\Recent")):
            tap.contains(text, b"EMAILID " + ids[i])
            tap.ok(re.search(flags, text), "%r" % text)
        tap.contains(text, b"blue")
        tap.ok(b"\\Deleted" not in text, "not deleted")
        tap.eq(text.count(b"17-Jul-1996 02:44:25"), 2)
        tap.eq(c.ok(b"SEARCH UNSEEN"), [b"* SEARCH 2"])
        tap.eq(c.ok(b"SEARCH SENTON 2-Mar-2020"), [b"* SEARCH 1 2"])


def test_choice(s):
    """by mailbox and by time; a mailbox that is gone is made again"""
    with login(s) as c:
        for name in (b"a", b"b/c"):
            c.ok(b"CREATE " + name)
            c.append(name, b"x")
        c.ok(b"SELECT a")
        remove(c, b"1")
        database(s, "UPDATE removed SET removed_ms = removed_ms - 7200000")
        c.ok(b"DELETE b/c")
        tap.eq(removed(s), [("a", 1), ("b/c", 1)])
        tap.eq(removed(s, "--since", "1h"), [("b/c", 1)])
        tap.eq(restore(s, "--since", "1h"), 1)
        tap.eq(restore(s, "--mailbox", "a"), 1)
        for name in (b"a", b"b/c"):
            tap.contains(c.ok(b"STATUS %s (MESSAGES)" % name)[0],
                         b"MESSAGES 1")


def test_many(s):
    """more than one transaction takes, in order"""
    with login(s) as c:
        c.ok(b"CREATE many")
        c.append(b"many", b"x")
        c.ok(b"SELECT many")
        for _ in range(10):
            c.ok(b"COPY 1:* many")
            c.ok(b"NOOP")
        remove(c, b"2:*")
        tap.eq(restore(s, "--mailbox", "many"), 1023)
        tap.contains(c.ok(b"STATUS many (MESSAGES UIDNEXT)")[0],
                     b"MESSAGES 1024")


def test_end(s):
    """what is too old goes for good, and all of an account that goes"""
    with login(s) as c:
        c.ok(b"CREATE last")
        c.append(b"last", b"gone for good")
        c.ok(b"SELECT last")
        remove(c, b"1")
    (message,), = database(s, "SELECT max(id) FROM message")
    database(s, "UPDATE removed SET removed_ms = removed_ms - 691200000")
    database(s, "UPDATE message SET dead_ms = dead_ms - 691200000"
                " WHERE dead_ms IS NOT NULL")
    end = time.time() + 60
    while database(s, "SELECT 1 FROM message WHERE id = ?", message) and \
            time.time() < end:
        time.sleep(0.2)
    tap.eq(database(s, "SELECT 1 FROM message WHERE id = ?", message), [])
    tap.eq(restore(s), 0)
    with login(s, b"INBOX") as c:
        remove(c, b"1:*")
    tap.ok(len(removed(s)) > 0, "something is kept")
    s.cli("account", "remove", BOB)
    tap.eq(database(s, "SELECT count(*) FROM removed"), [(0,)])
    tap.eq(database(s, "SELECT count(*) FROM message WHERE dead_ms > ?",
                    int(time.time() * 1000)), [(0,)])
    tap.ok(s.cli("undelete", BOB, check=False).returncode == 1, "no account")


with Server({"plugin.sqlite": {"undelete": "7d",
                               "keep_removed": "0s"}}) as server:
    tap.run(globals(), server)
tap.done()
