"""Helpers of the tests: procedures to run, snapshots of a queue, and real `runjobs` processes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Procedures that the fixture `queue_dir` puts into procs/.
PROCS = {
    "noop": """
from jobqueue import JobProc

class noop(JobProc):
    def __init__(self, label=None, n=0):
        super().__init__(label)

    def run(self):
        pass
""",
    "note": '''
from jobqueue import JobProc

class note(JobProc):
    """Appends a line to a file outside the queue, and fails if it is told to."""

    def __init__(self, path, text, fail=False, label=None):
        super().__init__(label or text)
        self.path, self.text, self.fail = path, text, fail

    def run(self):
        with open(self.path, "a") as file:
            file.write(self.text + "\\n")
        if self.fail:
            raise RuntimeError(f"{self.text} was told to fail")
''',
    "code": '''
from jobqueue import JobProc

class code(JobProc):
    """Runs a piece of Python with the procedure as ``proc``; returns what it leaves in ``result``."""

    def __init__(self, text, label=None):
        super().__init__(label)
        self.text = text

    def run(self):
        space = {"proc": self, "result": None}
        exec(self.text, space)
        return space["result"]
''',
}


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down; -0.0 is not 0.0, and a dict keeps its order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def snapshot(directory: Path | str) -> dict[str, bytes | None]:
    """Every path below a directory with its contents, ``None`` for a directory; two equal ones: nothing has changed."""
    found: dict[str, bytes | None] = {}
    for base, directories, files in os.walk(directory):
        for name in directories:
            found[os.path.relpath(os.path.join(base, name), directory)] = None
        for name in files:
            path = os.path.join(base, name)
            found[os.path.relpath(path, directory)] = Path(path).read_bytes()
    return found


_started: list[subprocess.Popen[str]] = []


def start_runjobs(queue_dir: Path | str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Starts a real worker."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobqueue.cli.runjobs", str(queue_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    _started.append(worker)
    return worker


def end_started() -> None:
    """Ends what a test that failed has left running; its guard ends a killed worker's slots and their commands."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def run_jobqueue(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the real `jobqueue` command."""
    return subprocess.run(
        [sys.executable, "-m", "jobqueue", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def run_next_elsewhere(queue_dir: Path | str) -> subprocess.Popen[str]:
    """Starts a process that calls `runNextAvailableJob` once and prints what it returned."""
    code = "import sys, jobqueue; print(jobqueue.JobQueue(sys.argv[1]).runNextAvailableJob())"
    process = subprocess.Popen([sys.executable, "-c", code, str(queue_dir)], stdout=subprocess.PIPE, text=True)
    _started.append(process)
    return process


def run_unprivileged(code: str, *arguments: str) -> str:
    """Runs a piece of Python as a user without rights of its own; what it printed to its standard output.

    Root may do everything, so that root's tests become somebody else first; any other user is without rights already.
    """
    # What is imported late has to be there before: an interpreter below /root is out of sight after that.
    script = """
        import encodings.idna, getpass, hashlib, importlib, json, os, pkgutil, pwd, sys
        import jobqueue
        for module in pkgutil.walk_packages(jobqueue.__path__, "jobqueue."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        import portalocker
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        # Coverage could not write its data as somebody else, and would say so.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    )
    assert done.stdout, done.stderr
    return done.stdout


def wait_until(holds: Callable[[], object], what: str, *, timeout_s: float = 60.0) -> None:
    """Looks until something holds that another process brings about; it fails if that never happens."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not seen in {timeout_s:g} s"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended; whoever should take its end notice may be late."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


class Gate:
    """A point in a job where it says that it is there, and waits until it is let through.

    Args:
        directory: where its two FIFOs are made; outside the queue.
        name: tells several gates apart.
    """

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self._here, self._open = directory / f"{name}.here", directory / f"{name}.open"
        for path in (self._here, self._open):
            os.mkfifo(path)

    @property
    def code(self) -> str:
        """The same in Python, for the procedure ``code``."""
        return f"open({str(self._here)!r}, 'w').close()\nopen({str(self._open)!r}).close()\n"

    @property
    def shell(self) -> str:
        """The same for a shell."""
        return f": > '{self._here}'; : < '{self._open}'"

    def wait(self) -> None:
        """Waits until the job is there."""
        self._here.read_bytes()

    def let_through(self) -> None:
        self._open.write_bytes(b"")
