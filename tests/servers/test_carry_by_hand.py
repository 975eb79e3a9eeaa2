"""The commands of README.txt in a shell: with ssh-keygen, sha256sum, cat and tar alone."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.carrying import carry, push_tool, tree
from tests.kit.faults import flip
from tests.kit.releases import Staged, change_code, stage

STICK = Path("a stick")
FIRST = "ssh-keygen"
"""How the paragraph of commands begins."""


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A release with a file that needs several volumes, and a tool."""
    monkeypatch.chdir(tmp_path)
    staged = stage()
    change_code(staged, random.Random(1).randbytes(2_500_000))
    staged.publish()
    staged.trust_key()
    return staged


def typed(stick: Path, commands: str | None = None) -> subprocess.CompletedProcess[str]:
    """What a shell says to the page's commands for the first time, in the folder itself."""
    page = (stick / "README.txt").read_text().partition("THE FIRST TIME")[2]
    shown = [part for part in page.partition("IMAGES")[0].split("\n\n") if part.startswith(FIRST)]
    home = stick.parent / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return subprocess.run(["bash", "-e", "-c", commands or "\n".join(shown)], cwd=stick,
                          check=False, text=True, capture_output=True,
                          env={"PATH": os.environ["PATH"], "HOME": str(home.absolute())})


@pytest.mark.parametrize("part", [None, "1.1MB"])
def test_they_start_the_tool(ready: Staged, part: str | None) -> None:
    tool = push_tool(ready)
    carry(ready, STICK, part=part)
    done = typed(STICK)
    assert done.returncode == 0, done.stderr
    place = Path("home/airlock-carried") if part else STICK
    assert f"the tool got: role=prod tool={tool} from={place.absolute()} pipeline=hello" in (
        done.stdout)
    assert 'Good "airlock-carry" signature for airlock' in done.stdout
    assert 'Good "airlock-tool" signature for airlock' in done.stdout
    assert (Path("home") / f"airlock-{tool}" / "wheels").is_dir()


def test_what_is_put_together_is_what_is_carried_unsplit(ready: Staged) -> None:
    push_tool(ready)
    carry(ready, STICK, part="1.1MB")
    names = sorted(path.name for path in STICK.glob("part*.tar"))
    assert names == ["part0001.tar", "part0002.tar", "part0003.tar", "part0004.tar"]
    assert all(path.stat().st_size <= 1_100_000 for path in STICK.glob("part*.tar"))
    for name in names:
        own = name.replace(".tar", ".sha256")
        subprocess.run(["sha256sum", "--strict", "-c", own], cwd=STICK, check=True)
    carry(ready, "whole")
    assert typed(STICK).returncode == 0
    together = tree(Path("home/airlock-carried"))
    unsplit = tree(Path("whole"))
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        assert name in together
    top = {"README.txt", "carry.json", "SHA256SUMS", "SHA256SUMS.sig"}
    assert {path: data for path, data in together.items() if path not in top} == {
        path: data for path, data in unsplit.items() if path not in top}


@pytest.mark.parametrize("part", [None, "1.1MB"])
def test_they_stop_at_whatever_was_changed(ready: Staged, part: str | None) -> None:
    push_tool(ready)
    carry(ready, STICK, part=part)
    for path in sorted(tree(STICK)):
        if path in ("README.txt",):
            continue
        whole = flip(STICK / path)
        done = typed(STICK)
        assert done.returncode, path
        assert "the tool got" not in done.stdout
        (STICK / path).unlink()
        assert typed(STICK).returncode, path
        (STICK / path).write_bytes(whole)
    assert typed(STICK).returncode == 0


def test_a_split_folder_is_written_where_it_differs(ready: Staged) -> None:
    push_tool(ready)
    carry(ready, STICK, part="1.1MB")
    before = {path.name: path.stat().st_mtime_ns for path in STICK.glob("part*.tar")}
    assert "0 B written now" in carry(ready, STICK, part="1.1MB")
    push_tool(ready, b"the second")
    carry(ready, STICK, part="1.1MB")
    after = {path.name: path.stat().st_mtime_ns for path in STICK.glob("part*.tar")}
    assert {name for name in after if after[name] != before.get(name)} == {"part0004.tar"}
    assert typed(STICK).returncode == 0
    flip(STICK / "part0002.tar")
    carry(ready, STICK, part="1.1MB")
    assert typed(STICK).returncode == 0
    carry(ready, STICK, part="2MB")
    assert len(list(STICK.glob("part*.tar"))) == 3
    assert typed(STICK).returncode == 0
    carry(ready, STICK, remove=True)
    assert not list(STICK.glob("part*"))
    assert typed(STICK).returncode == 0
    carry(ready, STICK, part="1.1MB", remove=True)
    assert not (STICK / "blobs").exists()
    assert typed(STICK).returncode == 0
