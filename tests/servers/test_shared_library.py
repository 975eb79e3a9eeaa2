"""The library: image files that the users of a host share, filled by its owner and read by others.

Users are real ones, each in a process and a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core import disk, files
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, StoreAwayError
from tasks.core.paths import SitePaths
from tasks.core.schema import read_json
from tasks.offline_host import prune
from tasks.offline_host.bootstrap import bootstrap
from tasks.offline_host.prune_plan import PruneSpec
from tasks.offline_host.run import run_test
from tasks.offline_host.run_folder import RunFolder
from tasks.runtime import build as runtimes
from tests.kit import apptainer, faults, machine, users
from tests.kit.image_files import CONTAINER, Placed
from tests.kit.shared_library import NAME, Shared, shared
from tests.kit.users import NOBODY, SOMEBODY, Killed

SAID = "1 are image files of the library, "
WARNED = "NOT FROM THE LIBRARY: this user gets copies of their own, "


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


def test_the_real_engine_runs_it_from_a_read_only_mount(
        monkeypatch: pytest.MonkeyPatch, runtime: runtimes.Runtime) -> None:
    machine.need_root()
    program = apptainer.real()
    with users.open_folder() as top:
        kind = apptainer.kind_of(program)
        here = shared(top, monkeypatch, runtime.archive, kind)
        here.by("first")
        placed = Placed(staged=here.staged, path=f"{program.parent}:/usr/bin:/bin", kind=kind)

        def work() -> str:
            here.fetch()
            bootstrap(replace(placed.bootstrap_spec(), library=here.root))
            return run_test(placed.run_spec())

        assert users.act(work, here=here.home("second"), read_only=here.root).startswith(
            "1 results in runs/hello/")
        assert here.own("second") == []


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


def test_a_library_without_room_is_said_before_the_first_byte(
        here: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name for a file that is there needs none."""
    here.by("first")
    here.again()
    monkeypatch.setattr(disk, "free_at", lambda folder: 0 if folder == here.root else 10**12)
    assert SAID in here.by("first")[0]
    shutil.rmtree(here.root / "hello")
    with pytest.raises(HostError, match=r"the disk has 0 B free, .* for the library"):
        here.by("first")
    assert not (here.root / "hello").exists()


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


def test_a_prune_takes_nothing_of_it_and_says_how(here: Shared, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Whom its owner can't see may run it; what a release would free is what it has alone."""
    here.by("first")
    before = here.image.parent
    here.again()
    here.by("first")
    monkeypatch.chdir(here.top / "first")
    spec = PruneSpec(layout=SitePaths(site="there"), only=None, seen=Path("seen"),
                     runs=Path("runs"), here=Path.cwd(), recent=0,
                     engine=Engine(url="unix:///nowhere"), kind="apptainer", library=here.root)
    assert prune.apply(spec).startswith("1 release and ")
    line = (f"library: {before}, 0 B, stays: other users may run it; once nobody does: rm -r "
            f"{before}\n")
    assert line in capsys.readouterr().out
    assert read_json(spec.layout.host_prune, "host-prune")["library"] == [
        {"folder": str(before), "bytes": 0}]
    assert (before / NAME).is_file() and here.image.is_file()
    shutil.rmtree(before)
    assert SAID in here.by("first")[0] and " 0 of them" in here.by("first")[0]

    def planned() -> str:
        prune.show_plan(spec)
        return capsys.readouterr().out

    shutil.copytree(here.image.parent, before)
    size = files.human_size(here.image.stat().st_size)
    assert f"library: {before}, {size}, stays" in planned()
    assert "library:" not in users.act(planned, here=here.top / "first", read_only=here.root)


def test_own_copies_go_once_the_library_has_them(here: Shared,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The user takes them out of the release in place, and the cache has them for nothing."""
    root, here.root = here.root, here.top / "not there"
    here.by("first")
    here.root = root
    monkeypatch.chdir(here.home("first"))
    at = here.staged.prod
    shutil.rmtree(at.release(here.id) / "sif")
    assert SAID in here.by("first")[0]
    blob, = here.own("first")
    os.utime(blob, (0, 0))
    spec = PruneSpec(layout=SitePaths(site="there"), only=None, seen=Path("seen"),
                     runs=Path("runs"), here=Path.cwd(), recent=30,
                     engine=Engine(url="unix:///nowhere"), kind="apptainer", library=root)
    prune.apply(spec)
    assert here.own("first") == [] and here.image.is_file()
    assert " 0 of them fetched now" in here.by("first")[0]
