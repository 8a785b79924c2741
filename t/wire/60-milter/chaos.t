#!/usr/bin/python3
# test: timeout=240
"""A milter that breaks at any moment, in any way, during 1000 messages: none
is lost, none comes twice, and each sender hears the truth."""
import os
import random
import re
import struct
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import CONTINUE, Milter, Vanish, add_header
from outsider import send_many
from server import Server
from wire import stuff

MESSAGES, SENDERS = 1000, 8
SEED = int(os.environ.get("SEED", time.time()))


def raw(session, data):
    session.conn.sendall(data)


def junk(session, chance):
    raw(session, bytes(chance.randrange(256) for _ in range(40)))
    return []


def half(session, chance):
    raw(session, struct.pack("!I", 100) + b"h" + b"x" * chance.randrange(50))
    raise Vanish


def huge(session, chance):
    raw(session, struct.pack("!I", 0xffffff00 + chance.randrange(255)) + b"b")
    return []


def nothing(session, chance):
    raw(session, b"\0\0\0\0")
    return []


def hang(session, chance):
    time.sleep(0.6)
    raise Vanish


def vanish(session, chance):
    raise Vanish


def twice(session, chance):
    return [CONTINUE, CONTINUE]


def edits_and_gone(session, chance):
    raw(session, struct.pack("!I", 9) + b"hX-B\0no\0\0"[:9])
    raise Vanish


WAYS = [junk, half, huge, nothing, vanish, vanish, twice, edits_and_gone,
        hang]


class Chaos:
    """One answer in 40 is a mischief."""

    def __init__(self):
        self.chance = random.Random(SEED)
        self.lock = threading.Lock()
        self.done = {}

    def __call__(self, session, command, data):
        if command in b"DQA":
            return None
        with self.lock:
            way = self.chance.choice(WAYS) if \
                self.chance.randrange(40) == 0 else None
        if way:
            self.done[way.__name__] = self.done.get(way.__name__, 0) + 1
            return way(session, self.chance)
        if command == b"E":
            return [add_header("X-Seen", "yes"), CONTINUE]
        return None


def send(s, number):
    """The final code that the sender hears; None: the line broke."""
    try:
        with s.line(ehlo="c.test") as c:
            for line in ("MAIL FROM:<a@b.test>",
                         "RCPT TO:<bob@example.test>", "DATA"):
                code = c.cmd(line)
                if code >= 400:
                    return code
            c.send(stuff(b"Subject: %d\r\n\r\nbody\r\n" % number))
            return c.reply()[0]
    except (EOFError, OSError):
        return None


def test_chaos(s, chaos):
    """1000 messages"""
    pid = s.worker("smtp")
    codes = send_many(lambda n: send(s, n), MESSAGES, SENDERS)
    print("# seed %d, %r" % (SEED, chaos.done))
    tap.eq(s.worker("smtp"), pid, "a worker died")
    tap.ok(set(codes.values()) <= {250, 451}, set(codes.values()))
    got = s.messages("bob")
    numbers = sorted(int(re.search(rb"Subject: (\d+)", m)[1]) for m in got)
    want = sorted(n for n, code in codes.items() if code == 250)
    tap.eq(numbers, want, "stored against accepted")
    tap.ok(400 < len(want) < MESSAGES, "%d were accepted" % len(want))


def test_filtered(s, chaos):
    """what was accepted was filtered, or waited for the filter's answer"""
    # "twice" puts an answer ahead of its question: then the end of the
    # message may be taken as answered before its edits came.
    bare = [m for m in s.messages("bob") if b"X-Seen: yes\r\n" not in m]
    tap.ok(len(bare) <= chaos.done.get("twice", 0), len(bare))
    tap.ok(not any(b"X-B" in m for m in s.messages("bob")),
           "an edit of a filter that failed")


def test_after(s, chaos):
    """well again, it works again"""
    chaos.chance = random.Random()
    chaos.chance.randrange = lambda n: 1
    s.empty("bob")
    tap.eq([send(s, n) for n in range(20)], [250] * 20)
    tap.eq(len(s.messages("bob")), 20)


CHAOS = Chaos()
with Milter(CHAOS) as milter:
    config = {"milter.one": {"socket": milter.socket, "timeout": "300ms",
                             "data_timeout": "300ms", "end_timeout": "300ms",
                             "negotiate_timeout": "5s",
                             "breaker_failures": 0}}
    with Server(config, chain=["one"]) as server:
        tap.run(globals(), server, CHAOS)
tap.done()
