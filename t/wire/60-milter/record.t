#!/usr/bin/python3
# test: timeout=120
"""mailroom milter record and replay: transcripts are exact, can be read, and
show where another filter says something else."""
import os
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import Milter, add_header, reply_code
from server import BUILD, Server, wait_for

TEXT = (b"From: a@elsewhere.test\r\nSubject:  two  blanks\r\n"
        b"X-Odd: \xe4 \"quoted\"\\\r\n\tfolded\r\n\r\n"
        b"line\r\n.dot\r\n" + b"x" * 3000 + b"\r\n")
NO_BODY = 0x10
NR_HEADER = 0x80


def run(*args, status=0):
    p = subprocess.run([os.path.join(BUILD, "mailroom"), *args],
                       capture_output=True, text=True, timeout=60)
    tap.eq(p.returncode, status, (args, p.stdout, p.stderr))
    return p


class Desk:
    """A message, and a place for transcripts."""
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="mailroom-record.")
        self.eml = os.path.join(self.folder, "m.eml")
        with open(self.eml, "wb") as f:
            f.write(TEXT)
        self.file = os.path.join(self.folder, "t.milter")
        with Milter(marks) as m:
            run("milter", "record", m.socket, self.eml, "--ip", "192.0.2.7",
                "--helo", "client.test", "--from", "a@elsewhere.test",
                "--to", "b@example.org", "--to", "c@example.org",
                "-o", self.file)
            self.frames = [s.steps for s in m.sessions]
        with open(self.file) as f:
            self.text = f.read()
        return self

    def __exit__(self, *exc):
        subprocess.run(["rm", "-r", self.folder], check=True)


def marks(session, command, data):
    if command == b"E":
        return [add_header("X-Seen", " yes \xff"),
                (b"i", b"\0\0\0\1X-Top\0 \"t\"\0"),
                (b"b", b"new body\r\n"), (b"c", b"")]
    if command == b"R" and data.startswith(b"<c@"):
        return [reply_code("550-5.7.1 no\r\n550 5.7.1 not c")]
    return None


def other(session, command, data):
    """The same but for one header."""
    if command == b"E":
        return [add_header("X-Seen", " no"), (b"c", b"")]
    return marks(session, command, data)


def test_text(d):
    """what was said stands there, in words and exactly"""
    for line in ('> connect "[192.0.2.7]" 4 40000 "192.0.2.7"',
                 '> helo "client.test"', '> mail "<a@elsewhere.test>"',
                 '> rcpt "<c@example.org>"',
                 '< reply "550-5.7.1 no\\r\\n550 5.7.1 not c"',
                 '> header "X-Odd" "\\xe4 \\"quoted\\"\\\\\\n\\tfolded"',
                 '> end-of-headers', '< add-header "X-Seen" " yes \\xc3\\xbf"',
                 '< insert-header 1 "X-Top" " \\"t\\""',
                 '< replace-body "new body\\r\\n"', '< continue'):
        tap.contains(d.text.splitlines(), line)
    tap.contains(d.text, "> negotiate 6 0x1ff 0x1fffff")
    tap.contains(d.text, '> macros ')


def test_same(d):
    """the same filter gives no difference"""
    with Milter(marks) as m:
        out = run("milter", "replay", d.file, m.socket).stdout
        tap.contains(out, "0 differ")
        # frame for frame what the first one was told; the last may still
        # be on its way
        wait_for("all frames", lambda: len(m.sessions[0].steps) >= len(
            d.frames[0]))
        tap.eq(m.sessions[0].steps, d.frames[0])


def test_other(d):
    """another answer is shown beside what was recorded: status 1"""
    with Milter(other) as m:
        out = run("milter", "replay", d.file, m.socket, status=1).stdout
    tap.contains(out, '- < add-header "X-Seen" " yes \\xc3\\xbf"')
    tap.contains(out, '+ < add-header "X-Seen" " no"')
    tap.contains(out, ", 1 differ")


def test_less(d):
    """a filter that asks for less is told less"""
    with Milter(marks, protocol=NO_BODY | NR_HEADER) as m:
        out = run("milter", "replay", d.file, m.socket).stdout
        tap.contains(out, "# it negotiates in another way")
        tap.ok("B" not in m.seen, m.seen)


def test_early_end(d):
    """a filter that refuses early is told no more of the message"""
    with Milter(lambda s, c, data: [(b"r", b"")] if c == b"M" else None) as m:
        out = run("milter", "replay", d.file, m.socket, status=1).stdout
        tap.contains(out, "+ < reject")
        tap.ok("L" not in m.seen, m.seen)


def test_plugin(d):
    """a transcript is played to a plugin of ours"""
    module = os.path.join(BUILD, "plugins/example/example.so")
    if not os.path.exists(module):
        module = os.path.join(BUILD, "plugins/dnsbl/dnsbl.so")
    out = run("milter", "replay", d.file, "--plugin", module,
              status=1).stdout
    tap.contains(out, '- < add-header "X-Seen"')


def test_errors(d):
    """wrong transcripts and dead filters are said, with their line"""
    bad = os.path.join(d.folder, "bad")
    with open(bad, "w") as f:
        f.write("# x\n> negotiate 6 0x1ff 0x1fffff\n> heder \"a\" \"b\"\n")
    with Milter() as m:
        tap.contains(run("milter", "replay", bad, m.socket,
                         status=2).stderr, "bad:3: `> heder")
    tap.contains(run("milter", "replay", d.file, "unix:/nowhere/s",
                     status=2).stderr, "/nowhere/s")
    tap.contains(run("milter", "record", "unix:/nowhere/s", d.eml,
                     status=1).stderr, "/nowhere/s")
    run("milter", "record", "nonsense", d.eml, status=1)


def test_live(d):
    """between a server and its filter: the mail is as without, each
    connection is a file, and it replays"""
    folder = os.path.join(d.folder, "live")
    with Milter(marks) as m, Server(start=False) as s:
        path = s.path("tap.sock")
        p = subprocess.Popen([os.path.join(BUILD, "mailroom"), "milter",
                              "record", m.socket, "--listen", "unix:" + path,
                              "--folder", folder],
                             stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 10
            while not os.path.exists(path) and time.monotonic() < end:
                time.sleep(.02)
            s.extra = {"milter.tap": {"socket": "unix:" + path},
                       "chain": {"inbound": ["tap"], "submission": []}}
            s.write_config()
            s.start()
            s.send(TEXT)
            got = s.newest("bob")
            tap.contains(got, b"\r\nX-Seen: ")
            tap.contains(got, b"new body")
            s.stop()
        finally:
            p.terminate()
            tap.eq(p.wait(10), 0)
        files = sorted(os.listdir(folder))
        with_mail = [f for f in files
                     if "> end-of-message" in open(
                         os.path.join(folder, f)).read()]
        tap.eq(len(with_mail), 1, files)
        tap.contains(run("milter", "replay",
                         os.path.join(folder, with_mail[0]),
                         m.socket).stdout, "0 differ")


with Desk() as desk:
    tap.run(globals(), desk)
tap.done()
