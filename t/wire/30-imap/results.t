#!/usr/bin/python3
"""What SEARCH and SORT are asked to return: ESORT (RFC 5267 section 3), PARTIAL
of SEARCH, SORT and UID FETCH (RFC 9394), against the whole result."""
import random
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

N = 40
GONE = (1, 7, 8, 9, 23, 40)


class Box(Line):
    def ok(self, command):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
        return lines

    def refused(self, command, how):
        rest = self.imap(b"t", command)[1]
        tap.ok(rest.startswith(how), "%r: %r" % (command, rest))

    def old(self, command):
        """The numbers of a * SEARCH or * SORT."""
        return [int(n) for n in self.ok(command)[0].split()[2:]]

    def result(self, command):
        """The data of one ESEARCH, as a dict."""
        lines = self.ok(command)
        tap.eq(len(lines), 1, "%r: %r" % (command, lines))
        got = re.match(rb'\* ESEARCH \(TAG "t"\)( UID)?((?: \S+ '
                       rb'(?:\([^)]*\)|\S+))*)$', lines[0])
        tap.ok(got, lines[0])
        tap.eq(bool(got.group(1)), command.startswith(b"UID"))
        return {k: v for k, v in re.findall(
            rb"(\S+) (\([^)]*\)|\S+)", got.group(2))}


def numbers(text):
    """What a set stands for, in its order; ranges go up (RFC 5267 3.2)."""
    got = []
    for part in text.split(b",") if text != b"NIL" else []:
        ends = [int(n) for n in part.split(b":")]
        tap.ok(ends[0] < ends[-1] or len(ends) == 1, part)
        got += range(ends[0], ends[-1] + 1)
    return got


def window(found, first, last):
    if first < 0:
        return found[::-1][-first - 1:-last][::-1]
    return found[first - 1:last]


def login(s):
    c = Box(s.ports["imap"])
    c.line()
    c.ok(b'LOGIN bob@example.test "%s"' % PASSWORD.encode())
    return c


def fill(s):
    """40 messages, some of them gone, with random subjects and sizes."""
    rng = random.Random(11)
    with login(s) as c:
        c.ok(b"CREATE r")
        for _ in range(N):
            m = b"Subject: %s\r\n\r\n%s\r\n" % (
                rng.choice([b"a", b"b", b"c"]), b"x" * rng.randrange(99))
            c.ok(b"APPEND r {%d+}\r\n%s" % (len(m), m))
        c.ok(b"SELECT r")
        c.ok(b"STORE %s +FLAGS.SILENT (\\Deleted)" % b",".join(
            b"%d" % n for n in GONE))
        c.ok(b"EXPUNGE")
        c.ok(b"STORE 3,5:11,20 +FLAGS.SILENT (\\Flagged)")


def test_capability(s):
    """it is announced"""
    fill(s)
    with login(s) as c:
        words = c.ok(b"CAPABILITY")[0].split()
        for word in (b"ESORT", b"PARTIAL"):
            tap.contains(words, word)


def test_esort(s):
    """MIN, MAX, ALL and COUNT follow the order that was asked for"""
    with login(s) as c:
        c.ok(b"SELECT r")
        for uid in (b"", b"UID "):
            for rest in (b"(SUBJECT) UTF-8 ALL", b"(REVERSE SIZE) UTF-8 ALL",
                         b"(REVERSE ARRIVAL SUBJECT) UTF-8 FLAGGED"):
                want = c.old(uid + b"SORT " + rest)
                got = c.result(uid + b"SORT RETURN (MIN MAX ALL COUNT) "
                               + rest)
                tap.eq(numbers(got[b"ALL"]), want)
                tap.eq([int(got[b"MIN"]), int(got[b"MAX"]),
                        int(got[b"COUNT"])],
                       [want[0], want[-1], len(want)])
                tap.eq(numbers(c.result(uid + b"SORT RETURN () "
                                        + rest)[b"ALL"]), want)
        tap.eq(c.result(b"SORT RETURN (MIN COUNT ALL) (DATE) UTF-8 SEEN"),
               {b"COUNT": b"0"})
        tap.eq(c.ok(b"SORT RETURN (SAVE) (REVERSE SIZE) UTF-8 FLAGGED"), [])
        tap.eq(c.old(b"SEARCH $"), c.old(b"SEARCH FLAGGED"))
        first = c.result(b"UID SORT RETURN (SAVE MIN) (REVERSE SIZE) UTF-8 "
                         b"ALL")[b"MIN"]
        tap.eq(c.old(b"UID SEARCH $"), [int(first)])
        for bad in (b"RETURN (FROB) (DATE) UTF-8 ALL", b"RETURN (ALL)",
                    b"RETURN ALL (DATE) UTF-8 ALL"):
            c.refused(b"SORT " + bad, b"BAD")


def test_partial(s):
    """windows from the front and from the end; NIL behind the last"""
    rng = random.Random(5)
    with login(s) as c:
        c.ok(b"SELECT r")
        for kind in (b"SEARCH ", b"UID SEARCH "):
            for keys in (b"ALL", b"FLAGGED", b"OR FLAGGED LARGER 90"):
                found = c.old(kind + keys)
                for _ in range(8):
                    ends = sorted(rng.choices(range(1, 45), k=2))
                    sign = rng.choice((1, -1))
                    text = b"%d:%d" % (sign * ends[0], sign * ends[1])
                    got = c.result(b"%sRETURN (PARTIAL %s COUNT) %s" % (
                        kind, text, keys))
                    said, part = got[b"PARTIAL"][1:-1].split(b" ")
                    tap.eq(said, text)
                    tap.eq(numbers(part), window(found, sign * ends[0],
                                                 sign * ends[1]), text)
                    tap.eq(int(got[b"COUNT"]), len(found))
        tap.eq(c.result(b"SEARCH RETURN (PARTIAL 3:1) ALL"),
               {b"PARTIAL": b"(3:1 1:3)"})
        tap.eq(c.result(b"SEARCH RETURN (PARTIAL 1:5) SEEN"),
               {b"PARTIAL": b"(1:5 NIL)"})
        order = c.old(b"UID SORT (SUBJECT SIZE) UTF-8 ALL")
        for first, last in ((2, 9), (-1, -5), (30, 99)):
            got = c.result(b"UID SORT RETURN (PARTIAL %d:%d) (SUBJECT SIZE) "
                           b"UTF-8 ALL" % (first, last))[b"PARTIAL"]
            tap.eq(numbers(got[1:-1].split(b" ")[1]),
                   window(order, first, last))
        for bad in (b"PARTIAL", b"PARTIAL 1", b"PARTIAL 0:1", b"PARTIAL 1:*",
                    b"PARTIAL -1:5", b"PARTIAL 1:-5", b"PARTIAL 1:2 ALL",
                    b"PARTIAL 1:2 PARTIAL 1:2", b"PARTIAL 1:4294967296"):
            c.refused(b"SEARCH RETURN (%s) ALL" % bad, b"BAD")


def test_partial_saved(s):
    """what PARTIAL leaves for "$" (RFC 9394 section 3.2)"""
    with login(s) as c:
        c.ok(b"SELECT r")
        found = c.old(b"UID SEARCH FLAGGED")
        for options, want in (
                (b"PARTIAL 2:4", found[1:4]),
                (b"PARTIAL -1:-2 MIN", found[:1] + found[-2:]),
                (b"PARTIAL 1:2 MAX", found[:2] + found[-1:]),
                (b"PARTIAL 3:4 MIN MAX", found[:1] + found[2:4] + found[-1:]),
                (b"PARTIAL 1:2 COUNT", found), (b"PARTIAL 90:99", [])):
            c.ok(b"SEARCH RETURN (SAVE %s) FLAGGED" % options)
            tap.eq(c.old(b"UID SEARCH $"), want, options)


def test_partial_modseq(s):
    """MODSEQ is that of the messages that are named (RFC 7162 3.1.10)"""
    with login(s) as c:
        c.ok(b"SELECT r (CONDSTORE)")
        of = {int(u): int(m) for u, m in re.findall(
            rb"UID (\d+) MODSEQ \((\d+)\)",
            b"\n".join(c.ok(b"FETCH 1:* (UID MODSEQ)")))}
        found = c.old(b"UID SEARCH ALL")
        for options, part in ((b"PARTIAL 1:2", found[:2]),
                              (b"PARTIAL 1:2 MAX", found[:2] + found[-1:]),
                              (b"MIN", found[:1]), (b"ALL", found)):
            got = c.result(b"UID SEARCH RETURN (%s) MODSEQ 1" % options)
            tap.eq(int(got[b"MODSEQ"]), max(of[u] for u in part), options)


def test_fetch_partial(s):
    """UID FETCH: the window is laid over the messages that are there"""
    with login(s) as c:
        c.ok(b"SELECT r")
        every = c.old(b"UID SEARCH ALL")

        def fetched(which, window, more=b""):
            lines = c.ok(b"UID FETCH %s (FLAGS) (PARTIAL %s%s)" % (
                which, window, more))
            return [int(re.search(rb"UID (\d+)", li).group(1))
                    for li in lines]

        tap.eq(fetched(b"1:*", b"1:5"), every[:5])
        tap.eq(fetched(b"1:*", b"-1:-7"), every[-7:])
        tap.eq(fetched(b"1:*", b"-7:-1"), every[-7:])
        tap.eq(fetched(b"5:12", b"2:4"), [6, 10, 11])
        tap.eq(fetched(b"5:12", b"90:99"), [])
        tap.eq(fetched(b"500:600", b"1:9"), [])
        flagged = c.old(b"UID SEARCH FLAGGED")
        c.ok(b"UID SEARCH RETURN (SAVE) FLAGGED")
        tap.eq(fetched(b"$", b"-1:-2"), flagged[-2:])
        modseq = int(re.search(rb"HIGHESTMODSEQ (\d+)", c.ok(
            b"STATUS r (HIGHESTMODSEQ)")[0]).group(1))
        c.ok(b"UID STORE %d +FLAGS.SILENT ($Forwarded)" % every[-2])
        tap.eq(fetched(b"1:*", b"-1:-3", b" CHANGEDSINCE %d" % modseq),
               [every[-2]])
        tap.eq(fetched(b"1:*", b"1:3", b" CHANGEDSINCE %d" % modseq), [])
        c.refused(b"FETCH 1:* FLAGS (PARTIAL 1:2)", b"BAD")
        for bad in (b"PARTIAL", b"PARTIAL 1", b"PARTIAL 1:2 PARTIAL 1:2",
                    b"PARTIAL 0:1", b"PARTIAL -1:1"):
            c.refused(b"UID FETCH 1:* FLAGS (%s)" % bad, b"BAD")


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
