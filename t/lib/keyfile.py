"""keyfile - private keys for signing, and their public half as DNS has it."""
import base64
import os
import subprocess


def make_key(path, kind="rsa", bits=2048):
    """A PEM file; returns what stands behind p= in its record."""
    command = ["openssl", "genpkey", "-out", path, "-algorithm"] + (
        ["RSA", "-pkeyopt", "rsa_keygen_bits:%d" % bits] if kind == "rsa"
        else ["ED25519"])
    subprocess.run(command, check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout",
                          "-outform", "DER"], check=True,
                         capture_output=True).stdout
    os.chmod(path, 0o644)
    return base64.b64encode(der if kind == "rsa" else der[-32:]).decode()
