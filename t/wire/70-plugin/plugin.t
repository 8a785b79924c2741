#!/usr/bin/python3
# test: timeout=180
"""Filters in the process: the example plugin's work, and one that crashes,
hangs or answers nonsense."""
import os
import shutil
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, SLOW, Server, wait_for

MODULE = os.path.join(BUILD, "t/wire/70-plugin/naughty.so")


def message(subject):
    return (b"From: a@elsewhere.test\r\nSubject: %s\r\n\r\nx\r\n"
            % subject.encode())


def deliver(s, subject):
    """The code after the dot; 0 if the connection ended instead."""
    try:
        with s.line(ehlo="client.test") as c:
            c.must(250, "MAIL FROM:<a@elsewhere.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(message(subject) + b".\r\n")
            return c.reply()[0]
    except (EOFError, OSError):
        return 0


def wait_again(s):
    wait_for("the smtp worker", lambda: s.answers(s.ports["smtp"]), 20)


def test_passes(s):
    """what does not provoke it passes"""
    tap.eq(deliver(s, "quiet"), 250)


def test_crash(s):
    """a filter that segfaults: 4xx, named in the log, IMAP unmoved"""
    for subject in ("crash", "abort"):
        wait_again(s)
        s.log_mark()
        s.empty("bob")
        box = s.imap("bob")
        code = deliver(s, subject)
        tap.eq(box.noop()[0], "OK", "the IMAP session died too")
        box.logout()
        tap.ok(400 <= code < 500, "%s: code %d" % (subject, code))
        wait_for("its name in the log",
                 lambda: "naughty" in s.log_since_mark())
        wait_again(s)
        tap.eq(s.messages("bob"), [])
        tap.eq(deliver(s, "quiet"), 250)


def test_hang(s):
    """a filter that hangs: 4xx in time, named, others go on"""
    wait_again(s)
    s.log_mark()
    s.empty("bob")
    codes = []
    start = time.monotonic()
    threads = [threading.Thread(target=lambda: codes.append(
        deliver(s, "hang"))) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    tap.eq(deliver(s, "quiet"), 250)
    tap.ok(time.monotonic() - start < 2 * SLOW, "the others waited")
    for t in threads:
        t.join(60)
    took = time.monotonic() - start
    tap.ok(took < 12 * SLOW, "4xx came after %.1f s" % took)
    tap.ok(all(400 <= c < 500 for c in codes), codes)
    tap.contains(s.log_since_mark(), "naughty")
    tap.eq(len(s.messages("bob")), 1)


def test_many_hangs(s):
    """more hanging mails than threads: the worker still serves others"""
    wait_again(s)
    threads = [threading.Thread(target=deliver, args=(s, "hang"))
               for _ in range(40)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    wait_for("others are served", lambda: deliver(s, "quiet") == 250,
             30)
    for t in threads:
        t.join(90)


def test_strange_verdict(s):
    """a verdict that is none counts as a temporary refusal"""
    wait_again(s)
    code = deliver(s, "strange verdict")
    tap.ok(400 <= code < 500, code)


def test_flood(s):
    """ten thousand added fields do not break anything"""
    wait_again(s)
    pid = s.worker("smtp")
    code = deliver(s, "flood")
    tap.ok(code == 250 or 400 <= code < 600, code)
    tap.eq(s.worker("smtp"), pid)


def test_plugin_list(s):
    """mailroom plugin list names them, with roles and versions"""
    text = s.cli("plugin", "list").stdout
    for word in ("naughty", "sqlite", "filter", "store"):
        tap.contains(text, word)
    tap.ok(s.cli_json("plugin", "list"))


def test_bad_module(s):
    """a module that is none, or is missing: refused in one clear line"""
    bad = s.path("bad.so")
    with open(bad, "wb") as f:
        f.write(b"\x7fELF nonsense")
    for module in (bad, s.path("missing.so"), "/etc/passwd"):
        s.extra["plugin.other"] = {"module": module}
        s.write_config()
        done = s.cli("config", "check", check=False)
        tap.eq(done.returncode, 1, module)
        tap.contains(done.stderr + done.stdout, module)
    del s.extra["plugin.other"]
    s.write_config()


if not os.path.exists(MODULE):
    tap.skip_all("naughty.so is not built")
with Server(start=False) as server:
    copy = server.path("naughty.so")
    shutil.copy(MODULE, copy)
    server.extra = {
        "plugin.naughty": {"module": copy, "hang_seconds": 20},
        "smtp": {"reverse_dns": False, "filter_timeout": "3s"}}
    server.chain = ["naughty"]
    server.write_config()
    server.start()
    tap.run(globals(), server)
tap.done()
