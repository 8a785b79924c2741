#!/usr/bin/python3
# test: timeout=120
"""Filters that say where mail is filed, and that learn from what is moved to
Junk: in the process and in their own."""
import os
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import BUILD, Server, wait_for

FILER = os.path.join(BUILD, "t/wire/70-plugin/filer.so")


def message(subject, extra=b""):
    return (b"From: a@elsewhere.test\r\n" + extra + b"Subject: "
            + subject.encode() + b"\r\n\r\nthe text\r\n")


class House:
    def __init__(self, isolate):
        self.server = Server({
            "plugin.filer": {"module": FILER, "isolate": isolate},
            "chain": {"inbound": ["filer"], "learn": ["filer"]}})

    def __enter__(self):
        self.server.__enter__()
        return self.server

    def __exit__(self, *exc):
        self.server.__exit__(*exc)


def subjects(s, name, mailbox):
    try:
        return [m.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
                for m in s.messages(name, mailbox)]
    except Exception:
        return None                     # there is no such mailbox


def test_special(s):
    """a special use is found by what it is for"""
    s.send(message("to \\Junk"))
    tap.eq(subjects(s, "bob", "Junk"), ["to \\Junk"])
    tap.contains(s.newest("bob", "Junk"), b"X-Filed: 1 bob@example.test")
    box = s.imap("alice")
    box.delete("Junk")
    box.create('Spam (USE (\\Junk))')
    s.send(message("to \\Junk"), "alice")
    tap.eq(subjects(s, "alice", "Spam"), ["to \\Junk"])
    box.delete("Spam")
    box.logout()
    s.send(message("to \\junk"), "alice")
    tap.eq(subjects(s, "alice", "Junk"), ["to \\junk"])
    tap.contains(s.imap("alice").list('""', "Junk")[1][0], b"\\Junk")
    tap.eq(s.messages("bob"), [])


def test_name(s):
    """a mailbox is made, with those above it"""
    s.send(message("to Lists/one"), ["bob", "alice"])
    for name in ("bob", "alice"):
        tap.eq(subjects(s, name, "Lists/one"), ["to Lists/one"])
    tap.contains(s.newest("bob", "Lists/one"), b"X-Filed: 2 ")


def test_one(s):
    """one recipient's copy is filed, the other's is not"""
    s.send(message("to One for alice@example.test"), ["bob", "alice"])
    tap.eq(len(s.messages("alice", "One")), 1)
    tap.eq(len(s.messages("bob")), 1)
    s.empty()


def test_wrong(s):
    """wrong names and strangers are answered with -1"""
    for subject in ("to /x", "to x//y", "to \\Nonsense", "to " + "x" * 190,
                    "to X for nobody@example.test"):
        s.send(message(subject))
        tap.contains(s.newest(), b"X-Filed: -1 ", subject)
    s.empty()


def test_held(s):
    """what is held is filed when it is released"""
    s.send(message("hold to \\Junk"))
    before = len(subjects(s, "bob", "Junk") or [])
    s.cli("queue", "release", "all")
    wait_for("the released mail", lambda: len(
        subjects(s, "bob", "Junk") or []) > before)
    tap.eq(s.messages("bob"), [])


def logged(s, text):
    s_log = "".join(s.log_since_mark())
    return text in s_log


def test_learn(s):
    """moves, copies, keywords and APPEND are told of"""
    s.log_mark()
    s.empty()
    for n in range(4):
        s.send(message("lesson %d" % n))
    box = s.imap()
    box.copy("1", "Junk")
    box.uid("MOVE", box.uid("SEARCH", "ALL")[1][0].split()[1].decode(),
            "Junk")
    box.store("2", "+FLAGS", "($Junk)")
    box.store("3", "+FLAGS", "($NotJunk)")
    box.append("Junk", None, None, message("lesson 4"))
    for n, what in ((0, "junk"), (1, "junk"), (2, "junk"), (3, "good"),
                    (4, "junk")):
        line = "bob@example.test is %s: lesson %d: the text (bob@ex" % (what,
                                                                        n)
        wait_for(line, lambda: logged(s, line))
    box.select("Junk")
    for n, (target, told) in enumerate((("Trash", False), ("INBOX", True))):
        s.log_mark()
        box.copy("*", target)
        if told:
            wait_for("a lesson", lambda: logged(s, "is good: lesson 4"))
        else:
            time.sleep(0.7)
            tap.ok(not logged(s, "learns"), "Trash teaches nothing")
    tap.ok(not any(b"X-Learned" in m for m in s.messages("bob", "Junk")),
           "the stored message stays as it is")
    box.logout()


def test_slow(s):
    """a session does not wait for who learns slowly"""
    s.empty()
    s.send(message("slow"))
    box = s.imap()
    began = time.monotonic()
    for n in range(5):
        box.copy("1", "Junk")
    tap.ok(time.monotonic() - began < 2, "five copies at once")
    box.logout()


def test_chain(s):
    """a filter without the hook does not stand in [chain] learn"""
    s.extra["plugin.other"] = {"module": s.plugin("greylist")}
    s.extra["chain"]["learn"] = ["other"]
    s.write_config()
    p = s.cli("config", "check", check=False)
    tap.contains(p.stderr, "does not learn")


for isolate in ("none", "process"):
    with House(isolate) as house:
        tap.run(globals(), house)
tap.done()
