#!/usr/bin/python3
# test: timeout=180
"""libmilter itself, through python3-milter (Debian's package): every edit
and every verdict at every step, with and without answers to each step."""
import sys
from importlib.util import find_spec
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import Server

if not find_spec("Milter"):
    tap.skip_all("python3-milter is not installed")

BODY = b"Good morning.\r\n.dot\r\n"


def ask(s, *orders, sender="ann@example.net", fields=b"", body=BODY, **kw):
    """(the reply, what bob got or None)"""
    fields += b"".join(b"X-Ask: %s\r\n" % o.encode() for o in orders)
    reply = filters.deliver(s, filters.message(body, fields=fields), sender,
                            **kw)
    return reply, (s.messages("bob") or [None])[-1]


def seen(got, what):
    return filters.field(got, "X-Seen-" + what)


def test_shown(s):
    """what it is shown: session, envelope, fields, folds, body"""
    reply, got = ask(s, fields=b"X-Folded: a\r\n\tb\r\n c\r\n")
    tap.eq(reply[0], 250)
    tap.contains(seen(got, "connect")[0], "mx.example.net 198.51.100.7 "
                 "j=mail.example.test")
    tap.eq(seen(got, "helo"), ["mx.example.net"])
    tap.contains(seen(got, "mail")[0], "<ann@example.net>")
    tap.contains(seen(got, "mail")[0], "mail_addr=ann@example.net")
    tap.ok("auth_" not in seen(got, "mail")[0])
    tap.eq(seen(got, "rcpt"), ["<bob@example.test>"])
    tap.eq([w.rstrip("_") for w in seen(got, "fields")[0].split()],
           "X-Folded From To Subject Date Message-ID".split())
    tap.eq(seen(got, "folds"), ["2+0"])
    tap.contains(seen(got, "body")[0], "%d chunks 1 sum %d i="
                 % (len(BODY), sum(BODY)))
    tap.eq(filters.split(got)[1], BODY)


def test_queue_id(s):
    """the id is the same at MAIL and at the end"""
    got = ask(s)[1]
    at_mail = [w for w in seen(got, "mail")[0].split() if w[:2] == "i="]
    tap.eq(seen(got, "body")[0].split()[-1], at_mail[0])


def test_large(s):
    """a body of many frames"""
    body = b"%062d\r\n" % 5 * 5000
    got = ask(s, body=body)[1]
    tap.contains(seen(got, "body")[0], "%d chunks 5 sum %d"
                 % (len(body), sum(body)))
    tap.eq(filters.split(got)[1], body)


def test_fields(s):
    """fields are added, inserted, changed and deleted by index"""
    got = ask(s, "add X-Last at the end", "insert 0 X-First on top",
              "change 2 X-Many second", "delete 1 X-Many",
              "change 1 X-New made",
              fields=b"X-Many: a\r\nX-Many: b\r\nX-Many: c\r\n")[1]
    tap.eq(filters.field(got, "X-Last"), ["at the end"])
    tap.ok(got.index(b"X-First:") < got.index(b"Received:"), got)
    tap.eq(filters.field(got, "X-Many"), ["second", "c"])
    tap.eq(filters.field(got, "X-New"), ["made"])


def test_body(s):
    """the body is replaced"""
    tap.eq(filters.split(ask(s, "body new\\n.text\\n")[1])[1],
           b"new\r\n.text\r\n")


def test_bytes(s):
    """by one that is large, in parts"""
    tap.eq(filters.split(ask(s, "bytes 640000")[1])[1],
           b"%062d\r\n" % 7 * 10000)


def test_sender(s):
    """the sender is changed"""
    got = ask(s, "sender other@example.org")[1]
    tap.eq(filters.field(got, "Return-Path"), ["<other@example.org>"])


def test_rcpts(s):
    """a recipient is added, another removed"""
    s.empty("alice")
    reply, got = ask(s, "rcpt <alice@example.test>",
                     "unrcpt <bob@example.test>")
    tap.eq(reply[0], 250)
    tap.eq(got, None)
    tap.eq(len(s.messages("alice")), 1)


def test_progress(s):
    """progress notes hold the time-out off"""
    tap.eq(ask(s, "progress 4")[0][0], 250)


def test_hold(s):
    """quarantine: accepted, not in the INBOX"""
    reply, got = ask(s, "hold looks odd")
    tap.eq((reply[0], got), (250, None))


def test_say(s):
    """a reply of several lines with a percent sign"""
    code, texts = ask(s, "say 554 5.7.2 one|100%% sure|three",
                      "end reject")[0]
    tap.eq((code, len(texts)), (554, 3))
    tap.contains(texts[1], "5.7.2 100% sure")


def test_undone(s):
    """edits before a refusal count for nothing"""
    s.empty("alice")
    reply, got = ask(s, "rcpt <alice@example.test>", "body gone\\n",
                     "end tempfail")
    tap.eq((reply[0] // 100, got), (4, None))
    tap.eq(s.messages("alice"), [])


def verdict(s, orders, sender, code, delivered):
    """and that the same session carries a plain message afterwards"""
    reply, got = ask(s, *orders, sender=sender)
    tap.eq((reply[0] if code > 9 else reply[0] // 100, got is not None),
           (code, delivered), reply)
    if ".reject" in sender or ".tempfail" in sender:
        tap.contains(" ".join(reply[1]), ".7.9 asked for at")
    reply, got = ask(s)
    tap.eq((reply[0], seen(got, "helo")), (250, ["mx.example.net"]))


VERDICTS = [("%s at the end" % v, ("end " + v,), "ann@example.net", code, d)
            for v, code, d in (("accept", 250, True), ("discard", 250, False),
                               ("reject", 5, False), ("tempfail", 4, False))]
VERDICTS += [("%s at %s" % (v, stage), ("at %s %s" % (stage, v),),
              "ann@example.net", code, d)
             for stage in ("header", "eoh", "body")
             for v, code, d in (("accept", 250, True),
                                ("discard", 250, False),
                                ("reject", 5, False), ("tempfail", 4, False))]
VERDICTS += [("%s at %s" % (v, stage), (), "%s.%s@example.net" % (stage, v),
              code, d)
             for stage in ("mail", "rcpt", "data")
             for v, code, d in (("accept", 250, True),
                                ("discard", 250, False), ("reject", 550, False),
                                ("tempfail", 450, False))]
VERDICTS.append(("skip at body", ("at body skip",), "ann@example.net", 250,
                 True))


def test_helo(s):
    """a refusal at HELO reaches the client with its text"""
    code, texts = ask(s, helo="helo.reject")[0]
    tap.eq(code, 550)
    tap.contains(" ".join(texts), "asked for at helo")


def test_session(s):
    """verdicts of all kinds in turn on one connection, RSET between"""
    s.empty("bob")
    with s.line(ehlo="mx.example.net") as c:
        for i in range(2):
            for stage in ("mail", "rcpt", "data"):
                c.cmd("MAIL FROM:<%s.reject@example.net>" % stage)
                c.cmd("RCPT TO:<bob@example.test>")
                if stage == "data":
                    tap.eq(c.cmd("DATA"), 550)
                c.must(250, "RSET")
            c.must(250, "MAIL FROM:<ann@example.net>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(filters.stuff(filters.message(b"%d\r\n" % i)))
            c.must(250)
    tap.eq([filters.split(m)[1] for m in s.messages("bob")],
           [b"%d\r\n" % i for i in range(2)])


QUIET = {"NO_REPLY": "connect hello envfrom envrcpt data header eoh body",
         "LEADING_SPACE": "1"}
with filters.Exerciser() as f, \
        Server(filters.attach(f), chain=["exerciser"]) as server:
    tap.run(globals(), server)
    tap.table(VERDICTS, verdict, server)
with filters.Exerciser(**QUIET) as f, \
        Server(filters.attach(f), chain=["exerciser"]) as server:
    for point in (test_shown, test_large, test_fields, test_body, test_rcpts,
                  test_say, test_undone, test_hold):
        tap.call("no answers to steps: " + tap.title(point), point, server)
tap.done()
