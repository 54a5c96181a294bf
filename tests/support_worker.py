"""A worker without processes and threads, and queues that are attached by a share of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jobqueue
from jobqueue.attempt import Attempt
from jobqueue.chunk import ChunkAttempt
from jobqueue.hierarchy import Node
from jobqueue.names import RunningToken
from jobqueue.notes import Tally
from jobqueue.registry import Registration
from jobqueue.share import Share
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Lost
from jobqueue.worker.runner import Runner, Seat, Step
from tests.support import PROCS
from tests.support_share import QuickShare


def new_queue(location: Path) -> Path:
    """A queue with the procedures of `tests.support`."""
    jobqueue.createJobQueue(str(location))
    for name, text in PROCS.items():
        path = location / "procs" / f"{name}.py"
        path.write_text(text)
        path.chmod(0o644)
    return location


def attached(queue_dir: Path | str, share: Share) -> jobqueue.JobQueue:
    """A `JobQueue` that makes its calls by this share."""
    queue = jobqueue.JobQueue(None)
    queue._store = Store(str(queue_dir), share)
    return queue


class Worker:
    """A worker with one slot, all in the caller's thread: it beats only when told to.

    Args:
        queue_dir: the queue.
        share: to call with.
        name: what people call it.
    """

    def __init__(self, queue_dir: Path | str, share: Share | None = None, name: str = "worker") -> None:
        self.store = Store(str(queue_dir), share or QuickShare())
        self.registration = Registration(self.store, name, 1)
        self.name = self.registration.name
        self.slots = 1
        self.ran: list[str] = []
        self.lost: list[Lost] = []
        self._spool = Spool()
        self.aftermath = Aftermath(self.store, self.name, self.new_slot)
        self.runner = Runner(self.store, Seat(self.name, 1), self, self._spool)

    def step(self) -> Step:
        """One step of the runner; working directory and standard streams are afterwards what they were."""
        before = os.getcwd()
        try:
            with self._spool.captured():
                return self.runner.step()
        finally:
            os.chdir(before)

    def run_all(self) -> list[str]:
        """Runs until nothing is ready; the jobs that were run by this call."""
        already = len(self.ran)
        while self.step() is not Step.NOTHING:
            pass
        return self.ran[already:]

    def leave(self) -> bool:
        """Ends as a worker does, and leaves the queue; whether it owes nothing."""
        self.runner.leave()
        self._spool.close()
        return self.registration.leave()

    def die(self) -> None:
        """What the system does for a process that has died: closes what it had open."""
        self.runner._pen.close()
        self.registration.release_lock()
        self._spool.close()

    def began(self, attempt: Attempt, _node: Node, _timeout_s: float | None) -> None:
        self.ran.append(attempt.name)

    def waits(self, _is_waiting: bool) -> None:
        """Nobody counts the time."""

    def returned(self) -> None:
        """Nobody counts the time."""

    def ended(self, _attempt: Attempt, _record: dict[str, Any] | None) -> None:
        """Nobody wants to know."""

    def may_go_on(self) -> bool:
        return True

    def next_item(self, _attempt: ChunkAttempt, _item: int, _timeout_s: float | None) -> None:
        """Nobody counts the time."""

    def counted(self, _tally: Tally) -> None:
        """Nobody wants to know."""

    def chunk_ended(self, _attempt: ChunkAttempt, _tally: Tally) -> None:
        """Nobody wants to know."""

    def unblocked(self) -> None:
        """Nobody waits."""

    def superseded(self, token: RunningToken) -> None:
        self.lost.append(Lost(self.name, token.job, token.node, token.attempt))

    def new_slot(self) -> int:
        self.slots += 1
        return self.slots


@contextmanager
def worker_on(queue_dir: Path | str, share: Share | None = None, name: str = "worker") -> Iterator[Worker]:
    """A `Worker` that leaves at the end."""
    worker = Worker(queue_dir, share, name)
    try:
        yield worker
    finally:
        worker.leave()
