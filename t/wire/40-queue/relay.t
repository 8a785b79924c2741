#!/usr/bin/python3
# test: timeout=240
"""Mail for other servers: MX and A, order and fallback, TLS, retries,
bounces, smarthost, and the queue command."""
import email
import email.policy
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import SLOW, Server, wait_for
from sink import Sink

MESSAGE = (b"From: alice@example.test\r\nTo: x@remote.test\r\n"
           b"Subject: out\r\nDate: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
           b"Message-ID: <out@example.test>\r\n\r\n.dot\r\nGr\xc3\xbc\xc3\x9fe\r\n..\r\n")
ZONE = {
    "remote.test MX": [(10, "mx.remote.test")],
    "mx.remote.test A": ["127.0.0.1"],
    "plain.test A": ["127.0.0.1"],
    "null.test MX": [(0, ".")],
    "two.test MX": [(20, "mx.remote.test"), (10, "dead.test")],
    "dead.test A": ["127.0.0.2"],
    "later.test MX": "SERVFAIL",
    "looped.test MX": [(10, "mail.example.test")],
    "mail.example.test A": ["127.0.0.1"],
    "odd.test MX": [(10, "nowhere.test")],
}


class House:
    """A server, a name server and a sink that it delivers to."""

    def __init__(self, **queue):
        self.queue = queue

    def __enter__(self):
        self.answers = {}
        self.dns = FakeDNS(ZONE).__enter__()
        self.sink = Sink(self.answer).__enter__()
        config = {"dns": {"servers": [self.dns.address]},
                  "queue": {"port": self.sink.port, "retry_first": "1s",
                            "tls_memory": "0s",
                            "connection_uses": 1,
                            "retry_most": "2s", **self.queue}}
        self.server = Server(config).__enter__()
        self.sink.tls = (self.server.cert, self.server.key)
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.sink, self.dns):
            part.__exit__(*exc)

    def answer(self, session, verb, argument):
        """Scripted: {"RCPT": [reply, ...]}, used up one by one."""
        script = self.answers.get(verb)
        return script.pop(0) if script else None

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def send(self, rcpts, message=MESSAGE, sender="alice"):
        smtp = self.server.submission(sender)
        address = self.server.address(sender)
        refused = smtp.sendmail(address, rcpts, message,
                                ["BODY=8BITMIME"])
        smtp.quit()
        return refused

    def wait_sink(self, n, seconds=15):
        return wait_for("%d messages at the sink" % n, lambda:
                        len(self.sink.messages) >= n and self.sink.messages,
                        seconds)

    def rows(self):
        return self.server.queue()

    def drained(self, seconds=15):
        wait_for("an empty queue", lambda: not self.rows(), seconds)

    def reset(self):
        self.answers.clear()
        self.server.drop_queue()
        self.sink.messages.clear()
        self.server.empty("alice")

    def report(self, seconds=20):
        """The bounce in alice's INBOX, parsed."""
        found = wait_for("a report", lambda: self.server.messages("alice"),
                         seconds)
        tap.eq(len(found), 1)
        return email.message_from_bytes(found[0],
                                        policy=email.policy.default)


def test_mx(h):
    """by MX, the bytes unchanged below our Received"""
    h.reset()
    h.send(["x@remote.test"])
    m = h.wait_sink(1)[0]
    tap.eq((m.sender, m.rcpts), ("alice@example.test", ["x@remote.test"]))
    tap.ok(m.data.endswith(MESSAGE), m.data)
    tap.eq(m.data.lower().count(b"received:"), 1)
    tap.eq(m.helo, "mail.example.test")
    h.drained()


def test_a_fallback(h):
    """no MX: the address of the domain itself"""
    h.reset()
    h.send(["x@plain.test"])
    h.wait_sink(1)
    h.drained()


def test_second_mx(h):
    """the better MX does not answer: the next one is asked"""
    h.reset()
    h.send(["x@two.test"])
    h.wait_sink(1, 40)
    h.drained()


def test_tls(h):
    """STARTTLS is used when offered"""
    h.reset()
    h.send(["x@remote.test"])
    tap.eq(h.wait_sink(1)[0].tls, True)


def test_no_tls(h):
    """and when it is not, the mail goes in the clear"""
    h.reset()
    keep, h.sink.tls = h.sink.tls, None
    h.send(["x@remote.test"])
    tap.eq(h.wait_sink(1)[0].tls, False)
    h.sink.tls = keep


def test_one_transaction(h):
    """recipients at one domain share a transaction"""
    h.reset()
    h.send(["a@remote.test", "b@remote.test", "bob@example.test"])
    m = h.wait_sink(1)[0]
    tap.eq(sorted(m.rcpts), ["a@remote.test", "b@remote.test"])
    h.drained()
    tap.eq(len(h.sink.messages), 1)


def test_helo_only(h):
    """a server that knows no EHLO"""
    h.reset()
    h.answers["EHLO"] = ["502 what?"]
    h.send(["x@remote.test"], MESSAGE.replace(b"\xc3\xbc\xc3\x9f", b"u"))
    h.wait_sink(1)


def test_retry(h):
    """4xx at RCPT, then taken: delivered once"""
    h.reset()
    h.answers["RCPT"] = ["450 4.2.0 later", "451 4.3.0 not yet"]
    h.send(["x@remote.test"])
    h.wait_sink(1, 30)
    h.drained()
    tap.eq(len(h.sink.messages), 1)
    tap.eq(h.server.messages("alice"), [])


def test_cut_off(h):
    """a connection that ends in the middle is tried again"""
    h.reset()
    h.answers["DATA"] = [""]
    h.answers["."] = [""]
    h.send(["x@remote.test"])
    h.wait_sink(1, 30)
    h.drained()


def test_bounce(h):
    """5xx: a report of RFC 3464 comes back, with the reason"""
    h.reset()
    h.answers["RCPT"] = ["550 5.1.1 no such user here"]
    h.send(["gone@remote.test"])
    m = h.report()
    tap.eq(m.get_content_type(), "multipart/report")
    tap.eq(m.get_param("report-type"), "delivery-status")
    tap.eq(m["auto-submitted"], "auto-replied")
    text, status, original = m.iter_parts()
    tap.contains(text.get_content(), "no such user here")
    tap.eq(status.get_content_type(), "message/delivery-status")
    per_message, per_rcpt = status.get_payload()
    tap.contains(per_message["reporting-mta"], "mail.example.test")
    tap.contains(per_rcpt["final-recipient"], "gone@remote.test")
    tap.eq(per_rcpt["action"], "failed")
    tap.eq(per_rcpt["status"], "5.1.1")
    tap.contains(per_rcpt["diagnostic-code"], "550 5.1.1 no such user here")
    tap.contains(original.as_string(), "Subject: out")
    h.drained()


def test_bounce_part(h):
    """one of two recipients refused: the other gets it, one report"""
    h.reset()
    h.answers["RCPT"] = ["550 5.1.1 no"]
    h.send(["a@remote.test", "b@remote.test"])
    tap.eq(len(h.wait_sink(1)[0].rcpts), 1)
    status = list(h.report().iter_parts())[1]
    tap.eq(len(status.get_payload()), 2)


def test_null_mx(h):
    """null MX (RFC 7505): refused at once or bounced, never tried"""
    h.reset()
    import smtplib
    try:
        h.send(["x@null.test"])
    except smtplib.SMTPRecipientsRefused as e:
        tap.eq(e.recipients["x@null.test"][0], 556)
        return
    status = list(h.report().iter_parts())[1].get_payload()[1]
    tap.ok(status["status"] in ("5.1.10", "5.4.4", "5.1.2"),
           status["status"])
    tap.eq(h.sink.messages, [])


def test_no_such_domain(h):
    """NXDOMAIN bounces, SERVFAIL waits"""
    h.reset()
    h.send(["x@nowhere.test"])
    status = list(h.report().iter_parts())[1].get_payload()[1]
    tap.ok(status["status"].startswith("5."), status["status"])
    h.reset()
    h.send(["x@later.test"])
    time.sleep(1.5)
    tap.eq(len(h.rows()), 1)
    tap.eq(h.server.messages("alice"), [])


def test_mx_is_us(h):
    """an MX that leads back to us is no loop"""
    h.reset()
    h.send(["x@looped.test"])
    h.report()
    tap.eq(h.sink.messages, [])


def test_no_bounce_of_bounce(h):
    """a report that cannot be delivered makes no report"""
    h.reset()
    h.answers["RCPT"] = ["550 5.1.1 no"] * 3
    h.server.extra.setdefault("smtp", {})["relay_networks"] = ["127.0.0.0/8"]
    h.server.write_config()
    h.server.restart()
    with h.server.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<>")
        c.must(250, "RCPT TO:<x@remote.test>")
        c.must(354, "DATA")
        c.send(b"Subject: b\r\n\r\nx\r\n.\r\n")
        c.must(250)
    h.drained()
    tap.eq(h.sink.messages, [])
    tap.eq(h.server.messages("alice"), [])


def test_dot_refused(h):
    """5xx after the final dot bounces, 4xx waits"""
    h.reset()
    h.answers["."] = ["451 4.3.0 busy", "554 5.7.1 looks like spam"]
    h.send(["x@remote.test"])
    status = list(h.report(30).iter_parts())[1].get_payload()[1]
    tap.eq(status["status"], "5.7.1")
    h.drained()


def test_queue_cli(h):
    """queue list, show, retry, drop"""
    h.reset()
    h.answers["CONNECT"] = ["421 4.3.2 closed"] * 500
    h.send(["x@remote.test"])
    row = wait_for("an attempt", lambda: [
        r for r in h.rows() if r.get("attempts")])[0]
    text = h.server.cli("queue", "list").stdout
    for word in ("alice@example.test", "x@remote.test", "4.3.2"):
        tap.contains(text, word)
    number = str(row["id"])
    text = h.server.cli("queue", "show", number).stdout
    tap.contains(text, "x@remote.test")
    tap.contains(text, "Subject: out")
    tap.eq(h.server.cli("queue", "show", "999999", check=False).returncode, 1)
    tap.eq(h.server.cli("queue", "drop", "x", check=False).returncode, 2)
    h.answers.clear()
    h.server.cli("queue", "retry", number)
    h.wait_sink(1, 5)
    h.drained()
    h.answers["CONNECT"] = ["421 4.3.2 closed"] * 500
    h.send(["x@remote.test"])
    number = str(wait_for("a row", h.rows)[0]["id"])
    wait_for("it can be dropped", lambda: h.server.cli(
        "queue", "drop", number, check=False).returncode == 0)
    tap.eq(h.rows(), [])
    h.answers.clear()


def test_restart_keeps(h):
    """what waits is there after a restart, and goes out"""
    h.reset()
    h.answers["CONNECT"] = ["421 4.3.2 closed"] * 500
    h.send(["x@remote.test"])
    wait_for("an attempt", lambda: h.sink.sessions)
    h.server.kill()
    h.answers.clear()
    h.server.start()
    h.wait_sink(1, 30)
    h.drained()


def test_big(h):
    """25 MB goes out in bounded memory"""
    h.reset()
    pid = h.server.worker("runner")
    before = h.server.memory(pid)
    message = MESSAGE + b"".join(b"%076d\r\n" % i for i in range(320_000))
    h.send(["x@remote.test"], message)
    m = h.wait_sink(1, 60 * SLOW)[0]
    tap.ok(m.data.endswith(message), "bytes differ")
    grown = h.server.memory(pid) - before
    if SLOW == 1:       # a sanitizer keeps what is freed
        tap.ok(grown < 8192, "peak grew by %d KiB" % grown)


def test_expiry():
    """after the lifetime the sender is told"""
    with House(lifetime="3s") as h:
        h.answers["RCPT"] = ["450 4.2.2 mailbox full"] * 500
        h.send(["x@remote.test"])
        status = list(h.report(30).iter_parts())[1].get_payload()[1]
        tap.eq(status["action"], "failed")
        tap.contains(status["diagnostic-code"], "mailbox full")
        h.drained()


def test_smarthost():
    """a smarthost, with login under TLS"""
    with FakeDNS(ZONE) as dns, Sink(extensions=["8BITMIME", "AUTH PLAIN"]) \
            as sink, Server({"dns": {"servers": [dns.address]}}) as s:
        sink.tls = (s.cert, s.key)
        s.extra["queue"] = {
            "smarthost": "localhost:%d" % sink.port,
            "smarthost_login": "me", "smarthost_password": "s3cret",
            "smarthost_tls": "required", "ca_file": s.cert}
        dns.zone["localhost A"] = ["127.0.0.1"]
        s.write_config()
        s.restart()
        smtp = s.submission()
        smtp.sendmail("alice@example.test", ["x@anywhere.test"], MESSAGE)
        smtp.quit()
        m = wait_for("the smarthost", lambda: sink.messages)[0]
        tap.eq(m.tls, True)
        tap.contains(m.auth, "PLAIN AG1lAHMzY3JldA==")
        with open(s.log) as f:
            tap.ok("s3cret" not in f.read())


with House() as house:
    own = ("test_expiry", "test_smarthost")
    tap.run({k: v for k, v in globals().items() if k not in own}, house)
tap.call(tap.title(test_expiry), test_expiry)
tap.call(tap.title(test_smarthost), test_smarthost)
tap.done()
