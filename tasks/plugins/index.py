"""The plugin index: which versions there are, and which of them fits a runtime.

Format: Nextflow's plugins.json, a list of {id, releases: [{version, url, date, requires,
sha512sum}]}.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from tasks.core import schema
from tasks.core.errors import SourceError

_SPEC = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:@([0-9][A-Za-z0-9._+-]*))?")
_CONDITION = re.compile(r"(>=|<=|>|<|=|)\s*v?([0-9]+(?:\.[0-9]+)*)(?:-[A-Za-z0-9.]+)?")


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a plugin: where its zip lies, and what the index says of its bytes."""

    id: str
    version: str
    url: str
    sha512: str | None

    @property
    def name(self) -> str:
        """As Nextflow writes it: id@version."""
        return f"{self.id}@{self.version}"


def wanted(plugins: Any) -> dict[str, str | None]:
    """Each plugin's id to its pinned version, or None, from the resolved config's `plugins`.

    Raises SourceError where an entry is no plugin, or one plugin is pinned twice.
    """
    found: dict[str, str | None] = {}
    entries = plugins if isinstance(plugins, list) else []
    for entry in entries:
        match = _SPEC.fullmatch(str(entry))
        if match is None:
            raise SourceError(f"{entry!r} is no plugin with an exact version",
                              where="plugins in nextflow.config",
                              todo="write it as id@version, such as nf-schema@2.2.0")
        name, version = match.groups()
        if found.get(name, version) != version:
            raise SourceError(f"the plugin {name} is asked for as {found[name]} and {version}",
                              where="plugins in nextflow.config", todo="pin one version")
        found[name] = version
    return found


def read(path: Path) -> list[Any]:
    """The index, held against its schema."""
    entries: list[Any] = schema.read_json(path, "plugins-index")
    return entries


def choose(index: Sequence[Any], url: str, plugin: str, version: str | None,
           nextflow: str) -> Release:
    """The release of `plugin` at `version`; without one, the newest that fits `nextflow`.

    `url` is the index's own, against which its relative URLs stand.
    """
    releases = [release for entry in index if entry["id"] == plugin
                for release in entry["releases"]]
    if version is not None:
        fitting = [release for release in releases if release["version"] == version]
    else:
        fitting = [release for release in releases if fits(nextflow, release.get("requires"))]
        stable = [release for release in fitting if "-" not in release["version"]]
        fitting = sorted(stable or fitting, key=lambda release: order(release["version"]))
    if not fitting:
        raise SourceError(_missing(index, plugin, version, nextflow), where=url,
                          todo="look at `plugins` in the pipeline's nextflow.config, and at "
                               "plugins.index in the site's config")
    release = fitting[-1]
    return Release(id=plugin, version=release["version"], url=_join(url, release["url"]),
                   sha512=release.get("sha512sum") or None)


def fits(nextflow: str, requires: str | None) -> bool:
    """Whether a version of Nextflow meets `requires`, such as `>=23.04.0` or `>=23.04.0,<25`.

    A condition that can't be read is not met.
    """
    here = order(nextflow)[0]
    for part in re.split(r"[,&]", requires or ""):
        condition = part.strip().removeprefix("nextflow@")
        if condition in ("", "*"):
            continue
        match = _CONDITION.fullmatch(condition)
        if match is None:
            return False
        there = order(match[2])[0]
        met = {">=": here >= there, "<=": here <= there, ">": here > there, "<": here < there,
               "=": here == there, "": here == there}
        if not met[match[1]]:
            return False
    return True


def order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """A key that sorts versions: numbers, then releases after pre-releases."""
    numbers, _, suffix = version.partition("-")
    parts = [int(digits) for digits in re.findall(r"\d+", numbers)]
    while parts and parts[-1] == 0:  # 25 and 25.0.0 are one version
        parts.pop()
    return tuple(parts), not suffix, suffix


def _missing(index: Sequence[Any], plugin: str, version: str | None, nextflow: str) -> str:
    versions = [release["version"] for entry in index if entry["id"] == plugin
                for release in entry["releases"]]
    if versions:
        asked = f"version {version}" if version else f"version that fits Nextflow {nextflow}"
        return f"the index has no {asked} of {plugin}, but {', '.join(versions[-8:])}"
    near = difflib.get_close_matches(plugin, [entry["id"] for entry in index], n=1)
    return f"the index has no plugin {plugin!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _join(index: str, url: str) -> str:
    joined = urljoin(index, url)
    allowed = ("http", "https", urlsplit(index).scheme)
    if urlsplit(joined).scheme not in allowed:
        raise SourceError("the index names a zip that is not on the web", where=index,
                          todo="only an index that is a file itself may name files")
    return joined
