"""dirq: messages as files in directories, locked by hard links."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.base import POLL_S, Job, Peer, as_item, run_item

_PURGE_S = 10.0


class Dirq(Peer):
    """A QueueSimple, and a loop around it for each worker."""

    name = "dirq"
    package = "dirq"
    settings = (
        f"`QueueSimple` with a loop around `lock`, `get` and `remove` in W processes; an idle one looks every {POLL_S} "
        f"s, and calls `purge` every {_PURGE_S:g} s with its own limit for locks, 600 s."
    )
    is_file_based = True
    is_queue_alone = True
    lacks: ClassVar = {"hierarchy": "no dependencies"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from dirq.QueueSimple import QueueSimple

        self._queue = QueueSimple(str(folder / "queue"))

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self.launch_worker(sys.executable, "-m", "benchmarks.peers.dirq", self.folder / "queue")

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._queue.add(json.dumps(as_item(job)))

    def is_settled(self) -> bool:
        return not self._queue.count()

    def fate(self) -> str:
        return f"{self._queue.count()} message is locked, for 600 s"


def _work(path: str) -> None:
    from dirq.QueueSimple import QueueSimple

    queue = QueueSimple(path)
    purged_at = time.monotonic()
    while True:
        found = False
        for name in queue:
            if queue.lock(name):
                found = True
                run_item(json.loads(queue.get(name)))
                queue.remove(name)
        if not found:
            time.sleep(POLL_S)
            if time.monotonic() - purged_at > _PURGE_S:
                queue.purge()
                purged_at = time.monotonic()


if __name__ == "__main__":
    _work(sys.argv[1])
