"""What an unpacked plugin says of itself."""

from __future__ import annotations

from pathlib import Path

from tasks.core import nofollow
from tasks.core.errors import IntegrityError

MANIFEST = "classes/META-INF/MANIFEST.MF"
MAX_MANIFEST = 2**20
"""Bytes of it."""


def read_manifest(folder: Path) -> dict[str, str]:
    """The unpacked plugin's manifest: its main attributes (JAR file specification)."""
    path = folder / MANIFEST
    if not path.is_file():
        raise IntegrityError(f"this is no Nextflow plugin: it has no {MANIFEST}",
                             where=folder.name)
    text = nofollow.read(path, most=MAX_MANIFEST).decode(errors="replace")
    text = text.replace("\r\n", "\n").replace("\n ", "")
    main = text.partition("\n\n")[0]
    pairs = (line.partition(":") for line in main.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
