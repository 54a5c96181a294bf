"""Without any one of its rules the protocol is broken, and the search finds how."""

from __future__ import annotations

import pytest

from tests.model.__main__ import RULES
from tests.model.search import Search
from tests.model.state import Scope


def _scope(*without: str, **sizes: int) -> Scope:
    return Scope(without=frozenset(without), **sizes)


# The backstop mends much by itself, only later; where a rule spares that wait, both are taken out.
NEEDED = {
    "backstop": (_scope("backstop", workers=1, slots=2, deaths=1, ghosts=1), "stuck"),
    "begun": (_scope("begun", deaths=1, max_attempts=1), "stuck"),
    "blocked-first": (_scope("blocked-first", errors=1, retries=1), "the parent begins"),
    "cancel-back": (_scope("cancel-back", cancels=1, ghosts=1), "stuck"),
    "charge": (_scope("charge", deaths=1, max_attempts=1), "is taken up after 1 deaths"),
    "close-last": (_scope("close-last", deaths=1), "stuck"),
    "commit": (_scope("commit", suspicions=1), "superseded"),
    "delete-fence": (_scope("delete-fence", deletes=1, deaths=1), "of a top-level job that is deleted"),
    "follow-up": (_scope("follow-up", "backstop", deaths=1), "stuck"),
    "look": (_scope("look", holds=1, ghosts=1), "stuck"),
    "look, dead slot": (_scope("look", deaths=1, ghosts=1, workers=1), "stuck"),
    "missing": (_scope("missing", deaths=1), "stuck"),
    "notice": (_scope("notice", leaves=0, suspicions=1, deaths=1), "stuck"),
    "pardon": (_scope("pardon", leaves=0, suspicions=1, max_attempts=1), "stuck"),
    "publish-first": (_scope("publish-first"), "is published"),
    "reconcile": (_scope("reconcile", ghosts=1), "stuck"),
    "rmdir": (_scope("rmdir", deaths=1, ghosts=1), "stuck"),
    "second-look": (_scope("second-look", "backstop", lies=1), "stuck"),
    "swap": (_scope("swap", "backstop"), "stuck"),
    "wake": (_scope("wake", "backstop"), "stuck"),
}


@pytest.mark.parametrize("rule", NEEDED)
def test_the_search_finds_what_a_missing_rule_breaks(rule: str) -> None:
    scope, words = NEEDED[rule]
    found = Search(scope).run()
    assert found.problem and words in found.problem
    assert found.story


def test_where_two_rules_were_taken_out_the_backstop_alone_was_not_what_was_missing() -> None:
    for scope, _ in NEEDED.values():
        if len(scope.without) == 2:
            sizes = {name: getattr(scope, name) for name in ("deaths", "lies")}
            assert not Search(_scope("backstop", **sizes)).run().problem


def test_every_rule_that_can_be_taken_out_is_shown_to_be_needed() -> None:
    assert {rule.split(",")[0] for rule in NEEDED} == set(RULES)
