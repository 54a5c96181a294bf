"""How the calls of one process on the model share are answered."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from jobqueue.testing.anomalies import CHANGING, REFUSALS, REPEATED, UNCERTAIN, Fault
from jobqueue.testing.host import ModelHost
from jobqueue.testing.server import refuse

T = TypeVar("T")
# What was written is sent when the file is synced or closed.
_BYTES = ("read", "write")


class ProcessEnded(BaseException):
    """The process that makes this call is dead; nobody catches this."""


class ModelCall(NamedTuple):
    """One call on the share: its name, the path, the other path of a rename."""

    name: str
    path: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.path}" + (f" -> {self.target}" if self.target else "")


class Watcher:
    """Is there at every call of a process; as it is, it does nothing.

    A scheduler lets others go on in `before`, and gives out faults; a record is kept in `after`.
    """

    def before(self, process: ModelProcess, call: ModelCall) -> Fault | None:
        """What befalls this call."""
        return process.by_chance(call)

    def after(self, process: ModelProcess, call: ModelCall, answer: object) -> None:
        """The answer, which is an `OSError` if that is what it was."""


class ModelProcess:
    """One process on a host.

    Args:
        host: on which it runs.
        chance: decides which faults befall its calls.
        watcher: is there at every call.
        name: who this is, for timelines.

    Attributes:
        is_dead: from now on no call returns.
        made: how many calls that ask a server it has made.
    """

    def __init__(self, host: ModelHost, chance: random.Random, watcher: Watcher | None, name: str) -> None:
        self.host = host
        self.server = host.server
        self.chance = chance
        self.watcher = watcher or Watcher()
        self.name = name
        self.is_dead = False
        self.made = 0
        # The call that is under way, while others go on.
        self._pending: Callable[[], object] | None = None

    def by_chance(self, call: ModelCall) -> Fault | None:
        """A fault of this host's anomalies."""
        odds = self.host.anomalies
        if not (odds.lost_answers or odds.errors or odds.late or odds.no_room):
            return None
        dice = self.chance.random()
        for fault, odd in (
            (Fault.LOST_ANSWER, odds.lost_answers if call.name in REPEATED else 0.0),
            (Fault.ERROR_AFTER, odds.errors / 2),
            (Fault.ERROR_BEFORE, odds.errors / 2),
            (Fault.LATE, odds.late if call.name in REPEATED else 0.0),
            (Fault.NO_ROOM, odds.no_room if call.name in CHANGING else 0.0),
        ):
            dice -= odd
            if dice < 0:
                return fault
        return None

    def _call(self, call: ModelCall, do: Callable[[], T]) -> T:
        if self.is_dead:
            raise ProcessEnded
        self.made += call.name not in _BYTES
        self._pending = do
        fault = self.watcher.before(self, call)
        server = self.server
        while (left_s := server.down_until - server.clock.monotonic()) > 0:
            # A hard mount waits until it is answered, however long that takes.
            server.clock.sleep(left_s)
            if self.is_dead:
                raise ProcessEnded
        self._pending = None
        if server.has_late:
            server.execute_late()
        try:
            answer = do() if fault is None else self._misanswer(fault, call, do)
        except OSError as error:
            self.watcher.after(self, call, error)
            raise
        self.watcher.after(self, call, answer)
        return answer

    def _misanswer(self, fault: Fault, call: ModelCall, do: Callable[[], T]) -> T:
        if fault is Fault.LOST_ANSWER:
            do()
            refuse(REPEATED[call.name], call.path)
        if fault is Fault.ERROR_AFTER:
            self._forget(do())
        elif fault is Fault.LATE:
            self.server.later(self.chance.random() * self.host.anomalies.late_s, lambda: self._forget(do()))
            refuse(errno.ETIMEDOUT, call.path)
        refuse(self.chance.choice(REFUSALS if fault is Fault.NO_ROOM else UNCERTAIN), call.path)

    def _forget(self, answer: object) -> None:
        """Lets go what was opened for somebody who was told that it was not."""

    def _end(self) -> None:
        """Closes what it has open, as the kernel does at its end."""

    def die(self, *, last_call_s: float | None = None, with_host: bool = False) -> None:
        """Ends the process.

        Args:
            last_call_s: so much later the call is executed that was under way; ``None``: never.
            with_host: its host has died, too; else its files are closed and its locks are free.
        """
        if self.is_dead:
            return
        self.is_dead = True
        if self._pending is not None and last_call_s is not None:
            do = self._pending
            self.server.later(last_call_s, lambda: self._forget(do()))
        if not with_host:
            self._end()
