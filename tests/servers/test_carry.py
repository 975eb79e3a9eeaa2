"""A carried folder has all that a release needs, under one signed list; only what differs moves."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.carry import place
from tasks.carry.lay import lay
from tasks.carry.seal import SealSpec, seal
from tasks.core import disk, files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, HostError, IntegrityError, StoreError
from tasks.core.parallel import run_all
from tasks.core.process_shared import Shared
from tasks.core.trust import checksums
from tasks.release import sign
from tests.kit import buckets, carrying
from tests.kit.carrying import carry, lay_spec, push_tool, tree, verified
from tests.kit.faults import flip
from tests.kit.releases import Staged, change_code, stage, trusted

STICK = Path("stick")


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A release and a tool in the store."""
    monkeypatch.chdir(tmp_path)
    staged = trusted()
    push_tool(staged)
    return staged


def written(place: Path) -> dict[str, tuple[int, int]]:
    """Which file each path is, and when it was written; reading it changes neither."""
    return {str(path.relative_to(place)): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in files.tree(place)}


def test_the_folder_is_the_store_under_one_list(ready: Staged) -> None:
    files.write_bytes(Path("store/releases/hello") / ready.id() / "proofs/ab.json", b"{}")
    files.write_bytes(Path("store/smoke/hello") / ready.id() / "smoke.log", b"ran")
    said = carry(ready, STICK)
    assert ready.id() in said
    listed = verified(STICK, ready.trust)
    here = tree(STICK)
    assert set(listed) == here.keys() - {"SHA256SUMS", "SHA256SUMS.sig"}
    of_store = {path: data for path, data in tree(Path("store")).items()
                if not path.endswith(".lock") and not path.startswith(".airlock/")}
    assert {path: data for path, data in here.items() if path in of_store} == of_store
    assert here.keys() - of_store.keys() == {"README.txt", "carry.json", "SHA256SUMS",
                                             "SHA256SUMS.sig"}
    assert not any(path.is_symlink() for path in STICK.rglob("*"))


def test_only_what_differs_is_written(ready: Staged) -> None:
    carry(ready, STICK)
    before = written(STICK)
    assert "0 B written now" in carry(ready, STICK)
    assert written(STICK) == before
    flip(next(STICK.glob("blobs/sha256/*/reads_1.fq")))
    carry(ready, STICK)
    verified(STICK, ready.trust)
    old = ready.id()
    change_code(ready, b"workflow { other }\n")
    new = ready.publish()
    before = written(STICK)
    said = carry(ready, STICK)
    after = written(STICK)
    assert {path for path in before if after[path] != before[path]} == {
        "releases/hello/current.json", "carry.json", "README.txt", "SHA256SUMS", "SHA256SUMS.sig"}
    listed = verified(STICK, ready.trust)
    assert any(new in path for path in listed)
    assert not any(old in path for path in listed)
    assert "are left there" in said


def test_what_nothing_names_any_more_is_removed_when_asked(ready: Staged) -> None:
    carry(ready, STICK)
    (STICK / "holiday.jpg").write_bytes(b"mine")
    old = ready.id()
    change_code(ready, b"workflow { other }\n")
    ready.publish()
    assert "files of earlier times" in carry(ready, STICK)
    assert (STICK / "releases/hello" / old).is_dir()
    assert "files of earlier times" in carry(ready, STICK)
    assert "files of earlier times" not in carry(ready, STICK, remove=True)
    assert not (STICK / "releases/hello" / old).exists()
    listed = verified(STICK, ready.trust)
    assert tree(STICK).keys() == {*listed, "SHA256SUMS", "SHA256SUMS.sig", "holiday.jpg"}


def test_a_store_that_went_back_is_not_carried(ready: Staged) -> None:
    shutil.copytree("store", "before")
    change_code(ready, b"workflow { other }\n")
    ready.publish()
    carry(ready, STICK)
    shutil.rmtree("store")
    shutil.move("before", "store")
    before = tree(STICK)
    with pytest.raises(IntegrityError, match="the store is older"):
        carry(ready, STICK)
    assert tree(STICK) == before


def test_one_folder_holds_several_pipelines_and_each_stays_as_it_was_carried(
        ready: Staged, caplog: pytest.LogCaptureFixture) -> None:
    other = stage("sarek")
    first = other.publish()
    carry(ready, STICK)
    said = carry(other, STICK)
    assert f"hello {ready.id()}" in said
    change_code(other, b"workflow { newer }\n")
    assert other.publish() != first
    carry(ready, STICK)
    listed = verified(STICK, ready.trust)
    assert any(f"sarek/{first}/" in path for path in listed)
    assert json.loads((STICK / "releases/sarek/current.json").read_bytes())["id"] == first
    (STICK / "SHA256SUMS.sig").unlink()
    shutil.rmtree("build/here/carry")  # another checkout
    carry(ready, STICK)
    assert "of sarek is not carried on" in caplog.text
    assert not any("sarek" in path for path in verified(STICK, ready.trust))


def test_two_pipelines_are_carried_side_by_side(ready: Staged) -> None:
    """As `doit carry to=DIR` does it, whose steps run at once."""
    both = [ready, stage("sarek")]
    both[1].publish()
    shared = Shared()
    specs = [lay_spec(one, STICK, shared=shared) for one in both]
    seals = [SealSpec(pipeline=spec.pipeline, layout=spec.layout, to=spec.to,
                      signing=ready.signing, shared=shared) for spec in specs]
    run_all(lambda pair: [lay(pair[0]), seal(pair[1])], zip(specs, seals, strict=True))
    listed = verified(STICK, ready.trust)
    assert all(any(f"releases/{name}/" in path for path in listed) for name in ("hello", "sarek"))


def test_a_changed_record_is_not_believed(ready: Staged) -> None:
    """Who changed the folder can't have us sign what they like."""
    other = stage("sarek")
    other.publish()
    carry(ready, STICK)
    carry(other, STICK)
    blob = next(path for path in sorted(tree(STICK)) if path.endswith("/reads_1.fq"))
    record = json.loads((STICK / "carry.json").read_bytes())
    (STICK / blob).write_bytes(b"worse")
    listed = record["pipelines"]["sarek"]["files"]
    changed = [f"{files.sha256_bytes(b'worse')} 5 {blob}" if line.endswith(f" {blob}") else line
               for line in listed]
    assert changed != listed
    record["pipelines"]["sarek"]["files"] = changed
    (STICK / "carry.json").write_bytes(files.json_bytes(record))
    carry(ready, STICK)
    verified(STICK, ready.trust)
    assert (STICK / blob).read_bytes() != b"worse"


def test_a_store_that_is_not_whole_is_not_carried(ready: Staged) -> None:
    blob = next(Path("store").glob("blobs/sha256/*/code.tar"))
    whole = flip(blob)
    with pytest.raises(IntegrityError, match="what is to be carried has changed"):
        carry(ready, STICK)
    assert not (STICK / "SHA256SUMS").exists()
    blob.unlink()
    with pytest.raises(StoreError, match="the store lacks a file"):
        carry(ready, STICK)
    blob.write_bytes(whole)
    Path(f"store/releases/hello/{ready.id()}/SHA256SUMS.sig").unlink()
    with pytest.raises(IntegrityError, match="not signed"):
        carry(ready, STICK)
    with pytest.raises(StoreError, match="no release of sarek is the current one"):
        carry(stage("sarek"), STICK)


def test_what_was_laid_and_then_changed_is_not_signed(ready: Staged) -> None:
    spec = lay_spec(ready, STICK)
    lay(spec)
    (STICK / "carry.json").write_bytes(b"{}")
    with pytest.raises(HostError, match="not what was laid out"):
        seal(SealSpec(pipeline="hello", layout=spec.layout, to=spec.to, signing=ready.signing,
                      shared=Shared()))
    assert not (STICK / "SHA256SUMS").exists()


def archive(folder: Path, source: str, digest: str) -> None:
    """What `images:save` and `images:sign` leave, of one image."""
    index = json.dumps({"manifests": [{"digest": digest, "annotations": {
        "org.opencontainers.image.ref.name": source}}]}).encode()
    folder.mkdir(parents=True)
    with tarfile.open(folder / "tool.tar", "w") as tar:
        info = tarfile.TarInfo("index.json")
        info.size = len(index)
        tar.addfile(info, io.BytesIO(index))
    files.write_text(folder / "offline.load.config", "// names\n")
    files.write_bytes(folder / "SHA256SUMS", checksums.format_sums(
        {name: files.sha256(folder / name) for name in ("tool.tar", "offline.load.config")}))


def test_archives_of_the_releases_own_images_come_along(ready: Staged) -> None:
    image = json.loads(ready.layout.images_receipt.read_bytes())["images"][0]
    archive(ready.layout.archives, image["source"], image["digest"])
    sign.sign_images(sign.SignImagesSpec(pipeline="hello", signing=ready.signing,
                                         listed=ready.layout.archives / "SHA256SUMS"))
    carry(ready, STICK, archives=ready.layout.archives)
    listed = verified(STICK, ready.trust)
    assert {"images/hello/tool.tar", "images/hello/offline.load.config",
            "images/hello/SHA256SUMS", "images/hello/SHA256SUMS.sig"} <= set(listed)
    assert "docker load" in (STICK / "README.txt").read_text()
    other = Path("other-images")
    archive(other, image["source"], "sha256:" + "b" * 64)
    shutil.copy(ready.layout.archives / "SHA256SUMS.sig", other)
    with pytest.raises(HostError, match="not those of the images of"):
        carry(ready, STICK, archives=other)


def test_names_that_no_stick_takes_are_said_at_once(
        ready: Staged, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    odd = [("blobs/sha256/ab/a:b.fq", 1), ("blobs/sha256/ab/aux.txt", 1), ("blobs/cd/x.", 1)]
    assert place.unfit(STICK, [("blobs/sha256/ab/reads_1.fq.gz", 1)]) is None
    for path, size in odd:
        assert path in str(place.unfit(STICK, [(path, size)]))
    monkeypatch.setattr(disk, "file_system", lambda *_: "vfat")
    for path, size in [*odd, ("blobs/sha256/ab/big.bam", 4 << 30)]:
        with pytest.raises(ConfigError, match="part=4GB"):
            place.unfit(STICK, [(path, size)])


def test_a_bucket_is_carried_as_a_folder_is(ready: Staged, tmp_path: Path, s3_login: None
                                            ) -> None:
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        for path in Path("build/here").rglob("*promot*.json*"):
            path.unlink()  # of the folder, which is another store
        far = replace(ready, store=StoreAt(url="s3://bucket/x", endpoint=running.endpoint,
                                           region="us-east-1"))
        far.publish()
        carrying.push_tool(far)
        carry(far, STICK)
        before = written(STICK)
        assert "0 B written now" in carry(far, STICK)
        assert written(STICK) == before
    carry(ready, Path("near"))
    blobs = [{path: data for path, data in tree(place).items() if path.startswith("blobs/")}
             for place in (STICK, Path("near"))]
    assert blobs[0] == blobs[1]
