"""The user's own data: a samplesheet of theirs, carried by the same rules as a test profile's."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.inputs import staged_data
from tasks.data import mirror, plan, private, stage
from tasks.data.collect import Root, collect
from tasks.data.left import lines, tell
from tasks.data.local_files import Finder
from tasks.data.mirror import Source

logger = logging.getLogger(__name__)

PARAM = "input"


@dataclass(frozen=True, kw_only=True)
class OwnSpec:
    """The user's sheet, how what it names is reached, and the folder of what comes of it.

    `private` says that keys, logins and dotfiles are meant where the sheet names them.
    """

    pipeline: str
    sheet: Path
    source: Source
    folder: Path
    limit: int | None
    private: bool = False


def mirror_own(spec: OwnSpec) -> str:
    """Stage all rows of the sheet, and every file that they name.

    Files of this machine are taken from the sheet's own folder and below, and from hosts.folders.
    Raises ConfigError where there is no such sheet, for a name that can't be one of a folder, and
    with all files that lie elsewhere or look private; SourceError as `mirror:data` does.
    """
    _check(spec)
    sheet = spec.sheet.resolve()
    reach = dataclasses.replace(spec.source.reach, folders=(
        sheet.parent, *spec.source.reach.folders))  # by file:// as by a path
    cache, known, sizes = mirror.opened(dataclasses.replace(spec.source, reach=reach),
                                        limit=spec.limit)
    beyond = Beyond(root=sheet.parent, allowed=[
        sheet.parent, *(folder.resolve() for folder in spec.source.reach.folders)])
    finder = Finder(sheet.parent, scheme="own", elsewhere=beyond.find)
    collected = collect([Root(label=PARAM, place=f"input={spec.sheet}", source=sheet,
                              is_main=True)], cache=cache, finder=finder, samples=0)
    beyond.refuse(spec.sheet)
    note = tell([one for one in collected.left if one.text not in beyond.outside],
                f"mirror:data:{spec.pipeline}")
    wanted = stage.survey(collected, (), cache)
    if not spec.private:
        private.refuse([*private.local(collected, beyond.allowed), *private.by_url(
            wanted, collected, reach, beyond.allowed)], spec.sheet)
    cost = stage.weigh(wanted, collected, cache, sizes)
    logger.info("mirror:data:%s  %s", spec.pipeline, plan.summary(cost))
    plan.hold(cost, spec.limit)
    if note and not (wanted.places or collected.local):
        raise ConfigError("nothing that the sheet names can be carried:\n" + lines(collected.left),
                          where=spec.sheet, todo="mend the paths; a sheet whose files all lie on "
                                                 "the offline host is given there, as it is: "
                                                 "role=prod input=/its/path.csv")
    staged = stage.fetch(wanted, collected, cache)
    mirror.lock(staged, known, spec.source)
    templates = stage.templates(staged, spec.source.blobs)
    main = collected.paths[collected.roots[PARAM]]
    if main == staged_data.INPUTS:
        blob = templates[main]
        files.copy(spec.source.blobs / blob.path, spec.folder / staged_data.INPUTS)
    files.write_json(spec.folder / "data.manifest.json", {
        "pipeline": spec.pipeline, "profile": "", "declared": [],
        "params": {PARAM: {"kind": "sheet", "path": main}},
        "sheets": stage.sheets_listed(staged, templates), "files": stage.listed(staged)})
    size = sum({blob.path: blob.size for blob in staged.files.values()}.values())
    carried = (f"{len(staged.files)} files, {files.human_size(size)}" if staged.files
               else "the sheet alone: none of its cells names a file or folder")
    return (f"{carried}{note}\n"
            f"carry it: doit push:release:{spec.pipeline}; on the offline host: ./doit role=prod "
            f"pipeline={spec.pipeline} input={spec.folder.name}")


def _check(spec: OwnSpec) -> None:
    if not spec.sheet.is_file():
        raise ConfigError("there is no such file, given by input=", where=spec.sheet.absolute(),
                          todo="give its absolute path")
    if not re.fullmatch(staged_data.OWN_NAME, spec.folder.name):
        raise ConfigError("the sheet's name is that of its data on the offline host, and this one "
                          "can't be", where=spec.sheet,
                          todo="name it with letters, digits and . _ - alone, beginning with a "
                               "letter or digit")


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Files and folders that cells name by absolute paths, or by `..`, from `root` on.

    `outside` are those below none of the `allowed` folders.
    """

    root: Path
    allowed: Sequence[Path]
    outside: list[str] = field(default_factory=list)

    def find(self, text: str) -> Path | None:
        """The file or folder, if there is one that may be taken."""
        if not text.strip("./"):
            return None
        try:
            path = self.root / text
            is_there = path.exists()
            place = path.resolve()
        except (OSError, ValueError, RuntimeError):  # no path at all, such as a long text
            return None
        if not is_there:
            return None
        if any(place.is_relative_to(folder) for folder in self.allowed):
            return place if ".." in path.parts else path
        self.outside.append(text)
        return None

    def refuse(self, sheet: Path) -> None:
        """ConfigError with all files that were found outside."""
        if self.outside:
            raise ConfigError(
                "the sheet names files that lie below none of "
                + ", ".join(map(str, self.allowed)) + ":\n"
                + "\n".join(f"    {place}" for place in dict.fromkeys(self.outside)), where=sheet,
                todo="put them beside the sheet, or name their folder in hosts.folders of the "
                     "site's config")
