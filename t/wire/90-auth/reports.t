#!/usr/bin/python3
"""Reports that others send of our mail: filed by the plugin reports, and read
by `mailroom dmarc report` and `mailroom tls report`, whatever they are packed
in and however they are made to harm."""
import base64
import gzip
import io
import json
import sys
import time
import zipfile
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

NOW = int(time.time())
AGGREGATE = """<?xml version="1.0" encoding="UTF-8" ?>
<feedback%(space)s>
  <report_metadata>
    <org_name>%(org)s</org_name>
    <email>noreply@%(org)s</email>
    <extra_contact_info>https://%(org)s/dmarc</extra_contact_info>
    <report_id>%(id)s</report_id>
    <date_range><begin>%(begin)d</begin><end>%(end)d</end></date_range>
  </report_metadata>
  <policy_published>
    <domain>example.test</domain><adkim>r</adkim><aspf>r</aspf>
    <p>none</p><sp>none</sp><pct>100</pct>
  </policy_published>%(records)s
</feedback>
"""
RECORD = """
  <record>
    <row><source_ip>%s</source_ip><count>%d</count>
      <policy_evaluated><disposition>%s</disposition>
        <dkim>%s</dkim><spf>%s</spf>
        <reason><type>forwarded</type><comment>x</comment></reason>
      </policy_evaluated></row>
    <identifiers><envelope_from>a@example.test</envelope_from>
      <header_from>example.test</header_from></identifiers>
    <auth_results>
      <dkim><domain>example.test</domain><selector>s</selector>
        <result>pass</result></dkim>
      <spf><domain>example.test</domain><result>fail</result></spf>
    </auth_results>
  </record>"""
OURS = RECORD % ("192.0.2.1", 90, "none", "pass", "pass")
FORWARDED = RECORD % ("198.51.100.9", 8, "none", "pass", "fail")
FORGED = RECORD % ("203.0.113.7", 2, "reject", "fail", "fail")
TLS = {
    "organization-name": "Company-X", "report-id": "x",
    "contact-info": "sts-reporting@company-x.test",
    "date-range": {"start-datetime": "2026-11-24T00:00:00Z",
                   "end-datetime": "2026-11-24T23:59:59Z"},
    "policies": [{
        "policy": {"policy-type": "sts", "policy-domain": "example.test",
                   "policy-string": ["version: STSv1", "mode: testing"],
                   "mx-host": ["*.mail.example.test"]},
        "summary": {"total-successful-session-count": 5326,
                    "total-failure-session-count": 303},
        "failure-details": [
            {"result-type": "certificate-expired",
             "sending-mta-ip": "2001:db8:abcd:0012::1",
             "receiving-mx-hostname": "mx1.mail.example.test",
             "failed-session-count": 100},
            {"result-type": "starttls-not-supported",
             "sending-mta-ip": "2001:db8:abcd:0013::1",
             "receiving-mx-hostname": "mx2.mail.example.test",
             "failed-session-count": 200}]}]}
FAILURE = (
    "From: <postmaster@rx.test>\r\nTo: reports@example.test\r\n"
    "Subject: FW\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; "
    "report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\n"
    "Content-Type: text/plain\r\n\r\nThis is a report.\r\n--b\r\n"
    "Content-Type: message/feedback-report\r\n\r\n"
    "Feedback-Type: auth-failure\r\nUser-Agent: Some/1\r\nVersion: 1\r\n"
    "Original-Mail-From: <a@example.test>\r\nArrival-Date: Tue, 24 Nov 2026 "
    "20:15:05 +0000\r\nReported-Domain: example.test\r\n"
    "Source-IP: 203.0.113.7\r\nAuth-Failure: dmarc\r\n\r\n--b\r\n"
    "Content-Type: text/rfc822-headers\r\n\r\nFrom: a@example.test\r\n"
    "--b--\r\n").encode()


def aggregate(org, records, begin=NOW - 86400, number="1", space=""):
    return (AGGREGATE % {"org": org, "id": "%s-%s" % (org, number),
                         "begin": begin, "end": begin + 86399,
                         "space": space, "records": records}).encode()


def zipped(data, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        z.writestr("r.xml", data)
    return out.getvalue()


def mail(data, kind="application/gzip", to="reports@example.test"):
    return ("From: noreply@rx.test\r\nTo: %s\r\nSubject: Report Domain: "
            "example.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/"
            "mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
            "A report is attached.\r\n--b\r\nContent-Type: %s\r\n"
            "Content-Disposition: attachment; filename=r\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" % (
                to, kind, base64.encodebytes(data).decode().replace(
                    "\n", "\r\n"))).encode()


def give(s, message, rcpt="reports@example.test"):
    with s.smtp() as c:
        c.sendmail("noreply@rx.test", [rcpt], message)


def read(s, *args):
    return s.cli_json("dmarc", "report", *args)


def test_filed(s):
    """what is for the address is filed; other mail is not"""
    give(s, mail(gzip.compress(aggregate("google.test", OURS + FORGED))))
    give(s, b"Subject: other\r\n\r\nx\r\n", "bob@example.test")
    tap.eq(len(s.messages("bob", "Reports")), 1)
    tap.eq(len(s.messages("bob")), 1)


def test_forms(s):
    """gzip, ZIP, bare XML, the newer name space; twice counts once"""
    newer = ' xmlns="urn:ietf:params:xml:ns:dmarc-2.0"'
    give(s, mail(zipped(aggregate("yahoo.test", OURS + FORWARDED)),
                 "application/zip"))
    give(s, mail(zipped(aggregate("yahoo.test", OURS + FORWARDED)),
                 "application/zip"))
    give(s, mail(aggregate("bare.test", FORGED, space=newer), "text/xml"))
    got = read(s)
    tap.eq(got["bad"], [])
    domain = got["domains"]["example.test"]
    tap.eq((domain["messages"], domain["passed"], domain["policy"]),
           (90 + 2 + 90 + 8 + 2, 188, "none"))
    tap.eq(sorted(domain["receivers"]),
           ["bare.test", "google.test", "yahoo.test"])
    tap.eq(domain["sources"]["192.0.2.1"]["reporters"],
           {"google.test": 90, "yahoo.test": 90})
    forged = domain["sources"]["203.0.113.7"]
    tap.eq((forged["messages"], forged["passed"], forged["dkim"],
            forged["spf"], forged["not_let"]), (4, 0, 0, 0, 4))
    forwarded = domain["sources"]["198.51.100.9"]
    tap.eq((forwarded["passed"], forwarded["dkim"], forwarded["spf"]),
           (8, 8, 0))
    day = time.strftime("%Y-%m-%d", time.gmtime(NOW - 86400))
    tap.eq(domain["days"], {day: {"messages": 192, "passed": 188}})


def test_text(s):
    """for people: a sentence, sources with advice, days as bars"""
    text = s.cli("dmarc", "report", "example.test").stdout
    for part in ("example.test (p=none): 192 messages were seen by 3 "
                 "receivers, and 188 of them (97.9 %) passed",
                 "neither passes: if this server is yours",
                 "#" * 39 + "- 192, 4 failed"):
        tap.contains(text, part)
    lines = text.splitlines()
    at = [i for i, li in enumerate(lines) if li.startswith("192.0.2.1")][0]
    tap.eq(lines[at].split()[1:5], ["180", "180", "180", "0"])
    tap.contains(s.cli("dmarc", "report", "other.test").stdout, "no report")
    tap.eq(s.cli("dmarc", "report", "--days", "x", check=False).returncode, 2)
    tap.eq(s.cli("dmarc", "report", "--account", "no@example.test",
                 check=False).returncode, 1)
    tap.eq(read(s, "--account", "alice@example.test", "--mailbox", "INBOX"),
           {"messages": 0, "domains": {}, "failures": [], "bad": []})


def test_failures(s):
    """reports of single failures (RFC 6591)"""
    give(s, FAILURE)
    got = read(s)["failures"]
    tap.eq([(f["source-ip"], f["auth-failure"]) for f in got],
           [("203.0.113.7", "dmarc")])
    tap.contains(s.cli("dmarc", "report", "--failures").stdout,
                 "203.0.113.7  dmarc  example.test")


def test_tls(s):
    """reports of TLS (RFC 8460, its example)"""
    give(s, mail(gzip.compress(json.dumps(TLS).encode()),
                 "application/tlsrpt+gzip"))
    got = s.cli_json("tls", "report")["example.test"]["sts"]
    tap.eq((got["good"], got["bad"]), (5326, 303))
    tap.eq(got["failures"]["certificate-expired at mx1.mail.example.test"],
           100)
    text = s.cli("tls", "report").stdout
    tap.contains(text, "example.test, by sts: 5326 connections were good, "
                 "303 failed")
    tap.contains(text, "200: starttls-not-supported at mx2")


BOMB = """<?xml version="1.0"?>
<!DOCTYPE feedback [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">
<!ENTITY c SYSTEM "file:///etc/passwd">]>
<feedback><report_metadata><org_name>&b;&c;</org_name></report_metadata>
</feedback>"""
HOSTILE = [
    (gzip.compress(b"<?xml version='1.0'?>" + b" " * (40 << 20)), "32 MiB"),
    (zipped(b"<?xml version='1.0'?>" + b" " * (40 << 20)), "32 MiB"),
    (gzip.compress(b"x" * 100)[:-20], "packed wrongly"),
    (zipped(aggregate("a.test", OURS))[:60], "packed wrongly"),
    (b"PK\x03\x04short", "ends in its header"),
    (zipped(aggregate("a.test", OURS), zipfile.ZIP_STORED), "not known (0)"),
    (gzip.compress(b"neither this nor that"), "no report"),
    (BOMB.encode(), "document type"),
    (gzip.compress(aggregate("a.test", OURS)[:-40]), "line "),
    (b"<?xml version='1.0'?>" + b"<a>" * 5000 + b"</a>" * 5000,
     "nested too deep"),
    (b"<?xml version='1.0' encoding='x-odd'?><feedback/>", "encoding"),
    (b"<feedback></feedback>", "names no domain"),
    (gzip.compress(b'{"policies": 1}'), "no report of TLS"),
    (gzip.compress(b'{"a":' * 5000), "line 1"),
    (gzip.compress(b"<?xml version='1.0'?><feedback>\xff\xfe</feedback>"),
     "line 1"),
]


def test_hostile(s):
    """bombs, wrong packing, wrong text: told, and nothing is lost"""
    for data, _ in HOSTILE:
        give(s, mail(data))
    before = read(s)
    reasons = [b["error"] for b in before["bad"]]
    tap.eq(len(reasons), len(HOSTILE), reasons)
    for (_, want), got in zip(HOSTILE, reasons):
        tap.contains(got, want)
    tap.eq(before["domains"]["example.test"]["messages"], 192)
    big = RECORD % ("192.0.2.8", 9223372036854775807, "none", "pass", "fail")
    give(s, mail(gzip.compress(aggregate("big.test\x1b[31m", big * 3))))
    give(s, mail(gzip.compress(aggregate("big.test", big * 3))))
    tap.eq(read(s)["domains"]["example.test"]["sources"]["192.0.2.8"]
           ["messages"], 3 * 10 ** 12)


with Server(start=False) as server:
    server.extra = {
        "plugin.reports": {"module": server.plugin("reports"),
                           "addresses": ["Reports@example.test"]},
        "chain": {"inbound": ["reports"], "submission": []}}
    server.write_config()
    server.cli("alias", "add", "reports@example.test", "bob@example.test")
    server.start()
    tap.run(globals(), server)
tap.done()
