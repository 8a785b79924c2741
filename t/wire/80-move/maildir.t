#!/usr/bin/python3
"""A Maildir comes in: folders, UIDs, flags, keywords, dates, line ends, and
what other servers keep beside it; run again, cut off, and while mail comes.
MAILROOM_MOVE_MESSAGES: how many in the killed import (default 4,000)."""
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, Server

MANY = int(os.environ.get("MAILROOM_MOVE_MESSAGES", "4000"))
DATE = 1234567890


def put(path, sub, name, body, when=DATE):
    for folder in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, folder), exist_ok=True)
    file = os.path.join(path, sub, name)
    with open(file, "wb") as f:
        f.write(body)
    os.utime(file, (when, when))


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def letter(n, more=b""):
    return b"From: a@elsewhere.test\nSubject: n%d\n\nbody %d\n%s" % (
        n, n, more)


def wire(body):
    return body.replace(b"\n", b"\r\n")


def mailbox(s, user, name):
    """(uidvalidity, uidnext, {uid: (flags, date, bytes)})"""
    with s.imap(user) as m:
        kind, _ = m.select('"%s"' % name, readonly=True)
        if kind != "OK":
            return None
        validity = int(m.response("UIDVALIDITY")[1][0])
        uidnext = int(m.response("UIDNEXT")[1][0])
        found = {}
        rows = m.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        for row in rows:
            if not isinstance(row, tuple):
                continue
            head = row[0].decode()
            uid = int(head.split("UID ")[1].split()[0].rstrip(")"))
            flags = head.split("FLAGS (")[1].split(")")[0].split()
            date = head.split('INTERNALDATE "')[1].split('"')[0]
            found[uid] = (sorted(f for f in flags if f != "\\Recent"), date,
                          row[1])
        return validity, uidnext, found


def folders(s, user):
    with s.imap(user) as m:
        return sorted(row.decode().split(' "/" ')[1].strip('"')
                      for row in m.list()[1])


def make_dovecot(root):
    put(root, "cur", "1234567890.M1P1.host,S=40,W=43:2,RS", letter(1))
    put(root, "cur", "1234567891.M1P1.host,S=40,W=43:2,FTDab", letter(2),
        DATE + 3600)
    put(root, "new", "1234567892.M1P1.host", wire(letter(3)), DATE + 7200)
    write(root + "/dovecot-uidlist",
          "3 V1275660208 N250 G3085f01b7f11094c501100008c4a11c1\n"
          "7 :1234567890.M1P1.host,S=40,W=43\n"
          "100 W43 :1234567891.M1P1.host,S=40,W=43:2,S\n"
          "101 :gone.host\n")
    write(root + "/dovecot-keywords", "0 $Forwarded\n1 work\n")
    sent = root + "/.Sent Items"
    put(sent, "cur", "1.x:2,S", letter(4))
    deep = root + "/.Projekte.Gr&APwA3w-e"
    put(deep, "cur", "2.x:2,P", letter(5))
    write(deep + "/courierimapuiddb", "1 1200000000 9\n5 2.x\n")
    write(deep + "/courierimapkeywords/:list",
          "red\nblue\n\n2.x:1\n")
    put(root + "/.with\\2edot", "cur", "3.x", letter(6))
    write(root + "/subscriptions", "Sent Items\nProjekte.Gr&APwA3w-e\n")


def test_dovecot(s):
    root = s.path("Maildir")
    make_dovecot(root)
    os.chmod(root, 0o700)
    put(root, "cur", "empty:2,", b"")
    done = s.cli("import", "maildir", root, "alice@example.test", "--json",
                 check=False)
    tap.eq(done.returncode, 1, "a message that is left out is told")
    tap.ok("empty" in done.stderr, "by name: " + done.stderr)
    os.unlink(root + "/cur/empty:2,")
    tap.ok('"imported": 6' in done.stdout, done.stdout)
    inbox = mailbox(s, "alice", "INBOX")
    tap.eq(inbox[0], 1275660208, "UIDVALIDITY is kept")
    tap.eq(sorted(inbox[2]), [7, 100, 250], "UIDs are kept")
    tap.eq(inbox[1], 251, "and UIDNEXT goes on")
    tap.eq(inbox[2][7][0], ["\\Answered", "\\Seen"])
    tap.eq(inbox[2][100][0], sorted(
        ["\\Flagged", "\\Deleted", "\\Draft", "$Forwarded", "work"]))
    tap.eq(inbox[2][250][0], [])
    tap.eq([inbox[2][u][2] for u in (7, 100, 250)],
            [wire(letter(n)) for n in (1, 2, 3)], "bytes, with CR LF")
    tap.ok(inbox[2][7][1].startswith("13-Feb-2009") or
           inbox[2][7][1].startswith("14-Feb-2009"), inbox[2][7][1])
    deep = mailbox(s, "alice", "Projekte/Gr&APwA3w-e")
    tap.eq(deep[:2], (1200000000, 9), "Courier's UIDs")
    tap.eq(deep[2][5][0], sorted(["$Forwarded", "blue"]),
            "Courier's keywords")
    names = folders(s, "alice")
    tap.eq(names, sorted(["INBOX", "Sent Items", "Drafts", "Trash", "Junk",
                           "Archive", "Projekte", "Projekte/Gr&APwA3w-e",
                           "with.dot"]), "the folders")
    with s.imap("alice") as m:
        tap.ok(any(b"\\Sent" in r and b"Sent Items" in r
                   for r in m.list()[1]), "Sent Items is for \\Sent")
        tap.ok(any(b"Projekte/Gr" in r for r in m.lsub()[1]), "subscribed")


def test_again(s):
    root = s.path("Maildir")
    with s.imap("alice") as m:
        m.select("INBOX")
        m.uid("STORE", "7", "+FLAGS", "\\Deleted")
        m.expunge()
    put(root, "cur", "1234567899.M1P1.host:2,", letter(9))
    done = s.cli_json("import", "maildir", root, "alice@example.test")
    tap.eq((done["imported"], done["there_already"]), (1, 6),
            "only what is new comes")
    inbox = mailbox(s, "alice", "INBOX")
    tap.eq(sorted(inbox[2]), [250, 251], "what was removed stays away")
    done = s.cli_json("import", "maildir", root, "alice@example.test",
                      "--again")
    tap.eq(done["imported"], 7, "unless that is wanted")


def test_tree(s):
    root = s.path("tree")
    put(root + "/INBOX", "cur", "1.a", letter(1))
    put(root + "/Work", "cur", "2.a", letter(2))
    put(root + "/Work/2026", "new", "3.a", letter(3))
    s.cli("import", "maildir", root, "bob@example.test", "--quiet")
    tap.ok({"Work", "Work/2026"} <= set(folders(s, "bob")), "nested folders")
    tap.eq(list(mailbox(s, "bob", "Work/2026")[2].values())[0][2],
            wire(letter(3)))


def test_refused(s):
    done = s.cli("import", "maildir", s.path("data"), "bob@example.test",
                 check=False)
    tap.eq(done.returncode, 1)
    tap.ok("no Maildir" in done.stderr, done.stderr)
    done = s.cli("import", "maildir", s.path("tree"), "no@example.test",
                 check=False)
    tap.eq(done.returncode, 1, done.stderr)
    tap.eq(s.cli("import", "maildir", "x", check=False).returncode, 2)


def there(s, account):
    """Messages in the account, as the store has them now."""
    db = sqlite3.connect("file:%s/sqlite/mailroom.db?mode=ro" % s.data,
                         uri=True)
    found = db.execute("SELECT sum(m.messages) FROM mailbox m JOIN account a"
                       " ON a.id = m.account WHERE a.name = ?",
                       (account + "@example.test",)).fetchone()[0]
    db.close()
    return found


def test_killed(s):
    """SIGKILL in the middle, several times; deliveries meanwhile."""
    root = s.path("many")
    for n in range(MANY):
        more = b"x" * 60000 if n % 20 == 0 else b""
        put(root, "cur", "%d.M%d.host:2,S" % (DATE + n, n), letter(n, more))
    write(root + "/dovecot-uidlist", "3 V1275660209 N%d\n" % (3 * MANY) +
          "".join("%d :%d.M%d.host\n" % (2 * n + 2, DATE + n, n)
                  for n in range(MANY)))
    command = [os.path.join(BUILD, "mailroom"), "--config", s.config,
               "import", "maildir", root, "carol@example.test", "--json"]
    kills = 0
    s.empty("bob")
    for _ in range(4):
        before = there(s, "carol")
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        sender = threading.Thread(target=s.send, args=(
            wire(letter(99999)), "bob"))
        sender.start()
        while there(s, "carol") == before and p.poll() is None:
            time.sleep(0.001)
        kills += p.poll() is None
        p.send_signal(signal.SIGKILL)
        p.wait()
        sender.join()
    tap.eq(len(s.messages("bob")), 4, "mail came in meanwhile")
    tap.ok(kills, "%d imports were killed" % kills)
    done = s.cli_json("import", "maildir", root, "carol@example.test")
    tap.eq(done["imported"] + done["there_already"], MANY)
    tap.ok(done["imported"] < MANY, "the killed ones count: %r" % done)
    with s.imap("carol") as m:
        m.select("INBOX", readonly=True)
        uids = [int(u) for u in m.uid("SEARCH", "ALL")[1][0].split()]
        tap.eq(uids, [2 * n + 2 for n in range(MANY)],
                "each once, with its UID")
        tap.eq(int(m.response("UIDNEXT")[1][0]), 3 * MANY)
        tap.eq(m.uid("FETCH", "42", "(BODY.PEEK[])")[1][0][1],
                wire(letter(20, b"x" * 60000)), "a large one")
    shutil.rmtree(root)
    print("# %d imports killed; the last brought %d" % (
        kills, done["imported"]))


with Server(accounts=("alice", "bob", "carol")) as server:
    tap.run(globals(), server)
tap.done()
