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
from tasks.core.errors import CommandError, IntegrityError, SourceError
from tasks.core.inputs import sheets
from tasks.core.nextflow import isolation
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
PROFILES = Path(__file__).with_name("profiles.nf").absolute()


def configs(nextflow: Nextflow, project: Path, *, profile: str, scratch: Path, log: Path,
            given: Sequence[Path] = (), params: Mapping[str, Any] | None = None,
            reads: Iterable[Path] = (), least: str = isolation.FULL,
            zones: Sequence[str] = (OWN_ZONE,)) -> list[dict[str, Any]]:
    """Resolve what `nextflow run -profile PROFILE PROJECT` would run with, once in each time zone.

    Each config comes as nested mappings, with closures as their
    source. `given` are given by -c, and `reads` are what they and the params name besides; params
    are seen while the pipeline's own config is read, so includes and values made of them differ.

    A pipeline's config is Groovy code: it runs confined in the folder `scratch`, and for TIMEOUT
    seconds at most; `least` is what the site accepts of that. Raises SourceError with Nextflow's
    own words where the config does not resolve.
    """
    detail, file = scratch / "nextflow.log", scratch / "params.json"
    files.write_json(file, params or {})
    given = [path.absolute() for path in given]
    words: list[str | Path] = ["-log", detail, "-q", "run", RESOLVE, ",".join(zones),
                               project.absolute(), profile, file, *given]
    try:
        answer = ask(nextflow, words, scratch=scratch, least=least,
                     reads=[project.absolute(), RESOLVE, *given, *reads])
    except CommandError as error:
        tail = "\n".join(f"    | {line}" for line in error.tail)
        raise SourceError(f"the config does not resolve with profile {profile!r}:\n{tail}",
                          where=log, todo="mend the pipeline's config, or `profile` in ours"
                          ) from error
    finally:
        keep(detail, log)
    resolved = _answered(answer, len(zones))
    if resolved is not None:
        return resolved
    raise SourceError("Nextflow did not answer with a config that can be kept", where=log)


def profiles(nextflow: Nextflow, project: Path, names: Sequence[str], *, scratch: Path, log: Path,
             least: str = isolation.FULL) -> list[dict[str, Any]]:
    """Resolve what a run with each profile would run with, all by one start of Nextflow.

    Each answer holds `config`, the same whenever it is asked, or `error`, Nextflow's own words.
    Raises SourceError where Nextflow itself ends.
    """
    detail = scratch / "nextflow.log"
    words: list[str | Path] = ["-log", detail, "-q", "run", PROFILES, ",".join(TIME_ZONES),
                               project.absolute(), *names]
    try:
        answer = ask(nextflow, words, scratch=scratch, least=least,
                     reads=[project.absolute(), PROFILES])
    except CommandError as error:
        tail = "\n".join(f"    | {line}" for line in error.tail)
        raise SourceError(f"the config does not resolve:\n{tail}", where=log,
                          todo="mend the pipeline's config") from error
    finally:
        keep(detail, log)
    resolved = _answered(answer, 2 * len(names))
    if resolved is None:
        raise SourceError("Nextflow did not answer with a config that can be kept", where=log)
    return [same_in_both(first, second) for first, second in zip(
        resolved[:len(names)], resolved[len(names):], strict=True)]


def _answered(answer: str, count: int) -> list[dict[str, Any]] | None:
    """Return the last list of `count` objects in what Nextflow wrote, which may be hostile.

    What the config prints stands before it, warnings of the config's reader before and behind it.
    """
    starts = [match.start() for match in re.finditer(r"^\[", answer, re.MULTILINE)]
    for start in reversed(starts[-MAX_LISTS:]):
        with contextlib.suppress(ValueError, RecursionError):
            resolved, _ = json.JSONDecoder().raw_decode(answer, start)
            sheets.judge(resolved)
            if len(resolved) == count and all(isinstance(config, dict) for config in resolved):
                return list(resolved)
    return None


def ask(nextflow: Nextflow, words: Sequence[str | Path], *, scratch: Path,
        reads: Iterable[Path] = (), least: str = isolation.FULL) -> str:
    """Return the standard output of `nextflow WORDS`, which sees `scratch` and its own parts alone.

    Its clock shows UTC. SourceError where it takes longer than TIMEOUT, or writes more than
    MAX_ANSWER; HostError where it can't be confined and `least` doesn't allow that.
    """
    command = confined(nextflow, nextflow.command(*words), folder=scratch, reads=reads,
                       least=least)
    try:
        return processes.run(command, cwd=scratch, timeout=TIMEOUT, most=MAX_ANSWER,
                             env=nextflow.environment(
                                 {**real_java(nextflow), **SHORT_LIVED, "TZ": "UTC"}))
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the pipeline's code ran for {TIMEOUT:.0f} s without an answer, and "
                          "was ended", todo="look for a loop or a wait in its config") from error
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
