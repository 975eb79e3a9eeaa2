"""Downloads of blobs, resumed where a connection breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from tasks.core import parsing
from tasks.core.net import bounds
from tasks.core.net.request import ATTEMPTS, Broken
from tasks.core.registry.endpoint import Endpoint, Missing
from tasks.core.registry.streams import chunks_of

if TYPE_CHECKING:
    import urllib3

WORTH = 1 << 20
"""Bytes that a connection must bring, so that its break doesn't count as one more failure."""


class Download:
    """A blob's bytes from one registry, resumed by Range (RFC 9110, 14) where they break off.

    Where the server sends all from the start again, what has been passed on already is skipped;
    the digest over what was passed on shows whether the two fit. That happens but few times, since
    each costs all that was there.
    """

    def __init__(self, endpoint: Endpoint, url: str, scopes: tuple[str, ...], name: str) -> None:
        self._at, self._url, self._scopes, self._name = endpoint, url, scopes, name
        self._response: urllib3.BaseHTTPResponse | None = None

    def __enter__(self) -> Iterator[bytes]:
        return self._chunks(self._request(0)[0])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._response is not None:
            self._response.close()
            self._response.release_conn()

    def _request(self, offset: int) -> tuple[urllib3.BaseHTTPResponse, int]:
        """Ask for what is left; the answer, and how many of its bytes are known already."""
        response = self._response = self._at.ask(
            "GET", self._url, self._scopes, self._name,
            {"Range": f"bytes={offset}-"} if offset else None)
        bounds.allow_large(response)
        if response.status == 200:
            return response, offset
        part = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if response.status == 206 and part and parsing.whole_number(part[1]) == offset:
            return response, 0
        if response.status == 404:
            response.close()
            raise Missing(f"{self._at.host} answered 404 for {self._name}: it has no such blob",
                          host=self._at.address, where=self._url,
                          todo="see whether the registry was cleaned up meanwhile")
        raise self._at.unexpected(response, self._name, self._url)

    def _chunks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        count = mark = skip = failures = 0
        while True:
            try:
                for chunk in chunks_of(response, self._name):
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    count += len(fresh)
                    if fresh:
                        yield fresh
                return
            except Broken:
                is_anew = response.status == 200 and mark > 0
                failures = 1 if count - mark >= WORTH and not is_anew else failures + 1
                if failures == ATTEMPTS:
                    raise
                mark = count
            response.close()
            self._at.transport.rest(self._url, failures)
            response, skip = self._request(count)
