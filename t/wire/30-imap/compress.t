#!/usr/bin/python3
"""IMAP COMPRESS=DEFLATE (RFC 4978) against Python's zlib."""
import os
import re
import sys
import time
import zlib
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, SLOW, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: i\r\n\r\nx\r\n"
PARKED = int(os.environ.get("MAILROOM_PARKED", "100"))


class Unpacking:
    """What Line reads from: lines and bytes of a compressed socket."""

    def __init__(self, sock):
        self.sock = sock
        self.zlib = zlib.decompressobj(-15)
        self.have = b""
        self.wire = 0

    def more(self):
        packed = self.sock.recv(65536)
        self.wire += len(packed)
        self.have += self.zlib.decompress(packed)
        return packed

    def readline(self):
        while b"\n" not in self.have and self.more():
            pass
        end = self.have.find(b"\n") + 1
        line, self.have = self.have[:end], self.have[end:]
        return line

    def read(self, n):
        while len(self.have) < n and self.more():
            pass
        out, self.have = self.have[:n], self.have[n:]
        return out

    def close(self):
        pass


class Packed(Line):
    flush = zlib.Z_SYNC_FLUSH
    packer = None

    def send(self, data):
        if self.packer:
            data = self.packer.compress(data) + self.packer.flush(self.flush)
        super().send(data)

    def pack(self):
        lines, rest = self.imap(b"z", b"COMPRESS DEFLATE")
        tap.eq(lines, [])
        tap.ok(rest.startswith(b"OK"), rest)
        self.file.close()
        self.packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.file = Unpacking(self.sock)


def login(s, name="imap", select=b"INBOX", pack=True):
    c = Packed(s.ports[name], tls=s.tls if name == "imaps" else None)
    c.line()
    c.imap(b"a", b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if pack:
        c.pack()
    if select:
        c.imap(b"b", b"SELECT " + select)
    return c


def test_rules(s):
    """offered behind the login, once, DEFLATE only"""
    with Packed(s.ports["imap"]) as c:
        tap.ok(b"COMPRESS" not in c.line())
        tap.ok(c.imap(b"a", b"COMPRESS DEFLATE")[1].startswith(b"BAD"))
    with login(s, pack=False) as c:
        tap.contains(c.imap(b"b", b"CAPABILITY")[0][0], b"COMPRESS=DEFLATE")
        for bad in (b"COMPRESS", b"COMPRESS LZW", b"COMPRESS DEFLATE 9"):
            tap.ok(c.imap(b"c", bad)[1].startswith(b"BAD"), bad)
        c.pack()
        tap.ok(b"COMPRESS" not in c.imap(b"d", b"CAPABILITY")[0][0])
        tap.ok(c.imap(b"e", b"COMPRESS DEFLATE")[1].startswith(
            b"NO [COMPRESSIONACTIVE]"))
        tap.ok(c.imap(b"f", b"STARTTLS")[1].startswith(b"BAD"))
        tap.ok(c.imap(b"g", b"LOGOUT")[1].startswith(b"OK"))
        tap.ok(c.at_end())


def test_turns(s):
    """many turns, each flush that zlib has, parked between them"""
    for name in ("imap", "imaps"):
        with login(s, name) as c:
            for i in range(60):
                c.flush = (zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH,
                           zlib.Z_FULL_FLUSH)[i % 3]
                if i % 10 == 0:
                    time.sleep(0.05)
                tap.ok(c.imap(b"t%d" % i, b"NOOP")[1].startswith(b"OK"))
            c.send(b"".join(b"p%d NOOP\r\n" % i for i in range(200)))
            for i in range(200):
                tap.ok(c.until(b"p%d" % i)[1].startswith(b"OK"))


def test_idle(s):
    """IDLE: woken while parked, and ended"""
    for name in ("imap", "imaps"):
        with login(s, name) as c:
            c.send(b"c IDLE\r\n")
            tap.ok(c.line().startswith(b"+"))
            for _ in range(3):
                time.sleep(0.1)
                s.send(MESSAGE)
                while not c.line().endswith(b"EXISTS"):
                    pass
            c.send(b"DONE\r\nd NOOP\r\n")
            tap.ok(c.until(b"c")[1].startswith(b"OK"))
            tap.ok(c.until(b"d")[1].startswith(b"OK"))


def test_large(s):
    """large messages pass both ways, in fewer bytes"""
    body = b"".join(b"line %d of a report that says the same again\r\n" % i
                    for i in range(60000))
    noise = MESSAGE + os.urandom(1 << 20).hex().encode() + b"\r\n"
    for name in ("imap", "imaps"):
        with login(s, name) as c:
            for text in (MESSAGE + body, noise):
                c.imap(b"d", b"DELETE large")
                c.imap(b"c", b"CREATE large")
                tap.ok(c.imap(b"e", b"APPEND large {%d+}\r\n%s" % (
                    len(text), text))[1].startswith(b"OK"))
                c.send(b"f APPEND large {%d}\r\n" % len(text))
                tap.ok(c.line().startswith(b"+"))
                c.send(text + b"\r\n")
                tap.ok(c.until(b"f")[1].startswith(b"OK"))
                c.imap(b"g", b"SELECT large")
                c.file.wire = 0
                c.send(b"h FETCH 1:2 BODY.PEEK[]\r\n")
                for _ in range(2):
                    size = int(re.search(rb"\{(\d+)\}", c.line()).group(1))
                    tap.ok(c.file.read(size) == text)
                    c.line()
                tap.ok(c.until(b"h")[1].startswith(b"OK"))
                tap.ok(c.file.wire < 2 * len(text) * 0.65, c.file.wire)


def test_bomb(s):
    """what unpacks to very much is bounded as what comes plain"""
    with login(s) as c:
        c.send(b"a NOOP " + b" " * (8 << 20) + b"\r\n")
        tap.ok(c.line().startswith(b"* BAD"))
        c.send(b"b APPEND INBOX {%d+}\r\n" % (100 << 20))
        for _ in range(100):
            c.send(bytes(1 << 20))
        c.send(b"\r\n")
        tap.contains(c.until(b"b")[1], b"TOOBIG")
        tap.ok(c.imap(b"c", b"NOOP")[1].startswith(b"OK"))
    tap.ok(s.memory(s.worker("mailbox")) < 200 << 10)


def test_damage(s):
    """bytes that are not DEFLATE end the connection and nothing else"""
    with login(s) as c, login(s) as other:
        c.packer = None
        c.send(b"\xff\xff\xffa NOOP\r\n")
        tap.ok(c.at_end())
        tap.ok(other.imap(b"a", b"NOOP")[1].startswith(b"OK"))


def test_parked_memory(s):
    """a parked session keeps no more of zlib than the peer's last words"""
    pid = s.worker("mailbox")

    waiting = []

    def grown(pack):
        before = s.memory(pid, "VmRSS")
        for _ in range(PARKED):
            c = login(s, pack=pack)
            c.send(b"c IDLE\r\n")
            c.line()
            waiting.append(c)
        time.sleep(0.5 * SLOW)
        return (s.memory(pid, "VmRSS") - before) * 1024 / PARKED

    plain, packed = grown(False), grown(True)
    for c in waiting:
        c.close()
    print("# a parked session: %.1f KiB plain, %.1f KiB compressed"
          % (plain / 1024, packed / 1024))
    tap.ok(packed < (40 << 10), packed)


with Server({"limits": {"message_size": 20 << 20,
                        "connections_per_login": 0}}) as server:
    tap.run(globals(), server)
tap.done()
