"""What people do to queued jobs: fail, retry, cancel, hold, release, prefer, delete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from jobqueue.errors import BrokenJobError, JobNotFoundError, JobQueueError, JobStateError
from jobqueue.hierarchy import Hierarchy
from jobqueue.identity import host_name, new_name, user_name
from jobqueue.journal import Journal
from jobqueue.layout import HIERARCHY, OUTPUTS, ClosedToken, Entry, JobLayout, RunningToken, Span, Token
from jobqueue.options import check_option
from jobqueue.outputs import clear_noted
from jobqueue.registry import owed, send_request
from jobqueue.share import NO_ROOM, Removal
from jobqueue.state import JobState, look_up
from jobqueue.store import Store

_ROUNDS = 100


def raise_if_deleted(store: Store, number: int) -> None:
    """Raises `JobNotFoundError` if a top-level job has neither a directory nor an entry."""
    if _is_gone(store, number):
        raise JobNotFoundError(
            f"there is no job{number}; it may have been deleted, `jobqueue list` shows what there is", store.layout.dir
        )


def _is_gone(store: Store, number: int) -> bool:
    # An entry without a directory is a broken job, whose directory somebody has removed by hand.
    return not store.share.has(store.layout.dir, f"job{number}") and store.index.find(number) is None


def fail(store: Store, number: int, node: int, name: str) -> None:
    """Makes a job fail that waits, and tells the worker of one that runs.

    Raises:
        JobStateError: it has ended.
    """
    job = store.layout.job(number)
    who = f"{user_name()}@{host_name()}"
    for _ in range(_ROUNDS):
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
        JobStateError: it is done.
    """
    raise_if_deleted(store, number)
    job = store.layout.job(number)
    entry = store.index.find(number)
    if entry is None or entry.folder == "done":
        raise JobStateError(f"job{number} is done, so nothing of it can be tried again; submit it anew", job.dir)
    if entry.folder == "waiting":
        # CRASH: an earlier retry may have moved tokens and not have woken the job.
        store.tokens.resume(job)
    else:
        # CRASH: or it has not even made them ready; and the job was woken since, by whatever else became ready of it.
        store.tokens.finish_retries(job)
    return job


def retry_items(store: Store, number: int, node: int, items: Collection[int], named: Callable[[Span], str]) -> int:
    """Some items of an array that have failed become ready again; how many.

    Args:
        store: the queue.
        number: of the top-level job.
        node: the array.
        items: by their places.
        named: what people call some of them.

    Raises:
        JobStateError: one of them has not failed, or has failed in a chunk with others, or the top-level job is done.
    """
    job = _open_for_retry(store, number)
    found = [
        (place, token) for place, token in store.pieces.closed(job, "failed", node) if _wanted(token, items, named)
    ]
    missing = set(items).difference(*(range(token.span.start, token.span.end) for _, token in found if token.span))
    if missing:
        name = named(Span(min(missing), min(missing) + 1))
        raise JobStateError(f"{name} has not failed; only what has failed can be tried again", job.dir)
    return _retry_pieces(store, job, found)


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
    store.index.put(number, "held", among=("runnable", "waiting", "held"))


def release(store: Store, number: int) -> None:
    """Takes a hold back; a hierarchy that is not held stays as it is.

    Raises:
        JobStateError: it has ended.
    """
    store.index.put(number, "runnable", among=("held", "waiting"))


def set_priority(store: Store, number: int, priority: int) -> None:
    """Gives a hierarchy another priority (-499..500).

    Raises:
        OptionError: it is out of its range.
    """
    check_option("priority", priority)
    store.index.set_priority(number, priority)


def delete(store: Store, number: int) -> bool:
    """Deletes a top-level job; ``False`` if it was gone already.

    When this returns nobody can take anything of it up any more, and attempts under way are being ended. What a running
    attempt still holds is removed by its worker when it has ended.

    Raises:
        OSError: it cannot be deleted.
    """
    job = store.layout.job(number)
    if _is_gone(store, number):
        return False
    # Order matters, for each step is what makes the next one safe: no entry, so that nobody begins to look; no ready/
    # and no blocked/, so that no token can come back; only then does anything go that a settler may still read.
    store.index.discard(number)
    store.index.bury(number)
    fence(store, job)
    ask_to_end(store, number, "delete")
    remove_rest(store, number)
    return True


def fence(store: Store, job: JobLayout) -> None:
    """Empties and removes ready/ and blocked/ of a job that is being deleted.

    RACE: rmdir fails as long as a token is in there, and no token can be moved into a directory that is gone.
    """
    folders = (job.blocked, job.ready)
    for _ in range(_ROUNDS):
        store.tokens.cancel_waiting(job)
        for folder in folders:
            for name in store.share.names_or_none(folder) or ():
                # What is no token would keep the folder, and is to go with the job anyway.
                if Token.parse(name) is None:
                    store.share.remove_tree(f"{folder}/{name}")
        if all(_is_fenced(store, folder) for folder in folders):
            return
    raise OSError(f"{job.dir}: its tokens moved at every try; delete it again")


def _is_fenced(store: Store, folder: str) -> bool:
    """Removes a folder if it is empty; whether no token can be moved into it any more."""
    try:
        return store.share.remove_dir(folder) is not Removal.NOT_EMPTY
    except NotADirectoryError:
        # The job is broken: a file has taken its place, or that of what it lies in. It goes with the rest.
        return True


def remove_rest(store: Store, number: int, *, until: float | None = None) -> bool:
    """Removes the directory of a deleted job, unless something of it still runs; whether nothing is left.

    Args:
        store: the queue.
        number: of the top-level job.
        until: by `Clock.monotonic`; then it stops, and goes on where it is called again.

    CRASH: what is left is reached by nobody; the entry in trash/ says that it is to go.
    """
    job = store.layout.job(number)
    if any(token.job == number for _, _, token in owed(store)):
        return False
    names = store.share.own_names(job.dir)
    if names is None:
        # It is missing, or there is a file in its place, or a link, behind which nothing is ours.
        store.share.try_unlink(job.dir)
    clear = _OutputsOfTheDeleted(store, job).clear
    for name in names or ():
        if name not in (".waits", HIERARCHY):
            store.share.remove_tree(f"{job.dir}/{name}", found=clear, until=until)
            if until is not None and store.share.clock.monotonic() >= until:
                return False
    if HIERARCHY in (names or ()):
        # Order matters: the hierarchy says whose notes of outputs are to be believed.
        _remove_file(store, job.hierarchy)
    # Last, since a settler that is late takes a missing latch for an empty one.
    store.share.remove_tree(job.waits, until=until)
    gone = store.share.remove_dir(job.dir) is not Removal.NOT_EMPTY
    if gone:
        for name in store.share.names(store.layout.trash):
            entry = Entry.parse("trash", name)
            if (entry and entry.number == number) or name.startswith(f"{number}."):
                store.share.remove_tree(f"{store.layout.trash}/{name}")
    return gone


def _remove_file(store: Store, path: str) -> None:
    try:
        store.share.try_unlink(path)
    except (IsADirectoryError, PermissionError):
        # Source: unlink(2); POSIX has EPERM for a directory.
        store.share.remove_tree(path)


class _OutputsOfTheDeleted:
    """Removes what attempts of a deleted job have left beside the final names of outputs, as far as that goes.

    Costs nothing where nothing was declared: the notes are seen in the listings that the removal makes anyway.

    Args:
        store: the queue.
        job: the top-level job.
    """

    def __init__(self, store: Store, job: JobLayout) -> None:
        self._store = store
        self._job = job
        self._nodes: dict[str, int] | None = None

    def clear(self, directory: str, names: list[str]) -> None:
        """To be called with each directory of the job, before its files are removed.

        Order matters: after the notes are gone nothing names what they name. CRASH: what is not removed yet is done by
        whoever deletes the rest.
        """
        attempt = self._job.parse_attempt(directory) if OUTPUTS in names else None
        node = self._node(attempt[0]) if attempt else None
        if attempt and node is not None:
            share, log, number = self._store.share, self._store.log, self._job.number
            clear_noted(share, log, f"{directory}/{OUTPUTS}", number, node, attempt[1])

    def _node(self, place: str) -> int | None:
        if self._nodes is None:
            try:
                hierarchy = Hierarchy(self._store.share, self._job.hierarchy)
                self._nodes = {node.place: node.node for node in hierarchy.nodes()}
            except (BrokenJobError, OSError) as error:
                self._store.log.info("%s; what attempts have left beside their outputs is left there.", error)
                self._nodes = {}
        return self._nodes.get(place)
