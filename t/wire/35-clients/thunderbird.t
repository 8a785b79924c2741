#!/usr/bin/python3
# test: timeout=300
"""Thunderbird, headless and driven from outside: an account, a sync, flags, a
move, mail that arrives and goes while it idles, a message sent and filed.
Skipped where it is not installed."""
import base64
import os
import shutil
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from marionette import Marionette
from server import PASSWORD, Server, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PREFS = {
    "app.update.enabled": False, "extensions.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False, "app.normandy.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False, "mail.rights.version": 1,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0, "services.settings.server": "data:,",
}
SUBJECTS = ["first", "Grüße", "third", "goes"]


def message(subject):
    return ("From: Ann <ann@elsewhere.test>\r\nTo: bob@example.test\r\n"
            "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nSubject: %s\r\n"
            "Message-ID: <%s@elsewhere.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n.\r\nText: %s\r\n" % (
                subject, subject.encode().hex(), subject)).encode()


def step(t, name, **args):
    with open(os.path.join(HERE, "thunderbird.js")) as f:
        said = t.run(f.read(), name, args)
    tap.ok("error" not in said, said.get("error"))
    return said["value"]


def flags(s, mailbox, uid):
    box = s.imap("bob", mailbox)
    said = box.uid("FETCH", uid, "(FLAGS)")[1][0]
    box.logout()
    return said


def test_begin(s, t):
    """an account over TLS, and all of its INBOX"""
    with open(s.cert) as f:
        certificate = "".join(f.read().split("\n")[1:-2])
    tap.eq(step(t, "begin", user="bob@example.test", password=PASSWORD,
                imaps=s.ports["imaps"], submissions=s.ports["submissions"],
                certificate=certificate), len(SUBJECTS))


def test_read(s, t):
    """every byte of every message"""
    got = step(t, "read")
    tap.eq(sorted(got), sorted(SUBJECTS))
    for subject, data in got.items():
        lines = base64.b64decode(data).splitlines(True)
        tap.eq(b"".join(li for li in lines if not li.startswith(
            b"X-Mozilla-")), message(subject))


def test_flag(s, t):
    """what it marks is marked"""
    step(t, "flag", subject="first")
    wait_for("flags", lambda: b"\\Flagged" in flags(s, "INBOX", "1")
             and b"\\Seen" in flags(s, "INBOX", "1"))


def test_move(s, t):
    """a message moves, whole"""
    step(t, "move", subject="third")
    tap.eq(wait_for("it", lambda: s.messages("bob", "Archive")),
           [message("third")])
    tap.eq(len(s.messages("bob")), len(SUBJECTS) - 1)


def test_idle(s, t):
    """mail comes and goes without being asked for"""
    box = s.imap("bob")
    box.append("INBOX", None, None, message("new"))
    step(t, "arrives", subject="new")
    box.uid("STORE", "4", "+FLAGS", "(\\Deleted)")
    box.expunge()
    box.logout()
    tap.eq(step(t, "vanishes", subject="goes"), len(SUBJECTS) - 1)


def test_send(s, t):
    """a message is sent, filed in Sent, and arrives"""
    path = s.path("outgoing.eml")
    with open(path, "wb") as f:
        f.write(b"From: bob@example.test\r\nTo: alice@example.test\r\n"
                b"Subject: sent\r\nMessage-ID: <sent@example.test>\r\n\r\n"
                b"Hello\r\n.\r\n")
    step(t, "send", path=path)
    got = wait_for("the message", lambda: s.messages("alice"))
    tap.ok(got[0].endswith(b"\r\n\r\nHello\r\n.\r\n"), got)
    filed = wait_for("the copy", lambda: s.messages("bob", "Sent"))
    tap.contains(filed[0], b"Subject: sent\r\n")


if not shutil.which("thunderbird"):
    tap.skip_all("thunderbird is not installed")
with Server() as server:
    box = server.imap("bob")
    for subject in SUBJECTS:
        box.append("INBOX", None, None, message(subject))
    box.logout()
    with Marionette("thunderbird", server.path("profile"), PREFS) as bird:
        tap.run(globals(), server, bird)
tap.done()
