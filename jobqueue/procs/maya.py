"""The procedure ``maya``: renders with Maya's command line renderer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobqueue.procs._check import check_argument, check_frames, optional, options, ranges, title
from jobqueue.procs._program import ProgramProc, Run, Seen, percentage

# Each renderer says it in its own way: Maya's own ones, Arnold, mental ray, RenderMan.
_PERCENT = re.compile(
    r"Percentage of rendering done: +(\d+)|R90000 +(\d+)|(\d+(?:\.\d+)?)% done|progr: +(\d+(?:\.\d+)?)% +rendered"
)
_WRITTEN = re.compile(r"Finished Rendering\b(?:.*?[._](\d+)\.\w+)?")
_DONE = re.compile(r"\| render done\b|progr: +rendering finished")
_REASON = re.compile(r"\bError: ")
# Maya ends with exit code 0 after many of its errors.
_ERROR = re.compile(
    r"Fatal Error|Cannot load scene|Scene was not loaded properly|Could not open file|Error reading file"
    r"|Cannot open project|licen[cs]e was not obtained|could not (?:get|obtain) a licen[cs]e|FLEXlm error"
    r"|licensing error|rendering (?:was internally )?aborted|Frame aborted|aborting render|Failed batch render"
    r"|does not have any renderable cameras|Error: Camera .* does not exist|V-Ray error: ",
    re.IGNORECASE,
)


def parse_line(line: str) -> Seen:
    """What a line of Render's output says."""
    if _ERROR.search(line):
        return Seen(error=line)
    if _REASON.search(line):
        return Seen(reason=line)
    if written := _WRITTEN.search(line):
        return Seen(frame=int(written[1]) if written[1] else None, done=True)
    if _DONE.search(line):
        return Seen(done=True)
    return percentage(_PERCENT, line)


class maya(ProgramProc):
    """Renders frames of a Maya scene with the program Render.

    The program is started for each range of frames with the same step. Relative paths start at the job's `runningDir`.

    Args:
        sceneFile: the scene (.ma or .mb).
        frames: the frames to render; what the scene says by default (then there is no percentage).
        renderer: for example ``arnold``, ``sw`` or ``hw2``; ``file`` takes the scene's own.
        project: the project's folder.
        outputDir: the folder for the images.
        camera: the camera's name.
        args: further arguments, before the scene; those that belong to the renderer, for example.
        program: the program, a name on PATH or a path.
        label: see `JobProc`.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.

    Source: Maya help, "Render from the command line" and "Common flags for the command line renderer".
    """

    def __init__(  # noqa: PLR0913 - one for each thing to say to the program
        self,
        sceneFile: str,
        frames: str | int | Sequence[int] | None = None,
        *,
        renderer: str = "file",
        project: str | None = None,
        outputDir: str | None = None,
        camera: str | None = None,
        args: Sequence[str] = (),
        program: str = "Render",
        label: str | None = None,
    ) -> None:
        self._scene = check_argument("sceneFile", sceneFile)
        self._frames = optional(check_frames, "frames", frames)
        self._settings = options(
            ("-r", check_argument("renderer", renderer)),
            ("-proj", optional(check_argument, "project", project)),
            ("-rd", optional(check_argument, "outputDir", outputDir)),
            ("-cam", optional(check_argument, "camera", camera)),
        )
        super().__init__(program, args, label, title("maya", self._scene, self._frames))

    def run(self) -> None:
        """Renders.

        Raises:
            ProgramError: the program is not there, has failed, or has reported an error, which it often does with
                exit code 0.
        """
        self.run_all(self.runs(), parse_line)

    def runs(self) -> list[Run]:
        """The program's starts: one for each range."""
        start = [self._program, *self._settings]
        end = [*self._args, self._scene]
        if self._frames is None:
            return [Run([*start, *end], [])]
        return [
            Run([*start, "-s", str(run[0]), "-e", str(run[-1]), "-b", str(run.step), *end], run)
            for run in ranges(self._frames, steps=True)
        ]
