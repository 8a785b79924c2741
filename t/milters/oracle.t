#!/usr/bin/python3
# test: alone timeout=300
"""Real filters behind us and behind Postfix: the same verdict, and the same
bytes in the mailbox."""
import os
import re
import sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
import tap
from filters import (ClamAV, MIMEDefang, OpenDKIM, OpenDMARC, SpamAssassin,
                     attach, need)
from fakedns import FakeDNS
from postfix import Postfix
from rspamd import MARK, REFUSE, ZONE, Rspamd
from server import Server, wait_for
from wire import Line, stuff

GTUBE = (rb"XJS*C4JDBQADN1.NSBN3*2IDNEN*"
         rb"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X")
EXE = (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
       b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"
       b"Content-Type: application/octet-stream; name=a.exe\r\n"
       b"Content-Disposition: attachment; filename=a.exe\r\n\r\nMZ\r\n"
       b"--b--\r\n")


def text(body, fields=b"", subject="test", sender="ann@example.net"):
    return fields + (
        "From: Ann <%s>\r\nTo: bob@example.test\r\nSubject: %s\r\n"
        "Date: Wed, 25 Nov 2026 08:00:00 +0000\r\n"
        "Message-ID: <oracle@example.net>\r\n\r\n" % (
            sender, subject)).encode() + body


PLAIN = text(b"Hello  there \r\n\r\n.dot\r\n\r\n\r\n")
FOLDED = text(b"x\r\n", b"X-Folded: one\r\n\ttwo\r\n  three\r\n"
              b"X-Empty:\r\nX-None:  \r\nx-CASE: \xc3\xa4\r\n")

CASES = {
    ClamAV: [("plain", PLAIN), ("folded fields", FOLDED),
             ("EICAR", text(ClamAV.EICAR + b"\r\n"))],
    SpamAssassin: [("plain", PLAIN), ("folded fields", FOLDED),
                   ("GTUBE", text(GTUBE + b"\r\n")),
                   ("marked", text(b"mailroom-marked\r\n"))],
    OpenDKIM: [("plain", PLAIN), ("folded fields", FOLDED)],
    OpenDMARC: [("plain", PLAIN), ("policy none",
                text(b"x\r\n", sender="a@example.org")),
                ("policy reject", text(b"x\r\n", sender="a@example.net"))],
    MIMEDefang: [("plain", PLAIN), ("refused", text(
                     b"x\r\n", subject="refuse-me now")),
                 ("an attachment taken out", text(EXE[1], EXE[0]))],
}

# What differs by nature: who received it when, and where Postfix's virtual(8)
# says to whom it came.
OWN = (b"received", b"return-path", b"delivered-to", b"x-original-to")
MASKS = [
    # spamass-milter makes up a Received field from macros: Postfix tells it
    # neither the protocol nor the queue id, and both tell their own versions.
    (rb"by mail\.example\.test \([^)]*\) with E?SMTP id \S+", b"RECEIVED"),
    (rb"[A-Z][a-z]{2}, +\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
     b"DATE"),
    (rb"\b[0-9A-Z]{10,16}\b", b"ID"),       # queue ids
    (rb"----------=_[0-9A-Za-z.-]+", b"BOUNDARY"),
    (rb"\btime: *\d+\.\d+", b"TIME"),
]


def fields_of(data):
    head, body = data.replace(b"\r\n", b"\n").split(b"\n\n", 1)
    fields = re.split(rb"\n(?![ \t])", head)
    return [f for f in fields if f.split(b":", 1)[0].lower() not in OWN], body


def masked(data):
    for pattern, word in MASKS:
        data = re.sub(pattern, word, data)
    return data


def send(port, data):
    """The whole session as a client of 198.51.100.7: the first refusal, or
    the last answer: (code, text)."""
    with Line(port) as c:
        c.reply()
        c.ask("EHLO mx.example.net")
        c.ask("XCLIENT ADDR=198.51.100.7 NAME=mx.example.net")
        for line in ("EHLO mx.example.net", "MAIL FROM:<ann@example.net>",
                     "RCPT TO:<bob@example.test>", "DATA"):
            reply = c.ask(line)
            if reply[0] >= 400:
                return reply
        c.send(stuff(data))
        return c.reply()


def compare(s, p, data):
    s.empty("bob")
    p.empty("bob")
    ours = send(s.ports["smtp"], data)
    theirs = send(p.port, data)
    tap.eq(ours[0] // 100, theirs[0] // 100, (ours, theirs))
    if ours[0] >= 400:
        tap.eq(ours[0], theirs[0], (ours, theirs))
        tap.eq(masked(str(ours[1]).encode()), masked(str(theirs[1]).encode()))
        tap.eq(s.messages("bob"), [])
        return
    wait_for("Postfix's delivery", lambda: p.messages("bob"))
    (our_fields, our_body), (their_fields, their_body) = (
        fields_of(x) for x in (s.newest("bob"), p.messages("bob")[0]))
    tap.eq([masked(f) for f in our_fields], [masked(f) for f in their_fields])
    tap.eq(masked(our_body), masked(their_body))


def run(f, cases):
    with f:
        config = attach(f)
        config["chain"] = {"inbound": [f.name], "submission": []}
        with Server(config) as s, Postfix(
                "example.test", ["bob"], "mail.example.test",
                smtpd_milters="unix:" + f.listens,
                milter_default_action="tempfail", milter_protocol="6",
                smtpd_authorized_xclient_hosts="127.0.0.1",
                milter_connect_macros="j {daemon_name} v _ {client_addr} "
                "{client_ptr} {client_name}") as p:
            for name, data in cases:
                tap.call("%s: %s" % (f.name, name), compare, s, p, data)


need(("postfix", "postfix"), ("opendkim", "opendkim"),
     ("opendmarc", "opendmarc"), ("spamass-milter", "spamass-milter"),
     ("clamav-milter", "clamav-milter"), ("mimedefang", "mimedefang"),
     ("rspamd", "rspamd"))
if os.getuid():
    tap.skip_all("Postfix needs root")
for kind, cases in CASES.items():
    run(kind(), cases)
with FakeDNS(ZONE) as dns:
    run(Rspamd(dns), [("plain", PLAIN), ("folded fields", FOLDED),
                      ("GTUBE", text(REFUSE + b"\r\n")),
                      ("marked", text(MARK + b"\r\n"))])
tap.done()
