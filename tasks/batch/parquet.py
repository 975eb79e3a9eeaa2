"""Parquet files compared by what they hold: writers put versions and times beside it."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def same_table(before: Path, after: Path) -> bool:
    """Return whether two files hold the same columns and rows, in their order.

    Where this machine's Python has no pyarrow that can't be said, and they count as different.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        logger.warning("%s differs in its bytes, and there is no pyarrow to compare what it holds",
                       after.name)
        return False
    return bool(parquet.read_table(before).equals(parquet.read_table(after)))
