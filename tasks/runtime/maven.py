"""The jars that Maven resolves for a list of coordinates."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.core import activity, files, nofollow, processes
from tasks.core.errors import CommandError, IntegrityError, SourceError
from tasks.core.net import urls
from tasks.core.nextflow import isolation
from tasks.core.nextflow.runtimes import DIST
from tasks.core.pom import Coordinates
from tasks.runtime import confinement, declared

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
COPY, CLASSPATH = f"{PLUGIN}:copy-dependencies", f"{PLUGIN}:build-classpath"
LISTED, LARGEST = "classpath", 2**20
"""The file of a class path, and bytes of it that are read; that of Nextflow has some 5 kB."""
MIRROR = ("where Maven Central is out of reach, map it to a mirror in hosts.urls of the site's "
          "file, or name one, or a proxy, in Maven's own settings.xml (~/.m2/settings.xml)")
UNREACHED = re.compile(r"Unknown host ([^\s:]+)|Connect to (\S+) [^\n]*?(?:refused|unreachable|"
                       r"timed out|No route to host)", re.IGNORECASE)
"""How Maven's transports say that there is no way to a host."""
CENTRAL = "central"
"""Maven's id of Maven Central."""
INSTALL_MAVEN = "install Maven (on Debian: apt-get install maven)"

_LISTED = re.compile(r"artifacts could not be resolved: (.+?): (?:Could not find artifact|"
                     r"Failure to find|\S+ was not found in) ")
_MISSING = re.compile(r"(?:Could not find artifact|Failure to find) ([\w.-]+(?::[\w.-]+){2,4})|"
                      r"([\w.-]+(?::[\w.-]+){2,4}) was not found in ")
"""What Maven 3 says of an artifact that no repository has, at once and in later attempts."""
_CAME_FROM = re.compile(r"^[^#>\n]+\.jar>([^=\s]+)=", re.MULTILINE)
_NOT_TRANSFERRED = re.compile(r"Could not transfer artifact")


def resolve(coordinates: tuple[str, ...], target: Path, *, log: Path, repository: Path,
            environment: Mapping[str, str], least: str = isolation.FULL,
            central: str | None = None) -> dict[str, Coordinates]:
    """Let Maven put the jars of `coordinates` and their dependencies into the folder `target`.

    Returned is what it knows each of them by, by the file's name. The folder that `target` stands
    in is for Maven alone.

    It runs confined, but with the network; what it fetches stays in `repository`, which takes one
    writer at a time. `central` is asked in the place of Maven Central. It reads the user's
    settings.xml, so a proxy or mirror that stands there is used. What it downloads without the
    right checksum beside it is refused; by itself it would only warn. Raises HostError without
    Maven or where it can't be confined, SourceError where no repository has all that they need,
    CommandError when it fails otherwise.
    """
    maven = processes.find("mvn", todo=INSTALL_MAVEN, path=environment.get("PATH"))
    folder = target.parent.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    repository.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "pom.xml", pom(coordinates, central))
    command = [maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums",
               "--file", str(folder / "pom.xml"), COPY, CLASSPATH, "-DincludeScope=runtime",
               f"-DoutputDirectory={target.absolute()}", f"-Dmdep.outputFile={folder / LISTED}",
               f"-Dmdep.localRepoProperty={declared.REPOSITORY}"]
    command, own = confinement.confined(
        command, folder=folder, repository=repository.absolute(),
        environment=environment, least=least, asked=central or urls.MAVEN_CENTRAL)
    with files.locked(repository.with_name(f"{repository.name}.lock")):
        _run(command, own, coordinates, log, _showing(repository))
    _refuse_odd(target, log)
    try:
        return declared.brought(nofollow.read(folder / LISTED, most=LARGEST).decode())
    except (OSError, ValueError) as error:
        raise SourceError(f"Maven didn't list what it brought: {error}", where=log,
                          todo="look at what it says there") from error


def _run(command: list[str], environment: Mapping[str, str], coordinates: tuple[str, ...],
         log: Path, check: Callable[[], None]) -> None:
    try:
        processes.run(command, log=log, env=environment, todo=MIRROR, check=check)
    except CommandError as error:
        if lacking := missing(log.read_text(errors="replace")):
            raise _cannot_work(coordinates, lacking, log) from error
        if match := UNREACHED.search("\n".join(error.tail)):
            raise SourceError(f"no answer from {match[1] or match[2]}, says Maven: "
                              f"{match[0]}", where=log, todo=MIRROR) from error
        # What was started is the program that confines it.
        raise CommandError(f"Maven ended with status {error.status}", status=error.status,
                           tail=error.tail, where=log, todo=MIRROR) from error


def _refuse_odd(target: Path, log: Path) -> None:
    if target.is_symlink() or not target.is_dir():
        raise SourceError("Maven resolved no jar", where=log,
                          todo="look at `nextflow.coordinates` in the pipeline's config")
    odd = [path.name for path in sorted(target.iterdir())
           if path.is_symlink() or not path.is_file()]
    if odd:
        raise IntegrityError(f"Maven put something else than jars there: {', '.join(odd)}",
                             where=log, todo="look at what `nextflow.coordinates` brings")


def fetched(repository: Path, since: float) -> str:
    """How many jars Maven has put into its repository since that time, in words; none, no words.

    Those under way count too, under the names that Maven gives them until they are whole.
    """
    sizes = []
    for path in repository.rglob("*.jar*"):
        with suppress(OSError):  # renamed just now
            about = path.stat()
            if about.st_ctime >= since and not path.name.endswith((".sha1", ".md5")):
                sizes.append(about.st_size)
    return f"{len(sizes)} jars, {files.human_size(sum(sizes))} so far" if sizes else ""


def _showing(repository: Path) -> Callable[[], None]:
    """What lets the step's words be how much has come since now, each time that it is called.

    Its log is Maven's own, whose warnings of missing poms would worry a reader for nothing.
    """
    began, step = time.time(), activity.shown()

    def look() -> None:
        if step is not None:
            step.text = fetched(repository, began) or step.doc

    look()
    return look


def own_repository(coordinates: tuple[str, ...], repository: Path) -> str | None:
    """Which mirror, by its id in Maven's settings, the jars of `coordinates` came from.

    None where that was Maven Central, or isn't known: Maven notes it beside each file, as
    `NAME>ID=`, in a form that it calls its own.
    """
    for group, artifact, version in (coordinate.split(":") for coordinate in coordinates):
        note = repository.joinpath(*group.split("."), artifact, version, "_remote.repositories")
        text = note.read_text(errors="replace") if note.is_file() else ""
        ids = {*_CAME_FROM.findall(text)} - {CENTRAL}
        if ids:
            return f"the mirror {min(ids)} of Maven's settings.xml"
    return None


def missing(printed: str) -> list[str]:
    """Return the artifacts that no repository has, of what Maven wrote, as group:artifact:version.

    There are none where a repository was out of reach: it may have them.
    """
    if _NOT_TRANSFERRED.search(printed):
        return []
    named = [name for match in _LISTED.finditer(printed) for name in match[1].split(", ")]
    named += [match[1] or match[2] for match in _MISSING.finditer(printed)]
    parts = [name.split(":") for name in named]
    return sorted({":".join([*part[:2], part[-1]]) for part in parts})


def _cannot_work(coordinates: tuple[str, ...], lacking: list[str], log: Path) -> SourceError:
    nextflow = [name for name in coordinates if name.startswith("io.nextflow:nextflow:")]
    version = (nextflow or list(coordinates))[0].rpartition(":")[2]
    return SourceError(
        f"Nextflow {version} can't be had by these coordinates: Maven's repositories don't have "
        f"{', '.join(lacking)}", where=log,
        todo="take its official file instead: in the pipeline's config, put in the place of "
             f"`nextflow.coordinates`\n    dist: {DIST.format(version)}\n  or a copy of that file "
             "on this machine. The last line that Maven Central holds is 24.10, with nf-httpfs "
             "24.10.0")


def pom(coordinates: tuple[str, ...], central: str | None = None) -> str:
    """A Maven project that depends on `coordinates` (group:artifact:version) alone.

    `central` takes the place of the super POM's repository, by its id, so a login for it stands in
    the user's settings as that of the server `central`.
    """
    from xml.sax.saxutils import escape
    wanted = "".join(
        "<dependency>"
        f"<groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>"
        for group, artifact, version in (coordinate.split(":") for coordinate in coordinates))
    return ('<project xmlns="http://maven.apache.org/POM/4.0.0">'
            "<modelVersion>4.0.0</modelVersion><groupId>airlock</groupId>"
            "<artifactId>runtime</artifactId><version>1</version>"
            f"{_repositories(escape(central)) if central else ''}"
            f"<dependencies>{wanted}</dependencies></project>\n")


def _repositories(url: str) -> str:
    """That place for jars and for Maven's own plugins."""
    place = f"<id>{CENTRAL}</id><url>{url}</url><snapshots><enabled>false</enabled></snapshots>"
    return (f"<repositories><repository>{place}</repository></repositories>"
            f"<pluginRepositories><pluginRepository>{place}</pluginRepository></pluginRepositories>")
