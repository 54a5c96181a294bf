"""JobHandle: what it is, where it stands, what it came to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import JobNotFoundError, JobStateError
from jobqueue.handle import reader_of
from tests.support import Gate, run_next_elsewhere, start_runjobs, wait_until

Submit = Callable[..., jobqueue.JobHandle]
RunAll = Callable[[], int]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_location_label_and_number(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop", label="the root")
    root.createJob("noop", label="first")
    root.createJob("noop")
    job = root.activate()
    first, second = job.listSubJobs()
    assert [handle.location for handle in (job, first, second)] == [
        str(queue_dir / "job1"), str(queue_dir / "job1" / "job0"), str(queue_dir / "job1" / "job1"),
    ]  # fmt: skip
    assert [handle.label for handle in (job, first, second)] == ["the root", "first", None]
    assert [handle.number for handle in (job, first, second)] == [1, 0, 1]
    assert [handle.name for handle in (job, first, second)] == ["job1", "job1/job0", "job1/job1"]


def test_times_are_seconds_since_the_epoch_or_none(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    times = [time.time()]
    job = submit_code("import time; result = time.time()")
    assert (job.startTime, job.endTime) == (None, None)
    times += [job.submitTime, time.time()]
    queue.runNextAvailableJob()
    assert job.startTime is not None
    assert job.endTime is not None
    times += [job.startTime, job.result, job.endTime, time.time()]
    assert times == sorted(times)


def test_a_running_job_has_a_start_and_no_end(queue_dir: Path, submit_code: Submit, gate: Gate) -> None:
    job = submit_code(gate.code)
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    started = job.startTime
    assert started is not None
    assert started >= job.submitTime
    assert (job.startTime, job.endTime) == (started, None)
    gate.let_through()
    assert process.communicate()[0] == "True\n"
    assert job.startTime == started
    assert job.endTime is not None
    assert job.endTime >= started


def test_before_the_start_progress_is_0_and_the_status_line_empty(submit_code: Submit) -> None:
    job = submit_code("")
    assert job.progress == 0
    assert job.statusLine == ""


def test_after_success_progress_is_100(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("proc.setProgress(40); proc.setStatusLine('on my way')")
    queue.runNextAvailableJob()
    assert job.progress == 100
    assert job.statusLine == "on my way"


def test_after_a_failure_progress_is_what_it_was(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("proc.setProgress(40); proc.setStatusLine('stuck'); proc.setError()")
    queue.runNextAvailableJob()
    assert job.progress == 40
    assert job.statusLine == "stuck"


def test_progress_and_status_line_are_seen_while_it_runs(queue_dir: Path, submit_code: Submit, tmp_path: Path) -> None:
    first, second = Gate(tmp_path, "first"), Gate(tmp_path, "second")
    job = submit_code(f"{first.code}proc.setProgress(40); proc.setStatusLine('frame 4 of 10')\n{second.code}")
    process = run_next_elsewhere(queue_dir)
    first.wait()
    assert (job.progress, job.statusLine) == (0, "")
    first.let_through()
    second.wait()
    wait_until(lambda: (job.progress, job.statusLine) == (40, "frame 4 of 10"), "the job's progress")
    assert job.isRunning()
    second.let_through()
    process.communicate()
    assert job.progress == 100


def test_a_job_that_is_tried_again_begins_at_0(queue_dir: Path, submit_code: Submit, gate: Gate) -> None:
    job = submit_code(f"proc.setProgress(40); proc.setStatusLine('half way'); {gate.code}proc.setError()")
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    wait_until(lambda: job.progress == 40, "the job's progress")
    gate.let_through()
    process.communicate()
    assert (job.progress, job.statusLine) == (40, "half way")
    job.retry()
    assert (job.progress, job.statusLine) == (0, "")


def test_progress_that_cannot_be_read_is_none(queue_dir: Path, submit_code: Submit, gate: Gate) -> None:
    job = submit_code(f"proc.setProgress(40)\n{gate.code}")
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    wait_until(lambda: job.progress == 40, "the job's progress")
    status = Path(job.progressFile)
    whole = status.read_bytes()
    status.write_bytes(b"{torn")
    assert job.progress is None
    assert job.statusLine == ""
    status.write_bytes(whole)
    gate.let_through()
    process.communicate()


def _flags(job: jobqueue.JobHandle) -> tuple[bool, bool, bool, bool]:
    return job.isWaiting(), job.isRunning(), job.isFinished(), job.hasError()


def test_a_job_waits_runs_and_is_finished(queue_dir: Path, submit_code: Submit, gate: Gate) -> None:
    job = submit_code(gate.code)
    assert _flags(job) == (True, False, False, False)
    assert str(job) == "job1 (waiting)"
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    assert _flags(job) == (False, True, False, False)
    assert str(job) == "job1 (running)"
    gate.let_through()
    process.communicate()
    assert _flags(job) == (False, False, True, False)
    assert str(job) == "job1 (finished)"
    assert repr(job) == "<JobHandle job1>"


def test_a_job_that_has_failed_is_finished_and_has_an_error(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("raise RuntimeError('out of paint')")
    queue.runNextAvailableJob()
    assert _flags(job) == (False, False, True, True)
    assert str(job) == "job1 (finished)"
    assert job.error == "RuntimeError: out of paint"


def test_a_job_that_waits_for_sub_jobs_is_waiting(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    job = root.activate()
    assert _flags(job) == (True, False, False, False)
    assert str(job.listSubJobs()[0]) == "job1/job0 (waiting)"
    queue.runNextAvailableJob()
    assert _flags(job) == (True, False, False, False)


def test_has_error_looks_below_only_if_it_is_told_to(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    left, right = root.createJob("noop"), root.createJob("noop")
    left.createJob("code", text="proc.setError()")
    right.createJob("noop")
    job = root.activate()
    run_all()
    left_handle, right_handle = job.listSubJobs()
    assert [handle.hasError() for handle in (job, left_handle, right_handle)] == [False, False, False]
    assert [handle.hasError(recursive=True) for handle in (job, left_handle, right_handle)] == [True, True, False]
    assert left_handle.listSubJobs()[0].hasError()


def test_sub_jobs_are_listed_in_the_order_in_which_they_were_made_dependencies(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    third = jobqueue.Job(root, "noop", label="c")
    first = root.createJob("noop", label="a")
    root.createJob("noop", label="b")
    root.addDependency(third)
    first.createJob("noop", label="below a")
    assert [job.label for job in root.activate().listSubJobs()] == ["a", "b", "c"]


def test_a_python_job_has_a_result(queue: jobqueue.JobQueue) -> None:
    job = queue.createJobRoot("python", function="os.path:split", args=["/shots/a.exr"]).activate()
    with pytest.raises(JobStateError, match="job1 has no result yet, it is ready; wait for it"):
        _ = job.result
    queue.runNextAvailableJob()
    assert job.result == ("/shots", "a.exr")
    assert type(job.result) is tuple


def test_a_failed_job_has_an_error_instead_of_a_result(queue: jobqueue.JobQueue) -> None:
    job = queue.createJobRoot("python", function="os:listdir", args=["/there is nothing"]).activate()
    queue.runNextAvailableJob()
    with pytest.raises(JobStateError, match="job1 has no result, it is failed: FileNotFoundError") as error:
        _ = job.result
    assert "`jobqueue log job1` shows what it printed" in str(error.value)
    assert "Traceback (most recent call last)" in str(error.value)
    assert job.runningDir in str(error.value)


def test_handles_are_the_same_if_they_are_of_the_same_job(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    first, second = (queue.createJobRoot("noop").activate() for _ in range(2))
    again = jobqueue.JobQueue(str(queue_dir)).findJob("job1")
    assert first == again
    assert hash(first) == hash(again)
    assert first != second
    assert first != "job1"


def test_every_question_about_a_deleted_job_is_answered_with_one_error(
    queue: jobqueue.JobQueue, queue_dir: Path
) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    job = root.activate()
    (child,) = job.listSubJobs()
    jobqueue.JobQueue(str(queue_dir)).deleteJobs(job)
    fresh = jobqueue.JobHandle(reader_of(job).store, 1, None, "")
    for handle in (job, child, fresh):
        for question in (
            "label", "submitTime", "startTime", "endTime", "progress", "statusLine", "result", "state", "error",
            "worker", "attempt", "isWaiting", "isRunning", "isFinished", "hasError", "setError", "listSubJobs",
            "runningDir", "stdoutFile", "pidFile", "errorMarkerFile", "__str__",
        ):  # fmt: skip
            if handle is not fresh and question in ("label", "submitTime", "listSubJobs"):
                continue  # what never changes may be answered from memory
            with pytest.raises(JobNotFoundError, match="may have been deleted"):
                _ask(handle, question)
        with pytest.raises(JobNotFoundError):
            handle.hasError(recursive=True)
    assert (job.name, job.number, job.location) == ("job1", 1, str(queue_dir / "job1"))
    assert (child.name, child.number, child.location) == ("job1/job0", 0, str(queue_dir / "job1" / "job0"))


def _ask(handle: jobqueue.JobHandle, question: str) -> object:
    answer = getattr(handle, question)
    return answer() if callable(answer) else answer


def test_a_retried_job_shows_its_latest_attempt(queue: jobqueue.JobQueue, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = queue.createJobRoot("command", cmd=f"echo try; test -e '{flag}'").activate()
    queue.runNextAvailableJob()
    assert job.hasError()
    assert job.retry() == 1
    assert _flags(job) == (True, False, False, False)
    flag.touch()
    queue.runNextAvailableJob()
    assert _flags(job) == (False, False, True, False)
    assert job.attempt == 2
    assert job.runningDir.endswith("/.attempt2")


def test_a_job_is_seen_running_in_another_process_by_several_readers(
    queue_dir: Path, submit_code: Submit, gate: Gate
) -> None:
    submit_code(gate.code)
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1", "--name", "farm")
    gate.wait()
    found: list[tuple[bool, str | None]] = []

    def read() -> None:
        (job,) = jobqueue.JobQueue(str(queue_dir)).listJobs()
        found.append((job.isRunning(), job.worker))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.let_through()
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert {running for running, _ in found} == {True}
    assert all(name is not None and name.startswith("farm-") for _, name in found)
