#!/usr/bin/python3
"""docs/milters.md: each example of a configuration is taken, and is of ten
lines at most; the program to start is started as it stands there."""
import re
import sys
from importlib.util import find_spec
sys.path.insert(0, __file__.split("/t/milters/")[0] + "/t/lib")
import filters
import tap
from server import ROOT, Server

SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.M | re.S)
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.M | re.S)


def examples():
    """(title, text) of each example for config.toml."""
    with open(ROOT + "/docs/milters.md") as f:
        whole = f.read()
    for title, body in SECTION.findall(whole):
        for block in BLOCK.findall(body):
            yield title, block


def parse(text):
    """Sections as Server takes them; the values are JSON too."""
    import tomllib
    config = {}
    for name, value in tomllib.loads(text).items():
        if name in ("milter",):
            config.update({"milter." + k: v for k, v in value.items()})
        else:
            config[name] = value
    return config


def taken(text):
    tap.ok(len([li for li in text.splitlines() if li]) <= 10, "too long")
    with Server(parse(text), accounts=(), start=False) as s:
        s.cli("config", "check")
        tap.contains(s.cli("config", "show").stdout, "milter.")


def test_exec(found):
    """the filter in Python runs as it is attached there"""
    if not find_spec("Milter"):
        raise tap.Skip("python3-milter is not installed")
    text = [t for title, t in found if "Python" in title][0]
    text = text.replace("/usr/local/lib/mine.py", filters.EXERCISER)
    with Server(parse(text)) as s:
        s.send(filters.message(b"hello\r\n"))
        tap.contains(s.newest("bob"), b"X-Seen-body: ")


all_of_them = list(examples())
tap.point(len(all_of_them) == 7, "there are seven")
tap.table([("%s: taken" % title, text) for title, text in all_of_them], taken)
tap.call(tap.title(test_exec), test_exec, all_of_them)
tap.done()
