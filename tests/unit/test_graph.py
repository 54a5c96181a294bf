"""Order and edges of a hierarchy, compared with the naive ways to find them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.errors import DependencyError
from jobqueue.graph import post_order, without_implied

Graph = list[list[int]]
_MANY = 10_000


@st.composite
def digraphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(min_value=1, max_value=7))
    nodes = st.lists(st.integers(min_value=0, max_value=count - 1), max_size=3, unique=True)
    return [draw(nodes) for _ in range(count)]


@st.composite
def hierarchies(draw: st.DrawFn) -> Graph:
    """What each node depends on, in post-order."""
    count = draw(st.integers(min_value=1, max_value=9))
    return [
        draw(st.permutations(sorted(draw(st.sets(st.integers(min_value=0, max_value=node - 1)))))) if node else []
        for node in range(count)
    ]


def _reach(graph: Sequence[Sequence[int]]) -> list[set[int]]:
    """For each node, all that can be reached from it (Warshall's way)."""
    reach = [set(below) for below in graph]
    for middle, one in itertools.product(range(len(graph)), repeat=2):
        if middle in reach[one]:
            reach[one] |= reach[middle]
    return reach


@settings(max_examples=400, deadline=None)
@given(digraphs())
def test_exactly_the_graphs_without_a_cycle_have_an_order(graph: Graph) -> None:
    reach = _reach(graph)
    wanted = {0} | reach[0]
    if any(node in reach[node] for node in wanted):
        with pytest.raises(DependencyError) as caught:
            post_order(0, graph.__getitem__)
        assert str(caught.value) == "the hierarchy contains a cycle, so none of the jobs in it could ever begin"
        return
    order = post_order(0, graph.__getitem__)
    assert sorted(order) == sorted(wanted)
    at = {node: nth for nth, node in enumerate(order)}
    assert all(at[child] < at[node] for node in wanted for child in graph[node])
    assert order[-1] == 0


def test_siblings_keep_their_order_and_the_deepest_comes_first() -> None:
    graph = {"root": ["a", "b"], "a": ["c", "d"], "b": ["d", "e"], "c": [], "d": [], "e": []}
    assert post_order("root", graph.__getitem__) == ["c", "d", "a", "e", "b", "root"]


@settings(max_examples=400, deadline=None)
@given(hierarchies())
def test_exactly_the_edges_that_others_imply_are_dropped(graph: Graph) -> None:
    reach = _reach(graph)
    naive = [[child for child in below if not any(child in reach[other] for other in below)] for below in graph]
    reduced = without_implied(graph)
    assert reduced == naive
    assert _reach(reduced) == reach


def test_the_graph_that_is_given_stays_as_it_is() -> None:
    for graph in ([[], [0], [0, 1]], [[], [0], [1]]):
        before = [list(below) for below in graph]
        reduced = without_implied(graph)
        reduced[1].append(7)
        assert graph == before


def test_a_long_chain_needs_no_recursion() -> None:
    assert sys.getrecursionlimit() < _MANY
    order = post_order(0, lambda node: [node + 1] if node < _MANY else [])
    assert order == list(range(_MANY, -1, -1))
    with pytest.raises(DependencyError):
        post_order(0, lambda node: [(node + 1) % _MANY])
    # The root also waits for each job in the chain: all but one of these edges go.
    chain = [[], *([node] for node in range(_MANY - 1))]
    assert without_implied([*chain, list(range(_MANY))]) == [*chain, [_MANY - 1]]


def test_a_wide_fan_keeps_all_its_edges() -> None:
    leaves = list(range(1, _MANY + 1))
    assert post_order(0, lambda node: leaves if node == 0 else []) == [*leaves, 0]
    # Each leaf waits for the first one, and the root for all of them.
    fan = [[], *([0] for _ in range(_MANY)), list(range(_MANY + 1))]
    assert without_implied(fan) == [*fan[:-1], leaves]
