"""Settling a committed result by somebody who did not run the job, from what its record says."""

from __future__ import annotations

from jobqueue.hierarchy import Node
from jobqueue.journal import find_record
from jobqueue.names import Entry, WonToken
from jobqueue.store import Store
from jobqueue.tokens import Settled
from jobqueue.worker.broken import node_or_set_aside
from jobqueue.worker.publishing import publish_outputs


def settle_from_record(store: Store, worker: str, won: WonToken) -> None:
    """Settles what lies in a worker's won/; may be repeated, and by several at once.

    Raises:
        OSError: the share is in trouble.
    """
    node = node_or_set_aside(store, won.job, won.node)
    if node is None:
        return
    store.pieces.bear(won, worker)
    path = store.layout.job(won.job).journal(worker, won.slot)
    record = find_record(store.share, path, won.offset, won.node, won.attempt)
    if record is not None:
        # What cannot be published for good is tried again at each beat.
        with store.seldom.on(store.log):
            is_published = publish_outputs(store, worker, won, node, record)
        if not is_published:
            return
    # NFS: one that only seems to be missing may be that of a failure, so a listing has told.
    # CRASH: a record that is lost was not that of a failure, nor of a job with outputs, for those are synced before
    # they are committed.
    settle(store, worker, won, node, ok=record is None or bool(record["ok"]))
    store.tokens.retest(store.layout.job(won.job))


def settle(store: Store, worker: str, won: WonToken, node: Node, *, ok: bool, known: Entry | None = None) -> Settled:
    """Does all that a committed result brings about, of a job or of a chunk; may be repeated by anyone."""
    moves = store.tokens if won.span is None else store.pieces
    return moves.settle(won, worker, node, ok=ok, known=known)
