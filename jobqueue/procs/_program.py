"""What the procedures that run a program share: running it, and reading its progress and its errors."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from jobqueue.errors import JobQueueError
from jobqueue.proc import JobProc
from jobqueue.procs._check import check_argument, check_texts, choose_label, shorten

# What is indented further is a table, not the rest of a line.
_GOES_ON = re.compile(r" \S")


class ProgramError(JobQueueError, RuntimeError):
    """A program that a job runs has failed, or cannot be started on this host."""


# --- what a program prints -------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What one line of a program's output says.

    ``frame`` is the number of the frame that it is about, ``finished`` how many frames of this run are finished,
    ``done`` that one more is (the one it is about, where ``frame`` is given), ``part`` how much of the present one is
    done (0..1). An ``error`` fails the job whatever the exit code is; a ``reason`` only says why, if the job fails.
    """

    frame: int | None = None
    finished: int | None = None
    done: bool = False
    part: float | None = None
    error: str | None = None
    reason: str | None = None


NOTHING = Seen()


class Run(NamedTuple):
    """One start of a program: its arguments, and what it makes: frame numbers or names, none if that is not known."""

    argv: Sequence[str]
    frames: Sequence[int | str]


class Tally:
    """How far a job is that starts a program several times. Pure.

    Args:
        total: the number of frames of all runs; 0 if it is not known, there is no percentage then.
    """

    def __init__(self, total: int) -> None:
        self.percent = 0.0
        self.status = ""
        self._total = total
        self._before = 0
        self._frames: Sequence[int | str] = ()
        self._places: dict[int | str, int] = {}
        self._at = 0
        self._part = 0.0

    @property
    def finished(self) -> int:
        """How many frames are finished."""
        return self._before + self._at

    def begin(self, frames: Sequence[int | str]) -> None:
        """The next run begins; the one before is finished."""
        self._before += len(self._frames)
        self._frames = frames
        self._places = {frame: at for at, frame in enumerate(frames)}
        self._at, self._part = 0, 0.0
        self._show(None)

    def take(self, seen: Seen) -> None:
        """Goes on with what a line says; never goes back, since a program may work on a frame in several passes."""
        place = None if seen.frame is None else self._places.get(seen.frame)
        if place is not None:
            at = place + seen.done
        elif seen.finished is not None:
            at = seen.finished
        elif seen.frame is None or seen.done:
            # A file may be numbered in another way than its frame; it is one more all the same.
            at = self._at + seen.done
        else:
            at = -1
        if at >= self._at:
            if at > self._at:
                self._at, self._part = min(at, len(self._frames)), 0.0
            self._part = min(1.0, max(self._part, seen.part or 0.0))
        self._show(seen.frame)

    def _show(self, frame: int | None) -> None:
        if self._at < len(self._frames):
            now = self._frames[self._at]
            name = f"frame {now}" if isinstance(now, int) else now
            self.status = f"{name} ({self.finished + 1} of {self._total})" if self._total > 1 else name
        elif not self._total and frame is not None:
            self.status = f"frame {frame}"
        if self._total:
            self.percent = max(self.percent, 100.0 * min(self.finished + self._part, self._total) / self._total)


class Log:
    """Finds in a program's lines why it failed. Pure.

    Args:
        look: says what a line means; nothing by default.
        wraps: whether the program breaks long lines, and begins what follows with a blank.
    """

    def __init__(self, look: Callable[[str], Seen] | None = None, *, wraps: bool = False) -> None:
        self.error = ""
        self._reason = ""
        self._last = {"stdout": "", "stderr": ""}
        self._look = look
        self._wraps = wraps
        # The last line: whether it may go on, and as what it was kept.
        self._open = False
        self._kept = ""

    def take(self, stream: str, line: str) -> Seen:
        """Keeps a line of ``stdout`` or ``stderr``, and says what it means, together with those that it goes on."""
        text = line.strip()
        if self._wraps and self._open and _GOES_ON.match(line):
            text = f"{self._last[stream]} {text}"
        else:
            self._kept = ""
        self._open = bool(text)
        if text:
            self._last[stream] = text
        seen = self._look(text) if self._look else NOTHING
        # The first message counts, since others follow from it.
        if seen.error and (not self.error or self._kept == "error"):
            self.error, self._kept = seen.error, "error"
        elif seen.reason and (not self._reason or self._kept == "reason"):
            self._reason, self._kept = seen.reason, "reason"
        return seen

    def why(self) -> str:
        """The reason of a failure, in the program's own words."""
        found = self.error or self._reason or self._last["stderr"] or self._last["stdout"]
        return shorten(found, 500) or "it printed nothing"


def how_ended(code: int, *, shell: bool = False) -> str:
    """An exit code for people: ``exit code 3``, or the signal's name.

    Args:
        code: -N if signal N ended the program.
        shell: whether a shell has run it, which says 128 + N.
    """
    number = -code if code < 0 else code - 128 if shell and code > 128 else 0
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if code < 0 else f"exit code {code}"
    return name if code < 0 else f"exit code {code} ({name})"


# --- running ---------------------------------------------------------------------------------------------------------


class ProgramProc(JobProc):
    """A procedure that starts a program, once or several times, and reads its progress and its errors.

    Args:
        program: the program, a name on PATH or a path.
        args: further arguments.
        label: see `JobProc`.
        shown: the label by default.
    """

    def __init__(self, program: str, args: Sequence[str], label: str | None, shown: str) -> None:
        super().__init__(choose_label(label, shown))
        self._program = check_argument("program", program)
        self._args = check_texts("args", args)
        self._tally = Tally(0)
        self._log = Log()

    def run_all(self, runs: Sequence[Run], look: Callable[[str], Seen], *, wraps: bool = False) -> None:
        """Starts the program for each run, one after the other.

        Args:
            runs: the program's starts.
            look: says what a line means that the program prints.
            wraps: see `Log`.

        Raises:
            ProgramError: it is not there, it failed, or it reported an error; what follows is not run.
        """
        self._tally = Tally(sum(len(run.frames) for run in runs))
        for run in runs:
            self._log = Log(look, wraps=wraps)
            self._tally.begin(run.frames)
            self._tell()
            code = start(self, run.argv, hint="install it, or give program=")
            if code or self._log.error:
                self.fail(f"{run.argv[0]} ended with {how_ended(code)}: {self._log.why()}")

    @contextmanager
    def publishing(self, output: str | None) -> Iterator[str | None]:
        """Gives what to tell the program instead of ``output``, so that its files are published with the job's success.

        The program writes into a folder of this attempt's own, and all that lies there in the end is published: so it
        may add numbers and extensions, and write several files.

        Args:
            output: the beginning of a path, or a folder with a slash at its end. Where it is relative, or ``None``, it
                is given back as it is: `runningDir` is this attempt's own anyway.

        Raises:
            ProgramError: the program has written nothing there.
        """
        seam = self._seam()
        if output is None or not os.path.isabs(output) or seam is None:
            yield output
            return
        folder, name = os.path.split(output)
        yield f"{seam.output_folder(folder)}/{name}"
        if not seam.adopt_outputs(folder):
            self.fail(f"{self._program} has ended well, but has written nothing to {output}")

    def fail(self, reason: str) -> NoReturn:
        """Ends the job with this reason.

        Raises:
            ProgramError: always.
        """
        self.setStatusLine(reason)
        raise ProgramError(reason)

    def stdoutCallback(self, lineNr: int, line: str) -> None:  # noqa: ARG002 - the seam gives it
        self._read("stdout", line)

    def stderrCallback(self, lineNr: int, line: str) -> None:  # noqa: ARG002 - the seam gives it
        self._read("stderr", line)

    def _read(self, stream: str, line: str) -> None:
        seen = self._log.take(stream, line)
        if seen is not NOTHING:
            self._tally.take(seen)
            self._tell()

    def _tell(self) -> None:
        self.setProgress(self._tally.percent)
        if self._tally.status:
            self.setStatusLine(self._tally.status)


def start(
    proc: JobProc,
    cmd: str | Sequence[str],
    *,
    hint: str,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> int:
    """`JobProc.execCmd`, with an error that people understand where the program cannot be started.

    Args:
        proc: the procedure that runs.
        cmd: see `JobProc.execCmd`.
        hint: what to do where the program is missing.
        env: see `JobProc.execCmd`.
        cwd: see `JobProc.execCmd`.

    Raises:
        ProgramError: the program or ``cwd`` is not there, or may not be used.
    """
    try:
        return proc.execCmd(cmd, env=env, cwd=cwd)
    except OSError as error:
        # subprocess names what was missing; anything else (a full disk, a share that is away) is not ours to explain.
        if not isinstance(cmd, str) and error.filename == cmd[0]:
            reason = f"{cmd[0]} cannot be started on this host ({error.strerror}); {hint}"
        elif cwd is not None and error.filename == cwd:
            reason = f"the directory {cwd} (cwd) cannot be entered on this host ({error.strerror})"
        else:
            raise
        proc.setStatusLine(reason)
        raise ProgramError(reason) from error


def percentage(pattern: re.Pattern[str], line: str) -> Seen:
    """How much of a frame is done, where the last match's only group has the percentage."""
    numbers = [found[found.lastindex or 0] for found in pattern.finditer(line)]
    return Seen(part=float(numbers[-1]) / 100.0) if numbers else NOTHING
