#!/usr/bin/python3
# test: timeout=240
"""mailroom-milter: a plugin of ours must do over libmilter what it does in our
own server. The same transcripts are played to it inside the process and
through our milter client; verdicts, bytes and envelopes are compared."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE.split("/t/plug/")[0] + "/t/lib")
import tap                                          # noqa: E402
from server import BUILD                            # noqa: E402

HOME = BUILD + "/t/plug/export/"
DRIVER = BUILD + "/t/plug/mfapi/driver"
PROGRAM = BUILD + "/mailroom-milter"
HEAD = "connect 192.0.2.7 4711 client.example\nhelo client.example\n"
MAIL = "mail a@example.net SIZE=10 BODY=8BITMIME\nrcpt b@example.org\n"
MESSAGE = """message
From: a@example.net
To:no-blank@example.org
X-N: one
X-N: two
Subject:  two blanks
X-Fold: one
\ttwo
X-N: three
%s
body
.with a dot

last
.
"""


def whole(*orders, mail=MAIL, body=""):
    return mail + "data\n" + MESSAGE % (
        "".join("X-Do: %s\n" % o for o in orders) + "\n" + body) + "reset\n"


def session(*steps, head=HEAD):
    return head + "".join(steps) + "quit\n"


def edits(*orders):
    return session(whole(*orders), whole())


ROWS = [
    ("nothing", edits()),
    ("add", edits("add|X-A|one", "add|X-A|", "add|X E|bad")),
    ("insert on top", edits("ins|0|X-A|a", "ins|0|X-B|b")),
    ("insert below Received", edits("ins|1|X-A|a", "ins|1|X-B|b")),
    ("insert in between", edits("ins|3|X-A|a", "ins|2|X-B|b", "ins|99|X-C|c",
                                "ins|0|X-D|d")),
    ("insert and take back", edits("ins|0|X-A|a", "del|0|X-A")),
    ("change", edits("chg|1|X-N|zwei", "chg|0|X-Fold|a", "chg|2|X-N|drei",
                     "chg|0|X-Orders|own")),
    ("remove", edits("del|2|X-N", "del|0|X-N", "del|0|Subject")),
    ("remove, change, insert", edits(
        "del|0|X-N", "chg|0|X-N|zwei", "ins|2|X-N|new", "del|1|X-N",
        "add|X-N|last", "chg|0|To|x")),
    ("remove all of a name", edits("del|0|X-N", "del|0|X-N", "del|0|X-N",
                                   "del|0|X-N")),
    ("percent and 8 bit", edits("add|X-A|100% \xe4")),
    ("body", edits("body|one", "body|two")),
    ("empty body", edits("body|")),
    ("sender", edits("from|c@example.net|RET=HDRS")),
    ("null sender", edits("from||")),
    ("rcpts", edits("rcpt|c@example.org|NOTIFY=NEVER", "rcpt|d@example.org|",
                    "delrcpt|b@example.org")),
    ("rcpt added and removed", edits("rcpt|c@x|", "delrcpt|c@x")),
    ("refuse at the end", edits("add|X-A|b", "say|refuse")),
    ("refuse with a text", edits("say|refuse text")),
    ("later with a text", edits("say|later text")),
    ("hold", edits("add|X-A|b", "say|hold text")),
    ("drop", edits("say|drop")),
    ("done", edits("add|X-A|b", "say|done")),
    ("hangup", edits("say|hangup")),
    ("connect refused", session(head="connect 192.0.2.1 1 refuse.text.x\n")),
    ("helo refused", session(head=HEAD + "helo refuse.text\n")),
    ("mail refused", session("mail refuse.text@x\nreset\n", whole())),
    ("mail later", session("mail later@x\nreset\n", whole())),
    ("mail dropped", session(whole(mail="mail drop@x\nrcpt b@x\n"), whole())),
    ("mail done", session(whole(mail="mail done@x\nrcpt b@x\n"), whole())),
    ("rcpts refused", session("mail a@x\nrcpt refuse.text@x\nrcpt later@x\n"
                              "rcpt b@x\ndata\n", MESSAGE % "\n", "reset\n")),
    ("data", session("mail a@x SIZE=666\nrcpt b@x\ndata\nreset\n", whole())),
    ("reset", session(MAIL, "reset\n", MAIL, "data\nreset\n", whole())),
    ("unknown", session("unknown X\n", whole())),
    ("large body", session(whole("add|X-A|b", body="0123456789\n" * 90000))),
    ("no body", session(MAIL + "data\nmessage\nFrom: x\n.\nreset\n")),
    ("no header", session(MAIL + "data\nmessage\n\nbody\n.\nreset\n")),
]


class Export:
    """mailroom-milter on a socket of its own."""

    def __init__(self, module, *args):
        self.folder = tempfile.mkdtemp(prefix="mailroom-e.")
        self.socket = self.folder + "/sock"
        self.args = [PROGRAM, "--plugin", HOME + module, "--listen",
                     "unix:" + self.socket, *args]

    def __enter__(self):
        self.proc = subprocess.Popen(self.args, stderr=subprocess.PIPE)
        for _ in range(1000):
            if os.path.exists(self.socket):
                return self
            time.sleep(0.01)
        raise AssertionError("no socket: %r" % self.proc.communicate()[1])

    def __exit__(self, *exc):
        self.proc.kill()
        self.errors = self.proc.communicate()[1].decode()
        shutil.rmtree(self.folder)


def drive(text, transcript):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as f:
        f.write(text)
        f.flush()
        p = subprocess.run([DRIVER, f.name], capture_output=True, timeout=120,
                           input=transcript.encode("latin-1"))
        tap.eq(p.returncode, 0)
        return p.stdout


def both(transcript, module, served):
    want = drive('[plugin.f]\nmodule = "%s%s"\n' % (HOME, module), transcript)
    got = drive('[milter.f]\nsocket = "unix:%s"\ntimeout = "5s"\n'
                % served.socket, transcript)
    # Only a milter's 421 has its own text: libmilter needs one to say.
    for i, (a, b) in enumerate(zip(want.split(b"\n"), got.split(b"\n"))):
        tap.eq(b, a, "line %d" % i)
    tap.eq(len(got), len(want))
    tap.ok(len(want) > 30, want)


def refused(*args):
    p = subprocess.run([PROGRAM, *args, "--listen", "unix:/nowhere/x"],
                       capture_output=True, text=True, timeout=60)
    return p.returncode, p.stderr


def test_refused():
    """what a milter cannot give is refused by name"""
    code, err = refused("--plugin", HOME + "auth.so")
    tap.eq(code, 1)
    tap.contains(err, "light: it has the role `auth`")
    code, err = refused("--plugin", BUILD + "/plugins/sqlite/sqlite.so")
    tap.eq(code, 1)
    tap.contains(err, "sqlite: it is no filter")
    code, err = refused("--plugin", "/nowhere.so")
    tap.eq(code, 1)
    tap.contains(err, "cannot open shared object")
    tap.eq(refused()[0], 2)


def test_names():
    """its libmilter is the library, not the server's"""
    out = subprocess.run(["nm", PROGRAM], capture_output=True, text=True,
                         check=True).stdout
    tap.eq([line for line in out.split("\n")
            if "smfi_" in line and " U " not in line], [])


def test_settings():
    """settings come from a section of a configuration"""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as f:
        f.write('[plugin.o]\nmodule = "x.so"\nmark = "mine"\n')
        f.flush()
        with Export("orders.so", "--config", f.name, "--name", "o") as e:
            out = drive('[milter.f]\nsocket = "unix:%s"\n' % e.socket,
                        session(whole()))
        tap.contains(out, b"X-Orders: mine, message 1")
        code, err = refused("--plugin", HOME + "orders.so", "--config",
                            f.name, "--name", "other")
        tap.eq(code, 1)
        tap.contains(err, "plugin.other: there is no such section")


def test_light():
    """a filter that reads nothing is asked at the end only"""
    with Export("light.so") as e:
        both(session(whole(), whole()), "light.so", e)


def test_command():
    """mailroom milter hands over to it"""
    p = subprocess.run([BUILD + "/mailroom", "milter", "--plugin",
                        "/nowhere.so", "--listen", "unix:/x"],
                       capture_output=True, text=True, timeout=60)
    tap.eq(p.returncode, 1)
    tap.contains(p.stderr, "mailroom-milter: plugin: /nowhere.so")


MILTERTEST = """
conn = mt.connect("%s")
mt.negotiate(conn, nil, nil, nil)
mt.conninfo(conn, "client.example", "192.0.2.7")
mt.macro(conn, SMFIC_MAIL, "i", "q1")
mt.helo(conn, "client.example")
mt.mailfrom(conn, "<a@example.net>")
mt.rcptto(conn, "<b@example.org>")
mt.rcptto(conn, "<refuse.text@example.org>")
mt.header(conn, "From", "a@example.net")
mt.header(conn, "X-Do", "add|X-A|b")
mt.bodystring(conn, "body\\r\\n")
mt.eom(conn)
if not mt.eom_check(conn, MT_HDRADD, "X-A", " b") then error("X-A") end
if not mt.eom_check(conn, MT_HDRADD, "X-Orders") then error("X-Orders") end
if mt.getreply(conn) ~= SMFIR_CONTINUE then error("reply") end
mt.disconnect(conn)
"""


def test_miltertest():
    """an independent client gets the same"""
    if not shutil.which("miltertest"):
        raise tap.Skip("miltertest is not installed")
    with Export("orders.so") as e:
        with open(e.folder + "/s.lua", "w") as f:
            f.write(MILTERTEST % ("unix:" + e.socket))
        p = subprocess.run(["miltertest", "-s", f.name], timeout=60,
                           capture_output=True, text=True)
        tap.eq(p.returncode, 0, p.stdout + p.stderr)


with Export("orders.so") as orders:
    tap.table([(name, transcript, "orders.so", orders)
               for name, transcript in ROWS], both)
tap.run(globals())
tap.done()
