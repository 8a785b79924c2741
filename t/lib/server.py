"""server - one Mailroom in a temporary folder, for as long as a test needs
it. The build is taken from $MAILROOM_BUILD, or from this tree."""
import imaplib
import json
import os
import poplib
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

import tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("MAILROOM_BUILD", ROOT)
SLOW = int(os.environ.get("MAILROOM_SLOW", "1"))     # sanitizers, valgrind

REPORT = re.compile("ERROR: AddressSanitizer|WARNING: ThreadSanitizer|"
                    "runtime error: |ERROR: LeakSanitizer")

# name: protocol, tls
LISTENERS = {
    "smtp": ("smtp", "starttls"),
    "submission": ("submission", "starttls"),
    "submissions": ("submission", "implicit"),
    "imap": ("imap", "starttls"),
    "imaps": ("imap", "implicit"),
    "pop3": ("pop3", "starttls"),
    "pop3s": ("pop3", "implicit"),
}
DOMAIN = "example.test"
PASSWORD = "correct horse"
imaplib._MAXLINE = 100_000_000


def free_ports(n):
    """n ports that nobody listens on now, all different; below those that
    the kernel gives to outgoing connections, so that they stay free."""
    ports = []
    while len(ports) < n:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def toml(sections):
    """{"": {top level}, "log": {...}, "listen.mx": {...}} as TOML. Strings,
    numbers, booleans and lists of them are written alike in JSON."""
    out = []
    for name, settings in sorted(sections.items()):
        if name:
            out.append("\n[%s]" % name)
        out += ["%s = %s" % (key, json.dumps(value, ensure_ascii=False))
                for key, value in settings.items()]
    return "\n".join(out) + "\n"


def make_certificate(folder, name="localhost"):
    """A self-signed pair: (certificate, key)."""
    cert = os.path.join(folder, name + ".cert.pem")
    key = os.path.join(folder, name + ".key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-keyout", key, "-out", cert, "-subj", "/CN=" + name, "-addext",
         "subjectAltName=DNS:%s,IP:127.0.0.1" % name],
        check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


class Server:
    """config: sections that are added to (or replace keys of) the usual
    ones. accounts: names at the domain; all have PASSWORD. chain: filters
    of both directions, in order."""

    def __init__(self, config=None, accounts=("alice", "bob"), chain=(),
                 listeners=LISTENERS, start=True):
        self.accounts = accounts
        self.listeners = listeners
        self.extra = config or {}
        self.chain = list(chain)
        self.autostart = start
        self.proc = None
        self.mark = 0

    # ---- life

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-t.")
        os.chmod(self.dir, 0o755)
        try:
            self.prepare()
            if self.autostart:
                self.start()
        except BaseException:
            print("# " + self.log_tail().replace("\n", "\n# "))
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        if self.proc:
            self.stop()
        self.look_for_reports()
        if os.environ.get("MAILROOM_KEEP_TMP"):
            print("# kept: " + self.dir)
            return
        shutil.rmtree(self.dir, ignore_errors=True)

    def look_for_reports(self):
        """A sanitizer that complained is a failed point."""
        if not hasattr(self, "log"):
            return
        with open(self.log, errors="replace") as f:
            text = f.read()
        found = REPORT.search(text)
        if found:
            tap.point(False, "no sanitizer complains",
                      text[found.start():found.start() + 6000])

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def prepare(self):
        self.ports = dict(zip(self.listeners, free_ports(len(self.listeners))))
        self.data = self.path("data")
        os.mkdir(self.data)
        self.config = self.path("config.toml")
        self.log = self.path("server.log")
        open(self.log, "w").close()
        self.cert, self.key = make_certificate(self.dir)
        self.tls = ssl.create_default_context(cafile=self.cert)
        self.write_config()
        if os.getuid() == 0:
            shutil.chown(self.data, "nobody", "nogroup")
        self.cli("domain", "add", DOMAIN)
        for name in self.accounts:
            self.add_account("%s@%s" % (name, DOMAIN))

    def sections(self):
        sections = {
            "": {"hostname": "mail." + DOMAIN, "data": self.data},
            "log": {"level": "debug"},
            "tls": {"certificate": self.cert, "key": self.key},
            "dns": {"servers": ["127.0.0.1:9"]},
            "limits": {"auth_delay": "0s", "error_delay": "0s",
                       "recipients_per_hour": 0, "recipients_per_day": 0,
                       "connections_per_peer": 1000,
                       "connections_per_login": 1000},
            "smtp": {"reverse_dns": False},
            "plugin.sqlite": {"module": self.plugin("sqlite")},
            "chain": {"inbound": self.chain, "submission": self.chain},
        }
        if os.getuid() == 0:
            sections[""]["user"] = "nobody"
        if SLOW > 1:
            sections["workers"] = {"stack": "4 MiB"}
        for name, (protocol, tls) in self.listeners.items():
            sections["listen." + name] = {
                "protocol": protocol, "tls": tls,
                "address": ["127.0.0.1:%d" % self.ports[name]]}
        for name, settings in self.extra.items():
            sections.setdefault(name, {}).update(settings)
            # Of this build: a copy that any user can read.
            if str(settings.get("module", "")).startswith("build:"):
                sections[name]["module"] = self.plugin(
                    settings["module"][6:])
        return sections

    def write_config(self):
        """Call again after a change of self.extra or self.chain."""
        new = self.config + ".new"
        with open(new, "w") as f:
            f.write(toml(self.sections()))
        os.replace(new, self.config)

    def plugin(self, name):
        """The built module, copied where unprivileged workers reach it."""
        built = os.path.join(BUILD, "plugins", name, name + ".so")
        here = self.path(name + ".so")
        if not os.path.exists(here):
            shutil.copy(built, here)
        return here

    def start(self, env=None, wait=True):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(
                [os.path.join(BUILD, "mailroomd"), "--config", self.config,
                 "--foreground"], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, cwd=self.dir,
                env=dict(os.environ, **(env or {})))
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds * SLOW
        for port in self.ports.values():
            while not self.answers(port):
                if self.proc.poll() is not None:
                    raise RuntimeError("mailroomd ended with status %d"
                                       % self.proc.returncode)
                if time.monotonic() > end:
                    raise RuntimeError("port %d does not answer" % port)
                time.sleep(0.02)

    @staticmethod
    def answers(port):
        """True when a worker greets (or waits for TLS)."""
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.settimeout(0.3)
                try:
                    return s.recv(1) != b""
                except TimeoutError:
                    return True
        except OSError:
            return False

    def stop(self, seconds=15):
        """SIGTERM; returns the exit status, None if SIGKILL was needed."""
        if self.proc is None:
            return None
        self.proc.terminate()
        try:
            status = self.proc.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            status = None
        self.kill()
        return status

    def kill(self):
        """SIGKILL for the whole process group."""
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()
        self.proc = None

    def restart(self):
        self.stop()
        self.start()

    # ---- looking at it

    def log_mark(self):
        self.mark = os.path.getsize(self.log)

    def log_since_mark(self):
        with open(self.log, "rb") as f:
            f.seek(self.mark)
            return f.read().decode("utf-8", "replace")

    def log_tail(self, lines=40):
        if not hasattr(self, "log") or not os.path.exists(self.log):
            return ""
        return "\n".join(self.log_since_mark().splitlines()[-lines:])

    def processes(self):
        """{pid: command line} of the master's children."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    parent = f.read().rsplit(")", 1)[1].split()[1]
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if int(parent) == self.proc.pid:
                found[int(pid)] = line.strip()
        return found

    def workers(self, role):
        return [p for p, line in self.processes().items()
                if "--role " + role in line]

    def worker(self, role):
        """The pid of the newest worker of a role."""
        pids = self.workers(role)
        if not pids:
            raise RuntimeError("no %s worker in %r" % (role, self.processes()))
        return max(pids)

    def memory(self, pid, field="VmHWM"):
        """KiB: VmHWM is the peak, VmRSS now."""
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise KeyError(field)

    # ---- driving it

    def cli(self, *args, check=True, **kw):
        done = subprocess.run(
            [os.path.join(BUILD, "mailroom"), "--config", self.config, *args],
            capture_output=True, text=True, timeout=60 * SLOW, **kw)
        if check and done.returncode:
            raise RuntimeError("mailroom %s: status %d: %s" % (
                " ".join(args), done.returncode, done.stderr))
        return done

    def cli_json(self, *args):
        return json.loads(self.cli(*args, "--json").stdout)

    def queue(self):
        return self.cli_json("queue", "list")

    def drop_queue(self):
        for row in self.queue():
            self.cli("queue", "drop", str(row["id"]), check=False)

    def add_account(self, address, password=PASSWORD):
        self.cli("account", "add", address, "--password-stdin",
                 input=password + "\n")

    def line(self, name="smtp", ehlo=None):
        """A raw connection; SMTP ones are greeted, and say EHLO if asked."""
        from wire import Line
        implicit = self.listeners[name][1] == "implicit"
        c = Line(self.ports[name], tls=self.tls if implicit else None,
                 timeout=30 * SLOW)
        if self.listeners[name][0] in ("smtp", "submission"):
            c.must(220)
            if ehlo:
                c.must(250, "EHLO " + ehlo)
        return c

    def address(self, name):
        return name if "@" in name else "%s@%s" % (name, DOMAIN)

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.ports["smtp"],
                            "client.test", timeout=30 * SLOW)

    def submission(self, name="alice"):
        s = smtplib.SMTP_SSL("127.0.0.1", self.ports["submissions"],
                             "client.test", timeout=30 * SLOW,
                             context=self.tls)
        s.login(self.address(name), PASSWORD)
        return s

    def imap(self, name="bob", mailbox="INBOX"):
        box = imaplib.IMAP4("127.0.0.1", self.ports["imap"],
                            timeout=60 * SLOW)
        box.login('"%s"' % self.address(name), PASSWORD)
        if mailbox:
            box.select(mailbox)
        return box

    def pop3(self, name="bob"):
        box = poplib.POP3("127.0.0.1", self.ports["pop3"], timeout=60 * SLOW)
        box.user(self.address(name))
        box.pass_(PASSWORD)
        return box

    def send(self, message, rcpt="bob", sender="someone@elsewhere.test"):
        """From outside, with the bytes as they are (CR LF)."""
        from wire import stuff
        rcpts = [rcpt] if isinstance(rcpt, str) else rcpt
        with self.line("smtp", "client.test") as c:
            c.must(250, "MAIL FROM:<%s> BODY=8BITMIME" % sender)
            for r in rcpts:
                c.must(250, "RCPT TO:<%s>" % self.address(r))
            c.must(354, "DATA")
            c.send(stuff(message))
            c.must(250)
            c.must(221, "QUIT")

    def messages(self, name="bob", mailbox="INBOX"):
        """All messages of a mailbox, whole, in UID order."""
        box = self.imap(name, None)
        try:
            box.select('"%s"' % mailbox, readonly=True)
            answer = box.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]
            return [part[1] for part in answer if isinstance(part, tuple)]
        finally:
            box.logout()

    def newest(self, name="bob", mailbox="INBOX"):
        return self.messages(name, mailbox)[-1]

    def empty(self, name="bob"):
        """Removes all that is in the INBOX."""
        box = self.imap(name)
        if box.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK":
            box.expunge()
        box.logout()


def wait_for(what, condition, seconds=15):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s for %s" % (seconds, what))
        time.sleep(0.05)
