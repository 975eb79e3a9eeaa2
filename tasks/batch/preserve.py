"""batch:preserve: whether every other profile is, with the profile for Batch, what it was without.

The real Nextflow resolves each profile of the pipeline's code as it is staged, and of the code with
batch:config's patch, applied here as the user would apply it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.batch import pipeline, preserve_run, settings
from tasks.batch.config import INCLUDED
from tasks.batch.lint import LOCAL
from tasks.batch.patch import with_profile
from tasks.batch.pipeline import Pipeline, Staged
from tasks.batch.preserve_run import RunSpec
from tasks.core import files
from tasks.core.errors import SourceError, shown
from tasks.core.nextflow import queries
from tasks.core.schema import check
from tasks.core.source import resolved_config
from tasks.core.source.configs import MAIN

MAX_SHOWN = 20
"""Differences of one profile that are shown."""


@dataclass(frozen=True, kw_only=True)
class PreserveSpec:
    """What batch:preserve reads: the pipeline, and batch:config's settings for `profile`.

    `run` is how it is run on this machine before and after; None where the site runs none here.
    """

    pipeline: str
    staged: Staged
    profile: str
    config: Path
    output: Path
    run: RunSpec | None = None


def preserve(spec: PreserveSpec) -> str:
    """Write preserve.json.

    SourceError where another profile resolves to something else, or where the runs differ.
    """
    with pipeline.opened(spec.staged, spec.output.parent) as opened:
        changed = opened.folder.parent / "changed"
        shutil.copytree(opened.folder, changed, symlinks=True)
        add(changed, spec.profile, spec.config)
        names = sorted({LOCAL, *settings.profiles(opened.folder)} - {spec.profile})
        before = _resolved(opened, opened.folder, names)
        *after, own = _resolved(opened, changed, [*names, spec.profile])
        profiles = [_compared(name, one, other)
                    for name, one, other in zip(names, before, after, strict=True)]
        answer: dict[str, Any] = {
            "pipeline": spec.pipeline, "profile": spec.profile, "profiles": profiles,
            "resolves": "config" in own, "run": None,
            "is_preserved": all(profile["is_same"] for profile in profiles)}
        if spec.run is not None and answer["is_preserved"]:
            answer["run"] = _runs(spec.run, spec.staged.code, changed)
            answer["is_preserved"] = answer["run"]["is_same"]
    files.write_json(spec.output, check(answer, "preserve", where="the comparison"))
    print("".join(_lines(answer)), end="", flush=True)
    if not answer["is_preserved"]:
        raise SourceError("runs without the profile change", where=spec.output,
                          todo="move what is listed above out of the top of the pipeline's config")
    if not answer["resolves"]:
        raise SourceError(f"profile {spec.profile} doesn't resolve with the patch: {own['error']}",
                          where=spec.staged.log)
    return f"{len(names)} other profiles resolve as before" + (
        "; two runs were equal" if answer["run"] else "")


def _runs(run: RunSpec, before: Path, changed: Path) -> dict[str, Any]:
    """Compare a run of the code as it is staged with one of the changed code, as staged too."""
    with files.scratch(before.parent / "batch", "runs") as scratch:
        after = scratch / "code.tar"
        files.write_tar(after, changed, files.tree(changed))
        return preserve_run.compare(run, before, after, scratch)


def add(folder: Path, profile: str, config: Path) -> None:
    """Put the settings into the code in a folder, as the patch does."""
    for path in (folder / MAIN, folder / INCLUDED):
        if path.is_symlink():
            raise SourceError("a link stands where the patch writes", where=path)
    main = folder / MAIN
    text = main.read_bytes().decode(errors="surrogateescape") if main.is_file() else ""
    files.write_bytes(main, with_profile(text, profile, INCLUDED).encode(errors="surrogateescape"))
    files.copy(config, folder / INCLUDED)


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what two resolved configs hold otherwise: its path, and the values before and after.

    None stands for what is not there.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key),
                                   f"{path}.{key}" if path else str(key))
    elif before != after:
        yield path, before, after


def _resolved(opened: Pipeline, folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    with files.scratch(opened.folder.parent, "launch") as scratch:
        answers = queries.profiles(opened.nextflow, folder, names, scratch=scratch,
                                   log=opened.staged.log, least=opened.staged.isolation)
        return [resolved_config.portable(resolved_config.portable(answer, folder), scratch,
                                         "/.airlock/elsewhere") for answer in answers]


def _compared(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changes = list(differences(before, after))
    return {"profile": name, "is_same": not changes, "resolves": "config" in before,
            "settings": [{"setting": path, "before": one, "after": other}
                         for path, one, other in changes[:MAX_SHOWN]]}


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    for profile in answer["profiles"]:
        state = "as before" if profile["is_same"] else "CHANGED"
        error = "" if profile["resolves"] else " (it doesn't resolve here, before and after)"
        yield f"{profile['profile']}: {state}{error if profile['is_same'] else ''}\n"
        for change in profile["settings"]:
            yield shown(f"  {change['setting']}: {change['before']!r:.200} -> "
                        f"{change['after']!r:.200}") + "\n"
    run = answer["run"]
    if run:
        yield (f"runs with profile {run['profile'] or 'standard'}, without and with it: "
               f"{run['tasks']} tasks, {run['results']} results, "
               f"{len(run['differences']) or 'no'} differences\n")
        for difference in run["differences"]:
            yield shown(f"  {difference}"[:600]) + "\n"
    else:
        yield "no run was compared\n"
