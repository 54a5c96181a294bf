"""JobQueue.runNextAvailableJob."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.attempt import Attempt
from jobqueue.clock import Clock
from jobqueue.names import Token
from jobqueue.registry import Registration
from jobqueue.store import Store
from jobqueue.tokens import Tokens
from tests.support import Gate, run_next_elsewhere, wait_until

Submit = Callable[..., jobqueue.JobHandle]


def test_it_runs_the_next_job_in_this_process(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    first = submit_code("import os; result = os.getpid()")
    second = submit_code("import os; result = os.getpid()")
    assert queue.runNextAvailableJob() is True
    assert first.result == os.getpid()
    assert second.isWaiting()


def test_it_says_true_also_when_the_job_has_failed(queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("raise ValueError('no')")
    assert queue.runNextAvailableJob() is True
    assert job.hasError()


def test_what_an_error_says_begins_no_line_of_the_log(
    queue: jobqueue.JobQueue, submit_code: Submit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    submit_code("raise ValueError('\\x1b[2J\\nforged')")
    queue.runNextAvailableJob()
    assert caplog.messages[-1] == "job1 has failed (ValueError: ?[2J?forged)."


def test_it_says_false_when_no_job_is_ready(queue: jobqueue.JobQueue) -> None:
    assert queue.runNextAvailableJob() is False
    root = queue.createJobRoot("noop")
    root.createJob("code", text="raise ValueError")
    root.activate()
    assert queue.runNextAvailableJob() is True
    assert queue.runNextAvailableJob() is False


@pytest.mark.parametrize("end", ["", "raise ValueError('no')", "raise SystemExit(3)"])
def test_the_working_directory_is_afterwards_what_it_was(
    queue: jobqueue.JobQueue, submit_code: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.chdir(tmp_path)
    submit_code(f"import os; os.chdir('/'); {end}")
    assert queue.runNextAvailableJob()
    assert os.getcwd() == str(tmp_path)


def test_the_standard_streams_are_afterwards_what_they_were(
    queue: jobqueue.JobQueue, submit_code: Submit, capfd: pytest.CaptureFixture[str]
) -> None:
    streams = sys.stdout, sys.stderr
    submit_code("import os, sys; print('printed'); os.write(2, b'written')")
    assert queue.runNextAvailableJob()
    assert (sys.stdout, sys.stderr) == streams
    os.write(1, b"mine")
    assert capfd.readouterr() == ("mine", "")


def test_a_keyboard_interrupt_ends_the_call_and_gives_the_job_back(
    queue: jobqueue.JobQueue, submit_code: Submit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flag = tmp_path / "flag"
    job = submit_code(
        f"import os\nif not os.path.exists({str(flag)!r}):\n os.mkdir({str(flag)!r})\n raise KeyboardInterrupt"
    )
    with pytest.raises(KeyboardInterrupt):
        queue.runNextAvailableJob()
    assert caplog.messages == ["job1, node 0, is ours and does not run; giving it back."]
    assert job.isWaiting()
    assert queue.runNextAvailableJob()
    assert job.isFinished()
    assert not job.hasError()
    assert job.attempt == 2


@pytest.fixture
def rival_got(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lets another worker claim each job just before this process does; the names of what it got."""
    store = Store(str(queue_dir))
    other = Registration(store, "rival", 1)
    claim = Tokens.try_claim
    got: list[str] = []

    def after_the_rival(self: Tokens, job: Any, token: Token, *args: Any, **more: Any) -> Any:
        assert claim(store.tokens, job, token, other.name, 1) is not None
        got.append(token.name)
        return claim(self, job, token, *args, **more)

    monkeypatch.setattr(Tokens, "try_claim", after_the_rival)
    yield got
    assert not other.leave()


def test_losing_a_ready_job_at_every_try_is_an_error(queue: jobqueue.JobQueue, rival_got: list[str]) -> None:
    root = queue.createJobRoot("noop")
    for _ in range(20):
        root.createJob("noop")
    root.activate()
    with pytest.raises(jobqueue.JobQueueError, match="at each of 3 tries, and other processes were quicker"):
        queue.runNextAvailableJob(retries=3)
    assert len(rival_got) == 3
    with pytest.raises(jobqueue.JobQueueError, match="at each of 10 tries"):
        queue.runNextAvailableJob()
    assert len(rival_got) == 13


def test_losing_the_last_ready_job_is_no_error(queue: jobqueue.JobQueue, rival_got: list[str]) -> None:
    for _ in range(2):
        queue.createJobRoot("noop").activate()
    assert queue.runNextAvailableJob(retries=3) is False
    assert len(rival_got) == 2


def test_a_second_thread_inside_gets_an_error(
    queue: jobqueue.JobQueue, submit_code: Submit, tmp_path: Path, queue_dir: Path
) -> None:
    gate = Gate(tmp_path)
    first, second = submit_code(gate.code), submit_code("")
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(queue.runNextAvailableJob()), daemon=True)
    thread.start()
    gate.wait()
    with pytest.raises(jobqueue.JobQueueError, match="another thread of this process is running a job"):
        jobqueue.JobQueue(str(queue_dir)).runNextAvailableJob()
    assert second.isWaiting()
    gate.let_through()
    thread.join()
    assert said == [True]
    assert first.isFinished()
    assert queue.runNextAvailableJob() is True


def _worker_dirs(queue_dir: Path) -> list[str]:
    return sorted(os.listdir(queue_dir / "workers"))


def test_the_process_registers_at_its_first_call(
    queue: jobqueue.JobQueue, submit_code: Submit, queue_dir: Path
) -> None:
    job = submit_code("")
    assert _worker_dirs(queue_dir) == []
    queue.runNextAvailableJob()
    assert _worker_dirs(queue_dir) == [job.worker]
    queue.runNextAvailableJob()
    assert _worker_dirs(queue_dir) == [job.worker]


def test_it_beats_from_a_thread_while_a_job_runs(
    queue: jobqueue.JobQueue, submit_code: Submit, queue_dir: Path, tmp_path: Path
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.01\n"))
    gate = Gate(tmp_path)
    submit_code(gate.code)
    thread = threading.Thread(target=jobqueue.JobQueue(str(queue_dir)).runNextAvailableJob, daemon=True)
    thread.start()
    gate.wait()
    (name,) = _worker_dirs(queue_dir)
    beat = queue_dir / "workers" / name / "beat"
    before = beat.stat().st_mtime_ns
    wait_until(lambda: beat.stat().st_mtime_ns > before, "a beat")
    gate.let_through()
    thread.join()


_FORK = """
import os, sys, jobqueue
queue = jobqueue.JobQueue(sys.argv[1])
jobs = [queue.createJobRoot("noop").activate() for _ in range(3)]
queue.runNextAvailableJob()
child = os.fork()
if child == 0:
    queue.runNextAvailableJob()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
queue.runNextAvailableJob()
print(*[job.worker for job in jobs])
print(*os.listdir(sys.argv[1] + "/workers"))
"""


def test_a_forked_child_registers_anew(queue_dir: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FORK, str(queue_dir)], capture_output=True, text=True, check=True)
    workers, left = done.stdout.splitlines()
    parent, child, parent_again = workers.split()
    assert parent == parent_again
    assert child != parent
    # The child has unregistered at its end, and did not do so for its parent.
    assert left == parent


_FORK_MEANWHILE = """
import os, sys, threading, jobqueue
queue = jobqueue.JobQueue(sys.argv[1])
# What is printed while a job runs is the job's.
out = open(sys.argv[4], "w")
thread = threading.Thread(target=queue.runNextAvailableJob, daemon=True)
thread.start()
open(sys.argv[2]).close()
child = os.fork()
if child == 0:
    own = "/proc/self/fd/"
    print(*[os.readlink(own + fd) for fd in os.listdir(own) if os.path.exists(own + fd)], file=out)
    assert queue.runNextAvailableJob()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(*os.listdir(sys.argv[1] + "/workers"), file=out)
open(sys.argv[3], "w").close()
thread.join()
"""


def test_a_child_that_is_forked_while_another_thread_runs_a_job_does_not_act_as_that_worker(
    queue_dir: Path, submit_code: Submit, tmp_path: Path
) -> None:
    here, on, out = tmp_path / "here", tmp_path / "on", tmp_path / "out"
    for path in (here, on):
        os.mkfifo(path)
    first = submit_code(f"open({str(here)!r}, 'w').close()\nopen({str(on)!r}).close()")
    second = submit_code("")
    paths = map(str, (queue_dir, here, on, out))
    subprocess.run([sys.executable, "-W", "ignore", "-c", _FORK_MEANWHILE, *paths], check=True)
    files, left = out.read_text().splitlines()
    for job in (first, second):
        assert job.isFinished()
        assert not job.hasError()
    assert first.worker != second.worker
    # The child has left at its end, and did not do so for its parent, whose lock it does not hold either.
    assert left == first.worker
    assert "/lock" not in files
    assert _worker_dirs(queue_dir) == []


def test_it_unregisters_when_the_process_ends(queue_dir: Path, queue: jobqueue.JobQueue, submit_code: Submit) -> None:
    job = submit_code("")
    code = (
        "import os, sys, jobqueue\n"
        "jobqueue.JobQueue(sys.argv[1]).runNextAvailableJob()\n"
        "print(*os.listdir(sys.argv[1] + '/workers'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(queue_dir)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [job.worker]
    assert _worker_dirs(queue_dir) == []


class _HandClock(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


def test_a_process_that_calls_now_and_then_holds_nothing_in_between(
    queue_dir: Path, submit_code: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobqueue.worker.inprocess._TICK_S", 0.005)
    queue = jobqueue.JobQueue(str(queue_dir))
    clock = _HandClock()
    assert queue._store
    queue._store.share.clock = clock
    open_files, threads = set(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        submit_code("print('hello')")
        assert queue.runNextAvailableJob()
        clock.at += 31
        wait_until(lambda: _worker_dirs(queue_dir) == [], "the worker's end")
        wait_until(lambda: threading.active_count() <= threads, "the thread's end")
        assert len(os.listdir("/proc/self/fd")) <= len(open_files)


def test_a_job_that_is_deleted_while_it_runs_leaves_nothing_behind(
    queue_dir: Path, queue: jobqueue.JobQueue, submit_code: Submit, tmp_path: Path
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.1\n"))
    gate = Gate(tmp_path)
    job = submit_code(f"{gate.code}print('late')\n{gate.code}")
    process = run_next_elsewhere(queue_dir)
    gate.wait()
    (name,) = _worker_dirs(queue_dir)
    inbox = queue_dir / "workers" / name / "inbox"
    queue.deleteJobs(job)
    gate.let_through()
    gate.wait()
    wait_until(lambda: os.listdir(inbox) == [], "the request's being read")
    gate.let_through()
    process.communicate()
    assert process.returncode == 0
    assert _worker_dirs(queue_dir) == []
    assert not Path(job.location).exists()
    assert os.listdir(queue_dir / "trash") == []


@pytest.mark.parametrize("action", ["fail", "cancel"])
def test_a_request_that_is_read_between_the_claim_and_the_beginning_of_a_job_is_kept_for_it(
    queue_dir: Path,
    submit_code: Submit,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    action: str,
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.01\n"))
    monkeypatch.setattr("jobqueue.worker.inprocess._TICK_S", 0.005)
    queue = jobqueue.JobQueue(str(queue_dir))
    job, other = submit_code("result = 1"), submit_code("result = 2")
    real = Attempt.prepare

    def prepare(attempt: Attempt) -> None:
        if attempt.name == job.name:
            if action == "fail":
                job.setError()
            else:
                job.cancel()
            (name,) = _worker_dirs(queue_dir)
            worker = queue_dir / "workers" / name
            wait_until(lambda: not os.listdir(worker / "inbox"), "the request's being read")
            # The thread that has read it has done all that it does with it when it beats again.
            beat = (worker / "beat").stat().st_mtime_ns
            wait_until(lambda: (worker / "beat").stat().st_mtime_ns > beat, "a beat")
        real(attempt)

    monkeypatch.setattr(Attempt, "prepare", prepare)
    assert queue.runNextAvailableJob()
    assert job.isFinished()
    assert job.hasError()
    assert caplog.text.count(f"{job.name}: {action}, asked by") == 1
    assert queue.runNextAvailableJob()
    assert other.result == 2


def test_it_unregisters_after_30_s_without_a_call(
    queue_dir: Path, submit_code: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", "[main]\nbeat = 0.1\n"))
    monkeypatch.setattr("jobqueue.worker.inprocess._TICK_S", 0.005)
    queue = jobqueue.JobQueue(str(queue_dir))
    clock = _HandClock()
    assert queue._store
    queue._store.share.clock = clock
    first = submit_code("")
    queue.runNextAvailableJob()
    (name,) = _worker_dirs(queue_dir)
    beat = queue_dir / "workers" / name / "beat"
    for at in (1015.0, 1029.0, 1029.5):
        before = beat.stat().st_mtime_ns
        clock.at = at
        # What comes after a beat in the thread's round has been done when the next one is seen.
        wait_until(lambda before=before: beat.stat().st_mtime_ns > before, "a beat")  # type: ignore[misc]
    assert _worker_dirs(queue_dir) == [name]
    clock.at = 1030.5
    wait_until(lambda: _worker_dirs(queue_dir) == [], "the worker's end")
    second = submit_code("")
    assert queue.runNextAvailableJob()
    assert [second.worker] == _worker_dirs(queue_dir)
    assert second.worker != first.worker
