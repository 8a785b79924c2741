"""nasty - mail in awkward charsets and shapes, with what a person reads of it.

Each message is made of texts that are known before they are encoded, so what
SEARCH must find is told by no parser."""
import base64
import quopri
import random
import unicodedata

WORDS = {
    "utf-8": ["cafe\u0301", "Stra\u00dfe", "na\u00efve", "\u01c4ungla",
              "o\u0302\u0323", "\U0001f600ok", "\ud55c\uae00",
              "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u212bngstrom", "\ufb01n",
              "\u0130stanbul", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
              "\u0928\u093f\u0930\u094d", "plain", "\u05e9\u05c1\u05dc\u05d5\u05dd"],
    "iso-2022-jp": ["\u65e5\u672c\u8a9e", "\u30c6\u30b9\u30c8",
                    "\u4f1a\u8b70", "abc", "\u3053\u3093\u306b\u3061\u306f"],
    "shift_jis": ["\u65e5\u672c\u8a9e", "\u8868\u793a", "\u30bd\u30fc\u30b9",
                  "xyz"],
    "euc-jp": ["\u6771\u4eac", "\u5927\u962a", "eki"],
    "gb18030": ["\u4f1a\u8bae", "\u4e2d\u6587", "\u20ac5", "\u0e2a\u0e27",
                "mixed", "\U00020000"],
    "big5": ["\u6703\u8b70", "\u4e2d\u6587", "taipei"],
    "euc-kr": ["\ud55c\uad6d\uc5b4", "\uc11c\uc6b8", "kr"],
    "koi8-r": ["\u041f\u0440\u0438\u0432\u0435\u0442", "\u043c\u0438\u0440",
               "\u0401\u043b\u043a\u0430", "koi"],
    "windows-1251": ["\u0434\u043e\u0433\u043e\u0432\u043e\u0440",
                     "\u042a\u0435\u043b", "win"],
    "iso-8859-1": ["Gr\u00fc\u00dfe", "K\u00d6LN", "\u00e9t\u00e9", "latin"],
    "iso-8859-7": ["\u0391\u03b8\u03ae\u03bd\u03b1", "\u03c2\u03c3", "gr"],
    "utf-7": ["\u00fcber", "A-B+C", "\u65e5\u672c"],
    "us-ascii": ["lorem", "Ipsum", "DOLOR", "sit-amet", "x=3D", "a_b?c"],
}
FIELDS = ("Subject", "From", "To", "Cc", "Bcc")


def fold(text):
    """The canonical caseless form (Unicode 3.13, D145), composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize(
        "NFD", text).casefold())


class Mail:
    """bytes, and records (kind, name or None, folded text); kind: field,
    part, inner, body, envelope."""

    def __init__(self, rng):
        self.rng = rng
        self.records = []
        self.bytes = self.entity("field", 0)

    def words(self, charset, most=6):
        rng = self.rng
        return " ".join(rng.choice(WORDS[charset]) for _ in
                        range(rng.randint(1, most)))

    # ---- headers

    def coded(self, charset, text):
        """As encoded words, also cut inside characters where the charset
        has no state."""
        rng, data = self.rng, text.encode(charset)
        if charset in ("iso-2022-jp", "utf-7"):
            pieces = [data]
        else:
            pieces = [data[i:i + 7] for i in range(0, len(data), 7)]
        out = []
        for piece in pieces:
            if rng.random() < 0.5:
                out.append(b"=?%s?B?%s?=" % (charset.encode(),
                                             base64.b64encode(piece)))
            else:
                q = b"".join(bytes([c]) if bytes([c]).isalnum() else
                             b"=%02X" % c for c in piece)
                out.append(b"=?%s?q?%s?=" % (charset.encode(), q))
        return rng.choice((b" ", b"\r\n ", b"\r\n\t")).join(out)

    def phrase(self):
        """Encoded bytes and the text they stand for."""
        charset = self.rng.choice(list(WORDS))
        text = self.words(charset, 4)
        if charset == "us-ascii":
            return text.encode().replace(b"=3D", b"3D"), \
                text.replace("=3D", "3D")
        if charset == "utf-8" and self.rng.random() < 0.3:
            return text.encode(), text
        return self.coded(charset, text), text

    def field(self, kind, name, raw, text):
        self.records.append((kind, fold(name), fold(text)))
        return name.encode() + b": " + raw + b"\r\n"

    def address(self):
        rng = self.rng
        raw, text = self.phrase()
        box = "%s%d@%s.test" % (rng.choice(("ann", "Bob", "carl")),
                                rng.randint(1, 30), rng.choice("XyZ"))
        if raw.startswith(b"=?"):
            return raw + b" <" + box.encode() + b">", "%s <%s>" % (text, box)
        return box.encode(), "<%s>" % box

    def own_fields(self, kind):
        out = b""
        for name in FIELDS:
            if name in ("Cc", "Bcc") and self.rng.random() < 0.6:
                continue
            if name == "Subject":
                raw, text = self.phrase()
                shown = text
            else:
                raw, shown = self.address()
                text = shown if raw.startswith(b"=?") else shown[1:-1]
            if kind == "field":
                self.records.append(("envelope", name.lower(), fold(shown)))
            out += self.field(kind, name, raw, text)
        word = self.rng.choice(WORDS["us-ascii"])
        out += self.field(kind, self.rng.choice(("X-Note", "X-NOTE", "List")),
                          word.encode() + b"\r\n  folded", word + "  folded")
        return out + self.field(kind, "Date", b"Mon, 2 Jan 2023 10:00:00 +0000",
                                "Mon, 2 Jan 2023 10:00:00 +0000")

    # ---- bodies

    def entity(self, kind, depth):
        out = b"" if kind == "part" else self.own_fields(kind)
        shapes = ["text"] * 5 + ["html", "blob"]
        if depth < 3:
            shapes += ["multi", "multi", "open", "bare", "rfc822"]
        return out + getattr(self, self.rng.choice(shapes))(kind, depth)

    def typed(self, kind, value, coding=None):
        out = self.field(kind, "Content-Type", value.encode(), value)
        if coding:
            out += self.field(kind, "Content-Transfer-Encoding",
                              coding.encode(), coding)
        return out

    def text(self, kind, depth, subtype="plain"):
        rng = self.rng
        charset = rng.choice(list(WORDS))
        text = "\r\n".join(self.words(charset) for _ in
                           range(rng.randint(1, 12)))
        if subtype == "html":
            text = "<p class=\"x\">%s</p>" % text.replace(" ", "<b> </b>")
        data = text.encode(charset)
        coding = rng.choice(("8bit", "base64", "quoted-printable"))
        if charset in ("us-ascii", "utf-7", "iso-2022-jp") and \
                coding == "8bit":
            coding = "7bit"
        if coding == "base64":
            data = base64.encodebytes(data).replace(b"\n", b"\r\n")
        elif coding == "quoted-printable":
            data = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(
                b"\n", b"\r\n")
        named = charset.upper() if rng.random() < 0.5 else charset
        out = self.typed(kind, "text/%s; charset=\"%s\"" % (subtype, named),
                         coding)
        self.records.append(("body", None, fold(text)))
        return out + b"\r\n" + data

    def html(self, kind, depth):
        return self.text(kind, depth, "html")

    def blob(self, kind, depth):
        """No text, though it looks like some."""
        out = self.typed(kind, "application/octet-stream")
        return out + b"\r\nhidden lorem IPSUM needle"

    def multi(self, kind, depth, closed=True):
        rng = self.rng
        mark = "b%d=_%d" % (depth, rng.randint(0, 999999))
        out = self.typed(kind, "multipart/%s; boundary=\"%s\"" % (
            rng.choice(("mixed", "alternative", "x-odd")), mark))
        out += b"\r\npreamble nobody reads"
        for _ in range(rng.randint(1, 4)):
            out += b"\r\n--" + mark.encode() + b"\r\n"
            out += self.entity("part", depth + 1)
        if closed:
            out += b"\r\n--" + mark.encode() + b"--\r\nepilogue"
        return out

    def open(self, kind, depth):
        """The last boundary is missing."""
        return self.multi(kind, depth, closed=False)

    def bare(self, kind, depth):
        """A multipart without any part."""
        out = self.typed(kind, "multipart/mixed; boundary=none%d" % depth)
        text = self.words("us-ascii")
        self.records.append(("body", None, fold(text)))
        return out + b"\r\n" + text.encode()

    def rfc822(self, kind, depth):
        out = self.typed(kind, "message/rfc822")
        return out + b"\r\n" + self.entity("inner", depth + 1)

    # ---- searching

    def has(self, key, needle, name=None):
        """needle is folded."""
        for kind, what, text in self.records:
            if key == "TEXT":
                found = kind != "envelope" and (
                    needle in text if kind == "body" else
                    needle in what + ": " + text)
            elif key == "BODY":
                found = needle in text if kind == "body" else (
                    kind == "inner" and needle in what + ": " + text)
            elif key == "HEADER":
                found = kind == "field" and what == name and needle in text
            else:
                found = kind == "envelope" and what == key.lower() and \
                    needle in text
            if found:
                return True
        return False


def corpus(n, seed):
    rng = random.Random(seed)
    return [Mail(rng) for _ in range(n)]


class Query:
    """A random question: its bytes for SEARCH, and its answer."""

    def __init__(self, rng, mails):
        self.rng = rng
        self.mails = mails
        self.bytes, self.test = self.tree(rng.choice((0, 0, 1, 2)))

    def needle(self):
        rng = self.rng
        if rng.random() < 0.2:
            return "".join(rng.choice("aeionrst\u0435\u4e2d")
                           for _ in range(rng.randint(1, 3)))
        records = rng.choice(self.mails).records
        text = rng.choice(records)[2] or "x"
        at = rng.randrange(len(text))
        text = text[at:at + rng.choice((1, 2, 3, 4, 6, 10, 25))]
        change = rng.choice((str, str.upper, str.title, lambda t:
                             unicodedata.normalize("NFD", t)))
        return change(text)

    def leaf(self):
        rng = self.rng
        key = rng.choice(("TEXT", "TEXT", "BODY", "SUBJECT", "FROM", "TO",
                          "CC", "BCC", "HEADER"))
        text = "" if rng.random() < 0.03 else self.needle()
        folded, data = fold(text), text.encode()
        name = rng.choice(("Subject", "x-note", "FROM", "Content-Type",
                           "X-None", "List")) if key == "HEADER" else ""
        line = b"%s%s {%d+}\r\n%s" % (key.encode(), b" " + name.encode()
                                      if name else b"", len(data), data)
        return line, lambda m: ("\0" not in text and m.has(
            key, folded, fold(name)) or (key in ("TEXT", "BODY")
                                         and not text))

    def tree(self, depth):
        rng = self.rng
        if depth == 0:
            return self.leaf()
        shape = rng.choice(("NOT", "OR", "AND"))
        a, test_a = self.tree(depth - 1)
        if shape == "NOT":
            return b"NOT (" + a + b")", lambda m: not test_a(m)
        b, test_b = self.tree(depth - 1)
        if shape == "OR":
            return b"OR (%s) (%s)" % (a, b), \
                lambda m: test_a(m) or test_b(m)
        return b"(%s) (%s)" % (a, b), lambda m: test_a(m) and test_b(m)

    def answer(self):
        return [i + 1 for i, m in enumerate(self.mails) if self.test(m)]
