"""Where files come from: what a URL stands for, how large it is, what lies beside it.

docs/decisions/where-data-comes-from.md has the schemes, their credentials and their limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

from tasks.core.errors import AirlockError, SourceError
from tasks.core.inputs import globs
from tasks.core.net import download, urls
from tasks.core.net.network import Network
from tasks.core.net.request import persist
from tasks.core.net.transfer import Body, Denied, RemoteFile
from tasks.core.parallel import try_all
from tasks.data import bucket
from tasks.data import companions as beside
from tasks.data.bucket import Buckets
from tasks.data.folders import Folders
from tasks.data.ftp import Ftp

THREADS = 8
MAX_NAME = 255
"""Bytes of a file's name, as Linux has it."""
MAX_FAULTS_SHOWN = 200
"""Faults that one error lists: a sheet may have as many as rows."""
UNSUPPORTED = {"gs": "Google Cloud Storage", "az": "Azure Blob Storage",
             "abfs": "Azure Blob Storage", "ftps": "FTP over TLS", "sftp": "SFTP",
             "http+unix": "a socket", "oss": "Alibaba's object storage"}
"""Schemes that pipelines do name, and that nothing here can fetch."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a site reaches what URLs name.

    `prefixes` are hosts.urls; `buckets` map the name of each bucket that may be read to the S3
    endpoint that holds it, `aws` for AWS; `folders` are those below which file:// may read.
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    network: Network = field(default_factory=Network)

    @property
    def named(self) -> Network:
        """The network, where all that the other keys name may be asked, too."""
        return self.network.naming(*self.prefixes.values(), *self.buckets.values())


class Source(Protocol):
    """What can be asked for a kind of URL. All raise SourceError, or Broken for another try."""

    def look(self, url: str) -> RemoteFile | None:
        """What is known of a file without fetching it; None where there is none."""

    def receive(self, url: str, body: Body) -> None:
        """Bring what `body` lacks."""

    def names(self, url: str) -> Iterator[str]:
        """The files below a folder's URL, relative to it, nothing in them quoted."""


class _Web:
    """http:// and https://, which can't be listed."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def look(self, url: str) -> RemoteFile | None:
        return download.look(url, self._network)

    def receive(self, url: str, body: Body) -> None:
        download.receive(url, body, self._network)

    def names(self, url: str) -> Iterator[str]:
        raise SourceError("HTTP can't list a folder, nor what fits a pattern",
                          todo="name the files one by one, or map the address to a folder or "
                               "bucket")


def at(url: str, reach: Reach) -> tuple[Source, str]:
    """What to ask for a URL, and the address to ask at. Raises SourceError for other schemes."""
    if not url.isprintable() or not unquote(url).isprintable():
        raise SourceError("the URL holds control characters")
    reached = _mapped(url, reach.prefixes)
    try:
        _ = urlsplit(reached).port
    except ValueError as error:  # such as an open bracket in the host
        raise SourceError("that is no URL") from error
    scheme = reached.partition("://")[0].lower()
    if scheme in ("http", "https"):
        return _Web(reach.named), reached
    if scheme == "file":
        own = () if reached == url else (folder_of_map(url, reach.prefixes),)
        return Folders((*own, *reach.folders)), reached
    if scheme == "s3":
        return Buckets(reach.buckets, reach.named), reached
    if scheme == "ftp":
        return Ftp(reach.named), reached
    kind = UNSUPPORTED.get(scheme)
    raise SourceError(f"{scheme}:// is not supported" + (f" ({kind})" if kind else "")
                      + ", unless hosts.urls maps it to https")


def own_place(url: str, reach: Reach) -> str | None:
    """Where a URL is asked, without secrets, if that is a place of the site's own; else None."""
    reached = _mapped(url, reach.prefixes)
    if reached.startswith("s3://"):
        endpoint = reach.buckets.get(urlsplit(reached).netloc, bucket.AWS)
        return None if endpoint == bucket.AWS else f"{endpoint.rstrip('/')}/{reached[5:]}"
    is_own = reached != url or reached.startswith("file:")
    return urls.redact(reached) if is_own else None


def _mapped(url: str, prefixes: Mapping[str, str]) -> str:
    if not _is_bucket(url):
        return urls.mapped(url, prefixes)
    plain = "s3://{}/{}".format(*bucket.parts(url))
    prefix = urls.prefix_of(plain, prefixes)
    return plain if prefix is None else prefixes[prefix] + quote(plain[len(prefix):])


def folder_of_map(url: str, prefixes: Mapping[str, str]) -> Path:
    """The folder that the site's own map leads to, which the rest of a URL must not leave."""
    target = prefixes[urls.prefix_of(url, prefixes) or ""]
    path = unquote(urlsplit(target).path)
    return Path(path if path.endswith("/") else path.rpartition("/")[0] or "/")


def path_of(url: str) -> str:
    """The path in a URL, its quoting undone. S3 has none, nor a query: Nextflow takes it as is."""
    return bucket.parts(url)[1] if _is_bucket(url) else unquote(urlsplit(url).path)


def _is_bucket(url: str) -> bool:
    return url.startswith("s3://")


def _without_query(url: str) -> str:
    return url.partition("?")[0] if url.lower().startswith(("http://", "https://")) else url


def expand(url: str, reach: Reach) -> tuple[str, ...]:
    """The URLs of the files that a URL stands for, sorted.

    Brace groups are expanded; a path that ends in a slash stands for all files below it, one with
    `*`, `?` (not in HTTP, where it starts the query) or `**` for those that match. Raises
    SourceError where that can't be listed, where nothing is found, and for names that could not
    be laid out as files.
    """
    query = url[len(_without_query(url)):]
    expanded: set[str] = set()
    for pattern in globs.braces(_without_query(url)):
        folder = globs.base(pattern) if globs.is_pattern(pattern) else pattern
        if folder == pattern and not pattern.endswith("/"):
            expanded.add(pattern + query)
            continue
        source, reached = at(folder, reach)
        names = persist(reached, reach.network.hosts,
                        lambda: list(source.names(reached)))  # noqa: B023
        wanted = pattern[len(folder):] or "**"
        matches = globs.matcher(wanted if _is_bucket(url) else unquote(wanted))
        fitting = [name for name in names if matches.fullmatch(name)]
        if not fitting:
            raise SourceError("nothing is found there", where=urls.redact(reached))
        _refuse_odd(fitting, folder)
        expanded |= {folder + (name if _is_bucket(url) else quote(name)) for name in fitting}
    return tuple(sorted(expanded))


def _refuse_odd(names: Iterable[str], folder: str) -> None:
    """Refuse names that a folder of files can't have: a listing is a stranger's word."""
    listed = set(names)
    odd = [name for name in listed if not name.isprintable()
           or not {"", ".", ".."}.isdisjoint(name.split("/"))
           or any(len(part.encode()) > MAX_NAME for part in name.split("/"))
           or any(parent in listed for parent in _parents(name))]
    if odd:
        raise SourceError("names that can't be laid out as files: "
                          + ", ".join(repr(name) for name in sorted(odd)[:10]),
                          where=urls.redact(folder))


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def gather(wanted: Mapping[str, Iterable[str]], work: Callable[[str], T],
           notes: Mapping[str, str] | None = None) -> dict[str, T]:
    """What `work` makes of each URL, several at a time; SourceError with all faults at once.

    `wanted` says for each URL where it stands, for the errors; so do `notes` of some.
    """
    ordered = sorted(wanted)
    results: dict[str, T] = {}
    faults: dict[str, str] = {}
    again: Counter[str] = Counter()
    for url, result in zip(ordered, try_all(work, ordered, threads=THREADS), strict=True):
        if isinstance(result, AirlockError):
            fault = result.what if _is_about_host(result) else url
            if fault in faults:
                again[fault] += 1
                continue
            places = "; ".join(dict.fromkeys(wanted[url]))
            faults[fault] = (f"    {urls.redact(url)}: {result.what}\n      in {places}"
                             + (f"\n      asked at {result.where}" if result.where else "")
                             + (notes or {}).get(urls.redact(url), ""))
        else:
            results[url] = result
    if faults:
        more = len(faults) - MAX_FAULTS_SHOWN
        lines = [text + (f"\n      and {again[fault]} more files there" if again[fault] else "")
                 for fault, text in faults.items()]
        raise SourceError(f"{len(faults) + again.total()} of {len(wanted)} files can't be had:\n"
                          + "\n".join(lines[:MAX_FAULTS_SHOWN])
                          + (f"\n    and {more} more" if more > 0 else ""),
                          todo="mend the sheet or params, or map the address in hosts.urls of "
                               "the site's config")
    return results


def _is_about_host(error: AirlockError) -> bool:
    """Whether an error is one of a host, so that it is the same for all of that host's files."""
    return error.where is not None and urls.address(error.where) in error.what


def look(url: str, reach: Reach) -> RemoteFile | None:
    """What is known of a file without fetching it; None where there is none."""
    source, reached = at(url, reach)
    return persist(reached, reach.network.hosts, lambda: source.look(reached))


def is_listed(url: str, reach: Reach) -> bool:
    """Whether what lies below a URL can be listed; False for what nothing here can fetch."""
    try:
        source, _ = at(url, reach)
    except SourceError:
        return False
    return not isinstance(source, _Web)


def answers(asked: Iterable[str], reach: Reach) -> dict[str, RemoteFile | None]:
    """What is known of each URL, None where there is no file; without those that can't be asked."""
    ordered = sorted(asked)
    looked = try_all(lambda url: look(url, reach), ordered, threads=THREADS)
    return {url: remote for url, remote in zip(ordered, looked, strict=True)
            if not isinstance(remote, AirlockError)}


def sizes(wanted: Mapping[str, Iterable[str]], reach: Reach,
          notes: Mapping[str, str] | None = None) -> dict[str, int | None]:
    """The bytes of each URL without fetching any, None where the server doesn't say.

    Raises SourceError with all faults at once, and where each URL stands.
    """
    def size(url: str) -> int | None:
        remote = look(url, reach)
        if remote is None:
            raise SourceError("there is no such file", where=urls.redact(at(url, reach)[1]))
        return remote.size

    return gather(wanted, size, notes)


def companions(named: Iterable[str], reach: Reach) -> dict[str, tuple[str, ...]]:
    """The indexes that lie beside each URL, for those that have any; a missing one is no fault."""
    wanted = {companion: [f"beside {urls.redact(url)}"]
              for url in named for companion in _beside(url)}

    def is_there(url: str) -> bool:
        try:
            remote = look(url, reach)
        except Denied:  # what may not be listed is often refused where it is missing
            return False
        return remote is not None and not remote.page

    there = gather(wanted, is_there)
    return {url: here for url in named if (here := tuple(
        companion for companion in _beside(url) if there[companion]))}


def _beside(url: str) -> list[str]:
    path = _without_query(url)
    query = url[len(path):]
    folder, slash, name = path.rpartition("/")
    return [f"{folder}{slash}{index}{query}" for index in beside.names(name)]
