"""Removes the directory of a top-level job that has no entry any more: what is deleted, and what was archived."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobqueue.errors import BrokenJobError
from jobqueue.hierarchy import Hierarchy
from jobqueue.layout import JobLayout
from jobqueue.names import HIERARCHY, OUTPUTS, Entry, Token, base_name
from jobqueue.outputs import clear_noted
from jobqueue.registry import owed
from jobqueue.share import Removal
from jobqueue.store import Store

_ROUNDS = 100
# Told after each name that was removed.
Removed = Callable[[], None]


def nobody_counts() -> None:
    """Nobody wants to know how far it is."""


def fence(store: Store, job: JobLayout) -> None:
    """Empties and removes ready/ and blocked/ of a job that is being deleted, for good.

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
            # CRASH: were they back after a power cut, what was removed since would seem to run (`raise_if_going`).
            _make_last(store, job.tokens)
            return
        for folder in folders:
            # NFS: a token can be hidden from all listings of this host, until it asks afresh.
            with suppress(FileNotFoundError, NotADirectoryError):
                store.share.names_afresh(folder)
    raise OSError(f"{job.dir}: its tokens moved at every try; delete it again")


def _is_fenced(store: Store, folder: str) -> bool:
    """Removes a folder if it is empty; whether no token can be moved into it any more."""
    try:
        return store.share.remove_dir(folder) is not Removal.NOT_EMPTY
    except NotADirectoryError:
        # The job is broken: a file has taken its place, or that of what it lies in. It goes with the rest.
        return True


def remove_rest(store: Store, number: int, *, until: float | None = None, removed: Removed = nobody_counts) -> bool:
    """Removes the directory of a job without an entry, unless something of it still runs; whether nothing is left.

    Args:
        store: the queue.
        number: of the top-level job.
        until: by `Clock.monotonic`; then it stops, and goes on where it is called again.
        removed: told before it begins, and after each name that was removed.

    CRASH: what is left is reached by nobody; the entry in trash/ says that it is to go.
    """
    job = store.layout.job(number)
    if any(token.job == number for _, _, token in owed(store)):
        return False
    removed()
    names = store.share.own_names(job.dir)
    if names is None:
        # It is missing, or there is a file in its place, or a link, behind which nothing is ours.
        store.share.try_unlink(job.dir)
    clear = _OutputsOfTheDeleted(store, job).clear
    # Order matters: the tokens are first, so that whoever reads of the job meanwhile notices (`raise_if_going`).
    tokens = base_name(job.tokens)
    for name in sorted(names or (), key=lambda name: name != tokens):
        if name not in (".waits", HIERARCHY):
            store.share.remove_tree(f"{job.dir}/{name}", found=clear, until=until, removed=removed)
            if name == tokens:
                # CRASH: nor may they be back when what they stand for is not.
                _make_last(store, job.dir)
            if until is not None and store.share.clock.monotonic() >= until:
                return False
    if HIERARCHY in (names or ()):
        # Order matters: the hierarchy says whose notes of outputs are to be believed.
        _remove_file(store, job.hierarchy)
    # Last, since a settler that is late takes a missing latch for an empty one.
    store.share.remove_tree(job.waits, until=until)
    if store.share.remove_dir(job.dir) is Removal.NOT_EMPTY:
        return False
    _clear_trash(store, number)
    return True


def _clear_trash(store: Store, number: int) -> None:
    """Removes what says that something of a job is to go."""
    for name in store.share.names(store.layout.trash):
        entry = Entry.parse("trash", name)
        if (entry and entry.number == number) or name.startswith(f"{number}."):
            _remove_file(store, f"{store.layout.trash}/{name}")


def _make_last(store: Store, directory: str) -> None:
    """Makes what was removed from a directory outlast a power cut; of a broken job there may be none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        store.share.sync_dir(directory)


def has_rest(store: Store, number: int) -> bool:
    """Whether anything is left of a job that has no entry."""
    if store.share.has(store.layout.dir, f"job{number}"):
        return True
    entries = (Entry.parse("trash", name) for name in store.share.names_or_none(store.layout.trash) or ())
    return any(entry is not None and entry.number == number for entry in entries)


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
