"""Many actors on a model share, one at a time: each is a coroutine that stops before every call on the share.

Who goes on is decided in one place (`Director`), all time passes in one place (`World.clock`), and everything that
happens stands in one timeline.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import greenlet

from jobqueue.clock import Clock
from jobqueue.testing.anomalies import Anomalies, Fault
from jobqueue.testing.host import ModelHost
from jobqueue.testing.process import ModelCall, ModelProcess, ProcessEnded, Watcher
from jobqueue.testing.server import ModelServer
from jobqueue.testing.share import ModelShare

CALL_S = 0.0005
_NEVER = float("inf")
# What no other process can tell apart from the call before: nobody else goes on there.
QUIET = frozenset({"write", "read", "chdir", "lock", "syncfs"})


class Violation(Exception):  # noqa: N818  it is no error of the simulation's
    """Something that must never be was seen."""


class Event(NamedTuple):
    """One line of a timeline: a call and its answer, or what somebody says."""

    time: float
    who: str
    call: ModelCall | None
    answer: object

    def __str__(self) -> str:
        if self.call is None:
            return f"{self.time:10.4f}  {self.who:<14} -- {self.answer}"
        words = str(self.call).replace("/q/", "")
        if isinstance(self.answer, OSError):
            answer = f"!! {self.answer.strerror}"
        elif isinstance(self.answer, list):
            answer = "= " + " ".join(sorted(str(getattr(name, "name", name)) for name in self.answer))
        else:
            answer = "ok" if self.answer is None or type(self.answer) is not bytes else f"= {self.answer[:100]!r}"
        return f"{self.time:10.4f}  {self.who:<14} {words}  {answer}"


class Actor:
    """Somebody who acts on the share: one process.

    Attributes:
        name: for the timeline.
        wake_at: until then it waits, for the time to pass or for somebody who wakes it.
        calls: the system calls of its process; none before it has a share.
        is_over: it has ended, or is dead.
        is_service: nobody waits for its end.
        is_asleep: it has nothing to do before its time, or before it is woken.
        on_end: is told when it is killed.
    """

    def __init__(self, world: World, name: str, act: Callable[[], Any], *, is_service: bool) -> None:
        self.name = name
        self.wake_at = world.time
        self.suspended_until = 0.0
        self.calls: list[ModelProcess] = []
        self.is_over = False
        self.is_service = is_service
        self.is_asleep = False
        self.on_end: Callable[[], None] | None = None
        self._world = world
        self._act = act
        self.coroutine = greenlet.greenlet(self._run, world.hub)

    def _run(self) -> None:
        try:
            self._act()
        except (ProcessEnded, greenlet.GreenletExit):
            pass
        except Violation as violation:
            self._world.violate(str(violation))
        except Exception as error:
            self._world.violate(f"{self.name} ended with {error!r}", error)
        self.is_over = True

    def end(self, *, last_call_s: float | None = None, with_host: bool = False) -> None:
        """Ends its process at once; its last call is lost, or executed some time later."""
        if self.is_over:
            return
        self.is_over = True
        for calls in self.calls:
            calls.die(last_call_s=last_call_s, with_host=with_host)
        killer = greenlet.getcurrent()
        # One that has not begun has nothing to leave.
        if self.coroutine and self.coroutine is not killer:
            before, self._world.current = self._world.current, self
            self.coroutine.parent = killer
            self.coroutine.throw(ProcessEnded)
            self._world.current = before
        if self.on_end is not None:
            self.on_end()


class HostClock(Clock):
    """The clock of a host: its time of day may be wrong, its seconds are not."""

    def __init__(self, world: World, host: ModelHost | None = None) -> None:
        self._world = world
        self._host = host

    def now(self) -> float:
        return 1_700_000_000.0 + self._world.time + (self._host.clock_offset_s if self._host else 0.0)

    def monotonic(self) -> float:
        return self._world.time

    def boottime(self) -> float:
        return self._world.time

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)


class Director:
    """Decides who goes on, and what befalls him; as it is, everybody goes on until he waits, and nothing befalls."""

    def choose(self, world: World, ready: list[Actor]) -> Actor | None:
        """Who goes on of those that can; ``None``: nobody, something else has happened."""
        return world.last if world.last in ready else ready[0]

    def fault(self, _world: World, calls: ModelProcess, call: ModelCall) -> Fault | None:
        return calls.by_chance(call)

    def between(self, _world: World) -> None:
        """Between two steps: kills, suspends, restarts."""


class Log:
    """As much of a logger as the library uses: what it is told stands in the timeline."""

    def __init__(self, world: World) -> None:
        self._world = world

    def log(self, level: int, message: str, *arguments: object, **_more: object) -> None:
        self._world.note(_Words(message, arguments))

    def debug(self, message: str, *arguments: object, **_more: object) -> None:
        self._world.note(_Words(message, arguments))

    info = warning = error = debug

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  as in logging
        return level > logging.INFO

    def addFilter(self, _held_back: object) -> None:  # noqa: N802  as in logging
        """A timeline has every line."""

    removeFilter = addFilter  # noqa: N815  as in logging

    def getEffectiveLevel(self) -> int:  # noqa: N802  as in logging
        return logging.WARNING


class _Words(NamedTuple):
    """A log line that is put together only if somebody reads it."""

    message: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return self.message % self.arguments


class World(Watcher):
    """Hosts, processes and time.

    Args:
        director: decides.
        seed: of all chance.
        kind: of the file system.

    Attributes:
        time: seconds since the beginning.
        clock: that of the world, and of the server.
        steps: calls that were made so far.
        timeline: what has happened.
        last: who acted last.
    """

    def __init__(self, director: Director, seed: int, kind: str = "nfs4") -> None:
        self.director = director
        self.chance = random.Random(seed)
        self.time = 0.0
        self.steps = 0
        self.timeline: list[Event] = []
        self.actors: list[Actor] = []
        # Everybody who ever was; the place is the process's number.
        self.everybody: list[Actor] = []
        self.last: Actor | None = None
        self.current: Actor | None = None
        self.violation: str | None = None
        self.cause: BaseException | None = None
        self.clock = HostClock(self)
        self.server = ModelServer(self.clock, self.chance, kind)
        self.hosts: dict[str, ModelHost] = {}
        self.log: Any = Log(self)
        self.hub = greenlet.getcurrent()
        # The hosts of what is set up and looked at from outside.
        self._nobody = ModelHost(self.server, "nobody")

    # --- setting up ----------------------------------------------------------------------------------------------

    def host(self, name: str, anomalies: Anomalies) -> ModelHost:
        """A host of this name."""
        found = self.hosts.get(name)
        if found is None:
            found = self.hosts[name] = ModelHost(self.server, name, anomalies, random.Random(self.dice()))
        return found

    def dice(self) -> int:
        return self.chance.getrandbits(32)

    def share(self, host: ModelHost, actor: Actor) -> ModelShare:
        """What a process on a host calls with."""
        share = ModelShare(host, HostClock(self, host), random.Random(self.dice()), watcher=self, name=actor.name)
        actor.calls.append(share.calls)
        return share

    def truth(self) -> ModelShare:
        """For looking from outside: never lies, takes no time."""
        return ModelShare(ModelHost(self.server, "truth"), self.clock, random.Random(0))

    def add(self, name: str, act: Callable[[], Any], *, is_service: bool = False) -> Actor:
        actor = Actor(self, name, act, is_service=is_service)
        self.actors.append(actor)
        self.everybody.append(actor)
        return actor

    # --- what actors do ------------------------------------------------------------------------------------------

    def before(self, calls: ModelProcess, call: ModelCall) -> Fault | None:
        actor = self.current
        if actor is None:
            return None
        if call.name not in QUIET:
            self.hub.switch()
            if calls.is_dead:
                raise ProcessEnded
            self.time += CALL_S
            self.steps += 1
        return self.director.fault(self, calls, call)

    def after(self, calls: ModelProcess, call: ModelCall, answer: object) -> None:
        self.timeline.append(Event(self.time, calls.name, call, answer))

    def note(self, words: object) -> None:
        """Somebody says something, or something befalls somebody."""
        self.timeline.append(Event(self.time, self.current.name if self.current else "", None, words))

    def sleep(self, seconds: float) -> None:
        self.wait_until(self.time + seconds, is_idle=False)

    def wait_until(self, when: float, *, is_idle: bool = True) -> None:
        """The current actor waits for a time, or to be woken; ``is_idle`` where it has nothing to do till then."""
        actor = self.current
        if actor is None:
            self.time = max(self.time, when)
            return
        if actor.is_over:
            raise ProcessEnded
        actor.wake_at = when
        actor.is_asleep = is_idle
        self.hub.switch()
        actor.is_asleep = False

    def wake(self, actor: Actor) -> None:
        """Ends an actor's waiting in `wait_until`."""
        if actor.is_asleep:
            actor.wake_at = min(actor.wake_at, self.time)

    def suspend(self, actor: Actor, seconds: float) -> None:
        actor.suspended_until = self.time + seconds

    def violate(self, words: str, cause: BaseException | None = None) -> None:
        """Something must not be; the first one counts."""
        if self.violation is None:
            self.violation, self.cause = words, cause
            self.note(f"VIOLATION: {words}")

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self, is_over: Callable[[], bool], *, until: float, max_steps: int) -> None:
        """Lets the actors act until ``is_over``, which is asked whenever time passes.

        Raises:
            Violation: it never is, or something must not be.
        """
        director = self.director
        while self.violation is None:
            director.between(self)
            time = self.time
            ready = [
                actor
                for actor in self.actors
                if actor.wake_at <= time and actor.suspended_until <= time and not actor.is_over
            ]
            if not ready:
                self.actors = [actor for actor in self.actors if not actor.is_over]
                if is_over():
                    break
                self._let_time_pass()
                if self.time > until or self.steps > max_steps:
                    self.violate("it comes to no end")
                continue
            actor = director.choose(self, ready)
            if actor is None:
                continue
            self.last = self.current = actor
            actor.coroutine.switch()
            self.current = None
        if self.violation is not None:
            raise Violation(self.violation) from self.cause

    def _let_time_pass(self) -> None:
        times = [max(actor.wake_at, actor.suspended_until) for actor in self.actors]
        next_time = min(times, default=_NEVER)
        if next_time == _NEVER:
            self.violate("everybody waits for ever")
        self.time = max(self.time, next_time)

    def close(self) -> None:
        """Ends everybody."""
        for actor in self.actors:
            self.current = actor
            actor.end()
        self.current = None
