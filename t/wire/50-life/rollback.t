#!/usr/bin/python3
# test: timeout=180
"""After a reload a plugin that is new crashes, or fails for all mail: the
generation before comes back by itself, and no mail is lost."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server, wait_for

ROOT = __file__.split("/t/wire/")[0]
SOURCE = r"""
#include <mailroom/plugin.h>
#include <signal.h>

static enum mr_verdict
on_message(struct mr_call *call)
{
	@DOES@
	mr_header_add(call, "X-Version", "@VERSION@");
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "mine", .version = "@VERSION@",
	.filter = &filter,
};
"""


class House:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-roll.")
        os.chmod(self.dir, 0o755)
        self.build("1")
        self.server = Server({
            "plugin.mine": {"module": self.dir + "/mine.so"},
            "workers": {"smtp": 1, "probation": "60s",
                        "restart_first": "50ms"},
            "chain": {"inbound": ["mine"], "submission": []}}).__enter__()
        self.sent = 0
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        shutil.rmtree(self.dir)

    def build(self, version, does="", in_place=False):
        with open(self.dir + "/m.c", "w") as f:
            f.write(SOURCE.replace("@VERSION@", version)
                    .replace("@DOES@", does))
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT + "/include",
                        "-o", self.dir + "/new.so", self.dir + "/m.c"],
                       check=True)
        os.chmod(self.dir + "/new.so", 0o755)
        os.replace(self.dir + "/new.so", self.dir + "/mine.so")

    def status(self):
        return self.server.cli_json("status")

    def reload(self):
        before = self.status()["generation"]
        self.server.cli("reload")
        wait_for("the reload", lambda: self.status()["generation"] > before
                 and self.status()["ready"])

    def send(self):
        """The final code; None: the line broke."""
        from wire import stuff
        self.sent += 1
        try:
            with self.server.line("smtp", "client.test") as c:
                c.must(250, "MAIL FROM:<a@elsewhere.test>")
                c.must(250, "RCPT TO:<bob@example.test>")
                c.must(354, "DATA")
                c.send(stuff(b"Subject: %d\r\n\r\nx\r\n" % self.sent))
                return c.reply()[0]
        except (EOFError, OSError, AssertionError):
            return None

    def version(self):
        """Of the plugin that a message went through."""
        self.server.empty("bob")
        end = time.monotonic() + 20
        while self.send() != 250:
            tap.ok(time.monotonic() < end, "mail does not flow")
            time.sleep(.1)
        text = self.server.newest("bob").decode()
        return text.split("X-Version: ")[1].split("\r\n")[0]

    def until_back(self, generation):
        """Sends until the server went back; the codes that were heard."""
        heard = []
        end = time.monotonic() + 60
        while self.status()["rolled_back_from"] != generation:
            tap.ok(time.monotonic() < end, heard)
            heard.append(self.send())
            time.sleep(.05)
        wait_for("the old generation", lambda: self.status()["ready"]
                 and self.status()["generation"] > generation)
        return heard

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_good(h):
    """a new version that works stays"""
    tap.eq(h.version(), "1")
    h.build("2")
    h.reload()
    tap.eq(h.version(), "2")
    tap.eq(h.status()["rolled_back_from"], 0)


def test_crash(h):
    """one that crashes: the one before is back, though its file is gone"""
    h.build("3", "raise(SIGSEGV);")
    h.reload()
    bad = h.status()["generation"]
    heard = h.until_back(bad)
    tap.ok(250 not in heard, heard)
    tap.eq(h.version(), "2")
    tap.contains(h.status()["rolled_back_why"], "mine: it crashed")
    tap.contains(h.server.log_since_mark(), "master.rollback")


def test_stays(h):
    """it stays there: new workers load what was kept"""
    pid = h.server.worker("smtp")
    os.kill(pid, 9)
    wait_for("another worker", lambda: h.server.workers("smtp") and
             h.server.worker("smtp") != pid)
    tap.eq(h.version(), "2")


def test_failures(h):
    """one that puts off all mail: the one before is back"""
    h.build("4")
    h.reload()
    tap.eq(h.version(), "4")
    h.build("5", "mr_say(call, 451, NULL, \"no\"); return MR_TEMPFAIL;")
    h.reload()
    bad = h.status()["generation"]
    heard = h.until_back(bad)
    tap.ok(250 not in heard and len(heard) >= 10, heard)
    tap.eq(h.version(), "4")
    tap.contains(h.status()["rolled_back_why"], "messages failed")


def test_unchanged(h):
    """a plugin that is as it was is no reason to go back"""
    h.build("6", "if (mr_fact(call, MR_FACT_HELO)[0] == 'x') raise(SIGSEGV);")
    h.reload()
    h.version()
    h.reload()          # nothing is new now
    here = h.status()["generation"]
    for _ in range(2):
        with h.server.line("smtp", "xcrash.test") as c:
            c.must(250, "MAIL FROM:<a@elsewhere.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            try:
                c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                c.reply()
            except (EOFError, OSError):
                pass
        wait_for("a worker", lambda: h.status()["ready"])
    time.sleep(.5)
    tap.eq(h.status()["generation"], here)


def test_tidy(h):
    """what was kept goes when nobody needs it"""
    folder = os.path.join(h.server.data, "generations")
    tap.ok(len(os.listdir(folder)) <= 2, os.listdir(folder))
    h.server.stop()
    tap.eq(os.listdir(folder), [])
    h.server.start()


with House() as house:
    tap.run(globals(), house)
tap.done()
