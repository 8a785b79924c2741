#!/usr/bin/python3
# test: alone timeout=900
"""make dist makes a tarball that builds; make install puts everything where
it belongs; a stranger's plugin builds against what is installed."""
import glob
import os
import subprocess
import sys
import tempfile
sys.path.insert(0, __file__.rsplit("/t/", 1)[0] + "/t/lib")
import tap
from server import ROOT

PLUGIN = r"""
#include <mailroom/plugin.h>
static enum mr_verdict
on_message(struct mr_call *call)
{
	mr_header_add(call, "X-Seen-By", "my filter");
	return MR_PASS;
}
static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .message = on_message,
};
MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "mine", .version = "1.0", .filter = &filter,
};
"""
# below the DESTDIR
INSTALLED = """
usr/sbin/mailroomd usr/bin/mailroom usr/libexec/mailroom/sqlite.so
usr/libexec/mailroom/example.so usr/include/mailroom/plugin.h
usr/include/mailroom/setting.h usr/include/mailroom/store.h
usr/include/mailroom/store_types.h
usr/lib/pkgconfig/mailroom.pc usr/lib/systemd/system/mailroom.service
usr/lib/sysusers.d/mailroom.sysusers.conf usr/share/man/man8/mailroomd.8
usr/share/man/man1/mailroom.1 usr/share/man/man5/config.toml.5
etc/mailroom/config.toml usr/share/doc/mailroom/README.md
""".split()


class Work:
    """A scratch folder and what the steps leave in it."""

    def __init__(self, top):
        self.top = top
        self.tree = None
        self.dest = os.path.join(top, "dest")

    def run(self, command, where):
        done = subprocess.run(command, cwd=where, shell=True, text=True,
                              capture_output=True, errors="replace")
        if done.returncode:
            raise AssertionError("%s\n%s" % (command, (
                done.stdout + done.stderr)[-3000:]))
        return done.stdout


def test_dist(w):
    """make dist"""
    w.run("make -s dist", ROOT)
    tarball = glob.glob(ROOT + "/mailroom-*.tar.xz")[0]
    w.run("tar -xf %s" % tarball, w.top)
    os.unlink(tarball)
    w.tree = glob.glob(w.top + "/mailroom-*")[0]
    built = w.run("find . -name '*.[oa]' -o -name '*.so' -o -name '*.pyc'",
                  w.tree)
    tap.eq(built, "", "built files are in it")
    if os.path.isdir(ROOT + "/.git"):
        here = set(w.run("git ls-files", ROOT).split())
        here -= {".gitignore"}
        there = set(w.run("find . -type f -printf '%P\\n'", w.tree).split())
        tap.eq(sorted(here - there), [], "missing in the tarball")


def test_build(w):
    """the tarball configures and builds in a folder apart"""
    os.mkdir(w.tree + "/b")
    w.run("../configure -q --enable-werror --prefix=/usr --sysconfdir=/etc "
          "--localstatedir=/var && make -s -j2", w.tree + "/b")


def test_install(w):
    """make install, everything in its place"""
    w.run("make -s install DESTDIR=%s" % w.dest, w.tree + "/b")
    missing = [p for p in INSTALLED
               if not os.path.exists(os.path.join(w.dest, p))]
    tap.eq(missing, [])


def test_pages(w):
    """the manual pages format; config.toml(5) knows the settings"""
    man = w.dest + "/usr/share/man/"
    render = "mandoc -T ascii -W error %s | col -b"
    text = w.run(render % (man + "man5/config.toml.5"), w.top)
    for word in ("message_size", "[limits]", "smarthost", "certificate"):
        tap.contains(text, word)
    tap.contains(w.run(render % (man + "man8/mailroomd.8"), w.top), "SIGHUP")
    tap.contains(w.run(render % (man + "man1/mailroom.1"), w.top), "queue")


def test_unit_file(w):
    """the unit and the first configuration hold no unfilled @words@"""
    for name in ("usr/lib/systemd/system/mailroom.service",
                 "etc/mailroom/config.toml", "usr/lib/pkgconfig/mailroom.pc"):
        with open(os.path.join(w.dest, name)) as f:
            text = f.read()
        tap.ok("@sbin" not in text and "dir@" not in text
               and "@prefix" not in text, name)


def test_plugin(w):
    """a plugin builds with pkg-config and is accepted"""
    with open(w.top + "/mine.c", "w") as f:
        f.write(PLUGIN)
    flags = w.run("PKG_CONFIG_SYSROOT_DIR=%s PKG_CONFIG_PATH="
                  "%s/usr/lib/pkgconfig pkg-config --cflags mailroom"
                  % (w.dest, w.dest), w.top).strip()
    w.run("cc -std=c11 -Wall -Wextra -Werror -shared -fPIC -Wl,-z,defs %s "
          "mine.c -o mine.so" % (flags or "-I%s/usr/include" % w.dest), w.top)
    with open(w.top + "/c.toml", "w") as f:
        f.write("""hostname = "a.test"
data = "data"
plugin_dir = "%s/usr/libexec/mailroom"
user = "nobody"
[plugin.sqlite]
[plugin.mine]
module = "./mine.so"
[chain]
inbound = ["mine"]
""" % w.dest)
    os.chmod(w.top, 0o755)
    os.mkdir(w.top + "/data")
    w.run("%s/usr/bin/mailroom --config c.toml config check" % w.dest, w.top)


def test_uninstall(w):
    """make uninstall leaves nothing behind"""
    w.run("make -s uninstall DESTDIR=%s" % w.dest, w.tree + "/b")
    left = w.run("find dest -type f", w.top)
    tap.eq(left, "")


with tempfile.TemporaryDirectory(prefix="mailroom-d.") as folder:
    work = Work(folder)
    tap.run(globals(), work)
tap.done()
