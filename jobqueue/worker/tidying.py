"""The process around a job: what the job is given in it, and what it has changed that the next one is not to find."""

from __future__ import annotations

import os
import signal

# The functions of `signal` make an enumeration's member of each handler, which for eight of them takes as long as three
# calls on a share.
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from jobqueue.attempt import Attempt
from jobqueue.worker.variables import Variables, stored

_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM,
    signal.SIGCHLD,
)  # fmt: skip


class Surroundings(Protocol):
    """What a job finds around it."""

    @property
    def is_interruptible(self) -> bool:
        """Whether a KeyboardInterrupt is the user's; else it is the job's own, which has failed."""
        ...

    def around(self, _attempt: Attempt, /) -> AbstractContextManager[None]:
        """The attempt's environment variables, and its streams; the latter go back to the process at the end."""
        ...

    def prepare(self, _variables: Mapping[str, str], /) -> None:
        """Before one of several items: its own environment variables, beside those of the attempt."""
        ...

    def restore(self) -> None:
        """After one of several items: what it has changed is as it was for the next one."""
        ...


@contextmanager
def _lent(attempt: Attempt, restore: Callable[[], None]) -> Iterator[None]:
    """The process is the job's; afterwards the streams are ours, and all else is restored whatever those say."""
    try:
        yield
    finally:
        try:
            attempt.take_back_streams()
        finally:
            restore()


class CallersProcess:
    """The process of whoever called us, which is to have its own variables again; all else in it is his affair."""

    is_interruptible = True

    def around(self, attempt: Attempt) -> AbstractContextManager[None]:
        variables = attempt.environment()
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)

        def put_back() -> None:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

        return _lent(attempt, put_back)

    def prepare(self, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)

    def restore(self) -> None:
        pass


class SlotProcess:
    """A process that is there for jobs alone: its variables, umask and signals are as they were when this was made.

    Not guaranteed: that a job leaves no trace. Threads, open files, modules, memory and limits stay as it left them.
    """

    is_interruptible = False

    def __init__(self) -> None:
        self._variables = Variables()
        self._base = dict(os.environb)
        self._ours: dict[bytes, bytes] = {}
        self._environ = self._base
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._blocked = pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = [(number, getsignal(number)) for number in _SIGNALS]

    def around(self, attempt: Attempt) -> AbstractContextManager[None]:
        self._set_environ(attempt.environment())
        return _lent(attempt, self.restore)

    def _set_environ(self, variables: Mapping[str, str]) -> None:
        """Sets a job's environment variables, beside those of the beginning; they stay until those of the next job.

        To take them back, where the next job has others, would cost a short job a tenth of its time.
        """
        self._ours = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
        self._environ = {**self._base, **self._ours}
        there = stored()
        for name, value in self._ours.items():
            # The last job's are there still.
            if there.get(name) != value:
                self._variables.set(name, value)
        self._restore_environ()

    def prepare(self, variables: Mapping[str, str]) -> None:
        # All others are as they were; to look at them again would cost a short item a tenth of its time.
        for name, value in variables.items():
            key = os.fsencode(name)
            self._ours[key] = self._environ[key] = os.fsencode(value)
            self._variables.set(key, self._ours[key])

    def restore(self) -> None:
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
        if stored() != self._environ:
            os.environb.clear()
            os.environb.update(self._base)
            for name, value in self._ours.items():
                self._variables.set(name, value)
