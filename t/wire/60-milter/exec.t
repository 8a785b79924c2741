#!/usr/bin/python3
# test: timeout=240
"""Filters that the server starts itself: [milter.NAME] with exec."""
import os
import re
import shutil
import signal
import sys
import time
LIB = __file__.split("/t/wire/")[0] + "/t/lib"
sys.path.insert(0, LIB)
import tap
from server import Server, wait_for

# It waits a while before it listens, says so, and adds a field.
FILTER = """
import os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter import Milter, add_header
print("starting with", sys.argv[2], flush=True)
time.sleep(float(sys.argv[2]))
def step(session, command, data):
    if command == b"E":
        return [add_header("X-Kept", sys.argv[2]), (b"c", b"")]
with Milter(step, path=sys.argv[1]):
    sys.stderr.write("listening\\n")
    sys.stderr.flush()
    os.spawnvp(os.P_NOWAIT, "sleep", ["sleep", "1000"])
    while True:
        time.sleep(1)
"""
MESSAGE = b"From: a@elsewhere.test\r\nSubject: k\r\n\r\nbody\r\n"


def running(s):
    """{pid: command line} of the filters that run, and their children."""
    return {pid: line for pid, line in s.processes().items()
            if "kept.py" in line}


def pid_of(s):
    rows = s.cli_json("status")["milters"]
    tap.eq([r["name"] for r in rows], ["kept"])
    return rows[0]["pid"]


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def attach(s, pause):
    s.extra["milter.kept"] = {
        "exec": [sys.executable, s.path("kept.py"), "{path}", pause],
        "breaker_failures": 0}
    s.write_config()


def test_start(s):
    """nobody is greeted before the filter answers"""
    attach(s, "1.5")
    start = time.monotonic()
    s.start()
    tap.ok(time.monotonic() - start > 1.5, "greeted too early")
    s.send(MESSAGE)
    tap.contains(s.newest(), b"X-Kept: 1.5\r\n")


def test_socket(s):
    """its socket belongs to the workers' user and to nobody else"""
    folder = os.path.join(s.data, "milters")
    names = os.listdir(folder)
    tap.eq(len(names), 1)
    tap.ok(re.fullmatch(r"kept\.[0-9a-f]{8}\.sock", names[0]), names)
    info = os.stat(folder)
    tap.eq(oct(info.st_mode & 0o777), "0o700")
    worker = os.stat("/proc/%d" % s.worker("smtp")).st_uid
    tap.eq(info.st_uid, worker)
    info = os.stat(os.path.join(folder, names[0]))
    tap.eq((info.st_uid, oct(info.st_mode & 0o077)), (worker, "0o0"))
    tap.eq(os.stat("/proc/%d" % pid_of(s)).st_uid, worker)


def test_inherits(s):
    """nothing of ours is open in it, its environment is clean"""
    pid = pid_of(s)
    targets = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        targets.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    tap.ok(all(t.startswith(("/dev/null", "pipe:", "socket:"))
               for t in targets), targets)
    with open("/proc/%d/environ" % pid, "rb") as f:
        names = {v.split(b"=")[0] for v in f.read().split(b"\0") if v}
    tap.eq(names, {b"PATH", b"HOME"})


def test_log(s):
    """what it writes is in our log, line by line"""
    with open(s.log) as f:
        text = f.read()
    for what in ('text="starting with 1.5"', "text=listening"):
        tap.contains(text, what)
    tap.ok(re.search(r"milter\.says .*filter=kept", text), "no filter named")


def test_dies(s):
    """it is killed: mail waits, and passes when it is back"""
    before = pid_of(s)
    os.kill(before, signal.SIGKILL)
    wait_for("a new one", lambda: pid_of(s) not in (0, before))
    tap.contains(s.log_since_mark(), "milter.died")

    def passes():
        try:
            s.send(MESSAGE)
            return True
        except AssertionError as e:
            tap.contains(str(e), "451")
            return False
    wait_for("mail passes", passes)


def test_reload_same(s):
    """a reload leaves it alone"""
    before = pid_of(s)
    s.cli("reload")
    wait_for("reload", lambda: "master.reloaded" in s.log_since_mark())
    tap.eq(pid_of(s), before)
    s.send(MESSAGE)


def test_reload_new(s):
    """another command: the new one is there before the old one goes"""
    before = pid_of(s)
    attach(s, "0.5")
    s.cli("reload")
    wait_for("reload", lambda: "master.reloaded" in s.log_since_mark())
    s.send(MESSAGE)
    tap.contains(s.newest(), b"X-Kept: 0.5\r\n")
    wait_for("the old one ends", lambda: not is_alive(before))
    tap.eq(len(os.listdir(os.path.join(s.data, "milters"))), 1)


def test_reload_bad(s):
    """a command that does not start: the old generation goes on"""
    good = s.extra["milter.kept"]
    s.extra["milter.kept"] = dict(good, exec=["/no/such/filter"],
                                  start_timeout="1s")
    s.write_config()
    s.cli("reload")
    wait_for("refusal", lambda: "did not become ready" in
             s.log_since_mark(), 30)
    tap.contains(s.log_since_mark(), "/no/such/filter")
    s.send(MESSAGE)
    tap.contains(s.newest(), b"X-Kept: 0.5\r\n")
    s.extra["milter.kept"] = good
    s.write_config()


def test_stop(s):
    """it ends with the server, and so do its children"""
    pid = pid_of(s)
    children = children_of(pid)
    tap.eq(len(children), 1)
    tap.eq(s.stop(), 0)
    tap.ok(not is_alive(pid), "the filter lives")
    wait_for("its children end", lambda: not any(map(is_alive, children)))
    tap.eq(os.listdir(os.path.join(s.data, "milters")), [])


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def test_master_killed(s):
    """the master is killed: the filter ends too"""
    s.start()
    pid = pid_of(s)
    s.proc.kill()
    wait_for("the filter ends", lambda: not is_alive(pid))
    s.kill()


with Server({"milter.kept": {"exec": ["/no/such/filter"]}}, chain=["kept"],
            start=False) as server:
    for name, text in (("kept.py", FILTER), ("milter.py", None)):
        if text:
            with open(server.path(name), "w") as f:
                f.write(text)
        else:
            shutil.copy(os.path.join(LIB, name), server.path(name))
    tap.run(globals(), server)
tap.done()
