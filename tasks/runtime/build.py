"""A Nextflow runtime: its jars, from Maven or from a -dist file, and a launcher in one archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import files, lock_files
from tasks.core.archives import limits, zips
from tasks.core.errors import IntegrityError
from tasks.core.lock_files import Entry, Locked, LockFiles
from tasks.core.net import urls
from tasks.core.nextflow import isolation, known_faults
from tasks.core.pom import Coordinates
from tasks.core.schema import check
from tasks.runtime import declared, maven
from tasks.runtime.dist import MAIN, Dist, extract, fetch

LAUNCHER = Path(__file__).with_name("nextflow.sh")
BUILD_INFO = "META-INF/build-info.properties"
MAX_INFO = 2**20
"""Bytes of that file; Nextflow's own has some 200."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What `runtime` reads: the version, its Maven coordinates or its -dist, and its files.

    `jars` is the file for what Maven's poms say of them, `repository` where Maven keeps what it
    fetched, `central` the site's own place for Maven Central. `environment` is that of doit, of
    which Maven gets what its settings name, a password perhaps: how jars are fetched, not which.
    """

    pipeline: str
    version: str
    coordinates: tuple[str, ...]
    archive: Path
    sums: Path
    jars: Path
    lock: LockFiles
    log: Path
    relock: bool
    repository: Path
    central: str | None = None
    dist: Dist | None = None
    isolation: str = isolation.FULL
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def build(spec: Runtime) -> str:
    """Make the runtime's archive, its SHA-256, what is said of its jars, and its lock.

    Raises SourceError where it can't be had, or when bytes are not those of the lock,
    IntegrityError when the jars are of another version than the one that was asked for.
    """
    with files.scratch(spec.archive.parent, "runtime") as folder:
        place = folder / f"nextflow-{spec.version}"
        place.mkdir()
        lock, known = _fetch_jars(spec, folder, place / "lib")
        renewed = _hold_against_lock(spec, lock)
        _check_version(place / "lib", spec.version)
        launcher = place / "nextflow"
        launcher.write_bytes(LAUNCHER.read_bytes())
        launcher.chmod(0o755)
        files.write_tar(spec.archive, folder, files.tree(place))
    files.write_text(spec.sums, f"{files.sha256(spec.archive)}  {spec.archive.name}\n")
    document = {"version": spec.version,
                "jars": declared.described(lock["jars"], known, spec.repository)}
    files.write_json(spec.jars, check(document, "runtime-jars", where=spec.jars))
    lock_files.write(spec.lock, renewed, lambda entries: entries[lock_files.WHOLE])
    size = files.human_size(spec.archive.stat().st_size)
    return "\n".join([f"{len(lock['jars'])} jars, {size}",
                      *map(str, known_faults.foreseen(spec.version))])


def _fetch_jars(spec: Runtime, scratch: Path, lib: Path
                ) -> tuple[dict[str, Any], dict[str, Coordinates]]:
    """Put the jars into the folder `lib`; what the lock records, and what Maven knows them by."""
    lock: dict[str, Any] = {"version": spec.version}
    known: dict[str, Coordinates] = {}
    if spec.dist is None:
        fetched = scratch / "maven/lib"  # what else lies there is no part of the runtime
        known = maven.resolve(
            spec.coordinates, fetched, log=spec.log, repository=spec.repository,
            least=spec.isolation, environment=spec.environment, central=spec.central)
        fetched.rename(lib)
        lock["coordinates"] = list(spec.coordinates)
    else:
        path = scratch / f"nextflow-{spec.version}-dist"
        lock["dist"] = fetch(spec.dist, path)
        extract(path, lib / f"nextflow-{spec.version}-one.jar")
    lock["jars"] = [{"name": path.name, "sha256": files.sha256(path),
                     "size": path.stat().st_size} for path in sorted(lib.iterdir())]
    return lock, known


def _check_version(lib: Path, version: str) -> None:
    """Hold what the jar with the main class says of itself against the version asked for."""
    for path in sorted(lib.glob("*.jar")):
        with zips.open_zip(path, allowed=limits.JAR) as jar:
            names = set(jar.namelist())
            if MAIN in names and BUILD_INFO in names:
                info = zips.read_member(jar, BUILD_INFO, most=MAX_INFO)
                about = dict(line.split("=", 1) for line in
                             info.decode(errors="replace").splitlines() if "=" in line)
                if about.get("version") == version:
                    return
                raise IntegrityError(f"this is Nextflow {about.get('version')}, and {version} was "
                                     "asked for", where=path.name,
                                     todo="make `nextflow` in the pipeline's config agree with "
                                          "itself: version, and coordinates or dist")
    raise IntegrityError(f"none of the jars is Nextflow itself: {MAIN} with {BUILD_INFO}",
                         where=lib.name, todo="look at `nextflow` in the pipeline's config")


def _hold_against_lock(spec: Runtime, now: dict[str, Any]) -> Locked:
    """Return the lock as it is to be written.

    SourceError where the same coordinates or the same -dist give other bytes than before.
    """
    name = lock_files.WHOLE
    shared, own = ({} if lock is None else {name: lock} for lock in (
        lock_files.read_both(spec.lock, "runtime-lock")))
    locked = Locked(shared=shared, own=own if _is_asked(own.get(name), now) else {})
    lock = locked.entries.get(name)
    if lock is not None:
        _compare(spec, lock, now, is_own=bool(locked.own))
    is_fresh = spec.relock or not _is_asked(lock, now)
    place = _own_place(spec)
    return locked.renewed({name: now}, [name] if is_fresh else [], {name: place} if place else {})


def _is_asked(lock: Entry | None, now: Entry) -> bool:
    """Whether what is locked is what is asked for now: this version, from there."""
    return lock is not None and all(lock.get(key) == now.get(key) for key in (
        "version", "coordinates")) and _url(lock) == _url(now)


def _url(lock: Entry) -> str | None:
    return lock["dist"]["url"] if "dist" in lock else None


def _own_place(spec: Runtime) -> str | None:
    """The place of the site's own that the runtime came from; None where it's the publisher's."""
    if spec.dist is None:
        return (urls.redact(spec.central) if spec.central
                else maven.own_repository(spec.coordinates, spec.repository))
    own = spec.dist.reached_at != spec.dist.place
    return urls.redact(spec.dist.reached_at) if own else None


def _compare(spec: Runtime, lock: Entry, now: Entry, *, is_own: bool) -> None:
    before, after = ({jar["name"]: jar["sha256"] for jar in side["jars"]} for side in (lock, now))
    if spec.dist is not None:
        dist = lock.get("dist", {"url": None, "sha256": "(from Maven)"})
        if lock["version"] == spec.version or dist["url"] == urls.redact(spec.dist.place):
            before["the -dist file"] = dist["sha256"]
            after["the -dist file"] = now["dist"]["sha256"]
    elif lock.get("coordinates") == list(spec.coordinates):
        # The same coordinates give the same set, so a jar that came or went is a change too.
        before, after = ({name: side.get(name, "(not there)") for name in {*before, *after}}
                         for side in (before, after))
    lock_files.compare(before, after, lock=spec.lock, relock=spec.relock,
                       own=before if is_own else [])
