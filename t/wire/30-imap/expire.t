#!/usr/bin/python3
"""Mailboxes that empty themselves: [mailbox.NAME] expire."""
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"
OLD = b'"17-Jul-1996 02:44:25 +0000"'
ACCOUNTS = ("alice", "bob")


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines


def login(s, account):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (account.encode(),
                                         PASSWORD.encode()))
    return c


def append(c, name, n):
    for _ in range(n):
        c.ok(b"APPEND %s %s {%d+}\r\n%s" % (name, OLD, len(MESSAGE), MESSAGE))


def age(s, days):
    """All that is in a mailbox now came there so long ago."""
    db = sqlite3.connect(s.data + "/sqlite/mailroom.db", timeout=20)
    with db:
        db.execute("UPDATE entry SET saved_ms = ?",
                   (int((time.time() - days * 86400) * 1000),))
    db.close()


def uids(c, name):
    c.ok(b"EXAMINE " + name)
    return [int(n) for n in c.ok(b"UID SEARCH ALL")[0].split()[2:]]


def test_expire(s):
    """what came too long ago goes, in all accounts; INTERNALDATE is nothing"""
    for account in ACCOUNTS:
        with login(s, account) as c:
            append(c, b"Trash", 3)
            append(c, b"Sent", 1)
    age(s, 31)
    for account in ACCOUNTS:
        with login(s, account) as c:
            append(c, b"Trash", 1)
            c.ok(b"SELECT Sent")
            c.ok(b"COPY 1 Trash")
    want = [{"account": a + "@example.test", "mailbox": "Trash",
             "messages": 3} for a in ACCOUNTS]
    tap.eq(s.cli_json("expire", "--dry-run"), want)
    tap.eq(s.cli_json("expire"), want)
    tap.eq(s.cli_json("expire"), [])
    for account in ACCOUNTS:
        with login(s, account) as c:
            tap.eq(uids(c, b"Trash"), [4, 5])
            tap.eq(uids(c, b"Sent"), [1])


def test_many(s):
    """more than one transaction takes, with gaps; a name with a slash"""
    with login(s, "bob") as c:
        c.ok(b"CREATE Lists/News")
        c.ok(b"SELECT INBOX")
        append(c, b"INBOX", 3)
        for _ in range(9):
            c.ok(b"COPY 1:* INBOX")
            c.ok(b"NOOP")
        c.ok(b"COPY 1:* Lists/News")
        c.ok(b"SELECT Lists/News")
        c.ok(b"STORE 100,200:210,700 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"EXPUNGE")
        n = len(uids(c, b"Lists/News"))
        tap.eq(n, 3 * 2 ** 9 - 13)
        age(s, 8)
        append(c, b"Lists/News", 1)
        tap.eq([(r["mailbox"], r["messages"]) for r in s.cli_json("expire")],
               [("Lists/News", n)])
        tap.eq(uids(c, b"Lists/News"), [3 * 2 ** 9 + 1])
        tap.eq(len(uids(c, b"INBOX")), 3 * 2 ** 9)


def test_settings(s):
    """what is wrong is shown, and nothing expires unasked"""
    shown = s.cli("config", "show").stdout
    tap.contains(shown, "Lists/News")
    s.extra["mailbox.Trash"] = {"expires": "30d"}
    s.write_config()
    done = s.cli("config", "check", check=False)
    tap.ok(done.returncode == 1 and "expire" in done.stderr + done.stdout,
           "%r" % (done,))
    for name in ("mailbox.Trash", 'mailbox."Lists/News"'):
        del s.extra[name]
    s.write_config()
    age(s, 9000)
    tap.eq(s.cli_json("expire"), [])


with Server({"mailbox.Trash": {"expire": "30d"},
             'mailbox."Lists/News"': {"expire": "7d"}}) as server:
    tap.run(globals(), server)
tap.done()
