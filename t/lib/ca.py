"""ca - a certificate authority for a test, in a folder.

    ca = CA(folder)
    cert, key = ca.issue("mx.remote.test")
    ca.file                             the authority's own certificate
    tlsa(cert) or tlsa(cert, 2, 0)      TLSA rdata as text
"""
import hashlib
import os
import subprocess


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


class CA:
    def __init__(self, folder):
        self.folder = folder
        self.n = 0
        self.file = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", "/CN=Test authority", "-out", self.file,
                "-keyout", self.key)

    def issue(self, *names, days=30):
        """(certificate with the authority's behind it, key)."""
        self.n += 1
        base = os.path.join(self.folder, "leaf%d" % self.n)
        openssl("req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=" + names[0], "-out", base + ".csr", "-keyout",
                base + ".key")
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join("DNS:" + n for n in names))
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.file,
                "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
                "-extfile", base + ".ext", "-out", base + ".pem")
        with open(base + ".pem", "a") as out, open(self.file) as ca:
            out.write(ca.read())
        return base + ".pem", base + ".key"


def tlsa(cert, usage=3, selector=1, matching=1):
    """"3 1 1 ab12..." of the first certificate in the file."""
    if selector:
        pem = openssl("x509", "-in", cert, "-noout", "-pubkey")
        data = openssl("pkey", "-pubin", "-outform", "der", data=pem)
    else:
        data = openssl("x509", "-in", cert, "-outform", "der")
    if matching:
        data = (hashlib.sha256 if matching == 1 else hashlib.sha512)(
            data).digest()
    return "%d %d %d %s" % (usage, selector, matching, data.hex())
