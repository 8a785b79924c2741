#!/usr/bin/python3
"""What IMAP tells of messages and mailboxes beyond flags and dates: SAVEDATE
(RFC 8514)."""
import re
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"
OLD = b'"17-Jul-1996 02:44:25 +0000"'


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        self.rest = rest
        return lines

    def refused(self, command, how):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))
        return rest

    def append(self, name, message=MESSAGE, more=b""):
        self.ok(b"APPEND %s %s{%d+}\r\n%s" % (name, more, len(message),
                                              message))


def login(s, select=None):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if select:
        c.ok(b"SELECT " + select)
    return c


def fresh(s, *names):
    """A session with new mailboxes of these names."""
    c = login(s)
    for name in names:
        c.imap(b"x", b"DELETE " + name)
        c.ok(b"CREATE " + name)
    return c


def change(s, sql, *values):
    """Changes the store behind the server's back."""
    db = sqlite3.connect(s.data + "/sqlite/mailroom.db", timeout=20)
    with db:
        db.execute(sql, values)
    db.close()


def found(c, keys):
    return [int(n) for n in c.ok(b"SEARCH " + keys)[0].split()[2:]]


# ------------------------------------------------------------ SAVEDATE

def saved(c, uid):
    line = c.ok(b"UID FETCH %d (SAVEDATE INTERNALDATE)" % uid)[0]
    date = re.search(rb'SAVEDATE "([^"]+)"', line).group(1).decode()
    tap.contains(line, b"INTERNALDATE " + OLD)
    return time.mktime(time.strptime(date[:20].strip(),
                                     "%d-%b-%Y %H:%M:%S"))


def back_date(s, c, name, days):
    """All messages of a mailbox were saved so long ago."""
    change(s, "UPDATE entry SET saved_ms = ? WHERE mailbox = (SELECT m.id"
           " FROM mailbox m JOIN account a ON a.id = m.account WHERE"
           " m.name = ? AND a.name = 'bob@example.test')",
           int((time.time() - days * 86400) * 1000), name)


def test_saved(s):
    """SAVEDATE is of this mailbox, whatever INTERNALDATE says"""
    with fresh(s, b"a", b"b") as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"SAVEDATE")
        begin = time.time() - 2
        for _ in range(2):
            c.append(b"a", more=OLD + b" ")
        c.ok(b"SELECT a")
        tap.ok(begin <= saved(c, 1) <= time.time() + 2, "it is now")
        back_date(s, c, "a", 10)
        tap.ok(saved(c, 1) < begin - 9 * 86400, "ten days ago")
        c.ok(b"UID COPY 1 b")
        c.ok(b"UID MOVE 2 b")
        c.ok(b"SELECT b")
        for uid in (1, 2):
            tap.ok(begin <= saved(c, uid), "COPY and MOVE set it anew")


def test_saved_search(s):
    """SAVEDBEFORE, SAVEDON, SAVEDSINCE and SAVEDATESUPPORTED"""
    with fresh(s, b"a", b"b") as c:
        c.append(b"a")
        back_date(s, c, "a", 10)
        c.append(b"a")
        c.ok(b"SELECT a")
        then, today = (time.strftime("%d-%b-%Y", time.localtime(
            time.time() - days * 86400)).encode() for days in (10, 0))
        for keys, want in ((b"SAVEDATESUPPORTED", [1, 2]),
                           (b"SAVEDON " + then, [1]),
                           (b"SAVEDON " + today, [2]),
                           (b"SAVEDSINCE " + then, [1, 2]),
                           (b"SAVEDSINCE " + today, [2]),
                           (b"SAVEDBEFORE " + today, [1]),
                           (b"SAVEDBEFORE " + then, []),
                           (b"NOT SAVEDBEFORE " + today, [2]),
                           (b"SAVEDSINCE 1-Jan-2024 SUBJECT m", [1, 2])):
            tap.eq(found(c, keys), want, keys)
        c.refused(b"SEARCH SAVEDON", b"BAD")
        c.refused(b"SEARCH SAVEDON x", b"BAD")


with Server() as server:
    tap.run(globals(), server)
tap.done()
