#!/usr/bin/python3
# test: timeout=150
"""The maildir transport: where and what it writes, byte for byte, names that
would lead elsewhere, and a runner that is killed again and again."""
import mailbox
import os
import re
import signal
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server, wait_for

HEAD = (b"From: alice@example.test\r\nSubject: out\r\n"
        b"Date: Tue, 01 Jul 2025 10:00:00 +0000\r\n")
COUNT = 150


def message(i, size=200):
    return (HEAD + b"Message-ID: <out.%d@example.test>\r\n\r\nnumber %d\r\n"
            % (i, i) + b"a line \xfc\r\n.\r\n" * size)


class House:
    def __enter__(self):
        self.server = Server(start=False).__enter__()
        s = self.server
        self.top = s.path("mail")       # not in the data folder
        os.mkdir(self.top)
        os.chmod(self.top, 0o777)
        module = s.plugin("maildir")
        s.extra.update({
            "queue": {"retry_first": "300ms", "retry_most": "500ms"},
            "workers": {"writable": [self.top], "restart_most": "100ms"},
            "plugin.md": {"module": module,
                          "path": self.top + "/%d/%n/100%%"},
            "plugin.flat": {"module": module, "path": "mail/%u",
                            "line_ends": "crlf"},
            "plugin.known": {"module": module, "create": False,
                             "path": self.top + "/known/%n"},
            "route.md": {"domains": ["md.test", "also.test"],
                         "transport": "md"},
            "route.flat": {"domains": ["flat.test"], "transport": "flat"},
            "route.known": {"domains": ["known.test"], "transport": "known"},
        })
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def send(self, rcpts, text):
        smtp = self.server.submission()
        smtp.sendmail("alice@example.test", rcpts, text, ["BODY=8BITMIME"])
        smtp.quit()

    def drained(self, seconds=20):
        wait_for("an empty queue", lambda: not self.server.queue(), seconds)

    def files(self, *names):
        """Paths in new of a Maildir."""
        folder = os.path.join(self.top, *names, "new")
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def without_received(text):
    """Below our Received field, and the fields above it."""
    match = re.match(rb"((?:[^\n]*\n){2})Received: [^\n]*\n(?:[ \t][^\n]*\n)*",
                     text)
    return match.group(1), text[match.end():]


def test_bytes(h):
    """where the pattern says, byte for byte, in LF and in CR LF"""
    h.send(["Some.Body@md.test", "x@FLAT.test"], message(1))
    h.drained()
    path, = h.files("md.test", "some.body", "100%")
    above, rest = without_received(read(path))
    tap.eq(above, b"Return-Path: <alice@example.test>\n"
                  b"Delivered-To: Some.Body@md.test\n")
    tap.eq(rest, message(1).replace(b"\r\n", b"\n"))
    path, = h.files("x@flat.test")
    above, rest = without_received(read(path))
    tap.eq(above, b"Return-Path: <alice@example.test>\r\n"
                  b"Delivered-To: x@FLAT.test\r\n")
    tap.eq(rest, message(1))


def test_form(h):
    """Python's mailbox reads it; tmp is empty, files are private"""
    folder = os.path.join(h.top, "md.test/some.body/100%")
    box = mailbox.Maildir(folder, create=False)
    tap.eq([m["Message-ID"] for m in box], ["<out.1@example.test>"])
    tap.eq(os.listdir(folder + "/tmp"), [])
    tap.eq(os.stat(h.files("md.test", "some.body", "100%")[0]).st_mode
           & 0o777, 0o600)


def test_several(h):
    """several recipients, each into its own"""
    h.send(["a@md.test", "b@md.test", "a@also.test"], message(2))
    h.drained()
    for names in (("md.test", "a"), ("md.test", "b"), ("also.test", "a")):
        tap.eq(len(h.files(*names, "100%")), 1)


def test_known(h):
    """create = false: a folder that is not there is an unknown user"""
    os.makedirs(os.path.join(h.top, "known/ann"))
    os.chmod(os.path.join(h.top, "known/ann"), 0o777)
    h.send(["ann@known.test", "bob@known.test"], message(3))
    h.drained()
    tap.eq(len(h.files("known", "ann")), 1)
    tap.ok(not os.path.exists(os.path.join(h.top, "known/bob")))
    tap.contains(b"".join(h.server.messages("alice")), b"5.1.1")


def test_elsewhere(h):
    """addresses that would lead elsewhere are refused"""
    h.server.empty("alice")
    bad = ['"../../up"@md.test', '"a/b"@md.test', '".hidden"@md.test',
           '".."@md.test']
    h.send(bad, message(4))
    h.drained()
    report = b"".join(wait_for("reports", lambda: h.server.messages("alice")))
    tap.contains(report, b"5.1.3")
    tap.eq(sorted(os.listdir(os.path.join(h.top, "md.test"))),
           ["a", "b", "some.body"])
    tap.ok(not os.path.exists(os.path.join(h.top, "up")))


def test_no_room(h):
    """a folder that cannot be written: deferred, then delivered"""
    folder = os.path.join(h.top, "md.test/a/100%/tmp")
    os.rename(folder, folder + ".away")
    os.symlink("/nowhere", folder)
    h.send(["a@md.test"], message(5))
    wait_for("a deferral", lambda: [r for r in h.server.queue()
                                    if r["attempts"] > 0])
    os.unlink(folder)
    os.rename(folder + ".away", folder)
    h.drained()
    tap.eq(len(h.files("md.test", "a", "100%")), 2)


def test_twice(h):
    """what an attempt that was cut short left behind is seen by the next"""
    folder = os.path.join(h.top, "md.test/b/100%")
    for linked in (False, True):
        before = len(h.files("md.test", "b", "100%"))
        os.rename(folder + "/tmp", folder + "/tmp.away")
        os.symlink("/nowhere", folder + "/tmp")
        h.send(["b@md.test"], message(6))
        wait_for("a deferral", lambda: [r for r in h.server.queue()
                                        if r["attempts"] > 0])
        name = name_of(h, "b@md.test")
        half = os.path.join(folder, "tmp.away", name)
        with open(half, "wb") as f:
            f.write(b"half a mess")
        if linked:
            os.link(half, os.path.join(folder, "cur", name + ":2,S"))
        os.chmod(half, 0o666)
        os.unlink(folder + "/tmp")
        os.rename(folder + "/tmp.away", folder + "/tmp")
        h.drained()
        tap.eq(os.listdir(folder + "/tmp"), [])
        new = h.files("md.test", "b", "100%")
        tap.eq(len(new), before + (not linked))
        tap.ok(all(read(p).endswith(b".\n") for p in new))


def name_of(h, rcpt):
    """The file's name, as the plugin makes it."""
    row = h.server.queue()[0]
    value = 14695981039346656037
    for byte in rcpt.encode():
        value = (value ^ byte) * 1099511628211 % 2 ** 64
    return "%d.%s_%016x.mail.example.test" % (
        row["created_ms"] // 1000, row["message"], value)


def test_kill(h):
    """kill -9 of the runner again and again: each message once, whole"""
    over = threading.Event()
    kills = []

    def kill():
        while not over.wait(0.15):
            try:
                pid = h.server.worker("runner")
            except RuntimeError:
                continue
            os.kill(pid, signal.SIGKILL)
            kills.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    for i in range(COUNT):
        h.send(["kill%d@md.test" % (i % 3)], message(1000 + i, 3000))
    time.sleep(3)
    over.set()
    thread.join()
    h.drained(60)
    found = {}
    for i in range(3):
        for path in h.files("md.test", "kill%d" % i, "100%"):
            rest = without_received(read(path))[1]
            number = int(re.search(rb"out\.(\d+)@", rest).group(1))
            tap.eq(rest, message(number, 3000).replace(b"\r\n", b"\n"))
            found[number] = found.get(number, 0) + 1
    tap.eq(sorted(found), list(range(1000, 1000 + COUNT)))
    twice = [n for n, times in found.items() if times > 1]
    print("# %d kills, %d delivered twice" % (len(set(kills)), len(twice)))
    tap.eq(twice, [])
    tap.ok(len(set(kills)) > 5, kills)


with House() as house:
    tap.run(globals(), house)
tap.done()
