"""The cache of carried files by content: filled by several threads, checked against the lock."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.core import download, files, urls
from tasks.core.errors import AirlockError, SourceError

THREADS = 8
LONGEST_NAME = 200
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=@,~-]")


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A carried file. `url` shows no secret; a file of the code itself is `code:<path>`."""

    url: str
    name: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Its path below the cache, as below blobs/sha256 of the store."""
        return f"{self.sha256}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Where files go, how URLs are reached, and the digests that are known from the lock."""

    folder: Path
    partial: Path
    prefixes: Mapping[str, str]
    known: Mapping[str, str]


def basename(path: str) -> str:
    """A file's name that is safe in every sheet, store and SHA256SUMS.

    Everything but ASCII letters, digits and `._+=@,~-` becomes `_`, as does a dot or a hyphen at
    the start; of a long name the end is kept, for its ending.
    """
    name = _UNSAFE.sub("_", path.rpartition("/")[2])[-LONGEST_NAME:]
    return f"_{name[1:]}" if name[:1] in (".", "-") else name


def fetch_all(wanted: Mapping[str, Iterable[str]], cache: Cache) -> dict[str, Blob]:
    """Fetch each URL once; `wanted` says for each where it stands, for the errors.

    A file that the lock knows and the cache holds is hashed again, not fetched again. Raises
    SourceError with all faults at once.
    """
    shutil.rmtree(cache.partial, ignore_errors=True)  # what a killed run left
    cache.partial.mkdir(parents=True)
    fetched: dict[str, Blob] = {}
    faults = []
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            jobs = [(url, threads.submit(_fetch, url, cache.partial / str(number), cache))
                    for number, url in enumerate(sorted(wanted))]
            for url, job in jobs:
                try:
                    fetched[url] = job.result()
                except AirlockError as error:
                    places = "; ".join(dict.fromkeys(wanted[url]))
                    faults.append(f"    {urls.redact(url)}: {error.what}\n      in {places}"
                                  + (f"\n      asked at {error.where}" if error.where else ""))
    finally:
        shutil.rmtree(cache.partial, ignore_errors=True)
    if faults:
        raise SourceError(f"{len(faults)} of {len(wanted)} files can't be had:\n"
                          + "\n".join(faults),
                          todo="mend the sheet or params, or map the address in hosts.urls of "
                               "the site's config")
    return fetched


def _fetch(url: str, partial: Path, cache: Cache) -> Blob:
    shown = urls.redact(url)
    if not url.isprintable():
        raise SourceError("the URL holds control characters")
    if set(urlsplit(url).path) & set("*{}"):
        raise SourceError("the URL is a pattern, and HTTP can't list what fits it")
    name = basename(unquote(urlsplit(url).path))
    if not name:
        raise SourceError("the URL ends without a file's name")
    known = cache.known.get(shown)
    held = cache.folder / known / name if known else None
    if known and held and held.is_file() and files.sha256(held) == known:
        return Blob(url=shown, name=name, sha256=known, size=held.stat().st_size)
    reached = urls.mapped(url, cache.prefixes)
    scheme = urlsplit(reached).scheme.lower()
    allowed = ("http", "https") if reached == url else ("http", "https", "file")
    if scheme not in allowed:
        raise SourceError(f"{scheme}:// is not supported yet, unless hosts.urls maps it to https")
    got = download.fetch(reached, partial)
    target = cache.folder / got.sha256 / name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.chmod(0o644)
    partial.replace(target)
    print(f"       fetched {shown}  {files.human_size(got.size)}", flush=True)
    return Blob(url=shown, name=name, sha256=got.sha256, size=got.size)


def keep(path: Path, root: Path, cache: Path) -> Blob:
    """Put a file of the unpacked code below `root` into the cache."""
    name, digest = basename(path.name), files.sha256(path)
    files.copy(path, cache / digest / name)
    return Blob(url=f"code:{path.relative_to(root).as_posix()}", name=name, sha256=digest,
                size=path.stat().st_size)
