"""What a run prints: a line for each step, and at the end what somebody wants to know then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from doit.exceptions import UnmetDependency
from doit.reporter import ConsoleReporter

from tasks.core.errors import plain, plain_lines
from tasks.core.graph import log, output

EVERYTHING = 2
"""doit's verbosity with which all is printed."""
LONGEST = 12
"""Steps in the table of times."""


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """Steps on standard output, faults on standard error: the same lines in each run."""

    desc = "a line for each step, and the end"
    verbosity: int | None = None
    asked: frozenset[str] = frozenset()
    """The steps that were named; without any, a run is of all."""

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.began = time.monotonic()
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.fresh: list[str] = []
        self._not_run: list[str] = []
        self._first_with: dict[str, str] = {}
        self._left: list[str] = []
        log.warnings.clear()

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """doit calls this before the first step."""
        self._tasks, self._selected = tasks, selected_tasks

    def execute_task(self, task: Any) -> None:
        self._started[task.name] = time.monotonic()
        if task.actions:
            self._line("start", task.name, task.doc or "")

    def add_success(self, task: Any) -> None:
        if task.actions:
            took = self.took[task.name] = time.monotonic() - self._started[task.name]
            result = f"  {task.result}" if isinstance(task.result, str) else ""
            self._line("done", task.name, f"{took:.1f} s{result}".rstrip())

    def skip_uptodate(self, task: Any) -> None:
        if task.actions:
            self.fresh.append(task.name)
            self._line("fresh", task.name, "")

    def add_failure(self, task: Any, fail: Any) -> None:
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)
        elif task.actions:
            self._not_run.append(task.name)
            left = (task.meta or {}).get("left")
            if left and (note := left(list(dict.fromkeys(fail.message.split())))):
                self._left.append(note)

    def skip_ignore(self, task: Any) -> None:
        self._line("ignore", task.name, "")

    def _line(self, mark: str, name: str, text: str) -> None:
        first, *rest = map(plain, text.split("\n"))
        with output.lock:
            self.write("".join([f"{mark:<6} {name}  {first}".rstrip() + "\n",
                                *(f"       {line}\n" for line in rest)]))
            if mark != "fresh":  # hundreds of these come at once
                self.outstream.flush()

    def _write_failure(self, result: dict[str, Any], write_exception: bool = True) -> None:
        message, name = result["exception"].get_msg().strip(), result["task"].name
        # What is wrong with a server is found by all steps that ask it, each at another place.
        cause = "\n".join(line for line in message.splitlines()
                          if not line.startswith("  where: "))
        first = self._first_with.setdefault(cause, name)
        self._fault(f"FAILED {name}: {message if first == name else f'as {first}, above'}")

    def _fault(self, text: str) -> None:
        """Write lines of a fault, behind all that was printed before it."""
        with output.lock:
            self.outstream.flush()
            sys.stdout.flush()
            sys.stderr.write(f"{plain_lines(text)}\n")
            sys.stderr.flush()

    def complete_run(self) -> None:
        """doit calls this after the last step, also where a run is interrupted."""
        interrupted = sys.exc_info()[0] is not None
        for message in self.runtime_errors:
            self._fault(f"ERROR: {message}")
        self._sum_up()
        if not interrupted:
            self._end(list(self._ends()))
        self.outstream.flush()
        if self.failures:
            names = ", ".join(failure["task"].name for failure in self.failures)
            self._fault(f"\nFAILED, as shown above: {names}")
        if self._not_run:
            self._fault(f"not run, since that comes before: {', '.join(self._not_run)}")
        for note in self._left:
            self._fault(f"\n{note}")

    def _ends(self) -> Iterator[str]:
        """What the steps that succeeded say at the end, each line once."""
        lines: dict[str, None] = {}
        for name in [*self.took, *self.fresh] if self._tasks else ():
            task = self._tasks[name]
            if ends := (task.meta or {}).get("ends"):
                for line in ends(task.result if isinstance(task.result, str) else None):
                    lines.setdefault(plain(line))
        yield from lines

    def _sum_up(self) -> None:
        if not self.took:
            if self.fresh and not self.failures:
                self.write(f"all fresh: {len(self.fresh)} steps, nothing to do\n")
            return
        total = time.monotonic() - self.began
        self.write(f"\n{len(self.took)} steps ran, {len(self.fresh)} were fresh, "
                   f"in {total:.1f} s\n")
        if self.verbosity == EVERYTHING:
            self.write("".join(self._times()))

    def _times(self) -> Iterator[str]:
        yield "the longest:\n"
        for name, took in sorted(self.took.items(), key=lambda item: -item[1])[:LONGEST]:
            if took >= 0.05:
                yield f"  {took:7.1f} s  {name}\n"

    def _end(self, lines: Iterable[str]) -> None:
        if count := len(log.warnings):
            self.write(f"{count} warning{'s' * (count > 1)}, in the lines above that begin with "
                       "`warning`\n")
        self.write("".join(f"{line}\n" for line in lines))


class QuietReporter(Reporter):
    """Faults and the end alone, on standard error: what else is printed is what a step is there to
    show, and standard output has that alone, for programs."""

    desc = "faults and the end alone"

    def _line(self, mark: str, name: str, text: str) -> None:
        """Print nothing of a step that goes well."""

    def _sum_up(self) -> None:
        """Print nothing where nothing ran."""
        if self.took:
            super()._sum_up()

    def write(self, text: str) -> None:
        """Write a part of the end."""
        with output.lock:
            sys.stdout.flush()
            sys.stderr.write(text)
