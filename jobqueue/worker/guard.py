"""A process that ends the slots and their commands when the supervisor is gone, however it went.

A slot cannot do this itself: a job may hold its interpreter, and the commands that it started would outlive it. The
guard holds the reading end of a pipe; the kernel closes the other end when the supervisor dies.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class Guard:
    """The supervisor's side.

    Must be made while this process has one thread and no slots yet, since it forks.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._start()

    @property
    def fd(self) -> int:
        """The end of the pipe that no other process may hold."""
        return self._write

    def add(self, group: int) -> None:
        """From now on this process group ends with us."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group has ended; its number may be used again by somebody else."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def check(self) -> None:
        """Starts another guard if somebody has killed it; to be called now and then."""
        if os.waitpid(self._pid, os.WNOHANG)[0]:
            os.close(self._write)
            self._start()
            for group in self._groups:
                self._tell(f"+{group}\n")

    def close(self) -> None:
        """Lets the guard end, with whatever groups it still has."""
        os.close(self._write)
        # It may have been reaped with everybody else's children.
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _start(self) -> None:
        read, self._write = os.pipe()
        os.set_inheritable(self._write, False)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _watch(read)
            finally:
                os._exit(0)
        os.close(read)

    def _tell(self, line: str) -> None:
        try:
            os.write(self._write, line.encode("ascii"))
        except BrokenPipeError:
            # Somebody killed it; `check` sees to it, and tells the next one all that it has to know.
            return


def _watch(read: int) -> None:
    """The guard's own life."""
    # A session of its own: what ends the supervisor's process group does not end it.
    os.setsid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.dup2(read, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") > 0 else 65536)
    groups: set[int] = set()
    rest = b""
    while block := os.read(3, 4096):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            change = groups.add if line[:1] == b"+" else groups.discard
            change(int(line[1:]))
    for group in groups:
        # It may have ended by itself in the meantime.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
