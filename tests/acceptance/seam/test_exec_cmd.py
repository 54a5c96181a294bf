"""JobProc.execCmd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue

# Runs a command and returns its exit code and what the callbacks were given.
_LISTENER = '''
from jobqueue import JobProc

class listener(JobProc):
    """Runs a command and listens to it."""

    def __init__(self, cmd, stop=None, label=None, **more):
        super().__init__(label)
        self.cmd, self.stop, self.more = cmd, stop, more
        self.heard = {"stdout": [], "stderr": []}

    def run(self):
        return self.execCmd(self.cmd, **self.more), self.heard

    def hear(self, stream, lineNr, line):
        self.heard[stream].append((lineNr, line))
        if self.stop is not None and self.stop in line:
            raise RuntimeError(f"heard {line!r}")

    def stdoutCallback(self, lineNr, line):
        self.hear("stdout", lineNr, line)

    def stderrCallback(self, lineNr, line):
        self.hear("stderr", lineNr, line)
'''

Run = Callable[..., jobqueue.JobHandle]


@pytest.fixture
def run(queue: jobqueue.JobQueue, queue_dir: Path) -> Run:
    """Runs the procedure ``listener`` in a job of its own."""
    path = queue_dir / "procs" / "listener.py"
    path.write_text(_LISTENER)
    path.chmod(0o644)

    def run(cmd: str | list[str], **params: Any) -> jobqueue.JobHandle:
        job = queue.createJobRoot("listener", cmd=cmd, **params).activate()
        assert queue.runNextAvailableJob()
        return job

    return run


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys\n{code}"]


def test_both_streams_go_to_the_jobs_files_and_to_the_callbacks(run: Run) -> None:
    job = run("echo one; echo two; echo three >&2; echo four >&2; exit 5")
    code, heard = job.result
    assert code == 5
    assert heard == {"stdout": [(1, "one\n"), (2, "two\n")], "stderr": [(1, "three\n"), (2, "four\n")]}
    assert Path(job.stdoutFile).read_text() == "one\ntwo\n"
    assert Path(job.stderrFile).read_text() == "three\nfour\n"


def test_lines_are_counted_from_1_in_each_command(queue: jobqueue.JobQueue, queue_dir: Path, run: Run) -> None:
    path = queue_dir / "procs" / "twice.py"
    path.write_text(
        _LISTENER.replace("class listener", "class twice").replace(
            "return self.execCmd(self.cmd", "self.execCmd(self.cmd); return self.execCmd(self.cmd"
        )
    )
    path.chmod(0o644)
    job = queue.createJobRoot("twice", cmd="echo line").activate()
    queue.runNextAvailableJob()
    assert job.result[1]["stdout"] == [(1, "line\n"), (1, "line\n")]


def test_the_exit_code_is_returned_and_decides_nothing(run: Run) -> None:
    job = run(_python("sys.exit(7)"))
    assert job.result[0] == 7
    assert not job.hasError()


def test_a_signal_is_a_negative_exit_code(run: Run) -> None:
    assert run(_python("os.kill(os.getpid(), 9)")).result[0] == -9


def test_a_text_is_a_shell_line_and_a_list_is_none(run: Run) -> None:
    assert run("echo $((1 + 1)) | tr 2 3").result[1]["stdout"] == [(1, "3\n")]
    job = run([sys.executable, "-c", "import sys; print(sys.argv[1:])", "$HOME; rm *", "a  b"])
    assert job.result[1]["stdout"] == [(1, "['$HOME; rm *', 'a  b']\n")]


def test_a_command_works_in_the_running_dir(run: Run) -> None:
    job = run("pwd")
    assert job.result[1]["stdout"] == [(1, f"{job.runningDir}\n")]


def test_a_command_may_have_a_directory_and_an_environment_of_its_own(run: Run, tmp_path: Path) -> None:
    job = run("pwd; echo $COLOUR $HOME", cwd=str(tmp_path), env={"COLOUR": "red"})
    assert job.result[1]["stdout"] == [(1, f"{tmp_path}\n"), (2, "red\n")]


def test_a_carriage_return_ends_a_line(run: Run) -> None:
    job = run(_python(r"os.write(1, b'10%\r20%\rdone\r\nnext\n\r')"))
    assert [line for _, line in job.result[1]["stdout"]] == ["10%\r", "20%\r", "done\r\n", "next\n", "\r"]
    assert Path(job.stdoutFile).read_bytes() == b"10%\r20%\rdone\r\nnext\n\r"


def test_a_line_end_that_comes_in_two_pieces_is_one(run: Run) -> None:
    # The command goes on when its first piece has been taken out of the pipe.
    job = run(
        _python(
            "import fcntl, termios\n"
            "os.write(1, b'first\\r')\n"
            "while fcntl.ioctl(1, termios.FIONREAD, bytes(4)) != bytes(4): os.sched_yield()\n"
            "os.write(1, b'\\nsecond')\n"
        )
    )
    assert job.result[1]["stdout"] == [(1, "first\r\n"), (2, "second")]


def test_a_last_line_needs_no_end(run: Run) -> None:
    job = run("printf 'one\\ntwo'; printf three >&2")
    assert job.result[1] == {"stdout": [(1, "one\n"), (2, "two")], "stderr": [(1, "three")]}


def test_a_line_is_handed_over_when_it_is_written(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    path = queue_dir / "procs" / "answer.py"
    path.write_text(
        "import os\n"
        "from jobqueue import JobProc\n"
        "class answer(JobProc):\n"
        "    def run(self):\n"
        "        os.mkfifo('answer')\n"
        "        return self.execCmd('echo question; read line < answer; test \"$line\" = 42')\n"
        "    def stdoutCallback(self, lineNr, line):\n"
        "        with open('answer', 'w') as file: file.write('42\\n')\n"
    )
    path.chmod(0o644)
    job = queue.createJobRoot("answer").activate()
    queue.runNextAvailableJob()
    assert job.result == 0


def test_an_exception_in_a_callback_ends_the_command_and_fails_the_job(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    job = run(f"echo fine; echo Error: no light; : < '{tmp_path}/never'", stop="Error")
    assert job.hasError()
    assert job.error == r"RuntimeError: heard 'Error: no light\n'"
    assert Path(job.stdoutFile).read_text().startswith("fine\nError: no light\n")


def test_much_output_of_both_streams_blocks_nothing(run: Run) -> None:
    job = run(_python("for n in range(20000): print('o' * 30, n); print('e' * 30, n, file=sys.stderr)"))
    code, heard = job.result
    assert code == 0
    assert [len(heard["stdout"]), len(heard["stderr"])] == [20000, 20000]
    assert heard["stdout"][-1] == (20000, f"{'o' * 30} 19999\n")
    assert Path(job.stderrFile).stat().st_size == sum(len(line) for _, line in heard["stderr"])


def test_bytes_that_are_no_text_do_no_harm(run: Run) -> None:
    job = run(_python(r"os.write(1, b'caf\xc3\xa9 \xff\n')"))
    assert job.result[1]["stdout"] == [(1, "café \\xff\n")]


def test_a_command_that_cannot_be_started_is_an_error(run: Run) -> None:
    job = run(["/there is no such program"])
    assert job.hasError()
    assert job.error is not None
    assert job.error.startswith("FileNotFoundError: ")


def test_what_is_printed_before_stands_before(queue: jobqueue.JobQueue, submit_code: Run) -> None:
    job = submit_code("print('before'); proc.execCmd('echo command'); print('after')")
    queue.runNextAvailableJob()
    assert Path(job.stdoutFile).read_text() == "before\ncommand\nafter\n"
