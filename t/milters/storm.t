#!/usr/bin/python3
# test: alone timeout=300
"""1000 messages while real filters and plugins are killed, stopped and
corrupted at random moments: none is lost, none comes twice, and each sender
hears the truth."""
import os
import random
import re
import signal
import socket
import sys
import threading
import time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
import tap
from filters import ClamAV, OpenDKIM, need
from outsider import send_many
from server import BUILD, Server, wait_for
from wire import stuff

MESSAGES, SENDERS = 1000, 8
SEED = int(os.environ.get("SEED", time.time()))
CHANCE = random.Random(SEED)


class Corruptor:
    """Between us and a filter: now and then bytes are not what they were."""

    def __init__(self, target, path):
        self.target, self.path = target, path
        self.bad = False
        self.changed = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                ours = self.listener.accept()[0]
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            try:
                theirs.connect(self.target)
            except OSError:
                ours.close()
                continue
            for pair in ((ours, theirs, False), (theirs, ours, True)):
                threading.Thread(target=self.pump, args=pair,
                                 daemon=True).start()

    def pump(self, source, target, is_answer):
        try:
            while data := source.recv(65536):
                if self.bad and is_answer:
                    at = CHANCE.randrange(len(data))
                    data = data[:at] + bytes([data[at] ^ 0x55]) + \
                        data[at + 1:]
                    self.changed += 1
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def remember(f):
    """Lets the filter's own process be started again as it was."""
    run = f.run

    def noting(command, *args, **kw):
        f.command = command, args, kw
        run(command, *args, **kw)
    f.run = noting
    return f


def restart(f):
    proc = f.procs.pop()
    os.killpg(proc.pid, signal.SIGKILL)
    proc.wait()
    if os.path.exists(f.listens):
        os.unlink(f.listens)
    time.sleep(CHANCE.random() * .3)
    command, args, kw = f.command
    f.run(command, *args, **kw)
    os.chmod(f.listens, 0o666)


def pause(pid):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(CHANCE.random() * .8)
    os.kill(pid, signal.SIGCONT)


def hosts_of_plugins(s):
    """Processes of isolated plugins, below our workers."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().split(b"\0")
            with open("/proc/%s/stat" % pid) as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if b"--plugin-host" in words and parent in s.workers("smtp"):
            found.append(int(pid))
    return found


class Storm(threading.Thread):
    def __init__(self, s, dkim, clam, corruptor):
        super().__init__(daemon=True)
        self.s, self.dkim, self.clam = s, dkim, clam
        self.corruptor = corruptor
        self.over = threading.Event()
        self.done = {}

    def kill_dkim(self):
        restart(self.dkim)

    def kill_clam(self):
        restart(self.clam)

    def stop_dkim(self):
        pause(self.dkim.procs[-1].pid)

    def stop_clam(self):
        pause(self.clam.procs[-1].pid)

    def kill_plugin(self):
        for pid in hosts_of_plugins(self.s):
            os.kill(pid, signal.SIGKILL)

    def stop_plugin(self):
        for pid in hosts_of_plugins(self.s)[:1]:
            pause(pid)

    def corrupt(self):
        self.corruptor.bad = True
        time.sleep(.3)
        self.corruptor.bad = False

    def run(self):
        ways = [self.kill_dkim, self.kill_clam, self.stop_dkim,
                self.stop_clam, self.kill_plugin, self.stop_plugin,
                self.corrupt]
        turn = list(ways)
        while not self.over.wait(CHANCE.random() * .4):
            way = turn.pop() if turn else CHANCE.choice(ways)
            try:
                way()
            except ProcessLookupError:
                continue
            self.done[way.__name__] = self.done.get(way.__name__, 0) + 1


def send(s, number):
    """The final code that the sender hears; None: the line broke."""
    try:
        with s.line(ehlo="c.test") as c:
            for line in ("MAIL FROM:<a@b.test>",
                         "RCPT TO:<bob@example.test>", "DATA"):
                code = c.cmd(line)
                if code >= 400:
                    return code
            c.send(stuff(b"From: a@b.test\r\nSubject: %d%s\r\n\r\nbody\r\n" % (
                number, b" crash" if number % 200 == 199 else b"")))
            return c.reply()[0]
    except (EOFError, OSError):
        return None


def test_storm(s, storm):
    """1000 messages"""
    storm.start()
    # with a pause, so that not all fall into one gap
    codes = send_many(lambda n: send(s, n), MESSAGES, SENDERS, .1)
    storm.over.set()
    storm.join()
    heard = {c: list(codes.values()).count(c) for c in set(codes.values())}
    print("# seed %d, %r, %d bytes changed, heard %r" % (
        SEED, storm.done, storm.corruptor.changed, heard))
    tap.ok(set(codes.values()) <= {250, 451, 421, None}, heard)
    got = [int(re.search(rb"Subject: (\d+)", m)[1])
           for m in s.messages("bob")]
    tap.eq(len(got), len(set(got)), "doubled")
    accepted = {n for n, code in codes.items() if code == 250}
    unsure = {n for n, code in codes.items() if code is None}
    tap.eq(accepted - set(got), set(), "lost")
    tap.eq(set(got) - accepted - unsure, set(), "refused, and there")
    tap.ok(len(accepted) > 300, heard)
    tap.ok(len(accepted) < MESSAGES, "the storm was none")
    tap.ok(len(storm.done) >= 5, storm.done)


def test_filtered(s, storm):
    """each that was taken has been seen by all of them"""
    bare = 0
    for m in s.messages("bob"):
        tap.contains(m, b"dkim=none", m[:1500])
        bare += b"X-Virus-Scanned" not in m
    # a byte of the field's name may have been changed on its way
    tap.ok(bare <= storm.corruptor.changed, bare)


def test_crashes(s, storm):
    """the plugin that crashed is named, and the worker is the one of before"""
    with open(s.log, errors="replace") as f:
        tap.contains(f.read(), "plugin=naughty")


def test_after(s, storm):
    """well again, it works again"""
    # what died often is started again later and later
    wait_for("recovery", lambda: send(s, 0) == 250, 90)
    s.empty("bob")
    tap.eq([send(s, n) for n in range(20)], [250] * 20)
    tap.eq(len(s.messages("bob")), 20)


need(("opendkim", "opendkim"), ("clamd", "clamav-daemon"),
     ("clamav-milter", "clamav-milter"))
with remember(OpenDKIM()) as dkim, remember(ClamAV()) as clam:
    middle = os.path.join(clam.dir, "middle.sock")
    corruptor = Corruptor(clam.listens, middle)
    quick = {"timeout": "500ms", "data_timeout": "500ms",
             "end_timeout": "1500ms", "connect_timeout": "2s",
             "negotiate_timeout": "2s", "breaker_failures": 0}
    config = {"milter.opendkim": {"socket": dkim.socket, **quick},
              "milter.clamav": {"socket": "unix:" + middle, **quick},
              "plugin.naughty": {
                  "module": BUILD + "/t/wire/70-plugin/naughty.so",
                  "isolate": "process", "time": "500ms"},
              "smtp": {"reverse_dns": False},
              "chain": {"inbound": ["opendkim", "naughty", "clamav"],
                        "submission": []}}
    with Server(config) as server:
        tap.run(globals(), server, Storm(server, dkim, clam, corruptor))
tap.done()
