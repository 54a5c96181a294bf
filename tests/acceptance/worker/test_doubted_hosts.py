"""A host that keeps failing what others finish takes nothing new for a while, and is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.registry import avoided_for
from jobqueue.testing import FakeClock
from jobqueue.worker.doubts import Doubts
from tests.acceptance.worker.driver import Queue, Worker, until
from tests.support_share import QuickShare

START = Callable[..., Worker]
_ELSEWHERE = "farm-of-old"


@pytest.fixture
def fails_here(tmp_path: Path) -> str:
    """A job's text that fails as long as a file is missing."""
    return f"import os\nassert os.path.exists({str(tmp_path / 'library')!r}), 'no library'"


def pretend_to_be_elsewhere(q: Queue, name: str) -> None:
    """Has a worker's folder say that it is on another host."""
    info = q.dir / "workers" / name / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "host": _ELSEWHERE}))


def fail_here_and_finish_there(q: Queue, start: START, fails_here: str, tmp_path: Path, count: int) -> Worker:
    """Jobs fail under one worker, on another host; then another worker finishes them. The first one, which goes on."""
    handle = q.submit(*[fails_here] * count)
    first = start("--slots", "1", "--max-jobs", str(count + 1))
    first.wait_to_say("has come to")
    pretend_to_be_elsewhere(q, first.name())
    until(lambda: len(q.folder(1, "failed")) == count, "all have failed")
    # It is kept from taking them by a job that it works at meanwhile.
    blocker = q.queue.createJobRoot("command", cmd=f"while ! test -e {tmp_path}/go; do sleep 0.05; done").activate()
    until(blocker.isRunning, "the first worker is busy")
    (tmp_path / "library").touch()
    handle.retry()
    assert start("--slots", "1", "--max-jobs", str(count + 1)).ends() == 0
    assert not handle.hasError(recursive=True)
    return first


def test_a_worker_that_failed_what_others_finish_takes_nothing_new(
    q: Queue, start: START, fails_here: str, tmp_path: Path
) -> None:
    first = fail_here_and_finish_there(q, start, fails_here, tmp_path, 3)
    first.wait_to_say("This host has failed job1/job")
    assert sorted(avoided_for(q.store, first.name())) == ["job1/job0", "job1/job1", "job1/job2"]
    later = q.submit("result = 'by whom?'")
    (tmp_path / "go").touch()
    assert start("--slots", "1", "--max-jobs", "2").ends() == 0
    assert later.isFinished()
    assert first.process.poll() is None


def test_one_or_two_such_jobs_are_no_reason(q: Queue, start: START, fails_here: str, tmp_path: Path) -> None:
    first = fail_here_and_finish_there(q, start, fails_here, tmp_path, 2)
    first.wait_for_beats(4)
    assert not first.says("This host has failed")
    (tmp_path / "go").touch()


def test_nobody_is_told_who_is_on_the_same_host(q: Queue, start: START, fails_here: str, tmp_path: Path) -> None:
    handle = q.submit(*[fails_here] * 3)
    assert start("--slots", "1", "--max-jobs", "3").ends() == 0
    idle = start("--slots", "1", "--max-jobs", "9")
    idle.wait_to_say("has come to")
    (tmp_path / "library").touch()
    handle.retry()
    until(handle.isFinished, "it is finished")
    idle.wait_for_beats(4)
    assert not idle.says("This host has failed")


def test_the_time_is_over_at_last_and_grows_with_each_time(queue_dir: Path) -> None:
    queue = Queue(queue_dir)
    store = queue.store
    store.share = QuickShare()
    clock = store.share.clock
    assert isinstance(clock, FakeClock)
    files = store.layout.worker("w")
    os.mkdir(files.dir)
    doubts = Doubts(store)
    for wait_s in (300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0):
        for number in range(3):
            assert not doubts.is_avoided()
            doubts.hear(files, f"job{number}")
        assert doubts.is_avoided()
        assert Path(files.avoided).exists()
        clock.passed += wait_s - 1
        assert doubts.is_avoided()
        clock.passed += 1
        assert not doubts.is_avoided()
        assert not Path(files.avoided).exists()


def test_what_lies_long_ago_and_one_job_often_do_not_count(queue_dir: Path) -> None:
    queue = Queue(queue_dir)
    queue.store.share = QuickShare()
    clock = queue.store.share.clock
    assert isinstance(clock, FakeClock)
    files = queue.store.layout.worker("w")
    os.mkdir(files.dir)
    doubts = Doubts(queue.store)
    for _ in range(5):
        doubts.hear(files, "job1")
        assert not doubts.is_avoided()
    for number in range(2, 9):
        clock.passed += 1000
        doubts.hear(files, f"job{number}")
        assert not doubts.is_avoided()
