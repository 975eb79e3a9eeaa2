"""Asking an installed Nextflow something of a pipeline, confined: its config, its processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow, processes
from tasks.core.errors import CommandError, IntegrityError, SourceError, quoted
from tasks.core.inputs import sheets
from tasks.core.nextflow import failures, isolation, known_faults
from tasks.core.nextflow.environment import SHORT_LIVED
from tasks.core.nextflow.installed import Nextflow
from tasks.core.nextflow.reproducible import TIME_ZONES, same_in_both

TIMEOUT = 300.0
"""Seconds after which a pipeline's code that is asked something is ended; it takes a few."""

MAX_LOG = 64 << 20
"""Bytes of a log that are kept."""

MAX_ANSWER = 64 << 20
"""Bytes that it may write to us, who keep them in memory; sarek's config takes 0.2 MB."""

MAX_LISTS = 100
"""Beginnings of a list in what it wrote that are tried, the last ones."""

OWN_ZONE = "own"
"""The time zone that Nextflow is in by itself."""

RESOLVE = Path(__file__).with_name("resolve.nf").absolute()


def configs(nextflow: Nextflow, project: Path, *, profile: str, scratch: Path, log: Path,
            given: Sequence[Path] = (), params: Mapping[str, Any] | None = None,
            reads: Iterable[Path] = (), least: str = isolation.FULL,
            zones: Sequence[str] = (OWN_ZONE,)) -> list[dict[str, Any]]:
    """Resolve what `nextflow run -profile PROFILE PROJECT` would run with, once in each time zone.

    Each config comes as nested mappings, with closures as their source, or as `{ ... }` where they
    stand in a list. `given` are given by -c, and `reads` are what they and the params name besides;
    params are seen while the pipeline's own config is read, so includes and values made of them
    differ.

    A pipeline's config is Groovy code: it runs confined in the folder `scratch`, and for TIMEOUT
    seconds at most; `least` is what the site accepts of that. Raises SourceError with Nextflow's
    own words where the config does not resolve.
    """
    printed, answers = _resolved(
        nextflow, project, [profile], zones=zones, given=given, reads=reads, params=params or {},
        scratch=scratch, log=log, least=least)
    for answer in answers:
        if "config" not in answer:
            # The strict parser prints where what it doesn't take stands, once in each time zone.
            placed = failures.errors(printed)
            errors = placed[:len(placed) // len(zones)] or answer["error"].splitlines()
            raise SourceError("\n".join([
                f"the config does not resolve with profile {profile!r}:",
                quoted(failures.bounded(errors)),
                *map(str, known_faults.recognised(answer["error"].splitlines(),
                                                  nextflow.version))]),
                where=log, todo="mend the pipeline's config, or `profile` in ours")
    return [answer["config"] for answer in answers]


def profiles(nextflow: Nextflow, project: Path, names: Sequence[str], *, scratch: Path, log: Path,
             least: str = isolation.FULL) -> list[dict[str, Any]]:
    """Resolve what a run with each profile would run with, all by one start of Nextflow.

    Each answer holds `config`, the same whenever it is asked, or `error`, Nextflow's own words.
    Raises SourceError where Nextflow itself ends.
    """
    _, answers = _resolved(nextflow, project, names, zones=TIME_ZONES, params={}, scratch=scratch,
                           log=log, least=least)
    return [same_in_both(first, second) for first, second in zip(
        answers[:len(names)], answers[len(names):], strict=True)]


def _resolved(nextflow: Nextflow, project: Path, names: Sequence[str], *, zones: Sequence[str],
              params: Mapping[str, Any], scratch: Path, log: Path, least: str,
              given: Sequence[Path] = (), reads: Iterable[Path] = ()
              ) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the lines that were printed, and what resolve.nf answers: each profile's `config` or
    `error`, in zone after zone."""
    asked, file = scratch / "asked.json", scratch / "params.json"
    detail, given = scratch / "nextflow.log", [path.absolute() for path in given]
    files.write_json(file, params)
    files.write_json(asked, {
        "project": str(project.absolute()), "profiles": list(names), "zones": list(zones),
        "params": str(file), "configs": list(map(str, given))})
    try:
        answer = ask(nextflow, ["-log", detail, "-q", "run", RESOLVE, asked], scratch=scratch,
                     least=least, reads=[project.absolute(), RESOLVE, *given, *reads],
                     doing="resolving the pipeline's config")
    except CommandError as error:
        raise SourceError(f"the config does not resolve:\n{quoted(error.tail)}", where=log,
                          todo="mend the pipeline's config") from error
    finally:
        keep(detail, log)
    answers = _answered(answer, len(names) * len(zones))
    if answers is None:
        raise SourceError("Nextflow did not answer with a config that can be kept", where=log)
    return answer.splitlines(), answers


def _answered(answer: str, count: int) -> list[dict[str, Any]] | None:
    """Return the last list of `count` answers in what Nextflow wrote, which may be hostile.

    What the config prints stands before it, warnings of the config's reader before and behind it.
    """
    starts = [match.start() for match in re.finditer(r"^\[", answer, re.MULTILINE)]
    for start in reversed(starts[-MAX_LISTS:]):
        with contextlib.suppress(ValueError, RecursionError):
            answers, _ = json.JSONDecoder().raw_decode(answer, start)
            sheets.judge(answers)
            if len(answers) == count and all(map(_is_answer, answers)):
                return list(answers)
    return None


def _is_answer(answer: Any) -> bool:
    return isinstance(answer, dict) and (isinstance(answer.get("config"), dict)
                                         or isinstance(answer.get("error"), str))


def ask(nextflow: Nextflow, words: Sequence[str | Path], *, scratch: Path,
        reads: Iterable[Path] = (), least: str = isolation.FULL,
        doing: str = "asked about it") -> str:
    """Return the standard output of `nextflow WORDS`, which sees `scratch` and its own parts alone.

    Its clock shows UTC. SourceError, which says what it was `doing`, where it takes longer than
    TIMEOUT, or writes more than MAX_ANSWER; CommandError with the cause where it fails; HostError
    where it can't be confined and `least` doesn't allow that.
    """
    command = confined(nextflow, nextflow.command(*words), folder=scratch, reads=reads,
                       least=least)
    try:
        return processes.run(command, cwd=scratch, timeout=TIMEOUT, most=MAX_ANSWER,
                             quote=failures.quoted, env=nextflow.environment(
                                 {**real_java(nextflow), **SHORT_LIVED, "TZ": "UTC"}))
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the pipeline's code ran for {TIMEOUT:.0f} s without an answer, and "
                          f"was ended: Nextflow was {doing}",
                          todo="look for a loop or a wait in its config") from error
    except processes.TooMuch as error:
        raise SourceError(f"the pipeline's code wrote more than {files.human_size(MAX_ANSWER)}"
                          ", and was ended", todo="look for a loop in its config") from error


def confined(nextflow: Nextflow, command: Sequence[str], *, folder: Path,
             reads: Iterable[Path] = (), least: str = isolation.FULL) -> list[str]:
    """Return what starts a `command` of Nextflow in `folder`: it can write there and at home."""
    return isolation.confined(
        command, cwd=folder, writes=[folder, nextflow.home.absolute()], least=least,
        reads=[nextflow.launcher.parent, nextflow.java.resolve().parents[1], *reads])


def real_java(nextflow: Nextflow) -> dict[str, str]:
    """Return the variable that names Java where a link to it may not be seen."""
    return {"JAVA_CMD": os.fspath(nextflow.java.resolve())}


def keep(detail: Path, log: Path) -> None:
    """Keep a file that Nextflow wrote where code that nobody has read could replace it by a link,
    by a pipe or by something without an end; it lies directly in a folder that the code can't.
    """
    with (contextlib.suppress(OSError, IntegrityError),
          nofollow.reading(detail.parent, detail.name) as stream):
        files.write_bytes(log, stream.read(MAX_LOG))
