#!/usr/bin/python3
"""What EHLO offers beside RFC 5321: arguments of MAIL and RCPT, read strictly
and kept for the queue; SMTPUTF8 with IDNA domains; LMTP; PRDR."""
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import LISTENERS, Server, wait_for

LMTP = {"lmtp": ("lmtp", "starttls")}
CONFIG = {"limits": {"errors": 100}}
TEXT = b"Subject: e\r\n\r\nbody\r\n"

# argument of MAIL, code, what the queue keeps of it
MAIL = [
    ("BODY=8BITMIME", 250, "BODY=8BITMIME"), ("BODY=7BIT", 250, ""),
    ("BODY=9BIT", 501, ""), ("BODY", 501, ""),
    ("SMTPUTF8", 250, "SMTPUTF8"), ("SMTPUTF8=1", 501, ""),
    ("SMTPUTF8=", 501, ""),
    ("RET=HDRS", 250, "RET=HDRS"), ("RET=full", 250, "RET=FULL"),
    ("RET=SOME", 501, ""), ("RET=FULL RET=FULL", 501, ""),
    ("ENVID=a+20b", 250, "ENVID=a+20b"), ("ENVID=a+2", 501, ""),
    ("ENVID=", 501, ""), ("ENVID=" + "x" * 101, 501, ""),
    ("MT-PRIORITY=-9", 250, "MT-PRIORITY=-9"),
    ("MT-PRIORITY=10", 501, ""), ("MT-PRIORITY=x", 501, ""),
    ("BY=120;R", 250, "BY=120;R"), ("BY=-5;N", 250, "BY=-5;N"),
    ("BY=0;R", 501, ""), ("BY=5", 501, ""), ("BY=;R", 501, ""),
    ("BY=9999999999;N", 501, ""), ("BY=60;X", 501, ""),
    ("AUTH=<>", 250, ""), ("AUTH=a+40b.test", 250, ""), ("AUTH=+", 501, ""),
    ("PRDR", 250, ""), ("PRDR=1", 501, ""), ("REQUIRETLS", 555, ""),
    ("HOLDFOR=10", 555, ""), ("FROB", 555, ""),
    ("BODY=8BITMIME RET=HDRS ENVID=q BY=60;RT", 250,
     "BODY=8BITMIME RET=HDRS ENVID=q BY=60;RT"),
]
RCPT = [
    ("NOTIFY=NEVER", 250, "NOTIFY=NEVER"),
    ("NOTIFY=success,FAILURE", 250, "NOTIFY=success,FAILURE"),
    ("NOTIFY=NEVER,DELAY", 501, ""), ("NOTIFY=", 501, ""),
    ("NOTIFY=DELAY,DELAY", 501, ""), ("NOTIFY=DELAY,", 501, ""),
    ("NOTIFY=PERHAPS", 501, ""),
    ("ORCPT=rfc822;a+2Bb@c.test", 250, "ORCPT=rfc822;a+2Bb@c.test"),
    ("ORCPT=utf-8;j\u00f6rg@c.test", 250, "ORCPT=utf-8;j\u00f6rg@c.test"),
    ("ORCPT=rfc822", 501, ""), ("ORCPT=;x", 501, ""),
    ("ORCPT=rfc822;j\u00f6rg@c.test", 501, ""), ("ORCPT=rf c;x", 501, ""),
    ("ORCPT=rfc822;" + "x" * 501, 501, ""), ("SIZE=5", 555, ""),
]


def kept(s, mail="", rcpt="", name="submission", sender="alice@example.test",
         to="x@nowhere.invalid"):
    """What the queue has of a message that is sent so."""
    s.drop_queue()
    m = s.submission()
    m.ehlo("client.test")
    tap.eq(m.docmd("MAIL FROM:<%s> %s" % (sender, mail))[0], 250)
    tap.eq(m.docmd(("RCPT TO:<%s> %s" % (to, rcpt)).strip())[0], 250)
    tap.eq(m.data(TEXT)[0], 250)
    m.quit()
    wait_for("the queue", s.queue)
    return s.queue()[0]


def test_offer(s):
    """EHLO names them; some only under TLS or for submission"""
    with s.line() as c:
        words = [o.split()[0] for o in c.ask("EHLO client.test")[1][1:]]
        for word in ("SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN",
                     "DELIVERBY", "MT-PRIORITY", "PRDR", "LIMITS"):
            tap.contains(words, word)
        for word in ("REQUIRETLS", "FUTURERELEASE", "AUTH"):
            tap.eq(word in words, False, word)
        c.must(220, "STARTTLS")
        c.start_tls(s.tls)
        tap.contains(c.ask("EHLO client.test")[1], "REQUIRETLS")
        c.must(250, "MAIL FROM:<a@b.test> REQUIRETLS")
    with s.line("submissions") as c:
        offer = [o for o in c.ask("EHLO client.test")[1]
                 if o.startswith("FUTURERELEASE")]
        tap.eq(offer[0].split()[1], str(30 * 86400))


def strict(s, word, code, _, verb):
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>" + (" " + word if verb == "MAIL"
                                              else "")) if code == 250 or \
            verb == "RCPT" else tap.eq(c.cmd("MAIL FROM:<a@b.test> " + word),
                                       code)
        if verb == "RCPT":
            tap.eq(c.cmd("RCPT TO:<bob@example.test> " + word), code)


def test_mail_arguments(s):
    """MAIL: each argument is read strictly, and kept for the queue"""
    for word, code, want in MAIL:
        strict(s, word, code, want, "MAIL")
        if code == 250 and "SMTPUTF8" not in word:
            tap.eq(kept(s, mail=word)["arguments"], want, word)


def test_rcpt_arguments(s):
    """RCPT: the same"""
    for word, code, want in RCPT:
        strict(s, word, code, want, "RCPT")
    tap.eq(kept(s, "RET=HDRS", "NOTIFY=DELAY ORCPT=rfc822;q@r.test")
           ["arguments"], "RET=HDRS NOTIFY=DELAY ORCPT=rfc822;q@r.test")


def test_helo_has_none(s):
    """after HELO no argument is taken"""
    with s.line() as c:
        c.must(250, "HELO client.test")
        tap.eq(c.cmd("MAIL FROM:<a@b.test> SIZE=100"), 555)


def test_priority(s):
    """strangers get no more than others: 250 2.3.6 says so"""
    with s.line(ehlo="client.test") as c:
        code, texts = c.ask("MAIL FROM:<a@b.test> MT-PRIORITY=5")
        tap.eq((code, texts[0][:5]), (250, "2.3.6"))
    tap.eq(kept(s, "MT-PRIORITY=5")["arguments"], "MT-PRIORITY=5")


def test_hold(s):
    """HOLDFOR, HOLDUNTIL: it goes out then, also to accounts here"""
    now = time.time() * 1000
    for word in ("HOLDFOR=3600", time.strftime(
            "HOLDUNTIL=%Y-%m-%dT%H:%M:%SZ", time.gmtime(now / 1000 + 3600))):
        until = kept(s, word)["next_ms"]
        tap.ok(abs(until - now - 3600e3) < 60e3, until)
    s.empty("bob")
    until = kept(s, "HOLDFOR=2", to="bob@example.test")["next_ms"]
    tap.eq(s.messages("bob"), [])
    wait_for("its time", lambda: s.messages("bob"))
    tap.ok(time.time() * 1000 >= until, "too early")
    m = s.submission()
    m.ehlo("client.test")
    for word in ("HOLDFOR=x", "HOLDFOR=99999999", "HOLDFOR=1 HOLDUNTIL="
                 "2026-12-01T00:00:00Z", "HOLDUNTIL=2026-13-01T00:00:00Z",
                 "HOLDUNTIL=tomorrow", "HOLDUNTIL=2026-12-01T00:00:00",
                 "HOLDUNTIL=2999-01-01T00:00:00Z"):
        tap.eq(m.docmd("MAIL FROM:<alice@example.test> " + word)[0], 501,
               word)
    tap.eq(m.docmd("MAIL FROM:<alice@example.test> HOLDUNTIL="
                   "2001-01-01T00:00:00+01:00")[0], 250)
    m.quit()


def test_utf8(s):
    """addresses beyond ASCII need SMTPUTF8; U-labels and A-labels are one"""
    s.cli("domain", "add", "b\u00fccher.example.test")
    s.cli("alias", "add", "j\u00f6rg@b\u00fccher.example.test",
          "bob@example.test")
    s.empty("bob")
    with s.line(ehlo="client.test") as c:
        tap.eq(c.ask("MAIL FROM:<\u00e4@b.test>")[1][0][:5], "5.6.7")
        c.must(250, "MAIL FROM:<a@b.test>")
        tap.eq(c.ask("RCPT TO:<j\u00f6rg@b\u00fccher.example.test>")[1][0][:5],
               "5.6.7")
        c.must(250, "RSET")
        c.must(250, "MAIL FROM:<\u00e4@\u00f6.test> SMTPUTF8")
        for domain in ("b\u00fccher.example.test",
                       "xn--bcher-kva.example.test", "B\u00dcCHER.example.TEST"):
            c.must(250, "RCPT TO:<j\u00f6rg@%s>" % domain)
        tap.eq(c.cmd(b"RCPT TO:<j\xf6rg@b.test>"), 501)
        c.must(354, "DATA")
        c.send(TEXT + b".\r\n")
        tap.eq(c.reply()[0], 250)
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(TEXT + b".\r\n")
        tap.eq(c.reply()[0], 250)
    got = s.messages("bob")
    tap.eq(len(got), 2)
    tap.contains(got[0], b" with UTF8SMTP id ")
    tap.contains(got[0], "Return-Path: <\u00e4@\u00f6.test>".encode())
    tap.contains(s.newest("bob"), b" with ESMTP id ")


def lmtp(s, rcpts, text=TEXT, expect=()):
    with s.line("lmtp") as c:
        c.must(220)
        tap.eq(c.cmd("EHLO client.test"), 500)
        c.must(250, "LHLO client.test")
        c.must(250, "MAIL FROM:<a@b.test>")
        for r, code in rcpts:
            tap.eq(c.cmd("RCPT TO:<%s>" % r), code)
        c.must(354, "DATA")
        c.send(text + b".\r\n")
        tap.eq([c.reply()[0] for _ in expect], list(expect))
        c.must(221, "QUIT")


def test_lmtp(s):
    """LMTP: LHLO, and one answer for each recipient that was taken"""
    for name in "alice", "bob":
        s.empty(name)
    lmtp(s, [("alice@example.test", 250), ("nobody@example.test", 550),
             ("bob@example.test", 250)], expect=(250, 250))
    tap.eq([len(s.messages(n)) for n in ("alice", "bob")], [1, 1])
    tap.contains(s.newest("bob"), b" with LMTP id ")
    lmtp(s, [("alice@example.test", 250), ("bob@example.test", 250)],
         text=b"Subject: bare\n\r\nx\r\n", expect=(550, 550))
    with s.line(ehlo="client.test") as c:
        tap.eq(c.cmd("LHLO client.test"), 500)
    with s.line("lmtp") as c:
        c.must(220)
        c.must(250, "LHLO client.test")
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<alice@example.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.send(b"BDAT 14\r\nSubject: x\r\n\r\nBDAT 3 LAST\r\nx\r\n")
        tap.eq([c.reply()[0] for _ in range(3)], [250, 250, 250])


def test_full_mailbox(s):
    """a full mailbox is one recipient's matter under LMTP and PRDR"""
    s.cli("account", "set", "bob@example.test", "--quota", "10 KB")
    big = b"Subject: b\r\n\r\n" + b"x" * 70 + b"\r\n"
    big += (b"y" * 70 + b"\r\n") * 200
    for name in "alice", "bob":
        s.empty(name)
    lmtp(s, [("alice@example.test", 250), ("bob@example.test", 250)],
         text=big, expect=(250, 452))
    tap.eq([len(s.messages(n)) for n in ("alice", "bob")], [1, 0])
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@b.test> PRDR")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(250, "RCPT TO:<alice@example.test>")
        c.must(354, "DATA")
        c.send(big + b".\r\n")
        tap.eq([c.reply()[0] for _ in range(4)], [353, 452, 250, 250])
        c.must(250, "MAIL FROM:<a@b.test> PRDR")
        c.must(250, "RCPT TO:<alice@example.test>")
        c.must(354, "DATA")
        c.send(big + b".\r\n")
        tap.eq(c.reply()[0], 250, "one recipient: no PRDR")
    tap.eq([len(s.messages(n)) for n in ("alice", "bob")], [3, 0])
    s.cli("account", "set", "bob@example.test", "--quota", "none")


with Server(CONFIG, listeners={**LISTENERS, **LMTP}) as server:
    tap.run(globals(), server)
tap.done()
