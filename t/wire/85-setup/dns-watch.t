#!/usr/bin/python3
# test: timeout=120
"""mailroom dns watch: who looks after DNS hears when it drifts, once."""
import email
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from knot import Knot
from server import Server, wait_for

PLAN = {"authority": "ca.example", "addresses": ["203.0.113.5"]}


class House:
    def __enter__(self):
        self.knot = Knot({"example.test": ""}).__enter__()
        self.server = Server({
            "dns": {"servers": [self.knot.address], "timeout": "2s",
                    "trust_anchors": self.knot.anchors},
            "dns.plan": {"authority_port": self.knot.port, **PLAN},
        }, accounts=("postmaster", "admin")).__enter__()
        self.right = self.server.cli("dns", "plan", "--zone").stdout
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.knot.__exit__(*exc)

    def watch(self, zone=None):
        if zone is not None:
            self.knot.change("example.test", zone)
        return [(r["type"], r["name"]) for r in
                self.server.cli_json("dns", "watch")]

    def letters(self, n, who="postmaster"):
        """All that came, when n have."""
        wait_for("%d letters" % n,
                 lambda: len(self.server.messages(who)) >= n)
        return [email.message_from_bytes(m)
                for m in self.server.messages(who)]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_never_right(h):
    """what was never there has not drifted"""
    tap.eq(h.watch(), [])
    tap.contains(h.server.cli("dns", "watch").stdout, "Nothing has drifted")


def test_told(h):
    """a record that was right is told of by mail, with what it is now"""
    tap.eq(h.watch(h.right), [])
    tap.eq(h.watch(h.right.replace("MX 10 mail.", "MX 10 other.")),
           [("MX", "example.test")])
    letter = h.letters(1)[0]
    tap.eq(letter["Subject"],
           "DNS of example.test: 1 record is no longer right")
    tap.eq(letter["Auto-Submitted"], "auto-generated")
    text = letter.get_payload()
    tap.contains(text, "wanted: 10 mail.example.test.")
    tap.contains(text, "Mail goes to 10 other.example.test. now")
    tap.contains(text, "mailroom dns verify example.test")


def test_once(h):
    """it is told once, and again only after it was right"""
    tap.eq(h.watch(), [])
    tap.eq(h.watch(h.right), [])
    tap.eq(h.watch(h.right.replace("203.0.113.5", "203.0.113.6")),
           [("A", "mail.example.test")])
    tap.eq(h.watch(h.right.replace("MX 10 mail.", "MX 10 other.")),
           [("MX", "example.test")])
    tap.eq(len(h.letters(3)), 3)


def test_silence(h):
    """servers that do not answer are no drift"""
    h.watch(h.right)
    h.server.extra["dns.plan"]["servers"] = ["127.0.0.1:9"]
    h.server.write_config()
    tap.eq(h.watch(), [])
    del h.server.extra["dns.plan"]["servers"]
    h.server.write_config()
    tap.eq(h.watch(h.right.replace("v=TLSRPTv1;", "v=OTHERv1;")),
           [("TXT", "_smtp._tls.example.test")],
           "what was known before is not forgotten")


def test_other_admin(h):
    """[dns.plan] watch_to says who is told"""
    h.watch(h.right)
    h.server.extra["dns.plan"]["watch_to"] = "admin@example.test"
    h.server.write_config()
    h.watch(h.right.replace("v=STSv1;", "v=OTHERv1;"))
    tap.contains(h.letters(1, "admin")[0].get_payload(),
                 "TXT _mta-sts.example.test")


with House() as house:
    tap.run(globals(), house)
tap.done()
