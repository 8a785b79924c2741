#!/usr/bin/python3
# test: alone timeout=600
"""quickstart on a copy of this tree (what is built is taken along): proof,
second run, --keep, --status, --stop, SIGKILL, and a folder that only root
can enter."""
import json
import os
import shutil
import signal
import smtplib
import ssl
import stat
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, __file__.rsplit("/t/", 1)[0] + "/t/lib")
import tap
from server import ROOT

OFFSET = "20000"


class Copy:
    """A copy of the tree, without its run folder."""

    def __init__(self, mode):
        self.top = tempfile.mkdtemp(prefix="mailroom-q.")
        os.chmod(self.top, mode)
        self.dir = os.path.join(self.top, "mailroom")

    def __enter__(self):
        os.mkdir(self.dir)
        names = [n for n in os.listdir(ROOT)
                 if n not in ("run", "build-san", ".git")]
        subprocess.run(["cp", "-a"] + names + [self.dir], cwd=ROOT, check=True)
        return self

    def __exit__(self, *exc):
        self.run("--stop")
        try:
            with open(self.dir + "/run/config.toml") as f:
                for line in f:
                    if line.startswith("data ") and "/var/lib/" in line:
                        shutil.rmtree(os.path.dirname(line.split('"')[1]))
        except OSError:
            pass
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, *args):
        return subprocess.run(
            ["./quickstart", *args], cwd=self.dir, capture_output=True,
            text=True, env=dict(os.environ, QUICKSTART_PORTS=OFFSET))

    def good(self, *args):
        done = self.run(*args)
        tap.eq(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def client(self):
        with open(self.dir + "/run/client.json") as f:
            return json.load(f)

    def pid(self):
        with open(self.dir + "/run/mailroomd.pid") as f:
            return int(f.read())


def gone(pid):
    return not os.path.exists("/proc/%d/exe" % pid)


def test_first(c):
    """the first run proves the main job and explains itself"""
    text = c.good()
    for word in ("[1/6]", "[6/6]", "AUTH", "IMAP", "POP3", "Received:",
                 "account add", "config.toml", "--keep"):
        tap.contains(text, word)
    tap.ok("****" in text and c.client()["accounts"][0]["password"] not in
           text.split("Settings for")[0], "a password is in the transcript")
    tap.eq(c.run("--status").returncode, 1)


def test_second(c):
    """the second run takes seconds and keeps what the first made"""
    before = c.client()
    start = time.monotonic()
    c.good()
    tap.ok(time.monotonic() - start < 45, "took %.0f s"
           % (time.monotonic() - start))
    tap.eq(c.client(), before)


def test_keep(c):
    """--keep leaves it running; --status says so; files as promised"""
    c.good("--keep")
    tap.contains(c.good("--status"), str(c.pid()))
    tap.eq(os.getpgid(c.pid()), c.pid())
    mode = os.stat(c.dir + "/run/client.json").st_mode
    tap.eq(stat.S_IMODE(mode), 0o600)
    j = c.client()
    tap.eq(sorted(j), ["accounts", "ca_file", "domain", "host", "ports"])
    tap.eq(sorted(j["ports"]), ["imap", "imaps", "pop3", "pop3s", "smtp",
                                "submission", "submissions"])
    tap.eq(len(j["accounts"]), 2)
    tls = ssl.create_default_context(cafile=j["ca_file"])
    with smtplib.SMTP_SSL(j["host"], j["ports"]["submissions"],
                          context=tls) as smtp:
        smtp.login(j["accounts"][0]["address"], j["accounts"][0]["password"])


def test_keep_again(c):
    """--keep with a server that runs: the same one"""
    pid = c.pid()
    c.good("--keep")
    tap.eq(c.pid(), pid)


def test_killed(c):
    """after SIGKILL of the whole group --keep starts it again"""
    for _ in range(2):
        pid = c.pid()
        os.killpg(pid, signal.SIGKILL)
        while not gone(pid):
            time.sleep(0.05)
        c.good("--keep")
        tap.ok(c.pid() != pid)


def test_unprivileged(c):
    """no worker is root"""
    children = subprocess.run(["ps", "-o", "uid=", "--ppid", str(c.pid())],
                              capture_output=True, text=True).stdout.split()
    tap.ok(len(children) >= 3 and "0" not in children, children)


def test_stop(c):
    """--stop ends it, twice is no trouble"""
    pid = c.pid()
    c.good("--stop")
    tap.ok(gone(pid))
    c.good("--stop")
    tap.eq(c.run("--status").returncode, 1)


def test_port_taken(c):
    """a port that somebody has: it says which, and what to do"""
    import socket
    port = c.client()["ports"]["imap"]
    with socket.create_server(("127.0.0.1", port)):
        done = c.run()
    tap.ok(done.returncode != 0)
    tap.contains(done.stdout, str(port))
    tap.contains(done.stdout, "What to do")
    c.good()


def test_usage(c):
    """an option that is none: usage, status 2"""
    done = c.run("--frob")
    tap.eq(done.returncode, 2)
    tap.contains(done.stderr, "--keep")


with Copy(0o755) as copy:
    tap.run(globals(), copy)
if os.getuid() == 0:
    with Copy(0o700) as hidden:
        tap.call("below a folder that only root can enter: it works",
                 test_first, hidden)
tap.done()
