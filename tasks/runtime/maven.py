"""The jars that Maven resolves for a list of coordinates."""

from __future__ import annotations

import threading
from pathlib import Path

from tasks.core import files, processes
from tasks.core.errors import SourceError

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
INSTALL_MAVEN = "install Maven (on Debian: apt-get install maven)"

# Maven's own repository in the home folder takes one writer at a time.
_one_maven = threading.Lock()


def resolve(coordinates: tuple[str, ...], target: Path, *, log: Path) -> None:
    """Let Maven put the jars of `coordinates` and their dependencies into the folder `target`.

    Maven reads the user's settings.xml, so a proxy or mirror that stands there is used. What it
    downloads without the right checksum beside it is refused; by itself it would only warn. Raises
    HostError without Maven, CommandError when it fails.
    """
    maven = processes.find("mvn", todo=INSTALL_MAVEN)
    target.parent.mkdir(parents=True, exist_ok=True)
    project = target.parent / "pom.xml"
    files.write_text(project, pom(coordinates))
    command = [maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums",
               "--file", str(project.absolute()), COPY, "-DincludeScope=runtime",
               f"-DoutputDirectory={target.absolute()}"]
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
