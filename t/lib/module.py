"""module - small plugins that a test writes and builds for itself."""
import os
import subprocess

from server import ROOT

CC = os.environ.get("CC", "cc").split()

FILTER = r"""
#include <mailroom/plugin.h>
static enum mr_verdict
on_message(struct mr_call *call)
{
	char text[64];
	snprintf(text, sizeof text, "%%s", mr_fact(call, MR_FACT_CHAIN));
	mr_header_add(call, "X-%(name)s", text);
	return MR_PASS;
}
static const struct mr_filter filter = {.size = sizeof filter,
	.needs = %(needs)s, .may = %(may)s, .message = on_message};
MR_PLUGIN = {MR_PLUGIN_HEAD, .name = "%(name)s", .version = "1",
	.filter = &filter};
"""


def build(source, out, include=os.path.join(ROOT, "include"),
          flags=()):
    """Builds the C text as the guide tells authors to; returns out."""
    subprocess.run([*CC, "-shared", "-fPIC", "-Wl,-z,defs", "-Wall", "-Werror",
                    "-I", include, "-x", "c", "-", "-o", out, *flags],
                   check=True,
                   input=source, text=True)
    os.chmod(out, 0o755)
    return out


def build_filter(folder, name, needs="0", may="0"):
    """A filter that notes its chain in a field X-NAME."""
    return build(FILTER % {"name": name, "needs": needs, "may": may},
                 os.path.join(folder, name + ".so"))
