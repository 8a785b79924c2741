#!/usr/bin/python3
"""IMAP: several messages at once (MULTIAPPEND, RFC 3502), and such that the
server makes of parts (CATENATE, RFC 4469), and REPLACE (RFC 8508)."""
import os
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: %d\r\n\r\nbody %d\r\n"


class Box(Line):
    def ok(self, command, want=b"OK"):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(want), "%r: %r" % (command[:200], rest))
        self.rest = rest
        return lines

    def texts(self, mailbox):
        """The messages of a mailbox, each with its flags."""
        self.ok(b"SELECT " + mailbox)
        self.send(b"f UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n")
        found = []
        while not (line := self.line()).startswith(b"f "):
            flags = set(re.search(rb"FLAGS \((.*?)\)", line).group(1).split())
            size = int(re.search(rb"\{(\d+)\}$", line).group(1))
            found.append((flags - {b"\\Recent"}, self.file.read(size)))
            self.line()
        return found


def fresh(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    c.imap(b"x", b"DELETE w")
    c.ok(b"CREATE w")
    return c


def test_multi(s):
    """flags and dates of each, all kinds of literals, one APPENDUID"""
    big = MESSAGE % (9, 9) + b"x" * 3000000 + b"\r\n"
    texts = [MESSAGE % (i, i) for i in range(3)] + [big, b"a\0b\r\n"]
    with fresh(s) as c:
        tap.contains(c.ok(b"CAPABILITY")[0], b" MULTIAPPEND")
        c.send(b'a APPEND w (\\Seen) {%d}\r\n' % len(texts[0]))
        tap.ok(c.line().startswith(b"+"))
        c.send(texts[0] + b' "17-Jul-1996 02:44:25 -0700" {%d+}\r\n'
               % len(texts[1]) + texts[1]
               + b' (\\Draft $Word) "17-Jul-1996 02:44:25 -0700" {%d}\r\n'
               % len(texts[2]))
        tap.ok(c.line().startswith(b"+"))
        c.send(texts[2] + b" {%d+}\r\n" % len(big) + big + b" ~{%d+}\r\n"
               % len(texts[4]) + texts[4] + b"\r\n")
        lines, rest = c.until(b"a")
        tap.ok(re.match(rb"OK \[APPENDUID \d+ 1:5\]", rest), rest)
        found = c.texts(b"w")
        tap.ok([t for _, t in found] == texts)
        tap.eq([f for f, _ in found], [{b"\\Seen"}, set(),
                                       {b"\\Draft", b"$Word"}, set(), set()])
        dates = c.ok(b"FETCH 1:3 INTERNALDATE")
        tap.eq([b"17-Jul-1996" in d for d in dates], [False, True, True])


def test_none(s):
    """what is wrong with one is wrong with all, and the session goes on"""
    good = b"{5+}\r\nabc\r\n"
    with fresh(s) as c:
        for bad, answer in ((b"{%d+}\r\n%s" % (5 << 20, b"x" * (5 << 20)),
                             b"NO [TOOBIG]"),
                            (b"(\\Frob) {5+}\r\nabc\r\n", b"BAD"),
                            (b"{0+}\r\n", b"NO"), (b"", b"BAD"),
                            (b"(\\Seen) x", b"BAD"), (b"{5+}\r\nabc\r\n)",
                                                    b"BAD")):
            for tail in (b"", b" " + good, b" " + good + b" " + good):
                c.ok(b"APPEND w " + good + b" " + bad + tail, answer)
                c.ok(b"NOOP")
        c.ok(b"APPEND nothing %s %s" % (good, good), b"NO [TRYCREATE]")
        # A literal that is refused is not asked for.
        c.ok(b"APPEND w " + good + b" {%d}" % (5 << 20), b"NO [TOOBIG]")
        tap.eq(c.texts(b"w"), [])
        c.ok(b"APPEND w" + 1001 * (b" " + good), b"NO [LIMIT]")
        tap.eq(c.texts(b"w"), [])
        c.ok(b"APPEND w" + 1000 * (b" " + good))
        tap.ok(b"1:1000]" in c.rest, c.rest)


def test_quota(s):
    """over quota with the last one, nothing is stored"""
    text = MESSAGE % (1, 1) + b"x" * 40000 + b"\r\n"
    with fresh(s) as c:
        s.cli("account", "set", "bob@example.test", "--quota", "100000")
        try:
            c.ok(b"APPEND w" + 3 * (b" {%d+}\r\n%s" % (len(text), text)),
                 b"NO [OVERQUOTA]")
            tap.eq(c.texts(b"w"), [])
            c.ok(b"APPEND w" + 2 * (b" {%d+}\r\n%s" % (len(text), text)))
            tap.ok([t for _, t in c.texts(b"w")] == [text, text])
        finally:
            s.cli("account", "set", "bob@example.test", "--quota", "0")


def test_cut_off(s):
    """a connection that ends in the middle leaves nothing"""
    with fresh(s) as c:
        c.send(b"a APPEND w {5+}\r\nabc\r\n {100+}\r\nabc")
    with fresh(s) as c:
        tap.eq(c.texts(b"w"), [])
    tap.eq(os.listdir(s.path("data", "tmp")), [])


PARTS = (b"From: a@elsewhere.test\r\nTo: b@x.test\r\nSubject: p\r\n"
         b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
         b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n"
         b"--b\r\nX-A: 1\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n"
         b"--b--\r\n")


def parts(s):
    """A session; mailbox w has PARTS as UID 1, and a large message."""
    c = fresh(s)
    big = MESSAGE % (9, 9) + b"x" * 3000000 + b"\r\n"
    c.ok(b"APPEND w {%d+}\r\n%s {%d+}\r\n%s" % (len(PARTS), PARTS, len(big),
                                              big))
    c.validity = int(re.search(rb"APPENDUID (\d+)", c.rest).group(1))
    c.imap(b"x", b"DELETE Entw&APw-rfe")
    c.ok(b"CREATE Entw&APw-rfe")
    return c, big


def test_catenate(s):
    """text and URLs of sections, in all forms, byte for byte"""
    c, big = parts(s)
    with c:
        tap.contains(c.ok(b"CAPABILITY")[0], b" CATENATE")
        c.ok(b'APPEND Entw&APw-rfe (\\Draft) CATENATE (URL "/w/;UID=2")')
        rows = (
            (b'URL "/w/;UID=1"', PARTS),
            (b"URL /w/;UID=1/;SECTION=HEADER",
             PARTS[:PARTS.index(b"--b\r\n")]),
            (b'URL "/w;UIDVALIDITY=%d/;UID=1/;SECTION=1"' % c.validity,
             b"one"),
            (b'URL "/w/;UID=1/;SECTION=2.MIME"',
             b"X-A: 1\r\nContent-Type: text/html\r\n\r\n"),
            (b'URL "/w/;uid=1/;section=HEADER.FIELDS%20(To%20subject)"',
             b"To: b@x.test\r\nSubject: p\r\n\r\n"),
            (b'URL "/w/;UID=1/;SECTION=2/;PARTIAL=3.3"', b"two"),
            (b'URL "/w/;UID=1/;PARTIAL=6"', PARTS[6:]),
            (b'URL "/Entw%C3%BCrfe/;UID=1"', big),
            (b"URL {12+}\r\n/w/;UID=1/;P", None),
            (b"URL {10+}\r\n/w/;UID=1 ", None),
            (b"URL {9+}\r\n/w/;UID=1", PARTS),
            (b"TEXT {5+}\r\nA: b\n", b"A: b\n"), (b"TEXT {0+}\r\n", b""),
            (b"TEXT ~{3+}\r\na\0b", b"a\0b"))
        want = []
        for part, text in rows:
            c.ok(b"APPEND Entw&APw-rfe CATENATE (TEXT {2+}\r\n>  %s)" % part,
                 b"NO [BADURL" if text is None else b"OK")
            want += [] if text is None else [b"> " + text]
        good = [(p, t) for p, t in rows if t is not None]
        c.ok(b"APPEND Entw&APw-rfe (\\Seen) CATENATE (%s) {3+}\r\nabc "
             b"CATENATE (%s)" % (b" ".join(p for p, _ in good), good[0][0]))
        want += [b"".join(t for _, t in good), b"abc", PARTS]
        found = c.texts(b"Entw&APw-rfe")
        tap.eq([t[:500] for _, t in found[1:]], [t[:500] for t in want])
        tap.ok([t for _, t in found] == [big] + want)
        tap.eq(found[0][0], {b"\\Draft"})


def test_catenate_asks(s):
    """literals that are asked for, also that of a URL"""
    c, _ = parts(s)
    with c:
        c.send(b"a APPEND w CATENATE (TEXT {4}\r\n")
        tap.ok(c.line().startswith(b"+"))
        c.send(b"a: b URL {20}\r\n")
        tap.ok(c.line().startswith(b"+"))
        c.send(b"/w/;UID=1/;SECTION=1 TEXT {2}\r\n")
        tap.ok(c.line().startswith(b"+"))
        c.send(b"\r\n)\r\n")
        tap.ok(c.until(b"a")[1].startswith(b"OK [APPENDUID"))
        tap.eq(c.texts(b"w")[2][1], b"a: bone\r\n")


def test_catenate_refused(s):
    """BADURL, TOOBIG and what is no CATENATE store nothing"""
    c, _ = parts(s)
    with c:
        for url in (b"/w/;UID=3", b"/nothing/;UID=1", b"/w/;UID=1/;SECTION=7",
                    b"/w;UIDVALIDITY=1/;UID=1", b"imap://x/w/;UID=1",
                    b"/w/;UID=1/;SECTION=HEADER]x"):
            c.ok(b'APPEND w CATENATE (TEXT {2+}\r\n\r\n URL "%s" '
                 b'TEXT {7+}\r\nx NOOP\r)' % url,
                 b"NO [BADURL] " if b"]" in url else b"NO [BADURL %s]" % url)
        c.ok(b'APPEND w CATENATE (URL "/w/;UID=2" URL "/w/;UID=2")',
             b"NO [TOOBIG]")
        c.ok(b'APPEND w CATENATE (URL "/w/;UID=2" TEXT {2000000}',
             b"NO [TOOBIG]")
        c.ok(b"APPEND w CATENATE (TEXT {0+}\r\n)", b"NO [CANNOT]")
        c.ok(b"APPEND nothing CATENATE (TEXT {1+}\r\nx)", b"NO [TRYCREATE]")
        for bad in (b"()", b"(TEXT x)", b"(URL)", b"(URL )", b"(FROB {1+}\r\nx)",
                    b"(TEXT {1+}\r\nx", b"(TEXT {1+}\r\nx ) {1+}\r\ny",
                    b'(URL "/w/;UID=1"', b'(URL "/w/;UID=1") )'):
            c.ok(b"APPEND w CATENATE " + bad, b"BAD")
        tap.eq(len(c.texts(b"w")), 2)


def test_catenate_many(s):
    """however many URLs a command has, of what they name nothing stays"""
    def peak():
        return max(s.memory(p) for p in s.workers("mailbox"))
    url = b'URL "/big/;UID=1/;SECTION=HEADER.FIELDS%20(B)"'
    big = b"A: x\r\n" + b" " * 500 * 1000 + b"x\r\nB: y\r\n\r\n"
    with fresh(s) as c:
        c.ok(b"CREATE big")
        c.ok(b"APPEND big {%d+}\r\n%s" % (len(big), big))
        c.ok(b"APPEND big CATENATE (%s)" % url)
        before = peak()
        c.ok(b"APPEND big CATENATE (%s)" % b" ".join([url] * 200))
        tap.ok(peak() - before < 16 << 10, (before, peak()))
        few = b'URL {27+}\r\n/big/;UID=1/;PARTIAL=0.0001'
        c.ok(b"APPEND big CATENATE (%s)" % b" ".join([few] * 1000))
        rest = c.imap(b"t", b"APPEND big CATENATE (%s)" % b" ".join(
            [few] * 4001))[1]
        tap.ok(rest.startswith(b"NO [LIMIT]"), rest)
        c.ok(b"DELETE big")


def test_replace(s):
    """one message for another: by number, by UID, elsewhere, by CATENATE"""
    def told(lines):
        return [li for li in lines if not li.endswith(b"RECENT")]

    new = b"Subject: new\r\n\r\n"
    with fresh(s) as c, fresh(s) as other:
        tap.contains(c.ok(b"CAPABILITY")[0], b" REPLACE")
        for i in range(4):
            c.ok(b"APPEND w {%d+}\r\n%s" % (len(MESSAGE % (i, i)),
                                           MESSAGE % (i, i)))
        c.ok(b"SELECT w")
        other.ok(b"SELECT w")
        c.send(b"a REPLACE 2 w (\\Seen \\Draft) {%d}\r\n" % len(new))
        tap.ok(c.line().startswith(b"+"))
        c.send(new + b"\r\n")
        lines, rest = c.until(b"a")
        tap.ok(rest.startswith(b"OK"), rest)
        tap.ok(re.match(rb"\* OK \[APPENDUID \d+ 5\]", lines[0]), lines)
        tap.eq(told(lines[1:]), [b"* 2 EXPUNGE", b"* 4 EXISTS"])
        tap.eq(told(other.ok(b"NOOP")), [b"* 2 EXPUNGE", b"* 4 EXISTS"])
        lines = c.ok(b"UID REPLACE 4 INBOX {%d+}\r\n%s" % (len(new), new))
        tap.eq(told(lines[1:]), [b"* 3 EXPUNGE"])
        c.ok(b'UID REPLACE * w (\\Draft) CATENATE (TEXT {%d+}\r\n%s '
             b'URL "/w/;UID=5")' % (len(new), new))
        found = c.texts(b"w")
        tap.eq([t for _, t in found], [MESSAGE % (0, 0), MESSAGE % (2, 2),
                                       new + new])
        tap.eq(found[2][0], {b"\\Draft"})
        c.ok(b"ENABLE QRESYNC")
        lines = c.ok(b"REPLACE * w {%d+}\r\n%s" % (len(new), new))
        tap.ok(b"* VANISHED 6" in lines, lines)
        tap.contains(c.rest, b"HIGHESTMODSEQ")


def test_replace_refused(s):
    """what fails leaves the old message and no new one"""
    new = b" {5+}\r\na: b\n"
    big = b"x" * 80000
    with fresh(s) as c, fresh(s) as other:
        for text in (b"old", big):
            c.ok(b"APPEND w {%d+}\r\n%s" % (len(text), text))
        c.ok(b"REPLACE 1 w" + new, b"BAD")      # nothing is selected
        c.ok(b"NOOP")
        c.ok(b"EXAMINE w")
        c.ok(b"REPLACE 1 w" + new, b"NO")
        c.ok(b"SELECT w")
        for bad in (b"3 w", b"1:2 w", b"0 w", b"1,2 w", b"$ w", b"x w", b"1",
                    b"1 w (\\Frob)"):
            c.ok(b"REPLACE " + bad + new, b"BAD")
            c.ok(b"NOOP")
        c.ok(b"REPLACE 1 w" + new + new, b"BAD")
        c.ok(b"REPLACE 1 w" + new + b" x", b"BAD")
        c.ok(b"UID REPLACE 3 w {5}", b"NO")
        c.ok(b"REPLACE 1 nothing {5}", b"NO [TRYCREATE]")
        c.ok(b"REPLACE 1 w {5000000}", b"NO [TOOBIG]")
        s.cli("account", "set", "bob@example.test", "--quota", "100000")
        c.ok(b"REPLACE 1 w {80000+}\r\n" + big, b"NO [OVERQUOTA]")
        c.ok(b"REPLACE 2 w {80000+}\r\n" + big)
        s.cli("account", "set", "bob@example.test", "--quota", "0")
        # Another session is faster.
        other.ok(b"SELECT w")
        other.ok(b"STORE 1 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
        c.ok(b"UID REPLACE 1 w" + new, b"NO [EXPUNGEISSUED]")
        tap.ok([t for _, t in c.texts(b"w")] == [big])


with Server({"limits": {"message_size": 4 << 20, "errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
