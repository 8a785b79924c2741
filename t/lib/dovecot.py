"""dovecot - Debian's Dovecot beside us, on folders and ports of its own; the
system's, if there is one, is not touched. Needs root."""
import crypt
import os
import pwd
import shutil
import subprocess
import tempfile

from postfix import tree
from server import Server, free_ports, wait_for

CONFIG = """protocols = imap pop3
listen = 127.0.0.1
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
mail_location = {location}
mail_home = {dir}/mail/%n
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_max_userip_connections = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
auth_cache_size = 10M
passdb {{
  driver = passwd-file
  args = scheme=CRYPT username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service imap {{
  process_limit = 12000
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
default_client_limit = 12000
default_vsz_limit = 2G
"""


class Dovecot:
    """Maildir as Debian sets it up, fsync as Dovecot sets it; users: those who
    are there, all with `password`, hashed as we hash ours (yescrypt) and kept
    in Dovecot's cache once it was right."""
    name = "dovecot"
    batch = 500                 # messages in one APPEND

    def __init__(self, domain, users, password, cert,
                 location="maildir:~/Maildir", extra=""):
        self.domain, self.users, self.password = domain, users, password
        self.cert, self.location, self.extra = cert, location, extra

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mailroom-dovecot.")
        os.chmod(self.dir, 0o755)
        self.imap, self.imaps, self.pop3 = free_ports(3)
        nobody = pwd.getpwnam("nobody")
        os.mkdir(self.dir + "/mail")
        shutil.chown(self.dir + "/mail", nobody.pw_uid, nobody.pw_gid)
        hashed = crypt.crypt(self.password, "$y$j9T$benchbenchbench.$")
        with open(self.dir + "/users", "w") as f:
            for user in self.users:
                f.write("%s@%s:%s::::::\n" % (user, self.domain, hashed))
        os.chmod(self.dir + "/users", 0o644)
        with open(self.dir + "/dovecot.conf", "w") as f:
            f.write(CONFIG.format(
                dir=self.dir, location=self.location, uid=nobody.pw_uid,
                gid=nobody.pw_gid, cert=self.cert[0], key=self.cert[1],
                imap=self.imap, imaps=self.imaps, pop3=self.pop3) +
                self.extra)
        self.proc = subprocess.Popen(
            ["dovecot", "-F", "-c", self.dir + "/dovecot.conf"],
            stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for("Dovecot", lambda: Server.answers(self.imap))
        return self

    def __exit__(self, *exc):
        pids = tree(self.proc.pid)
        self.proc.terminate()
        self.proc.wait()
        for pid in pids[1:]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        if os.environ.get("MAILROOM_KEEP_TMP"):
            print("# kept: " + self.dir)
            return
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def root(self):
        return self.proc.pid
