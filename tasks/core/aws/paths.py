"""Where what is built for AWS lies: one name for each file, relative to the project's folder."""

from __future__ import annotations

from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.paths import PipelinePaths


@frozen
class BatchPaths:
    """Files of one pipeline on AWS Batch."""

    site: str
    pipeline: str

    @property
    def root(self) -> Path:
        return PipelinePaths(site=self.site, pipeline=self.pipeline).root / "batch"

    @property
    def lint(self) -> Path:
        """What is wrong with its config."""
        return self.root / "lint.json"

    @property
    def config(self) -> Path:
        """The settings of its profile for Batch, to include or to give by -c."""
        return self.root / "aws.config"

    @property
    def patch(self) -> Path:
        """The change that includes them in the pipeline's own config."""
        return self.root / "aws.patch"

    @property
    def preserve(self) -> Path:
        """Whether the other profiles are as they were before that change."""
        return self.root / "preserve.json"

    def trial(self, name: str) -> Path:
        """The receipt of a trial; its trace lies beside it."""
        return self.root / f"test-{name}.json"

    def trial_folder(self, name: str) -> Path:
        """Where a trial runs."""
        return self.root / f"test-{name}"

    def measured(self, mode: str) -> Path:
        """The receipt of the last run of the pipeline in a mode."""
        return self.root / f"measured-{mode}.json"

    @property
    def performance(self) -> Path:
        """What the processes took in each mode, for programs."""
        return self.root / "perf.json"

    @property
    def performance_picture(self) -> Path:
        return self.root / "perf.svg"
