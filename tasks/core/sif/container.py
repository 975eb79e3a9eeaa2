"""The SIF around a squashfs image: a header, a table of descriptors, and one system partition.

As the SIF specification's version 01 has it (github.com/apptainer/sif, "pkg/sif": 128 bytes of
header, descriptors of 585 bytes). Nothing in it hangs on the time or the machine.
"""

from __future__ import annotations

import re
import struct
import uuid
from pathlib import Path
from typing import IO

from tasks.core.errors import ImageError

HEADER = struct.Struct("<32s10s3s3s16sqqqqqqqq")
DESCRIPTOR = struct.Struct("<iBIIIqqqqqqq128s384s")
ARCHITECTURES = {"386": b"01", "amd64": b"02", "arm": b"03", "arm64": b"04", "ppc64": b"05",
                 "ppc64le": b"06", "mips": b"07", "s390x": b"11", "riscv64": b"12"}
DESCRIPTORS = 48
"""Places for descriptors, as Apptainer reserves them: a site may add its signature."""
DESCRIPTORS_AT, DATA_AT = 4096, 36864
PARTITION, SQUASHFS, PRIMARY_SYSTEM, FIRST_GROUP = 0x4004, 1, 2, 0xf0000001
OLDER = re.compile(rb"(#!/usr/bin/env run-singularity\n\0?)?hsqs")
"""How an image of Singularity before 3.0 begins: squashfs, behind a line that starts it."""


def begin(stream: IO[bytes]) -> None:
    """Leave the room that header and descriptors take; squashfs is written behind it."""
    stream.write(bytes(DATA_AT))


def finish(stream: IO[bytes], *, architecture: str, digest: str) -> None:
    """Write header and descriptors around what was written since `begin`.

    ImageError for an architecture that SIF has no number for.
    """
    number = ARCHITECTURES.get(architecture)
    if number is None:
        raise ImageError(f"a SIF can't be for the architecture {architecture!r}", where=digest,
                         todo=f"SIF knows {', '.join(ARCHITECTURES)}")
    end = stream.seek(0, 2)
    size, padded = end - DATA_AT, end - DESCRIPTORS_AT - DESCRIPTORS * DESCRIPTOR.size
    header = HEADER.pack(b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC", b"01", number,
                         uuid.uuid5(uuid.NAMESPACE_OID, digest).bytes, 0, 0, DESCRIPTORS - 1,
                         DESCRIPTORS, DESCRIPTORS_AT, DESCRIPTORS * DESCRIPTOR.size,
                         DESCRIPTORS_AT + DESCRIPTORS * DESCRIPTOR.size, padded)
    partition = struct.pack("<ii3s", SQUASHFS, PRIMARY_SYSTEM, number)
    descriptor = DESCRIPTOR.pack(PARTITION, True, 1, FIRST_GROUP, 0, DATA_AT, size, padded, 0, 0,
                                 0, 0, b"squashfs", partition)
    stream.seek(0)
    stream.write(header.ljust(DESCRIPTORS_AT, b"\0"))
    stream.write(descriptor)
    stream.seek(0, 2)


def check(path: Path, platform: str, source: str) -> None:
    """ImageError where a file is no image that Apptainer runs, or one for another architecture.

    Squashfs alone, as before SIF, doesn't say its architecture.
    """
    with path.open("rb") as stream:
        begin = stream.read(HEADER.size)
    if OLDER.match(begin):
        return
    if len(begin) < HEADER.size or begin[32:41] != b"SIF_MAGIC":
        raise ImageError("this is no image file (SIF), by its first bytes", where=source,
                         todo="name another image of its process by hand, under `images:` in the "
                              "pipeline's file")
    number, wanted = begin[45:47], platform.split("/")[1]
    named = {number: name for name, number in ARCHITECTURES.items()}.get(number)
    if named not in (None, wanted):
        raise ImageError(f"this image file is for {named}, and the site's platform is {platform}",
                         where=source, todo="name one for it by hand, under `images:` in the "
                                            "pipeline's file")
