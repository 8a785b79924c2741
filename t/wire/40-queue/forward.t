#!/usr/bin/python3
# test: timeout=120
"""Forwarding: aliases that lead elsewhere, with senders of ours (SRS) and
their bounces back; lists and their owners; loops; tags and catch-alls."""
import os
import re
import stat
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

MESSAGE = b"From: s@stranger.test\r\nSubject: f\r\n\r\nbody\r\n"
ZONE = {name + ".test MX": [(10, "mx.remote.test")]
        for name in ("remote", "stranger", "friend")}
ZONE["mx.remote.test A"] = ["127.0.0.1"]
ALIASES = [("fwd", "me@remote.test"), ("team", "bob@example.test"),
           ("team", "x@remote.test"), ("@example.test", "alice@example.test")]


class House:
    def __enter__(self):
        self.script = {}
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink(self.answer).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "1s",
                      "retry_most": "1s"}}).__enter__()
        for name, target in ALIASES:
            self.server.cli("alias", "add", name if "@" in name else
                            name + "@example.test", target)
        for member in ("m1@remote.test", "bob@example.test",
                       "M2@friend.test"):
            self.server.cli("alias", "add", "--list", "--owner",
                            "alice@example.test", "list@example.test", member)
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def answer(self, session, verb, argument):
        """{verb: reply}, or (verb, part of the argument)."""
        for key, reply in self.script.items():
            if key == verb or (key[0] == verb and key[1] in argument):
                return reply
        return None

    def reset(self, script=None):
        self.script = script or {}
        self.server.drop_queue()
        self.sink.messages.clear()
        for name in "alice", "bob":
            self.server.empty(name)

    def arrived(self, n=1):
        wait_for("%d messages" % n, lambda: len(self.sink.messages) >= n)
        wait_for("an empty queue", lambda: not self.server.queue())
        tap.eq(len(self.sink.messages), n)
        return self.sink.messages

    def drained(self):
        wait_for("an empty queue", lambda: not self.server.queue())


def srs(h):
    h.reset()
    h.server.send(MESSAGE, "fwd", "user@stranger.test")
    m = h.arrived()[0]
    tap.eq(m.rcpts, ["me@remote.test"])
    return m


def test_srs(h):
    """a stranger's sender becomes one of ours"""
    m = srs(h)
    tap.ok(re.fullmatch(r"SRS0=[a-z2-7]{6}=[a-z2-7]{2}=stranger\.test=user"
                        r"@example\.test", m.sender), m.sender)
    tap.contains(m.data, b"Delivered-To: fwd@example.test")
    mode = os.stat(h.server.data + "/srs.keys").st_mode
    tap.eq(stat.S_IMODE(mode), 0o600)


def test_back(h):
    """a bounce to it goes back to the stranger, from nobody"""
    sender = srs(h).sender
    h.sink.messages.clear()
    for address in sender, sender.upper():
        h.server.send(b"Subject: bounce\r\n\r\nx\r\n", address, "")
    m = h.arrived(2)
    tap.eq([x.rcpts[0].lower() for x in m], ["user@stranger.test"] * 2)
    tap.eq([x.sender for x in m], ["", ""])


def test_tampered(h):
    """a forged one is nobody's, catch-all or not"""
    sender = srs(h).sender
    forged = sender.replace("=user@", "=victim@")
    with h.server.smtp() as s:
        s.ehlo()
        s.mail("")
        code, text = s.rcpt(forged)
        tap.eq((code, text[:5]), (550, b"5.1.1"))


def test_no_srs(h):
    """the null sender and our own senders stay"""
    h.reset()
    h.server.send(MESSAGE, "fwd", "")
    tap.eq(h.arrived()[0].sender, "")
    h.reset()
    smtp = h.server.submission("bob")
    smtp.sendmail("bob@example.test", ["fwd@example.test"], MESSAGE)
    smtp.quit()
    tap.eq(h.arrived()[0].sender, "bob@example.test")


def test_report(h):
    """refused behind us: the report goes to the stranger, not to us"""
    h.reset({("RCPT", "me@remote.test"): "550 5.1.1 no"})
    h.server.send(MESSAGE, "fwd", "user@stranger.test")
    m = h.arrived()[0]
    tap.eq((m.sender, m.rcpts), ("", ["user@stranger.test"]))
    tap.contains(m.data, b"Action: failed")


def test_list(h):
    """a list: its owner is the sender, members here get it too"""
    h.reset()
    h.server.send(MESSAGE, "list", "user@stranger.test")
    got = {m.rcpts[0]: m.sender for m in h.arrived(2)}
    tap.eq(got, {"m1@remote.test": "alice@example.test",
                 "M2@friend.test": "alice@example.test"})
    tap.eq(len(h.server.messages("bob")), 1)
    rows = [r for r in h.server.cli_json("alias", "list")
            if r["alias"] == "list@example.test"]
    tap.eq([r["list_owner"] for r in rows], ["alice@example.test"] * 3)
    tap.contains(h.server.cli("alias", "list").stdout, "(list of alice@")


def test_list_bounce(h):
    """a member that is refused: the owner hears of it, not who wrote"""
    h.reset({"RCPT": "550 5.1.1 no"})
    h.server.send(MESSAGE, "list", "user@stranger.test")
    h.drained()
    tap.eq(len(h.server.messages("alice")), 2)
    tap.eq(h.sink.messages, [])


def test_loop(h):
    """what was delivered here before is refused; other mail is not"""
    h.reset()
    h.server.send(MESSAGE, "bob", "user@stranger.test")
    first = h.server.messages("bob")[0]
    tap.contains(first, b"Delivered-To: bob@example.test\r\n")
    with h.server.smtp() as s:
        s.ehlo()
        s.mail("user@stranger.test")
        s.rcpt("bob@example.test")
        code, text = s.data(first)
        tap.eq((code, text[:5]), (554, b"5.4.6"))
    h.server.send(first, "alice", "user@stranger.test")
    tap.eq(len(h.server.messages("alice")), 1)


def test_several(h):
    """several recipients: none is told of the others"""
    h.reset()
    h.server.send(MESSAGE, ["bob", "alice"], "user@stranger.test")
    tap.eq(b"Delivered-To" in h.server.messages("bob")[0], False)


def test_tag(h):
    """user+tag is user's, anything else the catch-all's"""
    h.reset()
    h.server.send(MESSAGE, "bob+news", "user@stranger.test")
    h.server.send(MESSAGE, "whoever", "user@stranger.test")
    tap.eq(len(h.server.messages("bob")), 1)
    tap.eq(len(h.server.messages("alice")), 1)


def test_off(h):
    """[queue] srs = false: senders stay, and such addresses mean nothing"""
    sender = srs(h).sender
    h.reset()
    h.server.extra["queue"]["srs"] = False
    h.server.write_config()
    h.server.restart()
    h.server.send(MESSAGE, "fwd", "user@stranger.test")
    tap.eq(h.arrived()[0].sender, "user@stranger.test")
    h.reset()
    h.server.send(MESSAGE, sender, "")
    tap.eq(len(h.server.messages("alice")), 1)


with House() as house:
    tap.run(globals(), house)
tap.done()
