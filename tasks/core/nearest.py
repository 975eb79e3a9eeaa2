"""The name that was meant, where one was mistyped."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most like, or None where none is near."""
    import difflib
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return near[0] if near else None


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, for the end of an error's first sentence; nothing where none is near."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
