#!/usr/bin/python3
# test: timeout=200
"""Three servers of ours on loopback, with DNS that is signed, exchange mail:
DANE, MTA-STS, DSN, forwarding, internationalised addresses; swaks, msmtp,
smtplib and nodemailer bring it."""
import http.server
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from ca import CA, tlsa
from knot import Knot
from server import PASSWORD, Server, free_ports, wait_for

NAMES = ("north", "south", "west")
ADDRESS = {"north": "127.0.1.1", "south": "127.0.1.2", "west": "127.0.1.3"}


class House:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-mesh.")
        os.chmod(self.dir, 0o755)
        self.ca = CA(self.dir)
        self.port = free_ports(1)[0]
        self.certs = {n: self.ca.issue("mx.%s.test" % n, "mta-sts.%s.test" % n)
                      for n in NAMES}
        rows = []
        for n in NAMES:
            rows += ["%s MX 10 mx.%s" % (n, n),
                     "mx.%s A %s" % (n, ADDRESS[n])]
        rows.append("_%d._tcp.mx.south TLSA %s" % (
            self.port, tlsa(self.certs["south"][0])))
        rows += ['_mta-sts.west TXT "v=STSv1; id=1;"',
                 "mta-sts.west A 127.0.0.1"]
        self.knot = Knot({"test": "\n".join(rows) + "\n"}).__enter__()
        self.start_policies()
        self.house = {n: self.make(n) for n in NAMES}
        return self

    def start_policies(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(b"version: STSv1\nmode: enforce\n"
                                 b"mx: mx.west.test\nmax_age: 86400\n")

            def log_message(self, *args):
                pass
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certs["west"])
        self.web.socket = context.wrap_socket(self.web.socket,
                                              server_side=True)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()

    def make(self, name):
        cert, key = self.certs[name]
        os.chmod(key, 0o600)
        s = Server({
            "": {"hostname": "mx.%s.test" % name},
            "tls": {"certificate": cert, "key": key},
            "dns": {"servers": [self.knot.address],
                    "trust_anchors": self.knot.anchors},
            "plugin.https": {"module": "build:https",
                             "ca_file": self.ca.file},
            "listen.mx": {"protocol": "smtp", "tls": "starttls",
                          "address": ["%s:%d" % (ADDRESS[name], self.port)]},
            "queue": {"port": self.port, "ca_file": self.ca.file,
                      "sts_port": self.web.server_address[1],
                      "retry_first": "1s"}}, accounts=())
        s.__enter__()
        s.cli("domain", "add", name + ".test")
        s.add_account("ann@%s.test" % name)
        return s

    def __exit__(self, *exc):
        for s in self.house.values():
            s.__exit__(*exc)
        self.web.shutdown()
        self.web.server_close()
        self.knot.__exit__(*exc)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log_mark(self):
        for s in self.house.values():
            s.log_mark()

    def log_tail(self):
        return "\n".join(n + "\n" + s.log_tail(12)
                         for n, s in self.house.items())

    def submit(self, name):
        m = smtplib.SMTP("127.0.0.1", self.house[name].ports["submission"],
                         "c.test", timeout=30)
        m.command_encoding = "utf-8"
        m.login("ann@%s.test" % name, PASSWORD)
        return m

    def box(self, name, n=1):
        s, who = self.house[name], "ann@%s.test" % name
        wait_for("%d messages at %s" % (n, name),
                 lambda: len(s.messages(who)) >= n, 30)
        got = s.messages(who)
        s.empty(who)
        return got


def test_all_ways(h):
    """each writes to each: encrypted, DANE to south, MTA-STS to west"""
    for a in NAMES:
        m = h.submit(a)
        for b in NAMES:
            if a != b:
                m.sendmail("ann@%s.test" % a, ["ann@%s.test" % b],
                           b"Subject: %s\r\n\r\nx\r\n" % a.encode())
        m.quit()
    for b in NAMES:
        got = h.box(b, 2)
        tap.eq(len(got), 2)
        for m in got:
            tap.contains(m, b" with ESMTPS id ")
    seen = {r["domain"]: r for r in
            h.house["north"].cli_json("tls", "show") if "level" in r}
    tap.eq(seen["south.test"]["level"], "verified")
    tap.eq(seen["west.test"]["level"], "verified")
    modes = [r for r in h.house["north"].cli_json("tls", "show")
             if "mta_sts" in r]
    tap.eq([(r["domain"], r["mta_sts"]) for r in modes],
           [("west.test", "enforce")])


def test_dane_broken(h):
    """south changes its certificate without telling: mail waits for it"""
    south = h.house["south"]
    south.extra["tls"] = dict(zip(("certificate", "key"),
                                  h.certs["north"]))
    south.write_config()
    south.restart()
    m = h.submit("north")
    m.sendmail("ann@north.test", ["ann@south.test"], b"Subject: d\r\n\r\nx\r\n")
    m.quit()
    wait_for("a reason", lambda: any(
        "DANE" in q["reply"] for q in h.house["north"].queue()))
    south.extra["tls"] = dict(zip(("certificate", "key"),
                                  h.certs["south"]))
    south.write_config()
    south.restart()
    h.house["north"].cli("queue", "flush")
    tap.contains(h.box("south")[0], b"Subject: d")


def test_dsn(h):
    """success is reported by the last server, failure by the one that knows"""
    m = h.submit("north")
    m.sendmail("ann@north.test", ["ann@south.test"],
               b"Subject: ok\r\n\r\nx\r\n", mail_options=["ENVID=e1"],
               rcpt_options=["NOTIFY=SUCCESS"])
    h.box("south")
    report = h.box("north")[0]
    tap.contains(report, b"Action: delivered")
    tap.contains(report, b"Original-Envelope-Id: e1")
    tap.contains(report, b"Reporting-MTA: dns; mx.south.test")
    m.sendmail("ann@north.test", ["nobody@west.test"],
               b"Subject: no\r\n\r\nx\r\n")
    m.quit()
    report = h.box("north")[0]
    tap.contains(report, b"Action: failed")
    tap.contains(report, b"5.1.1")


def test_forward(h):
    """north to south, which forwards to west: SRS, and a bounce finds back"""
    h.house["south"].cli("alias", "add", "fwd@south.test", "ann@west.test")
    h.house["south"].cli("alias", "add", "dead@south.test", "no@west.test")
    m = h.submit("north")
    m.sendmail("ann@north.test", ["fwd@south.test"],
               b"Subject: f\r\n\r\nx\r\n")
    got = h.box("west")[0]
    tap.contains(got, b"Return-Path: <SRS0=")
    tap.contains(got, b"=north.test=ann@south.test>")
    m.sendmail("ann@north.test", ["dead@south.test"],
               b"Subject: f\r\n\r\nx\r\n")
    m.quit()
    tap.contains(h.box("north")[0], b"no@west.test")


def test_utf8(h):
    """an address and a subject beyond ASCII, over two servers"""
    h.house["west"].cli("alias", "add", "j\u00f6rg@west.test",
                        "ann@west.test")
    m = h.submit("north")
    m.ehlo("c.test")
    m.sendmail("ann@north.test", ["j\u00f6rg@west.test"],
               "Subject: gr\u00fcn\r\n\r\n\u20ac\r\n".encode(),
               mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    m.quit()
    got = h.box("west")[0]
    tap.contains(got, "Subject: gr\u00fcn\r\n".encode())
    tap.contains(got, b" with UTF8SMTPS id ")


def test_swaks(h):
    """swaks, by STARTTLS"""
    if not shutil.which("swaks"):
        raise tap.Skip("swaks is not installed")
    subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port",
         str(h.house["north"].ports["submission"]), "--from",
         "ann@north.test", "--to", "ann@south.test", "-tls", "--auth-user",
         "ann@north.test", "--auth-password", PASSWORD, "--header",
         "Subject: swaks"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    tap.contains(h.box("south")[0], b"Subject: swaks")


def test_msmtp(h):
    """msmtp, with SCRAM where it can"""
    if not shutil.which("msmtp"):
        raise tap.Skip("msmtp is not installed")
    conf = os.path.join(h.dir, "msmtprc")
    with open(conf, "w") as f:
        f.write("account default\nhost 127.0.0.1\nport %d\nfrom "
                "ann@north.test\nauth on\nuser ann@north.test\npassword "
                "\"%s\"\ntls on\ntls_starttls on\ntls_certcheck off\n" % (
                    h.house["north"].ports["submission"], PASSWORD))
    os.chmod(conf, 0o600)
    subprocess.run(["msmtp", "-C", conf, "ann@west.test"], check=True,
                   input=b"Subject: msmtp\n\nx\n.\ny\n", timeout=60)
    tap.contains(h.box("west")[0], b"\r\n\r\nx\r\n.\r\ny\r\n")


def test_nodemailer(h):
    """nodemailer, with an attachment"""
    where = ["/usr/share/nodejs", "/usr/lib/nodejs"]
    if not shutil.which("node") or not any(
            os.path.isdir(w + "/nodemailer") for w in where):
        raise tap.Skip("nodemailer is not installed")
    script = """
const t = require('nodemailer').createTransport({host: '127.0.0.1',
  port: %d, secure: false, auth: {user: 'ann@north.test', pass: '%s'},
  tls: {rejectUnauthorized: false}});
t.sendMail({from: 'ann@north.test', to: 'ann@south.test',
  subject: 'gr\\u00fcn', text: 'x', attachments: [{filename: 'a.bin',
  content: Buffer.alloc(5000, 255)}]}).then(() => process.exit(0),
  e => { console.error(e); process.exit(1); });
""" % (h.house["north"].ports["submission"], PASSWORD)
    subprocess.run(["node", "-e", script], check=True, timeout=60,
                   env={**os.environ, "NODE_PATH": ":".join(where)})
    tap.contains(h.box("south")[0], b"a.bin")


with House() as house:
    tap.run(globals(), house)
tap.done()
