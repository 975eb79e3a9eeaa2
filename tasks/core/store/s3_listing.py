"""What a bucket lists, page by page; a server may answer anything, without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import unquote_plus

from tasks.core.errors import StoreError
from tasks.core.parsing import whole_number
from tasks.core.store.s3_client import Bucket, Request, texts

MAX_PAGES = 5000
"""Pages of a listing, 1,000 keys each."""

ASK = "look at who answers at store.endpoint"


def pages(bucket: Bucket, prefix: str) -> Iterator[tuple[Sequence[Mapping[str, str]], str | None]]:
    """The entries of a listing by pages, each with the token of the next one."""
    query = {"prefix": prefix}
    for _ in range(MAX_PAGES):
        entries, token = page(bucket, query)
        yield entries, token
        if not token:
            return
        query["continuation-token"] = token
    raise StoreError(f"a listing has more than {MAX_PAGES} pages", where=bucket.where(prefix),
                     todo=ASK)


def page(bucket: Bucket, query: Mapping[str, str]) -> tuple[Sequence[dict[str, str]], str | None]:
    """One page: its entries by the names of their fields, and the token of the next one."""
    response = bucket.ask(Request(method="GET", query={
        "list-type": "2", "encoding-type": "url", **query}))
    parsed = bucket.parse(response.data, query["prefix"])
    fields = dict(texts(parsed))
    entries = [dict(texts(child)) for child in parsed if child.tag.endswith("Contents")]
    for entry in entries:
        if "Key" not in entry or whole_number(entry.get("Size", "")) is None:
            raise StoreError("the store lists a file without key or size",
                             where=bucket.where(query["prefix"]), todo=ASK)
        if fields.get("EncodingType") == "url":
            entry["Key"] = unquote_plus(entry["Key"])
    token = fields.get("NextContinuationToken")
    return entries, token if fields.get("IsTruncated") == "true" else None


def time(bucket: Bucket, entry: Mapping[str, str]) -> datetime:
    """When a listed file was written, to the second."""
    try:
        return datetime.strptime(entry.get("LastModified", "")[:19], "%Y-%m-%dT%H:%M:%S").replace(
            tzinfo=timezone.utc)
    except ValueError as error:
        raise StoreError("the store lists a file without its time",
                         where=bucket.where(entry["Key"]), todo=ASK) from error
