"""Findings about a top-level job as a whole: does its entry say what its tokens say?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jobqueue.check.finding import Cure, Finding
from jobqueue.check.look import JobLook
from jobqueue.layout import JobLayout
from jobqueue.store import Store

_ENDED = ("finished", "cancelled")


def find_not_done(job: JobLook) -> Iterator[Finding]:
    """A job that has ended, and that everybody would look at for ever."""
    assert job.entry is not None
    # Cancelling begins with the entry, so what is cancelled shows that somebody wanted that of all of it.
    ends = [job.by_node[-1][0]] + [places[0] for places in job.by_node if places[0].folder == "cancelled"]
    if ends[-1].folder in _ENDED and job.entry.folder != "done":
        what = "the top-level job is" if len(ends) == 1 else "jobs of it are"
        says = f"{what} {ends[-1].folder}, and its entry is in {job.entry.folder}/"
        cure = Cure("the entry goes to done/", partial(_done, job.number))
        yield _finding(job, "not-done", says, (ends[-1].name,), cure)
        job.assume_entry(job.entry.moved("done"))


def find_open_under_done(job: JobLook) -> Iterator[Finding]:
    """Jobs that wait in a hierarchy that nobody looks at any more."""
    assert job.entry is not None
    opens = sorted(places[0].name for places in job.by_node if places[0].folder in ("blocked", "ready"))
    if job.entry.folder == "done" and opens:
        yield _open_under_done(job, opens)


def find_asleep(job: JobLook) -> Iterator[Finding]:
    """Jobs that are ready, and that nobody looks for."""
    assert job.entry is not None
    # Whoever makes a job ready in a repair wakes it, too.
    ready = sorted(
        places[0].name
        for node, places in enumerate(job.by_node)
        if places[0].folder == "ready" and node not in job.assumed
    )
    if job.entry.folder == "waiting" and ready and not any(place.folder == "won" for place in job.places):
        # RACE: who makes a job ready wakes its entry next; what is in somebody's won/ shows that he is still at it.
        says = "jobs are ready, and the entry is in waiting/, where nobody looks"
        yield _finding(job, "not-woken", says, (ready[0],), Cure("the entry is woken", partial(_wake, job.number)))


def _finding(job: JobLook, kind: str, says: str, evidence: tuple[str, ...], cure: Cure) -> Finding:
    assert job.entry is not None
    # The path is evidence, too: each move gives the entry another one.
    path = f"{job.look.store.layout.index_folder(job.entry.folder)}/{job.entry.name}"
    return Finding(kind, job.number, f"job{job.number}", path, says, evidence, cure)


def _open_under_done(job: JobLook, opens: list[str]) -> Finding:
    """CRASH: somebody died while he cancelled it. RACE: or he is at work, and then these become fewer."""
    says = f"the entry is in done/, and {len(opens)} of its jobs still wait"
    assert job.entry is not None
    is_cancelled = job.states[-1] in _ENDED or "cancelled" in job.states
    if is_cancelled:
        cure = Cure("they are cancelled", partial(_cancel, job.files))
    else:
        # Of a cancel that has died this early nobody was told; of a submission somebody was.
        says += "; nothing of it was cancelled"
        cure = Cure("the entry goes to runnable/", partial(_revive, job.number))
    finding = _finding(job, "open-under-done", says, tuple(opens), cure)
    if not is_cancelled:
        job.assume_entry(job.entry.moved("runnable"))
    return finding


def _done(number: int, store: Store) -> None:
    store.index.put(number, "done")


def _wake(number: int, store: Store) -> None:
    store.index.wake(number)


def _cancel(files: JobLayout, store: Store) -> None:
    store.tokens.cancel_waiting(files)


def _revive(number: int, store: Store) -> None:
    store.index.put(number, "runnable", among=("done", "runnable"))
