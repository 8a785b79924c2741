#!/usr/bin/python3
# test: timeout=300
"""The fine print of the milter protocol: old versions, steps left out or not
answered, skip, blanks, macros and who asks for them, several recipients,
aborts, surplus answers - each with a filter of its own on one server."""
import struct
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import CONTINUE, Milter, add_header, reply_code
from server import Server, wait_for
from wire import stuff

MESSAGE = (b"From: a@elsewhere.test\r\nTo:bob@example.test\r\n"
           b"Subject:  two\r\n folded\r\nX-8: caf\xe9 \xff\r\n"
           b"Message-Id: <m1@elsewhere.test>\r\n\r\nbody\r\n")
SKIP, LEADSPC, RCPT_REJ = 0x400, 0x100000, 0x800
NR_ALL = 0xff080


def u32(n):
    return struct.pack("!I", n)


class Rig:
    """A server with one milter, whose manners a test sets."""

    def __init__(self, server, milter):
        self.s, self.m = server, milter

    def set(self, step=None, protocol=0, version=6, actions=0x1ff,
            symbols=b""):
        self.m.step = step or (lambda session, command, data: None)
        self.m.offer = (version, actions, protocol)
        self.m.symbols = symbols
        self.m.sessions.clear()
        self.s.empty("bob")
        self.s.log_mark()

    def log_tail(self):
        return self.s.log_tail()

    def log_mark(self):
        self.s.log_mark()

    def send(self, message=MESSAGE, rcpts=("bob",), mail="<a@elsewhere.test>"):
        with self.s.line(ehlo="client.test") as c:
            c.must(250, "MAIL FROM:" + mail)
            for r in rcpts:
                c.must(250, "RCPT TO:<%s@example.test>" % r)
            c.must(354, "DATA")
            c.send(stuff(message))
            got = c.reply()
            c.must(221, "QUIT")
        return got

    def session(self, n=-1):
        wait_for("quit", lambda: self.m.sessions[n].steps[-1][0] == b"Q")
        return self.m.sessions[n]

    def letters(self, n=-1):
        return b"".join(c for c, _ in self.session(n).steps
                        if c != b"D").decode()

    def data(self, command, n=-1):
        return [d for c, d in self.session(n).steps if c == command]

    def log(self):
        return self.s.log_since_mark()


# ------------------------------------------------------------ negotiation

def test_offer(r):
    """version 6 is offered, with all actions and steps"""
    r.set()
    tap.eq(r.send()[0], 250)
    tap.eq(r.data(b"O"), [u32(6) + u32(0x1ff) + u32(0x1fffff)])


VERSIONS = [
    ("version 2: no DATA, no unknown command", 2, "OCHMR" + "LLLLL" + "NBEQ"),
    ("version 3: no DATA", 3, "OCUHMRLLLLLNBEQ"),
    ("version 4", 4, "OCUHMRTLLLLLNBEQ"),
    ("version 5", 5, "OCUHMRTLLLLLNBEQ"),
    ("version 6", 6, "OCUHMRTLLLLLNBEQ"),
]


def versions(r, version, want):
    r.set(version=version)
    with r.s.line() as c:
        c.must(500, "FOO bar")
        c.must(250, "EHLO x.test")
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(stuff(MESSAGE))
        c.must(250)
        c.must(221, "QUIT")
    tap.eq(r.letters(), want)


BAD_OFFERS = [
    ("version 1", (1, 0, 0)), ("version 7", (7, 0, 0)),
    ("a web server", (0x48545450, 0, 0)),
]


def bad_offers(r, offer):
    r.set()
    r.m.offer = offer
    with r.s.line(ehlo="x.test") as c:
        c.must(451, "MAIL FROM:<a@b.test>")
    tap.contains(r.log(), "version")


LEFT_OUT = [
    ("connect", 0x1, "C"), ("helo", 0x2, "H"), ("mail", 0x4, "M"),
    ("rcpt", 0x8, "R"), ("body", 0x10, "B"), ("headers", 0x20, "L"),
    ("end of headers", 0x40, "N"), ("data", 0x200, "T"),
]


def left_out(r, bit, letter):
    r.set(protocol=bit)
    tap.eq(r.send()[0], 250)
    tap.eq(r.letters(), "OCHMRTLLLLLNBEQ".replace(letter, ""))


def test_only_end(r):
    """a filter that wants nothing but the end, and edits there"""
    r.set(protocol=0x37f, step=lambda session, command, data: [
        add_header("X-Only", "end"), CONTINUE] if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    tap.eq(r.letters(), "OEQ")
    tap.contains(r.s.newest(), b"X-Only: end\r\n")


def test_no_reply(r):
    """a filter that answers no step but the end"""
    r.set(protocol=NR_ALL, step=lambda session, command, data:
          [reply_code("550 5.7.1 seen")] if command == b"E" else None)
    tap.eq(r.send(), (550, ["5.7.1 seen"]))


def two_messages(r):
    """The codes of the last reply of each of two messages in a session."""
    codes = []
    with r.s.line(ehlo="x.test") as c:
        for _ in range(2):
            codes.append(c.cmd("MAIL FROM:<a@b.test>"))
            if codes[-1] == 250:
                c.must(250, "RCPT TO:<bob@example.test>")
                c.must(354, "DATA")
                c.send(stuff(MESSAGE))
                codes[-1] = c.reply()[0]
            time.sleep(0.2)
    return codes


def test_liar(r):
    """one that said it would not answer, and does: a failure"""
    r.set(protocol=0x4000, step=lambda session, command, data:
          [CONTINUE, CONTINUE] if command == b"M" else None)
    codes = two_messages(r)
    tap.eq(codes[-1], 451)
    tap.ok(codes[0] in (250, 451), codes)


def test_surplus(r):
    """an answer too many, before the next message: a failure"""
    r.set(step=lambda session, command, data:
          [CONTINUE, (b"r", b"")] if command == b"E" else None)
    tap.eq(two_messages(r), [250, 451])
    tap.contains(r.log(), "not asked for")


def test_skip(r):
    """skip ends the headers and the body, and nothing else"""
    r.set(protocol=SKIP, step=lambda session, command, data:
          [(b"s", b"")] if command in (b"L", b"B") else None)
    tap.eq(r.send(MESSAGE + b"x" * 70 + b"\r\n" + (b"y" * 998 + b"\r\n") *
                  200)[0], 250)
    tap.eq(r.letters(), "OCHMRTLNBEQ")


def test_chunks(r):
    """the body comes in pieces of 65535 bytes at most, whole"""
    body = (b"z" * 998 + b"\r\n") * 200
    r.set()
    tap.eq(r.send(b"Subject: x\r\n\r\n" + body)[0], 250)
    tap.eq([len(d) for d in r.data(b"B")], [65535, 65535, 65535, 3395])
    tap.eq(b"".join(r.data(b"B")), body)


def test_no_body(r):
    """an empty body is no frame"""
    r.set()
    tap.eq(r.send(b"Subject: x\r\n\r\n")[0], 250)
    tap.eq(r.letters(), "OCHMRTLNEQ")


# ----------------------------------------------------------------- values

def values(r):
    return dict(d.rstrip(b"\0").split(b"\0", 1) if d.count(b"\0") > 1 else
                (d.rstrip(b"\0"), b"") for d in r.data(b"L"))


def test_values(r):
    """one leading blank goes, folds are LF, 8-bit bytes stay"""
    r.set()
    tap.eq(r.send()[0], 250)
    v = values(r)
    tap.eq(v[b"To"], b"bob@example.test")
    tap.eq(v[b"Subject"], b" two\n folded")
    tap.eq(v[b"X-8"], b"caf\xe9 \xff")


def test_leading_space(r):
    """agreed on, values keep their blanks, both ways"""
    r.set(protocol=LEADSPC, step=lambda session, command, data: [
        (b"h", b"X-None\0none\0"), (b"h", b"X-One\0 one\0"),
        (b"i", u32(1) + b"X-Two\0  two\0"),
        (b"m", u32(1) + b"Subject\0new\0"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    v = values(r)
    tap.eq(v[b"To"], b"bob@example.test")
    tap.eq(v[b"Subject"], b"  two\n folded")
    got = r.s.newest()
    for line in (b"X-None:none", b"X-One: one", b"X-Two:  two",
                 b"Subject:new", b"To:bob@example.test"):
        tap.contains(got, b"\r\n" + line + b"\r\n")


def test_no_leading_space(r):
    """not agreed on, each value gets one"""
    r.set(step=lambda session, command, data: [
        (b"h", b"X-None\0none\0"), (b"h", b"X-One\0 one\0"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    got = r.s.newest()
    tap.contains(got, b"\r\nX-None: none\r\n")
    tap.contains(got, b"\r\nX-One:  one\r\n")


def test_nul(r):
    """a NUL in a value is made a blank, not the end, and said"""
    r.set(step=lambda session, command, data: [
        (b"h", b"X-Nul\0before\0after\0"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    tap.contains(r.s.newest(), b"\r\nX-Nul: before after\r\n")
    tap.contains(r.log(), "NUL")


def test_nul_from_client(r):
    """a NUL from the client: the message is refused, no filter sees it cut"""
    r.set()
    code, texts = r.send(b"Subject: a\0b\r\n\r\nbody\r\n")
    tap.eq(code, 550)
    tap.ok("L" not in r.letters(), r.letters())


def test_eight_bit_back(r):
    """bytes of a filter's value are stored as they are"""
    r.set(step=lambda session, command, data: [
        (b"h", b"X-Eight\0caf\xe9 \xff\0"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    tap.contains(r.s.newest(), b"\r\nX-Eight: caf\xe9 \xff\r\n")


def test_arguments(r):
    """arguments of MAIL go as they were sent, one string each"""
    r.set()
    tap.eq(r.send(mail="<A@elsewhere.TEST> SIZE=1000 BODY=8BITMIME")[0], 250)
    tap.eq(r.data(b"M"), [b"<A@elsewhere.TEST>\0SIZE=1000\0"
                          b"BODY=8BITMIME\0"])


def test_null_sender(r):
    """the null sender is <>"""
    r.set()
    tap.eq(r.send(mail="<>")[0], 250)
    tap.eq(r.data(b"M"), [b"<>\0"])


# ----------------------------------------------------------------- macros

def macros(r, letter, n=-1):
    """The last D frame for a command: {name: value}."""
    found = {}
    for data in r.data(b"D", n):
        if data[:1] == letter:
            parts = data[1:].split(b"\0")
            found = dict(zip(parts[:-1:2], parts[1::2]))
    return {k.decode(): v.decode() for k, v in found.items()}


def test_usual_macros(r):
    """names and values of each stage, where nobody asked for others"""
    r.set()
    tap.eq(r.send(mail="<a@elsewhere.test> AUTH=c@elsewhere.test")[0], 250)
    c = macros(r, b"C")
    tap.eq({k: c.get(k) for k in ("j", "{daemon_name}", "_", "{client_addr}",
                                  "{client_name}", "{client_resolve}",
                                  "{daemon_addr}", "{if_addr}")},
           {"j": "mail.example.test", "{daemon_name}": "mail.example.test",
            "_": "[127.0.0.1]", "{client_addr}": "127.0.0.1",
            "{client_name}": "unknown", "{client_resolve}": "FAIL",
            "{daemon_addr}": "127.0.0.1", "{if_addr}": "127.0.0.1"})
    tap.eq(c["{daemon_port}"], str(r.s.ports["smtp"]))
    m = macros(r, b"M")
    tap.eq((m["{mail_addr}"], m["{mail_host}"], m["{auth_author}"]),
           ("a@elsewhere.test", "elsewhere.test", "c@elsewhere.test"))
    # Empty ones would switch some filters off.
    tap.ok("{auth_authen}" not in m and "{auth_type}" not in m, m)
    rcpt = macros(r, b"R")
    tap.eq((rcpt["{rcpt_addr}"], rcpt["{rcpt_mailer}"], rcpt["r"],
            rcpt["s"]), ("bob@example.test", "local", "ESMTP",
                         "client.test"))
    end = macros(r, b"E")
    tap.eq(end["{msg_id}"], "<m1@elsewhere.test>")
    ids = {macros(r, x)["i"] for x in (b"M", b"R", b"T", b"E")}
    tap.eq(len(ids), 1)
    tap.ok(len(ids.pop()) > 6)


def test_login_macros(r):
    """of a login, and gone for the next session"""
    r.set()
    with r.s.submission("alice") as c:
        c.sendmail("alice@example.test", "bob@example.test",
                   MESSAGE.replace(b"caf\xe9 \xff", b"x"))
    m = macros(r, b"M")
    tap.eq((m["{auth_authen}"], m["{auth_type}"]),
           ("alice@example.test", "PLAIN"))
    h = macros(r, b"H")
    tap.ok(h["{tls_version}"].startswith("TLSv1.") and h["{cipher}"] and
           h["{verify}"] == "NO", h)


def test_symbol_lists(r):
    """a filter's lists replace those of their stages, each alone"""
    r.set(symbols=u32(0) + b"j,{client_addr} {nonsense}\0" +
          u32(3) + b"{rcpt_addr}\0" + u32(5) + b"i {mail_addr}\0")
    tap.eq(r.send()[0], 250)
    tap.eq(sorted(macros(r, b"C")), ["j", "{client_addr}"])
    tap.eq(macros(r, b"R"), {"{rcpt_addr}": "bob@example.test"})
    tap.eq(sorted(macros(r, b"E")), ["i", "{mail_addr}"])
    tap.contains(macros(r, b"M"), "{mail_host}")        # nobody asked


def test_no_stale_macros(r):
    """each MAIL has macros, so that none of the last message stay"""
    r.set(symbols=u32(2) + b"{auth_authen}\0")
    tap.eq(r.send()[0], 250)
    tap.eq(list(macros(r, b"M")), ["i"])


# --------------------------------------------------- recipients and aborts

def test_recipients(r):
    """each recipient is judged by itself"""
    r.set(step=lambda session, command, data: {
        b"<alice@example.test>\0": [reply_code("550 5.7.1 not alice")],
        b"<carol@example.test>\0": [(b"t", b"")]}.get(data)
        if command == b"R" else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        tap.eq(c.ask("RCPT TO:<alice@example.test>"),
               (550, ["5.7.1 not alice"]))
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(451, "RCPT TO:<carol@example.test>")
        c.must(354, "DATA")
        c.send(stuff(MESSAGE))
        c.must(250)
        c.must(221, "QUIT")
    tap.eq(r.letters(), "OCHMRRRTLLLLLNBEQ")
    tap.eq(len(r.s.messages("bob")), 1)
    tap.eq(len(r.s.messages("alice")), 0)


def test_all_refused(r):
    """all recipients refused: an abort, no DATA"""
    r.set(step=lambda session, command, data:
          [(b"r", b"")] if command == b"R" else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(550, "RCPT TO:<bob@example.test>")
        c.must(554, "DATA")
        c.must(250, "RSET")
        c.must(221, "QUIT")
    tap.eq(r.letters(), "OCHMRAQ")


def refused_rcpt(r, protocol):
    r.set(protocol=protocol, step=lambda session, command, data:
          [(b"r", b"")] if b"nobody" in data and command == b"R" else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        code, texts = c.ask("RCPT TO:<nobody@example.test>")
        tap.eq(code, 550)
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(221, "QUIT")
    return texts[0]


def test_refused_unwanted(r):
    """recipients that we refuse are not shown"""
    refused_rcpt(r, 0)
    tap.eq(r.letters(), "OCHMRAQ")


def test_refused_wanted(r):
    """unless the filter wants them; then with our reply as macros"""
    text = refused_rcpt(r, RCPT_REJ)
    tap.eq(r.letters(), "OCHMRRAQ")
    first = [d for d in r.data(b"D") if d[:1] == b"R"][0][1:].split(b"\0")
    m = dict(zip(first[:-1:2], first[1::2]))
    tap.eq((m[b"{rcpt_mailer}"], m[b"{rcpt_host}"]), (b"error", b"5.1.1"))
    tap.contains(m[b"{rcpt_addr}"].decode(), text[:20])


ABORTS = [
    ("RSET", [b"RSET"], "OCHMRAQ"),
    ("EHLO", [b"EHLO again.test"], "OCHMRAHQ"),
    ("QUIT", [], "OCHMRAQ"),
    ("a new message after RSET", [b"RSET", b"MAIL FROM:<c@b.test>"],
     "OCHMRAMAQ"),
]


def aborts(r, lines, want):
    r.set()
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        for line in lines:
            c.must(250, line)
        c.must(221, "QUIT")
    tap.eq(r.letters(), want)


def test_lost_client(r):
    """the client goes in the middle: abort, quit"""
    r.set()
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RCPT TO:<bob@example.test>")
        c.must(354, "DATA")
        c.send(b"Subject: x\r\n")
    tap.eq(r.letters(), "OCHMRTAQ")


ACCEPTS = [
    ("C", "OCQ"), ("H", "OCHQ"), ("M", "OCHMMQ"), ("R", "OCHMRMRQ"),
    ("T", "OCHMRTMRTQ"), ("L", "OCHMRTLMRTLQ"),
    ("N", "OCHMRTLLLLLNMRTLLLLLNQ"), ("B", "OCHMRTLLLLLNBMRTLLLLLNBQ"),
    ("E", "OCHMRTLLLLLNBEMRTLLLLLNBEQ"),
]


def accepts(r, stage, want):
    r.set(step=lambda session, command, data:
          [(b"a", b"")] if command == stage.encode() else None)
    with r.s.line(ehlo="x.test") as c:
        for _ in range(2):
            c.must(250, "MAIL FROM:<a@b.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(MESSAGE))
            c.must(250)
        c.must(221, "QUIT")
    tap.eq(r.letters(), want)
    tap.ok(not any(d for c, d in r.session().steps[-2:] if c == b"D"),
           "macros of what was not asked")


DISCARDS = ["M", "R", "T", "L", "N", "B", "E"]


def discards(r, stage):
    r.set(step=lambda session, command, data:
          [(b"d", b"")] if command == stage.encode() else None)
    tap.eq(r.send()[0], 250)
    tap.eq(r.s.messages("bob"), [])


def test_discard_session(r):
    """discard at connect is no answer: a failure, not a hole"""
    r.set(step=lambda session, command, data:
          [(b"d", b"")] if command == b"C" else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(451, "MAIL FROM:<a@b.test>")


OUT_OF_PLACE = [("%s at %s" % (e.decode(), st), st, (e, d)) for st in "MLB"
                for e, d in ((b"h", b"X\0y\0"), (b"q", b"why\0"),
                             (b"b", b"x"))]


def out_of_place(r, stage, frame):
    r.set(step=lambda session, command, data:
          [frame] if command == stage.encode() else None)
    with r.s.line(ehlo="x.test") as c:
        codes = [c.cmd("MAIL FROM:<a@b.test>")]
        if codes[0] == 250:
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(MESSAGE))
            codes.append(c.reply()[0])
    tap.eq(codes[-1], 451)
    tap.eq(r.s.messages("bob"), [])


def test_odd_edit(r):
    """an edit that was not agreed on is done, and said once"""
    r.set(actions=0, step=lambda session, command, data: [
        add_header("X-A", "1"), add_header("X-B", "2"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    tap.contains(r.s.newest(), b"X-B: 2\r\n")
    tap.eq(r.log().count("did not agree on"), 1)


def test_rcpt_arguments(r):
    """ADDRCPT_PAR and arguments of CHGFROM are taken"""
    r.set(step=lambda session, command, data: [
        (b"2", b"<alice@example.test>\0NOTIFY=NEVER ORCPT=rfc822;x\0"),
        (b"e", b"<new@elsewhere.test>\0RET=HDRS ENVID=q\0"), CONTINUE]
        if command == b"E" else None)
    r.s.empty("alice")
    tap.eq(r.send()[0], 250)
    tap.eq(len(r.s.messages("alice")), 1)
    tap.contains(r.s.newest(), b"Return-Path: <new@elsewhere.test>\r\n")


BAD_ADDRESSES = [b"x@y\r\nRCPT TO:<z@y>", b"a b@example.test", b"@", b"a@",
                 b"<<a@b.test>>", b"a@b.test> SIZE=1", b"x" * 400 + b"@b.test"]


def bad_addresses(r, address):
    r.set(step=lambda session, command, data: [
        (b"+", address + b"\0"), (b"e", address + b"\0"), CONTINUE]
        if command == b"E" else None)
    tap.eq(r.send()[0], 250)
    tap.contains(r.s.newest(), b"Return-Path: <a@elsewhere.test>\r\n")
    tap.contains(r.log(), "not taken")


def test_multi_line(r):
    """a reply of several lines, at a recipient and at the end"""
    text = "550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 last"
    want = (550, ["5.7.1 first", "5.7.1 second", "5.7.1 last"])
    r.set(step=lambda session, command, data:
          [reply_code(text)] if command in (b"R", b"E") and
          (command == b"E" or b"alice" in data) else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        tap.eq(c.ask("RCPT TO:<alice@example.test>"), want)
    tap.eq(r.send(), want)


def test_later_codes(r):
    """421 at a recipient closes; a 4xx text stays with its 4xx"""
    r.set(step=lambda session, command, data:
          [reply_code("421 4.7.0 bye")] if command == b"R" else None)
    with r.s.line(ehlo="x.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        tap.eq(c.ask("RCPT TO:<bob@example.test>"), (421, ["4.7.0 bye"]))
        tap.ok(c.at_end())
    r.set(step=lambda session, command, data:
          [reply_code("450 4.2.0 later")] if command == b"E" else None)
    tap.eq(r.send(), (450, ["4.2.0 later"]))


def test_second_edits(r):
    """edits, then refused; the next message has none of them"""
    count = []

    def step(session, command, data):
        if command != b"E":
            return None
        count.append(1)
        return [add_header("X-Try", str(len(count))),
                (b"r" if len(count) == 1 else b"c", b"")]
    r.set(step=step)
    tap.eq(r.send()[0], 550)
    tap.eq(r.send()[0], 250)
    tap.ok(b"X-Try: 1" not in r.s.newest() and b"X-Try: 2" in r.s.newest())


with Milter() as milter:
    config = {"milter.one": {"socket": milter.socket, "timeout": "3s",
                             "data_timeout": "3s", "end_timeout": "3s",
                             "breaker_failures": 0}}
    with Server(config, accounts=("alice", "bob", "carol"),
                chain=["one"]) as server:
        rig = Rig(server, milter)
        tap.table(VERSIONS, versions, rig)
        tap.table(BAD_OFFERS, bad_offers, rig)
        tap.table([("left out: " + n, b, c) for n, b, c in LEFT_OUT],
                  left_out, rig)
        tap.table([("accept at " + s, s, w) for s, w in ACCEPTS], accepts,
                  rig)
        tap.table([("discard at " + s, s) for s in DISCARDS], discards, rig)
        tap.table([("abort by " + n, x, w) for n, x, w in ABORTS], aborts,
                  rig)
        tap.table(OUT_OF_PLACE, out_of_place, rig)
        tap.table([("address %r" % a[:20], a) for a in BAD_ADDRESSES],
                  bad_addresses, rig)
        tap.run(globals(), rig)
tap.done()
