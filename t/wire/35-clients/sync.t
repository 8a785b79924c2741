#!/usr/bin/python3
# test: timeout=600
"""Real clients fetch a whole mailbox, put one back, and come back after
changes; what they hold is compared byte for byte with what is stored.

    MAILROOM_SYNC_MESSAGES=5000    how many (default 200)

Each client that is not installed is skipped and said so."""
import imaplib
import json
import mailbox
import os
import poplib
import random
import shutil
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, ROOT, SLOW, Server
from wire import Line

MANY = int(os.environ.get("MAILROOM_SYNC_MESSAGES", "200"))
FEW = MANY // 10
SOME = min(FEW, 39)
HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 120 + MANY // 20


# --------------------------------------------------------------- the mail


def make_message(n):
    """Lines end in CR LF, since some clients store them with LF."""
    r = random.Random(n)
    lines = [r.choice((b"text %d" % n, b".", b"..", b"", b"From here",
                       "Grüße".encode(), b"x" * r.randrange(200)))
             for _ in range(r.randrange(30))]
    return (b"From: Sender %d <s%d@elsewhere.test>\r\nTo: bob@example.test\r\n"
            b"Date: Mon, 07 Feb 1994 21:%02d:%02d -0800\r\n"
            b"Message-ID: <%d@sync.test>\r\nSubject: message %d\r\n"
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n\r\n%s\r\n" % (
                n, n % 9, n // 60 % 60, n % 60, n, n, b"\r\n".join(lines)))


class Filler(Line):
    """An IMAP client that pipelines."""

    def login(self):
        self.line()
        self.must_all([b'LOGIN bob@example.test "%s"' % PASSWORD.encode()])
        return self

    def must_all(self, commands):
        self.send(b"".join(b"t%d %s\r\n" % (i, c)
                           for i, c in enumerate(commands)))
        for i, c in enumerate(commands):
            rest = self.until(b"t%d" % i)[1]
            tap.ok(rest.startswith(b"OK"), "%r: %r" % (c[:60], rest))


def fill(s, name, numbers, fresh=True):
    """A mailbox of these messages; every third is seen."""
    numbers = list(numbers)
    with Filler(s.ports["imap"]) as c:
        c.login()
        if fresh:
            c.imap(b"x", b"DELETE " + name)
            c.imap(b"x", b"CREATE " + name)
        for at in range(0, len(numbers), 200):
            c.must_all([b"APPEND %s (%s) {%d+}\r\n%s" % (
                name, b"\\Seen" if n % 3 == 0 else b"", len(m), m)
                for n in numbers[at:at + 200] for m in [make_message(n)]])


def change(s, name, commands):
    with Filler(s.ports["imap"]) as c:
        c.login().must_all([b"SELECT " + name] + commands)


def stored(s, name):
    return sorted(s.messages("bob", name))


def wanted(numbers):
    return sorted(make_message(n) for n in numbers)


def same(got, want, what=""):
    """Without megabytes of failure."""
    got, want = sorted(got), sorted(want)
    tap.eq(len(got), len(want), what + ": how many")
    for a, b in zip(got, want):
        tap.eq(a, b, what)


# ------------------------------------------------------------- the clients


def need(program):
    if not shutil.which(program):
        raise tap.Skip("%s is not installed" % program)


def run(s, *command, limit=LIMIT, **kw):
    home = s.path("home")
    os.makedirs(home, exist_ok=True)
    done = subprocess.run(
        command, capture_output=True, timeout=limit * SLOW, stdin=subprocess.DEVNULL,
        env=dict(os.environ, HOME=home, LC_ALL="C.UTF-8", TERM="xterm",
                 SSL_CERT_FILE=s.cert, NODE_EXTRA_CA_CERTS=s.cert), **kw)
    if done.returncode:
        raise AssertionError("%s: status %d\n%s%s" % (
            " ".join(command[:2]), done.returncode,
            done.stdout.decode("utf-8", "replace")[-2500:],
            done.stderr.decode("utf-8", "replace")[-2500:]))
    return done.stdout


def write(s, name, text, mode=0o600):
    with open(s.path(name), "w") as f:
        f.write(text)
    os.chmod(s.path(name), mode)
    return s.path(name)


def maildir(path):
    return mailbox.Maildir(path, factory=None, create=False)


def near(path, drop=()):
    """Messages of a Maildir with CR LF, less fields of the client's own."""
    out = []
    box = maildir(path)
    for key in box.keys():
        data = box.get_bytes(key).replace(b"\r\n", b"\n")
        head, blank, body = data.partition(b"\n\n")
        head = b"\n".join(li for li in head.split(b"\n")
                          if not li.startswith(tuple(drop)))
        out.append((head + blank + body).replace(b"\n", b"\r\n"))
    return out


MBSYNC = """
FSync no

IMAPAccount a
Host localhost
Port {port}
User bob@example.test
Pass "{password}"
SSLType IMAPS
CertificateFile {cert}

IMAPStore far
Account a

MaildirStore near
Path {dir}/mbsync/
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns big back
Create Both
Remove Both
Expunge Both
SyncState *
"""


def flags_of(s, name):
    """{subject number: flags} as stored."""
    box = s.imap("bob", None)
    box.select(name, readonly=True)
    out = {}
    for part in box.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS "
                          "(SUBJECT)])")[1]:
        if isinstance(part, tuple):
            flags = part[0].partition(b"FLAGS (")[2].partition(b")")[0]
            out[int(part[1].split()[2])] = {
                f for f in flags.decode().split() if f != "\\Recent"}
    box.logout()
    return out


def flags_near(path):
    """The same of a Maildir."""
    names = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered",
             "D": "\\Draft", "T": "\\Deleted"}
    return {int(m["Subject"].split()[1]): {names[f] for f in m.get_flags()
                                           if f in names}
            for m in maildir(path)}


def key_of(box, number):
    for key in box.keys():
        if box.get_bytes(key).find(b"Subject: message %d\n" % number) > 0:
            return key
    raise KeyError(number)


def change_near(path, flagged, removed):
    box = maildir(path)
    keys = {int(m["Subject"].split()[1]): k for k, m in box.items()}
    for n in flagged:
        message = box[keys[n]]
        message.add_flag("F")
        message.set_subdir("cur")
        box[keys[n]] = message
    for n in removed:
        box.remove(keys[n])


def both_ways(s, sync, path, drop):
    """Pull all, push all, change on both sides, sync again."""
    fill(s, b"big", range(MANY))
    with Filler(s.ports["imap"]) as c:
        c.login().imap(b"x", b"DELETE back")
    sync()
    same(near(path("big"), drop), wanted(range(MANY)), "pulled")
    tap.eq(flags_near(path("big")), flags_of(s, "big"), "flags pulled")
    back = mailbox.Maildir(path("back"), create=True)
    for n in range(MANY, 2 * MANY):
        back.add(make_message(n).replace(b"\r\n", b"\n"))
    sync()
    same(near_names(s, "back", drop), wanted(range(MANY, 2 * MANY)), "pushed")
    change(s, b"big", [b"STORE %d +FLAGS (\\Answered)" % n
                       for n in range(1, SOME)]
           + [b"STORE 40:49 +FLAGS (\\Deleted)", b"EXPUNGE"])
    fill(s, b"big", range(2 * MANY, 2 * MANY + 10), False)
    change_near(path("big"), range(10, 30), range(50, 60))
    sync()
    left = [n for n in range(MANY) if n not in range(39, 49)
            and n not in range(50, 60)] + list(range(2 * MANY,
                                                       2 * MANY + 10))
    same(near_names(s, "big", drop), wanted(left), "stored after changes")
    same(near(path("big"), drop), wanted(left), "synced after changes")
    flags = flags_of(s, "big")
    tap.eq(flags_near(path("big")), flags, "flags after changes")
    tap.eq(sum("\\Flagged" in f for f in flags.values()), 20)
    tap.eq(sum("\\Answered" in f for f in flags.values()), SOME - 1)
    sync()
    same(near_names(s, "big", drop), wanted(left), "and nothing moves again")


def near_names(s, name, drop):
    """What is stored, less fields that the client gave it."""
    out = []
    for data in s.messages("bob", name):
        head, blank, body = data.partition(b"\r\n\r\n")
        out.append(b"\r\n".join(
            li for li in head.split(b"\r\n")
            if not li.startswith(tuple(drop))) + blank + body)
    return out


def test_mbsync(s):
    """mbsync: both ways, and again after changes on both sides"""
    need("mbsync")
    rc = write(s, "mbsyncrc", MBSYNC.format(
        port=s.ports["imaps"], password=PASSWORD, cert=s.cert, dir=s.dir))
    os.makedirs(s.path("mbsync"), exist_ok=True)
    both_ways(s, lambda: run(s, "mbsync", "-q", "-c", rc, "-a"),
              lambda name: s.path("mbsync", name), (b"X-TUID",))


OFFLINEIMAP = """
[general]
accounts = a
metadata = {dir}/offlineimap.meta
ui = quiet
fsync = False
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {dir}/offlineimap
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
ssl = yes
sslcacertfile = {cert}
remoteuser = bob@example.test
remotepass = {password}
folderfilter = lambda name: name in ('big', 'back')
"""


def test_offlineimap(s):
    """offlineimap: both ways, and again after changes on both sides"""
    need("offlineimap")
    rc = write(s, "offlineimaprc", OFFLINEIMAP.format(
        port=s.ports["imaps"], password=PASSWORD, cert=s.cert, dir=s.dir))
    both_ways(s, lambda: run(s, "offlineimap", "-c", rc, "-o"),
              lambda name: s.path("offlineimap", name),
              (b"X-OfflineIMAP",))


GETMAIL = """
[retriever]
type = Simple{kind}SSLRetriever
server = localhost
port = {port}
username = bob@example.test
password = {password}
ca_certs = {cert}
{more}
[destination]
type = Maildir
path = {dir}/getmail/{kind}/
[options]
delivered_to = false
received = false
read_all = false
verbose = 0
"""


def nobody():
    return {} if os.getuid() else {"user": "nobody", "group": "nogroup",
                                   "extra_groups": []}


def give_away(folder, *files):
    """To nobody, if we may."""
    if os.getuid():
        return
    for base, folders, names in os.walk(folder):
        files += (base,) + tuple(os.path.join(base, n) for n in names)
    for path in files:
        shutil.chown(path, "nobody", "nogroup")


def getmail(s, kind, port, more):
    """From nothing; then what is new."""
    # As root it may not deliver.
    base = s.path("getmail", kind)
    shutil.rmtree(s.path("getmail"), ignore_errors=True)
    os.makedirs(s.path("getmail", "state"))
    mailbox.Maildir(base, create=True)
    rc = write(s, "getmailrc", GETMAIL.format(
        kind=kind, port=s.ports[port], password=PASSWORD, cert=s.cert,
        dir=s.dir, more=more))
    give_away(s.path("getmail"), rc)
    for count in (FEW, FEW + 5):
        fill_inbox(s, range(count), FEW if count > FEW else 0)
        run(s, "getmail", "--getmaildir", s.path("getmail", "state"),
            "--rcfile", rc, limit=20 + FEW // 10, **nobody())
        same(near(base, (b"Return-Path", b"X-getmail")),
             wanted(range(count)), kind)


def test_getmail(s):
    """getmail by IMAP and POP3: all, then only what is new"""
    need("getmail")
    for kind, port, more in (("IMAP", "imaps", 'mailboxes = ("INBOX",)'),
                             ("POP3", "pop3s", "")):
        # It sometimes misses the end of a process of its own and waits.
        for tries in range(5):
            try:
                getmail(s, kind, port, more)
                break
            except subprocess.TimeoutExpired:
                tap.ok(tries < 4, "getmail hangs every time")


def fill_inbox(s, numbers, kept=0):
    """All of them new, or those behind the first few."""
    if not kept:
        s.empty("bob")
    fill(s, b"INBOX", list(numbers)[kept:], False)


def as_mbox(path, drop):
    """Messages between "From " lines that a delivery script wrote."""
    with open(path, "rb") as f:
        parts = f.read().split(b"\0\n")[:-1]
    out = []
    for data in parts:
        head, blank, body = data.partition(b"\n\n")
        head = b"\n".join(li for li in head.split(b"\n")
                          if not li.startswith(tuple(drop)))
        out.append((head + blank + body).replace(b"\n", b"\r\n"))
    return out


def test_fetchmail(s):
    """fetchmail by POP3 and IMAP; what it took is removed or seen"""
    need("fetchmail")
    for kind in ("pop3", "imap"):
        fill_inbox(s, range(FEW))
        out = s.path("fetchmail." + kind)
        mda = write(s, "mda", "#!/bin/sh\n{ cat; printf '\\0\\n'; } >> '%s'\n"
                    % out, 0o755)
        rc = write(s, "fetchmailrc." + kind,
                   "set no bouncemail\nset invisible\n"
                   "poll localhost proto %s port %d\n"
                   "  user 'bob@example.test' password '%s'\n"
                   "  no rewrite %s mda '%s'\n  ssl sslcertfile '%s'\n"
                   "  sslcertck\n" % (
                       kind, s.ports[kind + "s"], PASSWORD,
                       "fetchall nokeep" if kind == "pop3" else
                       "fetchall keep", mda, s.cert))
        run(s, "fetchmail", "-f", rc, "--nosyslog", "-i", s.path("fetchids"),
            "--pidfile", s.path("fetchmail.pid"))
        same(as_mbox(out, (b"Return-Path", b"Received:", b"\tby ", b"\tfor ",
                           b"\t(")), wanted(range(FEW)), kind)
        left = stored(s, "INBOX")
        tap.eq(len(left), 0 if kind == "pop3" else FEW, kind)


def test_mpop(s):
    """mpop: pipelined, into a Maildir; again it finds nothing new"""
    need("mpop")
    fill_inbox(s, range(MANY))
    mailbox.Maildir(s.path("mpop"), create=True)
    rc = write(s, "mpoprc", "account a\nhost localhost\nport %d\ntls on\n"
               "tls_starttls off\ntls_trust_file %s\nuser bob@example.test\n"
               "password %s\nkeep on\npipelining on\nreceived_header off\n"
               "uidls_file %s\ndelivery maildir %s\naccount default : a\n" % (
                   s.ports["pop3s"], s.cert, PASSWORD, s.path("mpop.uidls"),
                   s.path("mpop")))
    run(s, "mpop", "-C", rc, "-q")
    same(near(s.path("mpop")), wanted(range(MANY)), "mpop")
    run(s, "mpop", "-C", rc, "-q")
    tap.eq(len(maildir(s.path("mpop"))), MANY, "nothing twice")
    fill(s, b"INBOX", [MANY], False)
    run(s, "mpop", "-C", rc, "-q")
    same(near(s.path("mpop")), wanted(range(MANY + 1)), "the new one")


MUTTRC = """
set folder="imaps://bob%40example.test@localhost:{port}/"
set imap_user="bob@example.test"
set imap_pass="{password}"
set spoolfile="+big"
set certificate_file="{cert}"
set ssl_force_tls=yes
set header_cache="{dir}/{program}.cache"
set imap_condstore=yes
set imap_qresync=yes
set wait_key=no
set confirmcreate=no
set confirmappend=no
set quit=yes
set move=no
set mbox_type=maildir
set sort=date
set mark_old=no
set auto_tag=no
"""


def mutt_copy(s, program, pattern, name):
    """What it copies of the mailbox into another: the Message-IDs."""
    rc = write(s, program + "rc", MUTTRC.format(
        port=s.ports["imaps"], password=PASSWORD, cert=s.cert, dir=s.dir,
        program=program))
    os.makedirs(s.path(program + ".cache"), exist_ok=True)
    copy = s.path(name)
    shutil.rmtree(copy, ignore_errors=True)
    push = "push '<tag-pattern>%s<enter><tag-prefix><copy-message>%s<enter>" \
           "<exit>'" % (pattern, copy)
    run(s, "script", "-qec", '%s -n -F %s -e "%s"' % (program, rc, push),
        "/dev/null")
    if not os.path.exists(copy):
        return []
    return sorted(int(m["Message-ID"][1:].split("@")[0])
                  for m in maildir(copy))


def again_in_mutt(s, program):
    """Opens, then again with what it cached after changes elsewhere."""
    need(program)
    need("script")
    if program == "neomutt" and "condstore" not in subprocess.run(
            ["neomutt", "-D", "-n"], capture_output=True, text=True).stdout:
        raise tap.Skip("it knows no CONDSTORE")
    fill(s, b"big", range(MANY))
    tap.eq(mutt_copy(s, program, "~A", "all"), list(range(MANY)))
    change(s, b"big", [b"STORE 5:9 +FLAGS (\\Flagged)",
                       b"STORE 20:29 +FLAGS (\\Deleted)", b"EXPUNGE"])
    fill(s, b"big", range(MANY, MANY + 3), False)
    s.log_mark()
    tap.eq(mutt_copy(s, program, "~F", "flagged"), list(range(4, 9)))
    tap.eq(mutt_copy(s, program, "~A", "all"),
           [n for n in range(MANY + 3) if n not in range(19, 29)])


def test_neomutt(s):
    """neomutt comes back with QRESYNC and its header cache"""
    again_in_mutt(s, "neomutt")


def test_mutt(s):
    """mutt comes back with QRESYNC and its header cache"""
    again_in_mutt(s, "mutt")


def test_python(s):
    """imaplib and poplib read all, byte for byte"""
    fill_inbox(s, range(MANY))
    same(s.messages("bob"), wanted(range(MANY)), "imaplib")
    pop = s.pop3("bob")
    got = [b"\r\n".join(pop.retr(n)[1]) + b"\r\n"
           for n in range(1, MANY + 1)]
    pop.quit()
    same(got, wanted(range(MANY)), "poplib")


def test_imapflow(s):
    """imapflow reads all, changes, and comes back with QRESYNC"""
    need("node")
    modules = os.environ.get("MAILROOM_NODE_MODULES") or os.path.join(
        ROOT, "t", "tmp", "npm", "node_modules")
    if not os.path.isdir(os.path.join(modules, "imapflow")):
        raise tap.Skip("imapflow is not installed")
    fill(s, b"big", range(MANY))
    where = {"port": s.ports["imaps"], "user": "bob@example.test",
             "password": PASSWORD, "out": s.path("imapflow.out"),
             "modules": modules, "many": MANY}
    said = json.loads(run(s, "node", os.path.join(HERE, "imapflow.js"),
                          json.dumps(where)))
    with open(s.path("imapflow.out"), "rb") as f:
        data = f.read()
    got, at = [], 0
    for size in said["sizes"]:
        got.append(data[at:at + size])
        at += size
    same(got, wanted(range(MANY)), "fetched")
    tap.eq(said["appended"], True, "APPENDUID")
    tap.eq(said["moved"], [3, 4], "COPYUID")
    tap.eq(said["vanished"], [6, 7], "VANISHED")
    tap.eq(said["changed"], [10, 11], "CHANGEDSINCE")
    tap.eq(said["found"], [10, 11], "SEARCH")
    tap.eq(said["exists"], MANY - 2 - 2 + 1, "EXISTS while it idled")


imaplib._MAXLINE = poplib._MAXLINE = 100_000_000
with Server() as server:
    tap.run(globals(), server)
tap.done()
