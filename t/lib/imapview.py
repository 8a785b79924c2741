"""imapview - an IMAP client that is quick and believes nothing: one raw
socket, pipelined commands, and what the server has told of the selected
mailbox so far (numbers, UIDs, flags), as RFC 3501 section 5 and RFC 7162 let
a client see it. Each untagged line is checked against that view when it
comes; see imapmodel.py for what is checked behind it."""
import re
import socket

FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)$", re.S)
NUMBER = re.compile(rb"\* (\d+) ([A-Z]+)$")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
UID = re.compile(rb"\bUID (\d+)")
MODSEQ = re.compile(rb"MODSEQ \((\d+)\)")
SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
IDENT = re.compile(rb"X-Id: (\d+)")
VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([0-9:,]+)$")
LITERAL = re.compile(rb"\{(\d+)\}$")
HIGHEST = re.compile(rb"\[HIGHESTMODSEQ (\d+)\]")
RECENT = rb"\Recent"


class Wrong(AssertionError):
    """The server told something that cannot be."""


def expand(text):
    """b"1:3,7" as a list of numbers."""
    found = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        low, high = sorted((int(first), int(last or first)))
        found += range(low, high + 1)
    return found


def compress(numbers):
    """The shortest set of IMAP that names these numbers."""
    parts = []
    for n in sorted(numbers):
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b)
                     for a, b in parts)


class Entry:
    """A message of the view: uid and flags are None until they are told."""
    __slots__ = ("uid", "flags", "modseq")

    def __init__(self, uid=None, flags=None):
        self.uid, self.flags, self.modseq = uid, flags, 0


class Command:
    """kind: the verb in lower case, "seq " before it if message numbers may
    not change while it runs. begin(): called when its turn comes."""

    def __init__(self, text, kind, begin=None, **facts):
        self.text, self.kind, self.begin = text, kind, begin
        self.lines, self.fetched, self.vanished = [], [], []
        self.answer = None
        self.__dict__.update(facts)

    @property
    def ok(self):
        return self.answer.startswith(b"OK")


class Session:
    def __init__(self, port, name, trace=lambda *a: None, timeout=60):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name, self.trace = name, trace
        self.data, self.at = b"", 0
        self.queue, self.count = [], 0
        self.ended = self.bye = False
        self.qresync = False
        self.leave()
        while self.next_response() is None:
            self.receive()

    def leave(self):
        """No mailbox is selected."""
        self.box = None         # uidvalidity
        self.entries = []
        self.cache = None       # {uid: flags}, while it comes back
        self.highest = self.seen_modseq = 0
        self.read_only = False

    def close(self):
        self.sock.close()

    # ---- sending

    def put(self, *commands):
        """Sends commands in one go; they are answered in this order."""
        out = []
        for c in commands:
            self.count += 1
            c.tag = b"%s%d" % (self.name, self.count)
            out.append(c.tag + b" " + c.text + b"\r\n")
            self.trace(self.name, "C", c.tag + b" " + c.text)
        idle = not self.queue
        self.queue += commands
        self.sock.sendall(b"".join(out))
        if idle and commands and commands[0].begin:
            commands[0].begin()

    def raw(self, data):
        self.trace(self.name, "C", data.strip())
        self.sock.sendall(data)

    def do(self, *commands):
        """The same, and waits for the answers."""
        self.put(*commands)
        while self.queue:
            self.receive()
            self.work()
        return commands[-1]

    # ---- receiving

    def receive(self):
        got = self.sock.recv(262144)
        if not got:
            self.ended = True
            if self.queue and not self.bye:
                raise Wrong("the connection ended")
            self.queue = []
        self.data = self.data[self.at:] + got
        self.at = 0

    def next_response(self):
        """One response with its literals, or None: there is no whole one."""
        start = look = self.at
        while True:
            end = self.data.find(b"\r\n", look)
            if end < 0:
                return None
            literal = self.data[end - 1] == 0x7d and LITERAL.search(
                self.data, look, end)
            if not literal:
                self.at = end + 2
                return self.data[start:end]
            look = end + 2 + int(literal[1])

    def work(self):
        """Takes what has come; returns the commands that were answered."""
        done = []
        while True:
            line = self.next_response()
            if line is None:
                return done
            self.trace(self.name, "S", line)
            if line[:2] == b"* ":
                self.untagged(line)
            elif line[:1] == b"+":
                self.queue[0].lines.append(line)
            else:
                done.append(self.tagged(line))

    def tagged(self, line):
        c = self.queue.pop(0)
        tag, _, c.answer = line.partition(b" ")
        if tag != c.tag:
            raise Wrong("tag %r instead of %r" % (tag, c.tag))
        highest = HIGHEST.search(c.answer)
        # The highest MODSEQ that was seen is where to come back from, but
        # where removals have to wait it says so.
        if highest:
            self.seen_modseq = int(highest[1])
        if c.ok:
            self.highest = self.seen_modseq
        if self.queue and self.queue[0].begin:
            self.queue[0].begin()
        return c

    def untagged(self, line):
        c = self.queue[0] if self.queue else None
        number = NUMBER.match(line)
        if number:
            self.told_number(c, int(number[1]), number[2])
            return
        fetch = FETCH.match(line)
        if fetch:
            self.told_fetch(c, int(fetch[1]), fetch[2])
            return
        gone = VANISHED.match(line)
        if gone:
            self.told_vanished(c, gone[1], expand(gone[2]))
            return
        if line.startswith(b"* BYE"):
            self.bye = True
        if c:
            c.lines.append(line)
            highest = c.kind == "select" and HIGHEST.search(line)
            if highest:
                self.seen_modseq = int(highest[1])

    # ---- what it means for the view

    def told_number(self, c, n, what):
        if what == b"EXISTS":
            if n < len(self.entries):
                raise Wrong("EXISTS %d, but %d were there" % (
                    n, len(self.entries)))
            self.entries += [Entry() for _ in range(n - len(self.entries))]
        elif what == b"EXPUNGE":
            self.may_expunge(c)
            if self.qresync:
                raise Wrong("EXPUNGE where VANISHED is due")
            if not 1 <= n <= len(self.entries):
                raise Wrong("EXPUNGE %d of %d" % (n, len(self.entries)))
            gone = self.entries.pop(n - 1)
            if c and gone.uid:
                c.vanished.append(gone.uid)

    def may_expunge(self, c):
        if c is None or c.kind.startswith("seq "):
            raise Wrong("a message goes away while %s" % (
                "numbers are in use" if c else "no command runs"))

    def told_fetch(self, c, n, items):
        if not 1 <= n <= len(self.entries):
            raise Wrong("FETCH %d of %d" % (n, len(self.entries)))
        entry = self.entries[n - 1]
        uid, flags, modseq = (r.search(items) for r in (UID, FLAGS, MODSEQ))
        if uid:
            self.learn_uid(n, int(uid[1]))
        if flags:
            entry.flags = frozenset(flags[1].split()) - {RECENT}
        if modseq:
            if int(modseq[1]) < entry.modseq:
                raise Wrong("MODSEQ of %d went back" % n)
            entry.modseq = int(modseq[1])
            self.seen_modseq = max(self.seen_modseq, entry.modseq)
        if c:
            c.fetched.append((n, entry, items))

    def learn_uid(self, n, uid):
        entry = self.entries[n - 1]
        if entry.uid == uid:
            return
        if entry.uid is not None:
            raise Wrong("number %d was UID %d, now %d" % (n, entry.uid, uid))
        for other in self.entries[:n - 1]:
            if other.uid is not None and other.uid >= uid:
                raise Wrong("UID %d behind UID %d" % (uid, other.uid))
        for other in self.entries[n:]:
            if other.uid is not None and other.uid <= uid:
                raise Wrong("UID %d before UID %d" % (uid, other.uid))
        entry.uid = uid

    def told_vanished(self, c, earlier, uids):
        if not self.qresync:
            raise Wrong("VANISHED to a client that did not ask")
        if c:
            c.vanished += uids
        for uid in uids if self.cache is not None else ():
            self.cache.pop(uid, None)
        if earlier:
            return
        self.may_expunge(c)
        for uid in uids:
            self.remove_uid(uid)

    def remove_uid(self, uid):
        """Of those whose UID is not known any between the right neighbours may
        be the one, so what was told of their flags helps no more."""
        for i, entry in enumerate(self.entries):
            if entry.uid is not None and entry.uid > uid:
                break
            if entry.uid == uid:
                del self.entries[i]
                return
        else:
            i = len(self.entries)
        if not i or self.entries[i - 1].uid is not None:
            raise Wrong("VANISHED %d, which was not there" % uid)
        del self.entries[i - 1]
        for entry in reversed(self.entries[:i - 1]):
            if entry.uid is not None:
                break
            entry.flags, entry.modseq = None, 0

    def come_back(self, newer=False):
        """The end of SELECT (QRESYNC ...): what was cached, less what has
        vanished, and what was told, are all that is there; or all but those
        that came meanwhile."""
        told = {e.uid: e.flags for e in self.entries if e.uid is not None}
        whole = self.cache | told
        self.cache = None
        later = [e for e in self.entries[len(whole):] if e.uid is None]
        if len(whole) + newer * len(later) != len(self.entries):
            raise Wrong("came back to %d messages, but %d exist" % (
                len(whole), len(self.entries)))
        for n, uid in enumerate(sorted(whole), 1):
            self.learn_uid(n, uid)
            self.entries[n - 1].flags = whole[uid]
