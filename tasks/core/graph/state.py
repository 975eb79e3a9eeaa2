"""What doit remembers of a site's steps, and what follows from it: fresh, stale or behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from doit.dependency import SqliteDB

from tasks.core.graph.action_code import ActionCode

FRESH, STALE, BEHIND, LOOK = "fresh", "stale", "behind", "-"
DEPENDENCIES = ("changed_file_dep", "added_file_dep", "removed_file_dep")
"""What doit calls changes of the files that a task reads."""


class State(SqliteDB):  # type: ignore[misc]
    """doit's sqlite3 state, written at each task's success: a killed run keeps what it finished.

    All of it is read at once, and the code that steps run is known beside it.
    """

    desc = "sqlite3, one commit per task"
    is_run = False
    """Whether steps are run, and not only looked at."""
    _dirty: set[str]

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        super().__init__(name, codec, module_name=module_name)
        self.code = ActionCode(Path(name).with_suffix(".code.json"))
        self._texts: dict[str, str] | None = None
        self._ran: dict[str, dict[str, str]] = {}

    def _get_task_data(self, task_id: str) -> Any:
        if self._texts is None:
            self._texts = {row["task_id"]: row["text"] for row in self._conn.execute(
                "select task_id, cast(task_data as text) as text from doit")}
        return self.codec.decode(self._texts.get(task_id, "{}"))

    def remove(self, task_id: str) -> None:
        super().remove(task_id)
        self._conn.commit()  # an open transaction would keep other runs of the host waiting
        if self._texts is not None:
            self._texts.pop(task_id, None)

    def remove_all(self) -> None:
        super().remove_all()
        self._texts = {}

    def commit(self) -> None:
        """Write what has changed; the connection stays open."""
        for task_id in self._dirty:
            self._conn.execute("insert or replace into doit values (?,?)",
                               (task_id, self.codec.encode(self._cache[task_id])))
        if self._ran:
            self._conn.execute("create table if not exists code "
                               "(digest text not null primary key, files text)")
            self._conn.executemany("insert or ignore into code values (?,?)", (
                (digest, json.dumps(files)) for digest, files in self._ran.items()))
        self._conn.commit()
        self._dirty = set()

    def dump(self) -> None:
        """Write what has changed, and close: of code that no step is noted with, no files stay."""
        self.commit()
        if self._ran:
            self._conn.execute("delete from code where not exists (select 1 from doit where "
                               "instr(cast(task_data as text), code.digest))")
        super().dump()

    def keep_code(self, module: str) -> None:
        """Note which files the code is of that an action in the module runs, beside its digest:
        once for all steps that run it."""
        digest = self.code.digest(module)
        if digest and digest not in self._ran:
            self._ran[digest] = self.code.digests_of(module)

    def code_noted(self, digest: str) -> Mapping[str, str]:
        """The files of such code with their digests; none where they were not noted."""
        if not self._conn.execute("select 1 from sqlite_master where name='code'").fetchone():
            return {}
        row = self._conn.execute("select files from code where digest=?", (digest,)).fetchone()
        return dict(json.loads(row["files"])) if row else {}


DoitReasons: TypeAlias = Mapping[str, Any]
"""What keeps a task from being up to date, in doit's form: kinds of reasons, and what they name."""


def states(tasks: Iterable[Any], dependency: Any, names: Iterable[str] | None = None, *,
           reasons: dict[str, DoitReasons] | None = None) -> dict[str, str]:
    """The state of each task, or of those `names` and what they hang on: fresh; stale (it will
    run); behind (something before it is stale).

    `tasks` are doit's, with implicit dependencies already added by TaskControl. A task that only
    looks has no state, and counts for nothing behind it; nor has one that is made on request and
    never was. One that makes files and runs each time has none but behind something stale. A group
    has its members' worst. `reasons` gets what doit says of each task that it was asked about.
    """
    by_name = {task.name: task for task in tasks}
    known: dict[str, str] = {}
    reasons = {} if reasons is None else reasons

    def worst(names: Iterable[str]) -> str:
        before = {state(name) for name in names}
        return next((kind for kind in (STALE, BEHIND, FRESH) if kind in before), LOOK)

    def state(name: str) -> str:
        if name not in known:
            task = by_name[name]
            before = worst(task.task_dep)
            if task.has_subtask:
                known[name] = before
            elif _is_apart(task, dependency):
                waits = (task.meta or {}).get("always") and before in (STALE, BEHIND)
                known[name] = BEHIND if waits else LOOK
            else:
                reasons[name] = dependency.get_status(task, by_name, get_log=True).reasons
                known[name] = _state(reasons[name], before in (STALE, BEHIND))
        return known[name]

    for name in by_name if names is None else names:
        state(name)
    return known


def _state(reasons: DoitReasons, is_behind: bool) -> str:
    """A file that isn't there may be made by what stands before; all else has the task run."""
    kinds = {kind for kind, named in reasons.items() if named}
    if "missing_file_dep" in kinds:
        kinds -= {"missing_file_dep", *DEPENDENCIES}
        if not is_behind:
            return STALE
    return STALE if kinds else BEHIND if is_behind else FRESH


def _is_apart(task: Any, dependency: Any) -> bool:
    meta = task.meta or {}
    return bool(meta.get("look") or (meta.get("asked") and not dependency.get_values(task.name)))
