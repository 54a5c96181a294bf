"""A process dies before or after each of its calls while it publishes outputs: the files are whole, or as they were."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import jobqueue
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from tests.faults.flows_of_outputs import OLD, Published, committed, submit
from tests.soundness import assert_sound
from tests.support_share import Call, HookedShare, QuickShare, let_go
from tests.support_worker import Worker, attached, worker_on

pytestmark = pytest.mark.usefixtures("watched_calls")

BEFORE_AND_AFTER = pytest.mark.parametrize("is_executed", [False, True], ids=["before", "after"])


class Died(BaseException):
    """The process is gone."""


class MortalShare(HookedShare):
    """The share of a process that dies: the call at which it does, and all that follow, are never made.

    Attributes:
        is_dead: whether it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_dead = False

    def die_at(self, nth: int, *, is_executed: bool) -> None:
        """Lets the process die at the n-th call from now on, from 0, which may be made all the same."""
        left = itertools.count(nth, -1)

        def hook(call: Call, do: Callable[[], Any]) -> Any:
            if call.name == "close":
                # The kernel closes what a dead process had open.
                return do()
            if not self.is_dead and next(left) == 0:
                self.is_dead = True
                answer = do() if is_executed else None
                if answer is not None and call.name in ("open", "scandir"):
                    let_go(answer)
            if self.is_dead:
                raise Died
            return do()

        self.hook = hook

    def bury(self) -> None:
        """From now on it is somebody else's."""
        self.hook = lambda _, do: do()


class Scene(NamedTuple):
    """A queue with one job that has three outputs."""

    queue_dir: Path
    published: Published
    job: jobqueue.JobHandle

    def settle_for(self, worker: Worker, share: QuickShare | HookedShare) -> None:
        """What the supervisor of a dead slot does."""
        store = attached(self.queue_dir, share)._store_or_raise()
        with contextlib.closing(Spool()) as spool:
            Aftermath(store, worker.name, lambda: 9).clear({1}, Ending("died", "killed"), spool)

    def assert_all_comes_to_its_end(self) -> None:
        with worker_on(self.queue_dir, QuickShare(4), "next") as other:
            other.run_all()
        assert set(assert_sound(self.queue_dir)[1]) == {"finished"}
        self.published.assert_whole()
        assert not list(self.published.folder.rglob(".jq-*"))


def scenes(empty_queue: Path, scratch: Path) -> Iterator[tuple[int, Scene]]:
    """One after the other, with numbers from 0."""
    for nth in itertools.count():
        queue_dir = scratch / f"queue{nth}"
        shutil.copytree(empty_queue, queue_dir)
        published = Published(queue_dir)
        yield nth, Scene(queue_dir, published, submit(attached(queue_dir, QuickShare(1)), published.code))
        shutil.rmtree(queue_dir)
        shutil.rmtree(published.folder)


@BEFORE_AND_AFTER
def test_a_slot_that_dies_at_any_call_leaves_the_files_whole_or_as_they_were(
    empty_queue: Path, scratch: Path, is_executed: bool
) -> None:
    seen = set()
    for nth, scene in scenes(empty_queue, scratch):
        share = MortalShare()
        slot = Worker(scene.queue_dir, share)
        share.die_at(nth, is_executed=is_executed)
        with contextlib.suppress(Died):
            slot.step()
        share.bury()
        scene.published.assert_whole_or_absent()
        is_won = bool(slot.store.tokens.won_of(slot.name)) or scene.job.isFinished()
        seen.add(is_won)
        if not is_won:
            assert scene.published.paths[0].read_text() == OLD
        scene.settle_for(slot, QuickShare(3))
        if is_won:
            scene.published.assert_whole()
        scene.assert_all_comes_to_its_end()
        assert not is_won or scene.job.attempt == 1
        slot.leave()
        if not share.is_dead:
            break
    assert seen == {True, False}


@BEFORE_AND_AFTER
def test_whoever_settles_may_die_at_any_call_and_the_next_one_completes_it(
    empty_queue: Path, scratch: Path, is_executed: bool
) -> None:
    for nth, scene in scenes(empty_queue, scratch):
        slot = Worker(scene.queue_dir, QuickShare(2))
        committed(slot)
        assert scene.published.paths[0].read_text() == OLD
        share = MortalShare()
        share.die_at(nth, is_executed=is_executed)
        with contextlib.suppress(Died):
            scene.settle_for(slot, share)
        scene.published.assert_whole_or_absent()
        scene.settle_for(slot, QuickShare(3))
        scene.published.assert_whole()
        scene.assert_all_comes_to_its_end()
        assert scene.job.attempt == 1
        slot.leave()
        if not share.is_dead:
            assert nth > 20
            break
