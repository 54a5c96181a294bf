"""Queues that hold many jobs, made fast: by the queue's own moves, on a share that does not wait for the disk."""

from __future__ import annotations

from pathlib import Path

import jobqueue
from jobqueue.hierarchy import Hierarchy
from jobqueue.journal import Journal
from jobqueue.layout import JobLayout
from jobqueue.names import Entry, Token
from jobqueue.registry import Registration
from jobqueue.store import Store
from tests.support_share import QuickShare

# What lies about in a full queue.
FINISHED, STALLED = 10_000, 1_000
_SLOT = 1


class Maker:
    """Fills a queue, as a submitter and a worker would that wait for nothing and run no procedures.

    Args:
        queue_dir: the queue.
    """

    def __init__(self, queue_dir: Path) -> None:
        self._store = Store(str(queue_dir), QuickShare())
        self.queue = jobqueue.JobQueue(None)
        self.queue._store = self._store

    def leave_lying_about(self, *, finished: int, stalled: int) -> None:
        """Fills the queue with top-level jobs that nobody looks at any more.

        Args:
            finished: how many have succeeded; of one job each.
            stalled: how many wait for a sub-job that has failed.
        """
        worker = Registration(self._store, "maker", _SLOT)
        # Whoever settles a failure lists done/, so these come first.
        for _ in range(stalled):
            number = self._submit(sub_jobs=1)
            self._end(worker.name, number, 0, ok=False)
            assert self._store.index.try_park(Entry("runnable", 0, number, 0), lambda: True)
        for _ in range(finished):
            number = self._submit(sub_jobs=0)
            self._end(worker.name, number, 0, ok=True)
        assert worker.leave()

    def _submit(self, *, sub_jobs: int) -> int:
        root = self.queue.createJobRoot("noop")
        for _ in range(sub_jobs):
            root.createJob("noop")
        return root.activate().number

    def _end(self, worker: str, number: int, node: int, *, ok: bool) -> None:
        """Claims a job, writes its record, commits and settles it."""
        job, tokens = self._store.layout.job(number), self._store.tokens
        running = tokens.try_claim(job, Token(node, 0, 0, 0), worker, _SLOT)
        assert running is not None
        won = tokens.try_commit(running, worker, _SLOT, self._record(job, worker, node, ok=ok))
        assert won is not None
        tokens.settle(won, worker, Hierarchy(self._store.share, job.hierarchy).node(node), ok=ok)

    def _record(self, job: JobLayout, worker: str, node: int, *, ok: bool) -> int:
        now = self._store.share.clock.now()
        record = {"event": "end", "node": node, "attempt": 1, "ok": ok, "start": now, "end": now}
        said = {"result": None} if ok else {"error": "it was made to fail", "traceback": ""}
        journal = Journal(self._store.share, job, worker, _SLOT)
        try:
            return journal.append({**record, "progress": 0.0, "status": "", **said}, sync=False)
        finally:
            journal.close()
