"""Archives of code: unpacked whole, or refused with nothing left."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.archives.limits import Bounds
from tasks.core.errors import IntegrityError

PACKERS = {"tar": lambda data: data, "tar.gz": gzip.compress, "tar.bz2": bz2.compress,
           "tar.xz": lzma.compress}
NAMES = st.text(st.characters(blacklist_characters="/\\", blacklist_categories=("Cs", "Cc")),
                min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=50), min_size=1, max_size=4),
       st.sampled_from([*PACKERS, "zip"]))
def test_files_come_out_as_they_went_in(contents: dict[str, bytes], kind: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        path, place = Path(temporary) / "x", Path(temporary) / "out"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in contents.items():
                    archive.writestr(f"top/{name}", data)
        else:
            path.write_bytes(PACKERS[kind](tar(*(
                (member(f"top/{name}"), data) for name, data in contents.items()))))
        unpacking.unpack(path, place)
        assert {file.name: file.read_bytes() for file in files.tree(place / "top")} == contents


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_git_s_archive_names_its_commit(tmp_path: Path, form: str) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org",
                               *words], cwd=tmp_path, check=True, text=True,
                              capture_output=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "main.nf").write_text("workflow {}\n")
    git("add", "main.nf")
    git("commit", "--quiet", "--message", "x")
    git("archive", f"--format={form}", "--prefix=p-1/", f"--output=x.{form}", "HEAD")
    assert unpacking.unpack(tmp_path / f"x.{form}", tmp_path / "out") == git("rev-parse", "HEAD")
    assert (tmp_path / "out/p-1/main.nf").read_text() == "workflow {}\n"


@pytest.mark.parametrize("bad", [
    member("../evil"), member("/etc/evil"), member("a/../../evil"), member("a\nb"),
    member("link", tarfile.SYMTYPE, "../../etc/passwd"), member("hard", tarfile.LNKTYPE, "main.nf"),
    member("dev", tarfile.CHRTYPE), member("pipe", tarfile.FIFOTYPE), member("main.nf")],
    ids=lambda info: repr(info.name))
def test_a_hostile_member_is_refused_and_nothing_is_left(tmp_path: Path,
                                                         bad: tarfile.TarInfo) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar((member("main.nf"), b"x"), (bad, b""))))
    with pytest.raises(IntegrityError):
        unpacking.unpack(path, tmp_path / "sub/out")
    assert [path.name for path in tmp_path.rglob("*")] in (["x.tar.gz", "sub"], ["sub", "x.tar.gz"])


def test_a_bomb_is_refused_while_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar((member("zeros"), bytes(50_000_000)))))
    with pytest.raises(IntegrityError, match=r"more than the 5\.0 MB"):
        unpacking.unpack(path, tmp_path / "out", allowed=Bounds(size=5_000_000, members=10))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", gzip.compress(b"no tar"),
                                  gzip.compress(tar((member("a"), bytes(9000))))[:-40]])
def test_what_is_no_whole_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(IntegrityError, match="neither a whole zip nor a whole tar"):
        unpacking.unpack(tmp_path / "x", tmp_path / "out")
