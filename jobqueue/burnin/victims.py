"""The workers of one host in a burn-in: real `runjobs` processes that are killed, stopped, continued and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, NamedTuple

from jobqueue.burnin.camp import Camp
from jobqueue.burnin.guard import Guard, end_called
from jobqueue.burnin.plan import Action, Blow
from jobqueue.identity import descendants
from jobqueue.registry import worker_names
from jobqueue.store import Store

_POLL_S = 0.2
_END_S = 30.0


class Struck(NamedTuple):
    """A blow that has fallen.

    Attributes:
        action: what was done, an `Action`'s value.
        at: when, in seconds since the epoch by this host's clock.
        lasts_s: after how long the worker was continued or replaced.
        running: what the worker ran: top-level job, node and attempt of each.
    """

    action: str
    at: float
    lasts_s: float
    running: list[tuple[int, int, int]]


class Victim:
    """One of the workers: it is started at once.

    Args:
        camp: of the burn-in.
        store: its queue.
        slots: of each worker.
        guard: ends it when this process is gone.
    """

    def __init__(self, camp: Camp, store: Store, slots: int, guard: Guard) -> None:
        self._camp = camp
        self._guard = guard
        self._store = store
        self._slots = slots
        self._stopped: list[int] = []
        self._recovers_at: float | None = None
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # A name of its own, so that all names that it goes by in the queue are known.
        self._called = f"burn{self._store.share.chance.getrandbits(32):08x}"
        # Order matters: the guard has to know of whatever there may be.
        self._guard.add(self._called)
        command = [
            sys.executable, "-m", "jobqueue.cli.runjobs", self._camp.queue, "--slots", str(self._slots), "--poll",
            str(_POLL_S), "--name", self._called, "--log", f"{self._camp.logs}/{self._called}",
        ]  # fmt: skip
        # A session of its own: Ctrl-C is for the burn-in, which ends its workers in order.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    @property
    def is_struck(self) -> bool:
        return self._recovers_at is not None

    @property
    def has_ended(self) -> bool:
        """Whether it has gone although nobody has killed it."""
        return not self.is_struck and self._process.poll() is not None

    def strike(self, blow: Blow) -> Struck:
        """Kills or stops it."""
        clock = self._store.share.clock
        at, before = clock.now(), self._running()
        if blow.action is Action.KILL:
            self._process.kill()
            self._process.wait()
        else:
            pid = self._process.pid
            with_slots = descendants(pid) if blow.action is Action.STOP else []
            self._stopped = [pid, *with_slots]
            self._signal(signal.SIGSTOP)
        self._recovers_at = clock.monotonic() + blow.lasts_s
        # What it has claimed meanwhile is struck as well.
        running = sorted({*before, *self._running()})
        return Struck(blow.action.value, at, blow.lasts_s, running)

    def recover(self, *, now: bool = False) -> None:
        """Continues or replaces it, when it is time.

        Args:
            now: whether it is time in any case.
        """
        if self._recovers_at is None or (not now and self._store.share.clock.monotonic() < self._recovers_at):
            return
        self._recovers_at = None
        if self._stopped:
            self._signal(signal.SIGCONT)
            self._stopped = []
        else:
            self._process = self._start()

    def end(self) -> bool:
        """Lets it finish what it runs, and waits for that; whether it ended in order."""
        self.recover(now=True)
        self._process.terminate()
        try:
            return self._process.wait(_END_S) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def kill(self) -> None:
        """Ends it and all that it has started, whatever they do."""
        end_called({self._called})
        self._process.wait()

    def _signal(self, number: int) -> None:
        for pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _running(self) -> list[tuple[int, int, int]]:
        """What it runs, under whichever of its names."""
        names = [name for name in worker_names(self._store) if name.startswith(f"{self._called}-")]
        return [
            (token.job, token.node, token.attempt) for name in names for token in self._store.tokens.running_of(name)
        ]


def struck_from_json(value: Any) -> Struck:
    """What another host has told."""
    action, at, lasts_s, running = value
    return Struck(action, at, lasts_s, [(job, node, attempt) for job, node, attempt in running])
