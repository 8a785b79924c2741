#!/usr/bin/python3
# test: timeout=60
"""mailroom auth test: the message goes out, and what the other side answers is
read, however it writes it."""
import base64
import email
import sys
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server
from sink import Sink

SUMMARY = """Summary of results
SPF check:          pass
"iprev" check:      fail
DKIM check:         %s
DomainKeys check:   neutral
SpamAssassin check: ham
The word dkimpass and spf: perhaps are none.
"""


class House:
    """Answers each message that reaches the sink, as a service would."""

    def __enter__(self):
        self.answer = None
        self.sink = Sink().__enter__()
        self.dns = FakeDNS({"check.test MX": [(10, "mx.check.test")],
                            "mx.check.test A": ["127.0.0.1"]}).__enter__()
        self.server = Server({"dns": {"servers": [self.dns.address]},
                              "queue": {"port": self.sink.port}}).__enter__()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join()
        for one in (self.server, self.dns, self.sink):
            one.__exit__(*exc)

    def serve(self):
        while not self.over.wait(0.1):
            if self.sink.messages:
                self.reply(email.message_from_bytes(
                    self.sink.messages.pop().data))

    def reply(self, got):
        if self.answer:
            with self.server.smtp() as c:
                c.sendmail("", ["alice@example.test"], (
                    "From: auth@check.test\nIn-Reply-To: %s\nSubject: Re: %s\n"
                    "Authentication-Results: check.test; dkim=fail\n%s" % (
                        got["Message-ID"], got["Subject"], self.answer)))

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def run(self, answer, *args):
        self.answer = answer
        return self.server.cli("auth", "test", "--to", "me@check.test",
                               "--from", "alice@example.test", *args,
                               check=False)


def test_pass(h):
    """a summary for people, which passes"""
    done = h.run("\n" + SUMMARY % "pass")
    tap.eq(done.returncode, 0, done.stdout)
    for part in ("spf: pass\n", "iprev: fail\n", "dkim: pass\n",
                 "Mail of alice@example.test passes at me@check.test."):
        tap.contains(done.stdout, part)
    tap.ok("ham" not in done.stdout)


def test_fail(h):
    """results as headers have them, in base64, one of which fails"""
    text = base64.encodebytes(b"Authentication-Results: x; spf=pass; "
                              b"dkim=fail (bad) header.d=y;dmarc=fail")
    done = h.run("Content-Type: text/plain\nContent-Transfer-Encoding: "
                 "base64\n\n" + text.decode())
    tap.eq(done.returncode, 1)
    tap.contains(done.stdout, "spf: pass\ndkim: fail\ndmarc: fail\n"
                 "Not all passes.")
    tap.eq(h.server.queue(), [])


def test_silent(h):
    """an answer without results, none at all, wrong usage"""
    done = h.run("\nThank you for your mail.\n")
    tap.eq(done.returncode, 1)
    tap.contains(done.stdout, "its answer tells no result")
    done = h.run(None, "--wait", "2")
    tap.eq(done.returncode, 1)
    tap.contains(done.stdout, "No answer in 2 seconds")
    tap.eq(h.server.cli("auth", "test", "--to", "x@y.test", "--from",
                        check=False).returncode, 2)


with House() as house:
    tap.run(globals(), house)
tap.done()
