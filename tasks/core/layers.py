"""A graph in columns for a picture: whatever comes before another stands left of it.

A layered drawing in the steps that Sugiyama, Tagawa and Toda describe (1981): circles are cut, each
node gets a column, an edge that passes columns gets a point in each, and columns are ordered so
that few edges cross. All edges of a node that go far share its points, as the branches of one line.
Nodes are numbers; the same graph gives the same columns.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from tasks.core.frozen import frozen

SWEEPS = 12
"""Passes over all columns, to and fro, in which points are put beside what they hang on."""
SWAPS = 8
"""Passes, after each sweep, in which neighbours change places where fewer edges cross then."""
LARGE, HUGE = 2000, 100_000
"""Links for which swaps take too long, and those that all sweeps may look at."""

Edge: TypeAlias = tuple[int, int]
"""What comes before, and what follows."""
Point: TypeAlias = tuple[int, int]
"""A node and a column: its box in its own column, in others where its edges pass."""


@frozen
class Link:
    """A piece of edges from one column to the next, and which of its ends is an arrow's head."""

    first: Point
    then: Point
    begins: bool
    ends: bool


@frozen
class Layered:
    """Columns from left to right, each from top to bottom, and what is drawn between them."""

    own: Mapping[int, int]
    """The column of each node's box."""
    columns: tuple[tuple[Point, ...], ...]
    links: tuple[Link, ...]


def components(count: int, edges: Iterable[Edge]) -> list[list[int]]:
    """The nodes that hang together, the largest part first."""
    beside: list[list[int]] = [[] for _ in range(count)]
    for first, then in edges:
        beside[first].append(then)
        beside[then].append(first)
    parts, seen = [], set[int]()
    for start in range(count):
        if start in seen:
            continue
        part, waiting = {start}, [start]
        while waiting:
            new = set(beside[waiting.pop()]) - part
            part |= new
            waiting += new
        seen |= part
        parts.append(sorted(part))
    return sorted(parts, key=lambda part: -len(part))


def nearest(count: int, edges: Iterable[Edge]) -> list[Edge]:
    """The edges without those that a longer way says already; what closes a circle stays."""
    forward, back = _cut(count, edges)
    return sorted([*_reduced(count, forward), *back])


def layered(count: int, edges: Iterable[Edge]) -> Layered:
    """The columns of a graph whose edges are all drawn."""
    forward, back = _cut(count, edges)
    ahead = {*forward, *((then, first) for first, then in back)}
    own = _columns(count, ahead)
    follow = _follow(count, ahead)
    points: list[list[Point]] = [[] for _ in range(max(own.values(), default=-1) + 1)]
    links = []
    for node in range(count):
        for column in range(own[node], max([own[node], *(own[to] - 1 for to in follow[node])]) + 1):
            points[column].append((node, column))
            if column > own[node]:
                links.append(((node, column - 1), (node, column)))
        links += [((node, own[to] - 1), (to, own[to])) for to in follow[node]]
    # What closes a circle goes to the left: its head is where the line begins.
    heads = {(then, (first, own[first]) if own[first] == own[then] + 1 else (then, own[then] + 1))
             for first, then in back}
    ends = {*forward}
    return Layered(own=own, columns=tuple(map(tuple, _ordered(points, links))), links=tuple(
        Link(first=first, then=then, ends=(first[0], then[0]) in ends,
             begins=first[1] == own[first[0]] and (first[0], then) in heads)
        for first, then in sorted(links)))


def _follow(count: int, edges: Iterable[Edge]) -> list[list[int]]:
    follow: list[list[int]] = [[] for _ in range(count)]
    for first, then in sorted({*edges}):
        follow[first].append(then)
    return follow


def _cut(count: int, edges: Iterable[Edge]) -> tuple[list[Edge], list[Edge]]:
    """The edges without circles, and those that close one; none from a node to itself."""
    edges = sorted({edge for edge in edges if edge[0] != edge[1]})
    rank = {node: place for place, node in enumerate(_in_order(count, edges))}
    return ([edge for edge in edges if rank[edge[0]] < rank[edge[1]]],
            [edge for edge in edges if rank[edge[0]] > rank[edge[1]]])


def _in_order(count: int, edges: Iterable[Edge]) -> list[int]:
    """All nodes, each after those that lead to it, but for what goes round."""
    edges = list(edges)
    follow, led_to = _follow(count, edges), {then for _, then in edges}
    order: list[int] = []
    seen: set[int] = set()
    for start in sorted(range(count), key=lambda node: (node in led_to, node)):
        if start in seen:
            continue
        seen.add(start)
        waiting = [(start, iter(follow[start]))]
        while waiting:
            node, others = waiting[-1]
            other = next((other for other in others if other not in seen), None)
            if other is None:
                order.append(node)
                waiting.pop()
            else:
                seen.add(other)
                waiting.append((other, iter(follow[other])))
    return order[::-1]


def _reduced(count: int, edges: Sequence[Edge]) -> Iterable[Edge]:
    """Of edges without circles, those that no way through other nodes implies."""
    follow = _follow(count, edges)
    behind = [0] * count  # nodes as bits
    for node in reversed(_in_order(count, edges)):
        implied = 0
        for other in follow[node]:
            implied |= behind[other]
        yield from ((node, other) for other in follow[node] if not implied >> other & 1)
        behind[node] = implied
        for other in follow[node]:
            behind[node] |= 1 << other


def _columns(count: int, edges: Iterable[Edge]) -> dict[int, int]:
    """Each as far left as what comes before it allows; then those that more hangs on than they
    hang on themselves as far right as that allows, so that edges are short."""
    edges = sorted(edges)
    order, follow = _in_order(count, edges), _follow(count, edges)
    own, before = dict.fromkeys(order, 0), dict.fromkeys(order, 0)
    for node in order:
        for other in follow[node]:
            own[other] = max(own[other], own[node] + 1)
            before[other] += 1
    for node in reversed(order):
        if follow[node] and before[node] <= len(follow[node]):
            own[node] = min(own[other] for other in follow[node]) - 1
    return own


def _ordered(columns: Sequence[Sequence[Point]],
             links: Sequence[tuple[Point, Point]]) -> list[list[Point]]:
    """The columns in the best order that was found; the first ones where others are no better."""
    before: dict[Point, list[Point]] = {point: [] for column in columns for point in column}
    after: dict[Point, list[Point]] = {point: [] for column in columns for point in column}
    for first, then in sorted(links):
        after[first].append(then)
        before[then].append(first)
    near = {point: [*before[point], *after[point]] for point in before}
    best = [list(column) for column in columns]
    least = _crossings(best, after)
    for walk in ([*before], _walk(near)):
        rank = _places(walk)
        now = [sorted(column, key=rank.__getitem__) for column in columns]
        for sweep in range(min(SWEEPS, HUGE // max(len(links), 1)) + 1):
            if (crossings := _crossings(now, after)) < least:
                best, least = [list(column) for column in now], crossings
            if least == 0:
                return best
            now = _swept(now, before) if sweep % 2 == 0 else _swept(now[::-1], after)[::-1]
            if len(links) < LARGE:
                _swap(now, before, after)
    return best


def _walk(near: Mapping[Point, Sequence[Point]]) -> list[Point]:
    """All points in the order of a walk along the links, from those at an end: in columns ordered
    by it, what hangs together stands together."""
    walk: dict[Point, None] = {}
    for start in sorted(near, key=lambda point: len(near[point])):
        waiting = [start]
        while waiting:
            if (point := waiting.pop()) not in walk:
                walk[point] = None
                waiting += sorted(near[point], key=lambda other: -len(near[other]))
    return list(walk)


def _places(column: Iterable[Point]) -> dict[Point, int]:
    return {point: row for row, point in enumerate(column)}


def _swept(columns: Sequence[Sequence[Point]],
           near: Mapping[Point, Sequence[Point]]) -> list[list[Point]]:
    """Each column by the middle of what its points hang on in the column before (barycentres)."""
    swept = [list(columns[0])] if columns else []
    for column in columns[1:]:
        size, at = max(len(swept[-1]), 1), _places(swept[-1])
        middle = {point: sum(at[other] + 0.5 for other in near[point]) / len(near[point]) / size
                  if near[point] else (row + 0.5) / len(column)
                  for row, point in enumerate(column)}
        swept.append(sorted(column, key=middle.__getitem__))
    return swept


def _crossings(columns: Sequence[Sequence[Point]],
               after: Mapping[Point, Sequence[Point]]) -> int:
    """How often two links cross."""
    total = 0
    for number, column in enumerate(columns[:-1]):
        at, passed = _places(columns[number + 1]), list[int]()
        for point in column:
            rows = [at[other] for other in after[point]]
            total += sum(len(passed) - bisect_right(passed, row) for row in rows)
            for row in rows:
                insort(passed, row)
    return total


def _swap(columns: list[list[Point]], before: Mapping[Point, Sequence[Point]],
          after: Mapping[Point, Sequence[Point]]) -> None:
    """Let neighbours in a column change places as long as fewer links cross then."""
    at = {point: row for column in columns for row, point in enumerate(column)}

    def crossed(upper: Point, lower: Point) -> int:
        return sum(at[one] > at[other] for near in (before, after)
                   for one in near[upper] for other in near[lower])

    for _ in range(SWAPS):
        is_better = False
        for column in columns:
            for row in range(len(column) - 1):
                upper, lower = column[row:row + 2]
                if crossed(upper, lower) > crossed(lower, upper):
                    column[row:row + 2] = lower, upper
                    at[upper], at[lower] = row + 1, row
                    is_better = True
        if not is_better:
            return
