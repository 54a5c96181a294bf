"""Drives real workers: processes with their log in a file, gates that hold a job, and bounded waiting for a state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import jobqueue
from jobqueue.state import AnyToken, look_up
from jobqueue.store import Store
from tests.support import start_runjobs

T = TypeVar("T")

# Far beyond what anything here takes; a test fails by it only where what it waits for never comes.
PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.01


def until(predicate: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Waits for ``predicate`` to become true, and returns what it returned.

    Args:
        predicate: is called again and again.
        what: is waited for, in words for the failure.
        timeout_s: after which the test fails.
    """
    end = time.monotonic() + timeout_s
    while True:
        seen = predicate()
        if seen:
            return seen
        assert time.monotonic() < end, f"this did not come to be: {what}"
        time.sleep(_LOOK_EVERY_S)


def lines(path: Path) -> list[str]:
    """The whole lines of a file; none while it is missing."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return [line.removesuffix("\n") for line in text.splitlines(keepends=True) if line.endswith("\n")]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def _standard_output(pid: int) -> str:
    """What a process writes to; empty where it has just ended."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1")
    except FileNotFoundError:
        return ""


class Gate:
    """A FIFO that holds a job until the test opens it.

    Args:
        directory: where it is made.
        name: tells several apart.
    """

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self.path = directory / f"{name}.fifo"
        self._arrived = directory / f"{name}.arrived"
        os.mkfifo(self.path)

    @property
    def code(self) -> str:
        """What a job has to execute to be held: it says that it is there, and reads the FIFO to its end."""
        return (
            f"import os\nwith open({str(self._arrived)!r}, 'a') as file:\n    file.write(f'{{os.getpid()}}\\n')\n"
            f"with open({str(self.path)!r}) as file:\n    file.read()\n"
        )

    @property
    def shell(self) -> str:
        """The same for a shell."""
        return f"echo $$ >> {self._arrived}; cat {self.path}; "

    def arrivals(self) -> list[int]:
        """The processes that have come to the gate so far, in their order."""
        return [int(line) for line in lines(self._arrived)]

    def wait_for(self, count: int = 1) -> int:
        """Waits until so many processes have come; the process id of the last of them."""
        until(lambda: len(self.arrivals()) >= count, f"{count} jobs at the gate {self.path.name}")
        return self.arrivals()[count - 1]

    def open(self) -> None:
        """Lets whoever is held go on."""

        def try_open() -> bool:
            try:
                # A writer that comes before any reader is refused, instead of being held itself.
                os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        until(try_open, f"a job that reads {self.path.name}")


def runjobs_after(code: str, queue_dir: Path, log: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts a worker in whose process a piece of Python has been executed before, so that something fails in it."""
    code += "\nimport sys\nfrom jobqueue.cli.runjobs import main\nsys.exit(main(sys.argv[1:]))\n"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(queue_dir), "--log", str(log), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Worker:
    """A `runjobs` process.

    Args:
        queue_dir: of the queue.
        log: file for its log.
        arguments: further ones of the command line.
        process: is used instead of starting one.
    """

    def __init__(
        self, queue_dir: Path, log: Path, *arguments: str, process: subprocess.Popen[str] | None = None
    ) -> None:
        self.log = log
        self.queue_dir = queue_dir
        self.process = process or start_runjobs(queue_dir, "--log", str(log), *arguments)

    def says(self, text: str, times: int = 1) -> bool:
        """Whether its log holds a text, so often at least."""
        return self.log.exists() and self.log.read_text().count(text) >= times

    def wait_to_say(self, text: str, times: int = 1) -> None:
        until(lambda: self.says(text, times), f"{text!r} in the log: {self.log_text()}")

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def complaints(self) -> list[str]:
        """The warnings and errors in its log."""
        return [line for line in lines(self.log) if " WARNING " in line or " ERROR " in line]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, timeout_s: float = PATIENCE_S) -> int:
        """Waits for its end; its exit code."""
        out, err = self.process.communicate(timeout=timeout_s)
        assert not out, out
        assert "Traceback" not in err, err
        return self.process.returncode

    def name(self) -> str:
        """Its name in the queue; without a log the queue must have no other worker."""
        if not self.log.exists():
            return os.listdir(self.queue_dir / "workers")[0]
        self.wait_to_say("has come to")
        return self.log_text().partition("Worker ")[2].partition(" ")[0]

    def wait_for_beats(self, count: int) -> None:
        """Waits until it has beaten so many times more."""
        beat = self.queue_dir / "workers" / self.name() / "beat"
        seen = {beat.stat().st_mtime_ns}

        def has_beaten() -> bool:
            seen.add(beat.stat().st_mtime_ns)
            return len(seen) > count

        until(has_beaten, f"{count} beats")

    def children(self) -> list[int]:
        """The process ids of its children: the guard and the slots."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(path.parent.name))
        return sorted(found)

    def slots(self) -> list[int]:
        """The process ids of its slots: the children whose standard output is a spool, a file without a name."""
        return [pid for pid in self.children() if _standard_output(pid).endswith("(deleted)")]

    def guard(self) -> int:
        """The process id of its guard, which has no standard output."""
        return until(lambda: [pid for pid in self.children() if _standard_output(pid) == os.devnull], "a guard")[0]

    def end_at_once(self) -> None:
        """For the end of a test: nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process.wait(PATIENCE_S)


class Queue:
    """A queue for a test: short ways to submit and to look.

    Args:
        location: of the queue.
    """

    def __init__(self, location: Path) -> None:
        self.dir = location
        self.queue = jobqueue.JobQueue(str(location))
        self.store = Store(str(location))

    def submit(self, *texts: str, options: dict[str, Any] | None = None) -> jobqueue.JobHandle:
        """A hierarchy with a root that does nothing and one sub-job (of the procedure ``code``) for each text."""
        root = self.queue.createJobRoot(label="root")
        for text in texts:
            job = root.createJob("code", text=text)
            for name, value in (options or {}).items():
                setattr(job.options, name, value)
        return root.activate()

    def submit_commands(self, *commands: str | list[str]) -> jobqueue.JobHandle:
        """The same with commands."""
        root = self.queue.createJobRoot(label="root")
        for command in commands:
            root.createJob("command", cmd=command)
        return root.activate()

    def configure(self, text: str) -> None:
        """Sets something (``name = value``) under ``[main]`` of queue.cfg."""
        path = self.dir / "queue.cfg"
        name = text.partition(" ")[0]
        rest = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(f"{name} ")]
        path.write_text("".join(rest).replace("[main]\n", f"[main]\n{text}\n"))

    def token(self, number: int, node: int) -> AnyToken | None:
        """Where a job stands, as the token says."""
        return look_up(self.store, self.store.layout.job(number), node).token

    def charged(self, number: int, node: int) -> int:
        token = self.token(number, node)
        assert token is not None
        return token.charged

    def folder(self, number: int, folder: str) -> list[str]:
        """The names in one of a job's folders of tokens, sorted."""
        return sorted(os.listdir(self.dir / f"job{number}" / ".tokens" / folder))

    def workers(self) -> list[str]:
        return sorted(os.listdir(self.dir / "workers"))

    def entries(self, folder: str) -> list[str]:
        return sorted(os.listdir(self.dir / "index" / folder))


def end_processes(pids: Iterable[int]) -> None:
    """For the end of a test: ends processes that a job has left behind on purpose."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
