"""Bodies as they come: counted, hashed, and refused where they are not what was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.core.errors import IntegrityError, RegistryError
from tasks.core.net.request import Broken

if TYPE_CHECKING:
    import urllib3

CHUNK = 1 << 18


def checked(chunks: Iterator[bytes], digest: str, size: int, name: str,
            where: str) -> Iterator[bytes]:
    """Pass bytes on, each chunk when the next has come: the last only if digest and size agree."""
    found, count, held = hashlib.sha256(), 0, b""
    for chunk in chunks:
        if held:
            yield held
        found.update(chunk)
        count, held = count + len(chunk), chunk
        if count > size:
            break
    if count != size or f"sha256:{found.hexdigest()}" != digest:
        raise IntegrityError(f"the bytes of {name} are not what its digest says: {count} bytes "
                             f"with sha256:{found.hexdigest()}, for {size} bytes", where=where,
                             todo="the registry's data are damaged, or were changed; nothing of "
                                  "this image was recorded. Ask the registry's administrator")
    if held:
        yield held


def chunks_of(response: urllib3.BaseHTTPResponse, name: str, most: int | None = None,
              ) -> Iterator[bytes]:
    """A response's body; RegistryError if it is longer than `most`, Broken if it ends early."""
    import urllib3
    count = 0
    try:
        for chunk in response.stream(CHUNK, decode_content=False):
            count += len(chunk)
            if most is not None and count > most:
                raise RegistryError(f"the answer for {name} is longer than {most} bytes")
            yield chunk
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Broken(f"the transfer of {name} ended early: {type(error).__name__}",
                     todo="run the same command again") from None
