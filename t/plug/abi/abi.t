#!/usr/bin/python3
# test: timeout=240
"""The promise of plugin.h: a plugin built against a header of the past loads
into today's server and does all it did; what the server cannot take is
refused in one clear line. A frozen header is never edited."""
import os
import re
import subprocess
import sys
import tempfile
sys.path.insert(0, __file__.split("/t/plug/")[0] + "/t/lib")
import tap
from module import CC, build
from server import ROOT, Server, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TODAY = os.path.join(ROOT, "include")
VERSIONS = sorted(v for v in os.listdir(HERE) if re.fullmatch(r"v\d+", v))

MESSAGE = (b"From: a@elsewhere.test\r\nX-Old: value\r\nX-Gone: soon\r\n"
           b"Subject: x\r\n\r\nold body\r\n")

SIZED = r"""
#include <mailroom/plugin.h>
static enum mr_verdict
on_message(struct mr_call *call)
{
	mr_header_add(call, "X-Sized", "seen");
	return MR_PASS;
}
struct later_filter {
	struct mr_filter now;
	void *later[9];
};
static const struct later_filter filter = {.now = {
	.size = FILTER_SIZE, .message = on_message}, .later = {(void *)1}};
struct later_plugin {
	struct mr_plugin now;
	void *later[9];
};
extern MR_EXPORT_ const struct later_plugin mailroom_plugin;
const struct later_plugin mailroom_plugin = {.now = {.abi = ABI,
	.size = SIZE, .name = "sized", .version = "1", .filter = &filter.now},
	.later = {(void *)1, (void *)2}};
"""
USUAL = {"ABI": "1", "SIZE": "sizeof(struct mr_plugin)",
         "FILTER_SIZE": "sizeof(struct mr_filter)"}

# what, changes of USUAL, None or what is said
ROWS = [
    ("today's sizes", {}, None),
    ("a descriptor of a later release",
     {"SIZE": "sizeof(struct later_plugin)"}, None),
    ("a filter table of a later release",
     {"FILTER_SIZE": "sizeof(struct later_filter)"}, None),
    ("a filter table that ends behind `message`",
     {"FILTER_SIZE": "offsetof(struct mr_filter, unknown)"}, None),
    ("ABI 2", {"ABI": "2"},
     "is built for plugin ABI 2, this server has 1: build it against this "
     "release's <mailroom/plugin.h>"),
    ("a descriptor of 8 bytes", {"SIZE": "8"},
     "its descriptor says a size of 8 bytes, which no release had"),
    ("a descriptor of 4 GB", {"SIZE": "0xffffffffu"},
     "its descriptor says a size of 4294967295 bytes"),
    ("a filter table of 1 MB", {"FILTER_SIZE": "1u << 20"},
     "its filter table says a size of 1048576 bytes"),
    ("a filter table of nothing", {"FILTER_SIZE": "0"},
     "its filter table says a size of 0 bytes"),
]


def include_of(version, folder):
    """A folder in which <mailroom/plugin.h> is the frozen one."""
    os.makedirs(os.path.join(folder, version), exist_ok=True)
    link = os.path.join(folder, version, "mailroom")
    if not os.path.exists(link):
        os.symlink(os.path.join(HERE, version), link)
    return os.path.join(folder, version)


# ------------------------------------------------------------- the numbers

def without_comments(version):
    with open(os.path.join(HERE, version, "plugin.h")) as f:
        text = f.read()
    with open(os.path.join(HERE, version, "setting.h")) as f:
        text += f.read()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def fields(body):
    """Names of the members between the braces of a struct."""
    for part in body.split(";"):
        part = " ".join(part.split())
        called = re.match(r"[^(]*\(\*\s*(\w+)\)\(", part)
        if called:
            yield called.group(1)
        elif part:
            for name in part.split(","):
                yield re.findall(r"\w+", name)[-1]


def numbers(version, include):
    """{expression: value}: places of all members, values of all names."""
    text = without_comments(version)
    wanted = []
    for struct, body in re.findall(r"struct (\w+) \{(.*?)\n\};", text, re.S):
        wanted += ["offsetof(struct %s, %s)" % (struct, name)
                   for name in fields(body)]
    for body in re.findall(r"enum \w+ \{(.*?)\};", text, re.S):
        wanted += re.findall(r"\b(MR_\w+)", body)
    wanted += re.findall(r"#define (MR_\w+) \(?\w*[0-9]", text)
    lines = "".join('printf("%%lld\\n", (long long)(%s));' % w
                    for w in wanted)
    source = ("#include <mailroom/plugin.h>\n"
              "int main(void) { %s return 0; }" % lines)
    program = os.path.join(folder, "numbers")
    subprocess.run([*CC, "-I", include, "-x", "c", "-", "-o", program],
                   input=source, text=True, check=True)
    out = subprocess.run([program], capture_output=True, text=True,
                         check=True).stdout.split()
    return dict(zip(wanted, map(int, out)))


def test_numbers(version):
    then = numbers(version, include_of(version, folder))
    now = numbers(version, TODAY)
    tap.ok(len(then) > 150, "only %d found" % len(then))
    tap.eq({k: v for k, v in now.items() if then[k] != v}, {})


# -------------------------------------------------------------- the server

def filtered(s, **settings):
    s.extra = {"plugin.it": dict({"module": s.path("it.so")}, **settings),
               "chain": {"inbound": ["it"], "submission": []},
               "dns": {"timeout": "200ms"}}
    s.write_config()


def test_sizes(s, changes, said):
    head = "".join("#define %s %s\n" % pair
                   for pair in dict(USUAL, **changes).items())
    build(head + SIZED, s.path("it.so"))
    filtered(s)
    done = s.cli("config", "check", check=False)
    if said:
        tap.eq(done.returncode, 1)
        tap.contains(done.stderr, said)
        return
    tap.eq((done.returncode, done.stderr), (0, ""))
    s.start()
    try:
        s.send(MESSAGE)
        tap.contains(wait_for("mail", s.messages)[-1], b"X-Sized: seen\r\n")
    finally:
        s.stop()


def converse(s):
    """One message to bob and carol; alice is refused by the filter."""
    with s.line("smtp", "client.test") as c:
        c.send(b"NONSENSE\r\n")
        tap.contains(str(c.reply()), "every does not know it")
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(550, "RCPT TO:<alice@example.test>")
        c.must(250, "RCPT TO:<carol@example.test>")
        c.must(354, "DATA")
        c.send(MESSAGE + b".\r\n")
        c.must(250)
        c.must(221, "QUIT")


def test_every(s, version, isolate):
    with open(os.path.join(HERE, "every.c")) as f:
        build(f.read(), s.path("it.so"), include_of(version, folder))
    filtered(s, word="good", isolate=isolate)
    s.start()
    try:
        s.log_mark()
        before = {n: len(s.messages(n)) for n in ("alice", "bob", "carol")}
        converse(s)
        wait_for("mail", lambda: len(s.messages()) > before["bob"])
        text = s.newest().decode()
        after = {n: len(s.messages(n)) - before[n] for n in before}
    finally:
        s.stop()
    tap.eq(after, {"alice": 1, "bob": 1, "carol": 0})
    head, body = text.split("\r\n\r\n", 1)
    tap.eq(body, "new body\r\n")
    found = dict(re.findall(r"^X-Every-(\w+): ?(.*?)\r?$", head, re.M))
    tap.eq(found.pop("Sum") in ("5", "10"), True)
    tap.eq(found, {
        "First": "top", "Steps": "mrrrdM",
        "Settings": "1 good 3 2048 4000 1 2 y", "Exact": "tight",
        "Result": "pass", "State": "kept", "Memory": "alloc",
        "Session": "kept", "Deadline": "ahead", "Fact": "mx",
        "Rcpt": "bob@example.test", "Dns": "3", "Body": "10"})
    tap.contains(head, "X-Every-Exact:tight")
    tap.contains(head, "X-Old: changed")
    tap.contains(head, "spf=pass smtp.mailfrom=a@elsewhere.test")
    tap.contains(head, "Return-Path: <changed@elsewhere.test>")
    tap.ok("X-Gone" not in head and "X-Undone" not in head, head)
    for line in ("every logs", "every is reset", "every is left"):
        tap.contains(s.log_since_mark(), line)


def test_open_refused(s):
    """what its open says is what the admin reads"""
    filtered(s, word="refuse")
    s.start(wait=False)
    try:
        wait_for("the reason", lambda: "it has the wrong word" in
                 s.log_since_mark())
    finally:
        s.kill()


with tempfile.TemporaryDirectory(prefix="mailroom-t.") as folder:
    os.chmod(folder, 0o755)
    tap.table([("%s: every place and value is where it was" % v, v)
               for v in VERSIONS], test_numbers)
    with Server(accounts=("alice", "bob", "carol"), start=False) as server:
        tap.table(ROWS, test_sizes, server)
        tap.table([("%s: a filter that uses all of it, isolate = %s" % (v, how),
                    v, how) for v in VERSIONS for how in ("none", "process")],
                  test_every, server)
        tap.call(test_open_refused.__doc__, test_open_refused, server)
tap.done()
