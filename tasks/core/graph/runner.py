"""doit's runners, for a run that goes on after a failure with all that does not hang on it."""

from __future__ import annotations

import gc
import time
from typing import Any

from doit import cmd_run
from doit.exceptions import UnmetDependency
from doit.runner import MThreadRunner, Runner


class _GoesOn:
    """A step is not run where something before it failed; its state stays as it was.

    doit 0.37 forgets that state, ends with 2 (an error of doit's own), and looks at the servers
    (set-up tasks) of a step only before they are started.
    """

    def select_task(self, node: Any, tasks: Any) -> bool:
        """Whether to run a step; asked again once its servers are up or have failed."""
        if node.run_status == "run" and node.bad_deps:
            self._handle_task_error(node, UnmetDependency(
                " ".join(failed.task.name for failed in node.bad_deps)))
            return False
        return bool(super().select_task(node, tasks))  # type: ignore[misc]

    def execute_task(self, task: Any) -> Any:
        """Run a step, with its notices; a run of fresh steps comes here never."""
        gc.enable()  # dodo.py turned it off
        from tasks.core.graph import log
        log.show(self.stream.effective_verbosity(task.verbosity))  # type: ignore[attr-defined]
        begun = time.monotonic()
        failure = super().execute_task(task)  # type: ignore[misc]
        task.values["took"] = round(time.monotonic() - begun, 1)  # kept with a success
        return failure

    def _handle_task_error(self, node: Any, fail: Any) -> None:
        if isinstance(fail, UnmetDependency):
            node.run_status = "failure"
            self.reporter.add_failure(node.task, fail)  # type: ignore[attr-defined]
        else:
            super()._handle_task_error(node, fail)  # type: ignore[misc]


class _One(_GoesOn, Runner):  # type: ignore[misc]
    """One step at a time."""


class _Threads(_GoesOn, MThreadRunner):  # type: ignore[misc]
    """Steps in parallel."""


def use() -> None:
    """Let doit's `run` take these: it has no other place for a runner."""
    cmd_run.Runner, cmd_run.MThreadRunner = _One, _Threads
