"""What is full, and who is let in no more: one error each, in those words, with a cure."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, RegistryError, StoreError
from tasks.core.net.network import Network
from tasks.core.registry.auth import Refused
from tasks.core.registry.client import Access, Registries, Registry
from tasks.core.registry.endpoint import Full
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tests.kit import buckets, registries, registry_memory
from tests.kit import machine as this_machine
from tests.kit.odd_bucket import Ways, odd_bucket
from tests.kit.registry_memory import Answer, Memory, Request

DATA = bytes(range(256)) * 8000


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of a megabyte, in memory."""
    this_machine.need_root()
    place.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no namespaces: {done.stderr}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def push(registry: Registry) -> None:
    registry.upload("lab/tool", f"sha256:{files.sha256_bytes(DATA)}", len(DATA),
                    lambda: nullcontext([DATA]))


def upload(folder: Path) -> Upload:
    path = folder / "reads.fq"
    path.write_bytes(DATA)
    digest = files.sha256(path)
    return Upload(key=f"blobs/sha256/{digest}/reads.fq", path=path, sha256=digest, size=len(DATA))


@pytest.mark.usefixtures("quick")
def test_a_registry_on_a_full_disk_says_so(tmp_path: Path) -> None:
    registries.need_programs()
    with small_disk(tmp_path / "disk") as disk, registries.registry(disk / "registry") as full:
        client = Registries(Access(registries={full.address: full.url}, ca=None, authfile=None,
                                   network=Network().naming(full.url))).at(full.address)
        with pytest.raises(Full, match="is full, or its quota is used up") as caught:
            push(client)
    assert "free space there" in str(caught.value)
    assert "lab/tool" in str(caught.value)


@pytest.mark.parametrize(("status", "body", "kind", "said"), [
    (507, b"", Full, "is full, or its quota is used up: it answered 507"),
    (403, b'{"errors":[{"code":"DENIED","message":"adding 1.2 GiB of storage resource, which when '
          b'updated to the current usage of 9 GiB will exceed the configured upper limit of '
          b'10.0 GiB."}]}', Full, "upper limit of 10.0 GiB"),
    (400, b"Blob store \x1b[31mdefault\x1b[0m is over its quota", Full, "default is over its"),
    (413, b"<html>Request Entity Too Large</html>", RegistryError, "client_max_body_size"),
    (403, b'{"errors":[{"code":"DENIED","message":"the project is locked"}]}', Refused,
     "the project is locked")])
@pytest.mark.usefixtures("quick")
def test_a_registry_s_refusal_is_told_in_its_words(
        far: Memory, status: int, body: bytes, kind: type[AirlockError], said: str) -> None:
    def spoil(request: Request) -> Answer | None:
        return (status, {}, body) if request.method in ("PUT", "POST", "PATCH") else None

    far.spoil = spoil
    with pytest.raises(kind) as caught:
        push(registry_memory.client(far.url))
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "\\x1b" not in str(caught.value)
    assert far.count("POST", "uploads") < 8


def test_a_login_that_ends_in_the_middle_is_told_as_that(far: Memory, tmp_path: Path) -> None:
    host = far.url.removeprefix("http://")
    authfile = registries.login_files(tmp_path, [host])
    ended = False

    def spoil(request: Request) -> Answer | None:
        asks = {"WWW-Authenticate": 'Basic realm="x"'}
        return (401, asks, b"") if ended or "authorization" not in request.headers else None

    far.spoil = spoil
    client = Registries(Access(registries={host: far.url}, ca=None, authfile=authfile,
                               network=Network().naming(far.url))).at(host)
    ended = True
    with pytest.raises(Refused, match="wrong user or password"):
        client.manifest_digest("lab/tool", "1")
    ended = False
    push(client)
    ended = True
    with pytest.raises(Refused, match="has taken this login before, so that has expired"):
        client.manifest_digest("lab/tool", "1")


def test_a_folder_on_a_full_disk_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(StoreError, match="the store's disk is full") as caught:
            send(open_store(StoreAt(url=str(disk / "store"))), [upload(tmp_path)])
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    assert "reads.fq" in str(caught.value.where)
    assert "free space there" in str(caught.value.todo)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, s3_login: None) -> None:
    monkeypatch.setattr("tasks.core.store.s3_client.ATTEMPTS", 2)


@pytest.mark.usefixtures("credentials")
def test_a_real_bucket_on_a_full_disk_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, buckets.gateway(disk / "s3") as running:
        (running.root / "bucket").mkdir()
        store = open_store(StoreAt(url="s3://bucket/p", endpoint=running.endpoint,
                                   region="us-east-1"))
        with pytest.raises(StoreError) as caught:
            send(store, [upload(tmp_path)])
    assert "full" in str(caught.value), str(caught.value)


@pytest.mark.parametrize("refuses", [
    (507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold."),
    (403, "QuotaExceeded", ""), (500, "InternalError", "write /data/x: no space left on device"),
    (400, "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded")])
@pytest.mark.usefixtures("credentials")
def test_a_bucket_without_room_says_so_at_once(tmp_path: Path,
                                               refuses: tuple[int, str, str]) -> None:
    with odd_bucket(Ways(refuses=refuses), probed=Ways()) as full:
        at = StoreAt(url="s3://bucket/p", endpoint=f"http://127.0.0.1:{full.server_port}",
                     region="us-east-1")
        with pytest.raises(StoreError, match="is full, or its quota is used up") as caught:
            send(open_store(at), [upload(tmp_path)])
        assert full.count("PUT", "reads.fq") == 1
    assert refuses[1] in str(caught.value)
    assert "reads.fq" in str(caught.value.where)
