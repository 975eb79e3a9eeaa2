"""`doit info TASK`: its state as `doit list` says it, every reason, what it reads and makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doit.cmd_info import Info as DoitInfo
from doit.exceptions import InvalidCommand
from doit.task import Task as DoitTask

from tasks.core.graph.doits import Suggests, Unknown, no_task
from tasks.core.graph.list import reasons_of
from tasks.core.graph.reasons import Reasons, control_of
from tasks.core.graph.state import BEHIND, FRESH, STALE


class Info(Suggests, DoitInfo):  # type: ignore[misc]
    """Say why a task is stale."""

    name = "info"
    doc_purpose = "say why a task is stale, and what it reads and makes"
    doc_description = "It ends with 1 where the task is stale or behind, else with 0."
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        if len(pos_args) != 1:
            raise InvalidCommand("`info` takes one task: doit info images:list:hello")
        name, tasks = pos_args[0], [task.name for task in self.task_list]
        if name not in tasks:
            raise Unknown(no_task(name, tasks))
        control = control_of(self.task_list)
        reasons = reasons_of(control, self.dep_manager)
        self.outstream.write("\n".join(lines(control.tasks[name], reasons)) + "\n")
        self.dep_manager.close()
        return int(reasons.states[name] in (STALE, BEHIND))


def lines(task: DoitTask, reasons: Reasons) -> Iterator[str]:
    """What is said of a task."""
    state = reasons.states[task.name]
    yield f"{task.name}  {task.doc}" if task.doc else task.name
    if state in (STALE, BEHIND):
        root = reasons.root(task.name)
        by = "" if root == task.name else f" {root}, which is stale" if state == BEHIND else (
            f", as {root} is")
        yield f"{state}{by}:"
        yield from (f"  {reason}" for reason in reasons.own(root))
    else:
        yield state if state == FRESH else _apart(task.meta or {})
    files = {*task.file_dep, *task.targets}
    yield from _part("reads", task.file_dep)
    yield from _part("makes", task.targets)
    yield from _part("comes after", [name for name in task.task_dep if name not in files])
    yield from _part("starts and checks first", task.setup_tasks)


def _apart(meta: Mapping[str, Any]) -> str:
    """What is said of a task that is neither fresh nor stale."""
    if meta.get("asked"):
        return "made on request; it was not asked for yet"
    return "runs each time" if meta.get("always") else "only looks, each time it is asked for"


def _part(title: str, names: Iterable[str]) -> Iterator[str]:
    listed = sorted(names)
    if listed:
        yield f"{title}:"
        yield from (f"  {name}" for name in listed)
