"""Certificates for servers of loopback, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificates(folder: Path, *more: str) -> tuple[Path, Path, Path]:
    """A CA's certificate, and certificate and key of a server at 127.0.0.1 and `more` addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, crt, key, csr, ext = (folder / name for name in (
        "ca.crt", "ca.key", "server.crt", "server.key", "server.csr", "ext"))
    names = ",".join(f"IP:{address}" for address in ("127.0.0.1", *more))
    ext.write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"
                   "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                   "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    commands: list[list[str | Path]] = [
        ["req", "-x509", *curve, "-days", "30", "-subj", "/CN=test CA", "-keyout", ca_key,
         "-out", ca, "-addext", "keyUsage=critical,keyCertSign"],
        ["req", *curve, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", csr],
        ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-days", "30",
         "-extfile", ext, "-out", crt]]
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return ca, crt, key


def self_signed(folder: Path, name: str, *, address: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """NAME.crt and NAME.key of a server that is its own authority."""
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={address}",
                    "-keyout", key, "-out", crt], check=True, capture_output=True)
    return crt, key
