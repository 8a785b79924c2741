"""wire - a line client on a raw socket, for what polite libraries will not
send, and small conveniences around the standard ones."""
import socket
import ssl


class Line:
    """One connection; CR LF lines in and out, bytes everywhere."""

    def __init__(self, port, host="127.0.0.1", tls=None, timeout=20):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        """The next line without its end; EOFError when there is none."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("connection ended after %r" % line)
        return line[:-2]

    def at_end(self):
        """The other side closes without saying more."""
        try:
            return self.file.read(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True

    def start_tls(self, tls):
        self.file.close()
        self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.file = self.sock.makefile("rb")

    # SMTP

    def reply(self):
        """A whole reply: (code, [texts])."""
        texts = []
        while True:
            line = self.line()
            texts.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), texts

    def cmd(self, line):
        """Sends one line, returns the reply's code."""
        return self.ask(line)[0]

    def ask(self, line):
        if isinstance(line, str):
            line = line.encode()
        self.send(line + b"\r\n")
        return self.reply()

    def must(self, code, line=None):
        """Sends line (if any) and insists on the code."""
        got, texts = self.ask(line) if line is not None else self.reply()
        if got != code:
            raise AssertionError("%r: got %d %s, want %d"
                                 % (line, got, " / ".join(texts), code))
        return texts

    # IMAP

    def imap(self, tag, command):
        """Sends a tagged command; returns (untagged lines, tagged rest).
        Literals stand in their lines, as {n}CRLF and the bytes."""
        self.send(b"%s %s\r\n" % (tag, command))
        return self.until(tag)

    def until(self, tag):
        lines = []
        while True:
            line = self.logical_line()
            if line.startswith(tag + b" "):
                return lines, line[len(tag) + 1:]
            lines.append(line)

    def logical_line(self):
        whole = b""
        while True:
            line = self.line()
            whole += line
            if not line.endswith(b"}") or b"{" not in line:
                return whole
            size = line[line.rindex(b"{") + 1:-1].rstrip(b"+")
            if not size.isdigit():
                return whole
            whole += b"\r\n" + self.file.read(int(size))


def stuff(message):
    """Dot-stuffs a CR LF message and ends it, RFC 5321 section 4.5.2."""
    lines = message.split(b"\r\n")
    lines = [b"." + li if li.startswith(b".") else li for li in lines]
    data = b"\r\n".join(lines)
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    return data + b".\r\n"
