"""The versions of plugins that a run offline is held to, as settings that stand in the last config.

Offline Nextflow takes no plugin without a version, ranges of them from 25.04 on alone, and before
that no plugin that another one depends on, unless it has started (PluginUpdater of 24.10 to 26.04).
A `plugins` block of a later config takes the place of an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.nextflow.image_selectors import quoted
from tasks.core.schema import read_json

DECLARED = "nextflow.config"
"""Why a plugin is carried that the pipeline's own config names, as the lock says it."""
DEPENDS = " depends on it"
"""How the lock says that another plugin needs one: `nf-a depends on it`."""


def read(lock: Path) -> list[str]:
    """The lines of a block for what a plugins' lock holds; none where nothing is to be held."""
    return render(read_json(lock, "plugins-lock")["plugins"])


def render(entries: Sequence[Mapping[str, str]]) -> list[str]:
    """The block, with what others depend on before them.

    It holds what the pipeline's config names, so what we carry besides doesn't start by itself;
    and there is none where all of that has its version, as Nextflow recommends.
    """
    by_id = {entry["id"]: entry for entry in entries}
    declared = {name for name, entry in by_id.items() if entry.get("because") == DECLARED}
    needed = {name: entry["because"].removesuffix(DEPENDS) for name, entry in by_id.items()
              if entry.get("because", "").endswith(DEPENDS)}
    if not needed and not any("asked" in by_id[name] for name in declared):
        return []

    def depth(name: str) -> int:
        """How many plugins stand behind this one; the lock's chain has no circle but a broken one.
        """
        count = 0
        while name in needed and count < len(needed):
            name, count = needed[name], count + 1
        return count

    ordered = sorted({*declared, *needed}, key=lambda name: (-depth(name), name))
    pins = [quoted(f"{name}@{by_id[name]['version']}") for name in ordered]
    return ["plugins {", *(f"    id {pin}" for pin in pins), "}", ""]
