"""RQ, on a Redis that the benchmark starts for itself."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Job, Peer, tool

# A worker looks for what others have left between two waits for a job, which end 15 s before its time to live.
_OFTEN = ("--worker-ttl", "20", "--maintenance-interval", "5", "--job-monitoring-interval", "5")


def run(function: str, args: Sequence[int]) -> None:
    """The job, as its workers import it."""
    Job(function, tuple(args)).call()


class Rq(Peer):
    """A worker process for each worker, and Redis on a socket of its own."""

    name = "RQ"
    package = "rq"
    settings = (
        "Redis on a Unix socket, without persistence (`save ''`, `appendonly no`); submitted with `enqueue_many` (one "
        "pipeline), `result_ttl=0`; W `rq worker -w rq.worker.SimpleWorker`, which does not fork for each job. To be "
        f"killed: the forking worker, `{' '.join(_OFTEN)}`, and jobs with `Retry(max=3)`."
    )

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("redis-server") else "the program redis-server (Debian's package redis-server)"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import redis
        from rq import Queue

        socket = folder / "redis.sock"
        arguments = ("--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder)
        self._server: subprocess.Popen[bytes] = self.launch("redis-server", *arguments)
        self._url = f"unix://{socket}"
        self._redis = redis.Redis.from_url(self._url)
        self._wait_for_server(redis.ConnectionError)
        self._queue = Queue("bench", connection=self._redis)

    def _wait_for_server(self, refused: type[Exception]) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                self._redis.ping()
            except refused:
                if time.monotonic() > until or self._server.poll() is not None:
                    raise
                time.sleep(0.01)
            else:
                return

    def start(self, workers: int) -> None:
        kind = "rq.worker.Worker" if self.is_to_be_killed else "rq.worker.SimpleWorker"
        often = _OFTEN if self.is_to_be_killed else ()
        for _ in range(workers):
            self.launch_worker(tool("rq"), "worker", "-q", "-w", kind, "-u", self._url, *often, "bench")

    def submit(self, jobs: Sequence[Job]) -> None:
        self._enqueue(jobs, result_ttl=0)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        # They are kept: a job that another one depends on has to be there when that is about to run.
        made = self._enqueue(jobs)
        self._queue.enqueue(run, parent.function, parent.args, depends_on=made)

    def _enqueue(self, jobs: Sequence[Job], **settings: int) -> list[Any]:
        from rq import Queue, Retry

        retry = Retry(max=3) if self.is_to_be_killed else None
        made: list[Any] = self._queue.enqueue_many(
            [Queue.prepare_data(run, (job.function, job.args), retry=retry, **settings) for job in jobs]
        )
        return made

    def is_settled(self) -> bool:
        return not self._queue.count and not self._queue.started_job_registry.count

    def fate(self) -> str:
        queue = self._queue
        return (
            f"{queue.count} jobs queued, {queue.started_job_registry.count} started, {queue.failed_job_registry.count} "
            "failed"
        )

    def stop(self) -> None:
        super().stop()
        self._server.terminate()
        self._server.wait()
