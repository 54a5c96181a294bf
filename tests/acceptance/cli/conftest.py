"""The two commands, called in this process, and a queue's jobs brought into any state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobqueue import JobQueue
from jobqueue.cli import main
from jobqueue.clock import Clock
from jobqueue.names import RunningToken, Token, WonToken
from jobqueue.registry import Registration
from jobqueue.store import Store
from tests.support import snapshot


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """The command `jobqueue` on one queue.

    Args:
        capsys: takes what it prints.
        queue_dir: the queue, also in the environment.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], queue_dir: Path) -> None:
        self._capsys = capsys
        self._queue_dir = queue_dir

    def __call__(self, *arguments: str) -> Answer:
        self._capsys.readouterr()
        code = main(arguments)
        return Answer(code, *self._capsys.readouterr())

    def good(self, *arguments: str) -> str:
        """The same for a command that succeeds and complains of nothing; what it printed."""
        answer = self(*arguments)
        assert (answer.code, answer.err) == (0, "")
        return answer.out

    def refused(self, *arguments: str, code: int = 2) -> str:
        """The same for a command that changes nothing and answers in one sentence: without the program's name."""
        before = snapshot(self._queue_dir)
        answer = self(*arguments)
        assert snapshot(self._queue_dir) == before
        assert (answer.code, answer.out) == (code, "")
        assert answer.err.startswith("jobqueue")
        assert answer.err.count("\n") == 1
        return answer.err.partition(": ")[2].rstrip("\n")


class Hand:
    """A worker that moves a job's token by hand, so that a test can stop at any move.

    Args:
        queue_dir: the queue.
    """

    def __init__(self, queue_dir: Path) -> None:
        self.store = Store(str(queue_dir))
        self.registration = Registration(self.store, "hand", 1)
        self.worker = self.registration.name

    def claim(self, number: int, node: int = 0) -> RunningToken:
        job = self.store.layout.job(number)
        for name in self.store.share.names(job.ready):
            token = Token.parse(name)
            if token is not None and token.node == node:
                running = self.store.tokens.try_claim(job, token, self.worker, 1)
                assert running is not None
                return running
        raise AssertionError(f"job {node} of job{number} is not ready")

    def commit(self, running: RunningToken) -> WonToken:
        """Commits a result whose record is lost."""
        won = self.store.tokens.try_commit(running, self.worker, 1, 0)
        assert won is not None
        return won

    def park(self, number: int) -> None:
        self.store.index.put(number, "waiting")


@pytest.fixture(autouse=True)
def _environment(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBQUEUE_QUEUE", str(queue_dir))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], queue_dir: Path) -> Cli:
    return Cli(capsys, queue_dir)


@pytest.fixture
def hand(queue_dir: Path) -> Iterator[Hand]:
    hand = Hand(queue_dir)
    yield hand
    hand.registration.leave()


@pytest.fixture
def failed_job(queue: JobQueue, run_all: Callable[[], int]) -> str:
    """A stalled hierarchy of four frames, the second of which has failed: job1."""
    root = queue.createJobRoot(None, label="shot")
    for frame in range(1, 5):
        text = "raise RuntimeError('no licence')" if frame == 2 else "print('frame')"
        root.createJob("code", text=text, label=f"frame {frame}")
    handle = root.activate()
    run_all()
    return handle.name


@pytest.fixture
def at_each_pause(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Replaces waiting: at the nth pause the nth of some functions is called. The list of pauses is returned."""

    def replace(*steps: Callable[[], object]) -> list[float]:
        left, pauses = list(steps), []

        def sleep(clock: Clock, seconds: float) -> None:
            pauses.append(seconds)
            assert left, "it waits longer than it should"
            left.pop(0)()

        monkeypatch.setattr(Clock, "sleep", sleep)
        return pauses

    return replace
