#!/usr/bin/python3
# test: timeout=240
"""Round trips with real clients: swaks, curl, mbsync, neomutt. Each one
that is not installed is skipped and said so."""
import mailbox
import os
import shutil
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, SLOW, Server

MESSAGE = (b"From: alice@example.test\r\nTo: bob@example.test\r\n"
           b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
           b"Message-ID: <c1@client.test>\r\n"
           b"Subject: Gr=?utf-8?q?=C3=BC?=n\r\nMIME-Version: 1.0\r\n"
           b"Content-Type: text/plain; charset=utf-8\r\n"
           b"Content-Transfer-Encoding: 8bit\r\n\r\n"
           b".\r\n..\r\nGr\xc3\xbc\xc3\x9fe\r\n")


def need(program):
    if not shutil.which(program):
        raise tap.Skip("%s is not installed" % program)


def need_swaks():
    need("swaks")
    said = subprocess.run(["swaks", "--support"], capture_output=True).stdout
    if b"TLS supported" not in said:
        raise tap.Skip("swaks lacks TLS (Net::SSLeay)")


def run(*command, **kw):
    done = subprocess.run(command, capture_output=True, timeout=60 * SLOW,
                          **kw)
    if done.returncode:
        raise AssertionError("%s: status %d\n%s%s" % (
            " ".join(command[:2]), done.returncode,
            done.stdout.decode("utf-8", "replace")[-1500:],
            done.stderr.decode("utf-8", "replace")[-1500:]))
    return done.stdout


def write(s, name, data):
    with open(s.path(name), "wb") as f:
        f.write(data)
    return s.path(name)


def test_swaks_inbound(s):
    """swaks from outside, with STARTTLS verified"""
    need_swaks()
    s.empty("bob")
    run("swaks", "--server", "127.0.0.1", "--port", str(s.ports["smtp"]),
        "--from", "x@elsewhere.test", "--to", "bob@example.test", "--tls",
        "--helo", "client.test", "--body", "from swaks", "--hide-all")
    tap.contains(s.newest("bob"), b"from swaks\r\n")


def test_swaks_auth(s):
    """swaks with AUTH PLAIN and LOGIN, on both submission ports"""
    need_swaks()
    for port, tls in (("submission", "--tls"), ("submissions",
                                                "--tls-on-connect")):
        for mechanism in ("PLAIN", "LOGIN"):
            s.empty("bob")
            run("swaks", "--server", "127.0.0.1", "--port",
                str(s.ports[port]), tls, "--auth", mechanism, "--auth-user",
                "alice@example.test", "--auth-password", PASSWORD, "--from",
                "alice@example.test", "--to", "bob@example.test", "--helo",
                "client.test", "--hide-all")
            tap.eq(len(s.messages("bob")), 1)


def test_curl(s):
    """curl sends by smtps and reads by imaps and pop3s"""
    need("curl")
    s.empty("bob")
    tls = ("--cacert", s.cert, "-sS")
    file = write(s, "m.eml", MESSAGE)
    run("curl", *tls, "smtps://localhost:%d/client.test"
        % s.ports["submissions"], "--mail-from", "alice@example.test",
        "--mail-rcpt", "bob@example.test", "--upload-file", file, "--user",
        "alice@example.test:" + PASSWORD)
    want = s.newest("bob")
    tap.ok(want.endswith(MESSAGE), want)
    user = ("--user", "bob@example.test:" + PASSWORD)
    got = run("curl", *tls, *user, "imaps://localhost:%d/INBOX;MAILINDEX=1"
              % s.ports["imaps"])
    tap.eq(got, want)
    got = run("curl", *tls, *user, "pop3s://localhost:%d/1"
              % s.ports["pop3s"])
    tap.eq(got, want)
    got = run("curl", *tls, "--ssl-reqd", *user,
              "imap://localhost:%d/INBOX?ALL" % s.ports["imap"])
    tap.contains(got, b"SEARCH 1")
    run("curl", *tls, *user, "imaps://localhost:%d/Sent" % s.ports["imaps"],
        "--upload-file", file)
    tap.eq(s.messages("bob", "Sent"), [MESSAGE])


MBSYNC = """
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
Path {dir}/mail/
Inbox {dir}/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


def test_mbsync(s):
    """mbsync both ways: messages, flags, a new mailbox, removals"""
    need("mbsync")
    s.empty("bob")
    for _ in range(3):
        s.send(MESSAGE)
    rc = write(s, "mbsyncrc", MBSYNC.format(
        port=s.ports["imaps"], password=PASSWORD, cert=s.cert,
        dir=s.dir).encode())
    os.makedirs(s.path("mail"), exist_ok=True)

    def sync():
        run("mbsync", "-c", rc, "-a", env=dict(os.environ, HOME=s.dir))

    sync()
    box = mailbox.Maildir(s.path("mail/INBOX"), create=False)
    tap.eq(len(box), 3)
    far = sorted(s.messages("bob"))
    near = sorted(box.get_bytes(k).replace(b"\n", b"\r\n") for k in box.keys())
    # mbsync puts a line of its own into the header
    near = [b"".join(li for li in m.splitlines(True)
                     if not li.startswith(b"X-TUID")) for m in near]
    tap.eq(near, far)

    key, other = box.keys()[:2]
    message = box[key]
    message.add_flag("FS")
    box[key] = message
    box.remove(other)
    new = mailbox.Maildir(s.path("mail/Projects"))
    new.add(MESSAGE.replace(b"\r\n", b"\n"))
    sync()
    tap.eq(len(s.messages("bob")), 2)
    client = s.imap("bob")
    tap.eq(len(client.search(None, "FLAGGED", "SEEN")[1][0].split()), 1)
    client.logout()
    got = s.messages("bob", "Projects")
    tap.eq(len(got), 1)
    tap.ok(got[0].replace(b"\r\n", b"\n").endswith(
        MESSAGE.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n")), got[0])
    sync()
    tap.eq(len(s.messages("bob")), 2)


MUTTRC = """
set folder="imaps://bob%40example.test@localhost:{port}/"
set imap_user="bob@example.test"
set imap_pass="{password}"
set spoolfile="+INBOX"
set certificate_file="{cert}"
set ssl_force_tls=yes
set header_cache=""
set sort=date
set wait_key=no
set confirm_create=no
set confirm_append=no
set quit=yes
set move=no
set timeout=5
set from="alice@example.test"
set smtp_url="smtps://alice%40example.test@localhost:{smtps}/"
set smtp_pass="{password}"
set smtp_authenticators="plain"
set copy=no
"""


def muttrc(s):
    return write(s, "muttrc", MUTTRC.format(
        port=s.ports["imaps"], smtps=s.ports["submissions"],
        password=PASSWORD, cert=s.cert).encode())


def test_neomutt_sends(s):
    """neomutt sends by smtps"""
    need("neomutt")
    s.empty("bob")
    run("neomutt", "-n", "-F", muttrc(s), "-s", "from mutt", "--",
        "bob@example.test", input=b"Hello\n.\nfrom mutt\n",
        env=dict(os.environ, HOME=s.dir, TERM="dumb"))
    got = s.newest("bob")
    tap.contains(got, b"Subject: from mutt\r\n")
    tap.contains(got, b"\r\n\r\nHello\r\n.\r\nfrom mutt\r\n")


def test_neomutt_reads(s):
    """neomutt opens the INBOX over TLS, tags all and saves a copy"""
    need("neomutt")
    need("script")
    s.empty("bob")
    s.send(MESSAGE)
    copy = s.path("mutt.mbox")
    push = "push '<tag-pattern>~A<enter><tag-prefix><copy-message>%s" \
           "<enter><exit>'" % copy
    command = "neomutt -n -F %s -e \"set mbox_type=mbox\" -e \"%s\"" % (
        muttrc(s), push.replace("'", "\\'").replace("\\'", "'"))
    run("script", "-qec", command, "/dev/null", stdin=subprocess.DEVNULL,
        env=dict(os.environ, HOME=s.dir, TERM="xterm", LC_ALL="C.UTF-8"))
    with open(copy, "rb") as f:
        got = f.read()
    tap.contains(got, b".\n..\nGr\xc3\xbc\xc3\x9fe\n")


with Server() as server:
    tap.run(globals(), server)
tap.done()
