"""The attempts of a job, for people: from its token and the journals' events."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jobqueue.hierarchy import Node
from jobqueue.journal import events
from jobqueue.layout import JobLayout
from jobqueue.names import ClosedToken, RunningToken, Span, Token, WonToken
from jobqueue.notes import Noted, noted_of
from jobqueue.state import AnyToken, JobState, Sighting
from jobqueue.store import Store

_SUFFIX = ".jsonl"
# What workers write of an attempt that they ended, or found dead. Format 1 has no key that tells a last death from a
# failure, nor an attempt that ran too long and is forgiven from a death.
_LAST_DEATH = re.compile(r"; \d+ attempts have died\Z")
_RAN_TOO_LONG = "it ran longer than its timeout"


class AttemptView(NamedTuple):
    """One attempt of a job.

    Attributes:
        attempt: its number.
        state: ``running``; ``finished``; ``failed`` (with an error of its own, at its timeout, or since somebody said
            so); ``died`` (its process or its worker did, also where the job has failed by that); ``cancelled``;
            ``superseded`` (its result came too late and changes nothing); ``given back`` (it ended without a result).
        worker: who ran it; ``None`` if that is not known.
        began: seconds since the epoch by the worker's clock, or ``None``.
        ended: the same.
        reason: why it did not succeed, or ``None``.
        directory: its directory, absolute.
    """

    attempt: int
    state: str
    worker: str | None
    began: float | None
    ended: float | None
    reason: str | None
    directory: str


class Event(NamedTuple):
    """One line of a journal, and where it stands."""

    worker: str
    slot: str
    offset: int
    fields: dict[str, Any]


def attempts(store: Store, job: JobLayout, node: int, place: str, seen: Sighting) -> list[AttemptView]:
    """All attempts of a job, from the first to the latest.

    Args:
        store: the queue.
        job: the top-level job.
        node: the job.
        place: its directory, relative to the top-level job's.
        seen: where its token is.

    Files:
        Reads every journal of the hierarchy.
    """
    found = events_of(store, job, node)
    # The token counts the attempts; it is not there while it moves. Number 0 is a record's about a job that never
    # began.
    numbers = {event.fields["attempt"] for event in found} | set(range(seen.attempt + 1))
    return [
        _view(
            number,
            [event for event in found if event.fields["attempt"] == number],
            job.attempt(place, number).dir,
            seen,
        )
        for number in sorted(numbers - {0})
    ]


def events_of(store: Store, job: JobLayout, node: int, span: Span | None = None) -> list[Event]:
    """All that the journals of a top-level job say of one of its jobs, writer by writer; of an array, of some items."""
    found = []
    for name in sorted(store.share.names_or_none(job.journals) or ()):
        fields = name.split(".")
        if not name.endswith(_SUFFIX) or len(fields) != 3:
            continue
        for offset, event in events(store.share, f"{job.journals}/{name}"):
            if event.get("node") == node and isinstance(event.get("attempt"), int) and _is_of(event, span):
                found.append(Event(fields[0], fields[1], offset, event))
    return found


def _is_of(event: dict[str, Any], span: Span | None) -> bool:
    items = event.get("items")
    if span is None or not (isinstance(items, list) and len(items) == 2):
        return True
    return bool(items[0] < span.end and span.start < items[1])


def _view(number: int, found: list[Event], directory: str, seen: Sighting) -> AttemptView:
    start = next((event for event in found if event.fields.get("event") == "start"), None)
    ends = [event for event in found if event.fields.get("event") != "start"]
    token = seen.token if seen.attempt == number else None
    end = ends[-1] if ends else None
    if isinstance(token, ClosedToken):
        end = next((event for event in ends if _is_meant(token, event)), None)
    elif isinstance(token, RunningToken | WonToken):
        end = None
    fields = end.fields if end else {}
    state = _state(token, seen.state, fields)
    reason = fields.get("error") or ("record lost" if isinstance(token, ClosedToken) and end is None else None)
    worker = _who_ran(start, end, token, seen)
    began = start.fields.get("time") if start else fields.get("start")
    return AttemptView(number, state, worker, began, fields.get("end"), reason, directory)


class ItemAttempt(NamedTuple):
    """One attempt of an item of an array.

    Attributes:
        view: the attempt; its directory is that of the chunk. It began when the item before it had ended, where it has
            noted nothing itself; ``None`` where the chunk had not come to it.
        noted: what it has noted.
        has_begun: whether the chunk had come to it, as far as notes tell.
    """

    view: AttemptView
    noted: Noted
    has_begun: bool


def attempts_of_item(store: Store, job: JobLayout, node: Node, item: int, seen: Sighting) -> list[ItemAttempt]:
    """The attempts of an item of an array, from the first to the latest.

    Args:
        store: the queue.
        job: the top-level job.
        node: the array.
        item: the item.
        seen: where the token is that stands for it.

    Files:
        Reads every journal of the hierarchy, twice.
    """
    found = events_of(store, job, node.node, Span(item, item + 1))
    starts = {event.fields["attempt"]: event for event in found if event.fields.get("event") == "start"}
    first = {number: start.fields["items"][0] for number, start in starts.items()}
    noted = noted_of(store.share, job, node.node, item, first)
    is_by_chunk = node.array is not None and node.array.is_by_chunk
    told = []
    for number in sorted(starts):
        ends = [event for event in found if event.fields["attempt"] == number and "ending" in event.fields]
        has_begun = noted[number].is_next or is_by_chunk
        directory = job.chunk(node.place, first[number], number).dir
        view = _view_of_item(number, starts[number], ends, noted[number], seen)
        began = view.began if has_begun or noted[number].note else None
        told.append(ItemAttempt(view._replace(began=began, directory=directory), noted[number], has_begun))
    return told


def _view_of_item(number: int, start: Event, ends: list[Event], noted: Noted, seen: Sighting) -> AttemptView:
    """`ends` is what those have written who have ended its process, or found it dead."""
    note = noted.note or {}
    token = seen.token if seen.attempt == number else None
    fields = ends[-1].fields if ends else note
    if isinstance(token, ClosedToken):
        fields = next((event.fields for event in ends if _is_meant(token, event)), note)
    elif isinstance(token, RunningToken | WonToken):
        fields = {}
    began = note.get("start") or noted.before or start.fields.get("time")
    reason = fields.get("error") or ("record lost" if isinstance(token, ClosedToken) and not fields else None)
    state = _state(token, seen.state, fields)
    return AttemptView(number, state, start.worker, began, fields.get("end"), reason, "")


def _who_ran(start: Event | None, end: Event | None, token: AnyToken | None, seen: Sighting) -> str | None:
    if start:
        return start.worker
    if end:
        # Who writes of an attempt that was another's does not know when it began.
        return end.worker if end.fields.get("start") is not None else None
    return seen.worker if token else None


def _is_meant(token: ClosedToken, event: Event) -> bool:
    """Whether an event is the record that a token names."""
    return (event.worker, event.slot, event.offset) == (token.worker, str(token.slot), token.offset)


def _state(token: AnyToken | None, state: JobState, fields: dict[str, Any]) -> str:
    if isinstance(token, RunningToken | WonToken):
        return state.value
    error = str(fields.get("error"))
    if fields.get("event") == "died":
        return JobState.FAILED.value if error.startswith(_RAN_TOO_LONG) else "died"
    if fields.get("ok") is False and fields.get("start") is None and _LAST_DEATH.search(error):
        return "died"
    if isinstance(token, ClosedToken):
        return state.value
    if fields.get("ok") is False:
        return JobState.FAILED.value
    if fields.get("ok"):
        return "superseded"
    is_cancelled = isinstance(token, Token) and state is JobState.CANCELLED
    return JobState.CANCELLED.value if is_cancelled else "given back"
