#!/usr/bin/python3
"""A filter written for libmilter inside the server: mail goes through it, a
refusal reaches the client, a stopped filter puts mail off."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, Server

MODULE = BUILD + "/t/plug/mfapi/stamp_main.so"
MESSAGE = b"From: a@elsewhere.test\r\nSubject: m\r\n\r\nbody\r\n"


def test_added(s):
    """its header fields are in what is delivered"""
    s.send(MESSAGE, ["bob@example.test"], sender="a@elsewhere.test")
    got = s.messages("bob")[0]
    tap.contains(got, b"X-Saw: message 1, 2 headers,\r\n\t6 bytes in 1 chunks")
    tap.contains(got, b"X-First: 100% sure\r\n")
    tap.contains(got, b"Subject: changed\r\n")


def test_refused(s):
    """its refusals are the server's, with its text"""
    with s.line() as c:
        c.must(250, "EHLO client.test")
        code, text = c.ask("MAIL FROM:<tempfail@elsewhere.test>")
        tap.eq(code, 450)
        tap.eq([line.split()[-1] for line in text],
               ["come", "back", "later"])
        code, text = c.ask("MAIL FROM:<one@elsewhere.test>")
        tap.eq(code, 550)
        tap.contains(" ".join(text), "one line")


def test_list(s):
    """it is listed as what it is"""
    rows = s.cli_json("plugin", "list")
    tap.ok(any("libmilter" in str(row) for row in rows), rows)


config = {"plugin.stamp": {"module": MODULE, "args": ["-t", "/dev/null"]}}
with Server(config, chain=["stamp"]) as server:
    tap.run(globals(), server)
tap.done()
