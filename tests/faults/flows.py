"""What is done to a queue while its share fails: each flow sets the stage, acts, and brings the work to its end."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import jobqueue
from jobqueue import control
from jobqueue.attempt import Attempt
from jobqueue.errors import JobQueueError, JobStateError
from jobqueue.layout import RunningToken, WonToken
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.runner import Step
from tests.soundness import assert_sound
from tests.support_share import FaultyShare, QuickShare
from tests.support_worker import Worker, attached, worker_on

FAILS_FIRST = "if proc.runningDir.endswith('attempt1'): raise RuntimeError('not yet')"
TALKS = "proc.stdout.write('hello'); proc.setStatusLine('there'); result = [1, b'2']"
PREPARED = """
from jobqueue import JobProc
class prepared(JobProc):
    def postCreate(self, jobDir):
        open(jobDir + '/prepared', 'x').close()
    def run(self):
        open('../prepared').close()
"""


class Flow(ABC):
    """One thing that is done.

    Args:
        queue_dir: an empty queue.
    """

    def __init__(self, queue_dir: Path) -> None:
        self.queue_dir = queue_dir
        self.queue = attached(queue_dir, QuickShare(1))
        self.store = self.queue._store_or_raise()
        self.open: list[Worker] = []
        self.set_up()

    def set_up(self) -> None:  # noqa: B027  most flows need nothing there
        """What lies there before."""

    @abstractmethod
    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        """Does it by a share that fails; ``begin`` is called where failing may begin."""

    def finish(self) -> None:
        """Brings everything to its end by a share that is well."""
        self.run_to_the_end()
        for folders in assert_sound(self.queue_dir).values():
            assert set(folders) == {"finished"}

    def close(self) -> None:
        for worker in self.open:
            worker.leave()

    # --- helpers -------------------------------------------------------------------------------------------------

    def worker(self, share: FaultyShare | None = None) -> Worker:
        worker = Worker(self.queue_dir, share or QuickShare(len(self.open) + 2), f"w{len(self.open)}")
        self.open.append(worker)
        return worker

    def run_to_the_end(self) -> None:
        """What workers do when a slot falls idle, and at the next poll."""
        for worker in [*self.open, self.worker()]:
            worker.runner.leave()
            worker.runner.reconcile()
        for worker in self.open:
            worker.runner.chooser.look_again()
            worker.run_all()

    def diamond(self) -> jobqueue.JobHandle:
        """Nodes: 0 is needed by 1 and 3, 2 talks and fails at first, 4 is the root."""
        root = self.queue.createJobRoot("noop")
        first = root.createJob("noop")
        shared = first.createJob("noop")
        root.createJob("code", text=f"{FAILS_FIRST}\n{TALKS}")
        root.createJob("noop").addDependency(shared)
        return root.activate()

    def pair(self) -> jobqueue.JobHandle:
        """Nodes: 0 is needed by 1, the root."""
        root = self.queue.createJobRoot("noop")
        root.createJob("noop")
        return root.activate()

    def claim(self, worker: Worker) -> RunningToken:
        """Claims the next job for a worker and does not run it."""
        candidate = worker.runner.chooser.next()
        assert candidate is not None
        token = worker.store.tokens.try_claim(candidate.job, candidate.token, worker.name, 1)
        assert token is not None
        return token

    def park(self, number: int) -> None:
        """Moves an entry to waiting/, as a worker does that finds nothing ready."""
        entry = self.store.index.find(number, ("runnable",))
        assert entry is not None
        ready = self.store.layout.job(number).ready
        assert self.store.index.try_park(entry, lambda: not self.store.share.names(ready))

    @contextlib.contextmanager
    def trouble(self) -> Iterator[list[Exception]]:
        """Lets pass what callers are told when the share fails."""
        told: list[Exception] = []
        try:
            yield told
        except (OSError, JobQueueError) as error:
            told.append(error)


class Submit(Flow):
    """A hierarchy is published; where the submitter is told that it was not, she tries again."""

    def build(self, root: jobqueue.JobRoot) -> None:
        shared = root.createJob("noop").createJob("noop")
        root.createJob("noop").addDependency(shared)

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        root = attached(self.queue_dir, share).createJobRoot("noop")
        self.build(root)
        begin()
        with self.trouble() as told:
            root.activate()
        share.heal()
        if told:
            root.activate()

    def finish(self) -> None:
        assert len(assert_sound(self.queue_dir)) == 1
        super().finish()


class SubmitWithDirectory(Submit):
    """The same where a procedure has asked for its job's directory before."""

    def set_up(self) -> None:
        path = self.queue_dir / "procs" / "prepared.py"
        path.write_text(PREPARED)
        path.chmod(0o644)

    def build(self, root: jobqueue.JobRoot) -> None:
        root.createJob("prepared")


class Run(Flow):
    """A worker runs everything: claims, runs, records, commits, settles, parks."""

    def set_up(self) -> None:
        self.job = self.diamond()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        begin()
        for _ in range(100):
            with self.trouble() as told:
                if worker.step() is Step.NOTHING:
                    break
            if told:
                worker.runner.chooser.look_again()
        share.heal()
        assert max(share.commits().values(), default=0) <= 1
        self.commits = share

    def finish(self) -> None:
        self.run_to_the_end()
        assert max(self.commits.commits().values()) <= 1
        if "failed" in assert_sound(self.queue_dir)[self.job.number]:
            control.retry(self.store, self.job.number, None)
        super().finish()
        assert self.job.listSubJobs()[1].result == [1, b"2"]
        assert self.job.listSubJobs()[1].statusLine == "there"


class Park(Flow):
    """A worker finds nothing ready, while another one runs the last job that is not blocked."""

    def set_up(self) -> None:
        self.pair()
        self.claim(self.worker())

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        begin()
        for _ in range(5):
            with self.trouble() as told:
                worker.step()
            if told:
                worker.runner.chooser.look_again()


class Wake(Flow):
    """A worker settles a job whose top-level job has been parked meanwhile."""

    def set_up(self) -> None:
        self.number = self.pair().number

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        class Parking(Worker):
            def began(parking, attempt: Attempt, *_: object) -> None:  # noqa: N805
                if attempt.token.attempt == 1:
                    self.park(self.number)
                    begin()

        worker = Parking(self.queue_dir, share, "parking")
        self.open.append(worker)
        with self.trouble():
            worker.step()


class SettleFromRecord(Flow):
    """A supervisor settles what a slot has committed before it died."""

    def set_up(self) -> None:
        self.number = self.pair().number

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        token = self.claim(worker)
        path = self.store.layout.job(self.number).journal(worker.name, 1)
        self.store.share.append_once(path, b'{"event":"end","node":0,"attempt":1,"ok":true,"result":null}\n')
        assert isinstance(worker.store.tokens.try_commit(token, worker.name, 1, 0), WonToken)
        self.park(self.number)
        aftermath = Aftermath(worker.store, worker.name, worker.new_slot)
        spool = Spool()
        begin()
        with contextlib.closing(spool):
            for _ in range(3):
                with self.trouble():
                    aftermath.clear({1}, Ending("died", "killed"), spool)


class GiveBack(Flow):
    """A slot gives back what it has claimed and does not run; its top-level job has been parked meanwhile."""

    def set_up(self) -> None:
        self.number = self.pair().number

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        self.claim(worker)
        self.park(self.number)
        begin()
        with self.trouble():
            worker.runner.reconcile()


class ReapBeforeBegin(Flow):
    """A supervisor gives back what a slot had claimed and not begun when it died."""

    ending = Ending("died", "its process ended with exit code 1")
    has_begun = False

    def set_up(self) -> None:
        self.number = self.pair().number

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        worker = self.worker(share)
        self.claim(worker)
        if self.has_begun:
            share.make_dirs_below(self.store.layout.job(self.number).dir, "job0/.attempt1")
        self.park(self.number)
        aftermath = Aftermath(worker.store, worker.name, worker.new_slot)
        spool = Spool()
        spool.stdout.write("last words")
        begin()
        with contextlib.closing(spool):
            for _ in range(3):
                with self.trouble() as told:
                    aftermath.clear({1}, self.ending, spool)
                if not told:
                    break
                share.heal()


class Reap(ReapBeforeBegin):
    """A supervisor gives back what a dead slot was running."""

    has_begun = True

    def finish(self) -> None:
        stdout = self.queue_dir / f"job{self.number}" / "job0" / ".attempt1" / "stdout"
        assert stdout.read_text() == "last words"
        super().finish()


class ReapTimeout(Reap):
    """A supervisor fails what a slot ran for too long."""

    ending = Ending("timeout", "it ran too long")

    def finish(self) -> None:
        self.run_to_the_end()
        assert assert_sound(self.queue_dir)[self.number] == ["failed", "blocked"]
        assert control.retry(self.store, self.number, None) == 1
        super().finish()


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
            # At the second try it may be done already, and she may be told so.
            with self.trouble() as again:
                self.do(queue)
            assert not again or isinstance(again[0], JobStateError), again


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
        assert control.remove_rest(self.store, 1)
        super().finish()


FLOWS: tuple[type[Flow], ...] = (
    Submit, SubmitWithDirectory, Run, Park, Wake, SettleFromRecord, GiveBack, ReapBeforeBegin, Reap, ReapTimeout, Hold,
    Release, Prefer, Retry, RetryWithSubJobs, RetryBlocked, SettleAfterRetry, SetErrorReady, SetErrorBlocked,
    SetErrorRunning, Cancel, CancelRunning, Delete, DeleteRunning,
)  # fmt: skip
