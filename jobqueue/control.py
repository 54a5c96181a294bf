"""What people do to queued jobs: fail, retry, cancel, hold, release, prefer, delete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from jobqueue.errors import JobNotFoundError, JobQueueError, JobStateError
from jobqueue.hierarchy import Hierarchy
from jobqueue.identity import host_name, new_name, user_name
from jobqueue.journal import Journal
from jobqueue.layout import JobLayout
from jobqueue.names import ClosedToken, RunningToken, Span, Token
from jobqueue.options import check_option
from jobqueue.registry import owed, read_info, send_request, worker_names
from jobqueue.removal import Removed, fence, nobody_counts, remove_rest
from jobqueue.share import NO_ROOM
from jobqueue.state import JobState, look_up
from jobqueue.store import Store

_ROUNDS = 100


def raise_if_deleted(store: Store, number: int) -> None:
    """Raises `JobNotFoundError` if a top-level job has neither a directory nor an entry, nor an archive."""
    if _is_gone(store, number):
        raise JobNotFoundError(
            f"there is no job{number}; it may have been deleted, `jobqueue list` shows what there is", store.layout.dir
        )


def _is_gone(store: Store, number: int) -> bool:
    # An entry without a directory is a broken job, whose directory somebody has removed by hand.
    if store.share.has(store.layout.dir, f"job{number}") or store.index.find(number) is not None:
        return False
    return not store.archives.has(number)


def raise_if_archived(store: Store, number: int, done: str) -> None:
    """Raises `JobStateError` if a top-level job is archived; to be called where it has no entry.

    Args:
        store: the queue.
        number: of the top-level job.
        done: what cannot be done to it any more: "held", say.
    """
    if store.archives.has(number):
        reason = f"job{number} is archived, so nothing of it can be {done}; it can be looked at, and deleted"
        raise JobStateError(reason, store.layout.archive(number))


@contextmanager
def _where_it_is_queued(store: Store, number: int, done: str) -> Iterator[None]:
    """Says of a job that has no entry that it is archived, if it is."""
    try:
        yield
    except JobNotFoundError:
        raise_if_archived(store, number, done)
        raise


def fail(store: Store, number: int, node: int, name: str) -> None:
    """Makes a job fail that waits, and tells the worker of one that runs.

    Raises:
        JobStateError: it has ended.
    """
    job = store.layout.job(number)
    who = f"{user_name()}@{host_name()}"
    for _ in range(_ROUNDS):
        with _where_it_is_queued(store, number, "made to fail"):
            seen = look_up(store, job, node)
        if seen.has_ended:
            raise JobStateError(f"{name} is {seen.state.value} already, so it cannot be made to fail", job.dir)
        if seen.state is JobState.RUNNING:
            request = {"action": "fail", "job": number, "node": node, "by": who}
            if seen.worker is not None and send_request(store, seen.worker, request):
                return
        elif isinstance(seen.token, Token) and _fail_waiting(store, job, seen.state, seen.token, who):
            return
    raise JobQueueError(f"{name} moved at every try; try again", job.dir)


def _fail_waiting(store: Store, job: JobLayout, state: JobState, token: Token, who: str) -> bool:
    writer = new_name("user", store.share.chance)
    journal = Journal(store.share, job, writer, 0)
    now = store.share.clock.now()
    record = {
        "event": "end", "node": token.node, "attempt": token.attempt, "ok": False, "start": None, "end": now,
        "progress": 0.0, "status": "", "ending": "fail", "traceback": "",
        "error": f"made to fail by {who} before it began",
    }  # fmt: skip
    try:
        offset = journal.append(record, sync=True)
        return store.tokens.fail_waiting(job, state.value, token, writer, offset)
    except OSError as error:
        # Only where the share says that it took nothing is it certain that no token names this record.
        if error.errno in NO_ROOM:
            store.share.try_unlink(journal.path)
        raise
    finally:
        journal.close()


def retry(store: Store, number: int, nodes: Collection[int] | None) -> int:
    """Failed jobs become ready again; how many.

    Args:
        store: the queue.
        number: of the top-level job.
        nodes: which of its jobs; ``None`` for every one that has failed.

    Raises:
        JobStateError: one of ``nodes`` has not failed, or the top-level job was cancelled.
    """
    job = _open_for_retry(store, number)
    names = store.share.names_or_none(job.failed) or ()
    failed = {closed.node: closed for name in names if (closed := ClosedToken.parse(name))}
    hierarchy = Hierarchy(store.share, job.hierarchy)
    arrays = {
        node: list(store.pieces.closed(job, "failed", node))
        for node in hierarchy.arrays()
        if nodes is None or node in nodes
    }
    wanted = sorted(failed) if nodes is None else [node for node in nodes if node not in arrays]
    for node in wanted:
        if node not in failed:
            state = look_up(store, job, node).state.value
            raise JobStateError(f"this job is {state}, only a failed one can be tried again", job.dir)
    if nodes is not None and any(not pieces for pieces in arrays.values()):
        raise JobStateError("no item of this array has failed, so nothing of it can be tried again", job.dir)
    tried = sum(_retry_pieces(store, job, pieces) for pieces in arrays.values())
    return tried + sum(
        store.tokens.retry(job, failed[node], has_children=bool(hierarchy.node(node).children)) for node in wanted
    )


def _open_for_retry(store: Store, number: int) -> JobLayout:
    """A top-level job of which something may be tried again; what an earlier try has left undone is done first.

    Raises:
        JobStateError: it is done, or archived.
    """
    raise_if_deleted(store, number)
    job = store.layout.job(number)
    entry = store.index.find(number)
    if entry is None:
        raise_if_archived(store, number, "tried again")
    if entry is None or entry.folder == "done":
        raise JobStateError(f"job{number} is done, so nothing of it can be tried again; submit it anew", job.dir)
    if entry.folder == "waiting":
        # CRASH: an earlier retry may have moved tokens and not have woken the job.
        store.tokens.resume(job)
    else:
        # CRASH: or it has not even made them ready; and the job was woken since, by whatever else became ready of it.
        store.tokens.finish_retries(job)
    return job


def retry_items(store: Store, number: int, node: int, items: Iterable[int], named: Callable[[Span], str]) -> int:
    """Some items of an array that have failed become ready again; how many.

    Args:
        store: the queue.
        number: of the top-level job.
        node: the array.
        items: by their places; taken up to the first one that has not failed.
        named: what people call some of them.

    Raises:
        JobStateError: one of them has not failed, or has failed in a chunk with others, or the top-level job is done.
    """
    job = _open_for_retry(store, number)
    failed = list(store.pieces.closed(job, "failed", node))
    retriable = {item for _, token in failed if token.span for item in range(token.span.start, token.span.end)}
    wanted = set()
    for item in items:
        if item not in retriable:
            name = named(Span(item, item + 1))
            raise JobStateError(f"{name} has not failed; only what has failed can be tried again", job.dir)
        wanted.add(item)
    return _retry_pieces(store, job, [(place, token) for place, token in failed if _wanted(token, wanted, named)])


def _retry_pieces(store: Store, job: JobLayout, pieces: Iterable[tuple[str, ClosedToken]]) -> int:
    """How many items are tried again."""
    return sum(token.span.size for place, token in pieces if token.span and store.pieces.retry(job, place, token))


def _wanted(token: ClosedToken, items: Collection[int], named: Callable[[Span], str]) -> bool:
    """Whether a failed token stands for some of these items, and for no others."""
    assert token.span is not None
    among = [item in items for item in range(token.span.start, token.span.end)]
    if any(among) and not all(among):
        raise JobStateError(f"{named(token.span)} have run as one chunk, and failed; try all of them")
    return all(among)


def cancel(store: Store, number: int) -> None:
    """Ends a hierarchy: its entry is done, its waiting jobs are cancelled, its running ones are asked to end.

    Raises:
        JobStateError: it has ended already.
    """
    job = store.layout.job(number)
    # Order matters: from here nobody takes up anything of it, nor wakes it.
    entry = store.index.find(number)
    # CRASH: a cancel that died after this step left tokens behind it, and can be repeated.
    if entry is not None and entry.folder == "done" and not _has_open(store, job):
        raise JobStateError(f"job{number} has ended already", job.dir)
    with _where_it_is_queued(store, number, "cancelled"):
        store.index.put(number, "done")
    store.tokens.cancel_waiting(job)
    ask_to_end(store, number, "cancel")
    # RACE: a slot that had listed the job's tokens before may have claimed one, and a dead slot's token may have been
    # given back, after our first round.
    store.tokens.cancel_waiting(job)
    store.tokens.cancel_failed(job)


def _has_open(store: Store, job: JobLayout) -> bool:
    """Whether there is anything left to cancel."""
    counts = store.tokens.counts(job)
    if counts["blocked"] or counts["ready"] or counts["failed"]:
        return True
    return any(token.job == job.number and type(token) is RunningToken for _, _, token in owed(store))


def ask_to_end(store: Store, number: int, action: str) -> int:
    """Asks every worker that runs something of a top-level job to end it; how many were asked.

    Of a job that is deleted also those that settle something: the rest is theirs to remove.
    """
    who = f"{user_name()}@{host_name()}"
    in_flight = [(files.worker, token) for files, _, token in owed(store) if token.job == number]
    workers = {worker for worker, token in in_flight if action == "delete" or type(token) is RunningToken}
    request = {"action": action, "job": number, "node": None, "by": who}
    return sum(send_request(store, worker, request) for worker in sorted(workers))


def hold(store: Store, number: int) -> None:
    """Keeps workers from beginning anything of a hierarchy.

    Raises:
        JobStateError: it has ended.
    """
    with _where_it_is_queued(store, number, "held"):
        store.index.put(number, "held", among=("runnable", "waiting", "held"))


def release(store: Store, number: int) -> None:
    """Takes a hold back; a hierarchy that is not held stays as it is.

    Raises:
        JobStateError: it has ended.
    """
    with _where_it_is_queued(store, number, "released"):
        store.index.put(number, "runnable", among=("held", "waiting"))


def set_priority(store: Store, number: int, priority: int) -> None:
    """Gives a hierarchy another priority (-499..500).

    Raises:
        OptionError: it is out of its range.
    """
    check_option("priority", priority)
    with _where_it_is_queued(store, number, "given a priority"):
        store.index.set_priority(number, priority)


def delete(store: Store, number: int, removed: Removed = nobody_counts) -> bool:
    """Deletes a top-level job, from the queue or from the archives; ``False`` if it was gone already.

    When this returns nobody can take anything of it up any more, and attempts under way are being ended. What a running
    attempt still holds is removed by its worker when it has ended.

    Args:
        store: the queue.
        number: of the top-level job.
        removed: told after each name that was removed; the first time nobody can take up anything any more.

    Raises:
        JobStateError: it has an archive, too, of another course than is in the queue, which would go with it.
        BrokenJobError: the same, and the archive cannot be read.
        OSError: it cannot be deleted.
    """
    from jobqueue.archiving import raise_if_another  # late: most deletions are of jobs without an archive

    job = store.layout.job(number)
    if _is_gone(store, number):
        return False
    raise_if_another(store, number)
    # Order matters, for each step is what makes the next one safe: no entry, so that nobody begins to look; no ready/
    # and no blocked/, so that no token can come back; only then does anything go that a settler may still read.
    store.index.discard(number)
    store.index.bury(number)
    # RACE: whoever archives it has seen it with an entry, or never gives his archive its name.
    store.archives.remove(number)
    fence(store, job)
    ask_to_end(store, number, "delete")
    remove_rest(store, number, removed=removed)
    return True


def hand_on(store: Store, number: int) -> str | None:
    """Leaves the rest of a job that was deleted to a worker, which removes some of it after each beat; to which one.

    Should that one be dead, whoever sweeps it takes it over.
    """
    request = {"action": "delete", "job": number, "node": None, "by": f"{user_name()}@{host_name()}"}
    for worker in worker_names(store):
        if read_info(store, worker) is not None and send_request(store, worker, request):
            return worker
    return None
