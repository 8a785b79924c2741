#!/usr/bin/python3
"""exerciser.py SOCKET: a filter on real libmilter (python3-milter) that does
what each message asks for, and says in X-Seen-* fields what it was shown.

Fields of the message, X-Ask, are orders for its end, one each:
    add NAME VALUE | insert N NAME VALUE | change N NAME VALUE
    delete N NAME | sender ADDRESS [ARGS] | rcpt ADDRESS [ARGS]
    unrcpt ADDRESS | body TEXT (\\n is CR LF) | bytes N (a body so large)
    hold REASON | progress N | say CODE X.Y.Z TEXT[|TEXT]
    end VERDICT                          what the end of the message returns
    at header|eoh|body VERDICT           an answer at an earlier step
Before there are fields, the sender asks: <STAGE.VERDICT@...> with STAGE one
of mail, rcpt, data; and the name in HELO: helo.VERDICT.

Environment: NO_REPLY="header body ..." (steps it will not answer),
LEADING_SPACE=1.
"""
import os
import sys
import time

import Milter

VERDICTS = {"pass": Milter.CONTINUE, "accept": Milter.ACCEPT,
            "reject": Milter.REJECT, "tempfail": Milter.TEMPFAIL,
            "discard": Milter.DISCARD, "skip": Milter.SKIP}
AT_MAIL = ("i", "{mail_addr}", "{auth_authen}", "{auth_type}")
AT_CONNECT = ("j", "{daemon_name}", "{client_addr}", "{client_name}")


class Exerciser(Milter.Base):
    def __init__(self):
        self.seen = []

    def see(self, *words):
        self.seen.append(" ".join(str(w) for w in words))

    def macros(self, names):
        return " ".join("%s=%s" % (n.strip("{}"), self.getsymval(n))
                        for n in names if self.getsymval(n) is not None)

    def early(self, stage, words):
        """The verdict that "STAGE.VERDICT@..." asks for here."""
        parts = words.strip("<>").split("@")[0].split(".")
        if len(parts) != 2 or parts[0] != stage:
            return Milter.CONTINUE
        if parts[1] in ("reject", "tempfail"):
            self.setreply(*(("550", "5.7.9") if parts[1] == "reject" else
                            ("450", "4.7.9")), "asked for at " + stage)
        return VERDICTS[parts[1]]

    # ---- steps

    def connect(self, host, family, address):
        self.session = ["connect %s %s %s" % (
            host, address[0], self.macros(AT_CONNECT))]
        return Milter.CONTINUE

    def hello(self, name):
        self.session.append("helo " + name)
        return self.early("helo", name)

    def envfrom(self, sender, *args):
        self.sender, self.fields, self.chunks = sender, [], []
        self.seen = list(self.session)
        self.see("mail", sender, *args, self.macros(AT_MAIL))
        return self.early("mail", sender)

    def envrcpt(self, rcpt, *args):
        self.see("rcpt", rcpt, *args)
        return self.early("rcpt", self.sender)

    def data(self):
        return self.early("data", self.sender)

    @Milter.decode("latin-1")
    def header(self, name, value):
        self.fields.append((name, value))
        return self.asked_at("header")

    def eoh(self):
        return self.asked_at("eoh")

    def body(self, chunk):
        self.chunks.append(chunk)
        return self.asked_at("body")

    def abort(self):
        return Milter.CONTINUE

    # ---- orders

    def orders(self):
        return [value.split() for name, value in self.fields
                if name.lower() == "x-ask" and value.split()]

    def asked_at(self, stage):
        for words in self.orders():
            if words[:2] == ["at", stage]:
                return VERDICTS[words[2]]
        return Milter.CONTINUE

    def eom(self):
        whole = b"".join(self.chunks)
        self.see("fields", *("%s%s" % (n, "_" if v[:1] == " " else "")
                             for n, v in self.fields))
        self.see("folds", *("%d+%d" % (v.count("\n"), v.count("\r"))
                            for n, v in self.fields if n == "X-Folded"))
        self.see("body", len(whole), "chunks", len(self.chunks), "sum",
                 sum(whole), "i=" + str(self.getsymval("i")))
        for line in self.seen:
            what, _, words = line.partition(" ")
            self.addheader("X-Seen-" + what, words or "none")
        verdict = Milter.CONTINUE
        for order, *words in self.orders():
            if order == "end":
                verdict = VERDICTS[words[0]]
            elif order != "at":
                getattr(self, "do_" + order)(*words)
        return verdict

    def do_add(self, name, *value):
        self.addheader(name, " ".join(value))

    def do_insert(self, index, name, *value):
        self.addheader(name, " ".join(value), int(index))

    def do_change(self, index, name, *value):
        self.chgheader(name, int(index), " ".join(value))

    def do_delete(self, index, name):
        self.chgheader(name, int(index), "")

    def do_sender(self, address, *args):
        self.chgfrom(address, " ".join(args) or None)

    def do_rcpt(self, address, *args):
        self.addrcpt(address, " ".join(args) or None)

    def do_unrcpt(self, address):
        self.delrcpt(address)

    def do_body(self, *text):
        self.replacebody(" ".join(text).replace("\\n", "\r\n").encode())

    def do_bytes(self, size):
        whole = b"%062d\r\n" % 7 * (int(size) // 64)
        for at in range(0, len(whole), 50000):
            self.replacebody(whole[at:at + 50000])

    def do_hold(self, *reason):
        self.quarantine(" ".join(reason))

    def do_progress(self, times):
        for _ in range(int(times)):
            time.sleep(0.4)
            self.progress()

    def do_say(self, code, enhanced, *text):
        self.setreply(code, enhanced, *" ".join(text).split("|"))


kind = Exerciser
for step in os.environ.get("NO_REPLY", "").split():
    setattr(kind, step, Milter.noreply(getattr(kind, step)))
if os.environ.get("LEADING_SPACE"):
    kind = Milter.header_leading_space(kind)
Milter.factory = kind
Milter.set_flags(Milter.ADDHDRS + Milter.CHGBODY + Milter.ADDRCPT
                 + Milter.DELRCPT + Milter.CHGHDRS + Milter.QUARANTINE
                 + Milter.CHGFROM + Milter.ADDRCPT_PAR)
Milter.runmilter("exerciser", sys.argv[1], 60)
