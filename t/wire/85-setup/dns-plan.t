#!/usr/bin/python3
# test: timeout=120
"""mailroom dns plan: the records that a domain wants, beside what is live in
a zone that Knot signs."""
import base64
import hashlib
import re
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from knot import Knot
from server import Server

LIVE = """@ TXT "v=spf1 include:_spf.example.test ip4:192.0.2.0/28 -all"
@ TXT "site-verification=1"
_spf TXT "v=spf1 a:one.example.test exists:%{i}.example.test ~all"
_dmarc TXT "v=DMARC1; p=quarantine; adkim=s"
"""


class House:
    def __enter__(self):
        self.knot = Knot({"example.test": LIVE},
                         {"plain.test": ""}).__enter__()
        self.server = Server({
            "dns": {"servers": [self.knot.address], "timeout": "2s",
                    "trust_anchors": self.knot.anchors},
            "dns.plan": {"authority_port": self.knot.port,
                         "authority": "ca.example",
                         "addresses": ["203.0.113.5", "2001:db8::0:5"]},
        }, start=False).__enter__()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.knot.__exit__(*exc)

    def plan(self, *args):
        got = self.server.cli_json("dns", "plan", "example.test", *args)
        return {(r["name"], r["type"]): r["value"]
                for r in got[0]["records"] if r["type"] != "SRV"}, got[0]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_incoming(h):
    """MX leads to the hostname, whose addresses are those configured"""
    plan, _ = h.plan()
    tap.eq(plan["example.test", "MX"], "10 mail.example.test.")
    tap.eq(plan["mail.example.test", "A"], "203.0.113.5")
    tap.eq(plan["mail.example.test", "AAAA"], "2001:db8::5")
    tap.eq(plan["example.test", "CAA"], '0 issue "ca.example"')


def test_told_address(h):
    """--address goes before the configuration, and must be one"""
    plan, _ = h.plan("--address", "198.51.100.7")
    tap.eq(plan["mail.example.test", "A"], "198.51.100.7")
    tap.ok(("mail.example.test", "AAAA") not in plan)
    done = h.server.cli("dns", "plan", "--address", "mail.example",
                        check=False)
    tap.eq(done.returncode, 2)
    tap.contains(done.stderr, "IPv4 or IPv6")


def test_spf_is_merged(h):
    """the live SPF record keeps its terms, and its end, and gets one more"""
    plan, _ = h.plan()
    tap.eq(plan["example.test", "TXT"],
           "v=spf1 mx include:_spf.example.test ip4:192.0.2.0/28 -all")
    tap.eq(plan["mail.example.test", "TXT"], "v=spf1 a -all")
    plan, _ = h.plan("--address", "192.0.2.3")
    tap.eq(plan["example.test", "TXT"],
           "v=spf1 include:_spf.example.test ip4:192.0.2.0/28 -all",
           "a network has the address already")


def test_spf_of_many_lookups(h):
    """where ten look-ups are taken, addresses are named; past it, it says"""
    ten = " ".join("a:h%d.example.test" % i for i in range(8))
    h.knot.change("example.test", LIVE + '_spf2 TXT "v=spf1 %s"\n' % ten)
    h.knot.change("example.test", LIVE.replace(
        "ip4:192.0.2.0/28", "include:_spf2.example.test") +
        '_spf2 TXT "v=spf1 %s"\n' % ten)
    plan, whole = h.plan()
    tap.contains(plan["example.test", "TXT"],
                 "v=spf1 ip4:203.0.113.5 ip6:2001:db8::5 include:")
    tap.contains("".join(whole["notes"]), "12 look-ups")
    h.knot.change("example.test", LIVE)


def test_dmarc(h):
    """a live DMARC record is kept and gets a place for reports"""
    plan, _ = h.plan()
    tap.eq(plan["_dmarc.example.test", "TXT"], "v=DMARC1; p=quarantine; "
           "adkim=s; rua=mailto:postmaster@example.test")


def test_transport(h):
    """MTA-STS, TLS-RPT, and TLSA as openssl computes it"""
    plan, _ = h.plan()
    tap.ok(re.fullmatch("v=STSv1; id=[0-9a-f]{20}",
                        plan["_mta-sts.example.test", "TXT"]))
    tap.eq(plan["mta-sts.example.test", "CNAME"], "mail.example.test.")
    tap.eq(plan["_smtp._tls.example.test", "TXT"],
           "v=TLSRPTv1; rua=mailto:postmaster@example.test")
    key = subprocess.run(
        ["openssl", "x509", "-in", h.server.cert, "-noout", "-pubkey"],
        check=True, capture_output=True, text=True).stdout
    der = base64.b64decode("".join(key.splitlines()[1:-1]))
    tap.eq(plan["_25._tcp.mail.example.test", "TLSA"],
           "3 1 1 " + hashlib.sha256(der).hexdigest())
    policy = h.server.cli("dns", "plan", "--policy").stdout
    tap.contains(policy, "mode: testing\nmx: mail.example.test\n")


def test_no_tlsa_without_dnssec(h):
    """TLSA is wanted only where DNSSEC proves the host's zone"""
    h.server.extra[""] = {"hostname": "mail.plain.test"}
    h.server.write_config()
    plan, _ = h.plan()
    tap.ok(("_25._tcp.mail.plain.test", "TLSA") not in plan, plan)
    h.server.extra[""] = {"hostname": "mail.example.test"}
    h.server.write_config()


def test_services(h):
    """SRV names the ports of the listeners, and "." for what is not there"""
    got = {r["name"].split(".")[0]: r["value"]
           for r in h.plan()[1]["records"] if r["type"] == "SRV"}
    tap.eq(got["_imaps"], "0 1 %d mail.example.test."
           % h.server.ports["imaps"])
    tap.eq(got["_submissions"], "0 1 %d mail.example.test."
           % h.server.ports["submissions"])
    listeners = h.server.listeners
    h.server.listeners = {k: v for k, v in listeners.items()
                          if k != "pop3s"}
    h.server.write_config()
    got = {r["name"].split(".")[0]: r["value"]
           for r in h.plan()[1]["records"] if r["type"] == "SRV"}
    tap.eq(got["_pop3s"], "0 0 0 .")
    h.server.listeners = listeners
    h.server.write_config()


def test_keys(h):
    """each DKIM key in use or waiting has its record"""
    tap.contains(" ".join(h.plan()[1]["notes"]), "mailroom dkim new")
    h.server.cli("dkim", "new", "example.test")
    keys = h.server.cli_json("dkim", "list")
    plan, _ = h.plan()
    tap.eq(len(keys), 2)
    for key in keys:
        tap.eq(plan[key["name"], "TXT"], key["record"])


def test_zone_file(h):
    """--zone is a zone file that Knot loads, long texts in pieces"""
    text = h.server.cli("dns", "plan", "example.test", "--zone").stdout
    tap.contains(text, '" "', "a text of more than 255 bytes is divided")
    h.knot.change("example.test", text)
    for (name, kind), value in h.plan()[0].items():
        if kind == "TXT":
            got = h.knot.ask(name + ".", kind).split("\n")[0]
            tap.eq(got.replace('" "', "").strip('"'), value)
    h.knot.change("example.test", LIVE)


def test_rows(h):
    """--rows has name, type and value as web forms want them"""
    rows = [line.split("\t") for line in h.server.cli(
        "dns", "plan", "example.test", "--rows").stdout.splitlines()
        if not line.startswith("#")]
    tap.ok(["@", "MX", "10 mail.example.test."] in rows, rows)
    tap.ok(["mail", "A", "203.0.113.5"] in rows, rows)
    tap.eq({len(row) for row in rows}, {3})


def test_all_domains(h):
    """without a domain: all; what they share stands once"""
    h.server.cli("domain", "add", "plain.test")
    got = h.server.cli_json("dns", "plan")
    names = [(r["name"], r["type"]) for d in got for r in d["records"]]
    tap.eq({d["domain"] for d in got}, {"example.test", "plain.test"})
    tap.eq(names.count(("mail.example.test", "A")), 1)
    text = h.server.cli("dns", "plan").stdout
    tap.contains(text, "DKIM: the key that mail is signed with")


def test_unknown_domain(h):
    """a domain that is not here is said to be none"""
    done = h.server.cli("dns", "plan", "other.test", check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "mailroom domain add other.test")


def test_unknown_part(h):
    """a section [dns.xyz] that means nothing is an error"""
    with open(h.server.config, "a") as f:
        f.write("\n[dns.plna]\n")
    done = h.server.cli("config", "check", check=False)
    tap.contains(done.stdout + done.stderr, "unknown section [dns.plna]")
    h.server.write_config()


with House() as house:
    tap.run(globals(), house)
tap.done()
