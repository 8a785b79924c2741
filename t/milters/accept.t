#!/usr/bin/python3
# test: timeout=240
"""Mail that one Mailroom signed, and another one forwarded and sealed, passes
SPF, DKIM, DMARC and ARC here, in OpenDKIM with OpenDMARC, in python3-dkim and
in rspamd; forged variants fail in all of them, for their own reason."""
import re
import sys
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import dkim
import filters
import tap
from fakedns import FakeDNS
from rspamd import Rspamd
from server import Server, wait_for
from sink import Sink

AUTHOR, LIST, STRANGER = "198.51.100.7", "198.51.100.9", "203.0.113.7"
TEXT = (b"From: Ann <ann@author.test>\r\nTo: team@list.test\r\n"
        b"Subject: minutes\r\n\r\nHello there.\r\n")


class OpenDKIM(filters.OpenDKIM):
    """With the keys of the zone."""

    def __init__(self, zone):
        super().__init__()
        self.zone = zone

    def make_key(self):
        super().make_key()
        self.write("public", "".join(
            "%s %s\n" % (name[:-4], texts[0])
            for name, texts in self.zone.items()
            if name.endswith(" TXT") and "._domainkey." in name))


class OpenDMARC(filters.OpenDMARC):
    name = "opendmarc"

    def write(self, name, text, mode=0o644):
        if name == "policies":
            text = "_dmarc.author.test v=DMARC1; p=reject\n"
        return super().write(name, text, mode)


class Street:
    """The author's server, the list's, and a sink in place of the rest."""

    def __enter__(self):
        self.sink = Sink().__enter__()
        self.dns = FakeDNS({
            "author.test TXT": ["v=spf1 ip4:%s -all" % AUTHOR],
            "author.test A": [AUTHOR],
            "_dmarc.author.test TXT": ["v=DMARC1; p=reject"],
            "list.test TXT": ["v=spf1 ip4:%s -all" % LIST],
            "list.test A": [LIST],
            "list.test MX": [(10, "mx.test")],
            "judge.test MX": [(10, "mx.test")], "mx.test A": ["127.0.0.1"],
        }).__enter__()
        self.author = self.house("author.test")
        self.list = self.house("list.test")
        return self

    def house(self, domain):
        """It signs, or seals what it forwards, and sends all to the sink."""
        s = Server({"": {"hostname": "mail." + domain},
                    "dns": {"servers": [self.dns.address]},
                    "smtp": {"xclient_networks": ["127.0.0.1"],
                             "reverse_dns": False},
                    "queue": {"port": self.sink.port},
                    **{"plugin." + p: {"module": "build:" + p} for p in
                       ("spf", "dkim", "arc", "dmarc", "arcseal")},
                    "chain": {"inbound": ["spf", "dkim", "arc", "dmarc",
                                          "arcseal"],
                              "submission": ["dkim"]}}, accounts=())
        s.autostart = False
        s.__enter__()
        s.cli("domain", "add", domain)
        s.add_account("ann@" + domain)
        s.cli("alias", "add", "team@" + domain, "bob@judge.test")
        for key in s.cli_json("dkim", "new", domain):
            self.dns.zone[key["name"] + " TXT"] = [key["record"]]
        s.start()
        return s

    def __exit__(self, *exc):
        for one in (self.list, self.author, self.dns, self.sink):
            one.__exit__(*exc)

    def next(self):
        """The message that reaches the sink, and its envelope sender."""
        wait_for("a message", lambda: self.sink.messages)
        m = self.sink.messages.pop()
        return m.data, m.sender

    def signed(self):
        smtp = self.author.submission("ann@author.test")
        smtp.sendmail("ann@author.test", ["team@list.test"], TEXT)
        smtp.quit()
        return self.next()

    def forwarded(self, data, sender):
        with self.list.line(ehlo="x.test") as c:
            c.must(220, "XCLIENT ADDR=%s NAME=mail.author.test" % AUTHOR)
            c.must(250, "EHLO mail.author.test")
            c.must(250, "MAIL FROM:<%s>" % sender)
            c.must(250, "RCPT TO:<team@list.test>")
            c.must(354, "DATA")
            c.send(filters.stuff(data))
            c.must(250)
        return self.next()


def judged(s, data, sender, address):
    """(code, results as one text)"""
    code, texts = filters.deliver(s, data, sender, address=address,
                                  helo="mail.author.test")
    if code != 250:
        return code, " ".join(texts)
    if not s.messages("bob"):
        return code, ""
    got = s.newest("bob")
    return code, " ".join(filters.field(got, "Authentication-Results"))


class Mail:
    """All variants, made once: name -> (bytes, sender, from where)."""

    def __init__(self, street):
        data, sender = street.signed()
        sealed, srs = street.forwarded(data, sender)
        self.first, self.sealed = data, sealed
        changed = sealed.replace(b"Hello there.", b"[list] Hello there.")
        self.all = {
            "signed": (data, sender, AUTHOR),
            "elsewhere": (data, sender, STRANGER),
            "changed": (data.replace(b"Hello", b"Hullo"), sender, AUTHOR),
            "forged": (data.replace(b"Hello", b"Hullo"), sender, STRANGER),
            "bare": (TEXT, sender, STRANGER),
            "sealed": (sealed, srs, LIST),
            "broken": (changed, srs, LIST),
            "unsealed": (re.sub(rb"(?m)^ARC-Seal:(?:[^\r]|\r\n[ \t])*\r\n",
                                b"", sealed), srs, LIST),
        }


def check(s, mail, wanted):
    """wanted: name -> (code, [pieces that are there], [that are not])"""
    for name, (code, there, missing) in wanted.items():
        got, text = judged(s, *mail.all[name])
        tap.eq(got, code, "%s: %s" % (name, text))
        for piece in there:
            tap.ok(re.search(piece, text), "%s: no %s in %s" % (
                name, piece, text))
        for piece in missing:
            tap.ok(not re.search(piece, text), "%s: %s in %s" % (
                name, piece, text))


def test_mailroom(street, mail):
    """here"""
    both = r"dkim=pass \S*.*header.d=author.test.*dkim=pass"
    with Server({"dns": {"servers": [street.dns.address]},
                 "smtp": {"xclient_networks": ["127.0.0.1"],
                          "reverse_dns": False},
                 **{"plugin." + p: {"module": "build:" + p}
                    for p in ("spf", "dkim", "arc", "dmarc")},
                 "chain": {"inbound": ["spf", "dkim", "arc", "dmarc"],
                           "submission": []}}) as s:
        check(s, mail, {
            "signed": (250, ["spf=pass", both, "arc=none", "dmarc=pass",
                             "header.a=ed25519-sha256",
                             "header.a=rsa-sha256"], ["fail"]),
            "elsewhere": (250, ["spf=fail", both, "dmarc=pass"], []),
            "changed": (250, ["spf=pass", "dkim=fail", "dmarc=pass"],
                        ["dkim=pass"]),
            "forged": (550, ["DMARC: neither SPF nor DKIM shows that this is "
                             "from author.test"], []),
            "bare": (550, ["DMARC"], []),
            "sealed": (250, ["spf=pass", both, "arc=pass", "dmarc=pass",
                             "header.oldest-pass=0"], ["fail"]),
            "broken": (550, ["DMARC"], []),
            "unsealed": (250, [r"arc=fail \(.*missing", both, "dmarc=pass"],
                         []),
        })


def test_opendkim(street, mail):
    """OpenDKIM and OpenDMARC"""
    with OpenDKIM(street.dns.zone) as signer, OpenDMARC() as policy, \
            Server(filters.attach(signer, policy),
                   chain=["opendkim", "opendmarc"]) as s:
        check(s, mail, {
            "signed": (250, ["dkim=pass .*ed25519-sha256|"
                             "ed25519-sha256.*dkim=pass", "rsa-sha256",
                             "dmarc=pass"], ["dkim=fail", "dmarc=fail"]),
            "elsewhere": (250, ["dkim=pass", "dmarc=pass"], []),
            "forged": (550, ["DMARC policy"], []),
            "bare": (550, ["DMARC policy"], []),
            "sealed": (250, ["dkim=pass", "dmarc=pass"], ["dmarc=fail"]),
            "broken": (550, ["DMARC policy"], []),
        })


def test_python(street, mail):
    """python3-dkim"""
    def found(name, timeout=5):
        texts = street.dns.zone.get(name.decode().rstrip(".") + " TXT", [""])
        return texts[0].encode()

    def start(data, field):
        return data[data.index(field):]
    for number in (0, 1):
        whole = start(mail.first, b"DKIM-Signature:")
        tap.ok(dkim.DKIM(whole).verify(number, dnsfunc=found))
        try:
            dkim.DKIM(whole.replace(b"Hello", b"Hullo")).verify(
                number, dnsfunc=found)
            tap.ok(False, "a changed body passes")
        except dkim.ValidationError as e:
            tap.contains(str(e), "body hash mismatch")
    sealed = start(mail.sealed, b"ARC-Seal:")
    tap.eq(dkim.arc_verify(sealed, dnsfunc=found)[0], b"pass")
    tap.eq(dkim.arc_verify(sealed.replace(b"Hello", b"Hullo"),
                           dnsfunc=found)[0], b"fail")


def test_rspamd(street, mail):
    """rspamd"""
    with Rspamd(street.dns) as r, \
            Server(filters.attach(r), chain=["rspamd"]) as s:
        check(s, mail, {
            "signed": (250, ["spf=pass", "dkim=pass", "dmarc=pass"],
                       ["=fail", "=permerror"]),
            "elsewhere": (250, ["spf=fail", "dkim=pass", "dmarc=pass"], []),
            "changed": (250, ["spf=pass", "dkim=fail", "dmarc=pass"], []),
            "forged": (250, ["spf=fail", "dkim=fail", "dmarc=fail"],
                       ["=pass"]),
            "bare": (250, ["spf=fail", "dkim=none", "dmarc=fail"],
                     ["=pass"]),
            "sealed": (250, ["dkim=pass", "arc=pass", "dmarc=pass"],
                       ["=fail", "arc=none"]),
            "broken": (250, ["arc=(fail|invalid|reject)", "dkim=fail"],
                       ["arc=pass"]),
        })


filters.need(("opendkim", "opendkim"), ("opendmarc", "opendmarc"),
             ("openssl", "openssl"), ("rspamd", "rspamd"))
with Street() as there:
    tap.run(globals(), there, Mail(there))
tap.done()
