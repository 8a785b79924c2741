#!/usr/bin/python3
# test: timeout=120
"""mailroom trace and audit: the life of a message out of the ledger, and the
proof that each recipient has one fate."""
import json
import sqlite3
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

MESSAGE = (b"From: alice@example.test\r\nTo: x@remote.test\r\n"
           b"Subject: out\r\nDate: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
           b"Message-ID: <trace@example.test>\r\n\r\nbody\r\n")
ZONE = {"remote.test MX": [(10, "mx.remote.test")],
        "mx.remote.test A": ["127.0.0.1"]}


class House:
    def __enter__(self):
        self.script = {}
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink(self.answer).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "1s",
                      "retry_most": "1s"}}).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def answer(self, session, verb, argument):
        script = self.script.get(verb)
        return script.pop(0) if script else None

    def send(self, *rcpts, sender="alice"):
        """The id of the message."""
        smtp = self.server.submission(sender)
        smtp.mail(self.server.address(sender))
        for r in rcpts:
            smtp.rcpt(r)
        code, text = smtp.data(MESSAGE)
        smtp.quit()
        tap.eq(code, 250)
        return text.decode().split()[-1]

    def drained(self):
        wait_for("an empty queue", lambda: not self.server.queue(), 20)

    def events(self, what):
        return [(e["event"], e.get("recipient"))
                for e in self.server.cli_json("trace", what)]

    def db(self):
        return sqlite3.connect(self.server.data + "/sqlite/mailroom.db",
                               timeout=20)


def test_arrival(h):
    """arrival: client, TLS, account, chain, recipients and where they lead"""
    h.server.cli("alias", "add", "team@example.test", "bob@example.test")
    h.server.cli("alias", "add", "team@example.test", "alice@example.test")
    message = h.send("team@example.test")
    rows = h.server.cli_json("trace", message)
    life = rows[0]["life"]
    tap.eq((life["client"], life["account"], life["protocol"], life["chain"]),
           ("127.0.0.1", "alice@example.test", "ESMTPSA", "submission"))
    tap.ok(life["tls"].startswith("TLSv1"))
    tap.eq(life["message_id"], "<trace@example.test>")
    tap.eq(life["rcpt"], [{"to": "team@example.test", "leads":
                           ["alice@example.test", "bob@example.test"]}])
    tap.eq(h.events(message), [("delivered", "alice@example.test"),
                               ("delivered", "bob@example.test")])
    human = h.server.cli("trace", message).stdout
    for part in ("client.test", "TLS ", "team@example.test leads to",
                 "delivered to     bob@example.test"):
        tap.contains(human, part)


def test_attempts(h):
    """each attempt with what the other side said, then the fate"""
    h.script = {"RCPT": ["450 4.2.0 Greylisted"]}
    message = h.send("x@remote.test")
    h.drained()
    tap.eq(h.events(message), [("queued", "x@remote.test"),
                               ("deferred", "x@remote.test"),
                               ("relayed", "x@remote.test")])
    row = h.server.cli_json("trace", message)[1]
    tap.eq(row["detail"], "450 4.2.0 Greylisted [by mx.remote.test]")


def test_bounced(h):
    """failed, and the report that went out for it"""
    h.script = {"RCPT": ["550 5.1.1 no"]}
    message = h.send("x@remote.test")
    h.drained()
    rows = h.server.cli_json("trace", message)
    tap.eq([r["event"] for r in rows], ["queued", "failed", "delivered"])
    tap.eq(rows[2]["origin"], "report " + message)
    tap.contains(h.server.cli("trace", message).stdout,
                 "report               " + rows[2]["message"])
    tap.eq(h.events(rows[2]["message"]), [("delivered", "alice@example.test")])


def test_address(h):
    """all messages of an address: sender, recipient, alias"""
    before = len(h.server.cli_json("trace", "bob@example.test"))
    message = h.send("team@example.test", sender="bob")
    rows = h.server.cli_json("trace", "BOB@example.test")
    tap.eq([r["message"] for r in rows[before:]], [message] * 2)
    rows = h.server.cli_json("trace", "team@example.test")
    tap.eq(rows[-1]["message"], message)
    rows = h.server.cli_json("trace", "bob@example.test", "--since", "1s")
    tap.ok(len(rows) <= before + 2)


def test_unknown(h):
    """what is not there, and what is no id"""
    done = h.server.cli("trace", "1M890A77NWNC2B", check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "knows nothing")
    tap.eq(h.server.cli("trace", "nonsense", check=False).returncode, 2)


def test_hold(h):
    """held and released by the admin, delivered here when it is ours"""
    h.script = {"RCPT": ["450 4.2.0 later"]}
    message = h.send("x@remote.test")
    row = wait_for("an attempt", lambda: [
        r for r in h.server.queue() if r["attempts"]])[0]
    h.server.cli("queue", "hold", str(row["id"]))
    with h.db() as db:
        db.execute("UPDATE queue SET rcpt = 'bob@example.test'")
    h.server.cli("queue", "release", str(row["id"]))
    h.drained()
    tap.eq([e for e, _ in h.events(message)],
           ["queued", "deferred", "held", "released", "routed", "delivered"])


def test_audit(h):
    """audit: all has one fate"""
    h.script = {"RCPT": ["450 4.2.0 later"] * 3}
    h.send("x@remote.test")
    done = h.server.cli("audit", "--json")
    result = json.loads(done.stdout)
    tap.eq((result["fault_count"], result["faults"]), (0, []))
    h.drained()
    result = h.server.cli_json("audit")
    tap.eq(result["fault_count"], 0)
    fates = result["fates"]
    tap.eq((fates["waiting"], fates["held"], fates["bounced"]), (0, 0, 1))
    tap.ok(fates["delivered"] >= 6 and fates["relayed"] >= 2, fates)
    tap.contains(h.server.cli("audit").stdout, "0 faults")


def test_faults(h):
    """audit finds what was lost, doubled, or is in no mailbox"""
    h.script = {"RCPT": ["450 4.2.0 later"] * 9}
    message = h.send("x@remote.test")
    wait_for("an attempt", lambda: [
        r for r in h.server.queue() if r["attempts"]])
    h.server.cli("queue", "hold", str(h.server.queue()[0]["id"]))
    with h.db() as db:
        db.execute("DELETE FROM queue")
        db.execute("INSERT INTO ledger (at_ms, trace, event, rcpt, queue) "
                   "SELECT at_ms, trace, event, rcpt, queue FROM ledger "
                   "WHERE event = 'relayed' LIMIT 1")
        db.execute("UPDATE ledger SET uid = 900 WHERE id = (SELECT max(id) "
                   "FROM ledger WHERE event = 'delivered')")
    done = h.server.cli("audit", "--json", check=False)
    tap.eq(done.returncode, 1)
    faults = {f["fault"]: f["message"]
              for f in json.loads(done.stdout)["faults"]}
    tap.eq(faults["has no fate, and is not in the queue"], message)
    tap.ok("a second fate" in faults)
    tap.ok("delivered, and not in the mailbox" in faults)


with House() as house:
    tap.run(globals(), house)
tap.done()
