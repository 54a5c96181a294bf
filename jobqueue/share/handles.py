"""What is held open: a file that this process appends to, a lock."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from jobqueue.share.answers import FOR_NO_PLAIN, Naming, not_plain

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os


class Appender:
    """A file that this process alone appends to: a journal, or a job's stream.

    Not guaranteed: that another host sees a line before `sync` has returned.

    Args:
        path: where it is; made if it is missing.

    Raises:
        NotPlainError: something else has its name. To open a FIFO could take for ever, and what is written to a link
            would lie elsewhere.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno in FOR_NO_PLAIN:
                raise not_plain(path) from error
            raise
        with Naming(path):
            seen = os.fstat(self._fd)
        if not stat.S_ISREG(seen.st_mode):
            os.close(self._fd)
            raise not_plain(path)
        self.offset = seen.st_size

    def append(self, data: bytes) -> int:
        """Appends ``data`` with one write and returns the offset where it begins.

        Raises:
            OSError: it was not written, or not whole. CRASH: what is there then is a line that does not parse; the
                caller goes on in another file.
        """
        at = self.offset
        with Naming(self.path):
            written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written", self.path)
        self.offset += written
        return at

    def sync(self) -> None:
        with Naming(self.path):
            os.fsync(self._fd)

    def close(self) -> None:
        with Naming(self.path):
            os.close(self._fd)


class Lock:
    """An exclusive lock on a file, held until it is released or the process ends.

    Not guaranteed: that another host sees it (NFS mounted with ``nolock``, sshfs). So a lock proves nothing alone.

    Args:
        path: of the file; made if it is missing.

    Raises:
        OSError: somebody else holds it, or the share takes no locks.
    """

    def __init__(self, path: str) -> None:
        import portalocker  # late: only workers lock

        self._file = open(path, "ab")
        try:
            portalocker.lock(self._file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            self._file.close()
            raise OSError(errno.EAGAIN, f"it cannot be locked ({error})", path) from error

    def release(self) -> None:
        self._file.close()
