"""Arrays for tests: submitted, taken and committed piece by piece, and what covers their items."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.clock import Clock
from jobqueue.frames import parse_frames
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import events, lines
from jobqueue.names import ClosedToken, Record, RunningToken, Span, Token, WonToken
from jobqueue.params import dumps
from jobqueue.proc import JobProc
from jobqueue.store import Store
from tests.support_share import HookedShare, QuickShare
from tests.support_worker import Worker, attached

# The array's node in the hierarchies that are made here; its root is the next one.
ARRAY = 0


def submit(queue_dir: Path | str, frames: str = "0-9", chunk: int = 3) -> None:
    """A top-level job that waits for an array of frames, by a procedure that does nothing."""
    root = attached(queue_dir, QuickShare()).createJobRoot()
    root.createJobArray("command", frames=frames, chunk=chunk, cmd="true {frame}")
    root.activate()


def note(item: int, attempt: int, *, ok: bool = True, node: int = ARRAY, to: int | None = None) -> bytes:
    """A journal's line about an item that has been run."""
    event: dict[str, Any] = {"item": item, "node": node, "attempt": attempt, "ok": ok, "start": 1.5, "end": 2.5}
    if to is not None:
        event["to"] = to
    if not ok:
        event["error"] = "no licence"
    return dumps(event).encode() + b"\n"


class Theatre:
    """What items do that run in this process.

    Attributes:
        ran: the numbers of those that have begun, in their order.
        clock: stands still but for them.
        acts: what is to happen when an item of this number runs, at each of its attempts.
        chunks: those that have begun at once.
    """

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.chunks: list[list[int]] = []
        self.clock: Clock | None = None
        self.acts: dict[int, Callable[[JobProc], Any]] = {}


# The one that `Item` plays in.
theatre = Theatre()


class Item(JobProc):
    """An item that takes so long, and does what the theatre says."""

    def __init__(self, number: int = 0, seconds: float = 0.0, label: str | None = None) -> None:
        super().__init__(label)
        self.number, self.seconds = number, seconds

    def run(self) -> Any:
        theatre.ran.append(self.number)
        if self.seconds:
            assert theatre.clock is not None
            theatre.clock.sleep(self.seconds)
        act = theatre.acts.get(self.number)
        return act(self) if act else None


class Chunk(JobProc):
    """The items of a chunk at once."""

    def __init__(self, frames: str, label: str | None = None) -> None:
        super().__init__(label)
        self.frames = parse_frames(frames)

    def run(self) -> Any:
        theatre.ran += self.frames
        theatre.chunks.append(self.frames)
        results = [theatre.acts[frame](self) for frame in self.frames if frame in theatre.acts]
        return results or None


def submit_frames(
    queue: jobqueue.JobQueue, frames: str, chunk: int | str = "auto", **options: Any
) -> jobqueue.JobHandle:
    """The same for an array of frames whose procedure is `Chunk`."""
    root = queue.createJobRoot()
    array = root.createJobArray("tests.support_arrays:Chunk", frames, chunk=chunk)
    for name, value in options.items():
        setattr(array.options, name, value)
    return root.activate().listSubJobs()[0]


def submit_items(
    queue: jobqueue.JobQueue, seconds: Sequence[float], chunk: int | str = 100, **options: Any
) -> jobqueue.JobHandle:
    """A top-level job that waits for an array of `Item`; its handle is the array's."""
    root = queue.createJobRoot()
    over = {"number": range(len(seconds)), "seconds": list(seconds)}
    array = root.createJobArray("tests.support_arrays:Item", over=over, chunk=chunk)
    for name, value in options.items():
        setattr(array.options, name, value)
    return root.activate().listSubJobs()[0]


class Stage:
    """An array whose pieces are moved by hand.

    Args:
        store: a queue whose job1 is one of `submit`.
        workers: whose folders there are to be.
    """

    def __init__(self, store: Store, workers: tuple[str, ...] = ("w-h-0", "w-h-1")) -> None:
        self.store = store
        self.job = store.layout.job(1)
        self.workers = workers
        for worker in workers:
            files = store.layout.worker(worker)
            for directory in (files.inbox, files.running, files.won, files.spare):
                os.makedirs(directory)

    @property
    def node(self) -> Node:
        return Hierarchy(self.store.share, self.job.hierarchy).node(ARRAY)

    # --- moves ---------------------------------------------------------------------------------------------------

    def claim(self, end: int, worker: str = "w-h-0", slot: int = 1) -> RunningToken:
        """Takes the first ready items, up to ``end``; what is left of them stays owed."""
        (token, *_) = self.tokens("ready")
        claimed = self.store.pieces.try_claim(self.job, token, end, worker, slot)
        assert claimed is not None
        return claimed

    def take(self, end: int, worker: str = "w-h-0", slot: int = 1) -> RunningToken:
        """The same, and the rest is born."""
        claimed = self.claim(end, worker, slot)
        self.store.pieces.bear(claimed, worker)
        return claimed

    def record(self, running: RunningToken, end: int, worker: str = "w-h-0", *, ok: bool = True) -> Record:
        """Writes that the items up to ``end`` have ended."""
        assert running.span is not None
        event = {
            "event": "end", "node": running.node, "attempt": running.attempt, "items": [running.span.start, end],
            "ok": ok, "start": 1.5, "end": 2.5, "error": "", "status": "", "progress": None,
        }  # fmt: skip
        path = self.job.journal(worker, running.slot)
        at = os.path.getsize(path) if os.path.exists(path) else 0
        self.store.share.append_once(path, dumps(event).encode() + b"\n")
        return Record(worker, running.slot, at)

    def commit(
        self, running: RunningToken, end: int | None = None, worker: str = "w-h-0", *, ok: bool = True
    ) -> WonToken:
        """Commits its items up to ``end``, by default all."""
        assert running.span is not None
        end = running.span.end if end is None else end
        record = self.record(running, end, worker, ok=ok)
        won = self.store.pieces.try_commit(running, worker, record, end)
        assert won is not None
        return won

    def settle(self, won: WonToken, worker: str = "w-h-0", *, ok: bool = True) -> list[Token]:
        """Settles; what became ready by it."""
        return self.store.pieces.settle(won, worker, self.node, ok=ok).unblocked

    def finish(self, end: int, worker: str = "w-h-0") -> list[Token]:
        """Takes, commits and settles the first ready items up to ``end``; what became ready by it."""
        return self.settle(self.commit(self.take(end, worker), worker=worker), worker)

    # --- looks ---------------------------------------------------------------------------------------------------

    def tokens(self, folder: str) -> list[Token]:
        """The array's tokens in blocked/, ready/ or cancelled/, in the order of their items."""
        parsed = [token for name in os.listdir(self.job.token_folder(folder)) if (token := Token.parse(name))]
        return sorted((token for token in parsed if token.span is not None), key=lambda token: token.span or Span(0, 1))

    def spans(self, folder: str) -> list[tuple[int, int]]:
        """The items that they stand for."""
        return [(token.span.start, token.span.end) for token in self.tokens(folder) if token.span]

    def closed(self, folder: str) -> list[ClosedToken]:
        """The array's tokens in finished/ or failed/, in the order of their items."""
        found = [token for _, token in self.store.pieces.closed(self.job, folder, ARRAY)]
        return sorted(found, key=lambda token: token.span or Span(0, 1))

    def closed_spans(self, folder: str) -> list[tuple[int, int]]:
        return [(token.span.start, token.span.end) for token in self.closed(folder) if token.span]

    def spares(self, worker: str = "w-h-0") -> list[str]:
        return sorted(os.listdir(self.store.layout.worker(worker).spare))

    def running(self, worker: str = "w-h-0") -> list[RunningToken]:
        return sorted(self.store.tokens.running_of(worker))

    def won(self, worker: str = "w-h-0") -> list[WonToken]:
        return sorted(self.store.tokens.won_of(worker))

    def entry_folder(self) -> str:
        entry = self.store.index.find(1)
        assert entry is not None
        return entry.folder

    def park(self) -> None:
        """Moves the entry to waiting/, as a slot does that finds nothing ready."""
        entry = self.store.index.find(1, ("runnable",))
        assert entry is not None
        assert self.store.index.try_park(entry, lambda: not os.listdir(self.job.ready))


class Shop:
    """A queue with one worker, whose clock stands still but for the items."""

    def __init__(self, queue_dir: Path, share: HookedShare) -> None:
        self.queue_dir = queue_dir
        self.queue = attached(queue_dir, QuickShare())
        self.store: Store = self.queue._store_or_raise()
        self.share = share
        self.worker = Worker(queue_dir, share)
        theatre.__init__()  # type: ignore[misc]
        theatre.clock = share.clock

    def submit(self, count: int, seconds: float = 0.0, **options: Any) -> jobqueue.JobHandle:
        return submit_items(self.queue, [seconds] * count, **options)

    def spans(self, folder: str) -> list[tuple[int, int]]:
        found = self.store.pieces.closed(self.store.layout.job(1), folder, 0)
        return sorted((token.span.start, token.span.end) for _, token in found if token.span)

    def notes(self) -> list[dict[str, Any]]:
        job = self.store.layout.job(1)
        names = sorted(os.listdir(job.journals))
        return [
            json.loads(line)
            for name in names
            for _, line in lines(self.share, f"{job.journals}/{name}")
            if line.startswith(b'{"item":')
        ]

    def events(self, kind: str) -> list[dict[str, Any]]:
        job = self.store.layout.job(1)
        found = (event for name in sorted(os.listdir(job.journals)) for _, event in events(
            self.share, f"{job.journals}/{name}"))  # fmt: skip
        return [event for event in found if event["event"] == kind]

    def states(self, array: jobqueue.JobHandle) -> list[str]:
        return [item.state.value for item in array.listItems()]


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def shop(queue_dir: Path, share: HookedShare) -> Iterator[Shop]:
    found = Shop(queue_dir, share)
    yield found
    share.hook = lambda _, do: do()
    found.worker.leave()
