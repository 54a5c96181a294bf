"""dask.distributed: a scheduler in memory, and workers that it talks with."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Job, Peer, tool


def run(function: str, args: tuple[int, ...], *_others: Any) -> None:
    """The job, as its workers import it."""
    Job(function, args).call()


class Dask(Peer):
    """`dask scheduler` and a `dask worker` for each worker."""

    name = "dask.distributed"
    package = "distributed"
    settings = (
        "`dask scheduler --no-dashboard` and W `dask worker --nthreads 1 --no-dashboard` as processes of their own; "
        "`Client.map(pure=False)`, `wait`. Its state is in memory."
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from distributed import Client

        self._contact = folder / "scheduler.json"
        self._server: subprocess.Popen[bytes] = self.launch(
            tool("dask"), "scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0",
            "--scheduler-file", self._contact,
        )  # fmt: skip
        until = time.monotonic() + 30
        while not self._contact.exists():
            if time.monotonic() > until or self._server.poll() is not None:
                raise TimeoutError(self.words())
            time.sleep(0.01)
        self._client = Client(scheduler_file=str(self._contact), set_as_default=True)
        self._futures: list[Any] = []

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self.launch_worker(
                tool("dask"), "worker", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1",
                "--local-directory", self.folder, "--scheduler-file", self._contact,
            )  # fmt: skip
        self._client.wait_for_workers(workers, timeout=60)

    def submit(self, jobs: Sequence[Job]) -> None:
        functions = [job.function for job in jobs]
        self._futures = self._client.map(run, functions, [job.args for job in jobs], pure=False)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        self.submit(jobs)
        self._futures = [self._client.submit(run, parent.function, parent.args, self._futures, pure=False)]

    def is_settled(self) -> bool:
        from distributed import wait

        wait(self._futures, timeout=60)
        return True

    def fate(self) -> str:
        return f"the future is {self._futures[-1].status}"

    def stop(self) -> None:
        self._client.close()
        super().stop()
        self._server.terminate()
        self._server.wait()
