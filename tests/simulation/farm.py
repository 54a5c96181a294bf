"""Farms of up to thousands of workers: the real supervisors and slots, on a server that answers so many calls a second.

Here nothing goes wrong and nobody is watched at each call; who waits for whom is what counts. A call waits until the
server has answered those before it, so a farm that asks too much becomes slow, as it would be.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jobqueue
from jobqueue import queue as queue_module
from jobqueue.config import config_text
from jobqueue.layout import QueueLayout
from jobqueue.testing.anomalies import Anomalies, Fault
from jobqueue.testing.process import ModelCall, ModelProcess, ProcessEnded
from tests.simulation.processes import QUEUE, on_stage, start_worker
from tests.simulation.scene import attached
from tests.simulation.world import QUIET, Actor, Director, World

# From a client to the server and back.
_WAY_S = 0.0005


class _Said:
    """As much of a logger as the library uses; keeps what is worth a warning."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def log(self, level: int, message: str, *arguments: object, **_more: object) -> None:
        if level >= logging.WARNING:
            self.warnings.append(message % arguments)

    def warning(self, message: str, *arguments: object, **_more: object) -> None:
        self.warnings.append(message % arguments)

    error = warning

    def debug(self, *_words: object) -> None:
        """Nobody reads it."""

    info = debug

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802  as in logging
        return False

    def addFilter(self, _held_back: object) -> None:  # noqa: N802  as in logging
        """Every warning counts."""

    removeFilter = addFilter  # noqa: N815  as in logging

    def getEffectiveLevel(self) -> int:  # noqa: N802  as in logging
        return logging.WARNING


class Server(World):
    """A world whose server takes its time for each call.

    Args:
        calls_per_s: that it answers at most.
        seed: of all chance.

    Attributes:
        counts: the calls that it has answered, by their names.
        busy_s: for how long it has answered.
    """

    def __init__(self, calls_per_s: float, seed: int) -> None:
        super().__init__(Director(), seed)
        self.counts: Counter[str] = Counter()
        self.busy_s = 0.0
        self.log = self.said = _Said()
        self._call_s = 1 / calls_per_s
        self._free_at = 0.0
        self._order = itertools.count()
        # Who goes on when; where an actor was woken meanwhile, the later entries are stale.
        self._agenda: list[tuple[float, int, Actor]] = []
        self._due: dict[Actor, int] = {}

    @property
    def calls(self) -> int:
        return sum(self.counts.values())

    def add(self, name: str, act: Callable[[], Any], *, is_service: bool = False) -> Actor:
        actor = super().add(name, act, is_service=is_service)
        self._schedule(actor, self.time)
        return actor

    def _schedule(self, actor: Actor, when: float) -> None:
        actor.wake_at = when
        self._due[actor] = order = next(self._order)
        heapq.heappush(self._agenda, (when, order, actor))

    def before(self, calls: ModelProcess, call: ModelCall) -> Fault | None:
        actor = self.current
        if actor is None:
            return None
        if call.name not in QUIET:
            self.counts[call.name] += 1
            self.busy_s += self._call_s
            self._free_at = max(self._free_at, self.time) + self._call_s
            self._pass(actor, self._free_at + _WAY_S)
            if calls.is_dead:
                raise ProcessEnded
        return None

    def after(self, calls: ModelProcess, call: ModelCall, answer: object) -> None:
        """Nobody reads a timeline of a million calls."""

    def note(self, words: object) -> None:
        """The same."""

    def wait_until(self, when: float, *, is_idle: bool = True) -> None:
        actor = self.current
        if actor is None:
            self.time = max(self.time, when)
            return
        if actor.is_over:
            raise ProcessEnded
        actor.is_asleep = is_idle
        self._pass(actor, when)
        actor.is_asleep = False

    def _pass(self, actor: Actor, until: float) -> None:
        self._schedule(actor, until)
        self.hub.switch()
        self.current = actor

    def wake(self, actor: Actor) -> None:
        if actor.is_asleep and actor.wake_at > self.time:
            self._schedule(actor, self.time)

    def close(self) -> None:
        for actor in self.actors:
            # Nobody has to end a worker's slots where all are ended.
            actor.on_end = None
        super().close()

    def go_on(self, until: float) -> None:
        """Lets everybody act until a time."""
        while self._agenda and self._agenda[0][0] <= until:
            when, order, actor = heapq.heappop(self._agenda)
            if self._due.get(actor) != order or actor.is_over:
                continue
            self.time = max(self.time, when)
            self.current = actor
            actor.coroutine.switch()
            self.current = None
            if self.violation is not None:
                raise AssertionError(self.violation) from self.cause
        self.time = max(self.time, until)


class Farm:
    """Workers on a queue, each on a host of its own.

    Args:
        server: that of the share.

    Attributes:
        queue: for whoever submits, whose calls are not counted.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.queue: jobqueue.JobQueue = attached(server, server.truth())
        self._came = 0

    def start(self, workers: int, *, within_s: float = 0.0) -> None:
        """Has so many workers come, one after the other."""
        for _ in range(workers):
            number = self._came
            self._came += 1
            host = self.server.host(f"h{number:05d}", Anomalies())
            start_worker(self.server, host, f"w{number}", 1)
            if within_s:
                self.server.go_on(self.server.time + within_s / workers)

    def end(self, worker: int) -> None:
        """A worker's host loses its power, but for its locks, which the server gives free."""
        (actor,) = (actor for actor in self.server.actors if actor.name == f"w{worker}")
        actor.end()

    def calls_per_s(self, seconds: float) -> float:
        """Lets the time pass; how many calls a second the server has answered meanwhile."""
        before = self.server.calls
        self.server.go_on(self.server.time + seconds)
        return (self.server.calls - before) / seconds

    def states(self, job: jobqueue.JobHandle) -> Counter[str]:
        """How many jobs of a hierarchy are in each folder."""
        found: Counter[str] = Counter()
        for folder in ("blocked", "ready", "finished", "failed"):
            found[folder] = len(self.server.server.names(f"{QUEUE}/{job.name}/.tokens/{folder}"))
        return found

    def names(self, place: str) -> list[str]:
        """The names in a directory of the queue, as only the server sees them."""
        return self.server.server.names(f"{QUEUE}/{place}")


@contextmanager
def new_farm(calls_per_s: float, settings: str = "", seed: int = 1) -> Iterator[Farm]:
    """A farm without workers, as long as it is played.

    Args:
        calls_per_s: that the server answers at most.
        settings: lines of queue.cfg, under ``[main]``.
        seed: of all chance.
    """
    server = Server(calls_per_s, seed)
    share = server.truth()
    share.make_dir(QUEUE)
    text = config_text(keep_jobs_in_repository=False, use_sym_links=False)
    queue_module._lay_out(share, QueueLayout(QUEUE), text.replace("[main]\n", f"[main]\n{settings}\n"), [])
    with on_stage(server):
        yield Farm(server)
