#!/usr/bin/python3
# test: timeout=240
"""Every edit and final answer of a filter: what we make of it, compared with
what Postfix 3.7.11 made of the same lists (postfix.edits, as it was recorded),
and with our own choice where that is another one (CHOICES).

Two filters stand in the chain: the first plays a list at the end of the
message, the second is shown what the first has left. A list is written as in
the file: `add N V | ins I N V | chg I N V | body TEXT | q REASON |
from ADDR [ARGS] | rcpt ADDR | delr ADDR | progress | y REPLY | v BYTE`."""
import re
import struct
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import Milter
from server import Server, wait_for
from wire import stuff

RECORD = __file__.rsplit("/", 1)[0] + "/postfix.edits"
MESSAGE = (b"From: a@example.net\r\nTo: u1@example.org\r\nX-N: one\r\n"
           b"X-N: two\r\nX-N: three\r\nSubject: s\r\n\r\noriginal body\r\n\r\n")
HEADERS = ["From: a@example.net", "To: u1@example.org", "X-N: one",
           "X-N: two", "X-N: three", "Subject: s"]
BODY = "original body\\n\\n"
ACCOUNTS = ["u1", "u2", "bare", "br"]
DEFAULT = "451 4.7.1 Service unavailable - try again later"

# Where we chose otherwise: what is replaced of Postfix's result.
KEPT = dict(reply="250 2.0.0 Ok: queued as ID", sender="a@example.net",
            rcpts=["u1", "u2"], held=False,
            headers=["<own Received>"] + HEADERS, body=BODY,
            second=HEADERS)
CHOICES = {
    # Folds go to filters as LF; trailing white space is cut.
    "add X-F1 a\\n\\tb ; add X-F2 a\\r\\n\\tb ; add X-F3 a\\n": dict(
        headers=["<own Received>"] + HEADERS + [
            "X-F1: a\\n\\tb", "X-F2: a\\n\\tb", "X-F3: a"],
        second=HEADERS + ["X-F1: a\\n\\tb", "X-F2: a\\n\\tb", "X-F3: a"]),
    # Edits between the pieces of a body do not matter (as Sendmail).
    "body first\\r\\n ; add X-Mid m ; body second\\r\\n": dict(
        KEPT, headers=["<own Received>"] + HEADERS + ["X-Mid: m"],
        body="first\\nsecond\\n", second=HEADERS + ["X-Mid: m"]),
    # A recipient that is there is not added again (as Sendmail).
    "rcpt bare@example.org ; rcpt <br@example.org> ; rcpt <u1@example.org>":
        dict(rcpts=["bare", "br", "u1", "u2"]),
    # Domains are compared without case, local parts if nothing else fits.
    "delr <U1@EXAMPLE.ORG>": dict(rcpts=["u2"]),
    # A later filter may still refuse (as Sendmail).
    "q why it is held": dict(second=HEADERS),
    # `%%` is one sign, a lone one stays.
    "y 550 5.7.1 100% sure": dict(reply="550 5.7.1 100% sure"),
    # No reply that refuses: a failure for now, in our words.
    "y 250 2.0.0 fine": dict(reply=DEFAULT),
    # A shutdown is a failure; mail is never lost.
    "v 4": dict(reply=DEFAULT),
}


# ------------------------------------------------------------- the record

def read_record():
    """[(list, result)]: what Postfix did, in our terms."""
    rows = []
    with open(RECORD, newline="\n") as f:
        for line in f:
            line = line.rstrip("\n")
            if line[:1] not in (" ", ""):
                rows.append((line, {"lines": []}))
            elif rows:
                rows[-1][1]["lines"].append(line)
    return [(name, parse_result(row["lines"])) for name, row in rows]


def parse_result(lines):
    result = dict(sender=None, rcpts=[], held=False, headers=None, body=None)
    for i, line in enumerate(lines):
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "reply":
            result["reply"] = rest
        elif word == "queued" and rest != "nothing":
            read_queued(result, rest, lines[i + 1].strip(),
                        lines[i + 2].strip())
        elif word == "second":
            result["second"] = read_second(rest)
    return result


def read_queued(result, envelope, headers, body):
    result["sender"] = re.search(r"S<(.*?)>", envelope)[1]
    result["rcpts"] = sorted({r.split("@")[0] for r in
                              re.findall(r"R<(.*?)>", envelope)})
    result["held"] = "HELD" in envelope
    # Postfix gives fields to mail that lacks them, which we leave to clients.
    result["headers"] = [h for h in headers.split(" | ")
                         if h not in ("<own Message-Id>", "<own Date>")]
    result["body"] = body[1:-1]


def read_second(text):
    """What the second filter was shown: the fields, as "Name: value"."""
    if text.startswith("nothing"):
        return None
    parts = text.split(" | ")
    # Behind the last value stands the body.
    parts[-1] = re.match(r"\S+", parts[-1])[0] if "X-J" not in parts[-1] \
        else re.match(r"X-J:.*?: b", parts[-1])[0]
    return [re.sub(":", ": ", p, count=1) for p in parts]


# ------------------------------------------------------------ the filters

def unescape(text):
    return text.replace("\\n", "\n").replace("\\r", "\r").replace(
        "\\t", "\t")


def frames_of(actions):
    """The frames of a list, with its final answer."""
    frames = []
    for action in actions:
        op, _, rest = action.partition(" ")
        rest = unescape(rest)
        if op == "add":
            name, value = rest.split(" ", 1)
            frames.append((b"h", strings(name, value)))
        elif op in ("ins", "chg"):
            index, name, value = (rest + " ").split(" ", 2)
            frames.append((b"i" if op == "ins" else b"m", struct.pack(
                "!I", int(index)) + strings(name, value.rstrip(" "))))
        elif op == "from":
            frames.append((b"e", strings(*rest.split(" ", 1))))
        elif op == "body":
            frames.append((b"b", rest.encode()))
        elif op == "progress":
            frames.append((b"p", b""))
        elif op == "v":
            return frames + [(rest.encode(), b"")]
        elif op == "y":
            return frames + [(b"y", strings(rest))]
        else:
            frames.append(({"q": b"q", "rcpt": b"+", "delr": b"-"}[op],
                           strings(rest)))
    return frames + [(b"c", b"")]


def strings(*texts):
    return b"".join(local(t).encode("latin1") + b"\0" for t in texts)


def local(text):
    """Recipients of the record are ours; its domain is not."""
    return text.replace("example.org", "example.test").replace(
        "EXAMPLE.ORG", "EXAMPLE.TEST")


class Player:
    """The first filter."""

    def __init__(self):
        self.frames = [(b"c", b"")]

    def __call__(self, session, command, data):
        return self.frames if command == b"E" else None


# ---------------------------------------------------------------- playing

def play(s):
    """One message; the final reply, with the queue id as ID."""
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@example.net>")
        c.must(250, "RCPT TO:<u1@example.test>")
        c.must(250, "RCPT TO:<u2@example.test>")
        c.must(354, "DATA")
        c.send(stuff(MESSAGE))
        code, texts = c.reply()
    # Several lines stand in the record as they were sent.
    lines = ["%d%s%s" % (code, "-" if t is not texts[-1] else " ", t)
             for t in texts]
    return re.sub(r"as \w+", "as ID", " / ".join(lines))


def stored(s, held):
    """(rcpts, a message) as they were delivered or are held."""
    if held:
        rows = s.queue()
        tap.eq([r["state"] for r in rows], ["held"] * len(rows))
        tap.ok(rows, "nothing is held")
        s.cli("queue", "release", str(rows[0]["id"]))
        for row in rows[1:]:
            s.cli("queue", "release", str(row["id"]), check=False)
        wait_for("release", lambda: s.messages("u1"))
    found = {name: s.messages(name) for name in ACCOUNTS}
    rcpts = sorted(n for n, m in found.items() if m)
    tap.ok(all(len(m) <= 1 for m in found.values()), found)
    return rcpts, found[rcpts[0]][0] if rcpts else None


def shown(text):
    """Bytes as the record has them."""
    return text.decode("latin1").replace("\r\n", "\\n").replace(
        "\n", "\\n").replace("\t", "\\t")


def read_message(message):
    """(sender, fields, body)."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    sender = None
    headers = []
    for field in fields:
        if field.startswith(b"Return-Path: "):
            sender = field[14:-1].decode()
        elif field.startswith(b"Delivered-To: "):
            pass
        elif field.startswith(b"Received: from"):
            headers.append("<own Received>")
        else:
            headers.append(shown(field).replace("example.test",
                                                "example.org"))
    return sender, headers, shown(body)


def seen_by(second):
    """The fields that the second filter was shown, None if none were."""
    steps = [d for s in second.sessions for c, d in s.steps if c == b"L"]
    if not any(c == b"E" for s in second.sessions for c, _ in s.steps):
        return None
    return [shown(b": ".join(d.split(b"\0")[:2])) for d in steps]


def row(s, player, second, name, want):
    for account in ACCOUNTS:
        s.empty(account)
    second.sessions.clear()
    player.frames = frames_of(name.split(" ; "))
    tap.eq(play(s), want["reply"], "reply")
    tap.eq(seen_by(second), want["second"], "what the second filter saw")
    rcpts, message = stored(s, want["held"])
    tap.eq(rcpts, want["rcpts"], "recipients")
    if not message:
        return
    sender, headers, body = read_message(message)
    tap.eq(headers, want["headers"], "fields")
    tap.eq(body, want["body"], "body")
    tap.eq(sender, want["sender"].replace("example.org", "example.test"),
           "sender")


def main():
    player = Player()
    with Milter(player) as first, Milter() as second:
        config = {"milter.first": {"socket": first.socket},
                  "milter.second": {"socket": second.socket}}
        with Server(config, accounts=ACCOUNTS,
                    chain=["first", "second"]) as s:
            for name, result in read_record():
                tap.call(name.strip() + (" (our choice)" if name in CHOICES
                                         else ""),
                         row, s, player, second, name,
                         dict(result, **CHOICES.get(name, {})))
    tap.done()


main()
