"""What of this project is carried: all that `role=prod` can run, and nothing else.

It is what the entries below import, inside of functions too, with the files and schemas that they
read. Since this module names the entries, the graph knows that `tool` hangs on all of it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from tasks.core import files
from tasks.core.config.engines import STORE
from tasks.core.graph.action_code import ActionCode
from tasks.release.places import MADE, TOP

ENTRIES = (
    "tasks.core.config.load", "tasks.core.graph.reporter", "tasks.core.graph.rooms",  # dodo.py's
    "tasks.core.graph.commands", "tasks.core.graph.doits", "tasks.core.graph.list",
    "tasks.core.graph.run", "tasks.core.graph.state", "tasks.core.graph.info",
    "tasks.core.graph.dryrun", "tasks.core.graph.drawing",  # these eight are pyproject.toml's
    "tasks.offline_host.graph", "tasks.offline_host.wheels",  # its own, and ./doit's
    "tasks.commands.offline_graph",
    "tasks.commands.doctor", "tasks.commands.doctor_offline",
    "tasks.commands.runs", "tasks.commands.runs_show", "tasks.commands.runs_verify",
    "tasks.commands.prod_export", "tasks.commands.version", "tasks.commands.complete",
    "tasks.commands.tabcompletion",
)
LOADS_IMAGES = "tasks.images.offline_graph"
"""The entry besides, where the site's store carries the images."""
PINNED = re.compile(r"^([a-z0-9-]+)==(?:.*\\\n)*.*\n", re.MULTILINE)
"""A requirement of requirements.txt, with the hashes that follow."""


def code(carry: str, cache: Path) -> list[Path]:
    """Modules, schemas and other files that the offline side runs or reads."""
    known = ActionCode(cache, Path())
    entries = (*ENTRIES, LOADS_IMAGES) if carry == STORE else ENTRIES
    return sorted({Path(name) for entry in entries for name in known.run_by(entry)})


def packages(paths: Iterable[Path]) -> dict[str, bytes]:
    """An empty __init__.py for each package of modules that are carried, with code or without."""
    folders = {folder for path in paths for folder in path.parents if folder.name
               and path.parts[0] == "tasks"}
    return {(folder / "__init__.py").as_posix(): b"" for folder in folders
            if folder / "__init__.py" not in set(paths)}


def requirements(paths: Iterable[Path], pinned: str) -> str:
    """The lines of `pinned` for the packages that modules import, and for what those need.

    What a package needs is asked of the one that is installed here; extras and markers are not
    judged, so what is pinned for one of them comes along.
    """
    imported = {"doit"} | {name for path in paths if path.suffix == ".py"
                           for name in _imports(ast.parse(path.read_bytes()))}
    names = _packages()
    waiting = [package for name in imported for package in names.get(name, ())]
    lines = {match[1]: match[0] for match in PINNED.finditer(pinned)}
    needed: set[str] = set()
    while waiting:
        package = waiting.pop()
        if package in lines and package not in needed:
            needed.add(package)
            waiting += _needs(package)
    return "".join(line for name, line in lines.items() if name in needed)


def _packages() -> dict[str, set[str]]:
    """The installed packages that have files of each top-level module.

    Python 3.10's own packages_distributions() knows those with a top_level.txt alone, which
    jsonschema has none of.
    """
    names: dict[str, set[str]] = {}
    for package in metadata.distributions():
        for path in package.files or ():
            names.setdefault(path.parts[0].partition(".")[0], set()).add(
                _normal(package.metadata["Name"]))
    return names


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _needs(package: str) -> list[str]:
    try:
        listed = metadata.requires(package) or []
    except metadata.PackageNotFoundError:  # for other versions of Python alone
        return []
    return [_normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in listed]


def _normal(name: str) -> str:
    """A package's name as requirements.txt writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def contents(members: Mapping[str, bytes], wheels: Iterable[Path]) -> bytes:
    """CONTENTS.txt, for those who look at the tool before they let it in."""
    rows = [(data.count(b"\n"), files.sha256_bytes(data), name, _about(name, data))
            for name, data in sorted(members.items())]
    lines = [f"{count:>7}  {digest}  {name:<46}  {what}".rstrip()
             for count, digest, name, what in rows]
    sizes = [f"{path.stat().st_size:>9}  {files.sha256(path)}  wheels/{path.name}"
             for path in wheels]
    return "\n".join([
        f"All that this tool consists of: {len(rows)} files of {sum(row[0] for row in rows)} lines,"
        f" and {len(sizes)} wheels.", "",
        "  lines  SHA-256, path, what it is", *lines, "",
        "    bytes  SHA-256, Python package", *sizes, ""]).encode()


def _about(name: str, data: bytes) -> str:
    """One line of what a file is, in its own words."""
    path = Path(name)
    if about := {**TOP, **MADE}.get(name):
        return about
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(data)) or "a package").partition("\n")[0]
    if path.suffix == ".json":
        return str(json.loads(data)["title"])
    comment = re.search(rb"^(?:#|//|\{#) *(.+?)(?: *#\})?$", data, re.MULTILINE)
    return comment[1].decode() if comment else ""
