#!/usr/bin/python3
"""The example plugin, as its head comment promises."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server
from wire import stuff

HEAD = b"From: a@elsewhere.test\r\nSubject: %s\r\n\r\n"
WORD = b"lottery"


def deliver(s, message):
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(stuff(message))
        return c.reply()[0]


def test_marks(s):
    """mail without the word is marked and otherwise as it was"""
    s.empty("bob")
    message = HEAD % b"quiet" + b"lotter\r\ny\r\n"
    tap.eq(deliver(s, message), 250)
    head, body = message.split(b"\r\n\r\n", 1)
    tap.contains(s.newest(), head + b"\r\nX-Example: seen\r\n\r\n" + body)


def test_refuses(s):
    """the word in the subject, in the body, and across any border of it"""
    s.empty("bob")
    tap.eq(deliver(s, HEAD % b"a lottery" + b"x\r\n"), 550)
    for before in [0, 1, *range(4080, 4100), 8190]:
        body = (b"x" * 70 + b"\r\n") * (before // 72) + b"y" * (before % 72)
        tap.eq(len(body), before)
        tap.eq(deliver(s, HEAD % b"x" + body + WORD + b"\r\n"), 550)
    tap.eq(s.messages("bob"), [])


with Server(start=False) as server:
    server.extra = {"plugin.example": {"module": server.plugin("example"),
                                       "word": WORD.decode()}}
    server.chain = ["example"]
    server.write_config()
    server.start()
    tap.run(globals(), server)
tap.done()
