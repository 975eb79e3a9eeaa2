"""A graph as a picture: where each box stands, what is written in it, and how lines run.

What comes before another stands left of it (core/layers.py). A line runs straight between boxes of
a column and bends in the room between two columns, so it never passes behind a box; no text is
cut. The same graph gives the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate, pairwise

from tasks.core import layers
from tasks.core.errors import shown
from tasks.core.frozen import frozen
from tasks.core.layers import Edge, Layered, Point

LETTER, LINE, PAD = 7.3, 16, 10
"""Pixels: the width of a letter of the font below, a line's height, and the room around text."""
DOWN, BESIDE = 14, 9
"""Pixels between two boxes of a column, and around a line that passes between them."""
ACROSS, WIDEST = 48, 140
"""Pixels between two columns: at least, and at most, where lines go far up and down."""
NAME, NOTE = 32, 40
"""Letters of a line of a name and of a note; what is longer goes on in the next line."""
ROUNDS = 16
"""Passes over all columns in which boxes and lines are put level with what they hang on."""
STRAIGHT, LOOSE = 20, 0.1
"""How much the place counts that a straight line asks for, and that of what nothing holds; one
that other lines ask for counts as many as they are."""
SHELF = 900
"""Pixels, at least, before boxes that hang on nothing begin another row."""
TIP = 2
"""Pixels from a line's end to its box, which the arrow's head fills."""
BREAK = re.compile(r"[\s:;,/_.-]+")
"""Behind which a long text may go on in the next line."""
STYLE = """\
text{font:12px ui-monospace,"Liberation Mono",Menlo,Consolas,monospace;fill:#1c2330}
.note{fill:#5b6472}
rect{fill:#f4f6f9;stroke:#8a94a3;stroke-width:1.2}
.edge{fill:none;stroke:#98a1ae;stroke-width:1.2}.head{fill:#7c8694}
.fresh{fill:#e3f4e7;stroke:#3a8a52}.stale{fill:#fbe3e1;stroke:#c0392b}
.behind{fill:#fdf2d6;stroke:#b8860b}.look{fill:#eef0f3;stroke:#aab2bf}
@media(prefers-color-scheme:dark){svg{background:#14181f}text{fill:#e6e9ee}.note{fill:#a2abb8}
rect{fill:#262c36;stroke:#6d7888}.edge{stroke:#6b7585}.head{fill:#8b95a4}
.fresh{fill:#1d3a27;stroke:#4fae6b}.stale{fill:#47211f;stroke:#e06c5f}
.behind{fill:#43371a;stroke:#d9a93a}.look{fill:#20252e;stroke:#566070}}
"""


@frozen
class Node:
    """A box: its name and a note, whole in its title, and the kind that colours it (a class of
    STYLE, or none)."""

    name: str
    note: str = ""
    kind: str = ""
    title: str = ""


@frozen
class Text:
    """A line of text from its left end, on its base line."""

    x: float
    y: float
    text: str
    kind: str


@frozen
class Box:
    """A node as it is drawn; pixels from the top left."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str
    texts: tuple[Text, ...]


@frozen
class Line:
    """The path data of SVG, and at which ends an arrow's head stands."""

    path: str
    begins: bool
    ends: bool


@frozen
class Picture:
    """All that is drawn."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def draw(nodes: Sequence[Node], edges: Iterable[Edge]) -> Picture:
    """Where each node is drawn; edges are places among the nodes, and all that isn't implied by
    others is drawn. Parts that don't hang together stand below each other, single boxes last."""
    edges = layers.nearest(len(nodes), edges)
    parts = layers.components(len(nodes), edges)
    boxes: dict[int, Box] = {}
    lines: list[Line] = []
    wide, y = 0.0, float(PAD)
    for part in (part for part in parts if len(part) > 1):
        local = {node: place for place, node in enumerate(part)}
        here = _part([nodes[node] for node in part], [
            (local[first], local[then]) for first, then in edges if first in local], y)
        boxes |= {part[place]: box for place, box in enumerate(here.boxes)}
        lines += here.lines
        wide, y = max(wide, here.width), here.height + 2 * DOWN
    singles = [part[0] for part in parts if len(part) == 1]
    boxes |= _shelves(singles, nodes, y, max(wide, SHELF))
    edge = max((box.x + box.width for box in boxes.values()), default=0) + PAD
    foot = max((box.y + box.height for box in boxes.values()), default=0) + PAD
    foot = max(foot, y - 2 * DOWN + PAD)
    return Picture(width=round(edge, 1), height=round(foot, 1), lines=tuple(lines),
                   boxes=tuple(boxes[node] for node in sorted(boxes)))


def _shelves(singles: Iterable[int], nodes: Sequence[Node], top: float,
             room: float) -> dict[int, Box]:
    """Boxes side by side, in rows as wide as the room."""
    boxes: dict[int, Box] = {}
    x, y, foot = float(PAD), top, top
    for node in singles:
        width, height = _size(nodes[node])
        if x > PAD and x + width > room:
            x, y = float(PAD), foot + DOWN
        boxes[node] = _box(nodes[node], x, y, width, height)
        x, foot = x + width + DOWN, max(foot, y + height)
    return boxes


def _part(nodes: Sequence[Node], edges: Sequence[Edge], top: float) -> Picture:
    """A part that hangs together, below `top`; its width and height are where it ends."""
    graph = layers.layered(len(nodes), edges)
    sizes = [_size(node) for node in nodes]
    middles = _middles(graph, [height for _, height in sizes])
    above = min(*middles.values(), *(middles[place] - sizes[place[0]][1] / 2
                                     for place in graph.own.items()))
    middles = {point: top + middle - above for point, middle in middles.items()}
    widths = [max(sizes[node][0] for node, own in column if graph.own[node] == own)
              for column in graph.columns]
    lefts = [float(PAD)]
    for column, width in enumerate(widths[:-1]):
        steepest = max((abs(middles[link.first] - middles[link.then]) for link in graph.links
                        if link.first[1] == column), default=0)
        lefts.append(lefts[-1] + width + min(max(ACROSS, steepest / 4), WIDEST))
    boxes = tuple(_box(node, lefts[column], middles[place, column] - sizes[place][1] / 2,
                       widths[column], sizes[place][1])
                  for place, node in enumerate(nodes) for column in (graph.own[place],))
    lines = tuple(_line(link, graph, middles, lefts, widths) for link in graph.links)
    return Picture(boxes=boxes, lines=lines, width=lefts[-1] + widths[-1],
                   height=max(*(box.y + box.height for box in boxes), *middles.values()))


def _middles(graph: Layered, heights: Sequence[float]) -> dict[Point, float]:
    """The middle of each point, level with its neighbours as far as the column has room."""
    near = _near(graph)
    rooms = [_rooms(column, graph, heights) for column in graph.columns]
    middles = {point: place for column, room in zip(graph.columns, rooms, strict=True)
               for point, place in zip(column, room, strict=True)}

    def wanted(point: Point, side: int, is_last: bool) -> tuple[float, float]:
        """Where a point would stand, and how much that counts."""
        others = near[point]
        beside = [other for other in others if other[1] == point[1] + side]
        for other in beside:
            if others[other]:
                return middles[other], STRAIGHT
        beside = [*others] if is_last else beside
        if not beside:
            return middles[point], LOOSE
        return sum(middles[other] for other in beside) / len(beside), len(beside)

    for turn in range(ROUNDS):
        side = (-1, 1)[turn % 2 == ROUNDS % 2]  # what is left of a point counts last
        for number in range(len(rooms))[::-side]:
            column = graph.columns[number]
            places, weights = zip(*(wanted(point, side, turn >= ROUNDS - 2) for point in column),
                                  strict=True)
            middles.update(zip(column, _apart(places, weights, rooms[number]), strict=True))
    return middles


def _near(graph: Layered) -> dict[Point, dict[Point, bool]]:
    """What each point is linked to, and whether the link should be straight: of a line that passes
    several columns, and where it is the only one at both of its ends."""
    leave = Counter(link.first for link in graph.links)
    reach = Counter(link.then for link in graph.links)
    near: dict[Point, dict[Point, bool]] = {
        point: {} for column in graph.columns for point in column}
    for link in graph.links:
        first, then = link.first, link.then
        passes = first[0] == then[0] and graph.own[first[0]] != first[1]
        near[first][then] = near[then][first] = passes or leave[first] == reach[then] == 1
    return near


def _rooms(column: Sequence[Point], graph: Layered, heights: Sequence[float]) -> list[float]:
    """The middles of a column's points where nothing lies between them but what must."""
    halves = [(heights[node] + DOWN) / 2 if graph.own[node] == number else BESIDE / 2
              for node, number in column]
    return list(accumulate((upper + lower for upper, lower in pairwise(halves)), initial=0.0))


def _apart(wanted: Sequence[float], weights: Sequence[float],
           rooms: Sequence[float]) -> list[float]:
    """The places nearest to those that are wanted, in the same order, with all the room between
    them (isotonic regression, by pooling adjacent violators). Medians of what a pool wants, so that
    most of it stands level with its lines and not all of it a little beside."""
    pools: list[tuple[float, list[tuple[float, float]]]] = []
    for place, weight, room in zip(wanted, weights, rooms, strict=True):
        pool = [(place - room, weight)]
        middle = place - room
        while pools and pools[-1][0] > middle:
            pool = sorted(pools.pop()[1] + pool)
            middle = _median(pool)
        pools.append((middle, pool))
    shifts = [middle for middle, pool in pools for _ in pool]
    return [room + shift for room, shift in zip(rooms, shifts, strict=True)]


def _median(weighed: Sequence[tuple[float, float]]) -> float:
    """The value at which half of the weight is reached, of values in order."""
    half, passed = sum(weight for _, weight in weighed) / 2, 0.0
    for value, weight in weighed:
        passed += weight
        if passed >= half:
            return value
    return weighed[-1][0]


def _line(link: layers.Link, graph: Layered, middles: Mapping[Point, float],
          lefts: Sequence[float], widths: Sequence[float]) -> Line:
    """From the right of a column to the left of the next; a line that passes goes through it."""
    here, there = link.first[1], link.then[1]
    x1, x2 = lefts[here] + widths[here] + TIP * link.begins, lefts[there] - TIP * link.ends
    y1, y2 = middles[link.first], middles[link.then]
    bend = (x1 + x2) / 2
    path = f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    if graph.own[link.then[0]] != there:
        path += f"H{lefts[there] + widths[there]:.1f}"
    return Line(path=path, begins=link.begins, ends=link.ends)


def _lines(node: Node) -> list[tuple[str, str]]:
    """The lines of a box, each with its kind."""
    return [(line, kind) for text, most, kind in ((node.name, NAME, "name"),
                                                  (node.note, NOTE, "note"))
            for line in wrapped(shown(text), most)]


def wrapped(text: str, most: int) -> list[str]:
    """The whole text in lines of so many letters at most, broken behind a separator if it can."""
    lines = []
    for line in text.splitlines():
        rest = line
        while width(rest) > most:
            end = next(end for end in range(len(rest), 0, -1) if end == 1
                       or width(rest[:end]) <= most)
            breaks = [match.end() for match in BREAK.finditer(rest, 0, end)]
            end = max((at for at in breaks if at > most // 3), default=end)
            lines.append(rest[:end].rstrip())
            rest = rest[end:].lstrip()
        lines.append(rest)
    return [line for line in lines if line]


def width(text: str) -> int:
    """How many letters wide a text is: those of East Asia are two (Unicode, UAX 11)."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _size(node: Node) -> tuple[float, float]:
    lines = _lines(node)
    widest = max((width(line) for line, _ in lines), default=0)
    return (widest * LETTER + 2 * PAD, max(len(lines), 1) * LINE + PAD)


def _box(node: Node, x: float, y: float, width: float, height: float) -> Box:
    texts = tuple(Text(x=round(x + PAD, 1), y=round(y + LINE * (row + 1) + 1, 1), text=line,
                       kind=kind) for row, (line, kind) in enumerate(_lines(node)))
    return Box(x=round(x, 1), y=round(y, 1), width=round(width, 1), height=round(height, 1),
               kind=node.kind, texts=texts, title=shown(node.title or " – ".join(
                   text for text in (node.name, node.note) if text)))


def svg(picture: Picture, *, title: str = "", legend: Mapping[str, str] | None = None) -> str:
    """The picture as an SVG file, in the reader's light or dark colours; below it, what each kind's
    colour means."""
    wide, high = picture.width, picture.height
    keys, x = [], float(PAD)
    for kind, says in (legend or {}).items():
        room = width(says) * LETTER + 2 * PAD
        keys.append(f'<rect class="{escape(kind)}" x="{x:.1f}" y="{high + 4:.1f}" width="14" '
                    f'height="14" rx="3"/><text class="note" x="{x + 20:.1f}" '
                    f'y="{high + 15:.1f}">{_text(says)}</text>')
        x += room + 20
    wide, high = max(wide, x), high + 18 + PAD if keys else high
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
        f'width="{wide:.0f}" height="{high:.0f}" role="img">',
        f"<title>{_text(title)}</title>", f"<style>{STYLE}</style>", drawn(picture), *keys,
        "</svg>", ""])


def drawn(picture: Picture) -> str:
    """The elements of an SVG that are the picture, all texts escaped; a page styles their classes
    by itself, as STYLE does."""
    return "\n".join([HEAD, *map(_drawn_line, picture.lines), *map(_drawn_box, picture.boxes)])


HEAD = ('<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse">'
        '<path class="head" d="M0 0.5L8 4L0 7.5z"/></marker></defs>')


def _drawn_line(line: Line) -> str:
    heads = "".join(f' marker-{end}="url(#head)"' for end, is_there in (
        ("start", line.begins), ("end", line.ends)) if is_there)
    return f'<path class="edge"{heads} d="{line.path}"/>'


def _drawn_box(box: Box) -> str:
    texts = "".join(f'<text class="{line.kind}" x="{line.x}" y="{line.y}">{_text(line.text)}'
                    "</text>" for line in box.texts)
    kind = f' class="{escape(box.kind)}"' if box.kind else ""
    return (f'<g><title>{_text(box.title)}</title><rect{kind} x="{box.x}" y="{box.y}" '
            f'width="{box.width}" height="{box.height}" rx="5"/>{texts}</g>')


def _text(text: str) -> str:
    return escape(shown(text))
