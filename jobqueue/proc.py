"""JobProc, the base of all job procedures (public)."""

from __future__ import annotations

import codecs
import io
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TextIO

from jobqueue.errors import JobStateError

_BLOCK_BYTES = 65_536


class AttemptSeam(Protocol):
    """What a procedure sees of the attempt that runs it."""

    running_dir: str

    @property
    def stdout(self) -> TextIO: ...
    @property
    def stderr(self) -> TextIO: ...

    def show_progress(self, progress: float) -> None: ...
    def show_status(self, line: str) -> None: ...
    def mark_error(self) -> None: ...
    def output(self, path: str) -> str: ...
    def output_folder(self, directory: str) -> str:
        """Where a program is to write that makes up the names of its files by itself, all of them for ``directory``."""
        ...

    def adopt_outputs(self, directory: str) -> list[str]:
        """Declares all files that were written there as outputs; their final paths."""
        ...


class JobProc:
    """A job procedure: what a job does when its turn comes.

    Derive from it, keep the parameters in the constructor, do the work in `run`. The constructor may be called several
    times for one job (once when it is submitted, to check the parameters), so nothing may happen in it; what is to be
    done exactly once belongs in `postCreate`.

    Not guaranteed: that `run` is called only once. A machine can die in the middle of it; the job is then run again.

    Args:
        label: a short text for people, shown by ``jobqueue list`` and ``tree``.
    """

    def __init__(self, label: str | None = None) -> None:
        self._label = label

    # --- to be overridden --------------------------------------------------------------------------------------

    def run(self) -> object:
        """Does the work, with `runningDir` as the working directory.

        Returns:
            ``None``, or a value of the kinds that a parameter may have, which is kept in the job's record and can be
            read with `JobHandle.result`.

        Raises:
            Exception: any; the job has failed then, and the traceback is kept.
        """
        return None

    def postCreate(self, jobDir: str) -> None:
        """Called exactly once, when the job is created, before anything is published.

        Args:
            jobDir: the job's final directory. No file that is written there may hold an absolute path of the queue,
                so that the queue can be moved.
        """

    def stdoutCallback(self, lineNr: int, line: str) -> None:
        """Called for every line that a command of `execCmd` writes to its standard output.

        Args:
            lineNr: the line's number in this command's output, from 1.
            line: the line with its line end; a carriage return ends a line, too.
        """

    def stderrCallback(self, lineNr: int, line: str) -> None:
        """The same as `stdoutCallback`, for the standard error."""

    # --- to be called ------------------------------------------------------------------------------------------

    @property
    def label(self) -> str | None:
        """The text that the constructor was given."""
        # A procedure that does not call our constructor has no label, and is none the worse for it.
        return getattr(self, "_label", None)

    @property
    def runningDir(self) -> str | None:
        """The directory of this attempt, absolute; ``None`` while the job does not run."""
        seam = self._seam()
        return seam.running_dir if seam else None

    @property
    def stdout(self) -> TextIO:
        """The job's standard output, an open text file during `run`; before, the process's own."""
        seam = self._seam()
        return seam.stdout if seam else sys.stdout

    @property
    def stderr(self) -> TextIO:
        """The job's standard error, an open text file during `run`; before, the process's own."""
        seam = self._seam()
        return seam.stderr if seam else sys.stderr

    def setProgress(self, value: float) -> None:
        """Says how far the job is.

        Args:
            value: percent; clamped to 0..100.
        """
        seam = self._seam()
        if seam:
            seam.show_progress(min(100.0, max(0.0, float(value))))

    def setStatusLine(self, s: str) -> None:
        """Says in one line what the job is doing."""
        seam = self._seam()
        if seam:
            seam.show_status(s)

    def setError(self) -> None:
        """Makes the job fail when `run` has returned."""
        seam = self._seam()
        if seam:
            seam.mark_error()

    def output(self, path: str | os.PathLike[str]) -> str:
        """Declares a file that this job makes, and says where to write it.

        The file is published when the job has succeeded: it appears under its final name whole, or not at all, in
        place of whatever has that name. An attempt that failed, died or came too late never touches the final name.
        What else is written beside it, in the same temporary directory, is removed.

        Args:
            path: the final name, absolute. A relative one would lie in `runningDir`, which is this attempt's own and
                needs no protection. The directory has to exist, on any file system that is not in the queue.

        Returns:
            The path to write to until `run` returns: in a directory of this attempt's own beside the final one, with
            the same base name and extension. For a path that was declared before it is the same again.

        Raises:
            JobStateError: the job is not running, or this is a child process that it has forked.
            OutputError: the path is relative, in the queue, or a directory, or its directory is missing. A job that
                succeeds without having written the file fails with this error.
            OSError: the temporary directory cannot be made.

        Files:
            Makes ``DIR/.jq-QUEUE-JOB.NODE.ATTEMPT/``, which is removed when the file is published.
        """
        seam = self._seam()
        if seam is None:
            raise JobStateError(f"{type(self).__name__}.output works only while the job runs")
        return seam.output(os.fspath(path))

    def execCmd(
        self,
        cmd: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> int:
        """Runs a command and waits for it.

        Both streams go to the job's, in the order in which they come; every line is also handed to `stdoutCallback` or
        `stderrCallback`, which are called one at a time. An exception in a callback ends the command.

        Args:
            cmd: a command line for the shell, or a list of a program and its arguments, run without a shell.
            env: the command's whole environment; this process's own by default.
            cwd: its working directory; `runningDir` by default.

        Returns:
            The exit code; -N if signal N ended the command.

        Raises:
            JobStateError: the job is not running.
            OSError: the command cannot be started.
        """
        seam = self._seam()
        if seam is None:
            raise JobStateError(f"{type(self).__name__}.execCmd works only while the job runs")
        seam.stdout.flush()
        seam.stderr.flush()
        process = subprocess.Popen(
            cmd if isinstance(cmd, str) else list(cmd),
            shell=isinstance(cmd, str),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if env is None else dict(env),
            cwd=cwd or seam.running_dir,
        )
        assert process.stdout is not None and process.stderr is not None
        with process.stdout, process.stderr:
            failure = _read_all(
                process,
                {
                    process.stdout.fileno(): _Pump(seam.stdout, self.stdoutCallback),
                    process.stderr.fileno(): _Pump(seam.stderr, self.stderrCallback),
                },
            )
        code = process.wait()
        if failure is not None:
            raise failure
        return code

    def _seam(self) -> AttemptSeam | None:
        return getattr(self, "_attempt", None)

    def _attach(self, seam: AttemptSeam | None) -> None:
        self._attempt = seam


class _Pump:
    """Copies what a command writes to one of its streams, and hands over its lines.

    Args:
        into: where it is copied to.
        callback: told the number and the text of each line.
    """

    def __init__(self, into: TextIO, callback: Callable[[int, str], None]) -> None:
        self._into = into
        self._callback: Callable[[int, str], None] | None = callback
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace").decode
        self._pending = ""
        self._number = 0

    def take(self, block: bytes) -> None:
        """Takes what was written next; nothing at the end.

        Raises:
            BaseException: whatever the callback has raised.
        """
        text = self._decode(block, final=not block)
        self._into.write(text)
        self._into.flush()
        # A long line comes in many blocks; what only one name refers to grows in its place.
        pending, self._pending = self._pending, ""
        pending += text
        *lines, self._pending = _split(pending, final=not block)
        for line in lines:
            self._number += 1
            if self._callback is not None:
                self._callback(self._number, line)

    def mute(self) -> None:
        """Hands over nothing any more."""
        self._callback = None


def _read_all(process: subprocess.Popen[bytes], pumps: Mapping[int, _Pump]) -> BaseException | None:
    """Reads a command's streams, as something comes, until all writers have closed them.

    By one thread, in one loop: starting two threads would cost a short command as much as the queue does.

    Args:
        process: the command.
        pumps: by file descriptor.

    Returns:
        The first exception of a callback, if there was one: the command was killed then, and no other callback called.
    """
    failure: BaseException | None = None
    poll = select.poll()
    for fd in pumps:
        poll.register(fd, select.POLLIN)
    still_open = len(pumps)
    while still_open:
        for fd, _ in poll.poll():
            # What is there now, so that a line is seen when it is written.
            block = os.read(fd, _BLOCK_BYTES)
            try:
                pumps[fd].take(block)
            # SystemExit in a callback, too, is to be raised by execCmd.
            except BaseException as error:  # noqa: BLE001  raised again there
                failure = failure or error
                process.kill()
                for pump in pumps.values():
                    pump.mute()
            if not block:
                poll.unregister(fd)
                still_open -= 1
    return failure


def _split(text: str, *, final: bool) -> list[str]:
    """The lines of ``text`` with their ends, and what is left as the last item."""
    # A carriage return at the end may be the first half of a line end whose second half has not come yet.
    held = "\r" if text.endswith("\r") and not final else ""
    body = text[: len(text) - len(held)]
    # A long line is looked at again with each block that comes, so what has no end yet must cost next to nothing.
    if not final and "\n" not in body and "\r" not in body:
        return [text]
    lines = io.StringIO(body, newline="").readlines()
    if final or lines[-1].endswith(("\n", "\r")):
        return [*lines, held]
    return [*lines[:-1], lines[-1] + held]
