"""What is looked at before anything is built: each fault once, with its cure; nothing is pushed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.commands import graph, preflight
from tasks.core import files
from tasks.core.config.load import load
from tasks.core.graph.step import perform
from tasks.images.lock_format import Image, as_entries, as_json
from tasks.images.reference import parse
from tests.kit import buckets, registries, tls
from tests.kit.odd_bucket import Ways, odd_bucket
from tests.kit.own_site import NAME, OwnSite, tls_of
from tests.kit.registries import Server


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PAUSE", 0.1)


def looked() -> str:
    """What the step says: its line, or its error."""
    task, = (task for task in graph.tasks(load({"site": NAME}))
             if task["basename"] == "preflight")
    (_, words), = task["actions"]
    result: Any = perform(*words)
    return result if isinstance(result, str) else str(result.get_msg())


def lock(own: OwnSite, path: str) -> None:
    """An image that was locked before: where it goes is tried."""
    files.write_json(Path(f"build/{NAME}/hello/images.lock.json"), as_json(
        "linux/amd64", (), as_entries([Image(
            source=parse(path), index=None, manifest=f"sha256:{64 * 'a'}", media_type="m",
            platform="linux/amd64", config=None, layers=(), resolved="2026-01-01T00:00:00Z")])))


@pytest.mark.usefixtures("own")
def test_a_site_that_works_is_let_on_and_nothing_stays_anywhere(nexus: Server) -> None:
    before = registries.writes(nexus)
    assert looked() == "registry, store, key: as they must be"
    assert registries.writes(nexus) == before
    assert not Path("../store").exists()


@pytest.mark.parametrize(("change", "said"), [
    ({"registry.authfile": "wrong/config.json"}, ("login: ", "wrong user or password",
                                                  "docker login")),
    ({"registry.ca": "other.crt"}, ("registry: ", "is not trusted", "set registry.ca")),
    ({"registry.port": 1}, ("registry: ", "Connection refused")),
    ({"signing.key": "gone/key"}, ("key: ", "the signing key is missing: gone/key",
                                   "ssh-keygen -t ed25519")),
    ({"store.url": "s3://none", "store.endpoint": "http://127.0.0.1:1"},
     ("store: ", "no connection to 127.0.0.1:1", "store.endpoint"))])
def test_a_fault_is_one_error_with_its_cure(
        own: OwnSite, nexus: Server, change: Mapping[str, str], said: tuple[str, ...],
        bucket_credentials: None) -> None:
    registries.login_files(Path("wrong"), [nexus.address], password="other")
    tls.self_signed(Path(), "other")
    for key, value in change.items():
        own.change(key, value)
    told = looked()
    assert all(part in told for part in said), told
    assert told.count("to do:") == 1


def test_several_faults_are_told_at_once_each_once(own: OwnSite, nexus: Server) -> None:
    registries.login_files(Path("wrong"), [nexus.address], password="other")
    own.change("registry.authfile", "wrong/config.json")
    own.change("signing.key", "gone/key")
    Path("../store").write_text("a file")
    told = looked()
    for fault in ("login: ", "key: ", "store: the store's folder can't be made"):
        assert told.count(fault) == 1, told
    assert "nothing was built" in told


def test_a_registry_that_takes_no_pushes_says_so(own: OwnSite, nexus: Server,
                                                 tmp_path: Path) -> None:
    crt, key = tls_of(nexus) / "server.crt", tls_of(nexus) / "server.key"
    with registries.registry(tmp_path / "closed", tls=(crt, key), read_only=True) as closed:
        own.change("registry.port", closed.port)
        told = looked()
        own.change("registry.prefix", None)
        assert looked() == "registry, store, key: as they must be"  # where isn't known yet
        lock(own, "quay.io/lab/tool:1")
        assert "takes no pushes to quay.io/lab/tool (405)" in looked()
    assert "takes no pushes to lab/pipelines/" in told
    assert "hosted repository" in told


@pytest.mark.parametrize(("ways", "region", "said"), [
    (Ways(), "eu-central-1", None),
    (Ways(region="eu-central-1"), "eu-central-1", None),
    (Ways(region="eu-central-1"), "us-east-1", "the bucket lies in eu-central-1"),
    (Ways(refuses=(403, "AccessDenied", "not authorized")), "us-east-1", "access is denied"),
    (Ways(refuses=(507, "XMinioStorageFull", "")), "us-east-1", "the store is full"),
    (Ways(checksums="refused"), "us-east-1", None)])
def test_a_bucket_is_asked_without_leaving_anything_in_it(
        own: OwnSite, ways: Ways, region: str, said: str | None, bucket_credentials: None) -> None:
    with odd_bucket(ways) as bucket:
        for key, value in (("url", "s3://bucket/some/prefix"), ("region", region),
                           ("endpoint", f"http://127.0.0.1:{bucket.server_port}")):
            own.change(f"store.{key}", value)
        told = looked()
        assert (bucket.objects, bucket.uploads) == ({}, {})
        assert len(bucket.asked) < 8
    assert told == "registry, store, key: as they must be" if said is None else said in told, told


@pytest.mark.usefixtures("bucket_credentials")
def test_a_real_bucket_says_what_is_wrong(
        versity: Path, own: OwnSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "program", lambda: versity)
    with buckets.gateway(tmp_path / "s3") as running:
        own.change("store.url", "s3://bucket/prefix")
        own.change("store.endpoint", running.endpoint)
        own.change("store.region", "us-east-1")
        assert "the credentials are wrong" in looked()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", buckets.ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", buckets.SECRET)
        assert "the bucket does not exist" in looked()
        (running.root / "bucket").mkdir()
        assert looked() == "registry, store, key: as they must be"
        assert not [path for path in (running.root / "bucket").rglob("*") if path.is_file()]
