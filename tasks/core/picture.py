"""A graph as a picture: one SVG that stands alone, in the reader's light or dark colours.

Boxes stand in columns, each right of all that it hangs on (a layered drawing, as Sugiyama, Tagawa
and Toda describe, without the nodes that they add where an edge passes a column). The same graph
gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tasks.core.errors import shown
from tasks.core.frozen import frozen

ROUNDS = 8
"""Passes in which boxes are put beside those that they hang on."""
LETTER, LINE, PAD = 7.3, 16, 10
"""Pixels: the width of a letter of the font below, a line's height, and the room around text."""
ACROSS, DOWN = 56, 14
"""Pixels between two columns, and between two boxes of one."""
LONGEST = 44
"""Letters of a line, at most."""
STYLE = """\
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1c2330}
.note{fill:#5b6472}
rect{fill:#f4f6f9;stroke:#8a94a3;stroke-width:1.2}
path{fill:none;stroke:#aab2bf;stroke-width:1.2}
.fresh{fill:#e3f4e7;stroke:#3a8a52}.stale{fill:#fbe3e1;stroke:#c0392b}
.behind{fill:#fdf2d6;stroke:#b8860b}.look{fill:#eef0f3;stroke:#aab2bf}
.failed{fill:#fbe3e1;stroke:#c0392b}
@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.note{fill:#a2abb8}
rect{fill:#262c36;stroke:#6d7888}path{stroke:#566070}
.fresh{fill:#1d3a27;stroke:#4fae6b}.stale,.failed{fill:#47211f;stroke:#e06c5f}
.behind{fill:#43371a;stroke:#d9a93a}.look{fill:#20252e;stroke:#566070}}
"""


@frozen
class Node:
    """A box: its lines of text, and the kind that colours it (a class of STYLE, or none)."""

    name: str
    note: str = ""
    kind: str = ""


@frozen
class _Box:
    node: Node
    x: float
    y: float
    width: float
    height: float


def svg(nodes: Iterable[Node], edges: Iterable[tuple[str, str]], *, title: str = "") -> str:
    """The picture of nodes with names of their own, and of edges (before, after) between them.

    Edges of names that no node has are left out, and so is one that other edges imply.
    """
    by_name = {node.name: node for node in nodes}
    before: dict[str, set[str]] = {name: set() for name in by_name}
    for first, then in edges:
        if first in by_name and then in by_name and first != then:
            before[then].add(first)
    layers = _layers(before)
    before = _reduced(before, layers)
    boxes = _place(_order(before, layers), by_name)
    lines = [_edge(boxes[first], boxes[then]) for then in sorted(before)
             for first in sorted(before[then])]
    wide = max((box.x + box.width for box in boxes.values()), default=0) + PAD
    high = max((box.y + box.height for box in boxes.values()), default=0) + PAD
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
            f'width="{wide:.0f}" height="{high:.0f}" role="img">')
    return "\n".join([head, f"<title>{_text(title)}</title>", f"<style>{STYLE}</style>", *lines,
                      *(_drawn(boxes[name]) for name in sorted(boxes)), "</svg>", ""])


def _layers(before: Mapping[str, set[str]]) -> dict[str, int]:
    """The column of each: one more than the last of those that it hangs on. A circle is cut."""
    layers: dict[str, int] = {}
    for start in sorted(before):
        waiting, open_ = [start], set[str]()
        while waiting:
            name = waiting[-1]
            ahead = [other for other in sorted(before[name])
                     if other not in layers and other not in open_]
            open_.add(name)
            if ahead and name not in layers:
                waiting.append(ahead[0])
                continue
            waiting.pop()
            layers.setdefault(name, max((layers.get(other, -1) for other in before[name]),
                                        default=-1) + 1)
    return layers


def _reduced(before: Mapping[str, set[str]], layers: Mapping[str, int]) -> dict[str, set[str]]:
    """The edges that go to the right, without those that a longer way says already."""
    kept = {name: {other for other in others if layers[other] < layers[name]}
            for name, others in before.items()}
    reached: dict[str, set[str]] = {}
    for name in sorted(kept, key=lambda name: layers[name]):
        reached[name] = set().union(*({other, *reached[other]} for other in kept[name]))
    return {name: {other for other in others if not any(
        other in reached[third] for third in others if third != other)}
        for name, others in kept.items()}


def _order(before: Mapping[str, set[str]], layers: Mapping[str, int]) -> list[list[str]]:
    """The columns, in each those beside one another that hang together."""
    columns: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in sorted(layers):
        columns[layers[name]].append(name)
    after: dict[str, set[str]] = {name: set() for name in before}
    for name, others in before.items():
        for other in others:
            after[other].add(name)
    for turn in range(ROUNDS):
        near = before if turn % 2 == 0 else after
        for column in columns if turn % 2 == 0 else reversed(columns):
            at = {name: row / max(len(other), 1) for other in columns
                  for row, name in enumerate(other)}
            column.sort(key=lambda name: (_mean([at[other] for other in near[name]], at[name]),
                                          name))
    return columns


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(columns: Sequence[Sequence[str]], nodes: Mapping[str, Node]) -> dict[str, _Box]:
    sizes = {name: _size(node) for name, node in nodes.items()}
    heights = [sum(sizes[name][1] + DOWN for name in column) - DOWN for column in columns]
    tallest = max(heights, default=0)
    boxes: dict[str, _Box] = {}
    x = float(PAD)
    for column, height in zip(columns, heights, strict=True):
        y, wide = PAD + (tallest - height) / 2, max(sizes[name][0] for name in column)
        for name in column:
            high = sizes[name][1]
            boxes[name] = _Box(node=nodes[name], x=x, y=y, width=wide, height=high)
            y += high + DOWN
        x += wide + ACROSS
    return boxes


def _size(node: Node) -> tuple[float, float]:
    lines = _lines(node)
    return (max(map(len, lines)) * LETTER + 2 * PAD, len(lines) * LINE + PAD)


def _lines(node: Node) -> list[str]:
    return [line if len(line) <= LONGEST else f"{line[:LONGEST - 1]}…"
            for line in (node.name, node.note) if line]


def _edge(first: _Box, then: _Box) -> str:
    x1, y1 = first.x + first.width, first.y + first.height / 2
    x2, y2 = then.x, then.y + then.height / 2
    bend = (x2 - x1) / 2
    return (f'<path d="M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} '
            f'{x2:.1f} {y2:.1f}"/>')


def _drawn(box: _Box) -> str:
    name, *note = _lines(box.node)
    kind = f' class="{escape(box.node.kind)}"' if box.node.kind else ""
    x, y = box.x + PAD, box.y + LINE + 1
    texts = [f'<text x="{x:.1f}" y="{y:.1f}">{_text(name)}</text>',
             *(f'<text class="note" x="{x:.1f}" y="{y + LINE:.1f}">{_text(line)}</text>'
               for line in note)]
    whole = _text(" – ".join(text for text in (box.node.name, box.node.note) if text))
    return (f'<g><title>{whole}</title><rect{kind} x="{box.x:.1f}" y="{box.y:.1f}" '
            f'width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/>{"".join(texts)}</g>')


def _text(text: str) -> str:
    return escape(shown(text))
