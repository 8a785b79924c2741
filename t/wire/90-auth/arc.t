#!/usr/bin/python3
# test: timeout=240
"""The plugins arc and arcseal (RFC 8617): chains that are whole, and every way
in which one is not, told by its reason; python3-dkim on the other side."""
import os
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import dkim
import tap
from arcsign import Signer
from house import DnsHouse
from keyfile import make_key
from outsider import connect
from wire import stuff

TEXT = (b"From: Ann <ann@author.test>\r\nTo: bob@example.test\r\n"
        b"Subject: a  subject\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\n"
        b"Message-ID: <1@author.test>\r\n\r\nHello  there \r\n\r\n\r\n")


class House(DnsHouse):
    zone = {"gone._domainkey.list.test TXT": ["v=DKIM1; p="],
            "slow._domainkey.list.test TXT": "SERVFAIL",
            "odd._domainkey.list.test TXT": ["v=DKIM1; p=????"],
            "author.test TXT": ["v=spf1 -all"], "far.test MX": "SERVFAIL",
            "_dmarc.author.test TXT": ["v=DMARC1; p=reject"]}

    def settle(self):
        s = self.server
        self.zone = self.dns.zone
        pem = {}
        for name, bits in (("k", 2048), ("other", 2048), ("least", 1024),
                           ("short", 768)):
            path = s.path(name + ".pem")
            self.zone[name + "._domainkey.list.test TXT"] = [
                "v=DKIM1; k=rsa; p=" + make_key(path, bits=bits)]
            with open(path, "rb") as f:
                pem[name] = f.read()
        key = self.zone["k._domainkey.list.test TXT"][0]
        self.zone["mail._domainkey.list.test TXT"] = [key + "; s=email"]
        self.zone["web._domainkey.list.test TXT"] = [key + "; s=web"]
        self.zone["sha1._domainkey.list.test TXT"] = [key + "; h=sha1"]
        self.zone["bare._domainkey.list.test TXT"] = [key[len("v=DKIM1; "):]]
        self.pem = pem
        self.signer = Signer(pem["k"], "list.test", "k")
        folder = s.path("keys/example.test")
        os.makedirs(folder)
        for kind in ("rsa", "ed25519"):
            p = make_key(os.path.join(folder, kind + ".pem"), kind)
            self.zone["%s._domainkey.example.test TXT" % kind] = [
                "v=DKIM1; k=%s; p=%s" % (kind, p)]
        os.symlink("rsa.pem", folder + "/rsa")
        self.start()

    def start(self, arc=None, seal=None):
        self.configure(
            {"inbound": ["spf", "dkim", "arc", "dmarc", "arcseal"],
             "submission": []}, spf={"reject": "never"}, dkim={},
            arc=arc or {}, dmarc={}, arcseal=dict(
                {"keys": self.server.path("keys"), "domain": "example.test",
                 "when": "always"}, **(seal or {})))

    def give(self, message, rcpt="bob@example.test", code=250):
        with connect(self.server, "192.0.2.1") as c:
            c.must(250, "MAIL FROM:<>")
            c.must(250, "RCPT TO:<%s>" % rcpt)
            c.must(354, "DATA")
            c.send(stuff(message))
            got = c.reply()
            tap.eq(got[0], code, got)

    def taken(self, message):
        self.server.empty("bob")
        self.give(message)
        return self.server.newest("bob")

    def judge(self, message):
        """Our result of ARC as text: "pass header.oldest-pass=0 ..."."""
        got = re.search(rb"\r\n\tarc=((?:[^;\r]|\r\n[ \t](?!\w+=))*)",
                        self.taken(message.replace(
                            b"author.test", b"elsewhere.test")
                            if b"ARC-Seal" not in message else message))
        return got.group(1).decode()

    def lookup(self, name, timeout=5):
        return self.zone.get(name.decode().rstrip(".") + " TXT",
                             [""])[0].encode()


LEAVE = TEXT.replace(b"author.test", b"elsewhere.test")


def chain(h, n, **last):
    """LEAVE with n sets; last: how the last one differs."""
    message, sets = LEAVE, ()
    for i in range(n):
        message, sets = h.signer.add(message, sets, **(
            last if i == n - 1 else {}))
    return message


def test_whole(h):
    """none; one, two, three, fifty sets pass"""
    tap.ok(h.judge(LEAVE).startswith("none"), h.judge(LEAVE))
    for n in (1, 2, 3, 50):
        got = h.judge(chain(h, n))
        tap.ok(got.startswith("pass header.oldest-pass=0 "
                              "smtp.remote-ip=192.0.2.1"), "%d: %s" % (n, got))


def test_keys(h):
    """records: with s=, without v=, the least key; and those that fail"""
    for selector in ("mail", "bare"):
        s = Signer(h.pem["k"], "list.test", selector)
        tap.ok(h.judge(s.add(LEAVE)[0]).startswith("pass"), selector)
    s = Signer(h.pem["least"], "list.test", "least")
    tap.ok(h.judge(s.add(LEAVE)[0]).startswith("pass"))
    for selector, key, want in (
            ("short", "short", "too short"), ("gone", "k", "withdrawn"),
            ("odd", "k", "cannot be read"), ("none", "k", "not in DNS"),
            ("web", "k", "for something else"),
            ("sha1", "k", "for something else"),
            ("other", "k", "does not fit")):
        got = h.judge(Signer(h.pem[key], "list.test", selector).add(LEAVE)[0])
        tap.ok(got.startswith("fail (i=1: ") and want in got,
               "%s: %s" % (selector, got))
    got = h.judge(Signer(h.pem["k"], "list.test", "slow").add(LEAVE)[0])
    tap.ok(got.startswith("temperror (i=1: DNS does not answer"), got)


# What is changed before it is signed; a piece of the reason, or None: passes.
TAGS = [
    ("ams", {"a": "rsa-sha1"}, "no algorithm"),
    ("ams", {"a": None}, "no algorithm"), ("ams", {"a": ""}, "no algorithm"),
    ("ams", {"b": ""}, "no signature"), ("ams", {"b": None}, "no signature"),
    ("ams", {"b": "a*b="}, "no signature"),
    ("ams", {"bh": None}, "no hash"), ("ams", {"bh": ""}, "no hash"),
    ("ams", {"bh": "AAAA"}, "no hash"),
    ("ams", {"bh": "A" * 43 + "="}, "body was changed"),
    ("ams", {"c": "relaxed/other"}, "no form"), ("ams", {"c": ""}, "no form"),
    ("ams", {"d": None}, "no name"), ("ams", {"d": ""}, "no name"),
    ("ams", {"d": "nowhere.test"}, "not in DNS"),
    ("ams", {"s": None}, "no name"), ("ams", {"s": ""}, "no name"),
    ("ams", {"h": None}, "h= does not say"), ("ams", {"h": ""}, "h= does not"),
    ("ams", {"h": "from:ARC-Seal:to"}, "names a seal"),
    ("ams", {"h": "from::to"}, "no list of fields"),
    ("ams", {"h": "from : to"}, None), ("ams", {"h": "from:from:from"}, None),
    ("ams", {"h": "FROM:x-not-there:Date"}, None),
    ("ams", {"i": None}, "no number"), ("ams", {"i": ""}, "no number"),
    ("ams", {"i": "0"}, "no number"), ("ams", {"i": "51"}, "no number"),
    ("ams", {"i": "x"}, "no number"), ("ams", {"i": "-1"}, "no number"),
    ("ams", {"i": "2"}, "missing"),
    ("ams", {"l": "3"}, "leaves a part"), ("ams", {"l": "13"}, None),
    ("ams", {"l": "14"}, "leaves a part"), ("ams", {"l": ""}, "leaves a part"),
    ("ams", {"t": None}, None), ("ams", {"t": "soon"}, None),
    ("ams", {"unknown": "1"}, None), ("ams", {"x": "1"}, None),
    ("ams", {"i ": "1"}, "no list of tags"), ("ams", {"1": "1"}, "no list"),
    ("seal", {"a": "rsa-sha1"}, "no algorithm"),
    ("seal", {"a": None}, "no algorithm"),
    ("seal", {"b": ""}, "no signature"), ("seal", {"b": None}, "no signature"),
    ("seal", {"cv": None}, "cv="), ("seal", {"cv": ""}, "cv="),
    ("seal", {"cv": "pass"}, "cv="), ("seal", {"cv": "other"}, "cv="),
    ("seal", {"cv": "NONE"}, None),
    ("seal", {"cv": "fail"}, "a server before has found it broken"),
    ("seal", {"d": None}, "no name"), ("seal", {"d": ""}, "no name"),
    ("seal", {"d": "nowhere.test"}, "not in DNS"),
    ("seal", {"s": None}, "no name"), ("seal", {"s": "other"}, "not fit"),
    ("seal", {"h": "from"}, "has h="), ("seal", {"i": None}, "no number"),
    ("seal", {"i": "0"}, "no number"), ("seal", {"i": "2"}, "missing"),
    ("seal", {"t": None}, None), ("seal", {"unknown": "x"}, None),
    ("seal", {"bh": "x"}, None),
]


def test_tags(h):
    """each tag of signature and seal: missing, empty, wrong, unknown"""
    for which, change, want in TAGS:
        for n in (1, 2):
            changed = dict(change)
            if n == 2:
                if change.get("i") in ("2", "51"):
                    continue
                if change == {"cv": "pass"}:
                    changed, want = {"cv": "none"}, "cv="
                elif change == {"cv": "NONE"}:
                    changed = {"cv": "PASS"}
            got = h.judge(chain(h, n, **{which: changed}))
            good = got.startswith("pass") if want is None else \
                got.startswith("fail") and want in got
            tap.ok(good, "%s %s, %d sets: %s" % (which, changed, n, got))


def edit(pattern, to, count=1):
    return lambda m: re.sub(pattern, to, m, count=count)


def drop(name, instance):
    return edit(rb"(?m)^%s: i=%d(?:[^\r]|\r\n[ \t])*\r\n" % (name, instance),
                b"")


def twice(name, instance):
    return edit(rb"(?m)^(%s: i=%d(?:[^\r]|\r\n[ \t])*\r\n)" % (name, instance),
                rb"\1\1")


EDITS = [
    (edit(rb"Hello", b"hello"), "i=3: the body was changed"),
    (edit(rb"Subject: a", b"Subject: b"), "i=3: its signature does not fit"),
    (edit(rb"Subject: a  ", b"Subject:    a "), None),
    (edit(rb"Hello  there ", b"Hello there"), None),
    (lambda m: m + b"\r\n\r\n", None),
    (lambda m: m + b"more\r\n", "i=3: the body was changed"),
    (lambda m: b"Received: by x\r\n" + m, None),
    (lambda m: m.replace(b"Message-ID", b"X-New: y\r\nMessage-ID"), None),
    (edit(rb"i=1; list.test; spf=pass", b"i=1; list.test; spf=fail"),
     "i=3: its signature does not fit"),
    (edit(rb"i=3; list.test; spf=pass", b"i=3; list.test; spf=fail"),
     "i=3: its signature does not fit"),
    (drop(b"ARC-Seal", 1), "missing"), (drop(b"ARC-Seal", 2), "missing"),
    (drop(b"ARC-Seal", 3), "missing"),
    (drop(b"ARC-Message-Signature", 2), "missing"),
    (drop(b"ARC-Authentication-Results", 1), "missing"),
    (twice(b"ARC-Seal", 3), "twice"), (twice(b"ARC-Seal", 1), "twice"),
    (twice(b"ARC-Message-Signature", 2), "twice"),
    (twice(b"ARC-Authentication-Results", 2), "twice"),
    (edit(rb"cv=none", b"cv=pass"), "cv="),
    (edit(rb"ARC-Authentication-Results: i=3;",
          b"ARC-Authentication-Results: "), "no number"),
    (edit(rb"ARC-Authentication-Results: i=3;",
          b"ARC-Authentication-Results: i=4;"), "missing"),
    (edit(rb"ARC-Authentication-Results: i=3;",
          b"ARC-Authentication-Results: i=3"), "no number"),
    (edit(rb"ARC-Seal: i=3;", b"arc-seal:\r\n i = 3 ;"),
     "i=3: its signature does not fit"),
    (edit(rb"ARC-Seal: i=3;", b"ARC-Seal:   i=3;"), None),
    (edit(rb"ARC-Seal: i=3;", b"ARC-SEAL: i=3;"), None),
    (edit(rb"ARC-Seal: i=3;", b"ARC-Seal: i=3; i=3;"), "no list of tags"),
    (edit(rb"ARC-Seal: i=3;", b"ARC-Seal: i=3;;"), "no list of tags"),
    (edit(rb"ARC-Seal: i=3; a=", b"ARC-Seal: i=3; A=x; a="), "not fit"),
    (edit(rb"ARC-Message-Signature: i=3;", b"ARC-Message-Signature: i=3; " +
          b"x=1; " * 40), "no list of tags"),
]


def test_edits(h):
    """what is done to a whole chain of three on the way"""
    whole = chain(h, 3)
    for number, (change, want) in enumerate(EDITS):
        got = h.judge(change(whole))
        good = got.startswith("pass") if want is None else \
            got.startswith("fail") and want in got
        tap.ok(good, "%d %s: %s" % (number, want, got))


def test_oldest_pass(h):
    """how far back the message is unchanged"""
    message, sets = h.signer.add(LEAVE)
    message = message.replace(b"Hello", b"[list] Hello")
    message, sets = h.signer.add(message, sets)
    message, sets = h.signer.add(message, sets)
    got = h.judge(message)
    tap.ok(got.startswith("pass header.oldest-pass=2"), got)


def test_too_many(h):
    """a chain of 50 gets no more seals, of 51 fails"""
    whole = chain(h, 50)
    got = h.taken(whole)
    tap.eq(got.count(b"ARC-Seal:"), 50)
    more = h.signer.add(whole)[0].replace(b"i=1;", b"i=51;", 3)
    got = h.judge(more)
    tap.ok(got.startswith("fail (an instance that"), got)


def test_python_sealed(h):
    """what python3-dkim seals passes here, and the other way round"""
    message = (b"Authentication-Results: list.test; spf=pass\r\n" + LEAVE)
    for n in (1, 2):
        sets = dkim.arc_sign(message, b"k", b"list.test", h.pem["k"],
                             b"list.test", include_headers=[
                                 b"from", b"to", b"subject", b"date"])
        message = b"".join(s.replace(b"\r\n", b"\r\n").rstrip(b"\r\n") +
                           b"\r\n" for s in sets) + message
        if n == 1:      # the next one asks for the result of the last
            message = (b"Authentication-Results: list.test; arc=pass\r\n" +
                       message)
        tap.ok(h.judge(message).startswith("pass"), h.judge(message))


def verify(h, got):
    cv, results, reason = dkim.arc_verify(got, dnsfunc=h.lookup)
    return cv, reason


def test_seals(h):
    """our seal on mail without any, on a chain, and on that once more"""
    got = h.taken(LEAVE)
    tap.eq(verify(h, got)[0], b"pass", verify(h, got))
    tap.contains(got, b"ARC-Authentication-Results: i=1; mail.example.test;")
    tap.contains(got, b"arc=none")
    for n in (1, 2):
        got = h.taken(chain(h, n))
        tap.eq(verify(h, got)[0], b"pass", verify(h, got))
        tap.contains(got, b"ARC-Seal: i=%d; a=rsa-sha256;" % (n + 1))
    again = got[got.index(b"ARC-Seal: i=3"):]
    again = re.sub(rb"(?m)^(Authentication-Results|Received|Return-Path|"
                   rb"Delivered-To): (?:[^\r]|\r\n[ \t])*\r\n", b"", again)
    tap.ok(h.judge(again).startswith("pass header.oldest-pass=0"),
           h.judge(again))


def test_seals_broken(h):
    """a broken chain is called so once, over our own set, and then left"""
    broken = chain(h, 2).replace(b"Hello", b"hello")
    got = h.taken(broken)
    tap.contains(got, b"ARC-Seal: i=3;")
    seal = re.search(rb"ARC-Seal: i=3;(?:[^\r]|\r\n[ \t])*", got).group(0)
    tap.contains(seal, b"cv=fail")
    again = got[got.index(b"ARC-Seal: i=3"):]
    got = h.taken(again)
    tap.eq(got.count(b"ARC-Seal:"), 3)
    got = h.taken(Signer(h.pem["k"], "list.test", "slow").add(LEAVE)[0])
    tap.eq(got.count(b"ARC-Seal:"), 1)


def test_ed25519(h):
    """a domain with an Ed25519 key only seals with that, and it passes"""
    folder = h.server.path("keys/example.test")
    os.rename(folder + "/rsa", folder + "/kept")
    os.symlink("ed25519.pem", folder + "/ed25519")
    got = h.taken(LEAVE)
    os.rename(folder + "/kept", folder + "/rsa")
    os.unlink(folder + "/ed25519")
    tap.contains(got, b"ARC-Seal: i=1; a=ed25519-sha256;")
    again = got[got.index(b"ARC-Seal: i=1"):]
    tap.ok(h.judge(again).startswith("pass"), h.judge(again))


def test_trusted(h):
    """dmarc believes a chain of trusted sealers that saw a pass, no other"""
    own = TEXT
    passed, sets = h.signer.add(own, results="spf=fail (x; dmarc=pass); "
                                "dmarc=pass header.from=author.test")
    failed = h.signer.add(own, results="dmarc=fail; x=\"; dmarc=pass \"")[0]
    h.give(passed, code=550)
    h.start(arc={"trusted": ["list.test"]})
    got = h.taken(passed)
    tap.contains(got, b"policy.dmarc=pass")
    tap.contains(got, b"dmarc=fail (arc: a forwarder that is trusted")
    h.give(failed, code=550)
    h.give(passed.replace(b"Hello", b"hello"), code=550)
    h.start(arc={"trusted": ["ist.test", "other.test"]})
    h.give(passed, code=550)


def test_forwarded_only(h):
    """by default only what goes elsewhere is sealed"""
    h.start(seal={"when": "forwarded"})
    tap.ok(b"ARC-Seal" not in h.taken(LEAVE))
    h.server.cli("alias", "add", "out@example.test", "x@far.test")
    h.give(LEAVE, rcpt="out@example.test")
    item = h.server.cli_json("queue", "list")[0]
    shown = h.server.cli("queue", "show", str(item["id"])).stdout
    tap.contains(shown, "ARC-Seal: i=1;")


with House() as house:
    tap.run(globals(), house)
tap.done()
