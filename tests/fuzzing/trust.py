"""Readers of what says what is right: signatures, lists, releases, promotions, schemas' files."""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.core.schema import SCHEMAS, read_json
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, promotions, signature
from tasks.core.trust.promotions import Promotion, Subject, Trust
from tasks.offline_host import fetch, freshness, wheels
from tests.fuzzing.inputs import JUNK, NAMES, as_json, changed, json_files, json_of, torn, valid
from tests.fuzzing.reader import Reader

SIGNED = b"what was signed\n"
DIGEST = files.sha256_bytes(b"x")
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
LATER: dict[str, Any] = {
    "kind": "promotion", "pipeline": "hello", "id": "dev-0123456789ab", "number": 1,
    "signed": "2026-05-01T00:00:00Z",
    "expires": "2026-07-30T00:00:00Z"}


@lru_cache
def key() -> tuple[str, bytes]:
    """A public key, and the armour of its genuine signature of SIGNED."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "id"
        signature.ready(path, create=True, identity="airlock")
        return signature.public_key(path), signature.sign(path, SIGNED,
                                                          namespace=signature.RELEASE)


def verified(armour: bytes, folder: Path) -> None:
    """What passes is the genuine signature, whatever its lines look like."""
    public, genuine = key()
    allowed = folder / "allowed_signers"
    allowed.write_text(signature.allowed_line("airlock", public))
    signature.verify(SIGNED, armour, namespace=signature.RELEASE, allowed=allowed,
                     signer="airlock/hello", where="here")
    assert _blob(armour) == _blob(genuine)


def _blob(armour: bytes) -> bytes:
    """What stands between the marks of an armour."""
    inner = armour.partition(b"-----BEGIN SSH SIGNATURE-----")[2].partition(b"-----END")[0]
    return base64.b64decode(inner)


LIST = checksums.format_sums({"code.tar": DIGEST, "data/a b/é.csv": "0" * 64,
                              "release.json": "f" * 64})


def listed(data: bytes, folder: Path) -> None:
    """What passes is the same when it is written again, and stays in its folder."""
    found = checksums.parse_sums(data, where="here")
    assert sorted(data.split(b"\n")) == sorted(checksums.format_sums(found).split(b"\n"))
    for path in found:
        assert (folder / path).is_relative_to(folder)
        assert ".." not in Path(path).parts


@contextlib.contextmanager
def unsigned() -> Iterator[None]:
    """Let every signature be good, so that what is behind it is reached."""
    with mock.patch.object(signature, "verify"):
        yield


def promoted(value: tuple[bytes, bytes], folder: Path) -> None:
    """What passes is what its pointer names, and has times that can be compared."""
    pointer, promotion = value
    place = folder / "store/releases/hello"
    files.write_bytes(place / "current.json", pointer)
    for number in (1, 2):
        files.write_bytes(place / f"promotions/{number:08}.json", promotion)
        files.write_bytes(place / f"promotions/{number:08}.json.sig", b"x")
    store = open_store(StoreAt(url=str(folder / "store")))
    trust = Trust(allowed=folder / "allowed_signers", identity="airlock")
    with unsigned():
        found = promotions.current(store, Subject(pipeline="hello"), trust)
    assert type(found.number) is int
    assert found.number in (1, 2)
    assert files.inside(folder, found.id).parent == folder
    assert found.is_over(NOW) in (True, False)
    assert found.is_due(NOW) in (True, False)
    assert found.data()


def minimum(data: bytes, folder: Path) -> None:
    """A number that holds for this pipeline, or an error: never none by mistake."""
    files.write_bytes(folder / "trust/minimum.json", data)
    host = freshness.Host(trust=folder / "trust", identity="airlock", seen=folder / "seen")
    least = freshness.minimum(host, Subject(pipeline="hello"))
    assert type(least) is int
    document = read_json(folder / "trust/minimum.json", "minimum")
    assert least == document.get("pipelines", {}).get("hello", 0)


def seen(data: bytes, folder: Path) -> None:
    """What this host has seen is a number, or can't be read."""
    host = freshness.Host(trust=folder, identity="airlock", seen=folder)
    files.write_bytes(folder / "releases/hello.json", data)
    freshness.note(host, _promotion())
    assert read_json(folder / "releases/hello.json", "seen")["number"] >= 1


def _promotion() -> Promotion:
    return Promotion(**{name: value for name, value in LATER.items() if name != "kind"})


def _release(**changes: Any) -> dict[str, Any]:
    carried = [{"path": name, "sha256": DIGEST, "size": 1, "kind": "code"}
               for name in ("code.tar", "data/x")]
    return {"kind": "release", "pipeline": "hello", "revision": "dev", "source": "x",
            "commit": None, "tool": "0.1.0",
            "configs": None, "nextflow": "24.10.5",
            "tested": True, "profile": "test", "run": "test", "smoke": "stub",
            "isolation": "namespaces", "platform": "linux/amd64", "registry": "r.example.org:443",
            "reach": {"findings": [], "counted": []}, "files": carried, **changes}


@st.composite
def releases(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """release.json, and a list that fits it or nearly does."""
    document = draw(changed(st.just(_release()) | valid("release")))
    about = draw(st.just(as_json(document)) | torn([as_json(document)]))
    paths = {"code.tar": DIGEST, "data/x": DIGEST}
    if draw(st.integers(0, 2)) == 2:  # the first document that is tried draws 0, and passes
        paths[draw(st.sampled_from(NAMES))] = DIGEST
    lines = "".join(f"{digest}  {path}\n" for path, digest in
                    sorted({**paths, "release.json": files.sha256_bytes(about)}.items()))
    data = lines.encode(errors="surrogatepass")
    return about, draw(st.just(data) | st.just(data) | torn([data]))


def fetched(value: tuple[bytes, bytes], folder: Path) -> None:
    """What is laid out is what the list says, no more and no less."""
    about, data = value
    name = f"dev-{files.sha256_bytes(data)[:12]}"
    place = folder / "store/releases/hello" / name
    for path, content in (("SHA256SUMS", data), ("SHA256SUMS.sig", b"x"), ("release.json", about)):
        files.write_bytes(place / path, content)
    for path in ("code.tar", "x"):
        files.write_bytes(folder / f"store/blobs/sha256/{DIGEST}/{path}", b"x")
    digest = files.sha256_bytes(about)
    files.write_bytes(folder / f"store/blobs/sha256/{digest}/release.json", about)
    layout = OfflinePaths(site="there", pipeline="hello")
    spec = fetch.FetchSpec(
        pipeline="hello", layout=layout, store=StoreAt(url=str(folder / "store")),
        host=freshness.Host(trust=folder / "trust", identity="airlock", seen=folder / "seen"),
        tool=folder / "tool.json", asked=False, release=name, place=InPlace(layout))
    there = mock.patch.object(SitePaths, "root", property(lambda _: folder / "there"))
    with there, unsigned(), contextlib.redirect_stderr(io.StringIO()):
        fetch.fetch(spec)
        laid = layout.release(name)
    assert {path.relative_to(laid).as_posix(): files.sha256(path)
            for path in files.tree(laid)} == checksums.parse_sums(data, where="")


WHEEL = {"name": "a-1-py3-none-any.whl", "sha256": DIGEST, "size": 1}
TOOL = as_json({"kind": "tool", "id": "0123456789ab", "site": "here", "wheels": [WHEEL]})
TOOLS = json_files(st.just({"kind": "tool", "id": "0" * 12, "site": "x", "wheels": [WHEEL]})
                   | st.sampled_from(NAMES).map(
                       lambda name: {"wheels": [{**WHEEL, "name": name}]}) | valid("tool"))


def carried(value: tuple[bytes, bytes], folder: Path) -> None:
    """Where it ends well, each wheel is the one named; else it says why, and ends with 1."""
    about, sums = value
    for name in ("root", "from/airlock"):
        (folder / name).mkdir(parents=True)
    (folder / "from" / str(WHEEL["name"])).write_bytes(b"x")
    (folder / "root/tool.json").write_bytes(about)
    (folder / "root/SHA256SUMS").write_bytes(sums)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = wheels.main(folder / "from", folder / "to", folder / "root")
    assert status in (0, 1)
    if status == 1:
        raise IntegrityError(said.getvalue())
    assert {path.name for path in (folder / "to").iterdir()} <= {str(WHEEL["name"])}


KINDS = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of any kind that has a schema."""
    kind = draw(st.sampled_from(KINDS))
    return kind, draw(json_of(kind))


def fitting(value: tuple[str, bytes], folder: Path) -> None:
    """What passes can be written again, and then is the same."""
    kind, data = value
    (folder / "x.json").write_bytes(data)
    document = read_json(folder / "x.json", kind)
    files.write_json(folder / "y.json", document)
    assert read_json(folder / "y.json", kind) == document


READERS = [
    Reader(name="signature", read=verified, quick=10, inputs=st.deferred(
        lambda: torn([key()[1]], [b"-----BEGIN SSH SIGNATURE-----\n", b"SSHSIG", b"AAAA", b"="]))),
    Reader(name="sums", read=listed, inputs=torn(
        [LIST, LIST[:74]], [b"0" * 64, b"  ", f"{DIGEST}  x\n".encode(), f"{DIGEST} *x\n".encode(),
                            *(name.encode(errors="surrogatepass") for name in NAMES)])),
    Reader(name="release", read=fetched, inputs=releases(), quick=15),
    Reader(name="promotion", read=promoted, quick=25, inputs=st.tuples(
        json_files(st.just({"pipeline": "hello", "id": "dev-0123456789ab", "number": 1})),
        json_files(st.just(LATER) | st.fixed_dictionaries(
            {name: st.just(value) for name, value in LATER.items()} | {
                "expires": st.sampled_from(["2026-02-31T00:00:00Z", "9999-12-31T23:59:59Z", None,
                                            "2026-01-01T00:00:00Z\n", "٢٠٢٦-01-01T00:00:00Z",
                                            "0000-01-01T00:00:00Z"])})))),
    Reader(name="minimum", read=minimum, inputs=json_files(
        st.just({"tool": 1, "pipelines": {"hello": 2}}) | valid("minimum"))),
    Reader(name="seen", read=seen, inputs=json_of("seen")),
    Reader(name="wheels", read=carried, inputs=st.tuples(
        TOOLS, torn([f"{DIGEST}  x\n".encode()], JUNK))),
    Reader(name="schema", read=fitting, inputs=documents(), quick=60),
]
