"""What requests and answers say of files' SHA-256: S3's own checksum, or the file's metadata.

With `store.checksums: metadata` no header of a checksum is sent, since some servers refuse them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from tasks.core.config.aws_settings import StoreAt
from tasks.core.store.s3_client import Body

CHECKSUM = "x-amz-checksum-sha256"
METADATA = "x-amz-meta-sha256"


def checksum_headers(body: Body, at: StoreAt) -> dict[str, str]:
    """Return what a put says: some servers keep the checksum only where its algorithm is named."""
    if not at.has_checksums:
        return {METADATA: body.sha256}
    return part_headers(body, at)


def part_headers(body: Body, at: StoreAt) -> dict[str, str]:
    """Return what the put of an upload's part says, which has no metadata."""
    if not at.has_checksums:
        return {}
    return {CHECKSUM: body.checksum, "x-amz-sdk-checksum-algorithm": "SHA256"}


def upload_headers(sha256: str, at: StoreAt) -> dict[str, str]:
    """Return what the begin of an upload in parts says of the whole file."""
    algorithm = {"x-amz-checksum-algorithm": "SHA256"} if at.has_checksums else {}
    return {**algorithm, METADATA: sha256}


def wants_checksum(at: StoreAt) -> dict[str, str]:
    """Return what a HEAD says that asks for the checksum, too."""
    return {"x-amz-checksum-mode": "ENABLED"} if at.has_checksums else {}


def metadata_sha256(answer: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of a file's metadata: the word of who sent it."""
    return answer.get(METADATA)


def kept_sha256(answer: Mapping[str, str]) -> str | None:
    """Return the SHA-256 that the server checked, or where the file came in parts, the one noted.
    """
    checksum = answer.get(CHECKSUM, "")
    if "-" in checksum:
        return metadata_sha256(answer)
    try:
        return base64.b64decode(checksum, validate=True).hex() or None
    except ValueError:
        return None
