"""HyperQueue, by its Python package: each task is a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks import work
from benchmarks.peers.base import Job, Peer


class HyperQueue(Peer):
    """A LocalCluster: server and workers are threads of this process, tasks are processes."""

    name = "HyperQueue"
    package = "hyperqueue"
    settings = (
        "`LocalCluster` with W workers of one core, all in the submitter's process, as the package has it; a no-op is "
        "the program `true`, the least that it can run, without files for `stdout` and `stderr`. As with jobqueue, a "
        "batch ends with a job that depends on all others: its own `wait_for_jobs` looks once a second. Executions are "
        "counted in a run of its own, with a line of shell."
    )
    counts = False
    has_commands = True
    lacks: ClassVar = {"kill": "the package's workers live in the server's process"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from hyperqueue import LocalCluster

        self._cluster = LocalCluster(str(folder / "server"))
        self._client = self._cluster.client()
        self._ended = Path(os.environ[work.VARIABLE]) / "ended"
        self._submitted = 0

    def start(self, workers: int) -> None:
        from hyperqueue.cluster import WorkerConfig

        for _ in range(workers):
            self._cluster.start_worker(WorkerConfig(cores=1))

    def submit(self, jobs: Sequence[Job]) -> None:
        from hyperqueue import Job as Batch

        batch = Batch()
        made = [batch.program(_arguments(job), stdout=None, stderr=None) for job in jobs]
        batch.program(_line(jobs[0], "ended"), stdout=None, stderr=None, deps=made)
        self._client.submit(batch)
        self._submitted += 1

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:  # noqa: ARG002 - each batch ends with one
        self.submit(jobs)

    def is_settled(self) -> bool:
        return self._ended.exists() and self._ended.stat().st_size == self._submitted * work.LINE_BYTES

    def stop(self) -> None:
        self._cluster.stop()


def _arguments(job: Job) -> list[str]:
    if job.function == "gate":
        return _line(job, "arrived", f'exec flock --shared "${work.VARIABLE}/gate" true')
    return _line(job, "tally") if job.function == "counted" else ["true"]


def _line(job: Job, name: str, then: str = "") -> list[str]:
    """A line of shell that appends the job's number to a file, as the functions of `benchmarks.work` do."""
    return ["sh", "-c", f'echo {job.args[0]:07d} >> "${work.VARIABLE}/{name}"; {then}']
