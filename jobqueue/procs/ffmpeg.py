"""The procedure ``ffmpeg``: makes a movie of images."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from jobqueue.procs._check import PATTERN, check_argument, check_arguments, check_frames, check_int, expand, optional
from jobqueue.procs._program import NOTHING, ProgramProc, Run, Seen

_FRAME = re.compile(r"frame= *(\d+)\s*\Z")
_REASON = re.compile(
    r"error|invalid|unknown|no such|unable|cannot|could not|denied|not divisible|unrecognized|failed|impossible",
    re.IGNORECASE,
)
_RATE = re.compile(r"(?:\d+(?:\.\d+)?|\d+/0*[1-9]\d*)\Z", re.ASCII)
# Encoders with a constant rate factor; the last ones take it for an upper bound as long as they have a bit rate.
_RATE_FACTOR = {"libx264": [], "libx265": [], "libsvtav1": [], "libvpx-vp9": ["-b:v", "0"], "libaom-av1": ["-b:v", "0"]}
_LIST = "frames.ffconcat"


def parse_line(line: str) -> Seen:
    """What a line of ffmpeg's output says: ``key=value`` on the standard output, errors on the other."""
    if frame := _FRAME.match(line):
        return Seen(finished=int(frame[1]))
    return Seen(reason=line) if _REASON.search(line) else NOTHING


class ffmpeg(ProgramProc):
    """Makes a movie of images, one a frame.

    All images must be there when the job begins, and all must be readable: left to itself, ffmpeg ends a movie at the
    first image that is missing, leaves out one that is broken, and says with its exit code that all is well. Relative
    paths start at the job's `runningDir`.

    Args:
        input: a pattern with ``%d`` or ``%04d`` for the frame number, or a list of images in order.
        output: the movie; its extension says the container. It is overwritten; with an absolute path when the job has
            succeeded, see `JobProc.output`.
        framerate: frames a second, above 0: a number, or text such as ``"24000/1001"``.
        frames: the frames of the pattern to take; by default all that are there, from the lowest number on, in equal
            steps.
        codec: the encoder.
        quality: the encoder's own number, 0 to 63: ``-crf`` for libx264, libx265, libsvtav1, libvpx-vp9 and
            libaom-av1, ``-q:v`` for others. Mostly, less is better.
        pixelFormat: the pixel format; ``None`` leaves it to the encoder. The default is what all players can show, and
            needs an even width and height.
        args: further arguments, after the input: another input such as a sound, or options of the output.
        program: the program, a name on PATH or a path; by default ``ffmpeg`` on PATH, or else the one that comes with
            the Python package imageio-ffmpeg.
        label: see `JobProc`.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.

    Files:
        Writes frames.ffconcat in `runningDir`: the images, in order.

    Source: ffmpeg(1), "Options" (-xerror, -progress); ffmpeg-formats(1), "concat".
    """

    def __init__(  # noqa: PLR0913 - one for each thing to say to the program
        self,
        input: str | Sequence[str],
        output: str,
        framerate: float | str = 24,
        *,
        frames: str | int | Sequence[int] | None = None,
        codec: str = "libx264",
        quality: int | None = None,
        pixelFormat: str | None = "yuv420p",
        args: Sequence[str] = (),
        program: str | None = None,
        label: str | None = None,
    ) -> None:
        self._images: list[str] | None = None
        self._pattern = ""
        numbers = optional(check_frames, "frames", frames)
        if numbers is not None:
            self._images = expand("input", input, numbers)
        elif isinstance(input, str):
            self._pattern = _check_countable("input", input)
        else:
            self._images = check_arguments("input", input)
        self._output = check_argument("output", output)
        self._rate = _check_rate("framerate", framerate)
        self._encoding = ["-c:v", check_argument("codec", codec)]
        if quality is not None:
            number = str(check_int("quality", quality, 0, 63))
            self._encoding += ["-crf", number, *_RATE_FACTOR[codec]] if codec in _RATE_FACTOR else ["-q:v", number]
        if pixelFormat is not None:
            self._encoding += ["-pix_fmt", check_argument("pixelFormat", pixelFormat)]
        self._own_program = program is None
        super().__init__("ffmpeg" if program is None else program, args, label, f"ffmpeg {os.path.basename(output)}")

    def run(self) -> None:
        """Makes the movie.

        Raises:
            ProgramError: the program or an image is not there, or the program has failed.
        """
        images = self.images()
        with open(_LIST, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(concat_list(images, self._rate))
        with self.publishing(self._output) as output:
            arguments = self.arguments(self.find(), output or self._output)
            self.run_all([Run(arguments, [os.path.basename(path) for path in images])], parse_line)
            # Options of the user's own may change how many frames come out; without any, each image is one.
            if not self._args and self._tally.finished != len(images):
                self.fail(f"{self._output} has {self._tally.finished} frames, but there are {len(images)} images")

    def find(self) -> str:
        """The program.

        Raises:
            ProgramError: there is none.
        """
        if not self._own_program or shutil.which(self._program):
            return self._program
        try:
            # Late: the package is not required, and asks the system about itself when it is imported.
            return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
        # RuntimeError: the package is there, but without a program for this system.
        except (ImportError, RuntimeError):
            self.fail("ffmpeg is not on this host; install it or the Python package imageio-ffmpeg, or give program=")

    def arguments(self, program: str, output: str) -> list[str]:
        """The program's arguments."""
        return [
            *(program, "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", "-loglevel", "error"),
            # Ends with an error at the first image that cannot be read, rather than leaving it out.
            *("-xerror", "-y"),
            # In front of the input: the images have no times of their own.
            *("-r", str(self._rate), "-f", "concat", "-safe", "0", "-i", _LIST),
            *(*self._args, *self._encoding, output),
        ]

    def images(self) -> list[str]:
        """The images, in order.

        Raises:
            ProgramError: one is missing.
        """
        if self._images is None:
            folder, name = os.path.split(self._pattern)
            try:
                numbers = matching(name, os.listdir(folder or "."))
            except FileNotFoundError:
                numbers = []
            if not numbers:
                self.fail(f"there is no image {self._pattern}, seen from this host")
            if (gap := first_gap(numbers)) is not None:
                self.fail(f"the image {self._pattern % gap} is missing; render it, or give frames= to leave it out")
            return [self._pattern % number for number in numbers]
        missing = [path for path in self._images if not os.path.isfile(path)]
        if missing:
            self.fail(f"{len(missing)} of {len(self._images)} images are missing, the first one is {missing[0]}")
        return self._images


def matching(pattern: str, names: Sequence[str]) -> list[int]:
    """The frame numbers of those ``names`` that ``pattern`` gives, in order."""
    head, tail = PATTERN.split(pattern)
    numbers = []
    for name in names:
        digits = name[len(head) : len(name) - len(tail)]
        if name.startswith(head) and re.fullmatch(r"-?\d+", digits, re.ASCII) and pattern % int(digits) == name:
            numbers.append(int(digits))
    return sorted(numbers)


def first_gap(numbers: Sequence[int]) -> int | None:
    """The first number that is missing where ``numbers`` rise in equal steps (the smallest one), or ``None``."""
    steps = [after - before for before, after in pairwise(numbers)]
    step = min(steps, default=1)
    return next((number + step for number, found in zip(numbers, steps, strict=False) if found != step), None)


def concat_list(images: Sequence[str], rate: Fraction) -> str:
    """The text of a list of images for ffmpeg's concat demuxer."""
    lines = ["ffconcat version 1.0"]
    for path in images:
        # Inside quotes nothing is special but the quote itself.
        quoted = path.replace("'", "'\\''")
        lines += [f"file '{quoted}'", f"duration {float(1 / rate):.6f}"]
    return "\n".join(lines) + "\n"


def _check_countable(name: str, value: str) -> str:
    """A pattern whose numbers can be found in a single folder."""
    expand(name, value, [0])
    if "%" in os.path.dirname(value):
        raise ValueError(f"{name} has the frame number in a folder's name; give frames= with it")
    return value


def _check_rate(name: str, value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"{name} must be a number or text, not {type(value).__name__}")
    text = str(value)
    if not _RATE.match(text) or not (rate := Fraction(text)):
        raise ValueError(f"{name} is {value!r}; it must be above 0, such as 24, 23.976 or '24000/1001'")
    return rate
