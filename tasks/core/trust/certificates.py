"""Certificates of a private CA, made by openssl: for servers that this project starts itself."""

from __future__ import annotations

import secrets
from pathlib import Path

from tasks.core import files, processes

DAYS_CA, DAYS_SERVER = 3650, 800
CA_EXTENSIONS = ("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign",
                 "subjectKeyIdentifier=hash")
SERVER_EXTENSIONS = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=IP:{address}
"""
"""What RFC 5280 asks for: Python 3.13 verifies strictly."""
INSTALL = "install openssl (Debian: openssl)"
_NEW_KEY = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_ca(certificate: Path, key: Path, *, name: str) -> None:
    """Make a CA; its key lies in the folder where make_certificate() works, too."""
    certificate.parent.mkdir(parents=True, exist_ok=True)
    extensions = [word for extension in CA_EXTENSIONS for word in ("-addext", extension)]
    processes.run([*_NEW_KEY, "-config", _configuration(key.parent), "-x509",
                   "-days", str(DAYS_CA), "-subj", f"/CN={name}", *extensions,
                   "-keyout", key, "-out", certificate], todo=INSTALL)


def make_certificate(ca: Path, ca_key: Path, *, address: str) -> tuple[Path, Path]:
    """Make server.crt and server.key beside the CA's key, for a server at an IP address."""
    folder = ca_key.parent
    request, extensions = folder / "server.csr", folder / "server.ext"
    files.write_text(extensions, SERVER_EXTENSIONS.format(address=address))
    processes.run([*_NEW_KEY, "-config", _configuration(folder), "-subj", f"/CN={address}",
                   "-keyout", folder / "server.key", "-out", request], todo=INSTALL)
    processes.run(["openssl", "x509", "-req", "-in", request, "-days", str(DAYS_SERVER),
                   "-CA", ca, "-CAkey", ca_key, "-set_serial", str(secrets.randbits(127)),
                   "-extfile", extensions, "-out", folder / "server.crt"])
    return folder / "server.crt", folder / "server.key"


def _configuration(folder: Path) -> Path:
    """An empty one: the system's would add extensions of its own."""
    path = folder / "openssl.cnf"
    files.write_text(path, "[req]\ndistinguished_name=name\n[name]\n")
    return path
