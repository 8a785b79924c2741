#!/usr/bin/python3
# test: timeout=120
"""THREAD=REFERENCES (RFC 5256 section 3): its steps by hand, and random
mailboxes against an implementation that follows them one by one."""
import random
import re
import socket
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import Server

sys.setrecursionlimit(10000)


def text(m):
    lines = ["From: a@a.test", "Date: Mon, 2 Nov 2026 %02d:%02d:00 +0000" % (
        m["minute"] // 60, m["minute"] % 60), "Subject: " + m["subject"]]
    if m.get("id"):
        lines.append("Message-ID: <%s>" % m["id"])
    if m.get("references"):
        lines.append("References: " + "\r\n ".join(
            "<%s>" % r for r in m["references"]))
    if m.get("reply_to"):
        lines.append("In-Reply-To: <%s> and <other@x>" % m["reply_to"])
    return ("\r\n".join(lines) + "\r\n\r\nx\r\n").encode()


class Node:
    def __init__(self):
        self.number, self.date, self.subject = 0, None, ""
        self.reply, self.parent, self.children = False, None, []

    def key(self):
        """By date; one that is not there as its first child."""
        return (self.date, self.number) if self.number else \
            min(c.key() for c in self.children)

    def first(self):
        return self if self.number else min(self.children,
                                            key=Node.key).first()

    def has_above(self, other):
        node = self
        while node is not None:
            if node is other:
                return True
            node = node.parent
        return False

    def hang(self, parent):
        if self.parent is not None:
            self.parent.children.remove(self)
        self.parent = parent
        if parent is not None:
            parent.children.append(self)


def prune(node):
    out = []
    for c in node.children:
        out += prune(c)
    node.children = out
    for c in out:
        c.parent = node
    if node.number:
        return [node]
    return out if node.parent is not None or len(out) < 2 else [node]


def base(subject):
    """Only what this test writes."""
    cut = re.sub(r"^(re: *)+", "", subject, flags=re.I)
    return cut.lower(), cut != subject


def thread(messages):
    """Nested tuples (number or 0, [children])."""
    by_id, every = {}, []

    def find(i):
        if i not in by_id:
            by_id[i] = Node()
            every.append(by_id[i])
        return by_id[i]
    for number, m in enumerate(messages, 1):
        node = find(m["id"]) if m.get("id") else None
        if node is None or node.number:
            node = Node()
            every.append(node)
        refs = m.get("references") or (
            [m["reply_to"]] if m.get("reply_to") else [])
        before = None
        for r in refs:
            one = find(r)
            if before is not None and one.parent is None and \
                    not before.has_above(one):
                one.hang(before)
            before = one
        node.number, node.date = number, m["minute"]
        node.subject, node.reply = base(m["subject"])
        if before is None or not before.has_above(node):
            node.hang(before)
    roots = [r for n in every if n.parent is None for r in prune(n)]
    for r in roots:
        r.parent = None
    roots.sort(key=Node.key)
    table = {}
    for r in roots:
        f = r.first()
        if not f.subject:
            continue
        old = table.get(f.subject)
        if old is None or (old.number and not r.number) or (
                old.first().reply and not f.reply):
            table[f.subject] = r
    merged = []
    for r in roots:
        f = r.first()
        old = table.get(f.subject) if f.subject else None
        if old is None or old is r or r.parent is old:
            continue
        if not old.number and not r.number:
            for c in list(r.children):
                c.hang(old)
            merged.append(r)
        elif not old.number or (f.reply and not old.first().reply):
            r.hang(old)
        else:
            both = Node()
            old.hang(both)
            r.hang(both)
            table[f.subject] = both
            roots_extra.append(both)
    roots = [r for r in roots + roots_extra
             if r.parent is None and r not in merged]
    del roots_extra[:]

    def out(n):
        n.children.sort(key=Node.key)
        return (n.number, [out(c) for c in n.children])
    return [out(r) for r in sorted(roots, key=Node.key)]


roots_extra = []


def parse(data):
    """The answer as the same nested tuples."""
    words = re.findall(r"[()]|\d+", data)
    at = 0

    def branch():
        nonlocal at
        at += 1
        top = node = None
        while words[at] != ")":
            if words[at] == "(":
                if node is None:
                    top = node = (0, [])
                node[1].append(branch())
            else:
                new = (int(words[at]), [])
                if node is None:
                    top = new
                else:
                    node[1].append(new)
                node = new
                at += 1
        at += 1
        return top
    threads = []
    while at < len(words):
        threads.append(branch())
    return threads


def ask(s, name, messages, search="ALL"):
    box = s.imap("bob", None)
    box.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    box.create(name)
    for m in messages:
        box.append(name, None, None, text(m))
    box.select(name)
    got = box.thread("REFERENCES", "UTF-8", search)[1][0]
    box.logout()
    return (got or b"").decode()


def mails(*rows):
    return [dict(zip(("id", "references", "subject", "reply_to"), r),
                 minute=n) for n, r in enumerate(rows)]


CASES = {
    "a chain": (mails(("a", [], "x"), ("b", ["a"], "re: x"),
                      ("c", ["a", "b"], "re: x")), "(1 2 3)"),
    "branches": (mails(("a", [], "x"), ("b", ["a"], "re: x"),
                       ("c", ["a"], "re: x"), ("d", ["a", "c"], "re: x")),
                 "(1 (2)(3 4))"),
    "a parent that is not there": (
        mails(("b", ["gone"], "x"), ("c", ["gone"], "y")), "((1)(2))"),
    "one child of it": (mails(("b", ["gone"], "x"), ("c", [], "y")),
                        "(1)(2)"),
    "In-Reply-To": (mails(("a", [], "x"), ("b", [], "y", "a")), "(1 2)"),
    "a loop": (mails(("a", ["b"], "x"), ("b", ["a"], "y")), "(2 1)"),
    "itself": (mails(("a", ["a"], "x"),), "(1)"),
    "one id twice": (mails(("a", [], "x"), ("a", [], "y"),
                           ("b", ["a"], "z")), "(1 3)(2)"),
    "no id": (mails(("", [], "x"), ("", [], "y")), "(1)(2)"),
    "one subject": (mails(("a", [], "x"), ("b", [], "Re: x")), "(1 2)"),
    "one subject, no answer": (mails(("a", [], "x"), ("b", [], "x")),
                               "((1)(2))"),
    "three of one subject": (mails(("a", [], "x"), ("b", [], "x"),
                                   ("c", [], "x")), "((1)(2)(3))"),
    "an answer first": (mails(("a", [], "re: x"), ("b", [], "x")), "(2 1)"),
    "no subject": (mails(("a", [], ""), ("b", [], "")), "(1)(2)"),
    "nothing": ([], ""),
}


def case(s, messages, want):
    case.n = getattr(case, "n", 0) + 1
    tap.eq(ask(s, "C%d" % case.n, messages), want)
    if messages:
        tap.eq(parse(want), thread(messages))


def test_random(s):
    """60 random mailboxes"""
    rng = random.Random(11)
    for round in range(60):
        n = rng.randrange(2, 25)
        ids = ["m%d@x" % i for i in range(n + 6)]
        subjects = ["s%d" % i for i in range(rng.choice([2, 6, 40]))] + [""]
        messages = []
        for i in range(n):
            m = {"minute": rng.randrange(1440), "subject": rng.choice(
                ["", "re: ", "Re: re: "]) + rng.choice(subjects)}
            m["subject"] = m["subject"].strip() if not m["subject"].strip(
                "re: R") else m["subject"]
            if rng.random() < .95:
                m["id"] = ids[i] if rng.random() < .95 else rng.choice(ids)
            if rng.random() < .7:
                m["references"] = [rng.choice(ids) for _ in range(
                    rng.randrange(1, 5))]
            elif rng.random() < .5:
                m["reply_to"] = rng.choice(ids)
            messages.append(m)
        for m in messages:
            if m["subject"].lower().startswith("re:") and \
                    not base(m["subject"])[0]:
                m["subject"] = ""
        got = ask(s, "R%d" % round, messages)
        tap.eq(parse(got), thread(messages), "%s\n%s" % (got, messages))


def test_long(s):
    """a chain of 300 and a search in it"""
    messages = [{"minute": n % 1440, "subject": "s", "id": "n%d@x" % n,
                 "references": ["n%d@x" % (n - 1)] if n else []}
                for n in range(300)]
    tap.eq(ask(s, "Long", messages), "(%s)" % " ".join(
        str(n) for n in range(1, 301)))
    box = s.imap("bob", "Long")
    tap.eq(box.uid("THREAD", "REFERENCES", "UTF-8", "5,7")[1], [b"((5)(7))"])
    box.logout()


with Server() as server:
    for title, (messages, want) in CASES.items():
        tap.call(title, case, server, messages, want)
    tap.run(globals(), server)
tap.done()
