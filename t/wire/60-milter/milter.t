#!/usr/bin/python3
# test: timeout=240
"""An outside milter, scripted: stages, edits, verdicts, and everything that
can go wrong with it."""
import re
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from milter import Milter, Vanish, add_header, reply_code
from server import SLOW, Server, wait_for
from wire import stuff

MESSAGE = (b"From: a@elsewhere.test\r\nTo: bob@example.test\r\n"
           b"Subject: m\r\n folded\r\n\r\nbody\r\n.dot\r\n")
END = b"E"


class Scripted:
    """One milter whose step function a test replaces."""

    def __init__(self):
        self.step = None

    def __call__(self, session, command, data):
        return self.step(session, command, data) if self.step else None


def talk(s, message=MESSAGE, rcpts=("bob@example.test",)):
    """A whole session; returns the codes it got."""
    codes = []
    with s.line() as c:
        for line in ["EHLO client.test", "MAIL FROM:<a@elsewhere.test>"] + [
                "RCPT TO:<%s>" % r for r in rcpts] + ["DATA"]:
            codes.append(c.ask(line))
            if codes[-1][0] == 421:
                return codes
        if codes[-1][0] == 354:
            c.send(stuff(message))
            codes.append(c.reply())
    return codes


def at_end(frames):
    """A step function that answers the end of the message so."""
    return lambda session, command, data: frames if command == END else None


def test_stages(s, m, script):
    """all stages in order, with their arguments and macros"""
    m.sessions.clear()
    script.step = None
    tap.eq(talk(s)[-1][0], 250)
    session = wait_for("quit", lambda: b"Q" in [
        c for c, _ in m.sessions[-1].steps] and m.sessions[-1])
    steps = [(c, d) for c, d in session.steps if c != b"D"]
    letters = b"".join(c for c, _ in steps)
    tap.eq(letters, b"OCHMRT" + b"L" * 3 + b"NBEQ")
    by = {c: d for c, d in steps}
    tap.eq(by[b"H"], b"client.test\0")
    tap.eq(by[b"M"], b"<a@elsewhere.test>\0")
    tap.eq(by[b"R"], b"<bob@example.test>\0")
    tap.ok(by[b"C"].endswith(b"127.0.0.1\0"), by[b"C"])
    headers = [d for c, d in steps if c == b"L"]
    tap.eq(headers[2].split(b"\0")[:2][0], b"Subject")
    tap.contains(headers[2], b"m\n folded")
    tap.eq(by[b"B"], b"body\r\n.dot\r\n")
    macros = session.macros
    tap.contains(macros.get("M", {}), b"i")
    tap.contains(macros.get("C", {}), b"j")
    tap.contains(macros.get("R", {}), b"{rcpt_addr}")


def test_edits(s, m, script):
    """headers added, changed, deleted, inserted; the body replaced"""
    s.empty("bob")
    script.step = at_end([
        add_header("X-Added", "by milter"),
        (b"i", b"\0\0\0\0X-Top\0first\0"),
        (b"m", b"\0\0\0\x01Subject\0changed\0"),
        (b"m", b"\0\0\0\x01To\0\0"),
        (b"b", b"new body\r\n.\r\n"), (b"c", b"")])
    tap.eq(talk(s)[-1][0], 250)
    got = s.newest("bob")
    tap.contains(got, b"X-Added: by milter\r\n")
    # What final delivery writes stands above all (RFC 5321 4.4).
    tap.ok(re.match(rb"Return-Path: .*\r\nDelivered-To: .*\r\n"
                    rb"X-Top: first\r\n", got), got)
    tap.contains(got, b"\r\nSubject: changed\r\n")
    tap.ok(b"\r\nTo:" not in got, got)
    tap.ok(got.endswith(b"\r\n\r\nnew body\r\n.\r\n"), got)


def test_recipients(s, m, script):
    """recipients added and removed"""
    s.empty("bob")
    s.empty("alice")
    script.step = at_end([(b"+", b"<alice@example.test>\0"),
                          (b"-", b"<bob@example.test>\0"), (b"c", b"")])
    tap.eq(talk(s)[-1][0], 250)
    tap.eq(len(s.messages("alice")), 1)
    tap.eq(len(s.messages("bob")), 0)


VERDICTS = [
    ("reject at the end", END, (b"r", b""), 5),
    ("tempfail at the end", END, (b"t", b""), 4),
    ("a reply code", END, reply_code("554 5.7.1 no thanks"), 554),
    ("reject a recipient", b"R", (b"r", b""), 5),
    ("tempfail a recipient", b"R", (b"t", b""), 4),
    ("reject the sender", b"M", (b"r", b""), 5),
    ("reject at DATA", b"T", (b"r", b""), 5),
    ("reject in a header", b"L", (b"r", b""), 5),
    ("reject in the body", b"B", (b"r", b""), 5),
    ("reject the helo", b"H", (b"r", b""), 5),
    ("reject the connection", b"C", (b"r", b""), 5),
    ("421 closes", b"M", reply_code("421 4.7.0 go away"), 421),
]


def verdict(s, m, script, stage, frame, want):
    s.empty("bob")
    script.step = lambda session, command, data: \
        [frame] if command == stage else None
    got = [code for code, _ in talk_or_refused(s)]
    hit = [code for code in got if code >= 400]
    tap.ok(hit and (hit[0] == want or hit[0] // 100 == want), got)
    tap.eq(s.messages("bob"), [])


def talk_or_refused(s):
    try:
        return talk(s)
    except (AssertionError, EOFError):
        # refused in the greeting: ask once more, rawly
        from wire import Line
        with Line(s.ports["smtp"]) as c:
            return [c.reply()]


def test_reply_text(s, m, script):
    """the text of a reply code reaches the client"""
    script.step = at_end([reply_code("550 5.7.1 we %% do not like it")])
    code, texts = talk(s)[-1]
    tap.eq(code, 550)
    tap.contains(texts[0], "5.7.1 we % do not like it")


def test_discard(s, m, script):
    """discard: 250, and nothing arrives"""
    s.empty("bob")
    script.step = at_end([(b"d", b"")])
    tap.eq(talk(s)[-1][0], 250)
    tap.eq(s.messages("bob"), [])


def test_quarantine(s, m, script):
    """quarantine: 250, held in the queue with the reason"""
    s.empty("bob")
    script.step = at_end([(b"q", b"looks odd\0"), (b"c", b"")])
    tap.eq(talk(s)[-1][0], 250)
    tap.eq(s.messages("bob"), [])
    text = s.cli("queue", "list").stdout
    tap.contains(text, "looks odd")
    s.drop_queue()


def test_accept_early(s, m, script):
    """accept at MAIL: nothing more of that message is sent to it"""
    s.empty("bob")
    m.sessions.clear()
    script.step = lambda session, command, data: \
        [(b"a", b"")] if command == b"M" else None
    tap.eq(talk(s)[-1][0], 250)
    tap.eq(len(s.messages("bob")), 1)
    letters = b"".join(c for c, _ in m.sessions[0].steps if c != b"D")
    tap.ok(letters.startswith(b"OCHM") and
           not set(letters[4:]) & set(b"RTLNBE"), letters)


def test_two_messages(s, m, script):
    """two messages on one connection, an abort between"""
    m.sessions.clear()
    script.step = None
    with s.line(ehlo="client.test") as c:
        c.must(250, "MAIL FROM:<a@b.test>")
        c.must(250, "RSET")
        for _ in range(2):
            c.must(250, "MAIL FROM:<a@b.test>")
            c.must(250, "RCPT TO:<bob@example.test>")
            c.must(354, "DATA")
            c.send(stuff(MESSAGE))
            c.must(250)
    tap.eq(len(m.sessions), 1)
    letters = b"".join(c for c, _ in m.sessions[0].steps if c != b"D")
    tap.eq(letters.count(b"E"), 2)
    tap.contains(letters, b"A")


def test_progress(s, m, script):
    """progress keeps a slow milter's time from running out"""
    s.empty("bob")

    def slow(session, command, data):
        if command != END:
            return None
        for _ in range(4):
            time.sleep(0.5)
            m.send(session, [(b"p", b"")])
        return [add_header("X-Slow", "yes"), (b"c", b"")]
    script.step = slow
    tap.eq(talk(s)[-1][0], 250)
    tap.contains(s.newest("bob"), b"X-Slow: yes")


def vanish_at(stage):
    def step(session, command, data):
        if command == stage:
            raise Vanish
        return None
    return step


def vanishes(s, m, script, stage):
    """4xx for the sender, the others go on, the log names the milter."""
    s.empty("bob")
    script.step = vanish_at(stage)
    with s.line("submissions") as other:
        s.log_mark()
        got = [code for code, _ in talk_or_refused(s)]
        # Commands that were sent after a refused MAIL or RCPT hear 503 or 554.
        refused = [code for code in got if code >= 400]
        tap.ok(refused and refused[0] < 500, got)
        other.must(250, "EHLO x.test")
    tap.eq(s.messages("bob"), [])
    tap.contains(s.log_since_mark(), "scripted")


def test_hangs(s, m, script):
    """a milter that hangs: 4xx after its time, others go on meanwhile"""
    s.empty("bob")

    def hang(session, command, data):
        if command == END and b"hang" in session.body:
            time.sleep(30)
        if command == b"B":
            session.body = data
        return None
    script.step = hang
    import threading
    got = []
    thread = threading.Thread(target=lambda: got.append(
        talk(s, MESSAGE + b"hang\r\n")[-1][0]))
    start = time.monotonic()
    thread.start()
    time.sleep(0.2)
    tap.eq(talk(s)[-1][0], 250)
    tap.ok(time.monotonic() - start < 2 * SLOW, "the other one waited")
    thread.join(30)
    tap.ok(got and 400 <= got[0] < 500, got)
    tap.eq(len(s.messages("bob")), 1)


def test_garbage(s, m, script):
    """frames that make no sense are a failure, not a crash"""
    pid = s.worker("smtp")
    for frames in ([(b"?", b"x")], [(b"y", b"hello")], [(b"m", b"\0\0")],
                   [(b"h", b"no nul")], [(b"O", b"")],
                   [(b"h", b"Bad Name\0x\0"), (b"c", b"")]):
        script.step = at_end(frames)
        code = talk(s)[-1][0]
        tap.ok(code == 250 or 400 <= code < 500, "%r: %d" % (frames, code))
    tap.eq(s.worker("smtp"), pid, "the worker died")


def test_on_failure(s, m, script):
    """on_failure: accept lets mail through, reject refuses"""
    for choice, want in (("accept", 2), ("reject", 5), ("tempfail", 4)):
        s.extra["milter.scripted"]["on_failure"] = choice
        s.write_config()
        s.restart()
        s.empty("bob")
        script.step = vanish_at(END)
        got = [code for code, _ in talk_or_refused(s)]
        tap.eq(got[-1] // 100, want, "%s: %r" % (choice, got))
        tap.eq(len(s.messages("bob")), int(want == 2))


def test_gone(s, m, script):
    """nobody listens: on_failure decides; back again: works again"""
    script.step = None
    s.extra["milter.scripted"]["on_failure"] = "tempfail"
    s.write_config()
    s.restart()
    m.stop()
    got = [code for code, _ in talk_or_refused(s)]
    tap.ok(any(400 <= code < 500 for code in got), got)
    m.__enter__()
    wait_for("mail passes again", lambda: talk_or_refused(s)[-1][0] == 250,
             40)


SCRIPT = Scripted()
with Milter(SCRIPT) as milter:
    config = {"milter.scripted": {"socket": milter.socket, "timeout": "2s",
                                  "data_timeout": "2s",
                                  "end_timeout": "2s",
                                  "breaker_failures": 0}}
    with Server(config, chain=["scripted"]) as server:
        args = (server, milter, SCRIPT)
        tap.table(VERDICTS, verdict, *args)
        tap.table([("vanishes at " + c.decode(), c) for c in
                   (b"C", b"H", b"M", b"R", b"T", b"L", b"N", b"B", b"E")],
                  vanishes, *args)
        tap.run(globals(), *args)
tap.done()
