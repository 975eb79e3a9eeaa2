"""`doit dryrun`: what would run, in which order and why, and what it would move; nothing is run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from doit.cmd_base import DoitCmdBase

from tasks.core import files
from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen
from tasks.core.graph.deferred import loaded
from tasks.core.graph.doits import Suggests
from tasks.core.graph.list import cut, room
from tasks.core.graph.reasons import Reasons
from tasks.core.graph.selection import selected
from tasks.core.graph.state import BEHIND, FRESH, LOOK, STALE

RUNS, MAY, LOOKS = "run", "maybe", "look"
ALL, SO_FAR, NOT_YET = "all", "so far", "not yet"
STANDS = " as things stand"


@frozen
class Planned:
    """A task that a run would come to.

    `does` is run, maybe (where what stands before it yields other bytes) or look. `moves` are the
    bytes that are left to move; `counted` says whether these are all, those so far (what stands
    before it may change what it moves) or not known yet, and is None of what moves nothing to speak
    of. `seconds` is how long it took the last time.
    """

    task: str
    does: str
    reason: str | None
    moves: int | None
    counted: str | None
    seconds: float | None


class DryRun(Suggests, DoitCmdBase):  # type: ignore[misc]
    """Show what would run."""

    name = "dryrun"
    doc_purpose = "show what would run, in order, why, and what it would move; nothing is run"
    doc_usage = "[TASK ...]"
    doc_description = ("Nothing is asked of a network. What is left to move is what locks and the "
                       "release name, without what receipts and the cache say is there already; "
                       "`doit images:plan data:plan` ask.")
    cmd_options = ({"name": "json", "short": "", "long": "json", "type": bool, "default": False,
                    "help": "print a JSON list for programs, by schemas/dryrun.schema.json"},)

    def _execute(self, json: bool = False) -> int:
        _, chosen, reasons = selected(self)
        rows = planned(chosen, reasons, self.dep_manager)
        self.outstream.write(as_json(rows) if json else as_text(rows))
        self.dep_manager.close()
        return 0


def planned(tasks: Iterable[Any], reasons: Reasons, dependency: Any) -> list[Planned]:
    """What a run would come to, but for what is fresh."""
    does = {STALE: RUNS, BEHIND: MAY, LOOK: LOOKS}
    rows = []
    for task in tasks:
        state, meta = reasons.states[task.name], task.meta or {}
        if state == FRESH:
            continue
        is_made = state == LOOK and meta.get("asked")
        took = dependency.get_values(task.name).get("took")
        moves, counted = (None, None) if state == LOOK and not is_made else _moved(
            meta.get("moves"), [reasons.states[name] for name in task.task_dep])
        rows.append(Planned(
            task=task.name, does=RUNS if is_made else does[state],
            reason="made on request" if is_made else reasons.of(task.name), moves=moves,
            counted=counted, seconds=took if isinstance(took, float) else None))
    return rows


def _moved(asked: tuple[Any, Any] | None,
           before: Iterable[str]) -> tuple[int | None, str | None]:
    """The bytes that a step has left to move, and how far that is known: not before what it moves
    is locked, or where that can't be read."""
    if asked is None:
        return None, None
    count, spec = asked
    try:
        moved: int | None = loaded(count)(loaded(spec))
    except (AirlockError, OSError):
        moved = None
    if moved is None:
        return None, NOT_YET
    return moved, SO_FAR if {STALE, BEHIND} & {*before} else ALL


def as_json(rows: Sequence[Planned]) -> str:
    """For programs."""
    return json.dumps([asdict(row) for row in rows], indent=2) + "\n"


def as_text(rows: Sequence[Planned]) -> str:
    """A line for each task, then the sum."""
    if not rows:
        return "all fresh: nothing would run\n"
    width = max(len(row.task) for row in rows)
    lines = [cut(f"{row.does:<6} {row.task:<{width}}  {_text(row)}".rstrip(), room())
             for row in rows]
    return "\n".join([*lines, "", _sum(rows), ""])


def _text(row: Planned) -> str:
    return "  ".join(part for part in (
        row.reason, _move(row), f"{row.seconds:.1f} s last time" if row.seconds else None) if part)


def _move(row: Planned) -> str | None:
    if row.moves is None:
        return "to move: not known yet" if row.counted == NOT_YET else None
    return f"{_bytes(row.moves)} to move{STANDS if row.counted == SO_FAR else ''}"


def _bytes(count: int) -> str:
    return files.human_size(count) if count else "nothing"


def _sum(rows: Sequence[Planned]) -> str:
    counts = {kind: sum(row.does == kind for row in rows) for kind in (RUNS, MAY, LOOKS)}
    known = [row for row in rows if row.moves is not None]
    unknown = sum(row.counted == NOT_YET for row in rows)
    seconds = sum(row.seconds or 0 for row in rows)
    moved = f"{_bytes(sum(row.moves or 0 for row in known))} to move" + (
        STANDS if any(row.counted == SO_FAR for row in known) else "")
    return "; ".join(part for part in (
        f"{counts[RUNS]} would run, {counts[MAY]} more if what stands before them yields other "
        f"bytes, {counts[LOOKS]} only look", moved if known else None,
        f"what {unknown} of them would move is not known yet" if unknown else None,
        f"{seconds:.0f} s by the last times, one after the other" if seconds else None) if part)
