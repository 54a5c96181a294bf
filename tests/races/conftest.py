"""Stages for races: queues that many can act on, call by call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.layout import JobLayout
from jobqueue.names import Entry, RunningToken, Token, WonToken
from jobqueue.params import dumps
from jobqueue.store import Store
from tests.races.orders import Orders, Play, SteppedShare
from tests.soundness import assert_sound
from tests.support_share import QuickShare, scratch, watched_calls
from tests.support_worker import attached

__all__ = ["scratch", "watched_calls"]


class Stage:
    """A queue as it is before a race, and the race itself.

    Args:
        queue_dir: the queue.
        scratch: where it is copied to for each order.
    """

    def __init__(self, queue_dir: Path, scratch: Path) -> None:
        self.queue_dir = queue_dir
        self.queue = attached(queue_dir, QuickShare())
        self.store = self.queue._store_or_raise()
        self._scratch = scratch

    def job(self, number: int = 1) -> JobLayout:
        return self.store.layout.job(number)

    def submit_fan(self, count: int) -> None:
        """Nodes 0 to count - 1 are needed by the root."""
        root = self.queue.createJobRoot("noop")
        for _ in range(count):
            root.createJob("noop")
        root.activate()

    def worker(self, name: str) -> str:
        """A worker's directory."""
        files = self.store.layout.worker(name)
        for directory in (files.running, files.won, files.inbox):
            Path(directory).mkdir(parents=True)
        return name

    def claim(self, worker: str, node: int, number: int = 1) -> RunningToken:
        token = next(token for token in self.tokens("ready", number) if token.node == node)
        claimed = self.store.tokens.try_claim(self.job(number), token, worker, 1)
        assert claimed is not None
        return claimed

    def win(self, worker: str, node: int, *, ok: bool = True) -> WonToken:
        """A job that was run and committed, and is not settled."""
        running = self.claim(worker, node)
        record = {"event": "end", "node": node, "attempt": running.attempt, "ok": ok, "error": "", "result": None}
        journal = self.job().journal(worker, node + 1)
        self.store.share.append_once(journal, dumps(record).encode() + b"\n")
        won = self.store.tokens.try_commit(running, worker, node + 1, 0)
        assert won is not None
        return won

    def park(self) -> None:
        """Moves the entry of job1 to waiting/."""
        entry = self.entry()
        assert self.store.index.try_park(entry, lambda: not self.tokens("ready"))

    def tokens(self, folder: str, number: int = 1) -> list[Token]:
        names = self.store.share.names(self.job(number).token_folder(folder))
        return [token for name in names if (token := Token.parse(name))]

    def entry(self, number: int = 1) -> Entry:
        entry = self.store.index.find(number)
        assert entry is not None
        return entry

    def try_all(self, write: Callable[[Path], Play]) -> None:
        """See `Orders.try_all`."""
        Orders(self.queue_dir, self._scratch).try_all(write)

    def try_some(self, write: Callable[[Path], Play], count: int = 200) -> None:
        """See `Orders.try_some`."""
        Orders(self.queue_dir, self._scratch).try_some(write, count)


def stepped(queue_dir: Path, seed: int = 0) -> Store:
    """What an actor works with."""
    return Store(str(queue_dir), SteppedShare(seed))


def sound_states(queue_dir: Path, *, at_rest: bool = True) -> list[str]:
    """The states of job1's jobs in a queue that is sound."""
    return assert_sound(queue_dir, at_rest=at_rest)[1]


@pytest.fixture
def stage(queue_dir: Path, scratch: Path, watched_calls: None) -> Stage:
    return Stage(queue_dir, scratch)
