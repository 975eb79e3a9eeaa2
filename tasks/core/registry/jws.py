"""Docker's schema 1 manifests are signed in place, and their digest is that of what was signed.

After the distribution project's "Image Manifest Version 2, Schema 1": the JWS's protected header
tells how much of the text is payload, and how the payload ends.
"""

from __future__ import annotations

import base64

from tasks.core import parsing


def payload(data: bytes) -> bytes:
    """The signed bytes of a manifest; `data` itself where it holds no such signature."""
    try:
        signatures = parsing.from_json(data)["signatures"]
        protected = parsing.from_json(_decode(signatures[0]["protected"]))
        return data[:int(protected["formatLength"])] + _decode(protected["formatTail"])
    except (ValueError, KeyError, IndexError, TypeError):
        return data


def _decode(text: str) -> bytes:
    """base64url without its padding, as JWS has it (RFC 7515)."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
