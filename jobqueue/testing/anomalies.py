"""What a share may do to its users: each anomaly a switch of the model share."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum


class Locks(Enum):
    """Whom a lock on the model share keeps out."""

    ALL = "all"
    """Every other process, on whatever host."""
    SAME_HOST = "same host"
    """Only processes of the same host: NFS mounted with ``nolock``."""
    NONE = "none"
    """The share takes no locks (ENOLCK)."""


@dataclass(frozen=True)
class Anomalies:
    """How a model share misbehaves; as it is made, it does not, but for what a host remembers of renamed directories.

    Attributes:
        stale_missing: chance that a name which was missing once still is to open, stat and rename, though it is there.
            A listing of its directory that comes from the server cures it.
        stale_present: chance that open finds a file under the name that it was moved away from.
        blind_ticks: chance that a listing is the one that was remembered, where the directory was changed since in the
            same tick of the server's clock. Cured by ``utime`` of the directory in a later tick.
        stale_replaced: chance that open finds the file that was replaced by a rename, or is answered ESTALE (SMB:
            EINVAL).
        stale_directories: chance that a path leads to the directory that lay there when it was first looked up, though
            it was renamed since.
        stale_removed: chance that a path through a directory that was removed is ESTALE once, not ENOENT; or to a file
            that was removed, of which the host knows.
        stale_attributes: chance that ``stat`` answers from memory, also of a file that was removed.
        lingering: chance that a name stays listed for a second after its file was unlinked, as long as some host has it
            open at any rate, though nobody can open it any more (SMB).
        silly_rename: an unlinked file that its host holds open stays as ``.nfs...`` and keeps its directory.
        late_silly: chance that such a name goes only after the file was closed, in the next tick of the server's clock.
        lost_answers: chance that rename, unlink, rmdir or mkdir is executed and told ENOENT or EEXIST.
        errors: chance of EIO, ESTALE, ETIMEDOUT, EBUSY, EACCES or EINTR; the call is executed all the same, or is not.
        late: chance that a call is told ETIMEDOUT and executed within the next ``late_s`` seconds.
        late_s: how late a call may be executed.
        no_room: chance that a changing call is refused with ENOSPC, EDQUOT or EROFS.
        locks: whom a lock keeps out.
    """

    stale_missing: float = 0.0
    stale_present: float = 0.0
    blind_ticks: float = 0.0
    stale_replaced: float = 0.0
    stale_directories: float = 1.0
    stale_removed: float = 0.0
    stale_attributes: float = 0.0
    lingering: float = 0.0
    silly_rename: bool = False
    late_silly: float = 0.0
    lost_answers: float = 0.0
    errors: float = 0.0
    late: float = 0.0
    late_s: float = 5.0
    no_room: float = 0.0
    locks: Locks = Locks.ALL


class Fault(Enum):
    """How one call can be answered wrongly; the value says whether it is executed, and when."""

    LOST_ANSWER = "executed, told that there was nothing to do"
    ERROR_AFTER = "executed, told an error"
    ERROR_BEFORE = "not executed, told an error"
    LATE = "told an error, executed later"
    NO_ROOM = "not executed, for want of room"


# What can be answered to a call that was executed, or was not. Source: measured, see the design page.
UNCERTAIN = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.EACCES, errno.EINTR)
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# What a client that repeats a call is told, whose first answer was lost.
REPEATED = {
    "rename": errno.ENOENT,
    "unlink": errno.ENOENT,
    "rmdir": errno.ENOENT,
    "mkdir": errno.EEXIST,
    "symlink": errno.EEXIST,
}
CHANGING = frozenset({*REPEATED, "create", "write", "utime"})
