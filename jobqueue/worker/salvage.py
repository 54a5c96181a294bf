"""What a process that has ended had done of a chunk: it is committed for it, so that nothing of it is done again."""

from __future__ import annotations

from typing import Any, Protocol

from jobqueue.hierarchy import Node
from jobqueue.history import events_of
from jobqueue.layout import AttemptLayout, JobLayout
from jobqueue.names import Record, RunningToken
from jobqueue.notes import Tally, notes_of
from jobqueue.store import Store
from jobqueue.worker.settling import settle_from_record


class Append(Protocol):
    """Writes a record into a journal of the caller's own, in a top-level job, and syncs it."""

    def __call__(self, _job: int, _record: dict[str, Any], /) -> Record: ...


def salvage(
    store: Store, owner: str, token: RunningToken, append: Append, tally: Tally | None = None
) -> RunningToken | None:
    """Commits the items of a token in running/ that its slot has noted as done, and settles them.

    To be called by the slot itself, when it does not run them any more, or when its process is gone; may be repeated,
    and by several at once.

    Args:
        store: the queue.
        owner: in whose running/ it lies.
        token: the token.
        append: into the caller's own journal.
        tally: counts what is committed.

    Returns:
        The token of the rest: its first item is the one that the process was at. ``None``: nothing is left of it in
        that running/.

    Raises:
        OSError: the share is in trouble; nothing is lost, call again.
    """
    assert token.span is not None
    tally = tally or Tally()
    store.pieces.bear(token, owner)
    job = store.layout.job(token.job)
    left: RunningToken | None = token
    for done in notes_of(store.share, job, owner, token):
        assert left is not None and left.span is not None
        if done.is_forgiven:
            # CRASH: its slot had noted the error, and had not come to giving it back.
            left = _try_again(store, owner, left, done.span.end)
            tally.add(done)
            if left is None:
                return None
            continue
        record = append(token.job, done.record())
        won = store.pieces.try_commit(left, owner, record, done.span.end, is_for_another=True)
        if won is None:
            return None
        tally.add(done)
        left = store.pieces.bear_here(won, record.worker, owner, token.slot) if won.span and won.span.owed else None
        settle_from_record(store, record.worker, won)
        # Its own slots have theirs.
        store.pieces.do_duties(record.worker, {record.slot})
        if left is None:
            return None
    return left


def _try_again(store: Store, owner: str, token: RunningToken, end: int) -> RunningToken | None:
    """Makes the items before ``end`` ready again, charged; the token of the rest, if it is still to be looked at."""
    assert token.span is not None
    if end == token.span.end:
        store.tokens.give_back(token, owner, charge=True)
        return None
    shorter = store.pieces.try_shorten(token, owner, end, is_for_another=True)
    if shorter is None:
        return None
    rest = store.pieces.bear_here(shorter, owner, owner, token.slot)
    if rest is None:
        # Order matters: it has to have a token, whoever has made that ready, before the other one owes it no more.
        store.pieces.bear(shorter, owner)
    store.tokens.give_back(shorter, owner, charge=True)
    return rest


def isolate(store: Store, owner: str, token: RunningToken, end: int) -> RunningToken | None:
    """Takes the items from ``end`` on off a token in running/, and makes them ready; nothing is held against those.

    Returns:
        The token of the others; ``None``: it is not there any more.
    """
    assert token.span is not None
    if end == token.span.end:
        return token
    shorter = store.pieces.try_shorten(token, owner, end, is_for_another=True)
    if shorter is not None:
        store.pieces.bear(shorter, owner)
    return shorter


def chunk_files(store: Store, job: JobLayout, node: Node, token: RunningToken) -> AttemptLayout | None:
    """The files of the attempt that a chunk's token is of: they are named after the item that it began with.

    Returns:
        ``None``: nothing says that it has begun.
    """
    for event in events_of(store, job, node.node, token.span):
        fields = event.fields
        if (fields.get("event"), fields["attempt"]) == ("start", token.attempt):
            return job.chunk(node.place, fields["items"][0], token.attempt)
    return None
