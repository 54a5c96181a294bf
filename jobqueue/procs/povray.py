"""The procedure ``povray``: renders with the Persistence of Vision Raytracer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from jobqueue.procs._check import check_argument, check_frames, check_int, check_texts, optional, ranges, title
from jobqueue.procs._program import NOTHING, ProgramProc, Run, Seen

_FRAME = re.compile(r"Rendering frame (\d+) of \d+")
_PIXELS = re.compile(r"Rendered (\d+) of (\d+) pixels")
_POSSIBLE = re.compile(r"Possible Parse Error: ")
_ERROR = re.compile(
    r"Parse Error: |Fatal error in |Render failed|Cannot (?:open|create|access) |Failed to parse |terminate called "
)
MAX_PIXELS = 1_000_000


def parse_line(line: str) -> Seen:
    """What a line of povray's output says; all of it comes on the standard error."""
    if pixels := _PIXELS.search(line):
        return Seen(part=int(pixels[1]) / max(1, int(pixels[2])))
    if frame := _FRAME.search(line):
        return Seen(finished=int(frame[1]) - 1)
    # Printed of a file that is not found in one place, and may be found in another.
    if _POSSIBLE.search(line):
        return Seen(reason=line)
    return Seen(error=line) if _ERROR.search(line) else NOTHING


class povray(ProgramProc):
    """Renders a still, or frames of an animation, with POV-Ray 3.7 or later.

    The program renders a first to a last frame at once, so it is started for each contiguous range of ``frames``.
    Relative paths start at the job's `runningDir`. The scene's own folder is searched for include files, too.

    Args:
        sceneFile: the scene (.pov).
        output: the image file, or a folder with a slash at its end; of an animation the frame number is added to the
            name, with as many digits as ``animation`` needs. With an absolute path the images are published when the
            job has succeeded, see `JobProc.output`.
        frames: the frames to render, from 0 on; a still by default.
        animation: the whole animation, over which the clock counts from 0 to 1; ``frames`` by default. Give it when
            several jobs share an animation, and when ``frames`` is a single frame.
        width: pixels, 1 to 1000000.
        height: pixels, 1 to 1000000.
        quality: 0 (rough) to 11.
        antialias: the threshold of antialiasing, 0.001 (fine) to 3; off by default.
        includePaths: more folders to search for include files, fonts and images.
        threads: 1 to 512; all processors by default.
        args: further arguments, at the end.
        program: the program, a name on PATH or a path.
        label: see `JobProc`.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.

    Source: povray(1), and the POV-Ray 3.7 reference, "Command-Line and INI-File Options".
    """

    def __init__(  # noqa: PLR0913 - one for each thing to say to the program
        self,
        sceneFile: str,
        output: str | None = None,
        *,
        frames: str | int | Sequence[int] | None = None,
        animation: str | int | Sequence[int] | None = None,
        width: int | None = None,
        height: int | None = None,
        quality: int | None = None,
        antialias: float | None = None,
        includePaths: Sequence[str] = (),
        threads: int | None = None,
        args: Sequence[str] = (),
        program: str = "povray",
        label: str | None = None,
    ) -> None:
        self._scene = _check_quotable("sceneFile", sceneFile)
        self._output = optional(_check_quotable, "output", output)
        self._frames = optional(check_frames, "frames", frames, 0)
        self._animation = self._check_animation(animation)
        self._options = [
            f"+{letter}{value}"
            for letter, value in (
                ("W", optional(check_int, "width", width, 1, MAX_PIXELS)),
                ("H", optional(check_int, "height", height, 1, MAX_PIXELS)),
                ("Q", optional(check_int, "quality", quality, 0, 11)),
                ("A", optional(_check_threshold, "antialias", antialias)),
                ("WT", optional(check_int, "threads", threads, 1, 512)),
            )
            if value is not None
        ]
        self._include = [
            _check_quotable(f"includePaths[{at}]", path)
            for at, path in enumerate(check_texts("includePaths", includePaths))
        ]
        super().__init__(program, args, label, title("povray", self._scene, self._frames))

    def run(self) -> None:
        """Renders.

        Raises:
            ProgramError: the program is not there, or has failed.
        """
        with self.publishing(self._output) as output:
            self.run_all(self.runs(output), parse_line, wraps=True)

    def runs(self, output: str | None) -> list[Run]:
        """The program's starts: one for a still, otherwise one for each contiguous range."""
        folders = [os.path.dirname(self._scene), *self._include]
        common = [
            self._program,
            f"+I{_quote(self._scene)}",
            *(f"+L{_quote(folder)}" for folder in folders if folder),
            *([f"+O{_quote(output)}"] if output else []),
            *self._options,
            # No window; and the lines with the pixels, whatever an INI file says.
            "-D",
            "+V",
        ]
        if self._frames is None or self._animation is None:
            return [Run([*common, *self._args], [os.path.basename(self._scene)])]
        first, last = self._animation
        common += [f"+KFI{first}", f"+KFF{last}"]
        return [
            Run([*common, f"+SF{run[0]}", f"+EF{run[-1]}", *self._args], run)
            for run in ranges(self._frames, steps=False)
        ]

    def _check_animation(self, animation: object) -> tuple[int, int] | None:
        if self._frames is None:
            if animation is not None:
                raise ValueError("animation is given without frames; say which frames to render")
            return None
        whole = self._frames if animation is None else check_frames("animation", animation, 0)
        first, last = min(whole), max(whole)
        # The clock of a single frame would be 0/0, and povray renders it with "not a number" (seen with 3.7.0.10).
        if first == last:
            raise ValueError("animation must have two frames or more; give the whole animation's range, such as 1-100")
        if min(self._frames) < first or max(self._frames) > last:
            raise ValueError(f"frames goes beyond animation, which is {first} to {last}")
        return first, last


def _check_threshold(name: str, value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0.001 <= value <= 3:
        raise ValueError(f"{name} is {value}; it must be 0.001 to 3")
    return value


def _check_quotable(name: str, value: object) -> str:
    path = check_argument(name, value)
    if '"' in path and "'" in path:
        raise ValueError(f"{name} holds both kinds of quotes, which povray cannot read")
    return path


def _quote(path: str) -> str:
    """``path`` in quotes: povray splits each argument at blanks, also when no shell is between."""
    return f"'{path}'" if '"' in path else f'"{path}"'
