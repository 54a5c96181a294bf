"""The moves of tokens: unblock, claim, commit, settle, give back, retry, cancel.

A token is the empty file whose place is a job's state. It is never created twice, copied or deleted while its job
lives; each move is one rename to a name that was never used before. After a move that may have been answered wrongly
the target is looked for (`Share.try_move`); every function here can be called again after a crash in the middle of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from jobqueue.errors import JobNotFoundError, LostRaceError
from jobqueue.hierarchy import Node
from jobqueue.index import Index
from jobqueue.layout import JobLayout, QueueLayout
from jobqueue.names import (
    TOKEN_FOLDERS,
    ClosedToken,
    Entry,
    Record,
    RunningToken,
    Span,
    Token,
    WonToken,
    base_name,
    is_latch_entry,
    latch_entry,
)
from jobqueue.share import Removal, Share

T = TypeVar("T")
_ROUNDS = 100


class Settled(NamedTuple):
    """What settling one job brought about.

    Attributes:
        unblocked: tokens that came into ready/ by it.
        entry: the top-level job's entry, as it was seen last, if it was.
        done: the whole hierarchy has ended well.
    """

    unblocked: list[Token]
    entry: Entry | None
    done: bool


class Tokens:
    """The moves in one queue.

    Args:
        share: to call with.
        layout: the queue's names.
        index: the entries, which are woken.
    """

    def __init__(self, share: Share, layout: QueueLayout, index: Index) -> None:
        self._share = share
        self._layout = layout
        self._index = index
        # Top-level jobs of which we have given something back, and which we have not woken yet.
        self._unwoken: set[int] = set()
        # Latch -> some of the sub-jobs that were seen in it, less those that we have settled.
        self._seen_latched: dict[str, set[str]] = {}

    # --- the way of a job ----------------------------------------------------------------------------------------

    def try_claim(
        self, job: JobLayout, token: Token, worker: str, slot: int, *, left: list[str] | None = None
    ) -> RunningToken | None:
        """ready -> this worker's running/. ``None``: somebody else was quicker.

        Args:
            job: the top-level job.
            token: as it was listed in ready/.
            worker: who claims it.
            slot: for which of its slots.
            left: after a loss, receives the names in ready/.

        CRASH: after the rename the token lies in our running/ until our supervisor, or a sweeper, gives it back.
        """
        claimed = RunningToken(
            job.number, token.node, token.attempt + 1, token.move + 1, token.charged, slot, token.span
        )
        running = self._layout.worker(worker).running
        return claimed if self._share.try_move(job.ready, token.name, running, claimed.name, left=left) else None

    def try_commit(self, running: RunningToken, worker: str, slot: int, offset: int) -> WonToken | None:
        """running/ -> won/: from here the result stands. ``None``: the attempt was superseded and changes nothing.

        Args:
            running: the token of the attempt.
            worker: who ran it.
            slot: whose journal holds the record.
            offset: where the record lies in it.
        """
        won = WonToken(running.job, running.node, running.attempt, running.move + 1, running.charged, slot, offset)
        names = self._layout.worker(worker)
        return won if self._share.try_move(names.running, running.name, names.won, won.name) else None

    def settle(self, won: WonToken, worker: str, node: Node, *, ok: bool, known: Entry | None = None) -> Settled:
        """Does all that a committed result brings about, then closes the token; may be repeated by anyone.

        Args:
            won: the token.
            worker: in whose won/ it lies.
            node: the job.
            ok: whether its record says success.
            known: the top-level job's entry as seen last.
        """
        job = self._layout.job(won.job)
        unblocked: list[Token] = []
        entry, is_root = known, not node.parents
        if ok:
            unblocked, entry = self.free_parents(job, node, entry)
            if is_root:
                # Order matters: a root that is finished while its entry is runnable would be looked at for ever.
                entry = self._finish_entry(won.job)
        closed = ClosedToken(won.node, won.attempt, won.move + 1, won.charged, worker, won.slot, won.offset)
        mine = self._layout.worker(worker).won
        if not self._share.try_move(mine, won.name, job.finished if ok else job.failed, closed.name):
            self.bin_if_deleted(job, mine, won.name, worker)
        elif not ok:
            self.cancel_failed_if_done(job)
        return Settled(unblocked, entry, ok and is_root)

    def free_parents(self, job: JobLayout, node: Node, entry: Entry | None) -> tuple[list[Token], Entry | None]:
        """After a job has succeeded: takes it out of its parents' latches; those that wait for nothing more are ready.

        Returns:
            The tokens that came into ready/ by it, and the top-level job's entry as it was seen last.
        """
        unblocked = []
        for parent in node.parents:
            if self._unlatch(job, parent, node.node) and (token := self._unblock(job, parent)):
                unblocked.append(token)
                entry = self._index.wake(job.number, entry)
        return unblocked, entry

    def _finish_entry(self, number: int) -> Entry | None:
        try:
            return self._index.put(number, "done")
        except JobNotFoundError:
            # RACE: it is being deleted, and its entry lies in trash/.
            return None

    def _unlatch(self, job: JobLayout, parent: int, child: int) -> bool:
        """Takes a sub-job out of its parent's latch; whether the parent waits for nothing any more."""
        latch, entry = job.latch(parent), latch_entry(child)
        self._share.take_out(latch, entry)
        self._seen_latched.get(latch, set()).discard(entry)
        return self.is_unlatched(job, parent)

    def release(self, job: JobLayout, parent: int, children: Iterable[int] = ()) -> bool:
        """Does again what settling does to a job that waits: ready if it waits for nothing any more, then wake.

        Args:
            job: the top-level job.
            parent: the job that waits.
            children: what it does not wait for, and what may still be in its latch.

        Returns:
            Whether it is ready now.
        """
        for child in children:
            self._share.try_unlink(f"{job.latch(parent)}/{latch_entry(child)}")
        self._seen_latched.pop(job.latch(parent), None)
        is_ready = self.is_unlatched(job, parent) and self._unblock(job, parent) is not None
        if is_ready:
            self.wake_or_cancel(job.number)
        return is_ready

    def is_unlatched(self, job: JobLayout, parent: int) -> bool:
        """Whether a job's latch holds no sub-job any more; whoever removes the last entry finds that it does not.

        RACE: a missing latch is an empty one. Another settler removed it, and may have died before it unblocked.
        NFS: what is left may be a silly-renamed file (.nfs...) that never was a sub-job's; hence the look at the
        names. It is not repeated while a sub-job that was seen there has not been settled by us: `rmdir` decides each
        time, and the look finds out only about leftovers.
        """
        latch = job.latch(parent)
        if self._share.remove_dir(latch) is not Removal.NOT_EMPTY:
            self._seen_latched.pop(latch, None)
            return True
        if not self._seen_latched.get(latch):
            try:
                self._seen_latched[latch] = self._share.some_names(latch, is_latch_entry)
            except OSError as error:
                # NFS: a directory that is removed while we read it is a stale one; then a second rmdir finds it
                # missing.
                if error.errno != errno.ESTALE or self._share.remove_dir(latch) is Removal.NOT_EMPTY:
                    raise
                return True
        return not self._seen_latched[latch]

    def retest(self, job: JobLayout) -> None:
        """Looks again at the latches that hold sub-jobs as far as we know.

        To be called by whoever has settled something, before he parks the job or goes away from it.

        RACE: of a latch with a leftover in it, others may have settled the sub-jobs that we saw while ours was still
        there; then all of them took it for one that holds something, and so did we.
        """
        for latch in [latch for latch in self._seen_latched if latch.startswith(f"{job.waits}/")]:
            node = int(base_name(latch))
            self._seen_latched[latch] = set()
            if self.is_unlatched(job, node):
                # Where the share keeps us from the rest, it is tested again.
                self._seen_latched[latch] = set()
                if self._unblock(job, node):
                    self._index.wake(job.number)
            self._seen_latched.pop(latch, None)

    def _unblock(self, job: JobLayout, node: int) -> Token | None:
        """blocked -> ready, for a job that waits for nothing. ``None``: it is not blocked any more, by whomever."""
        blocked = Token(node, 0, 0, 0)
        ready = blocked._replace(move=1)
        # A token in blocked/ has its first name, unless it failed there and was retried.
        while not self._share.try_move(job.blocked, blocked.name, job.ready, ready.name):
            found = self._find_token(job.blocked, node)
            if found is None:
                # CRASH: whoever unblocked it may not have woken its top-level job.
                return self._find_token(job.ready, node)
            if found == blocked:
                return None
            blocked, ready = found, found._replace(move=found.move + 1)
        return ready

    def give_back(self, running: RunningToken, worker: str, *, charge: bool) -> Token | None:
        """running/ -> ready, then wake. ``None``: it was not there any more.

        Args:
            running: the token of an attempt that has ended without a result.
            worker: in whose running/ it lies.
            charge: whether the job is blamed for it.
        """
        job = self._layout.job(running.job)
        charged = running.charged + charge
        ready = Token(running.node, running.attempt, running.move + 1, charged, _of(running))
        before = set(self._unwoken)
        self._unwoken.add(running.job)
        if not self._share.try_move(self._layout.worker(worker).running, running.name, job.ready, ready.name):
            self._unwoken = before
            return None
        self.wake_rest()
        return ready

    def wake_rest(self) -> None:
        """Wakes what is given back; to be called again where the share kept us from it."""
        for number in list(self._unwoken):
            self.wake_or_cancel(number)
            self._unwoken.discard(number)

    def wake_or_cancel(self, number: int) -> None:
        """After a token has come back into ready/: wakes its job, which may have been cancelled meanwhile."""
        if self._index.wake(number) is None and self._index.find(number, ("done",)):
            # Nobody takes up anything of a job that is done.
            self.cancel_waiting(self._layout.job(number))

    def fail_running(self, running: RunningToken, worker: str, record: Record) -> bool:
        """running/ of ``worker`` -> failed, with a record in the mover's own journal."""
        job = self._layout.job(running.job)
        closed = ClosedToken(
            running.node, running.attempt, running.move + 1, running.charged + 1, *record, _of(running)
        )
        folder = job.failed if closed.span is None else self._shard(job, closed)
        moved = self._share.try_move(self._layout.worker(worker).running, running.name, folder, closed.name)
        self.cancel_failed_if_done(job)
        return moved

    def _shard(self, job: JobLayout, closed: ClosedToken) -> str:
        """The directory in failed/ for the token of an array's item, which is made."""
        assert closed.span is not None
        shard = job.shard("failed", closed.node, closed.span.start)
        self._share.try_make_dir(shard)
        return shard

    def cancel_running(self, running: RunningToken, worker: str) -> bool:
        """running/ -> cancelled."""
        job = self._layout.job(running.job)
        token = Token(running.node, running.attempt, running.move + 1, running.charged, _of(running))
        return self._share.try_move(self._layout.worker(worker).running, running.name, job.cancelled, token.name)

    def bin_running(self, running: RunningToken, worker: str) -> bool:
        """running/ -> trash/, for a token whose job is deleted; whether it was moved."""
        source = self._layout.worker(worker).running
        return self.bin_if_deleted(self._layout.job(running.job), source, running.name, worker)

    def bin_if_deleted(self, job: JobLayout, source: str, name: str, worker: str) -> bool:
        """A token whose job is in no index folder in two scans, and has no ready/, is nobody's any more -> trash/."""
        for _ in range(2):
            if self._index.find(job.number) or self._share.names_or_none(job.ready) is not None:
                return False
        return self._share.try_move(source, name, self._layout.trash, f"{name}.{worker}")

    # --- what people ask for -------------------------------------------------------------------------------------

    def fail_waiting(self, job: JobLayout, folder: str, token: Token, writer: str, offset: int) -> bool:
        """blocked or ready -> failed, with a record at ``offset`` of the journal of ``writer``, slot 0."""
        closed = ClosedToken(token.node, token.attempt, token.move + 1, token.charged, writer, 0, offset)
        return self._share.try_move(job.token_folder(folder), token.name, job.failed, closed.name)

    def retry(self, job: JobLayout, closed: ClosedToken, *, has_children: bool) -> bool:
        """failed -> ready (by way of blocked where there are sub-jobs), with nothing charged; then wake.

        RACE: a job that was made to fail while it was blocked may have unfinished sub-jobs. It goes to blocked/ first
        and its latch is looked at afterwards: whoever settles the last sub-job in between finds it there.
        """
        folder = job.blocked if has_children else job.ready
        token = Token(closed.node, closed.attempt, closed.move + 1, 0)
        if not self._share.try_move(job.failed, closed.name, folder, token.name):
            return False
        if has_children and self.is_unlatched(job, closed.node):
            self._unblock(job, closed.node)
        self.wake_or_cancel(job.number)
        return True

    def revive(self, job: JobLayout, closed: ClosedToken) -> bool:
        """failed -> ready with all that is charged, for a job that a false suspicion has made to fail; then wake."""
        token = Token(closed.node, closed.attempt, closed.move + 1, closed.charged)
        # It had begun, so it waits for nothing.
        if not self._share.try_move(job.failed, closed.name, job.ready, token.name):
            return False
        self.wake_or_cancel(job.number)
        return True

    def finish_retries(self, job: JobLayout) -> None:
        """Unblocks and wakes what a retry has brought to blocked/ and not further; a few, whatever else is blocked.

        CRASH: whoever retried may have died there. Nobody settles a sub-job of it any more who would come by.
        """
        for name in self._share.names_or_none(job.blocked) or ():
            token = Token.parse(name)
            # With its first name a token has never left blocked/, and its latch has somebody who will empty it.
            if token and token.move and self.is_unlatched(job, token.node) and self._unblock(job, token.node):
                self.wake_or_cancel(job.number)

    def resume(self, job: JobLayout, first: int = 0, count: int | None = None) -> int | None:
        """Unblocks and wakes what somebody should have who was cut short.

        Args:
            job: the top-level job.
            first: the node from which on blocked ones are tested.
            count: how many of them.

        Returns:
            The node to go on with, or ``None`` if all were tested.
        """
        names = self._share.names_or_none(job.blocked) or ()
        blocked = sorted(token for name in names if (token := Token.parse(name)) and token.node >= first)
        for token in blocked[:count]:
            if self.is_unlatched(job, token.node):
                self._unblock(job, token.node)
        if self._share.names_or_none(job.ready):
            self._index.wake(job.number)
        return blocked[count].node if count is not None and len(blocked) > count else None

    def cancel_waiting(self, job: JobLayout) -> int:
        """All tokens of blocked and ready -> cancelled; how many. Repeats until both are empty.

        RACE: settlers move tokens from blocked to ready meanwhile, so both are listed until a round finds nothing.
        """
        moved = 0
        for _ in range(_ROUNDS):
            seen = 0
            for folder in ("blocked", "ready"):
                for name in self._share.names_or_none(job.token_folder(folder)) or ():
                    token = Token.parse(name)
                    if token is None:
                        continue
                    seen += 1
                    target = token._replace(move=token.move + 1)
                    moved += self._share.try_move(job.token_folder(folder), name, job.cancelled, target.name)
            if not seen:
                return moved
        raise LostRaceError("its waiting jobs moved at every try; cancel it again", job.dir)

    def cancel_failed_if_done(self, job: JobLayout) -> None:
        """After something has failed: RACE: its hierarchy may have been cancelled, and nobody else comes by again."""
        if self._index.find(job.number, ("done",)):
            self.cancel_failed(job)

    def cancel_failed(self, job: JobLayout) -> None:
        """All tokens of failed -> cancelled."""
        for name in self._share.names_or_none(job.failed) or ():
            if closed := ClosedToken.parse(name):
                target = Token(closed.node, closed.attempt, closed.move + 1, closed.charged)
                self._share.try_move(job.failed, name, job.cancelled, target.name)

    # --- looking -------------------------------------------------------------------------------------------------

    def _find_token(self, folder: str, node: int) -> Token | None:
        # The token of an array has its items after its node.
        starts = (f"{latch_entry(node)}.", f"{latch_entry(node)}-")
        for name in self._share.names_or_none(folder) or ():
            if name.startswith(starts) and (token := Token.parse(name)):
                return token
        return None

    def running_of(self, worker: str) -> list[RunningToken]:
        """The tokens in a worker's running/, in no order."""
        return list(self._owed(self._layout.worker(worker).running, RunningToken.parse))

    def won_of(self, worker: str) -> list[WonToken]:
        """The tokens in a worker's won/, in no order."""
        return list(self._owed(self._layout.worker(worker).won, WonToken.parse))

    def _owed(self, folder: str, parse: Callable[[str], T | None]) -> Iterator[T]:
        for name in self._share.names_or_none(folder) or ():
            if token := parse(name):
                yield token

    def counts(self, job: JobLayout) -> dict[str, int]:
        """How many tokens lie in each folder of a job; those that run are in none."""
        found = {}
        for folder in TOKEN_FOLDERS:
            parse = ClosedToken.parse if folder in ("finished", "failed") else Token.parse
            names = self._share.names_or_none(job.token_folder(folder)) or ()
            found[folder] = sum(parse(name) is not None for name in names)
        return found


def _of(running: RunningToken) -> Span | None:
    """The items of a token; what it owes was born before it goes anywhere."""
    return None if running.span is None else Span(running.span.start, running.span.end)
