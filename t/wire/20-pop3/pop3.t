#!/usr/bin/python3
"""POP3, every command (RFC 1939, 2449, 2595, 5034)."""
import base64
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line

HEAD = b"From: a@elsewhere.test\r\nSubject: n%d\r\n\r\n"


class Pop(Line):
    """A raw connection that can read POP3 answers."""

    def ask(self, command):
        self.send(command.encode() + b"\r\n")
        return self.line().decode()

    def good(self, command):
        answer = self.ask(command)
        tap.ok(answer.startswith("+OK"), "%s: %s" % (command, answer))
        return answer

    def bad(self, command):
        answer = self.ask(command)
        tap.ok(answer.startswith("-ERR"), "%s: %s" % (command, answer))
        return answer

    def many(self, command):
        self.good(command)
        lines = []
        while True:
            line = self.line()
            if line == b".":
                return lines
            lines.append(line[1:] if line.startswith(b".") else line)


def connect(s, name="pop3"):
    tls = s.tls if name == "pop3s" else None
    c = Pop(s.ports[name], tls=tls)
    tap.ok(c.line().startswith(b"+OK"))
    return c


def login(s, name="pop3"):
    c = connect(s, name)
    c.good("USER bob@example.test")
    c.good("PASS " + PASSWORD)
    return c


def fill(s, n):
    s.empty("bob")
    for i in range(n):
        s.send(HEAD % i + b"body %d\r\n.dot\r\nend\r\n" % i)


def test_capa(s):
    """CAPA before and after STLS and login"""
    with connect(s) as c:
        words = [li.split()[0].decode() for li in c.many("CAPA")]
        for word in ("TOP", "UIDL", "USER", "SASL", "STLS"):
            tap.contains(words, word)
    with login(s) as c:
        words = [li.split()[0] for li in c.many("CAPA")]
        tap.ok(b"STLS" not in words, "STLS after login")


def test_utf8(s):
    """UTF8 and LANG (RFC 6856), and names in UTF-8"""
    s.add_account("b\u00f6b@example.test")
    with connect(s) as c:
        lines = c.many("CAPA")
        tap.ok(b"UTF8 USER" in lines and b"LANG" in lines, lines)
        c.good("UTF8")
        c.bad("UTF8 x")
        tap.eq(c.many("LANG"), [b"en English"])
        tap.ok(c.good("LANG en").startswith("+OK en "))
        c.good("LANG *")
        c.good("LANG en-GB")
        c.bad("LANG uga")
        c.send("USER b\u00f6b@example.test\r\n".encode())
        tap.ok(c.line().startswith(b"+OK"))
        c.good("PASS " + PASSWORD)
        c.good("LANG")
        tap.eq([c.line(), c.line()], [b"en English", b"."])
        c.bad("UTF8")


def test_order(s):
    """commands out of their state are refused"""
    with connect(s) as c:
        for command in ("STAT", "LIST", "RETR 1", "DELE 1", "UIDL", "TOP 1 1",
                        "RSET", "NOOP", "PASS x", "FROB", ""):
            c.bad(command)
        c.good("USER bob@example.test")
        c.good("PASS " + PASSWORD)
        c.bad("USER bob@example.test")
        c.bad("STLS")
        c.good("QUIT")
        tap.ok(c.at_end())


def test_wrong_login(s):
    """wrong password and unknown user look the same"""
    with connect(s) as c:
        c.good("USER bob@example.test")
        one = c.bad("PASS wrong")
        c.good("USER nobody@example.test")
        two = c.bad("PASS wrong")
        tap.eq(one, two)
        tap.contains(one, "[AUTH]")


def test_auth_plain(s):
    """AUTH PLAIN with and without an initial response; AUTH alone lists"""
    token = base64.b64encode(b"\0bob@example.test\0"
                             + PASSWORD.encode()).decode()
    with connect(s) as c:
        tap.contains(c.many("AUTH"), b"PLAIN")
        c.good("AUTH PLAIN " + token)
        c.good("STAT")
    with connect(s) as c:
        tap.ok(c.ask("AUTH PLAIN").startswith("+ "))
        c.good(token)
    with connect(s) as c:
        c.bad("AUTH FROB")
        tap.ok(c.ask("AUTH PLAIN").startswith("+"))
        c.bad("*")
        c.bad("AUTH PLAIN ====")


def test_password_with_blanks(s):
    """a password may hold blanks; PASS takes the rest of the line"""
    tap.ok(" " in PASSWORD)
    login(s).close()


def test_stat_list_uidl(s):
    """STAT, LIST, UIDL agree; with and without a number"""
    fill(s, 3)
    whole = s.messages("bob")
    with login(s) as c:
        total = sum(map(len, whole))
        tap.ok(c.good("STAT").startswith("+OK 3 %d" % total))
        tap.eq(c.many("LIST"), [b"%d %d" % (i + 1, len(m))
                                for i, m in enumerate(whole)])
        tap.ok(c.good("LIST 2").startswith("+OK 2 %d" % len(whole[1])))
        ids = [li.split()[1] for li in c.many("UIDL")]
        tap.eq(len(set(ids)), 3)
        tap.ok(all(0 < len(i) <= 70 for i in ids), ids)
        tap.eq(c.good("UIDL 3"), "+OK 3 " + ids[2].decode())
    with login(s) as c:
        tap.eq([li.split()[1] for li in c.many("UIDL")], ids, "not stable")


def test_retr_top(s):
    """RETR gives the bytes, TOP the header and n lines"""
    fill(s, 1)
    whole = s.messages("bob")[0]
    with login(s) as c:
        tap.eq(b"".join(li + b"\r\n" for li in c.many("RETR 1")), whole)
        head, body = whole.split(b"\r\n\r\n", 1)
        for n in (0, 1, 2, 3, 99):
            want = (head + b"\r\n\r\n").split(b"\r\n")[:-1] \
                + body.split(b"\r\n")[:-1][:n]
            tap.eq(c.many("TOP 1 %d" % n), want, "TOP 1 %d" % n)


def test_bad_numbers(s):
    """numbers that are none, or too big"""
    fill(s, 1)
    with login(s) as c:
        for arg in ("0", "2", "-1", "x", "1x", "99999999999999999999", ""):
            for verb in ("RETR", "DELE"):
                c.bad(("%s %s" % (verb, arg)).strip())
        c.bad("LIST 2")
        c.bad("UIDL 0")
        c.bad("TOP 1")
        c.bad("TOP 1 -1")
        c.bad("TOP 2 1")


def test_dele_rset(s):
    """DELE hides, RSET brings back, QUIT removes"""
    fill(s, 3)
    with login(s) as c:
        c.good("DELE 2")
        c.bad("DELE 2")
        c.bad("RETR 2")
        c.bad("LIST 2")
        tap.ok(c.good("STAT").startswith("+OK 2 "))
        tap.eq([li.split()[0] for li in c.many("LIST")], [b"1", b"3"])
        c.good("RSET")
        tap.eq(len(c.many("LIST")), 3)
        c.good("DELE 1")
        c.good("DELE 3")
        c.good("QUIT")
    left = s.messages("bob")
    tap.eq(len(left), 1)
    tap.contains(left[0], b"Subject: n1\r\n")


def test_no_quit(s):
    """without QUIT nothing is removed"""
    fill(s, 2)
    with login(s) as c:
        c.good("DELE 1")
    with login(s) as c:
        c.good("DELE 1")
        c.send(b"RETR 2")
    tap.eq(len(s.messages("bob")), 2)


def test_frozen(s):
    """mail that arrives does not change numbers of an open session"""
    fill(s, 1)
    with login(s) as c:
        c.good("STAT")
        s.send(HEAD % 7 + b"later\r\n")
        tap.ok(c.good("STAT").startswith("+OK 1 "))
        c.good("DELE 1")
        c.good("QUIT")
    left = s.messages("bob")
    tap.eq(len(left), 1)
    tap.contains(left[0], b"Subject: n7")


def test_stls(s):
    """STLS: upgrade, and what was pipelined before is thrown away"""
    with connect(s) as c:
        c.send(b"STLS\r\nUSER evil@example.test\r\n")
        tap.ok(c.line().startswith(b"+OK"))
        c.start_tls(s.tls)
        words = [li.split()[0] for li in c.many("CAPA")]
        tap.ok(b"STLS" not in words)
        c.bad("STLS")
        c.good("USER bob@example.test")
        c.good("PASS " + PASSWORD)


def test_pop3s(s):
    """implicit TLS, pipelined commands answered in order"""
    fill(s, 2)
    with login(s, "pop3s") as c:
        c.send(b"STAT\r\nNOOP\r\nLIST 1\r\nFROB\r\nQUIT\r\n")
        heads = [c.line().split()[0] for _ in range(5)]
        tap.eq(heads, [b"+OK", b"+OK", b"+OK", b"-ERR", b"+OK"])


def test_empty_mailbox(s):
    """an empty mailbox"""
    s.empty("bob")
    with login(s) as c:
        tap.ok(c.good("STAT").startswith("+OK 0 0"))
        tap.eq(c.many("LIST"), [])
        tap.eq(c.many("UIDL"), [])
        c.bad("RETR 1")


def test_long_line(s):
    """a very long command is refused, the session goes on or ends"""
    with connect(s) as c:
        c.send(b"USER " + b"x" * 100_000 + b"\r\n")
        tap.ok(c.line().startswith(b"-ERR"))


def test_two_readers(s):
    """two sessions on one mailbox, where that is allowed; removal in one is
    no surprise in the other"""
    fill(s, 2)
    with login(s) as one, login(s) as two:
        one.good("DELE 1")
        one.good("QUIT")
        answer = two.ask("RETR 1")
        tap.ok(answer.startswith(("+OK", "-ERR")), answer)
        if answer.startswith("+OK"):
            while two.line() != b".":
                pass
        tap.eq(b"".join(li + b"\r\n" for li in two.many("RETR 2")),
               s.messages("bob")[0])


with Server({"limits": {"pop3_exclusive": False}}) as server:
    tap.run(globals(), server)
tap.done()
