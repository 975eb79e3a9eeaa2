"""The offline host believes nothing that the trusted key did not sign, and names what is wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tasks.core import disk, files
from tasks.core.errors import AirlockError, HostError, IntegrityError, StoreError
from tasks.core.nextflow import isolation
from tasks.core.trust import checksums, signature
from tasks.offline_host.fetch import fetch
from tasks.release import release
from tests.kit.faults import flip
from tests.kit.releases import Staged, change_code, stage, trusted


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A pushed release, and a host that trusts its key."""
    monkeypatch.chdir(tmp_path)
    return trusted()


def place(ready: Staged) -> Path:
    return Path("store/releases/hello") / ready.id()


def in_place(ready: Staged) -> dict[str, bytes]:
    """All that is laid out on the host, but the cache."""
    return {str(path): path.read_bytes() for path in files.tree(ready.prod.root)}


def written(path: Path) -> tuple[int, int]:
    """Which file a path is, and when it was written; reading it changes neither."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_a_release_whose_code_was_not_confined_says_so(
        ready: Staged, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where the site allows that, whatever this machine can do: the id is of content alone."""
    fetch(ready.fetch_spec())
    assert "NOT ISOLATED" not in caplog.text
    spec = dataclasses.replace(ready.release_spec(), isolation="none")
    release.make(spec)
    on_this_machine = (ready.layout.release / "SHA256SUMS").read_bytes()
    monkeypatch.setattr(isolation, "_means", lambda: isolation.Means(words=(), hides=False))
    release.make(spec)
    assert (ready.layout.release / "SHA256SUMS").read_bytes() == on_this_machine
    ready.push()
    fetch(ready.fetch_spec())
    assert "NOT ISOLATED" in caplog.text


def test_a_release_that_was_not_proven_says_so_until_it_is(
        ready: Staged, caplog: pytest.LogCaptureFixture) -> None:
    fetch(ready.fetch_spec())
    fetch(ready.fetch_spec(ready.id()))
    assert "NOT PROVEN" not in caplog.text
    ready.push(unproven="the registry is down today")
    for name in (None, ready.id()):
        caplog.clear()
        fetch(ready.fetch_spec(name))
        assert caplog.messages == [
            f"NOT PROVEN: {ready.id()} was made the current release without a validation and a "
            "smoke run; the reason given: the registry is down today"]
    caplog.clear()
    ready.push()
    fetch(ready.fetch_spec())
    assert not caplog.messages


def test_a_release_is_laid_out_as_it_was_signed(ready: Staged) -> None:
    fetch(ready.fetch_spec())
    folder = ready.prod.release(ready.id())
    digests = checksums.parse_sums((place(ready) / "SHA256SUMS").read_bytes(), where="")
    assert {path.relative_to(folder).as_posix(): files.sha256(path)
            for path in files.tree(folder)} == digests
    assert json.loads(ready.prod.current.read_text())["id"] == ready.id()


def test_a_second_fetch_changes_nothing_and_a_second_release_only_what_differs(ready: Staged
                                                                               ) -> None:
    fetch(ready.fetch_spec())
    before = written(ready.prod.current)
    assert "0 of them fetched" in fetch(ready.fetch_spec())
    assert written(ready.prod.current) == before
    first = ready.id()
    change_code(ready, b"workflow { 2 }\n")
    ready.publish()
    assert "2 of them fetched" in fetch(ready.fetch_spec())  # code.tar and its manifest
    assert ready.prod.release(first).is_dir() and ready.prod.release(ready.id()).is_dir()


def test_a_changed_byte_in_any_file_of_the_store_is_refused_and_named(ready: Staged) -> None:
    keys = [path for path in files.tree(Path("store")) if path.name != "current.json"
            and ".airlock" not in path.parts
            and path.parent.name != "proofs" and not path.name.startswith(".")]
    # 19 carried, release.json, its three files of the release, the promotion and its signature
    assert len(keys) == 25
    for path in keys:
        whole = path.read_bytes()
        flip(path)
        shutil.rmtree("build/there", ignore_errors=True)
        with pytest.raises(IntegrityError) as caught:
            fetch(ready.fetch_spec())
        assert path.name in str(caught.value), path
        assert not in_place(ready), path
        path.write_bytes(whole)
    fetch(ready.fetch_spec())


def test_good_files_are_kept_and_all_bad_ones_named(ready: Staged) -> None:
    bad = [next(Path("store/blobs").rglob(name)) for name in ("code.tar", "reads_1.fq")]
    whole = {path: path.read_bytes() for path in bad}
    for path in bad:
        flip(path)
    with pytest.raises(IntegrityError) as caught:
        fetch(ready.fetch_spec())
    assert all(path.name in str(caught.value) for path in bad)
    for path, data in whole.items():
        path.write_bytes(data)
    assert "2 of them fetched" in fetch(ready.fetch_spec())


def test_a_changed_byte_in_the_cache_is_fetched_again(ready: Staged) -> None:
    fetch(ready.fetch_spec())
    folder = ready.prod.release(ready.id())
    flip(next(ready.prod.blobs.rglob("code.tar")))
    assert "1 of them fetched" in fetch(ready.fetch_spec())
    assert files.sha256(folder / "code.tar") == files.sha256(ready.layout.code)
    (folder / "stray").write_text("x")
    fetch(ready.fetch_spec())
    assert not (folder / "stray").exists()


@pytest.mark.parametrize("name", ["SHA256SUMS", "SHA256SUMS.sig", "current.json",
                                  "promotions/00000001.json", "promotions/00000001.json.sig"])
def test_a_missing_file_of_the_release(ready: Staged, name: str) -> None:
    folder = place(ready) if name.startswith("SHA256") else place(ready).parent
    (folder / name).unlink()
    with pytest.raises(AirlockError, match=name.replace(".sig", "|is missing")) as caught:
        fetch(ready.fetch_spec())
    assert name.removesuffix(".sig") in str(caught.value)


def test_a_missing_blob(ready: Staged) -> None:
    next(Path("store/blobs").rglob("plugins.tar")).unlink()
    with pytest.raises(StoreError, match=r"plugins\.tar"):
        fetch(ready.fetch_spec())


def test_a_foreign_key_is_refused_before_anything_is_read(ready: Staged) -> None:
    other = Path("keys/other")
    signature.ready(other, create=True, identity="airlock")
    (place(ready) / "SHA256SUMS").write_bytes(b"../../../evil\n")
    (place(ready) / "SHA256SUMS.sig").write_bytes(signature.sign(
        other, b"../../../evil\n", namespace=signature.RELEASE))
    with pytest.raises(IntegrityError, match="does not name"):
        fetch(ready.fetch_spec())


def test_the_signature_of_another_list_is_refused(ready: Staged) -> None:
    first = place(ready)
    change_code(ready, b"workflow { 3 }\n")
    ready.publish()
    shutil.copy(first / "SHA256SUMS.sig", place(ready) / "SHA256SUMS.sig")
    with pytest.raises(IntegrityError, match="one of the two was changed"):
        fetch(ready.fetch_spec())


def test_a_signed_release_under_another_name_is_refused(ready: Staged) -> None:
    wrong = place(ready).with_name("dev-000000000000")
    shutil.copytree(place(ready), wrong)
    with pytest.raises(IntegrityError, match="the release under the name dev-000000000000 is dev-"):
        fetch(ready.fetch_spec("dev-000000000000"))


def test_a_signed_release_of_another_pipeline_is_refused(ready: Staged) -> None:
    twin = stage("twin")
    name = twin.publish()
    shutil.copytree(f"store/releases/twin/{name}", f"store/releases/hello/{name}")
    with pytest.raises(IntegrityError, match="another pipeline, 'twin'"):
        fetch(ready.fetch_spec(name))
    shutil.copy("store/releases/twin/current.json", "store/releases/hello/current.json")
    with pytest.raises(IntegrityError, match="another pipeline, 'twin'"):
        fetch(ready.fetch_spec())


def older(ready: Staged) -> tuple[str, str]:
    """Two pushed releases, the second fetched, and a store that shows the first again."""
    first = ready.id()
    pointer = Path("store/releases/hello/current.json")
    before = pointer.read_bytes()
    change_code(ready, b"workflow { 4 }\n")
    second = ready.publish()
    fetch(ready.fetch_spec())
    pointer.write_bytes(before)
    return first, second


def test_an_older_release_comes_in_only_when_it_is_named(ready: Staged) -> None:
    first, second = older(ready)
    with pytest.raises(IntegrityError, match="this host has seen number 2: it is older") as caught:
        fetch(ready.fetch_spec())
    assert f"release={first}" in str(caught.value)
    assert json.loads(ready.prod.current.read_text())["id"] == second
    fetch(ready.fetch_spec(first))
    assert json.loads(ready.prod.current.read_text())["id"] == first


def test_an_unknown_release_is_an_error_that_names_those_there(ready: Staged) -> None:
    with pytest.raises(StoreError, match="there is no release 'dev-1'") as caught:
        fetch(ready.fetch_spec("dev-1"))
    assert ready.id() in str(caught.value)
    with pytest.raises(IntegrityError, match="not allowed"):
        fetch(ready.fetch_spec("../../hello"))


def test_a_full_disk_is_told_before_the_first_file_and_what_is_there_counts(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_at", lambda folder: 1000)
    with pytest.raises(HostError, match=r"1\.0 kB free, and needed are .* for the release"):
        fetch(ready.fetch_spec())
    assert not ready.prod.current.exists()
    monkeypatch.setattr(disk, "free_at", lambda folder: 10**9)
    fetch(ready.fetch_spec())
    monkeypatch.setattr(disk, "free_at", lambda folder: 0)
    fetch(ready.fetch_spec())


def test_a_release_in_use_is_mended_without_being_taken_away(ready: Staged) -> None:
    fetch(ready.fetch_spec())
    folder = ready.prod.release(ready.id())
    before = folder.stat().st_ino
    (folder / "code.tar").unlink()
    (folder / "stray").write_text("x")
    (folder / "plugins.tar").unlink()
    (folder / "plugins.tar").mkdir()
    fetch(ready.fetch_spec())
    assert files.sha256(folder / "plugins.tar") == files.sha256(ready.layout.plugins)
    (folder / "code.tar").unlink()
    inode = folder.stat().st_ino
    fetch(ready.fetch_spec())
    assert files.sha256(folder / "code.tar") == files.sha256(ready.layout.code)
    assert not (folder / "stray").exists()
    assert folder.stat().st_ino == inode != before  # a folder in a file's place: made anew, once


def test_what_a_killed_fetch_left_is_swept_and_hidden_files_stay(ready: Staged) -> None:
    fetch(ready.fetch_spec())
    blob = next(ready.prod.blobs.rglob("code.tar"))
    left = [blob.with_name(f".code.tar.12.{end}") for end in ("incoming", "incoming.ab.part")]
    hidden = blob.with_name(".nf-test.config")
    for path in (*left, hidden):
        path.write_text("x")
    blob.unlink()
    fetch(ready.fetch_spec())
    assert not any(path.exists() for path in left) and hidden.exists()
