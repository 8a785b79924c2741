#!/usr/bin/python3
# test: timeout=120
"""The greylist plugin, with clients from outside addresses."""
import sys
import time
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from outsider import ask, deliver
from server import Server


class House:
    def __enter__(self):
        self.server = Server({
            "smtp": {"xclient_networks": ["127.0.0.1"]},
            "workers": {"smtp": 2},
        }, start=False).__enter__()
        s = self.server
        s.extra["plugin.greylist"] = {"module": s.plugin("greylist"),
                                      "delay": "2s", "known_after": 3}
        s.chain = ["greylist"]
        s.write_config()
        s.start()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()


def test_wait(h):
    """first refused for a while, then taken, then not asked again"""
    s = h.server
    code, text = ask(s, "192.0.2.7")[:2]
    tap.eq(code, 451)
    tap.contains(str(text), "2 seconds")
    tap.eq(ask(s, "192.0.2.7")[0], 451, "too early")
    time.sleep(2.1)
    deliver(s, "192.0.2.99")        # of the same network
    tap.eq(ask(s, "192.0.2.7")[0], 250)
    tap.contains(s.newest("bob"), b"X-Greylist: its sender was asked")
    deliver(s, "192.0.2.99")
    tap.eq(len(s.messages("bob")), 2)
    tap.ok(b"X-Greylist" not in s.newest("bob"))


def test_triple(h):
    """another sender, recipient or network waits anew"""
    s = h.server
    tap.eq(ask(s, "192.0.2.7", sender="b@elsewhere.test")[0], 451)
    tap.eq(ask(s, "192.0.2.7", rcpt="alice@example.test")[0], 451)
    tap.eq(ask(s, "192.0.3.7")[0], 451)
    tap.eq(ask(s, "192.0.2.7", sender="A@Elsewhere.test")[0], 250,
           "the same in other letters")


def test_v6(h):
    """IPv6 counts by /64"""
    s = h.server
    tap.eq(ask(s, "2001:db8::1")[0], 451)
    time.sleep(2.1)
    tap.eq(ask(s, "2001:db8::ffff:1")[0], 250)
    tap.eq(ask(s, "2001:db8:0:1::1")[0], 451)


def test_long(h):
    """addresses longer than a key of the state"""
    s = h.server
    long = "a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".test"
    tap.eq(ask(s, "198.51.100.1", sender=long)[0], 451)
    time.sleep(2.1)
    tap.eq(ask(s, "198.51.100.1", sender=long)[0], 250)


def test_ours(h):
    """logins and loopback are not asked"""
    s = h.server
    s.send(b"Subject: x\r\n\r\nx\r\n")
    smtp = s.submission()
    smtp.sendmail("alice@example.test", ["bob@example.test"],
                  b"Subject: x\r\n\r\nx\r\n")
    smtp.quit()


def test_refused(h):
    """a recipient that is refused anyway is not greylisted"""
    tap.eq(ask(h.server, "203.0.113.9", rcpt="nobody@example.test")[0], 550)


def test_restart(h):
    """what is remembered outlives the server, killed or stopped"""
    s = h.server
    tap.eq(ask(s, "203.0.113.1")[0], 451)
    s.kill()
    s.start()
    time.sleep(2.1)
    tap.eq(ask(s, "203.0.113.1")[0], 250)
    s.restart()
    tap.eq(ask(s, "203.0.113.1")[0], 250)
    tap.eq(ask(s, "192.0.2.7")[0], 250)


def test_known(h):
    """a network that came back three times is known"""
    s = h.server
    for n in range(3):
        sender = "k%d@elsewhere.test" % n
        tap.eq(ask(s, "198.18.5.1", sender=sender)[0], 451, sender)
    time.sleep(2.1)
    for n in range(3):
        tap.eq(ask(s, "198.18.5.1", sender="k%d@elsewhere.test" % n)[0], 250)
    tap.eq(ask(s, "198.18.5.200", sender="new@elsewhere.test")[0], 250)
    tap.eq(ask(s, "198.18.6.1", sender="new@elsewhere.test")[0], 451)


with House() as house:
    tap.run(globals(), house)
tap.done()
