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
from tasks.core.net.network import Network
from tasks.core.parallel import run_all
from tasks.core.registry.client import MANIFESTS, SCHEMA1, Access, Registries
from tasks.images import plan
from tasks.images.destination import Destination
from tasks.images.lock import resolve
from tasks.images.lock_format import Image
from tasks.images.read_back import read_back
from tasks.images.reference import parse
from tasks.images.survey import survey
from tasks.images.transfer import Transfer
from tests.kit.registry_memory import Answer, Memory, Request, once, serve

pytestmark = pytest.mark.usefixtures("quick")

LAYER = bytes(range(256)) * 3000
NOW = "2026-01-01T00:00:00Z"
HOME = Destination(address="nexus.example.org", prefix="in")


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
               network: Network | None = None) -> Registries:
    return Registries(Access(registries={"quay.io": far.url,
                                         HOME.address: near.url if near else far.url},
                             ca=None, authfile=authfile, network=network or Network()))


def locked(known: Registries) -> list[Image]:
    names = ("quay.io/a/one:1", "quay.io/a/two:1")
    return [resolve(known, parse(name), "linux/amd64", NOW) for name in names]


def carry(far: Memory, near: Memory, home: Destination = HOME,
          network: Network | None = None) -> list[Image]:
    """Lock, mirror and read back both images."""
    known = registries(far, near, network=network)
    images = locked(known)
    moves = plan.make(images, survey(known, images, home), home)
    Transfer(known, known, home).carry_out(moves, title="test")
    for image in images:
        read_back(known, image, home)
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
    surveyed, network = threading.Barrier(2), Network()

    def spoil(request: Request) -> Answer | None:
        if request.method == "GET" and far.blobs.get(
                ("a/one", request.path.rpartition("/")[2])) == LAYER:
            time.sleep(0.1)
        return None

    def run(prefix: str) -> None:
        surveyed.wait()
        carry(far, near, replace(HOME, prefix=prefix), network)

    far.spoil = spoil
    run_all(run, ("one", "two"), threads=2)
    shared = [request for request in far.seen if request.method == "GET" and far.blobs.get(
        ("a/one", request.path.rpartition("/")[2])) == LAYER]
    assert len(shared) == 1
    assert sum(data == LAYER for data in near.blobs.values()) == 4


def test_refused_mounts_become_uploads(far: Memory, near: Memory) -> None:
    near.mounts = False
    carry(far, near)
    assert near.count("PUT", "uploads") == 6
    # The upload that the registry opened in place of the mount is the one that is used.
    assert near.count("POST", "uploads") == 6
    assert near.count("DELETE", "uploads") == 0


def test_a_lost_upload_in_place_of_a_mount_is_begun_anew(far: Memory, near: Memory) -> None:
    near.mounts = False
    lost: list[str] = []

    def spoil(request: Request) -> Answer | None:
        if "mount" in request.query:
            lost.append("/v2/in/quay.io/a/lost/blobs/uploads/1")
            return 202, {"Location": lost[0]}, b""
        return (404, {}, b"") if request.path in lost else None

    near.spoil = spoil
    carry(far, near)
    assert near.count("PUT", "a/lost") == len(lost) == 1
    assert near.count("PUT", "uploads") == 7


def test_a_mount_that_is_not_there_is_mended(far: Memory, near: Memory) -> None:
    """The registry says 201 to the mount, and takes the manifest without its layer, too."""
    near.spoil = once(lambda request: "mount" in request.query, (201, {}, b""))
    images = carry(far, near)
    assert all((HOME.path(image.source), blob.digest) in near.blobs
               for image in images for blob in image.blobs)


def test_an_upload_that_is_not_there_is_mended(far: Memory, near: Memory) -> None:
    near.spoil = once(is_upload, (201, {}, b""))
    images = carry(far, near)
    assert all((HOME.path(image.source), blob.digest) in near.blobs
               for image in images for blob in image.blobs)


def test_small_blobs_go_in_one_request_where_the_registry_takes_it(
        far: Memory, near: Memory) -> None:
    near.takes_one_request = True
    carry(far, near)
    assert near.count("PUT", "uploads") == 1  # the large one
    assert near.count("POST", "uploads") == 6  # it, four small ones, and a mount


def test_an_image_is_read_back_while_another_moves(far: Memory, near: Memory) -> None:
    """The other's layer comes only once the first has been asked for at the destination."""
    known = registries(far, near)
    own = locked(known)[1].layers[1].digest
    is_read_back = threading.Event()

    def of_source(request: Request) -> Answer | None:
        far.lock.release()  # type: ignore[attr-defined]
        try:
            if request.path.endswith(own):
                assert is_read_back.wait(10)
        finally:
            far.lock.acquire()  # type: ignore[attr-defined]
        return None

    def of_target(request: Request) -> Answer | None:
        if request.method == "GET" and "/a/one/manifests/sha256" in request.path:
            is_read_back.set()
        return None

    far.spoil, near.spoil = of_source, of_target
    carry(far, near)
    assert is_read_back.is_set()


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


def test_a_fault_that_stays_ends_and_is_reported(far: Memory) -> None:
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
    network = Network()  # of one process, which knows what it has brought where
    images = carry(far, near, network=network)
    near.manifests.clear()
    near.spoil = once(lambda request: request.method == "PUT" and "/manifests/" in request.path,
                      (404, {}, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}'))
    before = near.count("PUT", "uploads")
    carry(far, near, network=network)
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
    resolve(registries(far, authfile=login, network=Network().naming(near.url)),
            parse("quay.io/a/one:1"), "linux/amd64", NOW)
    assert near.count("GET", "/blobs/") == 1
    assert all("authorization" not in request.headers for request in near.seen)


def test_an_upload_elsewhere_is_refused(far: Memory, near: Memory) -> None:
    near.spoil = lambda request: ((202, {"Location": "http://203.0.113.9/upload"}, b"")
                                  if request.method == "POST" else None)
    with pytest.raises(RegistryError, match="external address"):
        carry(far, near)
