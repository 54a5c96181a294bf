"""Shares for tests: one that does not wait, one that is watched call by call, and one that fails at any call."""

from __future__ import annotations

import builtins
import functools
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from jobqueue import system
from jobqueue.share import PARTS, Appender, Share
from jobqueue.testing import FakeClock

T = TypeVar("T")


class QuickShare(Share):
    """A share that does not wait for the disk, with a clock and chance that are the same at every run."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(FakeClock(), random.Random(seed))

    def write_new(self, path: str, data: bytes, *, sync: bool = True) -> None:
        super().write_new(path, data, sync=False)

    def append_to(self, path: str) -> Appender:
        return _QuickAppender(path)

    def sync_dir(self, directory: str, *, beside: str | None = None) -> None:
        pass

    def sync_everything(self, directory: str) -> None:
        pass


class _QuickAppender(Appender):
    def sync(self) -> None:
        pass


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty directory in memory, where there is such a place: for what is made and removed a thousand times."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="jobqueue-test-") as directory:
        yield Path(directory)


# --- single calls -----------------------------------------------------------------------------------------------------

_CALLS = frozenset(
    {
        "rename", "listdir", "mkdir", "rmdir", "unlink", "open", "close", "write", "pread", "fsync", "fstat", "stat",
        "utime", "scandir", "symlink", "readlink", "chdir", "chmod",
    }
)  # fmt: skip
# What waits for the disk is left out, since nothing here cuts the power.
_SYNCS = frozenset({"fsync", "sync_file_system"})
_watching = threading.local()


class Call(NamedTuple):
    """One call on the share: its name and positional arguments, as share made it."""

    name: str
    args: tuple[Any, ...]

    @property
    def writes(self) -> bool:
        """Whether it can change something."""
        if self.name == "open":
            return bool(self._flags() & (os.O_WRONLY | os.O_RDWR))
        return self.name in {"rename", "mkdir", "rmdir", "unlink", "write", "symlink", "utime", "chmod", *_SYNCS}

    @property
    def makes(self) -> bool:
        """Whether it makes a name that must not have been there."""
        return self.name in ("mkdir", "symlink") or (self.name == "open" and bool(self._flags() & os.O_EXCL))

    def _flags(self) -> int:
        flags = self.args[1] if len(self.args) > 1 else 0
        return flags if isinstance(flags, int) else os.O_WRONLY if "a" in flags or "w" in flags else 0


class _Watched:
    """Stands in for a module: single calls go by way of the share in whose method they are made."""

    def __init__(self, module: Any, names: frozenset[str]) -> None:
        self._module = module
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if name in self._names:
            found = _through_watcher(name, found)
        setattr(self, name, found)
        return found


def _through_watcher(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        share: WatchedShare | None = getattr(_watching, "share", None)
        if share is None or args[0] == "/proc/self/mountinfo":
            return real(*args, **kwargs)
        do = _skip if name in _SYNCS else functools.partial(real, *args, **kwargs)
        # What a test does in between, by another share, is not this one's.
        _watching.share = None
        try:
            return share.on_call(Call(name, args), do)
        finally:
            _watching.share = share

    return call


def _skip() -> None:
    """In place of a call that waits for the disk."""


@pytest.fixture
def watched_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """While this lasts each call of share goes by way of `WatchedShare.on_call`, where it has to do with one."""
    watched = _Watched(os, _CALLS)
    vars(watched)["path"] = _Watched(os.path, frozenset({"isdir"}))
    functions = frozenset({"sync_file_system", "names_bit_by_bit"})
    watched_system = _Watched(system, functions)
    for part in PARTS:
        monkeypatch.setattr(part, "os", watched)
        monkeypatch.setattr(part, "open", _through_watcher("open", builtins.open), raising=False)
        if hasattr(part, "system"):
            monkeypatch.setattr(part, "system", watched_system)


def _watched(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> T:
        before = getattr(_watching, "share", None)
        _watching.share = self if isinstance(self, WatchedShare) else self.share
        try:
            return method(self, *args, **kwargs)
        finally:
            _watching.share = before

    return call


class WatchedShare(Share):
    """A share whose single calls can be looked at, failed or stopped by `on_call`; needs `watched_calls`."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(FakeClock(), random.Random(seed))

    def on_call(self, _call: Call, do: Callable[[], Any], /) -> Any:
        """Is given each call of share and how to execute it."""
        return do()

    def append_to(self, path: str) -> Appender:
        return _WatchedAppender(path, self)


class HookedShare(WatchedShare):
    """Lets a test take part in every call.

    Attributes:
        hook: is given each call and how to execute it, and gives the answer.
        seen: the calls.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.hook: Callable[[Call, Callable[[], Any]], Any] = lambda _, do: do()
        self.seen: list[Call] = []

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self.seen.append(call)
        return self.hook(call, do)

    def count(self, name: str, ending: str = "") -> int:
        """How many calls of a name there were, of which the first argument ends like this."""
        return sum(call.name == name and str(call.args[0]).endswith(ending) for call in self.seen)


class _WatchedAppender(Appender):
    def __init__(self, path: str, share: WatchedShare) -> None:
        self.share = share
        _watched(Appender.__init__)(self, path)

    append = _watched(Appender.append)
    sync = _watched(Appender.sync)
    close = _watched(Appender.close)


for _name in dir(Share):
    if callable(getattr(Share, _name)) and not _name.startswith("_") and _name != "append_to":
        setattr(WatchedShare, _name, _watched(getattr(Share, _name)))
