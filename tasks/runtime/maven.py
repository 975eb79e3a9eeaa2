"""A Nextflow runtime: the jars that Maven resolves, with a launcher, in one archive."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, locks, processes
from tasks.core.errors import SourceError

LAUNCHER = Path(__file__).with_name("nextflow.sh")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
INSTALL_MAVEN = "install Maven (on Debian: apt-get install maven)"

# Maven's own repository in the home folder takes one writer at a time.
_one_maven = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What `runtime` reads: the version, its Maven coordinates, and where files go."""

    pipeline: str
    version: str
    coordinates: tuple[str, ...]
    archive: Path
    sums: Path
    lock: Path
    log: Path
    relock: bool


def build(spec: Runtime) -> str:
    """Make the runtime's archive, its SHA-256 and its lock.

    Maven reads the user's settings.xml, so a proxy or mirror that stands there is used. Raises
    HostError without Maven, CommandError when it fails, SourceError when a jar's bytes are
    not those of the lock.
    """
    maven = processes.find("mvn", todo=INSTALL_MAVEN)
    spec.archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".runtime.", dir=spec.archive.parent) as temporary:
        folder = Path(temporary)
        place = folder / f"nextflow-{spec.version}"
        resolve(maven, spec.coordinates, place / "lib", log=spec.log)
        jars = [{"name": path.name, "sha256": files.sha256(path), "size": path.stat().st_size}
                for path in sorted((place / "lib").iterdir())]
        _hold_against_lock(spec, jars)
        launcher = place / "nextflow"
        launcher.write_bytes(LAUNCHER.read_bytes())
        launcher.chmod(0o755)
        files.write_tar(spec.archive, folder, files.tree(place))
    files.write_text(spec.sums, f"{files.sha256(spec.archive)}  {spec.archive.name}\n")
    files.write_json(spec.lock, {"version": spec.version, "coordinates": list(spec.coordinates),
                                 "jars": jars})
    return f"{len(jars)} jars, {files.human_size(spec.archive.stat().st_size)}"


def resolve(maven: str, coordinates: tuple[str, ...], target: Path, *, log: Path) -> None:
    """Let Maven put the jars of `coordinates` and their dependencies into the folder `target`."""
    project = target.parent / "pom.xml"
    files.write_text(project, pom(coordinates))
    command = [maven, "--batch-mode", "--no-transfer-progress", "--file", str(project.absolute()),
               COPY, "-DincludeScope=runtime", f"-DoutputDirectory={target.absolute()}"]
    with _one_maven:
        processes.run(command, log=log,
                      todo="where Maven Central is out of reach, name a mirror in Maven's own "
                           "settings.xml (~/.m2/settings.xml)")
    project.unlink()
    if not target.is_dir():
        raise SourceError("Maven resolved no jar", where=log,
                          todo="look at `nextflow.coordinates` in the pipeline's config")


def pom(coordinates: tuple[str, ...]) -> str:
    """A Maven project that depends on `coordinates` (group:artifact:version) alone."""
    from xml.sax.saxutils import escape
    wanted = "".join(
        "<dependency>"
        f"<groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>"
        for group, artifact, version in (each.split(":") for each in coordinates))
    return ('<project xmlns="http://maven.apache.org/POM/4.0.0">'
            "<modelVersion>4.0.0</modelVersion><groupId>airlock</groupId>"
            "<artifactId>runtime</artifactId><version>1</version>"
            f"<dependencies>{wanted}</dependencies></project>\n")


def _hold_against_lock(spec: Runtime, jars: list[dict[str, Any]]) -> None:
    lock = locks.read(spec.lock, "runtime-lock")
    if lock is None:
        return
    locked = {jar["name"]: jar["sha256"] for jar in lock["jars"]}
    found = {jar["name"]: jar["sha256"] for jar in jars}
    if lock["coordinates"] == list(spec.coordinates):
        # The same coordinates give the same set, so a jar that came or went is a change too.
        locked, found = ({name: side.get(name, "(not there)") for name in {*locked, *found}}
                         for side in (locked, found))
    locks.compare(locked, found, lock=spec.lock, relock=spec.relock)
