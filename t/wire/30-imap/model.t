#!/usr/bin/python3
# test: timeout=600
"""Random sessions on shared mailboxes against a reference model: eight of
IMAP (some with CONDSTORE or QRESYNC, some that IDLE, some that leave and come
back), one of POP3 now and then, and mail that arrives by SMTP meanwhile.

    MAILROOM_MODEL_COMMANDS=100000    as many commands (default: 40 s long)
    MAILROOM_MODEL_SEED=N             the same choices again

What the sessions do at the same time is not in the same order in each run,
so a seed repeats the choices and mostly, not always, the failure."""
import collections
import os
import random
import select
import sys
import time
import traceback
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from imapmodel import DELETED, Burst, Model
from imapview import (HIGHEST, IDENT, SIZE, UID, Command, Session, Wrong,
                      compress, expand)
from server import DOMAIN, PASSWORD, SLOW, Server
from wire import Line, stuff

SESSIONS = 8
SECONDS = 40
MOST = 60               # messages of a mailbox, about
COMMANDS = int(os.environ.get("MAILROOM_MODEL_COMMANDS", "0"))
SEED = int(os.environ.get("MAILROOM_MODEL_SEED", "0")) or \
    random.SystemRandom().randrange(1, 1 << 31)

FLAGS = [b"\\Seen", b"\\Flagged", b"\\Answered", b"\\Draft", DELETED, b"$Junk",
         b"one", b"two"]
# a search key, and whether it finds a message of the model
KEYS = [
    (b"ALL", lambda m: True),
    (b"SEEN", lambda m: b"\\Seen" in m.flags),
    (b"UNSEEN", lambda m: b"\\Seen" not in m.flags),
    (b"FLAGGED NOT DELETED", lambda m: b"\\Flagged" in m.flags
     and DELETED not in m.flags),
    (b"OR DRAFT ANSWERED", lambda m: b"\\Draft" in m.flags
     or b"\\Answered" in m.flags),
    (b"KEYWORD one UNKEYWORD two", lambda m: b"one" in m.flags
     and b"two" not in m.flags),
    (b"DELETED", lambda m: DELETED in m.flags),
]


def make_message(ident):
    return (b"X-Id: %d\r\nFrom: m%d@elsewhere.test\r\nSubject: message %d\r\n"
            b"\r\n%s\r\n" % (ident, ident % 7, ident, b"x" * (ident % 97)))


class Play:
    def __init__(self, server):
        self.server = server
        self.random = random.Random(SEED)
        self.log = collections.deque(maxlen=2000)
        self.settled = 0        # how much was logged when all was right
        self.logged = 0
        self.ident = self.count = self.made = 0
        self.sizes = {}
        self.saved = {}         # {(session, box): (highest, {uid: flags})}
        self.popper = None
        self.uidls = {}
        self.tally = collections.Counter()

    def begin(self):
        self.truth = collections.deque(maxlen=200)
        oracle = Session(self.server.ports["imap"], b"oracle",
                         lambda *line: self.truth.append(line), 60 * SLOW)
        self.login(oracle)
        oracle.do(Command(b"ENABLE CONDSTORE", "enable"))
        self.model = Model(oracle)
        self.names = [b"INBOX", b"work", b"side"]
        oracle.do(Command(b"CREATE work", "create"),
                  Command(b"CREATE side", "create"))
        for name in self.names:
            self.model.adopt(name)
        self.sessions = [self.open(n) for n in range(SESSIONS)]

    # ---- sessions

    def trace(self, who, way, line):
        self.logged += 1
        self.log.append((who, way, line))

    def login(self, session):
        done = session.do(Command(b'LOGIN bob@%s "%s"' % (
            DOMAIN.encode(), PASSWORD.encode()), "login"))
        tap.ok(done.ok, done.answer)

    def open(self, n):
        """Every third session has CONDSTORE, every third QRESYNC."""
        s = Session(self.server.ports["imap"], b"abcdefgh"[n:n + 1],
                    self.trace, 60 * SLOW)
        s.number, s.idle = n, False
        self.login(s)
        if n % 3 == 1:
            s.do(Command(b"ENABLE CONDSTORE", "enable"))
        if n % 3 == 2:
            s.do(Command(b"ENABLE QRESYNC", "enable"))
            s.qresync = True
        return s

    def reopen(self, s):
        self.remember(s)
        s.close()
        self.sessions[s.number] = self.open(s.number)
        self.tally["reconnect"] += 1

    def remember(self, s):
        """What a client keeps of the mailbox it leaves."""
        if s.qresync and s.box and s.highest and all(
                e.uid is not None and e.flags is not None
                for e in s.entries):
            self.saved[s.number, s.box] = (s.highest, {
                e.uid: e.flags for e in s.entries})

    # ---- commands; each is a list, to be sent in one go

    def select(self, s, burst):
        self.remember(s)
        name = self.random.choice([n for n in self.names if (
            s.number, self.model.by_name(n).uidvalidity) in self.saved]
            or self.names)
        box = self.model.by_name(name)
        read_only = self.random.random() < 0.1
        verb = b"EXAMINE " if read_only else b"SELECT "
        back = self.saved.get((s.number, box.uidvalidity)) \
            if s.qresync else None

        def enter():
            s.leave()
            s.box, s.read_only = box.uidvalidity, read_only
            s.cache = dict(back[1]) if back else None
        if not back:
            yield Command(verb + name, "select", enter, back=False)
            yield Command(b"UID FETCH 1:* (FLAGS)", "fetch")
            return
        # Asked for what it knows, it is told of nothing else: newer ones are
        # fetched behind that.
        known = back[1] and self.random.random() < 0.5
        yield Command(b"%s%s (QRESYNC (%d %d%s))" % (
            verb, name, box.uidvalidity, back[0], b" " + compress(back[1])
            if known else b""), "select", enter, back=not known)
        if known:
            yield Command(b"UID FETCH %d:* (FLAGS)" % (max(back[1]) + 1),
                          "fetch", back=True)

    def some(self, s, most=6):
        """UIDs that the session knows."""
        known = [e.uid for e in s.entries if e.uid is not None]
        n = min(len(known), self.random.randint(1, most))
        return self.random.sample(known, n)

    def range(self, s):
        low = self.random.randint(1, len(s.entries))
        high = min(len(s.entries), low + self.random.choice((0, 0, 1, 5)))
        return low, high

    def seq_fetch(self, s, burst):
        low, high = self.range(s)
        what = self.random.choice((
            b"(UID FLAGS)", b"(FLAGS)", b"(UID RFC822.SIZE "
            b"BODY.PEEK[HEADER.FIELDS (X-Id)])", b"(UID INTERNALDATE)"))
        yield Command(b"FETCH %d:%d %s" % (low, high, what), "seq fetch")

    def uid_fetch(self, s, burst):
        what = self.random.choice((
            b"(FLAGS)", b"(RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-Id)])"))
        where = self.random.choice((b"1:*", None))
        if where is None:
            where = compress(self.some(s) or [1])
        yield Command(b"UID FETCH %s %s" % (where, what), "fetch")

    def changes(self):
        flags = self.random.sample(FLAGS, self.random.choice((1, 1, 2)))
        on = self.random.random() < 0.6
        return {f: on for f in flags}, b"%sFLAGS%%s (%s)" % (
            b"+" if on else b"-", b" ".join(flags))

    def store(self, s, burst):
        """By number or UID, silent or not."""
        uids = self.some(s)
        if not uids or s.read_only:
            return
        values, item = self.changes()
        silent = self.random.random() < 0.4
        item %= b".SILENT" if silent else b""
        box = s.box

        def begin():
            # One session's order is that in which it is answered.
            burst.change(s.number, box, uids, values)
            if silent:
                self.assume(s, uids, values)
        if burst.may_number and self.random.random() < 0.5:
            numbers = compress(n for n, e in enumerate(s.entries, 1)
                               if e.uid in uids)
            yield Command(b"STORE %s %s" % (numbers, item), "seq store",
                          begin)
        else:
            yield Command(b"UID STORE %s %s" % (compress(uids), item),
                          "store", begin)

    @staticmethod
    def assume(s, uids, values):
        """A silent change is what the client thinks it is."""
        for e in s.entries:
            if e.uid in uids and e.flags is not None:
                e.flags = frozenset(
                    {f for f in e.flags if values.get(f, True)} |
                    {f for f in values if values[f]})

    def search(self, s, burst):
        by_uid = not burst.may_number or self.random.random() < 0.5
        key, finds = self.random.choice(KEYS)
        extended = self.random.random() < 0.4
        c = Command(b"%sSEARCH %s%s" % (
            b"UID " if by_uid else b"",
            b"RETURN (MIN MAX ALL COUNT) " if extended else b"", key),
            "search" if by_uid else "seq search", finds=finds,
            extended=extended, by_uid=by_uid)
        c.begin = lambda: self.note_view(s, c)
        yield c

    @staticmethod
    def note_view(s, c):
        c.view = [e.uid for e in s.entries]

    def copy(self, s, burst):
        uids = self.some(s, 4)
        name = self.random.choice(self.names)
        box = self.model.by_name(name)
        moves = not s.read_only and self.random.random() < 0.5
        if not uids or (moves and box.uidvalidity == s.box) or \
                not moves and len(box.messages) > MOST:
            return
        verb = b"MOVE" if moves else b"COPY"
        if burst.may_number and self.random.random() < 0.5:
            numbers = compress(n for n, e in enumerate(s.entries, 1)
                               if e.uid in uids)
            text = b"%s %s %s" % (verb, numbers, name)
        else:
            text = b"UID %s %s %s" % (verb, compress(uids), name)
        yield Command(text, "move" if moves else "copy", uids=uids,
                      source=s.box, target=box)

    def append(self, s, burst):
        name = self.random.choice(self.names)
        box = self.model.by_name(name)
        if len(box.messages) > MOST:
            return
        self.ident += 1
        text = make_message(self.ident)
        self.sizes[self.ident] = len(text)
        flags = self.random.sample(FLAGS, self.random.choice((0, 1, 2)))
        yield Command(b"APPEND %s (%s) {%d+}\r\n%s" % (
            name, b" ".join(flags), len(text), text), "append",
            ident=self.ident, flags=frozenset(flags), target=box)

    def expunge(self, s, burst):
        if s.read_only:
            return
        box = s.box
        if self.random.random() < 0.5:
            uids = self.some(s, 10)
            if uids:
                yield Command(b"UID EXPUNGE " + compress(uids), "expunge",
                              lambda: burst.expunge(s.number, box, uids))
        else:
            yield Command(b"EXPUNGE", "expunge",
                          lambda: burst.expunge(s.number, box))

    def noop(self, s, burst):
        yield Command(self.random.choice((b"NOOP", b"CHECK")), "noop")

    def status(self, s, burst):
        name = self.random.choice(self.names)
        yield Command(b"STATUS %s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED "
                      b"HIGHESTMODSEQ)" % name, "status",
                      target=self.model.by_name(name))

    def close(self, s, burst):
        box, read_only = s.box, s.read_only
        self.remember(s)

        def begin():
            if not read_only:
                burst.expunge(s.number, box)
        yield Command(b"CLOSE", "close", begin)

    def since(self, s, burst):
        """What changed since some moment, RFC 7162 3.1.4.1 and 3.2.6."""
        if not s.number % 3:
            return
        box = self.model.boxes[s.box]
        modseq = self.random.randint(max(1, box.highest - 40), box.highest)
        c = Command(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d%s)" % (
            modseq, b" VANISHED" if s.qresync else b""), "fetch",
            since=modseq)
        c.begin = lambda: self.note_view(s, c)
        yield c

    SEQ = [seq_fetch, seq_fetch, store, store, search]
    ANY = [uid_fetch, store, store, store, search, copy, copy, append, append,
           expunge, noop, status, since]

    def commands(self, s, burst, n):
        """n commands for one session: those with numbers come first, since
        numbers may change once another one runs (RFC 3501 5.5)."""
        if not s.box or self.random.random() < 0.03:
            return list(self.select(s, burst))
        if self.random.random() < 0.02:
            return list(self.close(s, burst))
        out = []
        by_number = self.random.randint(0, n)
        for i in range(n):
            burst.may_number = i < by_number and s.entries and all(
                c.kind.startswith("seq ") for c in out)
            kinds = self.SEQ if burst.may_number else self.ANY
            out += self.random.choice(kinds)(self, s, burst)
        return out

    # ---- answers

    def answered(self, s, c, burst):
        self.count += 1
        self.tally[c.kind] += 1
        kind = c.kind.replace("seq ", "")
        if not c.ok and not (c.kind.startswith("seq ") and
                             c.answer.startswith(b"NO [EXPUNGEISSUED]")):
            raise Wrong("%r: %r" % (c.text, c.answer))
        take = getattr(self, "took_" + kind, None)
        if take:
            take(s, c, burst)

    def took_select(self, s, c, burst):
        if c.back:
            s.come_back(c.kind == "fetch")
            self.tally["came back"] += 1

    def took_close(self, s, c, burst):
        s.leave()

    def took_fetch(self, s, c, burst):
        for _, entry, items in c.fetched:
            ident, size, uid = (r.search(items) for r in (IDENT, SIZE, UID))
            if not ident:
                continue
            if not uid:
                raise Wrong("no UID in %r" % items)
            known = self.model.idents.setdefault((s.box, int(uid[1])),
                                                 int(ident[1]))
            if known != int(ident[1]):
                raise Wrong("UID %d is message %d, was %d" % (
                    int(uid[1]), int(ident[1]), known))
            if known in self.sizes and int(size[1]) != self.sizes[known]:
                raise Wrong("the size of UID %d" % int(uid[1]))
        if hasattr(c, "since") and burst.alone:
            self.check_since(s, c)
        if hasattr(c, "back"):
            self.took_select(s, c, burst)

    def check_since(self, s, c):
        box = self.model.boxes[s.box]
        told = {e.uid for _, e, _ in c.fetched}
        must = {u for u in c.view if u in box.messages and
                box.messages[u].modseq > c.since}
        if not must <= told:
            raise Wrong("CHANGEDSINCE %d without %r" % (
                c.since, sorted(must - told)))
        if not s.qresync:
            return
        gone = {u for u, (low, _) in box.gone.items() if low >= c.since}
        gone = {u for u in gone if u <= max(set(c.view) - {None}, default=0)}
        if not gone <= set(c.vanished):
            raise Wrong("VANISHED since %d without %r" % (
                c.since, sorted(gone - set(c.vanished))))
        if set(c.vanished) & set(box.messages):
            raise Wrong("VANISHED, but there: %r" % sorted(
                set(c.vanished) & set(box.messages)))

    def took_search(self, s, c, burst):
        answers = [li for li in c.lines if li.startswith((b"* SEARCH",
                                                          b"* ESEARCH"))]
        if len(answers) != 1:
            raise Wrong("%d answers to SEARCH" % len(answers))
        if c.extended:
            m = answers[0].partition(b" ALL ")[2].split(b" ")[0]
            found = expand(m) if m else []
            if b"COUNT %d" % len(found) not in answers[0]:
                raise Wrong("COUNT in %r" % answers[0])
        else:
            found = [int(n) for n in answers[0].split()[2:]]
        if not c.by_uid:
            if found and max(found) > len(c.view):
                raise Wrong("SEARCH found number %d" % max(found))
            found = [c.view[n - 1] for n in found]
        if not burst.alone or None in c.view:
            return
        box = self.model.boxes[s.box].messages
        want = [u for u in c.view if u in box and c.finds(box[u])]
        if found != want:
            raise Wrong("SEARCH found %r, not %r" % (found, want))

    def took_copy(self, s, c, burst):
        self.copied(s, c, burst, c.answer)

    def took_move(self, s, c, burst):
        line = b"".join(li for li in c.lines if b"[COPYUID " in li)
        uids = self.copied(s, c, burst, line)
        burst.take(s.number, c.source, uids)

    def copied(self, s, c, burst, line):
        here = self.model.boxes[c.source].messages
        _, _, code = line.partition(b"[COPYUID ")
        pairs = []
        if code:
            uv, old, new = code.partition(b"]")[0].split(b" ")
            if int(uv) != c.target.uidvalidity:
                raise Wrong("COPYUID of %s" % uv.decode())
            pairs = list(zip(expand(old), expand(new), strict=True))
        for old, new in pairs:
            if old not in c.uids or new < c.target.uidnext:
                raise Wrong("COPYUID %d to %d" % (old, new))
            burst.add(s.number, c.target.uidvalidity, new,
                      self.model.idents[c.source, old], None,
                      (c.source, old))
        copied = {old for old, _ in pairs}
        missed = {u for u in c.uids if u in here} - copied
        if missed:
            burst.uncopied.append((c.source, missed))
        return copied

    def took_append(self, s, c, burst):
        uv, uid = c.answer.partition(b"[APPENDUID ")[2].partition(
            b"]")[0].split()
        if int(uv) != c.target.uidvalidity:
            raise Wrong("APPENDUID of %s" % uv.decode())
        burst.add(s.number, int(uv), int(uid), c.ident, c.flags)

    def took_status(self, s, c, burst):
        if not burst.alone:
            return
        box = self.model.boxes[c.target.uidvalidity]
        all_flags = [m.flags for m in box.messages.values()]
        want = {b"MESSAGES": len(all_flags), b"UIDNEXT": box.uidnext,
                b"UIDVALIDITY": box.uidvalidity,
                b"UNSEEN": sum(b"\\Seen" not in f for f in all_flags),
                b"DELETED": sum(DELETED in f for f in all_flags),
                b"HIGHESTMODSEQ": box.highest}
        words = c.lines[0].partition(b"(")[2].rstrip(b")").split()
        told = {k: int(v) for k, v in zip(words[::2], words[1::2])}
        if told != want:
            raise Wrong("STATUS %r, not %r" % (told, want))

    # ---- a burst

    def burst(self):
        burst = Burst()
        burst.uncopied = []
        width = self.random.choice((1, 1, 2, 3, SESSIONS))
        burst.alone = width == 1
        busy = self.random.sample(self.sessions, width)
        most = 1 if burst.alone else self.random.choice((1, 3, 6))
        plans = [(s, self.commands(s, burst, self.random.randint(1, most)))
                 for s in busy]
        others = [s for s in self.sessions if s not in busy and s.box]
        if others and self.random.random() < 0.3:
            self.start_idle(self.random.choice(others))
        if not burst.alone and self.random.random() < 0.04:
            self.post(burst)
        for s, commands in plans:
            s.put(*commands)
        self.pump([s for s, _ in plans], burst)
        if self.popper and not burst.alone and self.random.random() < 0.3:
            self.end_pop3(burst)
        return burst, plans

    def start_idle(self, s):
        if not s.idle:
            s.put(Command(b"IDLE", "idle"))
            s.idle = True
            self.wait(s, lambda: s.queue[0].lines)

    def end_idle(self, s, burst):
        s.raw(b"DONE\r\n")
        s.idle = False
        self.pump([s], burst)

    @staticmethod
    def wait(s, condition):
        while not condition():
            s.receive()
            s.work()

    def pump(self, waiting, burst):
        """Until all is answered."""
        waiting = [s for s in waiting if s.queue]
        while waiting:
            ready, _, _ = select.select([s.sock for s in waiting], [], [],
                                        30 * SLOW)
            if not ready:
                raise Wrong("no answer to %r" % [
                    s.queue[0].text for s in waiting])
            for s in waiting:
                if s.sock in ready:
                    s.receive()
                    for c in s.work():
                        self.answered(s, c, burst)
            waiting = [s for s in waiting if s.queue]

    def post(self, burst):
        self.ident += 1
        burst.posted.add(self.ident)
        with self.server.line("smtp", "client.test") as c:
            c.must(250, "MAIL FROM:<x@elsewhere.test>")
            c.must(250, "RCPT TO:<bob@%s>" % DOMAIN)
            c.must(354, "DATA")
            c.send(stuff(make_message(self.ident)))
            c.must(250)
        self.tally["smtp"] += 1

    # ---- POP3

    def pop3_line(self, line):
        self.trace(b"pop", "C", line)
        self.popper.send(line + b"\r\n")
        answer = self.popper.line()
        self.trace(b"pop", "S", answer)
        return answer

    def start_pop3(self):
        self.popper = Line(self.server.ports["pop3"], timeout=30 * SLOW)
        self.popper.line()
        for line in (b"USER bob@" + DOMAIN.encode(),
                     b"PASS " + PASSWORD.encode(), b"UIDL"):
            answer = self.pop3_line(line)
            tap.ok(answer.startswith(b"+OK"), answer)
        box = self.model.by_name(b"INBOX")
        self.dropped = []
        while (line := self.popper.line()) != b".":
            self.dropped.append(line.split()[1])
        if len(self.dropped) != len(box.messages):
            raise Wrong("POP3 sees %d messages of %d" % (
                len(self.dropped), len(box.messages)))
        self.dropped = list(zip(self.dropped, sorted(box.messages)))
        for uidl, uid in self.dropped:
            key = (box.uidvalidity, uid)
            if self.uidls.setdefault(uidl, key) != key:
                raise Wrong("UIDL %s of two messages" % uidl.decode())
        self.popbox = box.uidvalidity
        self.tally["pop3"] += 1

    def end_pop3(self, burst):
        """Reads and removes some, and says QUIT or not."""
        chosen = self.random.sample(range(len(self.dropped)),
                                    min(3, len(self.dropped)))
        for i in chosen:
            self.retrieve(i)
            answer = self.pop3_line(b"DELE %d" % (i + 1))
            tap.ok(answer.startswith(b"+OK"), answer)
        if self.random.random() < 0.7:
            answer = self.pop3_line(b"QUIT")
            tap.ok(answer.startswith(b"+OK"), answer)
            burst.take("pop", self.popbox,
                       [self.dropped[i][1] for i in chosen])
        self.popper.close()
        self.popper = None

    def retrieve(self, i):
        if not self.pop3_line(b"RETR %d" % (i + 1)).startswith(b"+OK"):
            return              # removed meanwhile
        while (line := self.popper.line()) != b".":
            if line.startswith(b"X-Id: "):
                want = self.model.idents[self.popbox, self.dropped[i][1]]
                tap.eq(int(line[6:]), want, "RETR gave another message")

    # ---- rest

    def rest(self, burst, plans):
        idle = [s for s in self.sessions if s.idle]
        for s in idle:
            self.end_idle(s, burst)
        end = time.monotonic() + 30 * SLOW
        while not self.model.settle(burst, self.names):
            if time.monotonic() > end:
                raise Wrong("mail by SMTP does not arrive")
            time.sleep(0.01)
        for box, uids in burst.uncopied:
            missed = uids & set(self.model.boxes[box].messages)
            if missed:
                raise Wrong("not copied: %r" % sorted(missed))
        for s, commands in plans:
            # Alone, it was told of everything, but for what must wait.
            if burst.alone and commands and s.box and \
                    not commands[-1].kind.startswith("seq "):
                self.model.check_view(s)
        self.look([s for s in self.random.sample(self.sessions, 2)
                   if s not in [p[0] for p in plans]])
        self.settled = self.logged

    def look(self, sessions):
        """They ask what is new and must then see the truth."""
        for s in sessions:
            if s.box:
                self.count += 1
                s.do(Command(b"NOOP", "noop"))
                self.model.check_view(s)

    def everyone(self):
        self.look(self.sessions)

    # ---- what one does alone

    def rename(self):
        i = self.random.randrange(1, len(self.names))
        s = self.random.choice(self.sessions)
        self.made += 1
        new = b"%s%d" % (self.names[i].rstrip(b"0123456789"), self.made)
        tap.ok(s.do(Command(b"RENAME %s %s" % (self.names[i], new),
                            "rename")).ok)
        self.model.by_name(self.names[i]).name = new
        self.names[i] = new

    def remake(self):
        """DELETE: who has it selected is thrown out. The same name again is
        another mailbox."""
        s = self.random.choice(self.sessions)
        name = self.names[2]
        old = self.model.by_name(name).uidvalidity
        tap.ok(s.do(Command(b"DELETE " + name, "delete")).ok)
        for other in self.sessions:
            if other.box == old:
                self.throw_out(other, s)
        del self.model.boxes[old]
        again = self.sessions[s.number]
        tap.ok(again.do(Command(b"CREATE " + name, "create")).ok)
        tap.ok(self.model.adopt(name).uidvalidity > old)

    def throw_out(self, other, deleter):
        if other is deleter:
            other.leave()
            return
        other.bye = False
        other.put(Command(b"NOOP", "noop"))
        self.wait(other, lambda: other.ended or not other.queue)
        tap.ok(other.bye, "BYE after DELETE of the selected mailbox")
        other.leave()
        self.reopen(other)

    def conditional(self):
        """UNCHANGEDSINCE: only what nobody changed since is changed."""
        s = self.random.choice([s for s in self.sessions if s.number % 3])
        if not s.box or s.read_only:
            return
        self.look([s])
        box = self.model.boxes[s.box]
        uids = self.some(s)
        if not uids:
            return
        burst = Burst()
        since = self.random.choice([m.modseq for m in box.messages.values()])
        values, item = self.changes()
        c = s.do(Command(b"UID STORE %s (UNCHANGEDSINCE %d) %s" % (
            compress(uids), since, item % b""), "store"))
        stale = {u for u in uids if box.messages[u].modseq > since}
        told = c.answer.partition(b"[MODIFIED ")[2].partition(b"]")[0]
        if set(expand(told) if told else ()) != stale:
            raise Wrong("MODIFIED %r, not %r" % (told, stale))
        burst.change(s.number, s.box, set(uids) - stale, values)
        self.settle_alone(burst, s)

    def replace(self):
        """FLAGS and FLAGS.SILENT: all others are taken away."""
        s = self.random.choice(self.sessions)
        if not s.box or s.read_only:
            return
        self.look([s])
        uids = self.some(s)
        if not uids:
            return
        burst = Burst()
        flags = self.random.sample(FLAGS, 2)
        silent = self.random.random() < 0.5
        values = {f: f in flags for f in FLAGS + [b"race"]}
        if silent:
            self.assume(s, uids, values)
        tap.ok(s.do(Command(b"UID STORE %s FLAGS%s (%s)" % (
            compress(uids), b".SILENT" if silent else b"",
            b" ".join(flags)), "store")).ok)
        burst.change(s.number, s.box, uids, values)
        self.settle_alone(burst, s)

    def race(self):
        """Two change the same message if it is unchanged: one may."""
        s, other = self.random.sample(self.sessions, 2)
        if s.box is None or s.box != other.box or s.read_only or \
                other.read_only:
            return
        self.look([s, other])
        box = self.model.boxes[s.box]
        uids = self.some(s, 1)
        if not uids:
            return
        message = box.messages[uids[0]]
        values = {b"race": b"race" not in message.flags}
        text = b"UID STORE %d (UNCHANGEDSINCE %d) %sFLAGS (race)" % (
            uids[0], message.modseq, b"+" if values[b"race"] else b"-")
        both = [Command(text, "store"), Command(text, "store")]
        s.put(both[0])
        other.put(both[1])
        burst = Burst()
        burst.alone = False
        self.pump([s, other], burst)
        tap.eq(sorted(b"MODIFIED" in c.answer for c in both), [False, True],
               "one of two wins")
        burst.change(s.number, s.box, uids, values)
        self.settle_alone(burst, s)

    def settle_alone(self, burst, s):
        tap.ok(self.model.settle(burst, self.names))
        self.model.check_view(s)

    def leave_and_come_back(self):
        """A connection is lost, mostly without a word."""
        s = self.random.choice(self.sessions)
        if self.random.random() < 0.3:
            s.put(Command(b"LOGOUT", "logout"))
            self.wait(s, lambda: not s.queue)
        self.reopen(s)

    ALONE = [(rename, 0.004), (remake, 0.003), (conditional, 0.05),
             (replace, 0.05), (race, 0.05), (leave_and_come_back, 0.03),
             (everyone, 0.02)]

    def step(self):
        burst, plans = self.burst()
        self.rest(burst, plans)
        for s, commands in plans:
            if s.qresync and commands and commands[-1].kind.startswith(
                    "seq ") and self.random.random() < 0.3:
                self.reopen(s)      # while removals wait to be told
        if not self.popper and self.random.random() < 0.01:
            self.start_pop3()
        for function, chance in self.ALONE:
            if self.random.random() < chance:
                self.tally[function.__name__] += 1
                function(self)
                self.count += 1

    def tail(self):
        """What was said since all was last known to be right, and how it
        was then or is now."""
        lines = list(self.truth) + \
            list(self.log)[-max(30, self.logged - self.settled):]
        return "\n".join("%s %s: %s" % (who.decode(), way, line.decode(
            "latin-1")[:300]) for who, way, line in lines)


def test_model(s):
    """random sessions see what the model says"""
    play = Play(s)
    play.begin()
    print("# seed %d" % SEED)
    begin = time.monotonic()
    try:
        while play.count < COMMANDS if COMMANDS else \
                time.monotonic() - begin < SECONDS:
            play.step()
        play.everyone()
    except Exception as e:
        raise AssertionError("%s\nMAILROOM_MODEL_SEED=%d, after %d commands"
                             "\n%s\n%s" % (e, SEED, play.count, play.tail(),
                                           traceback.format_exc(limit=-3)))
    took = time.monotonic() - begin
    print("# %d commands in %.1f s: %s" % (play.count, took, ", ".join(
        "%d %s" % (n, kind) for kind, n in play.tally.most_common())))


with Server({"limits": {"errors": 100000}}) as server:
    tap.run(globals(), server)
tap.done()
