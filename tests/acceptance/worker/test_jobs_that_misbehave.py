"""Jobs that crash, or spoil the process that they run in: each ends at most one attempt, and nothing else."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.worker.driver import Gate, Queue, Worker, end_processes, is_alive, lines, until
from tests.soundness import assert_sound

START = Callable[..., Worker]

EXIT = "import os; os._exit(7)"
# Without a core dump, which would take seconds where they are kept.
SEGFAULT = "import ctypes, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); ctypes.string_at(0)"
ABORT = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()"
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
CLOSE_ALL = "import os; os.closerange(0, 4096)"


def ended_by(number: int) -> str:
    return f"signal {number} ({signal.strsignal(number)})"


REAL_TIME = ended_by(signal.SIGRTMIN + 6)
# What makes the process end, and the words for it.
DEATHS = {
    "exits": (EXIT, "exit code 7"),
    "exits with 0": ("import os; os._exit(0)", "exit code 0"),
    "breaks a memory rule": (SEGFAULT, ended_by(11)),
    "aborts": (ABORT, ended_by(6)),
    "kills itself": (KILL, ended_by(9)),
    "is told to end": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", ended_by(15)),
    # A number without a name.
    "is ended by a real-time signal": ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 6)", REAL_TIME),
    "ends its process group": ("import os, signal; os.killpg(0, signal.SIGKILL)", ended_by(9)),
}
# What only makes the job fail, and the words for it.
FAILURES = {
    "calls sys.exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "calls sys.exit without a code": ("import sys; sys.exit()", "SystemExit: "),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "uses up the stack": ("def f(): f()\nf()", "RecursionError"),
    "interrupts itself": (
        (
            "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(10)"
        ),
        "KeyboardInterrupt",
    ),
}
# What does no harm to the job itself, but might to those that run in the same process after it.
MESSES = {
    "closes its standard streams": "import os; os.close(1); os.close(2)",
    "closes sys.stdout": "import sys; sys.stdout.close(); sys.stderr.close()",
    "replaces sys.stdout": "import sys; sys.stdout = None; sys.stderr = None",
    "takes away what is below sys.stdout": "import sys; sys.stdout.detach(); sys.stderr.detach()",
    "closes its standard input": "import os; os.close(0)",
    "changes signal handlers": (
        "import signal\nfor number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):\n"
        "    signal.signal(number, signal.SIG_IGN)"
    ),
    "blocks all signals": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "deletes its working directory": "import os, shutil; shutil.rmtree(os.getcwd())",
    "goes elsewhere and deletes that": (
        "import os, shutil, tempfile\nplace = tempfile.mkdtemp()\nos.chdir(place)\nshutil.rmtree(place)"
    ),
    "empties the environment": "import os; os.environ.clear()",
    "calls itself another job": "import os; os.environ['JOBQUEUE_JOB'] = 'job9'; del os.environ['JOBQUEUE_ATTEMPT']",
    "uses up the memory it wants": "import sys; sys.kept = bytearray(1 << 27)",
    "leaves a thread behind": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "leaves files open": "import sys; sys.files = [open('/dev/null') for _ in range(200)]",
    "sets an alarm that it does not wait for": ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 600)"),
    "changes its umask": "import os; os.umask(0o777)",
    "makes files small": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "forks a child that ends": "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
    "exits in a thread": "import sys, threading\nt = threading.Thread(target=sys.exit)\nt.start()\nt.join()",
    "switches the log off": "import logging; logging.disable(logging.CRITICAL)",
}


def record(q: Queue, number: int, node: int) -> dict[str, Any]:
    """The record that a job's token names."""
    name = next(name for name in q.folder(number, "failed") if name.startswith(f"{node:07d}."))
    _, _, _, _, worker, slot, offset = name.split(".")
    journal = q.dir / f"job{number}" / ".journal" / f"{worker}.{slot}.jsonl"
    found: dict[str, Any] = json.loads(journal.read_bytes()[int(offset) :].splitlines()[0])
    return found


def deaths(q: Queue, number: int, node: int) -> list[dict[str, Any]]:
    """What all journals say of attempts that ended without a result."""
    found = []
    for path in sorted((q.dir / f"job{number}" / ".journal").iterdir()):
        events = [json.loads(line) for line in path.read_text().splitlines()]
        found += [event for event in events if event["event"] == "died" and event["node"] == node]
    return found


@pytest.mark.parametrize("kind", DEATHS)
def test_a_job_whose_process_dies_has_failed_after_three_deaths_and_the_others_go_on(
    q: Queue, start: START, kind: str
) -> None:
    text, words = DEATHS[kind]
    handle = q.submit("result = 'before'", text, "result = 'after'")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, dead, after = handle.listSubJobs()
    assert (before.result, after.result) == ("before", "after")
    assert dead.hasError()
    assert dead.error == f"its process ended with {words}; 3 attempts have died"
    assert [event["attempt"] for event in deaths(q, 1, 1)] == [1, 2]
    assert all(words in event["error"] for event in deaths(q, 1, 1))
    assert record(q, 1, 1)["attempt"] == 3
    assert q.charged(1, 1) == 3
    assert q.charged(1, 0) == q.charged(1, 2) == 0
    assert len(worker.complaints()) == 3
    assert worker.says("(1 of 3 attempts have died)")
    assert worker.says("(2 of 3 attempts have died)")
    assert worker.says("`jobqueue retry job1/job1` runs it again")
    assert_sound(q.dir)


def test_deaths_are_counted_in_the_name_of_the_token(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    q.submit(f"{gate.code}{EXIT}")
    start("--slots", "1")
    for died in range(3):
        gate.wait_for(died + 1)
        assert q.charged(1, 0) == died
        gate.open()
    until(lambda: q.folder(1, "failed"), "it has failed")
    name = q.folder(1, "failed")[0].split(".")
    # Three claims, two of them given back, one closed: six moves.
    assert name[:4] == ["0000000", "3", "6", "3"]


@pytest.mark.parametrize("limit", [1, 2])
def test_max_attempts_says_how_often_a_job_may_die(q: Queue, start: START, limit: int) -> None:
    handle = q.submit(EXIT, options={"maxAttempts": limit})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    words = "1 attempt has died" if limit == 1 else f"{limit} attempts have died"
    assert handle.listSubJobs()[0].error == f"its process ended with exit code 7; {words}"
    assert q.charged(1, 0) == limit


def test_max_attempts_can_be_set_for_a_procedure_in_the_configuration(q: Queue, start: START) -> None:
    path = q.dir / "queue.cfg"
    path.write_text(path.read_text() + "[code proc]\nmaxAttempts = 1\n")
    handle = q.submit(EXIT)
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert "1 attempt has died" in (handle.listSubJobs()[0].error or "")


def test_a_retry_gives_a_job_that_died_all_its_attempts_back(q: Queue, start: START, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    note = f"open({str(notes)!r}, 'a').write('x\\n')\n"
    handle = q.submit(f"{note}if len(open({str(notes)!r}).readlines()) < 6:\n    {EXIT}")
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert len(lines(notes)) == 3
    handle.listSubJobs()[0].retry()
    assert q.charged(1, 0) == 0
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert len(lines(notes)) == 6
    assert handle.isFinished()
    assert not handle.hasError(recursive=True)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_job_that_wants_to_end_its_process_fails_and_the_slot_stays(q: Queue, start: START, kind: str) -> None:
    text, words = FAILURES[kind]
    handle = q.submit("import os; result = os.getpid()", text, "import os; result = os.getpid()")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, failed, after = handle.listSubJobs()
    assert words in (failed.error or "")
    assert before.result == after.result
    assert (failed.attempt, q.charged(1, 1)) == (1, 0)
    assert len(worker.complaints()) == 1
    assert_sound(q.dir)


# Prints in two ways, makes a file, and returns how it has found its process.
LOOK = """
import os, signal, subprocess
print('printed')
subprocess.run(['echo', 'said'], check=True)
open('here', 'w').close()
umask = os.umask(0)
os.umask(umask)
result = {
    'environment': {name: value for name, value in os.environ.items() if not name.startswith('JOBQUEUE_')},
    'job': os.environ['JOBQUEUE_JOB'] == '/'.join(os.getcwd().split('/')[-3:-1]),
    'attempt': os.environ['JOBQUEUE_ATTEMPT'],
    'directory': os.environ['JOBQUEUE_RUNNING_DIR'] == os.getcwd(),
    'queue': os.environ['JOBQUEUE_QUEUE'] == os.path.dirname(os.path.dirname(os.path.dirname(os.getcwd()))),
    'umask': umask,
    'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    'handlers': [str(signal.getsignal(number)) for number in range(1, 32)],
    'alarm': signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    'exit code of a command': subprocess.run(['sh', '-c', 'exit 3']).returncode,
}
os.chdir('/')
"""


@pytest.mark.parametrize("kind", MESSES)
def test_what_a_job_does_to_its_process_harms_no_other_job(q: Queue, start: START, kind: str) -> None:
    handle = q.submit(LOOK, MESSES[kind], LOOK, LOOK)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, messy, *after = handle.listSubJobs()
    assert not messy.hasError(), messy.error
    assert before.result["exit code of a command"] == 3
    told = [before.result[name] for name in ("job", "attempt", "directory", "queue")]
    assert told == [True, "1", True, True]
    for job in after:
        assert job.result == before.result
        assert Path(job.stdoutFile or "").read_text().split() == ["printed", "said"]
        assert (Path(job.runningDir or "") / "here").stat().st_mode & 0o777 == 0o644
        assert job.attempt == 1
    assert worker.complaints() == []
    assert not handle.hasError(recursive=True)
    assert_sound(q.dir)


def test_a_job_that_closes_all_files_ends_its_own_attempts_and_nothing_else(q: Queue, start: START) -> None:
    handle = q.submit("result = 1", CLOSE_ALL, "result = 2", "result = 3")
    worker = start("--slots", "2", "--exit-when-empty")
    assert worker.ends() == 0
    before, closing, *after = handle.listSubJobs()
    assert [before.result, *(job.result for job in after)] == [1, 2, 3]
    assert closing.isFinished()
    assert_sound(q.dir)


@pytest.mark.parametrize(
    "spoil",
    [
        "import json; json.dumps = json.loads = None",
        "import json; json.loads = None",
        "import os; os.rename = os.open = lambda *names: 1 / 0",
        "import os; os.write = None",
        "import threading; threading.Lock = None; proc._attempt._lock = None",
    ],
)
def test_a_job_that_spoils_the_modules_of_its_process_ends_its_own_attempts_and_nothing_else(
    q: Queue, start: START, spoil: str
) -> None:
    handle = q.submit("result = 1", spoil, "result = 2", "result = 3")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, spoiling, *after = handle.listSubJobs()
    assert [before.result, *(job.result for job in after)] == [1, 2, 3]
    assert spoiling.attempt <= 3
    assert_sound(q.dir)


# Keeps files open until no more can be opened.
LEAK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
sys.leaked = []
try:
    while True:
        sys.leaked.append(open('/dev/null'))
except OSError:
    pass
print('to keep this takes a descriptor, too')
"""


def test_a_job_that_leaks_all_file_descriptors_ends_its_slot_and_another_one_goes_on(q: Queue, start: START) -> None:
    pid = "import os; result = os.getpid()"
    handle = q.submit(pid, LEAK, pid, pid)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, leaking, *after = handle.listSubJobs()
    assert leaking.isFinished()
    assert leaking.error == "its process ended with exit code 1; 3 attempts have died"
    assert after[0].result == after[1].result != before.result
    assert [q.charged(1, node) for node in (0, 2, 3)] == [0, 0, 0]
    assert worker.says("its process ends: OSError: [Errno 24] Too many open files")
    assert_sound(q.dir)


def test_a_slot_that_ends_by_an_error_of_its_own_says_which_and_where_and_another_one_goes_on(
    q: Queue, start: START
) -> None:
    pid = "import os; result = os.getpid()"
    spoil = "from jobqueue.worker.runner import Runner\nRunner.step = lambda self: [][7]"
    handle = q.submit(pid, spoil, pid)
    worker = start("--slots", "1", "--exit-when-empty", "--verbose")
    assert worker.ends() == 0
    before, _, after = handle.listSubJobs()
    assert not handle.hasError(recursive=True)
    assert before.result != after.result
    assert "slot 1: its process ends: IndexError: list index out of range" in worker.complaints()[0]
    trace = worker.log_text().partition("Traceback (most recent call last)")
    assert trace[0].splitlines()[-1].partition(" DEBUG ")[2].startswith("slot 1: ")
    assert "<lambda>" in trace[2]
    assert_sound(q.dir)


def test_a_child_that_a_job_leaves_behind_holds_up_nothing_and_ends_with_the_slot(
    q: Queue, start: START, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    leave = f"import subprocess\nopen({str(pids)!r}, 'a').write(f\"{{subprocess.Popen(['sleep', '1000']).pid}}\\n\")"
    fork = (
        "import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(1000)\n"
        f"open({str(pids)!r}, 'a').write(f'{{pid}}\\n')"
    )
    handle = q.submit(leave, fork, "result = 1")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert handle.listSubJobs()[2].result == 1
    assert len(lines(pids)) == 2
    assert not any(is_alive(int(pid)) for pid in lines(pids))
    assert worker.complaints() == []


def test_a_child_in_a_session_of_its_own_is_not_the_workers_any_more(q: Queue, start: START, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    q.submit(
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"open({str(pids)!r}, 'a').write(f'{{child.pid}}\\n')"
    )
    try:
        assert start("--slots", "1", "--exit-when-empty").ends() == 0
        assert is_alive(int(lines(pids)[0]))
    finally:
        end_processes(map(int, lines(pids)))


def test_a_forked_child_that_returns_from_the_job_does_not_act_as_the_slot(
    q: Queue, start: START, tmp_path: Path
) -> None:
    """Two processes that both believe to be the slot would both commit."""
    ran = tmp_path / "ran"
    note = f"open({str(ran)!r}, 'a').write('x\\n')"
    handle = q.submit("import os; os.fork()", note, note, note)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert not handle.hasError(recursive=True)
    assert len(lines(ran)) == 3
    assert worker.complaints() == []
    assert_sound(q.dir)


def test_the_other_slots_do_not_notice_that_one_dies(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = os.getpid()", SEGFAULT, EXIT)
    worker = start("--slots", "2", "--exit-when-empty")
    pid = gate.wait_for()
    until(lambda: len(q.folder(1, "failed")) == 2, "both have died three times")
    gate.open()
    assert worker.ends() == 0
    held = handle.listSubJobs()[0]
    assert (held.result, held.attempt) == (pid, 1)


def test_a_worker_whose_slots_all_end_at_once_gives_up_and_says_so(q: Queue, start: START) -> None:
    """A slot that is killed before it has run anything, again and again, never will."""
    worker = start("--slots", "1")
    killed: set[int] = set()
    for _ in range(5):
        pid = until(lambda: [pid for pid in worker.slots() if pid not in killed], "a new slot")[0]
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    assert worker.ends() == 1
    assert worker.says("5 slots in a row ended")
    assert q.workers() == []


def test_of_a_job_that_died_the_handle_still_knows_when_it_began_and_how_far_it_came(q: Queue, start: START) -> None:
    text = (
        "import os, signal, time\n"
        "proc.setProgress(40)\n"
        "proc.setStatusLine('frame 4 of 10')\n"
        "while not os.path.exists('status.json'): time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (job,) = q.submit(text, options={"maxAttempts": 1}).listSubJobs()
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert job.hasError()
    assert job.submitTime < (job.startTime or 0) < (job.endTime or 0)
    assert job.progress == 40


# --- errors that are forgiven -----------------------------------------------------------------------------------------


def test_a_job_may_end_with_as_many_errors_as_max_errors_says(q: Queue, start: START, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    note = f"open({str(notes)!r}, 'a').write('x\\n')\n"
    flaky = f"{note}result = len(open({str(notes)!r}).readlines())\nassert result > 2\n"
    handle = q.submit("result = 'before'", flaky, "result = 'after'", options={"maxErrors": 3})
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, job, after = handle.listSubJobs()
    assert (before.result, job.result, after.result) == ("before", 3, "after")
    assert (job.attempt, q.charged(1, 1)) == (3, 2)
    assert worker.says("job1/job1 has ended with an error", 2)
    # It stayed the first in its order.
    assert job.endTime is not None
    assert after.startTime is not None
    assert job.endTime < after.startTime
    assert_sound(q.dir)


def test_a_job_whose_errors_are_used_up_has_failed_and_every_attempt_can_be_read(q: Queue, start: START) -> None:
    text = "import os\nprint('attempt', os.environ['JOBQUEUE_ATTEMPT'])\nraise ValueError('no')"
    handle = q.submit(text, options={"maxErrors": 2})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    (job,) = handle.listSubJobs()
    assert (job.error, job.attempt) == ("ValueError: no", 2)
    printed = [(Path(job.location) / f".attempt{n}" / "stdout").read_text() for n in (1, 2)]
    assert printed == ["attempt 1\n", "attempt 2\n"]


def test_a_timeout_is_an_error_that_can_be_forgiven(q: Queue, start: START) -> None:
    text = "import os, time\nif os.environ['JOBQUEUE_ATTEMPT'] == '1': time.sleep(1000)\nresult = 'in time'"
    handle = q.submit(text, options={"maxErrors": 2, "timeout": 0.5})
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    (job,) = handle.listSubJobs()
    assert (job.result, job.attempt, q.charged(1, 0)) == ("in time", 2, 1)
    assert worker.says("It is ready again (1 of 2 attempts have ended with an error).")


def test_a_job_that_is_made_to_fail_has_failed_however_many_errors_it_may_have(
    q: Queue, start: START, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(gate.code, options={"maxErrors": 5})
    start("--slots", "1")
    gate.wait_for()
    (job,) = handle.listSubJobs()
    job.setError()
    until(job.isFinished, "it has failed")
    assert job.attempt == 1


# --- what the log says ------------------------------------------------------------------------------------------------

# Sets the terminal's title, and begins what looks like another line of the log.
STEERING = "\x1b]0;owned\x07\n2026-01-01 ERROR forged"


def test_what_a_label_and_an_error_hold_steers_no_terminal_and_begins_no_line_of_the_log(
    q: Queue, start: START
) -> None:
    text = f"raise ValueError({STEERING!r})"
    q.queue.createJobRoot("code", text=text, label=STEERING).activate()
    again = q.queue.createJobRoot("code", text=text)
    again.options.maxErrors = 2
    again.activate()
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    cleaned = STEERING.replace("\x1b", "?").replace("\x07", "?").replace("\n", "?")
    assert worker.says(f"running job1 ({cleaned})")
    assert worker.says(f"(ValueError: {cleaned}); what depends on it waits.", 2)
    assert worker.says(f"(ValueError: {cleaned}); it is ready again.")
    assert "\x1b" not in worker.log_text()
    assert not [line for line in lines(worker.log) if line.startswith("2026-01-01 ERROR forged")]


def test_the_last_line_counts_jobs_that_have_finished_and_attempts_that_have_not(q: Queue, start: START) -> None:
    q.submit("raise ValueError", EXIT, "result = 1", options={"maxErrors": 3, "maxAttempts": 2})
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert worker.says(" with 1 slot.")
    assert lines(worker.log)[-1].endswith(" has gone: 1 job finished, 5 attempts failed.")
