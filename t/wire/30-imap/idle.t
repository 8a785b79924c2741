#!/usr/bin/python3
"""IMAP IDLE (RFC 2177): woken by delivery, by another session, at once."""
import statistics
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, SLOW, Server
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: i\r\n\r\nx\r\n"


def idle(s, name="imap", select=b"INBOX"):
    c = Line(s.ports[name], tls=s.tls if name == "imaps" else None)
    c.line()
    c.imap(b"a", b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    if select:
        c.imap(b"b", b"SELECT " + select)
    c.send(b"c IDLE\r\n")
    tap.ok(c.line().startswith(b"+"))
    return c


def stop(c):
    c.send(b"DONE\r\n")
    tap.ok(c.until(b"c")[1].startswith(b"OK"))


def exists(c):
    while True:
        line = c.line()
        if line.endswith(b"EXISTS"):
            return int(line.split()[1])


def test_delivery_wakes(s):
    """delivery by SMTP is told to an idle client within a moment"""
    for name in ("imap", "imaps"):
        with idle(s, name) as c:
            times = []
            for _ in range(10):
                s.send(MESSAGE)
                start = time.monotonic()
                exists(c)
                times.append(time.monotonic() - start)
            stop(c)
        tap.ok(statistics.median(times) < 0.1 * SLOW,
               "median %.0f ms" % (1e3 * statistics.median(times)))


def test_other_session_wakes(s):
    """flags and removals of another session are told too"""
    s.empty()
    s.send(MESSAGE)
    with idle(s) as c:
        box = s.imap()
        box.store("1", "+FLAGS", "(\\Flagged)")
        line = c.line()
        tap.ok(b"FETCH" in line and b"\\Flagged" in line, line)
        box.store("1", "+FLAGS", "(\\Deleted)")
        c.line()
        box.expunge()
        tap.eq(c.line(), b"* 1 EXPUNGE")
        box.logout()
        stop(c)


def test_many_idle(s):
    """100 idle sessions are all told"""
    waiting = [idle(s) for _ in range(100)]
    s.send(MESSAGE)
    counts = {exists(c) for c in waiting}
    tap.eq(len(counts), 1)
    for c in waiting:
        c.close()


def test_other_mailbox(s):
    """what happens in another mailbox wakes nobody"""
    with idle(s, select=b"Sent") as c:
        s.send(MESSAGE)
        c.sock.settimeout(0.5)
        try:
            line = c.sock.recv(100)
            tap.ok(False, "told %r" % line)
        except TimeoutError:
            pass
        c.sock.settimeout(20)
        c.send(b"DONE\r\n")
        tap.ok(c.sock.recv(100).startswith(b"c OK"))


def test_idle_unselected(s):
    """IDLE with no mailbox selected"""
    with idle(s, select=None) as c:
        stop(c)


def test_garbage(s):
    """something else than DONE ends IDLE with BAD"""
    with idle(s) as c:
        c.send(b"FROB\r\n")
        tap.ok(c.until(b"c")[1].startswith(b"BAD"))


def test_idle_then_work(s):
    """after DONE the session goes on; DONE and the next command at once"""
    with idle(s) as c:
        c.send(b"DONE\r\nd NOOP\r\n")
        tap.ok(c.until(b"c")[1].startswith(b"OK"))
        tap.ok(c.until(b"d")[1].startswith(b"OK"))


def test_gone_client(s):
    """clients that vanish while idle leave nothing behind"""
    import os
    pid = s.worker("mailbox")
    for _ in range(3):
        before = len(os.listdir("/proc/%d/fd" % pid))
        for c in [idle(s) for _ in range(20)]:
            c.close()
        end = time.monotonic() + 10 * SLOW
        while len(os.listdir("/proc/%d/fd" % pid)) > before:
            tap.ok(time.monotonic() < end, "descriptors stay")
            time.sleep(0.1)


with Server() as server:
    tap.run(globals(), server)
tap.done()
