#!/usr/bin/python3
# test: timeout=300
"""Reports to senders (RFC 3461, 3464, 6522, 6533), judged by Python's email
package: failed, delayed, delivered, relayed, expanded; NOTIFY, RET, ENVID,
ORCPT; and those that nobody gets."""
import email
import email.policy
import sqlite3
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from sink import Sink

HEAD = (b"From: alice@example.test\r\nTo: x@remote.test\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more\r\n"
        b"Date: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
        b"Message-ID: <out@example.test>\r\n")
MESSAGE = HEAD + b"\r\nthe body\r\n"
ZONE = {"remote.test MX": [(10, "mx.remote.test")],
        "mx.remote.test A": ["127.0.0.1"]}


class House:
    def __init__(self, **queue):
        self.queue = queue

    def __enter__(self):
        self.script = {}
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink(self.answer).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": self.sink.port, "retry_first": "1s",
                      "retry_most": "1s", **self.queue}}).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def answer(self, session, verb, argument):
        return self.script.get(verb)

    def reset(self, **script):
        self.script = script
        self.server.drop_queue()
        self.sink.messages.clear()
        self.server.empty("alice")
        self.server.empty("bob")

    def send(self, args, rcpt="x@remote.test", message=MESSAGE, held="alice"):
        """Puts the arguments into the store, as a client's would stand
        there: the message is held by a first answer of 4xx meanwhile."""
        script, self.script = self.script, {"MAIL": "451 4.3.0 wait"}
        remote = rcpt.endswith("@remote.test")
        smtp = self.server.submission(held)
        smtp.sendmail(self.server.address(held), [
            rcpt if remote else "x@remote.test"], message)
        smtp.quit()
        row = wait_for("a first attempt", lambda: [
            r for r in self.server.queue() if r["attempts"]], 20)[0]
        self.server.cli("queue", "hold", str(row["id"]))
        db = sqlite3.connect(self.server.data + "/sqlite/mailroom.db")
        with db:
            db.execute("UPDATE queue SET dsn = ?, rcpt = ? WHERE id = ?",
                       (args, rcpt, row["id"]))
        db.close()
        self.script = script
        self.server.cli("queue", "release", str(row["id"]))

    def drained(self, seconds=20):
        wait_for("an empty queue", lambda: not self.server.queue(), seconds)

    def report(self, name="alice", seconds=20):
        found = wait_for("a report", lambda: self.server.messages(name),
                         seconds)
        tap.eq(len(found), 1)
        return check(found[0])

    def silent(self, name="alice"):
        self.drained()
        tap.eq(self.server.messages(name), [])


def check(raw):
    """The letter of RFC 6522 and 3464: (message, text, status, third)."""
    for line in raw.split(b"\r\n"):
        assert len(line) <= 998 and b"\n" not in line and b"\r" not in line
    m = email.message_from_bytes(raw, policy=email.policy.default)
    for part in m.walk():
        tap.eq([type(d).__name__ for d in part.defects], [])
    tap.eq(m.get_content_type(), "multipart/report")
    tap.eq(m.get_param("report-type"), "delivery-status")
    tap.eq(m["auto-submitted"], "auto-replied")
    text, status, third = m.iter_parts()
    tap.eq(text.get_content_type(), "text/plain")
    return m, text.get_content(), status, third


def fields(status):
    blocks = status.get_payload()
    return blocks[0], blocks[1:]


def test_failed(h):
    """failed: reason, explanation, advice; header only; threaded"""
    h.reset(RCPT="550 5.1.1 no such user here")
    h.send("ENVID=e+2B1 NOTIFY=FAILURE ORCPT=rfc822;Old+2Bx@first.test")
    m, text, status, third = h.report()
    tap.contains(m["subject"], "could not be delivered")
    tap.contains(m["subject"], "Grüße and more")
    tap.eq(m["in-reply-to"], "<out@example.test>")
    tap.contains(text, "550 5.1.1 no such user here")
    tap.contains(text, "What it means: There is no such mailbox.")
    tap.contains(text, "Check the address for typing")
    tap.contains(text, "Grüße")
    tap.eq(status.get_content_type(), "message/delivery-status")
    message, (rcpt,) = fields(status)
    tap.eq(message["original-envelope-id"], "e+1")
    tap.eq(message["reporting-mta"], "dns; mail.example.test")
    tap.eq(rcpt["original-recipient"], "rfc822; Old+x@first.test")
    tap.eq(rcpt["final-recipient"], "rfc822; x@remote.test")
    tap.eq((rcpt["action"], rcpt["status"]), ("failed", "5.1.1"))
    tap.eq(rcpt["remote-mta"], "dns; mx.remote.test")
    tap.eq(rcpt["diagnostic-code"], "smtp; 550 5.1.1 no such user here")
    tap.eq(third.get_content_type(), "text/rfc822-headers")
    tap.eq("the body" in third.as_string(), False)
    h.drained()


def test_full(h):
    """RET=FULL: the message itself comes back"""
    h.reset(RCPT="550 5.1.1 no such user here")
    h.send("RET=FULL")
    third = h.report()[3]
    tap.eq(third.get_content_type(), "message/rfc822")
    inner = third.get_payload()[0]
    tap.eq(inner["message-id"], "<out@example.test>")
    tap.contains(inner.get_content(), "the body")


def test_long_reply(h):
    """a reply of many long lines breaks neither lines nor parts"""
    h.reset(RCPT="550-5.7.1 " + "w" * 400 + "\r\n550-5.7.1 --x--\r\n"
                 "550 5.7.1 " + "word " * 90)
    h.send(None)
    m, text, status, third = h.report()
    rcpt = fields(status)[1][0]
    tap.contains(rcpt["diagnostic-code"], "word word")
    tap.eq(rcpt["status"], "5.7.1")


def test_never(h):
    """NOTIFY=NEVER, and NOTIFY without FAILURE: silence"""
    for notify in "NEVER", "SUCCESS,DELAY":
        h.reset(RCPT="550 5.1.1 no such user here")
        h.send("NOTIFY=" + notify)
        h.silent()


def test_automatic(h):
    """automatic mail is not answered, but on request"""
    for field in ("Auto-Submitted: auto-generated", "Precedence: bulk",
                  "List-Id: <l.example.test>"):
        h.reset(RCPT="550 5.1.1 no such user here")
        auto = HEAD + field.encode() + b"\r\n\r\nx\r\n"
        h.send(None, message=auto)
        h.silent()
    h.reset(RCPT="550 5.1.1 no such user here")
    h.send(None, message=HEAD + b"Auto-Submitted: no\r\n\r\nx\r\n")
    h.report()
    h.reset(RCPT="550 5.1.1 no such user here")
    h.send("NOTIFY=FAILURE", message=auto)
    h.report()


def test_relayed(h):
    """NOTIFY=SUCCESS and a server without DSN: relayed"""
    h.reset()
    h.send("NOTIFY=SUCCESS")
    m, text, status, third = h.report()
    tap.contains(m["subject"], "passed on")
    rcpt = fields(status)[1][0]
    tap.eq((rcpt["action"], rcpt["status"][0]), ("relayed", "2"))
    tap.contains(text, "x@remote.test")


def test_delivered(h):
    """NOTIFY=SUCCESS into a mailbox here: delivered, once"""
    h.reset()
    h.send("NOTIFY=SUCCESS,FAILURE", rcpt="bob@example.test")
    rcpt = fields(h.report()[2])[1][0]
    tap.eq((rcpt["action"], rcpt["final-recipient"]),
           ("delivered", "rfc822; bob@example.test"))
    tap.eq(len(h.server.messages("bob")), 1)
    h.drained()


def test_expanded(h):
    """an alias of several: expanded, and members report no success"""
    h.reset()
    for to in "bob@example.test", "x@remote.test":
        h.server.cli("alias", "add", "team@example.test", to)
    h.send("NOTIFY=SUCCESS", rcpt="team@example.test")
    rcpt = fields(h.report()[2])[1][0]
    tap.eq(rcpt["action"], "expanded")
    h.drained()
    tap.eq(len(h.server.messages("bob")), 1)
    tap.eq(len(h.sink.messages), 1)


def test_not_asked(h):
    """success is not told unasked"""
    h.reset()
    h.send(None)
    h.silent()


def test_utf8(h):
    """SMTPUTF8: the types of RFC 6533"""
    h.reset(RCPT="550 5.1.1 no such user here")
    h.send("SMTPUTF8 ORCPT=utf-8;j\\x{FC}rgen@remote.test",
           rcpt="x@remote.test")
    m, text, status, third = h.report()
    tap.eq(status.get_content_type(), "message/global-delivery-status")
    tap.eq(third.get_content_type(), "message/global-headers")
    tap.contains(status.as_bytes().decode(),
                 "Original-Recipient: utf-8; jürgen@remote.test")


def test_delayed(h):
    """one warning when it takes long, then the failure"""
    with House(delay_warning="2s", lifetime="8s") as late:
        late.reset(RCPT="451 4.7.1 Greylisted, come back")
        late.send(None)
        m, text, status, third = late.report()
        tap.contains(m["subject"], "not delivered yet")
        tap.contains(text, "You need not do anything")
        tap.contains(text, "greylisting")
        rcpt = fields(status)[1][0]
        tap.eq((rcpt["action"], rcpt["status"]), ("delayed", "4.7.1"))
        tap.ok(rcpt["will-retry-until"])
        late.drained()
        found = wait_for("the failure", lambda: len(
            late.server.messages("alice")) > 1 and late.server.messages(
                "alice"))
        time.sleep(0.5)
        tap.eq(len(late.server.messages("alice")), 2)
        m, text, status, third = check(found[1])
        rcpt = fields(status)[1][0]
        tap.eq((rcpt["action"], rcpt["status"]), ("failed", "5.4.7"))
        tap.contains(text, "tried until its time was over")


def test_smtp(h):
    """arguments by SMTP, where the server offers DSN"""
    h.reset(RCPT="550 5.1.1 no such user here")
    smtp = h.server.submission("alice")
    smtp.ehlo()
    if "dsn" not in smtp.esmtp_features:
        smtp.quit()
        raise tap.Skip("DSN is not offered")
    smtp.sendmail("alice@example.test", ["x@remote.test"], MESSAGE,
                  ["RET=HDRS", "ENVID=mine"], ["NOTIFY=FAILURE"])
    smtp.quit()
    message = fields(h.report()[2])[0]
    tap.eq(message["original-envelope-id"], "mine")
    h.reset()
    smtp = h.server.submission("alice")
    smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE, [],
                  ["NOTIFY=SUCCESS"])
    smtp.quit()
    tap.eq(fields(h.report()[2])[1][0]["action"], "delivered")


with House() as house:
    tap.run(globals(), house)
tap.done()
