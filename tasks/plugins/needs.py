"""Which plugins a run needs: those that are named, and those that its settings load unseen.

docs/decisions/which-plugins-are-carried.md.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.archives import zips
from tasks.core.nextflow import plugin_ranges
from tasks.core.nextflow.plugin_pins import DECLARED
from tasks.core.nextflow.scheme_plugins import PLUGIN_OF_SCHEME
from tasks.plugins import index

INFO = "META-INF/plugins-info.txt"
"""Where the runtime's own jar has the versions of the plugins that were made with it."""
BY_HAND = "plugins in the pipeline's config"
"""Why a plugin is carried that our own config names, as the lock says it."""
LARGEST_INFO = 2**20
"""Bytes of that file; Nextflow's own has some 200."""
EXECUTORS = {"awsbatch": "nf-amazon", "google-batch": "nf-google", "google-lifesciences":
             "nf-google", "azurebatch": "nf-azure", "k8s": "nf-k8s"}
SWITCHES = {"wave": ("nf-wave",), "fusion": ("nf-wave", "nf-tower"), "tower": ("nf-tower",)}
"""What Nextflow loads by itself (PluginsFacade of 24.10 to 26.04)."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A plugin that is needed: its exact version where one is asked for, else a range of them."""

    version: str | None
    because: str
    condition: str = ""


def needs(config: Mapping[str, Any], answered: Mapping[str, Any], by_hand: Sequence[str],
          core: Mapping[str, str]) -> dict[str, Need]:
    """Each plugin's id, and why it is needed.

    `answered` are the params that a run offline gets another value for, `by_hand` the plugins of
    our own configuration, `core` the versions that the runtime was made with: a plugin that
    Nextflow loads by itself must be of that version, and where it has none, it is built in.
    Raises SourceError where an entry is no plugin, or one is asked for in two ways.
    """
    needs_by_id = {name: _need(version or core.get(name), DECLARED) for name, version in
                   index.wanted(config.get("plugins"), "plugins in nextflow.config").items()}
    for name, version in index.wanted(by_hand, BY_HAND).items():
        needs_by_id.setdefault(name, _need(version or core.get(name), BY_HAND))
    for name, why in _hidden(config, answered):
        if name in core:
            needs_by_id.setdefault(name, Need(version=core[name], because=why))
    return needs_by_id


def _need(version: str | None, because: str) -> Need:
    if version is None or plugin_ranges.is_exact(version):
        return Need(version=version, because=because)
    return Need(version=None, condition=version, because=because)


def _hidden(config: Mapping[str, Any], answered: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What Nextflow loads without being told, by what the config holds."""
    params = config.get("params", {})
    values = {f"params.{name}": value for name, value in params.items() if name not in answered}
    values |= {key: config[key] for key in ("workDir", "bucketDir") if key in config}
    for key, value in values.items():
        scheme, mark, _ = str(value).strip().partition("://")
        if mark and scheme.lower() in PLUGIN_OF_SCHEME:
            yield PLUGIN_OF_SCHEME[scheme.lower()], f"{scheme.lower()}:// in {key}"
    for executor in _executors(config.get("process", {})):
        if executor in EXECUTORS:
            yield EXECUTORS[executor], f"process.executor {executor}"
    for scope, plugins in SWITCHES.items():
        if _is_on(config.get(scope)):
            for plugin in plugins:
                yield plugin, f"{scope}.enabled"


def _executors(process: Any) -> Iterator[str]:
    for key, value in process.items() if isinstance(process, dict) else ():
        if key == "executor" and isinstance(value, str):
            yield value
        elif key.startswith("with"):
            yield from _executors(value)


def _is_on(scope: Any) -> bool:
    return isinstance(scope, dict) and str(scope.get("enabled")).lower() == "true"


def made_with(runtime: Path) -> dict[str, str]:
    """The plugins' versions that a runtime archive's own jar names; none where it has no list."""
    with tarfile.open(runtime) as archive:
        for member in archive:
            if not member.name.rpartition("/")[2].startswith("nextflow-") \
                    or not member.name.endswith(".jar"):
                continue
            stream = archive.extractfile(member)
            if stream is None:
                continue
            with stream, zipfile.ZipFile(stream) as jar:
                if INFO in jar.namelist():
                    lines = zips.read_member(jar, INFO, most=LARGEST_INFO).decode().split()
                    return dict(line.split("@", 1) for line in lines if "@" in line)
    return {}
