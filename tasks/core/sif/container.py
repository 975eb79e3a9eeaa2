"""The SIF around a squashfs image: a header, a table of descriptors, and one system partition.

As the SIF specification's version 01 has it (github.com/apptainer/sif, "pkg/sif": 128 bytes of
header, descriptors of 585 bytes). Nothing in it hangs on the time or the machine.
"""

from __future__ import annotations

import struct
import uuid
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
