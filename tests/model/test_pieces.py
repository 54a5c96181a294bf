"""An array's tokens: nothing is wrong in any small scope, and each rule of splitting is needed."""

from __future__ import annotations

import pytest

from tests.model.pieces import RULES, Scope, search

# What is wrong without a rule, and whether it shows only where others split what a dead slot ran.
NEEDED = {
    "bear": ("items are covered [1, 0] times", False),
    "duty": ("stuck", False),
    "one-spare": ("items are covered [1, 2] times", False),
    "spares-last": ("items are covered [1, 0] times", False),
    "made-once": ("items are covered [1, 2] times", True),
    "own-number": ("items are covered [1, 2] times", True),
}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(items=3),
        Scope(deaths=0, ghosts=0, suspicions=1),
        Scope(deaths=0, ghosts=0, slots=3),
        # Chunks of which a part is committed, and what those do who clear up, two at once, too.
        Scope(chunk=2, splits=2),
        Scope(items=3, chunk=3, splits=1),
        Scope(chunk=2, splits=1, deaths=0, ghosts=0, suspicions=1),
    ],
)
def test_in_every_order_each_item_is_covered_once_and_the_array_comes_to_its_end(scope: Scope) -> None:
    found = search(scope)
    assert not found.problem, "\n".join(found.story)
    assert found.states > 100


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_the_search_finds_what_breaks(rule: str) -> None:
    problem, is_by_others = NEEDED[rule]
    scope = Scope(chunk=2, splits=2) if is_by_others else Scope()
    found = search(scope._replace(without=frozenset({rule})))
    assert problem in found.problem
    assert len(found.story) > 1
