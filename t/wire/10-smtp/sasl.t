#!/usr/bin/python3
# test: timeout=120
"""SASL over SMTP, IMAP and POP3: SCRAM and its channel binding, app
passwords, tokens, client certificates."""
import base64
import os
import shutil
import ssl
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from ca import CA, openssl
from scram import Scram
from server import PASSWORD, Server
from wire import Line

CONFIG = {"limits": {"errors": 1000, "auth_tries": 100}}
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1")
ALICE = "alice@example.test"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes)
                            else data.encode()).decode()


class Talk:
    """One protocol as: auth(mechanism, initial) and answer(bytes) give
    ("more", bytes), ("ok", text) or ("no", text)."""

    def __init__(self, s, name, context=None):
        kind = s.listeners[name][0]
        self.kind = kind
        self.c = Line(s.ports[name], tls=(context or s.tls)
                      if s.listeners[name][1] == "implicit" else None)
        if kind == "submission":
            self.c.must(220)
            self.words = [w for line in self.c.ask("EHLO client.test")[1]
                          if line.startswith("AUTH ")
                          for w in line.split()[1:]]
        elif kind == "imap":
            self.c.line()
            got = self.c.imap(b"c", b"CAPABILITY")
            self.words = [w[5:] for line in got[0] for w in
                          line.decode().split() if w.startswith("AUTH=")]
        else:
            self.c.line()
            self.c.send(b"CAPA\r\n")
            self.words = []
            while True:
                line = self.c.line()
                if line.startswith(b"SASL "):
                    self.words = line.decode().split()[1:]
                if line == b".":
                    break

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.c.close()

    def auth(self, mechanism, initial=None):
        line = ("a AUTHENTICATE " if self.kind == "imap" else "AUTH ") + \
            mechanism
        if initial is not None:
            line += " " + (b64(initial) or "=")
        self.c.send(line.encode() + b"\r\n")
        return self.read()

    def answer(self, data):
        self.c.send(b64(data).encode() + b"\r\n")
        return self.read()

    def read(self):
        line = self.c.line().decode()
        if self.kind == "submission":
            code, rest = line[:3], line[4:]
            if code == "334":
                return "more", base64.b64decode(rest)
            return ("ok" if code == "235" else "no"), line
        if line.startswith("+ ") or line == "+":
            return "more", base64.b64decode(line[2:])
        while self.kind == "imap" and line.startswith("* "):
            line = self.c.line().decode()
        return ("ok" if line.startswith(("a OK", "+OK")) else "no"), line

    def scram(self, client, initial=True):
        how, data = self.auth(client.mechanism, client.first()
                              if initial else None)
        if not initial and how == "more":
            how, data = self.answer(client.first())
        if how != "more":
            return how, data
        how, data = self.answer(client.last(data))
        if how != "more":
            return how, data
        client.check(data)
        return self.answer(b"")


def client(mechanism, user=ALICE, password=PASSWORD, **kw):
    c = Scram(mechanism, user, password, **kw)
    c.mechanism = mechanism
    return c


NAMES = ("submission", "submissions", "imap", "imaps", "pop3", "pop3s")


def test_scram(s):
    """SCRAM-SHA-256 and -1, with and without an initial response"""
    for name in NAMES:
        for mechanism in MECHANISMS:
            for initial in (True, False):
                with Talk(s, name) as t:
                    tap.contains(t.words, mechanism)
                    tap.eq(t.scram(client(mechanism), initial)[0], "ok",
                           "%s %s" % (name, mechanism))


def test_wrong(s):
    """a wrong password, a login that does not exist: the same dialogue"""
    for user, password in ((ALICE, "wrong"), ("nobody@example.test", "x"),
                           ("nobody@nowhere.test", PASSWORD), ("", "x")):
        salts = set()
        for _ in range(2):
            c = client("SCRAM-SHA-256", user, password)
            with Talk(s, "submissions") as t:
                how, text = t.scram(c)
                tap.eq(how, "no")
                if user:
                    tap.contains(text, "535 5.7.8")
                    salts.add((c.salt, c.count))
        tap.ok(len(salts) <= 1, "the salt tells who exists: %r" % salts)


def test_nonsense(s):
    """messages that are none; a proof cut short; an answer after the end"""
    with Talk(s, "submissions") as t:
        for first in (b"n", b"n,,", b"n,,n=x", b"y" * 5000, b"\0\1",
                      b"n,,r=x,n=y", b"p=tls-unique,,n=a,r=b", b"y,,n=a,r=b"):
            tap.eq(t.auth("SCRAM-SHA-256", first)[0], "no", repr(first))
        for spoil in (lambda m: m[:-8], lambda m: m.replace(b"c=", b"d="),
                      lambda m: m.replace(b"r=", b"r=x"), lambda m: b"",
                      lambda m: m.split(b",p=")[0], lambda m: b"*"):
            c = client("SCRAM-SHA-256")
            how, data = t.auth("SCRAM-SHA-256", c.first())
            tap.eq(how, "more")
            tap.eq(t.answer(spoil(c.last(data)))[0], "no")
        tap.eq(t.scram(client("SCRAM-SHA-256"))[0], "ok")


def exporter(t):
    """openssl and Python's ssl module do not give it: asked of ctypes."""
    import ctypes
    sock = t.c.sock
    lib = ctypes.CDLL("libssl.so.3")
    address = ctypes.cast(id(sock._sslobj), ctypes.POINTER(
        ctypes.c_void_p))
    # PySSLSocket: ob_refcnt, ob_type, Socket, ssl
    ssl_pointer = address[3]
    out = ctypes.create_string_buffer(32)
    label = b"EXPORTER-Channel-Binding"
    good = lib.SSL_export_keying_material(
        ctypes.c_void_p(ssl_pointer), out, ctypes.c_size_t(32), label,
        ctypes.c_size_t(len(label)), None, ctypes.c_size_t(0), 0)
    assert good == 1
    return out.raw


def test_binding(s):
    """-PLUS under TLS: only over the connection it is for"""
    with Talk(s, "submission") as t:
        tap.eq([w for w in t.words if "PLUS" in w], [])
    for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"):
        with Talk(s, "submissions") as t:
            tap.contains(t.words, mechanism)
            c = client(mechanism, binding=exporter(t))
            tap.eq(t.scram(c)[0], "ok", mechanism)
        with Talk(s, "imaps") as t:
            c = client(mechanism, binding=b"x" * 32)
            tap.eq(t.scram(c)[0], "no")


def test_gsasl(s):
    """gsasl, with the mechanism it likes best"""
    if not shutil.which("gsasl"):
        raise tap.Skip("gsasl is not installed")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
        for kind, port in (("--smtp", "submission"), ("--imap", "imap")):
            r = subprocess.run(
                ["gsasl", kind, "--connect", "127.0.0.1:%d" %
                 s.ports[port], "-m", mechanism, "-a", ALICE, "-z", "",
                 "-p", PASSWORD, "--no-starttls", "--no-cb"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=30)
            tap.contains(r.stdout, b"235 2.7.0" if port == "submission"
                         else b" OK ")


def test_new_password(s):
    """a new password has new keys at once"""
    s.add_account("carol@example.test", "first one")
    s.cli("account", "passwd", "carol@example.test", "--password-stdin",
          input="second one\n")
    for password, want in (("first one", "no"), ("second one", "ok")):
        with Talk(s, "imaps") as t:
            tap.eq(t.scram(client("SCRAM-SHA-256", "carol@example.test",
                                  password))[0], want)
    s.cli("account", "set", "carol@example.test", "--disable")
    with Talk(s, "imaps") as t:
        tap.eq(t.scram(client("SCRAM-SHA-256", "carol@example.test",
                              "second one"))[0], "no")


def test_unicode(s):
    """a password beyond ASCII, composed or not"""
    s.add_account("dora@example.test", "gr\u00fcn")
    with Talk(s, "imaps") as t:
        tap.eq(t.scram(client("SCRAM-SHA-256", "dora@example.test",
                              "gr\u00fcn"))[0], "ok")


def test_app_passwords(s):
    """app passwords: by SCRAM and PLAIN, in their scope, until removed"""
    made = s.cli_json("app-password", "add", "bob@example.test", "phone",
                      "--for", "imap,submission")
    secret = made["password"]
    bob = "bob@example.test"
    plain = lambda p: b"\0%s\0%s" % (bob.encode(), p.encode())
    for name, want in (("imaps", "ok"), ("submissions", "ok"),
                       ("pop3s", "no")):
        with Talk(s, name) as t:
            tap.eq(t.scram(client("SCRAM-SHA-256", bob, secret))[0], want,
                   name)
        for p in secret, secret.replace("-", ""), secret.replace("-", " "):
            with Talk(s, name) as t:
                tap.eq(t.auth("PLAIN", plain(p))[0], want, name)
    with Talk(s, "pop3s") as t:
        tap.eq(t.scram(client("SCRAM-SHA-1", bob, PASSWORD))[0], "ok")
    listed = s.cli_json("app-password", "list", bob)
    tap.eq([(p["name"], p["scopes"]) for p in listed],
           [("phone", "imap,smtp")])
    tap.ok(listed[0]["used_ms"] >= listed[0]["created_ms"], "never used")
    tap.eq(secret in s.cli("app-password", "list").stdout, False)
    for args, word in ((("add", bob, "phone"), "already"),
                       (("add", bob, "tv", "--for", "ftp"), "scopes"),
                       (("add", "x@example.test", "tv"), "x@example.test"),
                       (("remove", bob, "tv"), "no app password")):
        r = s.cli("app-password", *args, check=False)
        tap.ok(r.returncode != 0 and word in r.stderr, r.stderr)
    s.cli("app-password", "remove", bob, "phone")
    for how in "SCRAM-SHA-256", "PLAIN":
        with Talk(s, "imaps") as t:
            got = t.auth("PLAIN", plain(secret)) if how == "PLAIN" else \
                t.scram(client(how, bob, secret))
            tap.eq(got[0], "no", how)


def test_old_account(s):
    """an account from before keys gets them with its next PLAIN login"""
    s.add_account("eve@example.test", "old one")
    import sqlite3
    db = sqlite3.connect(os.path.join(s.data, "sqlite", "mailroom.db"))
    db.execute("DELETE FROM credential WHERE account = (SELECT id FROM "
               "account WHERE name = 'eve@example.test')")
    db.commit()
    db.close()
    eve = "eve@example.test"
    with Talk(s, "imaps") as t:
        tap.eq(t.scram(client("SCRAM-SHA-256", eve, "old one"))[0], "no")
    with Talk(s, "imaps") as t:
        tap.eq(t.auth("PLAIN", b"\0eve@example.test\0old one")[0], "ok")
    with Talk(s, "imaps") as t:
        tap.eq(t.scram(client("SCRAM-SHA-256", eve, "old one"))[0], "ok")


def test_certificate(s):
    """EXTERNAL: the certificate's address is the account"""
    folder = s.path("ca")
    os.mkdir(folder)
    ca = CA(folder)
    os.chmod(folder, 0o755)
    s.extra["tls"] = {"client_ca": ca.file}
    s.write_config()
    s.restart()
    for issuer, address, want in ((ca, ALICE, "ok"),
                                  (ca, "nobody@example.test", None),
                                  (None, ALICE, None), (None, None, None)):
        context = ssl.create_default_context(cafile=s.cert)
        if address:
            context.load_cert_chain(*person(folder, issuer, address))
        for name in "submissions", "imaps", "pop3s":
            with Talk(s, name, context) as t:
                tap.eq("EXTERNAL" in t.words, want == "ok", str(address))
                tap.eq(t.auth("EXTERNAL", b"")[0], want or "no")
            if want:
                with Talk(s, name, context) as t:
                    tap.eq(t.auth("EXTERNAL", b"bob@example.test")[0], "no")
                with Talk(s, name, context) as t:
                    tap.eq(t.auth("EXTERNAL", ALICE.encode())[0], "ok")


def person(folder, ca, address):
    base = os.path.join(folder, "p%d" % len(os.listdir(folder)))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=x", "-out", base + ".csr", "-keyout",
            base + ".key")
    with open(base + ".ext", "w") as f:
        f.write("subjectAltName=email:" + address)
    by = ["-CA", ca.file, "-CAkey", ca.key, "-CAcreateserial"] if ca else \
        ["-signkey", base + ".key"]
    openssl("x509", "-req", "-in", base + ".csr", *by, "-days", "3",
            "-extfile", base + ".ext", "-out", base + ".pem")
    return base + ".pem", base + ".key"


with Server(CONFIG) as server:
    tap.run(globals(), server)
tap.done()
