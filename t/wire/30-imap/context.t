#!/usr/bin/python3
"""CONTEXT=SEARCH and CONTEXT=SORT (RFC 5267): searches that go on. A client
that applies ADDTO and REMOVEFROM to what it was told must at any time have what
a new search finds."""
import random
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

SEARCHES = {        # tag: command
    b"u1": b"UID SEARCH RETURN (ALL UPDATE) UNSEEN",
    b"n1": b"SEARCH RETURN (ALL UPDATE CONTEXT) OR FLAGGED KEYWORD k",
    b"s1": b"UID SORT RETURN (ALL UPDATE) (SUBJECT REVERSE SIZE) UTF-8 "
           b"NOT KEYWORD k",
    b"s2": b"SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 UNFLAGGED",
    b"t1": b"UID SEARCH RETURN (ALL UPDATE) BODY needle UNSEEN",
}
ITEM = re.compile(rb"(ADDTO|REMOVEFROM) \(([^)]*)\)")
FLAGS = (b"\\Seen", b"\\Flagged", b"k", b"\\Answered")


def numbers(text):
    got = []
    for part in text.split(b","):
        ends = [int(n) for n in part.split(b":")]
        got += range(ends[0], ends[-1] + 1)
    return got


class Box(Line):
    """Keeps the message numbers and the results of searches as it is told."""

    def __init__(self, *args, **rest):
        super().__init__(*args, **rest)
        self.results, self.exists, self.n, self.names = {}, 0, 0, set()

    def ok(self, command, tag=None):
        self.n += 1
        lines, rest = self.imap(tag or b"c%d" % self.n, command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        for line in lines:
            self.heard(line)
        return lines

    def refused(self, tag, command, how):
        rest = self.imap(tag, command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def heard(self, line):
        if line.endswith(b" EXISTS"):
            self.exists = int(line.split()[1])
        elif line.endswith(b" EXPUNGE"):
            gone = int(line.split()[1])
            self.exists -= 1
            for tag in self.results:
                if tag[:1] in b"n" or tag == b"s2":
                    tap.ok(gone not in self.results[tag],
                           "%r: REMOVEFROM comes before EXPUNGE" % tag)
                    self.results[tag] = [n - (n > gone)
                                         for n in self.results[tag]]
        elif line.startswith(b"* ESEARCH"):
            tag = re.search(rb'TAG "(\w+)"', line).group(1)
            if tag not in self.results:
                return
            if b" ALL " in line:
                self.results[tag] = numbers(line.split(b" ALL ")[1])
            for kind, pairs in ITEM.findall(line):
                words = pairs.split(b" ")
                for at, which in zip(words[::2], words[1::2]):
                    self.change(tag, kind, int(at), numbers(which))

    def change(self, tag, kind, at, which):
        result = self.results[tag]
        sorts = tag.startswith(b"s")
        tap.eq(at > 0, sorts)
        if tag in (b"n1", b"s2"):
            tap.ok(max(which) <= self.exists, "numbers that are valid")
        if kind == b"ADDTO":
            tap.ok(not set(which) & set(result), "%r: again" % tag)
            at = at - 1 if sorts else 0
            result[at:at] = which
            if not sorts:
                result.sort()
            return
        if sorts:
            tap.eq(result[at - 1:at - 1 + len(which)], which)
        for n in which:
            result.remove(n)


def login(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def message(rng):
    return b"Subject: %s\r\n\r\n%s%s\r\n" % (
        rng.choice([b"a", b"b", b"c"]), b"x" * rng.randrange(60),
        rng.choice([b"", b" needle"]))


def append(c, rng, name, flags=b""):
    m = message(rng)
    c.ok(b"APPEND %s (%s) {%d+}\r\n%s" % (name, flags, len(m), m))


def fresh(s, name, n=12):
    c = login(s)
    c.imap(b"x", b"DELETE " + name)
    c.ok(b"CREATE " + name)
    rng = random.Random(3)
    for _ in range(n):
        append(c, rng, name)
    c.ok(b"SELECT " + name)
    return c


def test_capability(s):
    """they are announced"""
    with login(s) as c:
        words = c.ok(b"CAPABILITY")[0].split()
        for word in (b"CONTEXT=SEARCH", b"CONTEXT=SORT"):
            tap.contains(words, word)


def test_updates(s):
    """what comes and goes is told with its number, in time"""
    with fresh(s, b"up", 5) as c, login(s) as other:
        tap.eq(c.ok(b"UID SEARCH RETURN (UPDATE COUNT) UNSEEN", b"B01"),
               [b'* ESEARCH (TAG "B01") UID COUNT 5'])
        tap.eq(c.ok(b"SEARCH RETURN (UPDATE MIN) UNSEEN", b"B02"),
               [b'* ESEARCH (TAG "B02") MIN 1'])
        other.ok(b"SELECT up")
        other.ok(b"STORE 2,4 +FLAGS.SILENT (\\Seen)")
        lines = c.ok(b"NOOP")
        tap.contains(lines, b'* ESEARCH (TAG "B01") UID REMOVEFROM (0 2,4)')
        tap.contains(lines, b'* ESEARCH (TAG "B02") REMOVEFROM (0 2,4)')
        # Its own change is answered by FETCH, and told all the same.
        tap.contains(c.ok(b"STORE 2 -FLAGS (\\Seen)"),
                     b'* ESEARCH (TAG "B02") ADDTO (0 2)')
        other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.ok(b"EXPUNGE")
        lines = c.ok(b"NOOP")
        tap.ok(lines.index(b'* ESEARCH (TAG "B02") REMOVEFROM (0 1)')
               < lines.index(b"* 1 EXPUNGE"), lines)
        append(other, random.Random(1), b"up")
        lines = c.ok(b"NOOP")
        tap.ok(lines.index(b"* 5 EXISTS")
               < lines.index(b'* ESEARCH (TAG "B02") ADDTO (0 5)'), lines)
        tap.contains(lines, b'* ESEARCH (TAG "B01") UID ADDTO (0 6)')
        c.ok(b'CANCELUPDATE "B01" "B02"')
        append(other, random.Random(1), b"up")
        tap.ok(not [li for li in c.ok(b"NOOP") if b"ESEARCH" in li])


def test_idle(s):
    """IDLE tells of them as they happen"""
    with fresh(s, b"id", 3) as c, login(s) as other:
        c.ok(b"SEARCH RETURN (UPDATE ALL) FLAGGED", b"i1")
        c.send(b"i2 IDLE\r\n")
        tap.ok(c.line().startswith(b"+"))
        other.ok(b"SELECT id")
        other.ok(b"STORE 3 +FLAGS.SILENT (\\Flagged)")
        while True:
            line = c.line()
            if b"ESEARCH" in line:
                break
        tap.eq(line, b'* ESEARCH (TAG "i1") ADDTO (0 3)')
        c.send(b"DONE\r\n")
        tap.ok(c.until(b"i2")[1].startswith(b"OK"))


def test_rules(s):
    """a tag goes on once; too many are refused; the mailbox ends them"""
    with fresh(s, b"ru", 2) as c:
        c.ok(b"SEARCH RETURN (UPDATE) ALL", b"a")
        c.refused(b"a", b"SEARCH RETURN (UPDATE) SEEN", b"BAD")
        c.refused(b"a", b"SORT RETURN (UPDATE) (DATE) UTF-8 SEEN", b"BAD")
        c.ok(b"SEARCH RETURN (ALL) ALL", b"a")
        c.refused(b"b", b'CANCELUPDATE "frob"', b"NO")
        for bad in (b"", b" a", b' "a', b' "a" ', b' "a""a"'):
            c.refused(b"b", b"CANCELUPDATE" + bad, b"BAD")
        c.ok(b'CANCELUPDATE "a"')
        c.refused(b"e", b"SEARCH RETURN (UPDATE) FROB", b"BAD")
        c.refused(b"e", b"SEARCH RETURN (UPDATE) CHARSET x-frob ALL", b"NO")
        for n in range(16):
            tap.eq(len(c.ok(b"SEARCH RETURN (UPDATE COUNT) ALL",
                            b"m%d" % n)), 1)
        lines = c.ok(b"SEARCH RETURN (UPDATE COUNT) ALL", b"more")
        tap.ok(lines[0].startswith(b'* NO [NOUPDATE "more"]'), lines)
        tap.eq(lines[1], b'* ESEARCH (TAG "more") COUNT 2')
        c.ok(b"SELECT ru")
        tap.eq(len(c.ok(b"SEARCH RETURN (UPDATE COUNT) ALL", b"m0")), 1)
        append(c, random.Random(1), b"ru")
        c.ok(b"UNSELECT")
        c.refused(b"b", b'CANCELUPDATE "m0"', b"BAD")


def test_numbers_stay(s):
    """numbers in the keys are those of when it was asked"""
    with fresh(s, b"ns", 4) as c:
        c.ok(b"UID SEARCH RETURN (UPDATE ALL) 3:4 FLAGGED", b"k1")
        c.ok(b"SEARCH RETURN (SAVE) 1")
        c.ok(b"UID SEARCH RETURN (UPDATE ALL) $ FLAGGED", b"k2")
        c.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
        c.ok(b"EXPUNGE")
        lines = c.ok(b"STORE 1:2 +FLAGS.SILENT (\\Flagged)")
        tap.contains(lines, b'* ESEARCH (TAG "k1") UID ADDTO (0 3)')
        tap.contains(lines, b'* ESEARCH (TAG "k2") UID ADDTO (0 1)')


def step(rng, c, other):
    who = rng.choice((c, other))
    kind = rng.randrange(10)
    if kind < 2:
        append(who, rng, b"rn", rng.choice((b"", b"\\Seen", b"\\Flagged")))
    elif kind < 7 and who.exists:
        ends = sorted(rng.choices(range(1, who.exists + 1), k=2))
        # A number may be of a message that is gone already: NO.
        who.n += 1
        for line in who.imap(b"c%d" % who.n, b"STORE %d:%d %sFLAGS (%s)" % (
                *ends, rng.choice((b"+", b"-")), rng.choice(FLAGS)))[0]:
            who.heard(line)
    elif kind < 8 and who.exists:
        who.n += 1
        for line in who.imap(b"c%d" % who.n, b"STORE %d +FLAGS.SILENT "
                             b"(\\Deleted)" % rng.randint(1, who.exists))[0]:
            who.heard(line)
        who.ok(b"EXPUNGE")
    else:
        who.ok(b"NOOP")


def test_random(s):
    """two sessions change a mailbox; the results stay those of new searches"""
    rng = random.Random(19)
    with fresh(s, b"rn") as c, login(s) as other:
        other.ok(b"SELECT rn")
        for tag, command in SEARCHES.items():
            c.results[tag] = []
            c.ok(command, tag)
        for n in range(400):
            step(rng, c, other)
            if n % 4:
                continue
            c.ok(b"NOOP")
            for tag, command in SEARCHES.items():
                new = b"x" + tag
                c.results[new] = []
                c.ok(command.replace(b"UPDATE", b"CONTEXT"), new)
                tap.eq(c.results[tag], c.results[new], "%r, step %d"
                       % (tag, n))


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
