"""JobHandle: the paths of what lies on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import jobqueue
from jobqueue.identity import host_name
from tests.support import Gate, run_next_elsewhere, wait_until

Submit = Callable[..., jobqueue.JobHandle]


def test_before_the_start_there_is_the_definition(queue_dir: Path, submit_code: Submit) -> None:
    job = submit_code("print('hello')", label="says hello")
    assert "print('hello')" in Path(job.procDefFile).read_text()
    assert "says hello" in Path(job.labelFile).read_text()
    assert job.runningDir == str(queue_dir / "job1" / ".attempt1")
    assert not Path(job.runningDir).exists()
    assert Path(job.finishedDir).is_dir()
    assert os.listdir(job.finishedDir) == []
    assert job.pidFile is None
    assert job.hostFile is None
    assert job.journalFile is None
    assert job.errorMarkerFile is None


def test_while_it_runs_there_are_worker_progress_and_output(
    queue_dir: Path, submit_code: Submit, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    job = submit_code(
        "proc.setProgress(25); proc.setStatusLine('warming up')\n"
        f"print('out', flush=True); proc.stderr.write('err')\n{gate.code}"
    )
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    assert job.pidFile is not None
    assert job.hostFile is not None
    assert json.loads(Path(job.pidFile).read_text())["pid"] == process.pid
    assert json.loads(Path(job.hostFile).read_text())["host"] == host_name()
    assert Path(job.runningDir).is_dir()
    wait_until(lambda: Path(job.statusLineFile).exists(), "the job's status")
    assert json.loads(Path(job.progressFile).read_text())["progress"] == 25
    assert json.loads(Path(job.statusLineFile).read_text())["status"] == "warming up"
    assert Path(job.stdoutFile).read_text() == "out\n"
    assert Path(job.stderrFile).read_text() == "err"
    assert job.journalFile is not None
    assert '"event":"start"' in Path(job.journalFile).read_text()
    gate.let_through()
    process.communicate()
    assert [job.pidFile, job.hostFile] == [None, None]


def test_after_success_its_token_lies_in_the_finished_directory(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("print('out'); result = 42")
    queue.runNextAvailableJob()
    (token,) = os.listdir(job.finishedDir)
    assert job.worker is not None
    assert job.worker in token
    assert job.errorMarkerFile is None
    assert Path(job.stdoutFile).read_text() == "out\n"
    assert Path(job.stdoutFile).parent == Path(job.runningDir)
    assert job.journalFile is not None
    assert '"result":42' in Path(job.journalFile).read_text()
    assert not Path(job.procTracebackFile).exists()


def test_after_a_failure_there_are_a_marker_and_a_traceback(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("raise ArithmeticError('too much')")
    queue.runNextAvailableJob()
    assert os.listdir(job.finishedDir) == []
    assert job.errorMarkerFile is not None
    assert Path(job.errorMarkerFile).is_file()
    assert "ArithmeticError: too much" in Path(job.procTracebackFile).read_text()


def test_a_sub_jobs_directory_comes_into_being_with_its_first_attempt(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    child = root.createJob("noop")
    child.createJob("noop")
    (handle,) = root.activate().listSubJobs()
    assert not Path(handle.location).exists()
    queue.runNextAvailableJob()
    assert not Path(handle.runningDir).exists()
    queue.runNextAvailableJob()
    assert Path(handle.runningDir).is_dir()


def test_paths_of_a_sub_job_are_its_own(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot("command", cmd="echo root")
    root.createJob("command", cmd="echo child")
    job = root.activate()
    run_all()
    (child,) = job.listSubJobs()
    assert Path(job.stdoutFile).read_text() == "root\n"
    assert Path(child.stdoutFile).read_text() == "child\n"
    assert Path(child.runningDir).parent == Path(child.location)
