"""A graph as one SVG that stands alone: all of it, nothing outside, the same bytes each time."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as some

from tasks.core.picture import Node, svg

SVG = "{http://www.w3.org/2000/svg}"
NAMES = [f"step:{letter}" for letter in "abcdefgh"]


def rectangles(text: str) -> dict[str, tuple[float, float, float, float]]:
    """Each box by its name: left, top, right, bottom."""
    boxes = {}
    for place in ElementTree.fromstring(text).iter(f"{SVG}g"):
        box, title = place.find(f"{SVG}rect"), place.find(f"{SVG}title")
        assert box is not None and title is not None and title.text
        x, y, width, height = (float(box.get(key, "")) for key in ("x", "y", "width", "height"))
        boxes[title.text.partition(" – ")[0]] = (x, y, x + width, y + height)
    return boxes


def test_a_box_stands_right_of_what_it_hangs_on_and_implied_edges_are_left_out() -> None:
    text = svg([Node(name=name) for name in "abc"], [("a", "b"), ("b", "c"), ("a", "c"),
                                                     ("nowhere", "c"), ("a", "a")])
    boxes = rectangles(text)
    assert boxes["a"][2] < boxes["b"][0] and boxes["b"][2] < boxes["c"][0]
    assert text.count("<path") == 2


@given(some.sets(some.tuples(some.sampled_from(NAMES), some.sampled_from(NAMES))))
def test_no_box_lies_on_another_whatever_hangs_on_what(edges: set[tuple[str, str]]) -> None:
    """Circles too, which no graph of ours has."""
    nodes = [Node(name=name, kind="fresh") for name in NAMES]
    text = svg(nodes, sorted(edges))
    assert text == svg(reversed(nodes), sorted(edges, reverse=True))
    boxes = list(rectangles(text).values())
    assert len(boxes) == len(NAMES)
    for number, one in enumerate(boxes):
        for other in boxes[number + 1:]:
            assert (one[2] <= other[0] or other[2] <= one[0]
                    or one[3] <= other[1] or other[3] <= one[1])
    view = ElementTree.fromstring(text).get("viewBox", "").split()
    assert all(box[2] <= float(view[2]) and box[3] <= float(view[3]) for box in boxes)


def test_hostile_names_are_shown_as_text_and_nothing_is_asked_of_a_network() -> None:
    names = ['<script>alert(1)</script>', 'a" onload="x', "x\u202ey", "]]>&amp;"]
    text = svg([Node(name=name, note=name, kind='"><script/>') for name in names],
               [*pairwise(names)], title="</title><script/>")
    root = ElementTree.fromstring(text)
    assert not [*root.iter(f"{SVG}script")] and "\u202e" not in text
    assert all(set(place.keys()) <= {"class", "x", "y", "width", "height", "rx", "d", "viewBox",
                                     "role"} for place in root.iter())
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_an_empty_graph_is_a_picture_too() -> None:
    assert ElementTree.fromstring(svg([], [])).tag == f"{SVG}svg"
