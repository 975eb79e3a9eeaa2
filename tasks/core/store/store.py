"""Which store stands at an address: a folder or a bucket."""

from __future__ import annotations

from urllib.parse import urlsplit

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, StoreError
from tasks.core.store.folder import FolderStore
from tasks.core.store.interface import Store


def open_store(at: StoreAt) -> Store:
    """The store at an address: a path, file:///folder or s3://bucket/prefix."""
    folder, address = at.folder, urlsplit(at.url)
    if folder is None:
        from tasks.core.store.s3 import S3Store
        return S3Store(at)
    if at.encrypts:
        raise ConfigError("a folder is not encrypted by S3", where=f"store.url: {at.url}",
                          todo="remove store.encryption, or name a bucket: s3://bucket/prefix")
    if address.scheme == "file" and address.netloc not in ("", "localhost"):
        raise StoreError("a file:// address names a folder of this machine", where=at.url,
                         todo="write file:///folder, with three slashes")
    if "://" in at.url and address.scheme != "file":
        raise StoreError(f"stores of the kind {address.scheme}:// are not known", where=at.url,
                         todo="give a folder, file:///folder or s3://bucket/prefix")
    return FolderStore(at.url, folder)
