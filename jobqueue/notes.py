"""What an attempt has noted of an array's items, in its own journal: which are done, and how."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from jobqueue.journal import NOTE
from jobqueue.layout import JOURNAL, JobLayout, RunningToken, Span
from jobqueue.share import Share


class Done(NamedTuple):
    """Some items that an attempt has run one after the other, all well or one that was not.

    Attributes:
        span: the items.
        notes: what was noted of each.
    """

    span: Span
    notes: list[dict[str, Any]]

    @property
    def ok(self) -> bool:
        return all(note["ok"] for note in self.notes)


def span_of(note: dict[str, Any]) -> Span:
    """The items that a note is about: one, unless the procedure runs by chunks."""
    return Span(note["item"], note.get("to", note["item"] + 1))


def notes_of(share: Share, job: JobLayout, worker: str, token: RunningToken) -> list[Done]:
    """What a worker has noted of a token's items, from the first one on and without a gap.

    An item is covered by one claim for each attempt number, so nobody else's notes can be among these.

    Files:
        Reads all journals of the worker's: a slot whose journal went bad goes on in another one.
    """
    assert token.span is not None
    found: dict[int, dict[str, Any]] = {}
    for name in sorted(share.names_or_none(job.journals) or ()):
        if name.startswith(f"{worker}.") and name.endswith(JOURNAL):
            for line in (share.read_or_none(f"{job.journals}/{name}") or b"").splitlines(keepends=True):
                note = _parse(line, token) if line.startswith(NOTE) else None
                if note is not None:
                    found[note["item"]] = note
    return _in_order(found, token.span)


def _parse(line: bytes, token: RunningToken) -> dict[str, Any] | None:
    """A note of this attempt; ``None`` for another one's, and for a line that a crash has left."""
    if not line.endswith(b"\n"):
        return None
    try:
        note = json.loads(line)
    except ValueError:
        return None
    is_its = isinstance(note, dict) and (note.get("node"), note.get("attempt")) == (token.node, token.attempt)
    return note if is_its and type(note.get("item")) is int and type(note.get("ok")) is bool else None


def _in_order(found: dict[int, dict[str, Any]], span: Span) -> list[Done]:
    done: list[Done] = []
    at = span.start
    while at < span.end and at in found:
        note = found[at]
        end = span_of(note).end
        if end > span.end:
            # What runs by chunks is done as a whole, or not at all.
            break
        if done and done[-1].ok and note["ok"]:
            done[-1].notes.append(note)
            done[-1] = done[-1]._replace(span=Span(done[-1].span.start, end))
        else:
            done.append(Done(Span(at, end), [note]))
        at = end
    return done


def record_of(done: Done, *, began: float) -> dict[str, Any]:
    """The record that is committed for some items, from what was noted of each.

    Args:
        done: the items, and their notes.
        began: when the first of them began, seconds since the epoch.
    """
    last = done.notes[-1]
    record: dict[str, Any] = {
        "event": "end", "node": last["node"], "attempt": last["attempt"], "items": [*done.span[:2]], "ok": done.ok,
        "start": began, "end": last["end"], "progress": 100.0 if done.ok else None, "status": last.get("status", ""),
    }  # fmt: skip
    for kind in ("temporaries", "outputs"):
        if together := [one for note in done.notes for one in note.get(kind, ())]:
            record[kind] = together
    for key in ("error", "traceback", "ending", "again"):
        if key in last:
            record[key] = last[key]
    return record


def find_note(data: bytes, item: int, node: int, attempt: int) -> dict[str, Any] | None:
    """The note of an item in the contents of a journal; of what runs by chunks that of its chunk."""
    # The keys are written in this order, so that a note is found without parsing those before it.
    wanted = b'{"item":%d,"node":%d,"attempt":%d,' % (item, node, attempt)
    at = data.find(wanted)
    while at > 0 and data[at - 1 : at] != b"\n":
        at = data.find(wanted, at + 1)
    if at >= 0:
        try:
            found = json.loads(data[at : data.find(b"\n", at)])
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    return _find_chunk(data, item, node, attempt)


def _find_chunk(data: bytes, item: int, node: int, attempt: int) -> dict[str, Any] | None:
    for line in data.splitlines():
        if line.startswith(NOTE) and b'"to":' in line:
            try:
                note = json.loads(line)
            except ValueError:
                continue
            span = span_of(note)
            if span.start <= item < span.end and (note["node"], note["attempt"]) == (node, attempt):
                return dict(note)
    return None
