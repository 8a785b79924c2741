"""san - runs a short list of tests against a sanitizer build, each file one
point. Used by asan.t and tsan.t."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def run(kind, tests, options):
    os.chdir(ROOT)
    os.makedirs("build-san", exist_ok=True)
    with open("build-san/%s.log" % kind, "w+b") as log:
        built = subprocess.run(["t/san/build", kind], stdout=log, stderr=log)
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    if built.returncode:
        print("\n".join("# " + li for li in text.splitlines()[-40:]))
        print("not ok 1 - build\n1..1")
        sys.exit(1)
    build = os.path.join(ROOT, "build-san", kind)
    programs = subprocess.run(
        ["make", "-s", "print-check-programs"], cwd=build, check=True,
        capture_output=True, text=True).stdout.split()
    programs = [os.path.join(build, p) for p in programs]
    env = dict(os.environ, MAILROOM_BUILD=build, MAILROOM_SLOW="5",
               **options)
    failed = 0
    everything = programs + tests
    for number, test in enumerate(everything, 1):
        done = subprocess.run([test], env=env, capture_output=True,
                              text=True, errors="replace")
        good = done.returncode == 0
        failed += not good
        name = os.path.relpath(test, build) if test.startswith(build) \
            else test
        if not good:
            lines = (done.stdout + done.stderr).splitlines()[-60:]
            print("\n".join("# " + li for li in lines))
        print("%sok %d - %s" % ("" if good else "not ", number, name),
              flush=True)
    print("1..%d" % len(everything))
    sys.exit(1 if failed else 0)
