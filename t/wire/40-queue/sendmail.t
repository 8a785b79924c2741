#!/usr/bin/python3
# test: timeout=120
"""mailroom sendmail: mail of programs on this machine, with a server and
without one; what is refused is reported; the folder is not trusted."""
import os
import re
import shutil
import stat
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import BUILD, Server, wait_for
from sink import Sink

ZONE = {"remote.test MX": [(10, "mx.remote.test")],
        "mx.remote.test A": ["127.0.0.1"]}
TEXT = "Subject: cron\n\nline one\n.dotted\n"


class House:
    def __enter__(self):
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink().__enter__()
        self.server = Server({"dns": {"servers": [self.dns.address]},
                              "queue": {"port": self.sink.port}}).__enter__()
        self.link = os.path.join(self.server.path("sendmail"))
        os.symlink(BUILD + "/mailroom", self.link)
        self.drop = os.path.join(self.server.data, "drop")
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def send(self, *args, text=TEXT):
        return subprocess.run(
            [self.link, *args], input=text.encode(), timeout=20,
            env={**os.environ, "CONFIG_PATH": self.server.config},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def got(self, name="bob", n=1):
        wait_for("%d messages for %s" % (n, name),
                 lambda: len(self.server.messages(name)) >= n)
        return self.server.messages(name)

    def left(self):
        return [n for n in os.listdir(self.drop)]

    def reset(self):
        for name in "alice", "bob":
            self.server.empty(name)
        self.sink.messages.clear()


def test_plain(h):
    """to an account: From, Date, Message-ID and Received are there"""
    h.reset()
    r = h.send("-i", "-F", "The \"Cron\"", "-f", "alice@example.test",
               "bob@example.test")
    tap.eq((r.returncode, r.stderr), (0, b""))
    m = h.got()[0]
    tap.contains(m, b'From: "The \\"Cron\\"" <alice@example.test>\r\n')
    tap.contains(m, b"Received: from uid-%d.localhost (local)" % os.getuid())
    for field in b"Date: ", b"Message-ID: <":
        tap.contains(m, b"\r\n" + field)
    tap.contains(m, b"\r\n\r\nline one\r\n.dotted\r\n")
    wait_for("an empty folder", lambda: not h.left())


def test_header(h):
    """-t: recipients of To, Cc and Bcc; Bcc does not show; others' too"""
    h.reset()
    text = ("From: alice@example.test\nTo: Bob <bob@example.test>,\n"
            " group: \"A, B\" <a@remote.test>;\nBcc: alice@example.test\n"
            "Subject: t\n\nx\n")
    tap.eq(h.send("-t", "-oi", "-f", "alice@example.test",
                  text=text).returncode, 0)
    tap.eq(b"Bcc" in h.got()[0], False)
    h.got("alice")
    wait_for("the other server", lambda: h.sink.messages)
    tap.eq(h.sink.messages[0].rcpts, ["a@remote.test"])


def test_dot(h):
    """without -i a lone dot ends the message, with it it is text"""
    text = "Subject: d\n\none\n.\ntwo\n"
    for option, want in (("-oi", b"one\r\n.\r\ntwo\r\n"), ("-v", b"one\r\n")):
        h.reset()
        tap.eq(h.send(option, "bob@example.test", text=text).returncode, 0)
        tap.eq(h.got()[0].split(b"\r\n\r\n", 1)[1], want)


def test_forms(h):
    """what is no header begins the body; lines of mailbox files go; CR LF"""
    for text, header, body in (
            ("just text\n", b"From: ", b"just text\r\n"),
            ("From x Thu Jan 1 00:00:00 1970\nSubject: s\n\nb\n",
             b"Subject: s", b"b\r\n"),
            ("Subject: s\r\n\r\n\r\nb\r\n", b"Subject: s", b"\r\nb\r\n"),
            ("Subject: only\n", b"Subject: only", b"")):
        h.reset()
        tap.eq(h.send("-i", "bob@example.test", text=text).returncode, 0)
        head, rest = h.got()[0].split(b"\r\n\r\n", 1)
        tap.contains(head, header)
        tap.eq(rest, body)


def test_down(h):
    """without a server the mail waits on disk; the next one takes it"""
    h.reset()
    h.server.stop()
    for i in range(3):
        tap.eq(h.send("-i", "bob@example.test",
                      text="Subject: %d\n\nx\n" % i).returncode, 0)
    tap.eq(len(h.left()), 3)
    h.server.start()
    subjects = [re.search(rb"Subject: (\d)", m).group(1)
                for m in h.got(n=3)]
    tap.eq(subjects, [b"0", b"1", b"2"])
    wait_for("an empty folder", lambda: not h.left())


def test_refused(h):
    """what the server refuses comes back to the sender, the rest arrives"""
    h.reset()
    tap.eq(h.send("-i", "-f", "alice@example.test", "nobody@example.test",
                  "bob@example.test").returncode, 0)
    h.got()
    report = h.got("alice")[0]
    tap.contains(report, b"Return-Path: <>")
    tap.contains(report, b"Final-Recipient: rfc822; nobody@example.test")
    tap.contains(report, b"550 5.1.1")
    tap.contains(report, b"Subject: cron")
    wait_for("an empty folder", lambda: not h.left())


def test_nobody_told(h):
    """refused and without a sender: set aside, not lost"""
    h.reset()
    tap.eq(h.send("-i", "-f", "<>", "nobody@example.test").returncode, 0)
    wait_for("the file is set aside", lambda: any(
        n.startswith(".bad-") for n in h.left()))
    for n in h.left():
        os.unlink(os.path.join(h.drop, n))


def test_wrong_use(h):
    """exit codes of sysexits.h, and nothing is left behind"""
    for args, code in (((), 64), (("-Z", "x@example.test"), 64),
                       (("a b@example.test",), 64), (("-bz",), 64),
                       (("-N", "perhaps", "bob@example.test"), 64)):
        r = h.send(*args)
        tap.eq(r.returncode, code, str(args))
        tap.contains(r.stderr, b"sendmail: ")
    tap.eq(h.send("-t", text="Subject: x\n\n").returncode, 64)
    tap.eq(h.left(), [])


def test_smtp(h):
    """-bs speaks SMTP"""
    h.reset()
    r = h.send("-bs", text="EHLO x\r\nRCPT TO:<bob@example.test>\r\n"
               "MAIL FROM:<alice@example.test> BODY=8BITMIME\r\n"
               "DATA\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
               "Subject: bs\r\n\r\n..x\r\n.\r\nFOO\r\nQUIT\r\n")
    codes = [line[:3] for line in r.stdout.split(b"\r\n")
             if line[3:4] == b" "]
    tap.eq(codes, [b"220", b"250", b"503", b"250", b"503", b"250", b"354",
                   b"250", b"500", b"221"])
    tap.eq(h.got()[0].split(b"\r\n\r\n", 1)[1], b".x\r\n")
    r = h.send("-bs", text="EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@"
               "example.test>\r\nDATA\r\nSubject: cut off\r\n\r\nx\r\n")
    tap.eq(h.left(), [])


def test_queue(h):
    """mailq and sendmail -bp show the queue"""
    tap.contains(h.send("-bp").stdout, b"queue is empty")
    mailq = h.server.path("mailq")
    os.symlink(BUILD + "/mailroom", mailq)
    out = subprocess.run([mailq, "--config", h.server.config],
                         stdout=subprocess.PIPE, timeout=20)
    tap.contains(out.stdout, b"queue is empty")


def test_folder(h):
    """what is no message of ours is set aside: links, pipes, nonsense"""
    h.reset()
    secret = h.server.path("secret")
    open(secret, "w").write("sender x@y\nrcpt bob@example.test\n\nsecret\n")
    os.symlink(secret, os.path.join(h.drop, ".1"))
    os.link(secret, os.path.join(h.drop, ".2"))
    os.mkfifo(os.path.join(h.drop, ".3"))
    for name, text in (("4", "no envelope"), ("5", "sender a@b\n\nx\n"),
                       ("6", "sender a@b\rX\nrcpt bob@example.test\n\nx\n")):
        open(os.path.join(h.drop, "." + name), "w").write(text)
    for n in "123456":
        os.rename(os.path.join(h.drop, "." + n), os.path.join(h.drop, n))
    wait_for("all set aside", lambda: all(
        n.startswith(".bad-") for n in h.left()))
    tap.eq(h.server.messages("bob"), [])
    for n in h.left():
        os.unlink(os.path.join(h.drop, n))


def test_many(h):
    """a hundred at once, each exactly once"""
    h.reset()
    running = [subprocess.Popen(
        [h.link, "-i", "bob@example.test"], stdin=subprocess.PIPE,
        env={**os.environ, "CONFIG_PATH": h.server.config})
        for _ in range(100)]
    for i, p in enumerate(running):
        p.stdin.write(b"Subject: m%d\n\nx\n" % i)
        p.stdin.close()
    tap.eq({p.wait(20) for p in running}, {0})
    got = sorted(int(re.search(rb"Subject: m(\d+)", m).group(1))
                 for m in h.got(n=100))
    tap.eq(got, list(range(100)))


def test_other_users(h):
    """an open folder: any user may leave mail there, and see none"""
    if os.getuid() != 0:
        raise tap.Skip("only root becomes other users")
    s = h.server
    folder = s.path("spool", "mailroom")
    s.extra[""] = {"drop": folder}
    s.write_config()
    os.chmod(s.config, 0o644)
    s.restart()
    s.empty("bob")
    mode = os.stat(folder).st_mode
    tap.eq(stat.S_IMODE(mode), 0o1733)

    def other(*args):
        return subprocess.run(
            ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups",
             *args], input=TEXT.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=20)
    tap.ok(other("ls", folder).returncode != 0, "it can be listed")
    built = s.path("mailroom")      # where other users reach it
    shutil.copy(os.path.join(BUILD, "mailroom"), built)
    r = other(built, "--config", s.config, "sendmail", "-i",
              "bob@example.test")
    tap.eq((r.returncode, r.stderr), (0, b""))
    wait_for("the mail", lambda: s.messages("bob"))
    tap.contains(s.messages("bob")[0], b"Received: from uid-65533.localhost")


with House() as house:
    tap.run(globals(), house)
tap.done()
