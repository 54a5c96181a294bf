"""A host that keeps failing what others finish: something is missing there, and no job is to blame.

Whoever finishes a job whose earlier attempt has failed or died on another host tells that attempt's worker so. A worker
that hears of several such jobs takes nothing new for a while, and says so, in its log and in its folder.
"""

from __future__ import annotations

from typing import Any

from jobqueue.history import events_of
from jobqueue.layout import JobLayout, WorkerLayout
from jobqueue.names import RunningToken
from jobqueue.params import dumps
from jobqueue.registry import read_info, send_request
from jobqueue.store import Store
from jobqueue.worker.charges import ASKED_FOR

# So many jobs within so long, and the host is avoided for so long; the next time for twice that, up to a bound.
_MANY = 3
_WITHIN_S = 1800.0
_FIRST_S = 300.0
_LONGEST_S = 3600.0


class Doubts:
    """What others say of this worker's host.

    Args:
        store: the queue.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heard: list[tuple[float, str]] = []
        self._avoid_s = _FIRST_S
        self._until = float("-inf")
        self._noted: str | None = None

    def hear(self, files: WorkerLayout, job: str) -> None:
        """Somebody has finished a job that had failed here.

        Args:
            files: this worker's.
            job: the job's name.

        Files:
            Writes ``avoided`` in the worker's folder: the jobs, and until when by this host's clock.

        """
        clock = self._store.share.clock
        now = clock.monotonic()
        self._heard = [(at, name) for at, name in self._heard if now - at < _WITHIN_S and name != job]
        self._heard.append((now, job))
        if len(self._heard) < _MANY or now < self._until:
            return
        jobs = [name for _, name in self._heard]
        self._heard.clear()
        self._until, self._noted = now + self._avoid_s, files.avoided
        self._store.log.error(
            "This host has failed %s, which others have finished. Taking nothing new for %g minutes; find out what is "
            "missing here: `jobqueue log %s --attempt 1`.",
            ", ".join(jobs), self._avoid_s / 60, jobs[0],
        )  # fmt: skip
        note = {"jobs": jobs, "until": clock.now() + self._avoid_s}
        self._avoid_s = min(_LONGEST_S, 2 * self._avoid_s)
        try:
            self._store.share.write_whole(files.avoided, dumps(note).encode("ascii"), sync=False)
        except OSError as error:
            words = "%s cannot be written (%s), so `jobqueue workers` does not know."
            self._store.log.warning(words, files.avoided, error)

    def is_avoided(self) -> bool:
        """Whether this worker must take nothing new.

        Raises:
            OSError: the note of a time that is over could not be removed; call again.
        """
        if self._store.share.clock.monotonic() < self._until:
            return True
        if self._noted is not None:
            self._store.share.try_unlink(self._noted)
            self._noted = None
            self._store.log.warning("Taking jobs again; should this host go on failing them, it is avoided for longer.")
        return False


def tell_doubts(store: Store, job: JobLayout, token: RunningToken, name: str, worker: str) -> None:
    """After a success: tells the workers on other hosts on which earlier attempts of the job have failed or died.

    Args:
        store: the queue.
        job: the top-level job.
        token: of the attempt that has succeeded.
        name: the job's name.
        worker: whose it was.

    Raises:
        OSError: the share is in trouble; nothing depends on this.
    """
    here = (read_info(store, worker) or {}).get("host")
    for other in sorted(_blamed(store, job, token) - {worker}):
        info = read_info(store, other)
        if info is not None and info.get("host") != here:
            send_request(store, other, {"action": "doubt", "job": token.job, "node": token.node, "by": name})


def _blamed(store: Store, job: JobLayout, token: RunningToken) -> set[str]:
    """The workers that have run the other attempts of a job that failed or died.

    Who has written down how one ended tells nothing: of a dead worker's that is its sweeper.
    """
    ran: dict[Any, str] = {}
    failed, died, alive = set(), set(), set()
    for seen in events_of(store, job, token.node):
        event, attempt = seen.fields, seen.fields["attempt"]
        if attempt == token.attempt:
            continue
        kind = event.get("event")
        if kind == "start" or event.get("start") is not None:
            ran[attempt] = seen.worker
        if kind == "died":
            died.add(attempt)
        elif kind == "alive":
            alive.add(attempt)
        elif event.get("ok") is False and event.get("ending") != ASKED_FOR:
            failed.add(attempt)
    return {ran[attempt] for attempt in failed | (died - alive) if attempt in ran}
