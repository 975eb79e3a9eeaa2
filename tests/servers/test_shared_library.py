"""The library: image files that the users of a host share, filled by its owner and read by others.

Users are real ones, each in a process and a folder of their own.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import HostError, StoreAwayError
from tasks.core.nextflow.image_files import file_name
from tasks.core.schema import read_json
from tasks.offline_host.bootstrap import bootstrap
from tasks.offline_host.fetch import fetch
from tasks.offline_host.run import run_test
from tasks.offline_host.run_folder import RunFolder
from tasks.release import release
from tasks.runtime import build as runtimes
from tests.kit import apptainer, faults, image_files, machine, users
from tests.kit.image_files import CONTAINER, Placed
from tests.kit.releases import Staged, change_code
from tests.kit.users import NOBODY, SOMEBODY, Killed

NAME = file_name(CONTAINER)
SAID = "1 are image files of the library, "
WARNED = "NOT FROM THE LIBRARY: this user gets copies of their own, "


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


def shared(top: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path | None = None) -> Shared:
    (top / "online").mkdir()
    monkeypatch.chdir(top / "online")
    staged = image_files.published(runtime)
    (top / "library").mkdir()
    (top / "library").chmod(0o755)
    return Shared(top=top, staged=staged, root=top / "library", id=staged.id())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    """A release that isn't run, and an empty library of root's."""
    machine.need_root()
    with users.open_folder() as top:
        yield shared(top, monkeypatch)


def test_one_user_fills_it_and_another_reads_it(here: Shared) -> None:
    before = os.umask(0o077)
    said, warned = here.by("first")
    os.umask(before)
    assert f"{SAID}{here.image.parent}" in said and not warned
    assert files.sha256(here.image) == here.digest
    assert stat.S_IMODE(here.image.stat().st_mode) == 0o644
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in here.image.parents[:2]} == {0o755}
    said, warned = here.by("second", NOBODY)
    assert f"{SAID}{here.image.parent}" in said and not warned
    assert here.own("first") == here.own("second") == []
    assert " 0 of them fetched now" in here.by("second", NOBODY)[0]


def test_the_engine_is_led_there_where_it_is_mounted_read_only(here: Shared) -> None:
    here.by("first")
    engine = apptainer.standin(here.home("second") / "bin")

    def start() -> str:
        here.fetch()
        return bootstrap(replace(here.placed(engine).bootstrap_spec(), library=here.root))

    assert ": 1 image files; Nextflow" in users.act(start, here=here.home("second"),
                                                    read_only=here.root)
    trial, = engine.calls()
    assert trial["image"] == str(here.image)
    config, = (here.top / "second").rglob("images.config")
    assert f"apptainer.libraryDir = '{here.image.parent}'\n" in config.read_text()


def test_a_record_says_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                runtime: runtimes.Runtime) -> None:
    monkeypatch.chdir(tmp_path)
    here = shared(tmp_path, monkeypatch, runtime.archive)
    placed = here.placed(apptainer.standin(tmp_path / "bin"))
    assert SAID in here.fetch()[0]
    bootstrap(replace(placed.bootstrap_spec(), library=here.root))
    run_test(placed.run_spec())
    folder, = Path("runs/hello").glob("*Z-*")
    record = read_json(RunFolder(path=folder).record, "run")
    assert record["images"] == [{"reference": str(here.image), "id": f"sha256:{here.digest}",
                                 "digests": [CONTAINER], "why_not": None}]


def gone(here: Shared) -> str:
    here.image.unlink()
    return "is missing"


def changed(here: Shared) -> str:
    faults.flip(here.image)
    return "its bytes have changed (sha256 "


def linked(here: Shared) -> str:
    shutil.move(here.image, here.top / "elsewhere")
    here.image.symlink_to(here.top / "elsewhere")
    return "a link stands where a file or folder should be"


def linked_folder(here: Shared) -> str:
    shutil.move(here.root / "hello", here.top / "elsewhere")
    (here.root / "hello").symlink_to(here.top / "elsewhere")
    return "a link stands where a file or folder should be"


def a_file_of_others(here: Shared) -> str:
    os.chown(here.image, SOMEBODY, SOMEBODY)
    return "this belongs to bin"


def writable(here: Shared) -> str:
    here.image.parent.chmod(0o777)
    return "others can write here"


@pytest.mark.parametrize("change", [gone, changed, linked, linked_folder, a_file_of_others,
                                    writable])
def test_what_a_reader_can_t_take_there_becomes_a_copy_of_their_own_with_a_word(
        here: Shared, change: Callable[[Shared], str]) -> None:
    here.by("first")
    why = change(here)
    said, warned = here.by("second", NOBODY)
    assert SAID not in said and WARNED in warned and f"sif/{NAME}: {why}" in warned
    assert ("root fills it, where it may be written: `./doit role=prod pipeline=hello release="
            f"{here.id} prod:fetch`") in warned
    assert {files.sha256(path) for path in here.own("second")} == {here.digest}
    again, warned = here.by("second", NOBODY)
    assert " 0 of them fetched now" in again and not warned


@pytest.mark.parametrize("change", [gone, changed, linked])
def test_its_owner_s_next_fetch_mends_it_and_follows_no_link(
        here: Shared, change: Callable[[Shared], str]) -> None:
    here.by("first")
    change(here)
    (here.top / "elsewhere").touch()
    aside = (here.top / "elsewhere").read_bytes()
    said, warned = here.by("first")
    assert " 1 of them fetched now" in said and SAID in said and not warned
    assert files.sha256(here.image) == here.digest and not here.image.is_symlink()
    assert (here.top / "elsewhere").read_bytes() == aside
    assert here.own("first") == []


def test_a_place_that_is_mounted_read_only_is_read_and_not_filled(here: Shared) -> None:
    _, warned = here.by("first", read_only=here.root)
    assert f"sif/{NAME}: is missing" in warned and "where it may be written" in warned
    here.by("second")
    said, warned = here.by("third", read_only=here.root)
    assert SAID in said and not warned


def test_a_killed_first_user_leaves_nothing_that_is_taken(here: Shared) -> None:
    with pytest.raises(Killed):
        here.by("first", dies_at=NAME)
    half, = here.image.parent.iterdir()
    assert half.name.endswith(".part")
    said, warned = here.by("second", NOBODY)
    assert SAID not in said and "is missing" in warned
    assert SAID in here.by("first")[0]
    assert [path.name for path in here.image.parent.iterdir()] == [NAME]
    assert list(here.root.rglob("*.part")) == []


def test_a_file_that_a_full_disk_cut_is_not_taken(here: Shared) -> None:
    """Whoever wrote it: only what is whole has the name."""
    here.image.parent.mkdir(parents=True)
    here.image.write_bytes(b"#!/usr/bin/env run-singularity\n")
    assert "its bytes have changed" in here.by("second", NOBODY)[1]
    assert " 0 of them" not in here.by("first")[0]
    assert files.sha256(here.image) == here.digest


def test_of_two_first_users_one_fills_it(here: Shared) -> None:
    waiting = [users.begin(here.fetch, here=here.home(name)) for name in ("first", "second")]
    lines = [end() for end in waiting]
    assert all(SAID in said and not warned for said, warned in lines)
    assert [path.name for path in here.image.parent.iterdir()] == [NAME]
    fetched = sorted(int(said.split(" files checked, ")[1].split()[0]) for said, _ in lines)
    assert fetched[1] - fetched[0] in (0, 1)
    assert here.own("first") == here.own("second") == []


def test_releases_with_the_same_image_have_it_once(here: Shared) -> None:
    here.by("first")
    before, first = here.image, here.id
    here.again()
    assert SAID in here.by("first")[0]
    assert here.id != first and here.image.samefile(before)
    faults.flip(before)  # of both
    assert SAID in here.by("first")[0]
    assert files.sha256(here.image) == here.digest and not here.image.samefile(before)


def test_without_the_store_what_is_there_runs(here: Shared) -> None:
    here.by("first")
    here.by("second", NOBODY)
    (here.top / "online/store").rename(here.top / "online/away")
    said, warned = here.by("second", NOBODY)
    assert SAID in said and "STORE NOT REACHED" in warned
    gone(here)
    with pytest.raises(StoreAwayError, match="isn't whole in place here"):
        here.by("second", NOBODY)


def test_copies_that_a_user_has_stay_theirs_and_fill_it(here: Shared) -> None:
    """Runs may use them."""
    root, here.root = here.root, here.top / "not there"
    _, warned = here.by("first")
    assert "the library of image files can't be had: No such file" in warned
    assert f"install -d -m 755 -o USER {here.root}" in warned
    own = here.own("first")
    assert own and here.by("first")[1] == ""
    here.root = root
    said, _ = here.by("first")
    assert SAID not in said and " 1 of them fetched now" in said
    assert files.sha256(here.image) == here.digest and here.own("first") == own


@pytest.mark.parametrize(("below", "is_taken"), [("/srv", True), (None, False)])
def test_an_ordinary_user_may_fill_it_but_not_where_anybody_could_be_the_first(
        monkeypatch: pytest.MonkeyPatch, below: str | None, is_taken: bool) -> None:
    machine.need_root()
    with users.open_folder(below) as top:
        here = shared(top, monkeypatch)
        os.chown(here.root, SOMEBODY, SOMEBODY)
        assert SAID in here.by("first", SOMEBODY)[0]
        said, warned = here.by("second", NOBODY)
        assert (SAID in said) is is_taken is not ("others can write here" in warned)
        here.root.chmod(0o775)
        os.chown(here.root, SOMEBODY, NOBODY)
        assert "others can write here" in here.by("third", NOBODY)[1]


def test_a_bootstrap_refuses_a_library_that_was_opened_meanwhile(
        here: Shared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(here.home("first"))
    here.fetch()
    spec = replace(here.placed(apptainer.standin(tmp_path / "bin")).bootstrap_spec(),
                   library=here.root)
    bootstrap(spec)
    here.root.chmod(0o777)
    with pytest.raises(HostError, match="others can write here"):
        bootstrap(spec)
