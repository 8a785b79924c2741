#!/usr/bin/python3
"""IMAP FETCH: every item and section, against Python's own reading."""
import email
import email.policy
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

PLAIN = (b"From: \"A. B\" <a@elsewhere.test>\r\nTo: bob@example.test,\r\n"
         b" =?utf-8?q?J=C3=B6rg?= <j@x.test>\r\nCc: Team: t1@x.test, "
         b"t2@x.test;\r\nSubject: Hello\r\n\tfolded\r\n"
         b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
         b"Message-ID: <m1@x.test>\r\nIn-Reply-To: <m0@x.test>\r\n"
         b"Reply-To: r@x.test\r\nX-Other: x\r\n\r\nline one\r\nline two\r\n")
INNER = (b"From: inner@x.test\r\nSubject: inner\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/alternative; boundary=in\r\n\r\n"
         b"--in\r\nContent-Type: text/plain\r\n\r\ninner text\r\n"
         b"--in\r\nContent-Type: text/html\r\n\r\n<p>inner\r\n--in--\r\n")
MIXED = (b"From: m@x.test\r\nSubject: mixed\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\n"
         b"preamble\r\n--out er\r\nContent-Type: text/plain; "
         b"charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 8bit"
         b"\r\nContent-ID: <c1>\r\nContent-Description: first\r\n\r\n"
         b"Gr\xc3\xbc\xc3\x9fe\r\n--out er\r\n"
         b"Content-Type: application/pdf; name=\"a b.pdf\"\r\n"
         b"Content-Disposition: attachment; filename=\"a b.pdf\"\r\n"
         b"Content-Transfer-Encoding: base64\r\n"
         b"Content-MD5: Q2hlY2s=\r\nContent-Language: en, de\r\n\r\n"
         b"QUJD\r\n--out er\r\nContent-Type: message/rfc822\r\n\r\n"
         + INNER + b"--out er--\r\nepilogue\r\n")
EMPTY = b"\r\n"
MESSAGES = [PLAIN, MIXED, EMPTY]


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def fetch(self, number, item):
        """The text after the item's name in the one FETCH answer."""
        lines = [li for li in self.ok(b"FETCH %d %s" % (number, item))
                 if b" FETCH (" in li]
        tap.eq(len(lines), 1, lines)
        return lines[0].split(b" FETCH (", 1)[1][:-1]

    def section(self, number, spec):
        """The bytes of BODY.PEEK[spec]; None for NIL."""
        text = self.fetch(number, b"BODY.PEEK[" + spec + b"]")
        m = re.match(rb"BODY\[[^]]*\](?:<\d+>)? (?:\{(\d+)\}\r\n|(NIL)$|\"\"$)"
                     , text)
        tap.ok(m, "no section in %r" % text)
        if m.group(2):
            return None
        if m.group(1) is None:
            return b""
        return text[m.end():m.end() + int(m.group(1))]


def setup(s):
    """APPENDs to a mailbox of their own, so that bytes are known."""
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    c.ok(b"CREATE f")
    for m in MESSAGES:
        c.ok(b'APPEND f (\\Seen) "07-Feb-2021 01:02:03 +0100" {%d+}\r\n%s'
             % (len(m), m))
    c.ok(b"SELECT f")
    return c


def head_body(message):
    head, _, body = message.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def test_whole(s, c):
    """BODY[], RFC822, RFC822.HEADER, RFC822.TEXT, RFC822.SIZE"""
    for n, m in enumerate(MESSAGES, 1):
        tap.eq(c.section(n, b""), m)
        head, body = head_body(m) if m != EMPTY else (b"\r\n", b"")
        tap.eq(c.section(n, b"HEADER"), head)
        tap.eq(c.section(n, b"TEXT"), body)
        tap.eq(c.fetch(n, b"RFC822.SIZE"), b"RFC822.SIZE %d" % len(m))
        tap.contains(c.fetch(n, b"RFC822"), m)
        tap.contains(c.fetch(n, b"RFC822.HEADER"), head)
        tap.contains(c.fetch(n, b"RFC822.TEXT"), body)


def test_partial(s, c):
    """partial fetches at every edge"""
    for start, size in ((0, 10), (5, 3), (0, 99999), (len(PLAIN) - 2, 10),
                        (len(PLAIN), 5), (99999, 5), (1, 1)):
        text = c.fetch(1, b"BODY.PEEK[]<%d.%d>" % (start, size))
        want = PLAIN[start:start + size]
        m = re.match(rb"BODY\[\]<(\d+)> (?:\{(\d+)\}\r\n|\"\")", text)
        tap.ok(m, text)
        tap.eq(int(m.group(1)), start)
        tap.eq(text[m.end():] if m.group(2) else b"", want,
               "<%d.%d>" % (start, size))
    tap.contains(c.fetch(2, b"BODY.PEEK[1]<2.4>"), b"{4}\r\n"
                 + b"Gr\xc3\xbc\xc3\x9fe"[2:6])


def test_header_fields(s, c):
    """HEADER.FIELDS and HEADER.FIELDS.NOT"""
    tap.eq(c.section(1, b"HEADER.FIELDS (subject X-OTHER)"),
           b"Subject: Hello\r\n\tfolded\r\nX-Other: x\r\n\r\n")
    tap.eq(c.section(1, b"HEADER.FIELDS (None)"), b"\r\n")
    head = head_body(PLAIN)[0]
    tap.eq(c.section(1, b"HEADER.FIELDS.NOT (X-Other)"),
           head.replace(b"X-Other: x\r\n", b""))


def test_parts(s, c):
    """sections of parts, down into a message in the message"""
    inner_head, inner_body = head_body(INNER)
    for spec, want in (
            (b"1", b"Gr\xc3\xbc\xc3\x9fe"), (b"2", b"QUJD"),
            (b"3", INNER[:-2]), (b"3.HEADER", inner_head),
            (b"3.TEXT", inner_body[:-2]), (b"3.1", b"inner text"),
            (b"3.2", b"<p>inner"),
            (b"3.1.MIME", b"Content-Type: text/plain\r\n\r\n"),
            (b"3.HEADER.FIELDS (Subject)", b"Subject: inner\r\n\r\n"),
            (b"3.MIME", b"Content-Type: message/rfc822\r\n\r\n")):
        tap.eq(c.section(2, spec), want, spec)
    for spec in (b"4", b"1.1", b"3.3", b"9.9.9"):
        tap.ok(c.section(2, spec) in (None, b""), spec)
    tap.eq(c.section(1, b"1"), head_body(PLAIN)[1])


def test_envelope(s, c):
    """ENVELOPE of a full header"""
    tap.eq(c.fetch(1, b"ENVELOPE"),
           b'ENVELOPE ("Mon, 7 Feb 1994 21:52:25 -0800" "Hello\tfolded" '
           b'(("A. B" NIL "a" "elsewhere.test")) '
           b'(("A. B" NIL "a" "elsewhere.test")) '
           b'((NIL NIL "r" "x.test")) '
           b'((NIL NIL "bob" "example.test")("=?utf-8?q?J=C3=B6rg?=" NIL "j" '
           b'"x.test")) '
           b'((NIL NIL "Team" NIL)(NIL NIL "t1" "x.test")'
           b'(NIL NIL "t2" "x.test")(NIL NIL NIL NIL)) '
           b'NIL "<m0@x.test>" "<m1@x.test>")')
    tap.eq(c.fetch(3, b"ENVELOPE"), b"ENVELOPE (NIL NIL NIL NIL NIL NIL NIL "
           b"NIL NIL NIL)")


def test_structure(s, c):
    """BODY and BODYSTRUCTURE of a nested message"""
    env = (b'(NIL "inner" ((NIL NIL "inner" "x.test")) '
           b'((NIL NIL "inner" "x.test")) ((NIL NIL "inner" "x.test")) '
           b'NIL NIL NIL NIL NIL)')
    got = c.fetch(2, b"BODY").lower()
    tap.ok(got.startswith(b'body (("text" "plain" ("charset" "utf-8" "format"'
                          b' "flowed") "<c1>" "first" "8bit" 7 '), got)
    tap.contains(got, b'("application" "pdf" ("name" "a b.pdf") nil nil '
                      b'"base64" 4)')
    tap.contains(got, b'("message" "rfc822" nil nil nil "7bit" %d '
                 % len(INNER[:-2]) + env.lower() + b" ")
    tap.ok(got.endswith(b') "mixed")'), got)
    full = c.fetch(2, b"BODYSTRUCTURE").lower()
    tap.contains(full, b'"q2hly2s=" ("attachment" ("filename" "a b.pdf")) '
                       b'("en" "de")')
    tap.contains(full, b'"mixed" ("boundary" "out er") nil nil')
    tap.eq(c.fetch(3, b"BODY").lower(), b'body ("text" "plain" ("charset" '
           b'"us-ascii") nil nil "7bit" 0 0)')


def test_macros(s, c):
    """ALL, FAST, FULL, and lists of items"""
    fast = c.fetch(1, b"FAST")
    for item in (b"FLAGS (", b"INTERNALDATE ", b"RFC822.SIZE "):
        tap.contains(fast, item)
    tap.contains(c.fetch(1, b"ALL"), b"ENVELOPE (")
    tap.contains(c.fetch(1, b"FULL"), b"BODY (")
    tap.contains(c.fetch(1, b"(UID FLAGS)"), b"UID 1")


def test_internaldate(s, c):
    """INTERNALDATE as given to APPEND"""
    text = c.fetch(1, b"INTERNALDATE")
    m = re.match(rb'INTERNALDATE "( ?\d+-\w+-\d+ [\d:]+ [+-]\d+)"$', text)
    import imaplib
    import time
    got = time.mktime(imaplib.Internaldate2tuple(text))
    tap.ok(m, text)
    tap.eq(int(got), 1612656123)


def test_seen(s, c):
    """BODY[] sets \\Seen, BODY.PEEK[] and HEADER do not"""
    c.ok(b"STORE 1:3 FLAGS ()")
    c.ok(b"FETCH 1 BODY.PEEK[]")
    c.ok(b"FETCH 1 (RFC822.HEADER ENVELOPE BODYSTRUCTURE)")
    tap.ok(b"\\Seen" not in c.fetch(1, b"FLAGS"))
    lines = b"".join(c.ok(b"FETCH 1 BODY[TEXT]"))
    tap.contains(lines, b"\\Seen")
    tap.contains(c.fetch(1, b"FLAGS"), b"\\Seen")
    c.ok(b"FETCH 2 RFC822")
    tap.contains(c.fetch(2, b"FLAGS"), b"\\Seen")
    c.ok(b"EXAMINE f")
    c.ok(b"FETCH 3 BODY[]")
    tap.ok(b"\\Seen" not in c.fetch(3, b"FLAGS"))
    c.ok(b"SELECT f")


def test_sets(s, c):
    """sequence sets: ranges, *, reversed, duplicates, UIDs"""
    def numbers(command):
        return [int(li.split()[1]) for li in c.ok(command)
                if b"FETCH" in li]
    for spec, want in ((b"1:*", [1, 2, 3]), (b"*", [3]), (b"3:1", [1, 2, 3]),
                       (b"1,3", [1, 3]), (b"*:2", [2, 3]), (b"2,2", [2]),
                       (b"1:2,2:3", [1, 2, 3])):
        tap.eq(sorted(numbers(b"FETCH %s FLAGS" % spec)), want, spec)
    tap.eq(numbers(b"UID FETCH 2:4294967295 FLAGS"), [2, 3])
    tap.eq(numbers(b"UID FETCH 9999:* FLAGS"), [3])
    tap.eq(numbers(b"UID FETCH 500 FLAGS"), [])
    rest = c.imap(b"t", b"FETCH 4 FLAGS")[1]
    tap.ok(rest[:3] in (b"BAD", b"NO ", b"OK "), rest)


def test_python_reads_it(s, c):
    """imaplib and email read it without complaint"""
    box = s.imap("bob", "f")
    parts = [p[1] for p in box.fetch("1:*", "(UID BODY.PEEK[])")[1]
             if isinstance(p, tuple)]
    box.logout()
    tap.eq(parts, MESSAGES)
    subjects = [email.message_from_bytes(p, policy=email.policy.default)
                ["subject"] for p in parts]
    tap.eq(subjects, ["Hello\tfolded", "mixed", None])


with Server() as server:
    with setup(server) as box_:
        tap.run(globals(), server, box_)
tap.done()
