"""marionette - drives a Mozilla program from outside, over the loopback port
that it opens with --marionette: each message is its length, ":" and JSON."""
import json
import os
import socket
import subprocess
import time

from server import SLOW, free_ports


class Marionette:
    """The program, headless, with a profile of its own in `folder`."""

    def __init__(self, program, folder, prefs):
        self.port = free_ports(1)[0]
        self.buffer, self.count = b"", 0
        os.makedirs(folder)
        with open(os.path.join(folder, "user.js"), "w") as f:
            for name, value in dict(prefs, **{
                    "marionette.port": self.port}).items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(name),
                                                  json.dumps(value)))
        with open(os.path.join(folder, "output"), "w") as out:
            self.process = subprocess.Popen(
                [program, "--headless", "--marionette", "--no-remote",
                 "--remote-allow-system-access", "--profile", folder],
                env=dict(os.environ, HOME=folder, MOZ_HEADLESS="1"),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def __enter__(self):
        end = time.monotonic() + 60 * SLOW
        while True:
            try:
                self.socket = socket.create_connection(
                    ("127.0.0.1", self.port), 120 * SLOW)
                break
            except OSError:
                if self.process.poll() is not None or \
                        time.monotonic() > end:
                    self.__exit__()
                    raise
                time.sleep(0.2)
        self.read()
        self.ask("WebDriver:NewSession", capabilities={})
        self.ask("Marionette:SetContext", value="chrome")
        self.ask("WebDriver:SetTimeouts", script=100000 * SLOW)
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        try:
            self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def read(self):
        while b":" not in self.buffer:
            self.receive()
        size, _, self.buffer = self.buffer.partition(b":")
        while len(self.buffer) < int(size):
            self.receive()
        message = json.loads(self.buffer[:int(size)])
        self.buffer = self.buffer[int(size):]
        return message

    def receive(self):
        got = self.socket.recv(1 << 20)
        if not got:
            raise EOFError("the program closed the connection")
        self.buffer += got

    def ask(self, name, **parameters):
        self.count += 1
        data = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self.read()
        if error:
            raise AssertionError("%s: %s" % (name, error["message"]))
        return result

    def run(self, script, *args):
        """The value of an asynchronous script: it calls its last argument."""
        return self.ask("WebDriver:ExecuteAsyncScript", script=script,
                        args=list(args))["value"]
