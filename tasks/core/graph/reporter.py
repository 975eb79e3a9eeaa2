"""What a run prints: a line for each step, and at the end how long each took."""

from __future__ import annotations

import sys
import time
from typing import Any

from doit.exceptions import UnmetDependency
from doit.reporter import ConsoleReporter


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """Steps on standard output, faults on standard error."""

    desc = "a line for each step, and a summary with times"

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self._begun = time.monotonic()
        self._started: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._fresh = 0
        self._not_run: list[str] = []
        self._said: dict[str, str] = {}
        self._left: list[str] = []

    def execute_task(self, task: Any) -> None:
        self._started[task.name] = time.monotonic()
        if task.actions:
            self._line("start", task.name, task.doc or "")

    def add_success(self, task: Any) -> None:
        if task.actions:
            took = self._took[task.name] = time.monotonic() - self._started[task.name]
            result = f"  {task.result}" if isinstance(task.result, str) else ""
            self._line("done", task.name, f"{took:.1f} s{result}".rstrip())

    def skip_uptodate(self, task: Any) -> None:
        if task.actions:
            self._fresh += 1
            self._line("fresh", task.name, "")

    def add_failure(self, task: Any, fail: Any) -> None:
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)
        elif task.actions:
            self._not_run.append(task.name)
            left = (task.meta or {}).get("left")
            if left and (said := left(list(dict.fromkeys(fail.message.split())))):
                self._left.append(said)

    def skip_ignore(self, task: Any) -> None:
        self._line("ignore", task.name, "")

    def _line(self, mark: str, name: str, text: str) -> None:
        first, *rest = text.splitlines() or [""]
        self.write(f"{mark:<6} {name}  {first}".rstrip() + "\n")
        for line in rest:
            self.write(f"       {line}\n")
        if mark != "fresh":  # hundreds of these come at once
            self.outstream.flush()

    def _write_failure(self, result: dict[str, Any], write_exception: bool = True) -> None:
        sys.stdout.flush()
        message, name = result["exception"].get_msg().strip(), result["task"].name
        # What is wrong with a server is found by all steps that ask it, each at another place.
        said = "\n".join(line for line in message.splitlines()
                         if not line.startswith("  where: "))
        first = self._said.setdefault(said, name)
        sys.stderr.write(f"FAILED {name}: {message if first == name else f'as {first}, above'}\n")

    def complete_run(self) -> None:
        for message in self.runtime_errors:
            sys.stderr.write(f"ERROR: {message}\n")
        self._sum_up()
        self.outstream.flush()
        if self.failures:
            names = ", ".join(failure["task"].name for failure in self.failures)
            sys.stderr.write(f"\nFAILED, as shown above: {names}\n")
        if self._not_run:
            sys.stderr.write(f"not run, since that comes before: {', '.join(self._not_run)}\n")
        for said in self._left:
            sys.stderr.write(f"\n{said}\n")

    def _sum_up(self) -> None:
        if not self._took:
            if self._fresh and not self.failures:
                self.write(f"all fresh: {self._fresh} steps, nothing to do\n")
            return
        total = time.monotonic() - self._begun
        self.write(f"\n{len(self._took)} steps ran, {self._fresh} were fresh, "
                   f"in {total:.1f} s; the longest:\n")
        longest = sorted(self._took.items(), key=lambda item: -item[1])
        for name, took in longest[:12]:
            if took >= 0.05:
                self.write(f"  {took:7.1f} s  {name}\n")


class QuietReporter(Reporter):
    """Faults alone: what else is printed is what a step is there to show."""

    desc = "faults alone"

    def _line(self, mark: str, name: str, text: str) -> None:
        """Print nothing of a step that goes well."""

    def _sum_up(self) -> None:
        """Print no times."""
