#!/usr/bin/python3
# test: timeout=120
"""mailroom milter probe: names of what a milter wants, or of the wrong
service with the fix; no more than options and quit are ever sent."""
import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import filters
import tap
from milter import Milter
from server import BUILD, Server, free_ports, wait_for

MAILROOM = os.path.join(BUILD, "mailroom")
NO_CONFIG = ["--config", "/nonexistent/config.toml"]


def probe(address, *options, config=NO_CONFIG, **kw):
    return subprocess.run([MAILROOM, *config, "milter", "probe", address,
                           *options], capture_output=True, text=True,
                          timeout=60, **kw)


def trouble(address, found, fix, **kw):
    done = probe(address, **kw)
    tap.eq(done.returncode, 1, done)
    tap.contains(done.stderr.lower(), found.lower())
    tap.contains(done.stderr.split("\nfix: ")[1], fix)


class Says:
    """Listens on loopback; answers whatever comes so."""

    def __init__(self, answer, greeting=b""):
        self.answer, self.greeting, self.heard = answer, greeting, b""

    def __enter__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "inet:127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.close()

    def serve(self):
        conn, _ = self.server.accept()
        with conn:
            conn.sendall(self.greeting)
            self.heard = conn.recv(1000)
            if self.answer is None:
                while conn.recv(1000):
                    pass
            else:
                conn.sendall(self.answer)


def test_names():
    """version, steps, actions in names"""
    with Milter(protocol=0x100702 | 0x80, actions=0x31) as m:
        done = probe(m.socket)
        tap.eq((done.returncode, done.stderr), (0, ""))
        tap.eq(done.stdout.splitlines()[1:], [
            "steps:        connect mail rcpt header end-of-headers body",
            "no answer to: header",
            "manners:      skips-rest-of-body exact-header-space",
            "actions:      add-header change-header quarantine",
            "macros:       the usual ones"])
        wait_for("quit", lambda: m.seen == "OQ")


def test_json():
    """the same as JSON, with macros"""
    import json
    frame = struct.pack("!III", 6, 0x101, 0) + b"\0\0\0\2i, {mail_addr}\0" \
        + b"\0\0\0\5\0"
    with Says(struct.pack("!I", 1 + len(frame)) + b"O" + frame) as s:
        got = json.loads(probe(s.address, "--json").stdout)
    tap.eq(got["version"], 6)
    tap.eq(got["actions"], ["add-header", "choose-macros"])
    tap.eq(got["macros"], {"mail": ["i", "{mail_addr}"],
                           "end-of-message": []})
    tap.eq(len(got["steps"]), 9)


def test_forms():
    """addresses as Sendmail and Postfix write them; nonsense is usage"""
    for form in ("local:%s",):
        with Milter() as m:
            tap.eq(probe(form % m.path).returncode, 0)
    with Says(struct.pack("!IcIII", 13, b"O", 2, 0, 0)) as s:
        port = s.address.rsplit(":", 1)[1]
        done = probe("inet:%s@localhost" % port)
        tap.contains(done.stdout, "a milter, version 2")
    tap.eq(probe("nonsense").returncode, 2)


SERVICES = [
    ("clamd", b"UNKNOWN COMMAND\n", b"", "clamd", "clamav-milter"),
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", "HTTP", "11332"),
    ("TLS", b"\x15\x03\x01\0\2\2\x46", b"", "TLS", "in the clear"),
    ("SMTP", b"", b"220 mx.example.net ESMTP\r\n", "SMTP server", "own port"),
    ("SMTP refusing", b"", b"554-no\r\n554 no\r\n", "SMTP server", "own port"),
    ("spamd", b"SPAMD/1.0 76 Bad header line\r\n", b"", "spamd",
     "spamass-milter"),
    ("SSH", b"", b"SSH-2.0-x\r\n", "SSH", "own port"),
    ("something else", b"\xffhello\n", b"", 'says "?hello?"', "address"),
    ("a closed door", b"", b"", "no answer", "log"),
    ("silence", None, b"", "no answer", "stuck"),
    ("another version", struct.pack("!IcIII", 13, b"O", 9, 0, 0), b"",
     "version 9", "version 6"),
    ("another frame", struct.pack("!Ic", 1, b"c"), b"", "0x63", "options"),
    ("a short frame", struct.pack("!Ic", 5, b"O"), b"", "closed", "log"),
]


def service(answer, greeting, found, fix):
    with Says(answer, greeting) as s:
        trouble(s.address, found, fix)


def test_real_http():
    """a real HTTP server, which waits for a line first"""
    h = http.server.HTTPServer(("127.0.0.1", 0), type(
        "Quiet", (http.server.BaseHTTPRequestHandler,),
        {"log_message": lambda *a: None}))
    threading.Thread(target=h.serve_forever, daemon=True).start()
    trouble("inet:127.0.0.1:%d" % h.server_port, "HTTP", "11332")
    h.shutdown()


def test_nothing():
    """nothing listens"""
    port = free_ports(1)[0]
    trouble("inet:127.0.0.1:%d" % port, "connect to", "nothing listens")
    trouble("inet6:[::1]:%d" % port, "connect to", "")


def test_files(folder):
    """no socket, a socket left over, a file that is none"""
    trouble("unix:%s/none" % folder, "no such file", "no such socket")
    with Milter(folder=folder) as m:
        left = folder + "/left"
        os.rename(m.path, left)
    trouble("unix:" + left, "refused", "nobody listens")


def test_denied(folder):
    """a socket that the server's user may not write, run by root"""
    if os.getuid() != 0:
        raise tap.Skip("needs root")
    with Server(start=False) as s, Milter() as m:
        os.chmod(m.path, 0o600)
        trouble(m.socket, "permission denied", "UMask",
                config=["--config", s.config])
        os.chmod(m.path, 0o666)
        tap.eq(probe(m.socket, config=["--config", s.config]).returncode, 0)


REAL = [("opendkim", "OpenDKIM", "opendkim", "exact-header-space"),
        ("opendmarc", "OpenDMARC", "opendmarc", "quarantine"),
        ("clamav", "ClamAV", "clamav-milter", "add-header")]


def real(kind, program, word):
    """probed three times, it still answers"""
    os.environ["PATH"] += ":/usr/sbin"
    if not shutil.which(program):
        raise tap.Skip(program + " is not installed")
    with getattr(filters, kind)() as f:
        for _ in range(3):
            done = probe(f.socket)
            tap.eq(done.returncode, 0, done)
            tap.contains(done.stdout, word)
        tap.ok(all(p.poll() is None for p in f.procs), "it has ended")
        if kind == "ClamAV":
            trouble("unix:" + f.clamd, "clamd", "clamav-milter")


with tempfile.TemporaryDirectory(prefix="mailroom-p.") as place:
    for test in (test_names, test_json, test_forms, test_real_http,
                 test_nothing):
        tap.call(tap.title(test), test)
    tap.call(tap.title(test_files), test_files, place)
    tap.call(tap.title(test_denied), test_denied, place)
tap.table([("instead: " + n, *row) for n, *row in SERVICES], service)
tap.table([("real: " + n, *row) for n, *row in REAL], real)
tap.done()
