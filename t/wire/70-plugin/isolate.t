#!/usr/bin/python3
# test: timeout=180
"""Filters in a process of their own, under a running server: a crash there
costs one mail a 4xx and no session; one that crashes workers is moved out."""
import os
import shutil
import signal
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, SLOW, Server, wait_for

NAUGHTY = os.path.join(BUILD, "t/wire/70-plugin/naughty.so")
ROGUE = os.path.join(BUILD, "t/plug/remote/rogue.so")

STAMP = os.path.join(BUILD, "t/plug/mfapi/stamp_table.so")


def message(subject):
    return (b"From: a@elsewhere.test\r\nSubject: %s\r\n\r\nx\r\n"
            % subject.encode())


def deliver(s, subject):
    """The reply after the dot; code 0 if the connection ended instead."""
    try:
        with s.line(ehlo="client.test") as c:
            c.must(250, "MAIL FROM:<a@elsewhere.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(message(subject) + b".\r\n")
            return c.reply()[0]
    except (EOFError, OSError):
        return 0


def hosts(s):
    """Processes that hold a plugin, below the SMTP worker."""
    worker = s.worker("smtp")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == worker:
                    found.append(int(pid))
        except OSError:
            pass
    return found


def set_plugin(s, **section):
    """The server anew, with this filter; sections of the last one go."""
    s.stop()
    module = section.pop("source")
    copy = s.path(os.path.basename(module))
    shutil.copy(module, copy)
    if SLOW > 1:        # sanitizers map more memory than any limit allows
        section["memory"] = 0
    s.extra = {
        "plugin.bad": dict(section, module=copy),
        "workers": {"restart_first": "20ms"},
        "smtp": {"reverse_dns": False, "filter_timeout": "5s"}}
    s.chain = ["bad"]
    s.write_config()
    s.start()


def test_works(s):
    """it runs in a process of its own and edits what is delivered"""
    set_plugin(s, source=ROGUE, isolate="sandbox", mark="isolated")
    s.empty("bob")
    tap.eq(len(hosts(s)), 1)
    tap.eq(deliver(s, "edit sum"), 250)
    raw = s.messages("bob")[0]
    raw = raw if isinstance(raw, bytes) else raw.as_bytes()
    for field in (b"X-Told: isolated 1 hooks=5", b"X-Top: above all",
                  b"x-rogue=pass"):
        tap.ok(field in raw, raw)


def test_crash(s):
    """a crash: one 4xx, named in the log; SMTP and IMAP sessions go on"""
    s.log_mark()
    s.empty("bob")
    worker, process = s.worker("smtp"), hosts(s)
    box = s.imap("bob")
    with s.line(ehlo="other.test") as other:
        other.must(250, "MAIL FROM:<b@elsewhere.test>")
        other.must(250, "RCPT TO:<bob@example.test>")
        code = deliver(s, "segv")
        tap.ok(400 <= code < 500, code)
        other.must(354, "DATA")
        other.send(message("from the other session") + b".\r\n")
        tap.eq(other.reply()[0], 250)
    tap.eq(box.noop()[0], "OK")
    box.logout()
    tap.eq(s.worker("smtp"), worker)
    tap.ok(hosts(s) != process, "the process is the same")
    text = s.log_since_mark()
    for word in ("plugin.crash", "plugin=bad", "hook=message",
                 "Segmentation fault", "plugin.start"):
        tap.contains(text, word)
    tap.eq(len(s.messages("bob")), 1)
    tap.contains(s.cli("status").stdout, "plugin bad: crashed")


def test_storm(s):
    """its process killed and stopped while mail flows: nothing is lost"""
    set_plugin(s, source=ROGUE, isolate="process", time="1s")
    s.empty("bob")
    codes = []

    def send():
        for _ in range(15):
            codes.append(deliver(s, "edit"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for t in threads:
        t.start()
    for sig in (signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL):
        time.sleep(0.15)
        for pid in hosts(s)[:1]:
            os.kill(pid, sig)
    for t in threads:
        t.join()
    tap.eq(len(codes), 60)
    tap.ok(all(c == 250 or 400 <= c < 500 for c in codes), codes)
    tap.ok(codes.count(250) >= 30, codes)
    tap.eq(len(s.messages("bob")), codes.count(250))


def test_recycle(s):
    """replaced after so many messages, also amid a session: none is lost"""
    set_plugin(s, source=ROGUE, isolate="process", recycle=3, time="5s")
    s.empty("bob")
    s.log_mark()
    seen = set(hosts(s))
    with s.line(ehlo="other.test") as one:
        for n in range(10):
            one.must(250, "MAIL FROM:<b@elsewhere.test>")
            one.must(250, "RCPT TO:<bob@example.test>")
            one.must(354, "DATA")
            one.send(message("edit") + b".\r\n")
            tap.eq(one.reply()[0], 250)
            seen |= set(hosts(s))
    tap.eq(len(s.messages("bob")), 10)
    tap.eq(len(seen), 4)
    text = s.log_since_mark()
    tap.eq(text.count("plugin.recycle"), 3)
    tap.ok("plugin.died" not in text and "plugin.crash" not in text, text)
    wait_for("one process", lambda: len(hosts(s)) == 1, 10)


def test_moved_out(s):
    """one that crashes workers again and again runs outside by itself"""
    set_plugin(s, source=NAUGHTY)
    s.log_mark()
    tap.eq(hosts(s), [])
    for _ in range(3):
        wait_for("the smtp worker", lambda: s.answers(s.ports["smtp"]), 20)
        code = deliver(s, "crash")
        tap.ok(400 <= code < 500, code)
        time.sleep(0.3)
    wait_for("the smtp worker", lambda: s.answers(s.ports["smtp"]), 20)
    text = s.log_since_mark()
    moved = [line for line in text.split("\n") if "plugin.isolate" in line]
    tap.eq(len(moved), 1, text)
    tap.contains(moved[0], "plugin=bad")
    wait_for("its process", lambda: len(hosts(s)) == 1, 10)
    worker = s.worker("smtp")
    tap.ok(400 <= deliver(s, "crash") < 500)
    tap.eq(s.worker("smtp"), worker, "the worker died once more")
    tap.eq(deliver(s, "quiet"), 250)
    tap.contains(s.cli("status").stdout, "moved out")


def test_libmilter(s):
    """a filter of libmilter's runs isolated too"""
    for how in ("process", "sandbox"):
        set_plugin(s, source=STAMP, isolate=how,
                   args=["-t", "/dev/null"])
        s.empty("bob")
        tap.eq(len(hosts(s)), 1)
        tap.eq(deliver(s, "for libmilter"), 250)
        raw = s.messages("bob")[0]
        raw = raw if isinstance(raw, bytes) else raw.as_bytes()
        tap.ok(b"X-Saw" in raw, raw)


def test_ends(s):
    """the process ends with its worker"""
    pid = hosts(s)[0]
    s.stop()
    wait_for("its end", lambda: not os.path.exists("/proc/%d" % pid), 10)


for path in (NAUGHTY, ROGUE, STAMP):
    if not os.path.exists(path):
        tap.skip_all(path + " is not built")
with Server() as server:
    # The one whom rogue adds when it edits.
    server.cli("alias", "add", "added@example.test", "alice@example.test")
    tap.run(globals(), server)
tap.done()
