#!/usr/bin/python3
"""Every section of nasty messages, fetched, against bytes that are known
because the messages were built of them; and against Python's email package
where a message obeys the rules."""
import base64
import email
import os
import quopri
import random
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

SEED = int(os.environ.get("SEED", "30"))
BLANK = b"\r\n"


class Part:
    """A part and what it was built of. head ends with the empty line (if it
    has one), body is what stands behind it."""

    def __init__(self, head, body, children=(), inner=None, encoding=None):
        self.head, self.body = head, body
        self.children, self.inner = list(children), inner
        self.encoding = encoding

    def bytes(self):
        return self.head + self.body


def leaf(body=b"text", head=b"Content-Type: text/plain\r\n", blank=BLANK):
    return Part(head + blank, body)


def encoded(raw, encoding):
    text = base64.encodebytes(raw).replace(b"\n", b"\r\n") \
        if encoding == b"base64" else \
        quopri.encodestring(raw).replace(b"\n", b"\r\n")
    return Part(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: "
                + encoding + b"\r\n\r\n", text, encoding=encoding)


def multipart(children, boundary=b"b", preamble=b"", end=b"--",
              epilogue=b"", more=b""):
    """end None: the closing line is missing."""
    head = (b"MIME-Version: 1.0\r\n" + more + b"Content-Type: multipart/mixed"
            b"; boundary=\"" + boundary + b"\"\r\n\r\n")
    body = preamble
    for i, child in enumerate(children):
        body += (b"" if i == 0 and not preamble else b"\r\n")
        body += b"--" + boundary + b"\r\n" + child.bytes()
    if end is not None:
        body += b"\r\n--" + boundary + end + epilogue
    return Part(head, body, children)


def rfc822(inner, more=b""):
    return Part(b"Content-Type: message/rfc822\r\n" + more + b"\r\n",
                inner.bytes(), inner=inner)


def message(part, head=b"From: a@x.test\r\nSubject: s\r\n"):
    return Part(head + part.head, part.body, part.children, part.inner,
                part.encoding)


# ------------------------------------------------------- what is expected

def fields(head, names, wanted):
    """The fields of those names (or the others) and the empty line."""
    found = re.findall(rb"[^\r\n]+(?:\r\n|$)(?:[ \t][^\r\n]*\r\n)*", head)
    blank = head[len(b"".join(found)):]
    return b"".join(
        f for f in found
        if (f.split(b":")[0].strip().lower() in names) == wanted) + blank


def of_message(part, prefix, out):
    """HEADER, TEXT and the numbers of a message or of one inside."""
    dot = prefix and prefix + b"."
    out[dot + b"HEADER"] = part.head
    out[dot + b"TEXT"] = part.body
    out[dot + b"HEADER.FIELDS (Subject)"] = \
        fields(part.head, {b"subject"}, True)
    out[dot + b"HEADER.FIELDS.NOT (Subject From)"] = \
        fields(part.head, {b"subject", b"from"}, False)
    if part.children:
        for i, child in enumerate(part.children, 1):
            of_part(child, dot + b"%d" % i, out)
        out[dot + b"%d" % (len(part.children) + 1)] = None
    else:
        out[dot + b"1"] = part.body
        out[dot + b"2"] = None
        part.path = dot + b"1"
        if part.inner:
            of_message(part.inner, dot + b"1", out)


def of_part(part, path, out):
    out[path] = part.body
    out[path + b".MIME"] = part.head
    part.path = path
    if part.inner:
        of_message(part.inner, path, out)
        return
    out[path + b".HEADER"] = None
    out[path + b".TEXT"] = None
    for i, child in enumerate(part.children, 1):
        of_part(child, path + b".%d" % i, out)
    if not part.children:
        out[path + b".1"] = None


def sections(part):
    out = {b"": part.bytes()}
    of_message(part, b"", out)
    return out


def binaries(part):
    """Path and decoded bytes of encoded leaves; sections() came before."""
    if part.encoding == b"base64":
        yield part.path, base64.b64decode(part.body)
    elif part.encoding:
        yield part.path, quopri.decodestring(part.body)
    for child in part.children + [part.inner] * bool(part.inner):
        yield from binaries(child)


# --------------------------------------------------------------- messages

DEEP = leaf(b"bottom")
for depth in range(30):
    DEEP = multipart([DEEP], b"d%d" % depth)
NESTED = leaf(b"innermost\r\n", b"Subject: n\r\n")
for depth in range(20):
    NESTED = rfc822(message(NESTED, b"Subject: %d\r\n" % depth))

CORPUS = [
    ("plain", message(leaf(b"one\r\ntwo\r\n"))),
    ("no body", Part(b"Subject: only\r\n\r\n", b"")),
    ("no empty line", Part(b"Subject: only\r\n", b"")),
    ("no line end", Part(b"Subject: only", b"")),
    ("no header", Part(BLANK, b"body\r\n")),
    ("only an empty line", Part(BLANK, b"")),
    ("8-bit everywhere", Part(b"Subject: \xff\xe4\r\nX-Y: \xff\r\n\r\n",
                              bytes(range(128, 256)))),
    ("NUL in the body", message(leaf(b"a\0b\r\n\0"))),
    ("bare LF in the body", message(leaf(b"a\nb\n\n--b\nc\r\n"))),
    ("long lines", message(leaf(b"x" * 70000 + b"\r\n" + b"y" * 3000))),
    ("large", message(leaf(b"0123456789abcdef\r\n" * 20000))),
    ("folded fields", Part(b"Subject: a\r\n b\r\n\tc\r\nFrom: x\r\n"
                           b"SUBJECT: again\r\nX:\r\n\r\n", b"t")),
    ("two parts", message(multipart([leaf(b"1"), leaf(b"2\r\n")]))),
    ("preamble and epilogue", message(multipart(
        [leaf(), leaf()], preamble=b"pre\r\n--bx\r\namble",
        epilogue=b"\r\nepi\r\n--b\r\nlogue\r\n"))),
    ("empty parts", message(multipart([leaf(b""), leaf(b"", b""),
                                       leaf(b"", b"", BLANK)]))),
    ("part without header", message(multipart([leaf(b"bare", b"")]))),
    ("no closing line", message(multipart([leaf(b"1"), leaf(b"2\r\nx\r\n")],
                                          end=None))),
    ("inner closing line missing", message(multipart([
        multipart([leaf(b"in1"), leaf(b"in2")], b"in", end=None),
        leaf(b"out2")], b"out"))),
    ("boundary of another one's head", message(multipart([
        leaf(b"--a\r\n--abc\r\n--ab c"), leaf(b"x")], b"ab"))),
    ("blanks behind boundaries", message(multipart(
        [leaf(b"x")], end=b"--  \t", epilogue=b"\r\n"))),
    ("empty lines at the ends", message(multipart(
        [leaf(b"\r\n\r\n"), leaf(b"\r\n")]))),
    ("message in a message", message(multipart([
        leaf(b"see below"),
        rfc822(message(multipart([leaf(b"in 1"), rfc822(message(
            leaf(b"in 2")))], b"in")))], b"out"))),
    ("message with an empty one", message(multipart([
        rfc822(Part(BLANK, b"")), rfc822(Part(b"Subject: h\r\n\r\n", b""))]))),
    ("the whole is a message", message(rfc822(message(leaf(b"in\r\n"))))),
    ("the whole is a message of parts",
     message(rfc822(message(multipart([leaf(b"a"), leaf(b"b")]))))),
    ("thirty multiparts deep", message(DEEP)),
    ("twenty messages deep", message(NESTED)),
    ("three hundred parts", message(multipart(
        [leaf(b"%d" % i) for i in range(300)]))),
    ("encoded", message(multipart([
        encoded(bytes(range(256)) * 9, b"base64"),
        encoded("Grüße = schön\n".encode() * 60, b"quoted-printable"),
        rfc822(message(multipart([encoded(b"\0\r\n\0", b"base64")],
                                 b"in")))]))),
]


def random_part(r, depth):
    kind = r.random()
    if depth > 4 or kind < 0.45:
        return leaf(b"\r\n".join(
            bytes(r.choice(b"ab -=.\t\xe4") for _ in range(r.randrange(50)))
            for _ in range(r.randrange(5))), r.choice((
                b"", b"Content-Type: text/plain\r\n", b"X-Y: z\r\n  fold\r\n",
                b"Content-Type: image/png\r\nContent-ID: <1>\r\n")))
    if kind < 0.6:
        return encoded(bytes(r.randrange(256) for _ in range(
            r.randrange(300))), b"base64")
    if kind < 0.8:
        inner = random_part(r, depth + 1)
        return rfc822(message(inner, b"Subject: %d\r\n" % depth))
    return multipart([random_part(r, depth + 1)
                      for _ in range(r.randrange(1, 5))],
                     b"bound%d.%d" % (depth, r.randrange(10 ** 9)),
                     preamble=r.choice((b"", b"pre")),
                     end=r.choice((b"--", b"--", None)),
                     epilogue=r.choice((b"", b"\r\n", b"\r\nepi")))


# --------------------------------------------------------------- the fetch

class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command[:300], rest))
        return lines

    def items(self, number, items):
        """Values of the items, in order; None for NIL."""
        lines = [li for li in self.ok(b"FETCH %d (%s)" % (
            number, b" ".join(items))) if b" FETCH (" in li]
        tap.eq(len(lines), 1)
        text, out = lines[0].split(b" FETCH (", 1)[1], []
        value = re.compile(rb" ?((?:BODY|BINARY(?:\.SIZE)?)\[[^]]*\](?:<\d+>)?"
                           rb") (?:~?\{(\d+)\}\r\n|(NIL)|(\d+))")
        while text != b")":
            m = value.match(text)
            tap.ok(m, "no item at %r" % text[:200])
            text = text[m.end():]
            if m.group(2):
                size = int(m.group(2))
                out.append((m.group(1), text[:size]))
                tap.eq(len(out[-1][1]), size, "literal is cut")
                text = text[size:]
            else:
                out.append((m.group(1), m.group(4)))
        return out


def store(c, part):
    data = part.bytes()
    c.ok(b"APPEND b {%d+}\r\n%s" % (len(data), data))
    line = [li for li in c.ok(b"NOOP") if b"EXISTS" in li]
    return int(line[-1].split()[1]) if line else store.last + 1


def check(s, c, part):
    number = store.last = store(c, part)
    want = sections(part)
    specs = list(want)
    for at in range(0, len(specs), 100):
        some = specs[at:at + 100]
        got = c.items(number, [b"BODY.PEEK[" + spec + b"]" for spec in some])
        for spec, (label, value) in zip(some, got):
            tap.eq(label, b"BODY[" + spec + b"]")
            tap.eq(value, want[spec], spec)
    check_partial(c, number, want)
    for path, raw in binaries(part):
        got = c.items(number, [b"BINARY.PEEK[" + path + b"]",
                               b"BINARY.SIZE[" + path + b"]",
                               b"BINARY.PEEK[" + path + b"]<3.7>"])
        tap.eq(got[0][1], raw, b"BINARY " + path)
        tap.eq(int(got[1][1]), len(raw), b"BINARY.SIZE " + path)
        tap.eq(got[2][1], raw[3:10], b"BINARY partial " + path)
    line = c.ok(b"FETCH %d (RFC822.SIZE)" % number)[0]
    tap.contains(line, b"RFC822.SIZE %d)" % len(want[b""]))
    if part.children and not part.inner:
        check_email(part, want)


def check_partial(c, number, want):
    r = random.Random(number)
    asked = []
    for spec in r.sample(list(want), min(len(want), 20)):
        size = len(want[spec] or b"")
        asked.append((spec, r.randrange(size + 3), r.randrange(1, size + 9)))
    got = c.items(number, [b"BODY.PEEK[%s]<%d.%d>" % a for a in asked])
    for (spec, start, size), (label, value) in zip(asked, got):
        tap.eq(label, b"BODY[%s]<%d>" % (spec, start))
        whole = want[spec]
        tap.eq(value, None if whole is None else whole[start:start + size],
               b"partial " + spec)


def check_email(part, want):
    """Leaves of the first level as Python's parser sees them."""
    parsed = email.message_from_bytes(want[b""])
    if parsed.defects or not parsed.is_multipart():
        return
    for i, child in enumerate(parsed.get_payload(), 1):
        if child.is_multipart() or child.defects or child.get(
                "Content-Transfer-Encoding"):
            continue
        tap.eq(want[b"%d" % i], child.get_payload(decode=True),
               "Python's part %d" % i)


def connect(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    c.ok(b"CREATE b")
    c.ok(b"SELECT b")
    store.last = 0
    return c


r_ = random.Random(SEED)
CORPUS += [("random %d" % i, message(random_part(r_, 0))) for i in range(60)]

with Server() as server:
    with connect(server) as box:
        tap.table(CORPUS, check, server, box)
tap.done()
