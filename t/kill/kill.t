#!/usr/bin/python3
# test: alone timeout=600
"""Nothing acknowledged is lost, nothing is doubled: parallel senders note
each 250 while the whole process group is killed again and again."""
import collections
import hashlib
import os
import random
import re
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/kill/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, free_ports, wait_for
from sink import Sink
from wire import stuff

ROUNDS = int(os.environ.get("KILL_ROUNDS", "30"))
SENDERS = 8
USERS = ["user%d" % i for i in range(4)]
FAR = "far@remote.test"
SEED = int(os.environ.get("KILL_SEED", random.randrange(1 << 30)))
rng = random.Random(SEED)


class Book:
    """What was sent, and what was acknowledged: (id, recipient)."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.acked = set(), set()

    def note(self, book, number, rcpts):
        with self.lock:
            book.update((number, r) for r in rcpts)


def make_message(number, size):
    """Its own digest is in its subject, so that damage shows."""
    body = b"".join(b"%08d of %s\r\n" % (i, number.encode())
                    for i in range(size // 24))
    digest = hashlib.sha256(body).hexdigest().encode()
    return (b"From: k@kill.test\r\nX-Number: %s\r\nX-Digest: %s\r\n\r\n"
            % (number.encode(), digest)) + body


def check_message(data):
    """The number of a whole message."""
    number = re.search(rb"^X-Number: (.*)\r$", data, re.M).group(1)
    digest = re.search(rb"^X-Digest: (.*)\r$", data, re.M).group(1)
    body = data.split(b"\r\n\r\n", 1)[1]
    tap.eq(hashlib.sha256(body).hexdigest().encode(), digest,
           "body of %r is damaged" % number)
    return number.decode()


def send_until_dead(s, book, name, choose):
    """One connection; ends when the server does."""
    count = 0
    try:
        with s.line(ehlo="client.test") as c:
            while True:
                count += 1
                number = "%s.%d" % (name, count)
                rcpts = choose.sample(USERS, choose.choice((1, 1, 2)))
                rcpts = [u + "@example.test" for u in rcpts]
                if choose.random() < 0.2:
                    rcpts.append(FAR)
                size = choose.choice((200, 2000, 12_000, 60_000))
                book.note(book.sent, number, rcpts)
                c.must(250, "MAIL FROM:<k@kill.test>")
                for r in rcpts:
                    c.must(250, "RCPT TO:<%s>" % r)
                c.must(354, "DATA")
                c.send(stuff(make_message(number, size)))
                c.must(250)
                book.note(book.acked, number, rcpts)
    except (OSError, EOFError):
        return


def one_round(s, book, number):
    senders = [threading.Thread(
        target=send_until_dead,
        args=(s, book, "%d.%d" % (number, i), random.Random(rng.random())))
        for i in range(SENDERS)]
    for t in senders:
        t.start()
    time.sleep(rng.uniform(0.02, 0.5))
    s.kill()
    for t in senders:
        t.join(30)
    s.start()


def check_mailboxes(s, book):
    """Every acknowledged one is there once; none is there twice."""
    there = collections.Counter()
    for user in USERS:
        for data in s.messages(user):
            there[check_message(data), user + "@example.test"] += 1
    compare(book, there, lambda r: r != FAR)


def compare(book, there, mine):
    acked = {key for key in book.acked if mine(key[1])}
    sent = {key for key in book.sent if mine(key[1])}
    tap.eq(sorted(acked - set(there))[:5], [], "acknowledged and lost")
    tap.eq([k for k, n in there.items() if n > 1][:5], [], "doubled")
    tap.eq(sorted(set(there) - sent)[:5], [], "never sent")


def check_queue(s, book, sink):
    """What was to go elsewhere goes there, once."""
    acked = {n for n, r in book.acked if r == FAR}
    s.cli("queue", "retry", "all")
    wait_for("the queue to drain", lambda: not s.queue(), 60)
    got = collections.Counter((check_message(m.data), r)
                              for m in sink.messages for r in m.rcpts)
    tap.ok(len(acked) > 0, "nothing was relayed")
    compare(book, got, lambda r: r == FAR)


def main():
    book = Book()
    port = free_ports(1)[0]             # nobody listens until the end
    with FakeDNS({"remote.test MX": [(1, "mx.remote.test")],
                  "mx.remote.test A": ["127.0.0.1"]}) as dns:
        config = {"smtp": {"relay_networks": ["127.0.0.0/8"]},
                  "dns": {"servers": [dns.address]},
                  "queue": {"port": port}, "log": {"level": "info"}}
        with Server(config, accounts=USERS) as s:
            for number in range(ROUNDS):
                tap.call("round %d" % number, one_round, s, book, number)
            print("# seed %d: %d acknowledged, %d sent"
                  % (SEED, len(book.acked), len(book.sent)))
            tap.point(len(book.acked) > ROUNDS * 5, "enough was acknowledged",
                      "%d" % len(book.acked))
            tap.call("every acknowledged message is in its mailbox once",
                     check_mailboxes, s, book)
            with Sink() as sink:
                s.extra["queue"]["port"] = sink.port
                s.write_config()
                s.restart()
                tap.call("every acknowledged message for elsewhere goes there",
                         check_queue, s, book, sink)
            tap.call("nothing changes by a quiet restart", check_again, s,
                     book)
    tap.done()


def check_again(s, book):
    s.restart()
    check_mailboxes(s, book)


main()
