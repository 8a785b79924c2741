#!/usr/bin/python3
"""SMTP verbs: order, syntax, codes and limits (RFC 5321)."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

LIMITS = {"limits": {"recipients": 5, "errors": 10, "message_size": "1 MB"}}
HELLO = ("EHLO client.test", 250)
MAIL = ("MAIL FROM:<a@elsewhere.test>", 250)
RCPT = ("RCPT TO:<bob@example.test>", 250)

# title, then lines with the codes they must get
TALKS = [
    ("MAIL, RCPT, DATA need what comes before them", [
        ("MAIL FROM:<a@b.test>", 503), HELLO, ("RCPT TO:<bob@example.test>",
                                               503),
        ("DATA", 503), MAIL, ("DATA", 503), MAIL[:1] + (503,)]),
    ("HELO works as well", [("HELO client.test", 250), MAIL, RCPT]),
    ("HELO and EHLO want a name", [("HELO", 501), ("EHLO", 501)]),
    ("EHLO takes an address literal", [("EHLO [192.0.2.1]", 250), MAIL]),
    ("verbs are read without case", [
        ("ehlo client.test", 250), ("mail from:<a@b.test>", 250),
        ("rcpt to:<bob@EXAMPLE.TEST>", 250)]),
    ("RSET forgets the transaction", [
        HELLO, MAIL, RCPT, ("RSET", 250), ("RCPT TO:<bob@example.test>",
                                           503), MAIL]),
    ("EHLO forgets the transaction", [HELLO, MAIL, HELLO, RCPT[:1] + (503,)]),
    ("NOOP, with a word too", [("NOOP", 250), ("NOOP hello", 250)]),
    ("VRFY gives nothing away", [
        HELLO, ("VRFY bob@example.test", 252), ("VRFY nobody", 252)]),
    ("HELP says something", [("HELP", 214)]),
    ("EXPN is not offered", [HELLO, ("EXPN list", 502)]),
    ("an unknown verb", [HELLO, ("FROB x", 500), ("XYZZY", 500)]),
    ("a verb with an argument it does not take", [
        HELLO, MAIL, RCPT, ("DATA now", 501), ("RSET x", 501)]),
    ("addresses that are none", [
        HELLO, ("MAIL FROM:a@b.test>", 501), ("MAIL FROM:<a@b", 501),
        ("MAIL FROM:<a b@c.test>", 501), ("MAIL <a@b.test>", 501),
        ("MAIL FROM:<a@b..test>", 501), ("MAIL FROM:<@>", 501), MAIL,
        ("RCPT TO:<>", 501), ("RCPT TO:bob", 501),
        ("RCPT TO:<bob@example.test", 501)]),
    ("a quoted local part", [
        HELLO, ('MAIL FROM:<"a b"@elsewhere.test>', 250),
        ('RCPT TO:<"bob"@example.test>', 250)]),
    ("a source route is passed over", [
        HELLO, ("MAIL FROM:<@a.test,@b.test:c@d.test>", 250),
        ("RCPT TO:<@x.test:bob@example.test>", 250)]),
    ("the null sender", [HELLO, ("MAIL FROM:<>", 250), RCPT]),
    ("postmaster, with and without a domain", [
        HELLO, MAIL, ("RCPT TO:<postmaster@example.test>", 250),
        ("RCPT TO:<Postmaster>", 250)]),
    ("unknown user and unknown domain", [
        HELLO, MAIL, ("RCPT TO:<nobody@example.test>", 550),
        ("RCPT TO:<bob@other.test>", 550), RCPT]),
    ("user+tag is the user", [HELLO, MAIL, ("RCPT TO:<bob+x@example.test>",
                                            250)]),
    ("unknown parameters", [
        HELLO, ("MAIL FROM:<a@b.test> FROB=1", 555), MAIL,
        ("RCPT TO:<bob@example.test> FROB", 555)]),
    ("SIZE is checked at MAIL", [
        HELLO, ("MAIL FROM:<a@b.test> SIZE=99999999", 552),
        ("MAIL FROM:<a@b.test> SIZE=x", 501),
        ("MAIL FROM:<a@b.test> SIZE=1000", 250)]),
    ("BODY=8BITMIME and 7BIT", [
        HELLO, ("MAIL FROM:<a@b.test> BODY=8BITMIME", 250), ("RSET", 250),
        ("MAIL FROM:<a@b.test> BODY=7BIT", 250), ("RSET", 250),
        ("MAIL FROM:<a@b.test> BODY=OTHER", 501)]),
    ("a limit of recipients", [HELLO, MAIL] + [RCPT] * 5 +
     [("RCPT TO:<alice@example.test>", 452)]),
    ("no second MAIL in a transaction", [HELLO, MAIL, MAIL[:1] + (503,)]),
    ("STARTTLS takes no argument", [HELLO, ("STARTTLS x", 501)]),
    ("AUTH is not for strangers in the clear port", [
        ("AUTH PLAIN AGEAYg==", 503)]),
]


def play(s, talk):
    with s.line() as c:
        for line, code in talk:
            got, texts = c.ask(line)
            tap.eq((line, got), (line, code), " / ".join(texts))
        c.must(221, "QUIT")
        tap.ok(c.at_end(), "not closed after QUIT")


def test_ehlo_offers(s):
    """EHLO offers what is there"""
    with s.line() as c:
        offers = c.ask("EHLO client.test")[1][1:]
        words = [o.split()[0] for o in offers]
        for word in ("PIPELINING", "SIZE", "8BITMIME", "STARTTLS",
                     "ENHANCEDSTATUSCODES"):
            tap.contains(words, word)
        tap.contains(offers, "SIZE 1000000")
        c.must(220, "STARTTLS")
        c.start_tls(s.tls)
        words = [o.split()[0] for o in c.ask("EHLO client.test")[1][1:]]
        tap.ok("STARTTLS" not in words, "STARTTLS offered under TLS")


def test_enhanced_codes(s):
    """replies carry enhanced codes of the right class"""
    with s.line(ehlo="client.test") as c:
        for line, start in (("MAIL FROM:<a@b.test>", "2.1.0 "),
                            ("RCPT TO:<nobody@example.test>", "5.1.1 "),
                            ("RCPT TO:<x@other.test>", "5.7.1 "),
                            ("RCPT TO:<bob@example.test>", "2.1.5 "),
                            ("FROB", "5.5."), ("RCPT TO:<", "5.")):
            text = c.ask(line)[1][0]
            tap.ok(text.startswith(start), "%s: %s" % (line, text))


def test_pipelining(s):
    """a whole transaction in one packet, replies in order"""
    with s.line(ehlo="client.test") as c:
        c.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@example.test>\r\n"
               b"RCPT TO:<bob@example.test>\r\nDATA\r\n")
        tap.eq([c.reply()[0] for _ in range(4)], [250, 550, 250, 354])
        c.send(b"Subject: p\r\n\r\nx\r\n.\r\nMAIL FROM:<a@b.test>\r\nQUIT\r\n")
        tap.eq([c.reply()[0] for _ in range(3)], [250, 250, 221])


def test_long_line(s):
    """a line longer than the limit is refused and reading goes on"""
    with s.line(ehlo="client.test") as c:
        tap.eq(c.cmd("NOOP " + "x" * 20000), 500)
        tap.eq(c.cmd("NOOP"), 250)


def test_long_lines_without_end(s):
    """a flood without a line end does not grow the worker"""
    pid = s.worker("smtp")
    before = s.memory(pid, "VmRSS")
    with s.line() as c:
        try:
            for _ in range(40):
                c.send(b"x" * 1_000_000)
        except OSError:
            pass
        grown = s.memory(pid, "VmRSS") - before
    tap.ok(grown < 16_000, "grew by %d KiB" % grown)


def test_nul_and_8bit(s):
    """NUL and 8-bit bytes in commands are refused"""
    with s.line(ehlo="client.test") as c:
        tap.ok(500 <= c.cmd(b"MAIL FROM:<a\0b@c.test>") < 560)
        tap.ok(500 <= c.cmd(b"MAIL FROM:<a\xff\xfe@c.test>") < 560)
        c.must(250, "MAIL FROM:<a@b.test>")


def test_bare_line_ends(s):
    """bare LF and bare CR do not end a command, but the session"""
    for bad in (b"NOOP\nMAIL FROM:<a@b.test>\r\n", b"NOOP\rNOOP\r\n"):
        with s.line(ehlo="client.test") as c:
            c.send(bad)
            code, _ = c.reply()
            tap.ok(500 <= code < 560, "%r: %d" % (bad, code))
            tap.ok(c.at_end(), "what came behind it was heard")


def test_errors_limit(s):
    """too many errors: 421 and the connection ends"""
    with s.line(ehlo="client.test") as c:
        codes = []
        for _ in range(30):
            codes.append(c.cmd("FROB"))
            if codes[-1] == 421:
                break
        tap.eq(codes[-1], 421)
        tap.ok(len(codes) <= 12, "after %d errors" % len(codes))
        tap.ok(c.at_end())


def test_half_close(s):
    """a client that goes away in the middle leaves nothing behind"""
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<alice@example.test>")
        c.must(354, "DATA")
        c.send(b"Subject: cut\r\n\r\nhalf a mess")
    tap.eq(s.messages("alice"), [])


with Server(LIMITS) as server:
    tap.table(TALKS, play, server)
    tap.run(globals(), server)
tap.done()
