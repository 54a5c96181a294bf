"""Archiving while the share fails: at any moment the job is where it was, or in its archive, or in both."""

from __future__ import annotations

from collections.abc import Callable

import jobqueue
from jobqueue.check.audit import repair
from jobqueue.names import Entry
from jobqueue.removal import has_rest, remove_rest
from jobqueue.state import JobState
from tests.faults.flows import TALKS, Flow
from tests.faults.flows_of_people import Insisting
from tests.soundness import assert_sound
from tests.support_faults import FaultyShare
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached


class Archive(Insisting):
    """A hierarchy with an array is archived; nodes: 0 talks, 1 is the array, 2 the root."""

    def set_up(self) -> None:
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=TALKS)
        root.createJobArray("code", over={"text": ["print('hello')", "result = 7", ""]}, chunk=2)
        self.job = root.activate()
        worker = self.worker()
        self.run(worker)
        self.open.remove(worker)
        worker.leave()

    def run(self, worker: Worker) -> None:
        worker.run_all()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.findJob("job1").archive()

    def has_died(self) -> None:
        """It can be read, whole, wherever it is by now."""
        queue = attached(self.queue_dir, QuickShare(9))
        job = queue.findJob("job1")
        first, array = job.listSubJobs()
        assert (first.result, first.statusLine) == ([1, b"2"], "there")
        assert first.state is JobState.FINISHED
        self.assert_array(array)
        assert job.state is array.state

    def assert_array(self, array: jobqueue.JobHandle) -> None:
        assert array.countItemsByState()[JobState.FINISHED] == 3
        assert array.item(1).result == 7
        printed = array.item(0).reader.printed(0)
        assert printed is not None
        assert printed.texts["stdout"] == b"hello\n"

    def finish(self) -> None:
        Flow.finish(self)
        self.has_died()
        self.assert_archived()

    def assert_archived(self) -> None:
        share, layout = self.store.share, self.store.layout
        if share.has(layout.dir, "job1"):
            # What a directory that would not go has left is still known.
            assert has_rest(self.store, 1)
            assert remove_rest(self.store, 1)
        assert share.names(layout.archives) == ["job1.zip"]
        assert not share.has(layout.dir, "job1")
        # What was left there by somebody who has died, and means nothing, goes when it is a day old.
        assert all(Entry.parse("trash", name) for name in share.names(layout.trash))
        assert all(name.startswith("job1.zip.") for name in share.names(layout.tmp))
        assert assert_sound(self.queue_dir) == {}
        assert self.queue.createJobRoot().activate().number == 2


class ArchiveAndCheck(Archive):
    """The same; after a death somebody has the queue repaired, and does not archive it again."""

    def repair(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        store = attached(self.queue_dir, share)._store_or_raise()
        begin()
        repair(store)
        # Either it was put back to what it was, or it was brought to its end.
        if store.index.find(1) is None:
            self.assert_archived()

    def finish(self) -> None:
        if self.store.index.find(1) is not None:
            self.queue.findJob("job1").archive()
        if not self.store.share.has(self.store.layout.dir, "job2"):
            self.assert_archived()
        self.has_died()


class ArchiveCancelled(Archive):
    """The same with a hierarchy that was cancelled, of which one job has finished."""

    def run(self, worker: Worker) -> None:
        worker.step()
        self.job.cancel()

    def assert_array(self, array: jobqueue.JobHandle) -> None:
        assert array.countItemsByState()[JobState.CANCELLED] == 3
        assert array.item(1).error == "cancelled"


class DeleteArchived(Archive):
    """An archived hierarchy is deleted."""

    def set_up(self) -> None:
        super().set_up()
        self.job.archive()

    def do(self, queue: jobqueue.JobQueue) -> None:
        queue.deleteJobs(queue.listArchivedJobs() or self.job)

    def has_died(self) -> None:
        if self.queue.listArchivedJobs():
            super().has_died()

    def finish(self) -> None:
        Flow.finish(self)
        share, layout = self.store.share, self.store.layout
        assert share.names(layout.archives) == share.names(layout.trash) == share.names(layout.tmp) == []
        assert assert_sound(self.queue_dir) == {}
        assert self.queue.createJobRoot().activate().number == 2
