"""`doit list`: what can be built, each task with its true state."""

from __future__ import annotations

import json
import os
import sys
from functools import cache

from doit.cmd_list import List as DoitList
from doit.control import TaskControl

from tasks.core.graph.doits import Suggests
from tasks.core.graph.state import BEHIND, FRESH, LOOK, STALE, states

COLOURS = {FRESH: "32", STALE: "31", BEHIND: "33", LOOK: "2"}
"""SGR codes of ECMA-48."""


class List(Suggests, DoitList):  # type: ignore[misc]
    """List what can be built, each with its true state."""

    name = "list"
    doc_purpose = "list what can be built: fresh, stale (will run), behind (may run)"
    cmd_options = (*DoitList.cmd_options, {
        "name": "json", "short": "", "long": "json", "type": bool, "default": False,
        "help": "print a JSON list of {task, state, doc} for programs"})

    def _execute(self, subtasks: bool = False, quiet: bool = True, private: bool = False,
                 sort: str = "name", json: bool = False,
                 pos_args: list[str] | None = None) -> int:
        control = TaskControl(self.task_list)
        checker = self.dep_manager.checker  # many steps name the same file
        checker.exists, checker.info = cache(checker.exists), cache(checker.info)
        known = states(self.task_list, self.dep_manager)
        chosen = (self._list_filtered(control.tasks, pos_args, subtasks) if pos_args
                  else self._list_all(subtasks))
        chosen = [task for task in chosen if private or not task.name.startswith("_")]
        if sort == "name":
            chosen = sorted(chosen, key=lambda task: str(task.name))
        rows = [(task.name, known[task.name], task.doc or "") for task in chosen]
        self.outstream.write(_as_json(rows) if json else _as_table(rows, quiet))
        self.dep_manager.close()
        return 0


def _as_json(rows: list[tuple[str, str, str]]) -> str:
    return json.dumps([{"task": name, "state": state, "doc": doc} for name, state, doc in rows],
                      indent=2) + "\n"


def _as_table(rows: list[tuple[str, str, str]], quiet: bool) -> str:
    width = max((len(name) for name, _, _ in rows), default=0)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines = []
    for name, state, doc in rows:
        mark = f"{state:<6}"
        if colour:
            mark = f"\x1b[{COLOURS[state]}m{mark}\x1b[0m"
        lines.append(f"{mark}  {name:<{width}}  {'' if quiet else doc}".rstrip() + "\n")
    return "".join(lines)
