"""Fixtures for the tests of real workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import Queue, Worker, is_alive, runjobs_after, until


@pytest.fixture
def q(queue_dir: Path) -> Queue:
    """A new queue whose workers look into their inboxes often."""
    queue = Queue(queue_dir)
    queue.configure("beat = 0.2")
    return queue


@pytest.fixture
def start(queue_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    """Starts workers; after the test nothing of them is left, neither slots nor commands.

    ``after``: a piece of Python that is executed in the worker's process first.
    """
    # It makes Python, and the C library with it, write at once what is to be caught here in a buffer.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    workers: list[Worker] = []

    def start_one(*arguments: str, after: str = "") -> Worker:
        log = tmp_path / f"worker{len(workers)}.log"
        arguments = ("--poll", "0.1", *arguments)
        process = runjobs_after(after, queue_dir, log, *arguments) if after else None
        workers.append(Worker(queue_dir, log, *arguments, process=process))
        return workers[-1]

    yield start_one
    slots = [slot for worker in workers if worker.process.poll() is None for slot in worker.slots()]
    for worker in workers:
        worker.end_at_once()
    until(lambda: not any(map(is_alive, slots)), "the slots of killed workers are gone")
