#!/usr/bin/python3
"""Why a message passes or fails, in words and with the records that were
used; and whether the client's address has a name that leads back (iprev)."""
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from house import DnsHouse
from outsider import connect
from wire import Line, stuff

MAIL = (b"From: a@sender.test\r\nTo: bob@example.test\r\nSubject: x\r\n"
        b"\r\nx\r\n")
ZONE = {
    "sender.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
    "_dmarc.sender.test TXT": ["v=DMARC1; p=reject"],
    "slow.test TXT": "SERVFAIL",
    "1.2.0.192.in-addr.arpa PTR": ["out.sender.test"],
    "out.sender.test A": ["192.0.2.1"],
    "2.2.0.192.in-addr.arpa PTR": ["other.test"],
    "other.test A": ["192.0.2.77"],
    "3.2.0.192.in-addr.arpa PTR": "SERVFAIL",
}


class House(DnsHouse):
    zone = ZONE

    def configure(self):
        super().configure({"inbound": ["spf", "dkim", "dmarc"],
                           "submission": []}, spf={"reject": "never"},
                          dkim={}, dmarc={"reject": "ignore"})

    def explain(self, *args, text=False):
        path = self.server.path("m.eml")
        with open(path, "wb") as f:
            f.write(MAIL)
        os.chmod(path, 0o644)
        args = ["explain", path, "--to", "bob@example.test", *args]
        if text:
            return self.server.cli(*args).stdout
        return self.server.cli_json(*args)


def test_words(h):
    """what was found, why, and by which records"""
    text = h.explain("--ip", "192.0.2.9", "--from", "a@sender.test",
                     text=True)
    for part in ("asked sender.test TXT: v=spf1 ip4:192.0.2.1 -all\n",
                 "spf=fail: a@sender.test says that this client may not "
                 "send for it", "dkim=none: nobody has signed it",
                 "asked _dmarc.sender.test TXT: v=DMARC1; p=reject\n",
                 "dmarc=fail: neither SPF nor DKIM shows that it is from "
                 "sender.test"):
        tap.contains(text, part)
    text = h.explain("--ip", "192.0.2.1", "--from", "a@sender.test",
                     text=True)
    tap.contains(text, "spf=pass: the client may send for a@sender.test")
    tap.contains(text, "dmarc=pass: sender.test stands behind it")


def test_json(h):
    """the same for programs; DNS that does not answer is told"""
    run = h.explain("--ip", "192.0.2.1", "--from", "a@slow.test")
    found = [r for step in run["steps"] for f in step["filters"]
             for r in f["results"]]
    tap.eq([(r["method"], r["value"]) for r in found if
            r["method"] != "dkim" and "helo" not in r.get("props", "")],
           [("spf", "temperror"), ("dmarc", "fail")])
    asked = [a for step in run["steps"] for f in step["filters"]
             for a in f["asked"]]
    tap.ok({"name": "slow.test", "type": "TXT", "answer": "no answer",
            "records": []} in asked, asked)


def result_of(h, c):
    """Of a message that is sent over a connection."""
    h.server.empty("bob")
    c.must(250, "MAIL FROM:<a@sender.test>")
    c.must(250, "RCPT TO:<bob@example.test>")
    c.must(354, "DATA")
    c.send(stuff(MAIL))
    c.must(250)
    return h.server.messages("bob")[0].decode()


def test_iprev_told(h):
    """what a proxy has found out (XCLIENT)"""
    for address, name, want in (
            ("192.0.2.1", "out.sender.test", "pass"),
            ("192.0.2.2", "[UNAVAILABLE]", "fail"),
            ("192.0.2.3", "[TEMPUNAVAIL]", "temperror")):
        with connect(h.server, address, name=name) as c:
            tap.contains(result_of(h, c), "iprev=%s policy.iprev=%s;\r\n\t"
                         "spf=" % (want, address))


def test_iprev(h):
    """what we find out: a name that leads back, one that does not, none, no
    answer (RFC 8601 2.7.3)"""
    s = h.server
    s.stop()
    s.extra["smtp"]["reverse_dns"] = True
    s.extra["listen.smtp"] = {"proxy_networks": ["127.0.0.0/8"]}
    s.write_config()
    s.start()
    for address, want in (("192.0.2.1", "pass"), ("192.0.2.2", "fail"),
                          ("192.0.2.3", "temperror"),
                          ("192.0.2.4", "permerror")):
        with Line(s.ports["smtp"]) as c:
            c.send(b"PROXY TCP4 %s 127.0.0.1 4000 25\r\n" %
                   address.encode())
            c.reply()
            c.must(250, "EHLO client.test")
            got = result_of(h, c)
        tap.contains(got, "iprev=%s policy.iprev=%s;" % (want, address))
        tap.eq("(out.sender.test [192.0.2.1])" in got, want == "pass")


if __name__ == "__main__":
    with House() as house:
        tap.run(globals(), house)
    tap.done()
