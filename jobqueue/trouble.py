"""Trouble of the share that is not the job's fault: what was achieved is kept, and tried again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from jobqueue.errors import JobQueueError, LostRaceError
from jobqueue.store import Store

T = TypeVar("T")

# What may pass by itself, or once somebody has made room or plugged the cable in.
TROUBLE = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT,
        errno.EBUSY, errno.EAGAIN, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
        errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EREMOTEIO, errno.ENOMEM,
        errno.ENFILE, errno.EINTR,
        # The key that it was mounted with has run out or was taken back, until somebody logs in anew. Source:
        # keyctl(2); NFS and SMB with Kerberos.
        errno.ENOKEY, errno.EKEYEXPIRED, errno.EKEYREVOKED, errno.EKEYREJECTED,
        # Its disk is damaged or gone, until somebody mends it or plugs it in; nothing that is asked of a sound one is
        # answered so. (A FIFO answers ENXIO to open, too; share tells the two apart.)
        errno.EUCLEAN, errno.EBADMSG, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM,
        # The connection to it broke in mid-call. Source: connect(2), send(2), which file systems of the net hand on.
        errno.ESHUTDOWN, errno.ENETRESET, errno.ENOLINK, errno.ECOMM, errno.EPROTO,
    }
)  # fmt: skip
# What only a process answers that a job has spoiled: the share is not to blame, and the next job would suffer.
SPOILED = frozenset({errno.EMFILE, errno.EFBIG, errno.EBADF})
# What a server may answer for a while, and what is answered for good where somebody has no rights.
_REFUSALS = frozenset({errno.EACCES, errno.EPERM})
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


class SweptError(JobQueueError):
    """This worker was taken for dead and swept: what it runs cannot be committed any more."""


class Troubles:
    """What one of several things meets must not keep the others from being done: it is raised when they are."""

    def __init__(self) -> None:
        self._first: OSError | JobQueueError | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps what is raised meanwhile."""
        try:
            yield
        except (OSError, JobQueueError) as error:
            self._first = self._first or error

    def raise_first(self) -> None:
        """Raises what was kept first, if anything was."""
        if self._first is not None:
            raise self._first


def is_trouble(error: OSError) -> bool:
    """Whether an error says something of the share, not of what was asked of it."""
    return error.errno in TROUBLE


def insist(store: Store, what: str, call: Callable[[], T], *, refusals: int | None = None) -> T:
    """Calls until the share answers without trouble.

    Args:
        store: whose share, clock and log are used.
        what: is kept meanwhile, in words for the log.
        call: may be called any number of times.
        refusals: after so many answers that there is no right to it, that is the answer; ``None`` is never.
    """
    wait_s = _FIRST_WAIT_S
    refused = 0
    while True:
        try:
            return call()
        except (OSError, LostRaceError) as error:
            if isinstance(error, OSError) and not is_trouble(error):
                raise
            refused += isinstance(error, OSError) and error.errno in _REFUSALS
            if refusals is not None and refused >= refusals:
                raise
            store.log.warning(
                "Share %s does not answer as it should (%s); keeping %s and trying again in %g s.",
                store.layout.dir,
                error,
                what,
                wait_s,
            )
        store.share.clock.sleep(wait_s)
        wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
