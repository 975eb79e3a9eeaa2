"""`prod:fetch`: a release out of the store, with nothing believed before it is checked."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from tasks.core import disk, files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import (
    AirlockError,
    IntegrityError,
    OldToolError,
    StoreAwayError,
    StoreError,
    listed,
)
from tasks.core.graph.sweep import sweep_folder
from tasks.core.in_place import InPlace, placing
from tasks.core.offline_paths import OfflinePaths
from tasks.core.parallel import run_all, try_all
from tasks.core.paths import SIFS
from tasks.core.progress import Progress
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, releases
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import CARRY_AGAIN, Promotion, Subject
from tasks.core.trust.releases import Release
from tasks.offline_host import choice, freshness, library, memory
from tasks.offline_host.laid_out import Stamp, is_laid_out, lay_out, stamp
from tasks.offline_host.library import SharedLibrary
from tasks.offline_host.store_memory import Remembering, in_chain, remembered

logger = logging.getLogger(__name__)

PASSING = {".incoming", ".link", ".part"}
"""How names end of files that are on their way into the cache."""


@dataclass(frozen=True, kw_only=True)
class FetchSpec:
    """Where releases come from, what this host knows, and which release is asked for.

    `tool` is the tool's own tool.json, and `asked` whether the user named that tool. `hold` says
    that later calls stay at `release`, or (False) that they don't any more. `library` is the folder
    of image files that users share, absolute, where there is one.
    """

    pipeline: str
    layout: OfflinePaths
    store: StoreAt
    host: freshness.Host
    tool: Path
    asked: bool
    release: str | None
    hold: bool | None = None
    place: InPlace
    library: Path | None = None

    @property
    def step(self) -> str:
        return f"prod:fetch:{self.pipeline}"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What the store, or what is remembered of it, says of the release to run, by signature.

    `shared` are the files that are the library's, by their paths.
    """

    chosen: choice.Choice
    tool: Promotion | None
    notice: str
    release: Release
    shared: Collection[str] = ()

    @property
    def name(self) -> str:
        return self.release.id

    @property
    def digests(self) -> Mapping[str, str]:
        """Those of the files that are this user's own."""
        return {path: digest for path, digest in self.release.digests.items()
                if path not in self.shared}

    @property
    def sizes(self) -> dict[str, int]:
        return {file["path"]: file["size"] for file in self.release.content["files"]}


def fetch(spec: FetchSpec) -> str:
    """Bring the current release, or the one asked for, into place.

    Where the store can't be reached, what is in place will do. IntegrityError names what is not as
    it was signed; then nothing in place has changed, and the good files are kept for the next time.
    """
    store = Remembering(open_store(spec.store))
    try:
        signed = _ask(store.store, spec)
    except AirlockError as error:
        if (away := in_chain(error, StoreAwayError)) is None:
            raise
        signed, placed = _without_store(spec, away)
    else:
        spec.place.use(signed.name, spec.step)
        placed = _place(store.store, spec, signed)
        store.keep(spec.layout.of_site)
    pointer = files.json_bytes({"pipeline": spec.pipeline, "id": signed.name})
    if not spec.layout.current.is_file() or spec.layout.current.read_bytes() != pointer:
        files.write_bytes(spec.layout.current, pointer)
    freshness.note(spec.host, signed.tool)
    if signed.chosen.is_current:
        freshness.note(spec.host, signed.chosen.promotion)
    if signed.chosen.promotion:  # for the records of its runs
        files.write_bytes(spec.layout.promotion(signed.name), signed.chosen.promotion.data())
    if spec.hold:
        memory.hold(spec.host.seen, spec.pipeline, signed.name)
    done = f"{signed.name} is in place: {len(signed.digests)} files checked, {placed}"
    return "\n".join(filter(None, [done, signed.notice]))


def _ask(store: Store, spec: FetchSpec) -> Signed:
    """Which release is to run, and what it consists of; nothing is brought yet."""
    own, notice = freshness.check_tool(store, spec.host, spec.tool, asked=spec.asked)
    chosen = _chosen(store, spec)
    try:
        release = releases.asked(store, Subject(pipeline=spec.pipeline), chosen.id,
                                 spec.host.signers)
    except OldToolError as error:
        raise freshness.naming_newer_tool(error, store, spec.host, spec.tool) from error
    if release.content["isolation"] == "none":
        logger.warning("NOT ISOLATED: the site where this release was made lets a pipeline's code "
                       "read and change what its maker can, on a machine that can't confine it")
    return Signed(chosen=chosen, tool=own, notice=notice, release=release)


def _without_store(spec: FetchSpec, away: StoreAwayError) -> tuple[Signed, str]:
    """The release in place, by what is remembered of the store; else an error that says it's away.

    What was over, withdrawn or not signed for this host stays so.
    """
    known = remembered(spec.layout.of_site, spec.store.url)
    try:
        signed = _ask(known, spec)
        spec.place.use(signed.name, spec.step)
        placed = _place(known, spec, signed)
    except AirlockError as error:
        if in_chain(error, StoreError) is None:
            raise
        here = sorted(path.name for path in spec.layout.release("x").parent.glob("[!.]*"))
        raise StoreAwayError(
            f"{away.what}, and {spec.release or 'no current release'} isn't whole in place here",
            where=away.where, todo=f"{away.todo}; in place: {', '.join(here) or 'none'}") from error
    logger.warning("STORE NOT REACHED: %s (%s); %s, which is in place, runs without a word on "
                   "newer or withdrawn releases", away.what, away.where, signed.name)
    return signed, placed


def _place(store: Store, spec: FetchSpec, signed: Signed) -> str:
    """Bring and lay out what isn't there yet; how many files were fetched, and what is shared."""
    shared, brought = _in_library(store, spec, signed)
    fetched = brought + _place_own(store, spec, replace(signed, shared=shared))
    place = library.image_folder(spec.layout, signed.name, spec.library)
    return f"{fetched} of them fetched now" + (
        f"; {len(shared)} are image files of the library, {place}" if shared else "")


def _in_library(store: Store, spec: FetchSpec, signed: Signed) -> tuple[Collection[str], int]:
    """The image files that the library has as they were signed, and how many came there just now.

    None where the release has its own already: runs may use them. What a user can't mend there is
    warned of once, and then the release gets its own.
    """
    images = {path: signed.digests[path] for path in library.images_of(signed.digests)}
    has_own = (spec.layout.release(signed.name) / SIFS).is_dir()
    if spec.library is None or not images:
        return (), 0
    shared = SharedLibrary(root=spec.library, pipeline=spec.pipeline, release=signed.name)
    if has_own and not shared.is_writable:
        return (), 0
    try:
        wrong = shared.wrong(images, signed.sizes, spec.step)
        if wrong and not shared.is_writable:
            raise shared.lacking(wrong)
    except AirlockError as error:
        logger.warning("NOT FROM THE LIBRARY: this user gets copies of their own, %s: %s",
                       files.human_size(sum(signed.sizes[path] for path in images)), error)
        return (), 0
    filled: Mapping[str, AirlockError | None] = {}
    if wrong:
        with placing(spec.layout.of_site, spec.step):
            filled = shared.fill(images, signed.sizes, spec.step, partial(
                _brought, store, spec, signed))
        _refuse(spec, {path: fault for path, fault in filled.items() if fault})
    return () if has_own else tuple(images), len(filled)


@contextmanager
def _brought(store: Store, spec: FetchSpec, signed: Signed, path: str) -> Iterator[Path]:
    """A file of the release in the cache, checked; it goes again if it wasn't there."""
    target = _blob(spec, path, signed.digests)
    disk.hold(spec.layout.blobs, 0 if target.is_file() else signed.sizes[path], "this image file")
    is_new = _fetch_one(store, path, signed.digests[path], signed.sizes[path], target,
                        files.inside(spec.layout.release(signed.name), path))
    try:
        yield target
    finally:
        if is_new:
            target.unlink()
            with suppress(OSError):
                target.parent.rmdir()


def _place_own(store: Store, spec: FetchSpec, signed: Signed) -> int:
    """Bring and lay out what isn't there yet; how many files were fetched.

    Nobody waits for anybody where all is there.
    """
    folder = spec.layout.release(signed.name)
    wanted = {path: _blob(spec, path, signed.digests) for path in signed.digests}
    right = _in_cache(spec, signed)
    if right.keys() == set(wanted.values()) and is_laid_out(folder, wanted, signed.digests):
        return 0
    with placing(spec.layout.of_site, spec.step):
        sweep_folder(folder.parent)
        for left in spec.layout.blobs.glob("*/.*"):
            if left.suffix in PASSING:  # what a killed fetch left
                left.unlink(missing_ok=True)
        still = {path for path, before in right.items() if stamp(path) == before}
        fetched = _fetch_all(store, spec, signed, still)
        lay_out(folder, wanted, signed.digests)
    return fetched


def _in_cache(spec: FetchSpec, signed: Signed) -> dict[Path, Stamp]:
    """The files of the cache that are as they were signed, with what shows that they still are."""
    there = {blob: path for path in sorted(signed.digests)
             if stamp(blob := _blob(spec, path, signed.digests))}
    with Progress(spec.step, {path: signed.sizes.get(path, 0) for path in there.values()},
                  kind="files") as progress:
        def look(blob: Path) -> Stamp | None:
            before, digest = stamp(blob), files.sha256(blob)
            progress.add(there[blob], signed.sizes.get(there[blob], 0))
            return before if digest == signed.digests[there[blob]] else None

        checked = zip(there, run_all(look, list(there)), strict=True)
    return {blob: seen for blob, seen in checked if seen}


def _chosen(store: Store, spec: FetchSpec) -> choice.Choice:
    """The release to fetch, and the promotion by which it comes."""
    try:
        in_place = read_json(spec.layout.current, "current")["id"]
    except AirlockError:
        in_place = None
    return choice.choose(store, spec.host, choice.Asked(
        pipeline=spec.pipeline, release=spec.release, hold=spec.hold, in_place=in_place))


def _blob(spec: FetchSpec, path: str, digests: Mapping[str, str]) -> Path:
    return spec.layout.blobs / digests[path] / PurePosixPath(path).name


def _fetch_all(store: Store, spec: FetchSpec, signed: Signed, right: Collection[Path]) -> int:
    """Bring and check every file but those that are `right`; how many were fetched.

    IntegrityError, or the first fault's own kind, that names all that are not as signed.
    """
    digests, sizes = signed.digests, signed.sizes
    # One content under two paths is one file here, so it is fetched once.
    paths = {blob: path for path in sorted(digests)
             if (blob := _blob(spec, path, digests)) not in right}
    disk.hold(spec.layout.blobs, sum(sizes.get(path, 0) for place, path in paths.items()
                                     if not place.is_file()), "the release")
    largest_first = sorted(paths.values(), key=lambda path: -sizes.get(path, 0))
    with Progress(spec.step, {path: sizes.get(path, 0) for path in largest_first},
                  kind="files") as progress:
        def fetch_one(path: str) -> bool:
            own = files.inside(spec.layout.release(signed.name), path)
            is_new = _fetch_one(store, path, digests[path], sizes.get(path),
                                _blob(spec, path, digests), own)
            progress.add(path, sizes.get(path, 0))
            return is_new

        results = try_all(fetch_one, largest_first)
    _refuse(spec, {path: result for path, result in zip(largest_first, results, strict=True)
                   if isinstance(result, AirlockError)})
    return sum(result is True and path != "release.json"  # which was asked for before
               for path, result in zip(largest_first, results, strict=True))


def _refuse(spec: FetchSpec, faults: Mapping[str, AirlockError]) -> None:
    """The error of what can't be had as it was signed, of the first fault's kind."""
    if faults:
        kind = type(next(iter(faults.values())))
        raise kind("files of the release are not as they were signed:\n"
                   + listed(faults),
                   where=spec.store.url, todo=CARRY_AGAIN)


def _fetch_one(store: Store, path: str, digest: str, size: int | None, target: Path,
               own: Path) -> bool:
    """Have one file in the cache, checked; whether it was fetched now.

    `own` is its place in the release, which may still hold what the store hasn't any more.
    """
    if stamp(target) and files.sha256(target) == digest:
        return False
    key = checksums.blob_key(path, digest)
    incoming = target.with_name(f".{target.name}.{threading.get_ident()}.incoming")
    try:
        try:
            store.get(key, incoming, most=MAX_LIST if size is None else size)
        except IntegrityError as error:
            raise IntegrityError(f"its bytes have changed: there are more than the "
                                 f"{MAX_LIST if size is None else size} that it had, in {key}",
                                 where=store.url, todo=CARRY_AGAIN) from error
        arrived, length = files.sha256(incoming), incoming.stat().st_size
        if arrived != digest or size not in (None, length):
            raise IntegrityError(f"its bytes have changed (sha256 {arrived}, {length} bytes), in "
                                 f"{key}", where=store.url, todo=CARRY_AGAIN)
        incoming.chmod(0o444)
        os.replace(incoming, target)
    except StoreError:
        if not stamp(own) or files.sha256(own) != digest:
            raise
        files.link_or_copy(own, target)
        return False
    finally:
        incoming.unlink(missing_ok=True)
    return True
