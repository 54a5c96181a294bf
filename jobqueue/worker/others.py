"""What is better left to other hosts: a job whose latest attempt has failed here, for a while.

A host on which something is missing (a licence, a mount) fails jobs quicker than others finish them. Without this it
would take each of them again and again until all its attempts are used up, and nobody would find out that the host is
to blame.
"""

from __future__ import annotations

from jobqueue.history import events_of
from jobqueue.layout import JobLayout
from jobqueue.names import Token
from jobqueue.registry import read_info, worker_names
from jobqueue.store import Store

# So long a job waits for another host to take it.
_LEFT_S = 120.0
# So often it is looked who else is there.
_LOOK_S = 5.0
# More tokens than this are not remembered.
_MOST = 4096


class Others:
    """What one slot leaves to the workers on other hosts.

    Args:
        store: the queue.
        worker: the slot's worker.
    """

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        # By the names of tokens, which are never used again: until when each is left to others.
        self._until: dict[tuple[int, str], float] = {}
        self._looked_at = float("-inf")
        self._are_there = False

    def are_to_have(self, job: JobLayout, token: Token) -> bool:
        """Whether a ready token that something is held against is left to others for now.

        Raises:
            OSError: the share is in trouble.
        """
        key, now = (job.number, token.name), self._store.share.clock.monotonic()
        if key not in self._until:
            if len(self._until) >= _MOST:
                self._until.clear()
            self._until[key] = now + _LEFT_S if self._was_here(job, token) else now
        return now < self._until[key] and self._look(now)

    def _was_here(self, job: JobLayout, token: Token) -> bool:
        """Whether the latest attempt of a job was on this host."""
        for event in events_of(self._store, job, token.node, token.span):
            if event.fields["attempt"] == token.attempt and event.fields.get("event") == "start":
                return event.worker == self._worker or self._host(event.worker) == self._host(self._worker)
        return False

    def _look(self, now: float) -> bool:
        """Whether there are workers on other hosts."""
        if now - self._looked_at >= _LOOK_S:
            self._looked_at, here = now, self._host(self._worker)
            others = worker_names(self._store)
            self._are_there = any(self._host(name) not in (None, here) for name in others if name != self._worker)
        return self._are_there

    def _host(self, worker: str) -> object:
        return (read_info(self._store, worker) or {}).get("host")
