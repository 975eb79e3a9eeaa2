"""What is carried, as far as it answers what a pipeline would fetch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.config import engines
from tasks.core.nextflow import plugin_ranges
from tasks.core.schema import read_json
from tasks.core.source.configs import Reader, Setting
from tasks.core.source.files import opened
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.values import Names, Unknown, Values, known
from tasks.reach.findings import Answer
from tasks.reach.text import URL


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The params that a release sets, its plugins and toggles.

    `toggles` are the settings of offline.config with a plain value, by their dotted name.
    """

    params: Mapping[str, Mapping[str, Any]]
    plugins: Mapping[str, str]
    toggles: Mapping[str, Any]

    @property
    def engine(self) -> str:
        """The engine that these settings switch on, by which a pipeline's code may choose."""
        return next((kind for kind in engines.KINDS if self.toggles.get(f"{kind}.enabled") is True),
                    engines.DOCKER)

    def param(self, name: str) -> Answer | None:
        """What the release gives a param, if it does."""
        entry = self.params.get(name)
        if entry is None or (entry["kind"] == "value" and URL.search(str(entry.get("value")))):
            return None
        if entry["kind"] == "none":
            return Answer(by="params", what="null offline")
        if entry["kind"] == "value":
            return Answer(by="params", what=f"{entry.get('value')!r} offline")
        return Answer(by="data", what=f"carried as {entry['path']}" if "path" in entry
                      else "the files that it names are carried")

    def plugin(self, name: str) -> Answer | None:
        """Whether a plugin is carried: `id`, `id@version`, or `id@` with a range of versions."""
        plugin, _, version = name.partition("@")
        held = self.plugins.get(plugin)
        if held is None or not plugin_ranges.meets(held, version):
            return None
        return Answer(by="plugins", what=f"{plugin}@{held} in plugins.tar")


def read(data_manifest: Path, plugins: Path, *configs: Path) -> Staged:
    """Read the manifest of the data, plugins.txt and the configs that make offline.config."""
    manifest = read_json(data_manifest, "data-manifest")
    pinned = dict(line.split("@", 1) for line in plugins.read_text().split() if "@" in line)
    return Staged(params=manifest["params"], plugins=pinned, toggles=toggles(*configs))


def toggles(*paths: Path) -> dict[str, Any]:
    """The plain values that configs set at their top level, by their dotted name."""
    values = {}
    for path in paths:
        with opened(path.parent) as sources:
            for setting in Reader(sources, {}).read(path.name):
                if isinstance(setting, Setting) and setting.profile is None:
                    plain, _ = evaluate(setting.tokens, 0, {})
                    if len(plain) == 1:
                        values[".".join(setting.path)] = next(iter(plain))
    return values


def values(resolved: Mapping[str, Any], staged: Staged, profile: str) -> Names:
    """What names stand for in the pipeline's code offline: its params, and what Nextflow tells."""
    names: dict[str, Values] = {**known(staged.engine), "workflow.profile": frozenset([profile])}
    carried = {name: entry.get("path" if "path" in entry else "value")
               for name, entry in staged.params.items()}
    for name, value in {**resolved, **carried}.items():
        plain = value is None or isinstance(value, str | int | float | bool)
        names[f"params.{name}"] = frozenset([value if plain else Unknown(f"params.{name}")])
    return names
