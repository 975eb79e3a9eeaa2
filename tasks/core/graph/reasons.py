"""Why a step is stale, and behind what another stands: what `list`, `info` and `dryrun` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from doit.control import TaskControl

from tasks.core.graph.state import BEHIND, STALE, DoitReasons, states

NEVER = "not built yet"
CHANGED, ADDED = "changed_file_dep", "added_file_dep"
WORDS = {"missing_target": "{} is missing", "missing_file_dep": "{} is missing",
         CHANGED: "{} changed", ADDED: "it reads {} now",
         "removed_file_dep": "it no longer reads {}"}
"""What is said of each file that doit names, by the kind of reason."""


def control_of(tasks: Any) -> TaskControl:
    """doit's view of the tasks, each with those that it hangs on in the order of their definition.

    doit adds those that make its files in the order of a set, another one in each process.
    """
    control = TaskControl(tasks)
    place = {name: number for number, name in enumerate(control.tasks)}
    for task in control.tasks.values():
        task.task_dep.sort(key=place.__getitem__)
    return control


class Reasons:
    """The state of every task, and why it has that; `tasks` are doit's, by name.

    Nothing is run, and nothing is asked of a network.
    """

    def __init__(self, tasks: Mapping[str, Any], dependency: Any) -> None:
        self._tasks, self._dependency = tasks, dependency
        self._reasons: dict[str, DoitReasons] = {}
        self.states = states(tasks.values(), dependency, reasons=self._reasons)
        self._own: dict[str, list[str]] = {}

    def of(self, name: str) -> str | None:
        """Why the task is stale or behind, on one line; None where it is neither."""
        if self.states[name] not in (STALE, BEHIND):
            return None
        root = self.root(name)
        own = self.own(root)
        more = f"; and {len(own) - 1} more" if len(own) > 1 else ""
        return f"{'' if root == name else f'{root}: '}{own[0]}{more}"

    def root(self, name: str) -> str:
        """The stale task that makes this one stale or behind: itself, or the first before it."""
        while self.states[name] != STALE or self._tasks[name].has_subtask:
            before = {self.states[other]: other for other in reversed(self._tasks[name].task_dep)}
            name = before.get(STALE) or before[BEHIND]
        return name

    def own(self, name: str) -> list[str]:
        """All that made a stale task so, at least one reason."""
        if name not in self._own:
            self._own[name] = list(dict.fromkeys(self._look(name))) or ["it runs each time"]
        return self._own[name]

    def _look(self, name: str) -> Iterator[str]:
        if self._dependency._get(name, "checker:") is None:  # what doit notes at each success
            yield NEVER
            return
        reasons = self._reasons[name]
        for question, _, _ in reasons["uptodate_false"]:
            if hasattr(question, "reasons"):
                yield from question.reasons()
        for kind, words in WORDS.items():  # one that is new for the task doit finds changed, too
            yield from (words.format(path) for path in sorted(reasons[kind])
                        if kind != CHANGED or path not in reasons[ADDED])
