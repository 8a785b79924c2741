#!/usr/bin/python3
# test: timeout=120
"""[route.NAME]: fixed hosts, relay domains, which route counts, and what the
checker refuses."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

MESSAGE = (b"From: alice@example.test\r\nSubject: out\r\nDate: Tue, 01 Jul 2025 "
           b"10:00:00 +0000\r\nMessage-ID: <o@example.test>\r\n\r\n.dot\r\n")


class House:
    def __enter__(self):
        self.one, self.two, self.mx = (Sink().__enter__() for _ in range(3))
        self.dns = FakeDNS({"plain.test A": ["127.0.0.1"],
                            "backup.test A": ["127.0.0.1"]}).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.mx.port, "retry_first": "1s"},
            "route.one": {"domains": ["one.test", ".below.test",
                                      "example.test", "b\u00fccher.test"],
                          "host": "127.0.0.1:%d" % self.one.port,
                          "accept": True},
            "route.two": {"domains": ["two.test", "deep.below.test"],
                          "host": "127.0.0.1:%d" % self.two.port},
            "route.backup": {"domains": ["backup.test"], "accept": True},
        }).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.dns, self.one, self.two, self.mx):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def lands(h, rcpt, sink):
    sinks = (h.one, h.two, h.mx)
    for s in sinks:
        s.messages.clear()
    smtp = h.server.submission()
    smtp.sendmail("alice@example.test", [rcpt], MESSAGE)
    smtp.quit()
    wait_for("the message", lambda: any(s.messages for s in sinks))
    where = [s for s in sinks if s.messages]
    tap.ok(where == [sink], "%s went elsewhere" % rcpt)
    tap.eq(sink.messages[0].rcpts, [rcpt])
    tap.ok(sink.messages[0].data.endswith(MESSAGE))


def test_hosts(h):
    """the fixed host, by name, by suffix, the longest match first"""
    lands(h, "x@one.test", h.one)
    lands(h, "x@ONE.Test", h.one)
    lands(h, "x@a.below.test", h.one)
    lands(h, "x@xn--bcher-kva.test", h.one)
    lands(h, "x@two.test", h.two)
    lands(h, "x@deep.below.test", h.two)
    lands(h, "x@plain.test", h.mx)


def test_relay(h):
    """strangers may send to relay domains and to no others"""
    rows = (("x@one.test", 250), ("x@sub.below.test", 250),
            ("x@backup.test", 250), ("x@two.test", 550),
            ("x@below.test", 550), ("x@notone.test", 550),
            ("x@deep.below.test", 550), ("x@plain.test", 550),
            ("x%plain.test@one.test", 250), ("\"x@plain.test\"@two.test", 550))
    with h.server.line("smtp", "client.test") as c:
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        for rcpt, code in rows:
            tap.eq(c.ask("RCPT TO:<%s>" % rcpt)[0], code, rcpt)


def test_relayed(h):
    """mail of a stranger for a relay domain arrives"""
    h.one.messages.clear()
    h.mx.messages.clear()
    h.server.send(MESSAGE, "x@one.test")
    wait_for("the message", lambda: h.one.messages)
    h.server.send(MESSAGE, "x@backup.test")
    wait_for("the other", lambda: h.mx.messages)
    tap.eq(h.mx.messages[0].sender, "someone@elsewhere.test")


def test_local_wins(h):
    """a domain of the directory is not routed, whatever a route says"""
    h.server.send(MESSAGE, "bob")
    tap.eq(len(h.server.messages("bob")), 1)
    with h.server.line("smtp", "client.test") as c:
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        c.must(550, "RCPT TO:<nobody@example.test>")


def test_explain(h):
    """explain and config show know the routes"""
    mail = h.server.path("m.eml")
    with open(mail, "wb") as f:
        f.write(MESSAGE)
    for rcpt, route, taken in (("x@one.test", "one", True),
                               ("x@two.test", "two", False),
                               ("x@plain.test", None, False)):
        run = h.server.cli_json("explain", mail, "--ip", "192.0.2.7",
                                "--from", "a@elsewhere.test", "--to", rcpt)
        tap.eq((run["routes"][0].get("route"), run["accepted"]),
               (route, taken))
    shown = h.server.cli("config", "show").stdout
    tap.contains(shown, "[route.backup]")
    tap.contains(shown, "xn--bcher-kva.test")


WRONG = (
    ("an open relay", {"domains": ["*"], "host": "h:25", "accept": True},
     "anything for anybody"),
    ("both", {"domains": ["x.test"], "host": "h:25", "transport": "sqlite"},
     "not both"),
    ("neither", {"domains": ["x.test"]}, "needs a transport, a host"),
    ("no plugin", {"domains": ["x.test"], "transport": "nowhere"},
     "there is no [plugin.nowhere]"),
    ("no transport", {"domains": ["x.test"], "transport": "sqlite"},
     "`sqlite` is no transport"),
    ("twice", {"domains": ["one.test"], "host": "h:25"},
     "`one.test` has a route already"),
    ("no domain", {"domains": ["a b"], "host": "h:25"}, "neither a domain"),
    ("none", {"domains": [], "host": "h:25"}, "names no domain"),
    ("no list", {"host": "h:25"}, "domains"),
    ("a typing error", {"domains": ["x.test"], "hots": "h:25"}, "host"),
)


def refuses(h, section, words):
    h.server.extra["route.zz"] = section
    h.server.write_config()
    try:
        done = h.server.cli("config", "check", check=False)
    finally:
        del h.server.extra["route.zz"]
        h.server.write_config()
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, words)
    tap.contains(done.stderr, "config.toml:")


with House() as house:
    tap.run(globals(), house)
    tap.table([("refused: " + row[0], *row[1:]) for row in WRONG], refuses,
              house)
tap.done()
