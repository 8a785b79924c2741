#!/usr/bin/python3
# test: timeout=180
"""mailroom dkim: keys are made, published, switched and retired while mail
goes out; at no moment does a signature name a key that DNS does not have."""
import os
import re
import subprocess
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import dkim
import tap
from house import DnsHouse
from server import BUILD

TEXT = (b"From: alice@example.test\r\nTo: bob@example.test\r\n"
        b"Subject: x\r\n\r\nx\r\n")


class House(DnsHouse):
    def settle(self):
        self.configure({"inbound": ["dkim"], "submission": ["dkim"]}, dkim={})

    def keys(self):
        return self.server.cli_json("dkim", "list")

    def publish(self, records):
        for r in records:
            self.dns.zone[r["name"] + " TXT"] = [r["record"]]

    def selectors(self):
        """Of the signatures on a message sent now; they must verify."""
        s = self.server
        s.empty("bob")
        smtp = s.submission()
        smtp.sendmail("alice@example.test", ["bob@example.test"], TEXT)
        smtp.quit()
        got = s.newest("bob")
        if b"DKIM-Signature" not in got:
            return set()
        got = got[got.index(b"DKIM-Signature"):]
        found = set(re.findall(rb"[\s;]s=([a-z0-9]+)", got))
        for index in range(len(found)):
            tap.ok(dkim.DKIM(got).verify(index, dnsfunc=self.find), got)
        return {f.decode() for f in found}

    def find(self, name, timeout=5):
        return self.dns.zone.get(name.decode().rstrip(".") + " TXT",
                                 [""])[0].encode()

    def in_state(self, state):
        return {k["name"].split(".")[0] for k in self.keys()
                if k["state"] == state}

    def fails(self, *words):
        p = self.server.cli(*words, check=False)
        tap.eq(p.returncode, 1, p)
        return p.stderr


def test_new(h):
    """new: two keys, their records, and mail is signed without a restart"""
    tap.eq(h.selectors(), set())
    records = h.server.cli_json("dkim", "new", "Example.test")
    tap.eq(sorted(r["kind"] for r in records), ["ed25519", "rsa"])
    h.publish(records)
    tap.eq(h.selectors(), {r["name"].split(".")[0] for r in records})
    tap.contains(h.fails("dkim", "new", "example.test"), "dkim rotate")
    tap.contains(h.fails("dkim", "show", "other.test"), "dkim new")


def test_zone_lines(h):
    """show prints lines of a zone file, strings of at most 255 bytes"""
    text = h.server.cli("dkim", "show", "example.test").stdout
    for line in text.splitlines():
        parts = re.findall(r'"([^"]*)"', line)
        tap.ok(parts and all(len(p) <= 255 for p in parts), line)
        name = line.split(". 3600 IN TXT (")[0]
        tap.eq("".join(parts), h.dns.zone[name + " TXT"][0])


def test_permissions(h):
    """keys are the server's alone"""
    folder = os.path.join(h.server.data, "dkim/example.test")
    for name in os.listdir(folder):
        if name.endswith(".pem"):
            tap.eq(os.stat(os.path.join(folder, name)).st_mode & 0o777, 0o600)


def test_rotate(h):
    """rotate: new keys wait for DNS, then sign; the old ones stay a week"""
    old = h.in_state("in use")
    records = h.server.cli_json("dkim", "rotate", "example.test")
    new = {r["name"].split(".")[0] for r in records}
    tap.eq(h.in_state("waiting"), new)
    tap.ok(not new & old)
    tap.eq(h.selectors(), old)
    tap.contains(h.fails("dkim", "rotate", "example.test"),
                 "DNS does not show")
    h.publish(records[:1])
    tap.contains(h.fails("dkim", "rotate", "example.test"),
                 "DNS does not show " + records[1]["name"])
    tap.eq(h.selectors(), old)
    h.publish(records)
    h.server.cli("dkim", "rotate", "example.test")
    tap.eq(h.selectors(), new)
    tap.eq(h.in_state("past"), old)
    text = h.server.cli("dkim", "retire", "example.test").stdout
    tap.contains(text, "stay")
    tap.eq(h.in_state("past"), old)


def test_retire(h):
    """retire: past keys go, those in use never"""
    used = h.in_state("in use")
    past = h.in_state("past")
    text = h.server.cli("dkim", "retire", "example.test", "--now").stdout
    for selector in past:
        tap.contains(text, selector + "._domainkey.example.test")
    tap.eq(h.in_state("past"), set())
    tap.eq(h.selectors(), used)


def test_wait(h):
    """rotate --wait makes the keys and switches when DNS shows them"""
    old = h.in_state("in use")
    p = subprocess.Popen(
        [os.path.join(BUILD, "mailroom"), "--config", h.server.config,
         "dkim", "rotate", "example.test", "--wait", "2"],
        stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 20
        while not h.in_state("waiting") and time.monotonic() < end:
            time.sleep(.2)
        tap.eq(h.selectors(), old)
        h.publish([k for k in h.keys() if k["state"] == "waiting"])
        out = p.communicate(timeout=60)[0]
    finally:
        p.kill()
    tap.eq(p.returncode, 0, out)
    tap.contains(out, "sign from now on")
    tap.ok(not h.selectors() & old)


with House() as house:
    tap.run(globals(), house)
tap.done()
