"""A job that gets something ready while somebody parks, holds or prefers it is never left lying."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.names import RunningToken, WonToken
from jobqueue.worker.chooser import Chooser
from jobqueue.worker.settling import settle_from_record
from tests.races.conftest import Stage, sound_states, stepped
from tests.races.orders import Actor, Play

Part = Callable[[Path], Actor]


def choosing(queue_dir: Path) -> Actor:
    """A slot that looks for work, and parks what has nothing ready."""
    chooser = Chooser(stepped(queue_dir))
    return chooser.next


def settling(worker: str, won: WonToken) -> Part:
    def write(queue_dir: Path) -> Actor:
        store = stepped(queue_dir)
        return lambda: settle_from_record(store, worker, won)

    return write


def giving_back(worker: str, running: RunningToken) -> Part:
    def write(queue_dir: Path) -> Actor:
        store = stepped(queue_dir)
        return lambda: store.tokens.give_back(running, worker, charge=True)

    return write


def asking(what: Callable[..., Any], *arguments: object) -> Part:
    """Somebody who does something to job1."""

    def write(queue_dir: Path) -> Actor:
        store = stepped(queue_dir)
        return lambda: what(store, 1, *arguments)

    return write


def try_all(stage: Stage, parts: list[Part], check: Callable[[Path, list[Any]], None]) -> None:
    def write(queue_dir: Path) -> Play:
        return Play([part(queue_dir) for part in parts], lambda results: check(queue_dir, results))

    stage.try_all(write)


def _is_ready(expected: list[str]) -> Callable[[Path, list[Any]], None]:
    """Sound, and that includes: where something is ready, somebody will look."""

    def check(queue_dir: Path, _: list[Any]) -> None:
        assert sound_states(queue_dir) == expected

    return check


@pytest.mark.parametrize("parkers", [1, 2])
def test_whoever_parks_while_the_last_sub_job_is_settled_leaves_the_parent_to_be_found(
    stage: Stage, parkers: int
) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)
    try_all(stage, [*[choosing] * parkers, settling("a", won)], _is_ready(["finished", "ready"]))


def test_parking_while_two_wake_leaves_both_ready_jobs_to_be_found(stage: Stage) -> None:
    root = stage.queue.createJobRoot("noop")
    for _ in range(2):
        root.createJob("noop").createJob("noop")
    root.activate()
    parts = [settling(worker, stage.win(stage.worker(worker), node)) for worker, node in (("a", 0), ("b", 2))]
    try_all(stage, [choosing, *parts], _is_ready(["finished", "ready", "finished", "ready", "blocked"]))


def test_whoever_parks_while_a_job_is_given_back_leaves_it_to_be_found(stage: Stage) -> None:
    stage.submit_fan(1)
    running = stage.claim(stage.worker("a"), 0)
    try_all(stage, [choosing, choosing, giving_back("a", running)], _is_ready(["ready", "blocked"]))


def test_whoever_parks_while_a_job_is_tried_again_leaves_it_to_be_found(stage: Stage) -> None:
    stage.submit_fan(1)
    settle_from_record(stage.store, "a", stage.win(stage.worker("a"), 0, ok=False))
    try_all(stage, [choosing, choosing, asking(control.retry, None)], _is_ready(["ready", "blocked"]))


def test_a_hold_is_kept_while_others_park_and_wake_and_what_became_ready_is_found_when_it_ends(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)

    def check(queue_dir: Path, _: list[Any]) -> None:
        assert sound_states(queue_dir) == ["finished", "ready"]
        store = stepped(queue_dir)
        assert [entry.folder for entry in store.index.all()] == ["held"]
        control.release(store, 1)
        assert Chooser(store).next() is not None

    try_all(stage, [asking(control.hold), choosing, settling("a", won)], check)


def test_a_release_while_others_park_and_wake_leaves_the_job_to_be_found(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)
    control.hold(stage.store, 1)
    try_all(stage, [asking(control.release), choosing, settling("a", won)], _is_ready(["finished", "ready"]))


def test_another_priority_that_is_given_while_others_park_and_wake_is_kept(stage: Stage) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)

    def check(queue_dir: Path, _: list[Any]) -> None:
        assert sound_states(queue_dir) == ["finished", "ready"]
        entry = stepped(queue_dir).index.all()[0]
        assert (entry.folder, entry.priority) == ("runnable", 9)

    try_all(stage, [asking(control.set_priority, 9), choosing, settling("a", won)], check)


def test_two_that_hold_and_release_at_once_leave_one_of_both(stage: Stage) -> None:
    stage.submit_fan(1)

    def check(queue_dir: Path, _: list[Any]) -> None:
        assert sound_states(queue_dir) == ["ready", "blocked"]
        assert stepped(queue_dir).index.all()[0].folder in ("held", "runnable")

    try_all(stage, [asking(control.hold), asking(control.release)], check)
