"""What a worker hears of its host, and who is told."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobqueue.layout import WorkerLayout
from jobqueue.names import RunningToken
from jobqueue.params import dumps
from jobqueue.registry import Registration
from jobqueue.store import Store
from jobqueue.testing import FakeClock
from jobqueue.worker.doubts import Doubts, tell_doubts
from tests.support_share import QuickShare
from tests.unit.choosing import submit

_FAILED = {"event": "end", "node": 0, "attempt": 1, "ok": False}


@pytest.fixture
def store(queue_dir: Path) -> Store:
    return Store(str(queue_dir), QuickShare())


@pytest.fixture
def clock(store: Store) -> FakeClock:
    assert isinstance(store.share.clock, FakeClock)
    return store.share.clock


@pytest.fixture
def files(store: Store) -> WorkerLayout:
    files = store.layout.worker("w")
    os.mkdir(files.dir)
    return files


# --- hearing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apart_s", "is_avoided"), [(899.5, True), (900.0, False)])
def test_three_jobs_count_within_half_an_hour(
    store: Store, clock: FakeClock, files: WorkerLayout, apart_s: float, is_avoided: bool
) -> None:
    doubts = Doubts(store)
    for number in range(3):
        clock.passed += apart_s
        doubts.hear(files, f"job{number}")
    assert doubts.is_avoided() is is_avoided


def test_one_job_counts_once_however_often_it_is_told(store: Store, files: WorkerLayout) -> None:
    doubts = Doubts(store)
    for name in ("job0", "job0", "job0", "job1"):
        doubts.hear(files, name)
        assert not doubts.is_avoided()
    doubts.hear(files, "job2")
    assert doubts.is_avoided()


def test_the_log_and_a_note_say_which_jobs_and_for_how_long(
    store: Store, clock: FakeClock, files: WorkerLayout, caplog: pytest.LogCaptureFixture
) -> None:
    doubts = Doubts(store)
    for number in range(3):
        clock.passed += 10.0
        doubts.hear(files, f"job{number}")
    assert json.loads(Path(files.avoided).read_text()) == {"jobs": ["job0", "job1", "job2"], "until": clock.now() + 300}
    assert "This host has failed job0, job1, job2, which others have finished. Taking nothing new for 5 " in caplog.text
    assert "`jobqueue log job0 --attempt 1`" in caplog.text
    clock.passed += 300.0
    caplog.clear()
    for _ in range(2):
        assert not doubts.is_avoided()
    assert caplog.text.count("Taking jobs again") == 1


def test_what_is_heard_meanwhile_makes_the_time_no_longer_and_counts_afterwards(
    store: Store, clock: FakeClock, files: WorkerLayout
) -> None:
    doubts = Doubts(store)
    for number in range(3):
        doubts.hear(files, f"job{number}")
    clock.passed += 299.0
    for number in range(3, 6):
        doubts.hear(files, f"job{number}")
    clock.passed += 1.0
    assert not doubts.is_avoided()
    doubts.hear(files, "job6")
    assert doubts.is_avoided()


def test_a_note_that_cannot_be_written_keeps_no_host_from_being_avoided(
    store: Store, clock: FakeClock, files: WorkerLayout, caplog: pytest.LogCaptureFixture
) -> None:
    os.rmdir(files.dir)
    doubts = Doubts(store)
    for number in range(3):
        doubts.hear(files, f"job{number}")
    assert f"{files.avoided} cannot be written" in caplog.text
    assert doubts.is_avoided()
    clock.passed += 300.0
    assert not doubts.is_avoided()


def test_a_note_that_cannot_be_removed_is_tried_again(
    store: Store, clock: FakeClock, files: WorkerLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts = Doubts(store)
    for number in range(3):
        doubts.hear(files, f"job{number}")
    clock.passed += 300.0

    def refuse(path: str) -> bool:
        raise OSError(errno.EIO, "Input/output error", path)

    with monkeypatch.context() as patch:
        patch.setattr(store.share, "try_unlink", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            doubts.is_avoided()
    assert not doubts.is_avoided()
    assert not Path(files.avoided).exists()


# --- telling ---------------------------------------------------------------------------------------------------------


def _come(store: Store, name: str, host: str, **event: Any) -> Registration:
    """A worker on a host, in whose journal an event of job1 lies."""
    worker = Registration(store, name, 1)
    info = Path(worker.files.info)
    info.write_text(json.dumps({**json.loads(info.read_text()), "host": host}))
    start = {"event": "start", "node": event.get("node", 0), "attempt": event.get("attempt", 1)}
    lines = [dumps(line).encode("ascii") + b"\n" for line in ([start, event] if event else [])]
    Path(store.layout.job(1).journal(worker.name, 1)).write_bytes(b"".join(lines))
    return worker


def _finish(store: Store, worker: str) -> None:
    """The ninth attempt of the first job has succeeded."""
    tell_doubts(store, store.layout.job(1), RunningToken(1, 0, 9, 17, 0, 1), "job1/job0", worker)


def test_who_has_failed_on_another_host_is_told_and_who_has_gone_is_not(store: Store) -> None:
    submit(store, 2)
    workers = [_come(store, f"w{nth}", f"farm{nth}", **{**_FAILED, "attempt": nth}) for nth in range(1, 4)]
    me = _come(store, "me", "here", **{**_FAILED, "attempt": 4})
    assert workers[0].leave()
    _finish(store, me.name)
    for worker in workers[1:]:
        assert worker.requests() == [{"action": "doubt", "job": 1, "node": 0, "by": "job1/job0"}]
    assert me.requests() == []
    for worker in (me, *workers[1:]):
        assert worker.leave()


@pytest.mark.parametrize(
    "event",
    [
        {**_FAILED, "ok": True}, {**_FAILED, "ok": None}, {**_FAILED, "node": 1}, {**_FAILED, "attempt": 9},
        {"event": "start", "node": 0, "attempt": 1},
    ],
    ids=["a success", "no answer", "another job", "the same attempt", "only begun"],
)  # fmt: skip
def test_nobody_is_told_of_anything_but_an_earlier_attempt_that_has_failed(store: Store, event: dict[str, Any]) -> None:
    submit(store, 2)
    other, me = _come(store, "w", "farm", **event), _come(store, "me", "here")
    _finish(store, me.name)
    assert other.requests() == []
    assert other.leave()
    assert me.leave()


def test_nobody_on_the_same_host_is_told(store: Store) -> None:
    submit(store, 2)
    other, me = _come(store, "w", "here", **_FAILED), _come(store, "me", "here")
    _finish(store, me.name)
    assert other.requests() == []
    assert other.leave()
    assert me.leave()


def test_of_a_job_that_was_deleted_meanwhile_nobody_is_told(store: Store) -> None:
    submit(store, 2)
    other = _come(store, "w", "farm", **_FAILED)
    shutil.rmtree(store.layout.job(1).dir)
    # Not even who has finished it is there any more.
    _finish(store, "gone-host-0000000000")
    assert other.requests() == []
    assert other.leave()


def test_who_cannot_say_on_which_host_he_is_tells_all_the_same(store: Store) -> None:
    submit(store, 2)
    other = _come(store, "w", "farm", **_FAILED)
    _finish(store, "gone-host-0000000000")
    assert len(other.requests()) == 1
    assert other.leave()
