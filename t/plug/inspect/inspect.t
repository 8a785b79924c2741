#!/usr/bin/python3
"""mailroom plugin inspect: what it reads is what the plugin says, and none
of the plugin's code runs."""
import json
import os
import subprocess
import sys
import tempfile
sys.path.insert(0, __file__.split("/t/plug/")[0] + "/t/lib")
import tap
from module import CC, build
from server import BUILD

SOURCE = r"""
#include <mailroom/plugin.h>
#include <stdlib.h>
__attribute__((constructor)) static void
started(void)
{
	fopen(getenv("TRACE"), "w");
}
struct config { const char *word; int64_t wait, how; };
#define AT(field) offsetof(struct config, field)
static const struct mr_setting settings[] = {
	{"word", MR_TEXT, MR_REQUIRED, AT(word), NULL, 0, 0, NULL, "A word."},
	{"wait", MR_DURATION, 0, AT(wait), "\"5s\"", 0, 60000, NULL, "Long."},
	{"how", MR_CHOICE, 0, AT(how), "\"a\"", 0, 0, "a|b", "\033[31mRed\377"},
	MR_SETTINGS_END,
};
static enum mr_verdict on_message(struct mr_call *c)
{ mr_log(c, MR_LOG_INFO, "x"); return MR_PASS; }
static enum mr_verdict on_mail(struct mr_call *c, const char *s)
{ (void)c; return *s ? MR_PASS : MR_DONE; }
static const struct mr_filter filter = {.size = FILTER_SIZE,
	.needs = MR_NEEDS_BODY | MR_NEEDS_RESULTS, .may = MR_MAY_SIGN,
	.wants = MR_WANT_REFUSED, .mail = on_mail, .message = on_message};
static const struct mr_auth auth = {.size = sizeof auth};
MR_PLUGIN = {.abi = ABI, .size = SIZE, .name = NAME, .version = "2.5",
	.summary = "all of it", .settings = settings,
	.config_size = sizeof(struct config), .session_size = 40,
	.message_size = 99, .filter = &filter, .auth = &auth};
"""
USUAL = {"ABI": "MR_ABI", "SIZE": "sizeof(struct mr_plugin)",
         "FILTER_SIZE": "sizeof filter", "NAME": '"full"'}

# what, changes of USUAL, what is said
REFUSED = [
    ("a newer ABI", {"ABI": "2"},
     "is built for plugin ABI 2, this server has 1"),
    ("a size that is too small", {"SIZE": "24"}, "says a size of 24 bytes"),
    ("an absurd size", {"SIZE": "0xfffffff0u"},
     "says a size of 4294967280 bytes"),
    ("a size beyond its symbol", {"SIZE": "4000"},
     "says a size of 4000 bytes"),
    ("an absurd filter", {"FILTER_SIZE": "0x10000"},
     "its filter table says a size of 65536 bytes"),
    ("no name", {"NAME": "0"}, "no valid name"),
    ("a name that is none", {"NAME": '"\\033[2J"'}, "no valid name"),
]

# what, flags of the linker
LINKED = [
    ("linked as usual", []),
    ("stripped", ["-s"]),
    ("the older hash table", ["-Wl,--hash-style=sysv"]),
    ("the newer hash table", ["-Wl,--hash-style=gnu"]),
    ("packed relocations", ["-Wl,-z,pack-relative-relocs"]),
    ("full RELRO", ["-Wl,-z,relro,-z,now"]),
]


def inspect(path, *options):
    return subprocess.run(
        [os.path.join(BUILD, "mailroom"), "plugin", "inspect", path, *options],
        capture_output=True, text=True, timeout=60,
        env=dict(os.environ, TRACE=TRACE))


def make(changes=(), flags=()):
    source = "".join("#define %s %s\n" % pair
                     for pair in dict(USUAL, **dict(changes)).items())
    return build(source + SOURCE, os.path.join(folder, "it.so"), flags=flags)


def test_reads(flags):
    path = make(flags=flags)
    done = inspect(path, "--json")
    tap.eq((done.returncode, done.stderr), (0, ""))
    j = json.loads(done.stdout)
    settings = j.pop("settings")
    tap.eq(j, {
        "file": path, "entry": "mailroom_plugin", "name": "full",
        "version": "2.5", "summary": "all of it", "abi": 1, "size": j["size"],
        "memory": {"config": 24, "session": 40, "message": 99},
        "roles": "filter auth", "hooks": "mail message",
        "needs": "body results", "may": "sign", "wants": "refused"})
    tap.eq(settings, [
        {"name": "word", "type": "text", "required": True, "default": None,
         "choices": None, "help": "A word."},
        {"name": "wait", "type": "duration", "required": False,
         "default": '"5s"', "choices": None, "help": "Long.", "least": 0,
         "most": 60000},
        {"name": "how", "type": "choice", "required": False,
         "default": '"a"', "choices": "a|b", "help": "?[31mRed?"}])
    tap.ok(not os.path.exists(TRACE), "its constructor ran")


def test_refused(changes, said):
    done = inspect(make(changes))
    tap.eq((done.returncode, done.stdout), (1, ""))
    tap.contains(done.stderr, said)
    tap.eq(done.stderr.count("\n"), 1)
    tap.ok("\033" not in done.stderr, "control characters come through")
    tap.ok(not os.path.exists(TRACE), "its constructor ran")


def damaged(change):
    """The file after change(bytearray)."""
    with open(make(), "rb") as f:
        data = bytearray(f.read())
    changed = change(data)
    data = data if changed is None else changed
    path = os.path.join(folder, "damaged.so")
    with open(path, "wb") as f:
        f.write(data)
    return path


def set_byte(offset, value):
    def change(data):
        data[offset] = value
    return change


# what, change of the file, what is said
DAMAGED = [
    ("a text", lambda d: b"#!/bin/sh\n", "is no ELF file"),
    ("nothing", lambda d: b"", "is no ELF file"),
    ("the first 40 bytes", lambda d: d[:40], "is cut short"),
    ("the header alone", lambda d: d[:64], "is cut short"),
    ("another machine", set_byte(18, 0xf7), "is built for another machine"),
    ("the other class", set_byte(4, 3), "is built for another machine"),
    ("a program's type", set_byte(16, 2), "is no shared object"),
    ("no segments", set_byte(56, 0), "damaged table of segments"),
]


def test_damaged(change, said):
    done = inspect(damaged(change))
    tap.eq((done.returncode, done.stdout), (1, ""))
    tap.contains(done.stderr, said)


def test_cut():
    """cut anywhere it ends well"""
    with open(make(), "rb") as f:
        size = len(f.read())
    for at in range(64, size, size // 60):
        done = inspect(damaged(lambda d, at=at: d[:at]))
        tap.ok(done.returncode in (0, 1), "status %d" % done.returncode)


def test_others():
    """a filter of libmilter's, and what is no plugin at all"""
    path = build("int mailroom_milter_main(void) { return 0; }",
                 os.path.join(folder, "m.so"))
    done = inspect(path, "--json")
    tap.eq(json.loads(done.stdout)["entry"], "mailroom_milter_main")
    path = build("int mailroom_plugin2;", os.path.join(folder, "n.so"))
    tap.contains(inspect(path).stderr, "is no Mailroom plugin")
    tap.contains(inspect("/nowhere/x.so").stderr, "No such file")


with tempfile.TemporaryDirectory(prefix="mailroom-t.") as folder:
    TRACE = os.path.join(folder, "trace")
    tap.table(LINKED, test_reads)
    tap.table(REFUSED, test_refused)
    tap.table(DAMAGED, test_damaged)
    tap.call(test_cut.__doc__, test_cut)
    tap.call(test_others.__doc__, test_others)
tap.done()
