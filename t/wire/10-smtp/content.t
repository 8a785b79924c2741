#!/usr/bin/python3
"""Message bytes: what goes in comes out, and what must not come in does
not (RFC 5321 sections 2.3.8, 4.5.2; RFC 6152)."""
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server
from wire import stuff

HEAD = b"From: a@elsewhere.test\r\nSubject: t\r\n\r\n"
MAIL = "MAIL FROM:<a@elsewhere.test>"
RCPT = "RCPT TO:<bob@example.test>"

# title, message: delivered with these bytes below our Received field
KEPT = [
    ("a plain one", HEAD + b"Hello\r\n"),
    ("dots at line starts", HEAD + b".\r\n..\r\n...\r\n.x\r\nx.\r\n"),
    ("a dot as the first body byte", HEAD + b".\r\n"),
    ("no body", HEAD),
    ("header only, no empty line", b"Subject: only\r\n"),
    ("no header: body starts at once", b"\r\nHello\r\n"),
    ("no header at all: plain text", b"just some words\r\n"),
    ("empty message", b""),
    ("one empty line", b"\r\n"),
    ("8-bit: UTF-8, Latin-1, all high bytes",
     HEAD + "Grüße €\r\n".encode() + b"\xe4\xf6\r\n"
     + bytes(range(128, 256)) + b"\r\n"),
    ("8-bit in the header", b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n"),
    ("control characters but NUL",
     HEAD + bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\r\n"),
    ("lines of 998 bytes", HEAD + (b"x" * 998 + b"\r\n") * 3),
    ("many empty lines", HEAD + b"\r\n" * 1000),
    ("folded header, tabs and blanks",
     b"Subject: a\r\n b\r\n\tc\r\nX: \r\nY:z\r\n\r\n \r\n\t\r\n"),
    ("exactly 16 KiB", HEAD + b"y" * (16384 - len(HEAD) - 2) + b"\r\n"),
    ("just above 16 KiB", HEAD + (b"z" * 70 + b"\r\n") * 230),
    ("a 300 KB one", HEAD + (b"z" * 70 + b"\r\n") * 4166),
]

# title, bytes after 354, one of the codes
REFUSED = [
    ("bare LF in the body", HEAD + b"a\nb\r\n.\r\n"),
    ("bare CR in the body", HEAD + b"a\rb\r\n.\r\n"),
    ("bare LF in the header", b"Subject: a\nX: b\r\n\r\nc\r\n.\r\n"),
    ("NUL", HEAD + b"a\0b\r\n.\r\n"),
    ("LF.CRLF is no end", HEAD + b"a\n.\r\nMAIL FROM:<x@y.test>\r\n.\r\n"),
    ("CRLF.LF is no end", HEAD + b"a\r\n.\nMAIL FROM:<x@y.test>\r\n.\r\n"),
    ("LF.LF is no end", HEAD + b"a\n.\nMAIL FROM:<x@y.test>\r\n.\r\n"),
    ("CR.CR is no end", HEAD + b"a\r.\rMAIL FROM:<x@y.test>\r\n.\r\n"),
    ("CRLF.CR is no end", HEAD + b"a\r\n.\rQUIT\r\n.\r\n"),
    ("CR CRLF.CRLF", HEAD + b"a\r\r\n.\r\n"),
]


def deliver(s, message):
    s.empty("bob")
    s.send(message)
    got = s.messages("bob")
    tap.eq(len(got), 1, "messages")
    return got[0]


def keeps(s, message):
    got = deliver(s, message)
    tap.ok(got.endswith(message), "sent %s\n got %s"
           % (tap.shorten(message), tap.shorten(got)))
    added = got[:len(got) - len(message)]
    fields = [li for li in added.split(b"\r\n") if li[:1] not in b" \t"]
    tap.ok(all(b":" in li for li in fields if li),
           "not only fields were added: %r" % added)


def refuses(s, data):
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        c.must(250, MAIL)
        c.must(250, RCPT)
        c.must(354, "DATA")
        c.send(data)
        code, texts = c.reply()
        tap.ok(500 <= code < 560, "%d %s" % (code, texts))
        tap.eq(c.cmd("NOOP"), 250, "replies out of step")
    tap.eq(s.messages("bob"), [])


def test_pop3_dots(s):
    """POP3 and IMAP show dots alike"""
    message = HEAD + b".\r\n..\r\n.x\r\n"
    got = deliver(s, message)
    box = s.pop3("bob")
    lines = box.retr(1)[1]
    box.quit()
    tap.eq(b"\r\n".join(lines) + b"\r\n", got)


def big_message(size):
    import base64
    part = base64.encodebytes(os.urandom(57 * 1000)).replace(b"\n", b"\r\n")
    head = (b"Subject: big\r\nMIME-Version: 1.0\r\nContent-Type: multipart/"
            b"mixed; boundary=bb\r\n\r\n--bb\r\n\r\ntext\r\n--bb\r\n"
            b"Content-Type: application/octet-stream\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n")
    return head + part * (size // len(part)) + b"--bb--\r\n"


def test_big(s):
    """25 MB: the same bytes, and no worker grows by it"""
    message = big_message(25_000_000)
    smtp, mailbox = s.worker("smtp"), s.worker("mailbox")
    deliver(s, HEAD + b"warm up\r\n")
    before = [s.memory(smtp), s.memory(mailbox)]
    got = deliver(s, message)
    after = [s.memory(smtp), s.memory(mailbox)]
    tap.ok(got.endswith(message), "bytes differ")
    grown = [b - a for a, b in zip(before, after)]
    tap.ok(max(grown) < 8192, "peak grew by %r KiB (smtp, mailbox)" % grown)


def test_big_pop3(s):
    """25 MB by POP3"""
    box = s.pop3("bob")
    number, size = map(int, box.list()[1][0].split())
    lines = box.retr(number)[1]
    box.quit()
    got = b"\r\n".join(lines) + b"\r\n"
    tap.eq(len(got), size)
    tap.ok(got == s.newest("bob"), "bytes differ")


def test_too_big(s):
    """a message over the limit: 552, and the session goes on"""
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        c.must(250, MAIL)
        c.must(250, RCPT)
        c.must(354, "DATA")
        c.send(stuff(HEAD + (b"x" * 76 + b"\r\n") * 400_000))
        code, texts = c.reply()
        tap.eq(code, 552, texts)
        tap.eq(c.cmd("NOOP"), 250)
    tap.eq(s.messages("bob"), [])


def test_same_bytes_many_rcpts(s):
    """two recipients, one message, both have it"""
    message = HEAD + b"to both\r\n"
    s.empty("bob")
    s.send(message, ["alice", "bob"])
    tap.eq(s.newest("alice").endswith(message), True)
    tap.eq(s.newest("bob").endswith(message), True)
    s.empty("alice")


def test_several_in_a_session(s):
    """several messages on one connection"""
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        for i in range(5):
            c.must(250, MAIL)
            c.must(250, RCPT)
            c.must(354, "DATA")
            c.send(HEAD + b"n %d\r\n.\r\n" % i)
            c.must(250)
    tap.eq([m[-5:] for m in s.messages("bob")],
           [b"n %d\r\n" % i for i in range(5)])


def test_last_dot_in_pieces(s):
    """the final dot split over packets at every place"""
    import time
    s.empty("bob")
    data = HEAD + b"split\r\n.\r\n"
    for cut in range(len(data) - 6, len(data)):
        with s.line(ehlo="client.test") as c:
            c.must(250, MAIL)
            c.must(250, RCPT)
            c.must(354, "DATA")
            c.send(data[:cut])
            time.sleep(0.05)
            c.send(data[cut:])
            c.must(250)
    got = s.messages("bob")
    tap.eq(len(got), 6)
    tap.ok(all(m.endswith(data[:-3]) for m in got), "bytes differ")


with Server({"limits": {"message_size": "30 MB"}}) as server:
    tap.table(KEPT, keeps, server)
    tap.table(REFUSED, refuses, server)
    tap.run(globals(), server)
tap.done()
