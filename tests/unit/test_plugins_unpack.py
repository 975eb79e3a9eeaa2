"""A plugin's zip is unpacked with distrust."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.archives import zips
from tasks.core.archives.limits import Bounds
from tasks.core.errors import IntegrityError
from tasks.plugins.manifest import MANIFEST, read_manifest

CONTENT = b"Manifest-Version: 1.0\r\nPlugin-Id: nf-x\r\nPlugin-Version: 1.2\r\n .3\r\n\r\nX: y\r\n"


def make(path: Path, *members: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, content)
    return path


def test_a_plugin_is_unpacked_and_its_manifest_read(tmp_path: Path) -> None:
    path = make(tmp_path / "p.zip", ("classes/", b"", stat.S_IFDIR | 0o755),
                (MANIFEST, CONTENT, stat.S_IFREG | 0o644), ("lib/a.jar", b"jar", 0))
    zips.unpack_zip(path, tmp_path / "p")
    assert (tmp_path / "p/lib/a.jar").read_bytes() == b"jar"
    manifest = read_manifest(tmp_path / "p")
    assert (manifest["Plugin-Id"], manifest["Plugin-Version"]) == ("nf-x", "1.2.3")
    assert "X" not in manifest


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil",
                                  "a/\x01b", "..", "C:\\evil"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "p.zip", ("good", b"", 0), (name, b"x", 0))
    with pytest.raises(IntegrityError, match="refused"):
        zips.unpack_zip(path, tmp_path / "p")
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.zip"]


@given(st.integers(0, 0xF))
def test_only_files_and_folders_are_unpacked(kind: int) -> None:
    mode = kind << 12
    member = zipfile.ZipInfo("x")
    member.external_attr = (mode | 0o644) << 16
    if mode in (0, stat.S_IFREG, stat.S_IFDIR):
        zips._refuse_unsafe([member], Path("p.zip"), Bounds(size=10, members=10))
    else:
        with pytest.raises(IntegrityError, match="neither file nor folder"):
            zips._refuse_unsafe([member], Path("p.zip"), Bounds(size=10, members=10))


def test_a_bomb_is_refused_before_it_bursts(tmp_path: Path) -> None:
    path = make(tmp_path / "p.zip", *((f"zeros{number}", bytes(600_000), 0) for number in (1, 2)))
    assert path.stat().st_size < 10_000
    with pytest.raises(IntegrityError, match=r"1\.2 MB.*1\.0 MB are allowed"):
        zips.unpack_zip(path, tmp_path / "p", allowed=Bounds(size=1_000_000, members=10))


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "p.zip", ("zeros", bytes(600_000), 0))
    data = path.read_bytes().replace((600_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not a whole zip"):
        zips.unpack_zip(path, tmp_path / "p", allowed=Bounds(size=1_000, members=10))
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "p.zip", ("a", b"1", 0), ("a", b"2", 0))
    with pytest.raises(IntegrityError, match="comes twice"):
        zips.unpack_zip(path, tmp_path / "p")


@pytest.mark.parametrize("cut", [0, 30, -5])
def test_what_is_no_whole_zip_is_refused(tmp_path: Path, cut: int) -> None:
    path = make(tmp_path / "p.zip", ("a", b"content" * 50, 0))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(IntegrityError):
        zips.unpack_zip(path, tmp_path / "p")


def test_a_zip_without_a_manifest_is_no_plugin(tmp_path: Path) -> None:
    zips.unpack_zip(make(tmp_path / "p.zip", ("a", b"", 0)), tmp_path / "p")
    with pytest.raises(IntegrityError, match="no Nextflow plugin"):
        read_manifest(tmp_path / "p")
