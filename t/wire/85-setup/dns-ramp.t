#!/usr/bin/python3
# test: timeout=120
"""The plan's advice becomes stricter when reports have been good for 14 days,
and says why it does not."""
import base64
import gzip
import json
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from knot import Knot
from server import Server

DAY = 86400
NOW = int(time.time())
DMARC = """<feedback><report_metadata><org_name>%(org)s</org_name>
<report_id>%(begin)d</report_id><date_range><begin>%(begin)d</begin>
<end>%(end)d</end></date_range></report_metadata><policy_published>
<domain>example.test</domain><p>%(p)s</p></policy_published>
<record><row><source_ip>%(ip)s</source_ip><count>%(n)d</count>
<policy_evaluated><disposition>none</disposition><dkim>%(result)s</dkim>
<spf>fail</spf></policy_evaluated></row><identifiers>
<header_from>example.test</header_from></identifiers></record></feedback>"""


def dmarc(days_ago, n=10, result="pass", p="none", ip="203.0.113.5",
          org="rx.test"):
    begin = NOW - days_ago * DAY
    return DMARC % {"org": org, "begin": begin, "end": begin + DAY - 1,
                    "p": p, "ip": ip, "n": n, "result": result}


def tls(days_ago, good, bad=0):
    start = time.strftime("%Y-%m-%dT00:00:00Z",
                          time.gmtime(NOW - days_ago * DAY))
    return json.dumps({
        "organization-name": "rx.test", "report-id": str(days_ago),
        "date-range": {"start-datetime": start, "end-datetime": start},
        "policies": [{"policy": {"policy-type": "sts",
                                 "policy-domain": "example.test"},
                      "summary": {"total-successful-session-count": good,
                                  "total-failure-session-count": bad}}]})


def mail(text, kind):
    return ("From: noreply@rx.test\r\nTo: alice@example.test\r\nSubject: r"
            "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
            "boundary=b\r\n\r\n--b\r\nContent-Type: %s\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" % (
                kind, base64.encodebytes(gzip.compress(text.encode()))
                .decode().replace("\n", "\r\n"))).encode()


class House:
    def __enter__(self):
        self.knot = Knot({"example.test": ""}).__enter__()
        self.server = Server({
            "dns": {"servers": [self.knot.address], "timeout": "2s",
                    "trust_anchors": self.knot.anchors},
            "dns.plan": {"authority_port": self.knot.port,
                         "addresses": ["203.0.113.5"]},
        }).__enter__()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.knot.__exit__(*exc)

    def reports(self, dmarcs=(), tlss=()):
        """These and no others lie in the mailbox."""
        box = self.server.imap("alice", None)
        box.delete("Reports")
        box.create("Reports")
        for text in dmarcs:
            box.append("Reports", None, None, mail(text, "application/gzip"))
        for text in tlss:
            box.append("Reports", None, None,
                       mail(text, "application/tlsrpt+gzip"))
        box.logout()

    def advice(self, about):
        notes = self.server.cli_json("dns", "plan", "example.test")[0]["notes"]
        return [n for n in notes if n.startswith(about)][0]

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_no_reports(h):
    """without reports both stay where they begin"""
    tap.contains(h.advice("DMARC"), "stays at p=none until reports of 14 "
                 "days")
    tap.contains(h.advice("MTA-STS"), "there are reports of 0 days so far")


def test_too_young(h):
    """good reports of a week are not enough"""
    h.reports([dmarc(7), dmarc(2)], [tls(7, 50)])
    tap.contains(h.advice("DMARC"), "reports of 7 days so far")
    tap.contains(h.advice("MTA-STS"), "reports of 7 days so far")


def test_good(h):
    """after 14 days of good reports it may go on"""
    h.reports([dmarc(20), dmarc(10, 30), dmarc(1, 5, org="other.test")],
              [tls(16, 9), tls(3, 50)])
    tap.contains(h.advice("DMARC"), "may go on to p=quarantine: in the last "
                 "14 days all 35 messages passed that 2 receivers")
    tap.contains(h.advice("MTA-STS"), "may go on to enforce: in the last 14 "
                 "days all 50 connections")


def test_one_bad(h):
    """one message that did not pass holds it up, and its source is named"""
    h.reports([dmarc(20), dmarc(10, 30), dmarc(
        2, 1, "fail", ip="198.51.100.3", org="other.test")],
        [tls(16, 9), tls(3, 50, 2)])
    tap.contains(h.advice("DMARC"), "stays at p=none: in the last 14 days 1 "
                 "of 31 messages from 198.51.100.3 passed neither")
    tap.contains(h.advice("MTA-STS"), "stays in testing: in the last 14 days "
                 "2 of 52 connections")


def test_old_trouble(h):
    """what failed long ago does not count"""
    h.reports([dmarc(25, 9, "fail"), dmarc(10, 30)])
    tap.contains(h.advice("DMARC"), "may go on to p=quarantine")


def test_next_step(h):
    """a step counts from its own reports; at the end there is no advice"""
    h.server.extra["dns.plan"]["dmarc"] = "quarantine"
    h.server.write_config()
    h.reports([dmarc(20), dmarc(10, 30), dmarc(3, 8, p="quarantine")])
    tap.contains(h.advice("DMARC"), "stays at p=quarantine until")
    tap.contains(h.advice("DMARC"), "reports of 3 days so far")
    h.reports([dmarc(20, p="quarantine"), dmarc(3, 8, p="quarantine")])
    tap.contains(h.advice("DMARC"), "may go on to p=reject")
    h.server.extra["dns.plan"].update(dmarc="reject", mta_sts="enforce")
    h.server.write_config()
    notes = h.server.cli_json("dns", "plan", "example.test")[0]["notes"]
    tap.eq([n for n in notes if n.startswith(("DMARC", "MTA-STS"))], [])


with House() as house:
    tap.run(globals(), house)
tap.done()
