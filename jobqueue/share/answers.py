"""What the calls on a share answer, and what the kinds of file systems are known for."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from jobqueue import system

if TYPE_CHECKING:
    import os

# What a call may answer although it was executed, or although it would be executed at a second try; or, as ENOTDIR,
# because a directory was replaced, as a listing shows. (Source: measured with a server restarted in mid-call, see
# docs/design; rename(2).)
AMBIGUOUS = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.EIO,
        errno.ETIMEDOUT,
        # SMB: a signal (a slot that ends) interrupts a call whose answer does not come. Source: measured.
        errno.EINTR,
        errno.ESTALE,
        errno.EACCES,
        errno.EBUSY,
    }
)
# What a call answers that was certainly not executed, for want of room or leave to write.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
MOVE_TRIES = 4
# A time that is longer than one tick of a server's clock: two entries made in one tick can hide one another on NFSv3.
TICK_S = 0.05
# Kinds of file systems that lie on this host alone. Everything else, the unknown too, counts as shared with others.
LOCAL_KINDS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "zfs", "f2fs", "bcachefs", "jfs", "overlay"}
)
# Kinds whose server has written a name before it answers, so that there is nothing for us to sync but file contents.
SERVED_KINDS = frozenset({"nfs", "nfs4"})
# Kinds whose server writes a name some seconds after it has answered, and knows no call to make a directory last.
LAZY_KINDS = frozenset({"cifs", "smb3"})
# Kinds where a removed name stays listed until the last host that has the file open has closed it.
LINGERING_KINDS = frozenset({"cifs", "smb3"})
Mount = system.Mount


class Removal(Enum):
    """What became of a directory that was to be removed."""

    REMOVED = "removed"
    MISSING = "missing"
    NOT_EMPTY = "not empty"


class Kind(Enum):
    """What a name in a directory stands for, where no link is followed."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"
    """A FIFO, a socket, a device."""


class Contents(NamedTuple):
    """What a directory holds.

    Attributes:
        mode: its own type and permission bits, as stat(2) has them.
        entries: the names in it, each with what it is itself; a link to a directory is a link.
    """

    mode: int
    entries: list[tuple[str, Kind]]


class Stamp(NamedTuple):
    """What tells a file that was written to its end from any other: size in bytes, modification time in ns."""

    size: int
    mtime_ns: int


class Part(NamedTuple):
    """A part of a plain file, and what was known of the file when it was read.

    Attributes:
        data: the part.
        mode: type and permission bits, as stat(2) has them.
        stamp: what tells it from any other, and from itself when it was written to meanwhile.
        inode: the number by which its file system knows it.
    """

    data: bytes
    mode: int
    stamp: Stamp
    inode: int


# Of what is there and is no plain file: a directory, a symbolic link, a FIFO.
NOT_PLAIN = Stamp(-1, -1)


class NotPlainError(IsADirectoryError):
    """Something that is no plain file has the name of one: a directory, a symbolic link, a FIFO, a socket."""


class UnsyncedError(OSError):
    """What was written to a file may be lost. Source: fsync(2); a second fsync can succeed all the same."""


class Naming:
    """Gives an error the name of a file or directory: a call on an open one knows none, and its error names none.

    Args:
        path: of what is open.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing is done yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # One that has a name knows better: of a file that was renamed meanwhile, for one.
        if isinstance(error, OSError) and not isinstance(error.filename, str):
            error.filename = self._path


# What open answers of them. Source: open(2): a directory; with O_NOFOLLOW a link; a FIFO that nobody reads, or a
# socket.
FOR_NO_PLAIN = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})


def kind_of(entry: os.DirEntry[str]) -> Kind:
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    return Kind.LINK if entry.is_symlink() else Kind.OTHER


def not_plain(path: str) -> NotPlainError:
    return NotPlainError(errno.EISDIR, "it is no plain file", path)
