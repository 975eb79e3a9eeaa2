"""The two ends of a comparison, and what was found to differ between them, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RELEASE, NOW, NOTHING = "release", "now", "nothing"
"""What an end can be: a release of the store, what would be made now, or an empty store."""
ADDED, GONE, CHANGED = "added", "gone", "changed"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file's SHA-256 and bytes, as far as they are known."""

    sha256: str | None
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """What the store's promotions say of a release.

    `proof` are the lines of the proof that it names, `unproven` is why it became the current one
    without, `back` why it was gone back to, and `withdrawn` why nobody may run it any more; each
    where that is so.
    """

    is_current: bool = False
    number: int | None = None
    signed: str | None = None
    expires: str | None = None
    proof: Sequence[str] | None = None
    unproven: str | None = None
    back: str | None = None
    withdrawn: str | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """One of the two that are compared: a release, what would be made now, or nothing.

    `about` is release.json without its lists. `files` are those that are read here, and `listed`
    all that are known, both by their paths in a release. `data` are the data files by URL, None
    where no manifest or plan tells them, and `is_planned` says that they weren't fetched yet.
    `unknown` says of a part why it can't be known whole, `moves` what would move for it.
    """

    kind: str
    id: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    listed: Mapping[str, File] = field(default_factory=dict)
    data: Mapping[str, File] | None = None
    is_planned: bool = False
    promoted: Promoted = field(default_factory=Promoted)
    unknown: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How people call it."""
        if self.kind == NOW:
            return f"{self.id}, as made here" if self.id else "what would be made now"
        return self.id or "nothing: the store has no current release"

    def known(self, path: str) -> bool:
        """Whether the file of this path can be read, or the end has nothing at all."""
        return path in self.files or self.kind == NOTHING

    @property
    def size(self) -> int:
        """Bytes of its files, each content once, as far as they are known."""
        return sum({file.sha256: file.size or 0 for file in self.listed.values()}.values())


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was added, is gone, or is another one; sizes in bytes."""

    what: str
    name: str
    group: str = ""
    before: str | None = None
    after: str | None = None
    size_before: int | None = None
    size_after: int | None = None

    @property
    def as_json(self) -> dict[str, Any]:
        """By schemas/release-diff.schema.json; what isn't known is left out."""
        values = {"from": self.before, "to": self.after, "from_bytes": self.size_before,
                  "to_bytes": self.size_after}
        return {"change": self.what, "group": self.group, "name": self.name,
                **{key: value for key, value in values.items() if value is not None}}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What differs in one part. `unknown` are the reasons why something of it isn't known.

    `summary` says it in one line; `facts` are further ones.
    """

    name: str
    title: str
    summary: str
    changes: Sequence[Change] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    unknown: Sequence[str] = ()

    @property
    def differs(self) -> bool | None:
        """None where nothing does as far as it is known."""
        return True if self.changes else None if self.unknown else False

    @property
    def as_json(self) -> dict[str, Any]:
        """By schemas/release-diff.schema.json."""
        return {"name": self.name, "title": self.title, "differs": self.differs,
                "summary": self.summary, "facts": dict(self.facts),
                "changes": [change.as_json for change in self.changes],
                "unknown": list(self.unknown)}


def unknown(part: str, *ends: End, path: str | None = None) -> list[str]:
    """Why something of a part isn't known: the ends' own reasons, and that one has no such file.
    """
    reasons = [end.unknown[part] for end in ends if part in end.unknown]
    return reasons + [f"{end.title} has no {path}" for end in ends
                      if path and part not in end.unknown and not end.known(path)]


def words(value: Any) -> str:
    """A value for people: a text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def changes(before: Mapping[str, Any], after: Mapping[str, Any], *, group: str = "",
            show: Callable[[Any], str | None] = words) -> list[Change]:
    """What differs between two mappings, by name."""
    rows = []
    for name in sorted({*before, *after}):
        if name not in before:
            rows.append(Change(what=ADDED, group=group, name=name, after=show(after[name])))
        elif name not in after:
            rows.append(Change(what=GONE, group=group, name=name, before=show(before[name])))
        elif before[name] != after[name]:
            rows.append(Change(what=CHANGED, group=group, name=name, before=show(before[name]),
                               after=show(after[name])))
    return rows


def counted(rows: Sequence[Change]) -> str:
    """How many were added, are gone and have changed: `2 added, 1 gone`."""
    counts = {what: sum(row.what == what for row in rows) for what in (ADDED, GONE, CHANGED)}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}{'s' * (count != 1)}"
