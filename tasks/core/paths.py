"""Where everything built lies: one name for each file, relative to the project's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MANIFEST = "data.manifest.json"


@dataclass(frozen=True, kw_only=True)
class SitePaths:
    """Files that belong to a site."""

    site: str

    @cached_property
    def root(self) -> Path:
        return Path("build") / self.site

    def state(self, role: str) -> Path:
        """doit's own database."""
        return self.root / f"{role}.db"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def blobs(self) -> Path:
        """Carried files by content, laid out as in the store: <sha256>/<basename>."""
        return self.root / "blobs/sha256"

    @property
    def maven(self) -> Path:
        """Maven's local repository, for all pipelines: nothing is fetched twice."""
        return self.root / "maven"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def tool(self) -> Path:
        """This project as the offline host gets it."""
        return self.root / "tool"

    @property
    def tool_receipt(self) -> Path:
        return self.tool / "push.receipt.json"


@dataclass(frozen=True, kw_only=True)
class _OfPipeline:
    """One pipeline of a site."""

    site: str
    pipeline: str

    @property
    def of_site(self) -> SitePaths:
        return SitePaths(site=self.site)

    def log(self, step: str) -> Path:
        return self.of_site.logs / f"{step.replace(':', '-')}.log"


@dataclass(frozen=True, kw_only=True)
class PipelinePaths(_OfPipeline):
    """Files that belong to one pipeline of a site."""

    @cached_property
    def root(self) -> Path:
        return self.of_site.root / self.pipeline

    def lock(self, kind: str) -> Path:
        """A lock (code, images, data, plugins, runtime): the same for all sites."""
        return Path(f"config/locks/{self.pipeline}/{kind}.json")

    def runtime(self, version: str) -> Path:
        """The runtime's archive: nextflow-<version>/{nextflow,lib/*.jar}."""
        return self.root / f"nextflow-{version}.tar"

    def runtime_sums(self, version: str) -> Path:
        """The archive's SHA-256, as `sha256sum` writes it."""
        return self.root / f"nextflow-{version}.tar.sha256"

    @property
    def git_cache(self) -> Path:
        """A bare repository with what was fetched of a git source."""
        return self.root / ".git-cache"

    @property
    def code(self) -> Path:
        return self.root / "code.tar"

    @property
    def code_manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def configs(self) -> Path:
        """Institutional configs, where the pipeline's config names any."""
        return self.root / "configs.tar"

    @property
    def configs_manifest(self) -> Path:
        return self.root / "configs.manifest.json"

    @property
    def configs_cache(self) -> Path:
        return self.root / ".configs-cache"

    @property
    def resolved(self) -> Path:
        """The config, as Nextflow resolves it with the profile."""
        return self.root / "resolved.json"

    @property
    def images(self) -> Path:
        return self.root / "images.txt"

    @property
    def images_scan(self) -> Path:
        """Processes with their containers, files and lines."""
        return self.root / "images.json"

    @property
    def images_pinned(self) -> Path:
        return self.root / "images.pinned.txt"

    @property
    def images_receipt(self) -> Path:
        return self.root / "images.receipt.json"

    @property
    def images_plan(self) -> Path:
        """What images:plan said last, for programs."""
        return self.root / "images.plan.json"

    @property
    def data_manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def data_plan(self) -> Path:
        """What data:plan said last, for programs."""
        return self.root / "data.plan.json"

    @property
    def own(self) -> Path:
        """The users' own data: a folder for each sheet, with its manifest."""
        return self.root / "own"

    def own_names(self) -> tuple[str, ...]:
        """The names of the sheets that were staged."""
        return tuple(sorted(each.parent.name for each in self.own.glob(f"*/{MANIFEST}")))

    @property
    def data_sums(self) -> Path:
        """SHA256SUMS over the data alone, in the release's own paths."""
        return self.root / "data.SHA256SUMS"

    @property
    def inputs(self) -> Path:
        """The samplesheet with cells relative to the release: data/<sha256>/<basename>."""
        return self.root / "inputs.csv"

    @property
    def inputs_store(self) -> Path:
        """The samplesheet with the store's URLs."""
        return self.root / "inputs3.csv"

    @property
    def plugins_list(self) -> Path:
        return self.root / "plugins.txt"

    @property
    def plugins(self) -> Path:
        return self.root / "plugins.tar"

    @property
    def reach(self) -> Path:
        """What would still reach out at run time, with what answers it."""
        return self.root / "reach.json"

    @property
    def offline_config(self) -> Path:
        return self.root / "offline.config"

    @property
    def oci_index(self) -> Path:
        """The index of the images' OCI layout; its blobs are the site's."""
        return self.root / "oci/index.json"

    @property
    def oci_marker(self) -> Path:
        return self.root / "oci/oci-layout"

    @property
    def archives(self) -> Path:
        """One archive per image for `docker load`, their SHA256SUMS and offline.load.config."""
        return self.root / "images"

    @property
    def load_config(self) -> Path:
        """offline.config for engines that have loaded the archives."""
        return self.archives / "offline.load.config"

    @property
    def smoke(self) -> Path:
        return self.root / "smoke"

    @property
    def validate(self) -> Path:
        """What dev:validate said last, for programs."""
        return self.root / "validate.json"

    @property
    def release(self) -> Path:
        return self.root / "release"

    def push_receipt(self, part: str) -> Path:
        return self.root / "push" / f"{part}.receipt.json"

    @property
    def crossing(self) -> Path:
        """What came of the run on the sandbox's offline host."""
        return self.root / "crossing.json"


@dataclass(frozen=True, kw_only=True)
class OfflinePaths(_OfPipeline):
    """Files of one pipeline on the offline host."""

    @cached_property
    def root(self) -> Path:
        return self.of_site.root / "prod" / self.pipeline

    @property
    def blobs(self) -> Path:
        """Fetched files by content, for all pipelines: <sha256>/<basename>."""
        return self.of_site.root / "prod/blobs/sha256"

    @property
    def current(self) -> Path:
        """Which release is in place."""
        return self.root / "current.json"

    def release(self, name: str) -> Path:
        """A release's own layout, as its SHA256SUMS tells."""
        return self.root / "releases" / name

    @property
    def launch(self) -> Path:
        """Code, runtime, plugins and params, unpacked; Nextflow is launched here."""
        return self.root / "launch"

    @property
    def images_receipt(self) -> Path:
        """What images:load has put into the registry, read back from it."""
        return self.root / "images.receipt.json"

    @property
    def bootstrap(self) -> Path:
        return self.root / "bootstrap.json"

    @property
    def run(self) -> Path:
        """What came of the test run, with its results' digests."""
        return self.root / "run.json"

    def results(self, run: str) -> Path:
        """What a run publishes: the user's, so outside of build/."""
        return Path("results") / self.pipeline / run
