"""What a reader of foreign bytes owes: a right result, or an error with words of its own."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from tasks.core.errors import AirlockError

ROOT = Path(__file__).resolve().parents[2]
STRAY = Path(tempfile.gettempdir()) / f"airlock-stray-{os.getpid()}"
"""An absolute path that hostile names may lead to; nothing may be written there."""
SECONDS = 5.0
"""For one input, of 200 kB at most; on a busy machine too."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader of foreign bytes.

    `read` is given an input and an empty folder, reads it as the product does, and asserts of the
    result what must hold. An AirlockError is a right answer to anything. `quick` is the number of
    inputs in the unit tests.
    """

    name: str
    inputs: SearchStrategy[Any]
    read: Callable[[Any, Path], object]
    quick: int = 40


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of one input: whether it was refused, seconds, and the fault if there is one."""

    refused: bool
    seconds: float
    fault: str | None


def judge(reader: Reader, value: Any) -> Judged:
    """Let a reader read one input, in a folder that is gone afterwards."""
    fault, refused = None, False
    with tempfile.TemporaryDirectory(prefix="airlock-fuzz-") as scratch:
        place = Path(scratch) / "outer/inner"
        place.mkdir(parents=True)
        began = time.monotonic()
        try:
            reader.read(value, place)
        except AirlockError as error:
            refused = True
            fault = _unclear(error)
        except Exception as error:
            fault = _where(error)
        seconds = time.monotonic() - began
        around = [path.name for folder in (Path(scratch), place.parent)
                  for path in folder.iterdir()]
        if around != ["outer", "inner"] or os.path.lexists(STRAY):
            fault = f"it wrote outside of its folder: {around}"
            STRAY.unlink(missing_ok=True)
    if fault is None and seconds > SECONDS:
        fault = f"it took {seconds:.0f} s"
    return Judged(refused=refused, seconds=seconds, fault=fault)


def _unclear(error: AirlockError) -> str | None:
    """What is wrong with an error's text: it must have one, that can be printed and be read."""
    text = str(error)
    if not error.what.strip():
        return "an error without words"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "an error that can't be printed"
    return f"an error of {len(text)} characters" if len(text) > 400_000 else None


def _where(error: Exception) -> str:
    """The exception, and the product's own line that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if f"{ROOT}/tasks/" in frame.filename] or list(
                  traceback.extract_tb(error.__traceback__))
    last = frames[-1]
    place = f"{Path(last.filename).relative_to(ROOT) if str(ROOT) in last.filename else '?'}"
    return f"{type(error).__name__} at {place}:{last.lineno}"
