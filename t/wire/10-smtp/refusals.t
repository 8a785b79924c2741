#!/usr/bin/python3
# test: timeout=120
"""Every row of "Every refusal" in docs/smtp.md, provoked as it says. Rows
that say "fault" or name another document are provoked in t/plug/sqlite,
t/wire/50-life, 70-plugin and guard.t."""
import base64
import os
import re
import sys
sys.path.insert(0, __file__.split("/t/wire/")[0] + "/t/lib")
import tap
from server import LISTENERS, Server
from wire import Line

DOC = os.path.join(__file__.split("/t/wire/")[0], "docs", "smtp.md")
CONFIG = {"limits": {"errors": 7, "recipients": 3, "message_size": "200 KB",
                     "idle_timeout": "2s", "recipients_per_hour": 2},
          "listen.submission": {"proxy_networks": ["127.0.0.9/32"]}}
ROWS = re.compile(r"^\| (\d{3}) (\d\.\d+\.\d+) \| (.*?) \| (.*?) \|$", re.M)


def rows():
    with open(DOC, encoding="utf-8") as f:
        text = f.read().partition("## Every refusal")[2]
    return ROWS.findall(text)


def expand(command):
    """The bytes of one command of an example."""
    command = {"...": "EHLO client.test"}.get(command, command)
    command = re.sub(r"^MAIL(?! FROM| <)", "MAIL FROM:<a@elsewhere.test>",
                     command)
    command = re.sub(r"^RCPT(?! TO| <)", "RCPT TO:<bob@example.test>",
                     command)
    many = re.fullmatch(r"(.*?)([a-z]+)\*(\d+)", command)
    if many and command.startswith("NOOP"):
        command = many[1] + many[2] * int(many[3])
    data = command.encode()
    for mark, byte in (("\\n", b"\n"), ("\\0", b"\0")):
        data = data.replace(mark.encode(), byte)
    return data


def content(command):
    """A message out of the command behind DATA."""
    data = expand(command)
    many = re.fullmatch(rb"(.*)\*(\d+)", data, re.S)
    if many:
        data = b"\r\n".join([many[1]] * int(many[2]))
    return data + b"\r\n\r\nx\r\n.\r\n"


def connect(s, who):
    """A greeted connection, logged in where the row wants it."""
    if who == "submission from 192.0.2.1":
        import socket
        c = Line.__new__(Line)
        c.sock = socket.create_connection(
            ("127.0.0.1", s.ports["submission"]), 20,
            source_address=("127.0.0.9", 0))
        c.file = c.sock.makefile("rb")
        c.send(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")
    else:
        name = {"": "smtp", "alice": "submissions", "idle": "smtp"}.get(
            who, who)
        c = Line(s.ports[name], tls=s.tls if s.listeners[name][1] ==
                 "implicit" else None)
    c.must(220)
    if who == "alice":
        c.must(250, "EHLO client.test")
        c.must(235, "AUTH PLAIN " + base64.b64encode(
            b"\0alice@example.test\0correct horse").decode())
    return c


def play(c, commands):
    """The answer to the last one."""
    data, answer = False, None
    for command in commands:
        if data:
            c.send(content(command))
            answer = c.reply()
            data = False
        elif command.startswith("BDAT 0"):
            c.send(expand(command) + b"\r\n")
            answer = c.reply()
        else:
            c.send(expand(command) + b"\r\n")
            answer = c.reply()
            data = answer[0] == 354
    return answer


def check(s, code, enhanced, when, example):
    who, _, talk = example.rpartition(": `") if ": `" in example else \
        ("", "", example)
    commands = talk.strip("`").split("; ")
    if who == "stop":
        return
    with connect(s, who) as c:
        got, texts = play(c, commands)
        if who == "idle" or (code == "421" and got == 500):
            got, texts = c.reply()      # it follows by itself
        tap.eq((got, texts[0].split(" ")[0]), (int(code), enhanced),
               texts[0])


def stop(s):
    with connect(s, "") as c:
        c.must(250, "EHLO client.test")
        s.proc.terminate()
        code, texts = c.reply()
        tap.eq((code, texts[0][:5]), (421, "4.3.2"))


with Server(CONFIG, accounts=("alice", "bob", "off", "full"), listeners={
        **LISTENERS, "lmtp": ("lmtp", "starttls"),
        "plain": ("smtp", "none")}) as server:
    server.cli("account", "set", "off@example.test", "--disable")
    server.send(b"Subject: x\r\n\r\nfull\r\n", "full")
    server.cli("account", "set", "full@example.test", "--quota", "100")
    table = rows()
    tap.point(len(table) > 55, "the table is read", str(len(table)))
    for code, enhanced, when, example in table:
        if example == "fault" or example.startswith("see "):
            continue
        if not example.startswith("stop"):
            tap.call("%s %s: %s" % (code, enhanced, when), check, server,
                     code, enhanced, when, example)
    tap.call("421 4.3.2: the server stops", stop, server)
tap.done()
