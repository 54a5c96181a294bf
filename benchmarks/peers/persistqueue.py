"""persist-queue: queues in a file of SQLite, for threads; here, as for all, the workers are processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.base import POLL_S, Job, Peer, as_item, run_item


def _queue(folder: Path) -> Any:
    from persistqueue import SQLiteAckQueue

    return SQLiteAckQueue(str(folder), multithreading=True, timeout=60.0)


class PersistQueue(Peer):
    """An SQLiteAckQueue, and a loop around it for each worker."""

    name = "persist-queue"
    package = "persist-queue"
    settings = (
        f"`SQLiteAckQueue(multithreading=True, timeout=60)` in W processes with a loop around `get`, `ack` and, every "
        f"100 jobs, `clear_acked_data`; an idle one looks every {POLL_S} s. It is made for threads of one process."
    )
    is_file_based = True
    is_queue_alone = True
    lacks: ClassVar = {"hierarchy": "no dependencies"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = folder / "queue"
        self._path.mkdir()
        self._queue = _queue(self._path)

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self.launch_worker(sys.executable, "-m", "benchmarks.peers.persistqueue", self._path)

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._queue.put(as_item(job))

    def is_settled(self) -> bool:
        return not self._queue._count() and not self._queue.unack_count()

    def fate(self) -> str:
        return f"{self._queue.unack_count()} job is not acknowledged"


def _work(path: Path) -> None:
    from persistqueue import Empty

    queue = _queue(path)
    acknowledged = 0
    while True:
        try:
            item = queue.get(block=False)
        except Empty:
            time.sleep(POLL_S)
            continue
        run_item(item)
        queue.ack(item)
        acknowledged += 1
        if acknowledged % 100 == 0:
            queue.clear_acked_data(keep_latest=0)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
