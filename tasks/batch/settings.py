"""A config that Nextflow resolved, asked for settings; and where in its files each one stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.source import bounded_regex
from tasks.core.source.configs import MAIN, Reader, Setting
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded

SELECTOR = re.compile(r"(withName|withLabel):(.*)", re.DOTALL)
Places = Mapping[str, tuple[str, int]]
"""File and line of each setting, by its path with dots."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A config as one profile resolves it, as nested mappings; closures are their source."""

    config: Mapping[str, Any]
    places: Places = field(default_factory=dict)

    def value(self, path: str) -> Any:
        """Return the setting of this path with dots; None where nothing sets it."""
        value: Any = self.config
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def is_on(self, path: str) -> bool:
        """Return whether a setting is true, as Groovy takes it."""
        value = self.value(path)
        return bool(value) and value not in ("false", "{}")

    def text(self, path: str) -> str:
        """Return a setting as text, empty where nothing sets it."""
        value = self.value(path)
        return "" if value is None or isinstance(value, Mapping | bool) else str(value).strip()

    def where(self, *paths: str) -> str:
        """Return file:line of the first of these settings whose place is known."""
        for path in paths:
            if path in self.places:
                file, line = self.places[path]
                return f"{file}:{line}"
        return MAIN

    def of_processes(self, directive: str) -> Iterator[tuple[str, Any]]:
        """Yield what the config sets of a directive: the general value, then selectors' ones, each
        with its path."""
        scope = self.value("process")
        for key, value in scope.items() if isinstance(scope, Mapping) else ():
            if key == directive:
                yield f"process.{directive}", value
        for key, value in scope.items() if isinstance(scope, Mapping) else ():
            if SELECTOR.fullmatch(key) and isinstance(value, Mapping) and directive in value:
                yield f"process.{key}.{directive}", value[directive]

    def for_process(self, directive: str, name: str, labels: Collection[str],
                    own: Any = None) -> tuple[Any, str]:
        """Return what a process takes for a directive, with its path; `own` is its script's.

        From the weakest to the strongest: the general setting, the process's own, withLabel,
        withName, and withName that matches the qualified name, as ours do. The last one holds.
        """
        value, path = None, ""
        ranked: list[tuple[int, Any, str]] = []
        for candidate, setting in self.of_processes(directive):
            selector = SELECTOR.search(candidate.removesuffix(f".{directive}"))
            if selector is None:
                value, path = setting, candidate
            elif selector[1] == "withLabel":
                if any(_matches(selector[2], label) for label in labels):
                    ranked.append((1, setting, candidate))
            elif _matches(selector[2], name):
                ranked.append((2, setting, candidate))
            elif _matches(selector[2], f"ANY:{name}"):
                ranked.append((3, setting, candidate))
        if own is not None:
            value, path = own, ""
        for _, setting, candidate in sorted(ranked, key=lambda rank: rank[0]):
            value, path = setting, candidate
        return value, path

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every text of the config, with its path."""
        yield from _texts(self.config, ())


def places(folder: Path, profile: str, main: str = MAIN) -> dict[str, tuple[str, int]]:
    """Return where the settings stand that hold in a profile, in the config `main` of a folder.

    A later line replaces an earlier one, and one of the profile those of the top.
    """
    top: dict[str, tuple[str, int]] = {}
    own: dict[str, tuple[str, int]] = {}
    with bounded(folder), opened(folder) as sources:
        for statement in Reader(sources, {}).read(main) if sources.has(main) else ():
            if isinstance(statement, Setting) and statement.profile in (None, profile):
                target = top if statement.profile is None else own
                target[".".join(statement.path)] = (statement.file, statement.line)
    return {**top, **own}


def profiles(folder: Path) -> list[str]:
    """Return the profiles that a pipeline's config defines in the files of its code, sorted."""
    with bounded(folder), opened(folder) as sources:
        statements = Reader(sources, {}).read() if sources.has(MAIN) else ()
        return sorted({statement.profile for statement in statements if statement.profile})


def _matches(pattern: str, name: str) -> bool:
    try:
        matched = bounded_regex.fullmatch(pattern.removeprefix("!"), name)
    except re.error:
        return False
    return matched != pattern.startswith("!")


def _texts(value: Any, path: Iterable[str]) -> Iterator[tuple[str, str]]:
    path = tuple(path)
    if isinstance(value, str):
        yield ".".join(path), value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, (*path, str(key)))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, path)
