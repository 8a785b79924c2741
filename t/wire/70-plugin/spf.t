#!/usr/bin/python3
# test: timeout=120
"""The spf plugin in a server: results, refusals, who is not asked about."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from house import DnsHouse
from outsider import connect, deliver

ZONE = {
    "plain.test TXT": ["v=spf1 ip4:192.0.2.1 -all exp=why.plain.test"],
    "why.plain.test TXT": ["%{i} is none of ours"],
    "soft.test TXT": ["v=spf1 ip4:192.0.2.1 ~all"],
    "dmarc.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
    "_dmarc.dmarc.test TXT": ["v=DMARC1; p=reject"],
    "sub.dmarc.test TXT": ["v=spf1 -all"],
    "slow.test TXT": "SERVFAIL",
    "twice.test TXT": ["v=spf1 -all", "v=spf1 +all"],
    "helo.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
    "xn--bcher-kva.test TXT": ["v=spf1 ip4:192.0.2.1 -all"],
}


class House(DnsHouse):
    zone = ZONE

    def configure(self, **settings):
        super().configure({"inbound": ["spf"], "submission": []},
                          spf=settings)


def mail(h, address, sender, helo="client.test"):
    """The answer to MAIL."""
    with connect(h.server, address) as c:
        c.must(250, "EHLO " + helo)
        answer = c.ask("MAIL FROM:<%s>" % sender)
        c.ask("QUIT")
        return answer


def delivered(h, address, sender):
    h.server.empty("bob")
    deliver(h.server, address, b"From: x@y.test\r\n\r\nx\r\n", sender=sender)
    return h.server.newest("bob").replace(b"\r\n\t", b" ").decode()


def result(h, name, address, sender, want):
    tap.contains(delivered(h, address, sender), want)


RESULTS = [
    ("pass", "192.0.2.1", "a@plain.test",
     "spf=pass smtp.mailfrom=a@plain.test"),
    ("softfail", "192.0.2.9", "a@soft.test",
     "spf=softfail smtp.mailfrom=a@soft.test"),
    ("none", "192.0.2.9", "a@none.test",
     "spf=none smtp.mailfrom=a@none.test"),
    ("temperror is taken", "192.0.2.9", "a@slow.test", "spf=temperror"),
    ("permerror says why", "192.0.2.9", "a@twice.test",
     'spf=permerror (more than one record'),
    ("a fail that DMARC will judge", "192.0.2.9", "a@dmarc.test",
     "spf=fail smtp.mailfrom=a@dmarc.test"),
    ("the policy of the domain above", "192.0.2.9", "a@sub.dmarc.test",
     "spf=fail smtp.mailfrom=a@sub.dmarc.test"),
]


def test_refused(h):
    """a fail without DMARC: 550 5.7.23 with the domain's own words"""
    code, text = mail(h, "192.0.2.9", "a@plain.test")
    tap.eq(code, 550)
    tap.contains(str(text), "5.7.23")
    tap.contains(str(text), "plain.test says: 192.0.2.9 is none of ours")


def test_helo(h):
    """the HELO name is an identity of its own, alone for the null sender"""
    tap.eq(mail(h, "192.0.2.9", "", "helo.test")[0], 550)
    tap.eq(mail(h, "192.0.2.1", "", "helo.test")[0], 250)
    tap.eq(mail(h, "192.0.2.9", "a@none.test", "helo.test")[0], 550)
    tap.contains(delivered(h, "192.0.2.1", ""), "smtp.helo=client.test")


def test_settings(h):
    """reject, helo, header and trusted do what they say"""
    h.configure(reject="never", header=True)
    got = delivered(h, "192.0.2.9", "a@plain.test")
    tap.contains(got, "spf=fail")
    tap.contains(got, "Received-SPF: fail (")
    tap.contains(got, "client-ip=192.0.2.9; envelope-from=\"a@plain.test\"")
    h.configure(reject="fail", helo=False, trusted=["198.51.100.0/24"])
    tap.eq(mail(h, "192.0.2.9", "a@dmarc.test")[0], 550)
    tap.eq(mail(h, "198.51.100.9", "a@dmarc.test")[0], 250)
    tap.eq(mail(h, "198.51.101.9", "a@dmarc.test")[0], 550)
    tap.eq(mail(h, "192.0.2.9", "a@none.test", "helo.test")[0], 250)
    tap.eq(mail(h, "192.0.2.9", "", "helo.test")[0], 550)


def test_ours(h):
    """logins and loopback are not asked about"""
    h.dns.asked.clear()
    smtp = h.server.submission()
    smtp.sendmail("alice@example.test", ["bob@example.test"], b"x\r\n")
    smtp.quit()
    h.server.send(b"Subject: x\r\n\r\nx\r\n", sender="a@plain.test")
    tap.ok(not [q for q in h.dns.asked if "plain.test" in str(q)],
           h.dns.asked)


with House() as house:
    tap.table([(n, n, a, s, w) for n, a, s, w in RESULTS], result, house)
    tap.run(globals(), house)
tap.done()
