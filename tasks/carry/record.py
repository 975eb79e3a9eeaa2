"""carry.json: what lies in a carried folder and why, so that the next time only what differs moves.

The folder comes back from places where others could write into it. So the record is believed where
our own key has signed the list that names it, or this checkout remembers having written it; of any
other, only which files may be looked at and removed is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.carry import place
from tasks.carry.contents import Carried, File
from tasks.core import files
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.schema import check, from_bytes
from tasks.core.trust import carried, checksums, signature
from tasks.core.trust.carried import POINTER, RECORD, SEAL, SUMS
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import Subject

MAX_KNOWN = 100
"""Records that are remembered of a folder."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Volumes that are a tar of their own: numbers from `first` on, and the files in them."""

    first: int
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is carried of each pipeline and of the tool.

    `left` are files of earlier times that nothing carried now names. Where it is split, `part` is
    the size of a volume, and `stretches` say which files the volumes hold.
    """

    site: str
    pipelines: Mapping[str, Carried] = field(default_factory=dict)
    tool: Carried | None = None
    left: tuple[str, ...] = ()
    part: int | None = None
    stretches: tuple[Stretch, ...] = ()

    def files(self) -> dict[str, File]:
        """Every carried file by its path; one that two pipelines share is there once."""
        subjects = [*self.pipelines.values(), *([self.tool] if self.tool else [])]
        return {file.path: file for subject in subjects for file in subject.files}

    def data(self) -> bytes:
        """The bytes of carry.json."""
        value: dict[str, Any] = {
            "kind": "carry", "site": self.site, "left": list(self.left),
            "pipelines": {name: _subject(subject) for name, subject in self.pipelines.items()},
            "tool": _subject(self.tool) if self.tool else None}
        if self.part:
            value |= {"part": self.part, "stretches": [
                {"first": stretch.first, "paths": list(stretch.paths)}
                for stretch in self.stretches]}
        return files.json_bytes(check(value, "carry", where=RECORD))


def _subject(subject: Carried) -> dict[str, Any]:
    pointer = next(file for file in subject.files if POINTER.fullmatch(file.path))
    return {"id": subject.id, "number": subject.number, "pointer": (pointer.data or b"").decode(),
            "files": [f"{file.sha256} {file.size} {file.path}" for file in subject.files
                      if file is not pointer]}


def _carried(value: Mapping[str, Any], subject: Subject) -> Carried:
    lines = (line.split(" ", 2) for line in value["files"])
    # The pointer as it was then: the store's may have moved on when it is needed again.
    pointer = value["pointer"].encode()
    return Carried(id=value["id"], number=value["number"], files=(
        *(File(path=path, sha256=sha256, size=int(size)) for sha256, size, path in lines),
        File(path=subject.pointer, sha256=files.sha256_bytes(pointer), size=len(pointer),
             data=pointer)))


def remember(memory: Path, data: bytes) -> None:
    """Note a record before the folder gets it, so that a carry that ends midway goes on."""
    known = memory.read_text().split() if memory.is_file() else []
    digest = files.sha256_bytes(data)
    if digest not in known:
        files.write_text(memory, "".join(f"{line}\n" for line in [*known, digest][-MAX_KNOWN:]))


def read(root: Path, *, memory: Path, key: Path) -> tuple[Record | None, bool]:
    """The record of an earlier time, and whether it may be believed; None where there is none.

    `memory` has what `remember` noted, and `key` signs.
    """
    data = place.content(root, RECORD, MAX_LIST)
    if data is None:
        return None, False
    try:
        value = from_bytes(data, "carry", where=root / RECORD)
    except ConfigError:
        return None, False
    record = Record(
        site=value["site"], left=tuple(filter(carried.is_ours, value["left"])),
        pipelines={name: _carried(entry, Subject(pipeline=name))
                   for name, entry in value["pipelines"].items()},
        tool=_carried(value["tool"], Subject(pipeline=None)) if value["tool"] else None,
        part=value.get("part"),
        stretches=tuple(Stretch(first=stretch["first"], paths=tuple(stretch["paths"]))
                        for stretch in value.get("stretches", [])))
    known = memory.read_text().split() if memory.is_file() else []
    return record, files.sha256_bytes(data) in (*known, _digest(_own_list(root, key)))


def _own_list(root: Path, key: Path) -> bytes | None:
    """The folder's list, where our own key has signed it."""
    if not key.with_name(f"{key.name}.pub").is_file():
        return None  # the key would have to be opened, which signing alone does
    listed, seal = place.content(root, SUMS, MAX_LIST), place.content(root, SEAL, MAX_LIST)
    if listed is None or seal is None:
        return None
    own = signature.is_own(key, listed, seal, namespace=signature.CARRY)
    return listed if own else None


def _digest(listed: bytes | None) -> str | None:
    """The SHA-256 that a list has for the record."""
    try:
        return checksums.parse_sums(listed, where=SUMS).get(RECORD) if listed else None
    except IntegrityError:
        return None
