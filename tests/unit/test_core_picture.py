"""A graph as one SVG that stands alone: all of it, nothing outside, the same bytes each time."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.core import picture
from tasks.core.errors import shown
from tasks.core.picture import Box, Node, Picture, draw, svg, wrapped

SVG = "{http://www.w3.org/2000/svg}"
COUNT = 9
PLACES = some.integers(min_value=0, max_value=COUNT - 1)
EDGES = some.sets(some.tuples(PLACES, PLACES)).map(sorted)
NAMES = some.lists(some.text(max_size=60), min_size=COUNT, max_size=COUNT)
ALLOWED = {"class", "x", "y", "width", "height", "rx", "d", "viewBox", "role", "id", "refX", "refY",
           "markerWidth", "markerHeight", "orient", "marker-start", "marker-end"}


def places_on(path: str) -> list[tuple[float, float]]:
    """Places on a line: a curve of Bézier's, then straight on to the right."""
    number = r"(-?[\d.]+)"
    match = re.fullmatch(f"M{number} {number}C{' '.join([number] * 6)}(?:H{number})?", path)
    assert match, path
    *curve, end = match.groups()
    x0, y0, x1, y1, x2, y2, x3, y3 = map(float, curve)
    weights = [((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3)
               for t in (step / 40 for step in range(41))]
    found = [(a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3)
             for a, b, c, d in weights]
    return [*found, *((x3 + (float(end) - x3) * step / 40, y3) for step in range(41) if end)]


def is_apart(one: Box, other: Box) -> bool:
    return (one.x + one.width <= other.x or other.x + other.width <= one.x
            or one.y + one.height <= other.y or other.y + other.height <= one.y)


def check(drawn: Picture) -> None:
    """No box lies on another or outside, no line runs behind a box, no text leaves its box."""
    for number, one in enumerate(drawn.boxes):
        assert all(is_apart(one, other) for other in drawn.boxes[number + 1:])
        assert one.x >= 0 and one.y >= 0
        assert one.x + one.width <= drawn.width and one.y + one.height <= drawn.height
        for text, below in [*pairwise(one.texts)]:
            assert below.y - text.y >= 12
        for text in one.texts:
            assert one.y + 10 < text.y < one.y + one.height - 2 and text.x > one.x
            assert text.x + picture.width(text.text) * 7.25 < one.x + one.width
    for line in drawn.lines:
        for x, y in places_on(line.path):
            assert 0 <= x <= drawn.width and 0 <= y <= drawn.height
            assert not any(box.x + 0.2 < x < box.x + box.width - 0.2
                           and box.y - 1 < y < box.y + box.height + 1 for box in drawn.boxes)


@given(EDGES, NAMES)
def test_nothing_lies_on_anything_whatever_hangs_on_what(
        edges: list[tuple[int, int]], names: list[str]) -> None:
    """Circles too, which no graph of ours has."""
    nodes = [Node(name=name, note=name[::-1]) for name in names]
    drawn = draw(nodes, edges)
    assert drawn == draw(nodes, reversed(edges)) and len(drawn.boxes) == COUNT
    check(drawn)
    for node, box in zip(nodes, drawn.boxes, strict=True):  # whole, but for spaces at line ends
        said = "".join(text.text for text in box.texts)
        assert re.sub(r"\s", "", said) == re.sub(
            r"\s", "", shown(node.name) + shown(node.note))


def test_a_box_stands_right_of_what_it_hangs_on_and_implied_edges_are_left_out() -> None:
    drawn = draw([Node(name=name) for name in "abc"], [(0, 1), (1, 2), (0, 2), (0, 0)])
    a, b, c = drawn.boxes
    assert a.x + a.width < b.x and b.x + b.width < c.x
    assert [(line.begins, line.ends) for line in drawn.lines] == [(False, True)] * 2
    assert a.y == b.y == c.y


def test_what_goes_round_is_drawn_with_a_head_to_the_left() -> None:
    drawn = draw([Node(name=name) for name in "abc"], [(0, 1), (1, 2), (2, 0)])
    check(drawn)
    heads = [(line.begins, line.ends) for line in drawn.lines]
    assert heads.count((True, False)) == 1 and heads.count((False, True)) == 2


def test_a_line_that_goes_far_is_straight() -> None:
    drawn = draw([Node(name=name) for name in "abcdef"],
                 [(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 3)] + [(0, 3)] * 2)
    check(drawn)
    far = draw([Node(name=str(number)) for number in range(8)],
               [*pairwise(range(7)), (0, 7), (7, 6)])
    level = [line.path for line in far.lines if "H" in line.path]
    heights = {path.split("H")[0].split()[-1] for path in level}
    assert len(heights) <= 1
    check(far)


def test_boxes_that_hang_on_nothing_stand_in_rows_below() -> None:
    drawn = draw([Node(name=f"task{number}") for number in range(40)], [(38, 39)])
    check(drawn)
    *alone, first, then = drawn.boxes
    assert first.y == then.y < min(box.y for box in alone)
    assert len({box.y for box in alone}) == 4 and drawn.width < picture.SHELF + 2 * picture.PAD


@pytest.mark.parametrize(("text", "lines"), [
    ("push:release", ["push:", "release"]), ("SORT_BAM_FILES", ["SORT_BAM_", "FILES"]),
    ("abcdefghijklmn", ["abcdefghij", "klmn"]), ("two words here", ["two words", "here"]),
    ("", []), ("语言语言语言", ["语言语言语", "言"]), ("a\nb", ["a", "b"])])
def test_long_text_goes_on_in_the_next_line(text: str, lines: list[str]) -> None:
    assert wrapped(text, 10) == lines


@given(some.text(), some.integers(min_value=2, max_value=50))
def test_no_line_is_longer_and_nothing_is_lost(text: str, most: int) -> None:
    lines = wrapped(text, most)
    assert all(0 < picture.width(line) <= most for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


@given(EDGES)
def test_the_svg_holds_all_and_names_what_colours_mean(edges: list[tuple[int, int]]) -> None:
    nodes = [Node(name=f"step:{number}", kind="fresh") for number in range(COUNT)]
    drawn = draw(nodes, edges)
    root = ElementTree.fromstring(svg(drawn, legend={"fresh": "nothing to do"}))
    assert len([*root.iter(f"{SVG}rect")]) == COUNT + 1
    assert len([*root.iter(f"{SVG}path")]) == len(drawn.lines) + 1
    assert "nothing to do" in {text.text for text in root.iter(f"{SVG}text")}
    assert float(root.get("height", "")) >= drawn.height


def test_hostile_names_are_shown_as_text_and_nothing_is_asked_of_a_network() -> None:
    names = ['<script>alert(1)</script>', 'a" onload="x', "x\u202ey", "]]>&amp;"]
    text = svg(draw([Node(name=name, note=name, kind='"><script/>') for name in names],
                    [*pairwise(range(4))]), title="</title><script/>", legend={'"/>': "<b>"})
    root = ElementTree.fromstring(text)
    assert not [*root.iter(f"{SVG}script")] and "\u202e" not in text
    assert all(set(place.keys()) <= ALLOWED for place in root.iter())
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_an_empty_graph_is_a_picture_too() -> None:
    assert ElementTree.fromstring(svg(draw([], []))).tag == f"{SVG}svg"
