"""What the client does when a registry answers late, wrongly, or not at all."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import ImageError, IntegrityError, RegistryError
from tasks.core.net.inside import NOWHERE, Inside
from tasks.core.registry.client import MANIFESTS, SCHEMA1, Access, Registries
from tasks.images import mirror, plan
from tasks.images.destination import Destination
from tasks.images.lock import resolve
from tasks.images.locked import Image
from tasks.images.reference import parse
from tests.kit.registry_memory import Answer, Memory, Request, once, serve

LAYER = bytes(range(256)) * 3000
NOW = "2026-01-01T00:00:00Z"
HOME = Destination(address="nexus.example.org", prefix="in")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds, so that five attempts take no time."""
    monkeypatch.setattr("tasks.core.net.transport.backoff", lambda attempt: 0.005)


@pytest.fixture
def far() -> Iterator[Memory]:
    """A source with quay.io/a/one:1 and quay.io/a/two:1, which share a layer."""
    with serve(Memory()) as memory:
        for name in ("one", "two"):
            memory.add_image(f"a/{name}", [LAYER, name.encode()])
        yield memory


@pytest.fixture
def near() -> Iterator[Memory]:
    with serve(Memory()) as memory:
        yield memory


def registries(far: Memory, near: Memory | None = None, authfile: Path | None = None,
               hosts: Inside = NOWHERE) -> Registries:
    return Registries(Access(registries={"quay.io": far.url,
                                         HOME.address: near.url if near else far.url},
                             ca=None, authfile=authfile, hosts=hosts))


def locked(known: Registries) -> list[Image]:
    return [resolve(known, parse(f"quay.io/a/{name}:1"), "linux/amd64", NOW)
            for name in ("one", "two")]


def carry(far: Memory, near: Memory, home: Destination = HOME) -> list[Image]:
    """Lock, mirror and read back both images."""
    known = registries(far, near)
    images = locked(known)
    made = plan.make(images, mirror.survey(known, images, home), home)
    mirror.Mirror(known, known, home).carry_out(made, title="test")
    for image in images:
        mirror.read_back(known, image, home)
    return images


def is_upload(request: Request) -> bool:
    return request.method == "PUT" and "uploads" in request.path


@pytest.mark.parametrize("absolute", [False, True])
def test_each_blob_is_uploaded_once_then_mounted(far: Memory, near: Memory, *,
                                                 absolute: bool) -> None:
    near.absolute = absolute
    carry(far, near)
    shared = near.count("PUT", "uploads")
    assert shared == 5  # two configs, two layers, and the shared one
    # The configs were read at the lock, to learn the platform, and not again.
    assert far.count("GET", "/blobs/") == 5
    assert not [path for method, path in far.repeated() if method == "GET"]


def test_two_mirrors_at_once_move_a_shared_blob_once(far: Memory, near: Memory) -> None:
    """Two uploads of one new layer at once make Nexus refuse both (nexus-public#967)."""
    surveyed = threading.Barrier(2)

    def spoil(request: Request) -> Answer | None:
        if request.method == "GET" and far.blobs.get(
                ("a/one", request.path.rpartition("/")[2])) == LAYER:
            time.sleep(0.1)
        return None

    far.spoil = spoil
    faults: list[BaseException] = []

    def run(prefix: str) -> None:
        try:
            surveyed.wait()
            carry(far, near, replace(HOME, prefix=prefix))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(prefix,)) for prefix in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    shared = [each for each in far.seen if each.method == "GET" and far.blobs.get(
        ("a/one", each.path.rpartition("/")[2])) == LAYER]
    assert len(shared) == 1
    assert sum(data == LAYER for data in near.blobs.values()) == 4


def test_refused_mounts_become_uploads(far: Memory, near: Memory) -> None:
    near.mounts = False
    carry(far, near)
    assert near.count("PUT", "uploads") == 6
    assert near.count("DELETE", "uploads") == 1


def test_forbidden_mounts_become_uploads(far: Memory, near: Memory) -> None:
    """A login may lack the right to read the repository that holds the blob."""
    near.spoil = lambda request: (403, {}, b"") if "mount" in request.query else None
    carry(far, near)
    assert near.count("PUT", "uploads") == 6


def test_layers_that_may_not_be_distributed_are_carried(far: Memory, near: Memory) -> None:
    """docs/decisions/layers-with-a-licence.md says why."""
    data = far.manifests["a/one", "1"][1]
    value = json.loads(data)
    value["layers"][0] |= {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                           "urls": ["https://example.org/layer"]}
    far.add_manifest("a/one", "1", MANIFESTS[0], json.dumps(value).encode())
    image = carry(far, near)[0]
    assert all(("in/quay.io/a/one", blob.digest) in near.blobs for blob in image.blobs)
    del far.blobs["a/one", image.layers[0].digest]
    near.blobs.clear()
    with pytest.raises(RegistryError, match=r"404 for quay\.io/a/one@sha256"):
        carry(far, near, replace(HOME, prefix="again"))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_faults_are_tried_again(far: Memory, near: Memory, status: int) -> None:
    far.spoil = once(lambda request: True, (status, {"Retry-After": "0"}, b""), 2)
    near.spoil = once(lambda request: request.method != "GET", (status, {}, b""), 2)
    carry(far, near)


def test_a_fault_that_stays_ends_and_is_told(far: Memory) -> None:
    far.spoil = lambda request: (503, {}, b"down for repair")
    with pytest.raises(RegistryError, match=r"503 .* down for repair"):
        locked(registries(far))
    assert len(far.seen) == 5


def test_retry_after_holds_for_every_thread(far: Memory) -> None:
    far.spoil = once(lambda request: True, (429, {"Retry-After": "1"}, b""))
    known = registries(far)
    begun = time.monotonic()
    resolve(known, parse("quay.io/a/one:1"), "linux/amd64", NOW)
    assert time.monotonic() - begun >= 1.0


def test_a_long_retry_after_is_an_error_that_says_so(far: Memory) -> None:
    far.spoil = lambda request: (429, {"Retry-After": "21600"}, b"")
    with pytest.raises(RegistryError, match="wait 21600 seconds"):
        locked(registries(far))
    assert len(far.seen) == 1


def test_a_short_read_is_tried_again(far: Memory, near: Memory) -> None:
    far.spoil = once(lambda request: request.method == "GET" and far.blobs.get(
        ("a/one", request.path.rpartition("/")[2])) == LAYER,
        (200, {"Content-Length": str(len(LAYER))}, LAYER[:1000]))
    carry(far, near)


@pytest.mark.parametrize("data", [LAYER[:-1] + b"X", LAYER + b"X", LAYER[:-1], b""])
def test_wrong_bytes_are_never_taken(far: Memory, near: Memory, data: bytes) -> None:
    for key, value in list(far.blobs.items()):
        if value == LAYER:
            far.blobs[key] = data
    with pytest.raises(IntegrityError, match=r"quay\.io/a/"):
        carry(far, near)
    assert not near.manifests
    assert LAYER not in near.blobs.values()
    assert data not in near.blobs.values()


def test_a_manifest_with_other_bytes_is_refused(far: Memory, near: Memory) -> None:
    known = registries(far, near)
    images = locked(known)
    far.manifests["a/one", images[0].manifest] = (MANIFESTS[0], b"{}")
    with pytest.raises(IntegrityError, match="other bytes than its digest"):
        known.at("quay.io").manifest("a/one", images[0].manifest)


def test_a_lying_digest_header_is_refused(far: Memory) -> None:
    data = far.manifests["a/one", "1"][1]
    far.spoil = lambda request: (200, {"Content-Type": MANIFESTS[0],
                                       "Docker-Content-Digest": "sha256:" + "0" * 64}, data)
    with pytest.raises(IntegrityError, match="promised"):
        locked(registries(far))


def test_an_upload_that_another_finished_counts(far: Memory, near: Memory) -> None:
    def spoil(request: Request) -> Answer | None:
        if is_upload(request):
            digest = request.query["digest"][0]
            for (_, name), data in far.blobs.items():
                if name == digest:
                    near.blobs[request.path.split("/blobs/")[0][4:], digest] = data
            return 400, {}, b'{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}'
        return None

    near.spoil = spoil
    carry(far, near)
    assert near.count("PUT", "uploads") == 5


def test_a_head_that_lied_is_repaired_by_force(far: Memory, near: Memory) -> None:
    images = carry(far, near)
    near.manifests.clear()
    near.spoil = once(lambda request: request.method == "PUT" and "/manifests/" in request.path,
                      (404, {}, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}'))
    before = near.count("PUT", "uploads")
    carry(far, near)
    assert near.count("PUT", "uploads") == before + len(images[0].blobs)


def test_a_registry_that_forgets_is_not_recorded(far: Memory, near: Memory) -> None:
    near.spoil = lambda request: ((201, {}, b"") if request.method == "PUT"
                                  and "/manifests/" in request.path else None)
    with pytest.raises(ImageError, match="not whole at the destination"):
        carry(far, near)


def test_schema_1_is_recognised(far: Memory) -> None:
    far.add_manifest("a/old", "1", SCHEMA1[0], b'{"schemaVersion": 1, "fsLayers": []}')
    with pytest.raises(ImageError, match="schema 1"):
        resolve(registries(far), parse("quay.io/a/old:1"), "linux/amd64", NOW)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"config": {}, "layers": []}',
                                  b'{"config": {"digest": "../../x", "size": 1}, "layers": []}'])
def test_nonsense_for_a_manifest_is_a_clear_error(far: Memory, data: bytes) -> None:
    far.add_manifest("a/odd", "1", MANIFESTS[0], data)
    with pytest.raises(ImageError, match=r"quay\.io/a/odd:1"):
        resolve(registries(far), parse("quay.io/a/odd:1"), "linux/amd64", NOW)


def test_a_redirect_elsewhere_gets_no_credentials(far: Memory, near: Memory,
                                                  tmp_path: Path) -> None:
    """Registries send blobs from object stores, which must not see the registry's login."""
    secret = base64.b64encode(b"me:hidden-word").decode()
    login = tmp_path / "config.json"
    login.write_text(json.dumps({"auths": {far.url[7:]: {"auth": secret}}}))

    def spoil(request: Request) -> Answer | None:
        if request.headers.get("authorization") != f"Basic {secret}":
            return 401, {"WWW-Authenticate": 'Basic realm="test"'}, b""
        if request.method == "GET" and "/blobs/" in request.path:
            return 307, {"Location": f"{near.url}{request.path}"}, b""
        return None

    far.spoil = spoil
    near.blobs = far.blobs
    resolve(registries(far, authfile=login, hosts=NOWHERE.naming(near.url)),
            parse("quay.io/a/one:1"), "linux/amd64", NOW)
    assert near.count("GET", "/blobs/") == 1
    assert all("authorization" not in each.headers for each in near.seen)


def test_an_upload_elsewhere_is_refused(far: Memory, near: Memory) -> None:
    near.spoil = lambda request: ((202, {"Location": "http://203.0.113.9/upload"}, b"")
                                  if request.method == "POST" else None)
    with pytest.raises(RegistryError, match="external address"):
        carry(far, near)


def test_a_broken_realm_is_explained(far: Memory) -> None:
    """Nexus has been seen to answer `null://…` (nexus-public#580)."""
    far.spoil = lambda request: (
        401, {"WWW-Authenticate": 'Bearer realm="null://host/token",service="x"'}, b"")
    with pytest.raises(RegistryError, match="Bearer Token Realm"):
        locked(registries(far))


def test_an_unknown_demand_is_explained(far: Memory) -> None:
    far.spoil = lambda request: (401, {"WWW-Authenticate": "Negotiate"}, b"")
    with pytest.raises(RegistryError, match="in a way that isn't known"):
        locked(registries(far))


class Gate:
    """Stands for a server's lock: lets all in, keeps each a while, and counts them."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.03)
        with self.lock:
            self.inside -= 1

    def __exit__(self, *args: object) -> None:
        pass


def test_few_connections_to_one_host() -> None:
    """Eight at once for the whole process, whatever the number of threads and clients."""
    gate = Gate()
    with serve(Memory(lock=gate)) as memory:
        clients = [registries(memory).at("quay.io") for _ in range(3)]
        threads = [threading.Thread(target=client.ping) for client in clients * 10]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(memory.seen) == 30
    assert 2 <= gate.most <= 8
