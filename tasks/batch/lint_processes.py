"""A pipeline's processes, each held against its image and its size in the resolved config."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.batch.lint_rules import ERROR, WARNING, Config, Finding, needs_cli
from tasks.core.source.directives import Directive, directives
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.values import Unknown, Unset, known, unwrapped
from tasks.core.source.scripts import PROCESS, Scripts

DIRECTIVES = ("container", "cpus", "memory", "label")
ON_MUSL = re.compile(r"(?i)\balpine|\bmusl\b|-musl")
"""Names and tags of images that are built on musl."""
AMOUNT = re.compile(r"\{?\s*(?:\w+\s*\()?\s*\(?\s*['\"]?(\d+(?:\.\d+)?)\s*\.?\s*([KMGT]?)i?B?['\"]?"
                    r"\s*\)?\s*(\*\s*task\.attempt)?")
"""`2`, `4.GB`, `'4 GB'`, `{ 4.GB * task.attempt }`, `{ check_max( 6.GB * task.attempt, …`."""
UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
"""Powers of 1024, as Nextflow counts."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as its script defines it, with its own directives and their lines."""

    name: str
    file: str
    line: int
    labels: tuple[str, ...] = ()
    own: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, config: Config, directive: str, path: str) -> str:
        """Return file:line of what it takes for a directive: the config's `path`, else its own."""
        if path:
            return config.resolved.where(path)
        return f"{self.file}:{self.lines.get(directive, self.line)}"


@dataclass(frozen=True, kw_only=True)
class Room:
    """The largest job that the compute environment can place: vCPUs and bytes."""

    cpus: int | None = None
    memory: int | None = None


def read(folder: Path, main: str = "main.nf") -> list[Process]:
    """Return the processes of all scripts that `main` reaches in the folder of a pipeline's code.

    A script that can't be read is passed over: images:list says what is wrong with it.
    """
    processes = []
    with bounded(folder), opened(folder) as sources:
        if not sources.has(main):
            return []
        scripts = Scripts(sources, known("docker"))
        scripts.follow(main)
        for path in sorted(scripts.files):
            for definition in scripts.files[path].definitions.values():
                if definition.kind == PROCESS:
                    listed = directives(definition, DIRECTIVES)
                    processes.append(Process(
                        name=definition.name, file=definition.file, line=definition.line,
                        labels=tuple(str(value) for directive in listed
                                     if directive.word == "label" for value in directive.values),
                        lines={directive.word: directive.line for directive in listed},
                        own={directive.word: _value(directive) for directive in listed
                             if directive.word != "label"}))
    return processes


def _value(directive: Directive) -> Any:
    """A directive's one value, else its text; "?" where neither is known."""
    values = {unwrapped(value) for value in directive.values}
    value = values.pop() if len(values) == 1 else None
    return directive.text or "?" if value is None or isinstance(value, Unknown | Unset) else value


def images(config: Config, processes: Sequence[Process], musl: Collection[str] = ()
           ) -> Iterator[Finding]:
    """A process without an image, one by a tag, and one on musl where a carried CLI must run.

    `musl` are sources and digests of images that hold it; others are judged by their names.
    """
    if not config.runs_on_batch:
        return
    tagged: dict[str, list[str]] = {}
    carried = (needs_cli(config) and config.around.needs_glibc
               and config.resolved.text("aws.batch.cliPath"))
    for process in processes:
        value, path = config.resolved.for_process("container", process.name, process.labels,
                                                  process.own.get("container"))
        where = process.where(config, "container", path)
        image = str(value or "").strip()
        if not image and not config.resolved.is_on("wave.enabled"):
            yield Finding(rule="no-container", severity=ERROR, where=where,
                          what=f"{process.name} has no image: on Batch each job runs in one",
                          todo="give it a container, or set process.container")
        if carried and (any(known in image for known in musl) or ON_MUSL.search(image)):
            yield Finding(
                rule="musl", severity=ERROR, where=where,
                what=f"{process.name} runs in {image}, which is built on musl: the carried CLI "
                     "needs glibc, and ends with `bad interpreter` or `not found`",
                todo="take an image on Debian, Ubuntu or another system with glibc")
        if image and "@sha256:" not in image:
            tagged.setdefault(where, []).append(process.name)
    for where, names in tagged.items():
        yield Finding(
            rule="tag", severity=WARNING, where=where,
            what=f"the image of {_listed(names)} is named by a tag, which may mean another image "
                 "tomorrow", todo="name it by digest (`doit batch:config` does)")


def sizes(config: Config, processes: Sequence[Process], room: Room) -> Iterator[Finding]:
    """The processes that no instance of the environment has room for: Nextflow waits for ever."""
    if not config.runs_on_batch:
        return
    retries = _number(config.resolved.value("process.maxRetries"), 0)
    for directive, most in (("cpus", room.cpus), ("memory", room.memory)):
        limit = amount(config.resolved.value(f"process.resourceLimits.{directive}"))
        if most is None or (limit is not None and limit[0] <= most):
            continue
        for process in processes:
            value, path = config.resolved.for_process(directive, process.name, process.labels,
                                                      process.own.get(directive))
            asked = amount(value)
            if asked is None:
                continue
            first, last = asked[0], asked[0] * (retries + 1 if asked[1] else 1)
            if last > most:
                when = "" if first > most else " when it is tried again"
                yield Finding(
                    rule="too-large", severity=WARNING if when else ERROR,
                    where=process.where(config, directive, path),
                    what=f"{process.name} asks for {_shown(directive, last if when else first)}"
                         f"{when}, and the environment has room for {_shown(directive, most)}: "
                         "Nextflow waits for such a job for ever",
                    todo="choose larger instances (batch.limits), or set process.resourceLimits "
                         "in that profile")


def amount(value: Any) -> tuple[float, bool] | None:
    """Return what a directive asks for, in vCPUs or bytes, and whether each attempt asks for more.

    None where only a run knows.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Mapping):  # as Nextflow resolves 4.GB
        count = value.get("bytes")
        return (float(count), False) if isinstance(count, int) else None
    match = AMOUNT.match(str(value)[:1000])
    if match is None:
        return None
    return float(match[1]) * 1024 ** UNITS[match[2]], match[3] is not None


def _number(value: Any, default: int) -> int:
    return value if isinstance(value, int) and 0 <= value <= 100 else default


def _shown(directive: str, count: float) -> str:
    return f"{count:.0f} vCPUs" if directive == "cpus" else f"{count / 1024 ** 3:.1f} GiB"


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
