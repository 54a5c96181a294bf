"""A slot's process between two jobs: what one job has changed in it, the next one does not find."""

from __future__ import annotations

import copy
import os
import signal

_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM,
    signal.SIGCHLD,
)  # fmt: skip


class ProcessState:
    """Environment variables, umask and signals as they are when this is made.

    Not guaranteed: that a job leaves no trace. Threads, open files, modules, memory and limits stay as it left them.
    """

    def __init__(self) -> None:
        self._environ = dict(os.environb)
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = [signal.getsignal(number) for number in _SIGNALS]

    def in_this_environment(self) -> ProcessState:
        """The same, but with the environment variables as they are now."""
        state = copy.copy(self)
        state._environ = dict(_stored_environ())
        return state

    def restore(self) -> None:
        """Makes everything as it was."""
        # First, since an alarm that a job has left behind would end the slot.
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            # An ignored SIGCHLD, for one, would hide the exit codes of all later commands.
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        os.umask(self._umask)
        # Both hold the encoded form; a copy of the whole environment for each job would be a tenth of its cost.
        if _stored_environ() != self._environ:
            os.environb.clear()
            os.environb.update(self._environ)


def _stored_environ() -> dict[bytes, bytes]:
    stored: dict[bytes, bytes] = os.environb._data  # type: ignore[attr-defined]
    return stored
