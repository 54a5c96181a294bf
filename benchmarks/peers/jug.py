"""jug: workers that load the same script, and lock its tasks in a directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Job, Peer, tool

_SCRIPT = """
from benchmarks import work
work.stamp("loading")
import json
from jug import Task
from benchmarks.peers.jug import tasks
tasks(json.load(open({jobs!r})))
"""


def tasks(batch: list[tuple[str, list[int]]]) -> None:
    """Makes the tasks of one script; called by it. The last one depends on the others if it is a parent."""
    from jug import Task

    from benchmarks import work

    made: list[Any] = []
    for name, args in batch:
        function = work.FUNCTIONS[name]
        made.append(Task(_after, name, args, list(made)) if name == "parent" else Task(function, *args))


def _after(name: str, args: list[int], _results: list[None]) -> None:
    from benchmarks import work

    work.FUNCTIONS[name](*args)


class Jug(Peer):
    """`jug execute`, a process for each worker; there is nobody who waits for work, so each batch starts its own."""

    name = "jug"
    package = "jug"
    settings = (
        "W processes `jug execute` on one file store; `--wait-cycle-time 0.01`. Its workers load the whole list of "
        "tasks and end with it, so that loading counts as submitting, and the start of Python does not. To be killed: "
        "the store `file_keepalive:`, which is there to notice it."
    )
    is_file_based = True
    has_warm_workers = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._batches = 0
        self._count = 0
        self._store = folder / "store"

    def start(self, workers: int) -> None:
        self._count = workers
        if self._batches:
            self._execute(workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        self.reap()
        self._batches += 1
        batch = [(job.function, list(job.args)) for job in jobs]
        listed = self.folder / f"jobs{self._batches}.json"
        listed.write_text(json.dumps(batch))
        self._script.write_text(_SCRIPT.format(jobs=str(listed)))
        self._execute(self._count)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        self.submit([*jobs, parent])

    def _execute(self, workers: int) -> None:
        prefix = "file_keepalive:" if self.is_to_be_killed else ""
        for _ in range(workers):
            self.launch_worker(
                tool("jug"), "execute", self._script, f"--jugdir={prefix}{self._store}",
                "--wait-cycle-time", "0.01", "--nr-wait-cycles", "1000000", "--will-cite",
            )  # fmt: skip

    @property
    def _script(self) -> Path:
        return self.folder / f"script{self._batches}.py"

    def is_settled(self) -> bool:
        return not list((self._store / "locks").iterdir())

    def fate(self) -> str:
        return f"{len(list((self._store / 'locks').iterdir()))} lock file is still there"
