"""Which files a step's action opens, and all that it starts, as the kernel sees it: by strace.

As a program it runs one step's action, and opens a file, the mark, before and after it:
python traced.py STEP MARK NAME=VALUE…
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core import rooms
from tasks.core.config_load import load
from tasks.core.step import perform

STRACE = ("strace", "-f", "-y", "-q", "--seccomp-bpf", "-e", "trace=open,openat,openat2,creat",
          "-e", "signal=none")
CALL = re.compile(r"^(\d+) +((?:open|openat|openat2|creat)\(.*?)"
                  r"(?:\) += (\S.*)| <unfinished \.\.\.>)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>.*\) += (\S.*)$")
OPENED = re.compile(r"^\d+<(/.*)>$")
NOT_READ = re.compile(r"\bO_(?:WRONLY|DIRECTORY|PATH)\b|^creat")
Graph = Mapping[str, Mapping[str, Any]]


def files_read(trace: Path, mark: Path) -> set[Path]:
    """The files that were opened to be read between the two times that the mark was."""
    found: set[Path] = set()
    marks = 0
    with trace.open(errors="replace") as lines:
        for call, path in _opened(lines):
            if path == mark:
                marks += 1
            elif marks == 1 and not NOT_READ.search(call):
                found.add(path)
    assert marks == 2, f"{trace.name}: the action did not come to its end"
    return found


def _opened(lines: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Each call that opened a file, and the file's own path."""
    waiting: dict[str, str] = {}
    for line in lines:
        if match := CALL.match(line):
            process, call, result = match.groups()
            if result is None:
                waiting[process] = call
                continue
        elif match := RESUMED.match(line):
            process, result = match.groups()
            call = waiting.pop(process, "")
        else:
            continue
        if opened := OPENED.match(result):
            yield call, Path(opened[1])


def graph(variables: Mapping[str, str]) -> Graph:
    """The tasks of the graph in the current folder, by their names; groups hold their members."""
    config = load(dict(variables))
    tasks: dict[str, dict[str, Any]] = {}
    for task in rooms.tasks(config):
        name = task["basename"]
        if task.get("name"):
            tasks.setdefault(name, {"task_dep": []}).setdefault("task_dep", []).append(
                f"{name}:{task['name']}")
            name = f"{name}:{task['name']}"
        tasks[name] = {**tasks.get(name, {}), **task} if task.get("actions") else {
            **task, "task_dep": [*task["task_dep"], *tasks.get(name, {}).get("task_dep", [])]}
    return tasks


def in_order(tasks: Graph, goals: Iterable[str]) -> list[str]:
    """The steps that lead to the goals, and these, so that each comes after what it needs."""
    makers = {target: name for name, task in tasks.items() for target in task.get("targets", ())}
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        task = tasks[name]
        before = [makers[path] for path in task.get("file_dep", ()) if path in makers]
        for other in [*before, *task["task_dep"]]:
            if other not in order:
                visit(other)
        if task.get("actions"):
            order[name] = None

    for goal in goals:
        visit(goal)
    return list(order)


def declared(task: Mapping[str, Any]) -> list[str]:
    """The files that a step reads, makes and keeps, by their absolute paths."""
    kept = [path for question in task["uptodate"] for path in getattr(question, "_paths", [])]
    return [os.path.abspath(path) for path in (*task["file_dep"], *task["targets"], *kept)]


def main() -> None:
    """Run a step's action between two marks, and write what it declares beside the mark."""
    name, mark, *given = sys.argv[1:]
    task = graph(dict(word.split("=", 1) for word in given))[name]
    (_, arguments), = task["actions"]
    Path(mark).with_suffix(".json").write_text(json.dumps(declared(task)))
    Path(mark).read_bytes()
    result = perform(*arguments)
    Path(mark).read_bytes()
    if not (result is None or isinstance(result, str)):
        raise SystemExit(f"{name}: {result.get_msg()}")
    print(result)


if __name__ == "__main__":
    main()
