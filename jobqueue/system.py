"""What the kernel offers and Python's ``os`` does not, and a count of what is called: for share alone."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_FEW_NAMES_BYTES = 1024
# What asks a server, as far as this host does not know the answer: everything by a name, syncing, and closing.
_ASKING = (
    "chdir", "chmod", "close", "fsync", "listdir", "mkdir", "open", "rename", "rmdir", "scandir", "stat", "symlink",
    "unlink", "utime",
)  # fmt: skip


class _Counted:
    """The module ``os``, with a count.

    Attributes:
        calls: how many calls that ask a server were made so far.
    """

    def __init__(self) -> None:
        self.calls = 0
        for name in _ASKING:
            setattr(self, name, self._counted(getattr(os, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return function(*args, **kwargs)

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


counted_os = _Counted()


def calls_made() -> int:
    """How many calls that ask a server this process has made by way of `counted_os`."""
    return counted_os.calls


@functools.cache
def _libc() -> Any:
    import ctypes  # late: 10 ms, which commands that only look need not pay

    return ctypes.CDLL(None, use_errno=True)


def _libc_error(path: str | None = None) -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def sync_file_system(fd: int, path: str) -> None:
    """Makes everything on the file system of an open directory last. Source: syncfs(2).

    Raises:
        OSError: it could not be written; ``path`` is named in it.
    """
    if _libc().syncfs(fd) != 0:
        raise _libc_error(path)


def names_bit_by_bit(fd: int) -> Iterator[list[str]]:
    """The names in an open directory, in small pieces. Source: getdents64(2), struct linux_dirent64."""
    import ctypes

    if not hasattr(_libc(), "getdents64"):
        # Source: the GNU C library has it from version 2.30 on. Without it a look costs more, and finds the same.
        yield os.listdir(fd)
        return
    buffer = ctypes.create_string_buffer(_FEW_NAMES_BYTES)
    while True:
        filled = _libc().getdents64(fd, buffer, _FEW_NAMES_BYTES)
        if filled < 0:
            raise _libc_error()
        if filled == 0:
            return
        entries = buffer.raw[:filled]
        names = []
        at = 0
        while at < filled:
            length = int.from_bytes(entries[at + 16 : at + 18], sys.byteorder)
            name = os.fsdecode(entries[at + 19 : at + length].partition(b"\0")[0])
            if name not in (".", ".."):
                names.append(name)
            at += length
        yield names


class Mount(NamedTuple):
    """A mounted file system.

    Attributes:
        point: the directory on which it is mounted.
        kind: of the file system.
        source: what is mounted, as whoever mounted it has named it.
        options: of the mount and of the file system.
    """

    point: str
    kind: str
    source: str
    options: tuple[str, ...]


def mount_of(path: str) -> Mount | None:
    """The mount that ``path`` lies on, or ``None``. Source: proc(5), /proc/PID/mountinfo."""
    found: Mount | None = None
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(" ")
            # Blanks in a mount point are written as octal numbers.
            point = fields[4].replace("\\040", " ")
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            # The last of several mounts on one point is the one that is seen.
            if inside and len(point) >= len(found.point if found else ""):
                kind, source, *more = fields[fields.index("-") + 1 :]
                options = ",".join([fields[5], *more]).split(",")
                found = Mount(point, kind, source.replace("\\040", " "), tuple(dict.fromkeys(options)))
    return found
