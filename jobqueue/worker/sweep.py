"""Sweeping a dead worker: what it has committed is settled, what it ran is given back, and its folder is taken away.

That it is dead is never certain. So it is fenced first, and all that it may do meanwhile is either found here or fails:

- `fenced` tells it, should it live, to end what it runs and to come again under another name;
- what it claims still lands in its running/, until that is removed, and is given back like the rest;
- what it commits before it is given back is settled; after that its commit fails, and changes nothing;
- `rmdir` of the two folders is what closes the door: it succeeds only when they are empty, and nothing can be moved
  into a folder that is gone. (Renaming its whole folder would not do: a late move follows a renamed directory.)

Two may sweep the same worker at once, and a sweep that died is done again from the beginning by whoever comes next.
"""

from __future__ import annotations

import json
from contextlib import suppress

from jobqueue.layout import WorkerLayout
from jobqueue.names import Duty, RunningToken, WonToken, base_name
from jobqueue.registry import send_request
from jobqueue.removal import remove_rest
from jobqueue.share import Removal
from jobqueue.store import Store
from jobqueue.trouble import Troubles
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.inbox import REMOVAL_S
from jobqueue.worker.settling import settle_from_record

_KEPT = ("running", "won", "inbox", "fenced")


def sweep(store: Store, aftermath: Aftermath, worker: str, why: str) -> bool:
    """Settles all that a dead worker owed, and removes its folder; may be repeated.

    Args:
        store: the queue.
        aftermath: of the worker that sweeps.
        worker: who is dead.
        why: it is taken for dead, in words.

    Returns:
        Whether nothing is left of it.

    Raises:
        OSError: the share is in trouble; what could be done was done, call again.
        JobQueueError: the same.
    """
    files = store.layout.worker(worker)
    try:
        store.share.create(files.fenced)
    except FileNotFoundError:
        # Somebody else has swept it.
        return True
    # Should it live, it finds out at its next beat, and looks for `fenced`.
    store.share.try_unlink(files.beat)
    ending = Ending("died", f"its worker {worker} has died: {why}")
    before: list[str] | None = None
    while True:
        troubles = Troubles()
        with troubles.kept():
            _settle(store, worker)
        for token in store.tokens.running_of(worker):
            with troubles.kept():
                aftermath.end(worker, token, ending)
        with troubles.kept():
            aftermath.settle_own()
        # Order matters: nothing is removed while anything is owed.
        troubles.raise_first()
        # Order matters: what it commits meanwhile goes from running/ to won/, so the former is closed first.
        if store.share.remove_dir(files.running) is not Removal.NOT_EMPTY:
            # RACE: should it live, it closes chunks, and believes that its duties are noted. So they are taken from it
            # only when it can close nothing that is not seen here.
            _settle(store, worker)
            store.pieces.do_duties(worker)
            if store.share.remove_dir(files.won) is not Removal.NOT_EMPTY:
                return _remove_rest(store, files, aftermath.worker)
        left = _left(store, files)
        if left == before:
            # What moves nowhere belongs to a job that is broken, and keeps no other one back.
            store.pieces.do_duties(worker)
            store.log.warning("Worker %s is dead and still owes %s; trying again.", worker, ", ".join(left))
            return False
        before = left


def _settle(store: Store, worker: str) -> None:
    """Settles all that it has committed, as far as that goes."""
    troubles = Troubles()
    for won in store.tokens.won_of(worker):
        with troubles.kept():
            settle_from_record(store, worker, won)
    troubles.raise_first()


def _left(store: Store, files: WorkerLayout) -> list[str]:
    """The tokens that are still there; whatever else lies there would keep the folders for ever, and goes."""
    left = []
    for folder, parse in ((files.running, RunningToken.parse), (files.won, WonToken.parse)):
        for name in sorted(store.share.names_or_none(folder) or ()):
            if parse(name) or Duty.parse(name):
                left.append(f"{base_name(folder)}/{name}")
            else:
                _remove(store, f"{folder}/{name}")
    return left


def _remove(store: Store, path: str) -> None:
    """Removes what is no token: a file, or a directory that a server keeps for itself (``@eaDir``)."""
    try:
        store.share.try_unlink(path)
    except IsADirectoryError:
        store.share.remove_tree(path)


def _remove_rest(store: Store, files: WorkerLayout, me: str) -> bool:
    """Removes a folder that owes nothing; whether it is gone.

    RACE: should it come only now, it makes its running/ again; so that is removed only while it is empty, as above.
    """
    _obey_for_it(store, files, me)
    for name in store.share.names_or_none(files.dir) or ():
        if name not in _KEPT:
            _remove(store, f"{files.dir}/{name}")
    store.share.remove_tree(files.inbox)
    store.share.try_unlink(files.fenced)
    return store.share.remove_dir(files.dir) is not Removal.NOT_EMPTY


def _obey_for_it(store: Store, files: WorkerLayout, me: str) -> None:
    """Removes the deleted jobs that were left to it; whatever else it was asked to end has ended.

    What takes too long between two beats goes into the sweeper's own inbox.
    """
    until = store.share.clock.monotonic() + REMOVAL_S
    for name in store.share.names_or_none(files.inbox) or ():
        # A name that is not known, one that another sweeper has removed, or a torn one.
        with suppress(FileNotFoundError, IsADirectoryError, ValueError):
            request = json.loads(store.share.read(f"{files.inbox}/{name}"))
            if isinstance(request, dict) and request.get("action") == "delete" and type(request.get("job")) is int:
                is_gone = remove_rest(store, request["job"], until=until)
                if not is_gone and store.share.clock.monotonic() >= until:
                    send_request(store, me, request)
