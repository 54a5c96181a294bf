"""JobQueue.deleteJobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import JobStateError
from jobqueue.tokens import Tokens
from tests.support import Gate, is_running, run_next_elsewhere, snapshot, start_runjobs


def _submit(queue: jobqueue.JobQueue, count: int) -> list[jobqueue.JobHandle]:
    return [queue.createJobRoot("noop").activate() for _ in range(count)]


def test_one_handle_is_deleted(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    first, second = _submit(queue, 2)
    queue.deleteJobs(first)
    assert queue.listJobs() == [second]
    assert not Path(first.location).exists()
    assert Path(second.location).is_dir()
    assert os.listdir(queue_dir / "trash") == []


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_several_handles_are_deleted(queue: jobqueue.JobQueue, kind: Callable[[Any], Any]) -> None:
    first, second, third = _submit(queue, 3)
    queue.deleteJobs(kind([third, first]))
    assert queue.listJobs() == [second]


def test_none_deletes_nothing(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    _submit(queue, 2)
    before = snapshot(queue_dir)
    queue.deleteJobs(None)
    queue.deleteJobs([])
    assert snapshot(queue_dir) == before


def test_a_job_that_is_gone_is_no_error(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    first, second = _submit(queue, 2)
    jobqueue.JobQueue(str(queue_dir)).deleteJobs(first)
    queue.deleteJobs(first)
    queue.deleteJobs([first, second])
    assert queue.listJobs() == []


def test_a_sub_job_is_not_deleted_alone(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    (whole,) = _submit(queue, 1)
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    (child,) = root.activate().listSubJobs()
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="job2/job0 is a sub-job; only whole hierarchies can be deleted"):
        queue.deleteJobs([whole, child])
    assert snapshot(queue_dir) == before


def test_nobody_takes_up_a_deleted_job(
    queue: jobqueue.JobQueue, queue_dir: Path, order: Callable[[], list[str]], diary: Path
) -> None:
    root = queue.createJobRoot("note", path=str(diary), text="root")
    for number in range(3):
        root.createJob("note", path=str(diary), text=f"child{number}")
    job = root.activate()
    assert jobqueue.JobQueue(str(queue_dir)).runNextAvailableJob()
    queue.deleteJobs(job)
    assert not jobqueue.JobQueue(str(queue_dir)).runNextAvailableJob()
    assert not queue.runNextAvailableJob()
    assert order() == ["child0"]


def test_nobody_takes_up_the_rest_of_a_job_of_which_something_still_runs(
    queue: jobqueue.JobQueue, queue_dir: Path, order: Callable[[], list[str]], diary: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    root = queue.createJobRoot("note", path=str(diary), text="root")
    root.createJob("code", text=gate.code)
    root.createJob("note", path=str(diary), text="child")
    job = root.activate()
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    queue.deleteJobs(job)
    assert not queue.runNextAvailableJob()
    gate.let_through()
    assert process.communicate()[0] == "True\n"
    assert not queue.runNextAvailableJob()
    assert order() == []
    assert not Path(job.location).exists()


def test_a_worker_that_has_listed_the_job_before_does_not_get_it_either(
    queue: jobqueue.JobQueue, queue_dir: Path, order: Callable[[], list[str]], diary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = queue.createJobRoot("note", path=str(diary), text="root").activate()
    claim = Tokens.try_claim

    def delete_first(self: Tokens, *args: Any, **more: Any) -> Any:
        jobqueue.JobQueue(str(queue_dir)).deleteJobs(job)
        return claim(self, *args, **more)

    monkeypatch.setattr(Tokens, "try_claim", delete_first)
    assert not queue.runNextAvailableJob()
    assert order() == []
    assert not Path(job.location).exists()


def test_attempts_under_way_are_ended(queue: jobqueue.JobQueue, queue_dir: Path, tmp_path: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.2\n"))
    gate = Gate(tmp_path)
    pid_file = tmp_path / "pid"
    job = queue.createJobRoot("command", cmd=f"echo $$ > '{pid_file}'; {gate.shell}").activate()
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    gate.wait()
    queue.deleteJobs(job)
    assert queue.listJobs() == []
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert not is_running(int(pid_file.read_text()))
    assert not Path(job.location).exists()
    assert os.listdir(queue_dir / "workers") == []
    assert "delete, asked by" in log


def test_the_number_of_a_deleted_job_is_not_used_again(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    _, second = _submit(queue, 2)
    queue.deleteJobs(second)
    assert jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop").activate().number == 3
    queue.deleteJobs(queue.listJobs())
    assert jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop").activate().number == 4
