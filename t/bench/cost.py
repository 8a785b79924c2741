"""cost - what processes use: CPU and memory that is theirs alone."""
import os

from postfix import tree

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root):
    """User and system time of the tree, with children that have ended."""
    ticks = 0
    for pid in tree(root):
        try:
            with open("/proc/%d/stat" % pid) as f:
                ticks += sum(map(int, f.read().rsplit(")", 1)[1]
                                 .split()[11:15]))
        except OSError:
            pass
    return ticks / TICK


def private_kib(pid):
    """Memory that is this process's alone."""
    total = 0
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            if line.startswith("Private_"):
                total += int(line.split()[1])
    return total


def private_total(roots):
    """Of all their processes that are there still."""
    total = 0
    for pid in (pid for root in roots for pid in tree(root)):
        try:
            total += private_kib(pid)
        except OSError:
            pass
    return total
