"""Archiving a top-level job: all of it goes into one file, then its directory goes.

The order is what makes it safe. The archive is whole, lasts, and was read once, before it has its name. Once it has
that the entry goes, and from there on whoever looks for the job finds the archive. Only then is anything removed. So at
any moment the job is where it was, or in its archive, or in both; and whoever archives it again goes on from there.
"""

from __future__ import annotations

from contextlib import suppress

from jobqueue.archives import share_on
from jobqueue.control import raise_if_deleted
from jobqueue.errors import BrokenJobError, JobNotFoundError, JobQueueError, JobStateError, LostRaceError
from jobqueue.hierarchy import Hierarchy
from jobqueue.identity import host_name, user_name
from jobqueue.names import TOKEN_FOLDERS, Entry, base_name, parse_shard
from jobqueue.packed import Packed
from jobqueue.packing import Packing, Progress
from jobqueue.registry import owed
from jobqueue.removal import Removed, fence, has_rest, nobody_counts, remove_rest
from jobqueue.state import scan
from jobqueue.store import Store

_ROUNDS = 4


def _nobody_watches(_directories: int, _bytes: int, /) -> None:
    """Nobody wants to know how far it is."""


def archive(store: Store, number: int, packed: Progress = _nobody_watches, removed: Removed = nobody_counts) -> None:
    """Puts a top-level job that has ended into its archive, and removes its directory; may be repeated.

    Args:
        store: the queue.
        number: of the top-level job.
        packed: told how many directories were packed, and how many bytes.
        removed: told after each name that was removed.

    Raises:
        JobNotFoundError: there is no such job.
        JobStateError: it has not ended, or is archived already.
        BrokenJobError: its directory cannot be read.
        OSError: the share is full or in trouble. Where it is not archived by then, it is as it was.
    """
    for _ in range(_ROUNDS):
        entry = store.index.find(number)
        if entry is None:
            _go_on(store, number, removed)
            return
        _raise_if_open(store, entry)
        if _is_packed(store, entry) or _pack(store, entry, packed):
            finish(store, number, removed)
            return
    raise LostRaceError(f"the entry of job{number} moved at every try; try again", store.layout.index)


def finish(store: Store, number: int, removed: Removed = nobody_counts) -> None:
    """Removes what is left of a job that has its archive; whatever of this was done before.

    Order matters: nothing of the job may go before its archive has outlasted a power cut. CRASH: whoever gave that its
    name may have died before it did.
    """
    store.archives.make_last()
    store.index.discard(number)
    store.index.bury(number)
    # Nothing of it can come back any more. This is how what is deleted is removed, too, and may be done by two at once.
    fence(store, store.layout.job(number))
    remove_rest(store, number, removed=removed)


def _go_on(store: Store, number: int, removed: Removed) -> None:
    """CRASH: whoever has archived it may have died before its directory was gone."""
    if not store.archives.has(number):
        raise_if_deleted(store, number)
        raise JobStateError(f"job{number} is not in the index: it is being deleted, or was never published")
    # What cannot be read is no reason to remove anything.
    store.archives.open(number)
    if not has_rest(store, number):
        raise JobStateError(f"job{number} is archived already", store.layout.archive(number))
    finish(store, number, removed)


def _raise_if_open(store: Store, entry: Entry) -> None:
    job = store.layout.job(entry.number)
    name = f"job{entry.number}"
    if entry.folder != "done":
        reason = f"{name} has not ended, and only what has can be archived; wait for it, or `jobqueue cancel {name}`"
        raise JobStateError(reason, job.dir)
    if any(token.job == entry.number for _, _, token in owed(store)):
        raise JobStateError(f"something of {name} still runs; archive it when that has ended", job.dir)


def _is_packed(store: Store, entry: Entry) -> bool:
    """Whether a job that has an entry has its archive, too. CRASH: whoever made that died before he moved the entry.

    Raises:
        JobStateError: it is the archive of another course of the job.
    """
    packed = store.archives.open(entry.number)
    if packed is None:
        return False
    if holds_the_same(store, entry.number, packed):
        return True
    # RACE: somebody else archives the job, and is removing it by now. NFS: an entry that has gone can stay listed.
    if store.index.find(entry.number, lost=entry) != entry:
        return False
    reason = f"it holds another course of job{entry.number}, from before a backup was restored; rename it to keep both"
    raise JobStateError(reason, packed.path)


def raise_if_another(store: Store, number: int) -> None:
    """Raises JobStateError where a job that has an entry has an archive, too, of another course."""
    try:
        if store.archives.open(number) is None:
            return
    except BrokenJobError:
        # Where there is nothing else of the job, people may remove it as it is.
        if store.index.find(number) is None:
            return
        raise
    entry = store.index.find(number)
    if entry is not None:
        _is_packed(store, entry)


def holds_the_same(store: Store, number: int, packed: Packed) -> bool:
    """Whether an archive holds what a top-level job's directory holds: no two courses of a job have the same tokens."""
    job, share = store.layout.job(number), store.share

    def names(place: str) -> set[str]:
        return set(share.names_or_none(f"{job.tokens}/{place}") or ())

    def packed_names(place: str) -> set[str]:
        listing = packed.listing(f"{base_name(job.tokens)}/{place}")
        return set(listing.names) if listing else set()

    for folder in TOKEN_FOLDERS:
        there = names(folder)
        shards = [f"{folder}/{name}" for name in there if parse_shard(name)]
        if there != packed_names(folder) or any(names(shard) != packed_names(shard) for shard in shards):
            return False
    return True


def _pack(store: Store, entry: Entry, progress: Progress) -> bool:
    """Makes the archive and gives it its name; ``False`` if somebody has moved the entry meanwhile.

    RACE: others may archive the job, or delete it, at the same time. They begin to remove it after they have moved its
    entry. So the entry is moved once all was read: where that succeeds, the directory was whole until then.
    """
    share, number = store.share, entry.number
    draft = store.archives.new_draft(number)
    path = f"{store.layout.tmp}/{draft}"
    is_published = False
    try:
        try:
            _write(store, number, path, progress)
        except (OSError, JobQueueError):
            # What is being removed meanwhile is neither whole nor to be found.
            if store.index.find(number, lost=entry) == entry:
                raise
            return False
        if not store.index.try_confirm(entry):
            return False
        is_published = store.archives.publish(number, draft)
    finally:
        if not is_published:
            # A share that is away takes nothing back either; a draft means nothing.
            with suppress(OSError):
                share.try_unlink(path)
    if not is_published:
        raise JobNotFoundError(f"job{number} was deleted while it was archived", store.layout.dir)
    return True


def _write(store: Store, number: int, path: str, progress: Progress) -> None:
    """Packs a job, and looks whether its archive is what it should be."""
    # NFS: what was made in the tick of an earlier listing would be missing from ours.
    store.share.wait_a_tick(store.layout.dir)
    packing = Packing(store.share, store.layout.job(number), progress)
    packing.pack(path, f"{user_name()}@{host_name()}")
    _raise_if_incomplete(store, number, Packed(store.share, path))
    store.share.set_rights(path, packing.rights)


def _raise_if_incomplete(store: Store, number: int, packed: Packed) -> None:
    """Reads of the archive where each of its jobs stands, as readers will."""
    job = store.layout.job(number)
    seen_by = store.seen_by(share_on(packed, store.share, job))
    hierarchy = Hierarchy(seen_by.share, job.hierarchy)
    if not all(seen.has_ended for seen in scan(seen_by, job, hierarchy.count, hierarchy.arrays())):
        reason = f"something of job{number} has not ended; `jobqueue check` says what is wrong with it"
        raise JobStateError(reason, job.dir)
