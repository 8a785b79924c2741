#!/usr/bin/python3
# test: alone timeout=1500
"""Unit tests and a part of the wire tests under ThreadSanitizer."""
import glob
import os
import sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import san

TESTS = ["t/wire/01-smoke/smoke.t", "t/wire/10-smtp/content.t",
         "t/wire/30-imap/idle.t", "t/wire/30-imap/store.t",
         "t/wire/40-queue/admin.t"]
if os.environ.get("SAN_ALL"):
    os.chdir(san.ROOT)
    TESTS = sorted(glob.glob("t/wire/*/*.t"))
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "tsan.supp")
san.run("tsan", TESTS, {
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=66:second_deadlock_stack=1:"
    "suppressions=" + SUPPRESSIONS})
