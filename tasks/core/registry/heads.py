"""What the head of a blob or manifest tells; where it doesn't, a GET is asked.

Length and digest are no duty of a HEAD (OCI distribution specification 1.1: SHOULD), and proxies
before registries refuse HEAD, or make the length 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.core import parsing
from tasks.core.errors import RegistryError
from tasks.core.net import bounds
from tasks.core.registry.endpoint import Endpoint
from tasks.core.registry.streams import chunks_of

if TYPE_CHECKING:
    import urllib3

BUSY = (429, 500, 502, 503, 504)
"""Answers to a HEAD that a GET would get as well."""
TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
"""A Content-Range with the whole size (RFC 9110, 14.4)."""


class Heads:
    """The heads of what one registry has."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint
        self._refused = False

    def ask(self, url: str, scopes: tuple[str, ...], name: str,
            headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse | None:
        """The head of what is there (200) or isn't (404); None where only a GET can tell.

        A registry that refuses HEAD is not asked for another one.
        """
        if self._refused:
            return None
        response = self._at.ask("HEAD", url, scopes, name, headers)
        if response.status in (200, 404):
            return response
        if response.status in BUSY:
            raise self._at.unexpected(response, name, url)
        self._refused = True
        return None

    def blob_size(self, path: str, digest: str, expected: int | None) -> int | None:
        """A blob's size in bytes, or None where the repository doesn't have it.

        The head is believed where it tells what is `expected`, or, without that, anything but 0.
        """
        url, name = self._at.url(path, f"blobs/{digest}"), self._at.name(path, digest)
        response = self.ask(url, self._at.pull(path), name)
        if response is not None and response.status == 404:
            return None
        size = None if response is None else parsing.whole_number(
            response.headers.get("Content-Length", ""))
        if size and (expected is None or size == expected):
            return size
        return self._sent_size(url, self._at.pull(path), name, expected)

    def _sent_size(self, url: str, scopes: tuple[str, ...], name: str,
                   expected: int | None) -> int | None:
        """The size by the answers to a GET: of its first byte, else of all, counted as it comes.

        Nothing is counted where nothing is `expected`: it might never end.
        """
        for part in ({"Range": "bytes=0-0"}, {}):
            response = self._at.ask("GET", url, scopes, name, part)
            if response.status == 404:
                bounds.dismiss(response)
                return None
            size = _whole_size(response)
            if size is None and response.status == 200 and expected is not None:
                return self._count(response, name, expected)
            if size is not None or part or response.status == 200:
                bounds.dismiss(response)
            if size is not None:
                return size
        if response.status == 200:
            raise RegistryError(f"{self._at.host} doesn't tell how large {name} is", where=url,
                                todo="see what stands before the registry: a proxy may drop "
                                     "Content-Length")
        raise self._at.unexpected(response, name, url)

    def _count(self, response: urllib3.BaseHTTPResponse, name: str, expected: int) -> int:
        """The bytes of a body without a length; one that is longer than `expected` isn't read on.
        """
        bounds.allow_large(response)
        size = 0
        for chunk in chunks_of(response, name):
            size += len(chunk)
            if size > expected:
                break
        response.close()
        response.release_conn()
        return size


def _whole_size(response: urllib3.BaseHTTPResponse) -> int | None:
    """The size of the whole blob that an answer to a GET tells, if it does."""
    if response.status == 200:
        return parsing.whole_number(response.headers.get("Content-Length", ""))
    total = TOTAL.fullmatch(response.headers.get("Content-Range", ""))
    return parsing.whole_number(total[1]) if total and response.status in (206, 416) else None
