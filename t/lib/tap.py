"""tap - points of a test file, in the Test Anything Protocol.

A file defines functions named test_*; run() calls them in the order they
stand, each one point, named by the first line of its docstring. An exception
makes it a failed point. With objects that have a log_tail() method (servers)
the end of their log is shown with a failure.
"""
import sys
import traceback

count = failed = 0


class Skip(Exception):
    """Raise with the reason."""


def point(good, name, note=""):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    for line in note.splitlines():
        print("#   " + line)
    sys.stdout.flush()
    return good


def eq(got, want, what=""):
    if got != want:
        raise AssertionError("%s\n got  %s\n want %s"
                             % (what, shorten(got), shorten(want)))


def ok(condition, what="not true"):
    if not condition:
        raise AssertionError(what)


def contains(haystack, needle, what=""):
    if needle not in haystack:
        raise AssertionError("%s\n %r is not in\n %s"
                             % (what, needle, shorten(haystack)))


def shorten(value):
    text = repr(value)
    return text if len(text) <= 1500 else text[:900] + " ... " + text[-500:]


def title(function):
    doc = (function.__doc__ or "").strip().split("\n")[0]
    return doc or function.__name__[5:].replace("_", " ")


def call(name, function, *args):
    """One point: function(*args) raises nothing."""
    logs = [a for a in args if hasattr(a, "log_tail")]
    for log in logs:
        log.log_mark()
    try:
        function(*args)
    except Skip as reason:
        point(True, "%s # SKIP %s" % (name, reason))
    except Exception:
        note = traceback.format_exc(limit=-6)
        for log in logs:
            note += "\n--- log\n" + log.log_tail()
        point(False, name, note)
    else:
        point(True, name)


def run(namespace, *args):
    """Calls each test_* of the namespace with args."""
    for name, function in list(namespace.items()):
        if name.startswith("test_") and callable(function):
            call(title(function), function, *args)


def table(rows, function, *args):
    """One point for each row (name, values...): function(*args, *values)."""
    for name, *values in rows:
        call(name, function, *args, *values)


def done():
    print("1..%d" % count)
    sys.exit(1 if failed or not count else 0)


def skip_all(reason):
    print("ok 1 - # SKIP %s\n1..1" % reason)
    sys.exit(0)
