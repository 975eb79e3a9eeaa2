"""Why a step is stale, and behind what another stands: what `list`, `info` and `dryrun` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.core.graph.state import BEHIND, STALE, states

NEVER = "not built yet"


class Reasons:
    """The state of every task, and why it has that; `tasks` are doit's, by name.

    Nothing is run, and nothing is asked of a network.
    """

    def __init__(self, tasks: Mapping[str, Any], dependency: Any) -> None:
        self._tasks, self._dependency = tasks, dependency
        self.states = states(tasks.values(), dependency)
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
        seen = {name}
        while True:
            task = self._tasks[name]
            if self.states[name] == STALE and not task.has_subtask:
                return name
            wanted = (STALE, BEHIND) if self.states[name] == BEHIND else (STALE,)
            before = [other for kind in wanted for other in task.task_dep
                      if self.states[other] == kind and other not in seen]
            if not before:
                return name
            name = before[0]
            seen.add(name)

    def own(self, name: str) -> list[str]:
        """All that made a stale task so, at least one reason."""
        if name not in self._own:
            self._own[name] = list(dict.fromkeys(self._look(name))) or ["it must be looked at anew"]
        return self._own[name]

    def _look(self, name: str) -> Iterator[str]:
        task = self._tasks[name]
        if self._dependency._get(name, "checker:") is None:  # what doit notes at each success
            yield NEVER
            return
        found = self._dependency.get_status(task, self._tasks, get_log=True).reasons
        for question, _, _ in found["uptodate_false"]:
            if hasattr(question, "reasons"):
                yield from question.reasons()
        for key, words in (("missing_target", "is missing"), ("missing_file_dep", "is missing"),
                           ("changed_file_dep", "changed"), ("added_file_dep", "is read as well"),
                           ("removed_file_dep", "is no longer read")):
            yield from (f"{path} {words}" for path in sorted(found[key]))
