#!/usr/bin/python3
"""What an account may not: be over its quota, be disabled."""
import imaplib
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server

BOB = "bob@example.test"
BODY = b"From: a@elsewhere.test\r\nSubject: x\r\n\r\n" + b"y" * 70 + b"\r\n"


def rcpt(s, size=None):
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@elsewhere.test>"
               + (" SIZE=%d" % size if size else ""))
        code, texts = c.ask("RCPT TO:<%s>" % BOB)
        return code, texts[0].split()[0]


def test_over_quota(s):
    """a full mailbox: 452 4.2.2 at RCPT, and taken again when there is room"""
    s.cli("account", "set", BOB, "--quota", "1000")
    tap.eq(rcpt(s), (250, "2.1.5"))
    tap.eq(rcpt(s, 5000), (452, "4.2.2"), "the size is said at MAIL")
    while rcpt(s)[0] == 250:
        try:
            s.send(BODY)
        except Exception as e:          # the one that does not fit
            tap.contains(str(e), "4.2.2")
            break
    used = [a for a in s.cli_json("account", "list") if a["account"] == BOB]
    tap.ok(500 < used[0]["bytes"] <= 1000, used)
    tap.eq(used[0]["quota"], 1000)
    s.cli("account", "set", BOB, "--quota", "none")
    tap.eq(rcpt(s, 5000), (250, "2.1.5"))


def test_append_over_quota(s):
    """APPEND and COPY over the quota: NO [OVERQUOTA]"""
    s.cli("account", "set", BOB, "--quota", "1000")
    box = s.imap("bob")
    status, text = box.append("INBOX", None, None, b"z: z\r\n\r\n" + b"z" * 2000)
    tap.eq(status, "NO")
    tap.contains(text[0], b"OVERQUOTA")
    box.logout()
    s.cli("account", "set", BOB, "--quota", "none")


def test_disabled(s):
    """a disabled account: 550 5.2.1 at RCPT, no login; and back"""
    s.cli("account", "set", BOB, "--disable")
    tap.eq(rcpt(s), (550, "5.2.1"))
    box = imaplib.IMAP4("127.0.0.1", s.ports["imap"])
    try:
        box.login(BOB, PASSWORD)
        tap.ok(False, "a disabled account logged in")
    except imaplib.IMAP4.error as e:
        tap.contains(str(e), "AUTHENTICATIONFAILED")
    box.logout()
    s.cli("account", "set", BOB, "--enable")
    tap.eq(rcpt(s), (250, "2.1.5"))
    s.imap("bob").logout()


def test_wrong_options(s):
    """options that are none: usage, and nothing changed"""
    for words in (["--quota"], ["--quota", "much"], ["--frob"], []):
        tap.eq(s.cli("account", "set", BOB, *words, check=False).returncode,
               2, words)
    tap.eq(s.cli("account", "set", "no@example.test", "--disable",
                 check=False).returncode, 1)


with Server() as server:
    tap.run(globals(), server)
tap.done()
