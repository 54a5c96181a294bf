"""No queue at all: what the jobs alone take, divided between processes beforehand."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import work
from benchmarks.peers.base import Job, Peer


class Bare(Peer):
    """W processes, each with its part of the list."""

    name = "bare processes"
    package = "jobqueue"
    settings = "W processes, each of which calls its part of the jobs in a loop; commands with `posix_spawn`."
    has_warm_workers = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._count = 0

    def start(self, workers: int) -> None:
        self._count = workers

    def submit(self, jobs: Sequence[Job]) -> None:
        self.reap()
        for number in range(self._count):
            listed = self.folder / f"jobs{number}.json"
            listed.write_text(json.dumps(jobs[number :: self._count]))
            self.launch_worker(sys.executable, "-m", "benchmarks.peers.bare", listed)


def _work(listed: Path) -> None:
    work.stamp("loading")
    for function, args in json.loads(listed.read_text()):
        if function == "true":
            _, status = os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)
            if status:
                sys.exit(f"true has ended with {status}")
            work.noop(*args)
        else:
            work.FUNCTIONS[function](*args)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
