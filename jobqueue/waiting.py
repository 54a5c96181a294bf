"""Waiting until jobs have come to an end, looking now and then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from jobqueue import control
from jobqueue.errors import BrokenJobError, JobNotFoundError
from jobqueue.handle import JobHandle, reader_of
from jobqueue.state import JobState, Summary, summary_of

_FIRST_S = 0.2
_LONGEST_S = 2.0
_GROWTH = 1.3


class Outcome(Enum):
    """How a job and all that it depends on stand, for one who waits."""

    OPEN = "open"
    """It goes on, or can."""
    FINISHED = "finished"
    """It has succeeded."""
    STALLED = "stalled"
    """Something of it has failed, and nothing is ready or running any more."""
    CANCELLED = "cancelled"
    """It was cancelled."""
    DELETED = "deleted"
    """It is not there any more."""


class View(NamedTuple):
    """One look at a job.

    Attributes:
        job: the job.
        outcome: how it stands.
        total: how many jobs it is, with all that it depends on; 0 once it is deleted.
        finished: how many of them have succeeded.
        running: how many run.
        failed: the numbers in post-order (see `Node`) of those that have failed, or of which items have.
        failures: how many have failed; each item of an array counts as a job here, as in ``total``.
    """

    job: JobHandle
    outcome: Outcome
    total: int = 0
    finished: int = 0
    running: int = 0
    failed: Sequence[int] = ()
    failures: int = 0


def look(job: JobHandle) -> View:
    """How a job and all that it depends on stand.

    Raises:
        BrokenJobError: its directory cannot be read.
    """
    try:
        summary, nodes = _summarize(job)
    except (JobNotFoundError, BrokenJobError, FileNotFoundError):
        try:
            control.raise_if_deleted(reader_of(job).queue, reader_of(job).number)
        except JobNotFoundError:
            return View(job, Outcome.DELETED)
        raise
    counts = summary.counts
    failed = summary.failed if nodes is None else [nodes[at] for at in summary.failed]
    outcome, finished, running = _outcome(summary), counts[JobState.FINISHED], counts[JobState.RUNNING]
    return View(job, outcome, summary.total, finished, running, failed, counts[JobState.FAILED])


def _summarize(job: JobHandle) -> tuple[Summary, list[int] | None]:
    """The summary, and which nodes it is about; ``None``: all of the hierarchy."""
    reader = reader_of(job)
    if not reader.place:
        return reader.summary(), None
    nodes = sorted(reader.with_descendants())
    first = reader.scan()
    summary = summary_of([first[node] for node in nodes])
    # RACE: as in `summarize`: what is stalled shows the same tokens twice.
    if summary.is_stalled and reader.scan() != first:
        summary = summary._replace(is_stalled=False)
    return summary, nodes


def _outcome(summary: Summary) -> Outcome:
    if summary.is_good:
        return Outcome.FINISHED
    if summary.has_ended:
        return Outcome.CANCELLED
    return Outcome.STALLED if summary.is_stalled else Outcome.OPEN


def wait_for(
    jobs: Sequence[JobHandle], *, timeout_s: float | None, on_look: Callable[[list[View]], None]
) -> list[View]:
    """Waits until none of several jobs can go on, or the time is up.

    Args:
        jobs: one or more.
        timeout_s: seconds, 0 or more; ``None`` for ever.
        on_look: told after every look how all of them stand.

    Returns:
        How they stand; one that is ``OPEN`` has been timed out.
    """
    clock = reader_of(jobs[0]).store.share.clock
    deadline = None if timeout_s is None else clock.monotonic() + timeout_s
    pause_s = _FIRST_S
    views = [View(job, Outcome.OPEN) for job in jobs]
    while True:
        # One that has come to its end is looked at no more: a retry of a stalled job is not this waiter's.
        views = [look(view.job) if view.outcome is Outcome.OPEN else view for view in views]
        on_look(views)
        if all(view.outcome is not Outcome.OPEN for view in views):
            return views
        if deadline is not None:
            left_s = deadline - clock.monotonic()
            if left_s <= 0:
                return views
            pause_s = min(pause_s, left_s)
        clock.sleep(pause_s)
        pause_s = min(_LONGEST_S, pause_s * _GROWTH)
