"""What a host remembers of the store: enough to run what is in place while that can't be reached.

All but blobs that a fetch has read, once it went well: pointers, promotions, signed lists. Nothing
of it is believed for lying here. It is read as the store is, signature by signature, so an end of a
promotion, a line of allowed_signers that went and a changed byte count as they do with the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from tasks.core import files
from tasks.core.errors import AirlockError
from tasks.core.paths import SitePaths
from tasks.core.store.folder import FolderStore
from tasks.core.store.interface import Store, is_blob

Fault = TypeVar("Fault", bound=AirlockError)


class Remembering:
    """A store, of which is noted what it gives."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._given: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def store(self) -> Store:
        """It stands for the store."""
        return cast(Store, self)

    def get(self, key: str, path: Path, *, most: int) -> None:
        self._store.get(key, path, most=most)
        if not is_blob(key):
            self._given[key] = path.read_bytes()

    def keep(self, at: SitePaths) -> None:
        """Remember what was given, pointers last: what they lead to must be there."""
        for key in sorted(self._given, key=lambda key: (key.endswith("/current.json"), key)):
            place = files.inside(at.store_memory, key)
            if not place.is_file() or place.read_bytes() != self._given[key]:
                files.write_bytes(place, self._given[key])


def remembered(at: SitePaths, url: str) -> Store:
    """What is remembered, as a store."""
    return FolderStore(f"{url}, as remembered in {at.store_memory}", at.store_memory)


def in_chain(error: BaseException | None, kind: type[Fault]) -> Fault | None:
    """The fault of this kind that has led to an error, which may say it in other words."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error
