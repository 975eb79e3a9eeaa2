"""The plugins that a pipeline's config asks for: fetched, checked, locked, in one archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import files, lock_files, schema
from tasks.core.archives import zips
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import IntegrityError, SourceError
from tasks.core.lock_files import Entries, Locked, LockFiles
from tasks.core.net import download, urls
from tasks.core.net.network import Network
from tasks.core.nextflow import plugin_pins, plugin_ranges
from tasks.core.source import resolved_config
from tasks.plugins import index, needs
from tasks.plugins.manifest import read_manifest
from tasks.plugins.needs import Need

MAX_ZIP = 10**9
"""Bytes of a plugin's zip; nf-amazon has 40 MB."""


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """What `plugins:cache` reads, and where its files go. `nextflow` is the runtime's version.

    `by_hand` are the plugins of our own configuration, `merged` is the lock as it holds for the
    site.
    """

    pipeline: str
    nextflow: str
    at: PluginsAt
    urls: Mapping[str, str]
    by_hand: tuple[str, ...]
    resolved: Path
    runtime: Path
    data_manifest: Path
    listed: Path
    archive: Path
    lock: LockFiles
    merged: Path
    relock: bool
    network: Network = field(default_factory=Network)

    @property
    def named(self) -> Network:
        """The network, where all that the other keys name may be asked, too."""
        return self.network.naming(self.at.index or "", self.at.registry or "", *self.urls.values())


def cache(spec: Plugins) -> str:
    """Make plugins.tar, as it is unpacked into $NXF_HOME/plugins, and plugins.txt.

    Raises SourceError where a plugin can't be had, IntegrityError where its bytes are not what
    the index or the lock says, or its zip is hostile.
    """
    answered = schema.read_json(spec.data_manifest, "data-manifest")["params"]
    wanted = needs.needs(resolved_config.config(spec.resolved), answered, spec.by_hand,
                         needs.made_with(spec.runtime))
    locked = _read(spec.lock)
    with files.scratch(spec.archive.parent, "plugins") as scratch:
        fetched = _fetch(spec, wanted, locked, scratch)
        entries = [plugin.entry for plugin in fetched]
        root = scratch / "unpacked"
        files.write_tar(spec.archive, root, files.tree(root))
    files.write_text(spec.listed, "".join(f"{entry['id']}@{entry['version']}\n"
                                          for entry in entries))
    lock_files.write(spec.lock, locked.renewed(
        {entry["id"]: entry for entry in entries},
        [plugin.entry["id"] for plugin in fetched if plugin.is_fresh],
        {plugin.entry["id"]: plugin.own_place for plugin in fetched if plugin.own_place}), _form)
    files.write_json(spec.merged, {"plugins": entries})
    return "\n".join(map(_line, entries)) or "no plugins"


@dataclass(frozen=True, kw_only=True)
class _Fetched:
    """A plugin's entry in the lock, and whether that is another than before.

    `own_place` is where it was asked, if that is a place of the site's own.
    """

    entry: Mapping[str, str]
    is_fresh: bool
    own_place: str | None


def _read(lock: LockFiles) -> Locked:
    shared, own = ({entry["id"]: entry for entry in (read or {"plugins": []})["plugins"]}
                   for read in lock_files.read_both(lock, "plugins-lock"))
    return Locked(shared=shared, own=own)


def _form(entries: Entries) -> dict[str, Any]:
    return {"plugins": [entries[name] for name in sorted(entries)]}


def _line(entry: Mapping[str, str]) -> str:
    asked = entry.get("asked", "*")
    return (f"{entry['id']}@{entry['version']}: {entry['because']}"
            + ("" if asked == "*" else f", which asks for {asked}"))


def _fetch(spec: Plugins, wanted: Mapping[str, Need], locked: Locked,
           scratch: Path) -> list[_Fetched]:
    """Fetch and unpack all below `scratch`/unpacked, and what they depend on, by their ids."""
    entries: dict[str, dict[str, str]] = {}
    fetched: dict[str, _Fetched] = {}
    left = dict(wanted)
    while left:
        asked = {name: need.version or _locked(spec, locked.entries.get(name), need)
                 for name, need in left.items()}
        answers = index.ask_all(spec.at, {
            name: version or left[name].condition for name, version in asked.items()},
            spec.nextflow, scratch, spec.named)
        for name, need in sorted(left.items()):
            known, base = answers[name]
            release = _chosen(spec, locked, known, base, name, asked[name], need)
            before = locked.entries.get(name)
            if before and before["version"] != release.version:
                before = None
            entries[name] = {**_one(spec, release, before, scratch, is_own=name in locked.own),
                             "because": need.because}
            for key in ("asked", "reached_at"):
                entries[name].pop(key, None)
            fetched[name] = _Fetched(
                entry=entries[name], is_fresh=spec.relock or before is None,
                own_place=index.own_place(base, release.url, spec.urls))
            if need.version is None and need.because in (plugin_pins.DECLARED, needs.BY_HAND):
                entries[name]["asked"] = need.condition or "*"
        left = {name: need for name, need in _dependencies(scratch / "unpacked", entries).items()
                if name not in entries}
    return [fetched[name] for name in sorted(fetched)]


def _chosen(spec: Plugins, locked: Locked, known: list[Any], base: str, name: str,
            version: str | None, need: Need) -> index.Release:
    """The release; where the site's index lacks the one that is locked, the error says of the lock.
    """
    try:
        return index.choose(known, base, name, version, spec.nextflow, need.condition)
    except SourceError as error:
        if need.version is not None or version is None:
            raise
        place = spec.lock.own if name in locked.own else spec.lock.shared
        raise SourceError(f"{error.what}\n  locked: {name}@{version}, in {place}",
                          where=error.where, todo="to lock what is there now: "
                          f"{spec.lock.renewing}") from error


def _locked(spec: Plugins, before: Mapping[str, str] | None, need: Need) -> str | None:
    """The version that the lock has of a plugin that isn't pinned."""
    fits = before is not None and plugin_ranges.meets(before["version"], need.condition)
    return before["version"] if before and fits and not spec.relock else None


def _dependencies(root: Path, entries: Mapping[str, Mapping[str, str]]) -> dict[str, Need]:
    """What the unpacked plugins need besides: offline none is fetched.

    A manifest has them as `id@condition, …`; a question mark marks an optional one (PF4J).
    """
    needed_by_id = {}
    for name, entry in entries.items():
        manifest = read_manifest(root / f"{name}-{entry['version']}")
        for needed in manifest.get("Plugin-Dependencies", "").split(","):
            plugin, _, condition = needed.strip().partition("@")
            if plugin and not plugin.endswith("?"):
                needed_by_id[plugin] = Need(version=None, condition=condition.strip(),
                                            because=f"{name}{plugin_pins.DEPENDS}")
    return needed_by_id


def _one(spec: Plugins, release: index.Release, before: Mapping[str, str] | None,
         scratch: Path, *, is_own: bool) -> dict[str, str]:
    name = f"{release.id}-{release.version}"
    path = scratch / f"{name}.zip"
    try:
        got = download.fetch(urls.mapped(release.url, spec.urls), path, network=spec.named,
                             most=MAX_ZIP)
    except SourceError as error:
        raise SourceError(f"the zip of {release.name} can't be had: {error.what}",
                          where=error.where, todo=error.todo or "see who keeps the plugin index "
                          "that names it, and whether hosts.urls leads to its zips") from error
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    if before:
        lock_files.compare({release.name: before["sha256"]}, {release.name: got.sha256},
                           lock=spec.lock, relock=spec.relock,
                           own=[release.name] if is_own else [])
    if release.sha512 is None and before is None:
        raise IntegrityError(f"the index has no sha512sum of {release.name}, so nothing vouches "
                             "for its bytes", where=urls.redact(release.url),
                             todo=f"check the zip by hand, then write its entry into "
                                  f"{spec.lock.shared} "
                                  "(docs/decisions/plugins-without-a-checksum.md)")
    if release.sha512 not in (None, sha512):
        raise IntegrityError(f"{release.name} is not what the index says:\n"
                             f"    index: {release.sha512}\n    found: {sha512}",
                             where=urls.redact(release.url), todo="fetch it again later, or ask "
                             "who keeps the index")
    target = scratch / "unpacked" / name
    zips.unpack_zip(path, target)
    manifest = read_manifest(target)
    if (manifest.get("Plugin-Id"), manifest.get("Plugin-Version")) != (release.id, release.version):
        raise IntegrityError(f"the zip of {release.name} holds {manifest.get('Plugin-Id')}@"
                             f"{manifest.get('Plugin-Version')}", where=urls.redact(release.url))
    if before and before["sha256"] == got.sha256:
        return {**before}  # as another site's mirror of the index has it, too
    return {"id": release.id, "version": release.version, "url": urls.redact(release.url),
            "sha512": sha512, "sha256": got.sha256}
