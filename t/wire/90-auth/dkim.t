#!/usr/bin/python3
# test: timeout=180
"""The dkim plugin: signs submissions with both algorithms, verifies what
comes in; python3-dkim is the other side."""
import base64
import os
import re
import smtplib
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import dkim
import tap
from house import DnsHouse
from keyfile import make_key
from outsider import deliver

TEXT = (b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
        b"Subject: signed\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\n"
        b"Message-ID: <1@example.test>\r\n\r\nHello  there \r\n\r\n\r\n")


def make_record(folder, kind, bits=2048):
    """A key file that is in use: its selector and its DNS record."""
    selector = "s" + kind
    public = make_key(os.path.join(folder, selector + ".pem"), kind, bits)
    os.symlink(selector + ".pem", os.path.join(folder, kind))
    return selector, "v=DKIM1; k=%s; p=%s" % (kind, public)


class House(DnsHouse):
    def settle(self):
        s = self.server
        self.zone = self.dns.zone
        folder = s.path("keys/example.test")
        os.makedirs(folder)
        for kind in ("rsa", "ed25519"):
            selector, record = make_record(folder, kind)
            self.zone["%s._domainkey.example.test TXT" % selector] = [record]
        self.configure({"inbound": ["dkim"], "submission": ["dkim"]},
                       dkim={"keys": s.path("keys")})
        self.signed = self.submit(TEXT)

    def submit(self, text, sender="alice@example.test"):
        self.server.empty("bob")
        smtp = self.server.submission()
        smtp.sendmail(sender, ["bob@example.test"], text)
        smtp.quit()
        got = self.server.newest("bob")
        return got[got.index(b"DKIM-Signature"):] \
            if b"DKIM-Signature" in got else got

    def results(self, message):
        """The Authentication-Results of a message that came in."""
        s = self.server
        s.empty("bob")
        deliver(s, "192.0.2.1", message)
        got = s.newest("bob")
        field = re.search(rb"Authentication-Results: ((?:[^\r]|\r\n[ \t])*)",
                          got).group(1)
        return re.sub(rb"\r\n[ \t]+", b" ", field).decode()


def test_signed(h):
    """a submission gets two signatures, and python3-dkim verifies both"""
    fields = re.findall(rb"DKIM-Signature:(?:[^\r]|\r\n[ \t])*", h.signed)
    tap.eq(len(fields), 2, h.signed)
    algorithms = {re.search(rb"a=([a-z0-9-]+)", f).group(1) for f in fields}
    tap.eq(algorithms, {b"rsa-sha256", b"ed25519-sha256"})
    found = lambda name, timeout=5: h.zone.get(  # noqa: E731
        name.decode().rstrip(".") + " TXT", [""])[0].encode()
    for index in (0, 1):
        tap.ok(dkim.DKIM(h.signed).verify(index, dnsfunc=found), index)


def test_verified(h):
    """what we signed passes here, once for each algorithm"""
    got = h.results(h.signed)
    tap.eq(got.count("dkim=pass header.d=example.test"), 2, got)
    tap.contains(got, "header.a=ed25519-sha256")
    tap.contains(got, "header.s=srsa")


def test_python_signed(h):
    """what python3-dkim signs passes too, simple and relaxed"""
    with open(h.server.path("keys/example.test/srsa.pem"), "rb") as f:
        key = f.read()
    for canon in ((b"simple", b"simple"), (b"relaxed", b"simple"),
                  (b"relaxed", b"relaxed")):
        field = dkim.sign(TEXT, b"srsa", b"example.test", key,
                          canonicalize=canon)
        got = h.results(field + TEXT)
        tap.contains(got, "dkim=pass header.d=example.test", canon)


def test_rfc_example(h):
    """the message of RFC 8463 appendix A, which is RFC 6376's with both"""
    h.zone["brisbane._domainkey.football.example.com TXT"] = [
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
    h.zone["test._domainkey.football.example.com TXT"] = [
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
        "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
        "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
        "Ip3G+2kryOTIKT+l/K4w3QIDAQAB"]
    path = os.path.join(os.path.dirname(dkim.__file__),
                        "tests/data/rfc6376.signed.msg")
    with open(path, "rb") as f:
        example = f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    got = h.results(example)
    tap.eq(got.count("dkim=pass header.d=football.example.com"), 2, got)
    got = h.results(example.replace(b"hungry", b"thirsty"))
    tap.ok("dkim=pass" not in got and got.count("dkim=fail") == 2, got)


def test_no_key(h):
    """a domain without keys is not signed"""
    got = h.submit(TEXT.replace(b"alice@example.test",
                                b"alice@other.test"))
    tap.ok(b"DKIM-Signature" not in got, got)


def test_broken_key(h):
    """mail whose key cannot be read is not sent unsigned"""
    folder = h.server.path("keys/broken.test")
    os.makedirs(folder)
    os.symlink("gone.pem", folder + "/rsa")
    smtp = h.server.submission()
    try:
        smtp.sendmail("alice@example.test", ["bob@example.test"],
                      TEXT.replace(b"alice@example.test", b"a@broken.test"))
        tap.ok(False, "it was taken")
    except smtplib.SMTPDataError as e:
        tap.eq(e.smtp_code, 451)
        tap.contains(e.smtp_error, b"cannot be signed")
    smtp.quit()


def test_third_party(h):
    """what is forwarded is signed in our name only if that is asked for"""
    s = h.server
    s.cli("alias", "add", "out@example.test", "x@far.test")
    own = {"keys": s.path("keys")}
    stranger = TEXT.replace(b"alice@example.test", b"a@stranger.test")
    h.zone["far.test MX"] = "SERVFAIL"
    for third in ("", "example.test", "none.test"):
        s.extra["plugin.own"] = dict(own, module=s.plugin("dkim"),
                                     third_party=third, memory=0)
        h.configure({"inbound": ["dkim", "own"], "submission": ["dkim"]},
                    dkim=own)
        s.drop_queue()
        s.empty("bob")
        with s.line(ehlo="x.test") as c:
            for rcpt, code in (("bob", 250), ("out", 451 if third ==
                                              "none.test" else 250)):
                c.must(250, "MAIL FROM:<a@stranger.test>")
                c.must(250, "RCPT TO:<%s@example.test>" % rcpt)
                c.must(354, "DATA")
                c.send(stranger + b".\r\n")
                tap.eq(c.reply()[0], code)
        tap.ok(b"DKIM-Signature" not in s.newest("bob"))
        if third != "none.test":
            item = s.queue()[0]
            shown = s.cli("queue", "show", str(item["id"])).stdout
            tap.eq(shown.count("DKIM-Signature:"), 2 if third else 0, shown)
    del s.extra["plugin.own"]
    h.configure({"inbound": ["dkim"], "submission": ["dkim"]}, dkim=own)


def test_parent(h):
    """a subdomain is signed with the keys above it"""
    got = h.submit(TEXT.replace(b"alice@example.test",
                                b"alice@news.example.test"))
    tap.contains(got, b"d=example.test;")


def signature(**changes):
    """Tags of the first signature, changed or (None) left out."""
    def change(h):
        end = re.search(rb"\r\n(?![ \t])", h.signed).end()
        field, rest = h.signed[:end].decode(), h.signed[end:]
        for tag, value in changes.items():
            whole = re.compile(r"(?<=[;\s])%s=[^;]*(;|(?=\r\n$))" % tag)
            new = "" if value is None else "%s=%s;" % (tag, value)
            if not whole.search(field):
                field = field.replace("v=1;", "v=1; " + new, 1)
            else:
                field = whole.sub(lambda m: new, field, count=1)
        return field.encode() + drop_signature(rest)
    return change


def drop_signature(text):
    """Without the second signature, so that one result is left."""
    return re.sub(rb"^DKIM-Signature:(?:[^\r]|\r\n[ \t])*\r\n", b"", text)


def plain(change):
    def with_one(h):
        end = re.search(rb"\r\n(?![ \t])", h.signed).end()
        return change(h.signed[:end] + drop_signature(h.signed[end:]))
    return with_one


FORGED = [
    ("body changed", plain(lambda m: m.replace(b"Hello", b"Hullo")),
     "dkim=fail (body hash mismatch)"),
    ("subject changed", plain(lambda m: m.replace(b"Subject: signed",
                                                  b"Subject: forged")),
     "dkim=fail (signature mismatch)"),
    ("a second Subject above", plain(lambda m: b"Subject: forged\r\n" + m),
     "dkim=fail"),
    ("a second From", plain(lambda m: b"From: x@evil.test\r\n" + m),
     "dkim=fail"),
    ("another domain", signature(d="evil.test"),
     "dkim=permerror (no key in DNS)"),
    ("another selector", signature(s="none"),
     "dkim=permerror (no key in DNS)"),
    ("expired", signature(t="1000", x="2000"), "dkim=fail (signature expired)"),
    ("rsa-sha1", signature(a="rsa-sha1"), "dkim=policy (rsa-sha1"),
    ("no From in h=", signature(h="Subject:To"), "dkim=permerror"),
    ("no domain", signature(d=None), "dkim=permerror"),
    ("unsafe i=", signature(i="=4@example.test"),
     "dkim=permerror (i= is badly encoded)"),
    ("i= of another domain", signature(i="@evil.test"), "dkim=permerror"),
    ("empty b=", signature(b=""), "dkim=permerror"),
]


def forged(h, name, change, want):
    tap.contains(h.results(change(h)), want)


def test_length(h):
    """l= that leaves out the end does not pass"""
    with open(h.server.path("keys/example.test/srsa.pem"), "rb") as f:
        key = f.read()
    field = dkim.sign(TEXT, b"srsa", b"example.test", key, length=True)
    got = h.results(field + TEXT + b"and more\r\n")
    tap.contains(got, "dkim=policy (l= leaves out the end of the body)")
    tap.contains(h.results(field + TEXT), "dkim=pass")


def test_temperror(h):
    """DNS that does not answer is temperror, never pass"""
    name = "srsa._domainkey.example.test TXT"
    name2 = "sed25519._domainkey.example.test TXT"
    kept = h.zone[name], h.zone[name2]
    h.zone[name] = h.zone[name2] = "SERVFAIL"
    try:
        field = dkim.sign(TEXT, b"slow", b"slow.test", open(
            h.server.path("keys/example.test/srsa.pem"), "rb").read())
        h.zone["slow._domainkey.slow.test TXT"] = "SERVFAIL"
        tap.contains(h.results(field + TEXT),
                     "dkim=temperror (DNS does not answer)")
    finally:
        h.zone[name], h.zone[name2] = kept


def test_key_records(h):
    """keys: revoked, two of them, of another kind, too small"""
    with open(h.server.path("keys/example.test/srsa.pem"), "rb") as f:
        key = f.read()
    good = h.zone["srsa._domainkey.example.test TXT"][0]
    small = h.server.path("small/small.test")
    os.makedirs(small)
    selector, record = make_record(small, "rsa", 512)
    with open(os.path.join(small, "srsa.pem"), "rb") as f:
        small_key = f.read()
    for name, record, with_key, want in (
            ("revoked", ["v=DKIM1; k=rsa; p="], key,
             "dkim=permerror (key is revoked)"),
            ("twice", [good, good.replace("v=DKIM1", "v=DKIM1; t=y")], key,
             "dkim=permerror (more than one key)"),
            ("kind", ["v=DKIM1; k=ed25519; p=abcd"], key, "dkim=permerror"),
            ("test", [good.replace("k=rsa", "k=rsa; t=y")], key,
             "dkim=pass (key in test mode)"),
            ("small", [record], small_key,
             "dkim=policy (key is too small)")):
        h.zone["%s._domainkey.keys.test TXT" % name] = record
        field = dkim.sign(TEXT, name.encode(), b"keys.test", with_key)
        tap.contains(h.results(field + TEXT), want, name)


def test_many(h):
    """no more signatures than allowed are looked at"""
    end = re.search(rb"\r\n(?![ \t])", h.signed).end()
    got = h.results(h.signed[:end] * 20 + h.signed)
    tap.eq(got.count("dkim=pass"), 8, got)
    tap.contains(got, "too many signatures")


def test_none(h):
    """an unsigned message says so"""
    tap.contains(h.results(TEXT), "dkim=none")


def test_own_process(h):
    """it runs in a process of its own without being told to"""
    tap.ok(any(b"plugin-host" in open("/proc/%s/cmdline" % pid, "rb").read()
               for pid in os.listdir("/proc") if pid.isdigit()
               and os.path.exists("/proc/%s/cmdline" % pid)))


with House() as house:
    tap.run(globals(), house)
    tap.table([("forged: " + n, n, c, w) for n, c, w in FORGED], forged,
              house)
tap.done()
