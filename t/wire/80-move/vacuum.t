#!/usr/bin/python3
"""Sizes of the store, and space that is given back while mail comes."""
import os
import sqlite3
import sys
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server, wait_for

COUNT = 6000


def fill(s):
    with open(s.path("many.mbox"), "wb") as f:
        for n in range(COUNT):
            f.write(b"From a@b.test Fri Feb 13 23:31:30 2009\nSubject: %d\n\n"
                    b"%s\n\n" % (n, os.urandom(2500).hex().encode()))
    s.cli("import", "mbox", s.path("many.mbox"), "alice@example.test",
          "--mailbox", "Many", "--again")


def remove(s):
    with s.imap("alice", None) as m:
        m.delete("Many")


def test_sizes(s):
    """The sizes are those of the files"""
    fill(s)
    sizes = s.cli_json("store", "status")
    path = s.path("data/sqlite/mailroom.db")
    tap.eq(sizes["messages"], COUNT)
    tap.ok(sizes["database"] > COUNT * 5000, sizes)
    tap.ok(sizes["shrinks"], sizes)
    tap.ok(os.path.getsize(path) <= sizes["database"], sizes)
    tap.contains(s.cli("store", "status").stdout, "large messages")


def test_by_itself(s):
    """Removed mail is given back, while mail comes"""
    before = s.cli_json("store", "status")["database"]
    remove(s)
    over = threading.Event()

    def work():
        while not over.is_set():
            s.send(b"Subject: x\r\n\r\nx\r\n", "bob")
    worker = threading.Thread(target=work)
    worker.start()
    try:
        def is_small():
            sizes = s.cli_json("store", "status")
            return sizes["database"] < before / 4 and sizes["removed"] == 0
        wait_for("the database to shrink", is_small, 40)
    finally:
        over.set()
        worker.join()
    s.cli("store", "vacuum")
    sizes = s.cli_json("store", "status")
    tap.ok(sizes["unused"] < 200000, sizes)
    tap.eq(s.cli_json("fsck")["findings"], [])


def test_whole(s):
    """A database of an older release is written anew, once"""
    s.stop()
    db = sqlite3.connect(s.path("data/sqlite/mailroom.db"))
    db.isolation_level = None
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA auto_vacuum = NONE")
    db.execute("VACUUM")
    db.close()
    s.start()
    s.send(b"Subject: y\r\n\r\ny\r\n", "bob")
    tap.ok(not s.cli_json("store", "status")["shrinks"])
    done = s.cli("store", "vacuum", check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "--whole")
    s.cli("store", "vacuum", "--whole")
    tap.ok(s.cli_json("store", "status")["shrinks"])
    s.send(b"Subject: z\r\n\r\nz\r\n", "bob")
    tap.ok(s.newest("bob").endswith(b"z\r\n"))
    tap.eq(s.cli_json("fsck")["findings"], [])


with Server({"plugin.sqlite": {"keep_removed": "0s"}}) as server:
    tap.run(globals(), server)
tap.done()
