"""A tar cut into volumes: what goes in comes out, whatever its size, and nothing else does."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.archives import volumes
from tasks.core.archives.volumes import Member, Volumes
from tasks.core.errors import IntegrityError

ROOM = 4096


def member(name: str, data: bytes) -> Member:
    return Member(name=name, size=len(data), sha256=files.sha256_bytes(data))


def cut(root: Path, contents: dict[str, bytes], room: int = ROOM) -> list[str]:
    """Volumes with these files; their names."""
    members = [member(name, data) for name, data in contents.items()]
    count = -(-sum(map(volumes.length, members)) // room)
    names = [f"part{number:04}.tar" for number in range(1, count + 1)]

    @contextmanager
    def opened(one: Member) -> Iterator[IO[bytes]]:
        yield io.BytesIO(contents[one.name])

    digests = volumes.write(root, names, room, volumes.contents(members, opened))
    assert digests == {name: files.sha256(root / name) for name in names}
    assert all((root / name).stat().st_size == room for name in names[:-1])
    return names


def read(root: Path, names: Sequence[str]) -> dict[str, bytes]:
    with Volumes(root, names) as stream:
        held = {name: b"".join(blocks) for name, blocks in volumes.members(stream)}
    assert stream.held == {name: files.sha256(root / name) for name in names}
    return held


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}(/[a-z.é-]{1,80}){0,4}", fullmatch=True),
                       st.binary(max_size=3 * ROOM), max_size=6),
       st.sampled_from((512, 1000, ROOM)))
def test_what_goes_in_comes_out(tmp_path: Path, contents: dict[str, bytes], room: int) -> None:
    names = cut(tmp_path, contents, room)
    assert read(tmp_path, names) == contents
    members = [member(name, data) for name, data in contents.items()]
    assert volumes.holds(tmp_path, names, members) is not None
    for wrong in (members[1:], [*members, member("more", b"x")],
                  [member(one.name, b"?" * one.size) for one in members]):
        if wrong != members:
            assert volumes.holds(tmp_path, names, wrong) is None


def test_tar_itself_puts_them_together(tmp_path: Path) -> None:
    contents = {"a/empty": b"", "long/" + "x" * 200: b"1" * 5000, "b": b"2" * 512}
    cut(tmp_path, contents)
    place = tmp_path / "together"
    place.mkdir()
    done = subprocess.run(["bash", "-c", "cat part*.tar | tar xf - -C together"], cwd=tmp_path,
                          check=True, capture_output=True)
    assert not done.stderr
    assert {path.relative_to(place).as_posix(): path.read_bytes()
            for path in files.tree(place)} == contents


def test_a_file_that_changed_makes_no_volumes(tmp_path: Path) -> None:
    @contextmanager
    def opened(_: Member) -> Iterator[IO[bytes]]:
        yield io.BytesIO(b"other")

    with pytest.raises(IntegrityError, match="has changed"):
        volumes.write(tmp_path, ["part0001.tar"], ROOM,
                      volumes.contents([member("a", b"right")], opened))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                  tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "/etc/passwd"
    (tmp_path / "part0001.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(IntegrityError, match="no plain file"):
        read(tmp_path, ["part0001.tar"])


def test_noise_is_no_tar(tmp_path: Path) -> None:
    chance = random.Random(3)
    for size in (1, 511, 512, 5000):
        (tmp_path / "part0001.tar").write_bytes(chance.randbytes(size))
        with pytest.raises(IntegrityError):
            read(tmp_path, ["part0001.tar"])
