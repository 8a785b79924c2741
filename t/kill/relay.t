#!/usr/bin/python3
# test: alone timeout=600
"""The runner, or the whole group, is killed again and again while messages go
out: none is lost, and one goes twice only when its 250 could not be recorded
any more: the last on its connection."""
import collections
import os
import random
import re
import signal
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/kill/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

KILLS = int(os.environ.get("KILL_ROUNDS", "10"))
MESSAGES = int(os.environ.get("KILL_MESSAGES", "0")) or 40 * KILLS
SEED = int(os.environ.get("KILL_SEED", random.randrange(1 << 30)))
DOMAINS = ["d%d.test" % i for i in range(4)]
rng = random.Random(SEED)


class Feeder:
    """Sends messages, each until it is acknowledged."""

    def __init__(self, server):
        self.server, self.acked, self.doubtful = server, [], set()

    def send(self, number):
        while True:
            try:
                self.try_send(number)
                self.acked.append(number)
                return
            except (OSError, EOFError, RuntimeError, AssertionError):
                # it may have been taken without our hearing of it
                self.doubtful.add(number)
                time.sleep(0.05)

    def try_send(self, number):
        with self.server.line(ehlo="client.test") as c:
            c.must(250, "MAIL FROM:<k@kill.test>")
            c.must(250, "RCPT TO:<u@%s>" % DOMAINS[number % len(DOMAINS)])
            c.must(354, "DATA")
            c.send(b"X-Number: %d\r\n\r\nx\r\n.\r\n" % number)
            c.must(250)

    def feed(self, numbers):
        for number in numbers:
            self.send(number)


def kill_once(s):
    if rng.random() < 0.5:
        pids = s.workers("runner")
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            wait_for("a new runner", lambda: any(
                p not in pids for p in s.workers("runner")))
    else:
        s.kill()
        s.start()


def relay(s, feeder, sink):
    """Kills while messages come and go."""
    share = MESSAGES // KILLS
    for kill in range(KILLS):
        numbers = range(kill * share, (kill + 1) * share)
        thread = threading.Thread(target=feeder.feed, args=(numbers,))
        thread.start()
        time.sleep(rng.uniform(0.02, 0.4))
        kill_once(s)
        thread.join(60)
        tap.ok(not thread.is_alive(), "the feeder hangs")
    wait_for("the queue to drain", lambda: not s.queue(), 60)
    tap.eq(len(feeder.acked), share * KILLS)


def number_of(message):
    return int(re.search(rb"^X-Number: (\d+)", message.data, re.M).group(1))


def check(feeder, sink):
    copies = collections.defaultdict(list)
    last = {}
    for m in sink.messages:
        copies[number_of(m)].append(m)
        last[id(m.session)] = m
    tap.eq(sorted(set(feeder.acked) - set(copies))[:5], [], "lost")
    doubled = [n for n, c in copies.items()
               if len(c) > 1 and n not in feeder.doubtful]
    for n in doubled:       # in any order: the sink may be slow to hear
        early = [m for m in copies[n] if last[id(m.session)] is not m]
        tap.ok(len(early) <= 1,
               "%d went twice and was not the last on its connection" % n)
    print("# %d kills, %d messages, %d went twice, over %d connections; "
          "seed %d" % (KILLS, len(copies), len(doubled), len(last), SEED))


def main():
    zone = {d + " A": ["127.0.0.1"] for d in DOMAINS}

    def slow(session, verb, argument):
        if verb == ".":
            time.sleep(0.001)

    with FakeDNS(zone) as dns, Sink(slow) as sink, Server({
            "smtp": {"relay_networks": ["127.0.0.0/8"]},
            "dns": {"servers": [dns.address]},
            "queue": {"port": sink.port, "retry_first": "1s",
                      "retry_most": "1s"},
            "workers": {"restart_most": "200ms"}}, accounts=()) as s:
        feeder = Feeder(s)
        tap.call("%d kills while %d messages are relayed" % (KILLS, MESSAGES),
                 relay, s, feeder, sink)
        tap.call("none is lost; those that went twice could not be helped",
                 check, feeder, sink)
    tap.done()


main()
