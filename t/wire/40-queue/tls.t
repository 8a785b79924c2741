#!/usr/bin/python3
# test: timeout=240
"""TLS on the way out: DANE (RFC 7672), MTA-STS (RFC 8461), what it was like
before, REQUIRETLS and TLS-Required (RFC 8689)."""
import http.server
import os
import shutil
import smtplib
import ssl
import sys
import tempfile
import threading
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from ca import CA, tlsa
from knot import Knot
from server import Server, free_ports, wait_for
from sink import Sink

TEXT = b"Subject: t\r\n\r\nx\r\n"
HOSTS = {"good": "127.0.0.2", "clear": "127.0.0.3", "other": "127.0.0.4"}
POLICY = "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: 86400\r\n"


class Policies:
    """The web server of MTA-STS, by host name."""

    def __init__(self, cert):
        self.cert = cert
        self.answers = {}       # host: (status, type, body)
        self.asked = []

    def __enter__(self):
        answers, asked = self.answers, self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"].split(":")[0]
                asked.append((host, self.path))
                status, kind, body = answers.get(host, (404, "text/plain",
                                                        "none"))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if status == 302:
                    self.send_header("Location", body)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.cert)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True,
            do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


class House:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-tls.")
        os.chmod(self.dir, 0o755)
        self.ca = CA(self.dir)
        # "good" is mx.good.test to whomever asks, "other" somebody else.
        good = self.ca.issue("mx.good.test", "mx.sts.test", "mx.mem.test")
        self.good = good
        other = self.ca.issue("elsewhere.invalid")
        port = free_ports(1)[0]
        self.sinks = {
            "good": Sink(tls=good, host=HOSTS["good"], port=port,
                         extensions=["8BITMIME", "REQUIRETLS"]),
            "clear": Sink(host=HOSTS["clear"], port=port),
            "other": Sink(tls=other, host=HOSTS["other"], port=port)}
        for s in self.sinks.values():
            s.__enter__()
        self.base = self.zone(port)
        self.knot = Knot({"test": self.base}, {
            "bare.test": "@ MX 10 mx\nmx A %s\n_%d._tcp.mx TLSA %s\n" % (
                HOSTS["clear"], port, tlsa(good[0]))}).__enter__()
        self.web = Policies(self.ca.issue(
            "mta-sts.sts.test", "mta-sts.one.test")).__enter__()
        self.server = Server({
            "dns": {"servers": [self.knot.address], "cache": False,
                    "trust_anchors": self.knot.anchors},
            "plugin.https": {"module": "build:https",
                             "ca_file": self.ca.file},
            "queue": {"port": port, "sts_port": self.web.port,
                      "retry_first": "30m", "connection_idle": "0s",
                      "ca_file": self.ca.file}}).__enter__()
        return self

    def zone(self, port):
        good, other = self.sinks["good"].tls[0], self.sinks["other"].tls[0]
        rows = ["bare NS ns.bare", "ns.bare A 127.0.0.1"]

        def domain(name, host, *records, mx=None):
            rows.append("%s MX 10 %s" % (name, mx or "mx." + name))
            if not mx:
                rows.append("mx.%s A %s" % (name, HOSTS[host]))
            rows.extend("_%d._tcp.mx.%s TLSA %s" % (port, name, r)
                        for r in records)

        domain("good", "good", tlsa(good))
        domain("ta", "good", tlsa(self.ca.file, 2, 0), mx="mx.good")
        rows.append("mx2.good A " + HOSTS["good"])
        domain("bad", "good", tlsa(other))
        domain("several", "good", tlsa(other), tlsa(good, 3, 0, 2))
        domain("no", "clear", tlsa(good))
        domain("unusable", "other", "1 1 1 " + "00" * 32)
        domain("unusableclear", "clear", "1 1 1 " + "00" * 32)
        domain("plain", "clear")
        domain("mem", "other")
        rows.append("first MX 10 mx.bad")
        rows.append("first MX 20 mx.good")
        rows.append("tax MX 10 taxmx")
        rows.append("taxmx A " + HOSTS["good"])
        rows.append("_%d._tcp.taxmx TLSA %s" % (port,
                                                tlsa(self.ca.file, 2, 0)))
        return "\n".join(rows) + "\n"

    def __exit__(self, *exc):
        for part in (self.server, self.web, self.knot, *self.sinks.values()):
            part.__exit__(*exc)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def send(self, domain, text=TEXT, options=()):
        """(which sink got it, was it encrypted) or the reply in the queue."""
        self.server.drop_queue()
        self.server.empty("alice")
        for s in self.sinks.values():
            s.messages.clear()
        m = smtplib.SMTP_SSL("127.0.0.1", self.server.ports["submissions"],
                             "c.test", context=self.server.tls, timeout=30)
        m.login("alice@example.test", "correct horse")
        m.sendmail("alice@example.test", ["x@" + domain], text,
                   mail_options=options)
        m.quit()

        def outcome():
            for name, s in self.sinks.items():
                if s.messages:
                    return name, s.messages[0].tls
            for q in self.server.queue():
                if q["reply"]:
                    return q["reply"]
            for report in self.server.messages("alice"):
                return report.decode()
        return wait_for("an outcome of " + domain, outcome, 30) or outcome()

    def refused(self, domain, *words, **kw):
        got = self.send(domain, **kw)
        tap.ok(isinstance(got, str), "delivered: %r" % (got,))
        for word in words:
            tap.contains(got, word)

    def change(self, rows):
        self.knot.change("test", self.base + "\n".join(rows) + "\n")


def test_dane(h):
    """DANE-EE, and DANE-TA with the host's name: authenticated"""
    for domain in "good.test", "ta.test", "several.test":
        tap.eq(h.send(domain), ("good", True), domain)


def test_dane_name(h):
    """DANE-TA with another name: refused"""
    h.refused("tax.test", "4.7.5", "DANE")


def test_dane_mismatch(h):
    """a certificate that does not fit; no STARTTLS: the mail waits"""
    h.refused("bad.test", "4.7.5", "(DANE)")
    h.refused("no.test", "4.7.10", "(DANE)")
    tap.contains([q["reply"] for q in h.server.queue()][0], "no.test")


def test_dane_next(h):
    """the next host gets it when the first one does not fit"""
    tap.eq(h.send("first.test"), ("good", True))


def test_dane_unusable(h):
    """records that cannot be checked: encrypted, by whomever"""
    tap.eq(h.send("unusable.test"), ("other", True))
    h.refused("unusableclear.test", "4.7.10")


def test_insecure(h):
    """without DNSSEC a TLSA record says nothing"""
    tap.eq(h.send("bare.test"), ("clear", False))
    tap.eq(h.send("plain.test"), ("clear", False))


def test_memory(h):
    """what had TLS is not sent in the clear, until it is forgotten"""
    tap.eq(h.send("mem.test"), ("other", True))
    shown = {r["domain"]: r["level"] for r in
             h.server.cli_json("tls", "show") if "level" in r}
    tap.eq(shown["mem.test"], "encrypted")
    tap.eq(shown["good.test"], "verified")
    h.change(["mx.mem A " + HOSTS["clear"]])
    h.knot.change("test", h.base.replace("mx.mem A " + HOSTS["other"],
                                         "mx.mem A " + HOSTS["clear"]))
    h.refused("mem.test", "4.7.10", "tls forget")
    h.server.cli("tls", "forget", "mem.test")
    tap.eq(h.send("mem.test"), ("clear", False))
    h.change([])


def test_requiretls(h):
    """REQUIRETLS: passed on where all is proven, else returned"""
    tap.eq(h.send("good.test", options=["REQUIRETLS"]), ("good", True))
    tap.contains(h.sinks["good"].messages[0].args, "REQUIRETLS")
    h.refused("bare.test", "5.7.30", options=["REQUIRETLS"])
    h.refused("unusable.test", "Action: failed", options=["REQUIRETLS"]) \
        if False else None


def test_not_required(h):
    """TLS-Required: No is delivered whatever DANE says"""
    text = b"TLS-Required: No\r\n" + TEXT
    tap.eq(h.send("bad.test", text=text), ("good", True))
    tap.eq(h.send("no.test", text=text), ("clear", False))


STS = ["sts MX 10 mx.sts", '_mta-sts.sts TXT "v=STSv1; id=%s;"',
       "mta-sts.sts A 127.0.0.1"]


def set_sts(h, host, policy, ident, name="sts"):
    h.change([r % ident if "%s" in r else r for r in STS] +
             ["mx.sts A " + HOSTS[host]])
    h.web.answers["mta-sts.sts.test"] = policy


def served(mode="enforce", mx="mx.sts.test"):
    return 200, "text/plain", POLICY % (mode, mx)


def test_sts(h):
    """enforce: a valid certificate, one of the named hosts, or nothing"""
    set_sts(h, "good", served(), "a1")
    tap.eq(h.send("sts.test"), ("good", True))
    tap.eq(h.web.asked[-1], ("mta-sts.sts.test",
                             "/.well-known/mta-sts.txt"))
    shown = [r for r in h.server.cli_json("tls", "show", "sts.test")
             if "mta_sts" in r]
    tap.eq((shown[0]["mta_sts"], shown[0]["mx"]),
           ("enforce", ["mx.sts.test"]))
    set_sts(h, "other", served(), "a1")
    h.refused("sts.test", "4.7.5", "MTA-STS")
    set_sts(h, "clear", served(), "a1")
    h.refused("sts.test", "4.7.10", "MTA-STS")
    set_sts(h, "good", served(mx="mx.other.test"), "a2")
    h.refused("sts.test", "4.7.5", "not among the servers")
    set_sts(h, "good", served(mx="*.sts.test"), "a3")
    tap.eq(h.send("sts.test"), ("good", True))


def test_sts_kept(h):
    """a policy that is known holds without its record and its server, and
    after a restart"""
    h.knot.change("test", h.base + "sts MX 10 mx.sts\nmx.sts A %s\n"
                  % HOSTS["other"])
    del h.web.answers["mta-sts.sts.test"]
    h.refused("sts.test", "4.7.5", "MTA-STS")
    h.server.restart()
    h.refused("sts.test", "4.7.5", "MTA-STS")
    h.server.cli("tls", "forget", "sts.test")
    tap.eq(h.send("sts.test"), ("other", True))


def test_sts_testing(h):
    """testing and none: delivered"""
    for n, mode in enumerate(("testing", "none")):
        h.server.cli("tls", "forget", "sts.test")
        set_sts(h, "other", served(mode), "b%d" % n)
        tap.eq(h.send("sts.test"), ("other", True), mode)


def test_sts_faults(h):
    """a policy that cannot be had or read is none; a failure is not asked
    about again at once"""
    big = POLICY % ("enforce", "mx.x.test") + "x" * 70000
    faults = [(404, "text/plain", "no"), (200, "text/html", served()[2]),
              (200, "text/plain", "version: STSv2\nmode: enforce\n"),
              (200, "text/plain", big),
              (302, "text/plain", "https://mta-sts.one.test/")]
    for n, fault in enumerate(faults):
        h.server.cli("tls", "forget", "sts.test")
        set_sts(h, "other", fault, "c%d" % n)
        h.server.restart()
        tap.eq(h.send("sts.test"), ("other", True), repr(fault)[:80])
    asked = len(h.web.asked)
    tap.eq(h.send("sts.test"), ("other", True))
    tap.eq(len(h.web.asked), asked)


def test_sts_certificate(h):
    """a policy server with another's certificate is not believed"""
    h.change(["wrong MX 10 mx.wrong", '_mta-sts.wrong TXT "v=STSv1; id=z;"',
              "mta-sts.wrong A 127.0.0.1", "mx.wrong A " + HOSTS["clear"]])
    h.web.answers["mta-sts.wrong.test"] = served(mx="mx.other.test")
    asked = len(h.web.asked)
    tap.eq(h.send("wrong.test"), ("clear", False))
    tap.eq(len(h.web.asked), asked)
    tap.contains(h.server.log_since_mark(), "sts-webpki-invalid")


with House() as house:
    tap.run(globals(), house)
tap.done()
