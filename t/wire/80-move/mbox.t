#!/usr/bin/python3
"""mbox files come in: quoting, From_ lines, Status, UIDs, Thunderbird's and
mboxcl2; run again, and folders of them."""
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

FROM = b"From a@elsewhere.test Fri Feb 13 23:31:30 2009\n"


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def wire(body):
    return body.replace(b"\n", b"\r\n")


def mailbox(s, user, name):
    """[(uid, flags, date, bytes)]"""
    found = []
    with s.imap(user, None) as m:
        tap.eq(m.select('"%s"' % name, readonly=True)[0], "OK", name)
        for row in m.uid("FETCH", "1:*",
                         "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if not isinstance(row, tuple):
                continue
            head = row[0].decode()
            flags = head.split("FLAGS (")[1].split(")")[0].split()
            found.append((int(head.split("UID ")[1].split()[0]),
                          sorted(f for f in flags if f != "\\Recent"),
                          head.split('INTERNALDATE "')[1].split('"')[0],
                          row[1]))
    return found


def load(s, data, *more, box="one"):
    path = s.path(box + ".mbox")
    write(path, data)
    done = s.cli_json("import", "mbox", path, "alice@example.test",
                      "--mailbox", box, *more)
    return done, mailbox(s, "alice", box)


def test_quoting(s):
    """Lines that begin with From"""
    data = FROM + b"""Subject: 1
Status: RO
X-Status: AF
X-Keywords: work $Forwarded

>From here on
>>From there
From me to you: no date
> From is text

From nobody at all

last

From b@c.test Sat Feb 14 00:00:01 2009 +0100
Subject: 2

""" + FROM + b"Subject: 3\n\n\n\nend without a line"
    done, box = load(s, data)
    tap.eq(done["imported"], 3)
    tap.eq([row[3] for row in box], [wire(b) for b in (
        b"Subject: 1\n\nFrom here on\n>From there\nFrom me to you: no date\n"
        b"> From is text\n\nFrom nobody at all\n\nlast\n",
        b"Subject: 2\n\n", b"Subject: 3\n\n\n\nend without a line")])
    tap.eq(box[0][1], sorted(["\\Seen", "\\Answered", "\\Flagged", "work",
                              "$Forwarded"]))
    with s.imap("alice", "one") as m:
        tap.eq(m.search(None, "SENTSINCE 1-Jan-2000")[0], "OK")
        tap.eq(m.search(None, "SINCE 12-Feb-2009 BEFORE 16-Feb-2009")[1],
               [b"1 2 3"], "dates from the From_ lines")
    done, again = load(s, data)
    tap.eq((done["imported"], done["there_already"]), (0, 3))
    tap.eq(again, box, "nothing comes twice")
    done, box = load(s, FROM + b"Subject: x\n\n>From a\n>>From b\n",
                     "--quoting", "mboxo", box="two")
    tap.eq(box[0][3], wire(b"Subject: x\n\nFrom a\n>>From b\n"))


def test_lengths(s):
    """mboxcl2: Content-Length, right and wrong"""
    body = b"\nFrom a@b.test Fri Feb 13 23:31:30 2009\n>From x\n\n"
    data = (FROM + b"Subject: 1\nContent-Length: %d\n\n" % len(body) + body +
            b"\n" + FROM + b"Subject: 2\nContent-Length: 9999\n\nshort\n\n" +
            FROM + b"Subject: 3\nContent-Length: 3\n\nlonger\n")
    _, box = load(s, data, box="lengths")
    tap.eq([row[3] for row in box], [wire(b) for b in (
        b"Subject: 1\n\n" + body, b"Subject: 2\n\nshort\n",
        b"Subject: 3\n\nlonger\n")])


def test_uids(s):
    """X-IMAPbase and X-UID are kept"""
    data = FROM + b"X-IMAPbase: 1234567890 0000000099 work\nX-UID: 7\n" \
        b"Subject: 1\n\nx\n\n" + FROM + b"X-UID: 90\nSubject: 2\n\ny\n\n"
    _, box = load(s, data, box="uids")
    tap.eq([row[0] for row in box], [7, 90])
    with s.imap("alice", "uids") as m:
        tap.eq(m.response("UIDVALIDITY")[1], [b"1234567890"])
        tap.eq(m.response("UIDNEXT")[1], [b"100"])


def test_folder(s):
    """Thunderbird's folders"""
    root = s.path("Local Folders")
    write(root + "/Inbox", FROM + b"X-Mozilla-Status: 0007\n"
          b"X-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label1    \n"
          b"Subject: in\n\nx\n\n" + FROM + b"X-Mozilla-Status: 0009\n"
          b"Subject: gone\n\nx\n\n")
    write(root + "/Inbox.msf", b"// <!-- Mork -->\n")
    write(root + "/Work.sbd/2026", wire(FROM + b"Subject: w\n\nx\n"))
    write(root + "/Empty", b"")
    done = s.cli_json("import", "mbox", root, "bob@example.test")
    tap.eq((done["imported"], done["mailboxes"]), (2, 3))
    tap.eq(mailbox(s, "bob", "INBOX")[0][1], sorted(
        ["\\Seen", "\\Answered", "\\Flagged", "$label1"]))
    tap.eq(mailbox(s, "bob", "INBOX")[0][3], b"Subject: in\r\n\r\nx\r\n")
    tap.eq(mailbox(s, "bob", "Work/2026")[0][3], b"Subject: w\r\n\r\nx\r\n")


def test_large(s):
    """A large message, and lines longer than any buffer"""
    body = b"x" * 1000000 + b"\n" + b"short\n" * 100000 + b"y" * 300000 + b"\n"
    _, box = load(s, FROM + b"Subject: 1\n\n" + body + b"\n" + FROM +
                  b"Subject: 2\n\nx\n", box="large")
    tap.eq(box[0][3] == wire(b"Subject: 1\n\n" + body), True)
    tap.eq(len(box), 2)


def test_refused(s):
    """What is no mbox"""
    for name, data in (("junk", b"nothing\n"), ("broken", FROM + b"A: b\n")):
        write(s.path(name), data)
    done = s.cli("import", "mbox", s.path("junk"), "bob@example.test",
                 check=False)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "no mbox")
    done = s.cli_json("import", "mbox", s.path("broken"), "bob@example.test",
                      "--mailbox", "broken")
    tap.eq(done["imported"], 1, "a message of a header only")


with Server() as server:
    tap.run(globals(), server)
tap.done()
