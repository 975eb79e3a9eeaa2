"""The jar of Nextflow's official `-dist` file, which is its launcher and the jar in one file.

Format (Nextflow's packing.gradle, 24.07 and later): the launcher, a shell script with
NXF_PACK=dist, and after its last byte the jar of all classes, whose offsets count from the jar's
own start. The jar alone (`nextflow-<version>-one.jar`) is taken too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.archives import limits, zips
from tasks.core.errors import ConfigError, IntegrityError, SourceError
from tasks.core.net import download, urls
from tasks.core.net.network import Network

LARGEST = 10**9
"""Bytes of a -dist file; that of 25.10 has 130 MB."""
MAIN = "nextflow/cli/Launcher.class"


@dataclass(frozen=True, kw_only=True)
class Dist:
    """Where the file lies, a URL or a path, and the SHA-256 that is known of it beforehand.

    `reached_at` is where this site fetches it, by its map of URLs.
    """

    place: str
    reached_at: str
    sha256: str | None = None
    network: Network = field(default_factory=Network)

    @property
    def path(self) -> Path | None:
        """The file, where it is one of this machine."""
        return None if urls.is_url(self.place) else Path(self.place).expanduser()


def fetch(dist: Dist, target: Path) -> dict[str, str | int]:
    """Put the file at `target`; what the lock records of it.

    Raises SourceError where it can't be had, IntegrityError where its SHA-256 is another.
    """
    if dist.path is not None and not dist.path.is_file():
        raise ConfigError("there is no such file", where=dist.path,
                          todo="`nextflow.dist` in the pipeline's config is a URL or a file")
    try:
        got = download.fetch(urls.located(dist.reached_at), target, most=LARGEST,
                             network=dist.network.naming(dist.reached_at))
    except SourceError as error:
        raise SourceError(f"the -dist file can't be had: {error.what}", where=error.where,
                          todo=error.todo or "look at `nextflow.dist` in the pipeline's config, "
                          "and at hosts.urls in the site's, which may lead to a mirror that lacks "
                          "it") from error
    download.hold(got, dist.sha256, what="the runtime is not what was promised",
                  where=urls.redact(dist.place),
                  todo="compare nextflow.sha256 in the pipeline's config with what Nextflow's "
                       "release page says")
    return {"url": urls.redact(dist.place), "sha256": got.sha256, "size": got.size}


def extract(path: Path, jar: Path) -> None:
    """Write the jar that `path` ends with.

    Raises SourceError where there is none, or one that is not Nextflow's.
    """
    try:
        with zips.open_zip(path, allowed=limits.JAR) as opened:
            names = opened.namelist()
            start = min((member.header_offset for member in opened.infolist()), default=0)
    except IntegrityError as error:
        raise SourceError(f"there is no jar in this file: {error.what}", where=path.name,
                          todo="`nextflow.dist` must name the -dist file of a release; the "
                               "launcher alone (`nextflow`) downloads the rest when it runs"
                          ) from error
    if MAIN not in names:
        raise SourceError(f"the jar in this file has no {MAIN}", where=path.name,
                          todo="`nextflow.dist` must name the -dist file of a release; there is "
                               "one since 24.07")
    with path.open("rb") as reader, files.atomic(jar) as writer:
        reader.seek(start)
        shutil.copyfileobj(reader, writer, files.CHUNK)
