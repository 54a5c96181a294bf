"""JobProc: run, postCreate, progress, status, streams."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import JobStateError

Submit = Callable[..., jobqueue.JobHandle]
RunAll = Callable[[], int]

# Every construction, and every call of postCreate, leaves a line in a file outside the queue.
_WITNESS = '''
import os
from jobqueue import JobProc

class witness(JobProc):
    """Tells what happens to it."""

    def __init__(self, log, label=None):
        super().__init__(label)
        self.log = log
        self.tell("made")

    def tell(self, text):
        with open(self.log, "a") as file:
            file.write(text + "\\n")

    def postCreate(self, jobDir):
        published = os.listdir(os.path.join(os.path.dirname(self.log), "queue", "index", "runnable"))
        self.tell(f"created {jobDir} {os.path.isdir(jobDir)} {published} {self.runningDir}")
        with open(os.path.join(jobDir, "prepared"), "w") as file:
            file.write("by postCreate")

    def run(self):
        with open("../prepared") as file:
            self.tell("ran " + file.read())
'''


@pytest.fixture
def log(tmp_path: Path, queue_dir: Path) -> Path:
    path = queue_dir / "procs" / "witness.py"
    path.write_text(_WITNESS)
    path.chmod(0o644)
    return tmp_path / "log"


def test_a_procedure_has_a_label_or_none() -> None:
    assert jobqueue.JobProc().label is None
    assert jobqueue.JobProc("text").label == "text"
    assert jobqueue.JobProc(label="text").label == "text"


def test_the_base_does_nothing_well(queue: jobqueue.JobQueue) -> None:
    assert jobqueue.JobProc().run() is None
    assert jobqueue.JobProc().postCreate("/nowhere") is None  # type: ignore[func-returns-value]


def test_a_procedure_may_be_constructed_several_times_for_one_job(
    queue: jobqueue.JobQueue, log: Path, run_all: RunAll
) -> None:
    queue.createJobRoot("witness", log=str(log)).activate()
    run_all()
    lines = log.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["made", "created", "made", "ran"]


def test_post_create_is_called_once_at_creation_with_the_final_directory(
    queue: jobqueue.JobQueue, log: Path, run_all: RunAll
) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("witness", log=str(log))
    created = [line for line in log.read_text().splitlines() if line.startswith("created")]
    assert len(created) == 1
    job = root.activate()
    (child,) = job.listSubJobs()
    run_all()
    # The directory is there, nothing is published, and the job does not run.
    assert created == [f"created {child.location} True [] None"]
    assert log.read_text().count("created") == 1
    assert log.read_text().endswith("ran by postCreate\n")


def test_post_create_of_the_root_gets_the_top_level_directory(
    queue: jobqueue.JobQueue, log: Path, queue_dir: Path, run_all: RunAll
) -> None:
    queue.createJobRoot("witness", log=str(log)).activate()
    assert f"created {queue_dir}/job1 True [] None" in log.read_text()
    run_all()
    assert log.read_text().count("created") == 1


def test_what_post_create_has_written_moves_along_with_the_queue(
    queue: jobqueue.JobQueue, log: Path, queue_dir: Path, tmp_path: Path
) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("witness", log=str(log))
    root.activate()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(queue_dir, tmp_path / "elsewhere" / "farm")
    moved = jobqueue.JobQueue(str(tmp_path / "elsewhere" / "farm"))
    assert moved.runNextAvailableJob()
    assert log.read_text().endswith("ran by postCreate\n")


def test_run_has_the_running_dir_as_its_working_directory(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("import os; result = (proc.runningDir, os.getcwd(), os.listdir())")
    queue.runNextAvailableJob()
    assert job.result == (job.runningDir, job.runningDir, [])
    assert os.path.isabs(job.runningDir)


def test_an_exception_makes_the_job_fail(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    jobs = [submit_code(text) for text in ("raise KeyError('x')", "raise SystemExit(0)", "1 / 0")]
    for _ in jobs:
        assert queue.runNextAvailableJob()
    assert [job.hasError() for job in jobs] == [True] * 3
    assert [job.error for job in jobs] == ["KeyError: 'x'", "SystemExit: 0", "ZeroDivisionError: division by zero"]


def test_set_error_makes_the_job_fail_when_run_has_returned(
    queue: jobqueue.JobQueue, submit_code: Submit, tmp_path: Path
) -> None:
    job = submit_code(f"proc.setError(); open({str(tmp_path / 'went on')!r}, 'w').close()")
    queue.runNextAvailableJob()
    assert job.hasError()
    assert job.error == "the procedure called setError"
    assert (tmp_path / "went on").exists()


def test_the_status_line_says_why_set_error_was_called(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("proc.setStatusLine('no licence left'); proc.setError()")
    queue.runNextAvailableJob()
    assert job.error == "no licence left"


@pytest.mark.parametrize(("given", "stored"), [(-1, 0), (0, 0), (33.5, 33.5), (100, 100), (1e9, 100)])
def test_progress_is_clamped(queue: jobqueue.JobQueue, submit_code: Submit, given: float, stored: float) -> None:
    job = submit_code(f"proc.setProgress({given}); proc.setError()")
    queue.runNextAvailableJob()
    assert job.progress == stored


def test_the_streams_are_open_text_files_while_it_runs(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code(
        "import io, sys\n"
        "result = [isinstance(stream, io.TextIOBase) and stream.writable() for stream in (proc.stdout, proc.stderr)]\n"
        "proc.stdout.write('first\\n'); print('second'); print('third', file=proc.stdout)\n"
        "proc.stderr.write('trouble\\n'); print('more', file=sys.stderr)\n"
    )
    queue.runNextAvailableJob()
    assert job.result == [True, True]
    assert Path(job.stdoutFile).read_text() == "first\nsecond\nthird\n"
    assert Path(job.stderrFile).read_text() == "trouble\nmore\n"


def test_text_of_any_language_is_printed(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("proc.stdout.write('Käse \\u2603 \\ud800')")
    queue.runNextAvailableJob()
    assert Path(job.stdoutFile).read_bytes() == "Käse ☃ \\ud800".encode()


def test_outside_of_a_run_a_procedure_has_no_directory_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    proc = jobqueue.JobProc()
    assert proc.runningDir is None
    assert proc.stdout is sys.stdout
    assert proc.stderr is sys.stderr
    proc.setProgress(50)
    proc.setStatusLine("nothing")
    proc.setError()
    with pytest.raises(JobStateError, match=r"JobProc\.execCmd works only while the job runs"):
        proc.execCmd("true")
    assert capsys.readouterr() == ("", "")


def test_the_label_is_the_procedures_own(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("result = proc.label", label="a label")
    queue.runNextAvailableJob()
    assert (job.label, job.result) == ("a label", "a label")


def test_a_procedure_need_not_call_the_base_constructor(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    path = queue_dir / "procs" / "plain.py"
    path.write_text(
        "import jobqueue\n"
        "class plain(jobqueue.JobProc):\n"
        "    def __init__(self): pass\n"
        "    def run(self): self.stdout.write('ran'); return self.runningDir\n"
    )
    path.chmod(0o644)
    job = queue.createJobRoot("plain").activate()
    queue.runNextAvailableJob()
    assert (job.label, job.result) == (None, job.runningDir)


def test_a_result_that_cannot_be_stored_makes_the_job_fail(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("result = object()")
    queue.runNextAvailableJob()
    assert job.hasError()
    assert job.error is not None
    assert "the result has the type object, which cannot be stored" in job.error


def test_the_job_and_its_commands_know_where_they_run(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    code = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('JOBQUEUE_')}))"
    root = queue.createJobRoot("noop")
    root.createJob("command", cmd=[sys.executable, "-c", code])
    (job,) = root.activate().listSubJobs()
    queue.runNextAvailableJob()
    assert json.loads(Path(job.stdoutFile).read_text()) == {
        "JOBQUEUE_QUEUE": str(queue_dir),
        "JOBQUEUE_JOB": "job1/job0",
        "JOBQUEUE_ATTEMPT": "1",
        "JOBQUEUE_RUNNING_DIR": job.runningDir,
    }
    assert not [name for name in os.environ if name in ("JOBQUEUE_JOB", "JOBQUEUE_ATTEMPT")]
    assert isinstance(sys.stdout, io.TextIOBase)
