"""fakedns - a name server on loopback that says what a test tells it.

    with FakeDNS({"example.net MX": [(10, "mx.example.net")],
                  "mx.example.net A": ["127.0.0.1"]}) as dns:
        ... dns.address ...

A name with other types only: no data. An unknown name: NXDOMAIN. The value
None: no answer at all; the value "SERVFAIL": just that. Asked questions are
kept in dns.asked.
"""
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15,
         "TXT": 16, "AAAA": 28, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}


def pack_name(name):
    labels = [la for la in name.rstrip(".").split(".") if la]
    return b"".join(bytes([len(la)]) + la.encode() for la in labels) + b"\0"


def pack_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return struct.pack("!H", value[0]) + pack_name(value[1])
    if kind == "TXT":
        data = value.encode() if isinstance(value, str) else value
        parts = [data[i:i + 255] for i in range(0, len(data), 255)] or [b""]
        return b"".join(bytes([len(p)]) + p for p in parts)
    if kind == "TLSA":
        return value
    return pack_name(value)


def question(packet):
    """(name, type, where the question ends)."""
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack("!H", packet[at + 1:at + 3])[0], \
        at + 5


class FakeDNS:
    def __init__(self, zone=None, ttl=1):
        self.zone = dict(zone or {})
        self.ttl = ttl
        self.asked = []

    def bind(self):
        """One free port for both; False if UDP's was taken."""
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.udp.bind(("127.0.0.1", self.port))
        except OSError:
            self.udp.close()
            self.tcp.close()
            return False
        return True

    def __enter__(self):
        while not self.bind():
            pass
        self.address = "127.0.0.1:%d" % self.port
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *exc):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
                if not packet:          # shut down
                    return
                answer = self.answer(packet)
                if answer:
                    self.udp.sendto(answer, peer)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                size = conn.recv(2)
                if len(size) == 2:
                    answer = self.answer(conn.recv(struct.unpack("!H", size)[0]))
                    if answer:
                        conn.sendall(struct.pack("!H", len(answer)) + answer)

    def lookup(self, name, kind):
        """(rcode, [(owner, type, value)]); rcode None: stay silent."""
        records, owner = [], name.lower()
        for _ in range(8):
            here = self.zone.get("%s %s" % (owner, kind))
            alias = self.zone.get("%s CNAME" % owner)
            if here is None and "%s %s" % (owner, kind) in self.zone:
                return None, []
            if here == "SERVFAIL":
                return 2, []
            if here is not None:
                return 0, records + [(owner, kind, v) for v in here]
            if not alias:
                break
            records.append((owner, "CNAME", alias[0]))
            owner = alias[0].lower().rstrip(".")
        known = any(key.split()[0] == owner or
                    key.split()[0].endswith("." + owner) for key in self.zone)
        return (0 if known or records else 3), records

    def answer(self, packet):
        name, number, end = question(packet)
        kind = NAMES.get(number, str(number))
        self.asked.append((name.lower(), kind))
        rcode, records = self.lookup(name, kind)
        if rcode is None:
            return None
        body = b""
        for owner, record_kind, value in records:
            data = pack_data(record_kind, value)
            body += pack_name(owner) + struct.pack(
                "!HHIH", TYPES[record_kind], 1, self.ttl, len(data)) + data
        head = packet[:2] + struct.pack("!HHHHH", 0x8580 | rcode, 1,
                                        len(records), 0, 0)
        return head + packet[12:end] + body
