"""What may go wrong while a folder is laid: it ends midway, or isn't the right one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.carry.lay import lay
from tasks.core import files
from tasks.core.errors import AirlockError, ConfigError, HostError, IntegrityError
from tests.kit.carrying import carry, lay_spec, push_tool, tree, verified
from tests.kit.faults import SPEC, start
from tests.kit.releases import Staged, change_code, stage, trusted

STICK = Path("stick")


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A release and a tool in the store."""
    monkeypatch.chdir(tmp_path)
    staged = trusted()
    push_tool(staged)
    return staged


class Ended(BaseException):
    """The process is killed: nothing tidies up."""


def ending(patch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Let no more than so many files be renamed or removed; how many were is counted."""
    done = [0]

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def one(*words: object, **more: object) -> None:
            if done[0] == after:
                raise Ended
            done[0] += 1
            real(*words, **more)
        return one

    patch.setattr(os, "replace", counted(os.replace))
    patch.setattr(os, "unlink", counted(os.unlink))
    return done


@pytest.mark.parametrize("part", [None, "1.1MB"])
def test_a_carry_that_ends_midway_leaves_the_old_folder_or_none(
        ready: Staged, monkeypatch: pytest.MonkeyPatch, part: str | None) -> None:
    """Whatever the moment: what has a list and a signature is whole."""
    other = stage("sarek")
    other.publish()
    carry(other, STICK, part=part)
    carry(ready, STICK, part=part)
    change_code(ready, b"workflow { other }\n")
    ready.publish()
    with monkeypatch.context() as patch:
        shutil.copytree(STICK, "counted")
        total = ending(patch, -1)
        carry(ready, "counted", part=part)
    for after in sorted({0, 1, *range(max(0, total[0] - 14), total[0])}):
        place = Path("counted")
        shutil.rmtree(place)
        shutil.copytree(STICK, place)
        with monkeypatch.context() as patch, suppress(Ended):
            ending(patch, after)
            carry(ready, place, part=part)
        if (place / "SHA256SUMS").exists() and (place / "SHA256SUMS.sig").exists():
            verified(place, ready.trust)
        carry(ready, place, part=part)
        verified(place, ready.trust)
        page = (place / "README.txt").read_text()
        assert ready.id() in page
        assert other.id() in page


SLOW = """
import os
from tasks.carry.lay import lay
real, done = os.replace, []
def replace(*words, **more):
    done.append(1)
    if len(done) == 6:
        print("half", flush=True)
        time.sleep(60)
    real(*words, **more)
os.replace = replace
lay({spec})
"""


def test_a_killed_carry_leaves_nothing_half(ready: Staged) -> None:
    killed = start(SLOW.format(spec=SPEC), lay_spec(ready, STICK))
    try:
        for _ in range(200):
            if list(STICK.rglob("*.part")) and len(tree(STICK)) > 5:
                break
            time.sleep(0.05)
    finally:
        killed.kill()
        killed.wait()
    assert list(STICK.rglob("*.part"))
    assert not (STICK / "SHA256SUMS").exists()
    carry(ready, STICK)
    assert not list(STICK.rglob("*.part"))
    verified(STICK, ready.trust)


@pytest.mark.parametrize(("to", "message"), [
    (None, "where to isn't said"), ("store", "this is the store itself"),
    ("store/blobs", "this is the store itself"), (".", "nf-airlock's own"),
    ("build/x", "nf-airlock's own"), ("no/such/place", "there is no such folder"),
    ("trust/allowed_signers", "something else stands there"),
    ("link", "this is the store itself")])
def test_a_folder_that_it_may_not_be_is_refused(ready: Staged, to: str | None,
                                                message: str) -> None:
    Path("link").symlink_to("store")
    before = tree(Path("store"))
    with pytest.raises(AirlockError, match=message):
        lay(lay_spec(ready, to or ""))
    assert tree(Path("store")) == before


@pytest.mark.parametrize("name", ["README.txt", "SHA256SUMS", "carry.json", "part0001.tar"])
def test_somebody_elses_files_stay(ready: Staged, name: str) -> None:
    STICK.mkdir()
    (STICK / "holiday.jpg").write_bytes(b"mine")
    carry(ready, STICK)
    assert (STICK / "holiday.jpg").read_bytes() == b"mine"
    place = Path("other")
    files.write_bytes(place / name, b"{}")
    with pytest.raises(ConfigError, match=f"somebody else stands there: {name}"):
        carry(ready, place)
    assert tree(place) == {name: b"{}"}


def test_a_link_is_never_followed(ready: Staged, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    carry(ready, STICK)
    blob = next(STICK.glob("blobs/sha256/*/reads_1.fq"))
    (outside / "file").write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(outside / "file")
    carry(ready, STICK)
    assert not blob.is_symlink()
    verified(STICK, ready.trust)
    shutil.rmtree(STICK / "releases")
    (STICK / "releases").symlink_to(outside)
    with pytest.raises(IntegrityError, match="a link stands where"):
        carry(ready, STICK)
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_full_disk_and_one_that_cant_be_written_are_said(ready: Staged) -> None:
    STICK.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", STICK],
                                      check=False).returncode:
        pytest.skip("a small file system needs root, and the right to mount")
    try:
        with pytest.raises(HostError, match=r"the disk has .* free, and needed are"):
            carry(ready, STICK)
        assert not list(STICK.glob("*"))
        subprocess.run(["mount", "-o", "remount,size=10m", STICK], check=True)
        carry(ready, STICK)
        change_code(ready, random.Random(2).randbytes(6_000_000))
        ready.publish()
        carry(ready, STICK)
        change_code(ready, random.Random(3).randbytes(6_000_000))
        ready.publish()
        with pytest.raises(HostError, match="the disk has"):
            carry(ready, STICK)
        verified(STICK, ready.trust)
        carry(ready, STICK, remove=True)
        assert any(ready.id() in path for path in verified(STICK, ready.trust))
        subprocess.run(["mount", "-o", "remount,ro", STICK], check=True)
        change_code(ready, b"workflow { 9 }\n")
        ready.publish()
        with pytest.raises(HostError, match="it can't be written"):
            carry(ready, STICK)
    finally:
        subprocess.run(["umount", STICK], check=True)


def test_two_at_once_do_not_mix(ready: Staged) -> None:
    carry(ready, STICK)
    held = subprocess.Popen(["flock", STICK, "sleep", "60"])
    try:
        for _ in range(100):
            if subprocess.run(["flock", "-n", STICK, "true"], check=False).returncode:
                break
        with pytest.raises(HostError, match="somebody else lays files"):
            carry(ready, STICK)
    finally:
        held.kill()
        held.wait()
