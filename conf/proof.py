#!/usr/bin/python3
"""proof - sends a mail through a running instance and reads it back, with
nothing but Python's standard library.

usage: proof.py [--ports|--free|--accounts|--settings] run/client.json

Without an option: submission with STARTTLS and AUTH from the first account
to the second, and one message from outside by SMTP; both are then read by
IMAP and POP3 over TLS. Prints a transcript; exit status 1 if anything is not
as it should be. --ports: does every port answer? --free: is none of them
taken? --accounts: "address password" lines. --settings: for a mail client.
"""
import email
import email.policy
import imaplib
import json
import poplib
import smtplib
import socket
import ssl
import sys
import time
import uuid


def say(text):
    print("      " + text, flush=True)


class TalkingSMTP(smtplib.SMTP):
    """Shows the talk, but for what follows AUTH."""

    def putcmd(self, cmd, args=""):
        shown = (cmd + " " + args).strip() if args else cmd
        if cmd.upper() == "AUTH":
            shown = "AUTH " + args.split()[0] + " ****"
        say("C: " + shown)
        super().putcmd(cmd, args)

    def getreply(self):
        code, text = super().getreply()
        lines = text.decode("ascii", "replace").split("\n")
        say("S: %d %s%s" % (code, lines[0], " ..." if lines[1:] else ""))
        return code, text


def compose(sender, rcpt, subject):
    token = uuid.uuid4().hex
    head = ("From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\n"
            "Message-ID: <%s@proof.example.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n"
            % (sender, rcpt, subject,
               email.utils.formatdate(localtime=True), token))
    body = ("Gr\u00fc\u00dfe vom neuen Server.\r\n"
            "A line that holds one dot follows:\r\n.\r\n"
            "and one that begins with two:\r\n..end\r\n")
    return token, (head + body).encode()


def send(smtp, sender, rcpt, message):
    options = ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") else []
    smtp.sendmail(sender, [rcpt], message, options)
    smtp.quit()


def submit(c, tls, sender, rcpt, message):
    smtp = TalkingSMTP(c["host"], c["ports"]["submission"], timeout=20)
    smtp.starttls(context=tls)
    smtp.login(sender["address"], sender["password"])
    send(smtp, sender["address"], rcpt["address"], message)


def arrive(c, tls, rcpt, message):
    smtp = TalkingSMTP(c["host"], c["ports"]["smtp"], timeout=20)
    smtp.starttls(context=tls)
    send(smtp, "stranger@elsewhere.test", rcpt["address"], message)


def fetch_imap(c, tls, account, token):
    box = imaplib.IMAP4_SSL(c["host"], c["ports"]["imaps"], ssl_context=tls)
    box.login(account["address"], account["password"])
    box.select("INBOX", readonly=True)
    for _ in range(50):
        found = box.uid("SEARCH", "HEADER", "Message-ID", token)[1][0].split()
        if found:
            break
        time.sleep(0.1)
        box.noop()
    if not found:
        raise SystemExit("the message did not arrive")
    data = box.uid("FETCH", found[-1].decode(), "(BODY.PEEK[])")[1][0][1]
    box.logout()
    return data


def fetch_pop3(c, tls, account, token):
    box = poplib.POP3_SSL(c["host"], c["ports"]["pop3s"], context=tls)
    box.user(account["address"])
    box.pass_(account["password"])
    try:
        for number in range(box.stat()[0], 0, -1):
            lines = box.retr(number)[1]
            if any(token.encode() in line for line in lines):
                return b"\r\n".join(lines) + b"\r\n"
    finally:
        box.quit()
    raise SystemExit("POP3 does not show the message")


def check_bytes(sent, got, how):
    """What we sent is a suffix of what is there: only fields in front or at
    the end of the header were added."""
    sent_head, sent_body = sent.split(b"\r\n\r\n", 1)
    got_head, got_body = got.split(b"\r\n\r\n", 1)
    if got_body != sent_body or sent_head not in got_head:
        raise SystemExit("%s: the message was changed on its way" % how)
    return got_head.replace(sent_head, b"").decode("ascii", "replace")


def show_added(added):
    for line in added.split("\r\n"):
        if line:
            say("   + " + line.strip("\r\n"))


def prove(c):
    tls = ssl.create_default_context(cafile=c["ca_file"])
    first, second = c["accounts"][:2]
    for title, deliver in (
            ("Submission (STARTTLS, AUTH) to %s" % second["address"],
             lambda m: submit(c, tls, first, second, m)),
            ("Mail from outside to %s" % second["address"],
             lambda m: arrive(c, tls, second, m))):
        say(title)
        token, message = compose(first["address"], second["address"],
                                 "Proof of " + title.split(" (")[0])
        deliver(message)
        by_imap = fetch_imap(c, tls, second, token)
        added = check_bytes(message, by_imap, "IMAP")
        say("IMAP: there, byte for byte; the server and its plugins added:")
        show_added(added)
        if fetch_pop3(c, tls, second, token) != by_imap:
            raise SystemExit("POP3 and IMAP show different bytes")
        say("POP3: the same %d bytes" % len(by_imap))


def check_ports(c):
    for port in c["ports"].values():
        socket.create_connection((c["host"], port), 2).close()


def check_free(c):
    for name, port in c["ports"].items():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((c["host"], port))
        except OSError as e:
            raise SystemExit("port %d (%s): %s" % (port, name, e.strerror))
        finally:
            s.close()


def show_settings(c):
    p = c["ports"]
    print("\nSettings for a mail client (server %s, login = address)"
          % c["host"])
    print("  IMAP  %d STARTTLS, %d TLS      POP3  %d STARTTLS, %d TLS"
          % (p["imap"], p["imaps"], p["pop3"], p["pop3s"]))
    print("  send  %d STARTTLS, %d TLS      certificate %s"
          % (p["submission"], p["submissions"], c["ca_file"]))
    for account in c["accounts"]:
        print("  %s  password %s" % (account["address"], account["password"]))


def main():
    option = sys.argv[1] if len(sys.argv) == 3 else ""
    with open(sys.argv[-1]) as f:
        c = json.load(f)
    if option == "--ports":
        check_ports(c)
    elif option == "--free":
        check_free(c)
    elif option == "--accounts":
        for account in c["accounts"]:
            print(account["address"], account["password"])
    elif option == "--settings":
        show_settings(c)
    else:
        prove(c)


try:
    main()
except (OSError, smtplib.SMTPException, imaplib.IMAP4.error,
        poplib.error_proto) as e:
    sys.exit("%s: %s" % (type(e).__name__, e))
