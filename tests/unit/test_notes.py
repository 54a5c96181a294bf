"""What journals say of an array's items, whatever else stands in them."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.journal import NOTE, Journal, events
from jobqueue.layout import JobLayout
from jobqueue.names import MAX_ITEMS, RunningToken, Span
from jobqueue.notes import Done, find_note, notes_of, span_of
from jobqueue.share import Share
from tests.support_arrays import note
from tests.support_share import QuickShare

_TOKEN = RunningToken(1, 0, attempt=2, move=3, charged=0, slot=1, span=Span(3, 8))


@pytest.fixture
def share() -> Share:
    return QuickShare()


@pytest.fixture
def job(tmp_path: Path) -> JobLayout:
    layout = JobLayout(str(tmp_path), 1)
    Path(layout.journals).mkdir(parents=True)
    return layout


def _write(job: JobLayout, *lines: bytes, worker: str = "w-h-0", slot: int = 1) -> None:
    with open(job.journal(worker, slot), "ab") as file:
        file.write(b"".join(lines))


def _spans(found: list[Done]) -> list[tuple[int, int, bool]]:
    return [(done.span.start, done.span.end, done.ok) for done in found]


# --- which are done ---------------------------------------------------------------------------------------------------


def test_items_are_done_as_far_as_they_are_noted_without_a_gap(job: JobLayout, share: Share) -> None:
    assert notes_of(share, job, "w-h-0", _TOKEN) == []
    _write(job, *(note(item, 2) for item in (3, 4, 6, 7)))
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 5, True)]
    _write(job, note(5, 2))
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 8, True)]


def test_nothing_is_done_where_the_first_item_is_not(job: JobLayout, share: Share) -> None:
    _write(job, note(4, 2), note(5, 2))
    assert notes_of(share, job, "w-h-0", _TOKEN) == []


def test_items_of_others_are_not_this_tokens(job: JobLayout, share: Share) -> None:
    _write(job, note(2, 2), note(8, 2))
    _write(job, note(3, 1), note(3, 3), note(3, 2, node=1), note(3, 2, node=10))
    _write(job, note(3, 2), worker="w-h-1")
    # Another worker, whose name begins alike.
    _write(job, note(3, 2), worker="w-h-0-a")
    Path(job.journals, "w-h-0.1.jsonl.tmp").write_bytes(note(3, 2))
    Path(job.journals, "w-h-0.7.jsonl").mkdir()
    assert notes_of(share, job, "w-h-0", _TOKEN) == []
    _write(job, note(3, 2), slot=9)
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 4, True)]


def test_a_result_that_looks_like_a_note_is_none(job: JobLayout, share: Share) -> None:
    """What a job returns stands in its note as it is."""
    looks_like = {"item": 3, "x": 1, "node": 0, "attempt": 2, "ok": True}
    for item, node, attempt in ((3, 5, 2), (3, 0, 1), (4, 5, 1)):
        event = {"item": item, "node": node, "attempt": attempt, "ok": True, "start": 1.5, "end": 2.5}
        for more in ({}, {"to": 8}):
            told = {**event, **more, "result": looks_like}
            _write(job, json.dumps(told, separators=(",", ":")).encode() + b"\n")
    assert notes_of(share, job, "w-h-0", _TOKEN) == []
    assert find_note(share, job, 5, 0, 2) is None


def test_an_item_that_has_failed_stands_for_itself(job: JobLayout, share: Share) -> None:
    _write(job, note(3, 2), note(4, 2, ok=False), note(5, 2, ok=False), note(6, 2), note(7, 2))
    found = notes_of(share, job, "w-h-0", _TOKEN)
    assert _spans(found) == [(3, 4, True), (4, 5, False), (5, 6, False), (6, 8, True)]
    assert found[1].record()["error"] == "no licence"


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_line_is_no_note(job: JobLayout, share: Share, cut: int) -> None:
    _write(job, note(3, 2), note(4, 2)[:-cut])
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 4, True)]
    assert find_note(share, job, 4, 0, 2) is None
    # The slot goes on in another journal.
    _write(job, note(4, 2), note(5, 2), slot=2)
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 6, True)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"item":3,"node":0,"attempt":2,"ok":true,"start":\n', b'{"item":"3","node":0,"attempt":2,"ok":true}\n',
        b'{"item":3,"node":0,"attempt":2,"ok":1}\n', b'{"item":3,"node":0,"attempt":2,"start":1}\n',
        b'{"item":true,"node":0,"attempt":2,"ok":true}\n', b'{"item":3.0,"node":0,"attempt":2,"ok":true}\n',
        b'{"item":3,"node":0,"attempt":2,"ok":true,"to":"x"}\n', b'{"item":3,"node":0,"attempt":2,"ok":true,"to":3}\n',
        b'{"item":3,"node":0,"attempt":2,"ok":true,"to":2}\n', b'["item",3,"node",0,"attempt",2]\n', b"\n", b"\0\0\0\n",
    ],
)  # fmt: skip
def test_a_line_that_says_no_item_is_none(job: JobLayout, share: Share, line: bytes) -> None:
    _write(job, line)
    assert notes_of(share, job, "w-h-0", _TOKEN) == []
    assert find_note(share, job, 3, 0, 2) is None
    _write(job, note(3, 2))
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 4, True)]
    assert find_note(share, job, 3, 0, 2)


def test_what_was_run_at_once_is_done_as_a_whole_or_not_at_all(job: JobLayout, share: Share) -> None:
    _write(job, note(3, 2, to=6))
    assert _spans(notes_of(share, job, "w-h-0", _TOKEN)) == [(3, 6, True)]
    shorter = _TOKEN._replace(span=Span(3, 5))
    assert notes_of(share, job, "w-h-0", shorter) == []
    later = _TOKEN._replace(span=Span(4, 8))
    assert notes_of(share, job, "w-h-0", later) == []


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(3, 8)), st.sets(st.integers(3, 7)), st.integers(0, 5), st.integers(1, 3))
def test_whatever_the_order_the_done_ones_are_those_before_the_first_gap(
    order: list[int], bad: set[int], count: int, journals: int
) -> None:
    with TemporaryDirectory() as directory:
        job = JobLayout(directory, 1)
        Path(job.journals).mkdir(parents=True)
        for at, item in enumerate(order[:count]):
            _write(job, note(item, 2, ok=item not in bad), slot=1 + at % journals)
        found = notes_of(QuickShare(), job, "w-h-0", _TOKEN)
    done = [item for item in range(3, 8) if set(range(3, item + 1)) <= set(order[:count])]
    covered = [(item, one.ok) for one in found for item in range(one.span.start, one.span.end)]
    assert covered == [(item, item not in bad) for item in done]
    assert all(one.span.size == 1 for one in found if not one.ok)


# --- records ----------------------------------------------------------------------------------------------------------


def _event(item: int, **more: Any) -> dict[str, Any]:
    return {"item": item, "node": 0, "attempt": 2, "ok": True, "start": float(item), "end": item + 0.5, **more}


def test_a_record_tells_of_all_its_items() -> None:
    done = Done(_event(3, outputs=[{"path": "/a"}], temporaries=["/.jq-1"], result=7))
    assert done.try_add(_event(4, status="half"))
    assert done.try_add(_event(5, to=7, outputs=[{"path": "/b"}], temporaries=["/.jq-2"], status="there"))
    assert done.record() == {
        "event": "end", "node": 0, "attempt": 2, "items": [3, 7], "ok": True, "start": 3.0, "end": 5.5,
        "progress": 100.0, "status": "there", "outputs": [{"path": "/a"}, {"path": "/b"}],
        "temporaries": ["/.jq-1", "/.jq-2"],
    }  # fmt: skip


def test_only_what_comes_next_and_has_succeeded_is_added() -> None:
    done = Done(_event(3))
    for other in (_event(5), _event(3), _event(2), _event(4, ok=False)):
        assert not done.try_add(other)
    assert done.span == Span(3, 4)
    failed = Done(_event(4, ok=False, error="no", traceback="Traceback", ending="cancel", temporaries=["/.jq-1"]))
    assert not failed.try_add(_event(5))
    record = failed.record()
    assert (record["items"], record["ok"], record["progress"]) == ([4, 5], False, None)
    told = {key: record[key] for key in ("error", "traceback", "ending", "temporaries")}
    assert told == {"error": "no", "traceback": "Traceback", "ending": "cancel", "temporaries": ["/.jq-1"]}


def test_a_note_is_about_one_item_or_up_to_another() -> None:
    assert span_of({"item": 7}) == Span(7, 8)
    assert span_of({"item": 7, "to": 12}) == Span(7, 12)


# --- lines ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, MAX_ITEMS - 1), st.integers(0, 10**7), st.integers(1, 10**6), st.booleans(), st.floats(0, 1e10),
    st.dictionaries(st.sampled_from(["to", "status", "result", "error"]), st.integers() | st.text(), max_size=2),
)  # fmt: skip
def test_a_note_is_read_as_it_was_written(
    item: int, node: int, attempt: int, ok: bool, start: float, more: dict[str, Any]
) -> None:
    event = {"item": item, "node": node, "attempt": attempt, "ok": ok, "start": start, "end": start + 1, **more}
    with TemporaryDirectory() as directory:
        job = JobLayout(directory, 1)
        Path(job.journals).mkdir(parents=True)
        journal = Journal(QuickShare(), job, "w-h-0", 1)
        journal.append({"event": "start", "node": node, "attempt": attempt}, sync=False)
        at = journal.append(event, sync=False)
        journal.close()
        line = Path(journal.path).read_bytes()[at:]
        assert line.startswith(NOTE)
        assert json.loads(line) == event
        # Whoever looks for something else passes it over.
        assert [found["event"] for _, found in events(QuickShare(), journal.path)] == ["start"]
        end = more.get("to", item + 1)
        if isinstance(end, int) and item < end <= MAX_ITEMS:
            assert find_note(QuickShare(), job, item, node, attempt) == event


def test_the_note_of_an_item_is_found_among_those_of_others(job: JobLayout, share: Share) -> None:
    assert find_note(share, job, 3, 0, 2) is None
    _write(job, note(3, 1), note(33, 2), note(3, 2, node=1))
    _write(job, note(3, 2, ok=False), worker="w-h-1", slot=4)
    assert find_note(share, job, 3, 0, 2) == json.loads(note(3, 2, ok=False))
    _write(job, note(10, 2, to=20))
    assert [find_note(share, job, item, 0, 2) is None for item in (9, 10, 19, 20)] == [True, False, False, True]
    assert find_note(share, job, 15, 1, 2) is None
    assert find_note(share, job, 15, 0, 1) is None
