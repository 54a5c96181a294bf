"""A share, or a host, that answers with errors: no job is blamed, results are kept, and the log says so.

Most errors are put by strace into the calls of the real worker.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jobqueue.handle import reader_of
from tests.acceptance.worker.driver import Gate, Queue, Worker, end_processes, lines, until
from tests.soundness import assert_sound

pytestmark = pytest.mark.needs_program("strace")

START = Callable[..., Worker]
# No error is put into more calls than this before the tests take it for one that never ends.
_MOST_CALLS = 60


class Faulty(NamedTuple):
    """A worker whose calls fail.

    Attributes:
        worker: the process that strace is; it ends with the worker's exit code.
        trace: strace's own file.
    """

    worker: Worker
    trace: Path

    def faults(self) -> int:
        """How many calls were made to fail."""
        return self.trace.read_text().count("(INJECTED)") if self.trace.exists() else 0


FAULTY = Callable[..., Faulty]


def _environment() -> dict[str, str]:
    """For a worker that makes no calls but its own: Python would keep what it compiles, coverage its data."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def faulty(q: Queue, tmp_path: Path) -> Iterator[FAULTY]:
    """Starts a worker with one slot, which ends with the queue, under strace.

    It takes the fault as strace has it, ``rename:error=EIO:when=3`` (counted in each process), and the paths to which
    the fault is limited.
    """
    started: list[Faulty] = []

    def start_one(fault: str, *paths: Path) -> Faulty:
        log, trace = (tmp_path / f"faulty{len(started)}.{end}" for end in ("log", "trace"))
        trace.touch()
        calls = f"{fault.partition(':')[0]},epoll_wait,kill"
        options = ["-f", "-qq", "-o", str(trace), f"--trace={calls}", f"--inject={fault}"]
        limits = [word for path in paths for word in ("-P", str(path))]
        command = [sys.executable, "-m", "jobqueue.cli.runjobs", str(q.dir), "--log", str(log), "--slots", "1"]
        process = subprocess.Popen(
            ["strace", *options, *limits, *command, "--exit-when-empty", "--poll", "0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        started.append(Faulty(Worker(q.dir, log, process=process), trace))
        return started[-1]

    yield start_one
    for each in started:
        if each.worker.process.poll() is None:
            # What strace runs does not end with it.
            end_processes({int(line.split()[0]) for line in lines(each.trace)})
        each.worker.end_at_once()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("rename", "EIO"),
        ("mkdir", "ENOSPC"),
        ("unlink", "EIO"),
        ("rmdir", "EIO"),
        ("fsync", "EIO"),
        ("chdir", "ESTALE"),
    ],
)
@pytest.mark.timeout(300)
def test_wherever_one_call_fails_no_job_is_blamed_and_all_are_done_in_the_end(
    q: Queue, start: START, faulty: FAULTY, call: str, error: str
) -> None:
    for nth in itertools.count(1):
        assert nth < _MOST_CALLS
        handle = q.submit("print('printed'); result = 1", "result = 2")
        tried = faulty(f"{call}:error={error}:when={nth}")
        if tried.worker.ends() != 0:
            # It could not even come to the queue, or take its directory away; another one carries on.
            assert start("--slots", "1", "--exit-when-empty").ends() == 0
        where = f"{call} {nth}: {tried.worker.log_text()}"
        assert [job.result for job in handle.listSubJobs()] == [1, 2], where
        assert handle.isFinished(), where
        charged = [q.charged(reader_of(handle).number, node) for node in range(3)]
        assert charged == [0, 0, 0], where
        assert (Path(handle.listSubJobs()[0].runningDir or "") / "stdout").read_text() == "printed\n", where
        assert_sound(q.dir)
        if not tried.faults():
            assert nth > 1, f"{call} was never called"
            break


# A call that goes on failing, on which file or directory, and what the log says of it.
LASTING = {
    "the result cannot be written": ("fsync:error=EIO:when=3..5", "", "keeping the result of job1/job2"),
    "the result cannot be committed": ("rename:error=EIO:when=8..16", "", "keeping the result of job1/job2"),
    "the output finds no room": ("write:error=ENOSPC:when=1..3", "job1/job2/.attempt1/stdout", "keeping the result of"),
    "the output is refused": ("openat:error=EDQUOT:when=1..3", "job1/job2/.attempt1/stdout", "keeping the result of"),
    "the index cannot be listed": ("getdents64:error=EIO:when=1..2", "index/runnable", "again"),
    "ready cannot be listed": ("getdents64:error=ESTALE:when=1..2", "job1/.tokens/ready", "looking again"),
    "the hierarchy cannot be read": ("openat:error=EIO:when=1..2", "job1/.hierarchy", "looking again"),
}


@pytest.mark.parametrize("kind", LASTING)
def test_trouble_that_passes_delays_a_job_and_the_log_says_what_is_waited_for(
    q: Queue, faulty: FAULTY, tmp_path: Path, kind: str
) -> None:
    ran = tmp_path / "ran"
    fault, path, words = LASTING[kind]
    # The two before it are there because the worker's own coming has a few of these calls, too.
    handle = q.submit(
        *["result = 'before'"] * 2, f"print('printed'); open({str(ran)!r}, 'a').write('x\\n'); result = 'kept'"
    )
    tried = faulty(fault, *([q.dir / path] if path else []))
    assert tried.worker.ends() == 0
    assert tried.faults() >= 2
    job = handle.listSubJobs()[2]
    assert job.result == "kept"
    assert (Path(job.runningDir or "") / "stdout").read_text() == "printed\n"
    assert lines(ran) == ["x"], "it was executed once"
    assert any(words in line for line in tried.worker.complaints()), tried.worker.log_text()
    assert [q.charged(1, node) for node in range(4)] == [0, 0, 0, 0]
    assert_sound(q.dir)


def test_a_timeout_does_not_count_the_time_for_which_a_result_is_kept(q: Queue, faulty: FAULTY) -> None:
    """The third try to save what was printed comes a second after the timeout."""
    handle = q.submit("print('printed'); result = 1", options={"timeout": 2.5})
    tried = faulty("openat:error=ENOSPC:when=1..3", q.dir / "job1/job0/.attempt1/stdout")
    assert tried.worker.ends() == 0
    assert tried.faults() == 3
    job = handle.listSubJobs()[0]
    assert not job.hasError(), job.error
    assert (job.result, job.attempt, q.charged(1, 0)) == (1, 1, 0)
    assert_sound(q.dir)


def test_a_timeout_does_not_count_the_time_for_which_a_job_waits_to_declare_an_output(
    q: Queue, faulty: FAULTY, tmp_path: Path
) -> None:
    """The third try comes three and a half seconds after the job has begun."""
    (tmp_path / "shot").mkdir()
    final = tmp_path / "shot" / "f.exr"
    handle = q.submit(f"open(proc.output({str(final)!r}), 'w').write('whole')", options={"timeout": 2.5})
    tried = faulty("openat:error=ENOSPC:when=1..3", q.dir / "job1/job0/.attempt1/.outputs")
    assert tried.worker.ends() == 0
    assert tried.faults() == 3
    job = handle.listSubJobs()[0]
    assert not job.hasError(), job.error
    assert (job.attempt, q.charged(1, 0), final.read_text()) == (1, 0, "whole")
    assert any("which declares an output, and trying again" in line for line in tried.worker.complaints())
    assert_sound(q.dir)


# Each slot's first two listings of what lies in its worker's running/ fail.
_NO_LISTING = """
import errno
from jobqueue.tokens import Tokens
real, left = Tokens.running_of, [1, 1]
def running_of(tokens, worker):
    if left:
        left.pop()
        raise OSError(errno.EIO, "Input/output error", worker)
    return real(tokens, worker)
Tokens.running_of = running_of
"""


def test_trouble_of_the_share_while_slots_fall_idle_ends_neither_them_nor_their_worker(q: Queue, start: START) -> None:
    worker = start("--slots", "2", after=_NO_LISTING)
    worker.wait_to_say("looking again in", 4)
    slots = worker.slots()
    handle = q.submit(*["import os; result = os.getpid()"] * 3)
    until(handle.isFinished, "it has finished")
    assert {job.result for job in handle.listSubJobs()} <= set(slots)
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert [line for line in worker.complaints() if "Input/output error" not in line and "Ending: " not in line] == []


# The guard and the first slot come into being, the next four processes do not.
_NO_PROCESS = """
import errno, os
real, calls = os.fork, []
def fork():
    calls.append(1)
    if 3 <= len(calls) <= 6:
        raise OSError(errno.{name}, os.strerror(errno.{name}))
    return real()
os.fork = fork
"""


@pytest.mark.parametrize("name", ["EAGAIN", "ENOMEM"])
def test_a_slot_that_cannot_be_replaced_for_want_of_processes_or_memory_keeps_its_place_until_it_can(
    q: Queue, start: START, tmp_path: Path, name: str
) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = 1")
    worker = start("--slots", "1", "--exit-when-empty", after=_NO_PROCESS.format(name=name))
    slot = gate.wait_for()
    open_files = len(os.listdir(f"/proc/{worker.process.pid}/fd"))
    os.kill(slot, signal.SIGKILL)
    assert gate.wait_for(2) != slot
    assert worker.says("slot 1 cannot be started again", 4)
    assert len(os.listdir(f"/proc/{worker.process.pid}/fd")) == open_files
    gate.open()
    assert worker.ends() == 0
    job = handle.listSubJobs()[0]
    assert (job.result, job.attempt, q.charged(1, 0)) == (1, 2, 1)
    assert_sound(q.dir)


def test_a_worker_that_keeps_a_result_can_be_told_to_end_at_once(q: Queue, faulty: FAULTY) -> None:
    handle = q.submit("result = 1")
    tried = faulty("rename:error=ENOSPC:when=2..4")
    tried.worker.wait_to_say("keeping the result of job1/job0")
    runjobs = int(lines(tried.trace)[0].split()[0])
    os.kill(runjobs, signal.SIGTERM)
    tried.worker.wait_to_say("finishing what runs")
    os.kill(runjobs, signal.SIGTERM)
    assert tried.worker.ends() == 0
    assert not handle.listSubJobs()[0].hasError()
    assert q.charged(1, 0) == 0
    assert q.workers() == []
    assert_sound(q.dir)


def test_a_supervisor_that_cannot_give_a_job_back_waits_for_the_share_without_spinning(
    q: Queue, faulty: FAULTY, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    q.submit(gate.code)
    tried = faulty("rename:error=ENOSPC:when=2..4")
    os.kill(gate.wait_for(), signal.SIGKILL)
    gate.wait_for(2)
    calls = lines(tried.trace)
    refused = [number for number, line in enumerate(calls) if "(INJECTED)" in line]
    assert len(refused) == 3
    supervisor = calls[refused[0]].split()[0]
    waits = [line for line in calls[refused[0] : refused[-1]] if line.startswith(supervisor) and "epoll_wait" in line]
    # Between two tries it waits for something to happen, five times a second; each wait may be on two lines.
    assert 2 <= len(waits) < 100
    gate.open()
    assert tried.worker.ends() == 0
    assert q.charged(1, 0) == 1


def test_a_worker_goes_on_beating_while_a_result_cannot_be_committed(q: Queue, faulty: FAULTY) -> None:
    q.submit("result = 1")
    tried = faulty("rename:error=EIO:when=2..9")
    tried.worker.wait_to_say("keeping the result of job1/job0")
    tried.worker.wait_for_beats(2)
    assert tried.worker.ends() == 0


def test_a_failed_beat_is_tried_again(q: Queue, faulty: FAULTY, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = 1")
    tried = faulty("utimensat:error=EIO:when=2..4")
    gate.wait_for()
    until(lambda: tried.faults() == 3, "three beats have failed")
    tried.worker.wait_for_beats(1)
    gate.open()
    assert tried.worker.ends() == 0
    assert handle.listSubJobs()[0].result == 1
    assert tried.worker.says("does not answer as it should")


def test_a_job_whose_own_files_are_in_trouble_has_failed_by_itself(q: Queue, start: START) -> None:
    """An OSError that a job raises is the job's, whatever its number is."""
    handle = q.submit("raise OSError(5, 'Input/output error')", "import errno; raise OSError(errno.ENOSPC, 'full')")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert [job.attempt for job in handle.listSubJobs()] == [1, 1]
    assert all(job.hasError() for job in handle.listSubJobs())
