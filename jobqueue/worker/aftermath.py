"""What a process owed when it ended: results are settled, attempts are given back, blamed, or ended for good."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

from jobqueue.errors import FrameRangeError
from jobqueue.hierarchy import Node
from jobqueue.items import Frames, called
from jobqueue.journal import Journal, read_record
from jobqueue.layout import AttemptLayout, JobLayout
from jobqueue.names import SUPERVISOR_SLOT, ClosedToken, Record, RunningToken, job_name
from jobqueue.notes import Tally
from jobqueue.options import effective_options
from jobqueue.removal import remove_rest
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.trouble import Troubles, is_trouble
from jobqueue.worker.broken import node_or_set_aside
from jobqueue.worker.charges import DIED, TIMEOUT, charges
from jobqueue.worker.inbox import REMOVAL_S
from jobqueue.worker.salvage import chunk_files, isolate, salvage
from jobqueue.worker.settling import settle_from_record


class Ending(NamedTuple):
    """Why a slot's process ended.

    Attributes:
        action: ``died`` (by itself), ``timeout``, ``fail``, ``cancel``, ``delete`` or ``stop`` (the worker ends).
        why: in words, for the record and the log.
        job: the top-level job that it is meant for; ``None`` for whatever the slot runs.
        node: the job of it that it is meant for; ``None`` for any.
        item: the item of an array that it is meant for; ``None`` for whichever its process was at.
    """

    action: str
    why: str
    job: int | None = None
    node: int | None = None
    item: int | None = None

    def for_token(self, token: RunningToken) -> Ending:
        """What this means for a token: one that it is not meant for has only lost its process.

        RACE: a slot may have gone on to another job while it was decided to end the one before.
        """
        is_meant = self.job in (None, token.job) and self.node in (None, token.node)
        return self if is_meant else Ending("stop", "its process was ended for another job's sake")

    def for_rest(self, left: RunningToken) -> Ending:
        """What this means for what is left of a chunk, whose first item is the one that the process was at.

        RACE: it may have gone on to another item while it was decided, or when it was asked to end.
        """
        is_meant = left.span is None or self.item in (None, left.span.start)
        return self if is_meant else Ending("stop", "its process was ended for another item's sake")


class Lost(NamedTuple):
    """An attempt that others have taken from a worker that they took for dead, and that was not."""

    owner: str
    job: int
    node: int
    attempt: int


class Count(NamedTuple):
    """How many attempts of one kind count against a job, and how many may.

    Attributes:
        number: with the one that has just ended.
        limit: so many make it fail.
        kind: what became of them, in words.
    """

    number: int
    limit: int
    kind: str

    @property
    def is_used_up(self) -> bool:
        return self.number >= self.limit

    @property
    def total(self) -> str:
        return f"{self.number} {'attempt has' if self.number == 1 else 'attempts have'} {self.kind}"

    def __str__(self) -> str:
        return f"{self.number} of {self.limit} attempts have {self.kind}"


def _with_items(name: str, token: RunningToken, node: Node | None) -> str:
    """What people call the items of a token."""
    assert token.span is not None
    frames = None
    # What cannot be read keeps nothing from being given back.
    with suppress(FrameRangeError):
        if node is not None and node.array is not None and node.array.frames is not None:
            frames = Frames(node.array.frames)
    return f"{name}:{called(frames, token.span)}"


class Aftermath:
    """Clears up after slots of this worker, and after other workers.

    Args:
        store: the queue.
        worker: this worker's name; what is to be recorded goes into journals of its own.
        new_slot: gives a number that was never used by this worker, for a journal that takes the place of a bad one.
    """

    def __init__(self, store: Store, worker: str, new_slot: Callable[[], int]) -> None:
        self._store = store
        self._worker = worker
        self._new_slot = new_slot
        self._journal_slot = SUPERVISOR_SLOT
        # The numbers of the journals that it has written, and whether something may lie in won/ that one of them holds.
        self._numbers = {SUPERVISOR_SLOT}
        self._owes = False

    @property
    def worker(self) -> str:
        """The name of the worker that clears up."""
        return self._worker

    def clear(self, slots: Collection[int], ending: Ending, spool: Spool | None, tally: Tally | None = None) -> None:
        """Does for a reaped slot what it can no longer do; may be repeated.

        Args:
            slots: its number, and those of the journals that it was given.
            ending: why it ended.
            spool: what its last attempt printed; ``None``: nothing, or it was copied before.
            tally: counts the items that are committed in its place.

        Raises:
            OSError: the share is in trouble; what could be done was done, nothing is lost, call again.
            JobQueueError: the same.
        """
        store, worker = self._store, self._worker
        troubles = Troubles()
        with troubles.kept():
            store.tokens.wake_rest()
        for token in store.tokens.running_of(worker):
            if token.slot in slots:
                with troubles.kept():
                    self.end(worker, token, ending.for_token(token), spool, tally)
        if ending.action == "cancel" and ending.job is not None:
            # RACE: the slot may have been killed just as it gave back what was to be cancelled, and before it looked.
            with troubles.kept():
                store.tokens.wake_or_cancel(ending.job)
        with troubles.kept():
            store.pieces.do_duties(worker, slots)
        with troubles.kept():
            self.settle_own()
        # Order matters: the process is gone, so nothing moves from running/ to won/ behind our back any more.
        for won in store.tokens.won_of(worker):
            if won.slot in slots:
                with troubles.kept():
                    settle_from_record(store, worker, won)
        troubles.raise_first()

    def settle_own(self) -> None:
        """Settles what was committed for others and has not been settled since; to be called again at every beat.

        Nobody else does that as long as this worker lives: what a dead one had noted lies in this one's won/ then.

        Raises:
            OSError: the share is in trouble; call again.
        """
        if not self._owes:
            return
        store, worker, troubles = self._store, self._worker, Troubles()
        for won in store.tokens.won_of(worker):
            if won.slot in self._numbers:
                with troubles.kept():
                    settle_from_record(store, worker, won)
        with troubles.kept():
            store.pieces.do_duties(worker, self._numbers)
        troubles.raise_first()
        # What cannot be published for good is tried again at the next beat.
        self._owes = any(won.slot in self._numbers for won in store.tokens.won_of(worker))

    def end(
        self,
        owner: str,
        token: RunningToken,
        ending: Ending,
        spool: Spool | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Does with a token in running/ what the end of its process means for it; may be repeated.

        Args:
            owner: the worker in whose running/ it lies.
            token: the token.
            ending: why the process ended.
            spool: what it has printed, where this host has it.
            tally: counts the items that are committed in its place.

        Raises:
            OSError: the share is in trouble; nothing is lost, call again.
        """
        try:
            self._end(owner, token, ending, spool, tally)
        except (FileNotFoundError, NotADirectoryError):
            # The directory that a record or a stream belongs in is gone: the job was deleted.
            self._store.tokens.bin_running(token, owner)

    def revive(self, lost: Lost) -> bool:
        """Undoes what a false suspicion did to a job for good; whether nothing is left to be done.

        An attempt of this worker's was given back, or made to fail, by somebody who took this worker for dead. That it
        had lived stands in a journal by now. Only the latest death of a job can have been counted without that.

        Args:
            lost: the attempt.

        Raises:
            OSError: the share is in trouble; call again.
        """
        if any(
            (token.job, token.node, token.attempt) == lost[1:] for token in self._store.tokens.running_of(lost.owner)
        ):
            # Whoever sweeps has not come to it yet.
            return False
        job = self._store.layout.job(lost.job)
        try:
            names = self._store.share.names_afresh(job.failed)
        except (FileNotFoundError, NotADirectoryError):
            # The job was deleted.
            return True
        for name in names:
            closed = ClosedToken.parse(name)
            if closed and (closed.node, closed.attempt) == (lost.node, lost.attempt):
                self._revive(job, closed)
        return True

    def _revive(self, job: JobLayout, closed: ClosedToken) -> None:
        path = job.journal(closed.worker, closed.slot)
        record = read_record(self._store.share, path, closed.offset, closed.node, closed.attempt)
        node = node_or_set_aside(self._store, job.number, closed.node)
        if record is None or node is None or record.get("ending") != DIED:
            return
        held = charges(self._store, job, closed.node, closed.charged)
        if held.deaths < self._limits(node)["maxAttempts"] and self._store.tokens.revive(job, closed):
            name = job_name(job.number, node.place)
            self._store.log.warning("%s is ready again: its attempt %d had not died.", name, closed.attempt)

    def _end(self, owner: str, token: RunningToken, ending: Ending, spool: Spool | None, tally: Tally | None) -> None:
        node = node_or_set_aside(self._store, token.job, token.node)
        name = job_name(token.job, node.place) if node else f"job {token.node} of job{token.job}"
        if node is not None and spool is not None and (files := self._attempt(token, node)) is not None:
            self._save_streams(files, spool, name)
        if ending.action == "delete" and self._store.tokens.bin_running(token, owner):
            # What is left is removed after the next beats, since whoever asked has left word in the inbox.
            remove_rest(self._store, token.job, until=self._store.share.clock.monotonic() + REMOVAL_S)
            return
        # What is noted of a chunk has ended, whatever is asked for.
        left = token if token.span is None else salvage(self._store, owner, token, self._append_result, tally)
        if left is None:
            return
        if ending.action == "cancel":
            self._store.tokens.cancel_running(left, owner)
        elif left.span is None:
            self._give_back_or_fail(owner, left, ending, (name, node))
        else:
            ending = ending.for_rest(left)
            if ending.action != "stop" and not (node and node.array and node.array.is_by_chunk):
                # One item alone may be blamed.
                left = self._isolate(owner, left)
            if left is not None:
                self._give_back_or_fail(owner, left, ending, (_with_items(name, left, node), node))

    def _give_back_or_fail(
        self, owner: str, token: RunningToken, ending: Ending, what: tuple[str, Node | None]
    ) -> None:
        name, node = what
        charge = ending.action in (DIED, TIMEOUT)
        count = self._count(token, ending, self._limits(node)) if charge else None
        if ending.action == "fail" or (count and count.is_used_up):
            if count and ending.action == DIED:
                ending = ending._replace(why=f"{ending.why}; {count.total}")
            self._fail(owner, token, ending, name)
            return
        if count:
            self._record(token, ending, ok=None)
            self._store.log.warning("%s: %s. It is ready again (%s).", name, ending.why, count)
        else:
            self._store.log.info("%s: %s. It is ready again, nothing is held against it.", name, ending.why)
        if self._store.tokens.give_back(token, owner, charge=charge) is None:
            self._store.tokens.bin_running(token, owner)

    def _save_streams(self, attempt: AttemptLayout, spool: Spool, name: str) -> None:
        """Saves what a job has printed; only trouble of the share is a reason to keep its token back for it."""
        try:
            moved = spool.save(self._store.share, attempt, after_crash=True)
        except (FileNotFoundError, NotADirectoryError):
            # Without its directory the attempt has not begun, and what lies in the spool is an earlier one's.
            return
        except OSError as error:
            # A share that refuses everything refuses what follows, too; then this is done again.
            if is_trouble(error) and not isinstance(error, PermissionError):
                raise
            self._store.log.warning("%s: what it printed cannot be saved (%s); going on without.", name, error)
            return
        for aside in moved:
            self._store.log.warning("%s has left something where what it printed belongs; it is %s now.", name, aside)

    def _fail(self, owner: str, token: RunningToken, ending: Ending, name: str) -> None:
        record = Record(self._worker, self._journal_slot, self._record(token, ending, ok=False))
        if self._store.tokens.fail_running(token, owner, record):
            self._store.log.warning("%s has failed: %s. `jobqueue retry %s` runs it again.", name, ending.why, name)

    def _record(self, token: RunningToken, ending: Ending, *, ok: bool | None) -> int:
        """Writes into the supervisor's own journal how an attempt ended; the record's offset."""
        record: dict[str, Any] = {
            "event": "end" if ok is False else "died", "node": token.node, "attempt": token.attempt,
            "end": self._store.share.clock.now(), "ending": ending.action, "error": ending.why, "traceback": "",
        }  # fmt: skip
        if token.span is not None:
            record["items"] = [token.span.start, token.span.end]
        if ok is False:
            record.update(ok=False, start=None, progress=None, status=ending.why)
        return self._append(token.job, record).offset

    def _append(self, job: int, record: dict[str, Any]) -> Record:
        journal = Journal(self._store.share, self._store.layout.job(job), self._worker, self._journal_slot)
        slot = self._journal_slot
        try:
            return Record(self._worker, slot, journal.append(record, sync=True))
        except FileNotFoundError:
            raise
        except OSError:
            self._journal_slot = self._new_slot()
            self._numbers.add(self._journal_slot)
            raise
        finally:
            journal.close()

    def _append_result(self, job: int, record: dict[str, Any]) -> Record:
        # Order matters: what is committed next lies in this worker's won/, whatever that is answered.
        self._owes = True
        return self._append(job, record)

    def _isolate(self, owner: str, left: RunningToken) -> RunningToken | None:
        assert left.span is not None
        return isolate(self._store, owner, left, left.span.start + 1)

    def _attempt(self, token: RunningToken, node: Node) -> AttemptLayout | None:
        """The files of an attempt; ``None`` for a chunk that had not begun."""
        job = self._store.layout.job(token.job)
        if token.span is None:
            return job.attempt(node.place, token.attempt)
        return chunk_files(self._store, job, node, token)

    def _limits(self, node: Node | None) -> dict[str, Any]:
        levels = [node.options, self._store.config.proc_options(node.type)] if node else []
        return effective_options(*levels, self._store.config.options)

    def _count(self, token: RunningToken, ending: Ending, limits: dict[str, Any]) -> Count:
        """How much is held against a job with this attempt, and of its kind how much may be."""
        held = charges(self._store, self._store.layout.job(token.job), token.node, token.charged, token.span)
        if ending.action == DIED:
            return Count(held.deaths + 1, limits["maxAttempts"], "died")
        return Count(held.errors + 1, limits["maxErrors"], "ended with an error")
