"""The head of a request to the engine's gate, read strictly: what is odd is refused, not mended.

A request is never passed on as it came: the gate writes another one from what is read here, so two
readers of one request can't differ (request smuggling).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

MAX_HEAD = 16 << 10
"""Bytes of a request's line and headers; those of Docker's client take less than 1 kB."""
MAX_BODY = 1 << 20
"""Bytes of a request's body; Docker's `create` takes some 3 kB."""

LINE = re.compile(r"(GET|HEAD|POST|DELETE) (/[A-Za-z0-9._/:@-]*)(?:\?([A-Za-z0-9._~%&=+-]*))? "
                  r"HTTP/1\.1")
HEADER = re.compile(r"([A-Za-z0-9-]+):[ \t]*([\x20-\x7e]*?)[ \t]*")
VERSION = re.compile(r"/v1\.([3-9][0-9])(?=/)")
"""From 1.30 on a `wait` has a condition."""


class Refused(Exception):
    """A request that the gate doesn't let through, with its HTTP status."""

    def __init__(self, message: str, status: int = 403) -> None:
        self.message, self.status = message, status
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request without its body: `version` is the path's prefix, or empty, and not in `path`."""

    method: str
    version: str
    path: str
    query: Mapping[str, str]
    length: int
    upgrades: bool


def parse(head: bytes) -> Request:
    """Read all bytes up to the empty line; Refused where anything is not plain HTTP/1.1."""
    if not head.endswith(b"\r\n\r\n") or len(head) > MAX_HEAD:
        raise Refused("the request's head is too long or has no end", 400)
    try:
        line, *headers = head[:-4].decode("ascii").split("\r\n")
    except UnicodeDecodeError as error:
        raise Refused("the request's head is not ASCII", 400) from error
    match = LINE.fullmatch(line)
    if match is None:
        raise Refused("the request's line is not allowed: its method, a target with odd "
                      "characters, or another HTTP than 1.1", 400)
    method, target, query = match.groups()
    prefix = VERSION.match(target)
    path = target[prefix.end():] if prefix else target
    if any(part in ("", ".", "..") for part in path.split("/")[1:]):
        raise Refused("the request's path has empty parts or dots", 400)
    fields = _headers(headers)
    return Request(method=method, version=prefix[0] if prefix else "", path=path,
                   query=_query(query or ""), length=_length(fields),
                   upgrades="upgrade" in fields.get("connection", "").lower())


def _headers(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = HEADER.fullmatch(line)
        if match is None:
            raise Refused("a header is not plain", 400)
        name = match[1].lower()
        if name in fields:
            raise Refused(f"the header {name} comes twice", 400)
        fields[name] = match[2]
    return fields


def _length(headers: Mapping[str, str]) -> int:
    for name in ("transfer-encoding", "expect"):
        if name in headers:
            raise Refused(f"the header {name} is not allowed: say Content-Length", 400)
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", length):
        raise Refused("the Content-Length is not a number", 400)
    if int(length) > MAX_BODY:
        raise Refused(f"the request's body is longer than {MAX_BODY} bytes", 413)
    return int(length)


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text),
                          errors="strict", max_num_fields=20)
    except ValueError as error:
        raise Refused("the request's query can't be read", 400) from error
    if len(dict(pairs)) != len(pairs):
        raise Refused("the request's query names something twice", 400)
    return dict(pairs)
