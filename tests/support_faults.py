"""A share that fails at one of its calls, or whose process dies there."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from jobqueue.names import WonToken
from jobqueue.share import Lock
from tests.support_share import Call, WatchedShare

# What a call that changes something may be answered.
ERRNOS = (
    errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.EACCES, errno.EBUSY, errno.ETIMEDOUT,
    errno.ENOENT, errno.EEXIST, errno.EPERM, errno.ENOTEMPTY,
)  # fmt: skip
# What may be answered although the call was executed: its answer was lost, and this is one to a second try, or to none.
_AFTER = frozenset({errno.EIO, errno.ESTALE, errno.EACCES, errno.EBUSY, errno.ETIMEDOUT})
# No share says untruly of these calls that something is missing. They are about a descriptor; or about a name, or in a
# directory, that was there before anybody knew of it (a latch, an inbox), so that no host can remember its absence.
_NEVER_MISSING = frozenset({"write", "fsync", "sync_file_system", "open", "unlink", "rmdir"})
# And none says of what is written that a name is taken, or not empty; nor of what is opened, but with O_EXCL.
_NEVER_TAKEN = frozenset({"write", "fsync", "sync_file_system", "open"})
# What is answered to those that only look.
_LOOKS = (errno.EIO, errno.ESTALE)
_OUTAGE_CALLS = 12


class Fault(NamedTuple):
    """How a share answers wrongly.

    Attributes:
        errno: what it says.
        is_executed: whether the call is executed all the same; where several fail, only the first of them.
        lasts: how many calls fail.
    """

    errno: int
    is_executed: bool = False
    lasts: int = 1

    def __str__(self) -> str:
        words = [errno.errorcode[self.errno], "after" if self.is_executed else "instead"]
        return " ".join([*words, *([f"for {self.lasts} calls"] if self.lasts > 1 else [])])

    def befalls(self, call: Call) -> bool:
        """Whether a call can be answered so."""
        if call.name == "close":
            # A descriptor is gone whatever close(2) answers, so it is always executed.
            return self.is_executed and self.errno == errno.EIO
        if not call.writes:
            return not self.is_executed and self.errno in _LOOKS and (call.name, self.errno) != ("fstat", errno.ESTALE)
        if self == SHORT:
            return call.name == "write" and len(call.args[1]) > 1
        if self.is_executed:
            return self.errno in _AFTER or self.errno == _second_answer(call)
        if self.errno in (errno.EEXIST, errno.ENOTEMPTY) and call.name in _NEVER_TAKEN:
            return call.makes and self.errno == errno.EEXIST
        return self.errno != errno.ENOENT or call.name not in _NEVER_MISSING


def _second_answer(call: Call) -> int | None:
    """What a server says to a call that it has executed already."""
    if call.makes:
        return errno.EEXIST
    return errno.ENOENT if call.name in ("rename", "unlink", "rmdir") else None


# The disk is full in the middle of what is written: the call says how much it has taken.
SHORT = Fault(errno.ENOSPC, is_executed=True)
FAULTS = (
    SHORT,
    *(Fault(number) for number in ERRNOS),
    *(Fault(number, is_executed=True) for number in (*sorted(_AFTER), errno.ENOENT, errno.EEXIST)),
    Fault(errno.EIO, is_executed=True, lasts=_OUTAGE_CALLS),
)


class Death(Enum):
    """When a process dies, seen from one of its calls."""

    BEFORE = "before"
    HALFWAY = "in the middle of"
    AFTER = "after"

    def __str__(self) -> str:
        return f"death {self.value}"

    def befalls(self, call: Call) -> bool:
        """Whether a process can die there: looks change nothing, and only what is written can be torn."""
        return call.writes and (self is not Death.HALFWAY or (call.name == "write" and len(call.args[1]) > 1))


class Died(BaseException):
    """The process is gone."""


F = TypeVar("F", Fault, Death)


@dataclass(frozen=True)
class Point(Generic[F]):
    """One thing that befalls one call.

    Attributes:
        fate: what befalls it.
        nth: the call's number among those of its process, from 0.
        call: the call, as it was when nothing failed.
    """

    fate: F
    nth: int
    call: Call

    def __str__(self) -> str:
        names: list[str] = [os.path.basename(arg) for arg in self.call.args if isinstance(arg, str)]
        return f"{self.fate} call {self.nth} ({' '.join([self.call.name, *names])})"


class FaultyShare(WatchedShare):
    """A healthy share until it is told to `fail`, or its process to `die`.

    Attributes:
        done: the calls that were executed with success, in their order.
        befallen: the first call that has failed, or at which the process has died.
        is_dead: whether it has; then no call is made any more.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.done: list[Call] = []
        self.befallen: Call | None = None
        self.is_dead = False
        self._locks: list[Lock] = []
        self._fate: Fault | Death | None = None
        self._nth = 0
        self._left = 0

    def meet(self, fate: Fault | Death, nth: int) -> None:
        """Lets this befall the n-th call from now on, from 0, or the first one after it that it can befall."""
        self._fate, self._nth, self._left = fate, nth, fate.lasts if isinstance(fate, Fault) else 1

    def heal(self) -> None:
        """From now on nothing fails."""
        self._fate = None

    def bury(self) -> None:
        """From now on it is somebody else's."""
        self.heal()
        self.is_dead = False
        self.close_locks()

    def lock(self, path: str) -> Lock:
        lock = super().lock(path)
        self._locks.append(lock)
        return lock

    def close_locks(self) -> None:
        """Does what the system does for a process that has ended."""
        for lock in self._locks:
            lock.release()

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        if self.is_dead:
            if call.name == "close":
                # The kernel closes what a dead process had open.
                return do()
            raise Died
        fate = self._fate
        if fate is None:
            return self._execute(call, do)
        self._nth -= 1
        if self._nth >= 0 or not fate.befalls(call):
            return self._execute(call, do)
        is_first, self.befallen = self.befallen is None, self.befallen or call
        if isinstance(fate, Death):
            return self._die(call, do, fate)
        self._left -= 1
        if not self._left:
            self._fate = None
        if fate == SHORT:
            return _write_half(*call.args)
        if (fate.is_executed and is_first) or call.name == "close":
            let_go(call, self._execute(call, do))
        raise OSError(fate.errno, f"{os.strerror(fate.errno)} (on purpose, from {call.name})", str(call.args[0]))

    def _die(self, call: Call, do: Callable[[], Any], death: Death) -> Any:
        self.is_dead = True
        if death is Death.AFTER:
            let_go(call, self._execute(call, do))
        elif death is Death.HALFWAY:
            _write_half(*call.args)
        raise Died

    def _execute(self, call: Call, do: Callable[[], Any]) -> Any:
        answer = do()
        self.done.append(call)
        return answer

    def commits(self) -> Counter[tuple[int, int, int]]:
        """How often each job has moved to won/ by this share: job, node, and of an array the item, else 0."""
        found: Counter[tuple[int, int, int]] = Counter()
        for call in self.done:
            if call.name == "rename":
                directory, _, name = str(call.args[1]).rpartition("/")
                token = WonToken.parse(name) if directory.endswith("/won") else None
                if token:
                    items = range(token.span.start, token.span.end) if token.span else (0,)
                    found.update((token.job, token.node, item) for item in items)
        return found


class CountingShare(FaultyShare):
    """Notes its calls from a moment on, those that fail by themselves, too."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.calls: list[Call] = []
        self._counts = False

    def begin(self) -> None:
        self._counts = True

    def end(self) -> None:
        self._counts = False

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        if self._counts:
            self.calls.append(call)
        return super().on_call(call, do)

    def points(self, fates: tuple[F, ...]) -> list[Point[F]]:
        """Each call, with all that can befall it."""
        return [Point(fate, nth, call) for nth, call in enumerate(self.calls) for fate in fates if fate.befalls(call)]


def _write_half(descriptor: int, data: bytes) -> int:
    return os.write(descriptor, bytes(data[: len(data) // 2]))


def let_go(call: Call, opened: Any) -> None:
    """Closes what a call has opened whose answer does not come."""
    if call.name == "open" and type(opened) is int:
        os.close(opened)
    elif call.name in ("open", "scandir"):
        opened.close()
