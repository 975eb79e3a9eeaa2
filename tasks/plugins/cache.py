"""The plugins that a pipeline's config asks for: fetched, checked, locked, in one archive."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import archives, download, files, locks, nextflow, urls
from tasks.core.errors import IntegrityError, SourceError
from tasks.plugins import archive, index


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """What `plugins:cache` reads, and where its files go. `nextflow` is the runtime's version."""

    pipeline: str
    nextflow: str
    index: str
    code: Path
    runtime: Path
    listed: Path
    archive: Path
    lock: Path
    log: Path
    relock: bool


def cache(spec: Plugins) -> str:
    """Make plugins.tar, as it is unpacked into $NXF_HOME/plugins, and plugins.txt.

    Raises SourceError where a plugin can't be had, IntegrityError where its bytes are not what
    the index or the lock says, or its zip is hostile.
    """
    # Nextflow allows plugins at the config's top only, so no profile changes them.
    with nextflow.resolved(spec.code, spec.runtime, profile="standard",
                           log=spec.log) as (_, config):
        wanted = index.wanted(config.get("plugins"))
    lock = locks.read(spec.lock, "plugins-lock")
    locked = {each["id"]: each for each in lock["plugins"]} if lock else {}
    with tempfile.TemporaryDirectory(prefix=".plugins.", dir=spec.archive.parent) as temporary:
        scratch = Path(temporary)
        entries = _fetch(spec, wanted, locked, scratch) if wanted else []
        root = scratch / "unpacked"
        files.write_tar(spec.archive, root, files.tree(root))
    files.write_text(spec.listed, "".join(f"{each['id']}@{each['version']}\n" for each in entries))
    files.write_json(spec.lock, {"plugins": entries})
    return ", ".join(f"{each['id']}@{each['version']}" for each in entries) or "no plugins"


def _fetch(spec: Plugins, wanted: Mapping[str, str | None], locked: Mapping[str, Any],
           scratch: Path) -> list[dict[str, str]]:
    """Fetch and unpack all below `scratch`/unpacked; the lock's entries, sorted by id."""
    catalogue = scratch / "plugins.json"
    download.fetch(spec.index, catalogue)
    known = index.read(catalogue)
    entries = []
    for plugin, pinned in sorted(wanted.items()):
        before = locked.get(plugin)
        version = pinned or (before["version"] if before and not spec.relock else None)
        release = index.choose(known, spec.index, plugin, version, spec.nextflow)
        if before and before["version"] != release.version:
            before = None
        entries.append(_one(spec, release, before, scratch))
    _refuse_missing(scratch / "unpacked", wanted)
    return entries


def _one(spec: Plugins, release: index.Release, before: Mapping[str, str] | None,
         scratch: Path) -> dict[str, str]:
    name = f"{release.id}-{release.version}"
    path = scratch / f"{name}.zip"
    got = download.fetch(release.url, path)
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    if before:
        locks.compare({release.name: before["sha256"]}, {release.name: got.sha256},
                      lock=spec.lock, relock=spec.relock)
    if release.sha512 is None and before is None:
        raise IntegrityError(f"the index has no sha512sum of {release.name}, so nothing vouches "
                             "for its bytes", where=urls.redact(spec.index),
                             todo=f"check the zip by hand, then write its entry into {spec.lock} "
                                  "(docs/decisions/plugins-without-a-checksum.md)")
    if release.sha512 not in (None, sha512):
        raise IntegrityError(f"{release.name} is not what the index says:\n"
                             f"    index: {release.sha512}\n    found: {sha512}",
                             where=urls.redact(release.url), todo="fetch it again later, or ask "
                             "who keeps the index")
    target = scratch / "unpacked" / name
    archives.unpack_zip(path, target)
    told = archive.manifest(target)
    if (told.get("Plugin-Id"), told.get("Plugin-Version")) != (release.id, release.version):
        raise IntegrityError(f"the zip of {release.name} holds {told.get('Plugin-Id')}@"
                             f"{told.get('Plugin-Version')}", where=urls.redact(release.url))
    if before and before["sha256"] == got.sha256:
        return dict(before)  # as another site's mirror of the index has it, too
    return {"id": release.id, "version": release.version, "url": urls.redact(release.url),
            "sha512": sha512, "sha256": got.sha256}


def _refuse_missing(root: Path, wanted: Mapping[str, str | None]) -> None:
    """Refuse plugins whose own dependencies the pipeline does not list: offline none is fetched.

    A manifest has them as `id@condition, …`; a question mark marks an optional one (PF4J).
    """
    faults = []
    for folder in sorted(root.iterdir()):
        for needed in archive.manifest(folder).get("Plugin-Dependencies", "").split(","):
            plugin = needed.partition("@")[0].strip()
            if plugin and not plugin.endswith("?") and plugin not in wanted:
                faults.append(f"{folder.name} needs {needed.strip()}")
    if faults:
        raise SourceError("plugins need others that the config does not list:\n"
                          + "\n".join(f"    {fault}" for fault in faults),
                          where="plugins in nextflow.config", todo="list them, with versions")
