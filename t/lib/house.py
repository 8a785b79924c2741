"""house - a server whose DNS a test makes up, and whose clients on loopback
may say that they come from elsewhere (outsider.py)."""
from fakedns import FakeDNS
from server import SLOW, Server


class DnsHouse:
    """A subclass says in settle() what its server has, and starts it."""
    zone = {}

    def __enter__(self):
        self.dns = FakeDNS(self.zone).__enter__()
        self.server = Server({
            "smtp": {"xclient_networks": ["127.0.0.1"]},
            "dns": {"servers": [self.dns.address], "timeout": "2s"},
        }, start=False).__enter__()
        try:
            self.settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def settle(self):
        self.configure()

    def configure(self, chain, **plugins):
        """The server again, with these plugins (name: settings) in the
        inbound chain in this order."""
        s = self.server
        s.stop()
        for name, settings in plugins.items():
            s.extra["plugin." + name] = {"module": s.plugin(name),
                                         **settings}
            if SLOW > 1 and name == "dkim":     # sanitizers take it all
                s.extra["plugin.dkim"]["memory"] = 0
        s.extra["chain"] = chain
        s.write_config()
        s.start()

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.dns.__exit__(*exc)

    def log_mark(self):
        self.server.log_mark()

    def log_tail(self):
        return self.server.log_tail()
