"""An array's tokens: nothing is wrong in any small scope, and each rule of splitting is needed."""

from __future__ import annotations

import pytest

from tests.model.pieces import RULES, Scope, search

# What is wrong without a rule, and how many deaths that takes.
NEEDED = {
    "bear": "items are covered [1, 0] times",
    "duty": "stuck",
    "one-spare": "items are covered [1, 2] times",
    "spares-last": "items are covered [1, 0] times",
}


@pytest.mark.parametrize(
    "scope",
    [Scope(), Scope(items=3), Scope(items=2, deaths=0, ghosts=0, suspicions=1), Scope(deaths=0, ghosts=0, slots=3)],
)
def test_in_every_order_each_item_is_covered_once_and_the_array_comes_to_its_end(scope: Scope) -> None:
    found = search(scope)
    assert not found.problem, "\n".join(found.story)
    assert found.states > 100


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_the_search_finds_what_breaks(rule: str) -> None:
    found = search(Scope(without=frozenset({rule})))
    assert NEEDED[rule] in found.problem
    assert len(found.story) > 1
