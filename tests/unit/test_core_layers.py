"""A graph in columns: what longer ways say is left out, and few edges cross."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.core import layers

COUNT = 8
PLACES = some.integers(min_value=0, max_value=COUNT - 1)
EDGES = some.sets(some.tuples(PLACES, PLACES)).map(sorted)


def reached(edges: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pairs of which the first leads to the second."""
    pairs = {edge for edge in edges if edge[0] != edge[1]}
    while more := {(one, last) for one, between in pairs for other, last in pairs
                   if between == other and one != last} - pairs:
        pairs |= more
    return pairs


def crossings(graph: layers.Layered) -> int:
    """Pairs of links between two columns that cross."""
    at = {point: row for column in graph.columns for row, point in enumerate(column)}
    ways = [(link.first[1], at[link.first], at[link.then]) for link in graph.links]
    return sum(one[0] == other[0] and one[1] < other[1] and one[2] > other[2]
               for one in ways for other in ways)


@given(EDGES)
def test_what_longer_ways_say_is_left_out_and_nothing_else(edges: list[tuple[int, int]]) -> None:
    kept = layers.nearest(COUNT, edges)
    assert set(kept) <= set(edges) and reached(kept) == reached(edges)
    assert kept == layers.nearest(COUNT, reversed(edges))
    if all((then, first) not in reached(edges) for first, then in reached(edges)):  # no circle
        assert all((first, then) not in reached([edge for edge in kept if edge != (first, then)])
                   for first, then in kept)


@given(EDGES)
def test_each_edge_goes_from_column_to_column_to_its_box(edges: list[tuple[int, int]]) -> None:
    graph = layers.layered(COUNT, edges)
    assert graph == layers.layered(COUNT, reversed(edges))
    points = [point for column in graph.columns for point in column]
    assert len(points) == len(set(points)) and sorted(graph.own) == [*range(COUNT)]
    assert all(point[1] == number for number, column in enumerate(graph.columns)
               for point in column)
    drawn = set()
    for link in graph.links:
        assert link.first[1] + 1 == link.then[1] and {link.first, link.then} <= set(points)
        if graph.own[link.then[0]] == link.then[1]:
            drawn.add((link.first[0], link.then[0]))
            assert link.ends == (drawn & {(link.first[0], link.then[0])} <= set(edges))
    wanted = {(first, then) for first, then in edges if first != then}
    assert {*drawn, *((then, first) for first, then in drawn)} == {
        *wanted, *((then, first) for first, then in wanted)}
    heads = {link.first[0] for link in graph.links if link.begins}
    assert heads == {then for first, then in wanted if graph.own[then] < graph.own[first]}


def test_a_chain_beside_stands_next_to_what_follows_it() -> None:
    """0 to 4 follow each other; 5 comes before 6, which only 4 follows."""
    graph = layers.layered(7, [*pairwise(range(5)), (5, 6), (6, 4)])
    assert (graph.own[6], graph.own[5]) == (3, 2)
    assert len(graph.links) == 6


def test_edges_that_go_far_share_their_points() -> None:
    graph = layers.layered(7, [*pairwise(range(6)), (0, 4), (0, 5), (0, 6), (6, 5)])
    assert [point for column in graph.columns for point in column if point[0] == 0] == [
        (0, column) for column in range(5)]


@pytest.mark.parametrize("edges", [
    [(0, 5), (1, 4), (2, 3)], [(0, 3), (0, 4), (1, 4), (1, 5), (2, 3)],
    [(0, 4), (1, 7), (2, 6), (3, 4), (3, 7)], [*pairwise(range(8)), (0, 3), (2, 6), (0, 7)]])
def test_what_can_be_drawn_without_a_crossing_is(edges: list[tuple[int, int]]) -> None:
    assert crossings(layers.layered(COUNT, edges)) == 0


@given(EDGES)
def test_no_order_crosses_more_than_the_first_one(edges: list[tuple[int, int]]) -> None:
    graph = layers.layered(COUNT, edges)
    plain = layers.Layered(own=graph.own, links=graph.links, columns=tuple(
        tuple(sorted(column)) for column in graph.columns))
    assert crossings(graph) <= crossings(plain)


def test_parts_that_do_not_hang_together_come_by_size() -> None:
    assert layers.components(6, [(4, 5), (5, 1), (0, 2)]) == [[1, 4, 5], [0, 2], [3]]
    assert layers.components(0, []) == []


def test_a_large_graph_is_quick_and_deep_ones_do_not_recurse() -> None:
    graph = layers.layered(5000, [*pairwise(range(5000)), (0, 4999)])
    assert len(graph.columns) == 5000 and len(layers.nearest(5000, pairwise(range(5000)))) == 4999
