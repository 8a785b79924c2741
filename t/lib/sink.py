"""sink - an SMTP server that keeps what it is given.

    with Sink() as sink:
        ... sink.port, sink.messages ...

answer(session, verb, argument) may return a reply line ("450 4.2.0 later")
to be sent instead of the usual one, "" to close without a word, or None. The
verb after the final dot is ".". A message is kept only when the dot was
answered with 2xx.
"""
import socket
import ssl
import threading
import types


class Sink:
    def __init__(self, answer=None, tls=None, extensions=("8BITMIME",
                                                          "PIPELINING"),
                 host="127.0.0.1", port=0):
        self.at = (host, port)
        self.answer = answer or (lambda session, verb, argument: None)
        self.tls = tls                  # (certificate, key) or None
        self.extensions = list(extensions)
        self.messages = []      # .sender .rcpts .data .helo .tls .session
        self.sessions = []
        self.lock = threading.Lock()

    def __enter__(self):
        self.socket = socket.create_server(self.at, backlog=128)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        s = types.SimpleNamespace(conn=conn, file=conn.makefile("rb"),
                                  helo="", tls=False, auth=None, sender=None,
                                  rcpts=[], commands=[])
        self.sessions.append(s)
        try:
            self.talk(s)
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            s.file.close()      # else the socket stays open for it
            s.conn.close()

    def say(self, s, verb, argument, usual):
        line = self.answer(s, verb, argument)
        if line == "":
            raise EOFError
        line = usual if line is None else line
        s.conn.sendall(line.encode() + b"\r\n")
        return line[0]

    def read(self, s):
        line = s.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    def talk(self, s):
        if self.say(s, "CONNECT", "", "220 sink.test ESMTP") != "2":
            return
        while True:
            line = self.read(s).decode("utf-8", "replace")
            verb, _, argument = line.partition(" ")
            s.commands.append(line)
            method = getattr(self, "do_" + verb.lower(), None)
            if method is None:
                self.say(s, verb.upper(), argument, "500 5.5.1 what?")
            elif method(s, argument) == "end":
                return

    def do_ehlo(self, s, argument):
        s.helo = argument
        words = ["sink.test"] + self.extensions
        if self.tls and not s.tls:
            words.append("STARTTLS")
        lines = ["250-" + w for w in words[:-1]] + ["250 " + words[-1]]
        self.say(s, "EHLO", argument, "\r\n".join(lines))

    def do_helo(self, s, argument):
        s.helo = argument
        self.say(s, "HELO", argument, "250 sink.test")

    def do_starttls(self, s, argument):
        if self.say(s, "STARTTLS", argument, "220 2.0.0 go") != "2":
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        s.file.close()
        s.conn = context.wrap_socket(s.conn, server_side=True)
        s.file = s.conn.makefile("rb")
        s.tls = True

    def do_auth(self, s, argument):
        s.auth = argument
        self.say(s, "AUTH", argument, "235 2.7.0 welcome")

    def do_mail(self, s, argument):
        if self.say(s, "MAIL", argument, "250 2.1.0 ok") == "2":
            s.sender = argument[len("FROM:<"):argument.index(">")]
            s.mail_args = argument[argument.index(">") + 1:].split()
            s.rcpts = []

    def do_rcpt(self, s, argument):
        if self.say(s, "RCPT", argument, "250 2.1.5 ok") == "2":
            s.rcpts.append(argument[len("TO:<"):argument.index(">")])

    def do_data(self, s, argument):
        usual = "354 go on" if s.rcpts else "554 5.5.1 no valid recipients"
        if self.say(s, "DATA", argument, usual) != "3":
            return
        lines = []
        while True:
            line = self.read(s)
            if line == b".":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        self.keep(s, b"".join(li + b"\r\n" for li in lines))

    def do_bdat(self, s, argument):
        size, last = argument.split()
        self.keep(s, s.file.read(int(size)))

    def keep(self, s, data):
        message = types.SimpleNamespace(
            sender=s.sender, rcpts=s.rcpts, helo=s.helo, tls=s.tls,
            auth=s.auth, args=s.mail_args, session=s, data=data)
        s.rcpts = []
        with self.lock:
            if self.say(s, ".", "", "250 2.0.0 kept") == "2":
                self.messages.append(message)

    def do_rset(self, s, argument):
        s.rcpts = []
        self.say(s, "RSET", argument, "250 2.0.0 ok")

    def do_noop(self, s, argument):
        self.say(s, "NOOP", argument, "250 2.0.0 ok")

    def do_quit(self, s, argument):
        self.say(s, "QUIT", argument, "221 2.0.0 bye")
        return "end"
