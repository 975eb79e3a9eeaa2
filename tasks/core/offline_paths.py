"""Where what an offline host has lies: one name for each file, relative to the tool's folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.paths import OfPipeline, path_to


@frozen
class OfflinePaths(OfPipeline):
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
        return path_to(f"{self.root}/current.json")

    def release(self, name: str) -> Path:
        """A release's own layout, as its SHA256SUMS tells."""
        return self.root / "releases" / name

    @property
    def launch(self) -> Path:
        """Code, runtime, plugins and params, unpacked, in a folder for each release."""
        return path_to(f"{self.root}/launch")

    def lock(self, name: str) -> Path:
        """Shared by those who use a release; it stays when the release goes."""
        return self.of_site.root / "prod/.locks" / self.pipeline / f"{name}.lock"

    @property
    def images_receipt(self) -> Path:
        """What images:load has put into the registry, read back from it."""
        return path_to(f"{self.root}/images.receipt.json")

    @property
    def bootstrap(self) -> Path:
        return path_to(f"{self.root}/bootstrap.json")

    @property
    def report(self) -> Path:
        """What the release in place is, for programs."""
        return path_to(f"{self.root}/report.json")

    @property
    def report_page(self) -> Path:
        """The same as a page."""
        return path_to(f"{self.root}/report.html")

    @property
    def submit(self) -> Path:
        """The head job of a run, as a batch script."""
        return path_to(f"{self.root}/submit.sh")

    @property
    def run(self) -> Path:
        """The record of the last test run that went well; its own is in the run's folder."""
        return path_to(f"{self.root}/run.json")

    def promotion(self, release: str) -> Path:
        """The promotion by which a release came here, as it was signed."""
        return self.root / "promotions" / f"{release}.json"
