"""What an attempt has noted of an array's items, in its own journal: which are done, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jobqueue.journal import NOTE, lines
from jobqueue.layout import JobLayout
from jobqueue.names import JOURNAL, MAX_ITEMS, RunningToken, Span
from jobqueue.params import loads
from jobqueue.share import Share
from jobqueue.words import number_of

# So many digits an item's place has at most.
_ITEM_DIGITS = len(str(MAX_ITEMS))


class Done:
    """Some items that an attempt has run one after the other: all well, or one that was not.

    Args:
        first: what was noted of the first of them.

    Attributes:
        span: the items.
        ok: whether they have succeeded.
        is_forgiven: it has not, and is to be tried again.
        has_results: one of them has returned something.
    """

    def __init__(self, first: Mapping[str, Any]) -> None:
        self.span = span_of(first)
        self.ok = bool(first["ok"])
        self.is_forgiven = bool(first.get("again"))
        self.has_results = False
        self._began = first.get("start", first.get("end"))
        self._lists: dict[str, list[Any]] = {"temporaries": [], "outputs": []}
        self._last = first
        self._take(first)

    def try_add(self, note: Mapping[str, Any]) -> bool:
        """Adds what was noted of the next item, if it belongs to these; whether it does."""
        span = span_of(note)
        if not (self.ok and note["ok"]) or span.start != self.span.end:
            return False
        # CRASH: whoever publishes them again would find the file of the one in the place of that of the other.
        if not self._paths().isdisjoint(output["path"] for output in note.get("outputs", ())):
            return False
        self.span = Span(self.span.start, span.end)
        self._take(note)
        return True

    @property
    def error(self) -> str:
        """Of the one that has not succeeded."""
        return str(self._last.get("error", ""))

    def _paths(self) -> set[str]:
        """The final names of their outputs."""
        return {output["path"] for output in self._lists["outputs"]}

    def _take(self, note: Mapping[str, Any]) -> None:
        self._last = note
        self.has_results = self.has_results or "result" in note
        for kind, together in self._lists.items():
            together.extend(note.get(kind, ()))

    def record(self) -> dict[str, Any]:
        """The record that is committed for them."""
        last = self._last
        record: dict[str, Any] = {
            "event": "end", "node": last["node"], "attempt": last["attempt"], "items": [self.span.start, self.span.end],
            "ok": self.ok, "start": self._began, "end": last.get("end"), "progress": 100.0 if self.ok else None,
            "status": last.get("status", ""),
        }  # fmt: skip
        record.update((kind, together) for kind, together in self._lists.items() if together)
        record.update((key, last[key]) for key in ("error", "traceback", "ending", "again") if key in last)
        return record


@dataclass
class Tally:
    """What has become of the items of a chunk.

    Attributes:
        finished: how many have succeeded.
        failed: how many have not.
        again: how many are tried again after an error.
        error: of the last one that has not succeeded.
    """

    finished: int = 0
    failed: int = 0
    again: int = 0
    error: str = ""

    def add(self, done: Done) -> None:
        """Counts some more."""
        if done.ok:
            self.finished += done.span.size
            return
        self.error = done.error
        if done.is_forgiven:
            self.again += done.span.size
        else:
            self.failed += done.span.size

    def told(self, size: int) -> str:
        """What has become of a chunk of so many items, in words; the error is somebody else's text."""
        left = size - self.finished - self.failed - self.again
        told = [f"{self.finished} of {number_of(size, 'item')} finished here"]
        told += [f"{self.failed} failed"] if self.failed else []
        told += [f"{self.again} to be tried again after an error"] if self.again else []
        told += [f"{left} not done here"] if left else []
        return ", ".join(told) + (f" (the last error was {self.error})" if self.error else "")


def span_of(note: Mapping[str, Any]) -> Span:
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
        if name.startswith(f"{worker}."):
            for note in _notes_in(share, f"{job.journals}/{name}", token.node, token.attempt):
                found[note["item"]] = note
    return _in_order(found, token.span)


def _notes_in(share: Share, path: str, node: int, attempt: int) -> Iterator[dict[str, Any]]:
    """The notes of one attempt in a journal; a line that a crash has left is none."""
    is_its = _of(node, attempt)
    for _, line in lines(share, path) if path.endswith(JOURNAL) else ():
        # The keys are written in this order, so that most notes are told apart without being parsed.
        if line.startswith(NOTE) and is_its in line and (note := _parse(line, node, attempt)):
            yield note


def forgiven(share: Share, job: JobLayout, node: int, span: Span) -> set[int]:
    """The attempts of some items that have ended with an error after which they were tried again.

    Files:
        Reads all journals of the hierarchy.
    """
    found = set()
    for name in share.names_or_none(job.journals) or ():
        for _, line in lines(share, f"{job.journals}/{name}") if name.endswith(JOURNAL) else ():
            if line.startswith(NOTE) and b'"again":true' in line and (note := _parse(line, node)) and note.get("again"):
                about = span_of(note)
                if about.start < span.end and span.start < about.end:
                    found.add(note["attempt"])
    return found


def _of(node: int, attempt: int) -> bytes:
    return b',"node":%d,"attempt":%d,' % (node, attempt)


def _parse(line: bytes, node: int, attempt: int | None = None) -> dict[str, Any] | None:
    """The note in a line, if it is one of this attempt, or of any; what a job has returned may look like any of it."""
    try:
        note = loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(note, dict) or note.get("node") != node or type(note.get("attempt")) is not int:
        return None
    if attempt not in (None, note["attempt"]):
        return None
    item, end = note.get("item"), note.get("to", MAX_ITEMS)
    if type(item) is not int or type(end) is not int or type(note.get("ok")) is not bool:
        return None
    return note if 0 <= item < end <= MAX_ITEMS else None


def _in_order(found: dict[int, dict[str, Any]], span: Span) -> list[Done]:
    done: list[Done] = []
    at = span.start
    # What runs by chunks is done as a whole, or not at all.
    while at < span.end and at in found and span_of(found[at]).end <= span.end:
        note = found[at]
        if not (done and done[-1].try_add(note)):
            done.append(Done(note))
        at = span_of(note).end
    return done


def results_of(share: Share, job: JobLayout, node: int, attempts: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """The results of an array's items, as they were noted by the attempts that count; none for those that have none.

    Args:
        share: to read with.
        job: the top-level job.
        node: the array.
        attempts: for each item the number of the attempt that counts.

    Files:
        Reads all journals of the hierarchy, once.
    """
    for name in sorted(share.names_or_none(job.journals) or ()):
        for _, line in lines(share, f"{job.journals}/{name}") if name.endswith(JOURNAL) else ():
            if line.startswith(NOTE) and b'"result":' in line and (note := _parse(line, node)) and "result" in note:
                item = note["item"]
                if item < len(attempts) and note["attempt"] == attempts[item]:
                    yield item, note["result"]


def find_note(share: Share, job: JobLayout, item: int, node: int, attempt: int) -> dict[str, Any] | None:
    """The note of an item, or of the chunk that it was run with; ``None`` where there is none.

    Files:
        Reads the journals of the hierarchy.
    """
    begin, is_its = NOTE + b"%d" % item + _of(node, attempt), _of(node, attempt)
    for name in sorted(share.names_or_none(job.journals) or ()):
        for _, line in lines(share, f"{job.journals}/{name}") if name.endswith(JOURNAL) else ():
            may_hold = line.startswith(begin) or (b'"to":' in line and line.startswith(NOTE) and is_its in line)
            note = _parse(line, node, attempt) if may_hold else None
            if note is not None:
                span = span_of(note)
                if span.start <= item < span.end:
                    return note
    return None


class Noted(NamedTuple):
    """What an attempt has noted of one item, and of those that its chunk had run before.

    Attributes:
        note: of the item, or of the chunk that it was run with; ``None`` where there is none.
        is_next: whether all before it are noted: without a note of its own it is the one that the attempt was at.
        before: when the last one before it ended; ``None`` of the first one.
        printed: up to which byte those have printed, by ``stdout`` and ``stderr``, as far as they have.
    """

    note: dict[str, Any] | None
    is_next: bool
    before: float | None
    printed: dict[str, int]


def noted_of(share: Share, job: JobLayout, node: int, item: int, starts: Mapping[int, int]) -> dict[int, Noted]:
    """What attempts of an item have noted, by their numbers.

    Args:
        share: to read with.
        job: the top-level job.
        node: the array.
        item: the item.
        starts: with which item each attempt's chunk began.

    Files:
        Reads all journals of the hierarchy, once.
    """
    found: dict[int, dict[int, dict[str, Any]]] = {attempt: {} for attempt in starts}
    first = min(starts.values(), default=0)
    for name in sorted(share.names_or_none(job.journals) or ()):
        for _, line in lines(share, f"{job.journals}/{name}") if name.endswith(JOURNAL) else ():
            # Most notes are of other chunks, and told apart without being parsed.
            if not line.startswith(NOTE) or not first <= _item_in(line) <= item:
                continue
            note = _parse(line, node)
            if note is not None and starts.get(note["attempt"], MAX_ITEMS) <= note["item"]:
                if span_of(note).end <= item:
                    # There may be many before it, and what they have returned is large.
                    note.pop("result", None)
                found[note["attempt"]][note["item"]] = note
    return {attempt: _noted(found[attempt], start, item) for attempt, start in starts.items()}


def _item_in(line: bytes) -> int:
    digits = line[len(NOTE) : line.find(b",", len(NOTE))]
    return int(digits) if digits.isdigit() and len(digits) <= _ITEM_DIGITS else MAX_ITEMS


def _noted(notes: Mapping[int, dict[str, Any]], start: int, item: int) -> Noted:
    at, before, printed = start, None, dict[str, int]()
    while at in notes and span_of(notes[at]).end <= item:
        note = notes[at]
        before = note.get("end")
        printed.update((name, note[name][1]) for name in ("stdout", "stderr") if name in note)
        at = span_of(note).end
    # CRASH: where a host's crash has taken notes, those that are left still count.
    return Noted(notes.get(at) or notes.get(item), at == item or at in notes, before, printed)
