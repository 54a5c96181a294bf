"""What the shell offers for the name of a job or a queue."""

from __future__ import annotations

import os
from typing import Any

from jobqueue.errors import JobQueueError
from jobqueue.names import QUEUE_VARIABLE, parse_job_number
from jobqueue.reader import JobReader
from jobqueue.store import Store


def directories(prefix: str, **_: Any) -> list[str]:
    """The directories that a queue's name can go on with."""
    from argcomplete.completers import DirectoriesCompleter

    return list(DirectoriesCompleter()(prefix))


def jobs(prefix: str, parsed_args: Any, **_: Any) -> list[str]:
    """The jobs that a name can go on with: top-level ones, after a slash the sub-jobs one level below.

    Completion is silent where there is no queue, or it cannot be read.
    """
    location = getattr(parsed_args, "queue", None) or os.environ.get(QUEUE_VARIABLE)
    if not location:
        return []
    try:
        store = Store(location)
        top, slash, below = prefix.partition("/")
        if not slash:
            queued = [f"job{entry.number}" for entry in store.index.all()]
            found = [name for name in queued if name.startswith(prefix)]
            # There may be very many in the archive, and most often another one is meant.
            archived = () if found else (f"job{number}" for number in store.archives.numbers())
            return found or [name for name in archived if name.startswith(prefix)]
        number = parse_job_number(top)
        return [] if number is None else _sub_jobs(store, number, below)
    except (JobQueueError, OSError):
        return []


def _sub_jobs(store: Store, number: int, below: str) -> list[str]:
    found: dict[str, None] = {}
    for node in JobReader(store, number, None, "").hierarchy().nodes():
        if node.place and node.place.startswith(below):
            rest = node.place[len(below) :].partition("/")[0]
            # A flat sub-job lies in .jobs/, which is no job itself.
            whole = node.place if node.place.startswith(".jobs/") else below + rest
            found[f"job{number}/{whole}"] = None
    return list(found)
