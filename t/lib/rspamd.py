"""rspamd - a real rspamd (Debian's package) as a milter on a socket of its
own, without redis and maps; its DNS is a fake one on loopback (ZONE)."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from server import wait_for

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
    bind_socket = "{dir}/sock mode=0666"; milter = yes; count = {count};
    timeout = 60s; max_retries = 1; reject_message = "Spam refused";
    spam_header = "X-Spam";
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
actions {{ reject = 15; add_header = 6; greylist = 20; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/"; }}
spf {{ }}
dkim {{ }}
arc {{ }}
dmarc {{ }}
milter_headers {{
    use = ["authentication-results", "x-spamd-bar", "x-spam-level"];
}}
"""


class Rspamd:
    name = "rspamd"

    def __init__(self, dns, count=1):
        self.dns, self.count = dns, count

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-r.")
        os.chmod(self.dir, 0o755)
        with open(self.dir + "/tld", "w") as f:
            f.write("com\nnet\norg\ntest\n")
        with open(self.dir + "/conf", "w") as f:
            f.write(CONF.format(dir=self.dir, dns=self.dns.address,
                                count=self.count))
        self.listens = self.dir + "/sock"
        self.socket = "unix:" + self.listens
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
