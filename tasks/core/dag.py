"""A pipeline's graph of processes, from what Nextflow leaves, and where to draw each of them.

Nextflow's graph has a node for each channel and operator as well; here a process follows another
where its input comes from that one through these alone. All names come from outside.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import nofollow
from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen

MAX_BYTES = 8 * 2**20
MAX_NODES = 600
"""Processes that are drawn."""
WIDEST = 26
"""Characters of a name that are shown; the whole name is the box's title."""
HEIGHT, ROW, GAP, EDGE = 26, 38, 56, 12
"""Pixels: a box, from one box to the one below, between columns, around all."""
CHARACTER = 7.3
"""Pixels of a character in the font of code at 12 pixels."""
PASSES = 6

MERMAID_NODE = re.compile(r"^\s*(v\d{1,6})(\(\[|\[|\(\()(.{0,400}?)(?:\]\)|\]|\)\))\s*$")
MERMAID_EDGE = re.compile(r"^\s*(v\d{1,6}) --[->]\S{0,2}\s*(?:\|[^|]{0,400}\|)?\s*(v\d{1,6})\s*$")
MERMAID_SCOPE = re.compile(r'^\s*subgraph\s+"?([^"]{0,400}?)"?\s*$')
SVG_NODE = re.compile(r'class="node">\s*<title>(v\d{1,6})</title>(.{0,2000}?)</g>', re.DOTALL)
SVG_TEXT = re.compile(r"<text[^>]{0,400}>([^<]{0,400})</text>")
SVG_EDGE = re.compile(r"<title>(v\d{1,6})&#45;&gt;(v\d{1,6})</title>")
SVG_RADIUS = re.compile(r'<ellipse[^>]{0,400} rx="([\d.]{1,12})"')
POINT = 10
"""A process's ellipse is wider than that in graphviz's picture, and no other node's."""


@frozen
class Raw:
    """Nodes of a picture: processes by id with their names, and the edges between all nodes."""

    processes: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]


@frozen
class Box:
    """A process as it is drawn; pixels from the top left."""

    x: float
    y: float
    width: float
    name: str
    title: str


@frozen
class Picture:
    """Boxes, and lines as the path data of SVG."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]


def read(places: Iterable[Path]) -> dict[str, Any] | None:
    """The graph in the first file that has one: Nextflow's DAG as Mermaid, or graphviz's SVG.

    `nodes` are full names, `edges` pairs of their places; None where no file has a process.
    """
    for path in places:
        try:
            text = nofollow.read(path, most=MAX_BYTES).decode(errors="replace")
        except (OSError, ValueError, AirlockError):
            continue
        raw = _mermaid(text) if "flowchart" in text else _svg(text)
        if raw.processes:
            return _processes(raw)
    return None


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


def _svg(text: str) -> Raw:
    processes = {}
    for match in SVG_NODE.finditer(text):
        radius, name = SVG_RADIUS.search(match[2]), SVG_TEXT.search(match[2])
        if radius and name and float(radius[1]) > POINT:
            processes[match[1]] = html.unescape(name[1])
    return Raw(processes=processes, edges=tuple(SVG_EDGE.findall(text)))


def _processes(raw: Raw) -> dict[str, Any]:
    """Processes alone, the graph between them without what longer ways say."""
    ids = [*raw.processes][:MAX_NODES]
    follow: dict[str, list[str]] = {}
    for one, other in raw.edges:
        follow.setdefault(one, []).append(other)
    places = {node: place for place, node in enumerate(ids)}
    direct = {places[node]: _next(node, follow, places) - {places[node]} for node in ids}
    kept = _reduced(direct)
    return {"nodes": [raw.processes[node] for node in ids],
            "edges": sorted([one, other] for one, others in kept.items() for other in others)}


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


def _reduced(direct: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Without an edge where other edges lead to the same place."""
    behind: dict[int, set[int]] = {}
    for node in reversed(_order(direct)):
        behind[node] = set().union(*({other} | behind.get(other, set()) for other in direct[node]))
    return {node: {other for other in others if not any(
        other in behind.get(between, ()) for between in others if between != other)}
        for node, others in direct.items()}


def _order(follow: Mapping[int, Iterable[int]]) -> list[int]:
    """All nodes, each after those that lead to it; what goes round comes last."""
    before = dict.fromkeys(follow, 0)
    for others in follow.values():
        for other in others:
            before[other] += 1
    order = [node for node, count in before.items() if count == 0]
    for node in order:
        for other in follow[node]:
            before[other] -= 1
            if before[other] == 0:
                order.append(other)
    return order + [node for node in follow if node not in set(order)]


def picture(graph: Mapping[str, Any]) -> Picture:
    """Where each process is drawn: in columns from left to right, what it follows before it."""
    names: list[str] = graph["nodes"]
    follow: dict[int, set[int]] = {node: set() for node in range(len(names))}
    for one, other in graph["edges"]:
        follow[one].add(other)
    columns = _columns(follow)
    tallest = max(map(len, columns), default=0)
    boxes: dict[int, Box] = {}
    x = float(EDGE)
    for column in columns:
        width = max(len(_short(names[node])) for node in column) * CHARACTER + 18
        top = EDGE + (tallest - len(column)) * ROW / 2
        for row, node in enumerate(column):
            boxes[node] = Box(x=round(x, 1), y=round(top + row * ROW, 1), width=round(width, 1),
                              name=_short(names[node]), title=names[node])
        x += width + GAP
    lines = tuple(_line(boxes[one], boxes[other]) for one, other in graph["edges"]
                  if boxes[one].x < boxes[other].x)
    return Picture(width=round(x - GAP + EDGE, 1), height=tallest * ROW - ROW + HEIGHT + 2 * EDGE,
                   boxes=tuple(boxes[node] for node in sorted(boxes)), lines=lines)


def _short(name: str) -> str:
    last = name.rpartition(":")[2]
    return last if len(last) <= WIDEST else f"{last[:WIDEST - 1]}…"


def _columns(follow: Mapping[int, set[int]]) -> list[list[int]]:
    """The nodes by how many others must come before, each column ordered by its neighbours."""
    depth = dict.fromkeys(follow, 0)
    for node in _order(follow):
        for other in follow[node]:
            depth[other] = min(max(depth[other], depth[node] + 1), len(follow))
    columns: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node, place in depth.items():
        columns[place].append(node)
    neighbours: dict[int, list[int]] = {node: [*others] for node, others in follow.items()}
    for node, others in follow.items():
        for other in others:
            neighbours[other].append(node)
    for _ in range(PASSES):
        at = {node: (row + 0.5) / len(column) for column in columns
              for row, node in enumerate(column)}
        for column in columns:
            column.sort(key=lambda node: (
                sum(at[other] for other in neighbours[node]) / len(neighbours[node])
                if neighbours[node] else at[node], node))
    return [column for column in columns if column]


def _line(one: Box, other: Box) -> str:
    begin, end = (one.x + one.width, one.y + HEIGHT / 2), (other.x, other.y + HEIGHT / 2)
    bend = max(GAP / 2, (end[0] - begin[0]) / 2.5)
    return (f"M{begin[0]:.1f} {begin[1]:.1f}C{begin[0] + bend:.1f} {begin[1]:.1f} "
            f"{end[0] - bend:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}")
