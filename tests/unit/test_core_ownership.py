"""Who may enter and who may write: folders closed, and what others could change refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files, ownership
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.load import load
from tasks.core.errors import HostError
from tasks.core.offline_paths import OfflinePaths
from tasks.core.ownership import refuse_writable_by_others
from tasks.core.store.store import open_store
from tasks.core.trust import signature
from tasks.offline_host import bootstrap, run

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="not root: only root gives files away")
SOMEBODY = 12345


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The user's umask, from open to all to closed."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """A file two folders deep that nobody else may change."""
    files.write_text(tmp_path / "trust/keys/allowed_signers", "x")
    for folder in (tmp_path, tmp_path / "trust", tmp_path / "trust/keys"):
        folder.chmod(0o755)
    return tmp_path / "trust/keys/allowed_signers"


def test_what_only_root_and_the_user_can_change_is_taken(trusted: Path) -> None:
    refuse_writable_by_others(trusted)
    refuse_writable_by_others(trusted.parent)
    refuse_writable_by_others(trusted.parent / "not there/at all")


@pytest.mark.parametrize("bits", [0o002, 0o022, 0o007])
@pytest.mark.parametrize("up", [0, 1, 2], ids=["file", "folder", "its folder"])
def test_what_others_can_write_is_refused_with_the_command_that_mends_it(
        trusted: Path, up: int, bits: int) -> None:
    fault = [trusted, *trusted.parents][up]
    fault.chmod(mode(fault) | bits)
    with pytest.raises(HostError) as caught:
        refuse_writable_by_others(trusted)
    assert f"{mode(fault):04o}" in str(caught.value)
    assert f"chmod go-w {fault}" in str(caught.value)
    fault.chmod(mode(fault) & ~0o022)
    refuse_writable_by_others(trusted)


@AS_ROOT
def test_a_group_with_others_in_it_may_not_write(trusted: Path) -> None:
    trusted.chmod(0o664)
    refuse_writable_by_others(trusted)  # root's own group
    os.chown(trusted, 0, SOMEBODY)
    with pytest.raises(HostError, match="chmod go-w"):
        refuse_writable_by_others(trusted)


@AS_ROOT
@pytest.mark.parametrize("up", [0, 1], ids=["file", "folder"])
def test_what_belongs_to_somebody_else_is_refused(trusted: Path, up: int) -> None:
    fault = [trusted, *trusted.parents][up]
    os.chown(fault, SOMEBODY, 0)
    with pytest.raises(HostError) as caught:
        refuse_writable_by_others(trusted)
    assert f"the user {SOMEBODY}" in str(caught.value)
    assert f"chown -h root {fault}" in str(caught.value)


@AS_ROOT
def test_a_folder_with_the_sticky_bit_is_roots_alone(trusted: Path) -> None:
    trusted.parent.chmod(0o1777)
    refuse_writable_by_others(trusted)
    os.chown(trusted.parent, SOMEBODY, 0)
    with pytest.raises(HostError):
        refuse_writable_by_others(trusted)


def test_a_link_counts_by_its_own_folder_and_by_what_it_leads_to(
        trusted: Path, tmp_path: Path) -> None:
    at = tmp_path / "linked/here"
    at.parent.mkdir(mode=0o755)
    at.symlink_to("../trust")
    refuse_writable_by_others(at / "keys/allowed_signers")
    for fault in (at.parent, trusted.parent, trusted):
        fault.chmod(mode(fault) | 0o002)
        with pytest.raises(HostError, match=f"chmod go-w {fault}$"):
            refuse_writable_by_others(at / "keys/allowed_signers")
        fault.chmod(mode(fault) & ~0o022)
    (tmp_path / "open").mkdir()
    files.write_text(tmp_path / "open/file", "x")
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "to the open").symlink_to(tmp_path / "open/file")
    with pytest.raises(HostError, match="open"):
        refuse_writable_by_others(tmp_path / "to the open")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(HostError, match="links"):
        refuse_writable_by_others(tmp_path / "a")


def test_a_signing_key_that_others_can_replace_is_not_used(tmp_path: Path) -> None:
    key = tmp_path / "keys/id"
    signature.ready(key, create=True, identity="airlock")
    assert (mode(key.parent), mode(key)) == (0o700, 0o600)
    key.parent.chmod(0o777)
    with pytest.raises(HostError, match=f"chmod go-w {key.parent}"):
        signature.ready(key, create=True, identity="airlock")


def test_what_is_built_for_a_site_is_its_users_alone(project: Path, umask: int) -> None:
    load({})
    assert mode(project / "build/local") == 0o700
    assert not mode(project / "build") & 0o022
    (project / "build/local").chmod(0o755)
    load({})
    assert mode(project / "build/local") == 0o700


def test_a_closed_folder_of_somebody_elses_is_said(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "site").mkdir()
    (tmp_path / "site").chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refused)
    with pytest.raises(HostError, match="its owner closes it: chmod 700"):
        ownership.private_folder(tmp_path / "site")


def test_a_copy_is_no_more_open_than_the_file(tmp_path: Path, umask: int) -> None:
    for given, wanted in {0o600: 0o600, 0o640: 0o640, 0o400: 0o600, 0o444: 0o644, 0o755: 0o644,
                          0o644: 0o644}.items():
        source = tmp_path / f"{given:o}"
        source.write_text("x")
        source.chmod(given)
        files.copy(source, tmp_path / "copy")
        assert mode(tmp_path / "copy") == wanted


@pytest.mark.parametrize(("root", "wanted"), [(0o700, 0o600), (0o750, 0o640), (0o2770, 0o640),
                                              (0o755, 0o644)])
def test_a_folder_store_is_read_by_those_who_may_enter_it(tmp_path: Path, umask: int, root: int,
                                                          wanted: int) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(root)
    (tmp_path / "file").write_text("x")
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    store.put("blobs/sha256/x/file", tmp_path / "file", files.sha256(tmp_path / "file"))
    store.put_bytes("releases/p/current.json", b"{}")
    for path in (tmp_path / "store").rglob("*"):
        assert mode(path) == (root if path.is_dir() else wanted), path


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of /var/tmp, for a project on a file system of another machine."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var").chmod(0o1777 if os.geteuid() == 0 else 0o755)
    monkeypatch.setattr(bootstrap, "LOCAL", tmp_path / "var")
    monkeypatch.setattr(bootstrap, "file_system", lambda *_: "nfs4")
    return tmp_path / "var" / f"airlock-{os.geteuid()}"


PROD = OfflinePaths(site="here", pipeline="hello")


def work_folder() -> Path:
    """What the bootstrap chooses, as a run uses it."""
    return run.own_work_folder(bootstrap.work_folder(PROD), PROD)


def test_the_work_folder_is_its_users_alone(local: Path, umask: int) -> None:
    assert work_folder() == local / "hello"
    assert mode(local) == 0o700
    assert work_folder() == local / "hello"


@pytest.mark.parametrize("there", ["a link", "a file", "open", "somebody's"])
def test_a_work_folder_that_is_not_ours_is_refused(local: Path, tmp_path: Path,
                                                   there: str) -> None:
    if there == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        local.symlink_to(tmp_path / "elsewhere")
    elif there == "a file":
        local.write_text("")
    else:
        local.mkdir(mode=0o700)
        if there == "open":
            local.chmod(0o750)
        elif os.geteuid() == 0:
            os.chown(local, SOMEBODY, SOMEBODY)
        else:
            pytest.skip("not root: only root gives folders away")
    with pytest.raises(HostError) as caught:
        work_folder()
    assert str(local) in str(caught.value)


def test_a_work_folder_where_others_can_rename_it_is_refused(local: Path) -> None:
    local.parent.chmod(0o777)
    with pytest.raises(HostError, match="chmod go-w"):
        work_folder()
