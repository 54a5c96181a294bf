"""The procedure ``blender``: renders with Blender, without a window."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from jobqueue.procs._check import check_argument, check_frames, check_int, optional, options, ranges, title
from jobqueue.procs._program import NOTHING, ProgramProc, Run, Seen

_FRAME = re.compile(r"\bFra: ?(\d+)\b")
# Cycles counts samples, and tiles where an image is large; EEVEE counts samples; Blender 2.7 counted parts.
_TILES = re.compile(r"(?:Rendered|Tile) (\d+)/(\d+)|\bPart (\d+)-(\d+)")
_SAMPLES = re.compile(r"Sample (\d+)/(\d+)|Rendering (\d+) / (\d+) samples")
_SAVED = re.compile(r"\bTime: ?[\d:.]+ \(Saving: ")
# What Blender reports as an error; the one left out is about its own memory, at the end of a good render.
_ERROR = re.compile(r"(?:^|\| )Error: (?!Not freed memory)|^Can't find scene: ")
# Windows takes a command line of 32767 characters.
_MAX_LIST = 30_000


def parse_line(line: str) -> Seen:
    """What a line of Blender's output says."""
    if _ERROR.search(line):
        return Seen(error=line)
    if _SAVED.search(line):
        return Seen(done=True)
    frame = _FRAME.search(line)
    if not frame:
        return NOTHING
    return Seen(frame=int(frame[1]), part=_part(line))


def _part(line: str) -> float | None:
    for pattern in (_TILES, _SAMPLES):
        if found := pattern.search(line):
            done, total = (int(group) for group in found.groups() if group is not None)
            # A single tile says nothing; its samples do.
            if total > 1 or (total and pattern is _SAMPLES):
                return done / total
    return None


class blender(ProgramProc):
    """Renders frames of a .blend file.

    The program is started once, since loading a scene takes long. Relative paths start at the job's `runningDir`.

    Args:
        blendFile: the scene.
        frames: the frames to render, from 0 on; the scene's own range by default (then there is no percentage). A
            movie format needs a range in order, so that one movie comes out.
        output: where to write: ``#`` stands for a digit of the frame number, ``//`` at the beginning for the scene's
            folder. The scene's own setting by default. Where it is an absolute path the images are published when the
            job has succeeded, see `JobProc.output`; not with a ``#`` in the name of a folder, nor what the scene itself
            writes elsewhere.
        scene: the name of a scene in the file.
        engine: for example ``CYCLES``.
        format: for example ``PNG`` or ``OPEN_EXR``.
        threads: 1 to 1024, or 0 for all processors.
        program: the program, a name on PATH or a path.
        args: further arguments, after the settings and before the frames; for example ``["-P", "setup.py"]``.
        label: see `JobProc`.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.

    Source: Blender manual, "Command Line Arguments" (its order counts: settings act on the file that is loaded, and
    must stand before the frames).
    """

    def __init__(  # noqa: PLR0913 - one for each thing to say to the program
        self,
        blendFile: str,
        frames: str | int | Sequence[int] | None = None,
        *,
        output: str | None = None,
        scene: str | None = None,
        engine: str | None = None,
        format: str | None = None,
        threads: int | None = None,
        program: str = "blender",
        args: Sequence[str] = (),
        label: str | None = None,
    ) -> None:
        self._file = check_argument("blendFile", blendFile)
        # A number with a minus sign counts from the end of the scene's range.
        self._frames = optional(check_frames, "frames", frames, 0)
        self._choice = _choose(self._frames)
        self._output = optional(check_argument, "output", output)
        self._scene = options(
            ("-S", optional(check_argument, "scene", scene)), ("-E", optional(check_argument, "engine", engine))
        )
        self._settings = options(
            ("-F", optional(check_argument, "format", format)),
            ("-t", optional(check_int, "threads", threads, 0, 1024)),
        )
        super().__init__(program, args, label, title("blender", self._file, self._frames))

    def run(self) -> None:
        """Renders.

        Raises:
            ProgramError: the program is not there, has failed, or has reported an error, which it often does with
                exit code 0.
        """
        final = self.find_output()
        if final is None:
            self.run_all(self.runs(self._output), parse_line)
            return
        # Blender does so itself, for the folder that it is told.
        os.makedirs(os.path.dirname(final), exist_ok=True)
        with self.publishing(final) as output:
            self.run_all(self.runs(output), parse_line)

    def find_output(self) -> str | None:
        """Where the images belong, absolute; ``None`` where that is not known before Blender runs."""
        output = self._output
        if output is not None and output.startswith("//"):
            output = os.path.join(os.path.dirname(self._file), output[2:])
        if output is None or not os.path.isabs(output) or "#" in os.path.dirname(output):
            return None
        return output

    def runs(self, output: str | None) -> list[Run]:
        """The program's one start."""
        # By default a script that fails is no failure of Blender's.
        start = [self._program, "-b", self._file, "--python-exit-code", "1"]
        where = options(("-o", output))
        return [Run([*start, *self._scene, *where, *self._settings, *self._args, *self._choice], self._frames or [])]


def _choose(frames: list[int] | None) -> list[str]:
    """The arguments that say what to render."""
    if frames is None:
        return ["-a"]
    whole = ranges(frames, steps=True)
    if len(whole) == 1 and len(frames) > 1:
        # Not -f: it would begin a new movie at every frame.
        return ["-s", str(frames[0]), "-e", str(frames[-1]), "-j", str(whole[0].step), "-a"]
    parts = [f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in ranges(frames, steps=False)]
    text = ",".join(parts)
    if len(text) > _MAX_LIST:
        raise ValueError(f"frames is too scattered for one command line ({len(parts)} pieces); make several jobs")
    return ["-f", text]
