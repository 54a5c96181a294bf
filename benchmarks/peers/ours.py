"""jobqueue, the project that this is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import jobqueue
from benchmarks.peers.base import POLL_S, Job, Peer

_PROCEDURE = """
from benchmarks import work
from jobqueue import JobProc

class {name}(JobProc):
    def __init__(self, args):
        self._args = args

    def run(self):
        work.{name}(*self._args)
"""


class Ours(Peer):
    """One `runjobs` with a slot for each worker; jobs are sub-jobs of one top-level job, published in one rename."""

    name = "jobqueue"
    package = "jobqueue"
    settings = (
        f"`runjobs --slots W --poll {POLL_S}`, everything else by default; a batch is one hierarchy, whose root does "
        "nothing. Commands: the procedure `command`. To be killed: two `runjobs` of one slot."
    )
    is_file_based = True
    has_commands = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._location = folder / "queue"
        jobqueue.createJobQueue(str(self._location))
        for name in ("noop", "busy", "parent", "gate", "victim"):
            (self._location / "procs" / f"{name}.py").write_text(_PROCEDURE.format(name=name))
        self._queue = jobqueue.JobQueue(str(self._location))
        self._handles: list[jobqueue.JobHandle] = []

    def start(self, workers: int) -> None:
        for _ in range(workers if self.is_to_be_killed else 1):
            slots = 1 if self.is_to_be_killed else workers
            self.launch_worker(
                sys.executable, "-m", "jobqueue.cli.runjobs", self._location,
                "--slots", str(slots), "--poll", str(POLL_S), "--quiet",
            )  # fmt: skip

    def submit(self, jobs: Sequence[Job]) -> None:
        if jobs[0].function in ("gate", "victim"):
            # Each by itself: there is to be no root that runs after them.
            self._handles = [self._queue.createJobRoot(job.function, args=list(job.args)).activate() for job in jobs]
        else:
            self._submit_below(self._queue.createJobRoot(), jobs)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        self._submit_below(self._queue.createJobRoot(parent.function, args=list(parent.args)), jobs)

    def _submit_below(self, root: jobqueue.JobRoot, jobs: Sequence[Job]) -> None:
        self._create(root, jobs)
        self._handles = [root.activate()]

    def _create(self, root: jobqueue.JobRoot, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.function == "true":
                root.createJob("command", cmd=["true"])
            else:
                root.createJob(job.function, args=list(job.args))

    def is_settled(self) -> bool:
        return all(handle.isFinished() for handle in self._handles)

    def fate(self) -> str:
        return f"the queue says that the job is {self._handles[-1].state.value}"


class OurArray(Ours):
    """The same with an array in place of single jobs."""

    name = "jobqueue array"
    settings = "As jobqueue; the batch is one array, `createJobArray(over=...)`, with `chunk` by default."

    def _create(self, root: jobqueue.JobRoot, jobs: Sequence[Job]) -> None:
        (function,) = {job.function for job in jobs}
        if function == "true":
            root.createJobArray("command", over={"cmd": [["true"]] * len(jobs)})
        else:
            root.createJobArray(function, over={"args": [list(job.args) for job in jobs]})
