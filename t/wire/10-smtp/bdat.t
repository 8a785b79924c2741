#!/usr/bin/python3
"""BDAT (RFC 3030): messages by length, whole and in pieces; what is refused
and that the session stays in step."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

CONFIG = {"limits": {"errors": 1000, "message_size": "1 MB"}}
HEAD = b"Subject: b\r\nX-Long: " + b"h" * 200 + b"\r\n\r\n"


def begin(c, mail=""):
    c.must(250, "MAIL FROM:<a@elsewhere.test>" + mail)
    c.must(250, "RCPT TO:<bob@example.test>")


def chunk(data, last=False):
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def fresh(s):
    s.empty("bob")
    return s.line(ehlo="client.test")


def content(message):
    """Without what we put on top."""
    return message[message.index(b"Subject: b"):]


def test_one(s):
    """one chunk: dots and all arrive as they are"""
    text = HEAD + b".\r\n..\r\n.x\r\nend\r\n"
    with fresh(s) as c:
        begin(c)
        c.send(chunk(text, True))
        tap.eq(c.reply()[0], 250)
    tap.eq(content(s.messages("bob")[0]), text)


def test_pieces(s):
    """chunks of every size, cut between CR and LF too; pipelined"""
    text = HEAD + b"line\r\n" * 40 + b".\r\n"
    for size in (1, 2, 3, 7, 100):
        with fresh(s) as c:
            begin(c)
            cuts = [text[i:i + size] for i in range(0, len(text), size)]
            c.send(b"".join(chunk(p) for p in cuts) + chunk(b"", True))
            codes = [c.reply()[0] for _ in range(len(cuts) + 1)]
            tap.eq(set(codes), {250})
        tap.eq(content(s.messages("bob")[0]), text, "by %d" % size)


def test_slow(s):
    """a chunk that comes byte by byte"""
    text = HEAD + b"x\r\n"
    with fresh(s) as c:
        begin(c)
        for b in chunk(text, True):
            c.send(bytes([b]))
        tap.eq(c.reply()[0], 250)
    tap.eq(content(s.messages("bob")[0]), text)


def test_large(s):
    """just the limit, and beyond it: 552, and the next one passes"""
    with fresh(s) as c:
        begin(c)
        text = HEAD + (b"z" * 98 + b"\r\n") * 9000
        for i in range(0, len(text), 65536):
            c.send(chunk(text[i:i + 65536]))
            tap.eq(c.reply()[0], 250)
        c.send(chunk(b"", True))
        tap.eq(c.reply()[0], 250)
        begin(c)
        c.send(chunk(text + text, True))
        code, texts = c.reply()
        tap.eq((code, texts[0][:5]), (552, "5.3.4"))
        begin(c)
        c.send(chunk(HEAD, True))
        tap.eq(c.reply()[0], 250)
    tap.eq(sorted(len(content(m)) for m in s.messages("bob")),
           [len(HEAD), len(text)])


def test_no_transaction(s):
    """without MAIL, without a recipient: read, 503 or 554, in step"""
    with fresh(s) as c:
        c.send(chunk(b"QUIT\r\n" * 10, True) + b"NOOP\r\n")
        tap.eq([c.reply()[0] for _ in range(2)], [503, 250])
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        c.send(b"RCPT TO:<nobody@example.test>\r\n" + chunk(HEAD) +
               chunk(b"QUIT\r\n", True) + b"NOOP\r\n")
        tap.eq([c.reply()[0] for _ in range(4)], [550, 554, 503, 250])


def test_order(s):
    """between chunks: no DATA, RCPT, MAIL; RSET ends it; none after LAST"""
    with fresh(s) as c:
        begin(c)
        c.send(chunk(HEAD))
        tap.eq(c.reply()[0], 250)
        for verb in ("DATA", "RCPT TO:<alice@example.test>",
                     "MAIL FROM:<a@b.test>"):
            tap.eq(c.cmd(verb), 503, verb)
        tap.eq(c.cmd("NOOP"), 250)
        c.send(chunk(b"x\r\n", True))
        tap.eq(c.reply()[0], 250)
        c.send(chunk(b"y\r\n", True))
        tap.eq(c.reply()[0], 503)
        begin(c)
        c.send(chunk(HEAD))
        tap.eq(c.reply()[0], 250)
        c.must(250, "RSET")
        c.send(chunk(b"x\r\n", True))
        tap.eq(c.reply()[0], 503)
    tap.eq(len(s.messages("bob")), 1)


def test_syntax(s):
    """a size that is none: the session ends, for nobody knows what follows"""
    for line in ("BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 5 LAST x",
                 "BDAT 99999999999999999999"):
        with fresh(s) as c:
            begin(c)
            tap.eq(c.cmd(line), 421, line)
            tap.ok(c.at_end(), "goes on")
    with fresh(s) as c:
        tap.eq(c.cmd("BDAT 99999999999 LAST"), 421)
        tap.ok(c.at_end(), "goes on")


def test_lines(s):
    """bare CR, bare LF and NUL are refused as behind DATA"""
    for bad in (b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"\n", b"a\0\r\n",
                b"\r\n.\n\r\n", b"x\n.\n"):
        with fresh(s) as c:
            begin(c)
            c.send(chunk(HEAD + bad, True))
            code, texts = c.reply()
            tap.eq((code, texts[0][:5]), (550, "5.6.0"), repr(bad))
            begin(c)
            c.send(chunk(HEAD + bad[:1]) + chunk(bad[1:]) + chunk(b"", True))
            codes = [c.reply()[0] for _ in range(3)]
            tap.ok(550 in codes and codes[-1] in (550, 503), str(codes))
    tap.eq(s.messages("bob"), [])


def test_binary(s):
    """BODY=BINARYMIME: any bytes in the body, none in the header"""
    body = bytes(range(256)) * 4 + b"\n\r\0\r\r\n\n"
    head = (b"Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: application/"
            b"octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n")
    with fresh(s) as c:
        begin(c, " BODY=BINARYMIME")
        tap.eq(c.cmd("DATA"), 503)
        c.send(chunk(head + body, True))
        tap.eq(c.reply()[0], 250)
        for bad in (b"Subject: b\nX: y\r\n\r\n", b"Subject: \0\r\n\r\n",
                    b"Subject: b\rX: y\r\n\r\n"):
            begin(c, " BODY=BINARYMIME")
            c.send(chunk(bad + body, True))
            tap.eq(c.reply()[0], 550, repr(bad))
    with s.imap("bob") as m:
        m.select()
        tap.eq(m.fetch("1", "(BINARY.PEEK[1])")[1][0][1], body)


def test_no_newline(s):
    """a message that ends without CR LF"""
    with fresh(s) as c:
        begin(c)
        c.send(chunk(HEAD + b"no end", True))
        tap.eq(c.reply()[0], 250)
    tap.eq(content(s.messages("bob")[0]), HEAD + b"no end")


def test_submission(s):
    """submission completes such messages too"""
    s.empty("bob")
    m = s.submission()
    m.ehlo("client.test")
    m.docmd("MAIL FROM:<alice@example.test>")
    m.docmd("RCPT TO:<bob@example.test>")
    m.send(chunk(b"Subject: b\r\nBcc: x@y.test\r\n\r\nx\r\n", True))
    tap.eq(m.getreply()[0], 250)
    m.quit()
    got = s.messages("bob")[0]
    tap.contains(got, b"\r\nMessage-ID: <")
    tap.eq(b"Bcc" in got, False)


def test_lost(s):
    """a client that goes away in a chunk leaves nothing"""
    with fresh(s) as c:
        begin(c)
        c.send(chunk(HEAD) + b"BDAT 1000 LAST\r\nhalf")
        tap.eq(c.reply()[0], 250)
    with s.line(ehlo="client.test") as c:
        c.must(250, "NOOP")
    tap.eq(s.messages("bob"), [])


with Server(CONFIG) as server:
    tap.run(globals(), server)
tap.done()
