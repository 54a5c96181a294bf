"""A job queue that is only a directory: any number of machines share it, no server, every change one atomic rename.

    queue = jobqueue.JobQueue("/share/queue")
    movie = queue.createJobRoot("command", cmd=["make-movie"])
    for frame in range(1, 101):
        movie.createJob("command", cmd=["render", str(frame)])
    movie.activate()

Any number of workers run it, sub-jobs first: ``runjobs /share/queue``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobqueue.errors import JobQueueError

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.item import ItemHandle
    from jobqueue.job import Job, JobRoot
    from jobqueue.proc import JobProc
    from jobqueue.queue import JobQueue, createJobQueue, defaultJobQueueLocation
    from jobqueue.state import JobState

__version__ = "0.1.0"
__all__ = [
    "ItemHandle",
    "Job",
    "JobHandle",
    "JobProc",
    "JobQueue",
    "JobQueueError",
    "JobRoot",
    "JobState",
    "createJobQueue",
    "defaultJobQueueLocation",
]

_HOMES = {
    "ItemHandle": "item",
    "Job": "job",
    "JobHandle": "handle",
    "JobProc": "proc",
    "JobQueue": "queue",
    "JobRoot": "job",
    "JobState": "state",
    "createJobQueue": "queue",
    "defaultJobQueueLocation": "queue",
}


def __getattr__(name: str) -> Any:
    # Late, so that `import jobqueue` costs little for a script that only wants to be a procedure.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
