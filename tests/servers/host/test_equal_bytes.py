"""Two clones with the same locks and the same key make the same bytes of all that is carried."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tasks.core import files
from tests.kit.project import Project, copy

FLOW = ("release:sign:hello", "tool:sign")
KEY = "build/local/sandbox/signing"
TIMED = ("release.json", "SHA256SUMS", "SHA256SUMS.sig")
"""Hold the time at which the release was listed, and what follows from that."""


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A project, and the carried files of its build by their names in the release or the tool."""

    project: Project
    carried: Mapping[str, bytes]

    @property
    def release(self) -> dict[str, Any]:
        release: dict[str, Any] = json.loads(self.carried["release.json"])
        return release


def build(project: Project, environment: Mapping[str, str]) -> Clone:
    """Make release and tool of a project, whose servers run meanwhile."""
    try:
        project.doit("pipeline=hello", *FLOW, env=environment)
    finally:
        project.doit("sandbox:down", check=False)
    return Clone(project=project, carried=carried(project))


def carried(project: Project) -> dict[str, bytes]:
    """Every carried file; the release lists the places of its own by their digests."""
    site = project.root / "build/local"
    listed = json.loads((site / "hello/release/release.json").read_bytes())["files"]
    made = {files.sha256(path): path for path in [
        *site.glob("hello/*"), *(site / "blobs").rglob("*"), *project.root.glob("config/locks/*/*")]
        if path.is_file()}
    return {**{file["path"]: made[file["sha256"]].read_bytes() for file in listed},
            **{name: (site / "hello/release" / name).read_bytes() for name in TIMED},
            **{f"tool/{name}": (site / "tool" / name).read_bytes()
               for name in ("airlock.tar", "airlock.tar.sig", "tool.json")}}


def as_another_user_clones(project: Project, umask: int) -> None:
    """The modes that git gives files and folders under this umask, and times of another day."""
    for path in [*project.root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o777 & ~umask)
            os.utime(path, (86400, 86400))


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clone, Clone]]:
    """One as it comes; and one elsewhere, in another time zone, locale, home and order of sets."""
    folder = tmp_path_factory.mktemp("clones")
    place = folder / "deeper/down/the-other-one"
    one, other = copy(folder / "one", number=8), copy(place, number=8)
    first = build(one, {"PYTHONHASHSEED": "1"})
    before = os.umask(0o077)
    try:
        for part in ("config/locks", KEY):
            shutil.rmtree(place / part, ignore_errors=True)
            shutil.copytree(one.root / part, place / part)
        as_another_user_clones(other, 0o077)
        home = folder / "home"
        home.mkdir()
        yield first, build(other, {
            "PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "de_DE.UTF-8",
            "HOME": str(home), "NXF_OPTS": "-Xmx700m", "TMPDIR": str(home)})
    finally:
        os.umask(before)
        other.doit("sandbox:down", check=False)  # a signature asks the registry before


def test_all_that_is_carried_is_the_same(clones: tuple[Clone, Clone]) -> None:
    first, second = clones
    assert {"code.tar", "plugins.tar", "nextflow-24.10.5.tar", "offline.config", "images.json",
            "images.txt", "images.pinned.txt", "images.receipt.json", "data.manifest.json",
            "inputs.csv", "reach.json", "tool/airlock.tar"} < first.carried.keys()
    assert first.carried.keys() == second.carried.keys()
    assert [name for name, data in first.carried.items()
            if data != second.carried[name] and name not in TIMED] == []
    resolved = [(clone.project.root / "build/local/hello/resolved.json").read_bytes()
                for clone in clones]
    assert resolved[0] == resolved[1]


def test_a_release_differs_by_its_time_alone(clones: tuple[Clone, Clone]) -> None:
    """With the same time, the signed list and its signature are the same too."""
    first, second = clones
    assert first.release["created"] < second.release["created"]
    assert {**first.release, "created": ""} == {**second.release, "created": ""}
    folder = second.project.root / "build/local/hello/release"
    (folder / "release.json").write_bytes(first.carried["release.json"])
    second.project.doit("pipeline=hello", "-a", "-s", "release:hello")
    second.project.doit("pipeline=hello", "-a", "-s", "release:sign:hello")
    for name in TIMED:
        assert (folder / name).read_bytes() == first.carried[name], name
