"""Looking at what is there: listings, kinds, times, mounts."""

from __future__ import annotations

import errno
import random
import stat
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from jobqueue import system
from jobqueue.clock import Clock
from jobqueue.share.answers import LINGERING_KINDS, LOCAL_KINDS, TICK_S, Mount, Naming

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os


class Looking:
    """Calls that change nothing, but for the times by which a listing is made fresh.

    Args:
        clock: through which all waiting goes.
        chance: the one generator of random numbers.
    """

    def __init__(self, clock: Clock | None = None, chance: random.Random | None = None) -> None:
        self.clock = clock or Clock()
        self.chance = chance or random.Random(os.urandom(16))
        self._mounts: dict[str, Mount | None] = {}
        self._home: str | None = None
        # Of the files that are looked at again and again on SMB: whether with the one flags or the others.
        self._turns: dict[str, bool] = {}
        # How deep a directory lay that was to be removed, and whether the last one there was empty.
        self._were_empty: dict[int, bool] = {}

    def names(self, directory: str) -> list[str]:
        """The names in a directory, unsorted.

        Raises:
            OSError: it cannot be listed; FileNotFoundError if it is missing.
        """
        return os.listdir(directory)

    def names_or_none(self, directory: str) -> list[str] | None:
        """The names in a directory, or ``None`` if it is missing, or a file is in its place."""
        try:
            return os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names_afresh(self, directory: str) -> list[str]:
        """The names in a directory, whatever this host remembers of it.

        NFS: an entry that was made in the same server tick as an earlier listing of ours can be missing from all later
        ones (NFSv3). A changed modification time makes the client ask again; it has to be another tick for that.
        """
        if self.is_remote(directory):
            self.clock.sleep(TICK_S)
            os.utime(directory)
        return os.listdir(directory)

    def some_names(self, directory: str, wanted: Callable[[str], bool]) -> set[str]:
        """A few of the names in a directory that are ``wanted``, at least one if there is one. Missing: none.

        ``os.scandir`` reads a thousand names at once, which would make the cost of a job depend on how many wait.
        """
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return set()
        with Naming(directory):
            try:
                for names in system.names_bit_by_bit(fd):
                    if found := {name for name in names if wanted(name)}:
                        return found
                return set()
            except FileNotFoundError:
                # RACE: somebody removed it after we had opened it.
                return set()
            finally:
                os.close(fd)

    def has(self, directory: str, name: str) -> bool:
        """Whether a listing of ``directory`` shows ``name``. NFS: ``stat`` of a name can be wrong for minutes."""
        return name in (self.names_or_none(directory) or ())

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(path)

    def names_and_files(self, directory: str, asked: Collection[str]) -> tuple[list[str], set[str]] | None:
        """The names in a directory, and which of those ``asked`` for are no directories; ``None`` if it is none itself.

        One listing tells both, where the file system tells of each name what it is.
        """
        try:
            with os.scandir(directory) as found:
                entries = list(found)
        except (FileNotFoundError, NotADirectoryError):
            return None
        files = {entry.name for entry in entries if entry.name in asked and not entry.is_dir()}
        return [entry.name for entry in entries], files

    def is_file_instead(self, path: str) -> bool:
        """Whether something lies at ``path`` that is no directory, a symbolic link that leads nowhere as well."""
        try:
            seen = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            # It is missing; or what it lies in is the file.
            return False
        if stat.S_ISLNK(seen.st_mode):
            try:
                seen = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return True
        return not stat.S_ISDIR(seen.st_mode)

    def mode_and_owner(self, path: str) -> tuple[int, int, int]:
        """Permission bits, owner's user id and modification time in ns of a file or directory."""
        seen = os.stat(path)
        return stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_mtime_ns

    def inode(self, path: str) -> int:
        """The number by which its file system knows a file or directory: on a server the same for all hosts."""
        return os.stat(path).st_ino

    def changed_at(self, path: str) -> float | None:
        """When a file was last changed, by the server's clock in seconds, or ``None`` if it is missing.

        NFS: open and fstat ask the server; a bare ``stat`` can be tens of seconds old. SMB: a host keeps a file open
        for a while (``closetimeo``) after it was closed, and answers from that as long as it lasts, unless it is opened
        with other flags than before.
        """
        flags = os.O_RDONLY | os.O_CLOEXEC
        if self._kind(path) in LINGERING_KINDS:
            self._turns[path] = not self._turns.get(path, False)
            flags |= os.O_NONBLOCK if self._turns[path] else 0
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            self._turns.pop(path, None)
            return None
        with Naming(path):
            try:
                return os.fstat(fd).st_mtime
            finally:
                os.close(fd)

    def last_change(self, path: str) -> float | None:
        """When a file or directory was last written, touched or renamed, by the server's clock in seconds; or ``None``.

        Source: inode(7); a rename changes the time of the last status change, and leaves that of the contents.
        """
        try:
            seen = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return max(seen.st_mtime, seen.st_ctime)

    def link_target(self, path: str) -> str | None:
        """Where a symbolic link leads; ``None`` if it is missing, or is none (any more)."""
        try:
            return os.readlink(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Source: readlink(2), of what is no link.
            if error.errno != errno.EINVAL:
                raise
            return None

    def wait_a_tick(self, directory: str) -> None:
        """Lets the server's clock tick, so that what lies there by now is seen by whoever lists it afresh."""
        if self.is_remote(directory):
            self.clock.sleep(TICK_S)

    def is_remote(self, path: str) -> bool:
        """Whether ``path`` lies on a file system that other hosts may share."""
        return self._kind(path) not in LOCAL_KINDS

    def settle_in(self, directory: str) -> None:
        """Says that everything below ``directory`` lies on one file system: a queue is never spread over several."""
        self._home = directory

    def mount(self, path: str) -> Mount | None:
        """The mount below ``path``; looked up once for a directory, and once for all of a queue. No call on a share."""
        if self._home is not None and f"{path}/".startswith(f"{self._home}/"):
            path = self._home
        if path not in self._mounts:
            self._mounts[path] = system.mount_of(path)
        return self._mounts[path]

    def _kind(self, path: str) -> str | None:
        mount = self.mount(path)
        return mount.kind if mount else None
