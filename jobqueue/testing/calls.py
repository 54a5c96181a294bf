"""The system calls of one process on the model share, and how they are answered."""

from __future__ import annotations

import errno
import os
import posixpath
import random
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, TypeVar

from jobqueue.share import Mount
from jobqueue.testing.anomalies import REFUSALS
from jobqueue.testing.host import ModelHost
from jobqueue.testing.process import ModelCall, ModelProcess, ProcessEnded, Watcher
from jobqueue.testing.server import Directory, File, refuse

T = TypeVar("T")
_FIRST_FD = 1000
_RIGHTS = 0o777


class _Open:
    """What lies behind a file descriptor."""

    __slots__ = ("node", "path")

    def __init__(self, node: File | Directory, path: str) -> None:
        self.node = node
        self.path = path


class _Stat(NamedTuple):
    """As much of os.stat_result as share reads."""

    st_mode: int
    st_ino: int
    st_uid: int
    st_size: int
    st_mtime: float
    st_mtime_ns: int
    st_ctime: float


class _DirEntry(NamedTuple):
    """As much of os.DirEntry as share reads."""

    name: str
    node: File | Directory

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002  there are no links to follow
        return isinstance(self.node, Directory)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002  the same
        return isinstance(self.node, File)


class _Scan(list[_DirEntry]):
    """As much of what os.scandir returns as share uses."""

    def __enter__(self) -> _Scan:  # noqa: PYI034  Python 3.10 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""


class _ReadFile:
    """As much of a raw file object as share uses."""

    def __init__(self, calls: ModelCalls, fd: int) -> None:
        self._calls = calls
        self._fd = fd

    def __enter__(self) -> _ReadFile:  # noqa: PYI034  Python 3.10 has no Self
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._calls.close(self._fd)

    def readall(self) -> bytes:
        return self._calls.pread(self._fd, 1 << 40, 0)


class ModelCalls(ModelProcess):
    """Stands in for ``os`` in share, for one process; see `ModelProcess`."""

    # What the real one has, too.
    O_RDONLY, O_WRONLY, O_RDWR = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
    O_CREAT, O_EXCL, O_APPEND = os.O_CREAT, os.O_EXCL, os.O_APPEND
    O_DIRECTORY, O_CLOEXEC, O_NONBLOCK, O_NOFOLLOW = os.O_DIRECTORY, os.O_CLOEXEC, os.O_NONBLOCK, os.O_NOFOLLOW
    strerror = staticmethod(os.strerror)

    def __init__(
        self, host: ModelHost, chance: random.Random, watcher: Watcher | None = None, name: str = "process"
    ) -> None:
        super().__init__(host, chance, watcher, name)
        self.path = _PathCalls(self)
        self._fds: dict[int, _Open] = {}
        self._next_fd = _FIRST_FD
        self._locked: list[File] = []

    # --- the end -------------------------------------------------------------------------------------------------

    def _forget(self, answer: object) -> None:
        if type(answer) is int and answer in self._fds:
            self._close(answer)

    def _end(self) -> None:
        for fd in list(self._fds):
            self._close(fd)
        for file in self._locked:
            self.host.unlock(file, self)

    # --- names ---------------------------------------------------------------------------------------------------

    def rename(self, source: str, target: str) -> None:
        def do() -> None:
            here, there = self.host.place(source), self.host.place(target)
            self.host.check_source(here[0], here[1], source)
            if there[1] in there[0].entries and here[1] in here[0].entries:
                self.host.let_go(*there)
            self.server.rename(here, there)
            self.host.changed(here[0])
            self.host.changed(there[0])
            self.host.remember(there[0], there[1])

        self._call(ModelCall("rename", source, target), do)

    def listdir(self, path: str | int) -> list[str]:
        if isinstance(path, int):
            return self._names_of(path)

        def do() -> list[str]:
            # Opening it asks the server whether it still is there, so only an open one can be stale.
            return self.host.names(self.host.directory(path), path)

        return self._call(ModelCall("listdir", path), do)

    def scandir(self, place: str | int) -> _Scan:
        """Of a path or of a descriptor."""
        opened = self._fds[place] if isinstance(place, int) else None
        path = opened.path if opened else str(place)

        def do() -> _Scan:
            directory = opened.node if opened else self.host.directory(path)
            assert isinstance(directory, Directory)
            names, entries = self.host.names(directory, path), directory.entries
            return _Scan(_DirEntry(name, entries[name]) for name in names if name in entries)

        return self._call(ModelCall("scandir", path), do)

    def mkdir(self, path: str, mode: int = _RIGHTS) -> None:
        def do() -> None:
            directory, name, _ = self.host.place(path)
            self.server.make_dir(directory, name, path, mode & ~0o022)
            self.host.changed(directory)
            self.host.remember(directory, name)

        self._call(ModelCall("mkdir", path), do)

    def rmdir(self, path: str) -> None:
        def do() -> None:
            directory, name, _ = self.host.place(path)
            self.server.remove_dir(directory, name, path)
            self.host.changed(directory)

        self._call(ModelCall("rmdir", path), do)

    def unlink(self, path: str) -> None:
        def do() -> None:
            directory, name, _ = self.host.place(path)
            self.host.check_source(directory, name, path)
            if not self.host.let_go(directory, name, path) and not self.host.doom(directory, name, path):
                self.server.unlink(directory, name, path)
            self.host.changed(directory)

        self._call(ModelCall("unlink", path), do)

    def symlink(self, target: str, path: str) -> None:
        def do() -> None:
            directory, name, _ = self.host.place(path)
            if name in directory.entries:
                refuse(errno.EEXIST, path)
            self.server.make_file(directory, name, path, "symlink").content = target.encode()
            self.host.changed(directory)

        self._call(ModelCall("symlink", path), do)

    def utime(self, place: str | int) -> None:
        """Of a path or of a descriptor."""
        opened = self._opened(place) if isinstance(place, int) else None
        path = opened.path if opened else str(place)

        def do() -> None:
            if opened is not None:
                node = opened.node
            else:
                node = self.host.directory(path) if path in ("", "/") else self.host.look_up(path)
            node.tick = self.server.tick

        self._call(ModelCall("utime", path), do)

    def chmod(self, path: str, mode: int) -> None:
        def do() -> None:
            node = self.host.look_up(path)
            if isinstance(node, Directory):
                node.mode = mode

        self._call(ModelCall("chmod", path), do)

    def stat(self, path: str, *, follow_symlinks: bool = True) -> _Stat:  # noqa: ARG002  nobody follows one
        return self._call(ModelCall("stat", path), lambda: self._stat(self.host.remembered(path), is_fresh=False))

    def chdir(self, path: str) -> None:
        """Goes nowhere: the process is the test's, too."""
        self._call(ModelCall("chdir", path), lambda: self.host.directory(path))

    def _stat(self, node: File | Directory, *, is_fresh: bool) -> _Stat:
        tick, size = (node.tick, self.host.size(node)) if is_fresh else self.host.attributes(node)
        mode = 0o040000 | node.mode if isinstance(node, Directory) else 0o100644
        changed_at = self.server.changed_at(tick)
        return _Stat(mode, self.server.inode(node), os.geteuid(), size, changed_at, int(changed_at * 1e9), changed_at)

    # --- open files ----------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int, _mode: int = _RIGHTS) -> int:
        makes = bool(flags & os.O_CREAT)

        def do() -> int:
            node: File | Directory
            if makes:
                directory, name, _ = self.host.place(path)
                node = directory.entries.get(name) or self.server.make_file(directory, name, path)
                self.host.check_doom(node, path)
                self.host.changed(directory)
                self.host.remember(directory, name)
            else:
                node = self.host.directory(path) if flags & os.O_DIRECTORY else self.host.look_up(path)
            if isinstance(node, Directory) and flags & (os.O_WRONLY | os.O_RDWR):
                refuse(errno.EISDIR, path)
            if isinstance(node, File):
                self.host.open[node] += 1
                node.holders += 1
            self._next_fd += 1
            self._fds[self._next_fd] = _Open(node, path)
            return self._next_fd

        return self._call(ModelCall("create" if makes else "open", path), do)

    def open_file(self, path: str, mode: str, buffering: int) -> _ReadFile:
        """The built-in ``open``, as share uses it."""
        assert (mode, buffering) == ("rb", 0), "share opens files in another way than the model knows"
        return _ReadFile(self, self.open(path, os.O_RDONLY))

    def close(self, fd: int) -> None:
        self.made += 1
        self._close(fd)
        if self.is_dead:
            raise ProcessEnded

    def _close(self, fd: int) -> None:
        opened = self._fds.pop(fd, None)
        if opened is not None and isinstance(opened.node, File):
            self.host.close(opened.node)

    def _opened(self, fd: int) -> _Open:
        if self.is_dead:
            # Its files are closed by now.
            raise ProcessEnded
        return self._fds[fd]

    def write(self, fd: int, data: bytes | memoryview) -> int:
        opened = self._opened(fd)

        def do(part: bytes) -> int:
            self.host.write(self._file(opened), part)
            return len(part)

        whole = bytes(data)
        try:
            return self._call(ModelCall("write", opened.path), lambda: do(whole))
        except OSError as error:
            # Where room has run out in the middle, a part was written, and write(2) says how much.
            if error.errno not in REFUSALS or len(whole) < 2 or self.chance.random() < 0.5:
                raise
            return do(whole[: len(whole) // 2])

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        opened = self._opened(fd)

        def do() -> bytes:
            return self.host.content(self._file(opened))[offset : offset + size]

        return self._call(ModelCall("read", opened.path), do)

    def fstat(self, fd: int) -> _Stat:
        # Opening the file has just asked the server.
        return self._stat(self._opened(fd).node, is_fresh=True)

    def fsync(self, fd: int) -> None:
        opened = self._opened(fd)

        def do() -> None:
            if isinstance(opened.node, Directory):
                self.server.sync_names(opened.node)
                return
            self.host.flush(opened.node)
            opened.node.lasting = len(opened.node.content)

        self._call(ModelCall("fsync", opened.path), do)

    def _file(self, opened: _Open) -> File:
        if isinstance(opened.node, Directory):
            refuse(errno.EISDIR, opened.path)
        return opened.node

    def _names_of(self, fd: int) -> list[str]:
        opened = self._opened(fd)
        assert isinstance(opened.node, Directory)
        directory = opened.node
        return self._call(ModelCall("listdir", opened.path), lambda: self.host.names(directory, opened.path))

    # --- what share takes from the module system ----------------------------------------------------------------

    def names_bit_by_bit(self, fd: int) -> Iterator[list[str]]:
        yield self._names_of(fd)

    def sync_file_system(self, _fd: int, path: str) -> None:
        self._call(ModelCall("syncfs", path), self.server.sync_everything)

    def calls_made(self) -> int:
        return self.made

    def mount_of(self, _path: str) -> Mount:
        return Mount("/", self.server.kind, "server:/", ("rw",))

    # --- locks ---------------------------------------------------------------------------------------------------

    def lock(self, path: str) -> int:
        """Locks a file, which is made if it is missing; a file descriptor of it.

        Raises:
            OSError: somebody else holds it (EAGAIN), or the share takes no locks.
        """
        fd = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        file = self._file(self._opened(fd))
        try:
            if not self._call(ModelCall("lock", path), lambda: self.host.try_lock(file, self)):
                refuse(errno.EAGAIN, path)
        except OSError:
            self._close(fd)
            raise
        self._locked.append(file)
        return fd

    def is_locked(self, path: str) -> bool:
        """Whether somebody else holds the lock on a file; a missing one is not locked, and what cannot be asked is."""

        def do() -> bool:
            file = self.host.look_up(path)
            return isinstance(file, File) and self.host.is_locked(file)

        try:
            return self._call(ModelCall("lock?", path), do)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def unlock(self, fd: int) -> None:
        file = self._file(self._opened(fd))
        self.host.unlock(file, self)
        self._locked.remove(file)
        self._close(fd)


class _PathCalls:
    """Stands in for ``os.path`` in share."""

    split = staticmethod(posixpath.split)

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    def isdir(self, path: str) -> bool:
        calls = self._calls

        def do() -> bool:
            try:
                return isinstance(calls.host.look_up(path), Directory)
            except OSError:
                return False

        # A wrong answer is a lie about what is there, not an exception. Source: os.path.isdir.
        try:
            return calls._call(ModelCall("stat", path), do)
        except OSError:
            return False
