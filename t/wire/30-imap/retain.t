#!/usr/bin/python3
"""Mailboxes that keep their messages: [mailbox.NAME] retain."""
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"
KEPT = b"must be kept"


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines, rest

    def no(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"NO [CANNOT] ") and KEPT in rest,
               "%r: %r" % (command, rest))
        return lines


def login(s, account="alice"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (account.encode(),
                                         PASSWORD.encode()))
    return c


def append(c, name, n=1):
    for _ in range(n):
        c.ok(b"APPEND %s {%d+}\r\n%s" % (name, len(MESSAGE), MESSAGE))


def age(s, uids, days):
    """What has these UIDs, in any mailbox, came there so long ago."""
    db = sqlite3.connect(s.data + "/sqlite/mailroom.db", timeout=20)
    with db:
        db.executemany("UPDATE entry SET saved_ms = ? WHERE uid = ?",
                       [(int((time.time() - days * 86400) * 1000), u)
                        for u in uids])
    db.close()


def uids(c, name):
    c.ok(b"EXAMINE " + name)
    return [int(n) for n in c.ok(b"UID SEARCH ALL")[0][0].split()[2:]]


def test_expunge(s):
    """EXPUNGE takes what is old, and says how much stays; so does CLOSE"""
    with login(s) as c:
        append(c, b"Archive", 5)
        age(s, (1, 3), 366)
        c.ok(b"SELECT Archive")
        c.ok(b"STORE 1:4 +FLAGS.SILENT (\\Deleted)")
        tap.contains(c.ok(b"UID EXPUNGE 2")[1], b"1 message must be kept")
        tap.contains(c.ok(b"UID EXPUNGE 1,5")[1], b"EXPUNGE done\r\n"[:12])
        lines, said = c.ok(b"EXPUNGE")
        tap.eq(lines, [b"* 2 EXPUNGE"])
        tap.contains(said, b"2 messages must be kept, the last until ")
        tap.contains(b" ".join(c.ok(b"FETCH 1 FLAGS")[0]), b"\\Deleted")
        c.ok(b"CLOSE")
        tap.eq(uids(c, b"Archive"), [2, 4, 5])
        age(s, (2,), 366)
        c.ok(b"SELECT Archive")
        c.ok(b"CLOSE")
        tap.eq(uids(c, b"Archive"), [4, 5])


def test_move(s):
    """MOVE and REPLACE change nothing at all, COPY is free"""
    with login(s) as c:
        append(c, b"INBOX", 1)
        c.ok(b"SELECT Archive")
        age(s, (4,), 366)
        c.no(b"MOVE 1:* Trash")
        c.no(b"UID MOVE 5 Archive")
        c.no(b"REPLACE 2 INBOX {%d+}\r\n%s" % (len(MESSAGE), MESSAGE))
        tap.eq(uids(c, b"Trash"), [])
        tap.eq(uids(c, b"INBOX"), [1])
        c.ok(b"SELECT Archive")
        c.ok(b"COPY 1:* Trash")
        c.ok(b"MOVE 1 Trash")
        tap.eq(uids(c, b"Archive"), [5])
        c.ok(b"SELECT Trash")
        c.ok(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        tap.ok(KEPT not in c.ok(b"EXPUNGE")[1], "Trash keeps nothing")
        tap.eq(uids(c, b"Trash"), [])


def test_mailbox(s):
    """DELETE and RENAME, of the mailbox or one above it"""
    with login(s) as c:
        c.no(b"DELETE Archive")
        c.no(b"RENAME Archive Old")
        c.ok(b"CREATE Law/Cases")
        c.ok(b"RENAME Law Laws")
        c.ok(b"RENAME Laws Law")
        append(c, b"Law/Cases")
        c.no(b"RENAME Law Laws")
        c.no(b"RENAME Law/Cases Cases")
        c.no(b"DELETE Law/Cases")
        tap.eq(uids(c, b"Law/Cases"), [1])
        age(s, (1,), 8)
        c.ok(b"RENAME Law Laws")
        c.ok(b"DELETE Laws/Cases")


def test_seconds(s):
    """a time that runs out; INBOX, whatever its case"""
    with login(s, "bob") as c:
        append(c, b"INBOX", 2)
        c.no(b"RENAME INBOX Elsewhere")
        c.ok(b"SELECT inbox")
        c.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        tap.contains(c.ok(b"EXPUNGE")[1], b"1 message " + KEPT)
        age(s, (1, 2), 1)
        append(c, b"INBOX")
        pop = s.pop3("bob")
        for n in (2, 3):
            pop.dele(n)
        try:
            tap.ok(False, "%r" % pop.quit())
        except Exception as e:
            tap.contains(str(e), "1 message must be kept")
        time.sleep(4)
        c.ok(b"EXPUNGE")
        tap.eq(uids(c, b"INBOX"), [3])
        pop = s.pop3("bob")
        pop.dele(1)
        tap.contains(pop.quit(), b"+OK")
        tap.eq(uids(c, b"INBOX"), [])


def test_settings(s):
    """`expire` must not be shorter, and the error says where"""
    s.extra["mailbox.Archive"] = {"retain": "1y", "expire": "364d"}
    s.write_config()
    done = s.cli("config", "check", check=False)
    said = done.stderr + done.stdout
    tap.eq(done.returncode, 1)
    tap.contains(said, "`expire` of [mailbox.Archive]")
    tap.ok("config.toml:" in said or "line" in said, said)
    s.extra["mailbox.Archive"] = {"retain": "1y", "expire": "365d"}
    s.write_config()
    s.cli("config", "check")
    age(s, (5,), 364)
    tap.eq(s.cli_json("expire"), [])
    age(s, (5,), 366)
    tap.eq([(r["mailbox"], r["messages"]) for r in s.cli_json("expire")],
           [("Archive", 1)])


def test_account(s):
    """the administrator may remove all"""
    with login(s) as c:
        append(c, b"Archive")
    s.cli("account", "remove", "alice@example.test")
    tap.ok("alice" not in s.cli("account", "list").stdout)


with Server({"mailbox.Archive": {"retain": "1y"},
             'mailbox."Law/Cases"': {"retain": "7d"},
             "mailbox.INBOX": {"retain": "3s"}}) as server:
    tap.run(globals(), server)
tap.done()
