"""What a user gives a run, a sheet and params, as its record has it: by place and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.paths import MANIFEST
from tasks.offline_host.run_folder import RunFolder, cleaned, in_utf8


def file(path: Path) -> dict[str, Any]:
    """A file of the user's, by its absolute path."""
    place = path.expanduser().absolute()
    return {"place": in_utf8(place), "carried": False, "sha256": files.sha256(place),
            "size": place.stat().st_size}


def sheet(name: str | None, own: Mapping[str, Any], *,
          carried: Path | str | None) -> dict[str, Any] | None:
    """The sheet that was given by input=, else the one that the params `own` name, if any.

    `carried` is its folder in the release, where it has one.
    """
    if name and carried and not Path(name).expanduser().is_file():
        manifest = Path(carried) / MANIFEST
        return {**file(manifest), "place": manifest.parent.name, "carried": True}
    named = own.get("input")
    if isinstance(named, str) and "\0" not in named and Path(named).is_absolute() and (
            Path(named).is_file()):
        return file(Path(named))
    return None  # a relative one is Nextflow's to look for, in its launch folder


def outdir(own: Mapping[str, Any]) -> Path | None:
    """The folder for results that params name, absolute; ConfigError where it is none."""
    named = own.get("outdir")
    if named is None:
        return None
    if not isinstance(named, str) or not named or "\0" in named or "://" in named:
        raise ConfigError(f"params.outdir is no folder of this host: {named!r}", where="params=",
                          todo="name a folder, so that the results can be recorded; or leave it "
                               "out, and they lie in the run's own")
    return Path(named).expanduser().absolute()


def keep(folder: RunFolder, *rows: Mapping[str, Any] | None) -> None:
    """Copy what was given beside the record, for this user alone.

    ConfigError where a file is no longer what its digest says.
    """
    for row in rows:
        if row is None or row["carried"]:
            continue
        source = Path(row["place"])
        digest = hashlib.sha256()
        target = folder.inputs / f"{row['sha256'][:12]}-{cleaned(source.name)}"
        with source.open("rb") as reader, files.atomic(target, mode=0o600) as writer:
            while block := reader.read(files.CHUNK):
                digest.update(block)
                writer.write(block)
        if digest.hexdigest() != row["sha256"]:
            raise ConfigError("this was changed while the run began", where=source,
                              todo="run the same command again")
