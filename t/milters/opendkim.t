#!/usr/bin/python3
# test: timeout=120
"""opendkim (Debian's package): what goes out is signed, what comes in is
verified, and both survive our spool, edits and store byte for byte."""
import re
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server

# What breaks signatures easily: no space behind the colon, two spaces,
# folds, doubled fields, blank lines at the end, dots.
DATA = (b"From: Alice <alice@example.test>\r\nTo:bob@example.test\r\n"
        b"Subject:  two  blanks\r\n\tand a fold\r\n"
        b"Date: Mon, 3 Mar 2025 10:00:00 +0000\r\n"
        b"Message-ID: <one@example.test>\r\n"
        b"X-Twice: a\r\nX-Twice:b\r\n\r\n"
        b"Good morning.\r\n.dot\r\n..dots \r\n\r\n\r\n")


def signed(s):
    """DATA as bob gets it from alice."""
    s.empty("bob")
    with s.submission("alice") as c:
        c.sendmail("alice@example.test", ["bob@example.test"], DATA)
    return s.newest("bob")


def results(s, data):
    # With our mark of delivery it would be going in circles.
    data = b"".join(line for line in data.splitlines(True)
                    if not line.startswith(b"Delivered-To:"))
    tap.eq(filters.deliver(s, data, "alice@example.test")[0], 250)
    return " ".join(filters.field(s.newest("bob"), "Authentication-Results"))


def test_sign(s):
    """a message of ours is signed; its body and fields are as they were"""
    got = signed(s)
    sign = filters.field(got, "DKIM-Signature")
    tap.eq(len(sign), 1, got)
    tap.contains(sign[0], "d=example.test")
    tap.eq(filters.split(got)[1], filters.split(DATA)[1])
    tap.ok(got.split(b"\r\n\r\n")[0].endswith(DATA.split(b"\r\n\r\n")[0]),
           got)


def test_verify(s):
    """it comes in again from outside: dkim=pass"""
    tap.contains(results(s, signed(s)), "dkim=pass")


def test_altered_body(s):
    """with another body: dkim=fail"""
    tap.contains(results(s, signed(s).replace(b"Good", b"Bad")), "dkim=fail")


def test_altered_field(s):
    """with another subject: dkim=fail"""
    tap.contains(results(s, signed(s).replace(b"two ", b"2 ")), "dkim=fail")


def test_unsigned(s):
    """plain mail passes with dkim=none, its body as it was"""
    data = filters.message(b"plain\r\n.dot\r\n")
    tap.contains(results(s, data), "dkim=none")
    tap.eq(filters.split(s.newest("bob"))[1], b"plain\r\n.dot\r\n")


def test_forged(s):
    """a stranger's claim under our name is gone"""
    data = filters.message(b"x\r\n", fields=b"Authentication-Results: "
                           b"mail.example.test; dkim=pass\r\n")
    tap.ok("dkim=pass" not in results(s, data))


def test_stranger(s):
    """nobody gets our signature without a login"""
    data = filters.message(b"x\r\n", "alice@example.test")
    results(s, data)
    tap.eq(filters.field(s.newest("bob"), "DKIM-Signature"), [])


filters.need(("opendkim", "opendkim"), ("openssl", "openssl"))
for form in ("relaxed/simple", "simple/simple"):
    with filters.OpenDKIM(form) as dkim, \
            Server(filters.attach(dkim), chain=["opendkim"]) as server:
        rows = [(form + ": " + tap.title(f), f) for name, f
                in list(globals().items()) if re.match("test_", name)]
        for name, function in rows:
            tap.call(name, function, server)
tap.done()
