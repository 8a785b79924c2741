#!/usr/bin/python3
"""Backups while mail comes and goes, and what comes back out of them: an
account, a message, a point in time; a backup that a disk has damaged."""
import glob
import os
import re
import shutil
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server


def letter(n, size=0):
    return (b"From: a@elsewhere.test\r\nMessage-ID: <m%d@elsewhere.test>\r\n"
            b"Subject: n%d\r\n\r\nbody %d\r\n" % (n, n, n) +
            b"%d" % (n % 10) * size + b"\r\n")


def plain(message):
    """Without what the server put before it."""
    return message[message.index(b"From: a@"):]


def numbers(s, user, box="INBOX"):
    return sorted(int(re.search(rb"Subject: n(\d+)", m).group(1))
                  for m in s.messages(user, box))


class Deliveries(threading.Thread):
    """Letters to bob, large and small, one after another; removes some."""

    def __init__(self, s, first):
        super().__init__()
        self.s, self.next, self.over = s, first, False

    def run(self):
        while not self.over:
            size = 40000 if self.next % 3 == 0 else 100
            self.s.send(letter(self.next, size), "bob")
            self.next += 1


def test_while_mail_comes(s):
    """Backups while mail is delivered hold what was there"""
    for n in range(30):
        s.send(letter(n, 50000 if n % 2 else 10), "alice")
    mail = Deliveries(s, 1000)
    mail.start()
    states = []
    try:
        for _ in range(6):
            before = mail.next
            state = s.cli_json("backup", s.path("backup"))
            states.append((before, mail.next, state))
    finally:
        mail.over = True
        mail.join()
    tap.eq([st["damaged"] for _, _, st in states], [0] * 6)
    tap.ok(states[1][2]["written"] < states[0][2]["written"] or
           states[-1][2]["written"] < states[-1][2]["bytes"],
           "only what is new is written: %r" % states)
    names = s.cli_json("backup", "list", s.path("backup"))
    tap.eq(names, [st["state"] for _, _, st in states])
    for n, (before, after, state) in enumerate(states):
        s.cli("restore", s.path("backup"), "--at", state["state"],
              "--account", "bob@example.test", "--into", "R%d" % n)
        there = numbers(s, "bob", "R%d/INBOX" % n)
        tap.eq(there, list(range(1000, 1000 + len(there))), "no gaps")
        tap.ok(before <= 1000 + len(there) <= after + 1, "the moment")
        for m in s.messages("bob", "R%d/INBOX" % n):
            k = int(re.search(rb"Subject: n(\d+)", m).group(1))
            tap.eq(plain(m), letter(k, 40000 if k % 3 == 0 else 100))


def test_account(s):
    """What was removed comes back, below a folder or in its place"""
    with s.imap("alice", "INBOX") as m:
        m.uid("STORE", "2", "+FLAGS", r"(\Flagged work)")
        m.create("Projects")
        m.copy("1:5", "Projects")
        m.uid("STORE", "30", "+FLAGS", r"\Answered")
    before = s.messages("alice")
    state = s.cli_json("backup", s.path("backup"))["state"]
    with s.imap("alice", "INBOX") as m:
        m.uid("STORE", "1:20", "+FLAGS", r"\Deleted")
        m.expunge()
        m.delete("Projects")
    s.send(letter(500), "alice")
    done = s.cli_json("restore", s.path("backup"), "--account",
                      "alice@example.test", "--into", "Back")
    tap.eq(done["restored"], 35)
    tap.eq(s.messages("alice", "Back/INBOX"), before, "the same bytes")
    tap.eq(numbers(s, "alice", "Back/Projects"), [0, 1, 2, 3, 4])
    with s.imap("alice", "Back/INBOX") as m:
        flags = m.uid("FETCH", "2", "(FLAGS)")[1][0]
        tap.ok(b"\\Flagged" in flags and b"work" in flags, flags)
    tap.eq(numbers(s, "alice"), list(range(20, 30)) + [500],
           "what is there is not touched")
    done = s.cli_json("restore", s.path("backup"), "--account",
                      "alice@example.test", "--in-place")
    tap.eq((done["restored"], done["there_already"]), (25, 10))
    tap.eq(numbers(s, "alice"), list(range(0, 30)) + [500])
    tap.eq(numbers(s, "alice", "Projects"), [0, 1, 2, 3, 4])
    done = s.cli_json("restore", s.path("backup"), "--at", state,
                      "--account", "alice@example.test", "--in-place")
    tap.eq(done["restored"], 0, "nothing comes twice")


def test_message(s):
    """One message, by Message-ID and by trace"""
    s.empty("bob")
    done = s.cli_json("restore", s.path("backup"), "--message",
                      "m1003@elsewhere.test", "--into", "One")
    tap.eq(done["restored"], 1)
    tap.eq([plain(m) for m in s.messages("bob", "One")],
           [letter(1003, 100)])
    trace = re.search(rb"with \S+ id (\S+)", s.messages("bob", "One")[0]
                      .replace(b"\r\n\t", b" ")).group(1).decode()
    done = s.cli_json("restore", s.path("backup"), "--message",
                      trace.rstrip(";"), "--into", "Two")
    tap.eq((done["restored"], len(s.messages("bob", "Two"))), (1, 1))
    done = s.cli("restore", s.path("backup"), "--message", "no@such",
                 check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "no message no@such")


def test_gone(s):
    """An account that was removed, and bodies that were collected"""
    large = letter(7, 60000)
    s.add_account("carol@example.test")
    s.send(large, "carol")
    state = s.cli_json("backup", s.path("backup"))["state"]
    s.cli("account", "remove", "carol@example.test")
    time.sleep(3)                       # keep_removed is 0 here
    s.cli_json("backup", s.path("backup"))
    done = s.cli("restore", s.path("backup"), "--at", state, "--account",
                 "carol@example.test", "--in-place")
    tap.contains(done.stderr, "account passwd carol@example.test")
    s.cli("account", "passwd", "carol@example.test", "--password-stdin",
          input="correct horse\n")
    tap.eq([plain(m) for m in s.messages("carol")], [large])


def test_whole(s):
    """The store is lost, and is there again: accounts, passwords, mail"""
    s.cli("alias", "add", "sales@example.test", "alice@example.test")
    s.send(letter(77, 70000), "alice")
    with s.submission("alice") as m:        # nobody answers for its domain
        m.sendmail("alice@example.test", ["x@nowhere.test"], letter(78))
    s.cli_json("backup", s.path("backup"))
    before = {u: s.messages(u) for u in ("alice", "bob")}
    with s.imap("alice", "INBOX") as m:
        validity = m.response("UIDVALIDITY")[1]
    s.cli("restore", s.path("backup"), "--whole", s.path("data/again"))
    s.stop()
    shutil.rmtree(s.path("data/sqlite"))
    os.rename(s.path("data/again"), s.path("data/sqlite"))
    s.start()
    tap.eq({u: s.messages(u) for u in ("alice", "bob")}, before)
    with s.imap("alice", "INBOX") as m:
        tap.eq(m.response("UIDVALIDITY")[1], validity)
    s.send(letter(79), "sales")
    tap.eq(plain(s.newest("alice")), letter(79))
    tap.eq([row["state"] for row in s.queue()], ["held"])
    s.drop_queue()
    tap.eq(s.cli_json("fsck")["findings"], [])
    done = s.cli("restore", s.path("backup"), "--whole",
                 s.path("data/sqlite"), check=False)
    tap.eq(done.returncode, 1, "what is there is not written over")


def test_put_back(s):
    """A store that was put back to an older state is backed up whole"""
    path = s.path("back")
    s.empty("bob")
    s.send(letter(700, 50000), "bob")
    old = s.cli_json("backup", path)["state"]
    for n in range(701, 705):
        s.send(letter(n, 50000), "bob")
    newer = s.cli_json("backup", path)["state"]
    s.cli("restore", path, "--at", old, "--whole", s.path("data/older"))
    s.stop()
    shutil.rmtree(s.path("data/sqlite"))
    os.rename(s.path("data/older"), s.path("data/sqlite"))
    s.start()
    tap.eq(numbers(s, "bob"), [700])
    s.send(letter(710, 50000), "bob")   # has the id that 701 had
    tap.eq(s.cli_json("backup", path)["damaged"], 0)
    s.cli("restore", path, "--account", "bob@example.test", "--into", "Put")
    tap.eq([plain(m) for m in s.messages("bob", "Put/INBOX")],
           [letter(700, 50000), letter(710, 50000)])
    s.cli("restore", path, "--at", newer, "--account", "bob@example.test",
          "--in-place")                 # no UID of theirs was given again
    tap.eq(numbers(s, "bob"), [700, 701, 702, 703, 704, 710])
    tap.eq(s.cli_json("fsck")["findings"], [])


def test_keep(s):
    """Older states go with what only they need"""
    path = s.path("kept")

    def files():
        return (len(glob.glob(path + "/states/*.map")),
                len(glob.glob(path + "/states/*")),
                set(os.listdir(path + "/segments")))
    for n in range(3):
        s.send(letter(600 + n, 50000), "bob")
        s.cli("backup", path)
    maps, _, segments = files()
    tap.eq(maps, 3)
    tap.ok(segments)
    with open(path + "/segments/1-abcdef", "w") as f:
        f.write("of a state that is gone")
    s.send(letter(603, 50000), "bob")
    s.cli("backup", path, "--keep", "2")
    maps, all_files, now = files()
    tap.eq(maps, 2)
    tap.ok(all_files <= 6, "pages that are not needed go")
    tap.ok(segments <= now and "1-abcdef" not in now, now)
    for state in s.cli_json("backup", "list", path):
        s.cli("restore", path, "--at", state, "--account",
              "bob@example.test", "--into", "Kept " + state)
        tap.eq(plain(s.newest("bob", "Kept %s/INBOX" % state))[:20],
               letter(1)[:20])
    tap.eq(s.cli("backup", path, "--keep", "0", check=False).returncode, 2)


def test_refused(s):
    """Options and times that make no sense"""
    for args in (("--at", "yesterday"), ("--in-place", "--into", "x"),
                 ("--what",)):
        done = s.cli("restore", s.path("backup"), *args, check=False)
        tap.eq(done.returncode, 2, args)
    done = s.cli("restore", s.path("backup"), "--at", "2020-01-01",
                 check=False)
    tap.contains(done.stderr, "no state as old")
    done = s.cli("restore", s.path("nothing"), check=False)
    tap.eq(done.returncode, 1, done.stderr)


def test_damaged(s):
    """Damage in a backup is seen, never restored"""
    packs = sorted(glob.glob(s.path("backup/states/*.pages")))
    with open(packs[0], "r+b") as f:
        f.seek(5000)
        f.write(b"damage!")
    state = s.cli_json("backup", "list", s.path("backup"))[0]
    done = s.cli("restore", s.path("backup"), "--at", state, "--account",
                 "bob@example.test", check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "damaged")
    tap.eq(glob.glob(s.path("data/restore.*")), [], "nothing is left behind")


def test_damaged_here(s):
    """A large message that a disk has damaged comes back whole"""
    s.empty("bob")
    s.send(letter(800, 50000), "bob")
    s.cli("backup", s.path("whole"))
    for name in glob.glob(s.path("data/sqlite/segments/*")):
        with open(name, "r+b") as f:
            at = f.read().find(b"Subject: n800\r\n")
            if at >= 0:
                f.seek(at)
                f.write(b"Subject: n???")
    tap.eq(len(s.messages("bob")), 1)
    tap.ok(plain(s.newest("bob")) != letter(800, 50000), "it is damaged")
    done = s.cli_json("restore", s.path("whole"), "--message",
                      "m800@elsewhere.test", "--into", "Healed")
    tap.eq(done["restored"], 1)
    tap.eq([plain(m) for m in s.messages("bob", "Healed")],
           [letter(800, 50000)])


with Server({"plugin.sqlite": {"keep_removed": "0s"}}) as server:
    tap.run(globals(), server)
tap.done()
