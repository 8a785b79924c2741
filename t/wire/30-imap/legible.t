#!/usr/bin/python3
"""SEARCH TEXT, BODY, HEADER, SUBJECT and addresses over nasty mail: what is
found is what the texts say that the mail was made of.

Environment: SEEDS 2 (corpora), QUERIES 250 (of each)."""
import os
import random
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import nasty
import tap
from server import PASSWORD, Server, wait_for
from wire import Line

SEEDS = int(os.environ.get("SEEDS", "2"))
QUERIES = int(os.environ.get("QUERIES", "250"))
MAILS = 100


def found(c, keys):
    c.send(b"t UID SEARCH RETURN () CHARSET UTF-8 " + keys + b"\r\n")
    return numbers(c.until(b"t"), keys)


def numbers(answer, keys):
    lines, rest = answer
    tap.ok(rest.startswith(b"OK"), "%r: %r" % (keys, rest))
    out = []
    for line in lines:
        if line.startswith(b"* ESEARCH") and b" ALL " in line:
            for run in line.split(b" ALL ")[1].split()[0].split(b","):
                a, _, b = run.partition(b":")
                out += range(int(a), int(b or a) + 1)
    return out


def fill(c, name, mails):
    c.imap(b"c", b"CREATE " + name)
    for m in mails:
        rest = c.imap(b"a", b"APPEND %s {%d+}\r\n%s" % (
            name, len(m.bytes), m.bytes))[1]
        tap.ok(rest.startswith(b"OK"), rest)
    c.imap(b"s", b"SELECT " + name)


def compare(c, mails, seed):
    rng = random.Random(seed)
    for _ in range(QUERIES):
        q = nasty.Query(rng, mails)
        tap.eq(found(c, q.bytes), q.answer(), q.bytes.decode("utf-8"))


# Where the header ends and the body begins nothing may be found that is of
# both; one body is too long to be kept in an index.
BORDERS = [b"Subject: %s\r\nX-Last: %s\r\n\r\n%s" % m for m in (
    (b"both", b"harbour", b"harbour"), (b"head", b"harbour", b"forest"),
    (b"body", b"forest", b"harbour"), (b"none", b"har", b"bour"),
    (b"long", b"harbour", b"bour " + b"filler text\r\n" * 100000),
    (b"tail", b"har", b"filler text\r\n" * 100000 + b"harbour"))] + [
    b"Subject: part\r\nMIME-Version: 1.0\r\nX-Last: har\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"X-Last: harbour\r\n\r\nforest\r\n--b--\r\n"]
BORDER_KEYS = (
    (b"TEXT harbour", [1, 2, 3, 5, 6, 7]), (b"BODY harbour", [1, 3, 6]),
    (b"HEADER X-Last harbour", [1, 2, 5]), (b"BODY forest", [2, 7]),
    (b"NOT TEXT harbour", [4]), (b"NOT BODY harbour", [2, 4, 5, 7]),
    (b"NOT HEADER X-Last harbour", [3, 4, 6, 7]), (b"SUBJECT harbour", []),
    (b"HEADER X-Last har NOT BODY harbour", [2, 4, 5, 7]),
    (b"OR HEADER X-Last forest BODY forest", [2, 3, 7]),
    (b"TEXT harforest", []), (b"TEXT harbourforest", []),
    (b"TEXT {9+}\r\nhar\r\nbour", []), (b"TEXT {7+}\r\nhar\x13bou", []),
    (b"TEXT {13+}\r\nhar\r\n\r\nharbou", []), (b"BODY x-last", []),
    (b"TEXT {12+}\r\nlast: harbou", [1, 2, 5, 7]), (b"SUBJECT tail", [6]))


def check_borders(c):
    for keys, want in BORDER_KEYS:
        tap.eq(found(c, keys), want, keys)


def log_in(s):
    c = Line(s.ports["imap"], timeout=60)
    c.line()
    c.imap(b"t", b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def is_filled(s):
    return s.cli_json("index", "status")["waiting"] == 0


with Server({"plugin.sqlite": {"index": False}}) as server:
    with log_in(server) as line:
        for border in BORDERS:
            rest = line.imap(b"a", b"APPEND INBOX {%d+}\r\n%s" % (
                len(border), border))[1]
            tap.ok(rest.startswith(b"OK"), rest)
        line.imap(b"s", b"SELECT INBOX")
        tap.call("borders, without an index", check_borders, line)
        for seed in range(SEEDS):
            mails = nasty.corpus(MAILS, seed)
            fill(line, b"n%d" % seed, mails)
            tap.call("corpus %d, without an index" % seed, compare, line,
                     mails, seed)
    server.extra["plugin.sqlite"] = {"index": True, "index_block": 32}
    server.write_config()
    server.restart()
    wait_for("the index is full", lambda: is_filled(server), 60)
    with log_in(server) as line:
        for seed in range(SEEDS):
            line.imap(b"s", b"SELECT n%d" % seed)
            tap.call("corpus %d, with one" % seed, compare, line,
                     nasty.corpus(MAILS, seed), seed)
        line.imap(b"s", b"SELECT INBOX")
        tap.call("borders, with one", check_borders, line)
tap.done()
