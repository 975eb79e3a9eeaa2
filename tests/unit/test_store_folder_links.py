"""Links, pipes and devices in a folder store: none is followed, none is read."""

from __future__ import annotations

import os
import socket
import stat
from functools import partial
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError
from tasks.core.store.store import open_store
from tests.kit.bounded import limited

MOST = 2**20
FILE, FOLDER = "releases/p/id/SHA256SUMS", "releases/p/id"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store, with a file that a link may lead to."""
    (tmp_path / "store").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/SHA256SUMS").write_text("secret")
    return tmp_path / "outside"


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("to", ["outside", "dangling", "inside"])
def test_no_link_in_the_store_is_followed(tmp_path: Path, outside: Path, depth: int,
                                          to: str) -> None:
    """Neither in a folder's place nor in a file's, by no method."""
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    store.put_bytes("other/SHA256SUMS", b"other")
    parts = FILE.split("/")
    link = tmp_path.joinpath("store", *parts[:depth])
    link.parent.mkdir(parents=True, exist_ok=True)
    rest = "/".join(parts[depth:])
    target = {"outside": outside, "dangling": tmp_path / "none",
              "inside": tmp_path / "store/other"}[to]
    if to == "outside" and rest:
        (outside / rest).parent.mkdir(parents=True, exist_ok=True)
        (outside / rest).write_text("secret")
    link.symlink_to(target / "SHA256SUMS" if depth == 4 else target)
    before = {path: path.read_bytes() for path in files.tree(tmp_path)
              if path.is_file() and not path.is_symlink()}
    source = tmp_path / "new"
    source.write_bytes(b"new")
    with pytest.raises(IntegrityError, match="a link stands"):
        store.get(FILE, tmp_path / "back", most=MOST)
    with pytest.raises(IntegrityError, match="a link stands"):
        store.head(FILE)
    assert store.list("") == ["other/SHA256SUMS"]
    for write in (partial(store.put, FILE, source, files.sha256(source)),
                  partial(store.put_bytes, FILE, b"new")):
        if depth < 4:
            with pytest.raises(IntegrityError, match="a link stands"):
                write()
        else:  # what stands in a file's own place is replaced
            write()
            assert store.list(FOLDER) == [FILE]
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "none").exists()


def test_the_store_itself_may_be_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "mounted").symlink_to(tmp_path / "store")
    store = open_store(StoreAt(url=str(tmp_path / "mounted")))
    store.put_bytes(FILE, b"x")
    assert (tmp_path / "store" / FILE).read_bytes() == b"x"
    assert (tmp_path / "store" / FILE).stat().st_mode & 0o777 == 0o644
    assert store.list("releases/p/i") == [FILE]


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device"])
def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     kind: str) -> None:
    place = tmp_path / "store/releases/p/current.json"
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(place.parent)  # a socket has a short path
        socket.socket(socket.AF_UNIX).bind(place.name)
    elif os.getuid() == 0:
        os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    else:
        pytest.skip("not root: devices are made by root alone")
    output = limited("""
from tasks.core.config.settings import StoreAt
from tasks.core.store.store import open_store
store = open_store(StoreAt(url=sys.argv[1]))
for ask in (store.head, lambda key: store.get(key, Path(sys.argv[2]), most=2**20)):
    try:
        ask('releases/p/current.json')
    except AirlockError as error:
        print(type(error).__name__, error)
""", tmp_path / "store", tmp_path / "back", size=1_000_000)
    assert output.count("no regular file") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
