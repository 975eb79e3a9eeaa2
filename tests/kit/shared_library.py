"""Users of one host who share a library of image files, each in a folder of their own."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.nextflow.image_files import file_name
from tasks.core.schema import read_json
from tasks.offline_host.fetch import fetch
from tasks.release import release
from tests.kit import apptainer, image_files, users
from tests.kit.image_files import CONTAINER, Placed
from tests.kit.releases import Staged, change_code

NAME = file_name(CONTAINER)


@dataclass(kw_only=True)
class Shared:
    """A store with releases of which `id` is the last, a library, and users, below `top`."""

    top: Path
    staged: Staged
    root: Path
    id: str

    def home(self, name: str, user: int = 0) -> Path:
        """A user's own folder."""
        place = self.top / name
        if not place.is_dir():
            place.mkdir()
            os.chown(place, user, user)
        return place

    @property
    def image(self) -> Path:
        """The image file of the last release in the library."""
        return self.root / "hello" / self.id / NAME

    @property
    def digest(self) -> str:
        """Its SHA-256, as it was carried."""
        carried = read_json(self.top / "online" / self.staged.layout.sif_index, "sif")
        return str(carried["images"][0]["sha256"])

    def again(self) -> None:
        """Publish another release, with the same image."""
        before = Path.cwd()
        os.chdir(self.top / "online")
        change_code(self.staged, f"workflow {{ {self.id} }}\n".encode())
        release.make(replace(self.staged.release_spec(), carry="files"))
        self.id = self.staged.push()
        os.chdir(before)

    def fetch(self, name: str | None = None) -> tuple[str, str]:
        """Fetch into the current folder: what it says, and its warnings."""
        warnings: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = (  # type: ignore[method-assign]
            lambda record: warnings.append(record.getMessage()))
        logging.getLogger("tasks").addHandler(handler)
        try:
            said = fetch(replace(
                self.staged.fetch_spec(name), library=self.root,
                store=StoreAt(url=str(self.top / "online/store")),
                host=replace(self.staged.host, trust=self.top / "online/trust")))
        finally:
            logging.getLogger("tasks").removeHandler(handler)
        return said, "\n".join(warnings)

    def by(self, name: str, user: int = 0, **more: Any) -> tuple[str, str]:
        """Fetch as a user."""
        said: tuple[str, str] = users.act(self.fetch, user, here=self.home(name, user), **more)
        return said

    def own(self, name: str) -> list[Path]:
        """The image files that a user has of their own."""
        return sorted((self.top / name).rglob("*.img"))

    def placed(self, engine: apptainer.Standin) -> Placed:
        """The release in place for who is in the current folder."""
        return Placed(staged=self.staged, kind="apptainer", path=engine.path)


def shared(top: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path | None = None,
           kind: str = "apptainer") -> Shared:
    """Publish a release below `top`, beside an empty library of this user's."""
    (top / "online").mkdir()
    monkeypatch.chdir(top / "online")
    staged = image_files.published(runtime, kind)
    (top / "library").mkdir()
    (top / "library").chmod(0o755)
    return Shared(top=top, staged=staged, root=top / "library", id=staged.id())
