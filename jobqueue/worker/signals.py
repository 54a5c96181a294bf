"""The signals that a supervisor gets: they end its waiting, and are counted."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

# Those that ask a worker to end.
POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Catches the signals of this process, from `catch` to `restore`.

    Attributes:
        count: how many have come that ask to end.
        fd: readable once a signal has come, also that of a child's end.
    """

    def __init__(self) -> None:
        self.count = 0
        self.fd = self._write = -1
        self._before: dict[int, Any] = {}

    def catch(self) -> None:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Source: signal.set_wakeup_fd; a signal between the last look and select() is not slept over.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in POLITE:
            # What was ignored for us (nohup, a shell's background job) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._count)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _only_wake_up)

    def drain(self) -> None:
        """Empties the pipe; to be called when it is readable."""
        os.read(self.fd, 4096)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def _only_wake_up(_number: int, _frame: FrameType | None) -> None:
    """A child has ended; the byte in the pipe ends the waiting, and the supervisor looks which."""
