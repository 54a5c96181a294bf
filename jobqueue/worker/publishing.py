"""The outputs of a result that stands: brought to their final names, and what attempts have left there removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobqueue import outputs
from jobqueue.attempt import Attempt
from jobqueue.errors import JobNotFoundError
from jobqueue.hierarchy import Node
from jobqueue.history import events_of
from jobqueue.layout import AttemptLayout
from jobqueue.names import ClosedToken, Span, WonToken, base_name, item_of_temporary, job_name
from jobqueue.outputs import noted, publish
from jobqueue.state import look_up
from jobqueue.store import Store
from jobqueue.trouble import is_trouble


def publish_outputs(store: Store, worker: str, won: WonToken, node: Node, record: dict[str, Any]) -> bool:
    """Does what a committed record says of outputs; whether its token may be closed.

    Args:
        store: the queue.
        worker: in whose won/ the token was seen.
        won: the token.
        node: the job.
        record: what the token names.

    Raises:
        OSError: the share is in trouble; call again.
    """
    if not record.get("temporaries"):
        return True
    try:
        # A failure publishes nothing.
        why = publish(store.share, record)
    except OSError as error:
        if is_trouble(error):
            raise
        why = str(error)
    if why is None:
        clear(store, _temporaries(store, won, node, record))
        return True
    if won not in store.tokens.won_of(worker):
        # RACE: somebody else has settled it, and what became of the files since is up to their owner.
        return True
    store.log.error(
        "%s: %s. Its result stays unsettled in won/ of %s, and is tried again when the slot falls idle.",
        job_name(won.job, node.place),
        why,
        worker,
    )
    return False


def _temporaries(store: Store, won: WonToken, node: Node, record: dict[str, Any]) -> list[str]:
    """The own directories of the attempt that has won, and of those before it, which never will."""
    found = list(record["temporaries"])
    for attempt, files in _earlier(store, won, node):
        try:
            noted_there = noted(store.share, files.outputs, won.job, won.node, attempt)
        except OSError as error:
            store.log.info("%s cannot be read (%s); what it names is left.", files.outputs, error)
            continue
        # RACE: another item of such a chunk may still run as that attempt.
        found += [path for path in noted_there if won.span is None or _is_of(base_name(path), won.span)]
    return found


def _earlier(store: Store, won: WonToken, node: Node) -> list[tuple[int, AttemptLayout]]:
    """The attempts before the one that has won, with their files."""
    job = store.layout.job(won.job)
    if won.span is None or won.attempt == 1:
        return [(attempt, job.attempt(node.place, attempt)) for attempt in range(1, won.attempt)]
    starts = [event.fields for event in events_of(store, job, node.node, won.span)]
    return [
        (fields["attempt"], job.chunk(node.place, fields["items"][0], fields["attempt"]))
        for fields in starts
        if fields.get("event") == "start" and fields["attempt"] < won.attempt
    ]


def _is_of(temporary: str, span: Span) -> bool:
    item = item_of_temporary(temporary)
    return item is not None and span.start <= item < span.end


def clear(store: Store, temporaries: Iterable[str]) -> None:
    """Removes attempts' own directories, as far as that goes: a leftover is no reason to keep a result back."""
    outputs.clear(store.share, store.log, temporaries)


def another_has_won(store: Store, worker: str, attempt: Attempt, node: Node) -> bool:
    """Whether a listing shows the job's token as won by another attempt; one that is only running has not won."""
    try:
        seen = look_up(store, store.layout.job(attempt.token.job), node.node)
    except (OSError, JobNotFoundError):
        return False
    if not isinstance(seen.token, WonToken | ClosedToken):
        return False
    return (seen.token.attempt, seen.worker) != (attempt.token.attempt, worker)
