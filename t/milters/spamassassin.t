#!/usr/bin/python3
# test: timeout=240
"""spamassassin behind spamass-milter (Debian's packages): plain mail passes
marked as clean, spam is rewritten, the worst is refused."""
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server

# Two halves, so that this file is no test mail itself.
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" \
        b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


def test_plain(s):
    """plain mail passes, with the filter's fields and the body as it was"""
    body = b"Good morning.\r\n.dot\r\n"
    tap.eq(filters.deliver(s, filters.message(body))[0], 250)
    got = s.newest("bob")
    tap.eq(filters.split(got)[1], body)
    tap.ok(filters.field(got, "X-Spam-Checker-Version"), got)
    tap.contains(filters.field(got, "X-Spam-Status")[0], "No, ")


def test_refuse(s):
    """GTUBE is refused: its edits came first and count for nothing"""
    code, texts = filters.deliver(s, filters.message(GTUBE))
    tap.eq(code, 550, texts)
    tap.contains(texts[0], "5.7.1")
    tap.eq(s.messages("bob"), [])


def test_rewrite(s):
    """marked spam arrives inside a report: new body, new type"""
    data = filters.message(b"mailroom-marked\r\n", subject="offer")
    tap.eq(filters.deliver(s, data)[0], 250)
    got = s.newest("bob")
    tap.contains(filters.field(got, "X-Spam-Status")[0], "Yes, ")
    tap.eq(len(filters.field(got, "Content-Type")), 1, got)
    tap.contains(filters.field(got, "Content-Type")[0], "multipart/mixed")
    body = filters.split(got)[1]
    tap.contains(body, b"message/rfc822")
    tap.contains(body, b"\r\n\r\nmailroom-marked\r\n")
    tap.ok(b"\n" not in body.replace(b"\r\n", b""), body)


def test_many(s):
    """each of several messages is judged on its own"""
    for body, code in ((GTUBE, 550), (b"a\r\n", 250), (GTUBE, 550)):
        tap.eq(filters.deliver(s, filters.message(body))[0], code)


filters.need(("spamd", "spamd"), ("spamc", "spamc"),
             ("spamass-milter", "spamass-milter"))
with filters.SpamAssassin() as spam, \
        Server(filters.attach(spam), chain=["spamassassin"]) as server:
    tap.run(globals(), server)
tap.done()
