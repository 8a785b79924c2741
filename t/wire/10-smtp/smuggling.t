#!/usr/bin/python3
# test: timeout=120
"""SMTP smuggling: no end of data but CR LF . CR LF, in any mixture and cut;
what is pipelined before STARTTLS is discarded; answers repeat no bytes of an
attacker that could be read as something else."""
import itertools
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

CONFIG = {"limits": {"errors": 100000, "commands": 100000}}
ENDS = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\n\n",
        b"\r\0\n", b"\x85", b"\x0b", b"\x0c", b"\xe2\x80\xa8")
SECOND = (b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\n"
          b"DATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n")


def begin(c):
    c.must(250, "MAIL FROM:<a@elsewhere.test>")
    c.must(250, "RCPT TO:<bob@example.test>")


def test_ends(s):
    """every pair of line ends around the dot: none ends the message"""
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        for before, after in itertools.product(ENDS, ENDS):
            if before.endswith(b"\r\n") and after.startswith(b"\r\n"):
                continue        # that is the end
            begin(c)
            c.must(354, "DATA")
            c.send(b"Subject: first\r\n\r\nx" + before + b"." + after +
                   SECOND + b"NOOP\r\n")
            # one answer for one message, then the NOOP's
            codes = [c.reply()[0] for _ in range(2)]
            tap.ok(codes[0] in (250, 550) and codes[1] == 250,
                   "%r %r: %r" % (before, after, codes))
    for m in s.messages("bob"):
        tap.contains(m, b"Subject: first")
        tap.contains(m, b"MAIL FROM:<evil@elsewhere.test>")


def test_cut(s):
    """the same, in packets cut behind each byte of the sequence"""
    s.empty("bob")
    for end in (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r",
                b"\r\n\x00.\r\n", b"\n.\r", b"\r.\n", b"\r\n.\r\r\n"):
        for cut in range(1, len(end)):
            with s.line(ehlo="client.test") as c:
                begin(c)
                c.must(354, "DATA")
                c.send(b"Subject: first\r\n\r\nx" + end[:cut])
                c.send(end[cut:] + b"QUIT\r\n.\r\n")
                code = c.reply()[0]
                tap.ok(code in (250, 550), "%r at %d: %d" % (end, cut, code))
                c.must(250, "NOOP")


def test_bdat(s):
    """BDAT counts: what looks like an end within a chunk is none"""
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        begin(c)
        text = b"Subject: first\r\n\r\nx\r\n.\r\n" + SECOND
        c.send(b"BDAT %d LAST\r\n" % len(text) + text + b"NOOP\r\n")
        tap.eq([c.reply()[0] for _ in range(2)], [250, 250])
    got = s.messages("bob")
    tap.eq(len(got), 1)
    tap.contains(got[0], b"MAIL FROM:<evil@elsewhere.test>")


def test_headers(s):
    """a bare LF in the header makes no field of its own"""
    with s.line(ehlo="client.test") as c:
        for bad in (b"Subject: a\nX-Evil: b\r\n", b"Subject: a\rX-Evil: b\r\n"):
            begin(c)
            c.must(354, "DATA")
            c.send(bad + b"\r\nx\r\n.\r\n")
            tap.eq(c.reply()[0], 550)


def test_commands(s):
    """a command line with a bare LF or CR ends the session: nothing behind
    it is run"""
    for line in (b"NOOP\nMAIL FROM:<x@y.test>\r\n", b"NOOP\rRSET\r\n",
                 b"EHLO a\nQUIT\r\n", b"RCPT TO:<bob@example.test\n>\r\n"):
        with s.line(ehlo="client.test") as c:
            c.send(line + b"NOOP\r\n")
            tap.eq(c.reply()[0], 500)
            tap.ok(c.at_end(), "goes on")


def test_starttls(s):
    """what came with STARTTLS in the clear is not run under TLS"""
    for injected in (b"NOOP\r\n", b"MAIL FROM:<evil@elsewhere.test>\r\n",
                     b"EHLO evil.test\r\nMAIL FROM:<e@elsewhere.test>\r\n"):
        with s.line(ehlo="client.test") as c:
            c.send(b"STARTTLS\r\n" + injected)
            tap.eq(c.reply()[0], 220)
            try:
                c.start_tls(s.tls)
            except OSError:
                continue        # read as a bad handshake: as good
            c.must(503, "RCPT TO:<bob@example.test>")
            c.must(250, "EHLO client.test")
            c.must(503, "RCPT TO:<bob@example.test>")


def test_echo(s):
    """answers are lines of ours whatever is put into a command"""
    evil = (b"\x1b[31m", b"\x00", b"\x07", b"\xff\xfe", b"%s%n%d", b"\x7f",
            b"\x9b1m", "\u202e".encode(), b"250 2.0.0 Ok")
    for e in evil:
        for command in (b"FROB " + e, e + b" x", b"EHLO a" + e,
                        b"MAIL FROM:<a@b.test> X" + e + b"=1",
                        b"VRFY " + e, b"HELP " + e,
                        b"MAIL FROM:<a" + e + b"@b.test>",
                        b"AUTH " + e, b"BDAT " + e[:0] + b"0 " + e):
            with s.line(ehlo="client.test") as k:
                k.send(command + b"\r\nNOOP\r\n")
                try:
                    while True:
                        line = k.line()
                        tap.ok(line[:3].isdigit() and
                               line[3:4] in b"- ", repr(line))
                        tap.ok(all(32 <= b < 127 or b >= 0xc2
                                   for b in line.replace(
                                       b"\xe2\x80\xae", b"")) and
                               b"\x9b" not in line,
                               "%r: %r" % (command, line))
                        if line.startswith(b"250 2.0.0 Ok"):
                            break
                except EOFError:
                    pass
    with s.line() as k:     # a recipient that is echoed
        k.must(250, "EHLO client.test")
        k.must(250, "MAIL FROM:<a@b.test> SMTPUTF8")
        code, texts = k.ask("RCPT TO:<\"a\\\u202eb\"@example.test>")
        tap.eq(code, 550)


with Server(CONFIG) as server:
    tap.run(globals(), server)
tap.done()
