"""What is done after ends: of workers, of attempts, of errors that are forgiven."""

from __future__ import annotations

from collections.abc import Callable

from jobqueue import control, removal
from jobqueue.pace import Pace
from jobqueue.registry import worker_names
from jobqueue.store import Store
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.caretaker import Caretaker
from jobqueue.worker.membership import Membership
from jobqueue.worker.runner import Step
from jobqueue.worker.sweep import sweep
from tests.faults.flows import FAILS_FIRST, Flow
from tests.faults.flows_of_outputs import Published, committed
from tests.faults.flows_of_workers import Reap
from tests.soundness import assert_sound
from tests.support_faults import FaultyShare

_TRIES = 5


class Sweep(Flow):
    """A worker sweeps one that has died with a result, with an attempt, and with a deleted job to remove."""

    def set_up(self) -> None:
        self.published = Published(self.queue_dir)
        doomed = self.pair()
        victim = self.worker()
        self.claim(victim)
        self.queue.deleteJobs(doomed)
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=self.published.code)
        root.createJob("noop")
        self.job = root.activate()
        victim.runner.chooser.look_again()
        committed(victim)
        self.claim(victim)
        self.open.remove(victim)
        self.dead.append(victim)
        victim.die()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        living = self.worker(share)
        begin()
        for _ in range(_TRIES):
            with self.trouble() as told:
                sweep(living.store, living.aftermath, self.dead[0].name, "killed")
            self.published.assert_whole_or_absent()
            if not told:
                break

    def has_died(self) -> None:
        self.published.assert_whole_or_absent()

    def finish(self) -> None:
        self.repair(FaultyShare(9), lambda: None)
        super().finish()
        self.published.assert_whole()
        assert [job.attempt for job in self.job.listSubJobs()] == [1, 2]
        if len(self.dead) == 1 and self.store.share.names(self.store.layout.trash):
            # What a directory that would not go has left is still known.
            assert removal.remove_rest(self.store, 1)
        assert not (self.queue_dir / "job1").exists()
        assert set(worker_names(self.store)) == {worker.name for worker in self.open}


class TryAgain(Flow):
    """A slot runs a job whose first error is forgiven."""

    def set_up(self) -> None:
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=FAILS_FIRST).options.maxErrors = 2
        self.job = root.activate()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        begin()
        for _ in range(100):
            with self.trouble() as told:
                if worker.step() is Step.NOTHING:
                    break
            if told:
                worker.runner.chooser.look_again()

    def finish(self) -> None:
        for entry in self.store.index.folder("held"):
            control.release(self.store, entry.number)
        super().finish()
        assert self.job.listSubJobs()[0].attempt >= 2


class ReapStopped(Reap):
    """A supervisor gives back what a slot ran that it has ended itself."""

    ending = Ending("stop", "the worker was told to end at once")


class ReapCancelled(Reap):
    """A supervisor puts away what a slot ran of a hierarchy that was cancelled meanwhile."""

    ending = Ending("cancel", "cancelled")

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        def cancel_and_begin() -> None:
            control.cancel(self.store, self.number)
            begin()

        super().act(share, cancel_and_begin)

    def finish(self) -> None:
        self.run_to_the_end()
        if len(self.dead) > 1:
            # A sweeper that dies between giving back and cancelling leaves a token in ready/ of what is done; nobody
            # takes it up, and cancelling again (or `check`) puts it away.
            with self.trouble():
                control.cancel(self.store, self.number)
        # Somebody else gives back what a dead supervisor had to put away, and finds that nobody takes it up any more.
        assert assert_sound(self.queue_dir)[self.number] == ["cancelled"] * 2


class ReapDeleted(Reap):
    """A supervisor removes what a slot ran of a hierarchy that was deleted meanwhile."""

    ending = Ending("delete", "deleted")

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        def delete_and_begin() -> None:
            control.delete(self.store, self.number)
            begin()

        super().act(share, delete_and_begin)

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir) == {}
        assert removal.remove_rest(self.store, self.number)
        assert not (self.queue_dir / f"job{self.number}").exists()


class ComeAndGo(Flow):
    """A worker comes, beats, finds itself swept, comes again, and goes."""

    def set_up(self) -> None:
        self.pair()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        store = Store(str(self.queue_dir), share)
        self.share = share
        begin()
        for _ in range(_TRIES):
            with self.trouble() as told:
                place = Membership(store, "guest", 1, lambda: 7)
                place.beat()
                place.come_again()
                place.beat()
                place.leave()
            if not told:
                break

    def close(self) -> None:
        self.share.close_locks()
        super().close()

    def finish(self) -> None:
        # What could not go well, or was swept, is somebody else's to remove.
        self.repair(FaultyShare(9), lambda: None)
        super().finish()
        assert set(worker_names(self.store)) == {worker.name for worker in self.open}


class Backstop(Flow):
    """The sweeper finds a job that has something ready and that nobody has woken."""

    def set_up(self) -> None:
        number = self.pair().number
        dead = self.worker()
        token = self.claim(dead)
        self.park(number)
        dead.store.tokens.wake_rest = lambda: None  # type: ignore[method-assign]
        dead.store.tokens.give_back(token, dead.name, charge=False)
        assert self.store.index.folder("waiting")

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        living = self.worker(share)
        caretaker = Caretaker(living.store, living.name, living.aftermath, Pace(living.store.config))
        begin()
        for _ in range(240):
            with self.trouble():
                caretaker.beaten(may_look=False)
        share.heal()
        assert self.store.index.folder("runnable")
