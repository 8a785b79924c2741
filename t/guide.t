#!/usr/bin/python3
"""docs/plugin-guide.md is what conf/guide.py makes of today's header, and
names every hook, service and fact of it."""
import os
import re
import subprocess
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


def test_current():
    """the guide is current"""
    done = subprocess.run([sys.executable, os.path.join(ROOT, "conf/guide.py"),
                           "--check"], capture_output=True, text=True)
    tap.eq((done.returncode, done.stderr), (0, ""))


def test_whole():
    """nothing of the header is left out"""
    header = re.sub(r"/\*.*?\*/", "", read("include/mailroom/plugin.h"),
                    flags=re.S)
    guide = read("docs/plugin-guide.md")
    wanted = re.findall(r"\(\*(\w+)\)\(struct mr_call", header)
    wanted += re.findall(r"\b(MR_(?:FACT|MAY|NEEDS|WANT)_\w+)", header)
    tap.ok(len(wanted) > 60, "only %d found" % len(wanted))
    tap.eq([w for w in wanted if w not in guide], [])
    tap.ok("@" + "SECTIONS" not in guide)


tap.run(globals())
tap.done()
