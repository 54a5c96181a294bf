"""JobHandle.setError: on a waiting, a running and a finished job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import JobStateError
from tests.support import Gate, is_running, run_next_elsewhere, snapshot, start_runjobs, wait_until

Submit = Callable[..., jobqueue.JobHandle]


def test_a_waiting_job_fails_at_once(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job, other = submit_code(""), submit_code("")
    job.setError()
    assert job.isFinished()
    assert job.hasError()
    assert job.error is not None
    assert job.error.startswith("made to fail by ")
    assert job.error.endswith(" before it began")
    assert (job.progress, job.statusLine, job.startTime) == (0, "", None)
    assert queue.runNextAvailableJob()
    assert other.isFinished()
    assert not queue.runNextAvailableJob()
    assert job.attempt == 0


def test_a_job_that_waits_for_sub_jobs_fails_at_once(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot("noop")
    middle = root.createJob("noop")
    middle.createJob("noop")
    job = root.activate()
    (child,) = job.listSubJobs()
    child.setError()
    assert child.hasError()
    assert run_all() == 1
    assert child.hasError()
    assert job.isWaiting()
    assert job.hasError(recursive=True)


def test_what_was_made_to_fail_can_be_retried(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    job = root.activate()
    job.setError()
    job.listSubJobs()[0].setError()
    assert run_all() == 0
    assert job.retry() == 2
    assert run_all() == 2
    assert job.isFinished()
    assert not job.hasError(recursive=True)


def test_the_worker_of_a_running_job_is_told_to_end_it(
    queue: jobqueue.JobQueue, queue_dir: Path, tmp_path: Path
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.2\n"))
    gate = Gate(tmp_path)
    pid_file = tmp_path / "pid"
    root = queue.createJobRoot("noop")
    root.createJob("command", cmd=f"echo $$ > '{pid_file}'; {gate.shell}")
    job = root.activate()
    (child,) = job.listSubJobs()
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    gate.wait()
    child.setError()
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert child.isFinished()
    assert child.hasError()
    assert child.error is not None
    assert "fail, asked by" in child.error
    assert not is_running(int(pid_file.read_text()))
    assert job.isWaiting()
    assert child.attempt == 1


def test_a_script_that_runs_the_job_itself_lets_it_fail_when_it_returns(
    queue_dir: Path, submit_code: Submit, tmp_path: Path
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.2\n"))
    gate = Gate(tmp_path)
    job = submit_code(gate.code)
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    job.setError()
    wait_until(lambda: job.statusLine.startswith("fail, asked by "), "the worker's answer")
    assert job.isRunning()
    gate.let_through()
    assert process.communicate()[0] == "True\n"
    assert job.hasError()
    assert job.error is not None
    assert job.error.startswith("fail, asked by ")


def test_only_the_job_that_was_meant_is_told(queue_dir: Path, queue: jobqueue.JobQueue, tmp_path: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.2\n"))
    gates = [Gate(tmp_path, name) for name in ("a", "b")]
    root = queue.createJobRoot("noop")
    for gate in gates:
        root.createJob("command", cmd=gate.shell)
    first, second = root.activate().listSubJobs()
    worker = start_runjobs(queue_dir, "--slots", "2", "--exit-when-empty", "--poll", "0.1")
    for gate in gates:
        gate.wait()
    first.setError()
    wait_until(first.isFinished, "the first job's end")
    assert second.isRunning()
    gates[1].let_through()
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert first.hasError()
    assert not second.hasError()


@pytest.mark.parametrize(("text", "state"), [("", "finished"), ("proc.setError()", "failed")])
def test_on_a_finished_job_it_is_an_error(
    queue: jobqueue.JobQueue, queue_dir: Path, submit_code: Submit, text: str, state: str
) -> None:
    job = submit_code(text)
    queue.runNextAvailableJob()
    before = snapshot(queue_dir)
    with pytest.raises(jobqueue.JobQueueError, match=f"job1 is {state} already, so it cannot be made to fail") as error:
        job.setError()
    assert isinstance(error.value, JobStateError)
    assert snapshot(queue_dir) == before


def test_on_a_cancelled_job_it_is_an_error(submit_code: Submit) -> None:
    job = submit_code("")
    job.cancel()
    with pytest.raises(jobqueue.JobQueueError, match="job1 is cancelled already"):
        job.setError()
