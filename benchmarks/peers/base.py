"""What a peer is to the benchmark: a queue in a directory of its own, with workers on this host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

from benchmarks import work

# Where the package `benchmarks` lies, for the workers' processes.
ROOT = Path(__file__).resolve().parents[2]
# How often whoever polls does: our worker, a consumer, a loop around a library.
POLL_S = 0.01


class Job(NamedTuple):
    """One call of a function of `benchmarks.work`.

    Attributes:
        function: its name.
        args: its arguments; the first one is the job's number.
    """

    function: str
    args: tuple[int, ...]

    def call(self) -> None:
        work.FUNCTIONS[self.function](*self.args)


class PeerError(RuntimeError):
    """A peer did not do what it was asked for; what its workers have printed is in the message."""


class Peer(ABC):
    """A queue with workers, as the benchmark sees it. Each peer's file says how it was set, and why so.

    Args:
        folder: an empty directory, on the file system that is measured.

    Attributes:
        name: for tables.
        package: the distribution whose version is noted.
        settings: what was chosen, for people.
        is_file_based: its state is in files, so that it is measured on the disk as well.
        is_queue_alone: it only hands out messages: it keeps no account of what became of a job.
        has_warm_workers: workers wait for jobs; else they are started for a list of jobs, and end with it.
        counts: its no-ops count themselves; else they are processes, and are counted in a run of its own.
        has_commands: it has jobs that are commands; else a function starts them. The former do not count themselves.
        lacks: the pieces of work that it has no way to do, with the reason.
        is_to_be_killed: set before `start`: workers are to be units that can be killed one by one, with those settings
            with which the peer gets over that best.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    settings: ClassVar[str]
    is_file_based: ClassVar[bool] = False
    is_queue_alone: ClassVar[bool] = False
    has_warm_workers: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    has_commands: ClassVar[bool] = False
    lacks: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_to_be_killed = False
        self.workers: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] = open(folder / "workers.log", "ab")

    # --- for each peer -------------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, workers: int) -> None:
        """Starts this many workers, beside those that there are."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Submits jobs."""

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        """Submits jobs, and one that depends on all of them.

        Raises:
            PeerError: the peer has no dependencies.
        """
        raise PeerError(f"{self.name} has no job that depends on {len(jobs)} others: {parent}")

    def is_settled(self) -> bool:
        """Whether the peer itself says that all that was submitted is done; asked for once all jobs were executed."""
        return True

    def fate(self) -> str:
        """What the peer has to say of the job whose worker was killed, and that did not come again."""
        return ""

    def stop(self) -> None:
        """Ends the workers, and whatever else was started."""
        for worker in self.workers:
            worker.terminate()
        self.reap()

    # --- for all -------------------------------------------------------------------------------------------------

    @classmethod
    def version(cls) -> str:
        return version(cls.package)

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed by hand for it, if that is not there."""
        return None

    def launch(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Starts a process that finds our modules, in a session of its own; its words go to a log."""
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def launch_worker(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        """The same, for a worker."""
        self.workers.append(self.launch(*arguments, env=env))

    def check(self) -> None:
        """Looks whether the workers are well.

        Raises:
            PeerError: one has ended that was to go on, or has ended badly.
        """
        for worker in self.workers:
            code = worker.poll()
            if code is not None and (self.has_warm_workers or code):
                raise PeerError(f"a worker of {self.name} has ended with {code}:\n{self.words()}")

    def words(self) -> str:
        """The end of what its processes have printed."""
        return (self.folder / "workers.log").read_text("utf-8", "replace")[-4_000:]

    def reap(self) -> None:
        """Waits for the workers; kills those that do not end."""
        for worker in self.workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            # What it has forked would go on beside the next measurements.
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        self.workers.clear()


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def as_item(job: Job) -> dict[str, Any]:
    """A job as plain data, for those that pass messages."""
    return {"function": job.function, "args": list(job.args)}


def run_item(item: Mapping[str, Any]) -> None:
    work.FUNCTIONS[item["function"]](*item["args"])
