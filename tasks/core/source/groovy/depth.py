"""How deep Groovy may stand in itself: as deep as our reader, which calls itself, can follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.errors import ImageError


@contextmanager
def bounded(where: object) -> Iterator[None]:
    """ImageError for code whose brackets, conditions or signs are nested by the hundred.

    Nobody writes that; somebody who wants a reader to fail may.
    """
    try:
        yield
    except RecursionError as error:
        raise ImageError("brackets, conditions or operators stand too deep in each other",
                         where=where, todo="look into the pipeline's code for what is nested "
                                           "by the hundred") from error
