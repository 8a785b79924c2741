#!/usr/bin/python3
# test: timeout=300
"""The configuration reader against Python's tomllib.

A corpus that covers TOML 1.0, valid and invalid, and thousands of damaged
copies of it (fixed seed): both must accept or refuse, and what is accepted
must have the same values. The bytes of each value, read alone, must give the
value again: that is what an editor of the file stands on.

Where the two may differ is said in known_difference().
"""
import datetime
import json
import math
import os
import random
import re
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "t", "lib"))
import tap  # noqa: E402

DUMP = os.environ.get("TOMLDUMP", os.path.join(HERE, "tomldump"))
SEED = int(os.environ.get("SEED", "20261"))
VARIANTS = int(os.environ.get("VARIANTS", "6000"))

# ------------------------------------------------------------ both readers


def dump(documents):
    data = b"".join(b"%d\n" % len(d) + d for d in documents)
    out = subprocess.run([DUMP], input=data, check=True,
                         stdout=subprocess.PIPE).stdout
    views = [json.loads(line) for line in out.splitlines()]
    tap.eq(len(views), len(documents), "one line a document")
    return views


def text(s):
    return s.encode("latin-1").decode("utf-8")


def parse_time(s):
    """RFC 3339 with the liberties of TOML; digits below 1 us are cut."""
    s = s.upper().replace(" ", "T")
    s = re.sub(r"\.(\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), s)
    if ":" not in s:
        return datetime.date.fromisoformat(s)
    if "-" not in s[:5]:
        return datetime.time.fromisoformat(s)
    return datetime.datetime.fromisoformat(s)


def value(node):
    """What tomllib would give for our node."""
    kind, content, _ = node
    if kind == "table":
        tap.eq(len({k for k, _ in content}), len(content), "one of each key")
        return {text(k): value(v) for k, v in content}
    if kind == "array":
        return [value(v) for v in content]
    return {"string": text, "int": int, "float": float.fromhex, "bool": bool,
            "datetime": parse_time}[kind](content)


def comparable(v):
    """With its type: 1 is not 1.0 or true, -0.0 is not 0.0, nan is nan."""
    if isinstance(v, dict):
        return ("table", {k: comparable(x) for k, x in v.items()})
    if isinstance(v, list):
        return ("array", [comparable(x) for x in v])
    if isinstance(v, float):
        return ("float", "nan" if math.isnan(v) else v.hex())
    if isinstance(v, datetime.datetime):
        return ("datetime", v.isoformat())
    return (type(v).__name__, v)


def reference(data):
    """(accepted, value)"""
    try:
        return True, tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return False, None


def has_wide_int(v):
    if isinstance(v, dict):
        return any(has_wide_int(x) for x in v.values())
    if isinstance(v, list):
        return any(has_wide_int(x) for x in v)
    return (isinstance(v, int) and not isinstance(v, bool)
            and not -2 ** 63 <= v < 2 ** 63)


def known_difference(data, theirs):
    """The reader may differ from tomllib where TOML leaves it open."""
    if data.startswith(b"\xef\xbb\xbf"):    # we pass over a byte order mark
        return True
    return theirs is not None and has_wide_int(theirs)  # TOML: an error


def wrong(data, view):
    """None, or how our reading differs."""
    good, theirs = reference(data)
    ours = view["errors"] == 0
    if known_difference(data, theirs):
        return None
    if good != ours:
        return "%s\n%s" % ("accepted" if ours else "refused",
                           text(view["report"]))
    if good and comparable(value(view["root"])) != comparable(theirs):
        return "%r, not %r" % (value(view["root"]), theirs)
    return None


def check(documents):
    bad = []
    for data, view in zip(documents, dump(documents)):
        why = wrong(data, view)
        if why:
            bad.append("%r: %s" % (data, why))
    tap.ok(not bad, "%d of %d differ:\n%s" % (len(bad), len(documents),
                                              "\n".join(bad[:8])))


# ---------------------------------------------------------------- corpus

VALUES = [
    # strings
    '""', "''", '"a"', "'a'", '"\\b\\t\\n\\f\\r\\"\\\\"', '"\\u00e9\\U0001F600"',
    '"\\u0000"', '"\u00e4\u2028\U0001F600"', "'C:\\x'", '"# no comment"',
    '"""a"""', "'''a'''", '"""\na\nb"""', "'''\na\n'''", '"""\\\n  a\\\n\n  b"""',
    '"""a\\   \n\t b"""', '""""a""""', '"""""a"""""', "''''a''''", "'''''a'''''",
    '""""""', "''''''", '""""""""', "''''''''", '"""a""b"""', '"""\r\na\r\nb\r\n"""', "'''\r\na\r\n'''",
    '"""a\\\r\n  b"""', '"tab\there"', '"""tab\there"""', "'tab\there'",
    '"""a\\"""b"""', '"""\\\\"""', '"""a\\\n"""', '"\\u007F"', '"\x80"',
    # integers
    "0", "+0", "-0", "1", "+99", "-17", "1_000", "1_2_3", "0xDEADBEEF",
    "0xdead_beef", "0o755", "0b1101_0110", "0x0", "0x00ff",
    "9223372036854775807", "-9223372036854775808", "0x7fffffffffffffff",
    # floats
    "1.0", "+1.0", "-0.01", "5e+22", "1e06", "-2E-2", "6.626e-34", "0.0", "-0.0",
    "224_617.445_991_228", "1e1_0", "inf", "+inf", "-inf", "nan", "+nan", "-nan",
    "1e400", "4.9e-324", "0e0", "1_0.0_1", "3.0e00", "1e-400",
    "179769313486231570000000000000000000000000000000000000000000000.5",
    # booleans, dates and times
    "true", "false", "1979-05-27T07:32:00Z", "1979-05-27T00:32:00-07:00",
    "1979-05-27T00:32:00.999999-07:00", "1979-05-27 07:32:00z",
    "1979-05-27t07:32:00", "1979-05-27T00:32:00.5", "1979-05-27", "07:32:00",
    "00:32:00.9999999", "2000-02-29", "2024-02-29T23:59:59+23:59",
    "23:59:59.123456789", "0001-01-01", "9999-12-31",
    # arrays
    "[]", "[ ]", "[1,2,3]", "[1, 2, ]", "[[1, 2], ['a', \"b\"]]",
    "[\n# a\n1, # one\n2 # two\n, ]", "[\r\n 1,\r\n]", "[1, 'a', 2.0, {a=1}]",
    "[{a=1}, {a=2, b=[1]}]", '["""\na""", \'\'\'b\'\'\']', "[[[[[]]]]]",
    # inline tables
    "{}", "{ }", "{a=1}", "{ a = 1, b = 'x' }", "{a.b=1, a.c=2}",
    "{'a b'=1, \"c\"=2}", "{a={b={c=1}}}", "{a=[\n1,\n2]}", "{a.b.c=1, a.b.d=2}",
]

BAD_VALUES = [
    "", "a", "'", '"', '"a', "'a", '"a\nb"', "'a\nb'", '"\\x"', '"\\ "', '"\\u12"',
    '"\\ud800"', '"\\U00110000"', '"\\uDFFF"', '"\\u123g"', '"""a', "'''a",
    '""""""a""""""', '"""""""""', "'''''''''", '"""a\\ b"""', '"""\\x"""', '"a\x00"',
    '"a\x1f"', '"a\x7f"', "'a\x00'", "'a\x7f'", '"""a\x00"""', "'''a\x0b'''",
    '"""a\rb"""', "'''a\rb'''", '"a\rb"', '"a" "b"', "'a'b", '"""a\\',
    "01", "00", "-01", "+-1", "1_", "_1", "1__0", "0x", "0x_1", "0xg", "-0x1",
    "+0b1", "0o8", "0b2", "0X1", "0B1", "0O7", "1a", "1 2", "- 1", "0x1.0", "0_0",
    "0b1_", "0o_7", "0_1",
    "1.", ".1", "1.e5", "1e", "1e+", "e5", "1._0", "1_.0", "1e_1", "1e1.0", "03.14",
    "1.2.3", "Inf", "NaN", "INF", "infinity", "+ inf", "1.0_", "1e1_", "00.0",
    "1,5", "inf1", "nan.0", "0x1p3",
    "True", "FALSE", "tru", "truefalse", "t", "yes",
    "1979-5-27", "1979-05-27T", "1979-05-27T07:32", "07:32", "7:32:00", "24:00:00",
    "23:60:00", "23:59:60", "1979-13-01", "1979-00-10", "1979-02-30", "2023-02-29",
    "1900-02-29", "0000-01-01", "1979-05-27T07:32:00+24:00",
    "1979-05-27T07:32:00+7:00", "1979-05-27T07:32:00.", "07:32:00.", "07:32:00Z",
    "1979-05-27  07:32:00", "1979-05-27T07:32:00-0700", "1979-05-27Z", "1979-05",
    "79-05-27", "1979-05-27x07:32:00", "12345-01-01",
    "[", "[1", "[1,,2]", "[,1]", "[1 2]", "]", "[1]]", "[1, ,]", "[a]", "[1\n2]",
    "{", "{a", "{a=", "{a=1", "{a=1,}", "{,}", "{a=1,,b=2}", "{a=1 b=2}", "{\n}",
    "{a=1,\nb=2}", "{a=1 # c\n}", "{a=1, a=2}", "{a={b=1}, a.c=2}", "{a=1}}",
    "{a.b=1, a=2}", "{=1}", "{a=1, a.b=2}", "{a.b=1, a.b.c=2}",
]

DOCUMENTS = [
    b"", b"\n", b"\r\n", b" \t \n", b"# only a comment", b"# a\r\n# b\n", b"#\ttab\n",
    b"a=1", b"a = 1 # c\n", b"\ta\t=\t1\t\n", b"a=1\r\nb=2\r\n", b"a=1\n\n\nb=2",
    # keys
    b"a-b_C9 = 1", b"1234 = 1", b"- = 1", b"_ = 1", b"'' = 1", b'"" = 1',
    b"'a b' = 1\n\"c\\n\" = 2", b"3.14 = 1", b"a.b.c = 1\na.b.d = 2\na.e = 3",
    b"a . b = 1", b"a.\"b.c\".'d' = 1", b"\"\xc3\xa4\" = 1", b"'\xf0\x9f\x98\x80' = 1",
    b"a.b = 1\na.c.d = 2\na.c.e = 3\nf = 4", b"true = 1\ninf = 2\n1979-05-27 = 3",
    b"a.b=1\nb.a=1\na.c=1",
    # tables
    b"[a]", b"[a]\n[b]\n", b"[ a . 'b' ]\nc=1", b"[a.b.c]\nd=1\n[a]\ne=2\n[a.b]\nf=3",
    b"[a]\nb.c=1\nb.d=2\n[a.e]\n", b"[a]\n[a.b]\n[a.c]\n", b"x.y=1\n[z]\ny=2",
    b"[a] # c\nb=1", b"[a]\r\nb=1\r\n", b"['a.b']\nc=1\n[a.b]\nc=2", b"[a.'']\nb=1",
    b"[a]\nb.c=1\n[d]\nb.c=1", b"[fruit]\napple.color=1\napple.taste.sweet=true\n"
    b"[fruit.pear]\nx=1", b"[a.b.c.d]\n[a]\nb.c.e=1",
    # arrays of tables
    b"[[a]]", b"[[a]]\nb=1\n[[a]]\nb=2\n[[a]]", b"[[ a . b ]]\nc=1",
    b"[[a]]\n[a.b]\nc=1\n[[a]]\n[a.b]\nc=2", b"[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]",
    b"[a]\n[[a.b]]\nc=1\n[[a.b]]\nc=2", b"[[a.b]]\n[a]\nc=1", b"[[a]]\nb.c=1\nb.d=2",
    b"[[a]]\nb={c=1}\n[[a]]\nb={c=2}", b"[[a.b.c]]\nx=1\n[a.b.d]\ny=1",
    # white space and comments at ends
    b"a=1#c", b"a=[1]#c\n[b]#c\n[[c]]#c", b"a='x'\t# c \xc3\xa4\n", b"a=1 \t",
    b"[a]\n\n  b=1\n\n  [a.c]\n",
]

BAD_DOCUMENTS = [
    b"a", b"a=", b"=1", b"a 1", b"a=1 b=2", b"a==1", b"a b = 1", b"a=1\nb", b"a\n=1",
    b"a=\n1", b"a.=1", b".a=1", b"a..b=1", b"a.b.=1", b"'a=1", b"\"a\nb\"=1",
    b'"""a"""=1', b"'''a'''=1", b"\xc3\xa4=1", b"a=1\ra=2", b"a=1\r", b"#\x00", b"# \r\n#\r",
    b"#a\rb", b"# \x7f", b"# \x01", b"\x00", b"a=1\x00", b"\x0c", b"a = 1\x0b", b"a@b=1",
    # redefinition
    b"a=1\na=2", b"a=1\n'a'=2", b"\"\"=1\n''=2", b"a.b=1\na.b=2", b"a=1\na.b=2",
    b"a.b=1\na=2", b"a={}\na.b=1", b"a=[]\na.b=1", b"a=[{}]\n[a.b]", b"[a]\n[a]",
    b"[a]\nb=1\n[a]\nc=1", b"a=1\n[a]", b"a={}\n[a]", b"a={}\n[a.b]", b"a.b=1\n[a]",
    b"a.b.c=1\n[a.b]", b"[a]\nb=1\n[a.b]", b"[a]\nb.c=1\n[a.b]", b"[a.b]\n[a]\nb=1",
    b"[a.b]\n[a]\nb.c=1", b"[a.b.c]\n[a]\nb.c.d=1",
    b"[a]\nb={c=1}\nb.d=2", b"[a]\nb={c=1}\n[a.b.d]", b"[[a]]\n[a]", b"[a]\n[[a]]",
    b"a=[]\n[[a]]", b"a=[{b=1}]\n[[a]]", b"a={}\n[[a]]", b"[[a.b]]\n[a.b]",
    b"[a.b]\n[[a.b]]", b"[a.b]\n[[a]]", b"[[a]]\nb=1\n[[a.b]]", b"[[a]]\nb=[]\n[[a.b]]",
    b"[[a]]\n[a.b]\n[a.b]", b"[a]\nb.c=1\n[[a.b]]", b"a.b=1\n[[a.c]]\n[a]",
    b"a={b={}}\n[a.b.c]", b"a={b=[{}]}\n[[a.b]]", b"[[a]]\n[[a.b]]\n[a.b]",
    b"a.b={c=1}\na.b.d=2", b"a=[{b=1}]\n[a.c]", b"[a]\nb=[{c=1}]\n[a.b.d]",
    b"[a.b]\nc=1\n[a]\nb.d=1", b"[[a.b]]\n[a]\nb.c=1", b"[[a]]\nb.c=1\n[a.b]",
    # headers
    b"[", b"[]", b"[ ]", b"[a", b"[a.]", b"[.a]", b"[a..b]", b"[a b]", b"[a] b=1", b"[a]]",
    b"[[a]", b"[[a] ]", b"[ [a]]", b"[[]]", b"[[a]] x", b"[a\n]", b"[[a\n]]", b"['''a''']",
    b"[a]\t=1", b"[a=1]", b"[[a].b]", b"[\"a]",
    # UTF-8
    b"a='\xff'", b"a='\xc3'", b"a='\xc0\x80'", b"a='\xed\xa0\x80'", b"a='\xf4\x90\x80\x80'",
    b"# \xff\n", b"\"\xe2\x82\"=1", b"a='''\x80'''", b"a=1 # \xf8\x88\x80\x80\x80",
]


def corpus():
    good = [b"x = " + v.encode() + b"\n" for v in VALUES]
    bad = [b"x = " + v.encode() + b"\n" for v in BAD_VALUES]
    return good + DOCUMENTS, bad + BAD_DOCUMENTS


# ------------------------------------------------------------------ tests


def test_good():
    """valid documents: accepted by both, with the same values"""
    good, _ = corpus()
    for data in good:
        tap.ok(reference(data)[0], "tomllib refuses %r" % data)
    check(good)


def test_bad():
    """invalid documents: refused by both"""
    _, bad = corpus()
    for data in bad:
        tap.ok(not reference(data)[0], "tomllib takes %r" % data)
    check(bad)


def test_alone():
    """values behind a key, in a list, in a table, without a line end"""
    shapes = (b"k = %b", b"k = [%b, %b]", b"k = {a = %b, b = [%b]}",
              b"[t]\r\nk = %b # c\r\n", b"k=%b#c", b"k=%b\nl=%b")
    check([shape.replace(b"%b", v.encode())
           for v in VALUES + BAD_VALUES for shape in shapes])


def test_own_ways():
    """where we differ: a byte order mark is passed over, wide integers and
    deep nesting are refused"""
    views = dump([b"\xef\xbb\xbfa = 1", b"a\xef\xbb\xbf = 1",
                  b"a = 9223372036854775808", b"a = -9223372036854775809",
                  b"a = 0x8000000000000000", b"a = 0xffffffffffffffffff",
                  b"a = 1" + b"0" * 500,
                  b"a = " + b"[" * 90 + b"]" * 90,
                  b"a = " + b"[" * 100000, b"a = " + b"{a=" * 100000,
                  b".".join([b"a"] * 100000) + b" = 1",
                  b"[" + b".".join([b"a"] * 100000) + b"]"])
    tap.eq([v["errors"] > 0 for v in views],
           [False, True] + [True] * 5 + [False] + [True] * 4)


def raws(node, found):
    kind, content, raw = node
    if kind == "table":
        for _, child in content:
            raws(child, found)
    elif kind == "array":
        for child in content:
            raws(child, found)
    if kind != "table" or raw.startswith("{"):
        if kind != "array" or raw.startswith("["):  # not an array of tables
            found.append((raw.encode("latin-1"), value(node)))
    return found


def test_raw():
    """the bytes of a value alone give the value again, and stand in the
    file"""
    good, _ = corpus()
    good += [b"a = %b\nb = [%b, {k = %b}] # c" % ((v.encode(),) * 3)
             for v in VALUES]
    for data, view in zip(good, dump(good)):
        for raw, want in raws(view["root"], []):
            tap.ok(raw in data, "%r stands in %r" % (raw, data))
            got = tomllib.loads("x = " + raw.decode())["x"]
            tap.eq(comparable(got), comparable(want), repr(raw))


TOKENS = [b"\n", b"\r", b"\r\n", b" ", b"\t", b"#", b"\"", b"'", b"\"\"\"", b"'''", b"=",
          b".", b",", b"[", b"]", b"[[", b"]]", b"{", b"}", b"\\", b"\\\n", b"\\u00e9", b"_",
          b"0", b"1", b"9", b"-", b"+", b"e", b"0x", b"0o", b"0b", b"inf", b"nan", b"true",
          b":", b"Z", b"T", b"1979-05-27", b"07:32:00", b"\x00", b"\x1f", b"\x7f", b"\xff",
          b"\xc3\xa4", b"a", b"b", b"a.b", b"a = 1\n", b"b.c = 2\n", b"[a]\n", b"[a.b]\n",
          b"[[a]]\n", b"[[a.b]]\n", b"a = {b = 1}\n", b"a = [{}]\n"]


def damage(rng, data, others):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 0, 1, 1, 2, 5)))
        put = rng.choice((b"", rng.choice(TOKENS), rng.choice(TOKENS),
                          bytes([rng.randrange(256)]),
                          bytes(rng.choice(others))))
        data[at:end] = put
    return bytes(data)


def test_damaged():
    """thousands of damaged copies"""
    good, bad = corpus()
    rng = random.Random(SEED)
    lines = [d.strip() for d in good + bad if len(d) < 30]
    variants = [damage(rng, rng.choice(good + good + bad), lines)
                for _ in range(VARIANTS)]
    accepted = sum(reference(v)[0] for v in variants)
    tap.ok(accepted > VARIANTS // 16, "%d are valid" % accepted)
    for at in range(0, len(variants), 1000):
        check(variants[at:at + 1000])


def test_joined():
    """headers and dotted keys in any order"""
    parts = [b"[a]\n", b"[a.b]\n", b"[a.b.c]\n", b"[[a]]\n", b"[[a.b]]\n", b"[b]\n",
             b"a.b = 1\n", b"a.c = 1\n", b"b.c = 1\n", b"b = 1\n", b"c.d = 1\n", b"c = {}\n",
             b"b = {c = 1}\n", b"b = [{}]\n", b"b.c.d = 1\n", b"c.d.e = 1\n", b"[a.c]\n",
             b"[[b.c]]\n"]
    rng = random.Random(SEED)
    check([b"".join(rng.choice(parts) for _ in range(rng.randrange(2, 6)))
           for _ in range(VARIANTS)])


tap.run(globals())
tap.done()
