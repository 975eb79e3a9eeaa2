"""batch:diagnose: the cause and the cure of what a log or a status reason says.

The files are of jobs that nobody has checked: they are read within bounds, and what would steer a
terminal is taken out.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from tasks.batch.causes import CAUSES, CERTAINTIES, Cause, compiled
from tasks.core import files
from tasks.core.errors import SourceError, plain_lines, shown
from tasks.core.schema import check

STDIN = "-"
MAX_HEAD, MAX_TAIL = 2 << 20, 14 << 20
"""Bytes that are read of a file: at its beginning, and at its end, where the error stands."""
MAX_FILES = 100
"""Files of one call."""
MAX_SHOWN = 300
"""Characters of a line that are shown."""


@dataclass(frozen=True, kw_only=True)
class DiagnoseSpec:
    """What batch:diagnose is given: the files by their names, and whether it answers in JSON."""

    files: tuple[str, ...]
    as_json: bool = False


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log as text. `skipped` are bytes between its beginning and its end that weren't read."""

    name: str
    text: str
    skipped: int = 0


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A cause, with the line that shows it, counted from 1 in what was read."""

    cause: Cause
    name: str
    line: int
    text: str


def diagnose(spec: DiagnoseSpec) -> str:
    """Print what the logs say, the most certain cause first.

    SourceError where no cause is known, a file can't be read, or none is given.
    """
    if not spec.files or len(spec.files) > MAX_FILES:
        raise SourceError(f"give 1 to {MAX_FILES} logs", todo="doit batch:diagnose .nextflow.log; "
                          "`-` reads standard input, such as a job's statusReason")
    logs = [_read(name) for name in spec.files]
    diagnoses = rank([diagnosis for log in logs for diagnosis in causes_in(log)])
    shape = _as_json if spec.as_json else _table
    print(shape(logs, diagnoses), end="", flush=True)
    if not diagnoses:
        raise SourceError("no cause that is known stands in there", where=", ".join(spec.files),
                          todo="give the job's own log as well (.command.log in its work folder, "
                               "or the log group /aws/batch/job) and its statusReason (aws batch "
                               "describe-jobs)")
    first = diagnoses[0].cause
    return f"{len(diagnoses)} named; the first, {first.name}, is {first.certainty}"


def causes_in(log: Log) -> Iterator[Diagnosis]:
    """Yield each cause whose message stands in the log, with the first line that shows it."""
    for cause in CAUSES:
        match = compiled(cause.pattern).search(log.text)
        if (match and all(compiled(other).search(log.text) for other in cause.along)
                and not any(compiled(other).search(log.text) for other in cause.without)):
            start = log.text.rfind("\n", 0, match.start()) + 1
            end = log.text.find("\n", match.end())
            text = log.text[max(start, match.start() - MAX_SHOWN // 2):
                            len(log.text) if end < 0 else end]
            yield Diagnosis(cause=cause, name=log.name, text=_short(text),
                            line=log.text.count("\n", 0, match.start()) + 1)


def rank(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Return each cause once, the most certain first; among equals, the root before its results,
    in the order of the table."""
    order = {cause.name: at for at, cause in enumerate(CAUSES)}
    first: dict[str, Diagnosis] = {}
    for diagnosis in diagnoses:
        first.setdefault(diagnosis.cause.name, diagnosis)
    return sorted(first.values(), key=lambda diagnosis: (
        CERTAINTIES.index(diagnosis.cause.certainty), order[diagnosis.cause.name]))


def plain(data: bytes) -> str:
    """Return the text of a log without what would steer a terminal."""
    text = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return plain_lines(text)


def _read(name: str) -> Log:
    """Return a log, its middle left out where it is larger than what is read of one."""
    if name == STDIN:
        return _parts(name, sys.stdin.buffer)
    try:
        with open(name, "rb", opener=_open) as stream:
            return _parts(name, stream, size=os.fstat(stream.fileno()).st_size)
    except (OSError, ValueError) as error:
        raise SourceError(f"the log can't be read: {error}", where=name,
                          todo="correct its name") from error


def _open(name: str, flags: int) -> int:
    """Open a regular file: a pipe would never end, and a device never stop."""
    handle = os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise SourceError("this is no regular file", where=name,
                          todo="give the log's file, or `-` for standard input")
    return handle


def _parts(name: str, stream: IO[bytes], size: int | None = None) -> Log:
    """Read a stream's beginning and, where its size is known, its end."""
    data = stream.read(MAX_HEAD if size else MAX_HEAD + MAX_TAIL)
    skipped = max((size or 0) - MAX_HEAD - MAX_TAIL, 0)
    if size:
        stream.seek(MAX_HEAD + skipped)
        data += (b"\n" if skipped else b"") + stream.read(MAX_TAIL)
    return Log(name=name, text=plain(data), skipped=skipped)


def _short(text: str) -> str:
    line = " ".join(shown(text).split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]} …"


def _table(logs: Sequence[Log], diagnoses: Sequence[Diagnosis]) -> str:
    lines = [f"{log.name}: {files.human_size(log.skipped)} in its middle were not read"
             for log in logs if log.skipped]
    for number, diagnosis in enumerate(diagnoses, 1):
        cause = diagnosis.cause
        lines += [f"{number}. {cause.cause} ({cause.certainty})",
                  f"     {diagnosis.name}:{diagnosis.line}: {diagnosis.text}",
                  f"     to do: {cause.cure}"]
    return "".join(f"{shown(line)}\n" for line in lines)


def _as_json(logs: Sequence[Log], diagnoses: Sequence[Diagnosis]) -> str:
    answer: dict[str, Any] = {
        "files": [{"name": log.name, "skipped": log.skipped} for log in logs],
        "causes": [{"name": diagnosis.cause.name, "certainty": diagnosis.cause.certainty,
                    "cause": diagnosis.cause.cause, "cure": diagnosis.cause.cure,
                    "file": diagnosis.name, "line": diagnosis.line, "text": diagnosis.text}
                   for diagnosis in diagnoses]}
    check(answer, "diagnose", where="the diagnosis")
    return files.json_bytes(answer).decode()
