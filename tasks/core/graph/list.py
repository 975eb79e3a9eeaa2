"""`doit list`: what can be built, each task with its true state, and why it has that."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import cache
from typing import Any

from doit.cmd_list import List as DoitList
from doit.control import TaskControl

from tasks.core.graph.doits import Suggests
from tasks.core.graph.reasons import Reasons, control_of
from tasks.core.graph.state import BEHIND, FRESH, LOOK, STALE

COLOURS = {FRESH: "32", STALE: "31", BEHIND: "33", LOOK: "2"}
"""SGR codes of ECMA-48."""
Row = tuple[str, str, str | None, str]
"""A task, its state, why it has that, and what it makes."""


class List(Suggests, DoitList):  # type: ignore[misc]
    """List what can be built, each with its true state."""

    name = "list"
    doc_purpose = "list what can be built: fresh, stale (will run), behind (may run), and why"
    cmd_options = (*DoitList.cmd_options, {
        "name": "json", "short": "", "long": "json", "type": bool, "default": False,
        "help": "print a JSON list for programs, by schemas/list.schema.json"})

    def _execute(self, subtasks: bool = False, quiet: bool = True, private: bool = False,
                 sort: str = "name", json: bool = False,
                 pos_args: list[str] | None = None) -> int:
        control = control_of(self.task_list)
        reasons = reasons_of(control, self.dep_manager)
        chosen = (self._list_filtered(control.tasks, pos_args, subtasks) if pos_args
                  else self._list_all(subtasks))
        chosen = [task for task in chosen if private or not task.name.startswith("_")]
        if sort == "name":
            chosen = sorted(chosen, key=lambda task: str(task.name))
        rows = [(task.name, reasons.states[task.name], reasons.of(task.name), task.doc or "")
                for task in chosen]
        self.outstream.write(_as_json(rows) if json else _as_table(rows, quiet))
        self.dep_manager.close()
        return 0


def reasons_of(control: TaskControl, dep_manager: Any) -> Reasons:
    """The states of all tasks, and why."""
    checker = dep_manager.checker  # many steps name the same file
    checker.exists, checker.info = cache(checker.exists), cache(checker.info)
    return Reasons(control.tasks, dep_manager)


def _as_json(rows: list[Row]) -> str:
    return json.dumps([{"task": name, "state": state, "reason": reason, "doc": doc}
                       for name, state, reason, doc in rows], indent=2) + "\n"


def _as_table(rows: list[Row], quiet: bool) -> str:
    """A line for each task, which a terminal cuts rather than wraps."""
    width = max((len(name) for name, *_ in rows), default=0)
    return "".join(marked(state, f" {name:<{width}}  {'' if quiet else reason or doc}") + "\n"
                   for name, state, reason, doc in rows)


def marked(state: str, text: str) -> str:
    """A line that begins with a task's state, as standard output shows it."""
    mark = f"{state:<6}"
    line = cut(f"{mark} {text}".rstrip(), room())
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return line
    return f"\x1b[{COLOURS[state]}m{line[:len(mark)]}\x1b[0m{line[len(mark):]}"


def room() -> int | None:
    """The columns of the terminal that standard output is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(line: str, room: int | None) -> str:
    """The line, or as much of it as there is room for; no limit without it."""
    return line if room is None or len(line) <= room else f"{line[:max(room - 1, 0)]}…"
