#!/usr/bin/python3
# test: timeout=180
"""clamav-milter and clamd (Debian's packages) with one hand-made signature:
clean mail passes, the test virus does not."""
import base64
import re
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server

VIRUS = filters.ClamAV.EICAR + b"\r\n"


def test_plain(s, f):
    """plain mail passes, with the filter's fields and the body as it was"""
    body = b"Good morning.\r\n.dot\r\n"
    tap.eq(filters.deliver(s, filters.message(body))[0], 250)
    got = s.newest("bob")
    tap.eq(filters.split(got)[1], body)
    tap.eq(filters.field(got, "X-Virus-Status"), ["Clean"])
    tap.eq(len(filters.field(got, "X-Virus-Scanned")), 1)


def test_forged(s, f):
    """a stranger's fields of that name are gone"""
    data = filters.message(b"x\r\n", fields=b"X-Virus-Status: Forged\r\n" * 3)
    tap.eq(filters.deliver(s, data)[0], 250)
    tap.eq(filters.field(s.newest("bob"), "X-Virus-Status"), ["Clean"])


def test_refuse(s, f):
    """the test virus is refused by its name"""
    code, texts = filters.deliver(s, filters.message(VIRUS))
    tap.eq(code, 550, texts)
    tap.contains(" ".join(texts), "Infected by Mailroom.Eicar")
    tap.eq(s.messages("bob"), [])


def test_attached(s, f):
    """as a base64 attachment too"""
    part = base64.encodebytes(VIRUS).replace(b"\n", b"\r\n")
    data = filters.message(
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"
        b"Content-Type: application/octet-stream; name=a.com\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + part + b"--b--\r\n",
        fields=b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n")
    tap.eq(filters.deliver(s, data)[0], 550)


def test_large(s, f):
    """a body of many frames passes byte for byte"""
    body = b"".join(b"line %06d of many\r\n" % i for i in range(20000))
    tap.eq(filters.deliver(s, filters.message(body))[0], 250)
    tap.eq(filters.split(s.newest("bob"))[1], body)


def test_queue_id(s, f):
    """its log names our queue id, not a question mark"""
    tap.ok(re.search("Clean message [0-9A-Z]{8,} from", f.milter_log()),
           f.milter_log())


filters.need(("clamd", "clamav-daemon"), ("clamav-milter", "clamav-milter"))
with filters.ClamAV() as clam, \
        Server(filters.attach(clam), chain=["clamav"]) as server:
    tap.run(globals(), server, clam)
tap.done()
