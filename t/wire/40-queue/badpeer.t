#!/usr/bin/python3
# test: timeout=240
"""Other servers that misbehave: whatever they do, no message is lost, it is
recorded rightly, and the next host is tried where that is right."""
import socket
import sys
import threading
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from fakedns import FakeDNS
from server import Server, free_ports, wait_for
from sink import Sink

TEXT = b"Subject: b\r\n\r\n.dot\r\nx\r\n"
VERBS = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".")


class Bad:
    """A server that follows a script: at a verb it does something odd."""

    def __init__(self, host, port):
        self.at = (host, port)
        self.odd = {}           # verb: bytes to send, or a function(conn)
        self.seen = 0
        self.data = []

    def __enter__(self):
        self.socket = socket.create_server(self.at, backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            self.seen += 1
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        try:
            self.talk(conn)
        except OSError:
            pass
        finally:
            conn.close()

    def say(self, conn, verb, usual):
        """False: that was the end."""
        odd = self.odd.get(verb)
        if callable(odd):
            return odd(conn) is not False
        conn.sendall(usual if odd is None else odd)
        return True

    def talk(self, conn):
        if not self.say(conn, "CONNECT", b"220 bad.test\r\n"):
            return
        lines = conn.makefile("rb")
        in_data, text = False, b""
        for line in lines:
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    if not self.say(conn, ".", b"250 2.0.0 kept\r\n"):
                        return
                    if b"250" in self.odd.get(".", b"250 ")[:4] \
                            if not callable(self.odd.get(".")) else False:
                        self.data.append(text)
                    text = b""
                else:
                    text += line
                continue
            verb = line.split()[0].upper().decode("latin-1")
            usual = {"EHLO": b"250-bad.test\r\n250 8BITMIME\r\n",
                     "DATA": b"354 go\r\n",
                     "QUIT": b"221 bye\r\n"}.get(verb, b"250 2.0.0 ok\r\n")
            if not self.say(conn, verb, usual):
                return
            in_data = verb == "DATA" and self.odd.get("DATA", b"354")[:3] \
                == b"354" if not callable(self.odd.get("DATA")) else False


class House:
    def __enter__(self):
        port = free_ports(1)[0]
        # A domain that does not answer is left alone for a while, so that
        # each message has one of its own.
        zone = {"mx1.test A": ["127.0.0.2"], "mx2.test A": ["127.0.0.3"]}
        for n in range(200):
            zone["one%d.test MX" % n] = [(10, "mx1.test")]
            zone["two%d.test MX" % n] = [(10, "mx1.test"), (20, "mx2.test")]
        self.n = 0
        self.dns = FakeDNS(zone).__enter__()
        self.bad = Bad("127.0.0.2", port).__enter__()
        self.good = Sink(host="127.0.0.3", port=port).__enter__()
        self.server = Server({
            "dns": {"servers": [self.dns.address]},
            "queue": {"port": port, "retry_first": "30m", "timeout": "1s",
                      "connect_timeout": "1s",
                      "connection_idle": "0s"}}).__enter__()
        return self

    def __exit__(self, *exc):
        for part in (self.server, self.good, self.bad, self.dns):
            part.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()

    def send(self, hosts, odd):
        """To a domain with one or two of them: ("good"|"bad", data),
        ("failed", report) or ("waits", reply)."""
        self.n += 1
        domain = "%s%d.test" % (hosts, self.n)
        self.server.drop_queue()
        self.server.empty("alice")
        self.good.messages.clear()
        self.bad.data.clear()
        self.bad.odd = odd
        m = self.server.submission()
        m.sendmail("alice@example.test", ["x@" + domain], TEXT)
        m.quit()

        def outcome():
            if self.good.messages:
                return "good", self.good.messages[0].data
            for q in self.server.queue():
                if q["reply"]:
                    return "waits", q["reply"]
            for r in self.server.messages("alice"):
                return "failed", r.decode()
            if self.bad.data:
                return "bad", self.bad.data[0]
        wait_for("an outcome of %r" % odd, outcome, 20)
        return outcome()

    def waits(self, odd, word=""):
        """It waits where there is no other host, and goes to the next."""
        how, text = self.send("one", odd)
        tap.eq(how, "waits", "%r: %s" % (odd, text))
        tap.contains(text, word)
        how, text = self.send("two", odd)
        tap.eq(how, "good", "%r: %s" % (odd, text))
        tap.contains(text, b"\r\n\r\n.dot\r\nx\r\n")


def drop(conn):
    return False


def test_drop(h):
    """it closes instead of each answer"""
    for verb in VERBS[:-1]:
        h.waits({verb: drop})


def test_drop_at_dot(h):
    """it closes instead of the last answer: nobody knows, so once more"""
    how, text = h.send("one", {".": drop})
    tap.eq(how, "waits", text)
    tap.contains(text, "4.4.2")


def test_temporary(h):
    """4xx to each verb"""
    for verb in VERBS:
        reply = b"451 4.7.1 not now\r\n"
        if verb == "CONNECT":
            reply = b"421 4.7.1 not now\r\n"
        how, text = h.send("one", {verb: reply})
        tap.eq(how, "waits", verb)
        tap.contains(text, "not now", verb)


def test_permanent(h):
    """5xx to each verb: the sender hears of it, with the words"""
    for verb in VERBS[2:]:
        how, text = h.send("one", {verb: b"550 5.7.1 never ever\r\n"})
        tap.eq(how, "failed", "%s: %s" % (verb, text))
        tap.contains(text, "never ever")
        tap.contains(text, "5.7.1")


def test_greeting_554(h):
    """554 for a greeting: another host may take it"""
    how, text = h.send("two", {"CONNECT": b"554 5.7.1 go away\r\n"})
    tap.ok(how in ("good", "failed"), how)


def test_nonsense(h):
    """what is no SMTP, or too much of it"""
    for odd in (b"hello there\r\n", b"\r\n", b"2500 x\r\n", b"25\r\n",
                b"250" + b"x" * 100000 + b"\r\n", b"\0" * 50 + b"\r\n",
                b"".join(b"250-%d\r\n" % i for i in range(5000)),
                b"999 what\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        for verb in "EHLO", "MAIL", "RCPT":
            how, text = h.send("one", {verb: odd})
            tap.ok(how in ("waits", "failed"), "%r: %s" % (odd[:20], how))
        how, text = h.send("one", {".": odd})
        tap.eq(how, "waits", repr(odd[:20]))


def test_fragments(h):
    """answers byte by byte, and several lines: as if they were whole"""
    def slowly(data):
        def odd(conn):
            for b in data:
                conn.sendall(bytes([b]))
                time.sleep(0.005)
        return odd
    h.bad.data.clear()
    how, data = h.send("one", {
        "CONNECT": slowly(b"220-one\r\n220 two\r\n"),
        "EHLO": slowly(b"250-bad\r\n250-PIPELINING\r\n250 SIZE 99999\r\n"),
        "MAIL": slowly(b"250-2.1.0 one\r\n250 2.1.0 two\r\n"),
        "RCPT": slowly(b"250 2.1.5 ok\r\n")})
    tap.eq(how, "bad")
    tap.contains(data, b"..dot\r\nx\r\n")


def test_hang(h):
    """it says nothing for longer than we wait"""
    def hang(conn):
        time.sleep(2.5)
        return False
    for verb in "CONNECT", "MAIL", "DATA":
        h.waits({verb: hang})


def test_half_close(h):
    """it shuts its end and goes on reading"""
    def half(conn):
        conn.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
    for verb in "EHLO", "RCPT":
        h.waits({verb: half})


def test_421(h):
    """421 in the middle: later, or the next host"""
    for verb in "MAIL", "RCPT", "DATA":
        how, text = h.send("two", {verb: b"421 4.3.2 closing\r\n"})
        tap.eq(how, "good", "%s: %s" % (verb, text))


def test_early(h):
    """answers before they are asked: they count for what they follow, and no
    message is taken for delivered by them"""
    how, text = h.send("one", {
        "MAIL": b"250 a\r\n250 b\r\n354 c\r\n250 taken\r\n250 d\r\n",
        ".": b"550 5.0.0 not really\r\n"})
    tap.eq(how, "waits", text)
    tap.contains(text, "before it is asked")


def test_starttls(h):
    """STARTTLS that is offered and goes wrong: in the clear after all"""
    offers = b"250-bad\r\n250 STARTTLS\r\n"
    for odd in (b"454 4.7.0 no TLS now\r\n", b"220 go\r\nnonsense\r\n"):
        how, text = h.send("one", {"EHLO": offers, "STARTTLS": odd})
        tap.eq(how, "bad", text)


def test_aiosmtpd(h):
    """aiosmtpd for a peer"""
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        raise tap.Skip("aiosmtpd is not installed")
    got = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            got.append(envelope)
            return "250 OK"
    port = free_ports(1)[0]
    c = Controller(Handler(), hostname="127.0.0.4", port=port,
                   enable_SMTPUTF8=True)
    c.start()
    try:
        h.server.extra["route.aio"] = {"domains": ["aio.test"],
                                       "host": "127.0.0.4:%d" % port,
                                       "tls": "none"}
        h.server.write_config()
        h.server.restart()
        m = h.server.submission()
        for n in range(20):
            m.sendmail("alice@example.test", ["a@aio.test", "b@aio.test"],
                       b"Subject: %d\r\n\r\n.x\r\n" % n)
        m.quit()
        wait_for("20 messages", lambda: len(got) == 20)
        tap.eq({tuple(sorted(e.rcpt_tos)) for e in got},
               {("a@aio.test", "b@aio.test")})
        tap.ok(all(e.content.endswith(b"\r\n\r\n.x\r\n") for e in got),
               "content")
    finally:
        c.stop()


with House() as house:
    tap.run(globals(), house)
tap.done()
