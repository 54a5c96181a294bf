"""Several settle at once: the last sub-jobs of a job, or one and the same token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue.hierarchy import Hierarchy
from jobqueue.names import WonToken
from jobqueue.store import Store
from jobqueue.worker.chooser import Chooser
from jobqueue.worker.settling import settle_from_record
from tests.races.conftest import Stage, sound_states, stepped
from tests.races.orders import Play
from tests.support_share import QuickShare


def settling(queue_dir: Path, worker: str, won: WonToken) -> Callable[[], Any]:
    """An actor that settles a token."""
    store = stepped(queue_dir)
    return lambda: settle_from_record(store, worker, won)


def _play(owed: Sequence[tuple[str, WonToken]], expected: list[str]) -> Callable[[Path], Play]:
    """Settles what is owed, each by an actor of its own; how the jobs stand in the end."""

    def write(queue_dir: Path) -> Play:
        def check(_: list[Any]) -> None:
            assert sound_states(queue_dir) == expected

        return Play([settling(queue_dir, worker, won) for worker, won in owed], check)

    return write


@pytest.fixture(params=["runnable", "waiting"])
def folder(request: pytest.FixtureRequest) -> str:
    """In which folder of the index the top-level job is."""
    return str(request.param)


def test_of_two_settlers_of_the_last_two_sub_jobs_one_unblocks_the_parent(stage: Stage, folder: str) -> None:
    stage.submit_fan(2)
    owed = [(worker, stage.win(stage.worker(worker), node)) for node, worker in enumerate("ab")]
    if folder == "waiting":
        stage.park()
    stage.try_all(_play(owed, ["finished", "finished", "ready"]))


def test_of_many_settlers_of_the_last_sub_jobs_one_unblocks_the_parent(stage: Stage, folder: str) -> None:
    stage.submit_fan(5)
    owed = [(worker, stage.win(stage.worker(worker), node)) for node, worker in enumerate("abcde")]
    if folder == "waiting":
        stage.park()
    stage.try_some(_play(owed, ["finished"] * 5 + ["ready"]))


def test_one_token_that_two_settle_is_settled_once(stage: Stage, folder: str) -> None:
    stage.submit_fan(1)
    won = stage.win(stage.worker("a"), 0)
    if folder == "waiting":
        stage.park()
    stage.try_all(_play([("a", won), ("a", won)], ["finished", "ready"]))


def test_a_root_that_two_settle_is_finished_and_its_entry_is_done(stage: Stage) -> None:
    stage.submit_fan(0)
    won = stage.win(stage.worker("a"), 0)
    stage.try_all(_play([("a", won), ("a", won)], ["finished"]))


def test_two_parents_of_one_sub_job_are_both_unblocked_by_whoever_settles(stage: Stage) -> None:
    root = stage.queue.createJobRoot("noop")
    first = root.createJob("noop")
    shared = first.createJob("noop")
    root.createJob("noop").addDependency(shared)
    root.activate()
    won = stage.win(stage.worker("a"), 0)
    stage.park()
    stage.try_some(_play([("a", won), ("a", won)], ["finished", "ready", "ready", "blocked"]))


def test_a_leftover_that_is_nobodys_does_not_keep_the_last_settler_from_unblocking(stage: Stage) -> None:
    """NFS leaves .nfs files where an open file was removed; then rmdir of the latch elects nobody."""
    stage.submit_fan(2)
    owed = [(worker, stage.win(stage.worker(worker), node)) for node, worker in enumerate("ab")]
    Path(stage.job().latch(2), ".nfs0000000000001").touch()
    stage.try_some(_play(owed, ["finished", "finished", "ready"]))


def test_a_leftover_does_not_hide_from_two_workers_that_each_saw_the_others_sub_jobs_waiting(stage: Stage) -> None:
    stage.submit_fan(3)
    owed = [stage.win(stage.worker(worker), node) for node, worker in enumerate(("a", "b", "c"))]
    Path(stage.job().latch(3), ".nfs0000000000001").touch()
    first, second = stage.store, Store(str(stage.queue_dir), QuickShare(1))
    hierarchy = Hierarchy(first.share, stage.job().hierarchy)
    for store, worker, won in ((first, "a", owed[0]), (second, "b", owed[1]), (first, "c", owed[2])):
        store.tokens.settle(won, worker, hierarchy.node(won.node), ok=True)
    assert sound_states(stage.queue_dir, at_rest=False) == ["finished", "finished", "finished", "blocked"]
    found = Chooser(first).next()
    assert found is not None
    assert found.token.node == 3
    assert sound_states(stage.queue_dir) == ["finished", "finished", "finished", "ready"]
