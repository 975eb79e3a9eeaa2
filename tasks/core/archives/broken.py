"""What shows that an archive is broken, worded in one way."""

from __future__ import annotations

import contextlib
import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tasks.core.archives import compressed
from tasks.core.errors import IntegrityError

ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
          OverflowError, struct.error, *compressed.ERRORS)
"""What the readers of zips, tars and compressed files raise for bytes that are none."""
SAME_PLACE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
"""What a system answers where two members can't both be what they say."""


@contextlib.contextmanager
def refusing_broken(archive: Path, what: str) -> Iterator[None]:
    """Turn an error that shows a broken archive into IntegrityError; a full disk is no such."""
    try:
        yield
    except ERRORS as error:
        raise IntegrityError(f"this is {what}: {error}", where=archive.name) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a seek to before the file's first byte
            raise IntegrityError(f"this is {what}", where=archive.name) from error
        if error.errno not in SAME_PLACE:
            raise
        raise IntegrityError(f"the archive is refused: {error.strerror}, as two of its members "
                             "have one place, or a name is too long", where=archive.name,
                             todo="ask those who published it") from error
