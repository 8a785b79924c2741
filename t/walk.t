#!/usr/bin/python3
"""docs/walk.md tells the life of a message by `file:function`; each of them
must exist, in that file, as a definition."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WALK = os.path.join(ROOT, "docs", "walk.md")
STEP = re.compile(r"`((?:core|plugins|include)/[\w./-]+\.[ch]):(\w+)`")


def defines(path, name):
    """Return type on its own line: the name begins a line, and a body
    follows (or it is a constant table)."""
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
    except OSError:
        return False
    function = r"^%s\([^;{}]*\)\s*\n\{" % re.escape(name)
    table = r"^(?:static )?(?:const )?struct .*\b%s\b.*= *\{" \
        % re.escape(name)
    return bool(re.search(function, text, re.M)
                or re.search(table, text, re.M))


if not os.path.exists(WALK):
    print("not ok 1 - docs/walk.md is there\n1..1")
    raise SystemExit(1)
with open(WALK, encoding="utf-8") as f:
    steps = STEP.findall(f.read())
bad = 0
for number, (path, name) in enumerate(steps, 1):
    good = defines(path, name)
    bad += not good
    print("%sok %d - %s:%s" % ("" if good else "not ", number, path, name))
number = len(steps) + 1
enough = len(steps) >= 15
print("%sok %d - the walk has its steps (%d)"
      % ("" if enough else "not ", number, len(steps)))
print("1..%d" % number)
raise SystemExit(bad > 0 or not enough)
