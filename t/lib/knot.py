"""knot - Knot DNS on loopback, with zones that it signs.

    with Knot({"test": "a A 127.0.0.1\\n..."}, unsigned={"bare.test": ...}) as k:
        ... k.address, k.anchors (a file for [dns] trust_anchors) ...
        k.change("test", new text)

With update_key=(name, algorithm, secret) its zones take updates that are
signed with the key.
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

import tap
from server import free_ports

HEAD = "$TTL 1\n@ SOA ns.%s. root.%s. %d 60 60 60 1\n@ NS ns.%s.\n" \
       "ns A 127.0.0.1\n"


class Knot:
    def __init__(self, signed, unsigned=None, update_key=None):
        self.signed = signed
        self.update_key = update_key
        self.zones = {**signed, **(unsigned or {})}
        self.serial = 1

    def __enter__(self):
        if not shutil.which("knotd") or not shutil.which("keymgr"):
            tap.skip_all("knot is not installed")
        self.dir = tempfile.mkdtemp(prefix="mailroom-knot.")
        os.chmod(self.dir, 0o755)
        self.port = free_ports(1)[0]
        self.address = "127.0.0.1:%d" % self.port
        os.mkdir(os.path.join(self.dir, "db"))
        self.conf = os.path.join(self.dir, "knot.conf")
        for zone in self.zones:
            self.write(zone)
        self.write_conf()
        self.proc = subprocess.Popen(
            ["knotd", "-c", self.conf], stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(self.dir, "log"), "w"))
        self.wait()
        self.anchors = os.path.join(self.dir, "anchors")
        with open(self.anchors, "w") as f:
            for zone in self.signed:
                f.write(subprocess.run(
                    ["keymgr", "-c", self.conf, zone + ".", "ds"],
                    check=True, stdout=subprocess.PIPE, text=True).stdout)
        os.chmod(self.anchors, 0o644)
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, zone):
        with open(os.path.join(self.dir, zone + ".zone"), "w") as f:
            f.write(HEAD % (zone, zone, self.serial, zone) +
                    self.zones[zone])

    def write_conf(self):
        lines = ["server:", "  rundir: " + self.dir,
                 "  listen: 127.0.0.1@%d" % self.port,
                 "database:", "  storage: " + self.dir + "/db",
                 "log:", "  - target: stderr", "    any: info",
                 "policy:", "  - id: p", "    algorithm: ecdsap256sha256",
                 "    single-type-signing: on"]
        if self.update_key:
            lines += ["key:", "  - id: " + self.update_key[0],
                      "    algorithm: " + self.update_key[1],
                      "    secret: " + self.update_key[2],
                      "acl:", "  - id: update",
                      "    key: " + self.update_key[0],
                      "    action: update"]
        lines += ["zone:"]
        for zone in self.zones:
            lines += ["  - domain: " + zone + ".",
                      "    file: %s/%s.zone" % (self.dir, zone),
                      "    zonefile-sync: -1", "    journal-content: all",
                      "    zonefile-load: difference-no-serial"]
            if self.update_key:
                lines += ["    acl: update"]
            if zone in self.signed:
                lines += ["    dnssec-signing: on", "    dnssec-policy: p"]
        with open(self.conf, "w") as f:
            f.write("\n".join(lines) + "\n")

    def ask(self, name, kind):
        return subprocess.run(
            ["kdig", "@127.0.0.1", "-p", str(self.port), "+short",
             "+dnssec", "+time=1", name, kind], stdout=subprocess.PIPE,
            text=True).stdout

    def wait(self, seconds=15):
        end = time.time() + seconds
        while time.time() < end:
            if all("root." in self.ask(z + ".", "SOA")
                   for z in self.zones) and all(
                    "SOA " in self.ask(z + ".", "SOA") for z in self.signed):
                return
            time.sleep(0.05)
        raise AssertionError("knot does not start: " + open(
            os.path.join(self.dir, "log")).read())

    def change(self, zone, text):
        """Loads another content; returns when it is served."""
        self.zones[zone] = text
        self.serial += 1
        self.write(zone)
        before = self.ask(zone + ".", "SOA").split()[2]
        subprocess.run(["knotc", "-c", self.conf, "zone-reload", zone + "."],
                       check=True, stdout=subprocess.DEVNULL)
        end = time.time() + 10
        while time.time() < end:
            if self.ask(zone + ".", "SOA").split()[2] != before:
                return
            time.sleep(0.02)
        raise AssertionError("zone %s is not loaded" % zone)
