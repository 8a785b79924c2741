#!/usr/bin/python3
# test: timeout=120
"""The pipe transport: what a program is given, what its end means, its time,
and a runner that is killed while it runs."""
import os
import signal
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server, wait_for

MESSAGE = (b"From: alice@example.test\r\nSubject: out\r\n"
           b"Date: Tue, 01 Jul 2025 10:00:00 +0000\r\n"
           b"Message-ID: <out@example.test>\r\n\r\n"
           + b"a line \xfc\r\n" * 5000 + b"end\r\n")
PROGRAM = """#!/bin/sh
# out/NAME.in, .env, .args, .fds for each recipient
cd "$1" || exit 78
name=$LOCAL.$(ls | grep -c "^$LOCAL\\..*in$")
env >"$name.env"
echo "$#" "$2" "$3" >"$name.args"
ls /proc/self/fd | tr '\\n' ' ' >"$name.fds"
case $LOCAL in
slow)	touch "$name.begun"; sleep 3;;
hang)	sleep 60 & echo $! >"$name.child"; wait;;
die)	kill -9 $$;;
leave)	sleep 8 & ;;
exit*)	echo "because of $LOCAL" >&2; echo more; exit ${LOCAL#exit};;
esac
cat >"$name.tmp" && mv "$name.tmp" "$name.in"
"""


class House:
    def __enter__(self):
        self.server = Server(start=False).__enter__()
        s = self.server
        self.out = os.path.join(s.data, "out")
        os.mkdir(self.out)
        os.chmod(self.out, 0o777)
        self.program = s.path("program")
        with open(self.program, "w") as f:
            f.write(PROGRAM)
        os.chmod(self.program, 0o755)
        command = [self.program, self.out, "two words", "$HOME;`x`"]
        module = s.plugin("pipe")
        s.extra.update({
            "queue": {"retry_first": "300ms", "retry_most": "500ms"},
            "plugin.pipe": {"module": module, "command": command,
                            "timeout": "4s"},
            "plugin.raw": {"module": module, "command": command,
                           "line_ends": "crlf", "return_path": False},
            "plugin.gone": {"module": module, "command": ["/nowhere/x"]},
            "route.pipe": {"domains": ["pipe.test"], "transport": "pipe"},
            "route.raw": {"domains": ["raw.test"], "transport": "raw"},
            "route.gone": {"domains": ["gone.test"], "transport": "gone"},
        })
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def send(self, rcpts, message=MESSAGE):
        smtp = self.server.submission()
        smtp.sendmail("alice@example.test", rcpts, message,
                      ["BODY=8BITMIME"])
        smtp.quit()

    def read(self, name):
        with open(os.path.join(self.out, name), "rb") as f:
            return f.read()

    def drained(self):
        wait_for("an empty queue", lambda: not self.server.queue(), 20)

    def deferred(self):
        return wait_for("a deferral", lambda: [
            r for r in self.server.queue() if r["attempts"] > 0])[0]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_bytes(h):
    """standard input is the message, byte for byte"""
    h.send(["a@pipe.test", "b@raw.test"])
    h.drained()
    got = h.read("a.0.in")
    tap.ok(got.startswith(b"Return-Path: <alice@example.test>\nReceived: "))
    tap.ok(got.endswith(MESSAGE.replace(b"\r\n", b"\n")))
    tap.ok(b"\r" not in got)
    got = h.read("b.0.in")
    tap.ok(got.startswith(b"Received: "), got[:100])
    tap.ok(got.endswith(MESSAGE))


def test_surroundings(h):
    """its environment, arguments and open files are what they should be"""
    env = dict(line.split("=", 1) for line in
               h.read("a.0.env").decode().splitlines())
    tap.eq((env["SENDER"], env["RECIPIENT"], env["LOCAL"], env["DOMAIN"]),
           ("alice@example.test", "a@pipe.test", "a", "pipe.test"))
    tap.ok(env["MESSAGE_ID"])
    tap.ok("HOME" not in env and "CONFIG_PATH" not in env, env)
    tap.eq(h.read("a.0.args"), b"3 two words $HOME;`x`\n")
    tap.eq(h.read("a.0.fds").split(), [b"0", b"1", b"2", b"3"])


def test_each(h):
    """once for each recipient, each from the first byte"""
    h.send(["r%d@pipe.test" % i for i in range(5)])
    h.drained()
    for i in range(5):
        got = h.read("r%d.0.in" % i)
        tap.ok(got.endswith(MESSAGE.replace(b"\r\n", b"\n")))
        tap.contains(h.read("r%d.0.env" % i), b"RECIPIENT=r%d@" % i)


def ends_with(h, status, code):
    h.server.drop_queue()
    h.server.empty("alice")
    h.send(["exit%d@pipe.test" % status])
    if code[0] == "4":
        row = h.deferred()
        tap.contains(str(row), code)
        tap.contains(str(row), "because of exit%d" % status)
        return
    h.drained()
    report = wait_for("the report", lambda: h.server.messages("alice"))[0]
    tap.contains(report, code.encode())
    tap.contains(report, b"because of exit%d" % status)


def test_time(h):
    """a program that takes too long is ended with all it started"""
    h.server.drop_queue()
    h.send(["hang@pipe.test"])
    tap.contains(str(h.deferred()), "took too long")
    child = int(h.read("hang.0.child"))
    wait_for("its child's end", lambda: not os.path.exists(
        "/proc/%d" % child) or open("/proc/%d/stat" % child).read()
        .rsplit(")", 1)[1].split()[0] == "Z", 5)
    h.server.drop_queue()


def test_dies(h):
    """one that dies of a signal, one that is not there: tried again"""
    for rcpt, words in (("die@pipe.test", "died of signal 9"),
                        ("x@gone.test", "/nowhere/x: No such file")):
        h.server.drop_queue()
        h.send([rcpt])
        tap.contains(str(h.deferred()), words)
    h.server.drop_queue()


def test_leaves(h):
    """one that leaves a child behind is not waited for"""
    start = time.monotonic()
    h.send(["leave@pipe.test"])
    h.drained()
    tap.ok(time.monotonic() - start < 6, "waited for the child")


def test_kill(h):
    """kill -9 of the runner while it runs: nothing lost, nothing cut"""
    h.server.drop_queue()
    h.send(["slow@pipe.test"])
    wait_for("its begin", lambda: os.path.exists(
        os.path.join(h.out, "slow.0.begun")))
    os.kill(h.server.worker("runner"), signal.SIGKILL)
    h.drained()
    time.sleep(0.5)
    whole = [n for n in os.listdir(h.out)
             if n.startswith("slow.") and n.endswith(".in")]
    tap.ok(whole)
    for name in whole:
        tap.ok(h.read(name).endswith(MESSAGE.replace(b"\r\n", b"\n")), name)


with House() as house:
    tap.run({k: v for k, v in globals().items() if k != "test_kill"}, house)
    tap.table([("status %d is %s" % row, *row) for row in (
        (65, "5.6.0"), (67, "5.1.1"), (69, "5.3.0"), (73, "5.2.0"),
        (77, "5.7.0"), (75, "4.3.0"), (78, "4.3.5"), (64, "4.3.5"),
        (1, "4.3.0"), (127, "4.3.0"))], ends_with, house)
    tap.call(tap.title(test_kill), test_kill, house)
tap.done()
