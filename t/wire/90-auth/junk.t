#!/usr/bin/python3
# test: timeout=240
"""The junk plugin: what is moved to Junk by IMAP teaches it, what is moved
back teaches it too; authentication counts; nothing is ever refused."""
import os
import random
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from house import DnsHouse
from outsider import connect
from server import wait_for
from wire import stuff

rng = random.Random(5)
JUNK = ("pills casino winner lottery cheap viagra replica watches bonus "
        "million urgent transfer inheritance prince discount crypto "
        "guaranteed unsubscribe refinance").split()
GOOD = ("meeting project invoice garden dinner children school train "
        "minutes schedule review patch server holiday budget report "
        "neighbour recipe bicycle").split()
BOTH = "the and you for with this that from have will your about more".split()


def body(words, n=40):
    return " ".join(rng.choice(words if rng.random() < .5 else BOTH)
                    for _ in range(n)).encode() + b"\r\n"


def message(words, sender="a@sender.test"):
    return (b"From: Someone <%s>\r\nTo: bob@example.test\r\n"
            b"Message-ID: <%d@sender.test>\r\nSubject: %s\r\n\r\n%s" % (
                sender.encode(), rng.randrange(10 ** 12),
                " ".join(rng.sample(words, 3)).encode(), body(words)))


class House(DnsHouse):
    zone = {"sender.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
            "_dmarc.sender.test TXT": ["v=DMARC1; p=none"],
            "4.113.0.203.list.test A": ["127.0.0.2"]}

    def configure(self, **junk):
        super().configure(
            {"inbound": ["spf", "dkim", "dmarc", "dnsbl", "junk"],
             "submission": [], "learn": ["junk"]},
            spf={"reject": "never"}, dkim={}, dmarc={},
            dnsbl={"lists": ["list.test"], "reject_at": 9}, junk=junk)

    def give(self, text, address="192.0.2.1", sender="a@sender.test",
             rcpts=("bob",)):
        with connect(self.server, address) as c:
            c.must(250, "MAIL FROM:<%s>" % sender)
            for r in rcpts:
                c.must(250, "RCPT TO:<%s@example.test>" % r)
            c.must(354, "DATA")
            c.send(stuff(text))
            c.must(250)

    def count(self, mailbox="INBOX", name="bob"):
        return len(self.server.messages(name, mailbox))

    def goes_to(self, text, **more):
        before = self.count("Junk")
        self.give(text, **more)
        return "Junk" if self.count("Junk") > before else "INBOX"

    def wait_lessons(self, n, word):
        wait_for("%d lessons" % n, lambda: "".join(
            self.server.log_since_mark()).count("says " + word) >= n)

    def move(self, source, target):
        box = self.server.imap("bob", source)
        box.uid("MOVE", "1:*", target)
        box.logout()


def test_untaught(h):
    """at first all mail goes to the inbox"""
    for _ in range(20):
        tap.eq(h.goes_to(message(JUNK)), "INBOX")


def test_moved(h):
    """twenty messages moved to Junk; then the like goes there by itself"""
    s = h.server
    s.log_mark()
    h.move("INBOX", "Junk")
    h.wait_lessons(20, "junk: learned anew")
    for _ in range(20):
        tap.eq(h.goes_to(message(GOOD)), "INBOX")
    for _ in range(5):
        tap.eq(h.goes_to(message(JUNK)), "Junk")
        tap.eq(h.goes_to(message(GOOD)), "INBOX")
    got = s.newest("bob", "Junk")
    tap.contains(got, b"X-Junk-Reason: its words are ")
    tap.contains(got, b"like mail that was moved to Junk (")


def test_restart(h):
    """what was learned outlives the server"""
    h.configure()
    tap.eq(h.goes_to(message(JUNK)), "Junk")
    tap.eq(h.goes_to(message(GOOD)), "INBOX")


def test_others(h):
    """each account has its own opinion, and its own copy's place"""
    before = h.count("Junk")
    h.give(message(JUNK), rcpts=("alice", "bob"))
    tap.eq(h.count("INBOX", "alice"), 1)
    tap.eq(h.count("Junk"), before + 1)
    tap.contains(h.server.newest("alice"), b"X-Junk-Reason: for some of its")


def test_explain(h):
    """mailroom explain says what would be done, and teaches nothing"""
    path = h.server.path("x.eml")
    with open(path, "wb") as f:
        f.write(message(JUNK))
    said = h.server.cli("explain", path, "--to", "bob@example.test",
                        "--from", "a@sender.test", "--ip", "192.0.2.1",
                        check=False)
    tap.contains(said.stdout, "its words are", said.stderr)


def test_back(h):
    """moved back to the inbox, the like stays there again"""
    h.server.log_mark()
    n = h.count("Junk")
    h.move("Junk", "INBOX")
    h.wait_lessons(n, "good")
    for _ in range(3):
        tap.eq(h.goes_to(message(JUNK)), "INBOX")


def test_points(h):
    """authentication and block lists count, and nothing is refused"""
    h.server.empty("bob")
    text = message(BOTH, "x@sender.test")
    tap.eq(h.goes_to(text, address="203.0.113.4"), "Junk")
    got = h.server.newest("bob", "Junk")
    for reason in (b"SPF", b"DMARC", b"block list"):
        tap.contains(got.split(b"X-Junk-Reason")[1], reason)


def test_memory(h):
    """little memory"""
    def peaks():
        return [h.server.memory(h.server.worker(role), "RssAnon")
                for role in ("smtp", "mailbox")]
    with_it = peaks()
    s = h.server
    s.stop()
    s.extra["chain"] = {"inbound": ["spf", "dkim", "dmarc", "dnsbl"]}
    del s.extra["plugin.junk"]
    s.write_config()
    s.start()
    h.give(message(GOOD))
    h.count()
    without = peaks()
    for role, a, b in zip(("smtp", "mailbox"), with_it, without):
        print("# %s worker: %d KiB, without the plugin %d" % (role, a, b))
        tap.ok(a - b < 20 << 10, "under 20 MB: %d KiB" % (a - b))


def test_isolated(h):
    """it works in a process of its own"""
    h.configure(isolate="process")
    h.server.log_mark()
    h.server.empty("bob")
    for _ in range(8):
        h.give(message(JUNK))
    h.move("INBOX", "Junk")
    h.wait_lessons(8, "junk")


with House() as house:
    tap.run(globals(), house)
tap.done()
