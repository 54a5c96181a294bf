"""What people ask for while the share fails."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable

import jobqueue
from jobqueue import control, removal
from jobqueue.errors import JobStateError
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from tests.faults.flows import Flow
from tests.faults.flows_of_workers import Wake
from tests.soundness import assert_sound
from tests.support_faults import FaultyShare
from tests.support_worker import attached, worker_on


class Insisting(Flow):
    """Something that a person does, again and again until she is told that it is done."""

    @abstractmethod
    def do(self, queue: jobqueue.JobQueue) -> None:
        """Does it."""

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        queue = attached(self.queue_dir, share)
        begin()
        with self.trouble() as told:
            self.do(queue)
        share.heal()
        if told:
            self.do_again(queue)

    def do_again(self, queue: jobqueue.JobQueue) -> None:
        """The second try: it may be done already, and she may be told so."""
        with self.trouble() as again:
            self.do(queue)
        assert not again or isinstance(again[0], JobStateError), again

    def repair(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        """No worker has died, so there is nothing to sweep: she does it again, from another process."""
        begin()
        self.do_again(attached(self.queue_dir, share))


class Hold(Insisting):
    """A hierarchy is held."""

    def set_up(self) -> None:
        self.job = self.pair()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].hold()

    def finish(self) -> None:
        with worker_on(self.queue_dir) as worker:
            assert not worker.run_all()
        self.job.release()
        super().finish()


class Release(Insisting):
    """A hold is taken back."""

    def set_up(self) -> None:
        self.pair().hold()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].release()


class Prefer(Insisting):
    """A hierarchy is given another priority."""

    def set_up(self) -> None:
        self.pair()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].setPriority(7)

    def finish(self) -> None:
        assert self.store.index.all()[0].priority == 7
        super().finish()


class Retry(Insisting):
    """A failed job is tried again, when its top-level job has been parked."""

    def set_up(self) -> None:
        self.job = self.diamond()
        self.worker().run_all()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].retry()


class RetryWithSubJobs(Insisting):
    """A job is tried again that was made to fail while it was blocked, and waits for nothing any more."""

    def set_up(self) -> None:
        job = self.pair()
        job.setError()
        self.worker().run_all()
        assert self.store.index.all()[0].folder == "waiting"

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].retry()


class RetryBlocked(RetryWithSubJobs):
    """The same, and a sub-job of it has not run yet."""

    def set_up(self) -> None:
        job = self.pair()
        job.setError()
        self.claim(self.worker())
        self.park(job.number)


class SettleAfterRetry(Wake):
    """A sub-job is settled whose parent was made to fail and tried again, so that its token has another name."""

    def set_up(self) -> None:
        job = self.pair()
        job.setError()
        job.retry()
        self.number = job.number


class SetErrorReady(Insisting):
    """A ready job is made to fail."""

    def set_up(self) -> None:
        self.job = self.pair()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].listSubJobs()[0].setError()

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir)[self.job.number] == ["failed", "blocked"]
        assert "before it began" in str(self.job.listSubJobs()[0].error)
        control.retry(self.store, self.job.number, None)
        super().finish()


class SetErrorBlocked(SetErrorReady):
    """A blocked job is made to fail."""

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].setError()

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir)[self.job.number] == ["finished", "failed"]
        control.retry(self.store, self.job.number, None)
        Flow.finish(self)


class SetErrorRunning(Insisting):
    """The worker of a running job is told to make it fail."""

    def set_up(self) -> None:
        self.job = self.pair()
        self.claim(self.worker())

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].listSubJobs()[0].setError()

    def finish(self) -> None:
        request = self.open[0].registration.requests()[0]
        assert (request["action"], request["job"], request["node"]) == ("fail", self.job.number, 0)
        super().finish()


class Cancel(Insisting):
    """A hierarchy is cancelled of which one job has finished, one has failed, and others wait."""

    def set_up(self) -> None:
        root = self.queue.createJobRoot("noop")
        for text in ("", "raise RuntimeError('never')", "", ""):
            root.createJob("code", text=text)
        self.job = root.activate()
        worker = self.worker()
        worker.step()
        worker.step()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.listJobs()[0].cancel()

    def finish(self) -> None:
        self.run_to_the_end()
        folders = assert_sound(self.queue_dir)[self.job.number]
        assert folders == ["finished", "cancelled", "cancelled", "cancelled", "cancelled"]


class CancelRunning(Cancel):
    """The same while one job of it runs."""

    def set_up(self) -> None:
        super().set_up()
        self.claim(self.open[0])

    def finish(self) -> None:
        requests = self.open[0].registration.requests()
        assert requests
        assert all(request["action"] == "cancel" for request in requests)
        super().finish()


class Delete(Insisting):
    """A hierarchy is deleted of which some jobs have finished."""

    def set_up(self) -> None:
        self.job = self.diamond()
        self.worker().step()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.deleteJobs(queue.listJobs() or self.job)

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir) == {}
        if self.store.share.names(self.store.layout.trash):
            # What a directory that would not go has left is still known.
            assert removal.remove_rest(self.store, 1)
        assert not (self.queue_dir / "job1").exists()
        assert self.queue.createJobRoot().activate().number == 2
        super().finish()


class DeleteRunning(Delete):
    """The same while one job of it runs, whose worker removes the rest."""

    def set_up(self) -> None:
        super().set_up()
        self.claim(self.open[0])

    def finish(self) -> None:
        assert self.open[0].registration.requests()[0]["action"] == "delete"
        assert self.queue.listJobs() == []
        with contextlib.closing(Spool()) as spool:
            aftermath = Aftermath(self.open[0].store, self.open[0].name, self.open[0].new_slot)
            aftermath.clear({1}, Ending("delete", "deleted"), spool)
        assert removal.remove_rest(self.store, 1)
        super().finish()
