#!/usr/bin/python3
"""IMAP SEARCH: every key of RFC 3501, one row each."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

# flags, internal date, bytes
MESSAGES = [
    (b"(\\Seen)", b"01-Jan-2020 12:00:00 +0000",
     b"From: Ann <ann@x.test>\r\nTo: bob@example.test\r\nCc: carl@x.test\r\n"
     b"Subject: apple pie\r\nDate: Wed, 1 Jan 2020 10:00:00 +0000\r\n"
     b"Message-ID: <1@x>\r\n\r\nrecipe with Butter\r\n"),
    (b"(\\Flagged kw1)", b"02-Feb-2021 12:00:00 +0000",
     b"From: Dora <dora@y.test>\r\nTo: eve@example.test\r\n"
     b"Bcc: hidden@x.test\r\nSubject: =?utf-8?q?=C3=84pfel?=\r\n"
     b"Date: Tue, 2 Feb 2021 23:30:00 -0800\r\nX-Spam: yes\r\n\r\n"
     b"pears\r\n"),
    (b"(\\Answered \\Deleted)", b"03-Mar-2022 12:00:00 +0000",
     b"From: ann@x.test\r\nTo: bob@example.test\r\nSubject: long one\r\n"
     b"Date: Thu, 3 Mar 2022 12:00:00 +0000\r\n\r\n" + b"filler\r\n" * 500),
    (b"(\\Draft)", b"04-Apr-2023 12:00:00 +0000",
     b"From: z@z.test\r\nSubject: coded\r\nMIME-Version: 1.0\r\n"
     b"Content-Type: text/plain; charset=utf-8\r\n"
     b"Content-Transfer-Encoding: base64\r\n"
     b"Date: Tue, 4 Apr 2023 12:00:00 +0000\r\n\r\n"
     b"R3LDvMOfZSBhdXMgQmVybGlu\r\n"),       # Grüße aus Berlin
]

ROWS = [
    (b"ALL", [1, 2, 3, 4]), (b"ANSWERED", [3]), (b"UNANSWERED", [1, 2, 4]),
    (b"DELETED", [3]), (b"UNDELETED", [1, 2, 4]), (b"DRAFT", [4]),
    (b"UNDRAFT", [1, 2, 3]), (b"FLAGGED", [2]), (b"UNFLAGGED", [1, 3, 4]),
    (b"SEEN", [1]), (b"UNSEEN", [2, 3, 4]), (b"KEYWORD kw1", [2]),
    (b"UNKEYWORD kw1", [1, 3, 4]), (b"NOT SEEN", [2, 3, 4]),
    (b"OR SEEN FLAGGED", [1, 2]), (b"FROM ann", [1, 3]),
    (b"FROM dora@", [2]), (b"TO bob", [1, 3]), (b"CC carl", [1]),
    (b"BCC hidden", [2]), (b"SUBJECT apple", [1]), (b"SUBJECT \"APPLE P\"",
                                                    [1]),
    (b"CHARSET UTF-8 SUBJECT {6+}\r\n\xc3\xa4pfel", [2]),
    (b"CHARSET UTF-8 SUBJECT {7+}\r\n\xc3\x84PFEL ", []),
    (b"BODY butter", [1]), (b"BODY apple", []), (b"TEXT apple", [1]),
    (b"TEXT filler", [3]), (b"CHARSET UTF-8 BODY {7+}\r\ngr\xc3\xbc\xc3\x9fe",
                            [4]),
    (b"BODY Berlin", [4]), (b"HEADER X-Spam yes", [2]),
    (b"HEADER X-Spam \"\"", [2]), (b"HEADER Message-ID 1@x", [1]),
    (b"LARGER 3000", [3]), (b"SMALLER 3000", [1, 2, 4]),
    (b"BEFORE 02-Feb-2021", [1]), (b"ON 2-Feb-2021", [2]),
    (b"SINCE 02-Feb-2021", [2, 3, 4]), (b"SENTBEFORE 02-Feb-2021", [1]),
    (b"SENTON 02-Feb-2021", [2]), (b"SENTSINCE \"3-Mar-2022\"", [3, 4]),
    (b"2:3", [2, 3]), (b"UID 4", [4]), (b"UID 3:*", [3, 4]), (b"*", [4]),
    (b"NOT 1:2", [3, 4]), (b"(SEEN FROM ann)", [1]),
    (b"FROM ann NOT SEEN", [3]),
    (b"OR (SEEN SUBJECT pie) (DRAFT NOT DELETED)", [1, 4]),
    (b"NOT (OR SEEN OR FLAGGED DRAFT)", [3]), (b"NEW", None), (b"OLD", None),
    (b"RECENT", None), (b"NOT NOT SEEN", [1]),
    (b"OR NOT SEEN NOT FLAGGED 1", [1]), (b"SUBJECT nothing", []),
]


def search(c, keys, want):
    lines, rest = c.imap(b"t", b"SEARCH " + keys)
    tap.ok(rest.startswith(b"OK"), rest)
    found = [int(n) for li in lines if li.startswith(b"* SEARCH")
             for n in li.split()[2:]]
    if want is not None:
        tap.eq(found, want)
    lines, rest = c.imap(b"t", b"UID SEARCH " + keys)
    tap.eq([int(n) for li in lines if li.startswith(b"* SEARCH")
            for n in li.split()[2:]], found, "UID SEARCH")


def test_recent(s, c):
    """NEW, OLD and RECENT fit together"""
    def find(keys):
        return c.imap(b"t", b"SEARCH " + keys)[0][0].split()[2:]
    tap.eq(sorted(find(b"RECENT") + find(b"OLD")),
           sorted(find(b"ALL")))
    tap.eq(find(b"NEW"), find(b"RECENT UNSEEN"))


def test_charset(s, c):
    """an unknown charset: NO [BADCHARSET]"""
    rest = c.imap(b"t", b"SEARCH CHARSET X-FROB SUBJECT x")[1]
    tap.ok(rest.startswith(b"NO"), rest)
    tap.contains(rest, b"BADCHARSET")
    tap.ok(c.imap(b"t", b"SEARCH CHARSET US-ASCII SUBJECT x")[1]
           .startswith(b"OK"))


def test_deep(s, c):
    """deeply nested keys are refused or answered, not fatal"""
    for keys in (b"NOT " * 1000 + b"SEEN", b"(" * 500 + b"SEEN" + b")" * 500,
                 b"OR SEEN " * 500 + b"SEEN"):
        c.send(b"t SEARCH " + keys + b"\r\n")
        c.until(b"t")
    tap.ok(c.imap(b"t", b"NOOP")[1].startswith(b"OK"))


def connect(s):
    c = Line(s.ports["imap"])
    c.line()
    for command in [b'LOGIN bob@example.test "%s"' % PASSWORD.encode(),
                    b"CREATE q"] + [
            b'APPEND q %s "%s" {%d+}\r\n%s' % (flags, date, len(m), m)
            for flags, date, m in MESSAGES] + [b"SELECT q"]:
        rest = c.imap(b"t", command)[1]
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
    return c


with Server() as server:
    with connect(server) as line:
        tap.table([(keys.decode("utf-8").replace("\r\n", " "), keys, want)
                   for keys, want in ROWS], search, line)
        tap.run(globals(), server, line)
tap.done()
