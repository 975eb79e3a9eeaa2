"""Which files a step's action opens, and all that it starts, as the kernel sees it: by strace.

As a program it runs one step's action: python -m tests.servers.traced STEP MARK NAME=VALUE…
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.config_load import load

STRACE = ("strace", "-f", "-y", "-q", "--seccomp-bpf", "-e", "trace=open,openat,openat2,creat",
          "-e", "signal=none")
CALL = re.compile(r"^(\d+) +((?:open|openat|openat2|creat)\(.*?)"
                  r"(?:\) += (\S.*)| <unfinished \.\.\.>)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>.*\) += (\S.*)$")
OPENED = re.compile(r"^\d+<(/.*)>$")
WRITES = re.compile(r"\bO_(?:WRONLY|CREAT|TRUNC)\b|^creat")
SKIPPED = re.compile(r"\bO_(?:DIRECTORY|PATH)\b")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The files that an action read, and those that it made or wrote."""

    read: frozenset[Path]
    written: frozenset[Path]


def parse(lines: Sequence[str], mark: Path) -> Trace:
    """What stands in strace's output between the first two times that `mark` was opened."""
    read: set[Path] = set()
    written: set[Path] = set()
    marks = 0
    for flags, path in _opened(lines):
        if path == mark:
            marks += 1
        elif marks == 1 and not SKIPPED.search(flags):
            (written if WRITES.search(flags) else read).add(path)
    assert marks == 2, f"the action did not come to its end: {marks} marks"
    return Trace(read=frozenset(read), written=frozenset(written))


def _opened(lines: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The arguments of each call that opened a file, and the file's own path."""
    waiting: dict[str, str] = {}
    for line in lines:
        if call := CALL.match(line):
            process, arguments, result = call.groups()
            if result is None:
                waiting[process] = arguments
                continue
        elif resumed := RESUMED.match(line):
            process, result = resumed.groups()
            arguments = waiting.pop(process, "")
        else:
            continue
        if opened := OPENED.match(result):
            yield arguments, Path(opened[1])


def tasks(variables: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The steps of the graph in the current folder, by their names."""
    config = load(variables)
    rooms = ["offline_host"] if config.role == "prod" else [
        "local_site", "runtime", "code", "resolve", "images", "data", "plugins", "reach",
        "offline_config", "dev", "release"]
    listed = [task for room in rooms
              for task in importlib.import_module(f"tasks.{room}.graph").tasks(config)]
    return {f"{task['basename']}:{task['name']}" if task.get("name") else task["basename"]: task
            for task in listed if task.get("actions")}


def main() -> None:
    """Run a step's action, and open the mark before and after it."""
    name, mark, *given = sys.argv[1:]
    task = tasks(dict(word.split("=", 1) for word in given))[name]
    (perform, arguments), = task["actions"]
    kept = [path for question in task["uptodate"] for path in getattr(question, "_paths", [])]
    declared = [*task["file_dep"], *task["targets"], *map(str, kept)]
    Path(mark).with_suffix(".json").write_text(json.dumps(sorted(map(os.path.abspath, declared))))
    Path(mark).read_bytes()
    result = perform(*arguments)
    Path(mark).read_bytes()
    print(result)
    if not (result is None or isinstance(result, str)):
        raise SystemExit(f"{name}: {result.get_msg()}")


if __name__ == "__main__":
    main()
