"""What a run would come to: the tasks that are asked for, each behind all that it hangs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.core.graph.list import reasons_of
from tasks.core.graph.reasons import Reasons, control_of


def selected(command: Any) -> tuple[Mapping[str, Any], list[Any], Reasons]:
    """All tasks of doit's command; those that it selects and all before them; how all stand."""
    control = control_of(command.task_list)
    control.process(command.sel_tasks)
    return (control.tasks, in_order(control.tasks, control.selected_tasks),
            reasons_of(control, command.dep_manager))


def in_order(tasks: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    """The tasks of these names and all before them, groups left out, in an order of running.

    Servers and checks, which only a task that runs starts, are none of them.
    """
    order: list[Any] = []
    done: set[str] = set()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        for before in tasks[name].task_dep:
            visit(before)
        if tasks[name].actions:
            order.append(tasks[name])

    for name in names:
        visit(name)
    return order


def before(tasks: Mapping[str, Any], name: str) -> list[str]:
    """The tasks that stand right before this one, a group's members in the group's place."""
    listed: dict[str, None] = {}
    for other in tasks[name].task_dep:
        listed |= dict.fromkeys([other] if tasks[other].actions else before(tasks, other))
    return list(listed)
