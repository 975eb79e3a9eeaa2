"""`prod:fetch`: a release out of the store, with nothing believed before it is checked."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core import disk, files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, IntegrityError, StoreError
from tasks.core.parallel import try_all
from tasks.core.paths import OfflinePaths
from tasks.core.progress import Progress
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, promotions, signature
from tasks.core.trust.promotions import CARRY_AGAIN, Promotion, bring
from tasks.offline_host import freshness

logger = logging.getLogger(__name__)

MAX_LIST = 64 << 20
"""Bytes of SHA256SUMS and of release.json: some 100 for each carried file."""


@dataclass(frozen=True, kw_only=True)
class FetchSpec:
    """Where releases come from, what this host knows, and which release is asked for.

    `tool` is the tool's own tool.json, and `asked` whether the user named that tool.
    """

    pipeline: str
    layout: OfflinePaths
    store: StoreAt
    host: freshness.Host
    tool: Path
    asked: bool
    release: str | None


def fetch(spec: FetchSpec) -> str:
    """Bring the current release, or the one asked for, into place.

    IntegrityError names what is not as it was signed; then nothing in place has changed, and
    the good files are kept for the next time.
    """
    store = open_store(spec.store)
    own, notice = freshness.check_tool(store, spec.host, spec.tool, asked=spec.asked)
    name, promotion, came_by = _chosen(store, spec)
    listed = _signed_list(store, spec, name)
    digests = checksums.parse_sums(listed, where=_where(spec, name, "SHA256SUMS"))
    release = _release(store, spec, name, listed, digests)
    if release["isolation"] == "none":
        logger.warning("NOT ISOLATED: where this release was made, the pipeline's code could read "
                       "and change what its maker could")
    sizes = {file["path"]: file["size"] for file in release["files"]}
    fetched = _fetch_all(store, spec, digests, sizes)
    folder = spec.layout.release(name)
    _lay_out(spec, folder, digests)
    pointer = files.json_bytes({"pipeline": spec.pipeline, "id": name})
    if not spec.layout.current.is_file() or spec.layout.current.read_bytes() != pointer:
        files.write_bytes(spec.layout.current, pointer)
    if came_by:  # for the records of its runs
        files.write_bytes(spec.layout.promotion(name), came_by.data())
    freshness.note(spec.host, own)
    freshness.note(spec.host, promotion)
    done = f"{name} is in place: {len(digests)} files checked, {fetched} of them fetched now"
    return "\n".join(filter(None, [done, notice]))


def _chosen(store: Store,
            spec: FetchSpec) -> tuple[str, Promotion | None, Promotion | None]:
    """The release that is asked for, else the promoted one with its promotion to remember; and the
    promotion by which either comes here."""
    if spec.release:
        promotion = freshness.asked(store, spec.host, spec.pipeline, spec.release)
        _tell_unproven(promotion)
        return spec.release, None, promotion
    promotion = freshness.current(store, spec.host, spec.pipeline)
    _tell_unproven(promotion)
    return promotion.id, promotion, promotion


def _tell_unproven(promotion: Promotion | None) -> None:
    if promotion and promotion.unproven:
        logger.warning("NOT PROVEN: %s was made the current release without a validation and a "
                       "smoke run; the reason given: %s", promotion.id, promotion.unproven)


def _where(spec: FetchSpec, name: str, path: str) -> str:
    return f"{spec.store.url}: releases/{spec.pipeline}/{name}/{path}"


def _signed_list(store: Store, spec: FetchSpec, name: str) -> bytes:
    """SHA256SUMS, once a trusted key has signed it; nothing else is read before."""
    place = f"releases/{spec.pipeline}/{name}"
    files.inside(Path(), place)
    try:
        listed = bring(store, f"{place}/SHA256SUMS", MAX_LIST)
    except StoreError as error:
        known = sorted({key.split("/")[2] for key in store.list(f"releases/{spec.pipeline}/")
                        if key.endswith("/SHA256SUMS")})
        raise StoreError(f"there is no release {name!r}: {error.what}",
                         where=_where(spec, name, "SHA256SUMS"),
                         todo=f"known: {', '.join(known) or 'none'}") from error
    try:
        signed = bring(store, f"{place}/SHA256SUMS.sig")
    except StoreError as error:
        raise IntegrityError(f"the signature is missing: {error.what}",
                             where=_where(spec, name, "SHA256SUMS.sig"),
                             todo=CARRY_AGAIN) from error
    signers = spec.host.signers
    signature.verify(listed, signed, namespace=signature.RELEASE, allowed=signers.allowed,
                     signer=promotions.Subject(pipeline=spec.pipeline).signer(signers.identity),
                     where=_where(spec, name, "SHA256SUMS.sig"))
    return listed


def _release(store: Store, spec: FetchSpec, name: str, listed: bytes,
             digests: Mapping[str, str]) -> dict[str, Any]:
    """release.json, whose pipeline, id and files must be those that were asked for and signed."""
    where = _where(spec, name, "release.json")
    if "release.json" not in digests:
        raise IntegrityError("the signed list names no release.json", where=where, todo=CARRY_AGAIN)
    shown = bring(store, f"releases/{spec.pipeline}/{name}/release.json", MAX_LIST)
    if files.sha256_bytes(shown) != digests["release.json"]:
        raise IntegrityError("its bytes have changed", where=where, todo=CARRY_AGAIN)
    path = _blob(spec, "release.json", digests)
    _fetch_one(store, "release.json", digests["release.json"], None, path)
    release: dict[str, Any] = read_json(path, "release")
    if release["pipeline"] != spec.pipeline:
        raise IntegrityError(f"this is a release of another pipeline, {release['pipeline']!r}",
                             where=where, todo=CARRY_AGAIN)
    own = checksums.release_id(release["revision"], listed)
    if own != name:
        raise IntegrityError(f"the release under the name {name} is {own}", where=where,
                             todo=CARRY_AGAIN)
    listed_there = {file["path"]: file["sha256"] for file in release["files"]}
    if listed_there != {key: value for key, value in digests.items() if key != "release.json"}:
        raise IntegrityError("release.json and SHA256SUMS do not list the same files", where=where,
                             todo=CARRY_AGAIN)
    return release


def _blob(spec: FetchSpec, path: str, digests: Mapping[str, str]) -> Path:
    return spec.layout.blobs / digests[path] / PurePosixPath(path).name


def _fetch_all(store: Store, spec: FetchSpec, digests: Mapping[str, str],
               sizes: Mapping[str, int]) -> int:
    """Bring and check every file; how many were fetched now.

    IntegrityError, or the first fault's own kind, that names all that are not as signed.
    """
    # One content under two paths is one file here, so it is fetched once.
    paths = {_blob(spec, path, digests): path for path in sorted(digests)}
    disk.hold(spec.layout.blobs, sum(sizes.get(path, 0) for place, path in paths.items()
                                     if not place.is_file()), "the release")
    largest_first = sorted(paths.values(), key=lambda path: -sizes.get(path, 0))
    with Progress(f"prod:fetch:{spec.pipeline}",
                  {path: sizes.get(path, 0) for path in largest_first}, kind="files") as progress:
        def fetch_one(path: str) -> bool:
            is_new = _fetch_one(store, path, digests[path], sizes.get(path),
                                _blob(spec, path, digests))
            progress.add(path, sizes.get(path, 0))
            return is_new

        results = try_all(fetch_one, largest_first)
    faults = {path: result for path, result in zip(largest_first, results, strict=True)
              if isinstance(result, AirlockError)}
    if faults:
        kind = type(next(iter(faults.values())))
        raise kind("files of the release are not as they were signed:\n"
                   + "\n".join(f"  {path}: {fault.what}" for path, fault in faults.items()),
                   where=spec.store.url, todo=CARRY_AGAIN)
    return sum(result is True for result in results)


def _fetch_one(store: Store, path: str, digest: str, size: int | None, target: Path) -> bool:
    """Have one file in the cache, checked; whether it was fetched now."""
    if _is_own_file(target) and files.sha256(target) == digest:
        return False
    key = checksums.blob_key(path, digest)
    incoming = target.with_name(f".{target.name}.{threading.get_ident()}.incoming")
    try:
        store.get(key, incoming, most=MAX_LIST if size is None else size)
        arrived, length = files.sha256(incoming), incoming.stat().st_size
        if arrived != digest or size not in (None, length):
            raise IntegrityError(f"its bytes have changed (sha256 {arrived}, {length} bytes), in "
                                 f"{key}", where=store.url, todo=CARRY_AGAIN)
        incoming.chmod(0o444)
        os.replace(incoming, target)
    finally:
        incoming.unlink(missing_ok=True)
    return True


def _lay_out(spec: FetchSpec, folder: Path, digests: Mapping[str, str]) -> None:
    """The release's own folder, of links into the cache; left alone where it is right."""
    wanted = {path: _blob(spec, path, digests) for path in digests}
    if folder.is_dir() and _is_laid_out(folder, wanted, digests):
        return

    def build(temporary: Path) -> None:
        for path, blob in wanted.items():
            files.link_or_copy(blob, files.inside(temporary, path))

    files.atomic_folder(folder, build)


def _is_laid_out(folder: Path, wanted: Mapping[str, Path], digests: Mapping[str, str]) -> bool:
    there = sorted(path.relative_to(folder).as_posix() for path in files.tree(folder))
    return there == sorted(wanted) and all(
        _is_own_file(folder / path)
        and ((folder / path).samefile(blob) or files.sha256(folder / path) == digests[path])
        for path, blob in wanted.items())


def _is_own_file(path: Path) -> bool:
    """Whether a file stands there itself: behind a link, another could change it after the check.
    """
    return path.is_file() and not path.is_symlink()
