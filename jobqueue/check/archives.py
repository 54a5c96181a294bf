"""Findings about archives, and about jobs that are archived and still in the queue."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jobqueue.archiving import finish, holds_the_same
from jobqueue.check.finding import Cure, Finding
from jobqueue.check.look import JobLook, Look
from jobqueue.errors import BrokenJobError
from jobqueue.store import Store


def find_in_archives(look: Look) -> Iterator[Finding]:
    """Archives whose index cannot be read whole. What is in the files is not looked at: `unzip -t` does that."""
    for number in sorted(look.archived if look.is_whole else look.archived.intersection(look.numbers)):
        try:
            why = _why_broken(look.store, number)
        except PermissionError as error:
            path = look.store.layout.archive(number)
            says = f"its archive is not for this user to read ({error.strerror}); who has made it can check it"
            yield Finding("archive-closed", number, f"job{number}", path, says, is_note=True)
            continue
        if why is not None:
            path = look.store.layout.archive(number)
            yield Finding("archive-broken", number, f"job{number}", path, why, (why,))


def _why_broken(store: Store, number: int) -> str | None:
    try:
        packed = store.archives.open(number)
        if packed is None:
            # It was deleted.
            return None
        for _ in packed.listings():
            pass
    except BrokenJobError as error:
        return error.reason
    return None if packed.top.number == number else f"this is the archive of job{packed.top.number}"


def find_beside_archive(job: JobLook) -> Iterator[Finding]:
    """A job that has an archive, and a directory or an entry as well.

    CRASH: whoever archived it has died; or he is at work, and then doing the same beside him harms nothing.
    """
    if job.entry is None and not job.is_there:
        return
    try:
        if _why_broken(job.look.store, job.number) is not None:
            # Whatever is still in the queue may be all that there is.
            return
    except PermissionError:
        # It is told already.
        return
    path = job.files.dir
    if _is_archived(job):
        is_flying = any(place.worker for place in job.places)
        says = "the job is archived, and is being removed from the queue"
        says += "; something of it is still in flight" if is_flying else ""
        cure = None if is_flying else Cure("what is left of it there is removed", partial(_finish, job.number))
        yield Finding("archiving", job.number, f"job{job.number}", path, says, cure=cure, is_note=True)
    else:
        says = "the job has an archive, of another course than is in the queue; one of the two is from a backup"
        says += f"; rename {job.look.store.layout.archive(job.number)} to keep both"
        yield Finding("archived-twice", job.number, f"job{job.number}", path, says)


def _is_archived(job: JobLook) -> bool:
    """Whether a job that has an archive is not needed in the queue any more."""
    if job.entry is None or not job.is_there:
        return True
    store = job.look.store
    packed = store.archives.open(job.number)
    return job.entry.folder == "done" and packed is not None and holds_the_same(store, job.number, packed)


def _finish(number: int, store: Store) -> None:
    # RACE: it may have been deleted since.
    if store.archives.open(number) is not None:
        finish(store, number)
