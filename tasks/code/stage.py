"""The pipeline's code in one archive, whose bytes depend on the files alone."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from tasks.code import folder, git
from tasks.core import config_places, files, lock_files
from tasks.core.archives import limits, unpacking
from tasks.core.archives.limits import Count
from tasks.core.errors import ConfigError, SourceError
from tasks.core.lock_files import Entries, Entry, Locked, LockFiles
from tasks.core.net import download, urls
from tasks.core.net.network import Network

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
MAX_ARCHIVE = 10**10
"""Bytes of an archive of code."""
MAX_GITMODULES, MAX_LINE = 2**18, 1024
"""Bytes of .gitmodules, and of a line there."""
LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, kw_only=True)
class FolderStage:
    """What `stage` reads for a folder. `listing` is folder.listing() as the graph saw it."""

    pipeline: str
    source: str
    revision: str | None
    listing: Mapping[str, str]
    archive: Path
    manifest: Path


@dataclass(frozen=True, kw_only=True)
class GitStage:
    """What `stage` reads for a git repository at a revision."""

    pipeline: str
    source: str
    revision: str | None
    urls: Mapping[str, str]
    cache: Path
    archive: Path
    manifest: Path
    lock: LockFiles
    log: Path
    relock: bool


@dataclass(frozen=True, kw_only=True)
class ArchiveStage:
    """What `stage` reads for an archive, whose SHA-256 is known beforehand."""

    pipeline: str
    source: str
    revision: str | None
    sha256: str
    urls: Mapping[str, str]
    archive: Path
    manifest: Path
    lock: LockFiles
    network: Network = field(default_factory=Network)


Stage = FolderStage | GitStage | ArchiveStage


def from_folder(spec: FolderStage) -> str:
    """Stage a folder as it is; a source that changes meanwhile is an error, and nothing is built.
    """
    root = folder.root(spec.source)
    if not root.is_dir():
        raise SourceError("the pipeline's folder is not there", where=spec.source,
                          todo=f"look at `source` in {config_places.pipeline(spec.pipeline)}")
    before = folder.digests(root, spec.listing)
    paths = [root / name for name in spec.listing]
    _refuse_odd(root, paths)
    fresh = spec.archive.with_name(f".{spec.archive.name}.fresh")
    try:
        files.write_tar(fresh, root, paths)
        packed = folder.packed(fresh)
        if not (before == packed == folder.digests(root, folder.listing(root))):
            raise SourceError("the source changed while it was staged", where=spec.source,
                              todo="wait until it rests, then run the same command again")
        fresh.replace(spec.archive)
    finally:
        fresh.unlink(missing_ok=True)
    _write_manifest(spec, revision=spec.revision or "dev", commit=None, seconds=None,
                    count=len(paths))
    left = folder.left_out(root)
    return f"{len(paths)} files" + (f"; left out: {', '.join(left)}" if left else "")


def from_git(spec: GitStage) -> str:
    """Stage a commit's tree: what the revision means now, which must be what the lock says.

    Raises SourceError where the revision has moved, where repository or revision are not there,
    or where the tree needs what a plain tree does not hold (submodules, git-lfs).
    """
    if spec.revision is None:
        raise ConfigError("a git source needs a revision: a tag, a branch or a commit",
                          where=f"`revision` in {config_places.pipeline(spec.pipeline)}")
    url = urls.mapped(spec.source, spec.urls)
    if urls.has_password(spec.source) or urls.has_password(url):
        raise ConfigError("the source's URL holds a user name or password",
                          where=urls.redact(spec.source),
                          todo=f"take it out of `source` and hosts.urls; put it into {git.TOKEN}, "
                               "or git's credential helper (git help credentials)")
    locked = _locked(spec)
    try:
        commit, seconds = git.resolve(spec.cache, url, spec.revision, log=spec.log)
    except SourceError as error:
        raise _with_lock(spec, locked, error) from error
    if lock := locked.entries.get(lock_files.WHOLE):
        what = f"{spec.source} at {spec.revision}"
        lock_files.compare({what: lock["commit"]}, {what: commit}, lock=spec.lock,
                           relock=spec.relock, own=[what] if locked.own else [])
    with files.scratch(spec.archive.parent, "code") as root:
        git.write_tree(spec.cache, commit, root)
        paths = files.tree(root)
        _refuse_odd(root, paths)
        files.write_tar(spec.archive, root, paths, mtime=seconds)
    _write_manifest(spec, revision=spec.revision, commit=commit, seconds=seconds,
                    count=len(paths))
    _lock(spec, locked, {"source": spec.source, "revision": spec.revision, "commit": commit},
          is_fresh=spec.relock or not lock)
    return f"{len(paths)} files of commit {commit[:12]}"


def from_archive(spec: ArchiveStage) -> str:
    """Stage what an archive holds, without the one folder around it that forges put there.

    The commit is the one that `git archive` wrote into it. Raises IntegrityError where the bytes
    are not those promised, or a member is hostile; SourceError as the other sources do.
    """
    with files.scratch(spec.archive.parent, "code") as folder:
        fetched, place = folder / "archive", folder / "tree"
        got = download.fetch(
            urls.mapped(urls.located(spec.source), spec.urls), fetched,
            network=spec.network.naming(spec.source, *spec.urls.values()), most=MAX_ARCHIVE)
        download.hold(got, spec.sha256, what="the archive is not the one that was promised",
                      where=urls.redact(spec.source),
                      todo="compare `sha256` in the pipeline's config with what its publisher says")
        comment = unpacking.unpack(fetched, place)
        inside = list(place.iterdir())
        root = inside[0] if len(inside) == 1 and inside[0].is_dir() else place
        paths = files.tree(root)
        _refuse_odd(root, paths)
        files.write_tar(spec.archive, root, paths)
    commit = comment if comment and COMMIT.fullmatch(comment) else None
    _write_manifest(spec, revision=spec.revision or spec.sha256[:12], commit=commit, seconds=None,
                    count=len(paths))
    # Its SHA-256 stands in the configuration, so that no site can have another.
    lock_files.write(spec.lock, Locked(own={}, shared={lock_files.WHOLE: {
        "source": urls.redact(spec.source), "revision": spec.revision or spec.sha256[:12],
        "sha256": spec.sha256, **({"commit": commit} if commit else {})}}), _form)
    return f"{len(paths)} files" + (f" of commit {commit[:12]}" if commit else "")


def _with_lock(spec: GitStage, locked: Locked, error: SourceError) -> SourceError:
    """The error of a repository that lacks what is locked of it, with what that is."""
    lock = locked.entries.get(lock_files.WHOLE)
    if lock is None:
        return error
    place = spec.lock.own if locked.own else spec.lock.shared
    return SourceError(f"{error.what}\n  locked: commit {lock['commit']}, in {place}",
                       where=error.where, todo=error.todo)


def _locked(spec: GitStage) -> Locked:
    """What is locked of this source and revision, by all sites and by this one."""
    shared, own = ({lock_files.WHOLE: lock} if lock and "commit" in lock and (
        lock["source"], lock["revision"]) == (spec.source, spec.revision) else {}
        for lock in lock_files.read_both(spec.lock, "code-lock"))
    return Locked(shared=shared, own=own)


def _lock(spec: GitStage, locked: Locked, now: Entry, *, is_fresh: bool) -> None:
    name, reached = lock_files.WHOLE, urls.mapped(spec.source, spec.urls)
    own = {} if reached == spec.source else {name: urls.redact(reached)}
    lock_files.write(spec.lock, locked.renewed({name: now}, [name] if is_fresh else [], own), _form)


def _form(entries: Entries) -> Entry:
    return entries[lock_files.WHOLE]


def _write_manifest(spec: Stage, *, revision: str, commit: str | None,
                    seconds: int | None, count: int) -> None:
    date = None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    files.write_json(spec.manifest, {
        "pipeline": spec.pipeline, "source": urls.redact(config_places.relative(spec.source)),
        "revision": revision, "commit": commit, "date": date,
        "sha256": files.sha256(spec.archive), "files": count})


def _refuse_odd(root: Path, paths: list[Path]) -> None:
    """Refuse, all at once, what the far side could not unpack or would find empty."""
    faults = []
    count = Count(bounds=limits.CODE, where=root, todo="take out what is no code, such as data")
    for path in paths:
        name = path.relative_to(root).as_posix()
        if any(ord(character) < 32 or ord(character) == 127 for character in name):
            faults.append(f"{name!r}: control characters in a file's name")
        elif path.is_symlink():
            if not files.points_inside(name, str(path.readlink())):
                faults.append(f"{name}: the link points out of the pipeline, to {path.readlink()}")
        elif not path.is_file():
            faults.append(f"{name}: neither a file nor a link")
        else:
            count.add(name, path.stat().st_size)
            with path.open("rb") as stream:
                if stream.read(len(LFS)) == LFS:
                    faults.append(f"{name}: a git-lfs pointer, whose content lies elsewhere")
    faults += [f"{name}: a submodule (.gitmodules), whose files are not there"
               for name in _submodules(root) if not any((root / name).glob("*"))]
    if not paths:
        faults.append("there is no file at all")
    if faults:
        raise SourceError("the pipeline's code can't be carried as it is:\n"
                          + "\n".join(f"    {fault}" for fault in faults),
                          todo="mend the source; git-lfs and submodules are not supported")


def _submodules(root: Path) -> list[str]:
    """The folders that .gitmodules names: forges' archives have them empty, without a word."""
    path = root / ".gitmodules"
    if not path.is_file() or path.is_symlink():
        return []
    if path.stat().st_size > MAX_GITMODULES:
        return ["(.gitmodules can't be read)"]
    parser = configparser.RawConfigParser(strict=False)
    lines = path.read_text(errors="replace").splitlines()
    if any(len(line) > MAX_LINE for line in lines):  # the parser takes quadratic time for some
        return ["(.gitmodules can't be read)"]
    try:
        parser.read_string("\n".join(map(str.strip, lines)))
    except configparser.Error:
        return ["(.gitmodules can't be read)"]
    return [place for section in parser.sections()
            if (place := parser.get(section, "path", fallback=""))
            and ".." not in place and not place.startswith("/")]
