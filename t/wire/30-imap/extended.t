#!/usr/bin/python3
"""IMAP beyond RFC 3501: LIST-EXTENDED, LIST-STATUS, CREATE-SPECIAL-USE,
CONDSTORE, QRESYNC, UTF8=ACCEPT; limits; staying in step."""
import random
import re
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, SLOW, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nx\r\n"


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


def connect(s):
    c = Box(s.ports["imap"])
    c.line()
    return c


def login(s, select=None):
    c = connect(s)
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if select:
        c.ok(b"SELECT " + select)
    return c


def fresh(s, name, n):
    """A session with n messages in a mailbox of that name, selected."""
    c = login(s)
    c.imap(b"x", b"DELETE " + name)
    c.ok(b"CREATE " + name)
    for _ in range(n):
        c.ok(b"APPEND %s {%d+}\r\n%s" % (name, len(MESSAGE), MESSAGE))
    c.ok(b"SELECT " + name)
    return c


def modseq(c, name):
    line = c.ok(b"STATUS %s (HIGHESTMODSEQ)" % name)[0]
    return int(re.search(rb"HIGHESTMODSEQ (\d+)", line).group(1))


def test_list_children(s):
    """\\HasChildren, parents that are not there, several patterns"""
    with login(s) as c:
        c.ok(b"CREATE p/q")
        got = b"\n".join(c.ok(b'LIST "" (p p/%) RETURN (CHILDREN)'))
        tap.ok(re.search(rb'\(\\HasChildren\) "/" p$', got, re.M), got)
        tap.ok(re.search(rb'\(\\HasNoChildren\) "/" p/q$', got, re.M), got)
        c.ok(b"DELETE p/q")
        c.ok(b"DELETE p")
        c.refused(b'LIST (FROB) "" *', b"BAD")
        c.refused(b'LIST (RECURSIVEMATCH) "" *', b"BAD")
        c.refused(b'LIST "" * RETURN (FROB)', b"BAD")
        c.refused(b'LIST "" * FROB ()', b"BAD")


def test_list_subscribed(s):
    """SUBSCRIBED as selection and as answer; RECURSIVEMATCH"""
    with login(s) as c:
        c.ok(b"CREATE n/o")
        c.ok(b"SUBSCRIBE n/o")
        got = c.ok(b'LIST (SUBSCRIBED) "" n*')
        tap.eq(got, [b'* LIST (\\HasNoChildren \\Subscribed) "/" n/o'])
        got = c.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" n%')
        tap.eq(len(got), 1)
        tap.contains(got[0], b'"/" n ("CHILDINFO" ("SUBSCRIBED"))')
        tap.eq(c.ok(b'LSUB "" n%'), [b'* LSUB (\\Noselect) "/" n'])
        got = c.ok(b'LIST "" n* RETURN (SUBSCRIBED)')
        tap.eq(len(got), 2)
        tap.eq(b"".join(got).count(b"\\Subscribed"), 1)
        c.ok(b"DELETE n/o")
        got = c.ok(b'LIST (SUBSCRIBED) "" n*')
        tap.contains(b"".join(got), b"\\NonExistent")
        c.ok(b"UNSUBSCRIBE n/o")
        c.ok(b"DELETE n")


def test_list_status(s):
    """LIST RETURN (STATUS ...)"""
    with login(s) as c:
        got = c.ok(b'LIST "" Sent RETURN (STATUS (MESSAGES UIDNEXT SIZE))')
        tap.eq(len(got), 2)
        tap.ok(re.match(rb"\* STATUS Sent \(MESSAGES \d+ UIDNEXT \d+ "
                        rb"SIZE \d+\)$", got[1]), got)


def test_create_special_use(s):
    """CREATE ... (USE ...)"""
    with login(s) as c:
        c.ok(b"CREATE old (USE (\\Archive))")
        tap.contains(b"".join(c.ok(b'LIST (SPECIAL-USE) "" old')),
                     b"\\Archive")
        tap.contains(c.refused(b"CREATE all (USE (\\All))", b"NO"),
                     b"[USEATTR]")
        c.refused(b"CREATE x (FROB (\\All))", b"BAD")
        c.refused(b"CREATE x (USE", b"BAD")
        c.ok(b"DELETE old")


def test_status_items(s):
    """all items of STATUS"""
    with fresh(s, b"st", 3) as c:
        c.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted \\Seen)")
        line = c.ok(b"STATUS st (MESSAGES UNSEEN DELETED SIZE HIGHESTMODSEQ "
                    b"APPENDLIMIT)")[0]
        for want in (rb"MESSAGES 3\b", rb"UNSEEN 2\b", rb"DELETED 1\b",
                     rb"SIZE %d\b" % (3 * len(MESSAGE)),
                     rb"HIGHESTMODSEQ \d+", rb"APPENDLIMIT \d+"):
            tap.ok(re.search(want, line), line)


def test_own_delete(s):
    """the selected mailbox is deleted by this session: it goes on"""
    with fresh(s, b"mine", 1) as c:
        c.ok(b"DELETE mine")
        c.refused(b"FETCH 1 FLAGS", b"BAD")
        c.ok(b"NOOP")


def test_condstore(s):
    """another session's changes come with MODSEQ once it was asked for"""
    with fresh(s, b"cs", 2) as c, login(s, b"cs") as other:
        c.ok(b"SELECT cs (CONDSTORE)")
        other.ok(b"STORE 2 +FLAGS (\\Flagged)")
        tap.ok(re.match(rb"\* 2 FETCH \(FLAGS \(.*\\Flagged.*\) "
                        rb"MODSEQ \(\d+\)\)$", c.ok(b"NOOP")[0]))
        c.refused(b"SELECT cs (QRESYNC (1 1))", b"BAD")
        c.refused(b"SELECT cs (FROB)", b"BAD")


def test_qresync(s):
    """a client that comes back is told what it missed, and no more"""
    with fresh(s, b"qr", 6) as c:
        line = c.ok(b"STATUS qr (UIDVALIDITY)")[0]
        validity = int(re.search(rb"UIDVALIDITY (\d+)", line).group(1))
        before = modseq(c, b"qr")
        c.ok(b"STORE 2,4:5 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"EXPUNGE")
        c.ok(b"STORE 1 +FLAGS (\\Seen)")
    with login(s) as c:
        got = c.ok(b"ENABLE QRESYNC")[0].split()
        tap.contains(got, b"QRESYNC")

        def come_back(rest):
            return [li for li in c.ok(b"SELECT qr (QRESYNC (%s))" % rest)
                    if b"VANISHED" in li or b"FETCH" in li]

        got = come_back(b"%d %d" % (validity, before))
        tap.eq(got[0], b"* VANISHED (EARLIER) 2,4:5")
        tap.eq(len(got), 2)
        tap.ok(re.match(rb"\* 1 FETCH \(UID 1 FLAGS \(.*\\Seen.*\) MODSEQ "
                        rb"\(\d+\)\)$", got[1]), got[1])
        tap.eq(come_back(b"%d %d 3:4" % (validity, before)),
               [b"* VANISHED (EARLIER) 4"])
        tap.eq(len(come_back(b"%d %d 1:6 (1:3 1:3)" % (validity, before))), 2)
        tap.eq(come_back(b"%d %d" % (validity + 1, before)), [])
        tap.eq(come_back(b"%d %d" % (validity, modseq(c, b"qr"))), [])
        for bad in (b"1", b"1 x", b"1 1 0", b"1 1 1:2 3", b"1 1 (1)",
                    b"1 1 $", b"1 1 1:2 ($ 1)", b"1 1 1:2 (1 $)"):
            c.refused(b"SELECT qr (QRESYNC (%s))" % bad, b"BAD")


def test_vanished(s):
    """VANISHED stands for EXPUNGE after ENABLE QRESYNC"""
    with fresh(s, b"va", 5) as other, login(s) as c:
        c.ok(b"ENABLE QRESYNC")
        c.ok(b"SELECT va")
        other.ok(b"STORE 1,3:4 +FLAGS.SILENT (\\Deleted)")
        other.ok(b"EXPUNGE")
        tap.contains(c.ok(b"NOOP"), b"* VANISHED 1,3:4")
        c.ok(b"UID STORE 2 +FLAGS.SILENT (\\Deleted)")
        tap.eq(c.ok(b"EXPUNGE"), [b"* VANISHED 2"])
        rest = c.rest
        tap.contains(rest, b"[HIGHESTMODSEQ %d]" % modseq(c, b"va"))
        tap.contains(c.ok(b"SELECT va"),
                     b"* OK [CLOSED] Previous mailbox is closed")


def test_utf8(s):
    """UTF8=ACCEPT: names as they are, APPEND with UTF8"""
    name = "Entw\u00fcrfe".encode()
    with login(s) as c:
        c.ok(b"ENABLE UTF8=ACCEPT")
        c.ok(b'CREATE "%s"' % name)
        tap.contains(b"".join(c.ok(b'LIST "" "Entw*"')), name)
        message = b"Subject: " + name + b"\r\n\r\nx\r\n"
        c.ok(b'APPEND "%s" (\\Seen) UTF8 (~{%d+}\r\n%s)'
             % (name, len(message), message))
        c.refused(b'APPEND "%s" UTF8 (~{1+}\r\nx' % name, b"BAD")
        with login(s) as old:
            tap.contains(b"".join(old.ok(b'LIST "" *')), b"Entw&APw-rfe")
            old.refused(b'APPEND INBOX UTF8 (~{1+}\r\nx)', b"BAD")
        c.ok(b'DELETE "%s"' % name)


def test_in_step(s):
    """literals that nobody wants are not taken for commands"""
    trap = b"x LOGOUT\r\n" * 20000
    for before in (b"APPEND nothing", b"APPEND", b"LOGIN", b"FROB",
                   b"SELECT", b"APPEND INBOX (\\Frob)", b"NOOP",
                   b'APPEND INBOX "no date"', b"APPEND /x//y"):
        with login(s) as c:
            c.send(b"a %s {%d+}\r\n%s\r\nb NOOP\r\n" % (before, len(trap),
                                                        trap))
            tap.ok(c.until(b"a")[1].startswith((b"NO", b"BAD")))
            tap.ok(c.until(b"b")[1].startswith(b"OK"))
    with connect(s) as c:
        c.send(b"a APPEND INBOX {%d+}\r\n%s {2+}\r\nxx\r\nb NOOP\r\n"
               % (len(trap), trap))
        tap.ok(c.until(b"a")[1].startswith(b"BAD"))
        tap.ok(c.until(b"b")[1].startswith(b"OK"))


def test_not_asked_for(s):
    """what is refused is not asked for"""
    with login(s) as c:
        for command in (b"APPEND nothing {5}", b"APPEND INBOX (\\Frob) {5}",
                        b"APPEND INBOX {99999999}", b"LOGIN {500000}",
                        b"APPEND INBOX {0}"):
            c.send(b"a " + command + b"\r\n")
            tap.ok(c.line().startswith((b"a NO", b"a BAD")), command)
        c.ok(b"NOOP")


def test_pieces(s):
    """a command that comes byte by byte"""
    with login(s) as c:
        for byte in b"a STATUS {5+}\r\nINBOX (MESSAGES)\r\n":
            c.send(bytes([byte]))
        tap.ok(c.until(b"a")[1].startswith(b"OK"))


def test_errors(s):
    """limits.errors bad commands end the session with BYE"""
    with connect(s) as c:
        c.send(b"a FROB\r\n" * 50)
        lines = []
        try:
            while True:
                lines.append(c.line())
        except (EOFError, OSError):
            pass
        tap.eq(len([li for li in lines if li.startswith(b"a BAD")]), 20)
        tap.ok(lines[-1].startswith(b"* BYE"), lines[-1])


def test_wrong_passwords(s):
    """limits.auth_tries wrong passwords end the session with BYE"""
    with connect(s) as c:
        for _ in range(2):
            c.refused(b"LOGIN bob@example.test wrong", b"NO")
        lines, rest = c.imap(b"t", b"LOGIN bob@example.test wrong")
        tap.ok(lines[-1].startswith(b"* BYE"), lines)
        tap.ok(c.at_end())


def test_clear_text(s):
    """no password in the clear"""
    with connect(s) as c:
        words = c.ok(b"CAPABILITY")[0].split()
        tap.contains(words, b"LOGINDISABLED")
        tap.ok(not any(w.startswith(b"AUTH=") for w in words), words)
        for command in (b"LOGIN bob@example.test x", b"AUTHENTICATE PLAIN",
                        b"AUTHENTICATE PLAIN AGEAYg=="):
            tap.contains(c.refused(command, b"NO"), b"[PRIVACYREQUIRED]")
        c.ok(b"STARTTLS")
        c.start_tls(s.tls)
        tap.contains(c.ok(b"CAPABILITY")[0].split(), b"AUTH=PLAIN")
        c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())


def test_idle_too_long(s):
    """limits.imap_timeout, between commands and in IDLE"""
    with login(s) as c, login(s, b"INBOX") as i:
        i.send(b"i IDLE\r\n")
        tap.ok(i.line().startswith(b"+"))
        start = time.monotonic()
        for who in (c, i):
            line = who.line()
            while not line.startswith(b"* BYE"):
                line = who.line()
            tap.ok(who.at_end())
        tap.ok(time.monotonic() - start > 1)


def test_drain(s):
    """the server's end is said, in IDLE too"""
    with login(s) as c, login(s, b"INBOX") as i:
        i.send(b"i IDLE\r\n")
        tap.ok(i.line().startswith(b"+"))
        s.proc.terminate()
        for who in (c, i):
            tap.ok(who.line().startswith(b"* BYE"))
            tap.ok(who.at_end())


class Model:
    """What a client knows: the UID behind each number, None: not yet."""

    def __init__(self, box):
        self.box = box
        self.uids = []

    def command(self, text):
        lines, rest = self.box.imap(b"t", text)
        for line in lines:
            self.take(line, text)
        return rest

    def take(self, line, text):
        m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)(.*)", line, re.S)
        if not m:
            return
        number = int(m.group(1))
        if m.group(2) == b"EXISTS":
            tap.ok(number >= len(self.uids), "EXISTS goes down")
            self.uids += [None] * (number - len(self.uids))
            return
        tap.ok(1 <= number <= len(self.uids), line)
        if m.group(2) == b"EXPUNGE":
            tap.ok(not text.startswith((b"FETCH", b"STORE", b"SEARCH")),
                   "EXPUNGE during %r" % text)
            del self.uids[number - 1]
            return
        uid = re.search(rb"UID (\d+)", m.group(3))
        if uid:
            tap.ok(self.uids[number - 1] in (None, int(uid.group(1))),
                   "number %d was UID %r, is %s" % (
                       number, self.uids[number - 1], uid.group(1)))
            self.uids[number - 1] = int(uid.group(1))


def churn(s, seed, failed):
    r = random.Random(seed)
    append = b"APPEND busy {%d+}\r\n%s" % (len(MESSAGE), MESSAGE)
    try:
        with login(s) as box:
            c = Model(box)
            c.command(b"SELECT busy")
            for _ in range(60):
                uid = r.randint(1, 60)
                number = r.randint(1, max(1, len(c.uids)))
                c.command(r.choice((
                    b"NOOP", append, b"EXPUNGE", b"SEARCH DELETED",
                    b"FETCH 1:* (UID FLAGS)",
                    b"STORE %d +FLAGS (\\Answered)" % number,
                    b"UID STORE %d +FLAGS (\\Seen)" % uid,
                    b"UID STORE %d -FLAGS (\\Seen)" % uid,
                    b"UID STORE %d +FLAGS (\\Deleted)" % uid)))
            barrier.wait(60 * SLOW)
            c.command(b"NOOP")
            c.command(b"FETCH 1:* (UID FLAGS)")
            return c.uids
    except Exception as e:
        failed.append("%s: %s" % (type(e).__name__, e))
        barrier.abort()
    return None


def test_many_sessions(s):
    """sessions that change one mailbox at once: no number ever means another
    message, and all see the same in the end"""
    fresh(s, b"busy", 30).close()
    failed, seen = [], []
    threads = [threading.Thread(target=lambda n=n: seen.append(
        churn(s, n, failed))) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.eq(failed, [])
    tap.eq(len(seen), 6)
    tap.ok(all(one == seen[0] and None not in one for one in seen), seen)


barrier = threading.Barrier(6)
LIMITS = {"errors": 20, "auth_tries": 3, "auth_delay": "100ms"}
with Server({"limits": LIMITS}) as server:
    quick = {k: v for k, v in globals().items()
             if k not in ("test_idle_too_long", "test_drain",
                          "test_clear_text")}
    tap.run(quick, server)
    tap.run({"test_drain": test_drain}, server)
with Server({"limits": {"imap_timeout": "1500ms"}}) as server:
    tap.run({"test_idle_too_long": test_idle_too_long}, server)
with Server({"limits": {"cleartext_loopback": False}}) as server:
    tap.run({"test_clear_text": test_clear_text}, server)
tap.done()
