"""A pipeline's graph of processes, from the Mermaid text that Nextflow leaves, and its picture.

Nextflow's graph has a node for each channel and operator as well; here a process follows another
where its input comes from that one through these alone. All names come from outside.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tasks.core import layers, nofollow
from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen
from tasks.core.picture import Node, Picture, draw

MAX_BYTES = 8 * 2**20
MAX_NODES = 600
"""Processes that are drawn."""

MERMAID_NODE = re.compile(r"^\s*(v\d{1,6})(\(\[|\[|\(\()(.{0,400}?)(?:\]\)|\]|\)\))\s*$")
MERMAID_EDGE = re.compile(r"^\s*(v\d{1,6}) --[->]\S{0,2}\s*(?:\|[^|]{0,400}\|)?\s*(v\d{1,6})\s*$")
MERMAID_SCOPE = re.compile(r'^\s*subgraph\s+"?([^"]{0,400}?)"?\s*$')


@frozen
class Raw:
    """Nodes of a picture: processes by id with their names, and the edges between all nodes."""

    processes: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]


def read(path: Path) -> dict[str, Any] | None:
    """The graph in Nextflow's DAG as Mermaid's text.

    `nodes` are full names, `edges` pairs of their places; None where there is no process.
    """
    try:
        text = nofollow.read(path, most=MAX_BYTES).decode(errors="replace")
    except (OSError, ValueError, AirlockError):
        return None
    raw = _mermaid(text)
    return _processes(raw) if raw.processes else None


def _mermaid(text: str) -> Raw:
    processes, edges, scopes = {}, [], []
    for line in text.splitlines():
        if match := MERMAID_SCOPE.match(line):
            scopes.append(match[1].strip())
        elif line.strip() == "end" and scopes:
            scopes.pop()
        elif match := MERMAID_NODE.match(line):
            if match[2] == "([":
                name = html.unescape(match[3].strip('"'))
                processes[match[1]] = ":".join([*filter(None, scopes), name])
        elif match := MERMAID_EDGE.match(line):
            edges.append((match[1], match[2]))
    return Raw(processes=processes, edges=tuple(edges))


def _processes(raw: Raw) -> dict[str, Any]:
    """Processes alone, the graph between them without what longer ways say."""
    ids = [*raw.processes][:MAX_NODES]
    follow: dict[str, list[str]] = {}
    for one, other in raw.edges:
        follow.setdefault(one, []).append(other)
    places = {node: place for place, node in enumerate(ids)}
    direct = [(places[node], other) for node in ids for other in _next(node, follow, places)]
    return {"nodes": [raw.processes[node] for node in ids],
            "edges": [list(edge) for edge in layers.nearest(len(ids), direct)]}


def _next(node: str, follow: Mapping[str, Sequence[str]], places: Mapping[str, int]) -> set[int]:
    """The processes that a node leads to through others that are none."""
    waiting, passed, reached = [*follow.get(node, ())], {node}, set()
    while waiting:
        here = waiting.pop()
        if here in passed:
            continue
        passed.add(here)
        if here in places:
            reached.add(places[here])
        else:
            waiting += follow.get(here, ())
    return reached


def picture(graph: Mapping[str, Any]) -> Picture:
    """The graph drawn: each process with the part of its workflow's name that not all have."""
    names: list[list[str]] = [name.split(":") for name in graph["nodes"]]
    scopes = zip(*(name[:-1] for name in names), strict=False)
    shared = len([*takewhile(lambda parts: len({*parts}) == 1, scopes)])
    return draw([Node(name=name[-1], note=":".join(name[shared:-1]), title=":".join(name))
                 for name in names], [(one, other) for one, other in graph["edges"]])
