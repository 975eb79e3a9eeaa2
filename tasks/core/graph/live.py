"""What a run shows on a terminal: the live view, and above it a line for each longer step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from tasks.core import activity
from tasks.core.errors import plain, plain_lines
from tasks.core.graph import log, screen, view
from tasks.core.graph.reporter import EVERYTHING, QuietReporter, Reporter

SHORT = 1.0
"""Seconds below which a step is a short one."""
FEW = 3
"""Short steps that still have a line of their own each."""
QUOTED = 20
"""Lines of what a failed step has printed that are shown."""
COLOURS = {"done": screen.GOOD, "start": screen.MARK, "fresh": screen.QUIET,
           "warning": screen.WARN}


class LiveReporter(Reporter):
    """Fresh and short steps are a count each, and so is what steps print that nobody asked for.

    With -v each has its lines, which scroll above the view.
    """

    desc = "a live view on the terminal"

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self._all = self.verbosity == EVERYTHING
        self._running: dict[str, activity.Activity] = {}
        self._short: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._view: view.View | None = None

    @property
    def shown(self) -> view.View:
        """The view, shown from the first step that runs: a run of fresh steps needs none."""
        with self._lock:
            if self._view is None:
                self._view = view.View(self.outstream, self.status, self.printed)
                self._view.start()
                log.divert(self.notice)
            return self._view

    def execute_task(self, task: Any) -> None:
        if task.actions:
            self.shown  # noqa: B018 - shown from now on
            at = activity.current() or activity.begin(task.name)
            at.doc = task.doc or ""
            with self._lock:
                self._running[task.name] = at
        super().execute_task(task)

    def add_success(self, task: Any) -> None:
        with self._lock:
            self._running_of(task.name)
        super().add_success(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        with self._lock:
            was = self._running_of(task.name)
        if was and was.lines:
            self.shown.whole("\n".join(_telling(was.lines)))
        super().add_failure(task, fail)

    def _running_of(self, name: str) -> activity.Activity | None:
        """The activity of a step that has ended."""
        ended = self._running.pop(name, None)
        self._printed_much = bool(ended and ended.lines)
        return ended

    def status(self) -> screen.Status:
        """How the run stands."""
        with self._lock:
            return screen.Status(
                running=list(self._running.values()), waiting=self._waiting(),
                failed=[failure["task"].name for failure in self.failures], done=len(self.took),
                fresh=len(self.fresh), warnings=len(log.warnings), began=self.began)

    def _waiting(self) -> dict[str, list[str]]:
        """The steps to come, in their order, each with those directly before it that aren't done.
        """
        ended = {*self.took, *self.fresh, *self._not_run,
                 *(failure["task"].name for failure in self.failures)}
        waiting: dict[str, list[str]] = {}
        seen = set(self._running) | ended

        def add(name: str) -> None:
            if name in seen:
                return
            seen.add(name)
            task = self._tasks[name]
            before = [*task.task_dep, *task.setup_tasks]
            for other in before:
                add(other)
            if task.actions:
                waiting[name] = [other for other in before
                                 if other in self._running or other in waiting]
        for name in self._selected:
            add(name)
        return waiting

    def notice(self, level: int, text: str) -> None:
        """Show what a module logs: as what its step does now, or with -v as a line."""
        mine = activity.current()
        if level >= logging.ERROR or self._all:
            mark = "" if level == logging.INFO else logging.getLevelName(level).lower()
            self.shown.row([(f"{mark:<6} ", COLOURS.get(mark, screen.PLAIN)), (text, "")],
                           whole=True)
        elif level == logging.INFO and (at := mine or self._named(text)):
            at.text = " ".join(text.removeprefix(f"{at.step}  ").split())

    def _named(self, text: str) -> activity.Activity | None:
        """The running step that a notice of another thread means."""
        with self._lock:
            running = list(self._running.values())
        return next((at for at in running if at.step in text),
                    running[0] if len(running) == 1 else None)

    def printed(self, text: str) -> None:
        """Show what a step prints where it was named, or with -v; else it is kept for a failure."""
        mine = activity.current()
        if mine is None or self._all or mine.step in self.asked:
            self.shown.whole(text)
            return
        mine.lines += map(plain, text.removesuffix("\n").split("\n"))
        mine.text = mine.lines[-1].strip()
        for line in mine.lines[-text.count("\n"):]:
            if line.startswith("warning "):
                log.warnings.setdefault(line.removeprefix("warning ").strip())

    def _line(self, mark: str, name: str, text: str) -> None:
        if mark in ("start", "fresh") and not self._all:
            return
        if (mark == "done" and not self._all and name not in self.asked
                and self.took[name] < SHORT and not self._printed_much):
            self._short.append((name, text))
            return
        self._own_line(mark, name, text)

    def _own_line(self, mark: str, name: str, text: str) -> None:
        first, *rest = map(plain, text.split("\n"))
        took, _, result = first.partition("  ")
        times = [(f"  {took}", screen.QUIET), (f"  {result}", "")] if mark == "done" else [
            (f"  {first}", screen.QUIET)]
        self._put([(f"{mark:<6} ", COLOURS.get(mark, screen.WARN)), (name, screen.NAME), *times])
        if self._all or name in self.asked:
            for line in rest:
                self._put([(f"       {line}", "")])

    def _put(self, row: screen.Row) -> None:
        if self._view is None:  # a run of fresh steps
            self.outstream.write("".join(word for word, _ in row).rstrip() + "\n")
        else:
            self._view.row(row, whole=self._all)

    def _fault(self, text: str) -> None:
        self.shown.wrapped(plain_lines(text), screen.BAD)

    def complete_run(self) -> None:
        """doit calls this after the last step, also where a run is interrupted."""
        try:
            self._show_short()
            super().complete_run()
        finally:
            self.close()

    def close(self) -> None:
        """Leave the terminal as it was. Steps that an interrupt can't stop say nothing below."""
        if self._view is not None:
            log.divert(lambda level, text: None)
            self._view.stop()

    def _show_short(self) -> None:
        if len(self._short) <= FEW:
            for name, text in self._short:
                self._own_line("done", name, text)
        else:
            names = ", ".join(name for name, _ in self._short)
            self._put([("done   ", screen.GOOD), (f"{len(self._short)} short steps", screen.NAME),
                       (f"  {names}", screen.QUIET)])

    def write(self, text: str) -> None:
        if self._view is None:
            self.outstream.write(text)
        else:
            self._view.wrapped(text)

    def _end(self, lines: Iterable[str]) -> None:
        for warning in log.warnings:
            self.shown.wrapped(f"warning {warning}", screen.WARN)
        for line in lines:
            self.write(f"{line}\n")


def _telling(lines: list[str]) -> list[str]:
    """The last lines of what a step printed, and of a check's those that say what is not well."""
    return ([line for line in lines if not line.startswith("ok ")] or lines)[-QUOTED:]


def of_run(outfile: object, verbosity: int | None, asked: Iterable[str]) -> type[Reporter]:
    """The reporter for a run: on a terminal the live view, elsewhere plain lines."""
    kind = (QuietReporter if verbosity == 0 else
            LiveReporter if view.fits(outfile) else Reporter)
    return type(kind.__name__, (kind,), {"verbosity": verbosity, "asked": frozenset(asked)})
