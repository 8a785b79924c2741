#!/usr/bin/python3
# test: timeout=180
"""The dmarc plugin behind spf and dkim: alignment, the tree walk, policies,
and From fields that try to deceive."""
import base64
import os
import re
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import dkim
import tap
from house import DnsHouse
from outsider import connect
from wire import stuff

DMARC = "v=DMARC1; p=%s"
SPF = ["v=spf1 ip4:192.0.2.1 -all"]
ZONE = {
    "_dmarc.reject.test TXT": [DMARC % "reject"],
    "reject.test TXT": SPF,
    "mail.reject.test TXT": SPF,
    "mail.reject.test A": ["192.0.2.1"],
    "_dmarc.strict.test TXT": [DMARC % "reject; aspf=s; adkim=s"],
    "mail.strict.test TXT": SPF,
    "_dmarc.quarantine.test TXT": [DMARC % "quarantine"],
    "_dmarc.none.test TXT": [DMARC % "none; rua=mailto:x@none.test"],
    "_dmarc.parts.test TXT": [DMARC % "none; sp=quarantine; np=reject"],
    "there.parts.test A": ["192.0.2.1"],
    "_dmarc.trial.test TXT": [DMARC % "reject; t=y"],
    "_dmarc.twice.test TXT": [DMARC % "reject", DMARC % "none"],
    "_dmarc.wrong.test TXT": ["v=dmarc1; p=reject"],
    "_dmarc.slow.test TXT": "SERVFAIL",
    # a public suffix that speaks for itself, as RFC 9989 has it
    "_dmarc.suffix.test TXT": [DMARC % "reject; psd=y"],
    "one.suffix.test TXT": SPF,
    "two.suffix.test A": ["192.0.2.1"],
    "_dmarc.own.suffix.test TXT": [DMARC % "none; psd=n"],
    "_dmarc.xn--bcher-kva.test TXT": [DMARC % "reject"],
    "elsewhere.test TXT": SPF,
}


class House(DnsHouse):
    zone = ZONE

    def configure(self, **settings):
        super().configure({"inbound": ["spf", "dkim", "dmarc"],
                           "submission": []}, spf={"reject": "never"},
                          dkim={}, dmarc=settings)

    def send(self, sender, header, address="192.0.2.1", body=b"x\r\n"):
        """(code, text, the dmarc result or None)"""
        s = self.server
        s.empty("bob")
        seen = len(s.messages("bob", "Junk"))
        if isinstance(header, str):
            header = b"From: " + header.encode() + b"\r\n"
        with connect(s, address) as c:
            c.must(250, "MAIL FROM:<%s>" % sender)
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(header + b"Subject: x\r\n\r\n" + body))
            code, text = c.reply()
        got = s.messages("bob") or s.messages("bob", "Junk")[seen:]
        if not got:
            return code, str(text), None
        field = re.search(rb"Authentication-Results: ((?:[^\r]|\r\n[ \t])*)",
                          got[0]).group(1)
        field = re.sub(rb"\r\n[ \t]+", b" ", field).decode()
        return code, str(text), re.search(r"dmarc=.*", field).group(0)

OTHER = "198.51.100.1"          # no SPF record allows it

# name, envelope sender, From, client, code, result
ROWS = [
    ("SPF of the author's domain", "a@reject.test", "a@reject.test", None,
     250, "dmarc=pass header.from=reject.test"),
    ("SPF of a subdomain", "a@mail.reject.test", "a@reject.test", None,
     250, "dmarc=pass"),
    ("SPF of the domain above", "a@reject.test", "a@sub.reject.test", None,
     250, "dmarc=pass header.from=sub.reject.test"),
    ("SPF of somebody else", "a@elsewhere.test", "a@reject.test", None,
     550, None),
    ("SPF fails", "a@reject.test", "a@reject.test", OTHER, 550, None),
    ("strict alignment", "a@mail.strict.test", "a@strict.test", None,
     550, None),
    ("quarantine", "a@elsewhere.test", "a@quarantine.test", None, 250,
     "dmarc=fail header.from=quarantine.test policy.dmarc=quarantine"),
    ("none", "a@elsewhere.test", "a@none.test", None, 250,
     "dmarc=fail header.from=none.test policy.dmarc=none"),
    ("sp", "a@elsewhere.test", "a@there.parts.test", None, 250,
     "policy.dmarc=quarantine"),
    ("np", "a@elsewhere.test", "a@invented.parts.test", None, 550, None),
    ("t=y is one step less", "a@elsewhere.test", "a@trial.test", None, 250,
     "policy.dmarc=quarantine"),
    ("two records are none", "a@elsewhere.test", "a@twice.test", None, 250,
     "dmarc=none"),
    ("the version has its case", "a@elsewhere.test", "a@wrong.test", None,
     250, "dmarc=none"),
    ("no record", "a@elsewhere.test", "a@nothing.test", None, 250,
     "dmarc=none header.from=nothing.test"),
    ("DNS is silent", "a@elsewhere.test", "a@slow.test", None, 250,
     "dmarc=temperror"),
    ("below a suffix", "a@elsewhere.test", "a@two.suffix.test", None, 550,
     None),
    ("neighbours below a suffix are strangers", "a@one.suffix.test",
     "a@two.suffix.test", None, 550, None),
    ("one below a suffix is its own", "a@one.suffix.test",
     "a@sub.one.suffix.test", None, 250, "dmarc=pass"),
    ("psd=n ends the walk", "a@elsewhere.test", "a@x.own.suffix.test", None,
     250, "policy.dmarc=none"),
    ("the null sender's HELO", "", "a@reject.test", None, 550, None),
    ("a deep name", "a@reject.test", "a@" + "x." * 20 + "reject.test", None,
     250, "dmarc=pass"),
    ("a display name with another address", "a@elsewhere.test",
     '"a@none.test" <a@reject.test>', None, 550, None),
    ("a comment with another address", "a@elsewhere.test",
     "a@reject.test (a@none.test)", None, 550, None),
    ("capitals", "a@elsewhere.test", "A@REJECT.TEST", None, 550, None),
    ("a U-label", "a@elsewhere.test", "a@b\u00fccher.test", None, 550, None),
    ("two authors of one domain", "a@reject.test",
     "a@reject.test, b@reject.test", None, 250, "dmarc=pass"),
    ("two authors of two domains", "a@elsewhere.test",
     "a@none.test, b@reject.test", None, 250, "dmarc=permerror"),
    ("two From fields", "a@elsewhere.test",
     b"From: a@none.test\r\nFrom: b@reject.test\r\n", None, 250,
     "dmarc=permerror"),
    ("no From", "a@elsewhere.test", b"X: y\r\n", None, 250, "dmarc=none"),
]


def row(h, name, sender, header, address, code, result):
    got = h.send(sender, header, address or "192.0.2.1")
    tap.eq(got[0], code, got)
    if result is None:
        tap.eq(got[2], None)
        tap.contains(got[1], "5.7.1")
        tap.contains(got[1], "DMARC")
    else:
        tap.contains(got[2], result)


def test_dkim(h):
    """a DKIM signature of the author's domain saves what SPF does not"""
    key = h.server.path("k.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key],
                   check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout",
                          "-outform", "DER"], check=True,
                         capture_output=True).stdout
    h.dns.zone["k._domainkey.reject.test TXT"] = [
        "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()]
    with open(key, "rb") as f:
        pem = f.read()
    for domain, code in ((b"reject.test", 250), (b"elsewhere.test", 550)):
        h.dns.zone["k._domainkey.%s TXT" % domain.decode()] = \
            h.dns.zone["k._domainkey.reject.test TXT"]
        head = b"From: a@news.reject.test\r\n"
        field = dkim.sign(head + b"Subject: x\r\n\r\nx\r\n", b"k", domain,
                          pem, include_headers=[b"from", b"subject"])
        got = h.send("a@elsewhere.test", field + head, OTHER)
        tap.eq(got[0], code, got)


def test_settings(h):
    """reject, quarantine and trusted do what they say"""
    h.configure(reject="hold", quarantine="hold", trusted=["none.test"])
    for domain in ("reject.test", "quarantine.test"):
        got = h.send("a@elsewhere.test", "a@" + domain)
        tap.eq((got[0], got[2]), (250, None), got)
    tap.eq([q["state"] for q in h.server.queue()], ["held", "held"])
    h.server.drop_queue()
    h.configure(reject="ignore")
    tap.contains(h.send("a@elsewhere.test", "a@reject.test")[2],
                 "policy.dmarc=reject")
    h.configure(trusted=["reject.test"])
    tap.contains(h.send("a@elsewhere.test", "a@reject.test")[2],
                 "dmarc=fail")


def test_junk(h):
    """by default a policy of quarantine files in Junk and says why"""
    for isolate in ("none", "process"):
        h.configure(isolate=isolate)
        before = len(h.server.messages("bob", "Junk"))
        tap.eq(h.send("a@elsewhere.test", "a@quarantine.test")[0], 250)
        tap.eq(h.server.messages("bob"), [])
        got = h.server.messages("bob", "Junk")[before:]
        tap.contains(got[0], b"X-Junk-Reason: neither SPF nor DKIM")
    h.configure(quarantine="ignore")
    h.send("a@elsewhere.test", "a@quarantine.test")
    tap.eq(len(h.server.messages("bob")), 1)


def test_order(h):
    """dmarc before the verifiers is an error of the configuration"""
    s = h.server
    s.extra["chain"]["inbound"] = ["dmarc", "spf"]
    s.write_config()
    p = s.cli("config", "check", check=False)
    tap.eq(p.returncode, 1)
    tap.contains(p.stderr, "no filter before it gives any")


with House() as house:
    tap.table([(n, n, *rest) for n, *rest in ROWS], row, house)
    tap.run(globals(), house)
tap.done()
