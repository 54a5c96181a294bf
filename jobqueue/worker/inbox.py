"""What people ask of a worker: to end what it runs, and to remove what is left of deleted jobs."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobqueue.names import RunningToken
from jobqueue.registry import Registration
from jobqueue.removal import remove_rest
from jobqueue.store import Store
from jobqueue.trouble import Troubles

# So long a deleted job may be removed at a time: nobody beats meanwhile, and a big one takes minutes.
REMOVAL_S = 1.0
_ACTIONS = ("fail", "cancel", "delete", "doubt")


class Request(NamedTuple):
    """What somebody asks.

    Attributes:
        action: ``fail``, ``cancel`` or ``delete``; or ``doubt``: another host has finished what has failed here.
        job: of this top-level job.
        node: this job, or ``None`` for all that run of it.
        why: in words, for the record and the log; of a doubt the job's name.
    """

    action: str
    job: int
    node: int | None
    why: str

    def means(self, job: int, node: int) -> bool:
        return self.job == job and self.node in (None, node)


class Inbox:
    """The requests to one worker.

    Args:
        store: the queue.
        registration: the worker's.
    """

    def __init__(self, store: Store, registration: Registration) -> None:
        self._store = store
        self._registration = registration
        self._deleted: set[int] = set()
        # Taken out of the directory, and not handed on yet.
        self._taken: list[Request] = []

    def take(self) -> list[tuple[Request, list[RunningToken]]]:
        """What was asked since the last call, each with the tokens of ours that are meant by it.

        By the tokens, not by what is known to run: a claim may be older than the word that its job began. What another
        version may ask, and we do not know, is not done.

        Raises:
            OSError: the share is in trouble; FileNotFoundError if the worker's directory is gone.
        """
        for stored in self._registration.requests():
            request = _read(stored)
            if request is None:
                self._store.log.warning("A request that is not understood is dropped: %.200s", stored)
                continue
            if request.action == "delete":
                self._deleted.add(request.job)
            self._taken.append(request)
        if not self._taken:
            return []
        # Order matters: whatever could be meant when somebody asked is there by now, or has ended.
        tokens = self._store.tokens.running_of(self._registration.name)
        asked, self._taken = self._taken, []
        return [(request, [token for token in tokens if request.means(token.job, token.node)]) for request in asked]

    def remove_deleted(self) -> bool:
        """Removes what the deleters of jobs had to leave, as far as nothing runs of it, and for a second at most.

        RACE: a job that was deleted while it ran may still have ended as if nothing had happened, so this does not
        depend on how it ended.

        Returns:
            Whether its time has run out.

        Raises:
            OSError: the share is in trouble; call again.
        """
        clock = self._store.share.clock
        until = clock.monotonic() + REMOVAL_S
        troubles = Troubles()
        for number in list(self._deleted):
            # What keeps us from removing one must not keep us from the others.
            with troubles.kept():
                if remove_rest(self._store, number, until=until):
                    self._deleted.discard(number)
            if clock.monotonic() >= until:
                break
        troubles.raise_first()
        return bool(self._deleted) and clock.monotonic() >= until


def _read(stored: dict[str, Any]) -> Request | None:
    action, job, node = stored.get("action"), stored.get("job"), stored.get("node")
    if action not in _ACTIONS or type(job) is not int or not (node is None or type(node) is int):
        return None
    by = str(stored.get("by"))
    return Request(action, job, node, by if action == "doubt" else f"{action}, asked by {by}")
