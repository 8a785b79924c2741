"""idling - IMAP connections in IDLE: what memory each costs, ours beside
Dovecot's, and how long they wait to be told of a delivery."""
import contextlib
import crypt
import os
import sqlite3
import statistics
import subprocess
import time

from cost import private_kib, private_total
from dovecot import Dovecot
from server import PASSWORD, Server

CONNECTIONS = int(os.environ.get("CONNECTIONS", "10000"))
PEERS = int(os.environ.get("PEERS", "100"))     # Dovecot: a process each
USERS = 50
DOMAIN = "bench.test"
MESSAGE = b"From: a@elsewhere.test\r\nSubject: w\r\n\r\nx\r\n"
TENTH = 10


def cheapen_logins(server):
    """10,000 yescrypt checks would take longer than the rest: the hash of
    the accounts is replaced by one that costs a millisecond."""
    hashed = crypt.crypt(PASSWORD, "$5$rounds=1000$benchbench$")
    db = sqlite3.connect(server.path("data", "sqlite", "mailroom.db"))
    db.execute("UPDATE account SET password = ?", (hashed,))
    db.commit()
    db.close()


@contextlib.contextmanager
def ours():
    most = CONNECTIONS + 100
    with Server({"limits": {"connections": most,
                            "connections_per_peer": most,
                            "connections_per_login": most}},
                accounts=(), start=False) as s:
        s.cli("domain", "add", DOMAIN)
        for i in range(USERS):
            s.add_account("u%03d@%s" % (i, DOMAIN))
        cheapen_logins(s)
        s.start()
        s.send(MESSAGE, ["u000@" + DOMAIN])
        yield s


@contextlib.contextmanager
def connected(program, port, connections, tls):
    """Its standard input takes commands; see idle.c."""
    words = [program, str(port), str(connections), str(USERS), PASSWORD]
    with subprocess.Popen(words + ["tls"] * tls, stdin=subprocess.PIPE,
                          text=True, stdout=subprocess.PIPE) as p:
        if p.stdout.readline() != "idle\n":
            raise RuntimeError("the connections did not come up")
        yield p
        p.communicate("end\n")


def wake(s, p):
    """Milliseconds from the 250 to the news, 20 deliveries."""
    waits = []
    for user in range(20):
        s.send(MESSAGE, ["u%03d@%s" % (user, DOMAIN)])
        p.stdin.write("wake %d\n" % user)
        p.stdin.flush()
        while True:
            line = p.stdout.readline().strip()
            if line == "done":
                break
            waits.append(10000.0 if line == "never" else float(line))
    return waits


def kib_each(program, port, connections, tls, memory, then=lambda p: None):
    """Private KiB of a connection, and what `then` makes of them."""
    # what one login and one fetch make a server keep is no connection's share
    with connected(program, port, USERS, tls):
        pass
    time.sleep(2)
    before = memory()
    with connected(program, port, connections, tls) as p:
        time.sleep(5)
        each = (memory() - before) / connections
        return each, then(p)


def measure(program, tls):
    port = "imaps" if tls else "imap"
    name = "TLS" if tls else "clear"
    with ours() as s:
        pid = s.worker("mailbox")
        each, waits = kib_each(program, s.ports[port], CONNECTIONS, tls,
                               lambda: private_kib(pid),
                               lambda p: wake(s, p))
        with Dovecot(DOMAIN, ["u%03d" % i for i in range(USERS)], PASSWORD,
                     (s.cert, s.key)) as d:
            theirs, _ = kib_each(program, d.imaps if tls else d.imap, PEERS,
                                 tls, lambda: private_total([d.root]))
    print("  %-5s private memory each: %.2f KiB of %d (wanted %d), Dovecot "
          "%.0f KiB of %d: 1/%.0f (wanted 1/%d)" % (
              name, each, CONNECTIONS, 20 if tls else 4, theirs, PEERS,
              theirs / each, TENTH))
    print("        told after delivery: median %.1f ms (wanted 10), p99 %.1f "
          "ms (wanted 20)" % (statistics.median(waits),
                              sorted(waits)[len(waits) * 99 // 100]),
          flush=True)


def bench_idle(program):
    for tls in (False, True):
        measure(program, tls)
