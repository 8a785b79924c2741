#!/usr/bin/python3
"""Floors of the house: a file of core/ROOM includes only rooms below its
own; net and mail do not know each other; plugins see only mailroom/*.h."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BELOW = {"base": []}
BELOW["net"] = BELOW["mail"] = ["base"]
BELOW["plug"] = ["base", "net", "mail"]
BELOW["queue"] = BELOW["plug"] + ["plug"]
BELOW["report"] = BELOW["queue"] + ["queue"]
BELOW["move"] = BELOW["queue"] + ["queue"]
BELOW["zone"] = ["base", "net"]
BELOW["serve"] = BELOW["report"] + ["report"]
BELOW["proc"] = BELOW["serve"] + ["serve", "move", "zone"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
done = bad = 0


def point(good, name, notes=()):
    global done, bad
    done += 1
    bad += not good
    print("%sok %d - %s" % ("" if good else "not ", done, name))
    for note in notes:
        print("# " + note)


def sources(folder):
    for top, _, names in os.walk(os.path.join(ROOT, folder)):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                path = os.path.join(top, name)
                with open(path, encoding="utf-8", errors="replace") as f:
                    yield os.path.relpath(path, ROOT), f.read()


def check_room(room):
    wrong = []
    for path, text in sources("core/" + room):
        for quote, what in INCLUDE.findall(text):
            where = what.split("/")[0] if "/" in what else ""
            if quote == '"' and where not in BELOW and what != "config.h":
                wrong.append("%s includes \"%s\": name it ROOM/file.h"
                             % (path, what))
            elif where in BELOW and where not in BELOW[room] + [room]:
                wrong.append("%s (%s) includes %s" % (path, room, what))
    point(not wrong, "core/%s includes only rooms below" % room, wrong)


def includes(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return [w for _, w in INCLUDE.findall(f.read()) if w != "config.h"]


def first_include(path):
    return (includes(path) or [""])[0]


def check_own_header_first():
    wrong = []
    for path, text in sources("core"):
        own = path[len("core/"):-2] + ".h"
        if not path.endswith(".c"):
            continue
        if not os.path.exists(os.path.join(ROOT, "core", own)):
            continue
        first = first_include(path)
        family = first.startswith(own[:-2] + "_") \
            and own in includes("core/" + first)
        if first != own and not family:
            wrong.append("%s: first include is %s" % (path, first))
    point(not wrong, "each .c includes its own .h first, or the private "
          "header of its family that brings it", wrong)


def check_plugins():
    wrong = []
    for path, text in sources("plugins"):
        folder = os.path.dirname(path)
        for quote, what in INCLUDE.findall(text):
            own = os.path.exists(os.path.join(ROOT, folder, what))
            if what.split("/")[0] in BELOW or (quote == '"' and not own):
                wrong.append("%s includes %s" % (path, what))
    point(not wrong, "plugins include nothing of core/", wrong)


def check_public_headers():
    wrong = ["%s includes %s" % (path, what)
             for path, text in sources("include")
             for quote, what in INCLUDE.findall(text)
             if quote == '"' or what.split("/")[0] in BELOW]
    point(not wrong, "public headers stand alone", wrong)


def find_cycle(graph):
    """One cycle of the include graph, or None."""
    state = {}

    def visit(node, trail):
        state[node] = 1
        for to in graph.get(node, ()):
            if state.get(to) == 1:
                return trail[trail.index(to):] + [to] if to in trail else [to]
            if to not in state:
                found = visit(to, trail + [to])
                if found:
                    return found
        state[node] = 2
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node, [node])
            if found:
                return found
    return None


def check_cycles():
    graph = {}
    for path, text in sources("core"):
        if path.endswith(".h"):
            graph[path[len("core/"):]] = [w for _, w in INCLUDE.findall(text)]
    cycle = find_cycle(graph)
    point(cycle is None, "headers have no include cycle",
          [" -> ".join(cycle)] if cycle else [])


for name in BELOW:
    check_room(name)
check_own_header_first()
check_plugins()
check_public_headers()
check_cycles()
print("1..%d" % done)
raise SystemExit(bad > 0)
