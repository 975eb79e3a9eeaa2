"""The site's and its pipelines' configuration, frozen, in the shape of the YAML that users write.

A new key goes into its schema and into one class here: fields.py reads it by its type.
A default that says something stands in the schema; here a key that may be left out has nothing.
"""

# Annotations are not postponed: fields.py reads them as types.

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from tasks.core import config_places
from tasks.core.config.aws_settings import Aws, Batch, StoreAt
from tasks.core.config.engines import REGISTRY
from tasks.core.config.fields import Bytes, HostNames, OneOrSeveral, Seconds, bytes_of
from tasks.core.config.image_settings import Images, Registry
from tasks.core.errors import ConfigError
from tasks.core.frozen import frozen
from tasks.core.process_shared import Shared

ROOT = Path(__file__).resolve().parents[3]
TOOL = Path("tool.json")
"""In a tool that was carried: what it is. A checkout has none."""
ONLINE = Path("tasks/release")
"""In a checkout, a room of the online side, which no tool carries."""
ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".zip")


def is_carried(root: Path = Path()) -> bool:
    """Whether a folder is that of a tool that was carried: an offline host's, and no checkout."""
    return (root / TOOL).is_file() and not (root / ONLINE).is_dir()


def offline_command(words: str) -> str:
    """What is typed on an offline host: in a carried tool's folder the role needn't be said."""
    return f"./doit {words}" if is_carried() else f"./doit role=prod {words}"


@frozen
class Hosts:
    """Where public hosts are reached from this site.

    `buckets` maps the buckets that may be read to the S3 servers that hold them, `aws` for AWS;
    `folders` are those that file:// may read below; `inside` is what else of the inner network
    may be asked: hosts, host:port and networks.
    """

    registries: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)
    inside: HostNames = ()
    folders: tuple[Path, ...] = ()


@frozen
class PluginsAt:
    """Where plugins are looked up: in a plugins.json, and what it lacks in a registry's API."""

    index: str | None = None
    registry: str | None = None


@frozen
class Signing:
    """The SSH key that signs, and the name that allowed_signers gives it.

    `valid` is for how many seconds what is signed is taken for the current one; None is for ever.
    `colleagues` are the public keys of others who sign under the same identity, by name, and
    `approvers` those of who may approve what others promote; without any, that needs no approval.
    """

    key: Path
    identity: str
    create: bool = False
    valid: Seconds | None = None
    colleagues: Mapping[str, str] = field(default_factory=dict)
    approvers: Mapping[str, str] = field(default_factory=dict)

    @property
    def public(self) -> Path:
        """The file of the public half, as ssh-keygen names it."""
        return self.key.with_name(f"{self.key.name}.pub")


@frozen
class Offline:
    """What the offline host sees: the store by its address there, and the hand-filled trust.

    `engine` is the kind of container engine that it has (engines.py). `library` is the folder of
    image files that its users share.
    `runs` is where it keeps its runs, and `key` its own key, which signs their records.
    `run_signers` is the online side's: whose records of runs are taken back.
    """

    store: StoreAt
    engine: str
    trust: Path
    runs: Path
    library: Path | None = None
    key: Path | None = None
    run_signers: Path | None = None


@frozen
class Prune:
    """Which releases stay when others go: the last `keep`, what was current in the last `recent`,
    and what is `pinned` by its id.

    `grace` is for how long blobs and images stay after the last release that named them.
    """

    keep: int
    recent: Seconds
    grace: Seconds
    pinned: tuple[str, ...] = ()


@frozen
class Sandbox:
    """Addresses of the local site's own servers; only a site that has them starts any."""

    registry_port: int
    files_port: int
    network: str
    namespace: str
    interface: str


@frozen
class Site:
    """One organisation's two sides.

    `platform` is that of the offline hosts. Where releases carry image files there may be no
    `registry`. `isolation` is the least that a pipeline's code may
    be run with: namespaces, or none. `unproven` is why this site's releases become current
    without a validation and a smoke run; without it they need both.
    """

    name: str
    pipelines: tuple[str, ...]
    platform: str
    python: tuple[str, ...]
    registry: Registry | None = None
    images: Images
    hosts: Hosts
    plugins: PluginsAt
    store: StoreAt
    signing: Signing
    offline: Offline
    engine: str | None = None
    smoke: str
    isolation: str
    unproven: str | None = None
    prune: Prune
    sandbox: Sandbox | None = None
    aws: Aws | None = None
    batch: Batch | None = None

    @property
    def own_registry(self) -> Registry:
        """The registry, for what needs one; a site whose releases carry image files may have none.
        """
        if self.registry is None:
            raise ConfigError("the site names no registry",
                              where=f"registry in {config_places.site(self.name)}",
                              todo="name the one that images are mirrored to")
        return self.registry

    @property
    def ca(self) -> Path | None:
        """The CA of the organisation's registries, where it is not a public one."""
        return self.registry.ca if self.registry else None

    @property
    def authfile(self) -> Path | None:
        """The Docker config file with the logins to registries, where the site names one."""
        return self.registry.authfile if self.registry else None

    @property
    def image_platforms(self) -> tuple[str, ...]:
        """The platforms that images are carried for beside the offline hosts' own."""
        return tuple(sorted({*self.images.platforms} - {self.platform}))

    @property
    def smokes(self) -> bool:
        """Whether there is a smoke run: the images must be in a registry that spans the gap."""
        return self.smoke != "none" and self.images.carry == REGISTRY

    @property
    def packages(self) -> tuple[str, ...]:
        """The step that brings programs, before a step that starts any: the local site's alone."""
        return ("sandbox:packages",) if self.sandbox else ()

    @property
    def servers(self) -> tuple[str, ...]:
        """The step that starts servers, before a step that asks any: the local site's alone."""
        return ("sandbox:up",) if self.sandbox else ()


@frozen
class Origin:
    """Where code comes from: a git repository at a revision, an archive, or a folder."""

    source: str
    revision: str | None = None
    sha256: str | None = None

    @property
    def is_archive(self) -> bool:
        """Whether the source is an archive, by its ending."""
        return self.source.partition("?")[0].endswith(ARCHIVES)

    @property
    def is_folder(self) -> bool:
        """Whether the source is a folder of this machine."""
        return not (self.is_archive or "://" in self.source or self.source.startswith("git@"))


@frozen
class Nextflow:
    """The runtime: its version, and Maven coordinates or a -dist file that it comes from."""

    version: str
    coordinates: tuple[str, ...] = ()
    dist: str | None = None
    sha256: str | None = None


@frozen
class Data:
    """How much of the data is staged: rows of each samplesheet, and bytes in all."""

    rows: int
    limit: Bytes | None = None
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@frozen
class References:
    """The genome that is carried, and which of its files."""

    genome: str
    attributes: tuple[str, ...] = ()


@frozen
class Pipeline:
    """One pipeline at one revision, and how its test run is staged.

    `images` are given by hand, by process: one, several among which its own code chooses, or
    `none` where it runs without.
    """

    name: str
    source: str
    revision: str | None = None
    sha256: str | None = None
    configs: Origin | None = None
    profile: str
    script: str | None = None
    run: str
    nextflow: Nextflow
    plugins: tuple[str, ...] = ()
    data: Data
    params: Mapping[str, Any] = field(default_factory=dict)
    references: References | None = None
    images: Mapping[str, OneOrSeveral] = field(default_factory=dict)

    @property
    def code(self) -> Origin:
        """Where the pipeline's own code comes from."""
        return Origin(source=self.source, revision=self.revision, sha256=self.sha256)


@frozen
class Config:
    """Everything that dodo.py hands to the rooms.

    `names` are the pipelines asked for. `pipelines` are their settings, which the offline host
    does not have: there, all that a pipeline needs stands in its release. `shared` is what all
    steps of this process have in common.
    """

    site: Site
    names: tuple[str, ...]
    pipelines: tuple[Pipeline, ...]
    role: str
    variables: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    shared: Shared = field(default_factory=Shared, compare=False, repr=False)

    @property
    def relock(self) -> bool:
        """Whether the user asked to take what differs from the locks (relock=1)."""
        return self.variables.get("relock", "0") not in ("", "0")

    @property
    def unproven(self) -> str | None:
        """Why a release becomes the current one without proof (unproven=REASON, or the site).

        None, as where the command says unproven=0, asks for a validation and a smoke run.
        """
        asked = self.variables.get("unproven")
        return self.site.unproven if asked is None else None if asked in ("", "0") else asked

    @property
    def after(self) -> int | str | None:
        """The promotion that what is promoted may follow, seen or not (after=NUMBER); trusted or
        not, where it is named by the digest of its bytes (after=SHA256)."""
        after = self.variables.get("after")
        return after if after is None or len(after) == 64 else int(after)  # a digest

    @property
    def part(self) -> int | None:
        """Bytes of a volume, where what is carried by disk is split (part=SIZE)."""
        return bytes_of(self.variables["part"]) if "part" in self.variables else None

    @property
    def private(self) -> bool:
        """Whether the user asked to carry what looks private in their own sheet (private=1)."""
        return self.variables.get("private", "0") not in ("", "0")
