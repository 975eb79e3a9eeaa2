"""`push:*`: the release's files into the store, each part with a receipt of what it then holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.core.store import lease
from tasks.core.store.interface import Store, Stored
from tasks.core.store.lease import Lease
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.core.trust import checksums
from tasks.release import places, release_name
from tasks.release.places import BEFORE_RELEASE, SEALED, SMOKE
from tasks.release.release_files import source_of


@dataclass(frozen=True, kw_only=True)
class PushSpec:
    """One part of one pipeline's release, and where it goes."""

    pipeline: str
    part: str
    layout: PipelinePaths
    store: StoreAt


def push(spec: PushSpec) -> str:
    """Send the part's files and write the receipt from what the store holds."""
    release = read_json(spec.layout.release / "release.json", "release")
    return _finish(spec.part, spec.store, _blobs(spec, release),
                   spec.layout.push_receipt(spec.part))


def push_release(spec: PushSpec) -> str:
    """Send the rest, then the signed list; what the current release is stays as it was.

    IntegrityError where a listed file is not in the store yet: nobody may find a torn release.
    """
    folder = spec.layout.release
    release = read_json(folder / "release.json", "release")
    listed = (folder / "SHA256SUMS").read_bytes()
    name = checksums.release_id(release["revision"], listed)
    store = open_store(spec.store)
    with lease.pushing(store) as held:
        stored = _release_there(store, spec, release, name) or _send_release(
            store, spec, release, name, held)
        held.see_held()  # else a prune may not have seen the list; then all is looked at again
    write_receipt(spec.layout.push_receipt("release"), "release", spec.store, stored)
    return (f"{name} is in {spec.store.url}; release:promote:{spec.pipeline} makes it the current "
            "one")


def bytes_left(spec: PushSpec) -> int | None:
    """The bytes of the part's files that no receipt tells of; None where no release is made yet."""
    path = spec.layout.release / "release.json"
    if not path.is_file():
        return None
    held = {stored.key for stored in known(spec.layout.push_receipt(spec.part), spec.store)}
    return sum(upload.size for upload in _blobs(spec, read_json(path, "release"))
               if upload.key not in held)


def _send_release(store: Store, spec: PushSpec, release: dict[str, Any],
                  name: str, held: Lease) -> list[Stored]:
    """Send the rest, what somebody has taken of the parts since they were sent, then the list."""
    title = f"push:release:{spec.pipeline}"
    own = _own(spec, release)
    stored = send(store, own, title=title)
    _see_that_all_is_there(spec, (spec.layout.release / "SHA256SUMS").read_bytes(), stored)
    parts = _all_blobs(spec, release)
    sizes = store.sizes(parts)
    send(store, [upload for key, upload in parts.items() if sizes.get(key) != upload.size],
         title=title)
    held.see_held()
    return stored + send(store, _sealed(spec, name), title=title)


def _release_there(store: Store, spec: PushSpec, release: dict[str, Any],
                   name: str) -> list[Stored] | None:
    """What the receipt says, where it is of this release, and nothing of that has gone since."""
    before = {held.key: held for held in known(spec.layout.push_receipt("release"), spec.store)}
    wanted = {upload.key: upload for upload in (*_own(spec, release), *_sealed(spec, name))}
    if any(before.get(key) != Stored(key=key, size=upload.size, sha256=upload.sha256)
           for key, upload in wanted.items()):
        return None
    everything = wanted | _all_blobs(spec, release)
    sizes = store.sizes(everything)
    if any(sizes.get(key) != upload.size for key, upload in everything.items()):
        return None
    return [before[key] for key in wanted]


def _own(spec: PushSpec, release: dict[str, Any]) -> list[Upload]:
    """The blobs that no part before brings."""
    path = spec.layout.release / "release.json"
    key = checksums.blob_key(path.name, files.sha256(path))
    return [*_blobs(spec, release), Upload.of(key, path)]


def _sealed(spec: PushSpec, name: str) -> list[Upload]:
    """What makes the release one."""
    return [Upload.of(f"releases/{spec.pipeline}/{name}/{path}", spec.layout.release / path)
            for path in SEALED]


def _all_blobs(spec: PushSpec, release: dict[str, Any]) -> dict[str, Upload]:
    return {upload.key: upload for part in places.KINDS
            for upload in _blobs(replace(spec, part=part), release)}


def push_smoke(spec: PushSpec) -> str:
    """Send what the smoke run wrote: evidence beside the release, not part of it."""
    name = release_name.made(spec.layout)
    uploads = [Upload.of(f"smoke/{spec.pipeline}/{name}/{path}", spec.layout.smoke / path)
               for path in SMOKE]
    return _finish(spec.part, spec.store, uploads, spec.layout.push_receipt(spec.part))


def _finish(part: str, at: StoreAt, uploads: Sequence[Upload], receipt: Path) -> str:
    store = open_store(at)
    with lease.pushing(store):
        stored = send(store, uploads, title=f"push:{part}", known=known(receipt, at))
    write_receipt(receipt, part, at, stored)
    size = files.human_size(sum(held.size for held in stored))
    return f"{len(stored)} files, {size} in {at.url}"


def _blobs(spec: PushSpec, release: dict[str, Any]) -> list[Upload]:
    """The part's files, each content once, with digest and size as the release lists them."""
    uploads = {}
    for file in release["files"]:
        if file["kind"] in places.KINDS[spec.part]:
            key = checksums.blob_key(file["path"], file["sha256"])
            uploads[key] = Upload(key=key, sha256=file["sha256"], size=file["size"],
                                  path=source_of(spec.layout, release["nextflow"], file["path"],
                                                 file["sha256"]))
    return list(uploads.values())


def _see_that_all_is_there(spec: PushSpec, listed: bytes, stored: Iterable[Stored]) -> None:
    keys = {held.key for held in stored}
    for part in BEFORE_RELEASE:
        receipt = read_json(spec.layout.push_receipt(part), "push-receipt")
        keys |= {held["key"] for held in receipt["objects"]}
    missing = [path for path, digest in checksums.parse_sums(listed, where="SHA256SUMS").items()
               if checksums.blob_key(path, digest) not in keys]
    if missing:
        raise IntegrityError(f"no receipt names these files: {', '.join(missing)}",
                             where=spec.store.url,
                             todo=f"run `doit forget push:data:{spec.pipeline}` and its like, "
                                  "then push again")


def known(receipt: Path, at: StoreAt) -> list[Stored]:
    """What an earlier receipt says of the same store; nothing where there is none to read."""
    try:
        before = read_json(receipt, "push-receipt")
    except ConfigError:
        return []
    if before["store"] != at.url or not _encryption(at).items() <= before.items():
        return []
    return [Stored(**held) for held in before["objects"]]


def _encryption(at: StoreAt) -> dict[str, str]:
    """What a receipt says of encryption: that its objects have what the site asks for."""
    return {name: value for name, value in (("encryption", at.encryption),
                                            ("kms_key", at.kms_key)) if at.encrypts and value}


def write_receipt(path: Path, part: str, at: StoreAt, stored: Iterable[Stored]) -> None:
    """What the store holds of a part, as read back from it."""
    files.write_json(path, {
        "store": at.url, "part": part, **_encryption(at),
        "objects": [{"key": held.key, "size": held.size, "sha256": held.sha256,
                     **({"tag": held.tag} if held.tag else {})}
                    for held in sorted(stored, key=lambda held: held.key)]})
