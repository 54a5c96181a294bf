"""The moves of an array's tokens: taking a chunk, splitting, closing, and finding out that all of it has finished.

An array begins as one token for all of its items. A token moves as that of any job does (`jobqueue.tokens`), and it can
be *split*: one rename gives it a name that covers fewer items, and says what it owes: a token for the rest. That one is
*born* by the rename of a spare, an empty file in the folder of the worker, made before the split and named after it.
There is one spare for a split, and it is renamed once, so a token is born once, whoever does it:

- the spare is there: the rest has no token yet, and whoever comes by makes it ready;
- it is gone: it was born.

CRASH: dead before the split: a spare that belongs to nothing, removed with the worker's folder, which comes after its
running/ and won/ were closed by `rmdir`, so that no split can come late. Dead after it: the token owes, and lies in a
worker's folder, where a sweep finds it. So each item is at any time covered by one token, or owed by one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from jobqueue.errors import BrokenJobError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.index import Index
from jobqueue.layout import JobLayout, QueueLayout
from jobqueue.names import (
    ITEM_DIGITS,
    NODE_DIGITS,
    ClosedToken,
    Duty,
    Entry,
    Record,
    RunningToken,
    Span,
    Token,
    WonToken,
    latch_entry,
    parse_shard,
    spans_in,
)
from jobqueue.share import Share
from jobqueue.tokens import Settled, Tokens

# Two who split one token at once choose the same of a million numbers as seldom as it matters.
_STEP_BITS = 20


class Rest(NamedTuple):
    """What a split has taken off a token.

    Attributes:
        token: its own token.
        entry: the top-level job's entry, as it was seen last, if it was.
    """

    token: Token
    entry: Entry | None


class Pieces:
    """The moves of arrays' tokens in one queue.

    Args:
        share: to call with.
        layout: the queue's names.
        index: the entries, which are woken.
        tokens: the moves that are those of every job.
    """

    def __init__(self, share: Share, layout: QueueLayout, index: Index, tokens: Tokens) -> None:
        self._share = share
        self._layout = layout
        self._index = index
        self._tokens = tokens
        # The shards that are there.
        self._made: set[str] = set()
        # The duties that are noted, by their paths.
        self._duties: set[str] = set()
        # The spare that was made last.
        self._spare = ""

    # --- splitting -----------------------------------------------------------------------------------------------

    def try_claim(
        self, job: JobLayout, token: Token, end: int, worker: str, slot: int, *, left: list[str] | None = None
    ) -> RunningToken | None:
        """ready -> this worker's running/, for the items up to ``end``; what is left of it is owed then, see `bear`.

        Args:
            job: the top-level job.
            token: as it was listed in ready/.
            end: above its first item, and its own end at most.
            worker: who claims it.
            slot: for which of its slots.
            left: after a loss, receives the names in ready/.

        Returns:
            ``None``: somebody else was quicker.
        """
        assert token.span is not None
        span = _cut(token.span, end, begun=False)
        claimed = RunningToken(job.number, token.node, token.attempt + 1, token.move + 1, token.charged, slot, span)
        self._make_spare(claimed, worker)
        running = self._layout.worker(worker).running
        return claimed if self._share.try_move(job.ready, token.name, running, claimed.name, left=left) else None

    def try_shorten(
        self, running: RunningToken, worker: str, end: int, *, is_for_another: bool = False
    ) -> RunningToken | None:
        """Splits what runs, so that it covers the items up to ``end`` alone; the rest is owed then.

        To be called by the slot itself, or after its death.

        Args:
            running: the token of the attempt.
            worker: in whose running/ it lies.
            end: above its first item, and below its end.
            is_for_another: it is not its slot that calls, and others may do the same at once.

        Returns:
            ``None``: it is not there any more; the attempt was superseded.

        RACE: the new name does not say who has moved it. Of two who chose the same one both would take it for theirs,
        and what the later one prepared would be born beside what the other one's was. So MOVE is raised by chance.
        """
        assert running.span is not None
        shorter = running._replace(
            move=running.move + self._step(is_for_another), span=_cut(running.span, end, begun=True)
        )
        self._make_spare(shorter, worker)
        folder = self._layout.worker(worker).running
        return shorter if self._share.try_move(folder, running.name, folder, shorter.name) else None

    def _step(self, is_for_another: bool) -> int:
        """By what MOVE is raised."""
        return 2 + self._share.chance.getrandbits(_STEP_BITS) if is_for_another else 1

    def try_commit(
        self, running: RunningToken, worker: str, record: Record, end: int, *, is_for_another: bool = False
    ) -> WonToken | None:
        """running/ of ``worker`` -> won/ of whose record it is, for the items up to ``end``; the rest is owed then.

        Args:
            running: the token of the attempt.
            worker: in whose running/ it lies.
            record: what says that these items are done, or that they have failed.
            end: above its first item, and its own end at most.
            is_for_another: as for `try_shorten`. RACE: whoever clears up a second time, by an old listing, makes no
                spare once more that was born.

        Returns:
            ``None``: it is not there any more; the attempt was superseded.
        """
        assert running.span is not None
        span = _cut(running.span, end, begun=True)
        won = WonToken(
            running.job,
            running.node,
            running.attempt,
            running.move + self._step(is_for_another),
            running.charged,
            record.slot,
            record.offset,
            span,
        )
        self._make_spare(won, record.worker)
        source, target = self._layout.worker(worker).running, self._layout.worker(record.worker).won
        return won if self._share.try_move(source, running.name, target, won.name) else None

    def bear(self, owing: RunningToken | WonToken, worker: str, known: Entry | None = None) -> Rest | None:
        """Makes what a token owes ready, if nobody has, and wakes the job; may be repeated by anyone.

        Args:
            owing: the token.
            worker: in whose folder it lies.
            known: the top-level job's entry as seen last.

        Returns:
            ``None``: it owes nothing, or somebody has done it, or its job was deleted.

        Raises:
            OSError: the share is in trouble, and it may not be done; call again.
        """
        rest = rest_of(owing)
        if rest is None:
            return None
        ready, spare, name = self._layout.job(owing.job).ready, self._layout.worker(worker).spare, spare_name(owing)
        is_born = self._share.try_move(spare, name, ready, rest.name)
        if not is_born and self._is_unborn(spare, name, ready):
            raise OSError(errno.EIO, "what a token owes is listed and cannot be moved", f"{spare}/{name}")
        # CRASH: also where another has done it, who may not have come to this. RACE: between the claim and now ready/
        # may have been empty, and somebody may have parked the job.
        entry = self._index.wake(owing.job, known)
        if entry is None:
            self._tokens.wake_or_cancel(owing.job)
        return Rest(rest, entry) if is_born else None

    def _is_unborn(self, spare: str, name: str, ready: str) -> bool:
        """Whether a spare is still there after it could not be moved, and a place for what is to be born of it.

        NFS: from an old listing and an error it would follow that it was born, and then nobody would do that any more.
        """
        try:
            return name in self._share.names_afresh(spare) and self._share.names_or_none(ready) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False

    def bear_here(self, owing: RunningToken | WonToken, worker: str, folder: str, slot: int) -> RunningToken | None:
        """Makes what a token owes a running token of a slot, which goes on with it.

        Args:
            owing: the token.
            worker: in whose folder it lies.
            folder: the worker in whose running/ the rest is to lie.
            slot: the slot that goes on.

        Returns:
            ``None``: somebody has made it ready.
        """
        rest = rest_of(owing)
        assert rest is not None
        token = RunningToken(owing.job, rest.node, rest.attempt, rest.move, rest.charged, slot, rest.span)
        running, spare = self._layout.worker(folder).running, self._layout.worker(worker).spare
        return token if self._share.try_move(spare, spare_name(owing), running, token.name) else None

    def _make_spare(self, owing: RunningToken | WonToken, worker: str) -> None:
        """Order matters: what a token owes has to be there before the token owes it.

        RACE: whoever tries once more, since the answer was lost, finds it there, or born: it is never made twice.
        """
        if rest_of(owing) is None:
            return
        path = f"{self._layout.worker(worker).spare}/{spare_name(owing)}"
        if path != self._spare:
            self._share.create(path)
            self._spare = path

    # --- the end of a chunk --------------------------------------------------------------------------------------

    def settle(self, won: WonToken, worker: str, node: Node, *, ok: bool, known: Entry | None = None) -> Settled:
        """Does all that a committed chunk brings about, then closes its token; may be repeated by anyone.

        Args:
            won: the token; what it owes is born.
            worker: in whose won/ it lies.
            node: the array.
            ok: whether its record says success.
            known: the top-level job's entry as seen last.
        """
        assert won.span is not None and node.array is not None
        job = self._layout.job(won.job)
        folder = "finished" if ok else "failed"
        span = Span(won.span.start, won.span.end)
        closed = ClosedToken(won.node, won.attempt, won.move + 1, won.charged, worker, won.slot, won.offset, span)
        mine = self._layout.worker(worker).won
        if ok:
            self._take_duty(mine, Duty(won.job, won.node, won.slot))
        shard = job.shard(folder, won.node, span.start)
        if not self._close(mine, won.name, shard, closed.name):
            self._tokens.bin_if_deleted(job, mine, won.name, worker)
        elif not ok:
            self._tokens.cancel_failed_if_done(job)
        # RACE: two last chunks may be closed at once, and neither closer sees the other's. So each looks after he has
        # closed his own, and the later one sees both.
        if not ok or self._has_ready(job, won.node):
            return Settled([], known, False)
        return self.finish(job, node, known)

    def _take_duty(self, won: str, duty: Duty) -> None:
        """Notes in a won/ that a slot closes chunks of an array, and will see whether it has finished.

        CRASH: whoever clears up after the slot does that in its place. It is noted once, and not for each chunk.
        """
        path = f"{won}/{duty.name}"
        if path not in self._duties:
            self._share.create(path)
            self._duties.add(path)

    def _close(self, source_dir: str, source: str, shard: str, target: str) -> bool:
        if shard not in self._made:
            try:
                self._share.try_make_dir(shard)
            except FileNotFoundError:
                # The job was deleted.
                return False
            self._made.add(shard)
        if self._share.try_move(source_dir, source, shard, target):
            return True
        # It may not be there, whatever was said; whoever comes by again makes it.
        self._made.discard(shard)
        return False

    def _has_ready(self, job: JobLayout, node: int) -> bool:
        start = f"{latch_entry(node)}-"
        return any(name.startswith(start) for name in self._share.names_or_none(job.ready) or ())

    def finish(self, job: JobLayout, node: Node, known: Entry | None = None) -> Settled:
        """Frees what waits for an array, if all of its items have finished; may be repeated by anyone."""
        if not self.is_finished(job, node):
            return Settled([], known, False)
        unblocked, entry = self._tokens.free_parents(job, node, known)
        return Settled(unblocked, entry, False)

    def is_finished(self, job: JobLayout, node: Node) -> bool:
        """Whether tokens in finished/ cover all items. From the end, since what is missing most often lies there."""
        assert node.array is not None
        need = self._uncovered(job, node.node, node.array.length, self._share.names)
        if need and self._share.is_remote(job.dir):
            # NFS: what is there may be hidden, a whole shard, too; what is seen never goes away. So only what is
            # missing is doubted. Whoever closes the last chunk has nobody after him to find out.
            need = self._uncovered(job, node.node, need, self._share.names_afresh)
        return need == 0

    def _uncovered(self, job: JobLayout, node: int, need: int, look: Callable[[str], list[str]]) -> int:
        """The end of the last items before ``need`` that are not finished; 0 for none."""
        try:
            for directory in reversed(_shards_of(node, job.finished, look(job.finished))):
                left = _covered(look(directory), need)
                if left == need:
                    break
                need = left
        except (FileNotFoundError, NotADirectoryError):
            # The job is being deleted.
            return need
        return need

    def do_duties(self, worker: str, slots: Container[int] | None = None) -> None:
        """Does what slots have to do that have closed chunks of arrays: sees whether those have finished.

        Args:
            worker: whose.
            slots: of its slots, the one that calls, or those that are dead; ``None``: all are.
        """
        won = self._layout.worker(worker).won
        for name in self._share.names_or_none(won) or ():
            duty = Duty.parse(name)
            if duty is not None and (slots is None or duty.slot in slots):
                job = self._layout.job(duty.job)
                node = self._node(job, duty.node)
                if node is not None:
                    self.finish(job, node)
                # Order matters: where the answer is lost, it is noted anew.
                self._duties.discard(f"{won}/{name}")
                self._share.try_unlink(f"{won}/{name}")

    def _node(self, job: JobLayout, number: int) -> Node | None:
        try:
            return Hierarchy(self._share, job.hierarchy).node(number)
        except BrokenJobError:
            # It was deleted, or is to be set aside by whoever comes to it next.
            return None

    # --- what is closed ------------------------------------------------------------------------------------------

    def shards(self, job: JobLayout, folder: str, node: int) -> list[str]:
        """The directories in finished/ or failed/ in which an array's tokens lie, in the order of its items."""
        directory = job.token_folder(folder)
        return _shards_of(node, directory, self._share.names_or_none(directory) or ())

    def closed(self, job: JobLayout, folder: str, node: int) -> Iterator[tuple[str, ClosedToken]]:
        """The tokens of an array in finished/ or failed/, each with the directory in which it lies."""
        for directory in self.shards(job, folder, node):
            for name in self._share.names_or_none(directory) or ():
                if token := ClosedToken.parse(name):
                    yield directory, token

    def retry(self, job: JobLayout, directory: str, closed: ClosedToken) -> bool:
        """failed -> ready, with nothing charged; then wake."""
        token = Token(closed.node, closed.attempt, closed.move + 1, 0, closed.span)
        if not self._share.try_move(directory, closed.name, job.ready, token.name):
            return False
        self._tokens.wake_or_cancel(job.number)
        return True


def _shards_of(node: int, directory: str, names: Iterable[str]) -> list[str]:
    """Those of an array in finished/ or failed/, in the order of its items."""
    return [f"{directory}/{name}" for name in sorted(names) if (shard := parse_shard(name)) and shard[0] == node]


def _covered(names: Iterable[str], end: int) -> int:
    """The first of the items before ``end`` that tokens cover without a gap; ``end`` itself for none."""
    starts = {end: start for start, end in spans_in(names)}
    while end in starts:
        end = starts[end]
    return end


def _cut(span: Span, end: int, *, begun: bool) -> Span:
    """A span up to ``end``, with what is owed then."""
    assert span.start < end <= span.end
    return Span(span.start, end) if end == span.end else Span(span.start, end, span.end, begun)


def rest_of(owing: RunningToken | WonToken) -> Token | None:
    """The token that is owed, with the name that it is born with."""
    span = owing.span
    if span is None or span.owed is None:
        return None
    attempt = owing.attempt if span.begun else owing.attempt - 1
    return Token(owing.node, attempt, owing.move, owing.charged, Span(span.end, span.owed))


def spare_name(owing: RunningToken | WonToken) -> str:
    """The name of the spare that a split was prepared with: it says for which one."""
    assert owing.span is not None and owing.span.owed is not None
    bounds = f"{owing.span.end:0{ITEM_DIGITS}d}-{owing.span.owed:0{ITEM_DIGITS}d}"
    return f"{owing.job}.{owing.node:0{NODE_DIGITS}d}-{bounds}.{owing.move}.{owing.slot}"
