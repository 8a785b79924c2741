#!/usr/bin/python3
"""IMAP: greeting, login, states, syntax of the command line (RFC 3501)."""
import base64
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

PW = PASSWORD.encode()
TOKEN = base64.b64encode(b"\0bob@example.test\0" + PW)


def connect(s, name="imap"):
    c = Line(s.ports[name], tls=s.tls if name == "imaps" else None)
    tap.ok(c.line().startswith(b"* OK"))
    return c


def login(s, name="imap"):
    c = connect(s, name)
    ok(c, b'LOGIN bob@example.test "%s"' % PW)
    return c


def ok(c, command):
    lines, rest = c.imap(b"t1", command)
    tap.ok(rest.startswith(b"OK"), "%r: %r" % (command, rest))
    return lines


def refused(c, command, kind):
    lines, rest = c.imap(b"t2", command)
    tap.ok(rest.startswith(kind), "%r: %r, want %r" % (command, rest, kind))
    return rest


def test_capability(s):
    """CAPABILITY in the clear, under TLS, after login"""
    with connect(s) as c:
        words = ok(c, b"CAPABILITY")[0].split()
        for word in (b"IMAP4rev1", b"STARTTLS", b"AUTH=PLAIN", b"SASL-IR",
                     b"LITERAL+", b"ID", b"ENABLE"):
            tap.contains(words, word)
        ok(c, b"STARTTLS")
        c.start_tls(s.tls)
        words = ok(c, b"CAPABILITY")[0].split()
        tap.ok(b"STARTTLS" not in words)
        refused(c, b"STARTTLS", b"BAD")
        ok(c, b'LOGIN bob@example.test "%s"' % PW)
        words = ok(c, b"CAPABILITY")[0].split()
        for word in (b"IDLE", b"NAMESPACE", b"UIDPLUS", b"MOVE", b"UNSELECT",
                     b"SPECIAL-USE"):
            tap.contains(words, word)


def test_starttls_injection(s):
    """what was pipelined before TLS is thrown away"""
    with connect(s) as c:
        c.send(b'a STARTTLS\r\nb LOGIN bob@example.test "%s"\r\n' % PW)
        tap.ok(c.until(b"a")[1].startswith(b"OK"))
        c.start_tls(s.tls)
        refused(c, b"SELECT INBOX", b"BAD")


def test_login_forms(s):
    """LOGIN with atoms, quoted strings, literals and LITERAL+"""
    user = b"bob@example.test"
    for command in (
            b'LOGIN "%s" "%s"' % (user, PW),
            b"LOGIN {%d+}\r\n%s {%d+}\r\n%s" % (len(user), user, len(PW), PW),
            b"login %s {%d+}\r\n%s" % (user, len(PW), PW)):
        with connect(s) as c:
            ok(c, command)
    with connect(s) as c:
        c.send(b"a LOGIN {%d}\r\n" % len(user))
        tap.ok(c.line().startswith(b"+"))
        c.send(user + b" {%d}\r\n" % len(PW))
        tap.ok(c.line().startswith(b"+"))
        c.send(PW + b"\r\n")
        tap.ok(c.until(b"a")[1].startswith(b"OK"))


def test_authenticate(s):
    """AUTHENTICATE PLAIN, with SASL-IR and without; cancel; unknown"""
    with connect(s) as c:
        ok(c, b"AUTHENTICATE PLAIN " + TOKEN)
    with connect(s) as c:
        c.send(b"a AUTHENTICATE PLAIN\r\n")
        tap.ok(c.line().startswith(b"+"))
        c.send(b"*\r\n")
        tap.ok(c.until(b"a")[1].startswith(b"BAD"))
        c.send(b"b AUTHENTICATE PLAIN\r\n")
        c.line()
        c.send(TOKEN + b"\r\n")
        tap.ok(c.until(b"b")[1].startswith(b"OK"))
    with connect(s) as c:
        refused(c, b"AUTHENTICATE FROB", b"NO")
        rest = refused(c, b'LOGIN bob@example.test "wrong"', b"NO")
        tap.contains(rest, b"[AUTHENTICATIONFAILED]")
        rest = refused(c, b'LOGIN nobody@example.test "x"', b"NO")
        tap.contains(rest, b"[AUTHENTICATIONFAILED]")


def test_states(s):
    """commands out of their state are BAD"""
    with connect(s) as c:
        for command in (b"SELECT INBOX", b'LIST "" *', b"FETCH 1 FLAGS",
                        b"IDLE", b"EXPUNGE", b"NAMESPACE"):
            refused(c, command, b"BAD")
    with login(s) as c:
        for command in (b"FETCH 1 FLAGS", b"SEARCH ALL", b"CLOSE",
                        b"STORE 1 FLAGS ()", b"EXPUNGE", b"UNSELECT",
                        b"LOGIN a b", b"AUTHENTICATE PLAIN"):
            refused(c, command, b"BAD")


def test_syntax(s):
    """malformed commands are BAD and the session goes on"""
    with login(s) as c:
        ok(c, b"SELECT INBOX")
        for command in (
                b"", b"FROB", b"SELECT", b"SELECT INBOX extra", b"FETCH",
                b"FETCH 1", b"FETCH 0 FLAGS", b"FETCH 1 (FLAGS", b"FETCH x "
                b"FLAGS", b"FETCH 1 FROB", b"FETCH 1 BODY[FROB]",
                b"FETCH 1 BODY[", b"FETCH 1 BODY[]<1.0>", b"STORE 1",
                b"STORE 1 FROB ()", b"STORE 1 FLAGS (\\Frob Bar",
                b"SEARCH", b"SEARCH FROB", b"SEARCH OR ALL", b"SEARCH (ALL",
                b"UID", b"UID FROB 1", b"COPY 1", b'LOGIN "x', b'LIST ""',
                b"STATUS INBOX", b"STATUS INBOX (FROB)", b"NOOP x",
                b"FETCH 1:: FLAGS", b"FETCH 1,,2 FLAGS",
                b"FETCH 4294967296 FLAGS", b"UID FETCH 99999999999 FLAGS",
                b"SEARCH SINCE 31-Foo-2020", b"APPEND INBOX",
                b"NOOP \0", b"ENABLE"):
            refused(c, command, b"BAD")
        ok(c, b"NOOP")


def test_bad_tag(s):
    """a line without a sensible tag gets an untagged BAD"""
    with connect(s) as c:
        for line in (b"*", b"+ NOOP", b"", b"a(b NOOP"):
            c.send(line + b"\r\n")
            answer = c.line()
            tap.ok(b"BAD" in answer, "%r: %r" % (line, answer))
        ok(c, b"NOOP")


def test_pipelining(s):
    """commands sent at once are answered in order"""
    with login(s) as c:
        c.send(b"a SELECT INBOX\r\nb NOOP\r\nc SEARCH ALL\r\nd LOGOUT\r\n")
        tags = []
        while len(tags) < 4:
            line = c.line()
            if line[:1] in b"abcd" and line[1:2] == b" ":
                tags.append(line[:1])
        tap.eq(tags, [b"a", b"b", b"c", b"d"])
        tap.ok(c.at_end())


def test_logout(s):
    """LOGOUT: BYE first"""
    with login(s) as c:
        lines, rest = c.imap(b"x", b"LOGOUT")
        tap.ok(lines[-1].startswith(b"* BYE"), lines)
        tap.ok(rest.startswith(b"OK"))
        tap.ok(c.at_end())


def test_id_namespace_enable(s):
    """ID, NAMESPACE, ENABLE"""
    with login(s) as c:
        tap.contains(ok(c, b"ID NIL")[0], b"Mailroom")
        tap.contains(ok(c, b'ID ("name" "test" "x" NIL)')[0], b"* ID (")
        tap.eq(ok(c, b"NAMESPACE"), [
            b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL'])
        lines = ok(c, b"ENABLE FROB")
        tap.ok(lines and lines[0].startswith(b"* ENABLED"), lines)


def test_huge_literal(s):
    """a literal too big is refused before it is read"""
    with login(s) as c:
        c.send(b"a APPEND INBOX {999999999}\r\n")
        answer = c.line()
        tap.ok(answer.startswith((b"a NO", b"a BAD")), answer)
        ok(c, b"NOOP")
    with connect(s) as c:
        c.send(b"a LOGIN {999999999}\r\n")
        answer = c.line()
        tap.ok(answer.startswith((b"a NO", b"a BAD")), answer)


def test_flood(s):
    """a line without end does not grow the worker"""
    pid = s.worker("mailbox")
    before = s.memory(pid, "VmRSS")
    with connect(s) as c:
        try:
            for _ in range(40):
                c.send(b"x" * 1_000_000)
        except OSError:
            pass
        tap.ok(s.memory(pid, "VmRSS") - before < 16_000)


def test_imaps(s):
    """implicit TLS"""
    with login(s, "imaps") as c:
        ok(c, b"SELECT INBOX")


with Server({"limits": {"errors": 1000}}) as server:
    tap.run(globals(), server)
tap.done()
