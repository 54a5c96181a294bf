"""Everything that a job has printed can be read later, however it was printed and however the job ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from tests.acceptance.worker.driver import Gate, Queue, Worker, until
from tests.soundness import assert_sound

START = Callable[..., Worker]
MEGABYTE = 1 << 20


def attempt_file(handle: jobqueue.JobHandle, attempt: int, name: str) -> Path:
    return Path(handle.location) / f".attempt{attempt}" / name


def printed(handle: jobqueue.JobHandle, attempt: int = 1) -> bytes:
    return attempt_file(handle, attempt, "stdout").read_bytes()


def run(start: START, *arguments: str) -> Worker:
    worker = start("--slots", "1", "--exit-when-empty", *arguments)
    assert worker.ends() == 0
    return worker


PRINTERS = {
    "print": ("print('text')", b"text\n"),
    "print without a line end": ("print('text', end='')", b"text"),
    "print with flush": ("print('text', flush=True)", b"text\n"),
    "the procedure's own stream": ("proc.stdout.write('text')", b"text"),
    "a write to the file descriptor": ("import os; os.write(1, b'text')", b"text"),
    "sys.stdout.buffer": ("import sys; sys.stdout.buffer.write(b'text')", b"text"),
    "a file opened on the descriptor": ("open(1, 'w', closefd=False).write('text')", b"text"),
    "a buffered file left in sys.stdout": (
        "import sys\nsys.stdout = open(1, 'w', closefd=False)\nprint('text')",
        b"text\n",
    ),
    "a command that inherits it": ("import subprocess; subprocess.run(['echo', 'text'])", b"text\n"),
    "a command run by os.system": ("import os; os.system('echo text')", b"text\n"),
    "execCmd": ("proc.execCmd(['echo', 'text'])", b"text\n"),
    "a forked child": (
        "import os\npid = os.fork()\nif pid == 0:\n    os.write(1, b'text')\n    os._exit(0)\nos.waitpid(pid, 0)",
        b"text",
    ),
    "multiprocessing": (
        (
            "import multiprocessing\nchild = multiprocessing.get_context('fork').Process(target=print, args=('text',))"
            "\nchild.start()\nchild.join()"
        ),
        b"text\n",
    ),
    "C code": ("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.puts(b'text')\nlibc.fflush(None)", b"text\n"),
    "C code that does not flush": ("import ctypes\nctypes.CDLL(None).puts(b'text')", b"text\n"),
    "bytes that are no text": ("import os; os.write(1, bytes(range(256)))", bytes(range(256))),
    "characters of any kind": ("print('\\u00e4\\u20ac\\U0001f600')", "\u00e4\u20ac\U0001f600\n".encode()),
    "half a character": ("print('\\ud800')", b"\\ud800\n"),
    "a thread": (
        "import threading\nt = threading.Thread(target=print, args=('text',))\nt.start()\nt.join()",
        b"text\n",
    ),
    "several ways in turn": (
        (
            "import os, subprocess\nprint(1)\nos.write(1, b'2\\n')\nsubprocess.run(['echo', '3'])\nprint(4)\n"
            "proc.stdout.write('5\\n')\nos.system('echo 6')"
        ),
        b"1\n2\n3\n4\n5\n6\n",
    ),
}


@pytest.mark.parametrize("kind", PRINTERS)
def test_what_is_printed_in_any_way_is_kept_in_its_own_jobs_file(q: Queue, start: START, kind: str) -> None:
    text, wanted = PRINTERS[kind]
    handle = q.submit("print('before')", text, "print('after')")
    run(start)
    before, job, after = handle.listSubJobs()
    assert printed(job) == wanted
    assert (printed(before), printed(after)) == (b"before\n", b"after\n")
    assert not job.hasError(), job.error
    assert not attempt_file(job, 1, "stderr").exists()


def test_a_job_that_prints_nothing_has_no_files_of_it(q: Queue, start: START) -> None:
    handle = q.submit("pass")
    run(start)
    assert list((Path(handle.listSubJobs()[0].location) / ".attempt1").iterdir()) == []


@pytest.mark.parametrize(
    "command", ['echo kept; rm -r "$JOBQUEUE_RUNNING_DIR"', 'echo kept; rm -r "$JOBQUEUE_RUNNING_DIR"; exit 3']
)
def test_the_output_of_a_job_that_removes_its_own_directory_is_kept(q: Queue, start: START, command: str) -> None:
    handle = q.submit_commands(command)
    run(start)
    job = handle.listSubJobs()[0]
    assert job.isFinished()
    assert job.hasError() == ("exit" in command)
    assert (job.attempt, q.charged(1, 0)) == (1, 0)
    assert Path(job.stdoutFile or "").read_text() == "kept\n"
    assert_sound(q.dir)


def test_both_streams_are_kept_apart(q: Queue, start: START) -> None:
    handle = q.submit("import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nos.system('echo cmd >&2')")
    run(start)
    job = handle.listSubJobs()[0]
    assert printed(job) == b"out\n"
    assert attempt_file(job, 1, "stderr").read_bytes() == b"err\ncmd\n"


ENDS = {
    "exits": "os._exit(3)",
    "is killed": "os.kill(os.getpid(), 9)",
    "breaks a memory rule": (
        "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nctypes.string_at(0)"
    ),
    "closes all files": "os.closerange(0, 4096); os._exit(3)",
}


@pytest.mark.parametrize("kind", ENDS)
def test_what_was_printed_before_a_crash_is_kept_of_every_attempt(q: Queue, start: START, kind: str) -> None:
    text = (
        "import os, sys\nprint('attempt', os.environ['JOBQUEUE_ATTEMPT'])\n"
        f"os.system('echo err >&2')\nprint('last words', end='')\n{ENDS[kind]}"
    )
    handle = q.submit(text, "print('after')")
    run(start)
    job, after = handle.listSubJobs()
    for attempt in (1, 2, 3):
        assert printed(job, attempt) == b"attempt %d\nlast words" % attempt
        assert attempt_file(job, attempt, "stderr").read_bytes() == b"err\n"
    assert printed(after) == b"after\n"


def test_what_was_printed_before_the_timeout_is_kept(q: Queue, start: START) -> None:
    handle = q.submit("import os\nos.system('echo begun; sleep 1000')", options={"timeout": 0.5})
    run(start)
    job = handle.listSubJobs()[0]
    assert "timeout" in (job.error or "")
    assert printed(job) == b"begun\n"


def test_a_failed_job_has_its_traceback_in_a_file_of_its_own(q: Queue, start: START) -> None:
    handle = q.submit("print('out')\nraise RuntimeError('no \\u20ac')")
    run(start)
    job = handle.listSubJobs()[0]
    assert printed(job) == b"out\n"
    text = attempt_file(job, 1, "traceback").read_text("utf-8")
    assert text.startswith("Traceback")
    assert text.endswith("RuntimeError: no \u20ac\n")


def test_twenty_megabytes_are_kept_whole(q: Queue, start: START) -> None:
    block = "import os\nblock = bytes(range(256)) * 4096\nfor _ in range(20):\n    "
    handle = q.submit(f"{block}os.write(1, block)", f"{block}proc.stdout.write('x' * {MEGABYTE})", "print('after')")
    run(start)
    first, second, after = handle.listSubJobs()
    assert printed(first) == bytes(range(256)) * 4096 * 20
    assert printed(second) == b"x" * 20 * MEGABYTE
    assert printed(after) == b"after\n"


def test_twenty_megabytes_before_a_crash_are_kept_whole(q: Queue, start: START) -> None:
    text = "import os\nfor n in range(20):\n    os.write(1, b'%d\\n' % n * (1 << 19))\nos._exit(1)"
    handle = q.submit(text, options={"maxAttempts": 1})
    run(start)
    assert printed(handle.listSubJobs()[0]) == b"".join(b"%d\n" % n * (1 << 19) for n in range(20))


def test_lines_of_several_processes_are_not_torn(q: Queue, start: START) -> None:
    shout = "for n in range(500): os.write(1, b'%d' % who * 100 + b'\\n')"
    text = (
        "import os\npids = []\nfor who in (1, 2, 3):\n    pid = os.fork()\n    if pid == 0:\n"
        f"        {shout}\n        os._exit(0)\n    pids.append(pid)\nwho = 4\n{shout}\n"
        "for pid in pids: os.waitpid(pid, 0)"
    )
    handle = q.submit(text)
    run(start)
    found = printed(handle.listSubJobs()[0]).splitlines()
    assert sorted(found) == sorted(b"%d" % who * 100 for who in (1, 2, 3, 4) for _ in range(500))


def test_the_files_grow_while_the_job_runs(q: Queue, start: START, tmp_path: Path) -> None:
    gates = [Gate(tmp_path, name) for name in ("one", "two")]
    handle = q.submit(f"print('first')\n{gates[0].code}os.system('echo second')\n{gates[1].code}print('third')")
    worker = start("--slots", "1", "--exit-when-empty")
    job = handle.listSubJobs()[0]
    path = attempt_file(job, 1, "stdout")
    until(lambda: path.exists() and path.read_bytes() == b"first\n", "the first line")
    gates[0].open()
    until(lambda: path.read_bytes() == b"first\nsecond\n", "the second line")
    assert job.isRunning()
    gates[1].open()
    assert worker.ends() == 0
    assert path.read_bytes() == b"first\nsecond\nthird\n"


def test_a_crash_after_a_part_was_shown_adds_only_what_is_missing(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"print('first')\n{gate.code}print('second')\nos._exit(1)", options={"maxAttempts": 1})
    worker = start("--slots", "1", "--exit-when-empty")
    job = handle.listSubJobs()[0]
    path = attempt_file(job, 1, "stdout")
    until(lambda: path.exists() and path.read_bytes() == b"first\n", "the first line")
    gate.open()
    assert worker.ends() == 0
    assert path.read_bytes() == b"first\nsecond\n"


def test_progress_and_status_line_are_seen_while_the_job_runs(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"proc.setProgress(40)\nproc.setStatusLine('half way \\u20ac')\n{gate.code}proc.setProgress(99)")
    worker = start("--slots", "1", "--exit-when-empty")
    job = handle.listSubJobs()[0]
    assert (job.progress, job.statusLine) == (0.0, "") or job.isRunning()
    until(lambda: job.progress == 40.0, "the progress is seen")
    assert job.statusLine == "half way \u20ac"
    assert job.isRunning()
    gate.open()
    assert worker.ends() == 0
    assert job.progress == 100.0
    assert job.statusLine == "half way \u20ac"
