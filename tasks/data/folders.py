"""Files of this machine, below the folders that the site allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net import download
from tasks.core.net.transfer import Body, RemoteFile


class Folders:
    """`allowed` are the folders below which a file must lie once all links are followed."""

    def __init__(self, allowed: Sequence[Path]) -> None:
        self._allowed = [path.resolve() for path in allowed]

    def look(self, url: str) -> RemoteFile | None:
        path = self._path(url)
        if not path.is_file():
            return None
        return RemoteFile(size=path.stat().st_size, validator=None)

    def receive(self, url: str, body: Body) -> None:
        download.copy(self._path(url), body)

    def names(self, url: str) -> Iterator[str]:
        """The files below a folder; links that lead out of what is allowed are refused."""
        root = self._path(url)
        if not root.is_dir():
            raise SourceError("there is no such folder")
        for path in files.tree(root):
            name = path.relative_to(root).as_posix()
            if not self._path(f"{url}{quote(name)}").is_file():
                raise SourceError(f"{name!r} is a link that isn't followed, or no file")
            yield name

    def _path(self, url: str) -> Path:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise SourceError("a file:// address names a file of this machine: file:///folder/…")
        try:
            path = Path(unquote(parts.path)).resolve()
            path.exists()  # raises for what no file can be called
        except (OSError, ValueError, RuntimeError) as error:  # such as a loop of links
            raise SourceError("the path leads nowhere") from error
        if not any(path.is_relative_to(folder) for folder in self._allowed):
            raise SourceError("it does not lie below a folder that the site's config allows, in "
                              "hosts.folders")
        return path


