"""What is done to a queue while its share fails: each flow sets the stage, acts, and brings the work to its end."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import jobqueue
from jobqueue.errors import JobQueueError
from jobqueue.names import RunningToken
from jobqueue.pace import Pace
from jobqueue.registry import worker_names
from jobqueue.worker.caretaker import Caretaker
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_faults import FaultyShare
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached

FAILS_FIRST = "if proc.runningDir.endswith('attempt1'): raise RuntimeError('not yet')"
# In so many beats the backstop comes round to each of a few jobs.
_BEATS = 40
TALKS = "proc.stdout.write('hello'); proc.setStatusLine('there'); result = [1, b'2']"


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
        # Those of them that die with whoever acts, and those that have.
        self.mortal: list[Worker] = []
        self.dead: list[Worker] = []
        self.set_up()

    def set_up(self) -> None:  # noqa: B027  most flows need nothing there
        """What lies there before."""

    @abstractmethod
    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        """Does it by a share that fails; ``begin`` is called where failing may begin."""

    def die(self, share: FaultyShare) -> None:
        """Does what the system does when the process that used a share has died."""
        for worker in [worker for worker in self.open if worker.store.share is share or worker in self.mortal]:
            self.open.remove(worker)
            self.dead.append(worker)
            worker.die()
        share.bury()

    def has_died(self) -> None:  # noqa: B027  most flows have nothing more to ask
        """Asserts what holds between a death and the repair, beyond the invariants."""

    def repair(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        """After a death: another worker, on this share, sweeps what the dead have left, and tests what waits."""
        living = self.worker(share)
        begin()
        for name in set(worker_names(living.store)) - {worker.name for worker in self.open}:
            assert sweep(living.store, living.aftermath, name, "killed"), f"{name} still owes something"
            assert not (self.queue_dir / "workers" / name).exists()
        caretaker = Caretaker(living.store, living.name, living.aftermath, Pace(living.store.config))
        for _ in range(_BEATS):
            caretaker.beaten(may_look=False)

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
