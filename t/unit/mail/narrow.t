#!/usr/bin/python3
# test: timeout=300
"""8-bit and binary messages in 7 bits: Python's email package must read the
same content out of both; nothing but encodings may change."""
import email
import email.policy
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "t", "lib"))
import tap  # noqa: E402

DUMP = os.environ.get("NARROWDUMP", os.path.join(HERE, "narrowdump"))
SEED = int(os.environ.get("SEED", "20261"))
WORDS = ["plain", "gr\u00fcn", "\u20ac", "\u65e5\u672c", "=", ".", "x" * 120,
         "trailing ", "\ttab", "From here", "=3D"]


def narrow(message):
    with tempfile.NamedTemporaryFile() as f:
        f.write(message)
        f.flush()
        r = subprocess.run([DUMP, f.name], stdout=subprocess.PIPE,
                           timeout=60)
    return r.returncode, r.stdout


def leaves(message):
    """(type, content bytes) of each part that holds no parts; and the fields
    of all, without the encoding."""
    parts, fields = [], []
    for part in message.walk():
        fields.append([(k.lower(), v) for k, v in part._headers
                       if k.lower() != "content-transfer-encoding"])
        if not part.is_multipart():
            parts.append((part.get_content_type(),
                          part.get_payload(decode=True)))
    return parts, fields


def parse(data):
    return email.message_from_bytes(data, policy=email.policy.compat32)


def is_narrow(data):
    return (all(b < 128 and b for b in data) and
            all(len(l) <= 998 for l in data.split(b"\r\n")) and
            b"\n" not in data.replace(b"\r\n", b"") and
            b"\r" not in data.replace(b"\r\n", b""))


def check(message, need):
    got, out = narrow(message)
    tap.eq(got, need, repr(message[:300]))
    tap.ok(is_narrow(out), "still wide: %r" % out[:2000])
    want, have = leaves(parse(message)), leaves(parse(out))
    tap.eq(have[0], want[0], repr(message[:2000]))
    tap.eq(have[1], want[1])
    again, same = narrow(out)
    tap.eq((again, same), (0, out), "not stable")


TOP = b"Subject: s\r\nMIME-Version: 1.0\r\n"


def leaf(kind, body, encoding="8bit"):
    return (b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " +
            encoding.encode() + b"\r\n\r\n" + body)


def multipart(parts, boundary=b"bb", kind=b"mixed", encoding=b"8bit"):
    return (b"Content-Type: multipart/" + kind + b"; boundary=" + boundary +
            b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" +
            b"".join(b"--" + boundary + b"\r\n" + p + b"\r\n" for p in parts)
            + b"--" + boundary + b"--\r\n")


TEXT = b"text/plain; charset=utf-8"
GRUEN = "gr\u00fcn = \u20ac\r\n.\r\nend \r\n".encode()


def test_seven():
    """what is in 7 bits stays as it is, byte by byte"""
    for m in (TOP + leaf(b"text/plain", b"x\r\n", "7bit"),
              b"Subject: s\r\n\r\nx\r\n", b"\r\nx", b"Subject: only\r\n",
              TOP + multipart([leaf(TEXT, b"=C3\r\n", "quoted-printable"),
                               b"\r\nx\r\n"], encoding=b"7bit")):
        tap.eq(narrow(m), (0, m))


def test_text():
    """text: quoted-printable; lone dots, ends of lines, no last line end"""
    check(TOP + leaf(TEXT, GRUEN), 1)
    check(TOP + leaf(TEXT, GRUEN + "\u00fc".encode()), 1)
    check(TOP + leaf(TEXT, "\u00fc".encode() * 400 + b"\r\n"), 1)
    out = narrow(TOP + leaf(TEXT, GRUEN))[1]
    tap.contains(out, b"Content-Transfer-Encoding: quoted-printable\r\n")
    tap.contains(out, b"end=20\r\n")


def test_bare():
    """a message without MIME fields gets them"""
    out = narrow("Subject: s\r\n\r\nj\u00fc\r\n".encode())[1]
    for field in (b"MIME-Version: 1.0\r\n", b"quoted-printable\r\n",
                  b"Content-Type: text/plain; charset=unknown-8bit\r\n"):
        tap.contains(out, field)
    tap.contains(out, b"\r\n\r\nj=C3=BC\r\n")


def test_binary():
    """NUL, bare CR and LF, long lines: base64"""
    for body in (b"\0", b"a\nb", b"a\rb\r\n", b"x" * 999 + b"\r\n",
                 bytes(range(256)) * 9):
        check(TOP + leaf(b"application/octet-stream", body, "binary"), 2)
        check(TOP + leaf(TEXT, body, "binary"), 2)


def test_tree():
    """parts in parts; only what needs it changes"""
    inner = multipart([leaf(TEXT, GRUEN), leaf(b"image/png", b"\x89\0\n",
                                               "binary")], b"cc")
    rfc822 = (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: "
              b"8bit\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\n" +
              leaf(TEXT, GRUEN))
    plain = leaf(TEXT, b"plain\r\n", "7bit")
    m = TOP + multipart([plain, inner, rfc822, plain], encoding=b"binary")
    check(m, 2)
    out = narrow(m)[1]
    tap.contains(out, plain)
    tap.eq(out.count(b"Content-Transfer-Encoding: 7bit"), 5)


def test_encoded_already():
    """a part that says base64 is left alone"""
    m = TOP + multipart([leaf(b"image/png", b"AAAA\r\n", "base64"),
                         leaf(TEXT, GRUEN)])
    check(m, 1)
    tap.contains(narrow(m)[1], b"\r\n\r\nAAAA\r\n")


def random_part(r, depth):
    kind = r.random()
    if depth and kind < 0.4:
        return multipart([random_part(r, depth - 1)
                          for _ in range(r.randint(1, 4))],
                         b"b%d" % r.getrandbits(40))
    if depth and kind < 0.5:
        return (b"Content-Type: message/rfc822\r\n\r\nSubject: i\r\n" +
                random_part(r, depth - 1))
    if kind < 0.7:
        return leaf(b"application/x", bytes(r.getrandbits(8) for _ in
                    range(r.randint(1, 300))).replace(b"--", b"__"),
                    "binary")
    text = "\r\n".join(" ".join(r.choice(WORDS) for _ in
                                range(r.randint(0, 12)))
                       for _ in range(r.randint(1, 12)))
    return leaf(TEXT, text.encode() + b"\r\n", r.choice(["8bit", "binary"]))


def test_random():
    """400 random trees"""
    r = random.Random(SEED)
    for _ in range(400):
        m = TOP + random_part(r, 3)
        got, out = narrow(m)
        tap.ok(is_narrow(out), repr(m))
        tap.eq(leaves(parse(out))[0], leaves(parse(m))[0], repr(m))


for test in [f for n, f in sorted(globals().items())
             if n.startswith("test_")]:
    tap.call(tap.title(test), test)
tap.done()
