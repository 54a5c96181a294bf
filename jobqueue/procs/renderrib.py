"""The procedure ``renderrib``: renders RIB files with a RenderMan compliant renderer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from jobqueue.procs._check import check_arguments, check_frames, check_text, expand, optional, title
from jobqueue.procs._program import ProgramProc, Run, Seen, percentage

# The program of each renderer, and the option that makes it print its progress.
RENDERERS = {
    "prman": ("prman", "-Progress"),
    "aqsis": ("aqsis", "-Progress"),
    "rndr": ("rndr", "-p"),
    "3delight": ("renderdl", "-progress"),
}

# R90000 is PRMan's message number for it, which Aqsis prints, too; the others begin a line with the number.
_PERCENT = re.compile(r"(?:^|R90000|PROGRESS:|Frame \(\d+\)|Done|Completed:?)\s*(\d{1,3}(?:\.\d+)?)\s*%", re.IGNORECASE)
# PRMan goes on after an ERROR and gives up after a SEVERE one; Aqsis does the same with its CRITICAL.
_ERROR = re.compile(r"\{SEVERE\}|^CRITICAL: |\b3DL (?:SEVERE |FATAL )?ERROR\b")
_REASON = re.compile(r"\{ERROR\}|^ERROR: |^Error: ")


def parse_line(line: str) -> Seen:
    """What a line of the renderer's output says."""
    if _ERROR.search(line):
        return Seen(error=line)
    if _REASON.search(line):
        return Seen(reason=line)
    return percentage(_PERCENT, line)


class renderrib(ProgramProc):
    """Renders RIB files, each with a start of the renderer of its own.

    The RIB file says what the images are called (``Display``). Relative paths start at the job's `runningDir`.

    Args:
        ribFile: a RIB file, a list of them, or, with ``frames``, a pattern with ``%d`` or ``%04d`` for the number.
        frames: the frames to render; needs a pattern.
        renderer: ``prman``, ``aqsis``, ``rndr`` (Pixie) or ``3delight``.
        args: further arguments, before the file; also RIB files with options that are to be read first.
        program: the program, a name on PATH or a path; the renderer's own by default.
        label: see `JobProc`.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.

    Source: RenderMan documentation, "prman"; Aqsis user manual, "aqsis"; rndr(1); 3Delight user's manual, "Using the
    RIB Renderer - renderdl".
    """

    def __init__(
        self,
        ribFile: str | Sequence[str],
        frames: str | int | Sequence[int] | None = None,
        *,
        renderer: str = "prman",
        args: Sequence[str] = (),
        program: str | None = None,
        label: str | None = None,
    ) -> None:
        numbers = optional(check_frames, "frames", frames)
        self._files = expand("ribFile", ribFile, numbers) if numbers else check_arguments("ribFile", ribFile)
        if check_text("renderer", renderer) not in RENDERERS:
            raise ValueError(f"renderer is {renderer!r}; there are {', '.join(sorted(RENDERERS))}")
        own, self._progress = RENDERERS[renderer]
        shown = title(renderer, ribFile if isinstance(ribFile, str) else self._files[0], numbers)
        if numbers is None and len(self._files) > 1:
            shown += f" and {len(self._files) - 1} more"
        super().__init__(own if program is None else program, args, label, shown)

    def run(self) -> None:
        """Renders.

        Raises:
            ProgramError: the program or a RIB file is not there, or the program has failed.
        """
        for path in self._files:
            # renderdl leaves out a file that it does not find, and ends with exit code 0 (its manual says so).
            if not os.path.isfile(path):
                self.fail(f"the RIB file {path} is not there, seen from this host")
        self.run_all(self.runs(), parse_line)

    def runs(self) -> list[Run]:
        """The program's starts: one for each file."""
        return [
            Run([self._program, self._progress, *self._args, path], [os.path.basename(path)]) for path in self._files
        ]
