"""What a site says of its images: how they cross, and the organisation's registry."""

# Annotations are not postponed: fields.py reads them as types.

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from tasks.core.config.fields import OneOrSeveral
from tasks.core.frozen import frozen


@frozen
class Registry:
    """The organisation's registry: where images are mirrored to, and pulled from offline.

    Without `port` that is 443, and stands in no image's name. `repositories` maps a source host to
    a place of its own, host:port[/path]. `connections` are the requests that it may have to answer
    at once.
    """

    host: str
    connections: int
    port: int | None = None
    prefix: str = ""
    repositories: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None
    authfile: Path | None = None

    @property
    def address(self) -> str:
        """host:port, as it stands in an image reference; the host alone where no port is named.

        Docker takes a first part without `.` and `:` for a user's name at Docker Hub, but for
        localhost, which Nextflow takes for one as well: such a host has its port all the same.
        """
        if self.port is None and ("." in self.host or ":" in self.host):
            return self.host
        return f"{self.host}:{self.port or 443}"


@frozen
class Images:
    """How images cross, and which.

    `carry` is what takes them across: the `registry`, which spans the gap; the `store`, then the
    registry is reached from the offline side alone, and images:load fills it there; or `files`,
    which releases carry and an engine runs as they are.
    `platforms` are those that images are carried for beside the hosts' own, or `all`. `licences`
    maps patterns of repositories to what their images need.
    """

    carry: str
    platforms: OneOrSeveral = ()
    licences: Mapping[str, str] = field(default_factory=dict)
