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
from server import SLOW, Server, wait_for

ROOT = __file__.split("/t/wire/")[0]
SOURCE = r"""
#include <mailroom/plugin.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

struct config {
	bool fails;
};

static const struct mr_setting settings[] = {
	{"fails", MR_BOOL, 0, offsetof(struct config, fails), "false", 0, 0,
		NULL, "Puts off all mail."},
	MR_SETTINGS_END
};

static void *
crash(void *arg)
{
	usleep(100000);
	raise(SIGSEGV);
	return arg;
}

/* Nobody can see that it is this plugin who crashes. */
static void
crash_later(void)
{
	pthread_t t;

	pthread_create(&t, NULL, crash, NULL);
	pthread_detach(t);
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;

	(void)crash_later;
	if (c->fails)
		return MR_TEMPFAIL;
	@DOES@
	mr_header_add(call, "X-Version", "@VERSION@");
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "mine", .version = "@VERSION@",
	.filter = &filter, .settings = settings,
	.config_size = sizeof(struct config),
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

    def build(self, version, does="", name="mine"):
        with open(self.dir + "/m.c", "w") as f:
            f.write(SOURCE.replace("@VERSION@", version)
                    .replace("@DOES@", does))
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT + "/include",
                        "-o", self.dir + "/new.so", self.dir + "/m.c"],
                       check=True)
        os.chmod(self.dir + "/new.so", 0o755)
        os.replace(self.dir + "/new.so", self.dir + "/%s.so" % name)

    def configure(self, **section):
        """The plugin's section; taken up by the next reload."""
        self.server.extra["plugin.mine"] = dict(
            section, module=self.dir + "/mine.so")
        self.server.write_config()

    def status(self):
        return self.server.cli_json("status")

    def reload(self):
        before = self.status()["generation"]
        self.server.cli("reload")
        wait_for("the reload", lambda: self.status()["generation"] > before
                 and self.status()["ready"])
        # They may take one more client before they hear of it.
        wait_for("the old workers' end",
                 lambda: len(self.server.workers("smtp")) == 1, 30)

    def another_worker(self):
        """Kills the one that there is."""
        old = set(self.server.workers("smtp"))
        os.kill(max(old), 9)
        wait_for("another worker",
                 lambda: set(self.server.workers("smtp")) - old)

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
        """Sends until the server went back; the codes that were heard, but
        for mail that workers took who were ready before the others."""
        heard = []
        end = time.monotonic() + 60
        while self.status()["rolled_back_from"] != generation:
            tap.ok(time.monotonic() < end, heard)
            heard.append(self.send())
            time.sleep(.05)
        wait_for("the old generation", lambda: self.status()["ready"]
                 and self.status()["generation"] > generation)
        return [code for code in heard if code != 250]


FAILS = "mr_say(call, 451, NULL, \"no\"); return MR_TEMPFAIL;"


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
    tap.ok(len(heard) >= 2, heard)
    tap.eq(h.version(), "2")
    tap.contains(h.status()["rolled_back_why"], "mine: it crashed")
    tap.contains(h.server.log_since_mark(), "master.rollback")


def test_stays(h):
    """it stays there: new workers load what was kept"""
    h.another_worker()
    tap.eq(h.version(), "2")


def test_failures(h):
    """one that puts off all mail: the one before is back"""
    h.build("4")
    h.reload()
    for _ in range(6):          # it is known how it does
        tap.eq(h.version(), "4")
    h.build("5", FAILS)
    h.reload()
    bad = h.status()["generation"]
    heard = h.until_back(bad)
    tap.ok(len(heard) >= 10, heard)
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


def test_setting(h):
    """a new setting does it as well, and a restart does not bring it back"""
    h.build("7")
    h.reload()
    for _ in range(6):
        tap.eq(h.version(), "7")
    h.configure(fails=True)
    h.reload()
    h.until_back(h.status()["generation"])
    tap.eq(h.version(), "7")
    h.another_worker()
    tap.eq(h.version(), "7")
    h.configure()


def test_overwritten(h):
    """without a reload nobody takes a file that was overwritten"""
    h.reload()
    h.build("8", "raise(SIGSEGV);")
    h.another_worker()
    tap.eq(h.version(), "7")
    os.unlink(h.dir + "/mine.so")
    h.another_worker()
    tap.eq(h.version(), "7")


def test_own_process(h):
    """one in a process of its own: that is started from what was kept"""
    h.build("9")
    # Sanitizers map more memory than any limit allows.
    h.configure(isolate="process", **({"memory": 0} if SLOW > 1 else {}))
    h.reload()
    tap.eq(h.version(), "9")
    h.build("10", "raise(SIGSEGV);")
    h.reload()
    h.until_back(h.status()["generation"])
    tap.eq(h.version(), "9")
    h.configure()


def test_unseen(h):
    """crashes that nobody can lay at its door count, as it is new"""
    h.build("11")
    h.reload()
    tap.eq(h.version(), "11")
    h.build("12", "crash_later();")
    h.reload()
    h.until_back(h.status()["generation"])
    tap.eq(h.version(), "11")
    tap.contains(h.status()["rolled_back_why"], "mine: it is new")


def test_twice(h):
    """two bad ones in a row: the last good one comes back"""
    h.build("13")
    h.reload()
    for _ in range(6):
        tap.eq(h.version(), "13")
    h.build("14", FAILS)
    h.reload()
    for _ in range(4):
        tap.eq(h.send(), 451)
    time.sleep(1.5)
    h.build("15", "raise(SIGSEGV);")
    h.reload()
    h.until_back(h.status()["generation"])
    tap.eq(h.version(), "13")
    h.build("16")
    h.reload()
    tap.eq(h.version(), "16")
    tap.eq(h.status()["rolled_back_from"], 0)


def test_greylisting(h):
    """one that puts off every stranger and was not there before stays"""
    h.build("1", FAILS, "grey")
    h.server.extra["plugin.grey"] = {"module": h.dir + "/grey.so"}
    h.server.extra["chain"] = {"inbound": ["mine", "grey"], "submission": []}
    h.server.write_config()
    h.reload()
    here = h.status()["generation"]
    tap.eq([h.send() for _ in range(15)], [451] * 15)
    time.sleep(2)
    tap.eq(h.status()["generation"], here)


with House() as house:
    tap.run(globals(), house)
tap.done()
