"""The only package that touches the share: single calls, and the second look after an ambiguous answer.

A share lies in known ways (the measured ones are on the design page): a rename that was done may answer ENOENT or EIO,
a name that was missing once can stay missing to ``stat``, a listing can be old. So:

- whatever decides anything works from a listing, never from ``stat`` of a name that was looked up before;
- after an ambiguous answer a move looks for its *target* by listing the directory (`Moves.try_move`);
- every file but a journal and an attempt's stream is written whole under another name and renamed.

Every other module gets a `Share` and calls nothing of ``os`` that touches the queue. A test finds those that do. It is
made of layers, each of which may use those below it: `Looking`, `Files`, `Lasting`, `Moves`, `Directories`.
"""

from __future__ import annotations

from jobqueue import system
from jobqueue.share import directories, files, handles, lasting, looking, moves
from jobqueue.share.answers import (
    AMBIGUOUS,
    LOCAL_KINDS,
    MOVE_TRIES,
    NO_ROOM,
    NOT_PLAIN,
    SERVED_KINDS,
    TICK_S,
    Contents,
    Kind,
    Mount,
    NotPlainError,
    Part,
    Removal,
    Stamp,
    UnsyncedError,
)
from jobqueue.share.handles import Appender, Lock

__all__ = [
    "AMBIGUOUS",
    "LOCAL_KINDS",
    "MOVE_TRIES",
    "NOT_PLAIN",
    "NO_ROOM",
    "SERVED_KINDS",
    "TICK_S",
    "Appender",
    "Contents",
    "Kind",
    "Lock",
    "Mount",
    "NotPlainError",
    "Part",
    "Removal",
    "Share",
    "Stamp",
    "UnsyncedError",
]

# The modules that make calls, for whoever puts something in the place of ``os``.
PARTS = (handles, looking, files, lasting, moves, directories)


class Share(directories.Directories):
    """The calls on the share.

    Args:
        clock: through which all waiting goes.
        chance: the one generator of random numbers.
    """

    def calls_made(self) -> int:
        """How many calls this process has made so far that ask a server, on all its shares together.

        A server is asked about as often: it hears nothing of a listing that has not changed but one question, and of
        what is written when it is synced or closed. Not counted are locks, and files that are read whole, for workers
        read none but when something has happened.
        """
        return system.calls_made()
