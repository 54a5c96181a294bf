"""What a job prints: kept on the local disk first, and copied to the attempt's directory as it grows.

The two files of a `Spool` take whatever comes through file descriptors 1 and 2, from the procedure itself, from C code
and from commands alike. So a job never waits for the share to print a line, an attempt that prints nothing costs the
share no call, and what was printed before a crash is still there for whoever holds the other end: the slot's
supervisor.
"""

from __future__ import annotations

import fcntl
import functools
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TextIO

from jobqueue.layout import AttemptLayout
from jobqueue.share import MOVE_TRIES, Share

_BLOCK_BYTES = 1 << 20


@functools.cache
def _libc() -> Any:
    import ctypes  # late: 10 ms, which a process that runs no jobs need not pay

    return ctypes.CDLL(None)


def save_in_the_way(share: Share, directory: str, path: str, write: Callable[[], None]) -> list[str]:
    """Writes a file of ours into an attempt's directory, whatever its job has done there.

    A job may give our names to directories, FIFOs and links, and take away the right to write. What is in the way is
    set aside, for people.

    Args:
        share: to write with.
        directory: the attempt's.
        path: of the file.
        write: writes it; can be repeated, also after it was moved.

    Returns:
        Where that lies by now which was in the way.

    Raises:
        OSError: the share does not take it.
    """
    moved: list[str] = []
    for _ in range(MOVE_TRIES):
        try:
            write()
            return moved
        except (IsADirectoryError, PermissionError) as error:
            failed = error
        if not (isinstance(failed, PermissionError) and share.try_make_writable(directory)):
            aside = share.try_set_aside(path)
            moved += [aside] if aside else []
    raise failed


def _is_shut(text: TextIO) -> bool:
    """Whether a text file takes nothing any more: a job may have closed it, or taken away what is below it."""
    try:
        return text.closed
    except ValueError:
        # Source: io.TextIOBase.detach.
        return True


class _Stream:
    """One of the two files, and how far it has been copied."""

    def __init__(self) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(buffering=0, prefix="jobqueue-")
        # Several processes write to it, each at the end, also after it was emptied. (The mode "a" of tempfile does not
        # ask for that.)
        fd = self.file.fileno()
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        self.copied: int | None = 0
        self._text: TextIO | None = None
        # What tells it from what a job may have put in its place.
        self._identity = os.fstat(fd)[1:3]

    @property
    def text(self) -> TextIO:
        if self._text is None or _is_shut(self._text):
            raw = io.FileIO(os.dup(self.file.fileno()), "a")
            self._text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="", write_through=True)
        return self._text

    def size_at(self, fd: int) -> int | None:
        """How much was printed, if a descriptor is still that of this file."""
        try:
            seen = os.fstat(fd)
        except OSError:
            return None
        return seen.st_size if seen[1:3] == self._identity else None

    def close(self) -> None:
        if self._text is not None:
            self._text.close()
        self.file.close()

    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def begin(self) -> None:
        if self.size():
            os.ftruncate(self.file.fileno(), 0)
        self.copied = 0

    def copy(self, share: Share, path: str) -> None:
        size = self.size()
        # The spool and the attempt's file begin at the same byte, so what the file lacks follows from its size.
        at = share.size(path) if self.copied is None else self.copied
        if at >= size:
            self.copied = at
            return
        self.copied = None
        into = share.append_to(path)
        try:
            # RACE: the job may cut its output short (`echo > /dev/stdout`); then there is less than there was.
            while block := os.pread(self.file.fileno(), min(_BLOCK_BYTES, size - at), at):
                into.append(block)
                at += len(block)
        finally:
            into.close()
        self.copied = at


class Spool:
    """The local files of one slot's two streams; used for one attempt at a time."""

    def __init__(self) -> None:
        self._streams = (_Stream(), _Stream())
        # Here, and not in the first job's time: a worker makes its spools before it forks its slots.
        _libc()
        self._lock = threading.Lock()

    @property
    def stdout(self) -> TextIO:
        """An open text file that appends to the standard output."""
        return self._streams[0].text

    @property
    def stderr(self) -> TextIO:
        """An open text file that appends to the standard error."""
        return self._streams[1].text

    def begin(self) -> None:
        """Empties both for a new attempt."""
        with self._lock:
            for stream in self._streams:
                stream.begin()

    def copy(self, share: Share, attempt: AttemptLayout) -> None:
        """Appends to the attempt's files what they lack, while it runs.

        Raises:
            NotPlainError: the job has made something else of that name; `save` makes room.
            OSError: the share does not take it; calling again later goes on where it stopped.

        Files:
            Writes ``stdout`` and ``stderr`` of the attempt.
        """
        with self._lock:
            for stream, path in self._with_paths(attempt):
                stream.copy(share, path)

    def save(self, share: Share, attempt: AttemptLayout, *, after_crash: bool = False) -> list[str]:
        """The same when the attempt has ended; what its job has put in the way is set aside.

        Args:
            share: to write with.
            attempt: the attempt that has printed it.
            after_crash: another process has copied a part; how much is seen from the files.

        Returns:
            Where that lies by now which was in the way.

        Raises:
            OSError: the share does not take it; calling again later goes on where it stopped.

        Files:
            Writes ``stdout`` and ``stderr`` of the attempt.
        """
        moved = []
        with self._lock:
            for stream, path in self._with_paths(attempt):
                if after_crash:
                    stream.copied = None
                moved += save_in_the_way(share, attempt.dir, path, functools.partial(stream.copy, share, path))
        return moved

    def _with_paths(self, attempt: AttemptLayout) -> Iterator[tuple[_Stream, str]]:
        return zip(self._streams, (attempt.stdout, attempt.stderr), strict=True)

    def taken_back(self) -> tuple[int, int]:
        """As `take_back`, for as little as can be; how many bytes were printed to each since it was emptied."""
        sizes = self._sizes_if_in_place()
        if sizes is None:
            self.take_back()
            sizes = self._streams[0].size(), self._streams[1].size()
        return sizes

    def is_empty(self) -> bool:
        """Whether nothing has been printed by now."""
        return not any(stream.size() for stream in self._streams)

    def _sizes_if_in_place(self) -> tuple[int, int] | None:
        """How much was printed to each, where the job has left both in their places."""
        if sys.stdout is not self.stdout or sys.stderr is not self.stderr:
            return None
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except Exception:  # noqa: BLE001  a job may have put anything into them; `take_back` makes them anew
            return None
        _libc().fflush(None)
        out, err = self._streams[0].size_at(1), self._streams[1].size_at(2)
        return None if out is None or err is None else (out, err)

    def fds(self) -> list[int]:
        """The file descriptors of the two files."""
        return [stream.file.fileno() for stream in self._streams]

    def close(self) -> None:
        """Gives the local disk back what it holds."""
        for stream in self._streams:
            stream.close()

    def take_over(self) -> None:
        """Makes the two this process's standard streams for good."""
        for number, stream in enumerate(self._streams, start=1):
            os.dup2(stream.file.fileno(), number)
        sys.stdout, sys.stderr = self.stdout, self.stderr

    def take_back(self) -> None:
        """Makes sure that what a job has printed is in the two, and that they are the standard streams again.

        Order matters: nothing of ours may be opened before this, for it might be given the number of a stream that the
        job has closed.
        """
        for stream in (sys.stdout, sys.stderr):
            # A job may have put anything there, which is lost with whatever it has not written.
            with suppress(Exception):
                stream.flush()
        # What C code has printed would else come out in the middle of another job.
        _libc().fflush(None)
        self.take_over()

    @contextmanager
    def captured(self) -> Iterator[None]:
        """Makes the two this process's standard streams for a while; those of all its threads."""
        before = sys.stdout, sys.stderr
        for stream in before:
            stream.flush()
        saved = [os.dup(number) for number in (1, 2)]
        try:
            self.take_over()
            yield
        finally:
            for number, fd in enumerate(saved, start=1):
                os.dup2(fd, number)
                os.close(fd)
            sys.stdout, sys.stderr = before
