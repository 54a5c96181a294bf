"""A slot's work on one chunk of an array: item after item, each noted, and committed some at a time.

What is done of a chunk is committed at its end, after every item that has failed, and when ten seconds have passed. A
chunk that is slow gives back what it has not begun, once nothing else of its hierarchy is ready: an idle worker takes
that, or this slot itself when it is through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from jobqueue.chunk import ChunkAttempt
from jobqueue.hierarchy import Node
from jobqueue.names import Entry, Record, RunningToken, Span, Token
from jobqueue.notes import Done, Tally
from jobqueue.store import Store
from jobqueue.trouble import insist, is_trouble
from jobqueue.worker.charges import charges
from jobqueue.worker.pen import Pen
from jobqueue.worker.publishing import publish_outputs

# So long items are only noted, before those that are done are committed.
_COMMIT_S = 10.0
# And so many: whoever clears up after this slot reads their notes.
_COMMIT_ITEMS = 50_000
# After so long a chunk is slow.
SLOW_S = 20.0
# So often at most what is noted is synced, where nothing else asks for it.
_SYNC_S = 1.0


class Told(Protocol):
    """What a chunk tells the slot that it runs in."""

    def returned(self) -> None: ...
    def may_go_on(self) -> bool: ...
    def next_item(self, _attempt: ChunkAttempt, _item: int, _timeout_s: float | None, /) -> None: ...
    def counted(self, _tally: Tally, /) -> None: ...
    def unblocked(self) -> None: ...
    def superseded(self, _token: RunningToken, /) -> None: ...


class Limits(NamedTuple):
    """What an array's options say of each of its items."""

    timeout_s: float | None
    max_errors: int


class ChunkRun:
    """Runs one claimed chunk.

    Args:
        store: the queue.
        attempt: the chunk, prepared.
        node: the array.
        pen: writes the slot's journal.
        host: is told what happens.
        limits: of each item.

    Attributes:
        ran: how many items were run.
        tally: what has become of them, as far as that is committed.
        is_superseded: others have taken it, or its job was deleted.
        ready: what of it has become ready meanwhile, and the top-level job's entry as it was seen last.
        entry: the same; to be set by whoever knows it.
    """

    def __init__(self, store: Store, attempt: ChunkAttempt, node: Node, pen: Pen, host: Told, limits: Limits) -> None:
        self.ran = 0
        self.tally = Tally()
        self.is_superseded = False
        self.entry: Entry | None = None
        self.ready: list[tuple[Token, Entry | None]] = []
        self._store = store
        # The moves of the thread that gives back, whose memory is its own.
        self._twin = store.twin()
        self._attempt = attempt
        self._node = node
        self._pen = pen
        self._host = host
        self._limits = limits
        self._token = attempt.token
        self._worker = attempt.worker
        self._at = attempt.span.start
        # Items before this one are begun.
        self._begun = self._at
        # What is done and not committed, and what was noted since the journal was synced.
        self._done: Done | None = None
        self._unsynced: list[dict[str, Any]] = []
        # What was split off an item that is tried again, and is this slot's to go on with.
        self._rest: RunningToken | None = None
        self._is_unborn = True
        # Held where the token moves.
        self._lock = threading.Lock()
        now = store.share.clock.monotonic()
        self._committed_at = self._synced_at = self._given_back_at = now

    @property
    def token(self) -> RunningToken:
        """As it lies in running/ by now."""
        return self._token

    def run(
        self, *, is_interruptible: bool, prepare: Callable[[Mapping[str, str]], None], restore: Callable[[], None]
    ) -> None:
        """Runs its items; returns when nothing of it is left to be done here.

        Args:
            is_interruptible: see `Attempt.run`.
            prepare: sets an item's own environment variables.
            restore: makes the process as it was, between two items.
        """
        what = f"the rest of {self._attempt.name}"
        # RACE: the thread that gives back may come by while the share keeps us from it.
        with self._lock:
            insist(self._store, what, self._bear)
        while not self.is_superseded and (span := self._begin()) is not None:
            self._host.next_item(self._attempt, span.start, self._limits.timeout_s)
            prepare(self._attempt.environment_of(span))
            note = self._attempt.run_item(span, is_interruptible=is_interruptible)
            self._host.returned()
            restore()
            self._take(span, note)
            self._attempt.show_progress(100.0 * (self._at - self._attempt.span.start) / self._attempt.span.size)

    def _begin(self) -> Span | None:
        """The next item, which from here on nobody else may take; ``None``: there is none."""
        if not self._host.may_go_on():
            self._stop()
            return None
        try:
            self.give_back(self._store)
        except OSError as error:
            if not is_trouble(error):
                raise
            self._store.log.debug("%s cannot give back anything now (%s); going on.", self._attempt.name, error)
        with self._lock:
            assert self._token.span is not None
            end = self._token.span.end
            if self._at >= end or self.is_superseded:
                return None
            self._begun = end if self._attempt.is_by_chunk else self._at + 1
            return Span(self._at, self._begun)

    def _take(self, span: Span, note: dict[str, Any]) -> None:
        """What follows from an item that has been run."""
        clock = self._store.share.clock
        now = clock.monotonic()
        if self._attempt.has_outputs:
            note = insist(self._store, f"the outputs of {self._attempt.name}", lambda: self._attempt.seal(note))
        if not note["ok"]:
            note["again"] = self._is_forgiven(span)
        self._write(note, sync="outputs" in note or not note["ok"] or now - self._synced_at > _SYNC_S)
        self._at = span.end
        self.ran += span.size
        if not note["ok"]:
            self._fail(span, note)
            return
        if self._done is not None and not self._done.try_add(note):
            self._commit(self._done)
            if self.is_superseded:
                return
        if self._done is None:
            self._done = Done(note)
        with self._lock:
            is_last = self._token.span is not None and self._at == self._token.span.end
        if is_last or now - self._committed_at > _COMMIT_S or self._done.span.size >= _COMMIT_ITEMS:
            self._commit(self._done)

    def _write(self, event: dict[str, Any], *, sync: bool) -> Record:
        """Appends to the journal, however long that takes."""
        try:
            place = self._pen.append(event, sync=sync)
        except OSError:
            place = insist(self._store, f"the result of {self._attempt.name}", lambda: self._write_anew(event))
            sync = True
        if sync:
            self._unsynced.clear()
            self._synced_at = self._store.share.clock.monotonic()
        else:
            self._unsynced.append(event)
        return place

    def _write_anew(self, event: dict[str, Any]) -> Record:
        """The same in another journal.

        CRASH: what was noted in the one that has gone bad may never get to the disk, and results will be committed that
        stand nowhere else.
        """
        for note in self._unsynced:
            self._pen.append(note, sync=False)
        return self._pen.append(event, sync=True)

    def _is_forgiven(self, span: Span) -> bool:
        if self._limits.max_errors == 1:
            return False
        store, token = self._store, self._token
        job = store.layout.job(token.job)
        held = insist(
            store, f"the result of {self._attempt.name}", lambda: charges(store, job, token.node, token.charged, span)
        )
        return held.errors + 1 < self._limits.max_errors

    def _fail(self, span: Span, note: dict[str, Any]) -> None:
        if self._done is not None:
            self._commit(self._done)
        if self.is_superseded:
            return
        if note["again"]:
            insist(self._store, f"the result of {self._attempt.name}", lambda: self._try_again(span))
            if not self.is_superseded:
                self._count(Done(note))
        else:
            self._commit(Done(note))

    def _commit(self, done: Done) -> None:
        """Commits some items, and settles them; the rest goes on under a token of its own."""
        store, name = self._store, self._attempt.name
        what = f"the result of {name}"
        record = done.record()
        self._done = None
        self._committed_at = store.share.clock.monotonic()
        lasting = store.share.is_remote(store.layout.dir) or not done.ok or done.has_results or "outputs" in record
        place = self._write(record, sync=lasting)
        with self._lock:
            insist(store, what, self._bear)
            token = self._token
            won = insist(store, what, lambda: store.pieces.try_commit(token, self._worker, place, done.span.end))
            if won is None:
                self._lose()
                return
            self._count(done)
            if won.span is not None and won.span.owed is not None:
                rest = insist(store, what, lambda: store.pieces.bear_here(won, self._worker, self._worker, token.slot))
                if rest is None:
                    # Somebody has made it ready in our place: then it is not ours any more. NFS: or only seems to have;
                    # once its token is closed nobody would do it.
                    born = insist(store, what, lambda: store.pieces.bear(won, self._worker, self.entry))
                    self.ready += [born] if born else []
                    self._lose()
                else:
                    self._token = rest
        if not insist(store, what, lambda: publish_outputs(store, self._worker, won, self._node, record)):
            return
        known = self.entry
        settled = insist(
            store, what, lambda: store.pieces.settle(won, self._worker, self._node, ok=done.ok, known=known)
        )
        self.entry = settled.entry
        self.ready += [(token, settled.entry) for token in settled.unblocked]
        if settled.unblocked:
            self._host.unblocked()

    def _count(self, done: Done) -> None:
        """Counts what cannot be lost any more."""
        self.tally.add(done)
        if not done.ok or self._at < self._attempt.span.end:
            # Whoever buries this slot is to know; at the end the chunk is told as a whole.
            self._host.counted(self.tally)

    def _try_again(self, span: Span) -> None:
        """After an error that an item is forgiven: it is ready again, and the slot goes on with the others."""
        with self._lock:
            self._bear()
            token = self._token
            assert token.span is not None
            if span.end < token.span.end:
                shorter = self._store.pieces.try_shorten(token, self._worker, span.end)
                if shorter is None:
                    self._lose()
                    return
                self._token, self._is_unborn = shorter, True
                self._rest = self._store.pieces.bear_here(shorter, self._worker, self._worker, token.slot)
                self._is_unborn = self._rest is None
                # Where somebody has made it ready in our place, or seems to have.
                self._bear()
            self._hand_over(charge=True)

    def _stop(self) -> None:
        """Gives back what is left, since this slot is to end, or others have to decide about it."""
        if self._done is not None:
            self._commit(self._done)
        with self._lock:
            assert self._token.span is not None
            if not self.is_superseded and self._at < self._token.span.end:
                what = f"the rest of {self._attempt.name}"
                insist(self._store, what, self._bear)
                insist(self._store, what, lambda: self._hand_over(charge=False))

    def _hand_over(self, *, charge: bool) -> None:
        """Makes the token ready, and goes on with what was split off it, if that is this slot's."""
        ready = self._store.tokens.give_back(self._token, self._worker, charge=charge)
        if ready is None:
            self._lose()
            return
        self.ready.append((ready, None))
        rest, self._rest = self._rest, None
        if rest is None:
            self._end()
        else:
            self._token = rest

    def give_back(self, store: Store | None = None) -> None:
        """Makes ready what of a slow chunk is not begun, once nothing else of the hierarchy is.

        To be called between items, and by another thread while one runs.

        Raises:
            OSError: the share is in trouble; call again.
        """
        store = store or self._twin
        now = store.share.clock.monotonic()
        # Whoever waits for the share meanwhile holds the lock, and this thread may have to beat.
        is_time = self._is_unborn or now - self._given_back_at > SLOW_S
        if not is_time or not self._lock.acquire(blocking=False):
            return
        try:
            is_given = self._try_give_back(store, now)
        finally:
            self._lock.release()
        if is_given:
            store.log.info("%s is slow; what it has not begun is ready for others.", self._attempt.name)
            self._host.unblocked()

    def _try_give_back(self, store: Store, now: float) -> bool:
        assert self._token.span is not None
        if self.is_superseded:
            return False
        # What was split off before comes first, where the share has kept us from that.
        self._bear(store)
        # Between two items the next one is this slot's.
        keep = max(self._begun, self._at + 1)
        is_short = now - self._given_back_at <= SLOW_S
        if is_short or self._attempt.is_by_chunk or self._token.span.end <= keep:
            return False
        self._given_back_at = now
        ready = store.layout.job(self._token.job).ready
        if any(Token.parse(name) for name in store.share.names_or_none(ready) or ()):
            return False
        shorter = store.pieces.try_shorten(self._token, self._worker, keep)
        if shorter is None:
            self._lose()
            return False
        self._token, self._is_unborn = shorter, True
        self._bear(store)
        return True

    def _bear(self, store: Store | None = None) -> None:
        """Order matters: what the token owes has to have a token before its name changes."""
        if not self._is_unborn:
            return
        rest = (store or self._store).pieces.bear(self._token, self._worker, self.entry)
        self._is_unborn = False
        if rest is not None:
            self.entry = rest.entry
            self.ready.append(rest)

    def _lose(self) -> None:
        """Others have taken it, or its job was deleted; what is done and not committed changes nothing."""
        self.is_superseded = True

    def _end(self) -> None:
        """Nothing of it is left here."""
        self._at = self._begun = 1 << 62
