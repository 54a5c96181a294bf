"""huey, with its queue in files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import POLL_S, Job, Peer, tool

_VARIABLE = "JOBQUEUE_BENCH_HUEY"


def instance() -> Any:
    """The queue with its task, for the consumer and for us."""
    from huey import FileHuey

    found = FileHuey(path=os.environ[_VARIABLE], results=False)

    def run(function: str, args: tuple[int, ...], *_results: Any) -> None:
        Job(function, args).call()

    found.run = found.task(name="run")(run)
    return found


class Huey(Peer):
    """FileHuey with a consumer whose workers are processes."""

    name = "huey"
    package = "huey"
    settings = (
        f"`FileHuey(results=False)`; `huey_consumer -k process -w W -d {POLL_S} -m {POLL_S} -n -q`. To be killed: two "
        "consumers of one worker. Its source says that this storage is not for production."
    )
    is_file_based = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._env = {_VARIABLE: str(folder / "queue")}
        (folder / "queue").mkdir()
        os.environ.update(self._env)
        self._huey = instance()

    def start(self, workers: int) -> None:
        for _ in range(workers if self.is_to_be_killed else 1):
            self.launch_worker(
                tool("huey_consumer"), "benchmarks.peers.huey.consumed", "-k", "process",
                "-w", str(1 if self.is_to_be_killed else workers), "-d", str(POLL_S), "-m", str(POLL_S), "-n", "-q",
                env=self._env,
            )  # fmt: skip

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._huey.run(job.function, job.args)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        from huey import chord

        self._huey.enqueue(chord([self._huey.run.s(*job) for job in jobs], self._huey.run.s(*parent)))

    def is_settled(self) -> bool:
        return not self._huey.pending_count()

    def fate(self) -> str:
        return f"{self._huey.pending_count()} jobs are in the queue: it is lost"


if _VARIABLE in os.environ:
    # The consumer imports its instance by name.
    consumed = instance()
