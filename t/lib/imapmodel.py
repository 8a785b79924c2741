"""imapmodel - the reference model of an account: what its mailboxes must hold
after commands that several sessions gave at the same time.

A burst is what happened between two moments of rest. Within it only the order
of each session's own commands is known, so the model says for each message
what it may or must have become: gone or there, each flag set or not. With one
session in the burst that leaves one possibility. At rest the truth is read by
a session of its own and must be one of those possibilities."""
import re

from imapview import IDENT, MODSEQ, UID, Command, Wrong

STATUS = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]")
DELETED = rb"\Deleted"


class Message:
    __slots__ = ("ident", "flags", "modseq")

    def __init__(self, ident, flags, modseq):
        self.ident, self.flags, self.modseq = ident, flags, modseq


class Box:
    def __init__(self, name):
        self.name = name
        self.uidvalidity = self.uidnext = self.highest = 0
        self.messages = {}      # {uid: Message}
        self.gone = {}          # {uid: (highest before, highest after)}


class Burst:
    def __init__(self):
        self.order = 0
        self.flags = {}         # {(box, uid): [(session, order, {flag: on})]}
        self.expunges = []      # (session, order, box, uids or None)
        self.taken = {}         # {box: uids that must be gone}
        self.doubtful = {}      # {box: uids that may be gone}
        self.added = {}         # {(box, uid): (ident, flags or None, source)}
        self.posted = set()     # idents that must arrive in INBOX
        self.sessions = set()

    def next(self, session):
        self.sessions.add(session)
        self.order += 1
        return self.order

    # What a session did, in the order of its answers.

    def change(self, session, box, uids, values):
        order = self.next(session)
        for uid in uids:
            self.flags.setdefault((box, uid), []).append(
                (session, order, values))

    def expunge(self, session, box, uids=None):
        self.expunges.append((session, self.next(session), box,
                              None if uids is None else set(uids)))

    def take(self, session, box, uids):
        self.next(session)
        self.taken.setdefault(box, set()).update(uids)

    def doubt(self, session, box, uids):
        self.next(session)
        self.doubtful.setdefault(box, set()).update(uids)

    def add(self, session, box, uid, ident, flags=None, source=None):
        self.next(session)
        if (box, uid) in self.added:
            raise Wrong("UID %d was given twice" % uid)
        self.added[box, uid] = (ident, flags, source)


class Model:
    def __init__(self, oracle):
        self.oracle = oracle
        self.boxes = {}         # {uidvalidity: Box}
        self.idents = {}        # {(uidvalidity, uid): ident}, forever
        self.used = set()       # every uidvalidity ever

    def by_name(self, name):
        for box in self.boxes.values():
            if box.name == name:
                return box
        raise KeyError(name)

    # ---- reading the truth

    def read(self, names):
        """{uidvalidity: Box} as they are now."""
        commands = []
        for name in names:
            commands += [Command(b"EXAMINE " + name, "select"),
                         Command(b"UID FETCH 1:* (FLAGS MODSEQ)", "fetch"),
                         Command(b"UNSELECT", "unselect")]
        self.begin_each(commands)
        self.oracle.do(*commands)
        boxes = {}
        for i, name in enumerate(names):
            box = self.read_box(name, commands[3 * i], commands[3 * i + 1])
            boxes[box.uidvalidity] = box
        for box in boxes.values():
            self.read_idents(box)
        return boxes

    def begin_each(self, commands):
        """The oracle's view is new with each EXAMINE."""
        for c in commands:
            if c.kind == "select":
                c.begin = self.oracle.leave
        if not self.oracle.queue:
            self.oracle.leave()

    @staticmethod
    def read_box(name, selected, fetched):
        if not selected.ok or not fetched.ok:
            raise Wrong("oracle: %r %r" % (selected.answer, fetched.answer))
        box = Box(name)
        for line in selected.lines:
            m = STATUS.search(line)
            if m:
                setattr(box, {b"UIDVALIDITY": "uidvalidity",
                              b"UIDNEXT": "uidnext",
                              b"HIGHESTMODSEQ": "highest"}[m[1]], int(m[2]))
        for n, (number, entry, items) in enumerate(fetched.fetched, 1):
            if number != n:
                raise Wrong("FETCH 1:* told %d as number %d" % (number, n))
            box.messages[entry.uid] = Message(None, entry.flags, entry.modseq)
        return box

    def read_idents(self, box):
        new = [u for u in box.messages
               if (box.uidvalidity, u) not in self.idents]
        if new:
            self.oracle.leave()
            fetch = Command(b"UID FETCH %s (BODY.PEEK[HEADER.FIELDS (X-Id)])"
                            % b",".join(b"%d" % u for u in new), "fetch")
            self.oracle.do(Command(b"EXAMINE " + box.name, "select",
                                   self.oracle.leave), fetch,
                           Command(b"UNSELECT", "unselect"))
            for _, entry, items in fetch.fetched:
                self.idents[box.uidvalidity, entry.uid] = int(
                    IDENT.search(items)[1])
        for uid, message in box.messages.items():
            message.ident = self.idents[box.uidvalidity, uid]

    # ---- what may have become of it

    def ever(self, burst, box, uid, flag):
        """All values that the flag of this message had at some time."""
        if (box, uid) in burst.added:
            ident, flags, source = burst.added[box, uid]
            known = {flag in flags} if flags is not None else self.ever(
                burst, *source, flag)
        elif uid in self.boxes[box].messages:
            known = {flag in self.boxes[box].messages[uid].flags}
        else:
            known = {False}
        return known | {values[flag] for _, _, values in
                        burst.flags.get((box, uid), ()) if flag in values}

    def final(self, burst, box, uid, flag):
        """The values that it may have now: the last of any session."""
        last = {}
        for session, _, values in burst.flags.get((box, uid), ()):
            if flag in values:
                last[session] = values[flag]
        if (box, uid) in burst.added:
            return self.ever(burst, box, uid, flag)
        if last:
            return set(last.values())
        return {flag in self.boxes[box].messages[uid].flags}

    def deleted_at(self, burst, session, order, box, uid):
        """(may, must): \\Deleted was set when `session` expunged."""
        touched = burst.flags.get((box, uid), ())
        if any(s != session for s, _, _ in touched):
            values = self.ever(burst, box, uid, DELETED)
            return True in values, values == {True}
        value = self.start(burst, box, uid)
        for _, when, values in touched:
            if when < order and DELETED in values:
                value = {values[DELETED]}
        return True in value, value == {True}

    def start(self, burst, box, uid):
        if (box, uid) not in burst.added:
            return {DELETED in self.boxes[box].messages[uid].flags}
        ident, flags, source = burst.added[box, uid]
        return {DELETED in flags} if flags is not None else self.ever(
            burst, *source, DELETED)

    def fates(self, burst, box):
        """(may be gone, must be gone) of a mailbox's UIDs."""
        may = set(burst.doubtful.get(box, ()))
        must = set(burst.taken.get(box, ()))
        uids = set(self.boxes[box].messages)
        uids |= {u for b, u in burst.added if b == box}
        for session, order, where, wanted in burst.expunges:
            if where != box:
                continue
            for uid in uids if wanted is None else wanted & uids:
                can, does = self.deleted_at(burst, session, order, box, uid)
                may |= {uid} if can else set()
                # one that came by another session may have come later
                must |= {uid} if does and (box, uid) not in \
                    burst.added else set()
        return may | must, must

    # ---- the truth against it

    def check(self, burst, now):
        for key, box in now.items():
            old = self.boxes[key]
            old.name = box.name
            self.check_box(burst, key, old, box)
        for key, uid in burst.added:
            if key in now and uid not in now[key].messages and \
                    uid not in self.fates(burst, key)[0]:
                raise Wrong("%r: new UID %d is not there" % (
                    now[key].name, uid))

    def check_box(self, burst, key, old, box):
        may, must = self.fates(burst, key)
        name = box.name.decode()
        gone = set(old.messages) - set(box.messages)
        new = set(box.messages) - set(old.messages)
        if gone - may:
            raise Wrong("%s: UIDs %s are gone" % (name, sorted(gone - may)))
        if must & set(box.messages):
            raise Wrong("%s: UIDs %s are still there" % (
                name, sorted(must & set(box.messages))))
        for uid in sorted(new):
            self.check_new(burst, key, old, box, uid)
        for uid in set(box.messages) - new:
            self.check_kept(burst, key, old, box, uid)
        self.check_counters(name, old, box, gone, new)
        for uid in gone:
            box.gone[uid] = (old.highest, box.highest)
        box.gone.update(old.gone)

    def check_new(self, burst, key, old, box, uid):
        message = box.messages[uid]
        if uid < old.uidnext:
            raise Wrong("%r: new UID %d is below UIDNEXT %d" % (
                box.name, uid, old.uidnext))
        if (key, uid) not in burst.added:
            if message.ident not in burst.posted:
                raise Wrong("%r: nobody added UID %d" % (box.name, uid))
            burst.posted.discard(message.ident)
            burst.added[key, uid] = (message.ident, frozenset(), None)
        if burst.added[key, uid][0] != message.ident:
            raise Wrong("%r: UID %d is message %d instead of %d" % (
                box.name, uid, message.ident, burst.added[key, uid][0]))
        self.check_flags(burst, key, uid, message)
        if message.modseq <= old.highest:
            raise Wrong("%r: UID %d came with an old MODSEQ" % (
                box.name, uid))

    def check_kept(self, burst, key, old, box, uid):
        before, now = old.messages[uid], box.messages[uid]
        touched = (key, uid) in burst.flags
        self.check_flags(burst, key, uid, now)
        if before.modseq == now.modseq:
            if before.flags != now.flags:
                raise Wrong("%r: flags of UID %d changed without MODSEQ"
                            % (box.name, uid))
        elif not touched or now.modseq <= old.highest:
            raise Wrong("%r: MODSEQ of UID %d from %d to %d, highest was %d"
                        % (box.name, uid, before.modseq, now.modseq,
                           old.highest))

    def check_flags(self, burst, key, uid, message):
        flags = set(message.flags)
        if (key, uid) not in burst.added:
            flags |= self.boxes[key].messages[uid].flags
        for _, _, values in burst.flags.get((key, uid), ()):
            flags.update(values)
        for flag in flags:
            if (flag in message.flags) not in self.final(burst, key, uid,
                                                         flag):
                raise Wrong("%s: %s of UID %d is %s; changes: %r" % (
                    self.boxes[key].name.decode(), flag.decode(), uid,
                    "set" if flag in message.flags else "not set",
                    burst.flags.get((key, uid))))

    @staticmethod
    def check_counters(name, old, box, gone, new):
        top = max([m.modseq for m in box.messages.values()], default=0)
        if box.highest < max(top, old.highest):
            raise Wrong("%s: HIGHESTMODSEQ %d is too low" % (
                name, box.highest))
        if (gone or new) and box.highest == old.highest:
            raise Wrong("%s: HIGHESTMODSEQ did not move" % name)
        if box.uidnext < old.uidnext or \
                box.uidnext <= max(box.messages, default=0):
            raise Wrong("%s: UIDNEXT %d is too low" % (name, box.uidnext))

    def settle(self, burst, names):
        """Reads the truth and checks that it may be so. Mail on its way by
        SMTP is waited for by calling this again: False until it is there."""
        now = self.read(names)
        arrived = {m.ident for b in now.values() for m in
                   b.messages.values()}
        if burst.posted - arrived:
            return False
        for key in now:
            if key not in self.boxes:
                raise Wrong("a mailbox of UIDVALIDITY %d" % key)
        self.check(burst, now)
        self.boxes = now
        return True

    def adopt(self, name):
        """A mailbox that was made just now, empty."""
        for key, box in self.read([name]).items():
            if key in self.used:
                raise Wrong("UIDVALIDITY %d was used before" % key)
            self.used.add(key)
            self.boxes[key] = box
            return box

    def check_view(self, session):
        """A session that was told all sees the truth."""
        box = self.boxes[session.box]
        uids = sorted(box.messages)
        if len(uids) != len(session.entries):
            raise Wrong("session %s sees %d messages of %d: %r, not %r" % (
                session.name.decode(), len(session.entries), len(uids),
                [e.uid for e in session.entries], uids))
        for n, (uid, entry) in enumerate(zip(uids, session.entries), 1):
            if entry.uid not in (None, uid):
                raise Wrong("session %s: number %d is UID %d, not %d" % (
                    session.name.decode(), n, uid, entry.uid))
            entry.uid = uid
            if entry.flags is not None and \
                    entry.flags != box.messages[uid].flags:
                raise Wrong("session %s sees flags %r of UID %d, not %r" % (
                    session.name.decode(), sorted(entry.flags), uid,
                    sorted(box.messages[uid].flags)))
