#!/usr/bin/python3
# test: timeout=120
"""The pam plugin with real PAM modules and a service file of its own:
pam_exec asks a program that knows the passwords, pam_succeed_if and
pam_deny refuse accounts."""
import imaplib
import os
import smtplib
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server

CHECK = """#!/bin/sh
# the password comes on standard input, with a NUL behind it
pass=$(tr -d '\\000')
case $PAM_USER:$pass in
carol:pam\\ secret|dave:pam\\ secret|erin@whole.test:whole) exit 0;;
esac
exit 1
"""


class House:
    def __enter__(self):
        self.server = Server(start=False).__enter__()
        s = self.server
        self.folder = s.path("pam.d")
        os.mkdir(self.folder)
        check = s.path("check")
        with open(check, "w") as f:
            f.write(CHECK)
        os.chmod(check, 0o755)
        for name, account in (("usual", "required pam_permit.so"),
                              ("closed", "required pam_deny.so")):
            with open(os.path.join(self.folder, name), "w") as f:
                f.write("auth required pam_exec.so quiet expose_authtok %s\n"
                        "account %s\n" % (check, account))
        with open(os.path.join(self.folder, "unknown"), "w") as f:
            f.write("auth required pam_succeed_if.so quiet uid >= 0\n"
                    "account required pam_permit.so\n")
        s.cli("domain", "add", "whole.test")
        s.cli("domain", "add", "closed.test")
        s.cli("domain", "add", "unknown.test")
        for name in ("carol@example.test", "erin@whole.test",
                     "dave@closed.test", "nobody-at-all@unknown.test"):
            s.add_account(name, "another password")
        self.write({"service": "usual", "domain": "example.test"})
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def write(self, settings):
        """Sorts before plugin.sqlite, so it is asked first."""
        s = self.server
        s.extra["plugin.pam"] = dict(settings, module=s.plugin("pam"),
                                     service_dir=self.folder)
        s.write_config()

    def imap(self, login, password):
        box = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        try:
            box.login('"%s"' % login, password)
            return True
        except imaplib.IMAP4.error:
            return False
        finally:
            box.shutdown()

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_right(h):
    """a right password opens the account, with and without the domain"""
    tap.ok(h.imap("carol@example.test", "pam secret"))
    tap.ok(h.imap("Carol@EXAMPLE.test", "pam secret"))
    tap.ok(h.imap("carol", "pam secret"))
    s = smtplib.SMTP_SSL("127.0.0.1", h.server.ports["submissions"],
                         context=h.server.tls)
    s.login("carol", "pam secret")
    s.sendmail("carol@example.test", ["bob@example.test"],
               b"Subject: x\r\n\r\nx\r\n")
    s.quit()


def test_wrong(h):
    """a wrong one does not, nor does the store's, nor an empty one"""
    for password in ("wrong", "another password", "", "pam secret "):
        tap.ok(not h.imap("carol@example.test", password), password)
    tap.ok(not h.imap("nobody@example.test", "pam secret"))


def test_others(h):
    """logins of other domains are left to the store"""
    tap.ok(h.imap("erin@whole.test", "another password"))


def test_whole(h):
    """login = address asks for the whole one"""
    h.write({"service": "usual", "domain": "whole.test", "login": "address"})
    h.server.restart()
    tap.ok(h.imap("erin@whole.test", "whole"))
    tap.ok(not h.imap("erin@whole.test", "another password"))
    tap.ok(h.imap("bob@example.test", PASSWORD))


def test_closed(h):
    """an account that PAM closes is denied"""
    h.write({"service": "closed", "domain": "closed.test"})
    h.server.restart()
    tap.ok(not h.imap("dave@closed.test", "pam secret"))


def test_unknown(h):
    """a user that PAM does not know is left to the store"""
    h.write({"service": "unknown", "domain": "unknown.test"})
    h.server.restart()
    tap.ok(h.imap("nobody-at-all@unknown.test", "another password"))


def test_missing(h):
    """a service that is not there: temporary, and no login"""
    h.write({"service": "nowhere", "domain": "example.test"})
    h.server.restart()
    tap.ok(not h.imap("carol@example.test", "pam secret"))


with House() as house:
    tap.run(globals(), house)
tap.done()
