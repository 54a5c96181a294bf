"""Journals: what is appended is found again, and what is torn or somebody else's is not taken for a record."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue import journal as journal_module
from jobqueue.journal import Journal, events, find_record, read_record
from jobqueue.layout import JobLayout
from jobqueue.params import dumps
from jobqueue.share import Appender, Share
from jobqueue.testing import Anomalies, ModelHost, ModelServer, ModelShare
from jobqueue.trouble import is_trouble
from tests.support_share import QuickShare


@pytest.fixture
def job(tmp_path: Path) -> JobLayout:
    layout = JobLayout(str(tmp_path), 7)
    Path(layout.journals).mkdir(parents=True)
    return layout


@pytest.fixture
def journal(job: JobLayout) -> Journal:
    return Journal(QuickShare(), job, "node-host-1", 2)


def _event(node: int, attempt: int = 1, **more: Any) -> dict[str, Any]:
    return {"node": node, "attempt": attempt, "ok": True, **more}


def test_the_file_comes_into_being_with_the_first_event(journal: Journal, job: JobLayout) -> None:
    assert (journal.path, journal.slot) == (job.journal("node-host-1", 2), 2)
    journal.close()
    assert not Path(journal.path).exists()
    journal.append({"event": "begin"}, sync=False)
    journal.close()
    assert Path(journal.path).read_bytes() == b'{"event":"begin"}\n'


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(), st.one_of(st.text(), st.integers()), max_size=3), max_size=6))
def test_every_event_is_found_at_the_offset_that_was_told(job: JobLayout, written: list[dict[str, Any]]) -> None:
    Path(job.journal("w", 1)).unlink(missing_ok=True)
    journal = Journal(QuickShare(), job, "w", 1)
    told = [(journal.append(event, sync=False), event) for event in [*written, {"last": 1}]]
    journal.close()
    assert list(events(Share(), journal.path)) == told


_WHEN, _COUNT = st.floats(0, 1e11), st.integers(1)
_PLAIN_EVENTS = st.one_of(
    st.fixed_dictionaries({"event": st.just("start"), "node": _COUNT, "attempt": _COUNT, "time": _WHEN}),
    st.fixed_dictionaries(
        {
            "event": st.just("end"), "node": _COUNT, "attempt": _COUNT, "ok": st.booleans(),
            "start": _WHEN, "end": _WHEN, "progress": st.floats(0, 100), "status": st.sampled_from(["", 'half "done"']),
            "result": st.one_of(st.none(), st.integers()),
        }
    ),
    st.fixed_dictionaries(
        {
            "event": st.just("end"), "node": _COUNT, "attempt": _COUNT, "items": st.just([1, 2]),
            "ok": st.booleans(), "start": _WHEN, "end": _WHEN, "progress": st.none(), "status": st.just(""),
        }
    ),
    st.fixed_dictionaries(
        {
            "item": _COUNT, "node": _COUNT, "attempt": _COUNT, "ok": st.booleans(),
            "start": _WHEN, "end": _WHEN,
        }
    ),
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_PLAIN_EVENTS)
def test_what_is_written_without_an_encoder_is_what_one_writes(job: JobLayout, event: dict[str, Any]) -> None:
    Path(job.journal("w", 1)).unlink(missing_ok=True)
    journal = Journal(QuickShare(), job, "w", 1)
    journal.append(event, sync=False)
    journal.close()
    (line,) = Path(journal.path).read_text().splitlines()
    assert (json.loads(line), len(line)) == (event, len(dumps(event)))


def test_a_journal_goes_on_where_it_ended(journal: Journal) -> None:
    first = journal.append(_event(1), sync=False)
    journal.close()
    second = journal.append(_event(2), sync=False)
    journal.close()
    assert (first, read_record(Share(), journal.path, second, 2, 1)) == (0, _event(2))


@pytest.mark.parametrize("sync", [True, False])
def test_what_counts_is_synced_and_the_rest_is_not(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    synced: list[str] = []
    monkeypatch.setattr("tests.support_share._QuickAppender.sync", lambda self: synced.append(self.path))
    journal.append(_event(1), sync=sync)
    journal.close()
    assert synced == [journal.path] * sync


def test_an_error_at_closing_is_nobodys_business(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[None] = []

    def close(self: Appender) -> None:
        real(self)
        closed.append(None)
        raise OSError("the share is away")

    real = Appender.close
    monkeypatch.setattr(Appender, "close", close)
    journal.append(_event(1), sync=False)
    journal.close()
    journal.close()
    assert len(closed) == 1


def test_a_record_of_another_attempt_is_none(journal: Journal) -> None:
    at = journal.append(_event(3, 2), sync=False)
    without_end = journal.append({"node": 3, "attempt": 2, "event": "begin"}, sync=False)
    journal.close()
    share = Share()
    assert read_record(share, journal.path, at, 3, 2) == _event(3, 2)
    for node, attempt in ((3, 1), (4, 2), (2, 3)):
        assert read_record(share, journal.path, at, node, attempt) is None
    # Only a line that says how the attempt ended is its record.
    assert read_record(share, journal.path, without_end, 3, 2) is None
    for wrong in (at + 1, without_end - 1, 10_000):
        assert read_record(share, journal.path, wrong, 3, 2) is None


@pytest.mark.parametrize(
    "torn", [b"", b"{", b"\0" * 64, b'{"node":1,"attempt":1,"ok":tr', b"\xff\xfe", b"[1]", b"3", b"null"]
)
def test_a_torn_line_is_passed_over(journal: Journal, torn: bytes) -> None:
    journal.append(_event(1), sync=False)
    journal.close()
    path = Path(journal.path)
    at = path.stat().st_size
    path.write_bytes(path.read_bytes() + torn + b"\n")
    last = journal.append(_event(2), sync=False)
    journal.close()
    share = Share()
    assert read_record(share, journal.path, at, 1, 1) is None
    assert read_record(share, journal.path, last, 2, 1) == _event(2)
    assert list(events(share, journal.path)) == [(0, _event(1)), (last, _event(2))]


def test_every_cut_of_a_record_but_its_line_end_makes_it_lost(journal: Journal) -> None:
    line = dumps(_event(1, label="Käse")).encode() + b"\n"
    for end in range(len(line) + 1):
        Path(journal.path).write_bytes(line[:end])
        found = read_record(Share(), journal.path, 0, 1, 1)
        assert found == (_event(1, label="Käse") if end >= len(line) - 1 else None)


def test_a_missing_journal_holds_no_record(journal: Journal) -> None:
    assert read_record(Share(), journal.path, 0, 1, 1) is None
    Path(journal.path).touch()
    assert read_record(Share(), f"{journal.path}/below", 0, 1, 1) is None


def test_a_record_is_found_although_its_journal_was_missing_when_this_host_looked_last() -> None:
    server = ModelServer()
    one, other = (ModelShare(ModelHost(server, name, Anomalies(stale_missing=1.0))) for name in "ab")
    job = JobLayout("", 1)
    one.make_dir(job.dir)
    one.make_dir(job.journals)
    journal = Journal(one, job, "w-h-0", 1)
    assert read_record(other, journal.path, 0, 1, 1) is None
    assert find_record(other, journal.path, 0, 1, 1) is None
    assert read_record(other, journal.path, 0, 1, 1) is None
    journal.append(_event(1), sync=True)
    server.clock.sleep(1.0)
    assert read_record(other, journal.path, 0, 1, 1) is None
    assert find_record(other, journal.path, 0, 1, 1) == _event(1)


def test_a_journal_that_is_certainly_missing_holds_no_record(journal: Journal) -> None:
    assert find_record(Share(), journal.path, 0, 1, 1) is None
    assert find_record(Share(), f"{journal.path}/below", 0, 1, 1) is None


def test_a_journal_that_is_listed_and_cannot_be_opened_is_trouble_and_no_lost_record(journal: Journal) -> None:
    class Hiding(Share):
        def read_part(self, path: str, offset: int, size: int) -> bytes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    journal.append(_event(1), sync=False)
    journal.close()
    with pytest.raises(OSError, match="is listed and cannot be opened") as caught:
        find_record(Hiding(), journal.path, 0, 1, 1)
    assert is_trouble(caught.value)


@pytest.mark.parametrize("size", [8100, 8192, 20_000, 300_000])
def test_a_long_record_is_read_whole(journal: Journal, size: int) -> None:
    event = _event(1, result="x" * size)
    journal.append({"event": "begin"}, sync=False)
    at = journal.append(event, sync=False)
    journal.append({"event": "after"}, sync=False)
    journal.close()
    assert read_record(Share(), journal.path, at, 1, 1) == event


def test_a_line_without_an_end_is_not_read_for_ever(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_MAX_RECORD_BYTES", 1 << 15)
    Path(journal.path).write_bytes(b"{" * (1 << 20))

    class Counting(Share):
        taken = 0

        def read_part(self, path: str, offset: int, size: int) -> bytes:
            data = super().read_part(path, offset, size)
            self.taken += len(data)
            return data

    share = Counting()
    assert read_record(share, journal.path, 0, 1, 1) is None
    assert share.taken < 1 << 17


def test_a_journal_that_is_gone_or_a_directory_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.1.jsonl").mkdir()
    assert list(events(Share(), str(tmp_path / "w.1.jsonl"))) == []
    assert list(events(Share(), str(tmp_path / "w.2.jsonl"))) == []
