"""milter - a scripted milter on a unix socket, frame by frame.

    with Milter(step) as m:
        ... m.socket, m.seen ...

step(session, command, data) returns a list of frames (command, data) to send
back; None for the usual: CONTINUE where a reply is due. It may sleep, raise
Vanish (the connection is closed), or look at session.steps.
"""
import os
import socket
import struct
import tempfile
import threading
import types

CONTINUE = (b"c", b"")
SILENT = b"DQA"                         # no reply is due: macro, quit, abort
NO_REPLY = {b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000,
            b"R": 0x8000, b"T": 0x10000, b"U": 0x20000, b"N": 0x40000,
            b"B": 0x80000}


class Vanish(Exception):
    pass


def add_header(name, value):
    return b"h", name.encode() + b"\0" + value.encode() + b"\0"


def reply_code(text):
    return b"y", text.encode() + b"\0"


class Milter:
    def __init__(self, step=None, actions=0x1ff, protocol=0, version=6,
                 folder=None, path=None, symbols=b""):
        self.step = step or (lambda session, command, data: None)
        self.offer = (version, actions, protocol)
        self.symbols = symbols          # lists behind the options, raw
        self.folder = folder
        if not path and not folder:
            self.folder = tempfile.mkdtemp(prefix="mailroom-m.")
        self.path = path or os.path.join(self.folder, "milter.sock")
        self.socket = "unix:" + self.path
        self.sessions = []
        self.silent = False             # not even the options are answered

    @property
    def seen(self):
        """All commands of all sessions, in order: "OCHMRTLNBE..."."""
        return b"".join(c for s in self.sessions
                        for c, _ in s.steps).decode()

    def __enter__(self):
        if self.folder:
            os.chmod(self.folder, 0o755)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        if self.folder:
            os.chmod(self.path, 0o666)
        self.server.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """Nobody answers any more, and the socket file is gone."""
        try:
            self.server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.server.close()
        for s in self.sessions:
            try:
                s.conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if os.path.exists(self.path):
            os.unlink(self.path)

    def accept(self):
        while True:
            try:
                conn, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        s = types.SimpleNamespace(conn=conn, steps=[], macros={}, body=b"")
        self.sessions.append(s)
        try:
            self.talk(s)
        except (Vanish, OSError, EOFError):
            pass
        finally:
            conn.close()

    def read_exactly(self, s, n):
        data = b""
        while len(data) < n:
            part = s.conn.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def send(self, s, frames):
        s.conn.sendall(b"".join(struct.pack("!I", 1 + len(data)) + c + data
                                for c, data in frames))

    def talk(self, s):
        while True:
            size = struct.unpack("!I", self.read_exactly(s, 4))[0]
            frame = self.read_exactly(s, size)
            command, data = frame[:1], frame[1:]
            s.steps.append((command, data))
            if command == b"O" and self.silent:
                continue
            if command == b"O":
                self.send(s, [(b"O", struct.pack("!III", *self.offer) +
                               self.symbols)])
                continue
            if command == b"D":
                parts = data[1:].split(b"\0")
                s.macros.setdefault(data[:1].decode(), {}).update(
                    zip(parts[::2], parts[1::2]))
            frames = self.step(s, command, data)
            if frames is None:
                quiet = self.offer[2] & NO_REPLY.get(command, 0)
                frames = [] if command in SILENT or quiet else [CONTINUE]
            if frames:          # sending nothing to who has gone is an error
                self.send(s, frames)
            if command == b"Q":
                return
