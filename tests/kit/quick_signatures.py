"""Signatures that say whose they are, of which bytes and kind, and take no time.

They are held against the same allowed_signers as those of `ssh-keygen`, by the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.trust import signature


def maker(seal: bytes) -> str:
    """The name of the key that made one."""
    return str(json.loads(seal)[0]).removeprefix("key-of ")


@contextmanager
def stand_in() -> Iterator[None]:
    """Let them stand in for those of ssh-keygen."""
    def sign(key: Path, data: bytes, *, namespace: str) -> bytes:
        return json.dumps([public_key(key), namespace, files.sha256_bytes(data)]).encode()

    def public_key(key: Path) -> str:
        return f"key-of {key.name}"

    def verify(data: bytes, seal: bytes, *, namespace: str, allowed: Path, signer: str,
               where: object, known_as: str = "") -> str:
        key, kind, digest = json.loads(seal)
        named = any(line.endswith(f" {key}") for line in allowed.read_text().splitlines())
        if (kind, digest, named) != (namespace, files.sha256_bytes(data), True):
            raise IntegrityError(f"a wrong signature, by {key} for {signer}", where=where)
        return fingerprint(key)

    def fingerprint(public: str) -> str:
        return f"SHA256:{files.sha256_bytes(public.encode())[:43]}"

    def is_own(key: Path, data: bytes, seal: bytes, *, namespace: str) -> bool:
        return seal == sign(key, data, namespace=namespace)

    with pytest.MonkeyPatch.context() as patch:
        for function in (sign, public_key, verify, fingerprint, is_own):
            patch.setattr(signature, function.__name__, function)
        patch.setattr(signature, "ready", lambda *_, **__: None)
        yield
