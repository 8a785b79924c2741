"""mailboxes - a mailbox of 100,000 messages beside Dovecot's: what a mail
client waits for, in milliseconds, and what a server takes a second. Both
servers run, filled with the same mail; rounds take turns; ratios count.

Environment: MESSAGES 100000, ROUNDS 3, SECONDS 5 (of rates), CLIENTS
"1 10" (connections at once), ROWS (words: only rows whose names begin so)."""
import os
import statistics
import subprocess
import time

from dovecot import Dovecot
from searches import SEARCHING
from server import PASSWORD, Server, wait_for

MESSAGES = int(os.environ.get("MESSAGES", "100000"))
PART = min(10000, MESSAGES // 10)        # what each connection works on
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = os.environ.get("SECONDS", "5")
CLIENTS = [int(n) for n in os.environ.get("CLIENTS", "1 10").split()]
ROWS = os.environ.get("ROWS", "").split()
DOMAIN = "bench.test"
WANTED = 1.5

# name, mailbox, command, how many times Dovecot's speed is wanted
READING = [
    ("SELECT", "", "SELECT INBOX", WANTED),
    ("STATUS", "", "STATUS INBOX (MESSAGES UIDNEXT UNSEEN)", WANTED),
    ("FETCH 1:* FLAGS", "INBOX", "FETCH 1:* (UID FLAGS)", WANTED),
    ("FETCH 1:* ENVELOPE", "INBOX", "FETCH 1:* (ENVELOPE)", WANTED),
    ("FETCH %d whole" % PART, "INBOX", "UID FETCH %a:%b (BODY.PEEK[])", WANTED),
    ("SEARCH FLAGGED", "INBOX", "UID SEARCH FLAGGED", WANTED),
    ("SEARCH SUBJECT", "INBOX", "UID SEARCH SUBJECT harbour", WANTED),
    ("SEARCH HEADER", "INBOX", "UID SEARCH HEADER Cc team7@", WANTED),
    ("SEARCH dates", "INBOX",
     "UID SEARCH SINCE 1-Jun-2022 BEFORE 1-Jul-2022", WANTED),
    ("SEARCH SENTSINCE", "INBOX", "UID SEARCH SENTSINCE 1-Jan-2030", WANTED),
]


class Ours:
    name = "mailroom"
    batch = 500

    def __init__(self, users):
        self.users = users

    def __enter__(self):
        self.server = Server({"limits": {"connections_per_peer": 2000,
                                         "connections_per_login": 2000}},
                             accounts=(), start=False)
        self.server.__enter__()
        self.server.cli("domain", "add", DOMAIN)
        for user in self.users:
            self.server.add_account("%s@%s" % (user, DOMAIN))
        self.server.start()
        self.imap = self.server.ports["imap"]
        self.pop3 = self.server.ports["pop3"]
        return self

    def __exit__(self, *exc):
        self.server.__exit__()

    def settle(self):
        """The search index has all that came."""
        wait_for("the index", lambda: not self.server.cli_json(
            "index", "status")["waiting"], 600)
        figures = self.server.cli_json("index", "status")
        print("  mailroom: %d messages in the index, %.0f MB" % (
            figures["messages"], figures["bytes"] / 1e6))


class Bench:
    def __init__(self, program, both):
        self.program, self.both = program, both
        self.missed = []

    def load(self, target, user, *words, pop3=False):
        out = subprocess.run(
            [self.program, str(target.pop3 if pop3 else target.imap),
             user + "@" + DOMAIN, PASSWORD, *map(str, words)],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        return [float(line.split()[0]) for line in out.splitlines()]

    def fill(self, user, count):
        for target in self.both:
            start = time.monotonic()
            self.load(target, user, "fill", "INBOX", 0, count, 2,
                      target.batch)
            print("  %s: %d messages appended in %.0f s" % (
                target.name, count, time.monotonic() - start), flush=True)

    def row(self, name, ours, theirs, wanted, rates=False):
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        ratio = ours / theirs if rates else theirs / ours
        if ratio < wanted:
            self.missed.append(name)
        print("  %-30s %10.1f %10.1f %s  %6.1fx%s" % (
            name, ours, theirs, "/s" if rates else "ms", ratio,
            "" if ratio >= wanted else "  (wanted %g)" % wanted), flush=True)

    def timed(self, name, user, mailbox, commands, connections, wanted):
        """commands: the first is timed, the others make it so again."""
        if ROWS and not any(name.startswith(r) for r in ROWS):
            return
        samples = {target: [] for target in self.both}
        for number in range(ROUNDS + 1):
            for target in self.both:
                ms = self.load(target, user, "time", mailbox, connections,
                               PART, *commands)
                if number:      # the first warms both up
                    samples[target].append(ms[0])
        self.row("%s, %d" % (name, connections), *samples.values(), wanted)

    def expunge(self, user, connections):
        name = "EXPUNGE %d" % PART
        if ROWS and not any(name.startswith(r) for r in ROWS):
            return
        samples = {target: [] for target in self.both}
        for number in range(ROUNDS):
            for target in self.both:
                self.load(target, user, "time", "INBOX", connections, PART,
                          "CREATE Gone%d", "UID COPY %a:%b Gone%d")
                ms = self.load(target, user, "time", "Gone%d", connections, PART,
                               "STORE 1:* +FLAGS.SILENT (\\Deleted)",
                               "EXPUNGE", "UNSELECT", "DELETE Gone%d")
                samples[target].append(ms[1])
        self.row("%s, %d" % (name, connections), *samples.values(), WANTED)

    def rate(self, name, user, words):
        if ROWS and not any(name.startswith(r) for r in ROWS):
            return
        samples = {target: [] for target in self.both}
        for _ in range(ROUNDS):
            for target in self.both:
                samples[target] += self.load(target, user, *words)
        self.row(name, *samples.values(), WANTED, rates=True)

    def retr(self, user, count):
        name = "POP3 RETR %d" % count
        if ROWS and not any(name.startswith(r) for r in ROWS):
            return
        samples = {target: [] for target in self.both}
        for number in range(ROUNDS + 1):
            for target in self.both:
                ms = self.load(target, user, "pop3", count, pop3=True)
                if number:
                    samples[target] += ms
        self.row(name, *samples.values(), WANTED)


def bench_imap(program):
    users = ["u%d" % i for i in range(12)]
    with Ours(users) as ours, \
            Dovecot(DOMAIN, users, PASSWORD,
                    (ours.server.cert, ours.server.key)) as theirs:
        b = Bench(program, (ours, theirs))
        b.fill("u10", MESSAGES)
        b.fill("u11", min(MESSAGES, 10000))
        ours.settle()
        print("  %-30s %10s %10s" % ("row, connections", *(
            t.name for t in b.both)))
        for connections in CLIENTS:
            for name, mailbox, command, wanted in READING + SEARCHING:
                b.timed(name, "u10", mailbox, [command], connections, wanted)
            b.timed("STORE %d" % PART, "u10", "INBOX",
                    ["UID STORE %a:%b +FLAGS.SILENT (\\Answered)",
                     "UID STORE %a:%b -FLAGS.SILENT (\\Answered)"],
                    connections, WANTED)
            b.expunge("u10", connections)
            b.rate("APPEND, %d" % connections, "u%d",
                   ["append", "INBOX", connections, SECONDS])
            b.rate("login, %d" % connections, "u%d",
                   ["login", connections, SECONDS])
        b.retr("u11", min(MESSAGES, 10000))
        print("  not reached: %s" % (", ".join(b.missed) or "none"))
