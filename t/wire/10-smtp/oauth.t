#!/usr/bin/python3
# test: timeout=90
"""OAUTHBEARER (RFC 7628) and XOAUTH2 with the plugin oauth, which asks an
authority about tokens (RFC 7662)."""
import base64
import http.server
import json
import sys
import threading
import urllib.parse
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

ALICE = "alice@example.test"
TOKENS = {"good": {"active": True, "email": "Alice@Example.test"},
          "other": {"active": True, "email": "bob@example.test"},
          "old": {"active": False}, "odd": {"active": "true", "email": ALICE},
          "nameless": {"active": True}, "list": [1, 2],
          "stranger": {"active": True, "email": "x@elsewhere.test"}}


class Authority:
    def __enter__(self):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(
                    self.headers["Content-Length"])).decode())
                asked.append((form["token"][0],
                              self.headers["Authorization"]))
                answer = TOKENS.get(form["token"][0])
                self.send_response(200 if answer is not None else 500)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def bearer(token, user="", gs2="n,"):
    return ("%s%s,\1host=mail\1port=143\1auth=Bearer %s\1\1" % (
        gs2, "a=" + user if user else "", token)).encode()


def xoauth2(token, user=ALICE):
    return ("user=%s\1auth=Bearer %s\1\1" % (user, token)).encode()


def imap(s, mechanism, message):
    with s.line("imaps") as c:
        c.line()
        c.send(b"a AUTHENTICATE %s %s\r\n" % (mechanism.encode(),
                                              base64.b64encode(message)))
        line = c.line()
        if not line.startswith(b"+ "):
            return None, line
        error = json.loads(base64.b64decode(line[2:]))
        c.send((base64.b64encode(b"\1") if mechanism == "OAUTHBEARER"
                else b"") + b"\r\n")
        return error, c.line()


def test_offer(s, a):
    """offered where a plugin judges tokens; passwords still work"""
    with s.line("imaps") as c:
        c.line()
        words = c.imap(b"a", b"CAPABILITY")[0][0].split()
        for word in b"AUTH=OAUTHBEARER", b"AUTH=XOAUTH2", b"AUTH=PLAIN":
            tap.contains(words, word)
    s.imap("alice").logout()


def test_good(s, a):
    """a token that is good; the account is whom the authority says"""
    for mechanism, message in (("OAUTHBEARER", bearer("good")),
                               ("OAUTHBEARER", bearer("good", ALICE)),
                               ("XOAUTH2", xoauth2("good"))):
        error, line = imap(s, mechanism, message)
        tap.ok(line.startswith(b"a OK"), line)
    tap.eq(len(a.asked), 1, "asked again")
    tap.ok(a.asked[0][1].startswith("Basic "), "no credentials")


def test_bad(s, a):
    """others are refused, with the error they may read first"""
    for mechanism, message, status in (
            ("OAUTHBEARER", bearer("old"), "invalid_token"),
            ("OAUTHBEARER", bearer("odd"), "invalid_token"),
            ("OAUTHBEARER", bearer("nameless"), "invalid_token"),
            ("OAUTHBEARER", bearer("other", ALICE), "invalid_token"),
            ("XOAUTH2", xoauth2("old"), "401"),
            ("XOAUTH2", xoauth2("other"), "401")):
        error, line = imap(s, mechanism, message)
        tap.eq(error["status"], status)
        tap.contains(line, b"a NO [AUTHENTICATIONFAILED]")


def test_down(s, a):
    """an authority that fails: try again later"""
    for token in "unknown", "list":
        error, line = imap(s, "OAUTHBEARER", bearer(token))
        tap.contains(line, b"a NO [UNAVAILABLE]")


def test_malformed(s, a):
    """messages that are none"""
    for message in (b"", b"n,,", b"n,,\1\1", b"x,,\1auth=Bearer good\1\1",
                    b"n,,\1auth=Basic good\1\1", b"n,,\1auth=Bearer good",
                    b"n,,\1auth=Bearer \1\1", b"\0" * 20,
                    b"n,,\1auth=Bearer " + b"x" * 13000 + b"\1\1"):
        error, line = imap(s, "OAUTHBEARER", message)
        tap.ok(error is None and not line.startswith(b"a OK"), line)


def test_smtp(s, a):
    """over submission: the mail is alice's"""
    with s.line("submissions", ehlo="c.test") as c:
        c.must(235, "AUTH XOAUTH2 " + base64.b64encode(
            xoauth2("good")).decode())
        c.must(250, "MAIL FROM:<alice@example.test>")
        c.must(250, "RSET")
        c.must(553, "MAIL FROM:<bob@example.test>")


with Authority() as authority:
    with Server({"limits": {"errors": 100}, "plugin.oauth": {
            "module": "build:oauth",
            "url": "http://127.0.0.1:%d/introspect" % authority.port,
            "client_id": "mailroom", "client_secret": "s"}}) as server:
        tap.run(globals(), server, authority)
tap.done()
