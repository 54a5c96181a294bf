"""A number is given once and never again, whoever submits and deletes at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobqueue
from jobqueue import control
from tests.races.conftest import Stage, stepped
from tests.races.orders import Actor, Play
from tests.soundness import assert_sound
from tests.support_share import Call, QuickShare, WatchedShare
from tests.support_worker import attached


def _submitting(queue_dir: Path, seed: int = 0) -> Actor:
    queue = attached(queue_dir, stepped(queue_dir, seed).share)
    return lambda: queue.createJobRoot().activate().number


def test_many_that_submit_at_once_get_different_numbers(queue_dir: Path) -> None:
    gate = threading.Barrier(16)
    numbers: list[int] = []

    def submit() -> None:
        queue = attached(queue_dir, QuickShare())
        gate.wait()
        numbers.extend(queue.createJobRoot().activate().number for _ in range(8))

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == len(set(numbers)) == 128
    assert sorted(assert_sound(queue_dir)) == sorted(numbers)


def test_two_that_submit_at_once_get_different_numbers_in_every_order(stage: Stage) -> None:
    def write(queue_dir: Path) -> Play:
        stores = [stepped(queue_dir, seed) for seed in range(2)]

        def check(results: list[Any]) -> None:
            assert sorted(results) == [1, 2]

        return Play([store.index.take_number for store in stores], check)

    stage.try_all(write)


def _deleting(queue_dir: Path, number: int) -> Actor:
    store = stepped(queue_dir, 7)
    return lambda: control.delete(store, number)


def test_the_highest_number_is_not_used_again_by_who_submits_while_it_is_deleted(stage: Stage) -> None:
    stage.submit_fan(0)

    def write(queue_dir: Path) -> Play:
        store = stepped(queue_dir)

        def check(results: list[Any]) -> None:
            assert results[1] == 2

        return Play([_deleting(queue_dir, 1), store.index.take_number], check)

    stage.try_all(write)


def test_a_submitter_that_knows_an_old_number_does_not_take_one_that_came_and_went(queue_dir: Path) -> None:
    first, second = (attached(queue_dir, QuickShare(seed)) for seed in range(2))
    assert first.createJobRoot().activate().number == 1
    job = second.createJobRoot().activate()
    assert job.number == 2
    second.deleteJobs(job)
    assert not (queue_dir / "job2").exists()
    assert first.createJobRoot().activate().number == 3
    assert not (queue_dir / "job2").exists()


class _Hooked(WatchedShare):
    """Does something before a call."""

    def __init__(self, before: Callable[[Call], None]) -> None:
        super().__init__()
        self._before = before

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self._before(call)
        return do()


def test_a_number_that_comes_and_goes_between_looking_and_taking_is_not_used_again(
    queue_dir: Path, watched_calls: None
) -> None:
    """The submitter has looked for the highest number; before its mkdir another job is submitted and deleted."""
    other = attached(queue_dir, QuickShare())
    gone: list[int] = []

    def before(call: Call) -> None:
        if call.name == "mkdir" and call.args[0] == f"{queue_dir}/job1" and not gone:
            gone.append(1)
            other.deleteJobs(other.createJobRoot().activate())

    queue = attached(queue_dir, _Hooked(before))
    assert queue.createJobRoot().activate().number == 2
    assert gone
    assert not (queue_dir / "job1").exists()


def test_two_that_delete_at_once_keep_the_highest_number_in_mind(stage: Stage) -> None:
    stage.submit_fan(0)
    stage.submit_fan(0)

    def write(queue_dir: Path) -> Play:
        def check(_: list[Any]) -> None:
            assert jobqueue.JobQueue(str(queue_dir)).createJobRoot().activate().number == 3

        return Play([_deleting(queue_dir, 1), _deleting(queue_dir, 2)], check)

    stage.try_some(write)


def test_one_job_that_two_delete_at_once_is_gone(stage: Stage) -> None:
    stage.submit_fan(1)

    def write(queue_dir: Path) -> Play:
        def check(_: list[Any]) -> None:
            assert not (queue_dir / "job1").exists()
            assert assert_sound(queue_dir) == {}
            assert (queue_dir / "index" / "last" / "1").exists()

        return Play([_deleting(queue_dir, 1), _deleting(queue_dir, 1)], check)

    stage.try_some(write)


def test_whoever_submits_while_others_submit_and_delete_leaves_a_sound_queue(stage: Stage) -> None:
    stage.submit_fan(0)

    def write(queue_dir: Path) -> Play:
        def check(results: list[Any]) -> None:
            assert sorted(results[1:]) == [2, 3]
            assert sorted(assert_sound(queue_dir)) == [2, 3]

        return Play([_deleting(queue_dir, 1), _submitting(queue_dir), _submitting(queue_dir, 1)], check)

    stage.try_some(write)
