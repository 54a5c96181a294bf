"""What workers and submitters do to a queue while its share fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import jobqueue
from jobqueue import control
from jobqueue.attempt import Attempt
from jobqueue.names import WonToken
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.runner import Step
from tests.faults.flows import Flow
from tests.soundness import assert_sound
from tests.support_faults import FaultyShare
from tests.support_worker import Worker, attached

PREPARED = """
from jobqueue import JobProc
class prepared(JobProc):
    def postCreate(self, jobDir):
        open(jobDir + '/prepared', 'x').close()
    def run(self):
        open('../prepared').close()
"""


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

    def repair(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        """She looks whether it is there, and submits it again if it is not."""
        begin()
        queue = attached(self.queue_dir, share)
        if not queue.listJobs():
            root = queue.createJobRoot("noop")
            self.build(root)
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
        self.commits = share
        begin()
        for _ in range(100):
            with self.trouble() as told:
                if worker.step() is Step.NOTHING:
                    break
            if told:
                worker.runner.chooser.look_again()
        share.heal()
        assert max(share.commits().values(), default=0) <= 1

    def finish(self) -> None:
        # A share that says untruly that something is missing, or there, makes a job look broken: it is set aside.
        for entry in self.store.index.folder("held"):
            control.release(self.store, entry.number)
        self.run_to_the_end()
        assert max(self.commits.commits().values(), default=0) <= 1
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
                if (attempt.token.node, attempt.token.attempt) == (0, 1):
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
        worker = self.worker()
        self.mortal.append(worker)
        self.claim(worker)
        if self.has_begun:
            share.make_dirs_below(self.store.layout.job(self.number).dir, "job0/.attempt1")
        self.park(self.number)
        # The supervisor's own; what it remembers no slot knows.
        aftermath = Aftermath(Store(str(self.queue_dir), share), worker.name, worker.new_slot)
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
        # What the dead slot had printed was known to the supervisor alone.
        assert self.dead or stdout.read_text() == "last words"
        super().finish()


class ReapTimeout(Reap):
    """A supervisor fails what a slot ran for too long."""

    ending = Ending("timeout", "it ran too long")

    def finish(self) -> None:
        self.run_to_the_end()
        folders = assert_sound(self.queue_dir)[self.number]
        # A supervisor that dies has not failed it, and then nothing but its death is held against the job.
        if not self.dead or "failed" in folders:
            assert folders == ["failed", "blocked"]
            assert control.retry(self.store, self.number, None) == 1
        super().finish()
