"""lmtpsink - an LMTP server (RFC 2033) that keeps what it is given.

As sink.Sink, on a unix socket if path is given. After the final dot
answer(session, ".", recipient) is asked once for each recipient; a message is
kept with the recipients that were answered with 2xx.
"""
import os
import socket
import threading
import types

from sink import Sink


class LmtpSink(Sink):
    def __init__(self, answer=None, path=None):
        super().__init__(answer, extensions=("8BITMIME", "PIPELINING"))
        self.path = path

    def __enter__(self):
        if not self.path:
            return super().__enter__()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def do_lhlo(self, s, argument):
        s.helo = argument
        lines = ["lmtp.test"] + self.extensions
        self.say(s, "LHLO", argument, "\r\n".join(
            ["250-" + line for line in lines[:-1]] + ["250 " + lines[-1]]))

    def do_ehlo(self, s, argument):
        self.say(s, "EHLO", argument, "500 5.5.1 say LHLO")

    do_helo = do_ehlo

    def do_data(self, s, argument):
        usual = "354 go on" if s.rcpts else "503 5.5.1 no valid recipients"
        if self.say(s, "DATA", argument, usual) != "3":
            return
        lines = []
        while True:
            line = self.read(s)
            if line == b".":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        data = b"".join(li + b"\r\n" for li in lines)
        for rcpt in s.rcpts:
            with self.lock:
                if self.say(s, ".", rcpt, "250 2.1.5 kept") == "2":
                    self.messages.append(types.SimpleNamespace(
                        sender=s.sender, rcpts=[rcpt], helo=s.helo,
                        data=data))
        s.rcpts = []
