"""Certificates for servers of loopback, made by openssl."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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


def lasting(folder: Path, begins: datetime, ends: datetime) -> tuple[Path, Path]:
    """Certificate and key of a server at 127.0.0.1, its own authority, between two moments."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lasting")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(begins).not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    crt, key_file = folder / "lasting.crt", folder / "lasting.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return crt, key_file
