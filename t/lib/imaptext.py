"""imaptext - IMAP's parenthesized values as Python's: lists, bytes, int, None
(RFC 9051 section 9). What does not follow the grammar is an AssertionError."""
import re

TOKEN = re.compile(
    rb'(?P<open>\()|(?P<close>\))|(?P<blank> )|NIL(?![^ )])|'
    rb'(?P<number>\d+)(?![^ )])|'
    rb'"(?P<quoted>(?:[^"\\\r\n\0\x80-\xff]|\\["\\])*)"|'
    rb'~?\{(?P<literal>\d+)\}\r\n|'
    rb'(?P<atom>[^ ()"{}\\%*\r\n\x80-\xff\[\]]+(?:\[[^\]]*\](?:<\d+>)?)?)')
ESCAPED = re.compile(rb'\\(.)')


def parse(data, atoms=False):
    """The one value in data. atoms: words may stand there too, such as names
    of FETCH items."""
    stack, at = [[]], 0
    while at < len(data):
        m = TOKEN.match(data, at)
        if not m or (m["atom"] and not atoms):
            raise AssertionError("IMAP text at %d: %r" % (
                at, data[at:at + 60]))
        at = m.end()
        if m["open"]:
            stack.append([])
        elif m["close"]:
            done = stack.pop()
            stack[-1].append(done)
        elif m["literal"]:
            stack[-1].append(data[at:at + int(m["literal"])])
            at += int(m["literal"])
        elif m["quoted"] is not None:
            stack[-1].append(ESCAPED.sub(rb"\1", m["quoted"]))
        elif not m["blank"]:
            stack[-1].append(int(m["number"]) if m["number"] else m["atom"])
        if not stack[0] and len(stack) == 1:
            raise AssertionError("IMAP text: a bracket too many")
    if len(stack) != 1 or len(stack[0]) != 1:
        raise AssertionError("IMAP text: %d values, %d open brackets" % (
            len(stack[0]), len(stack) - 1))
    return stack[0][0]


def fetched(line):
    """{item: value} of a FETCH answer."""
    _, _, text = line.partition(b" FETCH ")
    flat = parse(text, atoms=True)
    return dict(zip(flat[::2], flat[1::2]))
