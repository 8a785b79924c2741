"""scram - the client's side of SCRAM (RFC 5802, 7677), for tests.

    s = Scram("SCRAM-SHA-256", "user", "password", binding=bytes or None)
    first = s.first()
    last = s.last(server_first)
    s.check(server_last)                raises if the server is not right
"""
import base64
import hashlib
import hmac
import os


class Scram:
    def __init__(self, mechanism, user, password, binding=None, flag=None,
                 nonce=None):
        self.hash = {"1": hashlib.sha1, "256": hashlib.sha256}[
            mechanism.split("-")[2]]
        self.user = user.replace("=", "=3D").replace(",", "=2C")
        self.password = password.encode()
        self.binding = binding if mechanism.endswith("-PLUS") else None
        self.gs2 = flag or ("p=tls-exporter,," if self.binding else "n,,")
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()

    def hmac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def first(self):
        self.bare = "n=%s,r=%s" % (self.user, self.nonce)
        return (self.gs2 + self.bare).encode()

    def last(self, server_first):
        text = server_first.decode()
        fields = dict(f.split("=", 1) for f in text.split(","))
        assert fields["r"].startswith(self.nonce), "nonce"
        self.salt, self.count = fields["s"], int(fields["i"])
        salted = hashlib.pbkdf2_hmac(
            self.hash().name, self.password, base64.b64decode(self.salt),
            self.count)
        client = self.hmac(salted, b"Client Key")
        bind = self.gs2.encode() + (self.binding or b"")
        without = "c=%s,r=%s" % (base64.b64encode(bind).decode(),
                                 fields["r"])
        message = ("%s,%s,%s" % (self.bare, text, without)).encode()
        stored = self.hash(client).digest()
        proof = bytes(a ^ b for a, b in zip(client,
                                            self.hmac(stored, message)))
        self.signature = self.hmac(self.hmac(salted, b"Server Key"), message)
        return ("%s,p=%s" % (without, base64.b64encode(proof).decode())
                ).encode()

    def check(self, server_last):
        assert server_last == b"v=" + base64.b64encode(self.signature), \
            "the server does not know the password: %r" % server_last
