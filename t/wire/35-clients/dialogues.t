#!/usr/bin/python3
# test: timeout=300
"""Dialogues in the style of well-known clients, dialogues/*.txt, each with an
account of its own that has five messages in INBOX.

    # ...           a comment
    @connect NAME   to that listener; on the next line comes the greeting
    @starttls       TLS begins here
    @compress       both directions are deflated from here on
    @append M       another session puts M into INBOX
    @flag UID F     another session sets a flag; @remove UID takes one away
    > ...           is sent, with a line end; ${M} is the message M, ${M.size}
                    its size, ${plain} the SASL answer, $name a word taken
    >> ...          the same without waiting for an answer: the next command
                    is pipelined
    < ...           must be among what is answered until the tagged line;
                    "..." is anything, $name takes a word or compares with it
    ! ...           must not be among it
    ?WORD line      only if the server has that capability (?!WORD: has not)

Untagged lines may come in any order and there may be more of them. What
comes while IDLE runs is waited for."""
import base64
import glob
import os
import re
import sys
import zlib
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import DOMAIN, PASSWORD, SLOW, Server
from wire import Line

HERE = os.path.dirname(os.path.abspath(__file__))
PLAIN = (b"From: Ann <ann@elsewhere.test>\r\nTo: me@example.test\r\n"
         b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nSubject: plain\r\n"
         b"Message-ID: <m1@elsewhere.test>\r\n\r\nHello\r\n")
PARTS = (b"From: Bob <bob@elsewhere.test>\r\nSubject: parts\r\n"
         b"Message-ID: <m2@elsewhere.test>\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\n"
         b"Content-Type: multipart/alternative; boundary=alt\r\n\r\n"
         b"--alt\r\nContent-Type: text/plain; charset=utf-8\r\n"
         b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe"
         b"\r\n--alt\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n"
         b"--alt--\r\n\r\n--mix\r\nContent-Type: image/png; name=\"a.png\"\r\n"
         b"Content-Disposition: attachment; filename=\"a.png\"\r\n"
         b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"
         b"--mix--\r\n")
REPLY = PLAIN.replace(b"m1@", b"m3@").replace(
    b"Subject: plain\r\n", b"Subject: Re: plain\r\nIn-Reply-To: "
    b"<m1@elsewhere.test>\r\nReferences: <m1@elsewhere.test>\r\n")
MESSAGES = {
    "m1": PLAIN, "m2": PARTS, "m3": REPLY,
    "m4": PLAIN.replace(b"m1@", b"m4@").replace(b"plain\r\n", b"four\r\n"),
    "m5": PLAIN.replace(b"m1@", b"m5@").replace(b"plain\r\n", b"five\r\n"),
    "new": PLAIN.replace(b"m1@", b"new@").replace(b"plain\r\n", b"new\r\n"),
    "sent": PLAIN.replace(b"m1@", b"sent@").replace(b"plain\r\n",
                                                    b"sent\r\n"),
}


class Deflated:
    """A socket's makefile and sendall, RFC 4978."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""
        self.out = zlib.compressobj(wbits=-15)
        self.into = zlib.decompressobj(wbits=-15)

    def sendall(self, data):
        self.sock.sendall(self.out.compress(data)
                          + self.out.flush(zlib.Z_SYNC_FLUSH))

    def more(self):
        got = self.sock.recv(65536)
        self.rest += self.into.decompress(got)
        return got

    def readline(self):
        while b"\n" not in self.rest and self.more():
            pass
        line, end, self.rest = self.rest.partition(b"\n")
        return line + end

    def read(self, n):
        while len(self.rest) < n and self.more():
            pass
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def close(self):
        self.sock.close()


class Player:
    def __init__(self, server, name):
        self.server, self.name = server, name
        self.user = "%s@%s" % (name, DOMAIN)
        self.names = {"user": self.user, "password": PASSWORD,
                      "plain": base64.b64encode(("\0%s\0%s" % (
                          self.user, PASSWORD)).encode()).decode()}
        self.got, self.capabilities = [], set()
        self.line = self.tag = None
        self.idle = False

    def setup(self):
        self.server.add_account(self.user)
        for m in ("m1", "m2", "m3", "m4", "m5"):
            self.append(m)
        self.flag("2", "\\Flagged")
        self.flag("3", "\\Seen")

    # ---- another session

    def other(self, *commands):
        box = self.server.imap(self.user)
        for method, *args in commands:
            status, answer = getattr(box, method)(*args)
            tap.eq(status, "OK", answer)
        box.logout()

    def append(self, m):
        self.other(("append", "INBOX", None, None, MESSAGES[m]))

    def flag(self, uid, flag):
        self.other(("uid", "STORE", uid, "+FLAGS", "(%s)" % flag))

    def remove(self, uid):
        self.other(("uid", "STORE", uid, "+FLAGS", "(\\Deleted)"),
                   ("expunge",))

    # ---- the wire

    def connect(self, listener):
        tls = self.server.listeners[listener][1] == "implicit"
        self.line = Line(self.server.ports[listener],
                         tls=self.server.tls if tls else None,
                         timeout=20 * SLOW)
        self.got = [self.line.logical_line()]
        self.note()

    def starttls(self):
        self.line.start_tls(self.server.tls)

    def compress(self):
        self.line.sock = self.line.file = Deflated(self.line.sock)

    def note(self):
        for line in self.got:
            m = re.search(rb"CAPABILITY ([^\]\r]*)", line)
            if m:
                self.capabilities = set(m[1].decode().upper().split())

    def fill_in(self, text):
        def value(m):
            name, _, size = m[1].partition(".")
            if name not in MESSAGES:
                return self.names[name]
            data = MESSAGES[name]
            return str(len(data)) if size else data.decode("latin-1")
        text = re.sub(r"\$([a-z]+)\b",
                      lambda m: self.names.get(m[1], m[0]), text)
        return re.sub(r"\$\{([\w.]+)\}", value, text).encode("latin-1")

    def send(self, text, wait):
        data = self.fill_in(text)
        self.line.send(data + b"\r\n")
        # DONE, a literal and a SASL answer belong to the command before.
        if not text.startswith("${") and text != "DONE":
            self.tag = data.split(b" ")[0]
            self.idle = data.upper().endswith(b" IDLE")
        else:
            self.idle = False
        if not wait:
            return
        self.got = []
        while not self.got or not self.got[-1].startswith(
                (self.tag + b" ", b"+")):
            self.got.append(self.line.logical_line())
        self.note()

    def matches(self, pattern, line):
        m = pattern.fullmatch(line)
        if m:
            self.names.update({k: v.decode() for k, v in
                               m.groupdict().items()})
        return m

    def pattern(self, text):
        """Dots are anything, $name a word that is known or to be taken."""
        out = []
        for piece in re.split(r"(\.\.\.|\$[a-z]+\b|\$\{[\w.]+\})", text):
            if piece == "...":
                out.append(b".*")
            elif piece.startswith("${"):
                out.append(re.escape(self.fill_in(piece)))
            elif re.fullmatch(r"\$[a-z]+", piece):
                name = piece[1:]
                out.append(re.escape(self.names[name].encode())
                           if name in self.names else
                           b"(?P<%s>[\\w:,]+)" % name.encode())
            else:
                out.append(re.escape(piece.encode("latin-1")))
        return re.compile(b"".join(out), re.S | re.I)

    def expect(self, text):
        pattern = self.pattern(text)
        while not any(self.matches(pattern, li) for li in self.got):
            tap.ok(self.idle, "%r is not in\n%s" % (text, self.shown()))
            self.got.append(self.line.logical_line())

    def refuse(self, text):
        pattern = self.pattern(text)
        tap.ok(not any(pattern.fullmatch(li) for li in self.got),
               "%r is in\n%s" % (text, self.shown()))

    def shown(self):
        return "\n".join(tap.shorten(li) for li in self.got)

    # ---- a dialogue

    def step(self, text):
        if text.startswith("?"):
            word, _, text = text.partition(" ")
            if (word.lstrip("?!") in self.capabilities) == \
                    word.startswith("?!"):
                return
        if text.startswith("@"):
            name, *args = text[1:].split()
            getattr(self, name)(*args)
        elif text.startswith(">>"):
            self.send(text[3:], False)
        elif text.startswith(">"):
            self.send(text[2:], True)
        elif text.startswith("<"):
            self.expect(text[2:])
        elif text.startswith("!"):
            self.refuse(text[2:])
        else:
            raise AssertionError("what is %r?" % text)

    def play(self, lines):
        for number, text in enumerate(lines, 1):
            if not text or text.startswith("#"):
                continue
            try:
                self.step(text)
            except (AssertionError, EOFError, OSError) as e:
                raise AssertionError("%s, line %d: %s\n%s" % (
                    self.name, number, text, e)) from e


def play(server, path):
    name = os.path.basename(path)[:-4]
    player = Player(server, name)
    player.setup()
    with open(path) as f:
        player.play(f.read().split("\n"))
    player.line.close()


with Server() as server:
    for path in sorted(glob.glob(os.path.join(HERE, "dialogues", "*.txt"))):
        with open(path) as f:
            title = f.readline().strip("# \n")
        tap.call(title, play, server, path)
tap.done()
