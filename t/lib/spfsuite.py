"""spfsuite - the published suite of RFC 7208, from Debian's python3-spf."""
import glob
import gzip
import os
import subprocess
import tempfile

import yaml

PATH = "usr/share/doc/python3-spf/rfc7208-tests.yml.gz"


def read_suite():
    """Systems that were installed without documents have the package but
    not the file: it is taken out of a fresh copy of the package."""
    if os.path.exists("/" + PATH):
        with gzip.open("/" + PATH) as f:
            return f.read()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "-q", "python3-spf"],
                       cwd=folder, check=True, capture_output=True)
        package = glob.glob(folder + "/*.deb")[0]
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        with gzip.open(os.path.join(folder, PATH)) as f:
            return f.read()


def records_of(entries):
    """SPF records (type 99, dead) stand for TXT where there are none."""
    out, txt, has_txt = [], [], False
    for entry in entries:
        if not isinstance(entry, dict):
            out.append(entry)
            continue
        for kind, value in entry.items():
            if kind == "TXT":
                has_txt = True
            if value == "NONE":
                continue
            if kind == "SPF":
                txt.append(("TXT", value))
            elif value == "TIMEOUT":
                out.append("TIMEOUT")
            else:
                out.append((kind, value))
    return out + ([] if has_txt else txt)


def load_suite():
    """Scenarios: description, zone {name: [(type, value) or "TIMEOUT"]},
    tests {name: {host, helo, mailfrom, result, explanation}}."""
    for scenario in yaml.safe_load_all(read_suite()):
        yield {"description": scenario["description"],
               "tests": scenario["tests"],
               "zone": {name: records_of(entries) for name, entries in
                        scenario["zonedata"].items()}}
