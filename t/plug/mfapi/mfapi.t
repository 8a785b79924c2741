#!/usr/bin/python3
# test: timeout=240
"""A filter written for libmilter must not notice that it runs inside the
server: the same transcripts are played to it as a daemon behind the real
library and as a module, and what it saw and what came of it are compared byte
for byte."""
import os
import subprocess
import sys
import tempfile
import time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE.split("/t/plug/")[0] + "/t/lib")
import tap                                          # noqa: E402
from server import BUILD                            # noqa: E402

HOME = BUILD + "/t/plug/mfapi/"
HEAD = "connect 192.0.2.7 4711 client.example\nhelo client.example\n"
MESSAGE = """message
From: a@example.net
To:no-blank@example.org
Subject:  two blanks
X-Fold: one
\ttwo
 three
Message-Id: <1@example.net>
%s
body
.with a dot

last
.
"""
MAIL = "mail a@example.net SIZE=10 BODY=8BITMIME\nrcpt b@example.org\n"
WHOLE = MAIL + "data\n" + MESSAGE


def whole(*headers, body="", mail=MAIL):
    return mail + "data\n" + MESSAGE % ("".join(h + "\n" for h in headers) +
                                        "\n" + body) + "reset\n"


def session(*steps, head=HEAD):
    return head + "".join(steps) + "quit\n"


STAMP = {
    "plain": session(whole()),
    "three messages": session(whole(), whole(), whole()),
    "two sessions": session(whole()) + session(whole()),
    "IPv6, no name": session(whole(), head="connect 2001:db8::7 25 -\n"
                             "helo [IPv6:2001:db8::7]\n"),
    "connect accepted": session(whole(), head="connect 192.0.2.1 1 accept.x\n"
                                "helo h\n"),
    "connect refused": session(head="connect 192.0.2.1 1 refuse.x\n"),
    "helo refused": session(head=HEAD + "helo refuse.me\n"),
    "helo accepted": session(whole(), head=HEAD + "helo accept.me\n"),
    "helo twice": session("helo again\n", whole()),
    "unknown": session("unknown NOOP x\n", whole(), "unknown ETRN y\n"),
    "null sender": session("mail - RET=HDRS\nrcpt b@example.org\ndata\n",
                           MESSAGE % "\n", "reset\n"),
    "mail tempfail": session("mail tempfail@x\nreset\n", whole()),
    "mail one line": session("mail one@x\nreset\n"),
    "mail mismatch": session("mail mismatch@x\nreset\n",
                             "mail a@x\nrcpt refuse@x\nrcpt refuse2@x\n"
                             "reset\n"),
    "mail accepted": session(whole(mail="mail accept@x\nrcpt b@x\n"),
                             whole()),
    "mail dropped": session("mail drop@x\nreset\n", whole()),
    "dropped, and more": session(
        whole(mail="mail drop@x\nrcpt b@x\n"),
        whole(mail="mail a@x\nrcpt drop@x\nrcpt b@x\n"), whole()),
    "rcpts": session("mail a@x\nrcpt refuse@x\nrcpt later@x\nrcpt bare@x\n"
                     "rcpt good@x NOTIFY=NEVER ORCPT=rfc822;good@x\n"
                     "refused gone@x\ndata\n", MESSAGE % "\n", "reset\n"),
    "rcpt hangup": session("mail a@x\nrcpt hangup@x\nreset\n"),
    "rcpt accepted": session("mail a@x\nrcpt accept@x\ndata\n",
                             MESSAGE % "\n", "reset\n", whole()),
    "rcpt dropped": session("mail a@x\nrcpt drop@x\nreset\n", whole()),
    "all refused": session("mail a@x\nrcpt refuse@x\nreset\n", whole()),
    "reset early": session("mail a@x\nreset\n", MAIL, "reset\n", MAIL,
                           "data\nreset\n", whole()),
    "end in a message": session(MAIL),
    "header skip": session(whole("X-Header: skip", "X-After: y")),
    "header accept": session(whole("X-Header: accept", "X-After: y"),
                             whole()),
    "header drop": session(whole("X-Header: drop"), whole()),
    "header reject": session(whole("X-Header: reject"), whole()),
    "header tempfail": session(whole("X-Header: tempfail"), whole()),
    "body skip": session(whole(body="skip\n" * 40000), whole()),
    "body reject": session(whole(body="reject\n" * 40000), whole()),
    "large body": session(whole(body="0123456789abcdef\n" * 20000)),
    "no body": session(MAIL + "data\nmessage\nFrom: x\n.\nreset\n"),
    "no header": session(MAIL + "data\nmessage\n\nbody\n.\nreset\n"),
    "8 bit": session(whole("X-8: \xe4\xf6\xfc \u20ac")),
    "long header": session(whole("X-Long: " + "y" * 70000)),
}
EDITS = {
    "nothing": [],
    "add": ["add|X-A|one", "add|X-A| two", "add|X-B|a\\n\\tb",
            "add|X-C|a\\nX-Injected: b", "add|X-D|", "add|X E|bad name"],
    "insert": ["ins|0|X-A|zero", "ins|1|X-B|one", "ins|2|X-C|two",
               "ins|100|X-D|end"],
    "change": ["chg|1|Subject|new", "chg|1|x-fold|case",
               "chg|9|X-Fold|appended", "chg|0|To|index zero"],
    "delete": ["chg|2|X-Do|", "chg|1|X-Do|", "chg|9|Subject|",
               "chg|1|Subject|", "chg|1|Subject|back"],
    "body": ["body|one\\ntwo", "add|X-A|b", "body|\\r", "body|\\nthree"],
    "empty body": ["body|"],
    "big body": ["bigbody"],
    "sender": ["from|<c@example.net>|RET=HDRS ENVID=1"],
    "null sender": ["from|<>"],
    "no sender": ["from|"],
    "rcpts": ["rcpt|<c@example.org>", "rcpt|b@example.org", "rcpt|",
              "rcptpar|<d@example.org>|NOTIFY=NEVER",
              "delrcpt|<B@example.org>", "delrcpt|x@example.org"],
    "no rcpt left": ["delrcpt|b@EXAMPLE.org"],
    "quarantine": ["add|X-A|b", "quarantine|looks odd"],
    "quarantine, accept": ["quarantine|looks odd", "answer|3"],
    "quarantine, reject": ["quarantine|looks odd", "answer|1"],
    "accept": ["add|X-A|b", "answer|3"],
    "reject": ["add|X-A|b", "rcpt|c@d", "body|x", "answer|1"],
    "tempfail": ["add|X-A|b", "answer|4"],
    "discard": ["add|X-A|b", "answer|2"],
    "skip": ["add|X-A|b", "answer|8"],
}


def config(folder, text):
    path = folder + "/config.toml"
    with open(path, "w") as f:
        f.write(text)
    return path


def drive(path, transcript):
    p = subprocess.run([HOME + "driver", path], capture_output=True,
                       input=transcript.encode(errors="surrogateescape"),
                       timeout=120)
    return p.returncode, p.stdout


def read(path):
    with open(path, "rb") as f:
        return [line for line in f.read().split(b"\n")
                if not line.startswith(b"end ")]


def as_daemon(name, transcript, *args):
    """Through libmilter proper; (code, output, trace)."""
    with tempfile.TemporaryDirectory() as folder:
        trace, sock = folder + "/trace", folder + "/sock"
        p = subprocess.Popen([HOME + name, "-p", "local:" + sock, "-t", trace,
                              *args], stderr=subprocess.DEVNULL)
        for _ in range(500):
            if os.path.exists(sock):
                break
            time.sleep(0.01)
        got = drive(config(folder, '[milter.f]\nsocket = "unix:%s"\n'
                           'timeout = "5s"\n' % sock), transcript)
        for _ in range(200):        # the end of a session is not waited for
            if read(trace).count(b"close") + sum(
                    line.startswith(b"close ") for line in read(trace)) >= \
                    transcript.count("quit\n"):
                break
            time.sleep(0.01)
        p.kill()                    # a stop would take it seconds
        p.wait()
        return (*got, read(trace))


def in_process(module, transcript, *args):
    with tempfile.TemporaryDirectory() as folder:
        trace = folder + "/trace"
        words = ", ".join('"%s"' % a for a in ("-t", trace, *args))
        got = drive(config(folder, '[plugin.f]\nmodule = "%s%s"\nargs = [%s]\n'
                           % (HOME, module, words)), transcript)
        return (*got, read(trace))


def difference(a, b):
    if a[:2] != b[:2]:
        one, two = a[1].split(b"\n"), b[1].split(b"\n")
    else:
        one, two = a[2], b[2]
    for i, (x, y) in enumerate(zip(one + [None], two + [None])):
        if x != y:
            return "line %d: daemon %r, module %r" % (i, x, y)
    return "one is longer: %r" % ((one + two)[-3:],)


def same(name, transcript, *args):
    want = as_daemon(name, transcript, *args)
    tap.eq(want[0], 0)
    assert len(want[2]) > 1, "no trace"
    for way in ("main", "table"):
        got = in_process("%s_%s.so" % (name, way), transcript, *args)
        assert got == want, way + ": " + difference(want, got)


def test_left_out():
    """call-backs that a filter does not have"""
    same("stamp", session(whole(), whole("X-Header: reject")), "-n")


def test_refused_rcpt():
    """a filter that wants refused recipients is told, with the reason"""
    same("rewrite", session("mail a@x\nrcpt b@x\nrefused c@y\ndata\n",
                            MESSAGE % "\n", "reset\n"))


def test_no_negotiation():
    """a filter that does not want to negotiate: mail is put off"""
    same("rewrite", session("mail a@x\nreset\n"), "-o", "0xbad")


def test_stop():
    """smfi_stop ends the filter, not the server: on_failure decides"""
    for way in "main", "table":
        code, out, trace = in_process(
            "stamp_%s.so" % way, session("mail stop@x\nrcpt b@x\n") +
            session("mail a@x\nreset\n"))
        tap.eq(code, 0)
        tap.eq(out.count(b"mail: pass"), 1)
        tap.contains(out, b"rcpt: tempfail 451 4.7.1")
        tap.contains(out, b"mail: tempfail 451 4.7.1")
        tap.eq([line for line in trace if line.startswith(b"connect")],
               [b"connect client.example 192.0.2.7 4711"])


def test_start():
    """filters that do not start say why"""
    for module, args, want in (
            ("stamp_main.so", '["-z"]', b"returned 64 before"),
            ("stamp_main.so", '[]', b"returned 65 before"),
            ("stamp_table.so", '[]', b"gave no table"),
            ("stamp_main.so", '["-t", "/dev/null", "-v", "1"]',
             b"returned 69 before"),
            ("stamp_table.so", '["-t", "/dev/null", "-v", "1"]',
             b"version 0x1")):
        with tempfile.TemporaryDirectory() as folder:
            code, out = drive(config(
                folder, '[plugin.f]\nmodule = "%s%s"\nargs = %s\n' %
                (HOME, module, args)), "")
            assert code == 1 and want in out, (module, args, code, out)


def copied(program):
    """Data of shared libraries that the linker gave a place in the program,
    for all who use it; no names of the program's own."""
    out = subprocess.run(["readelf", "-rW", program], capture_output=True,
                         text=True, check=True).stdout
    return {line.split()[4].split("@")[0] for line in out.split("\n")
            if "_COPY " in line}


def test_exports():
    """the programs export libmilter's names and nothing else of their own"""
    for name in ("mailroom", "mailroomd"):
        if not os.path.exists(BUILD + "/" + name):
            continue
        out = subprocess.run(["nm", "-D", "--defined-only",
                              BUILD + "/" + name], capture_output=True,
                             text=True, check=True).stdout.split("\n")
        names = [line.split()[-1] for line in out if line and
                 "@" not in line]
        tap.eq(len([n for n in names if n.startswith("smfi_")]), 26)
        tap.eq([n for n in names if not n.startswith("smfi_") and
                n not in copied(BUILD + "/" + name)], [])


STEPS = ("0x1", "0x4", "0x8", "0x10", "0x20", "0x40", "0x200", "0x27f",
         "0x4000", "0x8000", "0xff000")

tap.table([("stamp: " + name, "stamp", transcript)
           for name, transcript in STAMP.items()], same)
tap.table([("table of version " + v, "stamp", session("unknown X\n", whole()),
            "-v", v) for v in ("2", "3", "4", "0x1000000")], same)
tap.table([("rewrite: " + name, "rewrite",
            session(whole(*["X-Do: " + e for e in edits]), whole()))
           for name, edits in EDITS.items()], same)
tap.table([("rewrite, steps " + steps, "rewrite",
            session(whole("X-Do: add|X-A|b"), whole(), "mail a@x\nreset\n"),
            "-o", steps) for steps in STEPS], same)
tap.run(globals())
tap.done()
