"""Workers of a simulation: the real supervisor, slot and runner, with coroutines in place of processes and pipes."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from jobqueue import identity, liveness, registry
from jobqueue import store as store_module
from jobqueue.config import read_config
from jobqueue.errors import JobQueueError
from jobqueue.layout import AttemptLayout, QueueLayout
from jobqueue.procedures import describe
from jobqueue.share import Share
from jobqueue.store import Store
from jobqueue.testing.host import ModelHost
from jobqueue.worker import crew as crew_module
from jobqueue.worker import slot as slot_module
from jobqueue.worker import slots as slots_module
from jobqueue.worker import supervisor as supervisor_module
from jobqueue.worker.crew import Crew, WorkerSettings
from jobqueue.worker.runner import Runner, Seat
from jobqueue.worker.slot import SlotProcess
from jobqueue.worker.slots import Slot
from jobqueue.worker.supervisor import Supervisor
from tests.simulation.world import Actor, World

QUEUE = "/q"
_CHORES_S = 0.05
# Real seconds would be those of this machine's processes; nothing here has any.
_STAGE: list[World] = []


def world() -> World:
    """The world that is played just now."""
    return _STAGE[-1]


class SimSpool:
    """Takes what a job prints, in memory: one line for each attempt."""

    def __init__(self) -> None:
        self.stdout = self.stderr = sys.stdout
        self._text = b""
        self._copied: int | None = 0

    def begin(self) -> None:
        self._text, self._copied = b"", 0

    def print(self, text: str) -> None:
        self._text += text.encode()

    def save(self, share: Share, attempt: AttemptLayout, *, after_crash: bool = False) -> list[str]:
        """As `jobqueue.streams.Spool` does it."""
        at = share.size(attempt.stdout) if after_crash or self._copied is None else self._copied
        if at < len(self._text):
            self._copied = None
            into = share.append_to(attempt.stdout)
            try:
                into.append(self._text[at:])
            finally:
                into.close()
            self._copied = len(self._text)
        return []

    def taken_back(self) -> tuple[int, int]:
        return len(self._text), 0

    def is_empty(self) -> bool:
        return not self._text

    def take_back(self) -> None:
        """Nobody has taken the standard streams."""

    def close(self) -> None:
        """Holds nothing."""

    def fds(self) -> list[int]:
        return []


class SimSlot(Slot):
    """The supervisor's view of a slot that is a coroutine."""

    def __init__(self, number: int, place: int) -> None:
        super().__init__(number, place)
        self.world = world()
        self.pid = number
        self.actor: Actor | None = None
        self._process: SimSlotProcess | None = None
        self._said: list[dict[str, Any]] = []
        assert self.world.current is not None
        self._supervisor = self.world.current

    def start(self, store: Store, seat: Seat, *, is_limited: bool) -> None:
        host = self._supervisor.calls[0].host
        name = f"{self._supervisor.name}.{self.number}"
        self.actor = self.world.add(name, self._live, is_service=True)
        # The end of a child is a signal to its parent.
        self.actor.on_end = lambda: self.world.wake(self._supervisor)
        share = self.world.share(host, self.actor)
        own = Store(store.layout.dir, share, log=self.world.log)
        # Not its own process: signals, umask and standard streams are those of the test.
        self._process = SimSlotProcess(own, seat._replace(is_own_process=False), self, is_limited=is_limited)

    def _live(self) -> None:
        assert self._process is not None
        self.exit_code = self._process.live()
        for calls in self.actor.calls if self.actor else ():
            calls.die()
        self.world.wake(self._supervisor)

    def tell(self, line: str) -> None:
        if self.actor is not None and self._process is not None and not self.actor.is_over:
            self._process.take(line)
            self.world.wake(self.actor)

    def say(self, kind: str, fields: dict[str, Any]) -> None:
        """The process says something to the supervisor."""
        self._said.append({"kind": kind, **fields})
        self.world.wake(self._supervisor)

    def heard(self) -> list[dict[str, Any]]:
        said, self._said = self._said, []
        return said

    def die(self, why: str, *, last_call_s: float | None = None) -> None:
        """Its process is killed by somebody."""
        assert self.actor is not None
        if not self.actor.is_over:
            self.world.note(f"{self.actor.name} is killed: {why}")
            self.exit_code = -9
            self.actor.end(last_call_s=last_call_s)

    def signal_group(self, number: int) -> bool:
        assert self.actor is not None
        is_alive = not self.actor.is_over
        if number and is_alive:
            chance = self.world.chance
            # A process ends before or after its last call is on its way.
            self.die(f"signal {number}", last_call_s=chance.choice((None, 0.0)))
            # What a supervisor does at its own end waits for them.
            self.is_reaped = True
        return is_alive

    def is_group_gone(self) -> bool:
        assert self.actor is not None
        return self.actor.is_over

    def reap(self) -> bool:
        assert self.actor is not None
        self.is_reaped = self.actor.is_over
        self.exit_words = f"exit code {self.exit_code}"
        return self.is_reaped

    def close(self) -> None:
        self.is_cleared = True


class SimSlotProcess(SlotProcess):
    """The slot's own side, that talks with its supervisor without pipes."""

    def __init__(self, store: Store, seat: Seat, slot: SimSlot, *, is_limited: bool) -> None:
        self._slot = slot
        self._lines: list[str] = []
        self._is_limited = is_limited
        self._grants = 0
        self._is_draining = False
        self._has_timeout = False
        self._is_paused = False
        self._held = None
        self._numbers = []
        self._words = set()
        self._store = store
        self._calls_told = store.share.calls_made()
        self._runner = Runner(store, seat, self, slot.spool)

    def live(self) -> int:
        try:
            self.run()
        except (OSError, JobQueueError) as error:
            self.send("log", level=logging.ERROR, text=f"its process ends: {describe(error)}")
            return 1
        return 0

    def take(self, line: str) -> None:
        """The supervisor has said this."""
        self._lines.append(line)

    def send(self, kind: str, **fields: Any) -> None:
        assert self._slot.actor is not None
        if not self._slot.actor.is_over:
            if kind == "began":
                self._slot.world.note(f"begins {fields['job']}, attempt {fields['attempt']}")
                self._slot.spool.print(f"attempt {fields['attempt']}\n")  # type: ignore[attr-defined]
            self._slot.say(kind, json.loads(json.dumps(fields)))

    _send_later = send

    def _flush(self) -> None:
        """Whatever was said was heard."""

    def _listen(self, timeout_s: float | None) -> None:
        if not self._lines and timeout_s != 0:
            stage = self._slot.world
            stage.wait_until(float("inf") if timeout_s is None else stage.time + timeout_s)
        lines, self._lines = self._lines, []
        for line in lines:
            self._obey(line)


class SimSupervisor(Supervisor):
    """The supervisor, that waits in a world's time."""

    def _step(self) -> None:
        stage = world()
        stage.wait_until(self._next_time(stage.time))
        for slot in list(self.crew.slots):
            self.crew.listen(slot)
        self._do_chores(stage.time)

    def _next_time(self, now: float) -> float:
        """When there is something to do, if nobody says something before."""
        times = [self._beat_at]
        for slot in self.crew.slots:
            if slot.is_idle:
                times.append(self._poll_at)
            times += [time for time in (slot.deadline, slot.kill_at, slot.give_up_at) if time is not None]
            times += [slot.clear_at] if slot.is_reaped else []
        # A time that has come does not stop the clock.
        return max(min(times), now + _CHORES_S)


class SimCrew(Crew):
    """The slots; a supervisor that is dead does not clear up after them."""

    def close(self) -> None:
        stage = world()
        if stage.current is not None and not stage.current.is_over:
            super().close()


def start_worker(stage: World, host: ModelHost, name: str, slots: int) -> None:
    """A worker comes to a host."""

    def live() -> None:
        share = stage.share(host, actor)
        while True:
            try:
                supervisor = SimSupervisor(Store(QUEUE, share, log=stage.log), name, WorkerSettings(slots))
                break
            except OSError as error:
                stage.note(f"cannot come ({error}); its user starts it again")
                stage.sleep(1.0)
        stage.note(f"ends with exit code {supervisor.run()}")

    def end_slots() -> None:
        """What the guard does."""
        for slot in stage.actors:
            if slot.name.startswith(f"{name}."):
                slot.end()

    actor = stage.add(name, live, is_service=True)
    actor.on_end = end_slots


class _NoGuard:
    """Nobody outlives a coroutine."""

    def add(self, _group: int) -> None: ...
    def remove(self, _group: int) -> None: ...
    def check(self) -> None: ...
    def close(self) -> None: ...


class _NoSignals:
    count = 0
    fd = -1

    def catch(self) -> None: ...
    def restore(self) -> None: ...


class _NoSelector:
    def register(self, *_: object) -> None: ...
    def unregister(self, *_: object) -> None: ...


class _NoThread:
    def __init__(self, **_: object) -> None: ...
    def start(self) -> None: ...


@contextmanager
def on_stage(stage: World) -> Iterator[None]:
    """Puts the stand-ins in the place of processes, pipes and threads, as long as a world is played."""
    config = read_config(stage.truth(), QueueLayout(QUEUE))
    stand_ins: list[tuple[Any, str, Any]] = [
        (crew_module, "Guard", _NoGuard),
        (crew_module, "Slot", SimSlot),
        (supervisor_module, "Crew", SimCrew),
        (supervisor_module, "Signals", _NoSignals),
        (supervisor_module, "selectors", SimpleNamespace(DefaultSelector=_NoSelector, EVENT_READ=1)),
        (slot_module, "threading", SimpleNamespace(Thread=_NoThread)),
        (slots_module, "Spool", SimSpool),
        # A hundred thousand times the same file: nothing in a play changes it.
        (store_module, "read_config", lambda *_: config),
        (registry, "describe_process", _describe_process),
        (identity, "host_name", _host),
        (liveness, "host_name", _host),
        (liveness, "boot_id", _host),
        (liveness, "pid_namespace", _host),
        (liveness, "is_process_gone", _is_process_gone),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in stand_ins]
    environment = dict(os.environ)
    _STAGE.append(stage)
    for module, name, stand_in in stand_ins:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        stage.close()
        for module, name, real in before:
            setattr(module, name, real)
        _STAGE.pop()
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


def _host() -> str:
    stage = world()
    return stage.current.calls[0].host.name if stage.current and stage.current.calls else "nobody"


def _describe_process() -> dict[str, Any]:
    stage = world()
    number = stage.everybody.index(stage.current) if stage.current else -1
    host = _host()
    return {"host": host, "boot": host, "pidns": host, "pid": number, "started_ticks": number, "user": "somebody"}


def _is_process_gone(pid: int, _ticks: int | None) -> bool:
    return pid >= 0 and world().everybody[pid].is_over
