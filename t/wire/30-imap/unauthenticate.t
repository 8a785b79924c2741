#!/usr/bin/python3
"""IMAP UNAUTHENTICATE (RFC 8437): one connection, one account after
another."""
import sys
import zlib
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import PASSWORD, Server
from wire import Line


class Client(Line):
    def ok(self, command, want=b"OK"):
        lines, rest = self.imap(b"t", command)
        tap.ok(rest.startswith(want), "%r: %r" % (command, rest))
        return b"\n".join(lines + [rest])

    def login(self, name):
        return self.ok(b'LOGIN %s@example.test "%s"' % (name,
                                                        PASSWORD.encode()))


def connect(s, name="imap"):
    c = Client(s.ports[name], tls=s.tls if name == "imaps" else None)
    c.line()
    return c


def test_all_is_gone(s):
    """account, mailbox, ENABLE; nothing is expunged"""
    for name in ("imap", "imaps"):
        with connect(s, name) as c:
            c.ok(b"UNAUTHENTICATE", b"BAD")
            tap.contains(c.login(b"alice"), b"UNAUTHENTICATE")
            c.ok(b"APPEND INBOX (\\Deleted) {5+}\r\na: b\n")
            c.ok(b"ENABLE QRESYNC UTF8=ACCEPT")
            c.ok(b"SELECT INBOX")
            c.ok(b"UNAUTHENTICATE x", b"BAD")
            said = c.ok(b"UNAUTHENTICATE")
            tap.contains(said, b"AUTH=PLAIN")
            tap.ok(b"IDLE" not in said, said)
            for command in (b"NOOP", b"CAPABILITY"):
                c.ok(command)
            for command in (b"SELECT INBOX", b"FETCH 1 FLAGS", b"IDLE",
                            b"UNAUTHENTICATE", b"COMPRESS DEFLATE"):
                c.ok(command, b"BAD")
            c.login(b"bob")
            c.ok(b"FETCH 1 FLAGS", b"BAD")
            tap.contains(c.ok(b"SELECT INBOX"), b"* 0 EXISTS")
            tap.contains(c.ok(b"ENABLE QRESYNC"), b"QRESYNC")
            c.ok(b"UNAUTHENTICATE")
            c.login(b"alice")
            tap.ok(b"* 0 EXISTS" not in c.ok(b"SELECT INBOX"))


def test_limit(s):
    """a login that has ended counts no more"""
    waiting = [connect(s) for _ in range(4)]
    for _ in range(3):
        for c in waiting[:3]:
            c.login(b"alice")
        waiting[3].ok(b'LOGIN alice@example.test "%s"' % PASSWORD.encode(),
                      b"NO [LIMIT]")
        for c in waiting[:3]:
            c.ok(b"UNAUTHENTICATE")
    for c in waiting:
        c.close()


def test_compressed(s):
    """compression stays, and no TLS can come over it"""
    with connect(s, "imap") as c:
        c.login(b"alice")
        c.ok(b"COMPRESS DEFLATE")
        out = zlib.compressobj(6, zlib.DEFLATED, -15)
        back = zlib.decompressobj(-15)

        def ask(command):
            c.send(out.compress(command) + out.flush(zlib.Z_SYNC_FLUSH))
            text = b""
            while not text.endswith(b"\r\n") or b"t " not in text:
                text += back.decompress(c.sock.recv(65536))
            return text

        said = ask(b"t UNAUTHENTICATE\r\n")
        tap.contains(said, b"t OK")
        tap.ok(b"STARTTLS" not in said, said)
        tap.contains(ask(b"t STARTTLS\r\n"), b"t BAD")
        tap.contains(ask(b't LOGIN bob@example.test "%s"\r\n'
                         % PASSWORD.encode()), b"t OK")
        tap.contains(ask(b"t COMPRESS DEFLATE\r\n"),
                     b"t NO [COMPRESSIONACTIVE]")


with Server({"limits": {"connections_per_login": 3}}) as server:
    tap.run(globals(), server)
tap.done()
