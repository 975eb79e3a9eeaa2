"""The registry's private CA, its certificate and its password; the offline host's trust."""

from __future__ import annotations

import base64
import secrets
import subprocess
from pathlib import Path

from tasks.core import files, ownership, processes
from tasks.core.trust import signature
from tasks.local_site.plan import Plan

USER = "airlock"
SECONDS_LEFT = 7 * 24 * 3600
"""A certificate that ends sooner than this is made anew."""

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


def prepare(plan: Plan) -> bool:
    """Make what is missing or about to end; True where the registry must be started anew."""
    ownership.private_folder(plan.secrets)
    is_new = False
    if not _lasts(plan.ca):
        _make_ca(plan)
        is_new = True
    if is_new or not _lasts(plan.secrets / "server.crt", plan.registry_host):
        _make_certificate(plan)
        is_new = True
    if not plan.authfile.is_file() or not _login_fits(plan):
        _make_login(plan)
        is_new = True
    fill(plan)
    return is_new


def fill(plan: Plan) -> None:
    """Put into the offline host's folder of trust what an administrator carries there by hand."""
    ownership.private_folder(plan.trust)
    files.copy(plan.ca, plan.trust / "ca.crt")
    files.write_bytes(plan.trust / "config.json", plan.authfile.read_bytes(), mode=0o600)


def allow(folder: Path, public_key: str, identity: str) -> None:
    """Name the key that signs in the folder of trust: allowed_signers (ssh-keygen(1))."""
    files.write_text(folder / "allowed_signers", signature.allowed_line(identity, public_key))


def _lasts(certificate: Path, address: str | None = None) -> bool:
    if not certificate.is_file():
        return False
    words = ["openssl", "x509", "-in", str(certificate), "-noout"]
    checks = [["-checkend", str(SECONDS_LEFT)]] + ([["-checkip", address]] if address else [])
    for check in checks:
        done = subprocess.run([*words, *check], check=False, capture_output=True, text=True)
        if done.returncode or "does NOT match" in done.stdout:
            return False
    return True


def _new_key() -> list[str]:
    return ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _make_ca(plan: Plan) -> None:
    plan.ca.parent.mkdir(parents=True, exist_ok=True)
    extensions = [word for extension in CA_EXTENSIONS for word in ("-addext", extension)]
    # An empty configuration: the system's would add extensions of its own.
    config = plan.secrets / "openssl.cnf"
    files.write_text(config, "[req]\ndistinguished_name=name\n[name]\n")
    processes.run([*_new_key(), "-config", config, "-x509", "-days", "3650",
                   "-subj", f"/CN=nf-airlock sandbox {plan.site}", *extensions,
                   "-keyout", plan.secrets / "ca.key", "-out", plan.ca])


def _make_certificate(plan: Plan) -> None:
    request, extensions = plan.secrets / "server.csr", plan.secrets / "server.ext"
    files.write_text(extensions, SERVER_EXTENSIONS.format(address=plan.registry_host))
    processes.run([*_new_key(), "-config", plan.secrets / "openssl.cnf",
                   "-subj", f"/CN={plan.registry_host}",
                   "-keyout", plan.secrets / "server.key", "-out", request])
    processes.run(["openssl", "x509", "-req", "-in", request, "-days", "800",
                   "-CA", plan.ca, "-CAkey", plan.secrets / "ca.key",
                   "-set_serial", str(secrets.randbits(127)), "-extfile", extensions,
                   "-out", plan.secrets / "server.crt"])


def _login_fits(plan: Plan) -> bool:
    return (f'"{plan.registry_address}"' in plan.authfile.read_text()
            and (plan.secrets / "htpasswd").is_file())


def _make_login(plan: Plan) -> None:
    password = secrets.token_urlsafe(24)
    hashed = processes.run(["htpasswd", "-niB", USER], stdin=f"{password}\n".encode())
    files.write_text(plan.secrets / "htpasswd", hashed.strip() + "\n", mode=0o600)
    login = base64.b64encode(f"{USER}:{password}".encode()).decode()
    files.write_json(plan.authfile, {"auths": {plan.registry_address: {"auth": login}}},
                     mode=0o600)
