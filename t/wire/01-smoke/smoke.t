#!/usr/bin/python3
"""The shortest true path: mail in by SMTP, out by IMAP and POP3, sent by
submission; the server starts, says how it is and stops cleanly."""
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

MESSAGE = (b"From: someone@elsewhere.test\r\nTo: bob@example.test\r\n"
           b"Subject: smoke\r\n\r\nHello.\r\n")


def test_processes(s):
    """master, and a worker for each kind of work"""
    lines = " | ".join(s.processes().values())
    for role in ("smtp", "mailbox", "runner"):
        tap.contains(lines, role)
    if os.getuid() == 0:
        for pid in s.processes():
            tap.ok(os.stat("/proc/%d" % pid).st_uid != 0, "worker is root")


def test_delivery(s):
    """mail from outside arrives with one Received field above it"""
    s.send(MESSAGE)
    got = s.newest("bob")
    tap.ok(got.endswith(MESSAGE), "bytes differ: %r" % got)
    added = got[:-len(MESSAGE)]
    tap.eq(added.lower().count(b"received:"), 1)
    tap.contains(added, b"client.test")


def test_pop3(s):
    """POP3 shows the same bytes"""
    box = s.pop3("bob")
    lines = box.retr(1)[1]
    box.quit()
    tap.eq(b"\r\n".join(lines) + b"\r\n", s.newest("bob"))


def test_submission(s):
    """submission from alice to bob"""
    smtp = s.submission("alice")
    smtp.sendmail("alice@example.test", ["bob@example.test"],
                  MESSAGE.replace(b"smoke", b"submitted"))
    smtp.quit()
    tap.contains(s.newest("bob"), b"Subject: submitted\r\n")


def test_status(s):
    """mailroom status, for people and programs"""
    tap.ok(s.cli("status").stdout.strip())
    tap.ok(isinstance(s.cli_json("status"), dict))
    names = [a["account"] for a in s.cli_json("account", "list")]
    tap.eq(sorted(names), ["alice@example.test", "bob@example.test"])


def test_usage(s):
    """exit status 1 for a refusal, 2 for wrong usage"""
    for args, status in ((["account", "remove", "no@example.test"], 1),
                         (["no-such-verb"], 2), ([], 2),
                         (["account"], 2),
                         (["account", "add"], 2)):
        done = s.cli(*args, check=False)
        tap.eq(done.returncode, status, " ".join(args))
        tap.ok(done.stderr.strip(), "%s: nothing on stderr" % args)


def test_stop(s):
    """SIGTERM: status 0, no process left, no complaint in the log"""
    pids = list(s.processes()) + [s.proc.pid]
    tap.eq(s.stop(), 0)
    tap.eq([p for p in pids if os.path.exists("/proc/%d/exe" % p)], [])
    with open(s.log) as f:
        log = f.read()
    tap.ok("level=error" not in log, log[-2000:])


with Server() as server:
    tap.run(globals(), server)
tap.done()
