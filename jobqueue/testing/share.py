"""The model share: the package share itself, with a model of the system calls below it."""

from __future__ import annotations

import errno
import random
import sys
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from jobqueue.clock import Clock
from jobqueue.share import Appender, Lock, Share
from jobqueue.testing.calls import ModelCalls
from jobqueue.testing.host import ModelHost
from jobqueue.testing.process import Watcher
from jobqueue.testing.server import ModelServer


class _ModelLock(Lock):
    def __init__(self, path: str, calls: ModelCalls) -> None:
        self._calls = calls
        try:
            self._fd = calls.lock(path)
        except OSError as error:
            raise OSError(errno.EAGAIN, f"it cannot be locked ({error})", path) from error

    def release(self) -> None:
        self._calls.unlock(self._fd)


class ModelShare(Share):
    """What one process of a host sees of a `ModelServer`.

    Every method is the one of `Share`, executed with `ModelCalls` in place of ``os``. So second looks, and whatever
    else is done there about a share that lies, is what is tried here, and a call that it learns is known here at once.

    Args:
        host: on which the process runs; by default the only one of a server of its own, that never fails.
        clock: through which all waiting goes; by default the server's.
        chance: the one generator of random numbers; by default the host's.
        watcher: is there at every call.
        name: who this is, for timelines.
    """

    def __init__(
        self,
        host: ModelHost | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        *,
        watcher: Watcher | None = None,
        name: str = "process",
    ) -> None:
        if host is None:
            host = ModelHost(ModelServer())
        super().__init__(clock or host.server.clock, chance or host.chance)
        self.calls = ModelCalls(host, self.chance, watcher, name)
        ours: dict[str, Any] = {
            "os": self.calls, "system": self.calls, "open": self.calls.open_file,
            "Lock": lambda path: _ModelLock(path, self.calls),
        }  # fmt: skip
        # An Appender is made with the model's calls, too, and is one still.
        ours["Appender"] = type("ModelAppender", (Appender,), dict(_functions(Appender, ours)))
        for kind in Share.__mro__[:-1]:
            for method, function in _functions(kind, ours):
                if method not in vars(ModelShare):
                    setattr(self, method, MethodType(function, self))

    def is_locked(self, path: str) -> bool:
        return self.calls.is_locked(path)


def _functions(kind: type, ours: dict[str, Any]) -> Iterator[tuple[str, FunctionType]]:
    """The functions of a class of the package share, with other modules than those that its own has imported."""
    space = {**vars(sys.modules[kind.__module__]), **ours}
    for name, value in vars(kind).items():
        if type(value) is FunctionType:
            copy = FunctionType(value.__code__, space, value.__name__, value.__defaults__)
            copy.__kwdefaults__ = value.__kwdefaults__
            yield name, copy
