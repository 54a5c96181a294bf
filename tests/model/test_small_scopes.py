"""In every order of small scopes nothing is lost, done twice, begun too early, or stuck."""

from __future__ import annotations

import pytest

from tests.model.search import Search
from tests.model.state import Scope

SCOPES = {
    "two leaves, nothing happens": Scope(leaves=2),
    "two leaves, and a death": Scope(leaves=2, deaths=1),
    "two slots of one worker, a death, and what was under way is executed late": Scope(
        workers=1, slots=2, deaths=1, ghosts=1
    ),
    "two workers, a death, and a call that was told ENOENT": Scope(deaths=1, lies=1),
    "poison": Scope(deaths=2, max_attempts=1, slots=2, workers=1),
    "a false suspicion of which the charge would fail the job": Scope(
        leaves=0, sweepers=2, suspicions=1, max_attempts=1
    ),
    "a false suspicion, and a death": Scope(leaves=0, suspicions=1, deaths=1),
    "failures and retries": Scope(errors=1, retries=1, lies=1),
    "a hold, and a claim that is executed late": Scope(holds=1, ghosts=1),
    "another priority": Scope(priorities=1, lies=1),
    "cancelled, with something executed late": Scope(cancels=1, ghosts=1),
    "cancelled, and a slot dies": Scope(cancels=1, deaths=1, workers=1, slots=2),
    "deleted, and a slot dies": Scope(deletes=1, deaths=1, workers=1, slots=2),
    "deleted, with something executed late": Scope(deletes=1, ghosts=1),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
def test_nothing_is_wrong_in_any_order(scope: Scope) -> None:
    found = Search(scope).run()
    assert not found.problem, "\n".join((found.problem, *found.story))
    assert found.good


def test_a_search_that_would_be_endless_ends() -> None:
    with pytest.raises(MemoryError, match="more than 100 states"):
        Search(Scope(deaths=1), most=100).run()
