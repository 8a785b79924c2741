#!/usr/bin/python3
# test: timeout=300
"""The MIME parser against Python's email package.

Messages that obey the RFCs, and such that only lack their end, must come out
as Python sees them: parts, types, payload bytes, envelope. For nasty ones no
comparison holds, so what must hold is said here: the parts lie in each other,
sizes and line counts fit the bytes, the IMAP texts parse, the cut of the input
does not matter, and the time stays small.
"""
import email
import email.policy
import email.utils
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "t", "lib"))
import imaptext  # noqa: E402
import tap  # noqa: E402

DUMP = os.environ.get("MIMEDUMP", os.path.join(HERE, "mimedump"))
CUTS = (0, 1, 7, 997)
SEED = int(os.environ.get("SEED", "20240"))

# ------------------------------------------------------------ the parser


def dump(messages, cut=0):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, data in enumerate(messages):
            paths.append(os.path.join(folder, "%d.eml" % i))
            with open(paths[-1], "wb") as f:
                f.write(data)
        out = subprocess.run([DUMP, str(cut)] + paths, check=True,
                             stdout=subprocess.PIPE).stdout
    views = [json.loads(line) for line in out.splitlines()]
    tap.eq(len(views), len(messages), "one line a message")
    return views


def imap_parse(text):
    """One value: list, bytes, int or None."""
    tap.ok("\0" not in text, "NUL in a literal")
    return imaptext.parse(text.encode("latin-1"))


def flatten(root, extended):
    """Parts of a BODY or BODYSTRUCTURE in order: (type, octets, lines)."""
    out, todo = [], [root]
    while todo:
        s = todo.pop()
        if isinstance(s[0], list):
            n = next(i for i, x in enumerate(s) if not isinstance(x, list))
            out.append((b"multipart/" + s[n].lower(), None, None))
            tap.eq(len(s), n + (5 if extended else 1), "multipart fields")
            todo += reversed(s[:n])
            continue
        kind = s[0].lower() + b"/" + s[1].lower()
        lines, used = None, 7
        if kind in (b"message/rfc822", b"message/global"):
            lines, used = s[9], 10
            tap.eq(len(s[7]), 10, "envelope fields")
            todo.append(s[8])
        elif s[0].lower() == b"text":
            lines, used = s[7], 8
        tap.eq(len(s), used + (4 if extended else 0), "fields of %r" % kind)
        out.append((kind, s[6], lines))
    return out


def check_view(view, data):
    """What holds for every message."""
    parts = view["parts"]
    tap.eq(view["length"], len(data), "length")
    tap.eq((parts[0]["header"], parts[0]["end"]), (0, len(data)), "part 0")
    last_end = {}
    for i, p in enumerate(parts):
        up = parts[p["parent"]]
        tap.ok(p["header"] <= p["body"] <= p["end"], "order of part %d" % i)
        if i > 0:
            low = last_end.get(p["parent"], up["body"])
            tap.ok(low <= p["header"] and p["end"] <= up["end"],
                   "part %d lies in %d" % (i, p["parent"]))
            last_end[p["parent"]] = p["end"]
        tap.eq(p["lines"], data.count(b"\n", p["body"], p["end"]),
               "lines of part %d" % i)
    tap.eq(len(imap_parse(view["envelope"])), 10, "envelope")
    short = flatten(imap_parse(view["body_text"]), False)
    full = flatten(imap_parse(view["bodystructure"]), True)
    tap.eq(short, full, "BODY and BODYSTRUCTURE")
    shown = iter(full)
    for i, p in enumerate(parts):
        kind, octets, lines = next(shown)
        tap.eq(kind.startswith(b"multipart/"), p["multipart"], "kind %d" % i)
        if p["multipart"] and p["children"] == 0:
            tap.eq(next(shown), (b"text/plain", 0, 0), "stand-in")
        if octets is not None:
            tap.eq(octets, p["end"] - p["body"], "octets of %d" % i)
        if lines is not None:
            tap.eq(lines, p["lines"], "lines shown of %d" % i)
    tap.ok(next(shown, None) is None, "more in BODYSTRUCTURE than parts")
    return full


def check_all(messages):
    views = dump(messages)
    for cut in CUTS[1:]:
        for i, other in enumerate(dump(messages, cut)):
            tap.ok(other == views[i], "cut %d changes message %d: %r"
                   % (cut, i, messages[i][:300]))
    for view, data in zip(views, messages):
        try:
            check_view(view, data)
        except AssertionError as e:
            raise AssertionError("%s\n in %r" % (e, data[:2000])) from e
    return views


# ------------------------------------------------------------ the oracle


def oracle_parts(data):
    root = email.message_from_bytes(data, policy=email.policy.compat32)
    out = []
    for part in root.walk():
        payload = part._payload
        if isinstance(payload, list):
            out.append((part.get_content_type(), len(payload)))
        else:
            raw = (payload or "").encode("ascii", "surrogateescape")
            out.append((part.get_content_type(), raw))
    return out


def our_parts(view, data):
    shown = [t for t in flatten(imap_parse(view["bodystructure"]), True)]
    out = []
    for p in view["parts"]:
        kind = shown.pop(0)[0].decode()
        if p["multipart"] and p["children"] == 0:
            shown.pop(0)
        if p["children"]:
            out.append((kind, p["children"]))
        else:
            out.append((kind, data[p["body"]:p["end"]]))
    return out


def without_end(parts):
    """Python drops the last line end of a part that was not finished."""
    return [(kind, p.rstrip(b"\r\n") if isinstance(p, bytes) else p)
            for kind, p in parts]


def compare(messages, trim=list):
    for view, data in zip(check_all(messages), messages):
        ours, wanted = trim(our_parts(view, data)), trim(oracle_parts(data))
        if ours != wanted:
            for i, (a, b) in enumerate(zip(ours + [None], wanted + [None])):
                if a != b:
                    raise AssertionError("part %d\n got  %r\n want %r\n in %r"
                                         % (i, a, b, data[:4000]))


# ---------------------------------------------------------- the messages

WORDS = [b"alpha", b"beta", b"--", b"-- ", b"--x", b"--b", b"--ba", b"gamma: x",
         b"", b" fold", b"\xc3\xa9t\xe9", b"Fromme", b"=20", b".", b"--b--x"]
LEAVES = [b"text/plain", b"text/plain; charset=utf-8", b"text/HTML",
          b"application/pdf; name=\"a;b.pdf\"", b"image/png; (a picture) x=y (z)",
          b"audio/x-wav; x=\"q\\\"q\"; y*0*=utf-8''%41; y*1=b", None]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.eol = rng.choice([b"\r\n", b"\r\n", b"\n"])
        self.used = 0

    def boundary(self):
        # Prefixes of each other on purpose.
        self.used += 1
        return self.rng.choice([b"b", b"ba", b"=_"]) + b"x" * self.used

    def text(self):
        lines = [self.rng.choice(WORDS) for _ in range(self.rng.randrange(6))]
        text = self.eol.join(lines)
        if lines and self.rng.random() < .5:
            text += self.eol
        return text

    def header(self, kind, more=()):
        lines = [b"Content-Type: " + kind] if kind else []
        if self.rng.random() < .3:
            lines.append(b"Content-ID: <a@b>" + self.eol + b"\t(c)")
        if self.rng.random() < .2:
            lines.append(b"Content-Disposition: attachment; filename=\"x y\"")
        lines += more
        self.rng.shuffle(lines)
        return b"".join(l + self.eol for l in lines) + self.eol

    def entity(self, depth, more=(), in_digest=False):
        roll = self.rng.random()
        if depth > 0 and roll < .45:
            return self.multipart(depth, more)
        if depth > 0 and roll < .6:
            return (self.header(b"message/rfc822", more)
                    + self.entity(depth - 1, self.fields()))
        kind = self.rng.choice(LEAVES)
        if in_digest and kind is None:
            return self.header(kind, more) + self.header(None, self.fields())
        return self.header(kind, more) + self.text()

    def multipart(self, depth, more):
        mark = self.boundary()
        digest = self.rng.random() < .2
        kind = b"multipart/" + (b"digest" if digest else b"mixed")
        out = self.header(kind + b"; boundary=\"" + mark + b"\"", more)
        if self.rng.random() < .5:
            out += b"preamble" + self.eol
        for i in range(self.rng.randrange(1, 5)):
            out += self.eol * (i > 0) + b"--" + mark
            out += self.rng.choice([b"", b"", b" ", b" \t "]) + self.eol
            out += self.entity(depth - 1, (), digest)
        out += self.eol + b"--" + mark + b"--"
        return out + self.rng.choice([b"", self.eol, self.eol + b"end"])

    def fields(self):
        return [b"From: a@b", b"Subject: s%d" % self.rng.randrange(99)]

    def message(self):
        return self.entity(self.rng.randrange(6), self.fields())


def corpus(n, seed):
    rng = random.Random(seed)
    return [Maker(rng).message() for _ in range(n)]


def test_well_formed():
    """400 well-formed messages come out as Python sees them"""
    compare(corpus(400, SEED))


def test_cut_short():
    """300 messages that end too early, at a line end, do so too"""
    rng, cut = random.Random(SEED + 1), []
    for data in corpus(300, SEED + 1):
        ends = [m.end() for m in re.finditer(b"\n", data)]
        if ends:
            cut.append(data[:rng.choice(ends)])
    compare([d for d in cut if comparable(d)], without_end)


def comparable(data):
    """Python makes a multipart without parts one text, and a boundary as the
    last line no part."""
    root = email.message_from_bytes(data, policy=email.policy.compat32)
    return not any(p.get_content_maintype() in ("multipart", "message")
                   and not isinstance(p._payload, list)
                   for p in root.walk())


SMALL = [
    b"", b"\r\n", b"\n", b"\r", b"x", b"x\r\n", b":\r\n\r\n", b"\r\n\r\nx",
    b"Subject: no body\r\n", b"Subject: no end", b"Subject: a\r\n\r\n",
    b" fold first\r\nSubject: a\r\n\r\nb", b"no header\r\n\r\nbody\r\n",
    b"Subject: a\r\nnot a field\r\nTo: b\r\n\r\nbody",
    b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
    b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n--",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--b\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b",
    b"Content-Type: multipart/mixed; boundary=b\r\n--b\r\nA: b\r\n--b\r\n--b--",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: message/rfc822\r\n--b\r\n\r\n\r\n--b--",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: message/rfc822\r\n\r\n--b\r\nX: y\r\n\r\n--b--",
    b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"U3ViamVjdDogYQ0KDQo=\r\n",
    b"Content-Type: message/rfc822\r\nnot a field\r\n\r\nbody\r\n",
    b"Content-Type: ((((\r\n\r\nx", b"Content-Type: text\r\n\r\nx",
    b"Content-Type: /\r\n\r\nx", b"Content-Type: text/plain; =;;a=;\"\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=\"" + b"x" * 600 + b"\"\r\n\r\n",
    b"Content-Language: en, de (x), ,fr\r\nContent-MD5: x\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"
    b"Subject: in\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--",
    b"From: \xff\xfe <\x80@\x81>\r\nSubject: \0nul\r\n\r\n\0",
    b"To: a: b: c; d; ;;, <, >, @, <@@:>, \"\r\n\r\n",
]


def test_small_odd_ones():
    """odd little messages keep the rules"""
    check_all(SMALL)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data) + 1)
        roll = rng.randrange(4)
        if roll == 0 and at < len(data):
            data[at] = rng.choice(b"\r\n\0-:;\"( =\xff")
        elif roll == 1:
            del data[at:at + rng.randrange(40)]
        elif roll == 2:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other:other + rng.randrange(200)]
        else:
            data[at:at] = rng.choice([b"\r\n", b"\n", b"--", b"\r\n--b\r\n"])
    return bytes(data)


def test_mutated():
    """600 damaged messages keep the rules"""
    rng = random.Random(SEED + 2)
    check_all([mutate(rng, d) for d in corpus(600, SEED + 2)])


# -------------------------------------------------------------- envelope


def addresses(values):
    """One at a time: whole lists trip over quotes in some versions."""
    pairs = [email.utils.parseaddr(v) for v in values]
    return [(name or None, spec) for name, spec in pairs]


def our_addresses(items):
    return [(i[0] and i[0].decode(), (i[2] + b"@" + i[3]).decode())
            for i in items or []]


def test_envelope():
    """envelopes of ordinary mail agree with email.utils"""
    rng = random.Random(SEED + 3)
    names = ["", "Joe", "Joe Q. Public", '"Public, Joe"', '"a \\"b\\" c"',
             "=?utf-8?q?J=C3=B6rg?=", "J-P O'Neil"]
    hosts = ["example.org", "a.b.example", "x"]

    def one():
        name, where = rng.choice(names), rng.choice(hosts)
        spec = rng.choice(["joe", "a.b", "x+y"]) + "@" + where
        return "%s <%s>" % (name, spec) if name else spec

    messages, lists = [], []
    for i in range(200):
        values = {k: [one() for _ in range(rng.randrange(1, 5))]
                  for k in ("From", "To", "Cc")}
        lists.append(values)
        messages.append(("From: %s\r\nTo: %s\r\nCc: %s\r\nSubject: s\r\n %d"
                         "\r\nMessage-ID: <%d@x>\r\nDate: today\r\n\r\n"
                         % (", ".join(values["From"]),
                            ",\r\n\t".join(values["To"]),
                            ",".join(values["Cc"]), i, i)).encode())
    for i, view in enumerate(check_all(messages)):
        env = imap_parse(view["envelope"])
        tap.eq(env[:2], [b"today", b"s %d" % i], "date, subject")
        for at, key in ((2, "From"), (3, "From"), (4, "From"), (5, "To"),
                        (6, "Cc")):
            tap.eq(our_addresses(env[at]), addresses(lists[i][key]), key)
        tap.eq(env[7:], [None, None, b"<%d@x>" % i], "rest")


def envelope_of(header):
    return imap_parse(dump([header + b"\r\n"])[0]["envelope"])


def test_groups_and_routes():
    """groups, comments for names, routes, empty fields (RFC 9051 7.5.2)"""
    env = envelope_of(b"From: user@domain (Real Name)\r\nSender: \r\n"
                      b"To: group: g1@d1.org, g2@d2.org;, two: g3@d3;\r\n"
                      b"Cc: <@route,@b:user@domain>\r\nSubject:\r\n"
                      b"Bcc: open: a@b\r\nReply-To: ;\r\n")
    me = [[b"Real Name", None, b"user", b"domain"]]
    tap.eq(env[1], b"", "present but empty")
    tap.eq(env[2:5], [me, me, me], "defaults to From")
    tap.eq(env[5], [[None, None, b"group", None],
                    [None, None, b"g1", b"d1.org"],
                    [None, None, b"g2", b"d2.org"], [None] * 4,
                    [None, None, b"two", None],
                    [None, None, b"g3", b"d3"], [None] * 4], "groups")
    tap.eq(env[6], [[None, b"@route,@b", b"user", b"domain"]], "route")
    tap.eq(env[7], [[None, None, b"open", None], [None, None, b"a", b"b"],
                    [None] * 4], "open group is closed")


def test_raw_text():
    """encoded words stay, 8-bit bytes become literals"""
    env = envelope_of(b"Subject: =?utf-8?q?=C3=A4?= \"q\\\"\r\n"
                      b"From: \xc3\xa4 <a@b>\r\n")
    tap.eq(env[1], b"=?utf-8?q?=C3=A4?= \"q\\\"", "subject")
    tap.eq(env[2], [[b"\xc3\xa4", None, b"a", b"b"]], "from")


def test_folded_boundary():
    """a boundary folded inside its quotes is found"""
    data = (b"Content-Type: multipart/mixed; boundary=\"foo\n bar\"\n\n"
            b"--foo bar\nContent-Type: text/x-MYOWN; charset=us-ascii\n\n"
            b"hello\n\n--foo bar--\n").replace(b"\n", b"\r\n")
    tap.eq(dump([data])[0]["body_text"],
           '(("text" "x-MYOWN" ("charset" "us-ascii") NIL NIL "7BIT" 7 1)'
           ' "mixed")')


def test_extension_data():
    """md5, disposition, language, location, RFC 2231 pairs as they are"""
    data = (b"Content-Type: text/html; charset=utf-8; name*0*=utf-8''a%20;"
            b" name*1=b\r\nContent-MD5: abc==\r\nContent-ID: <i@d>\r\n"
            b"Content-Description: de\r\n scr\r\nContent-Language: en, de\r\n"
            b"Content-Location: http://x/\r\nContent-Disposition: Inline "
            b"(really); filename=my file.txt; size=3\r\n"
            b"Content-Transfer-Encoding: (c) Quoted-Printable\r\n\r\na\r\n")
    tap.eq(dump([data])[0]["bodystructure"],
           '("text" "html" ("charset" "utf-8" "name*0*" "utf-8\'\'a%20" '
           '"name*1" "b") "<i@d>" "de scr" "Quoted-Printable" 3 1 "abc==" '
           '("Inline" ("filename" "my file.txt" "size" "3")) ("en" "de") '
           '"http://x/")')


# ----------------------------------------------------------------- limits


def multipart(parts, mark=b"b"):
    return (b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n"
            + b"".join(b"--" + mark + b"\r\n" + p + b"\r\n" for p in parts)
            + b"--" + mark + b"--\r\n")


def nested(depth):
    data = b"\r\nx"
    for i in range(depth):
        data = multipart([data], b"n%d" % i)
    return data


def timed(data, limit):
    start = time.monotonic()
    view = dump([data])[0]
    took = time.monotonic() - start
    check_view(view, data)
    tap.ok(took < limit, "%.1f s for %d bytes" % (took, len(data)))
    return view


def test_many_parts():
    """9,999 parts are found; of 12,000 the last go with the body"""
    for n, found in ((9999, 10000), (12000, 10000)):
        view = timed(multipart([b"\r\nx"] * n), 10)
        tap.eq(len(view["parts"]), found, "%d parts" % n)


def test_deep():
    """200 levels of messages and of multiparts stop at 100"""
    view = timed(b"Content-Type: message/rfc822\r\n\r\n" * 200 + b"\r\nx", 10)
    tap.eq(len(view["parts"]), 100, "messages")
    tap.ok("octet-stream" in view["bodystructure"], "the rest is bytes")
    tap.eq(len(timed(nested(200), 10)["parts"]), 100, "multiparts")


def test_bombs():
    """what is made to be slow or big is not"""
    wall = b"".join(b"--%070d\r\n" % i for i in range(60000))
    deep = b""
    for i in range(99):
        mark = b"%070d" % (10 ** 69 + i)
        deep += (b"Content-Type: multipart/mixed; boundary=\"" + mark
                 + b"\"\r\n\r\n--" + mark + b"\r\n")
    bombs = {
        "a line of 8 MB": b"Subject: a\r\n\r\n" + b"-" * (8 << 20),
        "a header line of 8 MB": b"Subject: " + b"a" * (8 << 20) + b"\r\n\r\n",
        "a million fields": b"A: b\r\n" * 1000000 + b"\r\nx",
        "a million addresses": b"To: " + b"a," * 1000000 + b"\r\n\r\nx",
        "addresses thrice": b"From: " + b"a," * 400000 + b"\r\n\r\nx",
        "open brackets": b"To: " + b"(" * 900000 + b"\r\n\r\nx",
        "brackets in a type": b"Content-Type: " + b"()" * 400000 + b"\r\n\r\n",
        "open quotes": b"To: " + b"\"\\" * 400000 + b"\r\n\r\nx",
        "parameters": b"Content-Type: a/b" + b";a=b" * 200000 + b"\r\n\r\n",
        "types": b"Content-Type: text/plain\r\n" * 60000 + b"\r\n",
        "near boundaries": deep + b"\r\n" + wall,
        "empty lines": b"\r\n" * 2000000,
        "groups": b"To: " + b"a:;" * 300000 + b"\r\n\r\n",
        "message parts": multipart([
            b"Content-Type: message/rfc822\r\n\r\nFrom: " + b"a," * 300
            + b"\r\n\r\nx"] * 4000),
    }
    for name, data in bombs.items():
        try:
            view = timed(data, 10)
        except AssertionError as e:
            raise AssertionError(name + ": %s" % e) from e
        size = sum(len(view[k]) for k in ("envelope", "body_text",
                                          "bodystructure"))
        tap.ok(size < 24 << 20, "%s: cache of %d bytes" % (name, size))


tap.run(globals())
tap.done()
