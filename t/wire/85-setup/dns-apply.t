#!/usr/bin/python3
# test: timeout=120
"""mailroom dns apply: what differs is changed, by signed updates that Knot
takes, or by running lexicon."""
import base64
import json
import os
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from knot import Knot
from server import Server

SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()
KEY = ("mailroom", "hmac-sha256", SECRET)
# A long text, cut elsewhere than we would cut it.
LIVE = """@ MX 5 mx.elsewhere.test.
@ TXT "v=spf1 include:" "spf.elsewhere.test -all"
@ TXT "something=else"
mail A 203.0.113.1
_dmarc CNAME dmarc.elsewhere.test.
autoconfig A 203.0.113.99
"""
LEXICON = """#!/usr/bin/python3
import json, os, sys
with open(%r, "a") as f:
    f.write(json.dumps([sys.argv[1:], os.environ.get("LEXICON_X_TOKEN")]))
    f.write("\\n")
if "CNAME" in sys.argv and "autoconfig.example.test" in sys.argv:
    print("Traceback (most recent call last):\\n  ...", file=sys.stderr)
    print("Exception: the token may not do that", file=sys.stderr)
    sys.exit(1)
"""


class House:
    def __enter__(self):
        self.knot = Knot({"example.test": LIVE, "host.test": ""},
                         update_key=KEY).__enter__()
        self.server = Server({
            "": {"hostname": "mail.example.test"},
            "dns": {"servers": [self.knot.address], "timeout": "2s",
                    "trust_anchors": self.knot.anchors},
            "dns.plan": {"authority_port": self.knot.port,
                         "authority": "ca.example",
                         "addresses": ["203.0.113.5", "2001:db8::5"]},
        }, start=False).__enter__()
        self.update()
        self.server.cli("dkim", "new", "example.test")
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.knot.__exit__(*exc)

    def update(self, **settings):
        secret = self.server.path("tsig")
        with open(secret, "w") as f:
            f.write(settings.pop("secret", SECRET) + "\n")
        self.server.extra["dns.update"] = {
            "server": self.knot.address, "key": "mailroom",
            "secret_file": secret, **settings}
        self.server.write_config()

    def apply(self, *args, **kw):
        return self.server.cli("dns", "apply", *args, check=False, **kw)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_shows_first(h):
    """what would change is shown, and a no changes nothing"""
    done = h.apply(input="n\n")
    tap.eq(done.returncode, 1)
    for line in ("- MX    example.test\n        5 mx.elsewhere.test.",
                 "+ MX    example.test\n        10 mail.example.test.",
                 "+ TXT   example.test\n"
                 "        v=spf1 mx include:spf.elsewhere.test -all",
                 "- CNAME _dmarc.example.test",
                 "- A     autoconfig.example.test"):
        tap.contains(done.stdout, line)
    tap.ok("something=else" not in done.stdout)
    tap.contains(done.stdout, "Nothing is changed.")
    tap.contains(h.knot.ask("example.test.", "MX"), "5 mx.elsewhere.test.")
    tap.eq(h.apply("--dry-run").returncode, 0)
    tap.contains(h.knot.ask("example.test.", "MX"), "5 mx.elsewhere.test.")


def test_refusals(h):
    """a wrong key, secret or clock is said in words"""
    for settings, words in (
            ({"key": "other"}, 'knows no key "other"'),
            ({"secret": base64.b64encode(b"x" * 32).decode()},
             "has another secret"),
            ({"secret": "no base64!"}, "the secret is base64"),
            ({"key": ""}, "it will want a key"),
            ({"server": "127.0.0.1:9"}, "no answer"),
            ({"server": "nobody"}, "[dns.update] server")):
        h.update(**settings)
        done = h.apply("--yes")
        tap.eq(done.returncode, 1, settings)
        tap.contains(done.stderr, words)
    h.update()
    tap.contains(h.knot.ask("example.test.", "MX"), "5 mx.elsewhere.test.")


def test_update(h):
    """one signed update, and verify finds all right; other texts stay"""
    done = h.apply("example.test", input="y\n")
    tap.eq((done.returncode, done.stderr), (0, ""), done.stdout)
    found = h.server.cli_json("dns", "verify", "--wait", "10s")
    tap.eq([r for r in found[0]["records"] if r["finding"] != "right"], [])
    tap.contains(h.knot.ask("example.test.", "TXT"), "something=else")


def test_nothing_left(h):
    """the second time there is nothing to do, and nobody is asked"""
    done = h.apply()
    tap.eq((done.returncode, done.stdout), (0, "All is there already.\n"))


def test_only_what_differs(h):
    """a change of the configuration changes its records alone"""
    h.server.extra["dns.plan"]["report_to"] = "reports@example.test"
    h.server.write_config()
    got = json.loads(h.apply("--yes", "--json").stdout)
    tap.eq([(c["do"], c["name"]) for c in got["changes"]],
           [("remove", "_smtp._tls.example.test"),
            ("add", "_smtp._tls.example.test")],
           "DMARC keeps the address that is there")
    tap.eq(got["done"], 2)


def test_two_zones(h):
    """a host in a zone of its own has its update there"""
    h.server.extra[""]["hostname"] = "mail.host.test"
    h.server.write_config()
    done = h.apply("--yes")
    tap.eq((done.returncode, done.stderr), (0, ""), done.stdout)
    tap.contains(h.knot.ask("mail.host.test.", "A"), "203.0.113.5")
    tap.contains(h.knot.ask("example.test.", "MX"), "10 mail.host.test.")
    h.server.extra[""]["hostname"] = "mail.example.test"
    h.server.write_config()


def lexicon(h, *args):
    """(done, what lexicon was called with)"""
    folder = h.server.path("bin")
    calls = h.server.path("calls")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lexicon"), "w") as f:
        f.write(LEXICON % calls)
    os.chmod(folder + "/lexicon", 0o755)
    open(calls, "w").close()
    os.chmod(calls, 0o666)
    done = h.apply("--provider", "x", *args, env=dict(
        os.environ, PATH=folder + ":" + os.environ["PATH"],
        LEXICON_X_TOKEN="secret"))
    with open(calls) as f:
        return done, [json.loads(line) for line in f]


def test_provider(h):
    """lexicon is run for each change, with its environment; what it refuses
    is told, and the rest is done"""
    done, calls = lexicon(h, "--yes")
    tap.eq({token for _, token in calls}, {"secret"})
    calls = [words for words, _ in calls]
    tap.ok(["x", "create", "example.test", "MX", "--name", "example.test",
            "--priority", "10", "--content", "mail.example.test.", "--ttl",
            "3600"] in calls, calls)
    tap.ok(["x", "delete", "example.test", "MX", "--name", "example.test",
            "--priority", "10", "--content", "mail.host.test."] in calls)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "autoconfig.example.test: taking out CNAME: "
                 "Exception: the token may not do that")
    tap.contains(done.stdout, "%d of %d changes" % (len(calls) - 2,
                                                    len(calls)))


def test_no_lexicon(h):
    """without lexicon it says what to install"""
    done = h.apply("--provider", "x", "--yes",
                   env=dict(os.environ, PATH="/nowhere"))
    tap.contains(done.stderr, "apt-get install lexicon")


def test_no_way(h):
    """without any setting it says which there are"""
    del h.server.extra["dns.update"]
    h.server.write_config()
    done = h.apply("--yes")
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "[dns.update]")
    tap.contains(done.stderr, "--provider NAME")


with House() as house:
    tap.run(globals(), house)
tap.done()
