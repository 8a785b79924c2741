"""postfix - Debian's Postfix beside us, on folders and ports of its own; the
system's, if there is one, is not touched. Needs root."""
import os
import shutil
import subprocess
import tempfile

from server import Server, free_ports, wait_for


def tree(root):
    """Process ids of root and all below it."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(pid))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


POSTFIX = """compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
myhostname = {hostname}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
default_process_limit = 300
in_flow_delay = 0
message_size_limit = 50000000
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
disable_dns_lookups = yes
smtpd_peername_lookup = no
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = texthash:{dir}/etc/users
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
"""


class Postfix:
    """Debian's Postfix, unconfigured by us, on folders of its own."""
    name = "postfix"

    def __init__(self, domain, users, hostname="postfix.test", **settings):
        """settings: further lines of main.cf."""
        self.domain, self.users, self.hostname = domain, users, hostname
        self.settings = settings

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-postfix.")
        os.chmod(self.dir, 0o755)
        for name in ("spool", "lib", "etc", "mail"):
            os.mkdir(os.path.join(self.dir, name))
        self.port = free_ports(1)[0]
        self.write_config()
        self.make_queue()
        self.log = open(self.dir + "/master.out", "w")
        self.proc = subprocess.Popen(
            ["/usr/lib/postfix/sbin/master", "-c", self.dir + "/etc", "-d"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        wait_for("Postfix", lambda: Server.answers(self.port))
        return self

    def write_config(self):
        import pwd
        nobody = pwd.getpwnam("nobody")
        shutil.chown(self.dir + "/mail", nobody.pw_uid, nobody.pw_gid)
        shutil.chown(self.dir + "/lib", "postfix")
        with open(self.dir + "/etc/main.cf", "w") as f:
            f.write(POSTFIX.format(
                dir=self.dir, uid=nobody.pw_uid, gid=nobody.pw_gid,
                domain=self.domain, hostname=self.hostname))
            for name, value in self.settings.items():
                f.write("%s = %s\n" % (name, value))
        with open(self.dir + "/etc/users", "w") as f:
            for user in self.users:
                f.write("%s@%s %s/\n" % (user, self.domain, user))
        lines = []
        with open("/usr/share/postfix/master.cf.dist") as f:
            for line in f:
                words = line.split()
                if line[:1].isspace() or line.startswith("#") or \
                        len(words) < 8:
                    continue
                if words[0] == "smtp" and words[1] == "inet":
                    words[0] = "127.0.0.1:%d" % self.port
                words[4] = "n"                  # no chroot
                lines.append(" ".join(words))
        with open(self.dir + "/etc/master.cf", "w") as f:
            f.write("\n".join(lines) + "\n")

    def make_queue(self):
        for name in ("active bounce corrupt defer deferred flush hold "
                     "incoming private saved trace").split():
            os.mkdir("%s/spool/%s" % (self.dir, name), 0o700)
            shutil.chown("%s/spool/%s" % (self.dir, name), "postfix")
        for name, mode in (("maildrop", 0o730), ("public", 0o710),
                           ("pid", 0o755)):
            path = "%s/spool/%s" % (self.dir, name)
            os.mkdir(path)
            if name != "pid":
                shutil.chown(path, "postfix", "postdrop")
            os.chmod(path, mode)

    def __exit__(self, *exc):
        pids = tree(self.proc.pid)
        self.proc.terminate()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        for pid in pids[1:]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def root(self):
        return self.proc.pid

    def delivered(self):
        return sum(len(names) for folder, _, names in os.walk(
            self.dir + "/mail") if folder.endswith("/new"))

    def messages(self, user):
        folder = "%s/mail/%s/new" % (self.dir, user)
        if not os.path.isdir(folder):
            return []
        out = []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                out.append(f.read())
        return out

    def empty(self, user):
        shutil.rmtree("%s/mail/%s" % (self.dir, user), ignore_errors=True)
