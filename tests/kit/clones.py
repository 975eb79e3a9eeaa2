"""Clones of one configuration, each with a pipeline that was staged and tried, and one store."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.trust import signature
from tasks.release import approve, promote, release
from tests.kit.releases import Staged, change_code, stage

REVISIONS = Path("config/revision.txt")


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A git clone, whose tracked file says what its pipeline's code is."""

    folder: Path
    store: StoreAt
    signing: Signing

    @contextmanager
    def entered(self) -> Iterator[Staged]:
        """Stand in the clone's folder, with its pipeline staged as the configuration says."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            staged = dataclasses.replace(stage(), store=self.store, signing=self.signing)
            change_code(staged, REVISIONS.read_bytes())
            yield staged
        finally:
            os.chdir(before)

    def edit(self, code: str) -> None:
        """Another revision of the code, not committed yet."""
        (self.folder / REVISIONS).write_text(code)

    def commit(self, code: str) -> str:
        """Another revision of the code, committed and pushed; the commit."""
        self.edit(code)
        self.git("add", "-A")
        self.git("commit", "-qm", "another revision")
        self.git("push", "-q", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words],
            cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def bring(self) -> str:
        """Make, sign and push what the configuration says; the release's id."""
        with self.entered() as staged:
            release.make(staged.release_spec())
            staged.bring()
            return staged.id()

    def promote(self, *, unproven: str | None = None, after: int | None = None) -> str:
        """Promote what was pushed; what the step says."""
        with self.entered() as staged:
            return promote.promote_release(staged.promote_spec(unproven, after))

    def ship(self, *, after: int | None = None) -> str:
        """All of it; the release's id."""
        name = self.bring()
        self.promote(after=after)
        return name

    def approve(self, name: str | None = None) -> str:
        """Approve what was proposed."""
        with self.entered() as staged:
            return approve.approve_release(approve.ApproveSpec(
                pipeline="hello", layout=staged.layout, store=self.store, signing=self.signing,
                name=name))


def pair(folder: Path, store: StoreAt) -> tuple[Clone, Clone]:
    """Ann's and Bert's clones: they sign under one identity, each with a key of their own."""
    people = {name: Signing(key=folder / f"keys/{name}", identity="airlock", create=True)
              for name in ("ann", "bert")}
    public = {}
    for name, signing in people.items():
        signature.ready(signing.key, create=True, identity=name)
        public[name] = signature.public_key(signing.key)
    made: list[Clone] = []
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder / "origin"], check=True)
    for name, signing in people.items():
        subprocess.run(["git", "clone", "-q", folder / "origin", folder / name], check=True,
                       capture_output=True)
        clone = Clone(folder=folder / name, store=store,
                      signing=dataclasses.replace(signing, colleagues=public))
        if not made:
            clone.git("checkout", "-q", "-b", "main")
            (clone.folder / "config").mkdir()
            (clone.folder / ".gitignore").write_text("build/\n")
            (clone.folder / REVISIONS).write_text("workflow {}\n")
            with clone.entered():
                clone.commit("workflow {}\n")  # with the locks that staging has written
        made.append(clone)
    return made[0], made[1]
