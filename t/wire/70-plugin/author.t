#!/usr/bin/python3
# test: timeout=180
"""For authors of plugins: plugin run, and plugin test --asan."""
import imaplib
import os
import re
import select
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD

MAILROOM = os.path.join(BUILD, "mailroom")
ROOT = __file__.split("/t/wire/")[0]
SOURCE = r"""
#include <mailroom/plugin.h>
#include <stdlib.h>
#include <string.h>

static char *volatile kept;

static enum mr_verdict
on_message(struct mr_call *call)
{
	struct mr_header h;
	volatile char *small = malloc(8);

	for (size_t i = 0; call->host->header(call, i, &h) == 0; i++) {
		if (strcmp(h.name.at, "Subject"))
			continue;
		if (strstr(h.value.at, "overflow"))
			small[8] = 'x';
		if (strstr(h.value.at, "leak"))
			kept = malloc(100);
	}
	kept = NULL;
	free((void *)small);
	mr_header_add(call, "X-Version", "@VERSION@");
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS,
	.may = MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "mine", .version = "1.0", .filter = &filter,
};
"""


class Desk:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-author.")
        os.chmod(self.dir, 0o755)
        os.mkdir(self.path("mine"))
        self.source = self.path("mine/mine.c")
        with open(self.source, "w") as f:
            f.write(SOURCE)
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def build(self, version):
        with open(self.path("v.c"), "w") as f:
            f.write(SOURCE.replace("@VERSION@", version))
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT + "/include",
                        "-o", self.path("new.so"), self.path("v.c")],
                       check=True)
        os.rename(self.path("new.so"), self.path("mine.so"))

    def mail(self, subject):
        path = self.path(subject + ".eml")
        with open(path, "w") as f:
            f.write("From: a@b.test\nSubject: %s\n\nx\n" % subject)
        return path

    def test(self, *args):
        return subprocess.run([MAILROOM, "plugin", "test", "--asan", *args],
                              capture_output=True, text=True, timeout=60)


def version_of_mail(smtp_port, imap_port, password):
    with smtplib.SMTP("127.0.0.1", smtp_port) as s:
        s.sendmail("a@b.test", ["you@example.test"], "Subject: x\r\n\r\nx\r\n")
    box = imaplib.IMAP4("127.0.0.1", imap_port)
    box.login("you@example.test", password)
    n = box.select("INBOX")[1][0].decode()
    text = box.fetch(n, "(BODY[HEADER])")[1][0][1].decode()
    box.logout()
    return re.search(r"X-Version: (\S+)", text).group(1)


def until_version(smtp, imap, password, version):
    """The old workers may take one more client before they hear of it."""
    end = time.monotonic() + 10
    while version_of_mail(smtp, imap, password) != version:
        tap.ok(time.monotonic() < end, "the old plugin is still there")
        time.sleep(.2)


def read_until(stream, words, seconds=20):
    text, end = "", time.monotonic() + seconds
    while words not in text and time.monotonic() < end:
        if select.select([stream], [], [], .2)[0]:
            text += os.read(stream.fileno(), 65536).decode()
    tap.contains(text, words)
    return text


def test_run(d):
    """a server for one plugin: mail passes it, a rebuilt one is taken"""
    d.build("one")
    p = subprocess.Popen([MAILROOM, "plugin", "run", d.path("mine.so")],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        text = read_until(p.stdout, "master.ready")
        smtp = int(re.search(r"--server 127.0.0.1:(\d+)", text).group(1))
        imap = int(re.search(r"imap://127.0.0.1:(\d+)", text).group(1))
        password = re.search(r"you@example.test:(\w+)", text).group(1)
        folder = re.search(r"(/tmp/mailroom-run\.\w+)",
                           " ".join(map(str, os.listdir("/tmp")))
                           .replace("mailroom-run", "/tmp/mailroom-run")
                           ).group(1)
        tap.eq(version_of_mail(smtp, imap, password), "one")
        d.build("two")
        read_until(p.stdout, "generation=2")
        until_version(smtp, imap, password, "two")
    finally:
        p.send_signal(signal.SIGINT)
        tap.eq(p.wait(20), 0)
    tap.ok(not os.path.exists(folder), folder)


def test_run_errors(d):
    """a module that is none ends it with the reason, and nothing is left"""
    with open(d.path("none.so"), "w") as f:
        f.write("x")
    before = set(os.listdir("/tmp"))
    p = subprocess.run([MAILROOM, "plugin", "run", d.path("none.so")],
                       capture_output=True, text=True, timeout=30)
    tap.ok(p.returncode not in (0, 2), p)
    tap.contains(p.stdout + p.stderr, "none.so")
    tap.ok(not [n for n in set(os.listdir("/tmp")) - before
                if n.startswith("mailroom-run")])


def test_run_folder(d):
    """a folder is built first, and again whenever its source changes"""
    subprocess.run([MAILROOM, "plugin", "new", "fresh"], check=True,
                   cwd=d.dir, stdout=subprocess.DEVNULL)
    source = d.path("fresh/fresh.c")
    with open(source) as f:
        text = f.read()

    def write(version):
        with open(source, "w") as f:
            f.write(text.replace("X-fresh", "X-Version")
                    .replace('"seen"', '"%s"' % version))

    write("one")
    p = subprocess.Popen([MAILROOM, "plugin", "run", d.path("fresh"),
                          "--rebuild", "--set", "word = 'forbidden'"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = read_until(p.stdout, "master.ready")
        smtp = int(re.search(r"--server 127.0.0.1:(\d+)", said).group(1))
        imap = int(re.search(r"imap://127.0.0.1:(\d+)", said).group(1))
        password = re.search(r"you@example.test:(\w+)", said).group(1)
        tap.eq(version_of_mail(smtp, imap, password), "one")
        with open(source, "w") as f:
            f.write("int x\n")
        read_until(p.stdout, "error")       # of the compiler
        tap.eq(version_of_mail(smtp, imap, password), "one")
        write("two")
        read_until(p.stdout, "master.reloaded")
        until_version(smtp, imap, password, "two")
    finally:
        p.send_signal(signal.SIGINT)
        tap.eq(p.wait(20), 0)
    tap.eq(subprocess.run([MAILROOM, "plugin", "run", d.path("mine.so"),
                           "--rebuild"], capture_output=True).returncode, 1)


def test_asan_folder(d):
    """--asan: a folder with a Makefile is built by it, elsewhere"""
    before = sorted(os.listdir(d.path("fresh")))
    with open(d.path("fresh/fresh.c")) as f:
        text = f.read()
    p = d.test(d.path("fresh"), d.mail("well"))
    tap.eq(p.returncode, 0, p)
    tap.contains(p.stdout, "X-Version: two")
    with open(d.path("fresh/fresh.c"), "w") as f:
        f.write(text.replace("const struct config *c = call->config;",
                             "const struct config *c = call->config;\n"
                             "\tchar at[8];\n\tmemset(at, 0, "
                             "8 + strlen(mr_fact(call, MR_FACT_HELO)));"))
    p = d.test(d.path("fresh"), d.mail("well"))
    tap.eq(p.returncode, 99, p)
    tap.contains(p.stderr, d.path("fresh/fresh.c") + ":")
    tap.contains(p.stdout.strip().splitlines()[-1], "well.eml")
    tap.eq(sorted(os.listdir(d.path("fresh"))), before)


def test_asan_well(d):
    """--asan: a folder is built and its plugin passes"""
    p = d.test(d.path("mine"), d.mail("well"))
    tap.eq(p.returncode, 0, p)
    tap.contains(p.stdout, "X-Version")


def test_asan_overflow(d):
    """an overflow is found, with the message and the line of the source"""
    p = d.test(d.source, d.mail("well"), d.mail("overflow"))
    tap.eq(p.returncode, 99, p)
    tap.ok("heap-buffer-overflow" in p.stderr or
           "runtime error" in p.stderr, p.stderr)
    tap.contains(p.stderr, "mine.c:")
    tap.contains(p.stdout.strip().splitlines()[-1], "overflow.eml")


def test_asan_leak(d):
    """memory that is lost is found"""
    p = d.test(d.source, d.mail("leak"))
    tap.eq(p.returncode, 99, p)
    tap.contains(p.stderr, "100 byte(s) leaked")


def test_asan_usage(d):
    """a module that is built, and a source that does not build, are said"""
    d.build("three")
    p = d.test(d.path("mine.so"), d.mail("well"))
    tap.eq(p.returncode, 1)
    tap.contains(p.stderr, "needs the source")
    with open(d.path("broken.c"), "w") as f:
        f.write("int x\n")
    p = d.test(d.path("broken.c"), d.mail("well"))
    tap.eq(p.returncode, 1)
    tap.contains(p.stderr, "does not build")


with Desk() as desk:
    tap.run(globals(), desk)
tap.done()
