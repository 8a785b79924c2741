#!/usr/bin/python3
# test: timeout=180
"""A real rspamd (Debian's package) behind us: refuses and marks test mail,
and its header fields arrive. Its DNS is a fake one on loopback."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, wait_for
from wire import stuff

# One line each, cut in two so that this file is no test mail itself.
PATTERN = b"JS*C4JDBQADN1.NSBN3*2IDNEN*" \
          b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
REFUSE, MARK = b"X" + PATTERN, b"Y" + PATTERN

ZONE = {
    "example.net TXT": ["v=spf1 ip4:198.51.100.0/24 -all"],
    "example.net MX": [(10, "mx.example.net")],
    "mx.example.net A": ["198.51.100.7"],
    "_dmarc.example.net TXT": ["v=DMARC1; p=none"],
}

# No redis, no maps, no controller, no hyperscan: what a milter needs.
CONF = """
options {{
    pidfile = "{dir}/pid"; tempdir = "{dir}"; filters = "regexp,dkim";
    url_tld = "{dir}/tld"; control_socket = "{dir}/control mode=0600";
    dynamic_conf = "{dir}/dynamic"; history_file = "{dir}/history";
    cache_file = "{dir}/symbols.cache"; rrd = "{dir}/rrd";
    stats_file = "{dir}/stats.ucl"; hs_cache_dir = "{dir}/";
    disable_hyperscan = true; disable_monitoring = true;
    gtube_patterns = "all"; enable_test_patterns = true;
    local_addrs = [192.0.2.0/24]; task_timeout = 8s;
    dns {{ nameserver = ["{dns}"]; timeout = 1s; sockets = 4;
           retransmits = 2; }}
}}
logging {{ type = "file"; filename = "{dir}/rspamd.log"; level = "info"; }}
worker "rspamd_proxy" {{
    bind_socket = "{dir}/sock mode=0666"; milter = yes; count = 1;
    timeout = 60s; max_retries = 1; reject_message = "Spam refused";
    spam_header = "X-Spam";
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
actions {{ reject = 15; add_header = 6; greylist = 20; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/"; }}
spf {{ }}
dkim {{ }}
dmarc {{ }}
milter_headers {{
    use = ["authentication-results", "x-spamd-bar", "x-spam-level"];
}}
"""


class Rspamd:
    def __init__(self, dns):
        self.dns = dns

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-r.")
        os.chmod(self.dir, 0o755)
        with open(self.dir + "/tld", "w") as f:
            f.write("com\nnet\norg\ntest\n")
        with open(self.dir + "/conf", "w") as f:
            f.write(CONF.format(dir=self.dir, dns=self.dns.address))
        self.socket = "unix:%s/sock" % self.dir
        insecure = ["-i"] if os.getuid() == 0 else []
        with open(self.dir + "/out", "wb") as out:
            self.proc = subprocess.Popen(
                ["rspamd", "-f", "-c", self.dir + "/conf"] + insecure
                + ["--var=%s=%s" % (name, self.dir) for name in
                   ("DBDIR", "RUNDIR", "LOGDIR")], stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for("rspamd", self.answers, 60)
        except AssertionError:
            with open(self.dir + "/out") as f:
                print("# " + f.read()[-2000:].replace("\n", "\n# "))
            self.__exit__()
            raise
        return self

    def answers(self):
        if self.proc.poll() is not None:
            raise AssertionError("rspamd ended")
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.dir + "/sock")
                return True
            except OSError:
                return False

    def stop(self):
        try:
            os.killpg(self.proc.pid, signal.SIGTERM)
            self.proc.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def message(text):
    return (b"From: Ann <ann@example.net>\r\nTo: bob@example.test\r\n"
            b"Subject: test\r\nDate: %s\r\n"
            b"Message-ID: <r%d@example.net>\r\n\r\n%s\r\n"
            % (time.strftime("%a, %d %b %Y %H:%M:%S +0000",
                             time.gmtime()).encode(),
               time.monotonic_ns(), text))


def deliver(s, text):
    """(the reply after the dot, the message that was sent)"""
    data = message(text)
    s.empty("bob")
    with s.line(ehlo="mx.example.net") as c:
        # rspamd marks no mail of this machine itself.
        c.must(220, "XCLIENT ADDR=198.51.100.7 NAME=mx.example.net")
        c.must(250, "EHLO mx.example.net")
        c.must(250, "MAIL FROM:<ann@example.net>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(stuff(data))
        return c.reply(), data


def test_plain(s, r):
    """plain mail passes, with rspamd's fields and the body as it was"""
    (code, texts), sent = deliver(s, b"Good morning.\r\n.dot\r\n")
    tap.eq(code, 250, texts)
    got = s.newest("bob")
    head, body = got.split(b"\r\n\r\n", 1)
    tap.eq(body, sent.split(b"\r\n\r\n", 1)[1])
    tap.ok(b"\r\nX-Spamd-Bar:" in head or b"\r\nX-Spam-Level:" in head, head)
    tap.contains(head, b"Authentication-Results:")
    tap.contains(head, b"spf=")


def test_refuse(s, r):
    """GTUBE is refused with rspamd's reply"""
    (code, texts), _ = deliver(s, REFUSE)
    tap.eq(code, 554, texts)
    tap.contains(texts[0], "5.7.1")
    tap.eq(s.messages("bob"), [])


def test_mark(s, r):
    """its milder sister is delivered and marked"""
    (code, texts), _ = deliver(s, MARK)
    tap.eq(code, 250, texts)
    tap.contains(s.newest("bob"), b"\r\nX-Spam: ")


def test_many(s, r):
    """many messages on one connection, good and bad mixed"""
    s.empty("bob")
    with s.line(ehlo="mx.example.net") as c:
        for i in range(10):
            c.must(250, "MAIL FROM:<ann@example.net>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(message(REFUSE if i % 2 else b"number %d" % i)))
            tap.eq(c.reply()[0], 554 if i % 2 else 250)
    tap.eq(len(s.messages("bob")), 5)


def test_gone(s, r):
    """rspamd has ended: mail waits outside (4xx)"""
    r.stop()
    with s.line() as c:
        codes = [c.cmd(line) for line in (
            "EHLO mx.example.net", "MAIL FROM:<ann@example.net>")]
    tap.ok(any(400 <= code < 500 for code in codes), codes)


if not shutil.which("rspamd"):
    tap.skip_all("rspamd is not installed")
with FakeDNS(ZONE) as dns, Rspamd(dns) as rspamd:
    config = {"milter.rspamd": {"socket": rspamd.socket},
              "smtp": {"reverse_dns": False,
                       "xclient_networks": ["127.0.0.1"]}}
    with Server(config, chain=["rspamd"]) as server:
        tap.run(globals(), server, rspamd)
tap.done()
