"""Where notices and progress go: to standard error, as much of them as doit's verbosity lets by.

Modules say them by `logging.getLogger(__name__)`: `info` for what is under way, `warning` for what
somebody should know. What a step is there to show, such as a plan, is printed instead.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

from tasks.core.errors import plain_lines
from tasks.core.graph import output

warnings: dict[str, None] = {}
"""The warnings of a run, each once, in their order."""
_diverted: list[Callable[[int, str], None]] = []

Arguments = ParamSpec("Arguments")


def show(verbosity: int) -> None:
    """Show what the project's modules log, as far as doit's --verbosity asks for it; a step's own
    is 2."""
    import logging  # not for commands that only look at the graph

    class Handler(logging.Handler):
        """Lines below those of the reporter, with the level where it is more than a notice."""

        def emit(self, record: logging.LogRecord) -> None:
            text = plain_lines(record.getMessage())
            if record.levelno == logging.WARNING:
                warnings.setdefault(text)
            if _diverted:
                _diverted[0](record.levelno, text)
                return
            mark = "" if record.levelno == logging.INFO else record.levelname.lower()
            with output.lock:
                sys.stdout.flush()
                sys.stderr.write(f"{mark:<6} {text}\n")

    logger = logging.getLogger("tasks")
    logger.handlers = [Handler()]
    logger.setLevel({0: logging.ERROR, 1: logging.WARNING}.get(verbosity, logging.INFO))


def divert(to: Callable[[int, str], None] | None) -> None:
    """Give what is logged to `to`, with its level, instead of writing it; None ends that."""
    _diverted[:] = [] if to is None else [to]


def until_reader_leaves(execute: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Let a command end without a word where its output is read no more, as in `| head`.

    Its status is then that of a program that SIGPIPE ended, as shells tell it.
    """
    @functools.wraps(execute)
    def run(*args: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            status = execute(*args, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still held back would be written at the end, and fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        return status
    return run
