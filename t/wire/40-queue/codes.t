#!/usr/bin/python3
# test: timeout=120
"""Every row of "What the queue says itself" in docs/queue.md is provoked, and
nothing is provoked that has no row."""
import os
import re
import shutil
import smtplib
import sys
import tempfile
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from ca import CA
from fakedns import FakeDNS
from server import Server, free_ports, wait_for
from sink import Sink

DOC = os.path.join(__file__.split("/t/wire/")[0], "docs", "queue.md")
TEXT = b"Subject: c\r\n\r\nx\r\n"


class House:
    def __enter__(self):
        port = free_ports(1)[0]
        self.dir = tempfile.mkdtemp(prefix="mailroom-codes.")
        os.chmod(self.dir, 0o755)
        ca = CA(self.dir)
        zone = {"good.test MX": [(10, "mx.good.test")],
                "mx.good.test A": ["127.0.0.2"],
                "null.test MX": [(0, "")],
                "mute.test MX": [(10, "mx.mute.test")],
                "mx.mute.test A": ["127.0.0.99"],
                "fail.test MX": "SERVFAIL",
                "self.test MX": [(10, "mail.example.test")],
                "mail.example.test A": ["127.0.0.1"]}
        for n in range(40):
            zone["d%d.test MX" % n] = [(10, "mx.good.test")]
        self.n = 0
        self.dns = FakeDNS(zone).__enter__()
        self.script = {}
        self.sink = Sink(lambda s, verb, argument: self.script.get(verb),
                         host="127.0.0.2", port=port).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": port, "retry_first": "30m",
                      "connect_timeout": "500ms", "connection_idle": "0s"},
            "route.must": {"domains": ["must.test"], "tls": "required",
                           "host": "127.0.0.2:%d" % port},
            "route.login": {"domains": ["login.test"], "tls": "required",
                            "host": "mx.good.test:%d" % port,
                            "ca_file": ca.file, "login": "us",
                            "password": "p"}},
            accounts=("alice", "bob", "off", "full")).__enter__()
        self.cert = ca.issue("mx.good.test")
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def fresh(self):
        """A domain of its own, served by the sink."""
        self.n += 1
        return "x@d%d.test" % self.n

    def send(self, rcpt, offers=("8BITMIME",), script=None, options=(),
             tls=False):
        """What was said of it: in the queue, or in the report."""
        self.server.drop_queue()
        self.server.empty("alice")
        self.sink.extensions = list(offers)
        self.sink.tls = self.cert if tls else None
        self.script = script or {}
        m = smtplib.SMTP_SSL("127.0.0.1", self.server.ports["submissions"],
                             "c.test", context=self.server.tls, timeout=30)
        m.command_encoding = "utf-8"
        m.login("alice@example.test", "correct horse")
        m.sendmail("alice@example.test", [rcpt], TEXT, mail_options=options)
        m.quit()
        return self.said()

    def said(self):
        def outcome():
            for q in self.server.queue():
                if q["reply"] and q["state"] != "held":
                    return q["reply"]
            for r in self.server.messages("alice"):
                return r.decode()
        wait_for("an outcome", outcome, 20)
        return outcome()

    def hold_then(self, change):
        """A message for an account here that waits in the queue until the
        account is as change makes it."""
        self.server.drop_queue()
        self.server.empty("alice")
        m = self.server.submission()
        m.ehlo("c.test")
        m.docmd("MAIL FROM:<alice@example.test> HOLDFOR=3600")
        m.docmd("RCPT TO:<%s>" % change[0])
        m.data(TEXT)
        m.quit()
        wait_for("the queue", self.server.queue)
        self.server.cli("account", *change[1:])
        self.server.cli("queue", "flush")
        return self.said()


def drop(verb):
    return {verb: ""}


CASES = {
    "550 5.1.2": lambda h: h.send("x@nowhere.test"),
    "556 5.1.10": lambda h: h.send("x@null.test"),
    "451 4.4.3": lambda h: h.send("x@fail.test"),
    "554 5.4.6": lambda h: h.send("x@self.test"),
    "451 4.4.1": lambda h: h.send("x@mute.test"),
    "451 4.4.2": lambda h: h.send(h.fresh(), script=drop(".")),
    "451 4.5.0": lambda h: h.send(h.fresh(), script={"EHLO": "hello!"}),
    "451 4.7.10": lambda h: h.send("x@must.test"),
    "451 4.7.5": lambda h: h.send("x@must.test", tls=True),
    "454 4.7.0": lambda h: h.send("x@login.test", tls=True),
    "451 4.7.8": lambda h: h.send("x@login.test", ("AUTH PLAIN",), tls=True,
                                  script={"AUTH": "535 5.7.8 no"}),
    "550 5.6.7": lambda h: h.send("\u00e4@" + h.fresh()[2:],
                                  options=["SMTPUTF8"]),
    "552 5.3.4": lambda h: h.send(h.fresh(), ("SIZE 10",)),
    "550 5.7.30": lambda h: h.send(h.fresh(), options=["REQUIRETLS"]),
    "550 5.1.1": lambda h: h.hold_then(
        ("bob@example.test", "remove", "bob@example.test")),
    "550 5.2.1": lambda h: h.hold_then(
        ("off@example.test", "set", "off@example.test", "--disable")),
    "452 4.2.2": lambda h: h.hold_then(
        ("full@example.test", "set", "full@example.test", "--quota", "10")),
}


def rows():
    with open(DOC, encoding="utf-8") as f:
        text = f.read().partition("## What the queue says itself")[2]
    return re.findall(r"^\| (\d{3} \d\.\d+\.\d+) \| (.*?) \|$",
                      text.partition("\n## ")[0], re.M)


def check(h, code, case):
    said = case(h)
    number, enhanced = code.split(" ")
    tap.ok(number in said and enhanced in said, said)


with House() as house:
    table = rows()
    tap.point(len(table) > 12, "the table is read", str(len(table)))
    for code, when in table:
        tap.call("%s: %s" % (code, when), check, house, code,
                 CASES.pop(code, lambda h: "no case"))
    tap.point(not CASES, "nothing without a row", str(list(CASES)))
tap.done()
