"""The only module that touches the share: single calls, and the second look after an ambiguous answer.

A share lies in known ways (the measured ones are on the design page): a rename that was done may answer ENOENT or EIO,
a name that was missing once can stay missing to ``stat``, a listing can be old. So:

- whatever decides anything works from a listing, never from ``stat`` of a name that was looked up before;
- after an ambiguous answer a move looks for its *target* by listing the directory (`Share.try_move`);
- every file but a journal and an attempt's stream is written whole under another name and renamed.

Every other module gets a `Share` and calls nothing of ``os`` that touches the queue. A test finds those that do.
"""

from __future__ import annotations

import errno
import random
import stat
from collections.abc import Callable, Collection
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from jobqueue import system
from jobqueue.clock import Clock

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os

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


class Part(NamedTuple):
    """A part of a plain file, and what was known of the file when it was read.

    Attributes:
        data: the part.
        mode: type and permission bits, as stat(2) has them.
        mtime_s: when it was written last, in seconds since the epoch by the server's clock.
    """

    data: bytes
    mode: int
    mtime_s: float


class Stamp(NamedTuple):
    """What tells a file that was written to its end from any other: size in bytes, modification time in ns."""

    size: int
    mtime_ns: int


# Of what is there and is no plain file: a directory, a symbolic link, a FIFO.
NOT_PLAIN = Stamp(-1, -1)


class NotPlainError(IsADirectoryError):
    """Something that is no plain file has the name of one: a directory, a symbolic link, a FIFO, a socket."""


class UnsyncedError(OSError):
    """What was written to a file may be lost. Source: fsync(2); a second fsync can succeed all the same."""


class _Naming:
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
_NOT_PLAIN = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    return Kind.LINK if entry.is_symlink() else Kind.OTHER


def _not_plain(path: str) -> NotPlainError:
    return NotPlainError(errno.EISDIR, "it is no plain file", path)


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
            if error.errno in _NOT_PLAIN:
                raise _not_plain(path) from error
            raise
        with _Naming(path):
            seen = os.fstat(self._fd)
        if not stat.S_ISREG(seen.st_mode):
            os.close(self._fd)
            raise _not_plain(path)
        self.offset = seen.st_size

    def append(self, data: bytes) -> int:
        """Appends ``data`` with one write and returns the offset where it begins.

        Raises:
            OSError: it was not written, or not whole. CRASH: what is there then is a line that does not parse; the
                caller goes on in another file.
        """
        at = self.offset
        with _Naming(self.path):
            written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written", self.path)
        self.offset += written
        return at

    def sync(self) -> None:
        with _Naming(self.path):
            os.fsync(self._fd)

    def close(self) -> None:
        with _Naming(self.path):
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


class Share:
    """The calls on the share.

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

    def calls_made(self) -> int:
        """How many calls this process has made so far that ask a server, on all its shares together.

        A server is asked about as often: it hears nothing of a listing that has not changed but one question, and of
        what is written when it is synced or closed. Not counted are locks, and files that are read whole, for workers
        read none but when something has happened.
        """
        return system.calls_made()

    # --- looking -----------------------------------------------------------------------------------------------

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
        with _Naming(directory):
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

    def move_file_aside(self, path: str, target: str) -> None:
        """Renames what lies at ``path``, unless that is a directory (any more).

        Args:
            path: of the file.
            target: where it goes; a name that nobody else uses.

        RACE: whoever does the same beside us may have put a directory in its place since we looked. No directory can be
        renamed over a file (rename(2)), so one that is empty waits at the target. CRASH: it is left there.
        """
        self.create(target)
        self.swap(path, target)

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
        with _Naming(path):
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

    # --- reading and writing -----------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """The contents of a file.

        NFS: one that is replaced just then answers ESTALE, on SMB EINVAL; the new one is there already.
        """
        for _ in range(MOVE_TRIES):
            try:
                with _Naming(path), open(path, "rb", buffering=0) as file:
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
        """At most ``size`` bytes of a file from ``offset`` on."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with _Naming(path):
            try:
                return os.pread(fd, size, offset)
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
            if error.errno not in _NOT_PLAIN:
                raise
            return None
        with _Naming(path):
            try:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode):
                    return None
                return Part(os.pread(fd, size, offset), seen.st_mode, seen.st_mtime)
            finally:
                os.close(fd)

    def read_end(self, path: str, size: int) -> tuple[bytes, int]:
        """At most the last ``size`` bytes of a file, and how many it has in all."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with _Naming(path):
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
            if error.errno in _NOT_PLAIN:
                raise _not_plain(path) from error
            raise
        with _Naming(path):
            try:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode):
                    raise _not_plain(path)
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
        with _Naming(path):
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
        with _Naming(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))

    def write_new(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Writes a file that nobody can see yet, and syncs it. Source: fsync(2), close(2)."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with _Naming(path):
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)

    def write_whole(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Makes ``path`` hold ``data``: readers see the old file or the new one, never a part.

        Args:
            path: of the file.
            data: its new contents.
            sync: whether it has to outlast a power cut; what only shows how far a job is need not.

        CRASH: before the rename a ``.new-`` file is left, which nobody reads.
        """
        directory, name = os.path.split(path)
        new = f".new-{name}-{self.chance.getrandbits(32):08x}"
        try:
            self.write_new(f"{directory}/{new}", data, sync=sync)
            self._rename_new(directory, new, name)
        except OSError:
            self.try_unlink(f"{directory}/{new}")
            raise
        if sync:
            self.sync_dir(directory)

    def _rename_new(self, directory: str, new: str, name: str) -> None:
        left = MOVE_TRIES
        while True:
            left -= 1
            try:
                os.rename(f"{directory}/{new}", f"{directory}/{name}")
                return
            except OSError as error:
                # Nobody else moves our new file, so where it is gone from its directory the rename was executed; where
                # it is still there, not even ENOENT says that the directory is missing.
                names = self.names_or_none(directory) if error.errno in AMBIGUOUS else None
                if names is None or (new in names and not left) or (new not in names and name not in names):
                    raise
                if new not in names:
                    return

    def append_to(self, path: str) -> Appender:
        return Appender(path)

    def append_once(self, path: str, data: bytes) -> None:
        """Appends to a file that no other process appends to, in one go."""
        file = Appender(path)
        try:
            file.append(data)
        finally:
            file.close()

    # --- moving ------------------------------------------------------------------------------------------------

    def swap(self, source: str, target: str) -> OSError | None:
        """One rename as a compare-and-swap; ``None`` if it was answered with success, else the answer.

        A caller that is given an error lists and decides anew: the rename may have been executed all the same.

        Raises:
            OSError: one that says that the rename was not executed.
        """
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno not in AMBIGUOUS:
                raise
            return error
        return None

    def try_move(
        self, source_dir: str, source: str, target_dir: str, target: str, *, left: list[str] | None = None
    ) -> bool:
        """One rename, with the second look; whether the target is there.

        Args:
            source_dir: directory of the file.
            source: its name.
            target_dir: where it is to go.
            target: its name there.
            left: after a loss, receives what ``source_dir`` seemed to hold when we looked last.

        Where the target's name carries the mover, ``True`` means "done by me"; where it does not, "done by somebody".

        RACE: ``False`` is provisional. A rename that was lost on the way can still be executed after we have looked;
        then the token lies under a name that we own, and reconciling finds it there.

        Raises:
            OSError: an error that a second try would not cure, or one that stayed for 4 tries.
        """
        failed = None
        for _ in range(MOVE_TRIES):
            try:
                os.rename(f"{source_dir}/{source}", f"{target_dir}/{target}")
                return True
            except OSError as error:
                if error.errno not in AMBIGUOUS:
                    raise
                failed = error
            if self.has(target_dir, target):
                return True
            names = self.names_or_none(source_dir) or []
            if left is not None:
                # NFS: also where it still shows the source, for then whoever called should not believe the next one.
                left[:] = names
            if source not in names:
                return False
        if failed is not None and failed.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise failed
        return False

    def publish(self, source_dir: str, target_dir: str, name: str, stamp: Stamp) -> bool:
        """Renames a file over whatever has its name in another directory; whether it lies there, by whomever.

        Only the very file with this stamp is moved. Where it is not (any more) what lies at the target decides: it
        was moved already, or it is lost.

        Raises:
            OSError: an error that a second try would not cure, or one that stayed for 4 tries.
        """
        failed = None
        for _ in range(MOVE_TRIES):
            if self.stamp(source_dir, name) != stamp:
                return self.stamp(target_dir, name) == stamp
            try:
                os.rename(f"{source_dir}/{name}", f"{target_dir}/{name}")
                return True
            except OSError as error:
                if error.errno not in AMBIGUOUS:
                    raise
                failed = error
        assert failed is not None
        raise failed

    def try_unlink(self, path: str) -> bool:
        """Removes a file; whether it was there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def take_out(self, directory: str, name: str) -> None:
        """Removes a file, so that no later listing shows its name.

        SMB: a host keeps a file open for a second after it has closed it, and so long an unlinked name stays listed. A
        renamed one does not. CRASH: between the two a ``.gone-`` file is left, which nobody reads.
        """
        path = f"{directory}/{name}"
        if self._kind(directory) in LINGERING_KINDS:
            gone = f"{directory}/.gone-{name}-{self.chance.getrandbits(32):08x}"
            if self.swap(path, gone) is None:
                path = gone
        self.try_unlink(path)

    def try_set_aside(self, path: str) -> str | None:
        """Renames a file or directory, for people to find beside its old name; where to, if the answer was success.

        Raises:
            OSError: one that says that it was not done.
        """
        aside = f"{path}.job-{self.chance.getrandbits(32):08x}"
        return aside if self.swap(path, aside) is None else None

    def lock(self, path: str) -> Lock:
        return Lock(path)

    def is_locked(self, path: str) -> bool:
        """Whether somebody else holds the lock on a file. What cannot be asked counts as held; a missing file does not.

        NFS: a share mounted with ``nolock`` says no, whatever is true.
        """
        import portalocker

        try:
            with open(path, "rb+") as file:
                portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except FileNotFoundError:
            return False
        except (portalocker.LockException, OSError):
            return True
        return False

    def try_soft_lock(self, path: str) -> Callable[[], None] | None:
        """Takes a lock that is nothing but a file that must not be there yet; ``None`` if it is taken.

        For `jobqueue doctor`, which tells whether other programs may rely on such locks. Source: open(2), O_EXCL.

        Returns:
            What releases it.
        """
        import filelock

        lock = filelock.SoftFileLock(path)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return None
        return lock.release

    # --- directories -------------------------------------------------------------------------------------------

    def make_dir(self, path: str, mode: int = 0o777) -> None:
        os.mkdir(path, mode)

    def try_make_dir(self, path: str) -> bool:
        """Makes a directory; ``False`` if the name is taken. NFS: the taker may be our own call, answered twice."""
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        return True

    def make_dirs_below(self, base: str, place: str) -> str:
        """Makes the directories that ``place`` names below ``base``, where they are missing; the last one's path.

        Raises:
            FileNotFoundError: ``base`` is missing; it is never made, for then somebody has deleted it.
        """
        path = base
        for part in place.split("/"):
            path = f"{path}/{part}"
            self.try_make_dir(path)
        return path

    def remove_dir(self, path: str) -> Removal:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return Removal.MISSING
        except OSError as error:
            # Source: rmdir(2) allows either for a directory that is not empty.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return Removal.NOT_EMPTY
        return Removal.REMOVED

    def remove_tree(
        self,
        path: str,
        *,
        found: Callable[[str, list[str]], None] = lambda _directory, _names: None,
        until: float | None = None,
        removed: Callable[[], None] = lambda: None,
    ) -> bool:
        """Removes a directory and all below it, as far as it goes; whether nothing is left.

        A symbolic link is removed and never followed, also where it is ``path`` itself; so is a file in its place.

        Args:
            path: of the directory.
            found: is told each directory that holds something, with the names of its files before they are removed.
            until: by `Clock.monotonic`; then it stops, and goes on where it is called again.
            removed: told after each name that was removed.

        NFS: a file that somebody holds open stays as ``.nfs...`` and keeps its directory.
        """
        pending = [(path, False)]
        whole = True
        while pending:
            directory, emptied = pending.pop()
            if emptied:
                whole = self.remove_dir(directory) is not Removal.NOT_EMPTY and whole
                removed()
                if pending and self._is_over(until):
                    return False
                continue
            listed = self._listed_if_full(directory)
            if listed is None:
                removed()
                if pending and self._is_over(until):
                    return False
                continue
            pending.append((directory, True))
            found(directory, [name for name, kind in listed if kind is not Kind.DIRECTORY])
            for name, kind in listed:
                if kind is Kind.DIRECTORY:
                    pending.append((f"{directory}/{name}", False))
                    continue
                self.try_unlink(f"{directory}/{name}")
                removed()
                # Not before, so that each call comes further, however long the listing has taken.
                if self._is_over(until):
                    return False
        return whole

    def _listed_if_full(self, directory: str) -> list[tuple[str, Kind]] | None:
        """What a directory holds that is to be removed; ``None``: nothing, and it is gone, or what lay in its place is.

        To find a directory empty costs as much as to remove ten. Of a job's directories those that lie equally deep are
        most often alike: so where the last one was empty, the next one is removed without a look, if that succeeds.
        """
        depth = directory.count("/")
        try:
            if self._were_empty.get(depth) and self.remove_dir(directory) is not Removal.NOT_EMPTY:
                return None
            listed = self._entries(directory)
        except NotADirectoryError:
            listed = None
        except FileNotFoundError:
            return None
        if listed is None:
            self.try_unlink(directory)
        else:
            self._were_empty[depth] = not listed
        return listed

    def _is_over(self, until: float | None) -> bool:
        return until is not None and self.clock.monotonic() >= until

    def own_names(self, directory: str) -> list[str] | None:
        """The names in a directory, or ``None`` if it is missing, or a file or a symbolic link is in its place."""
        try:
            found = self._entries(directory)
        except FileNotFoundError:
            return None
        return None if found is None else [name for name, _ in found]

    def contents(self, directory: str) -> Contents | None:
        """All that a directory holds, whatever this host remembers of it; ``None`` as for `own_names`.

        NFS: as `names_afresh`, but for the tick: whoever calls this has let it pass (`wait_a_tick`).
        """
        try:
            fd = self._open_own(directory)
        except FileNotFoundError:
            return None
        if fd is None:
            return None
        with _Naming(directory):
            try:
                if self.is_remote(directory):
                    os.utime(fd)
                return Contents(os.fstat(fd).st_mode, self._kinds(fd))
            finally:
                os.close(fd)

    def _entries(self, directory: str) -> list[tuple[str, Kind]] | None:
        """The names in a directory, each with what it is itself. ``None``: it is a file or a symbolic link."""
        fd = self._open_own(directory)
        if fd is None:
            return None
        with _Naming(directory):
            try:
                return self._kinds(fd)
            finally:
                os.close(fd)

    def _open_own(self, directory: str) -> int | None:
        """Opens a directory; ``None``: it is a file or a symbolic link.

        RACE: it was opened as none, so what is listed is its own, whatever takes its place meanwhile.
        """
        try:
            return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            # Source: open(2) with O_DIRECTORY and O_NOFOLLOW, of a file or of a symbolic link.
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def _kinds(self, fd: int) -> list[tuple[str, Kind]]:
        with os.scandir(fd) as entries:
            return [(entry.name, _kind_of(entry)) for entry in entries]

    def link_for_people(self, target: str, path: str) -> None:
        """A symbolic link to browse by; nothing reads it."""
        os.symlink(target, path)

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

    def take_rights(self, path: str, rights: int) -> None:
        """Takes from a file of ours the permission bits that are not among ``rights``."""
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & ~rights:
            os.chmod(path, mode & rights)

    def try_make_writable(self, directory: str) -> bool:
        """Gives this user all rights to a directory of ours; ``False`` if they were there."""
        mode = stat.S_IMODE(os.stat(directory).st_mode)
        if mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        os.chmod(directory, mode | stat.S_IRWXU)
        return True

    def enter(self, directory: str) -> None:
        """Makes ``directory`` this process's working directory."""
        os.chdir(directory)

    # --- lasting -----------------------------------------------------------------------------------------------

    def sync_dir(self, directory: str, *, beside: str | None = None) -> None:
        """Makes the names in a directory last, where that is a call: a server has written them when it answers.

        Args:
            directory: the directory.
            beside: one on the same file system, which is asked for its kind where ``directory`` is one of many.
        """
        kind = self._kind(beside or directory)
        if kind in SERVED_KINDS:
            return
        if kind in LAZY_KINDS:
            self._sync_by_file(directory)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with _Naming(directory):
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def sync_everything(self, directory: str) -> None:
        """Makes all that lies on the file system of ``directory`` last, with one call. Source: syncfs(2)."""
        kind = self._kind(directory)
        if kind in SERVED_KINDS:
            return
        if kind in LAZY_KINDS:
            self._sync_by_file(directory)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with _Naming(directory):
            try:
                system.sync_file_system(fd, directory)
            finally:
                os.close(fd)

    def _sync_by_file(self, directory: str) -> None:
        """Makes the names on a share last whose server syncs files alone.

        SMB: a server whose file system keeps a journal writes all that came before with the file. Measured with Samba
        over ext4: without this the last seconds' names were gone after a power cut of the server, renames included.
        """
        path = f"{directory}/.new-sync-{self.chance.getrandbits(32):08x}"
        try:
            self.write_new(path, b"\n")
        finally:
            self.try_unlink(path)

    def touch(self, path: str) -> None:
        """Sets a file's or directory's modification time to the server's present. Source: utimensat(2), UTIME_NOW."""
        os.utime(path)
