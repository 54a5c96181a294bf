"""What people ask for, while workers go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control, removal
from jobqueue.errors import JobNotFoundError, JobStateError
from jobqueue.names import ClosedToken, Record, RunningToken, Token, WonToken
from jobqueue.store import Store
from jobqueue.worker.settling import settle_from_record
from tests.races.conftest import Stage, sound_states, stepped
from tests.races.orders import Actor, Play
from tests.soundness import assert_sound

Part = Callable[[Store], Any]


def _play(parts: Sequence[Part], check: Callable[[Path, list[Any]], None]) -> Callable[[Path], Play]:
    """Each part by an actor with a store of its own."""

    def write(queue_dir: Path) -> Play:
        def actor(part: Part, store: Store) -> Actor:
            return lambda: part(store)

        actors = [actor(part, stepped(queue_dir, seed)) for seed, part in enumerate(parts)]
        return Play(actors, lambda results: check(queue_dir, results))

    return write


def _ends_as(*expected: list[str]) -> Callable[[Path, list[Any]], None]:
    def check(queue_dir: Path, _: list[Any]) -> None:
        assert sound_states(queue_dir) in expected

    return check


def _settle(worker: str, won: WonToken) -> Part:
    return lambda store: settle_from_record(store, worker, won)


def _told(act: Callable[[], Any]) -> str | None:
    """What somebody is told who asks for something that has become impossible."""
    try:
        act()
    except (JobStateError, JobNotFoundError) as error:
        return type(error).__name__
    return None


# --- trying again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_parked", [False, True], ids=["runnable", "waiting"])
def test_a_job_that_failed_while_blocked_and_is_tried_again_is_unblocked_by_its_settler_or_at_once(
    stage: Stage, is_parked: bool
) -> None:
    stage.submit_fan(1)
    control.fail(stage.store, 1, 1, "job1")
    won = stage.win(stage.worker("a"), 0)
    if is_parked:
        stage.park()
    closed = ClosedToken.parse(stage.store.share.names(stage.job().failed)[0])
    assert closed is not None
    parts: list[Part] = [
        _settle("a", won),
        lambda store: store.tokens.retry(store.layout.job(1), closed, has_children=True),
    ]
    play = _play(parts, _ends_as(["finished", "ready"]))
    if is_parked:
        stage.try_all(play)
    else:
        stage.try_some(play)


def test_two_that_try_again_at_once_try_once(stage: Stage) -> None:
    stage.submit_fan(1)
    settle_from_record(stage.store, "a", stage.win(stage.worker("a"), 0, ok=False))
    stage.park()

    def check(queue_dir: Path, results: list[Any]) -> None:
        assert sound_states(queue_dir) == ["ready", "blocked"]
        assert sum(results) >= 1

    stage.try_all(_play([lambda store: control.retry(store, 1, None)] * 2, check))


def test_a_blocked_job_that_is_made_to_fail_while_it_is_unblocked_has_failed(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)
    parts: list[Part] = [_settle("a", won), lambda store: control.fail(store, 1, 1, "job1")]
    stage.try_all(_play(parts, _ends_as(["finished", "failed"])))


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_a_cancelled_hierarchy_while_a_sub_job_of_it_is_settled(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)
    parts: list[Part] = [_settle("a", won), lambda store: control.cancel(store, 1)]
    stage.try_all(_play(parts, _ends_as(["finished", "cancelled"])))


def test_nothing_is_left_of_a_cancelled_hierarchy_while_a_sub_job_of_it_fails(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0, ok=False)
    parts: list[Part] = [_settle("a", won), lambda store: control.cancel(store, 1)]
    stage.try_all(_play(parts, _ends_as(["cancelled", "cancelled"])))


def test_nothing_is_left_of_a_cancelled_hierarchy_while_a_worker_fails_a_job_of_it(stage: Stage) -> None:
    stage.submit_fan(1)
    running = stage.claim(stage.worker("a"), 0)
    parts: list[Part] = [
        lambda store: store.tokens.fail_running(running, "a", Record("a", 0, 0)),
        lambda store: control.cancel(store, 1),
    ]
    stage.try_all(_play(parts, _ends_as(["cancelled", "cancelled"])))


def test_nothing_is_left_of_a_cancelled_hierarchy_while_a_job_of_it_is_given_back(stage: Stage) -> None:
    stage.submit_fan(1)
    running = stage.claim(stage.worker("a"), 0)
    parts: list[Part] = [
        lambda store: store.tokens.give_back(running, "a", charge=False),
        lambda store: control.cancel(store, 1),
    ]
    stage.try_all(_play(parts, _ends_as(["cancelled", "cancelled"])))


def test_a_job_that_is_claimed_while_its_hierarchy_is_cancelled_is_cancelled_or_asked_to_end(stage: Stage) -> None:
    stage.submit_fan(1)
    stage.worker("a")

    def check(queue_dir: Path, results: list[Any]) -> None:
        store = stepped(queue_dir)
        requests = store.share.names(store.layout.worker("a").inbox)
        assert sound_states(queue_dir) == (["running", "cancelled"] if results[0] else ["cancelled", "cancelled"])
        assert bool(requests) == bool(results[0])

    parts: list[Part] = [
        lambda store: store.tokens.try_claim(store.layout.job(1), Token(0, 0, 0, 0), "a", 1),
        lambda store: control.cancel(store, 1),
    ]
    stage.try_all(_play(parts, check))


def test_two_that_cancel_at_once_cancel_and_one_may_be_told_that_it_is_done(stage: Stage) -> None:
    stage.submit_fan(2)

    def check(queue_dir: Path, results: list[Any]) -> None:
        assert sound_states(queue_dir) == ["cancelled", "cancelled", "cancelled"]
        assert results in ([None, None], [None, "JobStateError"], ["JobStateError", None])

    stage.try_some(_play([lambda store: _told(lambda: control.cancel(store, 1))] * 2, check))


def test_a_hierarchy_that_is_cancelled_while_its_root_is_settled_does_one_of_both(stage: Stage) -> None:
    stage.submit_fan(0)
    won = stage.win(stage.worker("a"), 0)
    parts: list[Part] = [_settle("a", won), lambda store: _told(lambda: control.cancel(store, 1))]
    stage.try_all(_play(parts, _ends_as(["finished"])))


def test_a_failed_job_that_one_tries_again_and_another_cancels_is_cancelled(stage: Stage) -> None:
    stage.submit_fan(1)
    settle_from_record(stage.store, "a", stage.win(stage.worker("a"), 0, ok=False))
    stage.park()
    parts: list[Part] = [
        lambda store: _told(lambda: control.retry(store, 1, None)),
        lambda store: control.cancel(store, 1),
    ]
    stage.try_all(_play(parts, _ends_as(["cancelled", "cancelled"])))


# --- deleting ---------------------------------------------------------------------------------------------------------


def _is_gone(queue_dir: Path, _: list[Any]) -> None:
    """Nobody can take anything of job1 up, and its number is remembered."""
    assert assert_sound(queue_dir) == {}
    store = stepped(queue_dir)
    assert store.share.names_or_none(store.layout.job(1).ready) is None
    assert store.share.names_or_none(store.layout.job(1).blocked) is None
    assert store.index.take_number() == 2


def _claim_and_give_back(store: Store) -> None:
    """A slot that finds out that what it has claimed is not there any more."""
    token = store.tokens.try_claim(store.layout.job(1), Token(0, 0, 0, 0), "a", 1)
    if token and store.tokens.give_back(token, "a", charge=False) is None:
        assert store.tokens.bin_running(token, "a")


def test_a_job_that_is_claimed_and_given_back_while_it_is_deleted_is_gone(stage: Stage) -> None:
    stage.submit_fan(1)
    stage.worker("a")

    def check(queue_dir: Path, results: list[Any]) -> None:
        _is_gone(queue_dir, results)
        assert not stepped(queue_dir).tokens.running_of("a")

    stage.try_all(_play([_claim_and_give_back, lambda store: control.delete(store, 1)], check))


def test_a_running_job_whose_hierarchy_is_deleted_leaves_its_worker_a_request_and_the_rest_to_remove(
    stage: Stage,
) -> None:
    stage.submit_fan(1)
    running = stage.claim(stage.worker("a"), 0)

    def run(store: Store) -> bool:
        """What the worker does when its attempt has ended without a result."""
        return store.tokens.give_back(running, "a", charge=False) is None and store.tokens.bin_running(running, "a")

    def check(queue_dir: Path, results: list[Any]) -> None:
        _is_gone(queue_dir, results)
        store = stepped(queue_dir)
        assert not store.tokens.running_of("a")
        if (queue_dir / "job1").exists():
            assert store.share.names(store.layout.worker("a").inbox)
            assert removal.remove_rest(store, 1)
        assert not (queue_dir / "job1").exists()

    stage.try_all(_play([run, lambda store: control.delete(store, 1)], check))


def test_a_result_that_is_settled_while_its_hierarchy_is_deleted_is_gone_with_it(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)

    def check(queue_dir: Path, results: list[Any]) -> None:
        _is_gone(queue_dir, results)
        store = stepped(queue_dir)
        for left in store.tokens.won_of("a"):
            settle_from_record(store, "a", left)
        assert not store.tokens.won_of("a")
        assert removal.remove_rest(store, 1)
        assert not (queue_dir / "job1").exists()

    stage.try_some(_play([_settle("a", won), lambda store: control.delete(store, 1)], check), 400)


def test_a_job_that_is_held_while_it_is_deleted_is_gone(stage: Stage) -> None:
    stage.submit_fan(1)
    parts: list[Part] = [
        lambda store: _told(lambda: control.hold(store, 1)),
        lambda store: control.delete(store, 1),
    ]
    stage.try_all(_play(parts, _is_gone))


def test_a_slot_that_dies_while_its_job_is_deleted_leaves_nothing(stage: Stage) -> None:
    stage.submit_fan(0)
    running: RunningToken = stage.claim(stage.worker("a"), 0)

    def reap(store: Store) -> None:
        if store.tokens.give_back(running, "a", charge=True) is None:
            store.tokens.bin_running(running, "a")

    def check(queue_dir: Path, results: list[Any]) -> None:
        store = stepped(queue_dir)
        # A token that was looked for while ready/ was still there is looked for again.
        for left in store.tokens.running_of("a"):
            assert store.tokens.bin_running(left, "a")
        _is_gone(queue_dir, results)

    stage.try_all(_play([reap, lambda store: control.delete(store, 1)], check))
