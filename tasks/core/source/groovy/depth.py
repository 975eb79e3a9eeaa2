"""How deep Groovy may stand in itself: as deep as our reader, which calls itself, can follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.errors import ImageError


def too_deep(where: object) -> ImageError:
    """The error of code that is nested by the hundred.

    Nobody writes that; somebody who wants a reader to fail may.
    """
    return ImageError("brackets, conditions or operators stand too deep in each other",
                      where=where, todo="look into the pipeline's code for what is nested "
                                        "by the hundred")


@contextmanager
def bounded(where: object) -> Iterator[None]:
    """Turn the end of Python's own stack into that error."""
    try:
        yield
    except RecursionError as error:
        raise too_deep(where) from error
