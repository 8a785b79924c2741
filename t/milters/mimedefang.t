#!/usr/bin/python3
# test: timeout=180
"""mimedefang (Debian's package) with a small rule file: passes, refuses,
takes an attachment out."""
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server

ATTACHED = (b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"
            b"Content-Type: application/octet-stream\r\n"
            b"Content-Disposition: attachment; filename=\"run.exe\"\r\n\r\n"
            b"MZ-code\r\n--b--\r\n")
MIME = (b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n")


def test_plain(s):
    """plain mail passes, with the filter's fields and the body as it was"""
    body = b"Good morning.\r\n.dot\r\n"
    tap.eq(filters.deliver(s, filters.message(body))[0], 250)
    got = s.newest("bob")
    tap.eq(filters.split(got)[1], body)
    tap.ok(filters.field(got, "X-Scanned-By"), got)
    tap.contains(filters.field(got, "X-Defanged")[0], "from=198.51.100.7")


def test_queue_id(s):
    """it is told the message's id"""
    words = filters.field(s.newest("bob"), "X-Defanged")[0].split()
    tap.ok(len(words[1]) > len("id=") + 3 and "NOQUEUE" not in words[1],
           words)


def test_refuse(s):
    """the rule's subject is refused with the rule's words"""
    code, texts = filters.deliver(s, filters.message(
        b"x\r\n", subject="refuse-me"))
    tap.eq(code, 554, texts)
    tap.contains(" ".join(texts), "refused by rule")


def test_taken_out(s):
    """an .exe is taken out; the new body has CR LF line ends"""
    tap.eq(filters.deliver(s, filters.message(ATTACHED, fields=MIME))[0], 250)
    body = filters.split(s.newest("bob"))[1]
    tap.contains(body, b"run.exe was taken out")
    tap.contains(body, b"hello")
    tap.ok(b"MZ-code" not in body, body)
    tap.ok(b"\n" not in body.replace(b"\r\n", b""), body)
    tap.ok(b"\r" not in body.replace(b"\r\n", b""), body)


filters.need(("mimedefang", "mimedefang"),
             ("mimedefang-multiplexor", "mimedefang"))
with filters.MIMEDefang() as defang, \
        Server(filters.attach(defang), chain=["mimedefang"]) as server:
    tap.run(globals(), server)
tap.done()
