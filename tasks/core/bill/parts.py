"""What something consists of, free of any format: one part each for what has a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PIPELINE, CONFIGS, IMAGE, PLUGIN, RUNTIME, JAR, DATA, WHEEL, JAVA = (
    "pipeline", "configs", "image", "plugin", "runtime", "jar", "data", "wheel", "java")
"""The kinds of parts."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What the parts make together. `kind` is a word for it: a release, or the tool."""

    kind: str
    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part. `key` is its own among all of them; `within` is that of what holds it.

    `hashes` are hexadecimal, by CycloneDX's names of algorithms. `licences` are as the part's own
    files give them, expressions or names; none where they give none. `bytes` is its size.
    """

    kind: str
    key: str
    name: str
    version: str = ""
    group: str = ""
    purl: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    licences: tuple[str, ...] = ()
    bytes: int | None = None
    source: str = ""
    within: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else is known, by the names of properties: platform, base, commit …"""


def counted(parts: Iterable[Part]) -> str:
    """How many there are of each kind, and in a second line of how many no licence is known."""
    listed = list(parts)
    counts = Counter(part.kind for part in listed)
    unknown = Counter(part.kind for part in listed if not part.licences and part.kind != DATA)
    kinds, lacking = (", ".join(f"{count} {_word(kind, count)}" for kind, count in each.items())
                      for each in (counts, unknown))
    return kinds + (f"\nlicence unknown: {lacking}" if lacking else "")


def _word(kind: str, count: int) -> str:
    if kind == DATA:
        return "data file" if count == 1 else "data files"
    return kind if count == 1 or kind.endswith("s") else f"{kind}s"
