"""Where what is built for AWS lies: one name for each file, relative to the project's folder."""

from __future__ import annotations

from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.paths import PipelinePaths, SitePaths, path_to


@frozen
class AwsPaths:
    """Files of a site's bucket at AWS, and its policies."""

    site: str

    @property
    def root(self) -> Path:
        return path_to(f"{SitePaths(site=self.site).root}/aws")

    @property
    def plan(self) -> Path:
        """What the bucket has, and what would be set."""
        return self.root / "plan.json"

    @property
    def check(self) -> Path:
        """What of it holds."""
        return self.root / "check.json"

    @property
    def receipt(self) -> Path:
        """What the bucket has after it was set, read back."""
        return self.root / "receipt.json"

    @property
    def journal(self) -> Path:
        """Every call that changes something, written before it is made."""
        return self.root / "journal.jsonl"

    def policy(self, name: str) -> Path:
        """A policy document: bucket-policy, online-role, offline-role, endpoint-policy, key-policy.
        """
        return self.root / f"{name}.json"


@frozen
class BatchSitePaths:
    """Files of AWS Batch that belong to a site."""

    site: str

    @property
    def root(self) -> Path:
        return path_to(f"{SitePaths(site=self.site).root}/batch")

    @property
    def cli(self) -> Path:
        """The AWS CLI as instances get it: bin/aws and all that it needs."""
        return self.root / "aws-cli.tar.gz"

    @property
    def cli_manifest(self) -> Path:
        """What that archive is, with its digest; signed, with the signature beside it."""
        return self.root / "cli.json"

    @property
    def cli_signature(self) -> Path:
        return self.root / "cli.json.sig"

    @property
    def cli_receipt(self) -> Path:
        """What the store holds of the two, read back from it."""
        return self.root / "cli.receipt.json"

    @property
    def userdata(self) -> Path:
        """The user data of the launch template."""
        return self.root / "userdata.mime"

    @property
    def explore(self) -> Path:
        """What came of showing the faults of staging."""
        return self.root / "explore.json"

    @property
    def plan(self) -> Path:
        """What Batch has at AWS of what it needs, and what would be made."""
        return self.root / "plan.json"

    @property
    def receipt(self) -> Path:
        """What is there, read back after it was made."""
        return self.root / "receipt.json"

    @property
    def journal(self) -> Path:
        """Every call that changes something, written before it is made."""
        return self.root / "journal.jsonl"


@frozen
class BatchPaths:
    """Files of one pipeline on AWS Batch."""

    site: str
    pipeline: str

    @property
    def root(self) -> Path:
        own = PipelinePaths(site=self.site, pipeline=self.pipeline)
        return path_to(f"{own.root}/batch")

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
    def doctor(self) -> Path:
        """Whether its jobs would run."""
        return self.root / "doctor.json"

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
