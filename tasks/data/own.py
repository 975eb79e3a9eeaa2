"""The user's own data: a samplesheet of theirs, carried by the same rules as a test profile's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files, inputs
from tasks.core.errors import ConfigError
from tasks.data import mirror, plan, stage
from tasks.data.collect import Root, collect
from tasks.data.locals import Finder
from tasks.data.mirror import Source

PARAM = "input"


@dataclass(frozen=True, kw_only=True)
class OwnSpec:
    """The user's sheet, how what it names is reached, and the folder of what comes of it."""

    pipeline: str
    sheet: Path
    source: Source
    folder: Path
    limit: int | None


def mirror_own(spec: OwnSpec) -> str:
    """Stage all rows of the sheet, and every file that they name.

    Files of this machine are taken from the sheet's own folder and below, and from hosts.folders.
    Raises ConfigError where there is no such sheet, or for a name that can't be one of a folder,
    and SourceError as `mirror:data` does.
    """
    _check(spec)
    sheet = spec.sheet.resolve()
    cache, known, sizes = mirror.opened(spec.source, limit=spec.limit)
    allowed = [sheet.parent, *(each.resolve() for each in spec.source.reach.folders)]
    finder = Finder(sheet.parent, scheme="own", elsewhere=lambda text: absolute(text, allowed))
    collected = collect([Root(label=PARAM, place=f"input={spec.sheet}", source=sheet,
                              is_main=True)], cache=cache, finder=finder, samples=0)
    wanted = stage.survey(collected, (), cache)
    cost = stage.weigh(wanted, collected, cache, sizes)
    print(f"       mirror:data:{spec.pipeline}  {plan.summary(cost)}", flush=True)
    plan.hold(cost, spec.limit)
    staged = stage.fetch(wanted, collected, cache)
    mirror.lock(staged, known, spec.source)
    made = stage.templates(staged, finder, spec.source.blobs)
    main = collected.paths[collected.roots[PARAM]]
    if main == inputs.INPUTS:
        blob = made[main]
        files.copy(spec.source.blobs / blob.path, spec.folder / inputs.INPUTS)
    files.write_json(spec.folder / "data.manifest.json", {
        "pipeline": spec.pipeline, "profile": "", "declared": [],
        "params": {PARAM: {"kind": "sheet", "path": main}},
        "sheets": stage.sheets_listed(staged, made), "files": stage.listed(staged)})
    size = sum({blob.path: blob.size for blob in staged.files.values()}.values())
    return (f"{len(staged.files)} files, {files.human_size(size)}\n"
            f"carry it: doit push:release:{spec.pipeline}; on the offline host: ./doit role=prod "
            f"pipeline={spec.pipeline} input={spec.folder.name}")


def _check(spec: OwnSpec) -> None:
    if not spec.sheet.is_file():
        raise ConfigError("there is no such file, given by input=", where=spec.sheet.absolute(),
                          todo="give its absolute path")
    if not re.fullmatch(inputs.OWN_NAME, spec.folder.name):
        raise ConfigError("the sheet's name is that of its data on the offline host, and this one "
                          "can't be", where=spec.sheet,
                          todo="name it with letters, digits and . _ - alone, beginning with a "
                               "letter or digit")


def absolute(text: str, allowed: Sequence[Path]) -> Path | None:
    """The file that a cell names by an absolute path, if it lies where files may be taken from."""
    try:
        path = Path(text)
        is_there = path.is_absolute() and path.is_file()
    except (OSError, ValueError):
        return None
    if not is_there:
        return None
    if not any(path.resolve().is_relative_to(each) for each in allowed):
        raise ConfigError(f"the sheet names {text}, which lies below none of: "
                          + ", ".join(map(str, allowed)), where=path,
                          todo="put it beside the sheet, or name its folder in hosts.folders of "
                               "the site's config")
    return path
