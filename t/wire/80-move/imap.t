#!/usr/bin/python3
"""An account of another IMAP server comes in: from our own server, from one
that is none of ours and says things in its own way, cut off, and again."""
import imaplib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from mailview import contents
from server import BUILD, PASSWORD, Server, free_ports, wait_for

LARGE = b"Subject: large\r\n\r\n" + b"x" * 400000 + b"\r\n"


def command(s, user, account, port, *more):
    with open(s.path("password"), "w") as f:
        f.write(PASSWORD + "\n")
    return ["import", "imap", "localhost", user, account, "--port",
            str(port), "--ca", s.cert, "--password-file", s.path("password"),
            *more]


def look(s, user):
    """{mailbox: its contents}"""
    with s.imap(user, None) as m:
        boxes = [row.decode().split(' "/" ')[1] for row in m.list()[1]]
        return {box: contents(m, box) for box in boxes}


def fill(s):
    with s.imap("alice", None) as m:
        for box in ("Work", "Work/2026", "&APw-ber"):
            m.create(box)
        for n in range(120):
            m.append("INBOX", r"(\Seen work)" if n % 3 else "",
                     '"0%d-Feb-2020 10:00:00 +0100"' % (n % 9 + 1),
                     b"Subject: n%d\r\n\r\nbody {5}\r\n)\r\n" % n)
        m.append("Work/2026", r"\Flagged", None, LARGE)
        m.append("&APw-ber", r"\Draft", None, b"bare LF\n\n\"x\" \\\r\n")
        m.append("Sent", r"\Answered", None, b"Subject: s\r\n\r\n")
        m.select("INBOX")
        m.uid("STORE", "5,17", "+FLAGS", r"\Deleted")
        m.expunge()


def test_own(s):
    """From our own server: the same account"""
    fill(s)
    args = command(s, "alice@example.test", "bob@example.test",
                   s.ports["imaps"])
    done = s.cli_json(*args)
    tap.eq((done["imported"], done["there_already"]), (121, 0))
    tap.eq(look(s, "bob"), look(s, "alice"))
    with s.imap("alice", None) as m:
        m.append("INBOX", "", None, b"Subject: later\r\n\r\n")
    done = s.cli_json(*args)
    tap.eq((done["imported"], done["there_already"]), (1, 121))
    tap.eq(look(s, "bob"), look(s, "alice"))


def test_starttls(s):
    """By STARTTLS; refused where it should be"""
    done = s.cli_json(*command(s, "alice@example.test", "carol@example.test",
                               s.ports["imap"], "--starttls"))
    tap.eq(done["imported"], 122)
    with open(s.path("wrong"), "w") as f:
        f.write("wrong\n")
    for args, words in (
            (command(s, "bob@example.test", "carol@example.test",
                     s.ports["imaps"])[:-1] + [s.path("wrong")], "let"),
            (["import", "imap", "127.0.0.1", "x", "carol@example.test",
              "--port", "9", "--password-file", s.path("password")],
             "127.0.0.1"),
            (command(s, "alice@example.test", "carol@example.test",
                     s.ports["imaps"])[:7] +
             ["--password-file", s.path("password")], "TLS")):
        done = s.cli(*args, check=False)
        tap.eq(done.returncode, 1, args)
        tap.contains(done.stderr, words)


def test_killed(s):
    """SIGKILL in the middle, several times"""
    with open(s.path("many.mbox"), "wb") as f:
        for n in range(2000):
            f.write(b"From a@b.test Fri Feb 13 23:31:30 2009\nSubject: %d\n\n"
                    b"%s\n\n" % (n, b"x" * (100 if n % 9 else 30000)))
    s.cli("import", "mbox", s.path("many.mbox"), "dave@example.test")
    args = command(s, "dave@example.test", "erin@example.test",
                   s.ports["imaps"])
    for pause in (0.1, 0.2, 0.3):
        p = subprocess.Popen([os.path.join(BUILD, "mailroom"), "--config",
                              s.config, *args, "--quiet"],
                             stdout=subprocess.DEVNULL)
        time.sleep(pause)
        p.send_signal(signal.SIGKILL)
        p.wait()
    done = s.cli_json(*args)
    tap.eq(done["imported"] + done["there_already"], 2000)
    tap.eq(look(s, "erin")["INBOX"] == look(s, "dave")["INBOX"], True)


class Strange:
    """A server of another kind: literals for names, items in another order,
    quoted bodies, a prefix, unasked lines, a message that it cannot give, a
    line that breaks once."""

    def __init__(self, s):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(s.cert, s.key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.breaks = 1
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn = self.socket.accept()[0]
                with self.ctx.wrap_socket(conn, server_side=True) as c:
                    self.talk(c)
            except OSError:
                return

    def talk(self, c):
        f = c.makefile("rwb")
        f.write(b"* OK hello\r\n")
        f.flush()
        for line in f:
            tag, words = line.decode().strip().split(" ", 1)
            for answer in self.answer(words):
                if answer is None:
                    f.flush()
                    return
                f.write(answer)
            if not words.startswith("UID FETCH 9"):
                f.write(tag.encode() + b" OK done\r\n")
            else:
                f.write(tag.encode() + b" NO damaged\r\n")
            f.flush()

    def answer(self, words):
        if words == "CAPABILITY":
            yield b"* CAPABILITY IMAP4rev1 NAMESPACE\r\n"
        elif words == "NAMESPACE":
            yield b'* NAMESPACE (("INBOX." ".")) NIL NIL\r\n'
        elif words.startswith("LIST"):
            yield b'* LIST (\\HasChildren) "." INBOX\r\n'
            yield b'* LIST (\\Sent) "." {16}\r\nINBOX.Verschick"\r\n'
            yield b'* LIST (\\Noselect) "." "INBOX.No"\r\n'
            yield b'* LIST (\\All) "." "INBOX.All"\r\n'
        elif words.startswith("EXAMINE"):
            yield b"* FLAGS (x)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n"
            yield b"* OK [UIDNEXT 12] y\r\n"
        elif words.startswith("UID FETCH 1:*"):
            for n, uid in ((1, 3), (2, 9), (3, 11)):
                yield b"* %d FETCH (UID %d)\r\n" % (n, uid)
        elif words.startswith("UID FETCH"):
            yield from self.fetch(words.split()[2])

    def fetch(self, uids):
        if "3" in re.split(",", uids):
            yield b"* 1 FETCH (FLAGS (\\Seen))\r\n* 4 EXISTS\r\n"
            yield (b"* 1 FETCH (BODY[] {12}\r\nSubject: a\r\n X-LABELS "
                   b"(\"a b\" (c)) INTERNALDATE \" 1-Feb-2020 10:00:00 "
                   b"+0000\" FLAGS (\\Flagged \\Recent key) UID 3)\r\n")
            if self.breaks:
                self.breaks -= 1
                yield b"* 2 FETCH (UID 11 BODY[] {1000}\r\nhalf"
                yield None
        if "11" in re.split(",", uids):
            yield b'* 3 FETCH (UID 11 FLAGS () BODY[] "a \\"b\\"")\r\n'


def test_strange(s):
    """From a server that says things in its own way"""
    strange = Strange(s)
    args = command(s, "x", "frank@example.test", strange.port)
    done = s.cli(*args, "--json", check=False)
    if done.returncode == 1 and "{" not in done.stdout:
        done = s.cli(*args, "--json", check=False)      # its line broke
    tap.eq(done.returncode, 1, "one could not be had")
    tap.contains(done.stderr, "UID 9")
    tap.contains(done.stderr, "All: a view")
    box = look(s, "frank")
    tap.eq(sorted(box), sorted(['INBOX', 'Archive', 'Drafts', 'Junk',
                                'Trash', '"Verschick\\""']))
    for name in ("INBOX", '"Verschick\\""'):
        tap.eq(box[name], ([b"77"], [b"12"], [
            (3, ["\\Flagged", "key"], " 1-Feb-2020 10:00:00 +0000",
             b"Subject: a\r\n"),
            (11, [], box[name][2][1][2], b'a "b"')]))
    with s.imap("frank", None) as m:
        tap.ok(any(b"\\Sent" in r and b"Verschick" in r
                   for r in m.list()[1]), m.list()[1])


DOVECOT = """
base_dir = %(root)s/run
log_path = %(root)s/log
mail_location = maildir:%(root)s/mail
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
protocols = imap
ssl = required
ssl_cert = <%(cert)s
ssl_key = <%(key)s
passdb {
  driver = static
  args = password=%(password)s
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%(root)s/home
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = %(port)d
    ssl = yes
  }
}
namespace inbox {
  inbox = yes
  mailbox Verschickt {
    special_use = \\Sent
    auto = create
  }
}
"""


def fill_dovecot(port, ctx):
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=ctx) as m:
        m.login("carl", "secret")
        for box in ("INBOX", "Work", "Work.&APw-ber", "Verschickt"):
            m.create(box)
            m.subscribe(box)
            for n in range(12):
                m.append(box, r"(\Seen $Forwarded w%d)" % (n % 3) if n % 2
                         else r"\Flagged",
                         '"0%d-Feb-2020 10:00:00 +0100"' % (n % 9 + 1),
                         b"Subject: n%d\r\n\r\nbody\r\n" % n +
                         b"x" * (n * 9000) + b"\r\n")
        m.select("Work")
        m.uid("STORE", "3,7", "+FLAGS", r"\Deleted")
        m.expunge()
        found = {}
        for box in ("INBOX", "Work", "Work.&APw-ber", "Verschickt"):
            found[box.replace(".", "/")] = mails_of(m, box)
        return found


def mails_of(m, box):
    m.select('"%s"' % box, readonly=True)
    validity = m.response("UIDVALIDITY")[1]
    mails = []
    for part in m.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            head = part[0].decode()
            flags = head.split("FLAGS (")[1].split(")")[0].split()
            date = head.split('INTERNALDATE "')[1].split('"')[0]
            mails.append((int(head.split("UID ")[1].split()[0]),
                          sorted(f for f in flags if f != r"\Recent"),
                          imaplib.Internaldate2tuple(
                              b'INTERNALDATE "%s"' % date.encode()),
                          part[1]))
    return validity, mails


def test_dovecot(s):
    """From Dovecot"""
    if not shutil.which("dovecot") or os.getuid() != 0:
        raise tap.Skip("Dovecot is not installed, or we are not root")
    root = s.path("dovecot")
    port = free_ports(1)[0]
    os.makedirs(root + "/home")
    os.makedirs(root + "/mail")
    for folder in ("", "/home", "/mail"):
        os.chmod(root + folder, 0o777)
    conf = root + "/dovecot.conf"
    with open(conf, "w") as f:
        f.write(DOVECOT % {"root": root, "cert": s.cert, "key": s.key,
                           "port": port, "password": "secret"})
    p = subprocess.Popen(["dovecot", "-F", "-c", conf],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        try:
            wait_for("Dovecot", lambda: p.poll() is not None or
                     s.answers(port), 15)
        except AssertionError:
            raise tap.Skip("Dovecot does not start here")
        if p.poll() is not None:
            raise tap.Skip("Dovecot: %r" % p.stderr.read()[-300:])
        theirs = fill_dovecot(port, s.tls)
        with open(s.path("secret"), "w") as f:
            f.write("secret\n")
        args = ["import", "imap", "localhost", "carl", "grace@example.test",
                "--port", str(port), "--ca", s.cert, "--password-file",
                s.path("secret")]
        done = s.cli_json(*args)
        tap.eq(done["imported"], 46)
        with s.imap("grace", None) as m:
            for box, rows in theirs.items():
                tap.eq(mails_of(m, box), rows, box)
            tap.ok(any(b"\\Sent" in r and b"Verschickt" in r
                       for r in m.list()[1]), m.list()[1])
        tap.eq(s.cli_json(*args)["imported"], 0)
    finally:
        p.terminate()
        p.wait(10)


with Server(accounts=("alice", "bob", "carol", "dave", "erin",
                      "frank", "grace")) as server:
    tap.run(globals(), server)
tap.done()
