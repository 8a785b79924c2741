#!/usr/bin/python3
# test: timeout=180
"""A real rspamd (Debian's package) behind us: refuses and marks test mail,
and its header fields arrive. Its DNS is a fake one on loopback."""
import shutil
import sys
import time
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from rspamd import MARK, REFUSE, ZONE, Rspamd
from server import Server
from wire import stuff

def message(text):
    return (b"From: Ann <ann@example.net>\r\nTo: bob@example.test\r\n"
            b"Subject: test\r\nDate: %s\r\n"
            b"Message-ID: <r%d@example.net>\r\n\r\n%s\r\n"
            % (time.strftime("%a, %d %b %Y %H:%M:%S +0000",
                             time.gmtime()).encode(),
               time.monotonic_ns(), text))


def deliver(s, text):
    """(the reply after the dot, the message that was sent)"""
    data = message(text)
    s.empty("bob")
    with s.line(ehlo="mx.example.net") as c:
        # rspamd marks no mail of this machine itself.
        c.must(220, "XCLIENT ADDR=198.51.100.7 NAME=mx.example.net")
        c.must(250, "EHLO mx.example.net")
        c.must(250, "MAIL FROM:<ann@example.net>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(stuff(data))
        return c.reply(), data


def test_plain(s, r):
    """plain mail passes, with rspamd's fields and the body as it was"""
    (code, texts), sent = deliver(s, b"Good morning.\r\n.dot\r\n")
    tap.eq(code, 250, texts)
    got = s.newest("bob")
    head, body = got.split(b"\r\n\r\n", 1)
    tap.eq(body, sent.split(b"\r\n\r\n", 1)[1])
    tap.ok(b"\r\nX-Spamd-Bar:" in head or b"\r\nX-Spam-Level:" in head, head)
    tap.contains(head, b"Authentication-Results:")
    tap.contains(head, b"spf=")


def test_refuse(s, r):
    """GTUBE is refused with rspamd's reply"""
    (code, texts), _ = deliver(s, REFUSE)
    tap.eq(code, 554, texts)
    tap.contains(texts[0], "5.7.1")
    tap.eq(s.messages("bob"), [])


def test_mark(s, r):
    """its milder sister is delivered and marked"""
    (code, texts), _ = deliver(s, MARK)
    tap.eq(code, 250, texts)
    tap.contains(s.newest("bob"), b"\r\nX-Spam: ")


def test_many(s, r):
    """many messages on one connection, good and bad mixed"""
    s.empty("bob")
    with s.line(ehlo="mx.example.net") as c:
        for i in range(10):
            c.must(250, "MAIL FROM:<ann@example.net>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(message(REFUSE if i % 2 else b"number %d" % i)))
            tap.eq(c.reply()[0], 554 if i % 2 else 250)
    tap.eq(len(s.messages("bob")), 5)


def test_gone(s, r):
    """rspamd has ended: mail waits outside (4xx)"""
    r.stop()
    with s.line() as c:
        codes = [c.cmd(line) for line in (
            "EHLO mx.example.net", "MAIL FROM:<ann@example.net>")]
    tap.ok(any(400 <= code < 500 for code in codes), codes)


if not shutil.which("rspamd"):
    tap.skip_all("rspamd is not installed")
with FakeDNS(ZONE) as dns, Rspamd(dns) as rspamd:
    config = {"milter.rspamd": {"socket": rspamd.socket},
              "smtp": {"reverse_dns": False,
                       "xclient_networks": ["127.0.0.1"]}}
    with Server(config, chain=["rspamd"]) as server:
        tap.run(globals(), server, rspamd)
tap.done()
