"""What a release's bill of materials (CycloneDX) knows: licences, bases, digests of parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("runtime", "jar")
"""What is listed besides images, plugins and data, by the property airlock:kind."""
NOTHING: Mapping[str, Any] = {"licences": None, "base": None}


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Its components by what they are; all empty where a release has none.

    An image or plugin without an entry has `licences` None: unknown. An empty list is one of which
    the bill says that no licence is known.
    """

    images: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plugins: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    parts: tuple[Mapping[str, Any], ...] = ()

    def image(self, source: str) -> Mapping[str, Any]:
        """Licences and base of an image."""
        return self.images.get(source, NOTHING)

    def plugin(self, name: str, version: str) -> Mapping[str, Any]:
        """Licences and SHA-256 of a plugin."""
        return self.plugins.get((name, version), {"licences": None, "sha256": None})


def read(path: Path | None) -> Bill:
    """A release's bill; without one, or with one of another form, nothing is known."""
    try:
        content = json.loads(path.read_bytes()) if path else {}
        listed = list(_components(content.get("components", [])))
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return Bill()
    return Bill(
        images={row["source"]: {"licences": row["licences"], "base": row["base"]}
                for row in listed if row["kind"] == "image"},
        plugins={(row["name"], row["version"]): {"licences": row["licences"],
                                                 "sha256": row["sha256"]}
                 for row in listed if row["kind"] == "plugin"},
        parts=tuple({key: row[key] for key in ("kind", "name", "version", "licences", "sha256")}
                    for kind in KINDS for row in listed if row["kind"] == kind))


def _components(listed: list[Any]) -> Iterator[dict[str, Any]]:
    for component in listed:
        properties = {entry["name"]: entry.get("value")
                      for entry in component.get("properties", [])}
        digests = {entry["alg"]: entry["content"] for entry in component.get("hashes", [])}
        yield {"kind": properties.get("airlock:kind"), "source": properties.get("airlock:source"),
               "base": properties.get("airlock:base"), "name": str(component["name"]),
               "version": str(component.get("version", "")), "sha256": digests.get("SHA-256"),
               "licences": [_licence(entry) for entry in component.get("licenses", [])]}


def _licence(entry: Mapping[str, Any]) -> str:
    if "expression" in entry:
        return str(entry["expression"])
    return str(entry["license"].get("id") or entry["license"]["name"])
