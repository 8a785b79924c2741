#!/usr/bin/python3
"""Mailboxes of administrators: what is held, waits and was refused, seen and
changed from an IMAP client."""
import re
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import Milter, reply_code
from server import PASSWORD, Server, wait_for
from wire import Line, stuff

MESSAGE = b"From: a@elsewhere.test\r\nSubject: %s\r\n\r\nbody of %s\r\n"
SCRIPT = {"hold": [(b"q", b"looks odd\0"), (b"c", b"")],
          "refuse": [reply_code("550 5.7.1 We do not want it")], None: None}


class Verdict:
    """A milter that does one thing with all mail."""
    name = None

    def __call__(self, session, command, data):
        return SCRIPT[self.name] if command == b"E" else None


verdict = Verdict()


class Client(Line):
    def ok(self, command, want=b"OK"):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(want), "%r: %r" % (command, rest))
        return lines

    def exists(self, mailbox):
        for line in self.ok(b"SELECT " + mailbox):
            if line.endswith(b"EXISTS"):
                return int(line.split()[1])

    def count(self, mailbox):
        return int(re.search(rb"MESSAGES (\d+)", self.ok(
            b"STATUS %s (MESSAGES)" % mailbox)[0]).group(1))


def login(s, name=b"alice"):
    c = Client(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN %s@example.test "%s"' % (name, PASSWORD.encode()))
    return c


def send(s, subject, what=None, rcpts=("bob",)):
    verdict.name = what
    with s.line() as c:
        c.ask("EHLO client.test")
        c.ask("MAIL FROM:<a@elsewhere.test>")
        for rcpt in rcpts:
            c.ask("RCPT TO:<%s@example.test>" % rcpt)
        c.ask("DATA")
        c.send(stuff(MESSAGE % (subject, subject)))
        return c.reply()[0]


def clean(s):
    verdict.name = None
    s.drop_queue()
    s.empty("bob")
    s.empty("alice")


def states(s):
    return [row["state"] for row in s.queue()]


def test_there(s):
    """only accounts that are named have them, and nobody puts mail there"""
    with login(s, b"bob") as c:
        listed = b"".join(c.ok(b'LIST "" *'))
        tap.ok(b"Held" not in listed and b"Queue" not in listed, listed)
    with login(s) as c:
        listed = b"".join(c.ok(b'LIST "" *'))
        for name in (b"Held", b"Queue", b"Rejected"):
            tap.contains(listed, name)
            c.ok(b"APPEND %s {5+}\r\na: b\n" % name, b"NO")
        c.ok(b"APPEND INBOX {5+}\r\na: b\n")
        c.ok(b"SELECT INBOX")
        c.ok(b"COPY 1 Held", b"NO")
        c.ok(b"MOVE 1 Queue", b"NO")
        c.ok(b'SETMETADATA Held (/private/specialuse "\\\\Junk")', b"NO")
        listed = b"".join(c.ok(b'LIST (SPECIAL-USE) "" *'))
        tap.ok(b"Junk" in listed and b"Held" not in listed, listed)
    clean(s)


def test_release(s):
    """a held mail is seen, read, and released by a move"""
    tap.eq(send(s, b"one", "hold", ("bob", "alice")), 250)
    tap.eq(send(s, b"two", "hold"), 250)
    verdict.name = None
    with login(s) as c:
        tap.eq(c.count(b"Held"), 2)     # one message for two recipients
        tap.eq(c.exists(b"Held"), 2)
        tap.contains(b"".join(c.ok(b"FETCH 1 BODY.PEEK[]")), b"body of one")
        tap.eq(c.ok(b"SEARCH SUBJECT two"), [b"* SEARCH 2"])
        c.ok(b"STORE 1 +FLAGS (\\Seen)")
        c.ok(b"COPY 1 Archive")         # that changes nothing
        tap.eq(sorted(states(s)), ["held"] * 3)
        lines = c.ok(b"MOVE 1 INBOX")
        tap.ok(b"* 1 EXPUNGE" in lines, lines)
        wait_for("delivery", lambda: s.messages("bob"))
        tap.contains(s.newest("bob"), b"body of one")
        wait_for("the other", lambda: len(s.messages("alice")) == 2)
        tap.eq(states(s), ["held"])
        tap.eq(c.count(b"Held"), 1)
        # To Queue: nothing is filed here.
        lines = c.ok(b"MOVE 1 Queue")
        tap.ok(b"* 1 EXPUNGE" in lines, lines)
        wait_for("delivery", lambda: len(s.messages("bob")) == 2)
        tap.eq(s.queue(), [])
        tap.eq(c.count(b"Held"), 0)
    clean(s)


def test_drop(s):
    """what is expunged, or moved to Trash or Junk, is dropped"""
    for how in (b"MOVE 1 Trash", b"MOVE 1 Junk", b"EXPUNGE", b"CLOSE"):
        send(s, b"bad", "hold")
        send(s, b"good", "hold")
        with login(s) as c:
            tap.eq(c.exists(b"Held"), 2)
            if b"MOVE" not in how:
                c.ok(b"STORE 1 +FLAGS (\\Deleted)")
            c.ok(how)
            tap.eq(len(s.queue()), 1)
            tap.eq(c.count(b"Held"), 1)
            c.ok(b"SELECT Held")
            tap.contains(b"".join(c.ok(b"FETCH 1 BODY.PEEK[]")), b"good")
        clean(s)
    tap.eq(s.messages("bob"), [])


def test_others(s):
    """what the command line does is seen; IDLE tells at once"""
    send(s, b"one", "hold")
    with login(s) as c:
        tap.eq(c.exists(b"Held"), 1)
        s.cli("queue", "drop", "all")
        tap.ok(b"* 1 EXPUNGE" in c.ok(b"NOOP"))
        c.send(b"i IDLE\r\n")
        c.line()
        start = time.monotonic()
        send(s, b"two", "hold")
        while not c.line().endswith(b"EXISTS"):
            pass
        tap.ok(time.monotonic() - start < 5)
        c.send(b"DONE\r\n")
        c.until(b"i")
    clean(s)


def test_queue(s):
    """what waits is held, and dropped"""
    smtp = s.submission("bob")
    smtp.sendmail(s.address("bob"), ["x@nowhere.test"],
                  MESSAGE % (b"out", b"out"))
    smtp.quit()
    wait_for("a first attempt", lambda: [
        r for r in s.queue() if r["attempts"] and r["state"] == "queued"])
    with login(s) as c:
        # What is younger than some seconds is on its way.
        wait_for("it is shown", lambda: c.count(b"Queue") == 1)
        c.ok(b"SELECT Queue")
        c.ok(b"MOVE 1 INBOX", b"NO [CANNOT]")
        tap.eq(states(s), ["queued"])
        c.ok(b"MOVE 1 Held")
        tap.eq(states(s), ["held"])
        tap.eq((c.count(b"Queue"), c.count(b"Held")), (0, 1))
        c.ok(b"SELECT Held")
        c.ok(b"MOVE 1 Queue")
        wait_for("it waits again", lambda: c.count(b"Queue") == 1)
        c.ok(b"SELECT Queue")
        c.ok(b"STORE 1 +FLAGS (\\Deleted)")
        c.ok(b"EXPUNGE")
        tap.eq(s.queue(), [])
    clean(s)


def test_rejected(s):
    """the header of what a filter refused, and why"""
    tap.eq(send(s, b"spam", "refuse"), 550)
    verdict.name = None
    with login(s) as c:
        tap.eq(c.exists(b"Rejected"), 1)
        text = b"\n".join(c.ok(b"FETCH 1 BODY.PEEK[]"))
        for part in (b"X-Mailroom-Refused: We do not want it",
                     b"X-Mailroom-Sender: a@elsewhere.test",
                     b"X-Mailroom-Recipient: bob@example.test",
                     b"Subject: spam"):
            tap.contains(text, part)
        tap.ok(b"body of" not in text, text)
        c.ok(b"MOVE 1 Archive")
        tap.eq(c.count(b"Rejected"), 0)
    clean(s)


def test_named_before(s):
    """a mailbox that was called Held before is left alone"""
    with login(s, b"carol") as c:
        c.ok(b"SELECT Held")
        c.ok(b"APPEND Held {5+}\r\na: b\n")
        send(s, b"one", "hold")
        tap.eq(c.exists(b"Held"), 1)
    clean(s)


with Milter(verdict) as m:
    config = {"milter.m": {"socket": m.socket},
              "dns": {"servers": ["127.0.0.1:9"], "timeout": "1s"},
              "imap": {"admins": ["Alice@example.test"]}}
    with Server(config, accounts=("alice", "bob", "carol"),
                chain=["m"]) as server:
        with login(server, b"carol") as before:
            before.ok(b"CREATE Held")
        config["imap"]["admins"].append("carol@example.test")
        server.write_config()
        server.restart()
        tap.run(globals(), server)
tap.done()
