#!/usr/bin/python3
"""Who may send what: AUTH, TLS, no open relay, senders of a login."""
import base64
import socket
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line


def plain(login, password, who=""):
    return base64.b64encode(("%s\0%s\0%s" % (who, login, password)).encode()
                            ).decode()


GOOD = plain("alice@example.test", PASSWORD)
MESSAGE = b"From: alice@example.test\r\nSubject: s\r\n\r\nx\r\n"


def login(s, name="submissions"):
    c = s.line(name, "client.test")
    c.must(235, "AUTH PLAIN " + GOOD)
    return c


# address forms that lead elsewhere; none may be taken without login
FOREIGN = [
    "<x@other.test>", "<@example.test:x@other.test>", "<x%other.test@[127.0.0.1]>",
    "<x@other.test@example.test>", "<\"x@other.test\">", "<x!y@other.test>",
    "<x@[192.0.2.1]>", "<other.test!x>", "<x@sub.example.test>",
    "<x@example.test.other.test>", "<x@xexample.test>",
]


def test_no_relay(s):
    """strangers cannot send elsewhere, whatever the address looks like"""
    for rcpt in FOREIGN:
        for sender in ("a@elsewhere.test", "alice@example.test", ""):
            with s.line(ehlo="client.test") as c:
                c.must(250, "MAIL FROM:<%s>" % sender)
                code, texts = c.ask("RCPT TO:" + rcpt)
                tap.ok(500 <= code < 560, "%s: %d %s" % (rcpt, code, texts))
    tap.eq(s.queue(), [])


def test_submission_needs_login(s):
    """the submission port takes no mail without login"""
    with s.line("submissions", "client.test") as c:
        tap.eq(c.cmd("MAIL FROM:<alice@example.test>"), 530)


def test_offers(s):
    """AUTH is offered under TLS and on loopback in the clear"""
    for port in ("submission", "submissions"):
        with s.line(port) as c:
            words = c.ask("EHLO x.test")[1]
            tap.eq([w.endswith(" PLAIN LOGIN") for w in words
                    if w.startswith("AUTH ")], [True], port)


def test_plain(s):
    """AUTH PLAIN, with and without an initial response"""
    with login(s) as c:
        tap.eq(c.cmd("AUTH PLAIN " + GOOD), 503, "second AUTH")
    with s.line("submissions", "client.test") as c:
        tap.eq(c.ask("AUTH PLAIN"), (334, [""]))
        c.must(235, GOOD)


def test_login(s):
    """AUTH LOGIN"""
    def b64(text):
        return base64.b64encode(text.encode()).decode()
    with s.line("submissions", "client.test") as c:
        tap.eq(c.ask("AUTH LOGIN"), (334, [b64("Username:")]))
        tap.eq(c.ask(b64("alice@example.test")), (334, [b64("Password:")]))
        c.must(235, b64(PASSWORD))


def test_bad_auth(s):
    """wrong password, unknown user, another's identity, bad base64, cancel"""
    for what, code in (
            (plain("alice@example.test", "wrong"), 535),
            (plain("nobody@example.test", PASSWORD), 535),
            (plain("alice@example.test", ""), 535),
            (plain("", ""), 501),
            (plain("alice@example.test", PASSWORD, "bob@example.test"), 535),
            ("*bad*", 501)):
        with s.line("submissions", "client.test") as c:
            tap.eq(c.cmd("AUTH PLAIN " + what), code, what)
            tap.eq(c.cmd("MAIL FROM:<alice@example.test>"), 530)
    with s.line("submissions", "client.test") as c:
        tap.eq(c.cmd("AUTH PLAIN"), 334)
        tap.eq(c.cmd("*"), 501)
        tap.eq(c.cmd("AUTH FROBNICATE"), 504)


def test_password_not_logged(s):
    """neither password nor its base64 is in the log"""
    with s.line("submissions", "client.test") as c:
        c.cmd("AUTH PLAIN " + plain("alice@example.test", "hunter2secret"))
        c.cmd("AUTH PLAIN " + GOOD)
    with open(s.log, "rb") as f:
        log = f.read()
    for secret in (b"hunter2secret", PASSWORD.encode(), GOOD.encode(),
                   base64.b64encode(b"hunter2secret")):
        tap.ok(secret not in log, "a secret is in the log")


def test_tries(s):
    """wrong passwords end the session"""
    with s.line("submissions", "client.test") as c:
        codes = []
        for _ in range(12):
            codes.append(c.cmd("AUTH PLAIN "
                               + plain("alice@example.test", "wrong")))
            if codes[-1] == 421:
                break
        tap.eq(codes[-1], 421, codes)


def test_sender(s):
    """the sender must belong to the login"""
    with login(s) as c:
        code, texts = c.ask("MAIL FROM:<bob@example.test>")
        tap.eq(code, 553, texts)
        tap.eq(c.cmd("MAIL FROM:<x@other.test>"), 553)
        c.must(250, "MAIL FROM:<alice@example.test>")
        c.must(250, "RSET")
        c.must(250, "MAIL FROM:<alice+shop@example.test>")


def test_alias_sender(s):
    """an alias of the account is its sender too"""
    s.cli("alias", "add", "sales@example.test", "alice@example.test")
    with login(s) as c:
        c.must(250, "MAIL FROM:<sales@example.test>")


def test_starttls_injection(s):
    """what was pipelined before TLS is thrown away"""
    with s.line("submission", "client.test") as c:
        c.send(b"STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\n")
        tap.eq(c.reply()[0], 220)
        c.start_tls(s.tls)
        c.must(250, "EHLO good.test")
        c.must(235, "AUTH PLAIN " + GOOD)
        c.must(250, "MAIL FROM:<alice@example.test>")


def test_starttls_forgets(s):
    """after STARTTLS the client begins anew: EHLO first"""
    with s.line("submission", "client.test") as c:
        c.must(220, "STARTTLS")
        c.start_tls(s.tls)
        tap.eq(c.cmd("AUTH PLAIN " + GOOD), 503)
        c.must(250, "EHLO client.test")
        tap.eq(c.cmd("STARTTLS"), 503)


def test_no_tls_garbage(s):
    """garbage instead of a handshake ends that connection only"""
    with socket.create_connection(("127.0.0.1", s.ports["submissions"])) as k:
        k.sendall(b"EHLO client.test\r\n" * 10)
        k.settimeout(10)
        try:
            while k.recv(4096):
                pass
        except ConnectionResetError:
            pass
    with login(s):
        pass


def test_aliases(s):
    """aliases, catch-all and user+tag"""
    s.cli("domain", "add", "second.test")
    s.cli("alias", "add", "@second.test", "bob@example.test")
    s.cli("alias", "add", "team@example.test", "alice@example.test")
    s.cli("alias", "add", "team@example.test", "bob@example.test")
    s.empty("bob")
    s.empty("alice")
    s.send(MESSAGE, ["anything@second.test"])
    s.send(MESSAGE, ["team@example.test"])
    s.send(MESSAGE, ["bob+tag@example.test"])
    tap.eq(len(s.messages("bob")), 3)
    tap.eq(len(s.messages("alice")), 1)


def test_duplicate_targets(s):
    """one copy for a mailbox that several recipients lead to"""
    s.empty("bob")
    s.send(MESSAGE, ["bob", "bob+x@example.test", "bob"])
    tap.eq(len(s.messages("bob")), 1)


def test_received(s):
    """Received tells protocol, TLS and login rightly"""
    with login(s) as c:
        c.must(250, "MAIL FROM:<alice@example.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(MESSAGE + b".\r\n")
        c.must(250)
    field = s.newest("bob").split(b"\r\nFrom:")[0].replace(b"\r\n", b"")
    tap.contains(field, b"ESMTPSA")
    tap.contains(field, b"for <bob@example.test>")
    s.send(MESSAGE)
    tap.contains(s.newest("bob").split(b"\r\nFrom:")[0], b"with ESMTP")


def test_send_limit():
    """an account sends to so many recipients an hour, and no more"""
    with Server({"limits": {"recipients_per_hour": 3}}) as s:
        m = s.submission()
        for n in range(3):
            m.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
        m.mail("alice@example.test")
        code, text = m.rcpt("bob@example.test")
        tap.eq((code, text[:5]), (452, b"4.7.1"))
        m.quit()
        m = s.submission("bob")
        m.sendmail("bob@example.test", ["alice@example.test"], MESSAGE)
        m.quit()
        tap.eq(len(s.messages("bob")), 3)


def test_hidden_client():
    """hide_client: Received does not tell the address of the program"""
    with Server({"smtp": {"hide_client": True}}) as s:
        m = s.submission()
        m.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
        m.quit()
        head = s.messages("bob")[0].partition(b"\r\n\r\n")[0]
        tap.eq(b"127.0.0.1" in head, False)
        tap.contains(head, b"from mail.example.test (authenticated)")
        s.send(MESSAGE)
        tap.contains(s.newest("bob"), b"[127.0.0.1]")


def test_disabled_clear_login():
    """no AUTH in the clear when loopback is not trusted"""
    config = {"limits": {"cleartext_loopback": False}}
    with Server(config, accounts=("alice",)) as s:
        with s.line("submission") as c:
            words = " ".join(c.ask("EHLO x.test")[1])
            tap.ok("AUTH" not in words, words)
            tap.eq(c.cmd("AUTH PLAIN " + GOOD), 538)
        with Line(s.ports["imap"]) as c:
            tap.contains(c.line(), b"LOGINDISABLED")
            lines, rest = c.imap(b"a", b'LOGIN alice@example.test "%s"'
                                 % PASSWORD.encode())
            tap.ok(rest.startswith(b"NO"), rest)
        with Line(s.ports["pop3"]) as c:
            c.line()
            c.send(b"USER alice@example.test\r\n")
            tap.ok(c.line().startswith(b"-ERR"))


def test_auth_delay():
    """the delay after a wrong password holds no thread"""
    config = {"limits": {"auth_delay": "1s"}, "workers": {"threads": 2}}
    with Server(config, accounts=("alice",)) as s:
        slow = [s.line("submissions", "client.test") for _ in range(6)]
        for c in slow:
            c.send(b"AUTH PLAIN "
                   + plain("alice@example.test", "wrong").encode() + b"\r\n")
        time.sleep(0.1)
        start = time.monotonic()
        tap.eq([c.reply()[0] for c in slow], [535] * 6)
        took = time.monotonic() - start
        tap.ok(0.5 < took < 3.5, "6 wrong logins took %.1f s" % took)
        for c in slow:
            c.close()


with Server() as server:
    own = {"test_disabled_clear_login", "test_auth_delay", "test_send_limit",
           "test_hidden_client"}
    tap.run({k: v for k, v in globals().items() if k not in own}, server)
tap.call(tap.title(test_send_limit), test_send_limit)
tap.call(tap.title(test_hidden_client), test_hidden_client)
tap.call("no AUTH in the clear when loopback is not trusted",
         test_disabled_clear_login)
tap.call("the delay after a wrong password holds no thread", test_auth_delay)
tap.done()
