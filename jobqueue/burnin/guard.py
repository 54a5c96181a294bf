"""A process that ends the workers of a burn-in when that is gone, however it went: those that it has stopped, too.

A stopped worker notices nothing, and nobody would ever continue it. The guard reads a pipe, whose other end the kernel
closes when the burn-in dies. What is to end it finds by its name: slots and guards of a worker show the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress

from jobqueue.identity import processes_called

_LOOKS = 100
_LOOK_S = 0.05


class Guard:
    """The burn-in's side."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._process = self._start()

    def add(self, name: str) -> None:
        """From now on every process of this host ends with us that has this argument; to be told before it begins."""
        self._names.append(name)
        try:
            self._tell(name)
        except BrokenPipeError:
            # Somebody has killed it.
            self.close()
            self._process = self._start()
            for known in self._names:
                self._tell(known)

    def close(self) -> None:
        """Ends those that are left, and waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: what ends our process group does not end it.
        return subprocess.Popen(
            [sys.executable, "-m", "jobqueue.burnin.guard"], bufsize=0, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _tell(self, name: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n".encode("ascii"))


def end_called(names: Collection[str]) -> None:
    """Kills all processes of this host that have one of these arguments, also those that they start meanwhile."""
    for _ in range(_LOOKS):
        found = processes_called(names)
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # What waits for a share that is away ends when that answers, or never.
        time.sleep(_LOOK_S)


def main() -> None:
    """The guard's own life."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end_called(set(sys.stdin.read().split()))


if __name__ == "__main__":
    main()
