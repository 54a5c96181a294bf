"""A part of the simulation in every run; the whole of it: ``python -m tests.simulation``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.index import Index
from jobqueue.names import Entry
from jobqueue.registry import Registration
from jobqueue.share import Removal
from jobqueue.store import Store
from jobqueue.testing import Anomalies, ModelHost, ModelShare
from jobqueue.tokens import Tokens
from jobqueue.worker import crew as crew_module
from jobqueue.worker.aftermath import Aftermath
from jobqueue.worker.runner import Runner
from tests.simulation.explore import PLAYS, SmallPlay, extensions, first_steps, is_in_scope, parse, words
from tests.simulation.plays import Play, Troubles
from tests.simulation.processes import QUEUE
from tests.simulation.scene import attached
from tests.simulation.world import Violation

_BLOCK = 50


def _run(play: Play | SmallPlay, how: str) -> None:
    try:
        play.run()
    except Violation as violation:
        pytest.fail(f"{violation}\n{play.story()[-20_000:]}\nto see it: python -m tests.simulation {how}")


@pytest.mark.parametrize("first", range(0, 400, _BLOCK))
def test_whatever_befalls_every_job_comes_to_its_end_once(first: int) -> None:
    for seed in range(first, first + _BLOCK):
        _run(Play(seed), f"--seed {seed}")


def test_when_nothing_befalls_nobody_is_taken_for_dead_and_no_attempt_is_lost() -> None:
    for seed in range(60):
        play = Play(seed, Troubles.none())
        _run(play, f"--seed {seed}")
        story = play.story()
        assert " is dead: " not in story
        assert "ready again" not in story


def test_plays_hold_all_that_can_happen_to_a_chunk() -> None:
    """Else it would be for nothing that nothing bad comes of it."""
    moves = {
        "a part of an array is taken": r"/ready/\S+ -> workers/\S+/running/\d+\.\d+-\d+-\d+-\d+\.",
        "what is done is committed before the rest": r"/running/\S+ -> workers/\S+/won/\d+\.\d+-\d+-\d+-\d+-1\.",
        "a slow chunk gives back what it has not begun": r"is slow; what it has not begun is ready for others",
    }
    missing = set(moves)
    for seed in range(1000):
        play = Play(seed)
        _run(play, f"--seed {seed}")
        story = play.story()
        missing -= {what for what in missing if re.search(moves[what], story)}
        if not missing:
            return
    pytest.fail(f"in none of these plays: {missing}")


# Chance seldom brings so many errors, half of them of calls that were executed.
_NO_CALL_IS_SURE = Troubles(
    Anomalies(silly_rename=True, stale_missing=1.0, errors=0.3),
    kills=0, suspends=0, outages=0, jumps=0, stickiness=0.9, heals_at=300,
)  # fmt: skip


def test_where_every_third_call_fails_every_job_comes_to_its_end_once() -> None:
    for seed in range(100):
        _run(Play(seed, _NO_CALL_IS_SURE), f"--seed {seed}, with the troubles of this test")


@pytest.mark.parametrize("name", PLAYS)
def test_one_deviation_from_a_small_play_makes_no_difference(name: str) -> None:
    plans = first_steps(name)
    assert len(plans) > 50
    # A part that holds every kind of deviation; the whole is for the command.
    for plan in plans[::3]:
        _run(SmallPlay(name, plan), f"--plan {name} {words(plan)}")


def test_a_plan_can_be_written_in_one_word_and_read_again() -> None:
    plans = first_steps("one")
    assert all(parse(words(plan)) == plan for plan in plans)
    play = SmallPlay("one", plans[0])
    play.run()
    further = list(extensions(plans[0], play.planned.ways))
    assert further and all(is_in_scope(plan) and len(plan) == 2 for plan in further)
    assert all(parse(words(plan)) == plan for plan in further)


def test_the_scope_is_two_preemptions_without_a_fault_and_one_with_one() -> None:
    assert is_in_scope(parse("1:w0.1,2:w1.1"))
    assert is_in_scope(parse("1:w0.1,2:STOPPED"))
    assert not is_in_scope(parse("1:w0.1,2:w1.1,3:w0.1"))
    assert not is_in_scope(parse("1:w0.1,2:w1.1,3:STOPPED"))
    assert not is_in_scope(parse("1:STOPPED,2:DIES_BEFORE"))


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    stories = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "5"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        stories.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert len(stories) == 1
    assert "rename job1/.tokens/ready/" in stories.pop()


# --- teeth ------------------------------------------------------------------------------------------------------------


def _rmdir_elects(self: Any, job: Any, parent: int) -> bool:
    return self._share.remove_dir(job.latch(parent)) is Removal.REMOVED


def _never_waits(self: Any, job: Any, parent: int) -> bool:
    self._share.remove_dir(job.latch(parent))
    return True


def _no_wake(self: Index, number: int, known: Entry | None = None) -> Entry | None:
    return known


def _nothing(*_: Any, **__: Any) -> None:
    """In place of what the protocol needs."""


def _forgets_the_running(self: Aftermath, slots: Any, ending: Any, spool: Any) -> None:
    return None


# The second look of a rename is not among them: reconciling heals nearly all that it would see, so chance needs
# thousands of plays to show what it is for. tests/unit/test_share.py holds it.
_SABOTAGES: list[tuple[Any, str, Callable[..., Any]]] = [
    (Tokens, "is_unlatched", _rmdir_elects),
    (Tokens, "is_unlatched", _never_waits),
    (Index, "wake", _no_wake),
    (Runner, "reconcile", _nothing),
    (Aftermath, "clear", _forgets_the_running),
    (Registration, "beat", _nothing),
]


@pytest.mark.parametrize(("kind", "name", "sabotage"), _SABOTAGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_sabotaged_protocol_is_found_out(
    kind: Any, name: str, sabotage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, name, sabotage)
    with pytest.raises(Violation):
        _play_until_it_is_found()


def _play_until_it_is_found() -> None:
    for name in ("one", "parent"):
        for plan in first_steps(name):
            SmallPlay(name, plan).run()
    for seed in range(300):
        Play(seed).run()


# --- what the simulation has found ------------------------------------------------------------------------------------


def test_what_a_dead_slot_claims_after_it_was_buried_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot is killed while its claim is on the way, and the claim is executed after its supervisor has cleared up."""
    plan = "0:w1.1,3:DIES_LATE"
    _run(SmallPlay("one", parse(plan)), f"--plan one {plan}")
    monkeypatch.setattr(crew_module.Crew, "clear_late", _nothing)
    with pytest.raises(Violation, match="comes to no end"):
        SmallPlay("one", parse(plan)).run()


def test_an_entry_that_has_gone_in_the_tick_of_a_listing_is_not_looked_for_for_ever() -> None:
    """A listing goes on to show what somebody has held: a rename of that finds nothing, however often it is tried."""
    scene = SmallPlay("one", ())
    stage = scene.stage
    here, there = (
        Store(QUEUE, ModelShare(ModelHost(stage.server, name, Anomalies(blind_ticks=1.0)))) for name in ("a", "b")
    )
    attached(stage, stage.truth()).createJobRoot().activate()
    assert [entry.number for entry in here.index.folder("runnable")] == [1]
    there.index.put(1, "held")
    stage.clock.sleep(1.0)
    assert here.index.folder("runnable") != [], "the model has to show what is not there"
    assert here.index.put(1, "done").folder == "done"
    assert here.index.wake(1) is None


def test_a_token_that_no_listing_shows_keeps_nobody_from_deleting_its_job() -> None:
    """NFS: `rmdir` of ready/ says that it is not empty, and what this host lists says that it is."""
    _run(Play(1012976), "--seed 1012976")
