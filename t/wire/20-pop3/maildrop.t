#!/usr/bin/python3
"""The maildrop as RFC 1939 means it: one session at a time, ids for life; and
what RFC 2449 and 3206 say of answers, delays and pipelines."""
import os
import signal
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server, wait_for
from wire import Line


class Pop(Line):
    def ask(self, command):
        self.send(command.encode() + b"\r\n")
        return self.line().decode()

    def good(self, command):
        answer = self.ask(command)
        tap.ok(answer.startswith("+OK"), "%s: %s" % (command, answer))
        return answer

    def many(self, command):
        self.good(command)
        return self.rest()

    def rest(self):
        lines = []
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return lines


def connect(s):
    c = Pop(s.ports["pop3"], timeout=30)
    tap.ok(c.line().startswith(b"+OK"))
    return c


def enter(s, name="bob"):
    """A connection, and the answer to its password."""
    c = connect(s)
    c.good("USER %s@example.test" % name)
    return c, c.ask("PASS " + PASSWORD)


def login(s, name="bob"):
    c, answer = enter(s, name)
    tap.ok(answer.startswith("+OK"), answer)
    return c


def fill(s, n, name="bob"):
    box = s.imap(name)
    for i in range(n):
        box.append("INBOX", None, None, b"Subject: %d\r\n\r\n%d\r\n" % (
            i, i))
    box.logout()


def refill(s, n, name="bob"):
    s.empty(name)
    fill(s, n, name)


def ids(s):
    with login(s) as c:
        found = dict(line.split() for line in c.many("UIDL"))
        c.good("QUIT")
    return [found[b"%d" % n] for n in range(1, len(found) + 1)]


def test_exclusive(s):
    """a second session is told [IN-USE]; others and IMAP are not kept out"""
    refill(s, 2)
    with login(s) as one:
        for _ in range(2):
            other, answer = enter(s)
            tap.ok(answer.startswith("-ERR [IN-USE]"), answer)
            tap.ok(other.at_end(), "it is shown out")
            other.close()
        login(s, "alice").close()
        box = s.imap("bob")
        box.store("1", "+FLAGS", "(\\Seen)")
        box.logout()
        tap.eq(len(one.many("LIST")), 2)
        one.good("QUIT")


def test_free_again(s):
    """after QUIT at once; a client that just hung up need not come twice"""
    refill(s, 1)
    for _ in range(20):
        c = login(s)
        c.good("QUIT")
        login(s).close()


def test_waits(s):
    """who comes while the other leaves is let in; mail is as it was left"""
    refill(s, 2)
    one = login(s)
    other = connect(s)
    other.good("USER bob@example.test")
    other.send(b"PASS " + PASSWORD.encode() + b"\r\nSTAT\r\n")
    time.sleep(0.3)
    one.good("DELE 1")
    one.good("QUIT")
    tap.eq(other.line(), b"+OK 1 messages")
    tap.ok(other.line().startswith(b"+OK 1 "))
    other.close()
    one.close()


def test_killed(s):
    """a worker that dies keeps nobody out"""
    refill(s, 1)
    one = login(s)
    os.kill(s.worker("mailbox"), signal.SIGKILL)
    one.close()
    wait_for("another worker", lambda: s.answers(s.ports["pop3"]))
    login(s).close()


def test_ids(s):
    """UIDL is for life: restart, removals, moves, arrivals; none again"""
    refill(s, 6)
    old = ids(s)
    tap.eq(len(set(old)), 6)
    for i in old:
        tap.ok(1 <= len(i) <= 70 and all(0x21 <= b <= 0x7e for b in i), i)
    s.restart()
    tap.eq(ids(s), old, "after a restart")
    box = s.imap("bob")
    box.uid("MOVE", box.uid("SEARCH", "SUBJECT", "1")[1][0].decode(),
            "Archive")
    box.store("1", "+FLAGS", "(\\Deleted)")
    box.expunge()
    box.append("INBOX", None, None, b"Subject: new\r\n\r\nnew\r\n")
    box.logout()
    now = ids(s)
    tap.eq(now[:4], old[2:], "after a move, a removal and an arrival")
    tap.ok(now[4] not in old, "a new one")
    with login(s) as c:
        c.good("DELE 5")
        c.good("QUIT")
    fill(s, 1)
    again = ids(s)
    tap.eq(again[:4], old[2:])
    tap.ok(again[4] not in old + now, "the highest is not used again")
    box = s.imap("bob", None)
    box.rename("INBOX", "Old")
    box.logout()
    fill(s, 1)
    tap.ok(ids(s)[0] not in old + now + again, "after RENAME of the INBOX")


def test_capabilities(s):
    """what CAPA says before and after the login"""
    with connect(s) as c:
        for _ in range(2):
            said = c.many("CAPA")
            for word in (b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE",
                         b"PIPELINING", b"EXPIRE 30", b"LOGIN-DELAY 2"):
                tap.ok(word in said, "%s in %r" % (word.decode(), said))
            c.ask("USER alice@example.test")
            c.ask("PASS " + PASSWORD)


def test_login_delay(s):
    """a login too soon after the last is told [LOGIN-DELAY], then not"""
    time.sleep(2)
    login(s, "carol").close()
    c, answer = enter(s, "carol")
    tap.ok(answer.startswith("-ERR [LOGIN-DELAY]"), answer)
    tap.ok(c.at_end(), "it is shown out")
    time.sleep(2.1)
    login(s, "carol").close()
    c, answer = enter(s, "dave")
    tap.ok(answer.startswith("+OK"), answer)


def test_codes(s):
    """wrong passwords are [AUTH], and nothing else is; nothing expires"""
    with connect(s) as c:
        tap.ok(b"EXPIRE NEVER" in c.many("CAPA"))
        for command in ("USER nobody@example.test", "USER bob@example.test"):
            c.good(command)
            answer = c.ask("PASS wrong")
            tap.ok(answer.startswith("-ERR [AUTH]"), answer)
        tap.ok("[" not in c.ask("PASS x"), "out of order")
        tap.ok("[" not in c.ask("FROB"), "not known")


def test_pipeline(s):
    """a thousand commands in one write, answered in order"""
    refill(s, 100)
    with login(s) as c:
        c.send(b"".join(b"LIST %d\r\nRETR %d\r\nUIDL %d\r\nTOP %d 0\r\n"
                        b"DELE %d\r\n" % ((n,) * 5) for n in range(1, 101))
               + b"".join(b"RETR %d\r\n" % n for n in range(1, 101))
               + b"RSET\r\nSTAT\r\nNOOP\r\nQUIT\r\n")
        for n in range(1, 101):
            tap.ok(c.line().startswith(b"+OK %d " % n))
            tap.ok(c.line().startswith(b"+OK"))
            tap.eq(c.rest(), [b"Subject: %d" % (n - 1), b"",
                              b"%d" % (n - 1)])
            tap.ok(c.line().startswith(b"+OK %d " % n))
            tap.ok(c.line().startswith(b"+OK"))
            tap.eq(c.rest(), [b"Subject: %d" % (n - 1), b""])
            tap.ok(c.line().startswith(b"+OK"))
        for n in range(100):
            tap.ok(c.line().startswith(b"-ERR"), "it is removed here")
        for _ in range(4):
            tap.ok(c.line().startswith(b"+OK"))
        tap.ok(c.at_end())
    tap.eq(len(ids(s)), 100, "RSET came before QUIT")


DELAYED = {n: f for n, f in list(globals().items())
           if n in ("test_capabilities", "test_login_delay")}

with Server() as server:
    tap.run({n: f for n, f in list(globals().items()) if n not in DELAYED},
            server)
with Server({"limits": {"pop3_login_delay": "2s"},
             "mailbox.INBOX": {"expire": "30d"}},
            accounts=("alice", "carol", "dave")) as server:
    tap.run(DELAYED, server)
tap.done()
