"""Atomic writes, deterministic archives, and paths from outside."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.errors import IntegrityError
from tasks.core.graph import sweep

NAMES = st.text(alphabet="abcXYZ09._-", min_size=1, max_size=120).filter(
    lambda name: name not in (".", ".."))


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "lock.json"
    files.write_text(target, "before")
    with pytest.raises(RuntimeError), files.atomic(target) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@given(st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=5))
def test_a_tar_depends_on_content_alone(tmp_path_factory: pytest.TempPathFactory,
                                        content: dict[str, bytes]) -> None:
    made = []
    for mtime in (1, 10**9):
        folder = tmp_path_factory.mktemp("tree")
        for name in sorted(content, reverse=mtime == 1):
            (folder / name).write_bytes(content[name])
            os.utime(folder / name, (mtime, mtime))
        target = tmp_path_factory.mktemp("out") / "code.tar"
        files.write_tar(target, folder, files.tree(folder))
        made.append(target.read_bytes())
    assert made[0] == made[1]
    unpacked = target.parent / "again"
    unpacking.unpack_tar(target, unpacked)
    assert {path.name: path.read_bytes() for path in unpacked.iterdir()} == content


def hostile(path: Path, name: str, **fields: object) -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info, io.BytesIO(b"\0" * info.size))
    return path


@pytest.mark.parametrize(("name", "fields"), [
    ("../out", {"size": 3}),
    ("/etc/out", {"size": 3}),
    ("a/../../out", {"size": 3}),
    ("line\nbreak", {"size": 3}),
    ("link", {"type": tarfile.SYMTYPE, "linkname": "../../etc/passwd"}),
    ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
    ("hard", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
    ("pipe", {"type": tarfile.FIFOTYPE}),
    ("device", {"type": tarfile.CHRTYPE}),
])
def test_a_hostile_member_is_refused_and_nothing_appears(tmp_path: Path, name: str,
                                                         fields: dict[str, object]) -> None:
    archive = hostile(tmp_path / "bad.tar", name, **fields)
    with pytest.raises(IntegrityError):
        unpacking.unpack_tar(archive, tmp_path / "folder")
    assert {path.name for path in tmp_path.iterdir()} == {"bad.tar"}


PARTS = st.sampled_from(["a", "b", "..", "."])


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("abc")),
                       st.lists(PARTS, min_size=1, max_size=6)),
       st.lists(PARTS, min_size=1, max_size=6))
def test_links_that_stay_inside_lead_nowhere_else_whatever_they_lead_through(
        links: dict[tuple[str, str], list[str]], last: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "outer/root"
        for folder in "ab":
            (root / folder).mkdir(parents=True)
        named = {f"{folder}/{name}": "/".join(to) for (folder, name), to in links.items()}
        kept = {name: to for name, to in {**named, "last": "/".join(last)}.items()
                if files.points_inside(name, to)}
        for name, to in kept.items():
            (root / name).symlink_to(to)
        for name in kept:
            try:
                found = (root / name).resolve(strict=True)
            except (OSError, RuntimeError):  # it leads nowhere, or in a circle
                continue
            assert found.is_relative_to(root.resolve())


def test_a_link_may_go_up_within_the_tree_and_not_through_another_link() -> None:
    assert files.points_inside("modules/a/main.nf", "../../lib/b.nf")
    assert files.points_inside("a/root", "..")
    assert not files.points_inside("a/root", "../..")
    assert not files.points_inside("secret", "a/root/../secret")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        inner = tarfile.TarInfo("real")
        inner.type = tarfile.DIRTYPE
        archive.addfile(inner)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "real"
        archive.addfile(link)
        through = tarfile.TarInfo("link/file")
        archive.addfile(through)
    with pytest.raises(IntegrityError, match="through a link"):
        unpacking.unpack_tar(tmp_path / "bad.tar", tmp_path / "folder")


@given(st.text(max_size=40))
def test_a_path_from_outside_stays_inside(relative: str) -> None:
    root = Path("/root/of/all")
    try:
        result = files.inside(root, relative)
    except IntegrityError:
        return
    assert Path(os.path.normpath(result)).is_relative_to(root)
    assert "\n" not in str(result)


def test_link_or_copy_leaves_no_temporary_file(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_text("x")
    for _ in range(2):
        files.link_or_copy(source, tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "b").read_text() == "x"


def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = ["a.part", ".cache/x", "p/.git-cache/x.part/y", "p/blobs/.x.part", ".lock"]
    swept = [".a.tar.x1.part", "p/.project.x1.part/code/a"]
    for name in (*kept, *swept):
        files.write_text(tmp_path / name, "")
    (tmp_path / "p/.link.x1.part").symlink_to(tmp_path / ".cache")
    sweep.sweep_folder(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in files.tree(tmp_path)} == set(kept)


def test_scratch_is_gone_even_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError), files.scratch(tmp_path / "a", "b") as folder:
        files.write_text(folder / "c/d", "")
        raise ValueError
    assert folder.is_absolute()
    assert list((tmp_path / "a").iterdir()) == []
