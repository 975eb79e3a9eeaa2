"""doit's `list` and `run`, made true: transitive states, one run at a time, nothing lost."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doit.cmd_list import List as DoitList
from doit.cmd_run import Run as DoitRun
from doit.control import TaskControl
from doit.dependency import SqliteDB

from tasks.core import files, processes
from tasks.core.graph import runner

FRESH, STALE, BEHIND, LOOK = "fresh", "stale", "behind", "-"
COLOURS = {FRESH: "32", STALE: "31", BEHIND: "33", LOOK: "2"}


class CommittingDB(SqliteDB):  # type: ignore[misc]
    """doit's sqlite3 state, written at each task's success: a killed run keeps what it finished."""

    desc = "sqlite3, one commit per task"
    _dirty: set[str]

    def commit(self) -> None:
        """Write what has changed; the connection stays open."""
        for task_id in self._dirty:
            self._conn.execute("insert or replace into doit values (?,?)",
                               (task_id, self.codec.encode(self._cache[task_id])))
        self._conn.commit()
        self._dirty = set()


def states(tasks: Iterable[Any], dependency: Any) -> dict[str, str]:
    """Each task's state: fresh; stale (it will run); behind (something before it is stale).

    `tasks` are doit's, with implicit dependencies already added by TaskControl. A task that only
    looks has no state, and counts for nothing behind it; nor has one that is made on request and
    never was. A group has its members' worst.
    """
    by_name = {task.name: task for task in tasks}
    known: dict[str, str] = {}

    def worst(names: Iterable[str]) -> str:
        found = {state(name) for name in names}
        return next((each for each in (STALE, BEHIND, FRESH) if each in found), LOOK)

    def state(name: str) -> str:
        if name not in known:
            task = by_name[name]
            before = worst(task.task_dep)
            if not task.actions:
                known[name] = before
            elif _is_apart(task, dependency):
                known[name] = LOOK
            else:
                own = dependency.get_status(task, by_name).status
                behind = before in (STALE, BEHIND)
                known[name] = (STALE if own == "run" or (own == "error" and not behind)
                               else BEHIND if behind else FRESH)
        return known[name]

    for name in by_name:
        state(name)
    return known


def _is_apart(task: Any, dependency: Any) -> bool:
    meta = task.meta or {}
    return bool(meta.get("look") or (meta.get("asked") and not dependency.get_values(task.name)))


class List(DoitList):  # type: ignore[misc]
    """List what can be built, each with its true state."""

    name = "list"
    doc_purpose = "list what can be built: fresh, stale (will run), behind (may run)"
    cmd_options = (*DoitList.cmd_options, {
        "name": "json", "short": "", "long": "json", "type": bool, "default": False,
        "help": "print a JSON list of {task, state, doc} for programs"})

    def _execute(self, subtasks: bool = False, quiet: bool = True, private: bool = False,
                 sort: str = "name", json: bool = False,
                 pos_args: list[str] | None = None) -> int:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `doit list | head` ends as `ls | head` does
        control = TaskControl(self.task_list)
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


class Run(DoitRun):  # type: ignore[misc]
    """Run tasks: alone on this site's state, and interrupted cleanly."""

    name = "run"

    def _execute(self, outfile: Any, verbosity: int | None = None, always: bool = False,
                 continue_: bool = False, reporter: Any = "console", num_process: int = 0,
                 par_type: str = "process", single: bool = False,
                 auto_delayed_regex: bool = False, force_verbosity: bool = False,
                 failure_verbosity: int = 0, pdb: bool = False) -> int:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        runner.use()
        save, forget = self.dep_manager.save_success, self.dep_manager.remove_success
        backend = self.dep_manager.backend

        def save_and_commit(task: Any, result_hash: str | None = None) -> None:
            if is_recorded(task):
                save(task, result_hash)
                if isinstance(backend, CommittingDB):
                    backend.commit()

        def forget_recorded(task: Any) -> None:
            if is_recorded(task):
                forget(task)

        self.dep_manager.save_success = save_and_commit
        self.dep_manager.remove_success = forget_recorded
        try:
            state = Path(self.dep_manager.name)
            with alone(state.with_suffix(".lock")):
                for folder in _own(state):
                    files.sweep(folder)
                status: int = super()._execute(
                    outfile, verbosity, always, continue_, reporter, num_process, par_type,
                    single, auto_delayed_regex, force_verbosity, failure_verbosity, pdb)
                return status
        except Busy as busy:
            sys.stderr.write(f"ERROR: {busy}\n")
            return 3
        except KeyboardInterrupt:
            processes.end_all()
            self.dep_manager.close()
            sys.stderr.write("\ninterrupted; what was finished is kept, "
                             "and the same command goes on from here\n")
            sys.stdout.flush()
            sys.stderr.flush()
            # Steps that compute in threads can't be stopped; all they write is renamed into
            # place when whole, so the process may end now.
            os._exit(130)


def _own(state: Path) -> list[Path]:
    """Folders where a run writes that holds the lock of this state: the other role's is another.
    """
    root = state.parent
    if state.stem == "prod":
        return [root / "prod"]
    return [root, *(each for each in root.iterdir() if each.is_dir() and each.name != "prod")]


def is_recorded(task: Any) -> bool:
    """Whether a run of the task counts: not where a switch makes it do something else."""
    return bool((task.meta or {}).get("recorded", True))


class Busy(Exception):
    """Another run holds the site's state."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file, or raise Busy with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise Busy(f"another run is at work on this site (process {stream.read().strip()}); "
                       "wait for it, or end it, then run the same command again") from error
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()))
        stream.flush()
        yield
