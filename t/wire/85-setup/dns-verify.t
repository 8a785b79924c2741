#!/usr/bin/python3
# test: timeout=120
"""mailroom dns verify: what is wanted against what the zone's own name
servers have."""
import os
import subprocess
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from knot import Knot
from server import BUILD, Server

PLAN = {"authority": "ca.example", "addresses": ["203.0.113.5"]}


class House:
    def __enter__(self):
        self.knot = Knot({"example.test": ""}).__enter__()
        self.other = Knot({}, {"example.test": ""}).__enter__()
        self.server = Server({
            "dns": {"servers": [self.knot.address], "timeout": "2s",
                    "trust_anchors": self.knot.anchors},
            "dns.plan": {"authority_port": self.knot.port, **PLAN},
        }, start=False).__enter__()
        self.server.cli("dkim", "new", "example.test")
        self.right = self.server.cli("dns", "plan", "--zone").stdout
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.other.__exit__(*exc)
        self.knot.__exit__(*exc)

    def settings(self, **dns_plan):
        self.server.extra["dns.plan"] = {**PLAN, **dns_plan}
        self.server.write_config()

    def verify(self, zone=None, *args):
        """(exit status, {(name, type): record})"""
        import json
        if zone is not None:
            self.knot.change("example.test", zone)
        done = self.server.cli("dns", "verify", *args, "--json", check=False)
        return done.returncode, {
            (r["name"], r["type"]): r
            for r in json.loads(done.stdout)[0]["records"]}

    def without(self, name, kind):
        return "".join(
            line + "\n" for line in self.right.splitlines()
            if not line.startswith("%s. 3600 IN %s " % (name, kind)))

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_nothing(h):
    """of an empty zone all is missing, and the status is 1"""
    status, found = h.verify()
    tap.eq(status, 1)
    tap.eq({r["finding"] for r in found.values()}, {"missing"})
    tap.contains(found["example.test", "MX"]["say"], "add it")


def test_all_right(h):
    """of the zone that was planned all is right, and the status is 0"""
    status, found = h.verify(h.right)
    tap.eq({r["finding"] for r in found.values()}, {"right"})
    tap.eq(status, 0)
    tap.contains(h.server.cli("dns", "verify").stdout,
                 "records of example.test are right.")


def test_other_forms(h):
    """case of names, blanks and other texts make no difference; a host record
    may stand for an alias"""
    zone = h.right.replace("v=TLSRPTv1; rua", "v=TLSRPTv1;rua") \
        .replace("10 mail.example", "10 MAIL.Example") \
        .replace("autoconfig.example.test. 3600 IN CNAME mail.example.test.",
                 "autoconfig A 203.0.113.5")
    status, found = h.verify(zone + '@ TXT "other=1"\n@ MX 20 backup\n')
    tap.eq([r for r in found.values() if r["finding"] != "right"], [])
    tap.contains(found["example.test", "MX"]["say"],
                 "20 backup.example.test.")
    tap.eq(status, 0)


def test_differs(h):
    """another value is shown with what to do"""
    zone = h.without("example.test", "MX") + "@ MX 5 mx.elsewhere.test.\n"
    status, found = h.verify(zone.replace("203.0.113.5", "203.0.113.6"))
    mx = found["example.test", "MX"]
    tap.eq((status, mx["finding"], mx["live"]),
           (1, "differs", ["5 mx.elsewhere.test."]))
    tap.contains(mx["say"], "Mail goes to 5 mx.elsewhere.test. now")
    tap.eq(found["mail.example.test", "A"]["live"], ["203.0.113.6"])
    text = h.server.cli("dns", "verify", check=False).stdout
    tap.contains(text, "wanted: 203.0.113.5")
    tap.contains(text, "2 of ")


def test_one_too_many(h):
    """an address that is not in the plan is found beside the right one"""
    _, found = h.verify(h.right + "mail A 203.0.113.77\n")
    one = found["mail.example.test", "A"]
    tap.eq((one["finding"], one["live"]), ("differs", ["203.0.113.77"]))
    tap.contains(one["say"], "take that out")


def test_two_spf(h):
    """two SPF records are none"""
    _, found = h.verify(h.right + '@ TXT "v=spf1 include:x.test ~all"\n')
    spf = found["example.test", "TXT"]
    tap.eq(spf["finding"], "several")
    tap.contains(spf["say"], "begin with v=spf1")
    tap.eq(spf["value"], "v=spf1 mx include:x.test ~all")


def test_alias_in_the_way(h):
    """a CNAME where a text is wanted"""
    zone = h.without("_dmarc.example.test", "TXT")
    _, found = h.verify(zone + "_dmarc CNAME dmarc.elsewhere.test.\n")
    one = found["_dmarc.example.test", "TXT"]
    tap.eq((one["finding"], one["live"]),
           ("alias", ["dmarc.elsewhere.test."]))


def test_host_in_the_way(h):
    """addresses of another host where an alias is wanted"""
    zone = h.without("autodiscover.example.test", "CNAME")
    _, found = h.verify(zone + "autodiscover A 203.0.113.9\n")
    one = found["autodiscover.example.test", "CNAME"]
    tap.eq((one["finding"], one["live"]), ("differs", ["203.0.113.9"]))


def test_partly(h):
    """one of two servers is behind"""
    h.verify(h.right)
    h.other.change("example.test", h.without("example.test", "MX"))
    h.settings(servers=[h.knot.address, h.other.address])
    status, found = h.verify()
    tap.eq(status, 1)
    tap.eq({k: r["finding"] for k, r in found.items()
            if r["finding"] != "right"}, {("example.test", "MX"): "partly"})
    tap.contains(found["example.test", "MX"]["say"], "does not yet")


def test_unreached(h):
    """a server that refuses, and one that is silent"""
    with FakeDNS({"x.test A": ["127.0.0.1"],
                  "example.test MX": "SERVFAIL"}) as fake:
        h.settings(servers=[fake.address])
        found = h.verify()[1]["example.test", "MX"]
        tap.eq(found["finding"], "unreached")
        tap.contains(found["say"], "refuses: SERVFAIL")
    h.settings(servers=["127.0.0.1:9"])
    found = h.verify()[1]["example.test", "MX"]
    tap.contains(found["say"], "does not answer")


def test_no_zone(h):
    """a domain that nobody has registered"""
    h.settings(authority_port=h.knot.port)
    h.server.cli("domain", "add", "nowhere.test")
    found = h.verify(None, "nowhere.test")[1]["nowhere.test", "MX"]
    h.server.cli("domain", "remove", "nowhere.test", check=False)
    tap.eq(found["finding"], "homeless", found["say"])
    tap.contains(found["say"], "is the domain registered")


def test_wait(h):
    """--wait says what is missing, and ends when it is there"""
    h.verify(h.without("example.test", "MX"))
    waiting = subprocess.Popen(
        [os.path.join(BUILD, "mailroom"), "--config", h.server.config,
         "dns", "verify", "example.test", "--wait", "30s"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    h.knot.change("example.test", h.right)
    out, errors = waiting.communicate(timeout=40)
    tap.contains(errors, "Waiting: MX of example.test is not right yet. "
                 "It is not there: add it.")
    tap.contains(out, "are right.")
    tap.eq(waiting.returncode, 0)


def test_wait_ends(h):
    """--wait gives up after its time"""
    h.knot.change("example.test", h.without("example.test", "MX"))
    start = time.monotonic()
    done = h.server.cli("dns", "verify", "example.test", "--wait", "1500ms",
                        check=False)
    tap.eq(done.returncode, 1)
    tap.ok(1 <= time.monotonic() - start < 10)


with House() as house:
    tap.run(globals(), house)
tap.done()
