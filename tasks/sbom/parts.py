"""What a release consists of, free of any format: one part each for what has a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PIPELINE, CONFIGS, IMAGE, PLUGIN, RUNTIME, JAR, DATA = (
    "pipeline", "configs", "image", "plugin", "runtime", "jar", "data")
"""The kinds of parts."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a release. `key` is its own among all of them; `within` is that of what holds it.

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
