"""A slot's process between two jobs: what one job has changed in it, the next one does not find."""

from __future__ import annotations

import os
import signal

# The functions of `signal` make an enumeration's member of each handler, which for eight of them takes as long as three
# calls on a share.
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]
from collections.abc import Mapping

_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM,
    signal.SIGCHLD,
)  # fmt: skip


class ProcessState:
    """Environment variables, umask and signals as they are when this is made.

    Not guaranteed: that a job leaves no trace. Threads, open files, modules, memory and limits stay as it left them.
    """

    def __init__(self) -> None:
        self._base = self._environ = dict(os.environb)
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._blocked = pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = [(number, getsignal(number)) for number in _SIGNALS]

    def set_environ(self, variables: Mapping[str, str]) -> None:
        """Sets a job's environment variables, beside those of the beginning; they stay until those of the next job."""
        ours = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
        self._environ = {**self._base, **ours}
        stored = _stored_environ()
        for name, value in ours.items():
            # Each change costs a system's call; the last job's are there still.
            if stored.get(name) != value:
                os.environb[name] = value
        self._restore_environ()

    def restore(self) -> None:
        """Makes everything as it was."""
        # First, since an alarm that a job has left behind would end the slot.
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers:
            # An ignored SIGCHLD, for one, would hide the exit codes of all later commands.
            if getsignal(number) is not handler:
                signal.signal(number, handler)
        pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        os.umask(self._umask)
        self._restore_environ()

    def _restore_environ(self) -> None:
        # Both hold the encoded form; to look at each variable for each job would be a tenth of its cost.
        if _stored_environ() != self._environ:
            os.environb.clear()
            os.environb.update(self._environ)


def _stored_environ() -> dict[bytes, bytes]:
    stored: dict[bytes, bytes] = os.environb._data  # type: ignore[attr-defined]
    return stored
