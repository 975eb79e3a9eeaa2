"""Where everything built lies: one name for each file, relative to the project's folder."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path

from tasks.core import config_places
from tasks.core.frozen import frozen
from tasks.core.lock_files import LockFiles

SIF_INDEX, SIFS = "sif.json", "sif"
"""Where a release has the list of its image files, and these."""
MANIFEST = "data.manifest.json"
SBOM_CYCLONEDX, SBOM_SPDX = "sbom.cdx.json", "sbom.spdx.json"
"""Where a release has the lists of all that it consists of."""


@cache
def path_to(text: str) -> Path:
    """One object for each path, since the graph names most files in many places."""
    return Path(text)


@frozen
class SitePaths:
    """Files that belong to a site."""

    site: str

    @cached_property
    def root(self) -> Path:
        return path_to(f"build/{self.site}")

    def state(self, role: str) -> Path:
        """doit's own database."""
        return path_to(f"{self.root}/{role}.db")

    @property
    def logs(self) -> Path:
        return path_to(f"{self.root}/logs")

    @property
    def blobs(self) -> Path:
        """Carried files by content, laid out as in the store: <sha256>/<basename>."""
        return path_to(f"{self.root}/blobs/sha256")

    @property
    def sifs(self) -> Path:
        """Which image files were made of which images, for all pipelines: a note for each."""
        return path_to(f"{self.root}/sifs")

    @property
    def maven(self) -> Path:
        """Maven's local repository, for all pipelines: nothing is fetched twice."""
        return path_to(f"{self.root}/maven")

    @property
    def sandbox(self) -> Path:
        return path_to(f"{self.root}/sandbox")

    @property
    def trust(self) -> Path:
        """What an administrator takes to the offline hosts by hand."""
        return path_to(f"{self.root}/trust")

    @property
    def prune_plan(self) -> Path:
        """What release:prune:plan or release:prune:apply said last, for programs."""
        return path_to(f"{self.root}/prune.json")

    @property
    def host_prune(self) -> Path:
        """What prod:prune:plan or prod:prune:apply said last on an offline host."""
        return path_to(f"{self.root}/prod/prune.json")

    @property
    def prune_by_hand(self) -> Path:
        """What neither store nor registry let release:prune:apply delete, a line for each."""
        return path_to(f"{self.root}/prune.by-hand.txt")

    @property
    def runs(self) -> Path:
        """Runs of offline hosts that were brought back to this side."""
        return path_to(f"{self.root}/runs")

    @property
    def carry(self) -> Path:
        """What carrying by disk keeps: lists to be signed; offline, volumes put together."""
        return path_to(f"{self.root}/carry")

    @property
    def tool(self) -> Path:
        """This project as the offline host gets it."""
        return path_to(f"{self.root}/tool")

    @property
    def tool_receipt(self) -> Path:
        return path_to(f"{self.tool}/push.receipt.json")

    @property
    def tool_promoted(self) -> Path:
        """The tool's newest promotion that this checkout has looked at or made."""
        return path_to(f"{self.root}/tool.promoted.json")

    @property
    def trusted(self) -> Path:
        """Whose signatures are believed, as `doit site` lays it ready for the offline hosts."""
        return path_to(f"{self.trust}/allowed_signers")

    @property
    def placing_lock(self) -> Path:
        """Held by who changes what is in place on the offline host."""
        return path_to(f"{self.root}/prod/.locks/placing.lock")

    @property
    def store_memory(self) -> Path:
        """What the offline host last read of the store, but for the files that releases list."""
        return path_to(f"{self.root}/prod/store")


@frozen
class OfPipeline:
    """Files that belong to one pipeline of a site, on either side."""

    site: str
    pipeline: str

    @property
    def of_site(self) -> SitePaths:
        return SitePaths(site=self.site)

    def log(self, step: str) -> Path:
        return path_to(f"{self.of_site.logs}/{step.replace(':', '-')}.log")


@frozen
class PipelinePaths(OfPipeline):
    """Files that belong to one pipeline of a site."""

    @cached_property
    def root(self) -> Path:
        return path_to(f"build/{self.site}/{self.pipeline}")

    def locks(self, kind: str) -> LockFiles:
        """The files of a lock (code, images, data, plugins, runtime), which are committed."""
        return LockFiles(site=self.site, pipeline=self.pipeline, kind=kind,
                         root=config_places.locks(self.site, self.pipeline))

    def lock(self, kind: str) -> Path:
        """A lock as it holds for this site, of images or plugins: what other steps read."""
        return path_to(f"{self.root}/{kind}.lock.json")

    def runtime(self, version: str) -> Path:
        """The runtime's archive: nextflow-<version>/{nextflow,lib/*.jar}."""
        return path_to(f"{self.root}/nextflow-{version}.tar")

    def runtime_sums(self, version: str) -> Path:
        """The archive's SHA-256, as `sha256sum` writes it."""
        return path_to(f"{self.root}/nextflow-{version}.tar.sha256")

    def runtime_jars(self, version: str) -> Path:
        return path_to(f"{self.root}/nextflow-{version}.jars.json")

    @property
    def git_cache(self) -> Path:
        """A bare repository with what was fetched of a git source."""
        return path_to(f"{self.root}/.git-cache")

    @property
    def code(self) -> Path:
        return path_to(f"{self.root}/code.tar")

    @property
    def code_manifest(self) -> Path:
        return path_to(f"{self.root}/manifest.json")

    @property
    def configs(self) -> Path:
        """Institutional configs, where the pipeline's config names any."""
        return path_to(f"{self.root}/configs.tar")

    @property
    def configs_manifest(self) -> Path:
        return path_to(f"{self.root}/configs.manifest.json")

    @property
    def configs_cache(self) -> Path:
        return path_to(f"{self.root}/.configs-cache")

    @property
    def resolved(self) -> Path:
        """The config, as Nextflow resolves it with the profile."""
        return path_to(f"{self.root}/resolved.json")

    @property
    def images(self) -> Path:
        return path_to(f"{self.root}/images.txt")

    @property
    def images_carried(self) -> Path:
        """The images' lock as a release carries it, without the times of their resolving."""
        return path_to(f"{self.release}/images.lock.json")

    @property
    def images_scan(self) -> Path:
        """Processes with their containers, files and lines."""
        return path_to(f"{self.root}/images.json")

    @property
    def images_unknown(self) -> Path:
        """Which images the code alone didn't tell, so that `nextflow inspect` is asked."""
        return path_to(f"{self.root}/images.unknown.txt")

    @property
    def images_pinned(self) -> Path:
        return path_to(f"{self.root}/images.pinned.txt")

    @property
    def images_receipt(self) -> Path:
        return path_to(f"{self.root}/images.receipt.json")

    @property
    def images_labels(self) -> Path:
        """What the images say of themselves: licences, and the image that they were made of."""
        return path_to(f"{self.root}/images.labels.json")

    def sbom(self, name: str) -> Path:
        """What the release consists of, in the form that the file's name says."""
        return path_to(f"{self.root}/{name}")

    @property
    def images_plan(self) -> Path:
        """What images:plan said last, for programs."""
        return path_to(f"{self.root}/images.plan.json")

    @property
    def data_manifest(self) -> Path:
        return path_to(f"{self.root}/{MANIFEST}")

    @property
    def data_plan(self) -> Path:
        """What data:plan said last, for programs."""
        return path_to(f"{self.root}/data.plan.json")

    @property
    def own(self) -> Path:
        """The users' own data: a folder for each sheet, with its manifest."""
        return path_to(f"{self.root}/own")

    def own_names(self) -> tuple[str, ...]:
        """The names of the sheets that were staged."""
        return tuple(sorted(manifest.parent.name for manifest in self.own.glob(f"*/{MANIFEST}")))

    @property
    def data_sums(self) -> Path:
        """SHA256SUMS over the data alone, in the release's own paths."""
        return path_to(f"{self.root}/data.SHA256SUMS")

    @property
    def inputs(self) -> Path:
        """The samplesheet with cells relative to the release: data/<sha256>/<basename>."""
        return path_to(f"{self.root}/inputs.csv")

    @property
    def inputs_store(self) -> Path:
        """The samplesheet with the store's URLs."""
        return path_to(f"{self.root}/inputs3.csv")

    @property
    def plugins_list(self) -> Path:
        return path_to(f"{self.root}/plugins.txt")

    @property
    def plugins(self) -> Path:
        return path_to(f"{self.root}/plugins.tar")

    @property
    def reach(self) -> Path:
        """What would still reach out at run time, with what answers it."""
        return path_to(f"{self.root}/reach.json")

    @property
    def offline_config(self) -> Path:
        return path_to(f"{self.root}/offline.config")

    @property
    def oci_index(self) -> Path:
        """The index of the images' OCI layout; its blobs are the site's."""
        return path_to(f"{self.root}/oci/index.json")

    @property
    def oci_marker(self) -> Path:
        return path_to(f"{self.root}/oci/oci-layout")

    @property
    def sif_index(self) -> Path:
        """Which image file (SIF) each image is; the files are the site's blobs."""
        return path_to(f"{self.root}/{SIF_INDEX}")

    @property
    def archives(self) -> Path:
        """One archive per image for `docker load`, their SHA256SUMS and offline.load.config."""
        return path_to(f"{self.root}/images")

    @property
    def load_config(self) -> Path:
        """offline.config for engines that have loaded the archives."""
        return path_to(f"{self.archives}/offline.load.config")

    @property
    def smoke(self) -> Path:
        return path_to(f"{self.root}/smoke")

    @property
    def validate(self) -> Path:
        """What dev:validate said last, for programs."""
        return path_to(f"{self.root}/validate.json")

    @property
    def release(self) -> Path:
        return path_to(f"{self.root}/release")

    @property
    def release_diff(self) -> Path:
        """What release:diff said last, for programs; the page for people ends in .html."""
        return path_to(f"{self.root}/release.diff.json")

    @property
    def report(self) -> Path:
        """What a release is, for programs; beside it its signature, and the page in .html."""
        return path_to(f"{self.root}/report.json")

    def push_receipt(self, part: str) -> Path:
        return path_to(f"{self.root}/push/{part}.receipt.json")

    @property
    def promoted(self) -> Path:
        """The newest promotion that this checkout has looked at or made."""
        return path_to(f"{self.root}/promoted.json")

    @property
    def releases(self) -> Path:
        """What release:list said last, for programs."""
        return path_to(f"{self.root}/releases.json")

    @property
    def crossing(self) -> Path:
        """What came of the run on the sandbox's offline host."""
        return path_to(f"{self.root}/crossing.json")
