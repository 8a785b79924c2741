"""outsider - clients from addresses of the world, by XCLIENT, and who served
them. The server needs smtp.xclient_networks = ["127.0.0.1"]."""
import os
import threading
import time


def connect(s, address, name="[UNAVAILABLE]"):
    """A greeted connection that counts as one from `address`."""
    if ":" in address:
        address = "IPV6:" + address
    c = s.line("smtp", "proxy.test")
    c.must(220, "XCLIENT ADDR=%s NAME=%s" % (address, name))
    c.must(250, "EHLO client.test")
    return c


def ask(s, address, rcpt="bob@example.test", sender="a@elsewhere.test"):
    """The answer to RCPT of a new connection: (code, text)."""
    with connect(s, address) as c:
        c.must(250, "MAIL FROM:<%s>" % sender)
        answer = c.ask("RCPT TO:<%s>" % rcpt)
        c.ask("QUIT")
        return answer


def deliver(s, address, message=b"Subject: x\r\n\r\nx\r\n",
            rcpt="bob@example.test", sender="a@elsewhere.test"):
    with connect(s, address) as c:
        c.must(250, "MAIL FROM:<%s>" % sender)
        c.must(250, "RCPT TO:<%s>" % rcpt)
        c.must(354, "DATA")
        c.send(message + b".\r\n")
        c.must(250)


def server_of(s, c):
    """The pid of the worker that serves a connection."""
    ours = "%04X" % c.sock.getsockname()[1]
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f]
    inode = [r[9] for r in rows if r[1].endswith(":%04X" % s.ports["smtp"])
             and r[2].endswith(":" + ours)]
    for pid in s.workers("smtp"):
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            except OSError:
                continue
            if inode and link == "socket:[%s]" % inode[0]:
                return pid
    return None


def send_many(send, messages, senders, pause=0):
    """send(number) for each number, by so many threads: {number: what it
    returned}. Who did not hear 250 waits so long before it goes on."""
    codes = {}
    numbers = iter(range(messages))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                n = next(numbers, None)
            if n is None:
                return
            codes[n] = send(n)
            if codes[n] != 250:
                time.sleep(pause)

    threads = [threading.Thread(target=work) for _ in range(senders)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return codes
