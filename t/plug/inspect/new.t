#!/usr/bin/python3
"""mailroom plugin new: what it writes builds without a warning, by its
Makefile and by cc alone, and does what it says."""
import os
import shutil
import subprocess
import sys
import tempfile
sys.path.insert(0, __file__.split("/t/plug/")[0] + "/t/lib")
import tap
from server import BUILD, ROOT

MAILROOM = os.path.join(BUILD, "mailroom")
INCLUDE = os.path.join(ROOT, "include")


def run(*args, cwd=None):
    return subprocess.run(args, capture_output=True, text=True, timeout=120,
                          cwd=cwd or folder)


def test_new(language, suffix, compiler, flags):
    if not shutil.which(compiler):
        return
    name = "mine-" + suffix
    done = run(MAILROOM, "plugin", "new", name, "--lang", language)
    tap.eq((done.returncode, done.stderr), (0, ""))
    here = os.path.join(folder, name)
    tap.eq(sorted(os.listdir(here)), sorted(
        ["Makefile", name + "." + suffix, "test.eml"]))
    done = run("make", "test", "MAILROOM=" + MAILROOM,
               "CPPFLAGS=-Werror -I" + INCLUDE, cwd=here)
    tap.eq(done.returncode, 0, done.stdout + done.stderr)
    tap.contains(done.stdout, "header added: X-%s: seen" % name)
    tap.contains(done.stdout, "refused: 550 5.7.1 That word is not welcome")
    done = run(compiler, *flags, "-I" + INCLUDE, "-shared", "-fPIC",
               name + "." + suffix, "-o", "alone.so", cwd=here)
    tap.eq((done.returncode, done.stderr), (0, ""))
    tap.contains(run(MAILROOM, "plugin", "inspect", "./alone.so",
                     cwd=here).stdout, "roles     filter")


def test_rust():
    """in Rust, by its Makefile"""
    if not shutil.which("rustc"):
        raise tap.Skip("rustc is not installed")
    done = run(MAILROOM, "plugin", "new", "mine-rs", "--lang", "rust")
    tap.eq((done.returncode, done.stderr), (0, ""))
    done = run("make", "test", "MAILROOM=" + MAILROOM,
               cwd=os.path.join(folder, "mine-rs"))
    tap.eq(done.returncode, 0, done.stdout + done.stderr)
    tap.ok("warning" not in done.stderr, done.stderr)
    tap.contains(done.stdout, "header added: X-mine-rs: seen")
    tap.contains(done.stdout, "refused: 550 5.7.1 That word is not welcome")


def test_refuses():
    """it overwrites nothing and takes no name that is none"""
    os.mkdir(os.path.join(folder, "there"))
    done = run(MAILROOM, "plugin", "new", "there")
    tap.eq(done.returncode, 1)
    tap.eq(os.listdir(os.path.join(folder, "there")), [])
    for args in (["../x"], ["X"], ["x", "--lang", "cobol"], ["x", "y"]):
        tap.eq(run(MAILROOM, "plugin", "new", *args).returncode, 2)


with tempfile.TemporaryDirectory(prefix="mailroom-t.") as folder:
    tap.table([("in C", "c", "c", "cc", []),
               ("in C++", "c++", "cc", "c++", ["-std=c++20"])], test_new)
    tap.call(test_rust.__doc__, test_rust)
    tap.call(test_refuses.__doc__, test_refuses)
tap.done()
