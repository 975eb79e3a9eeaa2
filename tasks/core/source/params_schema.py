"""The params that a pipeline's nextflow_schema.json describes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Each param's name with what is said of it, wherever it is grouped.

    Groups stand below `definitions` in older templates, below `$defs` from 3.0 on.
    """
    waiting = deque([schema])
    while waiting:
        node = _mapping(waiting.popleft())
        yield from _mapping(node.get("properties")).items()
        waiting += [group for key in ("$defs", "definitions")
                    for group in _mapping(node.get(key)).values()]


def required(schema: Any) -> list[str]:
    """The names of the params that a run must set, wherever they are grouped."""
    root = _mapping(schema)
    groups = [root, *(_mapping(group) for key in ("$defs", "definitions")
                      for group in _mapping(root.get(key)).values())]
    names = [group.get("required") for group in groups]
    return sorted({name for listed in names if isinstance(listed, list)
                   for name in listed if isinstance(name, str)})


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
