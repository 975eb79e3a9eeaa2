"""Where notices and progress go: to standard error, as much of them as doit's verbosity lets by.

Modules say them by `logging.getLogger(__name__)`: `info` for what is under way, `warning` for what
somebody should know. What a step is there to show, such as a plan, is printed instead.
"""

from __future__ import annotations

import logging
import sys

LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO}
"""By doit's --verbosity; a step's own is 2."""


class _Handler(logging.Handler):
    """Lines below those of the reporter, with the level where it is more than a notice."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno == logging.INFO else record.levelname.lower()
        sys.stderr.write(f"{mark:<6} {record.getMessage()}\n")  # which rich replaces for a while


def show(verbosity: int) -> None:
    """Show what the project's modules log, as far as it is asked for."""
    logger = logging.getLogger("tasks")
    logger.handlers = [_Handler()]
    logger.setLevel(LEVELS.get(verbosity, logging.INFO))
