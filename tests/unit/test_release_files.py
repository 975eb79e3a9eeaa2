"""A release is made of files that are what manifests, locks and receipts say, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.schema import read_json
from tasks.core.tool_version import TOOL_VERSION
from tasks.release import release, release_files
from tests.kit import releases as staged
from tests.kit.releases import VERSION, Staged, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    monkeypatch.chdir(tmp_path)
    return stage()


def test_every_file_is_listed_with_its_kind(ready: Staged) -> None:
    found = {file.path: file for file in release_files.collect(ready.layout, VERSION)}
    data = [path for path in found if path.startswith("data/")]
    assert len(data) == len(staged.DATA)
    assert set(found) - set(data) == {
        "code.tar", "manifest.json", "reach.json", "images.json", "images.lock.json",
        "images.txt", "images.pinned.txt", "images.receipt.json", "data.manifest.json",
        "inputs.csv", "inputs3.csv", "plugins.txt", "plugins.tar", f"nextflow-{VERSION}.tar",
        "offline.config", "sbom.cdx.json", "sbom.spdx.json"}
    for file in found.values():
        assert file.sha256 == files.sha256(file.source)
        assert file.source == release_files.source_of(ready.layout, VERSION, file.path, file.sha256)


def test_two_who_lock_the_same_on_different_days_make_one_release(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for clone, day in (("one", "2026-01-01"), ("elsewhere/other", "2026-07-30")):
        (tmp_path / clone).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / clone)
        own = stage()
        lock = own.layout.lock("images")
        replace(lock, "2026-01-01T00:00:00Z", f"{day}T09:08:07Z")
        release.make(own.release_spec())
        assert day in lock.read_text()
        made.append((own.id(), (own.layout.release / "SHA256SUMS").read_bytes()))
    assert made[0] == made[1]


def test_a_release_names_its_source_and_the_version_of_the_tool(ready: Staged) -> None:
    release.make(ready.release_spec())
    about = read_json(ready.layout.release / "release.json", "release")
    assert (about["source"], about["commit"]) == ("examples/hello", None)
    assert about["tool"] == TOOL_VERSION


def test_a_converted_image_is_held_against_the_digest_that_it_came_from(ready: Staged) -> None:
    receipt = read_json(ready.layout.images_receipt, "images-receipt")
    image = receipt["images"][0]
    locked, made = image["digest"], "sha256:" + "c" * 64
    for origin, fits in ((locked, True), ("sha256:" + "d" * 64, False)):
        image |= {"digest": made, "converted": {"from": origin, "reason": "docker schema 1"}}
        files.write_json(ready.layout.images_receipt, receipt)
        if fits:
            release_files.collect(ready.layout, VERSION)
        else:
            with pytest.raises(IntegrityError, match="sha256:dddd"):
                release_files.collect(ready.layout, VERSION)


def blob(ready: Staged) -> Path:
    return next(ready.layout.of_site.blobs.glob("*/reads_1.fq"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FAULTS: dict[str, Callable[[Staged], Path]] = {}


def fault(act: Callable[[Staged], Path]) -> Callable[[Staged], Path]:
    FAULTS[act.__name__] = act
    return act


@fault
def code_changed(ready: Staged) -> Path:
    with ready.layout.code.open("ab") as stream:
        stream.write(b"x")
    return ready.layout.code


@fault
def runtime_changed(ready: Staged) -> Path:
    with ready.layout.runtime(VERSION).open("ab") as stream:
        stream.write(b"x")
    return ready.layout.runtime(VERSION)


@fault
def data_changed(ready: Staged) -> Path:
    blob(ready).write_bytes(b"changed")
    return blob(ready)


@fault
def data_gone(ready: Staged) -> Path:
    path = blob(ready)
    path.unlink()
    return path


@fault
def receipt_of_another_digest(ready: Staged) -> Path:
    replace(ready.layout.images_receipt, staged.IMAGE, "sha256:" + "b" * 64)
    return ready.layout.images_receipt


@fault
def pinned_list_of_another_digest(ready: Staged) -> Path:
    replace(ready.layout.images_pinned, staged.IMAGE, "sha256:" + "b" * 64)
    return ready.layout.images_pinned


@fault
def image_that_is_not_locked(ready: Staged) -> Path:
    with ready.layout.images.open("a") as stream:
        stream.write("quay.io/airlock/more:1\n")
    return ready.layout.images


@fault
def plugin_that_is_not_locked(ready: Staged) -> Path:
    ready.layout.plugins_list.write_text("nf-hello@1.0.1\n")
    return ready.layout.plugins_list


@fault
def plugins_archive_is_broken(ready: Staged) -> Path:
    ready.layout.plugins.write_bytes(b"not a tar")
    return ready.layout.plugins


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_file_that_is_not_what_is_claimed_is_named(ready: Staged, name: str) -> None:
    path = FAULTS[name](ready)
    with pytest.raises(IntegrityError) as caught:
        release_files.collect(ready.layout, VERSION)
    assert str(path) in str(caught.value)


def stage_own(ready: Staged, *, path: str | None = None) -> Path:
    """A user's own sheet of one file; its blob."""
    digest = files.sha256_bytes(b"mine")
    blob = ready.layout.of_site.blobs / digest / "own.fq"
    files.write_bytes(blob, b"mine")
    folder = ready.layout.own / "cohort"
    files.write_text(folder / "inputs.csv", f"sample,fastq_1\na,data/{digest}/own.fq\n")
    files.write_json(folder / "data.manifest.json", {
        "pipeline": "hello", "profile": "", "declared": [], "sheets": [],
        "params": {"input": {"kind": "sheet", "path": "inputs.csv"}},
        "files": [{"url": "own:own.fq", "sha256": digest, "size": 4,
                   "path": path or f"data/{digest}/own.fq"}]})
    return blob


def test_a_user_s_own_files_are_held_against_their_manifest(ready: Staged) -> None:
    blob = stage_own(ready)
    found = {file.path for file in release_files.collect(ready.layout, VERSION, own=["cohort"])}
    assert found > {f"data/{blob.parent.name}/own.fq", "own/cohort/inputs.csv",
                    "own/cohort/data.manifest.json"}
    blob.write_bytes(b"else")
    (ready.layout.own / "cohort/inputs.csv").unlink()
    with pytest.raises(IntegrityError) as caught:
        release_files.collect(ready.layout, VERSION, own=["cohort"])
    assert str(blob) in str(caught.value)
    assert "'input' names inputs.csv, which is not carried" in str(caught.value)


def test_two_files_of_one_path_are_refused(ready: Staged) -> None:
    taken = read_json(ready.layout.data_manifest, "data-manifest")["files"][0]["path"]
    stage_own(ready, path=taken)
    with pytest.raises(IntegrityError, match="another file in the test data"):
        release_files.collect(ready.layout, VERSION, own=["cohort"])


def test_all_faults_are_named_at_once(ready: Staged) -> None:
    paths = [code_changed(ready), data_changed(ready), receipt_of_another_digest(ready)]
    with pytest.raises(IntegrityError) as caught:
        release_files.collect(ready.layout, VERSION)
    assert all(str(path) in str(caught.value) for path in paths)


def test_images_of_another_platform(ready: Staged) -> None:
    release_files.check_platform(ready.layout, "linux/amd64")
    with pytest.raises(ConfigError, match="linux/arm64"):
        release_files.check_platform(ready.layout, "linux/arm64")
