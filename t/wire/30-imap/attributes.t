#!/usr/bin/python3
"""What IMAP tells of messages and mailboxes beyond flags and dates: SAVEDATE
(RFC 8514), OBJECTID (RFC 8474), PREVIEW (RFC
8970), QUOTA (RFC 9208)."""
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


def login(s, select=None, account=b"bob@example.test"):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s "%s"' % (account, PASSWORD.encode()))
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


# ------------------------------------------------------------ OBJECTID

def mail(own, more=b""):
    return b"Message-ID: <%s@x>\r\n%sSubject: m\r\n\r\nx\r\n" % (own, more)


def ids(c, item, messages=b"1:*"):
    """What FETCH says of each message: the id, None for NIL."""
    return [None if m.group(1) == b"NIL" else m.group(1)[1:-1]
            for m in (re.search(item + rb" (NIL|\([^)]*\))", line)
                      for line in c.ok(b"FETCH %s %s" % (messages, item))
                      if b" FETCH " in line)]


def mailbox_id(c, name):
    line = c.ok(b"STATUS %s (MESSAGES MAILBOXID)" % name)[0]
    return re.search(rb"MAILBOXID \(([A-Za-z0-9_-]{1,255})\)", line).group(1)


def test_mailbox_id(s):
    """MAILBOXID: told by CREATE, SELECT, STATUS, LIST; kept by RENAME"""
    with fresh(s, b"a") as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"OBJECTID")
        c.imap(b"x", b"DELETE moved")
        c.ok(b"DELETE a")
        c.ok(b"CREATE a/")
        here = re.search(rb"\[MAILBOXID \((\w+)\)\]", c.rest).group(1)
        tap.eq(mailbox_id(c, b"a"), here)
        tap.ok(mailbox_id(c, b"INBOX") != here, "each has its own")
        for verb in (b"SELECT a", b"EXAMINE a"):
            tap.contains(b"\n".join(c.ok(verb)),
                         b"* OK [MAILBOXID (%s)]" % here)
        c.ok(b"RENAME a moved")
        tap.eq(mailbox_id(c, b"moved"), here)
        tap.contains(b"\n".join(c.ok(b'LIST "" moved RETURN (STATUS '
                                     b"(MAILBOXID))")),
                     b"* STATUS moved (MAILBOXID (%s))" % here)
        c.ok(b"CREATE a")
        tap.ok(mailbox_id(c, b"a") != here, "a new one is another")


def test_email_id(s):
    """EMAILID: copies have the same, other messages another"""
    with fresh(s, b"a", b"b") as c:
        for _ in range(2):
            c.append(b"a", mail(b"1"))
        c.ok(b"SELECT a")
        first, second = ids(c, b"EMAILID")
        tap.ok(first != second, "two messages are two")
        c.ok(b"COPY 1 a")
        tap.eq(ids(c, b"EMAILID", b"3"), [first])
        for keys, want in ((b"EMAILID " + first, [1, 3]),
                           (b"NOT EMAILID " + first, [2]),
                           (b"EMAILID Mzz", []), (b"EMAILID F1", []),
                           (b"EMAILID " + b"M" + 40 * b"1", [])):
            tap.eq(found(c, keys), want, keys)
        c.ok(b"MOVE 2 b")
        c.ok(b"SELECT b")
        tap.eq(ids(c, b"EMAILID"), [second])
        c.refused(b"SEARCH EMAILID", b"BAD")


def test_thread_id(s):
    """THREADID: the first that a message refers to, or itself"""
    with fresh(s, b"a") as c:
        for message in (mail(b"r1", b"References: <root@x> <q@x>\r\n"),
                        mail(b"root"), mail(b"other"), MESSAGE,
                        mail(b"r2", b"In-Reply-To: <root@x>\r\n")):
            c.append(b"a", message)
        c.ok(b"SELECT a")
        of = ids(c, b"THREADID")
        tap.eq([of[0] == of[1], of[1] == of[4], of[2] != of[1], of[3]],
               [True, True, True, None])
        for keys, want in ((b"THREADID " + of[0], [1, 2, 5]),
                           (b"NOT THREADID " + of[0], [3, 4]),
                           (b"THREADID " + of[2] + b" 3:4", [3]),
                           (b"THREADID T0", []), (b"THREADID x", [])):
            tap.eq(found(c, keys), want, keys)


def age_last(s):
    """The cache of the newest message, which has one part and "x" as its
    preview, as it was written before there were threads and previews."""
    change(s, "UPDATE cache SET bytes = CAST(substr(bytes, 1, 3) || x'01' ||"
           " substr(bytes, 5, 25) || substr(bytes, 52, length(bytes) - 77)"
           " || substr(bytes, -25) AS BLOB)"
           " WHERE message = (SELECT max(message) FROM entry)")


def test_old_cache(s):
    """messages whose cache is of an older form have a thread too"""
    with fresh(s, b"a") as c:
        c.append(b"a", mail(b"aged"))
        c.ok(b"SELECT a")
        want = ids(c, b"THREADID")
        age_last(s)
        tap.eq(ids(c, b"THREADID"), want)
        tap.contains(c.ok(b"FETCH 1 ENVELOPE")[0], b"<aged@x>")
        tap.eq(found(c, b"THREADID " + want[0]), [1])


# ------------------------------------------------------------- PREVIEW

HTML = (b"Subject: h\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b"<style>p {}</style><p>Gr\xc3\xbc\xc3\x9fe</p><p>an alle</p>\r\n")
LONG = b"Subject: l\r\n\r\n" + 40 * b"0123456789\r\n"


def test_preview(s):
    """PREVIEW and PREVIEW (LAZY), in a list and alone"""
    with fresh(s, b"a") as c:
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"PREVIEW")
        for message in (MESSAGE, HTML, LONG, b"Subject: none\r\n\r\n"):
            c.append(b"a", message)
        c.ok(b"SELECT a")
        for how in (b"PREVIEW", b"preview (lazy)"):
            got = b"\r\n".join(c.ok(b"FETCH 1:* (%s UID)" % how))
            for want in (b'1 FETCH (PREVIEW "x" UID 1)',
                         b"2 FETCH (PREVIEW {15}\r\nGr\xc3\xbc\xc3\x9fe an "
                         b"alle UID 2)", b'4 FETCH (PREVIEW "" UID 4)'):
                tap.contains(got, want)
            tap.eq(len(re.search(rb'3 FETCH \(PREVIEW "([^"]*)"',
                                 got).group(1)), 200)
        for command in (b"FETCH 1 PREVIEW", b"FETCH 1 PREVIEW (LAZY)",
                        b"FETCH 1 (PREVIEW (LAZY))"):
            tap.eq(c.ok(command), [b'* 1 FETCH (PREVIEW "x")'], command)
        for command in (b"FETCH 1 PREVIEW (CHANGEDSINCE 1)",
                        b"FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 1)"):
            tap.contains(c.ok(command)[0], b'FETCH (PREVIEW "x" MODSEQ (')
        for command in (b"FETCH 1 PREVIEW (BUSY)",
                        b"FETCH 1 (PREVIEW (BUSY))"):
            c.refused(command, b"BAD")
        tap.eq(c.ok(b"SEARCH SEEN"), [b"* SEARCH"])


def test_preview_old(s):
    """what is not at hand is NIL to the lazy, and made for others"""
    with fresh(s, b"a") as c:
        c.append(b"a")
        age_last(s)
        c.ok(b"SELECT a")
        tap.eq(c.ok(b"FETCH 1 PREVIEW (LAZY)"), [b"* 1 FETCH (PREVIEW NIL)"])
        tap.eq(c.ok(b"FETCH 1 PREVIEW"), [b'* 1 FETCH (PREVIEW "x")'])


# --------------------------------------------------------------- QUOTA

def set_quota(s, *options):
    s.cli("account", "set", "bob@example.test", *options)


def deliver(s):
    with Line(s.ports["smtp"]) as c:
        c.reply()
        for line in (b"EHLO x", b"MAIL FROM:<a@elsewhere.test>"):
            c.ask(line)
        return c.ask(b"RCPT TO:<bob@example.test>")


def test_quota(s):
    """GETQUOTA, GETQUOTAROOT; a resource without a limit is not told"""
    with fresh(s, b"a") as c:
        for word in (b"QUOTA", b"QUOTA=RES-STORAGE", b"QUOTA=RES-MESSAGE"):
            tap.contains(c.ok(b"CAPABILITY")[0].split(), word)
        c.append(b"a", LONG)
        tap.eq(c.ok(b'GETQUOTA ""'), [b'* QUOTA "" ()'])
        row = [a for a in s.cli_json("account", "list")
               if a["account"] == "bob@example.test"][0]
        set_quota(s, "--quota", "64 KiB")
        used = -(-row["bytes"] // 1024)
        tap.eq(c.ok(b'GETQUOTA ""'),
               [b'* QUOTA "" (STORAGE %d 64)' % used])
        set_quota(s, "--messages", "1000")
        want = b'* QUOTA "" (STORAGE %d 64 MESSAGE %d 1000)' % (
            used, row["messages"])
        for name in (b"INBOX", b"a", b"not-there"):
            tap.eq(c.ok(b"GETQUOTAROOT " + name),
                   [b'* QUOTAROOT %s ""' % name, want])
        set_quota(s, "--quota", "none")
        tap.eq(c.ok(b'GETQUOTA ""'),
               [b'* QUOTA "" (MESSAGE %d 1000)' % row["messages"]])
        set_quota(s, "--messages", "none")
        tap.eq(c.ok(b'GETQUOTA ""'), [b'* QUOTA "" ()'])
        tap.contains(c.refused(b"GETQUOTA other", b"NO"), b"NONEXISTENT")
        for command in (b'SETQUOTA "" (STORAGE 512)', b'SETQUOTA "" ()'):
            tap.contains(c.refused(command, b"NO"), b"NOPERM")
        for command in (b"GETQUOTA", b"GETQUOTAROOT", b"SETQUOTA",
                        b'SETQUOTA ""'):
            c.refused(command, b"BAD")


def test_quota_shared(s):
    """the root of a mailbox that another shares is that account's"""
    theirs = b'"Other Users/bob@example.test/a"'
    with fresh(s, b"a") as c, login(s, account=b"alice@example.test") as d:
        c.append(b"a")
        set_quota(s, "--messages", "500")
        tap.contains(d.refused(b"GETQUOTAROOT " + theirs, b"NO"),
                     b"NONEXISTENT")
        c.ok(b"SETACL a alice@example.test lri")
        got = d.ok(b"GETQUOTAROOT " + theirs)
        tap.eq(got[0], b'* QUOTAROOT %s "bob@example.test"' % theirs)
        tap.contains(got[1], b'* QUOTA "bob@example.test" (MESSAGE ')
        tap.eq(d.ok(b"GETQUOTAROOT INBOX"),
               [b'* QUOTAROOT INBOX ""', b'* QUOTA "" ()'])
        set_quota(s, "--messages", "none")


def test_over_messages(s):
    """full by messages: no APPEND, COPY or delivery; MOVE needs no room"""
    with fresh(s, b"a", b"b") as c:
        c.append(b"a")
        here = [a["messages"] for a in s.cli_json("account", "list")
                if a["account"] == "bob@example.test"][0]
        tap.eq(deliver(s)[0], 250)
        set_quota(s, "--messages", str(here))
        c.ok(b"SELECT a")
        for command in (b"APPEND a {%d+}\r\n%s" % (len(MESSAGE), MESSAGE),
                        b"COPY 1 b"):
            tap.contains(c.refused(command, b"NO"), b"[OVERQUOTA]")
        code, *text = deliver(s)
        tap.eq(code, 452)
        tap.contains(repr(text), "4.2.2")
        c.ok(b"MOVE 1 b")
        set_quota(s, "--messages", str(here + 1))
        c.append(b"a")
        tap.contains(c.refused(b"APPEND a {%d+}\r\n%s" % (
            len(MESSAGE), MESSAGE), b"NO"), b"[OVERQUOTA]")
        set_quota(s, "--messages", "none")
        tap.eq(deliver(s)[0], 250)


def test_deleted_storage(s):
    """STATUS DELETED and DELETED-STORAGE, in units of 1024 octets"""
    with fresh(s, b"a") as c:
        for _ in range(5):
            c.append(b"a", LONG)
        c.append(b"a")
        for flagged, want in ((b"", 0), (b"1", 1), (b"1:5", 3)):
            c.ok(b"SELECT a")
            if flagged:
                c.ok(b"STORE %s +FLAGS.SILENT (\\Deleted)" % flagged)
            n = len(found(c, b"DELETED"))
            tap.eq(c.ok(b"STATUS a (DELETED DELETED-STORAGE)"),
                   [b"* STATUS a (DELETED %d DELETED-STORAGE %d)"
                    % (n, want)])


with Server() as server:
    tap.run(globals(), server)
tap.done()
