"""SHA256SUMS: the one list of what is carried, as `sha256sum -c` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError

MAX_LIST = 64 << 20
"""Bytes of a list, and of release.json, carry.json or a receipt: at most some 200 a file."""
SUM_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def format_sums(digests: Mapping[str, str]) -> bytes:
    """Lines `<sha256>  <path>`, sorted by path.

    sha256sum writes names with a backslash in a form of its own, so they are refused.
    """
    for path in digests:
        _check(path)
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()


def parse_sums(data: bytes, *, where: object) -> dict[str, str]:
    """Path to SHA-256; IntegrityError at the first line that is not as `format_sums` writes it."""
    digests: dict[str, str] = {}
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("this is not a list of checksums: it is not UTF-8",
                             where=where) from error
    if text and not text.endswith("\n"):
        raise IntegrityError("the list of checksums is cut off", where=where)
    for number, line in enumerate(text.split("\n")[:-1], 1):
        match = SUM_LINE.fullmatch(line)
        if match is None:
            raise IntegrityError(f"line {number} is not `<sha256>  <path>`", where=where)
        digest, path = match.groups()
        _check(path)
        if path in digests:
            raise IntegrityError(f"{path!r} is listed twice", where=where)
        digests[path] = digest
    if not digests:
        raise IntegrityError("the list of checksums is empty", where=where)
    return digests


def _check(path: str) -> None:
    files.inside(Path(), path)
    if "\\" in path:
        raise IntegrityError(f"the path {path!r} holds a backslash, which is not allowed here")


def release_id(revision: str, listed: bytes) -> str:
    """`<revision>-<12 of the SHA-256 of SHA256SUMS>`."""
    return f"{revision}-{files.sha256_bytes(listed)[:12]}"


def blob_key(path: str, digest: str) -> str:
    """Where the store keeps a carried file: once, whatever release names it."""
    return f"blobs/sha256/{digest}/{path.rpartition('/')[2]}"
