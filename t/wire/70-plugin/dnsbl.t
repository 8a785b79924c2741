#!/usr/bin/python3
# test: timeout=120
"""The dnsbl plugin, with a name server that plays the lists."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from house import DnsHouse
from outsider import ask, connect, deliver

V6 = ".".join(reversed("20010db8000000000000000000000001"))
ZONE = {
    "1.2.0.192.hard.test A": ["127.0.0.2"],
    "2.2.0.192.soft.test A": ["127.0.0.4"],
    "3.2.0.192.soft.test A": ["127.0.0.4"],
    "3.2.0.192.other.test A": ["127.0.0.2", "127.0.0.10"],
    "4.2.0.192.hard.test A": ["127.255.255.254"],
    "5.2.0.192.hard.test A": ["10.0.0.1"],
    "6.2.0.192.hard.test A": "SERVFAIL",
    "6.2.0.192.soft.test A": ["127.0.0.4"],
    "1.0.0.127.hard.test A": ["127.0.0.2"],
    V6 + ".hard.test A": ["127.0.0.2"],
}
MESSAGE = b"From: a@elsewhere.test\r\nSubject: x\r\n\r\nx\r\n"


class House(DnsHouse):
    zone = ZONE

    def settle(self):
        self.configure(
            {"inbound": ["dnsbl"], "submission": ["dnsbl"]},
            dnsbl={"lists": ["hard.test=2", "soft.test", "other.test=1"]})


def answers(h, address, code, words=""):
    got = ask(h.server, address)
    tap.eq(got[0], code, got)
    tap.contains(str(got[1]), words)


def test_mark(h):
    """below the limit mail is marked; others have no field"""
    h.server.empty("bob")
    deliver(h.server, "192.0.2.2", MESSAGE)
    tap.contains(h.server.newest("bob"), b"\r\nX-DNSBL: soft.test\r\n")
    deliver(h.server, "192.0.2.77", MESSAGE)
    tap.ok(b"X-DNSBL" not in h.server.newest("bob"))


def test_once(h):
    """asked once a connection, and for each new one"""
    h.dns.asked.clear()
    with connect(h.server, "192.0.2.78") as c:
        for _ in range(3):
            c.must(250, "MAIL FROM:<a@elsewhere.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(250, "RCPT TO:<alice@example.test>")
            c.must(250, "RSET")
        mine = [q for q in h.dns.asked if "78.2.0.192" in str(q)]
        tap.ok(len({str(q).lower() for q in mine}) <= 3, mine)
        # another client behind the same proxy
        c.must(220, "XCLIENT ADDR=192.0.2.1")
        c.must(250, "EHLO client.test")
        c.must(250, "MAIL FROM:<a@elsewhere.test>")
        c.must(550, "RCPT TO:<bob@example.test>")


def test_ours(h):
    """logins and loopback are not asked about"""
    h.dns.asked.clear()
    smtp = h.server.submission()
    smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
    smtp.quit()
    h.server.send(MESSAGE)
    tap.ok(not [q for q in h.dns.asked if "hard.test" in str(q)],
           h.dns.asked)


def test_settings(h):
    """a weight that is none is an error of the configuration"""
    s = h.server
    lists = s.extra["plugin.dnsbl"]["lists"]
    for wrong in ("hard.test=much", "hard.test=0", "=2", "two words.test"):
        s.extra["plugin.dnsbl"]["lists"] = [wrong]
        s.write_config()
        s.log_mark()
        s.stop()
        s.start(wait=False)
        try:
            s.wait_ready(2)
            tap.ok(False, "started with %r" % wrong)
        except RuntimeError:
            pass
        tap.contains(s.log_since_mark(), wrong)
        s.kill()
    s.extra["plugin.dnsbl"]["lists"] = lists
    s.write_config()
    s.start()


ROWS = (("on a list that is enough", "192.0.2.1", 550, "hard.test"),
        ("on one that is not", "192.0.2.2", 250),
        ("on two that are together", "192.0.2.3", 550,
         "soft.test other.test"),
        ("on none", "192.0.2.77", 250),
        ("the list says that we may not ask", "192.0.2.4", 250),
        ("an answer that is none", "192.0.2.5", 250),
        ("a list that fails, and one that is not enough", "192.0.2.6", 250),
        ("IPv6", "2001:db8::1", 550, "hard.test"),
        ("IPv6 on none", "2001:db8::2", 250))

with House() as house:
    tap.table(ROWS, answers, house)
    tap.run(globals(), house)
tap.done()
