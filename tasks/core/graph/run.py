"""`doit run`: alone on a site's state, interrupted cleanly, nothing lost of what was finished."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doit.cmd_run import Run as DoitRun

from tasks.core import activity, processes
from tasks.core.graph import output, runner, sweep
from tasks.core.graph.doits import Suggests
from tasks.core.graph.live import of_run
from tasks.core.graph.reporter import Reporter
from tasks.core.graph.state import State

ALL, LEVELS = 2, (["0"], ["1"], ["2"])
"""doit's verbosity: the most, and what may stand behind `-v`."""


class Run(Suggests, DoitRun):  # type: ignore[misc]
    """Run tasks: alone on this site's state, and interrupted cleanly."""

    name = "run"
    cmd_options = (*DoitRun.cmd_options, {
        "name": "quiet", "short": "q", "long": "quiet", "type": bool, "default": False,
        "help": "print faults, the end, and what a step is there to show, but no notices and "
                "progress; the same as -v 0. -v alone is -v 2, which prints everything"})

    def parse_execute(self, words: list[str]) -> int:
        """Take `-v` without a number for `-v 2`; doit's own needs one."""
        status: int = super().parse_execute([
            f"-v{ALL}" if word == "-v" and words[place + 1:place + 2] not in LEVELS else word
            for place, word in enumerate(words)])
        return status

    def _execute(self, outfile: Any, verbosity: int | None = None, always: bool = False,
                 continue_: bool = False, reporter: Any = "console", num_process: int = 0,
                 par_type: str = "process", single: bool = False,
                 auto_delayed_regex: bool = False, force_verbosity: bool = False,
                 failure_verbosity: int = 0, pdb: bool = False, quiet: bool = False) -> int:
        if quiet:
            verbosity, force_verbosity = 0, True
        if reporter is Reporter:
            reporter = of_run(outfile, verbosity, self._asked())
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        runner.use()
        _commit_each(self.dep_manager)
        self.dep_manager.backend.is_run = True
        if self.sel_default_tasks:
            _put_checks_before(self.task_list)
        try:
            with _alone_online(Path(self.dep_manager.name)), output.taken():
                status: int = super()._execute(
                    outfile, verbosity, always, continue_, reporter, num_process, par_type,
                    single, auto_delayed_regex, force_verbosity, failure_verbosity, pdb)
                return status
        except Busy as busy:
            sys.stderr.write(f"ERROR: {busy}\n")
            return 3
        except KeyboardInterrupt:
            activity.leave()
            processes.end_all()
            self.dep_manager.close()
            sys.stderr.write("\ninterrupted; what was finished is kept, "
                             "and the same command goes on from here\n")
            sys.stdout.flush()
            sys.stderr.flush()
            # Steps that compute in threads can't be stopped; all they write is renamed into
            # place when whole, so the process may end now.
            os._exit(130)


    def _asked(self) -> set[str]:
        """The tasks that were named, and the members of groups that were."""
        if self.sel_default_tasks:
            return set()
        members = {task.name: task.task_dep if task.has_subtask else () for task in self.task_list}
        return {name for named in self.sel_tasks or () for name in (
            named, *members.get(named, ()))}


def _put_checks_before(tasks: Sequence[Any]) -> None:
    """Let each step have its checks for where everything is built, and those that come first.

    What these need themselves, such as servers, comes before them.
    """
    by_name = {task.name: task for task in tasks}
    firsts = [task.name for task in tasks if (task.meta or {}).get("first")]
    before, left = set(firsts), list(firsts)
    while left:
        task = by_name[left.pop()]
        new = {*task.task_dep, *task.setup_tasks} - before
        before |= new
        left += new
    for task in tasks:
        task.setup_tasks += (task.meta or {}).get("in_all", ())
        if task.actions and task.name not in before:
            task.setup_tasks += firsts


def _commit_each(dep_manager: Any) -> None:
    """Let doit write a step's state when it ends, and leave that of one that doesn't count."""
    save, forget = dep_manager.save_success, dep_manager.remove_success

    def save_and_commit(task: Any, result_hash: str | None = None) -> None:
        if is_recorded(task) and not task.has_subtask:  # a group has nothing to remember
            save(task, result_hash)
            if isinstance(dep_manager.backend, State):
                dep_manager.backend.commit()

    def forget_recorded(task: Any) -> None:
        if is_recorded(task):
            forget(task)

    dep_manager.save_success, dep_manager.remove_success = save_and_commit, forget_recorded


def is_recorded(task: Any) -> bool:
    """Whether a run of the task counts: not where a switch makes it do something else."""
    return bool((task.meta or {}).get("recorded", True))


@contextmanager
def _alone_online(state: Path) -> Iterator[None]:
    """Be alone on a site's state. On an offline host runs go side by side: its steps lock what
    they change themselves (tasks/core/in_place.py), and sweep it."""
    if state.stem == "prod":
        state.parent.mkdir(parents=True, exist_ok=True)
        yield
        return
    with alone(state.with_suffix(".lock")):
        sweep.sweep(state)
        yield


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
