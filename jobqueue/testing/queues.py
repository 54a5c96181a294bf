"""Queues that go away again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from jobqueue.queue import JobQueue, createJobQueue
from jobqueue.share import Share


@contextmanager
def temporary_queue(procs: Mapping[str, str] | None = None) -> Iterator[JobQueue]:
    """A new queue in a directory of its own, which is removed at the end.

    Args:
        procs: for each procedure that procs/ is to hold its name and its source.

    Returns:
        The queue; ``while queue.runNextAvailableJob(): pass`` runs what was submitted to it.

    Raises:
        OSError: it cannot be made.

    Files:
        Makes a directory where the system has its temporary files.
    """
    with TemporaryDirectory(prefix="jobqueue-") as directory:
        createJobQueue(directory)
        queue = JobQueue(directory)
        for name, source in (procs or {}).items():
            Share().write_new(f"{directory}/procs/{name}.py", source.encode("utf-8"), sync=False)
        yield queue
