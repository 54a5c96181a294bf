"""A process that calls `runNextAvailableJob`: a worker with one slot, in the caller's own process."""

from __future__ import annotations

import atexit
import copy
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any

from jobqueue.attempt import Attempt
from jobqueue.chunk import ChunkAttempt
from jobqueue.errors import JobQueueError, LostRaceError
from jobqueue.hierarchy import Node
from jobqueue.names import RunningToken
from jobqueue.notes import Tally
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.trouble import SweptError
from jobqueue.words import plain
from jobqueue.worker.aftermath import Lost
from jobqueue.worker.inbox import Request
from jobqueue.worker.membership import Membership
from jobqueue.worker.runner import Runner, Seat, Step

_IDLE_S = 30.0
_TICK_S = 0.5
_NAME = "script"

_one_call = threading.Lock()
# By process and queue, since a forked child inherits this table but not the thread that beats.
_workers: dict[tuple[int, str], InProcessWorker] = {}


def _forget_parent() -> None:
    """In a forked child: it is no worker, though another thread of its parent may be running a job just now."""
    global _one_call  # noqa: PLW0603  a lock that the parent holds is never released here
    _one_call = threading.Lock()
    for worker in _workers.values():
        worker.let_go_in_child()
    _workers.clear()


os.register_at_fork(after_in_child=_forget_parent)


def run_next(store: Store, retries: int) -> bool:
    """Runs the next ready job of a queue in this process; see `JobQueue.runNextAvailableJob`."""
    if type(retries) is not int or retries < 1:
        raise ValueError(f"retries has to be 1 or more, not {retries!r}")
    if not _one_call.acquire(blocking=False):
        raise JobQueueError("another thread of this process is running a job; one process runs one at a time")
    try:
        key = (os.getpid(), store.layout.dir)
        worker = _workers.get(key)
        lost: list[Lost] = []
        if worker is not None and not worker.is_there():
            lost = worker.lost
            worker.let_go()
            worker = None
        if worker is None:
            worker = _workers[key] = InProcessWorker(store, lost)
        try:
            return worker.run_next(retries, store.log)
        except SweptError as error:
            # Nothing has begun, or it would have gone on to its end.
            worker.resign(error)
            worker.let_go()
            return run_next_again(store, retries, worker.lost)
    finally:
        _one_call.release()


class InProcessWorker:
    """This process as a worker. A thread beats, shows how far the job is, and leaves after 30 s without a call.

    Args:
        store: the queue.
        lost: what others have taken from the worker that this process was before.

    Raises:
        OSError: it cannot be registered.
    """

    def __init__(self, store: Store, lost: Sequence[Lost] = ()) -> None:
        # Of its own, since each call says which log it is for.
        self._store = store = copy.copy(store)
        self._slots = 1
        self._place = Membership(store.twin(), _NAME, 1, self.new_slot)
        self._place.lost += lost
        self._spool = Spool()
        self._runner = Runner(store, Seat(self._place.name, 1), self, self._spool)
        # Held while a job runs, and while the thread leaves.
        self._busy = threading.Lock()
        self._called_at = store.share.clock.monotonic()
        self._gone = threading.Event()
        self._beating = threading.Lock()
        # What is asked to end, by its token: a request may be read between the claim and the attempt's beginning.
        self._asked: dict[RunningToken, Request] = {}
        self._asking = threading.Lock()
        # Whether what runs was, or its job is held.
        self._is_asked = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._tick, name="jobqueue-beat", daemon=True)
        self._thread.start()
        atexit.register(self._leave_at_exit)

    def is_there(self) -> bool:
        return not self._gone.is_set()

    @property
    def lost(self) -> list[Lost]:
        """What others have taken from it while it lived."""
        return self._place.lost

    def run_next(self, retries: int, log: logging.Logger) -> bool:
        """One job; see `JobQueue.runNextAvailableJob`."""
        with self._busy:
            self._store.log = log
            if self._gone.is_set():
                # RACE: the thread left between the look and the lock.
                return run_next_again(self._store, retries, self.lost)
            if self._place.is_unsure:
                # This process was suspended, or held by what it did itself; others may have taken it for dead.
                self._beat()
            self._called_at = self._store.share.clock.monotonic()
            self._runner.chooser.look_again()
            before = _working_directory()
            try:
                with self._spool.captured():
                    return self._step(retries)
            finally:
                self._called_at = self._store.share.clock.monotonic()
                if before is not None:
                    self._store.share.enter(before)
                with self._asking:
                    # A token's name is never used again, so nothing that is kept could be meant any more.
                    self._asked.clear()

    def _step(self, retries: int) -> bool:
        for _ in range(retries):
            try:
                step = self._runner.step()
            except BaseException:
                self._runner.reconcile()
                raise
            if step is Step.RAN:
                return True
            if step is Step.NOTHING:
                return False
        raise LostRaceError(
            f"ready jobs were seen at each of {retries} tries, and other processes were quicker; try again",
            self._store.layout.dir,
        )

    # --- the thread ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        clock = self._store.share.clock
        beaten_at = float("-inf")
        while not self._gone.wait(_TICK_S):
            try:
                attempt = self._runner.current
                if attempt is not None:
                    attempt.show()
                if (chunk := self._runner.chunk) is not None:
                    chunk.give_back()
                if clock.monotonic() - beaten_at >= self._place.pace.beat_s:
                    beaten_at = clock.monotonic()
                    self._beat()
            except (OSError, JobQueueError) as error:
                self._store.log.warning("Share %s: %s; trying again.", self._store.layout.dir, error)
            if clock.monotonic() - self._called_at > _IDLE_S and self._busy.acquire(blocking=False):
                try:
                    self._leave()
                    self.let_go()
                finally:
                    self._busy.release()

    def _beat(self) -> None:
        try:
            with self._beating:
                requests = self._place.beat()
        except SweptError as error:
            # What runs cannot be committed any more.
            attempt = self._runner.current
            if attempt is not None:
                token = attempt.token
                items = None if token.span is None else [token.span.start, token.span.end]
                self._place.say_alive([(token.job, token.node, token.attempt, items)])
            self.resign(error)
            return
        for request, tokens in requests:
            with self._asking:
                self._asked.update(dict.fromkeys(tokens, request))
            self._obey()
        self._stop_if_held()

    def resign(self, why: SweptError) -> None:
        """After it was swept: the next call registers anew."""
        self._store.log.warning("%s; registering anew.", why)
        self._place.give_up()
        self._gone.set()

    def _obey(self) -> None:
        """Asked to end a job, this process can only make it fail once it returns; it does not end its caller.

        RACE: called by the thread that has read a request, and where an attempt begins: one of them sees both.
        """
        with self._asking:
            attempt = self._runner.current
            asked = [token for token in self._asked if attempt is not None and attempt.covers(token)]
            requests = [self._asked.pop(token) for token in asked]
            self._is_asked = self._is_asked or bool(requests)
        for request in requests:
            assert attempt is not None
            self._store.log.warning("%s: %s.", attempt.name, plain(request.why))
            attempt.show_status(request.why)
            attempt.ending = request.action
            attempt.mark_error()

    def _stop_if_held(self) -> None:
        """Has a chunk whose job somebody holds end after the item that it is at."""
        attempt = self._runner.current
        if attempt is None or self._runner.chunk is None:
            return
        is_held = any(entry.number == attempt.token.job for entry in self._store.index.folder("held"))
        with self._asking:
            self._is_asked = self._is_asked or (is_held and attempt is self._runner.current)

    def _leave(self) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        try:
            self._runner.leave()
            self._runner.reconcile()
            self._place.leave()
        except OSError as error:
            self._store.log.warning("Worker %s could not leave (%s); a sweep will.", self._place.name, error)

    def let_go_in_child(self) -> None:
        """In a forked child: closes its copy of the lock, which would outlive us there."""
        self._place.release_lock()

    def let_go(self) -> None:
        """Gives back what a worker that has left still holds of this process; no job of it may be running."""
        self._spool.close()
        atexit.unregister(self._leave_at_exit)

    def _leave_at_exit(self) -> None:
        if os.getpid() == self._pid:
            self._leave()

    # --- what the runner tells -----------------------------------------------------------------------------------

    def began(self, attempt: Attempt, _node: Node, _timeout_s: float | None) -> None:
        self._store.log.info("Running %s, attempt %d.", attempt.name, attempt.token.attempt)
        self._is_asked = False
        self._obey()

    def waits(self, _is_waiting: bool) -> None:
        """No timeout is watched here."""

    def returned(self) -> None:
        """No timeout is watched here."""

    def ended(self, attempt: Attempt, record: dict[str, Any] | None) -> None:
        if record is not None:
            outcome = "finished" if record["ok"] else f"failed ({plain(record['error'])})"
            self._store.log.info("%s has %s.", attempt.name, outcome)

    def may_go_on(self) -> bool:
        return not self._is_asked

    def next_item(self, _attempt: ChunkAttempt, _item: int, _timeout_s: float | None) -> None:
        """No timeout is watched here."""

    def counted(self, _tally: Tally) -> None:
        """It is told at the end of the chunk."""

    def chunk_ended(self, attempt: ChunkAttempt, tally: Tally) -> None:
        self._store.log.info("%s: %s.", attempt.name, plain(tally.told(attempt.span.size)))

    def unblocked(self) -> None:
        """Nobody else in this process waits for work."""

    def superseded(self, token: RunningToken) -> None:
        if token.span is None:
            self.lost.append(Lost(self._place.name, token.job, token.node, token.attempt))

    def new_slot(self) -> int:
        self._slots += 1
        return self._slots


def run_next_again(store: Store, retries: int, lost: Sequence[Lost]) -> bool:
    """The same with a new registration."""
    worker = _workers[(os.getpid(), store.layout.dir)] = InProcessWorker(store, lost)
    return worker.run_next(retries, store.log)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        # It was removed under the caller; then it cannot be gone back to.
        return None
