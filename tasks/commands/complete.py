"""`doit complete`: what may stand where the cursor is, for the scripts of `doit tabcompletion`.

The line up to the cursor comes in the environment, since a shell's words may be anything. Only
names of plain characters are answered: a shell may read others as more than a word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.core.config.load import VARIABLES, load
from tasks.core.errors import AirlockError
from tasks.core.graph import commands, rooms
from tasks.core.graph.commands import Typed
from tasks.core.schema import read_json

LINE = "AIRLOCK_COMPLETE"
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._=-]*")
OF_DOIT = ("clean", "dryrun", "forget", "graph", "help", "info", "list", "run")
"""doit's commands, and ours of its kind, that are of use here."""
HIDDEN = "complete"
"""The command that isn't typed: this one."""
RELEASES = ("release", "from", "to", "id")
"""Variables that name a release."""


def complete(_typed: Typed) -> int:
    """Print a candidate on each line; nothing where nothing is known, or the line is none."""
    words = os.environ.get(LINE, "").split(" ")
    try:
        for candidate in sorted(set(candidates(words[1:] or [""]))):
            if PLAIN.fullmatch(candidate):
                print(candidate)
    except AirlockError:
        pass  # what is wrong with the configuration, a command says
    return 0


def candidates(words: list[str]) -> Iterator[str]:
    """What the last word may become, in the folder of the project."""
    last, variables = words[-1], dict(word.split("=", 1) for word in words[:-1] if "=" in word)
    name, is_value, begun = last.partition("=")
    if is_value:
        known = _values(name, variables)
        yield from (f"{name}={value}" for value in known if value.startswith(begun))
        return
    variables = {key: value for key, value in variables.items() if key in VARIABLES}
    for known in (_commands(), (f"{key}=" for key in VARIABLES), _tasks(variables)):
        yield from (word for word in known if word.startswith(last))


def _values(name: str, variables: dict[str, str]) -> Iterable[str]:
    if name == "site":
        return _stems(Path("config/sites"))
    if name == "pipeline":
        return _stems(Path("config/pipelines"))
    if name == "role":
        return ["prod"]
    return _releases(variables) if name in RELEASES else []


def _stems(folder: Path) -> Iterator[str]:
    return (path.stem for path in folder.glob("*.yml"))


def _releases(variables: dict[str, str]) -> Iterator[str]:
    """Those that are known here: in place on an offline host, or listed by `release:list`."""
    site = variables.get("site") or os.environ.get("AIRLOCK_SITE") or "*"
    pipeline = variables.get("pipeline", "*")
    for folder in Path("build").glob(f"{site}/prod/{pipeline}/releases/*/"):
        yield folder.name
    for path in Path("build").glob(f"{site}/{pipeline}/releases.json"):
        yield from (release["id"] for release in read_json(path, "releases")["releases"])


def _commands() -> Iterator[str]:
    yield from OF_DOIT
    yield from (command.name for command in vars(commands).values()
                if isinstance(command, type) and issubclass(command, commands.Own)
                and command.name not in (None, HIDDEN))


def _tasks(variables: dict[str, str]) -> Iterator[str]:
    for task in rooms.tasks(load(variables)):
        name = task.get("name")
        yield f"{task['basename']}:{name}" if name else task["basename"]
