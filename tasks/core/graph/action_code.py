"""Which code a step's action runs, by digest: a step is stale when any of it has changed.

The action's module and what it imports, inside of functions too, and so on; files beside a module
that it names in a string (`resolve.nf`, a script that is started); the schemas by which it reads.
Not a graph.py, whose say is the step's settings and files; nor step.py and the graph wing, which
run the action but don't make what it makes; nor what is imported for type checkers alone.

What stands in a file is remembered by the file's stamp, so that unchanged ones are only looked at.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow
from tasks.core.errors import AirlockError

ROOT = Path(__file__).resolve().parents[3]
LARGEST_CACHE = 2**23
"""Bytes; some 300 for each file."""
SETTLED = 2 * 10**9
"""Nanoseconds after which a changed file has another stamp, on the coarsest clock of file systems
(FAT's two seconds)."""
FILE_NAME = r"[\w-][\w.-]*\.\w+"
SHA256 = r"[0-9a-f]{64}"
Stamp = list[int]


class ActionCode:
    """Digests of what actions run, in the project at `root`; `cache` is a file of our own.

    Its first line holds the digests for one state of the whole, so that a graph whose code stands
    as it stood needs no more than a look at each file; its second what each file holds.
    """

    def __init__(self, cache: Path, root: Path = ROOT) -> None:
        self._cache, self._root = cache, root

    def digest(self, module: str) -> str:
        """A digest of all that an action in the module runs; nothing for what is not ours."""
        return self._digests.get(module, "")

    def run_by(self, module: str) -> list[str]:
        """The files that an action in the module runs or reads as code, from the root."""
        waiting, reached = [_path(module)], set()
        while waiting:
            path = waiting.pop()
            if path not in reached and path in self._contents:
                reached.add(path)
                waiting += self._next[path]
        return sorted(path for path in reached if not self._contents[path]["is_empty"])

    def digests_of(self, module: str) -> dict[str, str]:
        """Those files with the begin of their digests; none where one was written meanwhile."""
        if self._digest(module) != self.digest(module):
            return {}
        return {path: self._contents[path]["sha256"][:16] for path in self.run_by(module)}

    @cached_property
    def _digests(self) -> dict[str, str]:
        known = self._read(0)
        if known.get("state") == self._state and _is_text(known.get("digests", {})):
            return dict(known["digests"])
        digests = {module: self._digest(module) for path in self._contents
                   if (module := path.removesuffix(".py").replace("/", ".")) != path}
        self._write(digests)
        return digests

    def _digest(self, module: str) -> str:
        return files.sha256_bytes("\0".join(
            f"{path} {self._contents[path]['sha256']}" for path in self.run_by(module)).encode())

    @cached_property
    def _next(self) -> dict[str, list[str]]:
        """Each file with those that it imports or names."""
        return {path: list(self._reached_from(path)) for path in self._contents}

    def _reached_from(self, path: str) -> Iterator[str]:
        folder = path.rpartition("/")[0]
        for name in self._contents[path]["imports"]:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # whether the last one is a module or in one
                place = "/".join(parts[:end])
                yield from (f"{place}.py", f"{place}/__init__.py")
        yield from (f"{folder}/{name}" for name in self._contents[path]["names"])
        yield from (f"schemas/{name}.schema.json" for name in self._contents[path]["schemas"])

    @cached_property
    def _contents(self) -> dict[str, dict[str, Any]]:
        """What stands in each file, from the cache where the file is as it was."""
        known = self._read(1)
        return {path: {"stamp": stamp, **_content(self._root / path)}
                if (entry := known.get(path)) is None or not _is_entry(entry, stamp) else entry
                for path, stamp in self._stamps.items()}

    @cached_property
    def _stamps(self) -> dict[str, Stamp]:
        return dict(sorted(_listed(self._root)))

    @cached_property
    def _state(self) -> str:
        """Another text when any file has changed, or this module, which may read them otherwise."""
        return files.sha256_bytes(repr((_stamp(Path(__file__).stat()), self._stamps)).encode())

    def _read(self, line: int) -> dict[str, Any]:
        """A line of the cache; nothing where it can't be used."""
        try:
            value = json.loads(nofollow.read(self._cache, most=LARGEST_CACHE).split(b"\n")[line])
        except (OSError, ValueError, LookupError, RecursionError, AirlockError):
            return {}
        return value if isinstance(value, dict) else {}

    def _write(self, digests: dict[str, str]) -> None:
        """Remember what is settled: a file that was just written may change under its stamp."""
        now = time.time_ns()
        settled = {path: entry for path, entry in self._contents.items()
                   if now - max(self._stamps[path][1:3]) > SETTLED}
        if settled.keys() != self._contents.keys():
            digests = {}
        lines = ({"state": self._state if digests else "", "digests": digests}, settled)
        with contextlib.suppress(OSError):  # it only saves time
            files.write_text(self._cache, "\n".join(map(json.dumps, lines)))


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _listed(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Every file below tasks/ and schemas/, with its stamp."""
    waiting = ["schemas", "tasks"]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.is_dir():
                    waiting.append(f"{folder}/{entry.name}")
                else:
                    yield f"{folder}/{entry.name}", _stamp(entry.stat())


def _stamp(status: os.stat_result) -> Stamp:
    """Another one whenever the file was written or replaced: the change time can't be set."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _content(path: Path) -> dict[str, Any]:
    """A file's digest, and what it imports and names if it is a module."""
    data = path.read_bytes()
    entry: dict[str, Any] = {"sha256": files.sha256_bytes(data), "imports": [], "names": [],
                             "schemas": [], "is_empty": False}
    if path.suffix == ".py":
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError):
            return entry  # an action that runs it says so
        entry |= {key: sorted(names) for key, names in _named(tree).items()}
        entry["is_empty"] = all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
                                for line in tree.body)
    return entry


def _named(tree: ast.AST) -> dict[str, set[str]]:
    """What a module's statements import and name, without what only type checkers see."""
    imports: set[str] = set()
    names: set[str] = set()
    schemas: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith("tasks."):
                imports.add(node.value)
            elif re.fullmatch(FILE_NAME, node.value):
                names.add(node.value)
        elif isinstance(node, ast.Call):
            schemas.update(_second(node))
        waiting += ast.iter_child_nodes(node)
    return {"imports": {name for name in imports if name.startswith("tasks.")},
            "names": names, "schemas": schemas}


def _second(call: ast.Call) -> list[str]:
    """What names a schema, wherever one is asked for: `read_json(path, "reach")`."""
    constants = [node.value for node in call.args[1:2] if isinstance(node, ast.Constant)]
    return [value for value in constants if isinstance(value, str)]


def _is_entry(entry: Any, stamp: Stamp) -> bool:
    """Whether what a cache holds of a file was read under this stamp, in the form of _content."""
    try:
        names = [*entry["imports"], *entry["names"], *entry["schemas"]]
        return (entry["stamp"] == stamp and all(isinstance(name, str) for name in names)
                and re.fullmatch(SHA256, entry["sha256"]) is not None
                and isinstance(entry["is_empty"], bool))
    except (LookupError, TypeError):
        return False


def _is_text(digests: Any) -> bool:
    return isinstance(digests, dict) and all(isinstance(text, str) for text in digests.values())
