#!/usr/bin/python3
# test: timeout=120
"""opendmarc (Debian's package) behind opendkim: a domain's policy decides
what becomes of mail that nobody vouches for."""
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server


def results(s):
    return " ".join(filters.field(s.newest("bob"), "Authentication-Results"))


def test_none(s):
    """p=none passes, marked, with the body as it was"""
    data = filters.message(b"hello\r\n.dot\r\n", "ann@example.org")
    tap.eq(filters.deliver(s, data, "ann@example.org")[0], 250)
    tap.contains(results(s), "dmarc=fail (p=none")
    tap.eq(filters.split(s.newest("bob"))[1], b"hello\r\n.dot\r\n")


def test_reject(s):
    """p=reject is refused with the filter's words"""
    code, texts = filters.deliver(s, filters.message(b"hello\r\n"))
    tap.eq(code, 550, texts)
    tap.contains(" ".join(texts), "5.7.1 rejected by DMARC policy")
    tap.eq(s.messages("bob"), [])


def test_forged(s):
    """a stranger's own results do not get it past"""
    data = filters.message(
        b"hello\r\n", fields=b"Authentication-Results: mail.example.test; "
        b"spf=pass smtp.mailfrom=example.net\r\n")
    tap.eq(filters.deliver(s, data)[0], 550)


def test_quarantine(s):
    """p=quarantine is accepted and not delivered to the INBOX"""
    data = filters.message(b"hello\r\n", "ann@example.com")
    tap.eq(filters.deliver(s, data, "ann@example.com")[0], 250)
    tap.eq(s.messages("bob"), [])


def test_own(s):
    """who logged in is not judged"""
    s.empty("bob")
    data = filters.message(b"hello\r\n", "alice@example.test")
    with s.submission("alice") as c:
        c.sendmail("alice@example.test", ["bob@example.test"], data)
    tap.eq(len(s.messages("bob")), 1)


filters.need(("opendkim", "opendkim"), ("opendmarc", "opendmarc"),
             ("openssl", "openssl"))
with filters.OpenDKIM() as dkim, filters.OpenDMARC() as dmarc, \
        Server(filters.attach(dkim, dmarc),
               chain=["opendkim", "opendmarc"]) as server:
    tap.run(globals(), server)
tap.done()
