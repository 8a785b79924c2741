#!/usr/bin/python3
# test: timeout=120
"""mailroom filter backtest: a filter over mail that is here."""
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import Milter, add_header, reply_code
from outsider import deliver
from server import Server


def step(session, command, data):
    """Refuses a subject, marks another, and remembers what it is told."""
    if command == b"L" and data.startswith(b"Subject\0"):
        session.subject = data.split(b"\0")[1].strip()
    if command == b"E":
        subject = getattr(session, "subject", b"")
        if subject.startswith(b"bad"):
            return [reply_code("550 5.7.1 no " + subject.decode())]
        if subject.startswith(b"grey"):
            return [add_header("X-Grey", "yes"), (b"c", b"")]
    return None


class House:
    def __enter__(self):
        self.milter = Milter(step).__enter__()
        self.server = Server({"smtp": {"xclient_networks": ["127.0.0.1"]},
                              "milter.words": {"socket": self.milter.socket,
                                               "mode": "observe"},
                              "chain": {"inbound": ["words"],
                                        "submission": []}}).__enter__()
        s = self.server
        for subject in ("good one", "grey one", "bad one", "bad two"):
            deliver(s, "192.0.2.9", b"From: x@y.test\r\nSubject: " +
                    subject.encode() + b"\r\n\r\nx\r\n", sender="x@y.test")
        with s.imap("bob") as i:
            for subject in ("bad three", "good two"):
                i.append("Junk", None, None, b"Subject: " +
                         subject.encode() + b"\r\n\r\nx\r\n")
        self.milter.sessions.clear()
        return self

    def run(self, *words, name="words"):
        return self.server.cli_json("filter", "backtest", name, *words)

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.milter.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_table(h):
    """what it would have done, against where the mail lies"""
    got = h.run("--account", "bob@example.test")
    tap.eq(got["messages"], 6)
    inbox, junk = got["mailboxes"]["INBOX"], got["mailboxes"]["Junk"]
    tap.eq((inbox["passed"], inbox["edited"], inbox["refused"]), (1, 1, 2))
    tap.eq((junk["passed"], junk["refused"]), (1, 1))


def test_list(h):
    """the disagreements, with the filter's words"""
    got = h.run()
    tap.eq(got["odd"], 3)
    said = {(m["mailbox"], m["subject"], m["outcome"], m["text"])
            for m in got["list"]}
    tap.ok(("INBOX", "bad one", "refused", "no bad one") in said or
           any(m[:3] == ("INBOX", "bad one", "refused") and "no bad one"
               in m[3] for m in said), said)
    tap.ok(("Junk", "good two", "passed", "") in said, said)


def test_envelope(h):
    """the filter is told the client and the sender of then"""
    h.milter.sessions.clear()
    got = h.run("--mailbox", "INBOX", "--account", "bob@example.test")
    tap.eq(got["guessed"], 0)
    steps = [s for session in h.milter.sessions for s in session.steps]
    tap.ok(any(c == b"C" and b"192.0.2.9" in d for c, d in steps), steps)
    tap.ok(any(c == b"M" and d.startswith(b"<x@y.test>") for c, d in steps))
    tap.ok(not any(c == b"L" and d.startswith((b"Return-Path", b"Received"))
                   for c, d in steps), steps)


def test_guessed(h):
    """mail without a trace is counted as guessed"""
    tap.eq(h.run("--mailbox", "Junk")["guessed"], 2)


def test_since(h):
    """--since leaves out what is older"""
    with h.server.imap("bob") as i:
        i.append("Archive", None, '"01-Jan-2020 00:00:00 +0000"',
                 b"Subject: old\r\n\r\nx\r\n")
        i.append("Archive", None, None, b"Subject: new\r\n\r\nx\r\n")
    tap.eq(h.run("--mailbox", "Archive")["messages"], 2)
    tap.eq(h.run("--mailbox", "Archive", "--since", "60d")["messages"], 1)


def test_nothing_changes(h):
    """no mail moves, nothing is counted as observed"""
    before = h.server.cli_json("filter", "report", "words")
    mail = h.server.cli_json("account", "list")
    h.run()
    tap.eq(h.server.cli_json("filter", "report", "words"), before)
    tap.eq(h.server.cli_json("account", "list"), mail)


def test_people(h):
    """the table is readable, wrong names and options are refused"""
    out = h.server.cli("filter", "backtest", "words").stdout
    tap.contains(out, "refused")
    tap.contains(out, "look wrong")
    p = h.server.cli("filter", "backtest", "nobody", check=False)
    tap.eq(p.returncode, 1)
    tap.contains(p.stderr, "no filter `nobody`")
    tap.eq(h.server.cli("filter", "backtest", "words", "--since", "x",
                        check=False).returncode, 2)


with House() as house:
    tap.run(globals(), house)
tap.done()
