#!/usr/bin/python3
"""mailroom fsck: a store is damaged in many ways while the server runs; each
is found, said in a sentence, and repaired where it can be derived."""
import os
import sqlite3
import sys
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

LARGE = b"x" * 60 + b"\r\n"


def database(s):
    db = sqlite3.connect(s.path("data/sqlite/mailroom.db"), timeout=30)
    db.isolation_level = None
    return db


def change(s, *statements):
    db = database(s)
    for sql in statements:
        db.execute(sql)
    db.close()


def value(s, sql):
    db = database(s)
    try:
        return db.execute(sql).fetchone()[0]
    finally:
        db.close()


def fsck(s, *args):
    done = s.cli("fsck", *args, "--json", check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise AssertionError(done.stderr)
    import json
    found = json.loads(done.stdout)
    tap.eq(done.returncode, int(any(not f["repaired"]
                                    for f in found["findings"])), found)
    return found


def clean(s):
    tap.eq(fsck(s)["findings"], [])


def message(s, n):
    """The id of the message with UID n in bob's INBOX."""
    return value(s, "SELECT message FROM entry e JOIN mailbox m ON m.id ="
                 " e.mailbox JOIN account a ON a.id = m.account WHERE"
                 " a.name LIKE 'bob@%%' AND m.name = 'INBOX' AND uid = %d"
                 % n)


def test_clean(s):
    """A store in use is right"""
    for n in range(12):
        s.send(b"Subject: n%d\r\nMIME-Version: 1.0\r\nContent-Type: "
               b"multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n%d\r\n"
               b"--b--\r\n" % (n, n) + (LARGE * 1000 if n > 7 else b""),
               ["alice", "bob"] if n % 2 else "bob")
    with s.imap("bob", "INBOX") as m:
        m.uid("STORE", "1:3", "+FLAGS", r"(\Seen work)")
        m.create("Work/2026")
        m.copy("1:4", "Work/2026")
        m.uid("STORE", "4", "+FLAGS", r"\Deleted")
        m.expunge()
    found = fsck(s)
    tap.eq(found["findings"], [])
    tap.ok(found["messages"] >= 12 and found["bytes"] > 200000, found)
    tap.contains(s.cli("fsck").stdout, "everything is right")


BOB = "(SELECT m.id FROM mailbox m JOIN account a ON a.id = m.account" \
    " WHERE a.name LIKE 'bob@%' AND m.name = 'INBOX')"
# what is done; words of the finding
REPAIRED = [
    ("UPDATE mailbox SET messages = messages + 3 WHERE id = " + BOB,
     "counts 14 messages"),
    ("UPDATE mailbox SET unseen = 0 WHERE id = " + BOB, "0 unseen"),
    ("UPDATE mailbox SET bytes = 17 WHERE id = " + BOB, "17 bytes"),
    ("UPDATE mailbox SET uidnext = 5 WHERE id = " + BOB, "UID 5 next"),
    ("UPDATE mailbox SET modseq = 2 WHERE id = " + BOB, "at modseq 2"),
    ("UPDATE message SET refs = refs + 5 WHERE id = (SELECT max(id) FROM"
     " message)", "references, and has"),
    ("UPDATE message SET dead_ms = 1 WHERE id = (SELECT min(id) FROM message"
     " WHERE refs > 0)", "marked as removed, and is in use"),
    ("INSERT INTO message (refs, length, sha256) VALUES (0, 5, x'00')",
     "in use nowhere"),
    ("UPDATE entry SET length = 3 WHERE uid = 6 AND mailbox = " + BOB,
     "3 bytes, its message"),
    ("UPDATE entry SET flags = 4097 WHERE uid = 3 AND mailbox = " + BOB,
     "flags that do not exist"),
    ("INSERT INTO entry (mailbox, uid, flags, modseq, message, length,"
     " received_ms) VALUES (" + BOB + ", 99, 0, 1, 987654, 10, 0)",
     "message 987654, which is not there"),
    ("INSERT INTO entry (mailbox, uid, flags, modseq, message, length,"
     " received_ms) VALUES (4711, 1, 0, 1, 1, 10, 0)",
     "of mailbox 4711, which is not there"),
    ("INSERT INTO body VALUES (555555, x'00')", "bytes of message 555555"),
    ("INSERT INTO cache VALUES (555556, x'00')",
     "structure of message 555556"),
    ("UPDATE cache SET bytes = x'4d5270' WHERE message = (SELECT min(id) FROM"
     " message WHERE refs > 0)", "not what its bytes say"),
    ("DELETE FROM cache WHERE message = (SELECT max(id) FROM message WHERE"
     " refs > 0)", "not what its bytes say"),
    ("INSERT INTO subscription VALUES (777, 'x')", "account 777"),
    ("INSERT INTO vanished (mailbox, modseq, first, last, at_ms) VALUES"
     " (4712, 1, 1, 1, 0)", "mailbox 4712"),
    ("DELETE FROM mailbox WHERE name = 'INBOX' AND account = (SELECT id FROM"
     " account WHERE name LIKE 'carol@%')", "has no INBOX"),
]


def repaired(s, damage, words):
    change(s, damage)
    found = fsck(s)
    tap.ok(any(words in f["what"] and not f["repaired"]
               for f in found["findings"]), found)
    found = fsck(s, "--repair")
    tap.ok(any(words in f["what"] and f["repaired"]
               for f in found["findings"]), found)
    clean(s)


def test_index(s):
    """An index that does not fit its table is made anew"""
    db = database(s)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET sql = replace(sql, '(segment)',"
               " '(length)') WHERE name = 'message_segment'")
    db.close()
    found = fsck(s)
    tap.ok(any("index message_segment" in f["what"]
               for f in found["findings"]), found)
    found = fsck(s, "--repair")
    tap.ok(any("made anew" in f["what"] for f in found["findings"]), found)
    clean(s)


def named(s, words, *args):
    found = fsck(s, "--repair", *args)
    hits = [f for f in found["findings"] if words in f["what"]]
    tap.ok(hits and not hits[0]["repaired"] and hits[0]["advice"], found)
    return hits[0]["what"]


def test_bytes(s):
    """Bytes that changed are named with their place, and stay"""
    n = message(s, 3)
    old = value(s, "SELECT hex(bytes) FROM body WHERE message = %d" % n)
    change(s, "UPDATE body SET bytes = replace(bytes, 'Subject', 'Subjekt')"
           " WHERE message = %d" % n)
    tap.contains(named(s, "not the bytes that came"),
                 "UID 3 in INBOX of bob@example.test")
    change(s, "UPDATE body SET bytes = x'%s' WHERE message = %d" % (old, n))
    change(s, "DELETE FROM body WHERE message = %d" % n)
    named(s, "cannot be read")
    change(s, "INSERT INTO body VALUES (%d, x'%s')" % (n, old))
    clean(s)


def test_segments(s):
    """Segments that were changed, cut, lost, or have two messages in one
    place"""
    n = message(s, 11)
    name = value(s, "SELECT name FROM segment WHERE id = (SELECT segment FROM"
                 " message WHERE id = %d)" % n)
    offset = value(s, "SELECT offset FROM message WHERE id = %d" % n)
    path = s.path("data/sqlite/segments", name)
    with open(path, "r+b") as f:
        f.seek(offset + 100)
        old = f.read(3)
        f.seek(offset + 100)
        f.write(b"###")
    tap.contains(named(s, "not the bytes that came"), "UID 11 in INBOX")
    with open(path, "r+b") as f:
        f.seek(offset + 100)
        f.write(old)
    clean(s)
    os.rename(path, path + ".away")
    named(s, "cannot be read")
    os.rename(path + ".away", path)
    change(s, "UPDATE message SET segment = segment + 50 WHERE id = %d" % n)
    named(s, "which is not there")
    change(s, "UPDATE message SET segment = segment - 50 WHERE id = %d" % n)
    first = value(s, "SELECT min(offset) FROM message WHERE segment = (SELECT"
                  " segment FROM message WHERE id = %d)" % n)
    change(s, "UPDATE message SET offset = %d WHERE id = %d"
           % (first + 10, n))
    named(s, "bytes in common", "--fast")
    change(s, "UPDATE message SET offset = %d WHERE id = %d" % (offset, n))
    clean(s)


def test_online(s):
    """Nothing is found while mail comes and goes"""
    over = threading.Event()

    def work():
        n = 0
        while not over.is_set():
            n += 1
            s.send(b"Subject: o%d\r\n\r\n" % n + LARGE * (300 * (n % 2)),
                   "alice")
            if n % 5 == 0:
                s.empty("alice")
    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(5):
            clean(s)
            tap.eq(fsck(s, "--repair")["findings"], [])
    finally:
        over.set()
        worker.join()


with Server({"plugin.sqlite": {"keep_removed": "1h"}},
            accounts=("alice", "bob", "carol")) as server:
    tap.call("A store in use is right", test_clean, server)
    for damage, words in REPAIRED:
        tap.call("repaired: " + words, repaired, server, damage, words)
    # The last: the server does not know of the index that is changed.
    for test in (test_bytes, test_segments, test_online, test_index):
        tap.call(tap.title(test), test, server)
tap.done()
