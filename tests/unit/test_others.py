"""What a host has failed is left to other hosts for a while, so that one without a licence does not fail everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jobqueue
from jobqueue.worker.runner import Step
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached, new_queue

START = Callable[[str, str], Worker]
_LEFT_S = 120.0


@pytest.fixture
def start(queue_dir: Path) -> Iterator[START]:
    """Starts a worker of a name on a host; all leave in the end."""
    started: list[Worker] = []

    def start_one(name: str, host: str) -> Worker:
        worker = Worker(queue_dir, QuickShare(len(name)), name)
        path = Path(worker.registration.files.info)
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": host}))
        started.append(worker)
        return worker

    yield start_one
    for worker in started:
        assert worker.leave()


def _submit(queue_dir: Path, jobs: int, max_errors: int = 3) -> list[jobqueue.JobHandle]:
    """Jobs that fail wherever the file ``licence`` is missing beside the queue."""
    queue = attached(queue_dir, QuickShare(1))
    handles = []
    for _ in range(jobs):
        root = queue.createJobRoot(
            "code", text=f"import os; os.stat({str(queue_dir.parent / 'licence')!r}); result = 1"
        )
        root.options.maxErrors = max_errors
        handles.append(root.activate())
    return handles


def test_a_host_without_a_licence_fails_each_job_once_and_leaves_it_to_another_one(
    queue_dir: Path, start: START
) -> None:
    handles = _submit(queue_dir, 4)
    bad, good = start("bad", "h1"), start("good", "h2")
    assert bad.run_all() == [f"job{number}" for number in range(1, 5)]
    assert not any(handle.hasError() for handle in handles)
    assert sorted(bad.store.share.names(bad.store.layout.index_folder("runnable"))) != []
    (queue_dir.parent / "licence").touch()
    good.run_all()
    assert [(handle.result, handle.attempt) for handle in handles] == [(1, 2)] * 4


def test_all_workers_of_the_host_leave_it(queue_dir: Path, start: START) -> None:
    _submit(queue_dir, 1)
    bad, twin, _ = start("bad", "h1"), start("twin", "h1"), start("good", "h2")
    assert bad.run_all() == ["job1"]
    assert twin.run_all() == []


def test_where_nobody_else_is_it_is_tried_again_at_once(queue_dir: Path, start: START) -> None:
    (handle,) = _submit(queue_dir, 1)
    bad, _ = start("bad", "h1"), start("twin", "h1")
    assert bad.run_all() == ["job1"] * 3
    assert handle.hasError()


def test_if_nobody_takes_it_within_two_minutes_the_host_itself_does(queue_dir: Path, start: START) -> None:
    (handle,) = _submit(queue_dir, 1, max_errors=2)
    bad, _ = start("bad", "h1"), start("good", "h2")
    assert bad.run_all() == ["job1"]
    bad.store.share.clock.sleep(_LEFT_S - 1)
    assert bad.step() is Step.NOTHING
    bad.store.share.clock.sleep(2)
    bad.runner.chooser.look_again()
    assert bad.run_all() == ["job1"]
    assert handle.hasError()


def test_what_has_failed_elsewhere_is_taken(queue_dir: Path, start: START) -> None:
    _submit(queue_dir, 1)
    bad, good = start("bad", "h1"), start("good", "h2")
    bad.run_all()
    assert good.step() is Step.RAN


def test_beside_it_other_jobs_of_the_hierarchy_go_on(tmp_path: Path, start: START, queue_dir: Path) -> None:
    queue = attached(queue_dir, QuickShare(1))
    root = queue.createJobRoot("noop")
    first = root.createJob("code", text="raise RuntimeError('no licence')")
    first.options.maxErrors = 2
    root.createJob("noop")
    root.activate()
    bad, _ = start("bad", "h1"), start("good", "h2")
    assert bad.run_all() == ["job1/job0", "job1/job1"]


def test_a_job_in_trouble_does_not_keep_the_others_from_being_run(tmp_path: Path) -> None:
    queue_dir = new_queue(tmp_path / "queue")
    queue = attached(queue_dir, QuickShare(1))

    class Refusing(QuickShare):
        """One job's directory is its submitter's alone."""

        is_well = False

        def names(self, directory: str) -> list[str]:
            if directory.endswith("/job1/.tokens/ready") and not self.is_well:
                raise PermissionError(13, "Permission denied", directory)
            return super().names(directory)

    for _ in range(3):
        queue.createJobRoot("noop").activate()
    share = Refusing(5)
    worker = Worker(queue_dir, share)
    assert worker.step() is Step.RAN and worker.step() is Step.RAN
    assert worker.ran == ["job2", "job3"]
    # Alone it is no reason to be idle either: it is waited for, and said.
    share.clock.sleep(60.0)
    worker.runner.chooser.look_again()
    with pytest.raises(PermissionError):
        worker.step()
    share.is_well = True
    share.clock.sleep(60.0)
    assert worker.step() is Step.RAN
    assert worker.leave()


def test_a_job_whose_hierarchy_cannot_be_read_is_given_back_and_the_others_come_first(tmp_path: Path) -> None:
    queue_dir = new_queue(tmp_path / "queue")
    queue = attached(queue_dir, QuickShare(1))

    class Refusing(QuickShare):
        refused = 0

        def read_part(self, path: str, offset: int, size: int) -> bytes:
            if path.endswith("/job1/.hierarchy"):
                self.refused += 1
                raise PermissionError(13, "Permission denied", path)
            return super().read_part(path, offset, size)

    handles = [queue.createJobRoot("noop").activate() for _ in range(3)]
    share = Refusing(5)
    worker = Worker(queue_dir, share)
    with pytest.raises(PermissionError):
        worker.step()
    assert worker.run_all() == ["job2", "job3"]
    assert share.refused == 1
    assert [handle.isFinished() for handle in handles] == [False, True, True]
    assert worker.leave()
