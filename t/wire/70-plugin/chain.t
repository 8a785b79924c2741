#!/usr/bin/python3
"""Chains: which one a message goes through, and what is refused when they
are made."""
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from module import build_filter
from server import Server, wait_for

FILTERS = {
    "plain": ("MR_NEEDS_HEADERS", "MR_MAY_HEADERS"),
    "spf": ("0", "MR_MAY_RESULTS"),
    "dkim": ("MR_NEEDS_BODY", "MR_MAY_SIGN | MR_MAY_RESULTS"),
    "sign": ("MR_NEEDS_BODY", "MR_MAY_SIGN | MR_MAY_HEADERS"),
    "dmarc": ("MR_NEEDS_RESULTS", "MR_MAY_RESULTS"),
    "footer": ("MR_NEEDS_BODY", "MR_MAY_BODY"),
}
MESSAGE = b"From: a@elsewhere.test\r\nSubject: x\r\n\r\nx\r\n"

# what, direction, filters, None or what is said
ROWS = [
    ("an order that works", "inbound",
     ["spf", "dkim", "dmarc", "footer", "plain"], None),
    ("edits, then a signature", "submission", ["footer", "dkim"], None),
    ("a filter twice", "inbound", ["plain", "spf", "plain"],
     "`plain` stands twice in [chain] inbound"),
    ("what is no filter", "local", ["plain", "sqlite"],
     "`sqlite` is no filter"),
    ("no such section", "relay", ["nobody"], "there is no [plugin.nobody]"),
    ("body edits behind a signer", "inbound", ["sign", "footer"],
     "`footer` may change the body that `sign` has signed by then"),
    ("body edits behind what signs only here", "submission",
     ["dkim", "footer"],
     "`footer` may change the body that `dkim` has signed by then"),
    ("a verifier on submission", "submission", ["spf"],
     "`spf` verifies what strangers send"),
    ("a verifier on local mail", "local", ["spf"],
     "mail of [chain] local has nothing for it"),
    ("DMARC before SPF", "inbound", ["dmarc", "spf"],
     "`dmarc` judges by the results of sender authentication"),
    ("DMARC alone on relayed mail", "relay", ["dmarc"],
     "no filter before it gives any"),
]


def configure(s, **chains):
    s.extra["chain"] = dict({"inbound": [], "submission": []}, **chains)
    s.extra["smtp"].pop("relay_networks", None)
    s.write_config()


def test_direction(s, direction, filters, said):
    configure(s, **{direction: filters})
    done = s.cli("config", "check", check=False)
    if not said:
        tap.eq((done.returncode, done.stderr), (0, ""))
        return
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, said)
    first = done.stderr.splitlines()[0]
    with open(s.config) as f:
        line = [i for i, text in enumerate(f, 1)
                if text.startswith(direction + " =")][0]
    tap.contains(first, "%s:%d:" % (s.config, line))
    tap.contains(first, said)


def marks(s):
    """The chain that each filter noted in the newest message of bob."""
    head = s.newest("bob").decode().split("\r\n\r\n")[0]
    return {line.split(": ")[0][2:]: line.split(": ")[1]
            for line in head.split("\r\n") if line.startswith("X-")}


def send(s, login=False):
    count = len(s.messages("bob"))
    if login:
        with s.submission() as c:
            c.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
    else:
        s.send(MESSAGE)
    wait_for("the message", lambda: len(s.messages("bob")) > count)
    return marks(s)


def test_directions(s):
    """strangers, logins and relay networks each have their chain"""
    configure(s, inbound=["plain"], submission=["sign"], relay=["footer"])
    s.start()
    tap.eq(send(s), {"plain": "inbound"})
    tap.eq(send(s, login=True), {"sign": "submission"})
    s.stop()
    s.extra["smtp"]["relay_networks"] = ["127.0.0.0/8"]
    s.write_config()
    s.start()
    tap.eq(send(s), {"footer": "relay"})
    s.stop()


def test_relay_left_out(s):
    """without a chain of its own, relayed mail goes through inbound's"""
    configure(s, inbound=["plain"])
    s.extra["smtp"]["relay_networks"] = ["127.0.0.0/8"]
    s.write_config()
    s.start()
    tap.eq(send(s), {"plain": "relay"})
    s.stop()


with Server(start=False) as server:
    server.extra = {"smtp": {}}
    for name, (needs, may) in FILTERS.items():
        server.extra["plugin." + name] = {
            "module": build_filter(server.dir, name, needs, may)}
    tap.table(ROWS, test_direction, server)
    tap.call(test_directions.__doc__, test_directions, server)
    tap.call(test_relay_left_out.__doc__, test_relay_left_out, server)
tap.done()
