"""What workers do with a job that has outputs while its share fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import jobqueue
from jobqueue import control
from jobqueue.names import WonToken
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from tests.faults.flows import Flow
from tests.faults.flows_of_workers import Run
from tests.support_faults import FaultyShare
from tests.support_worker import Worker

OLD, WHOLE = "the old file", "the whole new file"
# Two outputs in one directory and one in another; written in pieces, as a renderer does.
MAKES = """
for path in {paths!r}:
    with open(proc.output(path), "w") as file:
        for piece in ("the whole ", "new file"):
            file.write(piece)
            file.flush()
"""


class Published:
    """The final names of a job's outputs, beside the queue.

    Args:
        queue_dir: the queue.
    """

    def __init__(self, queue_dir: Path) -> None:
        self.folder = queue_dir.parent / f"{queue_dir.name}-out"
        (self.folder / "b").mkdir(parents=True)
        self.paths = [self.folder / name for name in ("1", "2", "b/1")]
        self.paths[0].write_text(OLD)

    @property
    def code(self) -> str:
        """What the job does."""
        return MAKES.format(paths=[str(path) for path in self.paths])

    def assert_whole_or_absent(self) -> None:
        texts = [path.read_text() if path.exists() else OLD for path in self.paths]
        assert set(texts) <= {OLD, WHOLE}, texts

    def assert_whole(self) -> None:
        assert [path.read_text() for path in self.paths] == [WHOLE] * 3


class RunWithOutputs(Run):
    """A worker runs a job with outputs, and the job that needs it."""

    def set_up(self) -> None:
        self.published = Published(self.queue_dir)
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=self.published.code)
        self.job = root.activate()

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        super().act(share, begin)
        self.published.assert_whole_or_absent()

    def has_died(self) -> None:
        self.published.assert_whole_or_absent()
        job = self.job.listSubJobs()[0]
        is_won = job.isFinished() or any(self.store.tokens.won_of(worker.name) for worker in self.dead)
        assert is_won or self.published.paths[0].read_text() == OLD

    def finish(self) -> None:
        for entry in self.store.index.folder("held"):
            control.release(self.store, entry.number)
        self.run_to_the_end()
        if self.dead:
            assert not list(self.published.folder.rglob(".jq-*"))
        error = str(self.job.listSubJobs()[0].error or "")
        if error:
            # No share answers so while an output is declared: what is noted and made there has a name of its own.
            assert "File exists" in error or "Directory not empty" in error or error.startswith("FileNotFoundError")
            self.published.assert_whole_or_absent()
            assert self.job.retry() == 1
        Flow.finish(self)
        self.published.assert_whole()
        assert self.job.listSubJobs()[0].outputs == [str(path) for path in self.published.paths]


class SettleOutputs(Flow):
    """A supervisor settles a job with outputs, whose slot has committed it and died."""

    def set_up(self) -> None:
        self.published = Published(self.queue_dir)
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=self.published.code)
        self.job = root.activate()
        self.winner = self.worker()
        self.mortal.append(self.winner)
        committed(self.winner)

    def act(self, share: FaultyShare, begin: Callable[[], None]) -> None:
        aftermath = Aftermath(Store(str(self.queue_dir), share), self.winner.name, self.winner.new_slot)
        begin()
        with contextlib.closing(Spool()) as spool:
            for _ in range(3):
                with self.trouble():
                    aftermath.clear({1}, Ending("died", "killed"), spool)
                self.published.assert_whole_or_absent()

    def has_died(self) -> None:
        self.published.assert_whole_or_absent()

    def finish(self) -> None:
        super().finish()
        self.published.assert_whole()
        assert self.job.listSubJobs()[0].attempt == 1
        assert not self.dead or not list(self.published.folder.rglob(".jq-*"))


class _Killed(BaseException):
    """The slot is killed right after its commit."""


def committed(worker: Worker) -> WonToken:
    """Runs the next job and dies when it is committed; the token."""

    def die(*_: object, **__: object) -> None:
        raise _Killed

    commit = worker.store.tokens.try_commit

    def commit_and_die(*arguments: object) -> None:
        assert commit(*arguments) is not None  # type: ignore[arg-type]
        die()

    worker.store.tokens.try_commit = commit_and_die  # type: ignore[method-assign,assignment]
    with contextlib.suppress(_Killed):
        worker.step()
    worker.store.tokens.try_commit = commit  # type: ignore[method-assign]
    (won,) = worker.store.tokens.won_of(worker.name)
    return won


def submit(queue: jobqueue.JobQueue, text: str) -> jobqueue.JobHandle:
    """A top-level job that does this."""
    return queue.createJobRoot("code", text=text).activate()
