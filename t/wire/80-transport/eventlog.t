#!/usr/bin/python3
# test: timeout=120
"""Observers: the eventlog's lines for each kind of event, its file that is
renamed, its socket, and a reader that does not read."""
import imaplib
import json
import os
import smtplib
import socket
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

MESSAGE = (b"From: alice@example.test\r\nSubject: \"odd\"\r\n"
           b"Date: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
           b"Message-ID: <out@example.test>\r\n\r\nx\r\n")


class House:
    def __enter__(self):
        self.answers = []
        self.dns = FakeDNS({"remote.test A": ["127.0.0.1"]}).__enter__()
        self.sink = Sink(self.answer).__enter__()
        self.server = Server(start=False).__enter__()
        s = self.server
        self.file = os.path.join(s.data, "events.json")
        self.path = s.path("events.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(5)
        module = s.plugin("eventlog")
        s.extra.update({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "300ms"},
            "plugin.eventlog": {"module": module, "file": self.file},
            "plugin.tosocket": {"module": module, "socket": self.path},
        })
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)
        self.socket.close()

    def answer(self, session, verb, argument):
        return self.answers.pop(0) if verb == "." and self.answers else None

    def lines(self, path=None):
        with open(path or self.file) as f:
            return [json.loads(line) for line in f]

    def find(self, **want):
        """The first line that has all this."""
        return wait_for("an event %r" % want, lambda: [
            e for e in self.lines()
            if all(e.get(k) == v for k, v in want.items())])[0]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_message(h):
    """a session and its message, one id through all lines"""
    h.server.send(MESSAGE, ["bob", "alice"])
    e = h.find(event="message.accepted", sender="someone@elsewhere.test")
    tap.eq((e["peer"], e["rcpts"], e["rcpt"], e["process"], e["listener"]),
           ("127.0.0.1", 2, "bob@example.test", "smtp", "smtp"))
    tap.ok(e["length"] >= len(MESSAGE) and e["message"])
    opened = h.find(event="session.opened", session=e["session"])
    closed = h.find(event="session.closed", session=e["session"])
    tap.ok(opened["time"] <= e["time"] <= closed["time"])
    tap.eq(opened["protocol"], "smtp")


def test_refused(h):
    """a refusal after DATA"""
    with h.server.line("smtp", "client.test") as c:
        c.must(250, "MAIL FROM:<bare@elsewhere.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(b"Subject: x\r\n\r\nbare \n LF\r\n.\r\n")
        c.must(550)
    e = h.find(event="message.refused", sender="bare@elsewhere.test")
    tap.contains(e["text"], "CR LF")


def test_logins(h):
    """logins by SMTP, IMAP and POP3, right and wrong; never a password"""
    h.server.submission().quit()
    h.server.imap("bob").logout()
    h.server.pop3("bob").quit()
    for name, account in (("smtp", "alice@example.test"),
                          ("imap", "bob@example.test"),
                          ("pop3", "bob@example.test")):
        h.find(event="login.ok", protocol=name, account=account)
    box = imaplib.IMAP4("127.0.0.1", h.server.ports["imap"])
    try:
        box.login("bob@example.test", "s3cret-wrong")
    except imaplib.IMAP4.error:
        pass
    box.logout()
    h.find(event="login.denied", protocol="imap", account="bob@example.test")
    with open(h.file) as f:
        tap.ok("s3cret" not in f.read())


def test_queue(h):
    """deferred, delivered, bounced"""
    h.answers = ["451 4.3.0 later"]
    smtp = h.server.submission()
    smtp.sendmail("alice@example.test", ["x@remote.test"], MESSAGE)
    e = h.find(event="deferred", rcpt="x@remote.test")
    tap.eq(e["text"], "451 4.3.0 later")
    done = h.find(event="delivered", rcpt="x@remote.test")
    tap.eq((done["message"], done["host"], done["process"]),
           (e["message"], "remote.test", "runner"))
    h.answers = ["550 5.1.1 \"who\"?"]
    smtp.sendmail("alice@example.test", ["y@remote.test"], MESSAGE)
    e = h.find(event="bounced", rcpt="y@remote.test")
    tap.eq((e["text"], e["sender"]),
           ("550 5.1.1 \"who\"?", "alice@example.test"))
    smtp.quit()


def test_rename(h):
    """a renamed file is left alone and a new one begun"""
    old = h.file + ".1"
    os.rename(h.file, old)
    size = len(h.lines(old))
    for _ in range(3):
        h.server.send(MESSAGE)
    wait_for("the new file", lambda: os.path.exists(h.file))
    wait_for("its lines", lambda: len([
        e for e in h.lines() if e["event"] == "message.accepted"]) == 3)
    tap.eq(len(h.lines(old)), size)


def test_socket(h):
    """the same lines as datagrams"""
    got = []
    h.socket.settimeout(0.5)
    try:
        while True:
            got.append(json.loads(h.socket.recv(65536)))
    except TimeoutError:
        pass
    tap.ok(any(e["event"] == "message.accepted" for e in got))
    tap.ok(all(e["time"] and e["event"] for e in got))


def test_deaf(h):
    """a reader that does not read costs lines, not mail; they are counted"""
    start = time.monotonic()
    for _ in range(100):
        h.server.send(MESSAGE)
    took = time.monotonic() - start
    tap.ok(took < 20, "%.1f s" % took)
    got = []
    h.socket.settimeout(0.5)
    for n in range(2):
        try:
            while True:
                got.append(json.loads(h.socket.recv(65536)))
        except TimeoutError:
            if n == 0:
                h.server.send(MESSAGE)
    tap.ok(sum(e.get("lost", 0) for e in got) > 0, len(got))
    tap.eq(len([e for e in h.lines() if e["event"] == "message.accepted"]),
           104)


def test_roles(h):
    """plugin list names the role"""
    tap.contains(h.server.cli("plugin", "list").stdout, "(observer)")


with House() as house:
    tap.run(globals(), house)
tap.done()
