"""Chunks that are run at once, how large chunks are, and slots that end in the middle of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue import control
from jobqueue.errors import JobStateError
from jobqueue.names import Span
from jobqueue.proc import JobProc
from jobqueue.state import JobState
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.arrays import Arrays
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_arrays import Chunk, Shop, Stage, share, shop, submit_frames, theatre
from tests.support_share import Call, watched_calls
from tests.support_worker import worker_on

__all__ = ["share", "shop", "watched_calls"]


def _fails(_: JobProc) -> None:
    raise RuntimeError("no licence")


# --- at once ----------------------------------------------------------------------------------------------------------


def test_a_chunk_that_is_run_at_once_is_noted_and_committed_as_one(shop: Shop) -> None:
    array = submit_frames(shop.queue, "10-1", chunk=4)

    def act(proc: JobProc) -> list[int]:
        assert isinstance(proc, Chunk)
        proc.stdout.write("seven\n")
        return proc.frames

    theatre.acts = {7: act}
    shop.worker.run_all()
    assert theatre.chunks == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]
    assert [(note["item"], note.get("to")) for note in shop.notes()] == [(0, 4), (4, 8), (8, 10)]
    assert shop.spans("finished") == [(0, 4), (4, 8), (8, 10)]
    # What it returned and printed belongs to each of its frames.
    for frame in (10, 7):
        item = array.item(frame)
        printed = item.reader.printed(item.index)
        assert (item.result, printed and printed.texts["stdout"]) == ([[10, 9, 8, 7]], b"seven\n")
    assert array.item(6).result is None
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_a_chunk_that_is_run_at_once_is_told_all_of_its_frames(shop: Shop) -> None:
    submit_frames(shop.queue, "10-7,20", chunk=4)
    seen = []
    theatre.acts = dict.fromkeys((7, 20), lambda _: seen.append(os.environ["JOBQUEUE_JOB"]))
    shop.worker.run_all()
    assert seen == ["job1/job0:10-7", "job1/job0:20"]


def test_a_chunk_ends_where_its_frames_are_not_in_step(shop: Shop) -> None:
    """A program that is told the first frame and the last one would work on all between."""
    submit_frames(shop.queue, "1-5x2,6,20-18,-3--1", chunk=4)
    shop.worker.run_all()
    assert theatre.chunks == [[1, 3, 5], [6], [20, 19, 18], [-3, -2, -1]]


def test_a_chunk_that_fails_at_once_fails_and_is_tried_again_as_a_whole(shop: Shop) -> None:
    array = submit_frames(shop.queue, "1-6", chunk=3)
    theatre.acts = {5: _fails}
    shop.worker.run_all()
    assert theatre.chunks == [[1, 2, 3], [4, 5, 6]]
    assert (shop.spans("finished"), shop.spans("failed")) == ([(0, 3)], [(3, 6)])
    assert [array.item(frame).error for frame in (3, 4, 6)] == [None, *["RuntimeError: no licence"] * 2]
    with pytest.raises(JobStateError, match="have run as one chunk"):
        shop.queue.retryItems([array.item(5)])
    assert shop.spans("failed") == [(3, 6)]
    theatre.acts = {}
    assert shop.queue.retryItems(array.listItems(JobState.FAILED)) == 3
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert theatre.chunks[2:] == [[4, 5, 6]]
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_an_error_of_a_chunk_is_forgiven_as_a_whole(shop: Shop) -> None:
    array = submit_frames(shop.queue, "1-6", chunk=3, maxErrors=2)
    theatre.acts = {2: lambda proc: _fails(proc) if theatre.ran.count(2) == 1 else None, 5: _fails}
    shop.worker.run_all()
    assert sorted(theatre.chunks) == [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]]
    assert [array.item(frame).state.value for frame in range(1, 7)] == ["finished"] * 3 + ["failed"] * 3
    assert {array.item(frame).attempt for frame in range(1, 7)} == {2}


def test_a_slow_chunk_that_is_run_at_once_gives_nothing_back(shop: Shop) -> None:
    submit_frames(shop.queue, "1-6", chunk=6)

    def act(_: JobProc) -> None:
        chunk = shop.worker.runner.chunk
        assert chunk is not None and theatre.clock is not None
        theatre.clock.sleep(100)
        chunk.give_back()

    theatre.acts = {3: act}
    shop.worker.step()
    assert shop.spans("finished") == [(0, 6)]


def test_a_death_is_held_against_the_whole_of_what_was_run_at_once(shop: Shop) -> None:
    array = submit_frames(shop.queue, "1-6", chunk=3, maxAttempts=2)

    class Killed(BaseException):
        pass

    def die(_: JobProc) -> None:
        raise KeyboardInterrupt

    theatre.acts = {2: die}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shop.worker.step()
        (token,) = shop.worker.store.tokens.running_of(shop.worker.name)
        shop.worker.aftermath.end(shop.worker.name, token, Ending("died", "killed"))
        shop.worker.runner.chooser.look_again()
    assert [array.item(frame).state.value for frame in range(1, 7)] == ["failed"] * 3 + ["ready"] * 3
    assert "2 attempts have died" in str(array.item(1).error)
    shop.worker.run_all()
    assert shop.spans("finished") == [(3, 6)]


# --- how large --------------------------------------------------------------------------------------------------------


class Sizes:
    """How many items a slot would take at once."""

    def __init__(self, shop: Shop, rivals: int = 1) -> None:
        self._shop = shop
        self._arrays = Arrays(shop.store, rivals)
        self._stage = Stage(shop.store, ())
        # An array of which nothing is known is begun with one item.
        assert self.take(0, 100) == 1 or self._stage.node.array.chunk  # type: ignore[union-attr]

    def take(self, start: int, end: int) -> int:
        return self._arrays.end_of_chunk(self._stage.job, self._stage.node, Span(start, end)) - start

    def learn(self, count: int, took_s: float) -> None:
        class Ran:
            span = Span(0, count)

        self._arrays.learn(Ran(), count, took_s)  # type: ignore[arg-type]


def test_a_fixed_size_is_kept_but_for_the_end(shop: Shop) -> None:
    shop.submit(100, chunk=7)
    sizes = Sizes(shop)
    sizes.learn(7, 700.0)
    assert [sizes.take(0, 100), sizes.take(95, 100), sizes.take(20, 22)] == [7, 5, 2]


def test_chunks_grow_until_they_take_ten_seconds(shop: Shop) -> None:
    shop.submit(1_000_000, chunk="auto")
    sizes = Sizes(shop)
    sizes.learn(1, 0.0001)
    assert sizes.take(1, 1_000_000) == 64
    sizes.learn(64, 0.0064)
    assert sizes.take(65, 1_000_000) == 64 * 64
    sizes.learn(4096, 0.4096)
    assert sizes.take(5000, 1_000_000) == 100_000
    # Now they are slower.
    sizes.learn(10, 20.0)
    assert sizes.take(5000, 1_000_000) == 5
    sizes.learn(5, 100.0)
    assert sizes.take(5000, 1_000_000) == 1


def test_no_time_at_all_is_no_reason_to_take_everything(shop: Shop) -> None:
    shop.submit(1_000_000, chunk="auto")
    sizes = Sizes(shop)
    sizes.learn(1, 0.0)
    assert sizes.take(0, 1_000_000) == 64


def test_what_is_left_is_shared_out_but_not_in_crumbs(shop: Shop) -> None:
    shop.submit(1000, chunk="auto")
    for rivals, expected in ((1, 500), (4, 125), (500, 100)):
        sizes = Sizes(shop, rivals)
        sizes.learn(500, 2.5)
        # Half a second is worth 100 of them.
        assert sizes.take(0, 1000) == expected
        assert sizes.take(990, 1000) == 10


def test_a_pace_is_that_of_one_array(shop: Shop) -> None:
    array = shop.submit(1000, chunk="auto")
    shop.submit(1000, chunk="auto")
    arrays = Arrays(shop.store, 1)
    first, other = Stage(shop.store, ()), Stage(shop.store, ())
    other.job = shop.store.layout.job(2)
    assert arrays.end_of_chunk(first.job, first.node, Span(0, 1000)) == 1

    class Ran:
        span = Span(0, 500)

    arrays.learn(Ran(), 500, 0.5)  # type: ignore[arg-type]
    assert arrays.end_of_chunk(first.job, first.node, Span(0, 1000)) == 500
    assert arrays.end_of_chunk(other.job, other.node, Span(0, 1000)) == 1
    assert array.countItems() == 1000


def test_nothing_is_learned_from_a_chunk_in_which_nothing_ended(shop: Shop) -> None:
    shop.submit(1000, chunk="auto")
    sizes = Sizes(shop)
    sizes.learn(0, 100.0)
    assert sizes.take(0, 1000) == 1


# --- ending in the middle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(5))
def test_a_slot_that_is_to_end_gives_back_the_rest(shop: Shop, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    array = shop.submit(4)
    monkeypatch.setattr(shop.worker, "may_go_on", lambda: len(theatre.ran) < after)
    shop.worker.step()
    assert theatre.ran == list(range(after))[:4]
    assert [item.state.value for item in array.listItems()] == ["finished"] * after + ["ready"] * (4 - after)
    assert shop.worker.store.tokens.running_of(shop.worker.name) == []
    # Nothing is held against what it had not begun.
    assert all(name.endswith(".0") for name in os.listdir(shop.store.layout.job(1).ready))
    assert_sound(shop.queue_dir)
    with worker_on(shop.queue_dir, name="other") as other:
        other.run_all()
    assert theatre.ran == [0, 1, 2, 3]
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_a_slot_that_is_to_end_and_was_swept_gives_back_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    array = shop.submit(4)
    monkeypatch.setattr(shop.worker, "may_go_on", lambda: len(theatre.ran) < 2)

    def swept(_: JobProc) -> None:
        with worker_on(shop.queue_dir, name="sweeper") as living:
            assert sweep(living.store, living.aftermath, shop.worker.name, "silent")

    theatre.acts = {1: swept}
    shop.worker.step()
    assert [item.state.value for item in array.listItems()] == ["finished"] + ["ready"] * 3
    assert_sound(shop.queue_dir)


# --- what a journal that went bad may have lost -----------------------------------------------------------------------


@pytest.mark.parametrize("nth", [2, 3, 4])
def test_results_that_were_noted_in_a_journal_that_went_bad_stand_in_the_next_one(shop: Shop, nth: int) -> None:
    """A disk that fails may have taken what was not synced, and the record is committed all the same."""
    array = shop.submit(4)
    theatre.acts = {number: (lambda _, number=number: f"result {number}") for number in range(4)}  # type: ignore[misc]
    left = nth

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        nonlocal left
        if call.name == "write" and b'"node"' in bytes(call.args[1]):
            left -= 1
            if left == -1:
                raise OSError(28, "No space left on device")
        return do()

    shop.share.hook = refuse
    shop.worker.run_all()
    assert left < 0
    job = shop.store.layout.job(1)
    os.unlink(job.journal(shop.worker.name, 1))
    assert [item.result for item in array.listItems()] == [f"result {number}" for number in range(4)]


# --- a script that runs the chunk itself ------------------------------------------------------------------------------


def test_a_script_that_is_asked_to_end_a_chunk_runs_no_further_item(queue_dir: Path) -> None:
    """It can end nothing by itself, but the item that runs fails, and the rest is cancelled."""
    queue = jobqueue.JobQueue(str(queue_dir))
    root = queue.createJobRoot()
    array = root.createJobArray("code", over={"text": [_CANCELS if item == 1 else "" for item in range(4)]}, chunk=4)
    array.options.maxAttempts = 1
    handle = root.activate()
    assert queue.runNextAvailableJob()
    states = [item.state.value for item in handle.listSubJobs()[0].listItems()]
    assert states == ["finished", "failed", "cancelled", "cancelled"]
    assert "cancel" in str(handle.listSubJobs()[0].item(1).error)
    assert handle.state is JobState.CANCELLED


# The worker beats, and reads what it is asked, in another thread.
_CANCELS = """
from jobqueue import control
from jobqueue.store import Store
from jobqueue.worker import inprocess
import os
location = os.environ["JOBQUEUE_QUEUE"]
control.cancel(Store(location), 1)
inprocess._workers[os.getpid(), location]._beat()
"""


def test_a_script_runs_no_further_item_of_a_chunk_whose_job_is_held(queue_dir: Path) -> None:
    queue = jobqueue.JobQueue(str(queue_dir))
    root = queue.createJobRoot()
    holds = _CANCELS.replace("cancel", "hold")
    root.createJobArray("code", over={"text": [holds if item == 1 else "" for item in range(4)]}, chunk=4)
    handle = root.activate()
    array = handle.listSubJobs()[0]
    assert queue.runNextAvailableJob()
    assert [item.state.value for item in array.listItems()] == ["finished"] * 2 + ["ready"] * 2
    assert not queue.runNextAvailableJob()
    handle.release()
    assert queue.runNextAvailableJob()
    assert [item.state.value for item in array.listItems()] == ["finished"] * 4


def test_what_is_cancelled_stays_failed_where_it_has(shop: Shop) -> None:
    """An item's failure is told by its token, whatever becomes of the rest."""
    array = shop.submit(4, chunk=2)
    theatre.acts = {0: _fails}
    shop.worker.step()
    control.cancel(shop.store, 1)
    assert [item.state.value for item in array.listItems()] == ["failed", "finished", "cancelled", "cancelled"]
    assert_sound(shop.queue_dir)
    with pytest.raises(JobStateError, match="is done"):
        array.retry()
    with pytest.raises(JobStateError, match="is done"):
        shop.queue.retryItems([array.item(0)])
