"""Which store stands at an address: a folder or a bucket."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, StoreError
from tasks.core.store.folder import FolderStore
from tasks.core.store.interface import Store


def open_store(at: StoreAt) -> Store:
    """The store at an address: a path, file:///folder or s3://bucket/prefix."""
    address = urlsplit(at.url)
    if address.scheme == "s3":
        from tasks.core.store.s3 import S3Store
        return S3Store(at)
    if at.encrypts:
        raise ConfigError("a folder is not encrypted by S3", where=f"store.url: {at.url}",
                          todo="remove store.encryption, or name a bucket: s3://bucket/prefix")
    if address.scheme == "file":
        if address.netloc not in ("", "localhost"):
            raise StoreError("a file:// address names a folder of this machine", where=at.url,
                             todo="write file:///folder, with three slashes")
        return FolderStore(at.url, Path(unquote(address.path)))
    if "://" in at.url:
        raise StoreError(f"stores of the kind {address.scheme}:// are not known", where=at.url,
                         todo="give a folder, file:///folder or s3://bucket/prefix")
    return FolderStore(at.url, Path(at.url).expanduser())
