#!/usr/bin/python3
"""An account goes out as Maildir and as mbox and comes back the same: bytes,
UIDs, flags, keywords, dates; cut off, and brought up to date; Dovecot and
Python read it."""
import imaplib
import mailbox
import os
import random
import shutil
import signal
import subprocess
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from mailview import contents
from server import BUILD, Server

BODIES = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: from\r\n\r\nFrom here\r\n>From there\r\n\r\nFrom a@b.c Fri "
    b"Feb 13 23:31:30 2009\r\nSubject: not one\r\n\r\n>>From\r\n",
    b"Subject: no end\r\n\r\nwithout a line end",
    b"Subject: empty lines\r\n\r\n\r\n\r\n\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: header only\r\n",
    b"Subject: cut",
    b" begins with a blank\r\nSubject: x\r\n\r\ny\r\n",
    b"\r\nno header\r\n",
    b"Subject: bare LF\r\n\r\none\ntwo\r\nthree\n\nFrom x\n",
    b"Subject: CR\r\n\r\na\rb\r\r\nc\r\n\r",
    b"Status: RO\r\nX-Status: A\r\nX-UID: 99\r\nContent-Length: 3\r\n"
    b"X-Mailroom: length=3\r\nSubject: own\r\n\r\nbody\r\n",
    b"Subject: 8bit\r\n\r\n\xe4\xf6\xfc\0\xff\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 300000 + b"\r\n" + b"From y\r\n" * 9000,
]
FLAGS = ["", r"\Seen", r"\Answered \Flagged", r"\Deleted \Draft \Seen",
         "$Forwarded", r"work \Seen", "work home"]


def name(text):
    return '"%s"' % text.replace("\\", "\\\\")


def fill(s, user):
    rnd = random.Random(7)
    with s.imap(user, None) as m:
        for box in ("Work", "Work/2026", "with.dot", "&AOQ-/&-x", "a\\b"):
            m.create(name(box))
            m.subscribe(name(box))
        for box in ("INBOX", "Work", "Work/2026", "with.dot", "Sent",
                    "&AOQ-/&-x", "a\\b"):
            for n, body in enumerate(BODIES):
                words = FLAGS[(n + len(box)) % len(FLAGS)]
                when = imaplib.Time2Internaldate(
                    1500000000 + rnd.randrange(10**8))
                kind, data = m.append(name(box), "(%s)" % words, when, body)
                tap.eq(kind, "OK", data)
        for n in range(40):
            m.append("INBOX", "(k%d k%d)" % (n, n + 1), None, BODIES[0])
        m.select("Work")
        m.uid("STORE", "2,5", "+FLAGS", r"\Deleted")
        m.expunge()
    s.send(b"Subject: with milliseconds\r\n\r\nx\r\n", user)


def look(s, user):
    """{mailbox: its contents}"""
    found = {}
    with s.imap(user, None) as m:
        rows = [r.decode().split(' "/" ')[1] for r in m.list()[1]]
        for row in rows:
            box = row.strip('"').replace("\\\\", "\\")
            found[box] = contents(m, name(box))
    return found


def compare(s, one, other, has_list=True):
    a, b = look(s, one), look(s, other)
    tap.eq(sorted(b), sorted(a), "mailboxes")
    for box in a:
        if a[box] is None:
            continue
        tap.eq(b[box][:2], a[box][:2], box + ": UIDVALIDITY, UIDNEXT")
        for x, y in zip(a[box][2], b[box][2]):
            tap.eq(y, x, box)
        tap.eq(len(b[box][2]), len(a[box][2]), box)
    if not has_list:
        return
    with s.imap(one, None) as x, s.imap(other, None) as y:
        tap.eq(sorted(y.lsub()[1]), sorted(x.lsub()[1]), "subscriptions")


def test_maildir(s):
    """Maildir out and in is the same"""
    fill(s, "alice")
    done = s.cli_json("export", "maildir", "alice@example.test",
                      s.path("md"))
    tap.eq(done["exported"], sum(
        len(box[2]) for box in look(s, "alice").values() if box))
    s.cli("import", "maildir", s.path("md"), "bob@example.test")
    compare(s, "alice", "bob")


def test_mbox(s):
    """mbox out and in is the same"""
    s.cli("export", "mbox", "alice@example.test", s.path("mb"))
    s.cli("import", "mbox", s.path("mb"), "carol@example.test")
    compare(s, "alice", "carol", False)
    done = s.cli_json("export", "mbox", "alice@example.test", s.path("mb"))
    tap.eq(done["exported"], 0, "what did not change is passed over")


def test_update(s):
    """A second export brings the first up to date"""
    done = s.cli_json("export", "maildir", "alice@example.test",
                      s.path("md"))
    tap.eq(done["exported"], 0)
    with s.imap("alice", "INBOX") as m:
        m.uid("STORE", "1", "+FLAGS", r"\Flagged newword")
        m.uid("STORE", "2", "+FLAGS", r"\Deleted")
        m.expunge()
        m.append("INBOX", "", None, BODIES[3])
    for kind, folder in (("maildir", "md"), ("mbox", "mb")):
        s.cli("export", kind, "alice@example.test", s.path(folder))
    s.cli("import", "maildir", s.path("md"), "dave@example.test")
    compare(s, "alice", "dave")
    s.cli("import", "mbox", s.path("mb"), "erin@example.test")
    compare(s, "alice", "erin", False)


def test_python(s):
    """Python's mailbox module reads both"""
    md = mailbox.Maildir(s.path("md"))
    tap.ok("Work" in md.list_folders(), md.list_folders())
    subjects = {m["Subject"] for m in md}
    tap.ok({"plain", "no end", "long"} <= subjects, subjects)
    mb = mailbox.mbox(s.path("mb", "with\\2edot"))
    tap.eq(len(mb), len(BODIES))


def test_dovecot(s):
    """Dovecot reads the Maildir with its UIDs, flags and keywords"""
    if not shutil.which("doveadm"):
        raise tap.Skip("Dovecot is not installed")
    root = s.path("dovecot")
    shutil.copytree(s.path("md"), root + "/mail")
    conf = root + "/dovecot.conf"
    with open(conf, "w") as f:
        f.write("""
base_dir = %(root)s/run
log_path = %(root)s/log
mail_location = maildir:%(root)s/mail
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
ssl = no
""" % {"root": root})
    os.system("chmod -R a+rwX '%s'" % root)
    out = subprocess.run(
        ["doveadm", "-c", conf, "-f", "tab", "fetch", "uid flags "
         "date.received size.virtual", "mailbox", "INBOX"],
        capture_output=True, text=True,
        env=dict(os.environ, USER="nobody", HOME=root))
    if out.returncode:
        raise tap.Skip("doveadm does not run here: " + out.stderr[-300:])
    seen = {int(li.split("\t")[0]): li.split("\t")
            for li in out.stdout.splitlines()[1:]}
    ours = look(s, "alice")["INBOX"][2]
    tap.eq(sorted(seen), [m[0] for m in ours])
    for uid, flags, _, body in ours:
        theirs = [f for f in seen[uid][1].split() if f != r"\Recent"]
        tap.ok(set(theirs) <= set(flags), (uid, theirs, flags))
        if not any(f.startswith("k") for f in flags):   # beyond 26 letters
            tap.eq(sorted(theirs), sorted(flags), uid)
        if b"bare LF" not in body:
            tap.eq(int(seen[uid][3]), len(body))


def test_killed(s):
    """SIGKILL in the middle of both, several times"""
    with open(s.path("frank.mbox"), "wb") as f:
        for n in range(4800):
            f.write(b"From a@b.test Fri Feb 13 23:31:30 2009\nSubject: %d\n\n"
                    b"%s\n\n" % (n, b"x" * (100 if n % 16 else 20000)))
    s.cli("import", "mbox", s.path("frank.mbox"), "frank@example.test")
    for kind in ("maildir", "mbox"):
        path = s.path("killed-" + kind)
        for pause in (0.03, 0.06, 0.1, 0.2):
            p = subprocess.Popen(
                [os.path.join(BUILD, "mailroom"), "--config", s.config,
                 "export", kind, "frank@example.test", path, "--quiet"],
                stdout=subprocess.DEVNULL)
            time.sleep(pause)
            p.send_signal(signal.SIGKILL)
            p.wait()
        s.cli("export", kind, "frank@example.test", path)
        other = "grace" if kind == "mbox" else "heidi"
        done = s.cli_json("import", kind, path, other + "@example.test")
        tap.eq(done["imported"], 4800)
        a, b = look(s, "frank")["INBOX"], look(s, other)["INBOX"]
        tap.eq(b == a, True, kind)


with Server(accounts=("alice", "bob", "carol", "dave", "erin", "frank",
                      "grace", "heidi")) as server:
    tap.run(globals(), server)
tap.done()
