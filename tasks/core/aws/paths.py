"""Where what is built of a site's AWS lies: one name for each file."""

from __future__ import annotations

from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.paths import SitePaths


@frozen
class AwsPaths:
    """Files of a site's bucket at AWS, and its policies."""

    site: str

    @property
    def root(self) -> Path:
        return SitePaths(site=self.site).root / "aws"

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
