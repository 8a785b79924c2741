#!/usr/bin/python3
# test: timeout=300
"""Failing writes and flushes at each step of a delivery: the sender gets
4xx, nothing acknowledged is lost, and the server goes on when the disk
does."""
import errno
import mmap
import os
import struct
import sys
import threading
sys.path.insert(0, __file__.split("/t/kill/")[0] + "/t/lib")
import tap
from server import BUILD, Server
from wire import stuff

SHIM = os.path.join(BUILD, "t/kill/failfs.so")
WRITE, SYNC, GROW = 1, 2, 4
SMALL, LARGE = 800, 200_000         # in the row; spooled and in a segment
MOST = 60                           # more calls than one delivery makes


class Faults:
    """The control file that the shim watches."""

    def __init__(self, s):
        self.path = s.path("faults")
        with open(self.path, "wb") as f:
            f.write(bytes(40))
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 40)
        self.env = {"LD_PRELOAD": SHIM, "FAILFS_ROLE": "--role smtp",
                    "FAILFS_DIR": s.data, "FAILFS_CONTROL": self.path}

    def arm(self, kinds, nth, error, sticky=0):
        self.map[8:40] = struct.pack("=4q", nth, error, sticky, 0)
        self.map[0:8] = struct.pack("=q", kinds)

    def disarm(self):
        self.map[0:8] = bytes(8)

    @property
    def seen(self):
        return struct.unpack("=q", self.map[32:40])[0]


class Ledger:
    def __init__(self):
        self.number = 0
        self.acked, self.refused = [], []
        self.lock = threading.Lock()


def send(s, ledger, size):
    """One message with a number; returns the reply's code."""
    with ledger.lock:
        ledger.number += 1
        number = ledger.number
    message = b"Subject: %d\r\n\r\n" % number + b"%078d\r\n" % number * (
        size // 80)
    with s.line(ehlo="client.test") as c:
        for line in ("MAIL FROM:<a@b.test>", "RCPT TO:<bob@example.test>"):
            code, texts = c.ask(line)
            if code != 250:
                break
        else:
            c.must(354, "DATA")
            c.send(stuff(message))
            code, texts = c.reply()
    with ledger.lock:
        (ledger.acked if code == 250 else ledger.refused).append(number)
    tap.ok(code == 250 or 400 <= code < 500, "%d %s" % (code, texts))
    return code


def numbers_there(s):
    found = []
    for data in s.messages("bob"):
        head, body = data.split(b"\r\n\r\n", 1)
        number = int(head.rsplit(b"Subject: ", 1)[1].split(b"\r")[0])
        tap.ok(not body.strip(b"%078d\r\n" % number), "%d is damaged" % number)
        found.append(number)
    return found


def check(s, ledger):
    there = numbers_there(s)
    tap.eq(sorted(there), sorted(set(there)), "doubled")
    tap.eq(sorted(set(ledger.acked) - set(there)), [], "lost")
    tap.eq(sorted(set(ledger.refused) & set(there)), [],
           "refused and yet there")


def step_through(s, faults, ledger, kinds, error, size):
    """Fails the 1st, 2nd, ... call until a delivery needs no more."""
    hit = 0
    for nth in range(1, MOST):
        faults.arm(kinds, nth, error)
        send(s, ledger, size)
        faults.disarm()
        hit += faults.seen >= nth
        tap.eq(send(s, ledger, size), 250, "after fault %d" % nth)
        if faults.seen < nth:
            break
    tap.ok(hit > 0, "no call was made to fail")
    check(s, ledger)


def disk_full(s, faults, ledger, size):
    """Everything fails for a while, with senders in parallel."""
    faults.arm(WRITE | GROW, 1, errno.ENOSPC, 1)
    before = len(ledger.acked)
    threads = [threading.Thread(target=send, args=(s, ledger, size))
               for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    faults.disarm()
    tap.eq(len(ledger.acked), before, "acknowledged on a full disk")
    tap.eq(send(s, ledger, size), 250, "after the disk has room again")
    check(s, ledger)


def after_kill(s, faults, ledger):
    s.kill()
    s.start(env=faults.env)
    check(s, ledger)


def logged(s):
    with open(s.log) as f:
        text = f.read()
    tap.ok("No space left" in text or "disk" in text.lower()
           or "SQLITE_FULL" in text, "the log does not tell of the full disk")


ROWS = [
    ("write EIO, small", WRITE, errno.EIO, SMALL),
    ("write EIO, large", WRITE, errno.EIO, LARGE),
    ("write ENOSPC, small", WRITE, errno.ENOSPC, SMALL),
    ("write ENOSPC, large", WRITE, errno.ENOSPC, LARGE),
    ("flush EIO, small", SYNC, errno.EIO, SMALL),
    ("flush EIO, large", SYNC, errno.EIO, LARGE),
    ("growing a file ENOSPC, large", GROW | WRITE, errno.ENOSPC, LARGE),
]

if not os.path.exists(SHIM):
    tap.skip_all("t/kill/failfs.so is not built")
with Server(start=False) as server:
    faults_ = Faults(server)
    server.start(env=faults_.env)
    ledger_ = Ledger()
    tap.table(ROWS, step_through, server, faults_, ledger_)
    tap.call("a full disk, small", disk_full, server, faults_, ledger_, SMALL)
    tap.call("a full disk, large", disk_full, server, faults_, ledger_, LARGE)
    tap.call("all is there after SIGKILL", after_kill, server, faults_,
             ledger_)
    tap.call("the log tells of it", logged, server)
tap.done()
