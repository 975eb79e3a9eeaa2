"""A plugin's zip, unpacked with distrust."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError

LARGEST = 1_000_000_000
"""Bytes of a plugin, unpacked: the largest public ones have some 200 MB."""
MOST = 20_000
MANIFEST = "classes/META-INF/MANIFEST.MF"


def unpack(archive: Path, folder: Path, *, largest: int = LARGEST) -> None:
    """Unpack the zip into `folder`, which must not exist.

    Raises IntegrityError, and leaves nothing, for members that would leave the folder, links,
    encrypted or repeated members, and archives beyond `largest` bytes or MOST members.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _judge(members, archive, largest)
            files.atomic_folder(folder, lambda temporary: _extract(opened, members, temporary))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise IntegrityError(f"this is not a whole zip archive: {error}",
                             where=archive.name) from error


def manifest(folder: Path) -> dict[str, str]:
    """The unpacked plugin's manifest: its main attributes (JAR file specification)."""
    path = folder / MANIFEST
    if not path.is_file():
        raise IntegrityError(f"this is no Nextflow plugin: it has no {MANIFEST}",
                             where=folder.name)
    text = path.read_text(errors="replace").replace("\r\n", "\n").replace("\n ", "")
    main = text.partition("\n\n")[0]
    pairs = (line.partition(":") for line in main.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _judge(members: list[zipfile.ZipInfo], archive: Path, largest: int) -> None:
    faults = []
    seen: set[str] = set()
    for member in members:
        name = member.filename
        kind = stat.S_IFMT(member.external_attr >> 16)
        try:
            files.inside(Path(), name)
        except IntegrityError as error:
            faults.append(error.what)
        if "\\" in name:
            faults.append(f"{name!r} holds a backslash")
        if name.rstrip("/") in seen:
            faults.append(f"{name!r} comes twice")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            faults.append(f"{name!r} is neither file nor folder")
        if member.flag_bits & 0x1:
            faults.append(f"{name!r} is encrypted")
        seen.add(name.rstrip("/"))
    # No more than the declared size of a member is ever unpacked, so the sum is a bound.
    size = sum(member.file_size for member in members)
    if size > largest:
        faults.append(f"unpacked it has {files.human_size(size)}, and "
                      f"{files.human_size(largest)} are allowed")
    if len(members) > MOST:
        faults.append(f"it has {len(members)} members, and {MOST} are allowed")
    if faults:
        raise IntegrityError("the archive is refused:\n"
                             + "\n".join(f"    {fault}" for fault in faults[:20]),
                             where=archive.name, todo="ask the plugin's publisher")


def _extract(opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path) -> None:
    for member in members:
        target = files.inside(folder, member.filename.rstrip("/"))
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, files.CHUNK)
