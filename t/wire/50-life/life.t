#!/usr/bin/python3
# test: timeout=240
"""The life of the server: reload, worker crash, drain, stale files, bad
configuration."""
import os
import signal
import subprocess
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, PASSWORD, SLOW, Server, wait_for
from wire import Line

MESSAGE = b"From: a@elsewhere.test\r\nSubject: l\r\n\r\nx\r\n"


def test_reload_refuses_nobody(s):
    """SIGHUP while clients connect all the time: not one is refused"""
    stop = threading.Event()
    troubles, greeted = [], []

    def connect():
        while not stop.is_set():
            try:
                with Line(s.ports["smtp"]) as c:
                    c.must(220)
                    c.must(221, "QUIT")
                greeted.append(1)
            except (OSError, EOFError, AssertionError) as e:
                troubles.append(repr(e))

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(3):
        old = s.worker("smtp")
        os.kill(s.proc.pid, signal.SIGHUP)
        wait_for("a new generation", lambda: s.worker("smtp") != old, 20)
        time.sleep(0.5)
    stop.set()
    for t in threads:
        t.join()
    tap.eq(troubles[:3], [])
    tap.ok(len(greeted) > 20, "%d greeted" % len(greeted))


def test_reload_takes_effect(s):
    """SIGHUP: new settings for new sessions, old ones end in peace"""
    with s.line(ehlo="client.test") as old:
        s.extra.setdefault("limits", {})["message_size"] = "123 KB"
        s.write_config()
        worker = s.worker("smtp")
        os.kill(s.proc.pid, signal.SIGHUP)
        wait_for("a new generation", lambda: s.worker("smtp") != worker, 20)

        def offers():
            with s.line() as c:
                return "SIZE 123000" in c.ask("EHLO x.test")[1]
        wait_for("the new limit", offers)
        old.must(250, "MAIL FROM:<a@b.test>")
        old.must(250, "RCPT TO:<bob@example.test>")
        old.must(354, "DATA")
        old.send(MESSAGE + b".\r\n")
        old.must(250)
    wait_for("the old worker's end",
             lambda: worker not in s.processes(), 30)


def test_reload_bad_config(s):
    """SIGHUP with a bad file: it is said in the log, the old goes on"""
    with open(s.config) as f:
        good = f.read()
    with open(s.config, "w") as f:
        f.write(good + "\n[limits]\n")
    s.log_mark()
    worker = s.worker("smtp")
    os.kill(s.proc.pid, signal.SIGHUP)
    wait_for("a word in the log", lambda: "config.toml" in s.log_since_mark())
    time.sleep(0.5)
    tap.eq(s.worker("smtp"), worker)
    s.send(MESSAGE)
    with open(s.config, "w") as f:
        f.write(good)


def test_worker_crash(s):
    """a worker that is killed is started again; others go on"""
    for role in ("smtp", "mailbox", "runner"):
        old = s.worker(role)
        others = set(s.processes()) - {old}
        os.kill(old, signal.SIGSEGV)
        wait_for("a new " + role, lambda: set(s.workers(role)) - {old}, 20)
        tap.eq(others - set(s.processes()), set())
        wait_for("smtp", lambda: s.answers(s.ports["smtp"]))
        wait_for("imap", lambda: s.answers(s.ports["imap"]))
    s.empty()
    s.send(MESSAGE)
    tap.eq(len(s.messages()), 1)


def test_idle_survives_smtp_crash(s):
    """an IMAP session does not notice that the smtp worker died"""
    box = s.imap()
    os.kill(s.worker("smtp"), signal.SIGKILL)
    tap.eq(box.noop()[0], "OK")
    wait_for("smtp", lambda: s.answers(s.ports["smtp"]))
    box.logout()


def test_drain(s):
    """SIGTERM lets a transaction finish"""
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<alice@example.test>")
        c.must(354, "DATA")
        s.proc.terminate()
        time.sleep(0.3)
        c.send(MESSAGE + b".\r\n")
        c.must(250)
    s.proc.wait(20 * SLOW)
    s.kill()
    s.start()
    tap.eq(len(s.messages("alice")), 1)


def test_drain_says_bye(s):
    """SIGTERM: idle clients hear 421 and BYE"""
    with s.line(ehlo="client.test") as smtp, Line(s.ports["imap"]) as imap:
        imap.line()
        s.proc.terminate()
        tap.eq(smtp.reply()[0], 421)
        tap.ok(imap.line().startswith(b"* BYE"))
        tap.ok(smtp.at_end() and imap.at_end())
    tap.eq(s.proc.wait(20 * SLOW), 0)
    s.kill()
    s.start()


def test_stale_files(s):
    """what a SIGKILL leaves behind does not block a start"""
    for _ in range(3):
        s.kill()
        s.start()
    s.cli("status")


def test_killed_master(s):
    """SIGKILL of the master alone: its workers end before the next serves"""
    old = list(s.processes())
    os.kill(s.proc.pid, signal.SIGKILL)
    s.proc.wait()
    s.start()
    # /proc/PID/exe leads nowhere when only the exit status is left of it.
    tap.eq([pid for pid in old if os.path.exists("/proc/%d/exe" % pid)], [])
    s.send(MESSAGE)


def test_second_server(s):
    """a second server on the same data says so and ends"""
    done = subprocess.run(
        [os.path.join(BUILD, "mailroomd"), "--config", s.config,
         "--foreground"], capture_output=True, timeout=30 * SLOW)
    tap.ok(done.returncode != 0)
    tap.ok(done.stderr or done.stdout, "said nothing")
    s.send(MESSAGE)


BAD = [
    ("an unknown key", "hostnam = \"x\"\n", ["hostname"]),
    ("a wrong type", "hostname = 5\n", ["1:12", "^"]),
    ("a syntax error", "hostname = \"x\n", ["1:"]),
    ("a value out of range", "hostname = \"a.test\"\n[limits]\n"
     "message_size = \"banana\"\n", ["3:16", "message_size"]),
    ("an unknown choice", "hostname = \"a.test\"\n[listen.x]\n"
     "protocol = \"smtpp\"\naddress = [\"127.0.0.1:0\"]\n", ["3:12", "smtp"]),
    ("an unknown section", "[lissten.x]\n", ["listen"]),
    ("a chain with a stranger", "[chain]\ninbound = [\"nobody\"]\n",
     ["2:", "nobody"]),
]


def bad_config(s, text, words):
    path = s.path("bad.toml")
    with open(path, "w") as f:
        f.write(text)
    for command in (["mailroom", "--config", path, "config", "check"],
                    ["mailroomd", "--config", path, "--foreground"]):
        done = subprocess.run([os.path.join(BUILD, command[0])] + command[1:],
                              capture_output=True, text=True, timeout=20)
        tap.ok(done.returncode in (1, 2), "status %d" % done.returncode)
        said = done.stderr + done.stdout
        tap.contains(said, "bad.toml:")
        for word in words:
            tap.contains(said, word)


def test_config_path(s):
    """CONFIG_PATH names the file when --config does not"""
    done = subprocess.run([os.path.join(BUILD, "mailroom"), "config", "check"],
                          env=dict(os.environ, CONFIG_PATH=s.config),
                          capture_output=True, text=True, timeout=20)
    tap.eq(done.returncode, 0, done.stderr)


def test_config_show(s):
    """config show: what is set and the defaults, no secrets"""
    tap.contains(s.cli("config", "show").stdout, "mail.example.test")
    text = s.cli("config", "show", "--defaults").stdout
    for word in ("message_size", "[limits]", "[queue]", "smarthost"):
        tap.contains(text, word)
    import tomllib
    tomllib.loads(text)


def test_passwd(s):
    """account passwd and remove"""
    s.add_account("carol@example.test")
    s.cli("account", "passwd", "carol@example.test", "--password-stdin",
          input="new one\n")
    with Line(s.ports["imap"]) as c:
        c.line()
        tap.ok(c.imap(b"a", b'LOGIN carol@example.test "%s"'
                      % PASSWORD.encode())[1].startswith(b"NO"))
        tap.ok(c.imap(b"b", b'LOGIN carol@example.test "new one"')[1]
               .startswith(b"OK"))
    s.cli("account", "remove", "carol@example.test")
    with Line(s.ports["imap"]) as c:
        c.line()
        tap.ok(c.imap(b"a", b'LOGIN carol@example.test "new one"')[1]
               .startswith(b"NO"))
    tap.eq(s.cli("account", "add", "bob@example.test", "--password-stdin",
                 input="x\n", check=False).returncode, 1)
    tap.eq(s.cli("account", "add", "x@unknown.test", "--password-stdin",
                 input="x\n", check=False).returncode, 1)


with Server() as server:
    tap.table(BAD, bad_config, server)
    tap.run(globals(), server)
tap.done()
