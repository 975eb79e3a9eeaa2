"""The store: reached, written, read, and what was written taken back."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.disk import free_at
from tasks.core.errors import AirlockError, StoreError
from tasks.core.findings import FAIL, OK, WARN, Finding, failed
from tasks.core.store import s3_probe
from tasks.core.store.store import open_store
from tasks.doctor import disk, reach
from tasks.doctor.reach import Address

if TYPE_CHECKING:
    from tasks.core.store.s3_client import Bucket

KEY = ".airlock/doctor"
"""What is written, and taken back; below the folder of what a push writes for itself."""
MOUNT_WRITABLE = "mount it writable here, or name another folder in store.url (AIRLOCK_STORE)"
DATA = b"Written by `doit doctor`, which takes it back.\n"


def written(at: StoreAt) -> Iterator[Finding]:
    """The online side's store."""
    folder = at.folder
    yield from _folder(at, folder) if folder is not None else _bucket(at)


def writable(at: StoreAt) -> Iterator[Finding]:
    """The online side's store, before anything is built: nothing is written."""
    folder = at.folder
    try:
        if folder is None:
            yield from _reached(at)
            s3_probe.try_put(_opened(at), _key(at, s3_probe.PROBE), at)
        else:
            _refuse_closed(folder)
    except AirlockError as error:
        yield failed("store", error)


def _refuse_closed(folder: Path) -> None:
    """StoreError where this user can write nothing below the folder, which may not be there yet."""
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise StoreError("the store's folder can't be made: what stands there is no folder",
                         where=standing, todo="correct store.url (AIRLOCK_STORE)")
    if os.statvfs(standing).f_flag & os.ST_RDONLY:
        raise StoreError("the store's disk is mounted read-only", where=standing,
                         todo=MOUNT_WRITABLE)
    if not os.access(standing, os.W_OK | os.X_OK):
        raise StoreError("this user may not write into the store's folder", where=standing,
                         todo=f"let this user write there: {standing}; or name another folder in "
                              "store.url (AIRLOCK_STORE)")


def _opened(at: StoreAt) -> Bucket:
    from tasks.core.store.s3_client import Bucket
    return Bucket(at)


def _key(at: StoreAt, name: str) -> str:
    prefix = urlsplit(at.url).path.strip("/")
    return f"{prefix}/{name}" if prefix else name


def readable(at: StoreAt) -> Iterator[Finding]:
    """The offline side's store: its tools are listed, and the newest word on them is read."""
    folder = at.folder
    try:
        if folder is None:
            yield from _reached(at)
        store = open_store(at)
        tools = {key.split("/")[1] for key in store.list("tool/") if key.count("/") > 1}
        with tempfile.TemporaryDirectory() as scratch:
            if tools:
                store.get("tool/current.json", Path(scratch) / "current.json", most=1 << 20)
    except AirlockError as error:
        yield failed("store", error, _mount(folder))
        return
    if not tools:
        yield Finding(check="store", status=FAIL, text=f"{at.url} can be read, and holds no tool",
                      cure="push one on the online side (./doit), or carry the whole store")
        return
    yield Finding(check="store", status=OK, text=f"{at.url} can be read")


def _mount(folder: Path | None) -> str | None:
    if folder is None or folder.is_dir():
        return None
    return "mount the disk that holds it, or correct offline.store.url (AIRLOCK_OFFLINE_STORE)"


def _folder(at: StoreAt, folder: Path) -> Iterator[Finding]:
    """Write, read and remove a file, and the folders that were made for it."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    store = open_store(at)
    try:
        begun = time.time()
        store.put_bytes(KEY, DATA)
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "copy"
            store.get(KEY, copy, most=len(DATA))
            if copy.read_bytes() != DATA:
                raise StoreError("the store gives other bytes than it was given", where=at.url,
                                 todo="look at its disk, and at who else writes there")
        apart = (folder / KEY).stat().st_mtime - begun
        _remove(folder, missing)
    except AirlockError as error:
        _remove(folder, missing)
        yield failed("store", error, _cure_of_folder(folder, error))
        return
    new = "; its folder isn't there yet, and the first push makes it" if missing else ""
    yield Finding(check="store", status=OK,
                  text=f"{at.url} was written, read, and left as it was{new}")
    if abs(apart) > reach.SKEW:
        yield Finding(check="clock", status=WARN, cure=reach.SET_CLOCK,
                      text=f"this clock and that of the store's disk differ by {abs(apart):.0f} "
                           "seconds")
    if not missing:
        yield disk.room(folder, "the store")


def _remove(folder: Path, missing: list[Path]) -> None:
    place = folder / KEY
    place.unlink(missing_ok=True)
    for made in (place.parent, *missing):
        try:
            made.rmdir()
        except OSError:  # something else is in it, or it was never made
            return


def _cure_of_folder(folder: Path, error: AirlockError) -> str | None:
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    if "space" in error.what:
        return f"free space there: {files.human_size(free_at(standing))} are left"
    if "Read-only" in error.what:
        return MOUNT_WRITABLE
    if not os.access(standing, os.W_OK):
        return f"let this user write there: {standing}; or name another folder in store.url"
    return error.todo


def _reached(at: StoreAt) -> Iterator[Finding]:
    """Who answers where the bucket is; AirlockError where nobody does."""
    from tasks.core.store.s3_client import Bucket
    asked = Address(url=Bucket(at).url, setting="store.endpoint (AIRLOCK_STORE_ENDPOINT)",
                    trust="AWS_CA_BUNDLE", ca=_ca_bundle())
    answer = reach.ask(asked)
    if answer.ends is not None:
        yield reach.certificate(asked, answer)
    if finding := reach.clock(asked, answer):
        yield finding


def _ca_bundle() -> Path | None:
    import botocore.session

    from tasks.core.net import s3_http
    bundle = s3_http.ca_bundle(botocore.session.get_session())
    return Path(bundle) if bundle and Path(bundle).is_file() else None


def _bucket(at: StoreAt) -> Iterator[Finding]:
    try:
        yield from _reached(at)
        bucket, key = _opened(at), _key(at, KEY)
        s3_probe.probe(bucket, key, at)
        response = bucket.stream(key)
        brought = b"".join(bucket.blocks(response, key))
        response.release_conn()
        if brought != s3_probe.BODY.read():
            raise StoreError("the store gives other bytes than it was given", where=at.url,
                             todo="look at who else writes there, and who answers at its endpoint")
    except AirlockError as error:
        yield failed("store", error)
        return
    yield Finding(check="store", status=OK,
                  text=f"{at.url} was written and read; {_taken_back(bucket, key)}")


def _taken_back(bucket: Bucket, key: str) -> str:
    """Delete what was written; in words what is left of it."""
    from tasks.core.store.s3_client import Request, Response
    try:
        gone = bucket.answer(Request(method="DELETE", key=key))
    except AirlockError as error:
        return f"{KEY} may still be there: {error.what}"
    if not isinstance(gone, Response):
        return (f"{KEY} ({s3_probe.BODY.size} bytes) stays there, and may: this role deletes "
                f"nothing ({gone.code_or_status})")
    if gone.headers.get("x-amz-delete-marker") == "true":
        return f"what was written was deleted, as far as a bucket with versions does: {KEY}"
    return "what was written was taken back"
