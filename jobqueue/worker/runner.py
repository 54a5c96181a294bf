"""One slot's work, job after job: choose, claim, run, record, commit, settle.

The order is the protocol's: a job's outputs are synced and what it printed is saved, then its record is appended, then
its token moves to won/, and only then does anything follow from it.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple, Protocol

from jobqueue.attempt import Attempt
from jobqueue.chunk import ChunkAttempt
from jobqueue.errors import BrokenJobError, JobQueueError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.layout import JobLayout
from jobqueue.names import Record, RunningToken
from jobqueue.notes import Tally
from jobqueue.options import effective_options
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.trouble import SPOILED, SweptError, Troubles, insist
from jobqueue.worker.arrays import Arrays
from jobqueue.worker.broken import set_aside
from jobqueue.worker.charges import charges
from jobqueue.worker.chooser import Candidate, Chooser
from jobqueue.worker.chunks import ChunkRun, Limits
from jobqueue.worker.doubts import tell_doubts
from jobqueue.worker.others import Others
from jobqueue.worker.pen import Pen
from jobqueue.worker.publishing import another_has_won, clear, publish_outputs
from jobqueue.worker.salvage import salvage
from jobqueue.worker.settling import settle_from_record
from jobqueue.worker.tidying import CallersProcess, SlotProcess, Surroundings

# Once a claim was answered with a loss, how often a busy slot looks whether it was none.
_RECONCILE_S = 5.0
# So often, within half a minute, the attempt's directory has to refuse what was printed until that is given up.
_REFUSALS = 7


class Step(Enum):
    """What one step came to."""

    RAN = "a job was run"
    LOST = "a ready job went to another process"
    NOTHING = "no job is ready"


class Seat(NamedTuple):
    """Which slot of which worker a runner is.

    Attributes:
        worker: the worker's name; its directory is there.
        slot: the number that this process's claims carry.
        rivals: how many slots of this worker, this one included, choose from the same listings.
        is_own_process: the process is there for jobs alone; else a KeyboardInterrupt, and the state of the process, are
            those of whoever called us.
    """

    worker: str
    slot: int
    rivals: int = 1
    is_own_process: bool = False


class Host(Protocol):
    """The process that a runner works in: is told what it does, and gives out numbers."""

    def began(self, _attempt: Attempt, _node: Node, _timeout_s: float | None, /) -> None: ...
    def ended(self, _attempt: Attempt, _record: dict[str, Any] | None, /) -> None: ...
    def waits(self, _is_waiting: bool, /) -> None:
        """The procedure waits for a share that is in trouble, or goes on."""
        ...

    def returned(self) -> None:
        """The procedure has returned; what follows is ours to do, however long the share takes."""
        ...

    def unblocked(self) -> None: ...
    def may_go_on(self) -> bool:
        """Whether a chunk may go on with its next item; else what is left of it is given back."""
        ...

    def next_item(self, _attempt: ChunkAttempt, _item: int, _timeout_s: float | None, /) -> None:
        """An item of a chunk begins."""
        ...

    def counted(self, _tally: Tally, /) -> None:
        """So much has become of the items of a chunk that goes on, or that some of them have failed in."""
        ...

    def chunk_ended(self, _attempt: ChunkAttempt, _tally: Tally, /) -> None:
        """Nothing more of it is run here."""
        ...

    def superseded(self, _token: RunningToken, /) -> None:
        """Others have taken an attempt from this process, which had not died; its journal says so already."""
        ...

    def new_slot(self) -> int:
        """A number that was never used by this worker, for a journal that takes the place of a bad one."""
        ...


class Runner:
    """Runs jobs of one queue, one at a time, for one slot of one worker.

    Args:
        store: the queue.
        seat: for which slot.
        host: the process that this is done in.
        spool: takes what the jobs print.
    """

    def __init__(self, store: Store, seat: Seat, host: Host, spool: Spool) -> None:
        self.current: Attempt | None = None
        self.chunk: ChunkRun | None = None
        self.chooser = Chooser(store, seat.rivals, Others(store, seat.worker).are_to_have)
        self._store = store
        self._worker = seat.worker
        self._files = store.layout.worker(seat.worker)
        self._slot = seat.slot
        self._pen = Pen(store.share, seat.worker, seat.slot, host.new_slot)
        self._host = host
        self.process: Surroundings = SlotProcess() if seat.is_own_process else CallersProcess()
        self._spool = spool
        self._job: JobLayout | None = None
        self._in_doubt = False
        self._reconciled_at = float("-inf")
        self._hierarchy: Hierarchy | None = None
        self._arrays = Arrays(store, seat.rivals)

    @property
    def is_in_doubt(self) -> bool:
        """Whether a claim that was given up may still come to pass: then somebody has to look for its token."""
        return self._in_doubt

    def step(self) -> Step:
        """Tries to run one job.

        Raises:
            OSError: the share is in trouble; nothing was begun, or it was given back.
            KeyboardInterrupt: while a job ran in this process; it is still to be given back.
        """
        if self._in_doubt and self._store.share.clock.monotonic() - self._reconciled_at > _RECONCILE_S:
            self.reconcile()
        candidate = self.chooser.next()
        if candidate is None:
            return Step.NOTHING
        try:
            end = self._end_of_chunk(candidate)
        except BrokenJobError as error:
            set_aside(self._store, candidate.job.number, str(error))
            self.chooser.forget(candidate.job.number)
            return Step.LOST
        left: list[str] = []
        # RACE: whatever the answer is, the rename may be executed at any time from now on; only a success is certain.
        was_in_doubt, self._in_doubt = self._in_doubt, True
        token = self._try_claim(candidate, end, left)
        if token is None:
            if candidate.token.name in left and self._store.share.names_or_none(self._files.running) is None:
                # Else each ready job would seem to be lost to somebody.
                raise SweptError("this worker was taken for dead, and swept", self._files.dir)
            self._store.log.debug("%s went to another slot; trying the next one.", candidate.token.name)
            self.chooser.lost(candidate, left)
            return Step.LOST
        self._in_doubt = was_in_doubt
        self.chooser.won(candidate)
        try:
            self._run(candidate, token)
        except (OSError, JobQueueError) as error:
            # Anything else may be the job's doing, so it is not given back here as if it had done nothing.
            self.chooser.pass_over(candidate.entry.number, error)
            self.reconcile()
            raise
        self.chooser.went_well(candidate.entry.number)
        return Step.RAN

    def _end_of_chunk(self, candidate: Candidate) -> int | None:
        """What comes after the last item that is to be taken at once of an array; ``None`` for another job."""
        job, token = candidate.job, candidate.token
        if token.span is None:
            return None
        try:
            return self._arrays.end_of_chunk(job, self._open(job).node(token.node), token.span)
        except OSError as error:
            self.chooser.pass_over(candidate.entry.number, error)
            raise

    def _try_claim(self, candidate: Candidate, end: int | None, left: list[str]) -> RunningToken | None:
        job, token, store = candidate.job, candidate.token, self._store
        if end is None:
            return store.tokens.try_claim(job, token, self._worker, self._slot, left=left)
        return store.pieces.try_claim(job, token, end, self._worker, self._slot, left=left)

    def reconcile(self) -> None:
        """Gives back what lies in running/ under this slot's number, and settles what of it lies in won/.

        To be called between jobs, when nothing of ours belongs in either.
        """
        # Until this has come to its end, every step begins with it.
        was_in_doubt = self._in_doubt
        self._in_doubt, self._reconciled_at = True, float("-inf")
        troubles = Troubles()
        with troubles.kept():
            self._store.tokens.wake_rest()
        for token in self._store.tokens.running_of(self._worker):
            if token.slot == self._slot:
                self._store.log.warning(
                    "job%d, node %d, is ours and does not run; giving it back.", token.job, token.node
                )
                with troubles.kept():
                    self._give_back(token)
        for won in self._store.tokens.won_of(self._worker):
            if won.slot in self._pen.numbers:
                with troubles.kept():
                    settle_from_record(self._store, self._worker, won)
        if self._arrays.is_used:
            with troubles.kept():
                self._store.pieces.do_duties(self._worker, self._pen.numbers)
        troubles.raise_first()
        self._in_doubt, self._reconciled_at = was_in_doubt, self._store.share.clock.monotonic()

    def leave(self) -> None:
        """Closes the journal; to be called when the slot ends, falls idle or goes on to another hierarchy."""
        if self._job is not None:
            self._store.tokens.retest(self._job)
        if self._arrays.is_used:
            self._store.pieces.do_duties(self._worker, self._pen.numbers)
        self._pen.close()
        self._job = self._hierarchy = None

    # --- one job -------------------------------------------------------------------------------------------------

    def _run(self, candidate: Candidate, token: RunningToken) -> None:
        job = candidate.job
        try:
            node = self._open(job).node(token.node)
            attempt = self._attempt(job, node, token)
        except BrokenJobError as error:
            self._set_aside(token, error)
            return
        attempt.on_wait = self._host.waits
        try:
            attempt.prepare()
            self._pen.append(attempt.start_event(), sync=False)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            # Either it is being deleted, and then it has no entry any more, or it is broken.
            self._set_aside(token, error)
            return
        config = self._store.config
        options = effective_options(node.options, config.proc_options(node.type), config.options)
        self.current = attempt
        if isinstance(attempt, ChunkAttempt):
            self._run_chunk(candidate, attempt, node, Limits(options["timeout"], options["maxErrors"]))
            return
        self._host.began(attempt, node, options["timeout"])
        record: dict[str, Any] | None = None
        try:
            record = self._execute(attempt)
            if not record["ok"]:
                record["again"] = self._is_forgiven(token, options["maxErrors"])
            self._finish(candidate, attempt, node, record)
        finally:
            self.current = None
            self._host.ended(attempt, record)

    def _attempt(self, job: JobLayout, node: Node, token: RunningToken) -> Attempt:
        if token.span is None:
            return Attempt(self._store, job, node, token, self._worker, self._spool)
        return ChunkAttempt(self._arrays.items(job, node), token, self._worker, self._spool)

    def _run_chunk(self, candidate: Candidate, attempt: ChunkAttempt, node: Node, limits: Limits) -> None:
        """Runs a chunk of an array, item after item."""
        chunk = ChunkRun(self._store, attempt, node, self._pen, self._host, limits)
        self.chunk, chunk.entry = chunk, candidate.entry
        self._host.began(attempt, node, None)
        began = self._store.share.clock.monotonic()
        try:
            try:
                self._run_items(attempt, chunk)
                self._save(attempt)
                attempt.leave()
            except (FileNotFoundError, NotADirectoryError):
                # The job was deleted while it ran.
                chunk.is_superseded = True
            except BrokenJobError as error:
                self._set_aside(chunk.token, error)
                return
            if chunk.is_superseded:
                self._supersede_chunk(attempt, chunk)
            self._arrays.learn(attempt, chunk.ran, self._store.share.clock.monotonic() - began)
            for ready, entry in chunk.ready:
                self.chooser.unblocked(attempt.token.job, [ready], entry)
        finally:
            self.chunk = self.current = None
            self._host.chunk_ended(attempt, chunk.tally)

    def _run_items(self, attempt: ChunkAttempt, chunk: ChunkRun) -> None:
        process = self.process
        try:
            with process.around(attempt):
                chunk.run(is_interruptible=process.is_interruptible, prepare=process.prepare, restore=process.restore)
        except (FileNotFoundError, NotADirectoryError):
            # The job was deleted.
            raise
        except (OSError, JobQueueError):
            # Items that have been run are committed all the same, and their notes say where it is that they printed.
            with suppress(OSError):
                attempt.save()
            raise

    def _supersede_chunk(self, attempt: ChunkAttempt, chunk: ChunkRun) -> None:
        self._store.log.warning(
            "%s was taken from this slot while it ran; what is left of it is dropped.", attempt.name
        )
        self._say_alive(attempt.token)
        self._drop(chunk.token)

    def _execute(self, attempt: Attempt) -> dict[str, Any]:
        """Runs the procedure; the record, whose outputs are on the disk."""
        with self.process.around(attempt):
            record = attempt.run(is_interruptible=self.process.is_interruptible)
        self._host.returned()
        return insist(self._store, f"the outputs of {attempt.name}", lambda: attempt.seal(record))

    def _is_forgiven(self, token: RunningToken, limit: int) -> bool:
        """Whether an attempt that has ended with an error may be followed by another one."""
        if limit == 1:
            return False
        job = self._store.layout.job(token.job)
        what = f"the result of job{token.job}"
        held = insist(self._store, what, lambda: charges(self._store, job, token.node, token.charged))
        return held.errors + 1 < limit

    def _set_aside(self, token: RunningToken, error: OSError | BrokenJobError) -> None:
        set_aside(self._store, token.job, str(error))
        self.chooser.forget(token.job)
        self._give_back(token)

    def _finish(self, candidate: Candidate, attempt: Attempt, node: Node, record: dict[str, Any]) -> None:
        store, token = self._store, attempt.token
        what = f"the result of {attempt.name}"
        try:
            self._save(attempt)
            place = insist(store, what, lambda: self._record(record))
            if record.get("again"):
                insist(store, what, lambda: self._try_again(token))
                return
            won = insist(store, what, lambda: store.tokens.try_commit(token, self._worker, place.slot, place.offset))
        except (FileNotFoundError, NotADirectoryError):
            # The job was deleted while it ran: there is nowhere left to put a result.
            self._supersede(attempt, node)
            return
        if won is None:
            store.log.warning("%s was taken from this slot while it ran; its result is dropped.", attempt.name)
            self._say_alive(token)
            self._supersede(attempt, node)
            return
        if not insist(store, what, lambda: publish_outputs(store, self._worker, won, node, record)):
            return
        if record["ok"] and token.attempt > 1:
            with suppress(OSError):
                # Nothing depends on it; the next such job says the same.
                tell_doubts(store, candidate.job, token, attempt.name, self._worker)
        known = candidate.entry
        settled = insist(
            store, what, lambda: store.tokens.settle(won, self._worker, node, ok=record["ok"], known=known)
        )
        self.chooser.unblocked(token.job, settled.unblocked, settled.entry)
        if settled.done:
            self.chooser.forget(token.job)
        if settled.unblocked:
            self._host.unblocked()

    def _say_alive(self, token: RunningToken) -> None:
        """Notes that an attempt had not died, so that nothing is held against its job; before anything else is done."""
        event = {
            "event": "alive",
            "node": token.node,
            "attempt": token.attempt,
            "time": self._store.share.clock.now(),
        }
        if token.span is not None:
            event["items"] = [token.span.start, token.span.end]
        try:
            self._pen.append(event, sync=True)
        except OSError as error:
            # It only matters to a job that dies again and again.
            self._store.log.warning("It cannot be noted that job%d had not died (%s).", token.job, error)
        self._host.superseded(token)

    def _save(self, attempt: Attempt) -> None:
        """Saves what was printed, which is for people: it may wait for the share, and keeps no result back for good."""
        try:
            insist(self._store, f"the result of {attempt.name}", attempt.save, refusals=_REFUSALS)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            if error.errno in SPOILED:
                raise
            self._store.log.warning(
                "%s: what it printed cannot be saved (%s); going on to its result.", attempt.name, error
            )

    def _try_again(self, token: RunningToken) -> None:
        """After an error that a job is forgiven."""
        ready = self._store.tokens.give_back(token, self._worker, charge=True)
        if ready is None:
            self._drop(token)
        else:
            # Where it stood, so that the order stays depth-first.
            self.chooser.unblocked(token.job, [ready], None)

    def _record(self, record: dict[str, Any]) -> Record:
        """Appends the record that counts; where it lies."""
        # A failure is rare and must not be lost, or the job would pass for finished.
        is_remote = self._store.share.is_remote(self._store.layout.dir)
        lasting = is_remote or not record["ok"] or record["result"] is not None or "outputs" in record
        return self._pen.append(record, sync=lasting)

    def _append(self, job: int, record: dict[str, Any]) -> Record:
        """Appends to this slot's journal in a top-level job, which may not be the one that it is at."""
        layout = self._store.layout.job(job)
        if self._job is None or self._job.number != job:
            self.leave()
            self._job = layout
            self._pen.open(layout)
        return self._pen.append(record, sync=True)

    def _give_back(self, token: RunningToken) -> None:
        if token.span is not None:
            left = salvage(self._store, self._worker, token, self._append)
            if left is None:
                return
            token = left
        if self._store.tokens.give_back(token, self._worker, charge=False) is None:
            self._drop(token)

    def _drop(self, token: RunningToken) -> bool:
        """A token that can move nowhere is one whose job was deleted; whether it was."""
        if self._store.tokens.bin_running(token, self._worker):
            self._store.log.info("job%d was deleted; dropping what ran of it.", token.job)
            return True
        self._in_doubt = True
        return False

    def _supersede(self, attempt: Attempt, node: Node) -> None:
        """Drops an attempt that could not be committed, with its outputs where it is certain that it never will be."""
        is_deleted = self._drop(attempt.token)
        if attempt.outputs.temporaries and (is_deleted or another_has_won(self._store, self._worker, attempt, node)):
            clear(self._store, attempt.outputs.temporaries)

    def _open(self, job: JobLayout) -> Hierarchy:
        """The hierarchy of a top-level job; that of the last one is kept, with its journal."""
        if self._hierarchy is None or self._job is None or self._job.number != job.number:
            self.leave()
            self._hierarchy = Hierarchy(self._store.share, job.hierarchy)
            self._job = job
            self._pen.open(job)
        return self._hierarchy
