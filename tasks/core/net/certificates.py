"""The files that name trusted CAs: what is wrong with one, and which are taken, in words.

OpenSSL passes over a missing or broken SSL_CERT_FILE in silence, and its errors name no file.
"""

from __future__ import annotations

import os
from pathlib import Path

SYSTEM = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables by which OpenSSL takes other CAs than the system's (its man page
`X509_get_default_cert_file_env`)."""


def fault(path: Path) -> str | None:
    """Return what is wrong with a file or folder of CAs, in words that follow its name."""
    import ssl
    if path.is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=read(path))
    except FileNotFoundError:
        return "is missing"
    except (ssl.SSLError, ValueError):
        return "is no PEM certificate"
    except OSError as error:
        return f"can't be read ({error.strerror or type(error).__name__})"
    return None


def read(path: Path) -> str:
    """Return the certificates of a file; what comments hold besides ASCII is left out."""
    return path.read_bytes().decode("ascii", "ignore")


def trusted(ca: str | Path | None) -> str:
    """Return in words which CAs are trusted: `ca`, else those of the environment or the system."""
    return str(ca) if ca else by_environment() or "this system's own"


def by_environment() -> str:
    """Return in words what the environment names in the place of the system's CAs, if it does."""
    named = [(name, Path(path)) for name in SYSTEM
             if (path := os.environ.get(name))]
    return " and ".join(f"{name} ({path}{f', which {wrong}' if (wrong := fault(path)) else ''})"
                        for name, path in named)
