"""Files: read, looked at, made, written, removed; none of them twice."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from jobqueue.share.answers import FOR_NO_PLAIN, MOVE_TRIES, NOT_PLAIN, Naming, Part, Stamp, UnsyncedError, not_plain
from jobqueue.share.handles import Appender
from jobqueue.share.looking import Looking

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os


class Files(Looking):
    """Calls on files."""

    def read(self, path: str) -> bytes:
        """The contents of a file.

        NFS: one that is replaced just then answers ESTALE, on SMB EINVAL; the new one is there already.
        """
        for _ in range(MOVE_TRIES):
            try:
                with Naming(path), open(path, "rb", buffering=0) as file:
                    return file.readall()
            except OSError as error:
                if error.errno not in (errno.ESTALE, errno.EINVAL):
                    raise
                failed = error
        raise failed

    def read_or_none(self, path: str) -> bytes | None:
        """The contents of a file, or ``None`` if it is missing."""
        try:
            return self.read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def read_part(self, path: str, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of a file from ``offset`` on.

        Raises:
            NotPlainError: it is a FIFO.
        """
        # To open a FIFO could take for ever else.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with Naming(path):
            try:
                return os.pread(fd, size, offset)
            except OSError as error:
                # Source: pread(2), of a FIFO.
                if error.errno != errno.ESPIPE:
                    raise
                raise not_plain(path) from error
            finally:
                os.close(fd)

    def read_plain(self, path: str, offset: int, size: int) -> Part | None:
        """At most ``size`` bytes of a plain file from ``offset`` on; ``None`` if it is missing, or is none (any more).

        What lies in its place is neither followed nor waited for.
        """
        try:
            fd = self._open_plain(path, sync=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno not in FOR_NO_PLAIN:
                raise
            return None
        with Naming(path):
            try:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode):
                    return None
                data = os.pread(fd, size, offset)
                # Source: read(2): of what cannot be read whole (a bad block, a server that does not answer) the
                # beginning may be given as if it were all; only the next call tells.
                while len(data) < min(size, seen.st_size - offset):
                    more = os.pread(fd, size - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
                return Part(data, seen.st_mode, Stamp(seen.st_size, seen.st_mtime_ns), seen.st_ino)
            finally:
                os.close(fd)

    def read_end(self, path: str, size: int) -> tuple[bytes, int]:
        """At most the last ``size`` bytes of a file, and how many it has in all."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with Naming(path):
            try:
                total = os.fstat(fd).st_size
                return os.pread(fd, size, max(0, total - size)), total
            finally:
                os.close(fd)

    def size(self, path: str) -> int:
        """The size of a file in bytes, 0 if it is missing.

        Raises:
            NotPlainError: something else has its name.
        """
        try:
            fd = self._open_plain(path, sync=False)
        except FileNotFoundError:
            return 0
        except OSError as error:
            if error.errno in FOR_NO_PLAIN:
                raise not_plain(path) from error
            raise
        with Naming(path):
            try:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode):
                    raise not_plain(path)
                return seen.st_size
            finally:
                os.close(fd)

    def stamp(self, directory: str, name: str, *, sync: bool = False) -> Stamp | None:
        """Size and time of a file as its server has them, `NOT_PLAIN` for anything else; ``None`` if it is missing.

        Args:
            directory: where it lies.
            name: its name there.
            sync: whether all that was written to it has to outlast a power cut before it is looked at.

        Raises:
            UnsyncedError: the file system could not write it; what a second try says of that is worth nothing.
            OSError: it cannot be looked at.
        """
        path = f"{directory}/{name}"
        try:
            fd = self._open_plain(path, sync=sync)
        except (FileNotFoundError, NotADirectoryError):
            # NFS: a name that was missing once can stay missing to `open`; a listing tells.
            try:
                if name not in self.names_afresh(directory):
                    return None
            except (FileNotFoundError, NotADirectoryError):
                return None
            fd = self._open_plain(path, sync=sync)
        except OSError as error:
            # Source: open(2) with O_NOFOLLOW, of a symbolic link; without a reader, of a socket.
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            return NOT_PLAIN
        with Naming(path):
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return NOT_PLAIN
                if sync:
                    self._sync_or_lose(fd, path)
                seen = os.fstat(fd)
                return Stamp(seen.st_size, seen.st_mtime_ns)
            finally:
                os.close(fd)

    def _open_plain(self, path: str, *, sync: bool) -> int:
        flags = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        if sync:
            try:
                # SMB: the client passes a sync on to the server only for a file that is open for writing.
                return os.open(path, os.O_RDWR | flags)
            except (PermissionError, IsADirectoryError):
                # Its writer may have made it read-only.
                return os.open(path, os.O_RDONLY | flags)
        return os.open(path, os.O_RDONLY | flags)

    def _sync_or_lose(self, fd: int, path: str) -> None:
        try:
            os.fsync(fd)
        except OSError as error:
            raise UnsyncedError(error.errno, error.strerror, path) from error

    def create(self, path: str) -> None:
        """Makes an empty file, of a name that nobody else uses.

        NFS: O_EXCL would cost a second call each, to put right the times that hold the client's mark.
        """
        with Naming(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))

    def write_new(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Writes a file that nobody can see yet, and syncs it. Source: fsync(2), close(2)."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with Naming(path):
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)

    def append_to(self, path: str) -> Appender:
        return Appender(path)

    def append_once(self, path: str, data: bytes) -> None:
        """Appends to a file that no other process appends to, in one go."""
        file = Appender(path)
        try:
            file.append(data)
        finally:
            file.close()

    def try_unlink(self, path: str) -> bool:
        """Removes a file; whether it was there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def set_rights(self, path: str, rights: int) -> int:
        """Gives a file of ours these permission bits; which it had."""
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode != rights:
            os.chmod(path, rights)
        return mode

    def touch(self, path: str) -> None:
        """Sets a file's or directory's modification time to the server's present. Source: utimensat(2), UTIME_NOW."""
        os.utime(path)

    def link_for_people(self, target: str, path: str) -> None:
        """A symbolic link to browse by; nothing reads it."""
        os.symlink(target, path)
