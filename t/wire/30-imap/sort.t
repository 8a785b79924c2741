#!/usr/bin/python3
"""SORT (RFC 5256), SORT=DISPLAY (RFC 5957), THREAD=ORDEREDSUBJECT: the examples
of base subjects, each key both ways, ties, and a random mailbox against a
sorting of its own."""
import random
import re
import socket
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server

HEAD = "From: %s\r\nTo: %s\r\nCc: %s\r\nSubject: %s\r\nDate: %s\r\n\r\n%s\r\n"
MAIL = [        # from, to, cc, subject, date, body, arrived
    ('"Zoe" <ann@a.test>', "x@a.test", "c@a.test", "Re: beta",
     "Mon, 2 Nov 2026 10:00:00 +0000", "b" * 50, "03-Nov-2026"),
    ("bob@a.test", '"adam" <y@a.test>', "b@a.test", "Alpha",
     "Mon, 2 Nov 2026 10:00:00 +0200", "b" * 10, "02-Nov-2026"),
    ("=?utf-8?q?=C3=84nne?= <CARL@a.test>", "z@a.test", "a@a.test",
     "[list] beta (fwd)", "Sun, 1 Nov 2026 10:00:00 -0500", "b" * 90,
     "04-Nov-2026"),
    ("Bert <dora@a.test>", "w@a.test", "d@a.test", "gamma", "no date at all",
     "b" * 70, "01-Nov-2026"),
]
# Subjects and what is left of them.
BASES = [
    ("x", "x"), ("Re: x", "x"), ("RE:x", "x"), ("Fwd: x", "x"),
    ("fw: re: Fwd: x", "x"), ("Re [2]: x", "x"), ("[list] Re: x", "x"),
    ("[a] [b] Re: x", "x"), ("Re: [list] x", "x"), ("x (fwd)", "x"),
    ("x (fwd) (FWD) ", "x"), ("[fwd: x]", "x"), ("[Fwd: Re: x (fwd)]", "x"),
    ("[list]", "[list]"), ("[list] x", "x"), ("Re: Re: ", ""), ("", ""),
    ("Regarding x", "regarding x"), ("re x", "re x"), ("a\t  b", "a b"),
    ("=?utf-8?q?Re=3A_x?=", "x"), ("x [y]", "x [y]"), ("[a [b] x", "[a [b] x"),
    ("[fwd: ]", ""), ("Fwd : X", "x"), ("AW: x", "aw: x"),
]


def fill(s, name, messages):
    box = s.imap("bob", None)
    box.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    box.create(name)
    for data, arrived in messages:
        box.append(name, None, '"%s 12:00:00 +0000"' % arrived,
                   data.encode())
    box.select(name)
    return box


def sort(s, keys, search="ALL", charset="UTF-8", uid=False):
    """By the raw line: imaplib knows SORT, but not all that is asked."""
    with s.line("imap") as c:
        c.line()
        for line in ('a LOGIN "bob@example.test" "%s"' % PASSWORD,
                     "b SELECT %s" % s.box,
                     "c %sSORT (%s) %s %s" % ("UID " if uid else "", keys,
                                              charset, search)):
            c.send(line.encode() + b"\r\n")
            got = []
            while True:
                got.append(c.line().decode())
                if got[-1].startswith(line[0] + " "):
                    break
        if not got[-1].startswith("c OK"):
            return got[-1]
        return [int(w) for li in got if li.startswith("* SORT")
                for w in li.split()[2:]]


def test_keys(s):
    """each key, and its reverse"""
    s.box = "Few"
    fill(s, s.box, [(HEAD % m[:6], m[6]) for m in MAIL]).logout()
    for keys, order in (
            ("ARRIVAL", [4, 2, 1, 3]), ("CC", [3, 2, 1, 4]),
            ("DATE", [4, 3, 2, 1]), ("FROM", [1, 2, 3, 4]),
            ("SIZE", [2, 1, 4, 3]), ("SUBJECT", [2, 1, 3, 4]),
            ("TO", [4, 1, 2, 3]), ("DISPLAYFROM", [4, 2, 1, 3]),
            ("DISPLAYTO", [2, 4, 1, 3])):
        tap.eq(sort(s, keys), order, keys)
        tap.eq(sort(s, keys.lower(), uid=True), order, keys)
        if keys != "SUBJECT":
            tap.eq(sort(s, "REVERSE " + keys), order[::-1], keys)
    # Equal ones stay in the order of the mailbox, also in reverse.
    tap.eq(sort(s, "REVERSE SUBJECT"), [4, 1, 3, 2])
    tap.eq(sort(s, "SUBJECT REVERSE DATE"), [2, 1, 3, 4])
    tap.eq(sort(s, "SUBJECT DATE"), [2, 3, 1, 4])


def test_search(s):
    """only what is found; charsets; what is wrong"""
    tap.eq(sort(s, "DATE", "SUBJECT beta"), [3, 1])
    tap.eq(sort(s, "DATE", 'FROM "\u00e4nne"'), [3])
    tap.eq(sort(s, "DATE", "SMALLER 1", "US-ASCII"), [])
    for keys, search, charset, want in (
            ("", "ALL", "UTF-8", "c BAD"), ("NAME", "ALL", "UTF-8", "c BAD"),
            ("REVERSE", "ALL", "UTF-8", "c BAD"),
            ("DATE", "ALL", "x-none", "c NO [BADCHARSET"),
            ("DATE", "", "UTF-8", "c BAD"), ("DATE", "ODD", "UTF-8", "c BAD"),
            (" ".join(["DATE"] * 33), "ALL", "UTF-8", "c BAD")):
        tap.ok(sort(s, keys, search, charset).startswith(want), keys)


def test_base_subject(s):
    """base subjects: those of one base are one thread"""
    s.box = "Bases"
    box = fill(s, s.box, [(
        "From: a@a.test\r\nSubject: %s\r\nDate: Mon, 2 Nov 2026 10:%02d:00 "
        "+0000\r\n\r\nx\r\n" % (subject, n), "02-Nov-2026")
        for n, (subject, _) in enumerate(BASES)])
    kind, data = box.thread("ORDEREDSUBJECT", "UTF-8", "ALL")
    tap.eq(kind, "OK")
    threads, depth, one = [], 0, []
    for word in re.findall(rb"[()]|\d+", data[0]):
        depth += (word == b"(") - (word == b")")
        if word.isdigit():
            one.append(int(word))
        if depth == 0:
            threads.append(one)
            one = []
    wanted = {}
    for n, (_, base) in enumerate(BASES, 1):
        wanted.setdefault(base, []).append(n)
    tap.eq(sorted(threads), sorted(wanted.values()))
    tap.eq(threads, sorted(threads), "by the date of their first")
    box.logout()


def test_thread_form(s):
    """one, two, and more messages of a subject"""
    s.box = "Threads"
    subjects = ["one", "two", "Re: two", "three", "re: three", "Fwd: three"]
    box = fill(s, s.box, [(
        "From: a@a.test\r\nSubject: %s\r\nDate: Mon, 2 Nov 2026 10:%02d:00 "
        "+0000\r\n\r\nx\r\n" % (subject, n), "02-Nov-2026")
        for n, subject in enumerate(subjects)])
    tap.eq(box.thread("ORDEREDSUBJECT", "UTF-8", "ALL")[1],
           [b"(1)(2 3)(4 (5)(6))"])
    tap.eq(box.uid("THREAD", "ORDEREDSUBJECT", "UTF-8", "2:3")[1],
           [b"(2 3)"])
    tap.eq(box.thread("ORDEREDSUBJECT", "UTF-8", "SMALLER 1")[1], [b""])
    box.logout()


def test_random(s):
    """600 messages against Python's sorting"""
    s.box = "Many"
    rng = random.Random(7)
    words = ["alpha", "Beta", "gamma", "delta", "\u00c9t\u00e9", "omega"]
    mails, rows = [], []
    for n in range(600):
        name, subject = rng.choice(words), rng.choice(words)
        size, minute = rng.randrange(300), rng.randrange(1440)
        prefix = rng.choice(["", "Re: ", "[x] Fwd: "])
        data = ("From: %s@a.test\r\nSubject: %s%s\r\nDate: Mon, 2 Nov 2026 "
                "%02d:%02d:00 +0000\r\n\r\n%s\r\n" % (
                    name.encode("ascii", "replace").decode().replace(
                        "?", "e"), prefix, subject, minute // 60, minute % 60,
                    "y" * size))
        mails.append((data, "02-Nov-2026"))
        rows.append({"FROM": name.encode("ascii", "replace").decode()
                     .replace("?", "e").lower(), "SUBJECT": subject.lower(),
                     "DATE": minute, "SIZE": len(data.encode())})
    fill(s, s.box, mails).logout()
    for keys in (["SUBJECT", "FROM", "SIZE"], ["FROM", "DATE"],
                 ["SIZE", "SUBJECT"], ["DATE", "SIZE", "FROM"]):
        order = sorted(range(len(rows)), key=lambda i: tuple(
            rows[i][k].encode() if isinstance(rows[i][k], str) else rows[i][k]
            for k in keys))
        tap.eq(sort(s, " ".join(keys)), [i + 1 for i in order], keys)


with Server() as server:
    tap.run(globals(), server)
tap.done()
