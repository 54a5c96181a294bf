"""The audit: looks until what it has seen is certain, and repairs until nothing is left that it can mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from jobqueue.check.archives import find_in_archives
from jobqueue.check.arrays import find_in_arrays
from jobqueue.check.entries import find_in_directory, find_in_entries, find_in_queue
from jobqueue.check.finding import Finding
from jobqueue.check.latches import find_in_latches
from jobqueue.check.leftovers import find_leftovers
from jobqueue.check.look import JobLook, Look
from jobqueue.check.records import find_in_records
from jobqueue.check.standing import find_asleep, find_not_done, find_open_under_done
from jobqueue.check.tokens import find_lost, find_taken_back, find_too_many
from jobqueue.errors import JobQueueError
from jobqueue.store import Store

# What is seen has to be seen so often in a row, with the same evidence. In a queue where nothing moves that is enough;
# where things move, other suspicions come up and go, and so often is looked at most.
_LOOKS, _MAX_LOOKS = 3, 8
_PAUSE_S = 0.5
# Each round mends what the round before has brought to light: a token made, then its latch, then its entry.
_ROUNDS = 12

# Each finder takes a look at the queue, or at one job, and yields what it finds in it.
_QUEUE = (find_in_queue, find_in_archives, find_leftovers)
# In this order: a later one judges the job as it will be when what an earlier one has found is mended.
_JOB = (
    find_in_entries, find_in_directory, find_too_many, find_lost, find_in_arrays, find_taken_back, find_not_done,
    find_open_under_done, find_in_latches, find_asleep, find_in_records,
)  # fmt: skip
Progress = Callable[[int, int], None]


class Report(NamedTuple):
    """What an audit has come to.

    Attributes:
        found: findings and notes, in the order of the jobs; of a repair all that any of its rounds has found.
        left: those that are still there.
        jobs: how many top-level jobs were looked at.
    """

    found: list[Finding]
    left: list[Finding]
    jobs: int

    @property
    def is_sound(self) -> bool:
        return all(finding.is_note for finding in self.left)


def _no_progress(_done: int, _total: int, /) -> None:
    """Nobody watches."""


def examine(look: Look, progress: Progress = _no_progress) -> list[Finding]:
    """All that one look shows; what moves at the moment may look wrong in it.

    Args:
        look: at the queue.
        progress: told how many jobs were looked into, and of how many.
    """
    found = [finding for find in _QUEUE for finding in find(look)]
    flying = set(look.in_flight()).difference(look.numbers) if look.is_whole else set()
    numbers = sorted({*look.numbers, *flying})
    for done, number in enumerate(numbers):
        progress(done, len(numbers))
        found += find_in_job(JobLook(look, number))
    progress(len(numbers), len(numbers))
    return found


def find_in_job(job: JobLook) -> Iterator[Finding]:
    """What is wrong with one top-level job, also what will come to light when something else of it is mended."""
    is_later = False
    for find in _JOB:
        found = list(find(job))
        yield from (replace(finding, is_later=True) for finding in found) if is_later else found
        if job.entry is None or not job.is_there or (job.broken and find is find_in_directory):
            # There is nothing, or nothing that can be read, for the others to judge.
            return
        is_later = is_later or any(finding.cure for finding in found)


def audit(store: Store, progress: Progress = _no_progress) -> Report:
    """Finds what is wrong in a queue, at rest or beside living workers; changes nothing.

    RACE: a queue moves while it is looked at, and one look shows things that never were. What is wrong stays as it is,
    so it is believed when several looks have shown it with the same names: a name is never used twice.

    Args:
        store: the queue.
        progress: told how many jobs were looked into, and of how many.

    Raises:
        OSError: the share is in trouble.
    """
    look = Look(store)
    jobs = len(look.numbers)
    counts: dict[object, int] = {}
    found: list[Finding] = []
    for nth in range(_MAX_LOOKS):
        if nth:
            store.share.clock.sleep(_PAUSE_S)
            look = Look(store, {finding.number for finding in found if finding.number is not None})
        found = examine(look, _no_progress if nth else progress)
        counts = {finding.key: counts.get(finding.key, 0) + 1 for finding in found}
        if all(count >= _LOOKS for count in counts.values()):
            break
    certain = [finding for finding in found if counts[finding.key] >= _LOOKS]
    return Report(certain, certain, jobs)


def repair(store: Store, progress: Progress = _no_progress) -> Report:
    """Mends what can be mended, until a look finds nothing more of that.

    CRASH: every single change is one of the protocol's moves or a move to trash/, and what it leaves undone the next
    repair finds. RACE: living workers go on beside it.

    Args:
        store: the queue.
        progress: as for `audit`.

    Raises:
        OSError: the share is in trouble; to be called again.
    """
    found: dict[object, Finding] = {}
    report = audit(store, progress)
    before: set[object] = set()
    refused: PermissionError | None = None
    for _ in range(_ROUNDS):
        found.update((finding.told, finding) for finding in report.found)
        # What was judged by a repair that may lose its race has to be seen before anything is done about it.
        todo = {finding.key: finding.cure for finding in report.found if finding.cure and not finding.is_later}
        if todo.keys() <= before:
            # Nothing, or nothing that the last round could mend.
            break
        before = set(todo)
        for cure in todo.values():
            # RACE: the job was moved or deleted since we looked; what it is now the next round sees.
            with suppress(JobQueueError, FileNotFoundError, NotADirectoryError):
                try:
                    cure.mend(store)
                except PermissionError as error:
                    # That one must not keep the others from being mended.
                    refused = refused or error
        report = audit(store, progress)
    if refused is not None:
        raise refused
    return Report(list(found.values()), report.left, report.jobs)
