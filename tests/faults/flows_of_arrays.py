"""What is done to arrays while the share fails: pieces are split, committed, settled, salvaged, tried again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from unittest import mock

import jobqueue
from jobqueue import control, removal
from jobqueue.errors import JobStateError
from jobqueue.proc import JobProc
from jobqueue.registry import worker_names
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.runner import Step
from jobqueue.worker.sweep import sweep
from tests.faults.flows import Flow
from tests.faults.flows_of_people import Insisting
from tests.faults.flows_of_workers import Submit
from tests.soundness import assert_sound
from tests.support_arrays import submit_items, theatre
from tests.support_faults import FaultyShare
from tests.support_worker import Worker

_TRIES = 5
_STEPS = 100


def fails(_: JobProc) -> None:
    raise RuntimeError("no licence")


def fails_first(proc: JobProc) -> str:
    if str(proc.runningDir).endswith(".1"):
        raise RuntimeError("not yet")
    return "one"


def dies(*_: object, **__: object) -> None:
    """The process is killed, and does nothing more."""
    raise KeyboardInterrupt


class SubmitArray(Submit):
    """A hierarchy is published in which an array waits for an array, one of them with its parameters in a file."""

    def build(self, root: jobqueue.JobRoot) -> None:
        array = root.createJobArray("noop", over={"n": range(3), "label": ["a", "b", "c"]}, chunk=2)
        array.createJobArray("command", "1-2", cmd="true {frame}")


class Array(Flow):
    """Something that is done to an array of items, which say how often they were run."""

    count = 4
    chunk: int | str = 3
    seconds = 0.0
    max_errors = 1

    def set_up(self) -> None:
        theatre.__init__()  # type: ignore[misc]
        theatre.acts = {1: lambda _: "one"}
        self.array = submit_items(
            self.queue, [self.seconds] * self.count, self.chunk, maxErrors=self.max_errors, maxAttempts=9
        )
        self.prepare()

    def prepare(self) -> None:
        """What more lies there before."""

    def victim(self) -> Worker:
        """A worker whose slot was killed while it ran item 2; two are noted, the third is its next one."""
        theatre.acts[2] = dies
        victim = self.worker()
        with contextlib.suppress(KeyboardInterrupt):
            victim.step()
        del theatre.acts[2]
        return victim

    def runs(self) -> Counter[int]:
        return Counter(theatre.ran)

    def finish(self) -> None:
        # A share that says untruly that something is missing makes a job look broken, or an item fail.
        for entry in self.store.index.folder("held"):
            control.release(self.store, entry.number)
        self.run_to_the_end()
        theatre.acts = {1: lambda _: "one"}
        self.try_again()
        super().finish()
        assert [item.result for item in self.array.listItems()] == [None, "one", *[None] * (self.count - 2)]
        # Nothing that was noted is run again: only what the dead were at.
        again = sum((self.runs() - Counter(range(self.count))).values())
        assert again <= len(self.dead) + self.may_run_again, theatre.ran

    # So many runs more there may be, without a death.
    may_run_again = 0

    def try_again(self) -> None:
        """What has failed is tried again, if anything has."""
        with contextlib.suppress(JobStateError):
            self.array.retry()
            self.run_to_the_end()


class RunArray(Array):
    """A worker runs everything: takes chunks off, notes, commits, closes the last one, and runs what waits for it."""

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        theatre.clock = share.clock
        self.commits = share
        begin()
        for _ in range(_STEPS):
            with self.trouble() as told:
                if worker.step() is Step.NOTHING:
                    break
            if told:
                worker.runner.chooser.look_again()
        share.heal()
        self.assert_committed_once()

    def assert_committed_once(self, tried_again: int = 0) -> None:
        commits = self.commits.commits()
        assert max(commits.values(), default=0) <= 1 + tried_again, commits

    def finish(self) -> None:
        super().finish()
        self.assert_committed_once()


class RunSlowArray(RunArray):
    """Parts of a chunk are committed every ten seconds, and what a slow one has not begun is given back."""

    count, chunk, seconds = 5, 5, 7.0


class RunFailingArray(RunArray):
    """An item fails in the middle, which is forgiven once."""

    max_errors = 2
    may_run_again = 1

    def prepare(self) -> None:
        theatre.acts[1] = fails_first


class RunBadArray(RunArray):
    """An item fails for good in the middle."""

    may_run_again = 1

    def prepare(self) -> None:
        theatre.acts[1] = fails

    def assert_committed_once(self, tried_again: int = 1) -> None:
        super().assert_committed_once(tried_again)


class StopChunk(RunArray):
    """A slot that is to end gives back the rest of its chunk."""

    chunk = 4

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        self.commits = share
        worker.may_go_on = lambda: len(theatre.ran) < 2  # type: ignore[method-assign]
        begin()
        with self.trouble():
            worker.step()
        share.heal()
        del worker.may_go_on


class SettleChunk(Array):
    """A supervisor settles what a slot has committed of a chunk before it died, and bears what that owes."""

    may_run_again = 1

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)

        theatre.acts[1] = fails
        # It is killed before anything follows from its commit.
        with mock.patch.object(worker.store.pieces, "bear_here", dies), contextlib.suppress(KeyboardInterrupt):
            worker.step()
        assert worker.store.tokens.won_of(worker.name)
        theatre.acts[1] = lambda _: "one"
        aftermath = Aftermath(Store(str(self.queue_dir), share), worker.name, worker.new_slot)
        begin()
        _clear(self, share, aftermath, Ending("died", "killed"))


def _clear(flow: Flow, share: FaultyShare, aftermath: Aftermath, ending: Ending) -> None:
    """What a supervisor does for a dead slot, until it could do all of it."""
    with contextlib.closing(Spool()) as spool:
        _until_done(flow, share, lambda: aftermath.clear({1}, ending, spool))


def _until_done(flow: Flow, share: FaultyShare, do: Callable[[], object]) -> None:
    """Does what is done again at each beat; in the end the share is well again."""
    for _ in range(_TRIES):
        with flow.trouble() as told:
            do()
        if not told:
            return
    share.heal()
    do()


class ReapChunk(Array):
    """A supervisor commits what a dead slot has noted, blames the item that it was at, and gives back the others."""

    chunk = 4
    ending = Ending("died", "its process ended with signal 9")
    may_run_again = 1

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        victim = self.victim()
        self.mortal.append(victim)
        # The supervisor's own; what it remembers no slot knows.
        aftermath = Aftermath(Store(str(self.queue_dir), share), victim.name, victim.new_slot)
        begin()
        _clear(self, share, aftermath, self.ending)


class ReapForgiven(ReapChunk):
    """The same where the slot had noted an error that is forgiven, and had not given the item back."""

    max_errors = 2
    may_run_again = 2

    def victim(self) -> Worker:
        theatre.acts[1] = fails_first
        victim = self.worker()

        with mock.patch.object(victim.store.tokens, "give_back", dies), contextlib.suppress(KeyboardInterrupt):
            victim.step()
        theatre.acts[1] = lambda _: "one"
        return victim


class ReapCancelledChunk(ReapChunk):
    """A supervisor puts away what a slot ran of an array that was cancelled meanwhile."""

    ending = Ending("cancel", "cancelled")

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        def cancel_and_begin() -> None:
            control.cancel(self.store, 1)
            begin()

        super().act(share, cancel_and_begin)

    def finish(self) -> None:
        self.run_to_the_end()
        if len(self.dead) > 1:
            with self.trouble():
                control.cancel(self.store, 1)
        # What was noted has finished, whoever clears up.
        assert_sound(self.queue_dir)
        states = [item.state.value for item in self.array.listItems()]
        assert states == ["finished"] * 2 + ["cancelled"] * 2
        assert self.array.item(1).result == "one"
        assert theatre.ran == [0, 1, 2]


class ReapDeletedChunk(ReapChunk):
    """A supervisor removes what a slot ran of an array that was deleted meanwhile."""

    ending = Ending("delete", "deleted")

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        def delete_and_begin() -> None:
            control.delete(self.store, 1)
            begin()

        super().act(share, delete_and_begin)

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir) == {}
        assert removal.remove_rest(self.store, 1)
        assert not (self.queue_dir / "job1").exists()
        assert theatre.ran == [0, 1, 2]


class SweepArray(Array):
    """A worker sweeps one that has died in the middle of a chunk, with a duty and a claim that it had lost."""

    count, chunk = 7, 3
    may_run_again = 1

    def prepare(self) -> None:
        victim = self.worker()
        victim.step()
        theatre.acts[5] = dies
        with contextlib.suppress(KeyboardInterrupt):
            victim.step()
        del theatre.acts[5]
        spare = f"{victim.registration.files.spare}/1.0000000-00000009-00000010.1.1"
        self.store.share.create(spare)
        self.open.remove(victim)
        self.dead.append(victim)
        victim.die()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        living = self.worker(share)
        begin()
        _until_done(self, share, lambda: sweep(living.store, living.aftermath, self.dead[0].name, "killed"))

    def finish(self) -> None:
        self.repair(FaultyShare(9), lambda: None)
        super().finish()
        assert set(worker_names(self.store)) == {worker.name for worker in self.open}


class LastChunk(Array):
    """A worker closes the last chunk of an array whose top-level job has been parked meanwhile."""

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        worker.step()

        def park_and_begin(_: JobProc) -> None:
            self.park(1)
            begin()

        theatre.acts[3] = park_and_begin
        with self.trouble():
            worker.step()
        # What a slot does that falls idle.
        _until_done(self, share, worker.runner.leave)


class RetryArray(Insisting, Array):
    """Failed items are tried again, when their top-level job has been parked."""

    may_run_again = 2

    def prepare(self) -> None:
        theatre.acts = dict.fromkeys((1, 2), fails)
        self.worker().run_all()
        theatre.acts = {1: lambda _: "one"}
        assert self.store.index.all()[0].folder == "waiting"

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].retry()


class RetryItems(RetryArray):
    """The same for one of them, and the other one after that."""

    def do(self, queue: jobqueue.JobQueue) -> None:
        array = queue.listJobs()[0].listSubJobs()[0]
        queue.retryItems([array.item(2)])

    def finish(self) -> None:
        # It has been woken, whoever did the rest.
        assert_sound(self.queue_dir)
        super().finish()


class CancelArray(Insisting, Array):
    """An array is cancelled of which some items have finished, one has failed, and some wait."""

    count = 6

    def prepare(self) -> None:
        theatre.acts[1] = fails
        self.worker().step()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].cancel()

    def finish(self) -> None:
        self.run_to_the_end()
        assert_sound(self.queue_dir)
        states = [item.state.value for item in self.array.listItems()]
        assert states == ["finished", "failed", "finished", *["cancelled"] * 3]
        assert theatre.ran == [0, 1, 2]


class DeleteArray(Insisting, Array):
    """An array is deleted of which some items have finished, and some run."""

    def prepare(self) -> None:
        self.runner = self.worker()
        self.runner.step()
        theatre.acts[3] = dies
        with contextlib.suppress(KeyboardInterrupt):
            self.runner.step()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.deleteJobs(queue.listJobs() or self.array)

    def finish(self) -> None:
        assert self.queue.listJobs() == []
        with contextlib.closing(Spool()) as spool:
            aftermath = Aftermath(self.runner.store, self.runner.name, self.runner.new_slot)
            aftermath.clear({1}, Ending("delete", "deleted"), spool)
        self.run_to_the_end()
        assert assert_sound(self.queue_dir) == {}
        assert removal.remove_rest(self.store, 1)
        assert not (self.queue_dir / "job1").exists()


FLOWS_OF_ARRAYS: tuple[type[Flow], ...] = (
    SubmitArray, RunArray, RunSlowArray, RunFailingArray, RunBadArray, StopChunk, SettleChunk, ReapChunk, ReapForgiven,
    ReapCancelledChunk, ReapDeletedChunk, SweepArray, LastChunk, RetryArray, RetryItems, CancelArray, DeleteArray,
)  # fmt: skip
