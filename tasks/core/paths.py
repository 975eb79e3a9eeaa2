"""Where everything built lies: one name for each file, relative to the project's folder."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path

from tasks.core.frozen import frozen

MANIFEST = "data.manifest.json"


@cache
def _path(text: str) -> Path:
    """One object for each path, since the graph names most files in many places."""
    return Path(text)


@frozen
class SitePaths:
    """Files that belong to a site."""

    site: str

    @cached_property
    def root(self) -> Path:
        return _path(f"build/{self.site}")

    def state(self, role: str) -> Path:
        """doit's own database."""
        return _path(f"{self.root}/{role}.db")

    @property
    def logs(self) -> Path:
        return _path(f"{self.root}/logs")

    @property
    def blobs(self) -> Path:
        """Carried files by content, laid out as in the store: <sha256>/<basename>."""
        return _path(f"{self.root}/blobs/sha256")

    @property
    def maven(self) -> Path:
        """Maven's local repository, for all pipelines: nothing is fetched twice."""
        return _path(f"{self.root}/maven")

    @property
    def sandbox(self) -> Path:
        return _path(f"{self.root}/sandbox")

    @property
    def trust(self) -> Path:
        """What an administrator takes to the offline hosts by hand."""
        return _path(f"{self.root}/trust")

    @property
    def carry(self) -> Path:
        """What carrying by disk keeps: lists to be signed; offline, volumes put together."""
        return _path(f"{self.root}/carry")

    @property
    def tool(self) -> Path:
        """This project as the offline host gets it."""
        return _path(f"{self.root}/tool")

    @property
    def tool_receipt(self) -> Path:
        return _path(f"{self.tool}/push.receipt.json")


@frozen
class _OfPipeline:
    """One pipeline of a site."""

    site: str
    pipeline: str

    @property
    def of_site(self) -> SitePaths:
        return SitePaths(site=self.site)

    def log(self, step: str) -> Path:
        return _path(f"{self.of_site.logs}/{step.replace(':', '-')}.log")


@frozen
class PipelinePaths(_OfPipeline):
    """Files that belong to one pipeline of a site."""

    @cached_property
    def root(self) -> Path:
        return _path(f"build/{self.site}/{self.pipeline}")

    def lock(self, kind: str) -> Path:
        """A lock (code, images, data, plugins, runtime): the same for all sites."""
        return _path(f"config/locks/{self.pipeline}/{kind}.json")

    def runtime(self, version: str) -> Path:
        """The runtime's archive: nextflow-<version>/{nextflow,lib/*.jar}."""
        return _path(f"{self.root}/nextflow-{version}.tar")

    def runtime_sums(self, version: str) -> Path:
        """The archive's SHA-256, as `sha256sum` writes it."""
        return _path(f"{self.root}/nextflow-{version}.tar.sha256")

    @property
    def git_cache(self) -> Path:
        """A bare repository with what was fetched of a git source."""
        return _path(f"{self.root}/.git-cache")

    @property
    def code(self) -> Path:
        return _path(f"{self.root}/code.tar")

    @property
    def code_manifest(self) -> Path:
        return _path(f"{self.root}/manifest.json")

    @property
    def configs(self) -> Path:
        """Institutional configs, where the pipeline's config names any."""
        return _path(f"{self.root}/configs.tar")

    @property
    def configs_manifest(self) -> Path:
        return _path(f"{self.root}/configs.manifest.json")

    @property
    def configs_cache(self) -> Path:
        return _path(f"{self.root}/.configs-cache")

    @property
    def resolved(self) -> Path:
        """The config, as Nextflow resolves it with the profile."""
        return _path(f"{self.root}/resolved.json")

    @property
    def images(self) -> Path:
        return _path(f"{self.root}/images.txt")

    @property
    def images_carried(self) -> Path:
        """The images' lock as a release carries it, without the times of their resolving."""
        return _path(f"{self.release}/images.lock.json")

    @property
    def images_scan(self) -> Path:
        """Processes with their containers, files and lines."""
        return _path(f"{self.root}/images.json")

    @property
    def images_unknown(self) -> Path:
        """Which images the code alone didn't tell, so that `nextflow inspect` is asked."""
        return _path(f"{self.root}/images.unknown.txt")

    @property
    def images_pinned(self) -> Path:
        return _path(f"{self.root}/images.pinned.txt")

    @property
    def images_receipt(self) -> Path:
        return _path(f"{self.root}/images.receipt.json")

    @property
    def images_plan(self) -> Path:
        """What images:plan said last, for programs."""
        return _path(f"{self.root}/images.plan.json")

    @property
    def data_manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def data_plan(self) -> Path:
        """What data:plan said last, for programs."""
        return _path(f"{self.root}/data.plan.json")

    @property
    def own(self) -> Path:
        """The users' own data: a folder for each sheet, with its manifest."""
        return _path(f"{self.root}/own")

    def own_names(self) -> tuple[str, ...]:
        """The names of the sheets that were staged."""
        return tuple(sorted(manifest.parent.name for manifest in self.own.glob(f"*/{MANIFEST}")))

    @property
    def data_sums(self) -> Path:
        """SHA256SUMS over the data alone, in the release's own paths."""
        return _path(f"{self.root}/data.SHA256SUMS")

    @property
    def inputs(self) -> Path:
        """The samplesheet with cells relative to the release: data/<sha256>/<basename>."""
        return _path(f"{self.root}/inputs.csv")

    @property
    def inputs_store(self) -> Path:
        """The samplesheet with the store's URLs."""
        return _path(f"{self.root}/inputs3.csv")

    @property
    def plugins_list(self) -> Path:
        return _path(f"{self.root}/plugins.txt")

    @property
    def plugins(self) -> Path:
        return _path(f"{self.root}/plugins.tar")

    @property
    def reach(self) -> Path:
        """What would still reach out at run time, with what answers it."""
        return _path(f"{self.root}/reach.json")

    @property
    def offline_config(self) -> Path:
        return _path(f"{self.root}/offline.config")

    @property
    def oci_index(self) -> Path:
        """The index of the images' OCI layout; its blobs are the site's."""
        return _path(f"{self.root}/oci/index.json")

    @property
    def oci_marker(self) -> Path:
        return _path(f"{self.root}/oci/oci-layout")

    @property
    def archives(self) -> Path:
        """One archive per image for `docker load`, their SHA256SUMS and offline.load.config."""
        return _path(f"{self.root}/images")

    @property
    def load_config(self) -> Path:
        """offline.config for engines that have loaded the archives."""
        return _path(f"{self.archives}/offline.load.config")

    @property
    def smoke(self) -> Path:
        return _path(f"{self.root}/smoke")

    @property
    def validate(self) -> Path:
        """What dev:validate said last, for programs."""
        return _path(f"{self.root}/validate.json")

    @property
    def release(self) -> Path:
        return _path(f"{self.root}/release")

    def push_receipt(self, part: str) -> Path:
        return _path(f"{self.root}/push/{part}.receipt.json")

    @property
    def crossing(self) -> Path:
        """What came of the run on the sandbox's offline host."""
        return _path(f"{self.root}/crossing.json")


@frozen
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
        return _path(f"{self.root}/current.json")

    def release(self, name: str) -> Path:
        """A release's own layout, as its SHA256SUMS tells."""
        return self.root / "releases" / name

    @property
    def launch(self) -> Path:
        """Code, runtime, plugins and params, unpacked; Nextflow is launched here."""
        return _path(f"{self.root}/launch")

    @property
    def images_receipt(self) -> Path:
        """What images:load has put into the registry, read back from it."""
        return _path(f"{self.root}/images.receipt.json")

    @property
    def bootstrap(self) -> Path:
        return _path(f"{self.root}/bootstrap.json")

    @property
    def run(self) -> Path:
        """What came of the test run, with its results' digests."""
        return _path(f"{self.root}/run.json")

    def results(self, run: str) -> Path:
        """What a run publishes: the user's, so outside of build/."""
        return Path("results") / self.pipeline / run
