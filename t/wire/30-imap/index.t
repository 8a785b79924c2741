#!/usr/bin/python3
"""The search index: filled behind deliveries, killed while it is filled,
filled anew, texts of removed messages gone from it, turned off."""
import glob
import mailbox
import os
import random
import sqlite3
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import DOMAIN, PASSWORD, Server, wait_for
from wire import Line

MAILS = 3000
WORDS = ["wort%03d" % i for i in range(200)]


def message(n):
    rng = random.Random(n)
    words = rng.sample(WORDS, 12) + (["needle%d" % n] if n % 50 == 0 else [])
    return (b"From: a@x.test\r\nSubject: mail %d\r\nMessage-ID: <%d@x.test>"
            b"\r\n\r\n%s\r\n" % (n, n, " ".join(words).encode())), set(words)


def fill(s):
    """A Maildir, imported at once."""
    box = mailbox.Maildir(s.path("in"), create=True)
    for n in range(1, MAILS + 1):
        with open(os.path.join(s.path("in"), "cur", "%06d.x:2,S" % n),
                  "wb") as f:
            f.write(message(n)[0])
    box.close()
    os.system("chmod -R a+rX " + s.path("in"))
    s.cli("import", "maildir", s.path("in"), "bob@" + DOMAIN, "--quiet")


def log_in(s):
    c = Line(s.ports["imap"], timeout=60)
    c.line()
    c.imap(b"t", b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    c.imap(b"t", b"SELECT INBOX")
    return c


def subjects(c, keys):
    """Numbers in the subjects of what is found."""
    lines, rest = c.imap(b"t", b"UID SEARCH " + keys)
    tap.ok(rest.startswith(b"OK"), rest)
    uids = [u for li in lines if li.startswith(b"* SEARCH")
            for u in li.split()[2:]]
    return sorted(c.numbers[u] for u in uids)


def read_numbers(c):
    c.numbers = {}
    for li in c.imap(b"t", b"UID FETCH 1:* (ENVELOPE)")[0]:
        uid = li[li.index(b"UID ") + 4:].split(b" ")[0].rstrip(b")")
        c.numbers[uid] = int(li.split(b'"mail ')[1].split(b'"')[0])


def check_exact(s):
    """all that is there is found, and nothing else"""
    with log_in(s) as c:
        read_numbers(c)
        there = sorted(c.numbers.values())
        texts = {n: message(n)[1] for n in there}
        for word in WORDS[::40] + ["needle100", "needle1", "absent99", "rt01"]:
            want = [n for n in there if any(word in w for w in texts[n])]
            tap.eq(subjects(c, b"BODY " + word.encode()), want, word)
            tap.eq(subjects(c, b"NOT TEXT " + word.encode()),
                   [n for n in there if n not in want], "NOT " + word)
        tap.eq(subjects(c, b"SUBJECT \"mail 12\""),
               [n for n in there if str(n).startswith("12")])


def status(s):
    return s.cli_json("index", "status")


def wait_full(s):
    wait_for("the index is full", lambda: status(s)["waiting"] == 0, 60)


def texts_of(s):
    with sqlite3.connect(s.path("data", "sqlite", "index.db")) as db:
        return db.execute("SELECT sum(n) FROM head").fetchone()[0]


def test_1_killed(s):
    """killed again and again while it is filled: results stay exact"""
    fill(s)
    for _ in range(4):
        wait_for("some are in", lambda: status(s)["messages"] > 0, 30)
        s.kill()
        s.start()
        check_exact(s)
        if status(s)["waiting"] == 0:
            break
    wait_full(s)
    check_exact(s)
    tap.eq(status(s)["messages"], MAILS)


def test_2_rebuild(s):
    """from nothing, of one account, and when the file is no database"""
    tap.eq(s.cli_json("index", "rebuild")["messages"], MAILS)
    check_exact(s)
    s.send(message(9999)[0], rcpt="alice")
    wait_full(s)
    before = status(s)["messages"]
    tap.ok(s.cli_json("index", "rebuild", "bob@" + DOMAIN)["messages"]
           >= MAILS)
    tap.eq(status(s)["messages"], before)
    check_exact(s)
    tap.ok(s.cli("index", "rebuild", "none@" + DOMAIN,
                 check=False).returncode == 1)
    s.stop()
    for name in glob.glob(s.path("data", "sqlite", "index.db*")):
        with open(name, "wb") as f:
            f.write(b"no database" * 1000)
    s.start()
    wait_full(s)
    check_exact(s)


def test_2b_older(s):
    """one that was kept otherwise goes, and is filled anew"""
    s.stop()
    with sqlite3.connect(s.path("data", "sqlite", "index.db")) as db:
        db.execute("UPDATE fact SET value = 1 WHERE name = 'version'")
        db.execute("DROP TABLE head")
        db.execute("DROP TABLE rest")
        db.execute("CREATE TABLE chunk (first INTEGER PRIMARY KEY)")
    s.start()
    check_exact(s)
    wait_full(s)
    check_exact(s)
    tap.ok(status(s)["messages"] >= MAILS)
    with sqlite3.connect(s.path("data", "sqlite", "index.db")) as db:
        tap.eq(db.execute("SELECT count(*) FROM sqlite_master"
                          " WHERE name = 'chunk'").fetchone()[0], 0)


def test_3_removed(s):
    """texts go with their messages"""
    with log_in(s) as c:
        c.imap(b"t", b"STORE 1:2000 +FLAGS.SILENT (\\Deleted)")
        c.imap(b"t", b"EXPUNGE")
    check_exact(s)

    def gone():
        s.send(message(9998)[0], rcpt="alice")  # the thread looks again
        return texts_of(s) < 1200
    wait_for("their texts are gone", gone, 60)
    check_exact(s)


def test_4_off(s):
    """turned off, its files are gone and everything is found"""
    s.stop()
    s.extra["plugin.sqlite"]["index"] = False
    s.write_config()
    s.start()
    tap.eq(glob.glob(s.path("data", "sqlite", "index.db*")), [])
    tap.ok(s.cli("index", "status", check=False).returncode == 1)
    check_exact(s)


with Server({"plugin.sqlite": {"index_block": 300,
                               "keep_removed": "0s"}}) as server:
    tap.run(globals(), server)
tap.done()
