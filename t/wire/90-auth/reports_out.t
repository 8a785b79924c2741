#!/usr/bin/python3
# test: timeout=120
"""Reports that we send: what the dmarc plugin kept of a day becomes one
document for each domain that asks, TLS counts another; only to who wants
them, signed, and once."""
import gzip
import json
import email
import os
import re
import sqlite3
import sys
import time
import xml.etree.ElementTree as ET
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from house import DnsHouse
from outsider import connect
from server import wait_for
from sink import Sink
from wire import stuff

YESTERDAY = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))
TODAY = time.strftime("%Y-%m-%d", time.gmtime())
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
ZONE = {
    "one.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
    "_dmarc.one.test TXT": ["v=DMARC1; p=reject; sp=none; adkim=s; "
                            "rua=mailto:agg@one.test,mailto:x@far.test,"
                            "mailto:big@one.test!1,https://one.test/"],
    "_dmarc.two.test TXT": ["v=DMARC1; p=none; rua=mailto:two@there.test"],
    "two.test._report._dmarc.there.test TXT": ["v=DMARC1;"],
    "_dmarc.silent.test TXT": ["v=DMARC1; p=none"],
    "_smtp._tls.one.test TXT": ["v=TLSRPTv1; rua=mailto:tls%2Brpt@one.test"],
    "_smtp._tls.twice.test TXT": ["v=TLSRPTv1; rua=mailto:a@twice.test",
                                  "v=TLSRPTv1; rua=mailto:b@twice.test"],
    "_dmarc.three.test TXT": ["v=DMARC1; p=none; rua=mailto:x@moved.test,"
                              "mailto:x@away.test,mailto:x@not.test"],
    "three.test._report._dmarc.moved.test TXT": [
        "v=DMARC1; rua=mailto:y@moved.test"],
    "three.test._report._dmarc.away.test TXT": [
        "v = DMARC1 ; rua=mailto:victim@far.test"],
    "three.test._report._dmarc.not.test TXT": ["v=DMARC10"],
    "_dmarc.tested.test TXT": ["v=DMARC1; p=quarantine; t=y; "
                               "rua=mailto:a@tested.test"],
    "one.test MX": [(10, "mx.one.test")], "there.test MX": [(10, "mx.one.test")],
    "mx.one.test A": ["127.0.0.1"],
}


class House(DnsHouse):
    zone = ZONE

    def settle(self):
        self.sink = Sink().__enter__()
        s = self.server
        s.extra["queue"] = {"port": self.sink.port}
        self.configure({"inbound": ["spf", "dkim", "dmarc"],
                        "submission": ["dkim"], "local": ["dkim"]},
                       spf={"reject": "never"}, dkim={},
                       dmarc={"quarantine": "ignore"})

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.sink.__exit__()

    def give(self, author, address="192.0.2.1", envelope="a@one.test",
             code=250):
        with connect(self.server, address) as c:
            c.must(250, "MAIL FROM:<%s>" % envelope)
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(b"From: %s\r\nSubject: x\r\n\r\nx\r\n" %
                         author.encode()))
            tap.eq(c.reply()[0], code)

    def folder(self, day):
        return self.server.path("data", "dmarc", day)

    def send(self, *args, verb="dmarc"):
        return self.server.cli_json(verb, "send", *args)


def text(node, path):
    return node.findtext("/".join(NS + p for p in path.split("/")))


def test_rows(h):
    """a row a message of domains that ask for reports, of no others"""
    for _ in range(3):
        h.give("a@one.test")
    h.give("<b@sub.one.test>", "203.0.113.7")
    h.give("a@one.test", "203.0.113.7", code=550)
    h.give("a@two.test")
    h.give("a@silent.test")
    h.give("a@nothing.test")
    with open(h.folder(TODAY)) as f:
        rows = [json.loads(line) for line in f]
    tap.eq([(r["domain"], r["from"], r["disposition"], r["spf"], r["ip"])
            for r in rows],
           [("one.test", "one.test", "none", True, "192.0.2.1")] * 3 +
           [("one.test", "sub.one.test", "none", False, "203.0.113.7"),
            ("one.test", "one.test", "reject", False, "203.0.113.7"),
            ("two.test", "two.test", "none", False, "192.0.2.1")])
    tap.eq(h.send(), [])


def test_documents(h):
    """a dry run shows the document and changes nothing"""
    os.rename(h.folder(TODAY), h.folder(YESTERDAY))
    got = {(r["domain"], r["to"]): r for r in h.send("--dry-run", "--show")}
    tap.eq({k: r["fate"] for k, r in got.items()}, {
        ("one.test", "agg@one.test"): "would be sent",
        ("one.test", "x@far.test"): "it does not say that it wants reports "
        "of this domain",
        ("one.test", "big@one.test"): "it is larger than it wants reports "
        "to be",
        ("two.test", "two@there.test"): "would be sent"})
    tap.ok(os.path.exists(h.folder(YESTERDAY)))
    root = ET.fromstring(got["one.test", "agg@one.test"]["document"])
    tap.eq(root.tag, NS + "feedback")
    tap.eq([text(root, "policy_published/" + t) for t in
            ("domain", "p", "sp", "adkim", "aspf", "testing")],
           ["one.test", "reject", "none", "s", "r", "n"])
    begin, end = (int(text(root, "report_metadata/date_range/" + t))
                  for t in ("begin", "end"))
    tap.eq((end - begin, time.strftime("%Y-%m-%d", time.gmtime(begin))),
           (86399, YESTERDAY))
    records = root.findall(NS + "record")
    tap.eq(sorted((int(text(r, "row/count")), text(r, "row/source_ip"),
                   text(r, "row/policy_evaluated/disposition"),
                   text(r, "row/policy_evaluated/spf"),
                   text(r, "row/policy_evaluated/dkim"),
                   text(r, "identifiers/header_from"),
                   text(r, "auth_results/spf/domain"),
                   text(r, "auth_results/spf/result")) for r in records),
           [(1, "203.0.113.7", "none", "fail", "fail", "sub.one.test",
             "one.test", "fail"),
            (1, "203.0.113.7", "reject", "fail", "fail", "one.test",
             "one.test", "fail"),
            (3, "192.0.2.1", "none", "pass", "fail", "one.test", "one.test",
             "pass")])


def test_size(h):
    """a limit of size is one of the report as it travels, in base64"""
    path = h.folder(YESTERDAY)
    with open(path) as f:
        rows = f.read()
    size = [r["bytes"] for r in h.send("--dry-run")
            if r["to"] == "big@one.test"][0]
    fates = []
    for most in (size + 1, size * 3 // 2):
        with open(path, "w") as f:
            f.write(rows.replace("big@one.test!1,", "big@one.test!%d," % most))
        fates += [r["fate"] for r in h.send("--dry-run")
                  if r["to"] == "big@one.test"]
    with open(path, "w") as f:
        f.write(rows)
    tap.eq(fates, ["it is larger than it wants reports to be",
                   "would be sent"])


def attachment(message):
    parts = list(email.message_from_bytes(message).walk())
    return parts[-1], gzip.decompress(parts[-1].get_payload(decode=True))


def test_sent(h):
    """it goes out as signed mail without a sender, and the rows go"""
    h.server.cli("dkim", "new", "example.test")
    before = {r["domain"]: r["document"] for r in
              h.send("--dry-run", "--show")}
    fates = [r["fate"] for r in h.send()]
    tap.eq(fates.count("sent"), 2)
    tap.ok(not os.path.exists(h.folder(YESTERDAY)))
    wait_for("two reports", lambda: len(h.sink.messages) == 2)
    for m in h.sink.messages:
        message = email.message_from_bytes(m.data)
        domain = re.search(r"Report Domain: (\S+)",
                           message["Subject"]).group(1)
        tap.eq(m.sender, "")
        tap.contains(message["Subject"], "Submitter: mail.example.test")
        tap.contains(message["Subject"], "Report-ID: <%s.%s@mail." % (
            YESTERDAY, domain))
        tap.eq(message["From"], "Reports of mail.example.test "
               "<noreply-reports@mail.example.test>")
        tap.contains(message["DKIM-Signature"], "d=example.test;")
        part, document = attachment(m.data)
        tap.eq(part.get_content_type(), "application/gzip")
        begin = int(time.time()) // 86400 * 86400 - 86400
        tap.eq(part.get_filename(), "mail.example.test!%s!%d!%d.xml.gz" % (
            domain, begin, begin + 86399))
        tap.eq(document.decode(), before[domain])
    tap.eq(h.send(), [])


def test_own_reader(h):
    """mailroom dmarc report reads what we send"""
    s = h.server
    s.imap("bob").create("Reports")
    box = s.imap("bob")
    one = [m for m in h.sink.messages if b"Report Domain: one.test" in m.data]
    box.append("Reports", None, None, one[0].data)
    got = s.cli_json("dmarc", "report", "one.test")["domains"]["one.test"]
    tap.eq((got["messages"], got["passed"], got["policy"]),
           (5, 3, "reject"))
    box.logout()


def test_tls(h):
    """TLS: counts of a day that is over become a report, once"""
    s = h.server
    s.stop()
    db = sqlite3.connect(s.data + "/sqlite/mailroom.db")
    expire = (time.time() + 86400) * 1000
    for key, n in (("one.test sts success mx.one.test", 7),
                   ("one.test sts certificate-expired mx.one.test", 2),
                   ("twice.test sts success mx.twice.test", 1),
                   ("other.test no-policy-found success mx.o.test", 1)):
        db.execute("INSERT INTO state (space, key, value, expires_ms) VALUES "
                   "('core.tlsrpt', ?, ?, ?)",
                   ("%s %s" % (YESTERDAY, key), str(n), expire))
    db.commit()
    db.close()
    s.start()
    got = h.send("--dry-run", "--show", verb="tls")
    tap.eq([(r["to"], r["fate"]) for r in got],
           [("tls+rpt@one.test", "would be sent")])
    seen = len(h.sink.messages)
    tap.eq([r["fate"] for r in h.send(verb="tls")], ["sent"])
    tap.eq(h.send(verb="tls"), [])
    wait_for("a report", lambda: len(h.sink.messages) == seen + 1)
    m = h.sink.messages[-1]
    message = email.message_from_bytes(m.data)
    tap.eq((message["TLS-Report-Domain"], message["TLS-Report-Submitter"]),
           ("one.test", "mail.example.test"))
    tap.contains(message["Content-Type"], 'report-type="tlsrpt"')
    part, document = attachment(m.data)
    tap.eq(part.get_content_type(), "application/tlsrpt+gzip")
    report = json.loads(document)
    tap.eq(report["date-range"]["start-datetime"], YESTERDAY + "T00:00:00Z")
    policy, = report["policies"]
    tap.eq(policy["policy"], {"policy-type": "sts",
                              "policy-domain": "one.test"})
    tap.eq(policy["summary"], {"total-successful-session-count": 7,
                               "total-failure-session-count": 2})
    tap.eq(policy["failure-details"][0]["result-type"], "certificate-expired")


def test_scope(h):
    """SPF is told of the sender alone; HELO only in place of a null one"""
    h.give("a@two.test")
    h.give("a@two.test", envelope="")
    with open(h.folder(TODAY)) as f:
        rows = [json.loads(line) for line in f]
    os.remove(h.folder(TODAY))
    tap.eq([[r[2:] for r in row["results"] if r[0] == "spf"] for row in rows],
           [[["one.test", "mfrom"]], [["client.test", "mfrom"]]])


def test_redirected(h):
    """consent may name another address of its host, and no other host"""
    h.give("a@three.test")
    os.rename(h.folder(TODAY), h.folder(YESTERDAY))
    got = [(r["to"], r["fate"]) for r in h.send("--dry-run")]
    os.remove(h.folder(YESTERDAY))
    tap.eq(got, [
        ("y@moved.test", "would be sent"),
        ("x@away.test", "it wants reports to go to another host"),
        ("x@not.test", "it does not say that it wants reports of this "
         "domain")])


def test_test_mode(h):
    """a policy that is only tested is told as the reason"""
    h.give("a@tested.test")
    os.rename(h.folder(TODAY), h.folder(YESTERDAY))
    got, = h.send("--dry-run", "--show")
    os.remove(h.folder(YESTERDAY))
    root = ET.fromstring(got["document"])
    tap.eq([text(root, t) for t in (
        "policy_published/p", "policy_published/testing",
        "record/row/policy_evaluated/disposition",
        "record/row/policy_evaluated/reason/type")],
           ["quarantine", "y", "none", "policy_test_mode"])


def test_settings(h):
    """switched off; wrong usage"""
    tap.eq(h.server.cli("dmarc", "send", "--dry", check=False).returncode, 2)
    h.server.extra["plugin.dmarc"]["reports"] = False
    h.server.write_config()
    h.server.restart()
    h.give("a@two.test")
    tap.ok(not os.path.exists(h.folder(TODAY)))


with House() as house:
    tap.run(globals(), house)
tap.done()
