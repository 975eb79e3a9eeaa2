"""Processes without a stub: in a stub run their real scripts run."""

from __future__ import annotations

from pathlib import Path

from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.scripts import PROCESS, Definition, Scripts

SHOWN = 20


def lacking(code: Path, main: str) -> list[Definition]:
    """The processes that the main script includes and that have no `stub:`, in their order."""
    with bounded(code), opened(code) as sources:
        parsed = Scripts(sources, {})
        parsed.follow(*filter(sources.has, [main]))
        return [definition for definition in parsed.all() if definition.kind == PROCESS
                and "stub" not in {name for name, _ in definition.sections()}]


def warning(processes: list[Definition]) -> str | None:
    """One sentence that names them, for what is said before a stub run; None where there is none.
    """
    places = list(dict.fromkeys(f"{one.name} ({one.file}:{one.line})" for one in processes))
    if not places:
        return None
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    subject = "1 process has" if len(places) == 1 else f"{len(places)} processes have"
    return (f"{subject} no stub, so a stub run runs the real script: "
            f"{', '.join(places[:SHOWN])}{more}")
