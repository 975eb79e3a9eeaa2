"""Two clones with the same key make the same bytes of all that is carried, each with its own locks.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tasks.core import files
from tests.kit.project import Project, copy

FLOW = ("release:sign:hello", "tool:sign")
KEY = "build/local/sandbox/signing"
SEALED = ("release.json", "SHA256SUMS", "SHA256SUMS.sig")
"""The release's own list, which its id is made of, and the list's signature."""


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A project, and the carried files of its build by their names in the release or the tool."""

    project: Project
    carried: Mapping[str, bytes]



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
        *site.glob("hello/*"), *site.glob("hello/release/*"), *(site / "blobs").rglob("*")]
        if path.is_file()}
    return {**{file["path"]: made[file["sha256"]].read_bytes() for file in listed},
            **{name: (site / "hello/release" / name).read_bytes() for name in SEALED},
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
        shutil.copytree(one.root / KEY, place / KEY)
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
            "inputs.csv", "reach.json", "sbom.cdx.json", "sbom.spdx.json",
            "tool/airlock.tar"} < first.carried.keys()
    assert first.carried.keys() == second.carried.keys()
    assert [name for name, data in first.carried.items()
            if data != second.carried[name]] == []
    resolved = [(clone.project.root / "build/local/hello/resolved.json").read_bytes()
                for clone in clones]
    assert resolved[0] == resolved[1]
