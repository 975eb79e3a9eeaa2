"""The registry's private CA, its certificate and its password; the offline host's trust."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from tasks.core import files, ownership, processes
from tasks.core.registry import credentials
from tasks.core.registry.credentials import Login
from tasks.core.trust import certificates, signature
from tasks.local_site.plan import Plan

USER = "airlock"
SECONDS_LEFT = 7 * 24 * 3600
"""A certificate that ends sooner than this is made anew."""


def prepare(plan: Plan) -> bool:
    """Make what is missing or about to end; True where the registry must be started anew."""
    ownership.private_folder(plan.secrets)
    is_new = False
    if not _lasts(plan.ca):
        certificates.make_ca(plan.ca, plan.secrets / "ca.key",
                             name=f"nf-airlock sandbox {plan.site}")
        is_new = True
    if is_new or not _lasts(plan.secrets / "server.crt", plan.registry_host):
        certificates.make_certificate(plan.ca, plan.secrets / "ca.key", address=plan.registry_host)
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


def _login_fits(plan: Plan) -> bool:
    return (f'"{plan.registry_address}"' in plan.authfile.read_text()
            and (plan.secrets / "htpasswd").is_file())


def _make_login(plan: Plan) -> None:
    password = secrets.token_urlsafe(24)
    hashed = processes.run(["htpasswd", "-niB", USER], stdin=f"{password}\n".encode())
    files.write_text(plan.secrets / "htpasswd", hashed.strip() + "\n", mode=0o600)
    credentials.write(plan.authfile, plan.registry_address, Login(user=USER, password=password))
