#!/usr/bin/python3
"""mailroom explain and plugin test: the same verdicts, edits, replies and
places that the server would give, and nothing kept."""
import os
import subprocess
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from module import build
from server import BUILD, ROOT, Server

EML = ("From: a@elsewhere.test\nX-Old: value\nX-Gone: soon\nSubject: %s\n\n"
       "old body\n.dot\n")

HOLD = r"""
#include <mailroom/plugin.h>
#include <string.h>
static enum mr_verdict
on_message(struct mr_call *call)
{
	struct mr_header h;
	size_t i;
	for (i = 0; call->host->header(call, i, &h) == 0; i++)
		if (!strcmp(h.name.at, "Subject"))
			break;
	mr_header_add(call, "X-Odd", "\033[31m\377");
	mr_say(call, 450, NULL, "the reason");
	if (strstr(h.value.at, "hold"))
		return MR_QUARANTINE;
	if (strstr(h.value.at, "drop"))
		return MR_DISCARD;
	return strstr(h.value.at, "later") ? MR_TEMPFAIL : MR_DONE;
}
static const struct mr_filter filter = {.size = sizeof filter,
	.needs = MR_NEEDS_HEADERS, .may = MR_MAY_HEADERS,
	.message = on_message};
MR_PLUGIN = {MR_PLUGIN_HEAD, .name = "hold", .version = "1",
	.filter = &filter};
"""


def eml(s, subject="x", name="m.eml"):
    with open(s.path(name), "w") as f:
        f.write(EML % subject)
    os.chmod(s.path(name), 0o644)
    return s.path(name)


def explain(s, to, *options, subject="x", sender="a@elsewhere.test"):
    to = [to] if isinstance(to, str) else to
    rcpts = [w for one in to for w in ("--to", one)]
    return s.cli_json("explain", eml(s, subject), "--ip", "192.0.2.7",
                      "--from", sender, *rcpts, *options)


def calls(run, hook):
    return [f for step in run["steps"] for f in step["filters"]
            if f["hook"] == hook]


def test_places(s):
    """mailbox, alias and refusal for each recipient"""
    run = explain(s, ["bob@example.test", "sales@example.test",
                      "nobody@example.test", "x@far.test"])
    answers = {r["recipient"]: r for r in run["routes"]}
    tap.eq(answers["bob@example.test"]["targets"],
           [{"account": "bob@example.test", "mailbox": "INBOX"}])
    tap.eq(answers["sales@example.test"]["targets"],
           [{"account": "bob@example.test", "mailbox": "INBOX"},
            {"forward": "out@far.test"}])
    tap.eq(answers["nobody@example.test"]["answer"], "unknown user")
    tap.eq(answers["x@far.test"]["answer"], "elsewhere")
    said = {step["command"]: step["answer"] for step in run["steps"]}
    tap.contains(said["RCPT TO:<nobody@example.test>"], "550 5.1.1")
    tap.contains(said["RCPT TO:<x@far.test>"], "550 5.7.1")
    tap.ok(run["accepted"] and run["reply"].startswith("250 2.0.0"))
    tap.eq([(p["kind"], p.get("account", p.get("recipient")))
            for p in run["places"]],
           [("mailbox", "bob@example.test"), ("queue", "out@far.test"),
            ("mailbox", "alice@example.test")])


def test_edits(s):
    """each filter's verdicts with its edits"""
    run = explain(s, ["bob@example.test", "alice@example.test"])
    tap.contains(str(run["steps"]), "550 5.7.9 not alice")
    (every, hold) = calls(run, "message")
    tap.eq((every["filter"], every["verdict"], hold["verdict"]),
           ("every", "pass", "done"))
    edits = [(e["edit"], e["name"], e["value"]) for e in every["edits"]
             if not e["name"].startswith("X-Every")]
    tap.eq(edits, [
        ("header removed", "X-Gone", "soon"),
        ("header changed", "X-Old", "changed"),
        ("body replaced", "body", ""),
        ("sender changed", "sender", "changed@elsewhere.test"),
        ("recipient added", "recipient", "alice@example.test")])
    tap.eq(hold["edits"], [{"edit": "header added", "name": "X-Odd",
                            "value": "?[31m?"}])
    tap.eq([f["verdict"] for f in calls(run, "rcpt")], ["pass", "reject"])


def test_fates(s):
    """held, dropped and refused"""
    run = explain(s, "bob@example.test", subject="hold")
    tap.eq([(p["kind"], p["held"], p["reason"]) for p in run["places"]],
           [("queue", True, "hold: the reason")] * 2)
    run = explain(s, "bob@example.test", subject="drop")
    tap.eq((run["accepted"], run["discarded_by"], run["places"]),
           (True, "hold", []))
    run = explain(s, "bob@example.test", subject="later")
    tap.eq((run["accepted"], run["reply"], run["places"]),
           (False, "450 the reason", []))


def test_login(s):
    """a login has its own chain and may send only as itself"""
    run = explain(s, "x@far.test", "--login", "alice@example.test",
                  sender="alice@example.test")
    tap.ok(run["accepted"], run["reply"])
    tap.eq(calls(run, "message"), [])
    run = explain(s, "x@far.test", "--login", "alice@example.test",
                  sender="bob@example.test")
    tap.contains(run["reply"], "553 5.7.1")


def test_text(s):
    """for people, without control characters"""
    done = s.cli("explain", eml(s), "--from", "a@elsewhere.test", "--to",
                 "bob@example.test")
    for part in ("bob@example.test: here\n", "DATA\n", "header removed: "
                 "X-Gone: soon\n", "taken:\n", "INBOX of bob@example.test"):
        tap.contains(done.stdout, part)
    tap.ok("\033" not in done.stdout)
    tap.eq(s.cli("explain", eml(s), "--from", "a@b.test", "--to",
                 check=False).returncode, 2)
    tap.eq(s.cli("explain", s.path("none"), "--from", "a@b.test", "--to",
                 "bob@example.test", check=False).returncode, 1)


def test_nothing_kept(s):
    """nothing was delivered, queued or counted"""
    tap.eq(s.queue(), [])
    tap.eq(os.listdir(s.path("data", "tmp")) if
           os.path.exists(s.path("data", "tmp")) else [], [])
    run = explain(s, "bob@example.test")
    tap.contains(str(calls(run, "message")[0]["edits"]),
                 "'name': 'X-Every-Sum', 'value': '5'")
    s.start()
    tap.eq(s.messages("bob"), [])
    tap.eq(s.messages("alice"), [])
    s.stop()


def plugin_test(s, *args):
    return subprocess.run([os.path.join(BUILD, "mailroom"), "plugin", "test",
                           *args], capture_output=True, text=True,
                          timeout=60, cwd=s.dir)


def test_plugin_test(s):
    """plugin test needs no server and no configuration"""
    good, bad = eml(s, "x"), eml(s, "a lottery", "n.eml")
    module = os.path.join(BUILD, "plugins/example/example.so")
    done = plugin_test(s, module, good)
    tap.eq(done.returncode, 0)
    tap.contains(done.stdout, "header added: X-Example: seen")
    done = plugin_test(s, module, "--set", 'word = "lottery"', good, bad)
    tap.eq(done.returncode, 1)
    tap.contains(done.stdout, "refused: 550 5.7.1 That word is not welcome")
    tap.contains(done.stdout, "header added: X-Example: seen")
    done = plugin_test(s, module, "--set", "wrod = 1", good)
    tap.eq(done.returncode, 1)
    tap.contains(done.stderr, "did you mean")
    done = plugin_test(s, s.path("m.eml"), good)
    tap.eq((done.returncode, done.stdout), (1, ""))
    tap.eq(plugin_test(s, module).returncode, 2)


with Server(start=False) as server:
    with open(os.path.join(ROOT, "t/plug/abi/every.c")) as f:
        every = build(f.read(), server.path("every.so"))
    server.extra = {
        "dns": {"timeout": "200ms"},
        "plugin.every": {"module": every, "word": "good"},
        "plugin.hold": {"module": build(HOLD, server.path("hold.so"))},
        "chain": {"inbound": ["every", "hold"], "submission": []}}
    server.write_config()
    server.cli("alias", "add", "sales@example.test", "bob@example.test")
    server.cli("alias", "add", "sales@example.test", "out@far.test")
    tap.run(globals(), server)
tap.done()
