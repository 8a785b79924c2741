"""filters - real milters of other people, from Debian's packages, each in a
temporary folder for as long as a test needs it.

    filters.need(("opendkim", "opendkim"))      a program and its package
    with filters.OpenDKIM() as dkim, Server(filters.attach(dkim), ...) as s:
        ... filters.deliver(s, filters.message(b"hello")) ...

All listen on a unix socket and ask no name server. They are ended by the
process groups that were started here, newest first.
"""
import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import tap
from server import free_ports, wait_for
from wire import stuff

# Not in this folder: its milter.py would be taken for python3-milter's.
EXERCISER = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "milters", "exerciser.py")
ROOT_USER = os.getuid() == 0
AUTHSERV = "mail.example.test"          # the server's host name


def need(*wanted):
    """Skips the whole file unless each (program, package) is there."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for program, package in wanted:
        if not shutil.which(program):
            tap.skip_all("%s is not installed" % package)


def is_listening(address):
    """address: a path, or a port on loopback."""
    unix = isinstance(address, str)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as s:
        s.settimeout(1)
        try:
            s.connect(address if unix else ("127.0.0.1", address))
            return True
        except OSError:
            return False


class Filter:
    """start() of a subclass writes files and calls run(); the filter then
    answers at self.socket."""
    name = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-f.")
        os.chmod(self.dir, 0o755)
        self.listens = self.path("milter.sock")
        self.socket = "unix:" + self.listens
        self.procs = []
        try:
            self.start()
            os.chmod(self.listens, 0o666)
        except BaseException:
            print("# " + self.output().replace("\n", "\n# "))
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        """Writes a file of the folder; the name {dir} stands for it."""
        with open(self.path(name), "w") as f:
            f.write(text.replace("{dir}", self.dir))
        os.chmod(self.path(name), mode)
        return self.path(name)

    def run(self, command, listens, seconds=30, env=None):
        """Starts a program and waits until something answers there."""
        with open(self.path("output"), "ab") as out:
            proc = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=dict(os.environ, **(env or {})), start_new_session=True)
        self.procs.append(proc)

        def answers():
            if proc.poll() is not None:
                raise AssertionError("%s ended with status %d"
                                     % (command[0], proc.returncode))
            return is_listening(listens)
        wait_for(command[0], answers, seconds)

    def output(self):
        try:
            with open(self.path("output"), errors="replace") as f:
                return f.read()[-3000:]
        except OSError:
            return ""

    def log_tail(self):
        return self.output()

    def log_mark(self):
        pass

    def stop(self):
        for proc in reversed(self.procs):
            try:
                os.killpg(proc.pid, signal.SIGTERM)
                proc.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            try:
                os.killpg(proc.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            proc.wait()
        self.procs.clear()


# ------------------------------------------------------------- the filters

class OpenDKIM(Filter):
    """Signs example.test, selector s1, for those who logged in; verifies
    what comes from others, with the public key out of a file."""
    name = "opendkim"

    def __init__(self, canonicalization="relaxed/simple"):
        self.canonicalization = canonicalization

    def make_key(self):
        key = self.path("s1.private")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"],
                       check=True, capture_output=True)
        os.chmod(key, 0o600)
        public = subprocess.run(
            ["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"],
            check=True, capture_output=True).stdout
        self.write("public", "s1._domainkey.example.test v=DKIM1; k=rsa; "
                   "p=%s\n" % base64.b64encode(public).decode())

    def start(self):
        self.make_key()
        self.write("keys", "s1._domainkey.example.test "
                   "example.test:s1:{dir}/s1.private\n")
        self.write("signers", "*@example.test s1._domainkey.example.test\n")
        # Of its own accord it signs for 127.0.0.1, where tests come from.
        self.write("internal", "192.0.2.1\n")
        self.write("conf", """\
Mode			sv
Canonicalization	%s
KeyTable		file:{dir}/keys
SigningTable		refile:{dir}/signers
InternalHosts		{dir}/internal
ExternalIgnoreList	{dir}/internal
AuthservID		%s
AlwaysAddARHeader	yes
TestPublicKeys		{dir}/public
RequireSafeKeys		no
UMask			000
Background		no
""" % (self.canonicalization, AUTHSERV))
        self.run(["opendkim", "-f", "-x", self.path("conf"),
                  "-p", self.socket], self.listens)


class OpenDMARC(Filter):
    """Policies out of a file: example.net says reject, example.com
    quarantine, example.org none."""
    name = "opendmarc"

    def start(self):
        self.write("policies", "".join(
            "_dmarc.%s v=DMARC1; p=%s; adkim=r; aspf=r\n" % row for row in (
                ("example.net", "reject"), ("example.com", "quarantine"),
                ("example.org", "none"))))
        self.write("ignore", "192.0.2.1\n")
        self.write("conf", """\
AuthservID			%s
TrustedAuthservIDs		%s
RejectFailures			true
HoldQuarantinedMessages		true
IgnoreAuthenticatedClients	true
IgnoreHosts			{dir}/ignore
SPFIgnoreResults		false
SPFSelfValidate			false
DNSTimeout			1
TestDNSData			{dir}/policies
BaseDirectory			{dir}
UMask				000
Background			no
""" % (AUTHSERV, AUTHSERV))
        self.run(["opendmarc", "-f", "-c", self.path("conf"),
                  "-p", self.socket], self.listens)


class SpamAssassin(Filter):
    """spamd with local rules, and spamass-milter before it: refuses from 15
    points on, marks from 5 on. "mailroom-marked" in a body is 8 points."""
    name = "spamassassin"
    PLUGINS = ("Check BodyEval HeaderEval MIMEEval RelayEval HTMLEval URIEval "
               "URIDetail HTTPSMismatch MIMEHeader ReplaceTags WLBLEval "
               "FreeMail VBounce WelcomeListSubject")

    def start(self):
        for folder in ("site", "home"):
            os.mkdir(self.path(folder))
        self.write("site/init.pre", "".join(
            "loadplugin Mail::SpamAssassin::Plugin::%s\n" % p
            for p in self.PLUGINS.split()))
        self.write("site/local.cf", "use_bayes 0\ndns_available no\n"
                   "skip_rbl_checks 1\nreport_safe 1\n"
                   "body MAILROOM_MARKED /mailroom-marked/\n"
                   "score MAILROOM_MARKED 8\n")
        port = free_ports(1)[0]
        user = []
        if ROOT_USER:
            shutil.chown(self.path("home"), "nobody", "nogroup")
            user = ["-u", "nobody"]
        self.run(["spamd", "--local", "--nouser-config",
                  "--siteconfigpath=" + self.path("site"), "--syslog=stderr",
                  "--max-children=2", "--min-children=1",
                  "--listen=127.0.0.1:%d" % port, "--allowed-ips=127.0.0.1",
                  "--helper-home-dir=" + self.path("home")] + user,
                 port, 90, {"HOME": self.path("home")})
        self.run(["spamass-milter", "-p", self.listens, "-r", "15",
                  "--", "-d", "127.0.0.1", "-p", str(port)], self.listens)


class ClamAV(Filter):
    """clamd with one signature made here, and clamav-milter before it."""
    name = "clamav"
    # Two halves, so that this file is not the test file itself.
    EICAR = (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$"
             + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")

    def start(self):
        os.mkdir(self.path("signatures"))
        self.write("signatures/test.ndb",
                   "Mailroom.Eicar:0:*:%s\n" % self.EICAR.hex())
        self.write("clamd.conf", self.user() + """\
LocalSocket {dir}/clamd.sock
LocalSocketMode 666
DatabaseDirectory {dir}/signatures
TemporaryDirectory {dir}
Foreground yes
MaxThreads 4
""")
        self.write("milter.conf", self.user() + """\
MilterSocket unix:{dir}/milter.sock
MilterSocketMode 666
ClamdSocket unix:{dir}/clamd.sock
TemporaryDirectory {dir}
Foreground yes
OnClean Accept
OnInfected Reject
OnFail Defer
RejectMsg Infected by %v
AddHeader Replace
LogFile {dir}/milter.log
LogInfected Full
LogClean Full
""")
        self.clamd = self.path("clamd.sock")
        self.run(["clamd", "--config-file=" + self.path("clamd.conf")],
                 self.clamd, 60)
        self.run(["clamav-milter",
                  "--config-file=" + self.path("milter.conf")], self.listens)

    @staticmethod
    def user():
        return "User root\n" if ROOT_USER else ""

    def milter_log(self):
        with open(self.path("milter.log"), errors="replace") as f:
            return f.read()


class MIMEDefang(Filter):
    """Refuses a subject with "refuse-me", takes *.exe out of messages, and
    says what it knows in X-Defanged."""
    name = "mimedefang"
    RULES = r"""
$AdminAddress = 'postmaster@example.test';
$AdminName = 'postmaster';
$DaemonAddress = 'mimedefang@example.test';
detect_and_load_perl_modules() if defined &detect_and_load_perl_modules;
sub filter_begin {
	action_bounce('refused by rule') if ($Subject // '') =~ /refuse-me/;
}
sub filter {
	my ($entity, $name) = @_;
	return action_drop_with_warning("$name was taken out")
		if $name && $name =~ /\.exe$/i;
	return action_accept();
}
sub filter_end {
	action_add_header('X-Defanged', "from=$RelayAddr id=$QueueID");
}
1;
"""

    def start(self):
        os.mkdir(self.path("spool"))
        self.write("rules", self.RULES)
        prog = self.write("prog", "#!/bin/sh\nexec mimedefang.pl "
                          "-f {dir}/rules \"$@\"\n", 0o755)
        user = []
        if ROOT_USER:
            user = ["-U", "defang"]
            for folder in (self.dir, self.path("spool")):
                shutil.chown(folder, "defang")
        backend = self.path("pool.sock")
        spool = ["-z", self.path("spool")]
        env = {"MDSPOOL": self.path("spool")}
        self.run(["mimedefang-multiplexor", "-D", "-p", self.path("p1"),
                  "-o", self.path("l1"), "-f", prog, "-s", backend,
                  "-m", "1", "-x", "3"] + spool + user, backend, 30, env)
        self.run(["mimedefang", "-D", "-P", self.path("p2"),
                  "-o", self.path("l2"), "-m", backend, "-R", "-1", "-r",
                  "-p", self.socket] + spool + user, self.listens, 30, env)


class Exerciser(Filter):
    """t/milters/exerciser.py: does what the message at hand asks for."""
    name = "exerciser"

    def __init__(self, **environment):
        self.environment = environment

    def start(self):
        self.run([sys.executable, EXERCISER, self.socket], self.listens, 30, self.environment)


# ---------------------------------------------------------------- the mail

def attach(*filters, **settings):
    """Sections of a configuration with these filters; clients on loopback
    may say that they are others."""
    config = {"milter." + f.name: dict({"socket": f.socket}, **settings)
              for f in filters}
    config["smtp"] = {"reverse_dns": False,
                      "xclient_networks": ["127.0.0.1"]}
    return config


def message(body, sender="ann@example.net", subject="test", fields=b""):
    return fields + (
        "From: Ann <%s>\r\nTo: bob@example.test\r\nSubject: %s\r\nDate: %s"
        "\r\nMessage-ID: <f%d@example.net>\r\n\r\n" % (
            sender, subject, time.strftime(
                "%a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
            time.monotonic_ns())).encode() + body


def deliver(s, data, sender="ann@example.net", rcpts=("bob@example.test",),
            address="198.51.100.7", helo="mx.example.net"):
    """A whole session from outside; bob's INBOX is emptied before. The
    first reply that is no 2xx or 3xx, or else the last: (code, [texts])."""
    s.empty("bob")
    with s.line(ehlo=helo) as c:
        c.must(220, "XCLIENT ADDR=%s NAME=%s" % (address, helo))
        lines = ["EHLO " + helo, "MAIL FROM:<%s>" % sender]
        lines += ["RCPT TO:<%s>" % r for r in rcpts] + ["DATA"]
        for line in lines:
            reply = c.ask(line)
            if reply[0] >= 400:
                return reply
        c.send(stuff(data))
        return c.reply()


def split(data):
    """(head with its last CRLF, body)"""
    head, body = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n", body


def field(data, name):
    """Values of all fields of that name, unfolded."""
    head = re.sub(rb"\r\n(?=[ \t])", b"", split(data)[0])
    return [line.split(b":", 1)[1].strip().decode("latin-1")
            for line in head.split(b"\r\n")
            if line.lower().startswith(name.lower().encode() + b":")]
