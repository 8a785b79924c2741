#!/usr/bin/python3
# test: timeout=300
"""MIME over the wire: what Python's email package writes, and what it (and
most of us) would rather not read.

For mail that Python wrote, ENVELOPE, BODYSTRUCTURE, BODY[n], BODY[n.MIME] and
BINARY[n] say what Python reads. For handmade nasty mail they must follow the
grammar and fit each other and the bytes. All of it comes back through IMAP
and POP3 byte for byte."""
import email
import email.header
import email.policy
import os
import random
import re
import sys
import urllib.parse
from email.message import EmailMessage
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import imaptext
import tap
from server import PASSWORD, Server
from wire import Line

SEED = int(os.environ.get("SEED", "40"))
MADE = 120
SMTP = email.policy.SMTP.clone(max_line_length=72)
TEXT = b"Content-Type: text/plain\r\n\r\n"


def multipart(*parts, mark=b"b", more=b"", end=b"--b--\r\n"):
    return (b"Subject: m\r\nContent-Type: multipart/mixed; boundary=" + mark
            + b"\r\n" + more + b"\r\n" + b"".join(
                b"--" + mark + b"\r\n" + p + b"\r\n" for p in parts) + end)


def field(name, value):
    return name + b": " + value + b"\r\n"


def deep(n):
    data = TEXT + b"bottom\r\n"
    for i in range(n):
        data = multipart(data, mark=b"d%d" % i, end=b"--d%d--\r\n" % i)
    return data


# RFC 2231 in all its forms: in order, out of order, with gaps, unencoded.
PARAMETERS = [
    b"name*=utf-8''%e2%82%ac%20rates", b"name*0=a; name*1=b; name*2=c",
    b"name*1=b; name*0=a", b"name*0*=utf-8'en'%c3%a4; name*1=plain; "
    b"name*2*=%c3%b6", b"name*0=a; name*2=c", b"name*=us-ascii'a",
    b"name*=%%%", b"name**=x", b"name*x*=y", b"name*00=1; name*000=2",
    b"name=\"=?utf-8?q?=C3=A4?=\"", b"name=\"a\\\"b\\\\c\"", b"name=\"open",
    b"name=", b"name", b"=x", b";;;", b"name=a b c; b=d", b"name=\xff\xfe",
    b"name=a; name=b", b"a=1;" * 300, b"name=\"a\r\n b\"", b"name=(c)x(d)",
    b"name=\"" + b"x" * 20000 + b"\"",
]
TYPES = [b"", b"/", b"text", b"text/", b"/plain", b"text//plain", b"a b/c d",
         b"text/plain/x", b"\"text\"/plain", b"multipart/mixed",
         b"multipart/mixed; boundary=\"\"", b"multipart/; boundary=b",
         b"message/rfc822; boundary=b", b"multipart/digest; boundary=b",
         b"(comment) text (c) / (d) plain (((open", b"text/plain\0; a=b",
         b"message/partial; number=1; id=x", b"message/external-body",
         b"x" * 3000 + b"/" + b"y" * 3000, b"TEXT/HTML;CHARSET=UTF-8"]
ADDRESSES = [
    b"undisclosed-recipients:;", b"A: b@c, d@e;", b"A: B: c@d;;", b"a@b@c",
    b"<>", b"<@>", b"<a@b", b"a@b>", b"\"open <a@b>", b"(open a@b",
    b"(a (b (c) d) e) x@y (z)", b"a (b) @ (c) d (e) . f", b",,,", b";", b":",
    b"=?utf-8?b?w6Q=?= <a@b>", b"=?utf-8?q?=C3?= =?utf-8?q?=A4?= <a@b>",
    b"=?bogus?x?y?= <a@b>", b"\xc3\xa4@\xc3\xb6.test", b"\xff <\xfe@\xfd>",
    b"<@r1,@r2:a@b>", b"\"a\\\"b\"@c", b"a@[127.0.0.1]", b"a@[open",
    b"x" * 10000 + b"@" + b"y" * 10000, b"a\0b@c", b"a\r\n\t@\r\n b",
    b"\\", b"\"\\", b"(\\", b"a." * 500 + b"b@c", b"A B C <a@b> D <c@d>",
]
NASTY = [
    ("one byte", b"x"), ("only an LF", b"\n"),
    ("only a CR", b"\r"), ("lines that end in LF", b"Subject: a\nTo: b@c\n"
     b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"),
    ("CR inside lines", b"Subject: a\rb\r\nTo: a@b\r\r\n\r\na\rb\r\r\n"),
    ("LF and CR LF mixed", b"Subject: a\r\nX: y\n\nbody\r\nline\n.\r\n..\n"),
    ("no colon", b"Subject\r\nTo a@b\r\n\r\nx"),
    ("blank before the colon", b"Subject : a\r\nTo\t: a@b\r\n\r\nx"),
    ("begins with a folded line", b" folded\r\nSubject: a\r\n\r\nx"),
    ("From_ line", b"From a@b Mon Jan  1 00:00:00 2024\r\nSubject: a\r\n\r\n"),
    ("fields twice", b"Subject: 1\r\nSubject: 2\r\nDate: x\r\nDate: y\r\n"
     b"From: a@b\r\nFrom: c@d\r\nContent-Type: text/html\r\n"
     b"Content-Type: image/png\r\n\r\nx"),
    ("8-bit field names", b"S\xc3\xbcbject: a\r\n\xff: b\r\n\r\n\x80"),
    ("NULs", b"Subject: a\0b\r\nTo: a\0@b\r\n\r\n\0\r\n\0"),
    ("NULs among parts", multipart(b"X\0: y\r\n\r\na\0", TEXT + b"\0\0")),
    ("empty multipart", multipart()),
    ("multipart that ends at once", multipart(end=b"")),
    ("multipart of multiparts without parts", multipart(
        multipart(mark=b"c", end=b"--c--"), multipart(mark=b"d", end=b""))),
    ("boundary never comes", multipart(mark=b"never", end=b"text\r\n")),
    ("boundary of blanks", b"Content-Type: multipart/mixed; boundary=\"  \""
     b"\r\n\r\n--  \r\n\r\nx\r\n--  --\r\n"),
    ("boundary is encoded", b"Content-Type: multipart/mixed; "
     b"boundary*=utf-8''b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    ("boundary in two pieces", b"Content-Type: multipart/mixed; "
     b"boundary*0=b; boundary*1=c\r\n\r\n--bc\r\n\r\nx\r\n--bc--\r\n"),
    ("boundary with an unterminated comment", b"Content-Type: multipart/mixed"
     b" (open; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    ("same boundary inside", multipart(multipart(TEXT + b"x"), TEXT + b"y")),
    ("base64 of nonsense", multipart(
        b"Content-Transfer-Encoding: base64\r\n\r\n=A=B====\xff*Z\r\n")),
    ("base64 cut short", b"Content-Transfer-Encoding: base64\r\n\r\nQUJ"),
    ("quoted-printable of nonsense", b"Content-Transfer-Encoding: "
     b"quoted-printable\r\n\r\n=\r\n==4=4g=\xff= \t\r\n=0A=0=\r\n="),
    ("an encoding that nobody knows", b"Content-Transfer-Encoding: rot13\r\n"
     b"\r\nuryyb"),
    ("encoded multipart", multipart(
        TEXT + b"x", more=b"Content-Transfer-Encoding: base64\r\n")),
    ("encoded message", multipart(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64"
        b"\r\n\r\nU3ViamVjdDogeA0KDQp5\r\n")),
    ("ten thousand parts", multipart(*[TEXT + b"%d" % i
                                       for i in range(10000)])),
    ("eighty multiparts deep", deep(80)),
    ("a line of 200,000 bytes", b"Subject: " + b"y" * 200000 + b"\r\n\r\n"
     + b"z" * 200000),
    ("dots", b"Subject: .\r\n\r\n.\r\n..\r\n...\r\n.\n..\n.x\r\n."),
] + [("parameter %d" % i, multipart(
    b"Content-Type: text/plain; " + p + b"\r\nContent-Disposition: "
    b"attachment; file" + p + b"\r\n\r\nx", TEXT + b"y"))
    for i, p in enumerate(PARAMETERS)
] + [("type %d" % i, multipart(field(b"Content-Type", t) + b"\r\nx",
                               TEXT + b"y")) for i, t in enumerate(TYPES)
     ] + [("type %d of the whole" % i, field(b"Content-Type", t)
           + b"\r\n--b\r\n\r\nx\r\n--b--\r\n") for i, t in enumerate(TYPES)
          ] + [("address %d" % i, b"".join(
              field(n, a) for n in (b"From", b"Sender", b"Reply-To", b"To",
                                    b"Cc", b"Bcc"))
              + b"Subject: " + a + b"\r\n\r\nx")
               for i, a in enumerate(ADDRESSES)]


# ------------------------------------------------------ written by Python

WORDS = ["plain", "Grüße", "日本語", "a, b", "\"quoted\"", "x" * 40, "tab\t",
         "e=mc²", "Ωμέγα", "semi;colon", "back\\slash", "100%", "it's"]


def words(r, most=5):
    return " ".join(r.choice(WORDS) for _ in range(
        r.randrange(1, most))).strip()


def address(r):
    name = words(r, 3).replace("\t", "")
    return email.headerregistry.Address(
        r.choice((name, "")), "u%d" % r.randrange(99), "d.test")


def compose(r, depth=0):
    m = EmailMessage(policy=SMTP)
    m["Subject"] = words(r).replace("\t", " ")
    m["From"] = address(r)
    m["To"] = [address(r) for _ in range(r.randrange(1, 5))]
    if r.random() < 0.5:
        m["Cc"] = email.headerregistry.Group("Team", tuple(
            address(r) for _ in range(r.randrange(3))))
    m["Message-ID"] = "<%d@d.test>" % r.randrange(10 ** 9)
    m["Date"] = "Mon, 07 Feb 1994 21:52:%02d -0800" % r.randrange(60)
    m.set_content(words(r, 40) + "\n", cte=r.choice(
        ("base64", "quoted-printable", "8bit")))
    if r.random() < 0.4:
        m.add_alternative("<p>%s</p>\n" % words(r), subtype="html")
    for _ in range(r.randrange(4)):
        if r.random() < 0.25 and depth < 3:
            m.add_attachment(compose(r, depth + 1))
            continue
        m.add_attachment(bytes(r.randrange(256) for _ in range(
            r.randrange(300))), "application", "x-%d" % r.randrange(9),
            filename=words(r, 9).replace("\t", " "))
    return m


# ------------------------------------------------------------- the checks


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command[:200], rest))
        return lines

    def items(self, uid, items):
        lines = [li for li in self.ok(b"UID FETCH %d (%s)" % (
            uid, b" ".join(items))) if b" FETCH (" in li]
        return imaptext.fetched(lines[0])


def numbered(s, path=b""):
    """(path, structure) of every part that has a number, in order."""
    if isinstance(s[0], list):
        for i, child in enumerate(c for c in s if isinstance(c, list)
                                  and c and isinstance(c[0], (list, bytes))
                                  and is_body(c)):
            yield from numbered(child, path + b".%d" % (i + 1))
        return
    own = path or b".1"
    yield own[1:], s
    if s[0].lower() == b"message" and s[1].lower() in (b"rfc822", b"global") \
            and len(s) > 9:
        inner = s[8]
        yield from numbered(inner, own if isinstance(inner[0], list)
                            else own + b".1")


def is_body(c):
    """Not the parameters of a multipart, which are a list too."""
    return isinstance(c[0], list) or len(c) >= 7


def check_structure(c, uid, data, got):
    """Sizes fit the bytes, every part can be had, and where it says."""
    parts = list(numbered(got[b"BODYSTRUCTURE"]))
    tap.eq(len(got[b"ENVELOPE"]), 10, "envelope")
    for path, s in parts[:20] + parts[-2:]:
        spec = b"BODY[" + path + b"]"
        mime = b"BODY[" + path + b".MIME]"
        body = c.items(uid, [b"BODY.PEEK" + spec[4:],
                             b"BODY.PEEK" + mime[4:]])
        tap.eq(len(body[spec] or b""), s[6], b"octets of " + path)
        if s[0].lower() == b"text":
            tap.eq((body[spec] or b"").count(b"\n"), s[7], b"lines of "
                   + path)
        if body[mime] is not None:
            tap.contains(data, body[mime] + (body[spec] or b""), path)
    return parts


def parameters(pairs):
    """(name: text) with RFC 2231 undone."""
    flat = dict(zip([k.lower() for k in pairs[::2]], pairs[1::2]))
    out = {}
    for name in {k.split(b"*")[0] for k in flat}:
        pieces = [k for k in flat if k.split(b"*")[0] == name]
        pieces.sort(key=lambda k: int(re.sub(rb"\D", b"", k[len(name):])
                                      or 0))
        raw, charset = b"", "utf-8"
        for k in pieces:
            piece = flat[k]
            if k.endswith(b"*"):
                if not raw and piece.count(b"'") >= 2:
                    charset, _, piece = piece.split(b"'", 2)
                    charset = charset.decode()
                piece = urllib.parse.unquote_to_bytes(piece)
            raw += piece
        out[name.decode()] = raw.decode(charset)
    return out


def check_part(c, uid, path, s, part):
    """One leaf as Python reads it."""
    what = b"part %s of UID %d" % (path, uid)
    tap.eq((s[0] + b"/" + s[1]).lower().decode(), part.get_content_type(),
           what)
    tap.eq(s[5].lower().decode(), part.get("content-transfer-encoding",
                                           "7bit"), what)
    spec = b"BINARY[" + path + b"]"
    got = c.items(uid, [b"BINARY.PEEK" + spec[6:],
                        b"BINARY.SIZE" + spec[6:]])
    want = part.get_payload(decode=True)
    tap.eq(got[spec], want, what)
    tap.eq(got[b"BINARY.SIZE" + spec[6:]], len(want), what)
    name = part.get_filename()
    if name is not None:
        at = 9 if s[0].lower() == b"text" else 8
        # get_filename() takes quotes away that belong to the name.
        tap.eq(parameters(s[at][1])["filename"].strip('"'),
               name.strip('"'), what)


def check_made(c, uid, data, got, parts):
    """ENVELOPE and leaves against Python."""
    m = email.message_from_bytes(data, policy=email.policy.default)
    envelope = got[b"ENVELOPE"]
    tap.eq(plain(decoded(envelope[1])), plain(m["subject"]), "subject")
    tap.eq(envelope[0].decode(), m["date"], "date")
    tap.eq(envelope[9].decode(), m["message-id"], "message id")
    for at, name in ((2, "from"), (5, "to"), (6, "cc")):
        if m[name] is None:
            tap.eq(envelope[at], None, name)
            continue
        if m[name].defects:     # Python folds some lists wrongly
            continue
        want = []
        for g in m[name].groups:
            if g.display_name is not None:
                want.append((None, plain(g.display_name), None))
            want += [(plain(a.display_name), a.username, a.domain)
                     for a in g.addresses]
            if g.display_name is not None:
                want.append((None, None, None))
        tap.eq([(plain(decoded(a[0])) if a[0] or a[3] else None,
                 a[2] and a[2].decode(), a[3] and a[3].decode())
                for a in envelope[at]], want, name)
    leaves = [p for p in m.walk() if not p.is_multipart() or
              p.get_content_type() == "message/rfc822"]
    tap.eq(len(parts), len(leaves), "parts")
    for (path, s), part in zip(parts, leaves):
        if not part.is_multipart():
            check_part(c, uid, path, s, part)


def plain(text):
    """Python's two ways to read encoded words differ in blanks."""
    return "".join(text.split())


def decoded(raw):
    return str(email.header.make_header(email.header.decode_header(
        raw.decode("utf-8")))) if raw else ""


def fetch_all(c, uid, data):
    got = c.items(uid, [b"RFC822.SIZE", b"ENVELOPE", b"BODYSTRUCTURE",
                        b"BODY", b"BODY.PEEK[]"])
    tap.eq(got[b"BODY[]"], data, "bytes")
    tap.eq(got[b"RFC822.SIZE"], len(data), "size")
    return got


def append(c, data):
    _, rest = c.imap(b"t", b"APPEND INBOX {%d+}\r\n%s" % (len(data), data))
    tap.ok(b"APPENDUID" in rest, rest)
    STORED.append(data)
    return int(rest.partition(b"APPENDUID ")[2].split()[1].rstrip(b"]"))


def check_nasty(s, c, data):
    uid = append(c, data)
    check_structure(c, uid, data, fetch_all(c, uid, data))


def test_made(s, c):
    """what Python wrote is what Python reads"""
    r = random.Random(SEED)
    for _ in range(MADE):
        data = compose(r).as_bytes()
        uid = append(c, data)
        got = fetch_all(c, uid, data)
        check_made(c, uid, data, got, check_structure(c, uid, data, got))


def retrieve(c, number):
    c.send(b"RETR %d\r\n" % number)
    tap.ok(c.line().startswith(b"+OK"), number)
    data = b""
    while not data.endswith(b"\n.\r\n") and data != b".\r\n":
        line = c.file.readline()
        tap.ok(line, "the connection ended")
        data += line
    return data[:-3]


def test_pop3(s, c):
    """POP3 gives every byte of all of them"""
    with Line(s.ports["pop3"]) as pop:
        pop.line()
        for command in (b"USER bob@example.test", b"PASS "
                        + PASSWORD.encode()):
            pop.send(command + b"\r\n")
            tap.ok(pop.line().startswith(b"+OK"))
        for number, data in enumerate(STORED, 1):
            got = retrieve(pop, number)
            got = b"\n".join(li[1:] if li.startswith(b".") else li
                             for li in got.split(b"\n"))
            # The dot needs a line of its own.
            whole = data if data.endswith(b"\n") or not data \
                else data + b"\r\n"
            tap.eq(got, whole, "message %d" % number)


STORED = []

with Server() as server:
    with Box(server.ports["imap"]) as box:
        box.line()
        box.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
        box.ok(b"SELECT INBOX")
        tap.table(NASTY, check_nasty, server, box)
        tap.run(globals(), server, box)
tap.done()
