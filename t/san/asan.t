#!/usr/bin/python3
# test: alone timeout=1500
"""Unit tests and a part of the wire tests under AddressSanitizer and
UndefinedBehaviorSanitizer. All of them: make check-san."""
import glob
import os
import sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import san

TESTS = ["t/wire/01-smoke/smoke.t", "t/wire/10-smtp/commands.t",
         "t/wire/20-pop3/pop3.t", "t/wire/30-imap/session.t",
         "t/wire/30-imap/fetch.t", "t/wire/30-imap/search.t",
         "t/wire/60-milter/milter.t"]
if os.environ.get("SAN_ALL"):
    os.chdir(san.ROOT)
    TESTS = sorted(glob.glob("t/wire/*/*.t"))
san.run("asan", TESTS, {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:"
                    "handle_segv=1:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1"})
