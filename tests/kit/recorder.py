"""What a step really runs: added to a copy of the project's step.py, it writes a record of each.

Functions by a profiler of all threads of the step, so one step at a time; files by an audit hook.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "build/ran"
CODE = '''

import sys as _sys
import threading as _threading

_ROOT = f"{Path(__file__).resolve().parents[2]}/"
_ours = (f"{_ROOT}tasks/", f"{_ROOT}schemas/")
_called, _opened = set(), set()


def _profile(frame, event, _):
    if event == "call":
        _called.add(frame.f_code.co_filename)


def _audit(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        _opened.add(arguments[0])
    elif event == "subprocess.Popen":
        _opened.update(str(word) for word in arguments[1])


_sys.addaudithook(_audit)
_perform = perform


def perform(name, action, spec):
    _called.clear()
    _opened.clear()
    _threading.setprofile(_profile)
    _sys.setprofile(_profile)
    try:
        return _perform(name, action, spec)
    finally:
        _sys.setprofile(None)
        _threading.setprofile(None)
        files.write_json(Path("build/ran") / f"{name}.json", {
            "module": module_of(action),
            **{key: sorted(path.removeprefix(_ROOT) for path in set(paths)
                           if path.startswith(_ours) and "__pycache__" not in path)
               for key, paths in (("called", _called), ("opened", _opened))}})
'''


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The module of a step's action, the modules whose code ran, and the files that were opened."""

    module: str
    called: frozenset[str]
    opened: frozenset[str]


def record(root: Path) -> None:
    """Let each step of the project at `root` write what it runs."""
    path = root / "tasks/core/step.py"
    path.write_text(path.read_text() + CODE)


def recorded(root: Path) -> dict[str, Ran]:
    """What each step has run that was performed in the folder `root`."""
    records = {}
    for path in (root / FOLDER).glob("*.json"):
        raw: dict[str, Any] = json.loads(path.read_bytes())
        records[path.stem] = Ran(module=raw["module"], called=frozenset(raw["called"]),
                               opened=frozenset(raw["opened"]))
    return records
