"""A command for each piece of a frame range: cuts the range, fills the fields of the command, makes the sub-jobs."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jobqueue.errors import FrameRangeError
from jobqueue.frames import chunks, parse_frames
from jobqueue.job import Job, JobRoot

FIELDS = ("frame", "start", "end", "frames")


class Chunk(NamedTuple):
    """Some frames: from ``first`` to ``last``, every ``step``-th (1 or more); ``last`` may be below ``first``."""

    first: int
    last: int
    step: int

    @property
    def text(self) -> str:
        """The frames as `parse_frames` reads them: ``1-19x2``."""
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f"x{self.step}" if self.step > 1 else "")


def cut(frames: str, size: int) -> list[Chunk]:
    """A frame range in pieces of at most ``size`` frames, none of which spans a gap.

    A program that is given the first and the last frame would render a gap's frames, too. So what is between commas
    is cut by itself, and so is what is left when a frame was named before.

    Raises:
        FrameRangeError: ``frames`` is no frame range, or ``size`` is below 1.
    """
    parse_frames(frames)
    seen: set[int] = set()
    found = []
    for part in frames.split(","):
        every = parse_frames(part.strip())
        step = every[1] - every[0] if len(every) > 1 else 1
        for run in _runs([frame for frame in every if frame not in seen], step):
            found += [Chunk(piece[0], piece[-1], abs(step)) for piece in chunks(run, size)]
        seen.update(every)
    return found


def _runs(frames: list[int], step: int) -> Iterator[list[int]]:
    """``frames`` where each is ``step`` after the one before, else cut there."""
    run: list[int] = []
    for frame in frames:
        if run and frame != run[-1] + step:
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


class Template:
    """A command with fields: ``{frame}``, ``{start}``, ``{end}`` and ``{frames}``, each with an optional format.

    Only numbers and frame ranges are filled in, so nothing needs quotes in a shell line that did not need them before.

    Args:
        command: a shell line, or a list of arguments; ``{{`` and ``}}`` are literal braces.
        size: how many frames a piece may have; ``{frame}`` is the one frame, so it wants 1.
        outputs: paths of what the command makes, with the same fields; in the command ``{output}``, ``{output1}`` and
            so on are left for the procedure to fill in.

    Raises:
        FrameRangeError: the command has another field, or a brace that is not closed.
    """

    def __init__(self, command: str | list[str], size: int, outputs: Sequence[str] = ()) -> None:
        self._command = command
        self._outputs = outputs
        names = ["output", *(f"output{number}" for number in range(1, len(outputs) + 1))] if outputs else []
        # What is put in for such a field is the field itself.
        self._kept = {name: f"{{{name}}}" for name in names}
        self.has_fields = False
        parts = [command] if isinstance(command, str) else command
        for part in parts:
            for name in _fields(part):
                if name not in self._kept:
                    self._check(name, size)
                    self.has_fields = True
        for output in outputs:
            for name in _fields(output):
                self._check(name, size)
        # A format that does not fit is found now, not when half of the jobs are made.
        self.fill(Chunk(1, 1, 1))
        self.fill_outputs(Chunk(1, 1, 1))

    def _check(self, name: str, size: int) -> None:
        if name not in FIELDS:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise FrameRangeError(f"{{{name}}} is none of {known}; a brace that is meant itself is doubled: {{{{ }}}}")
        if name == "frame" and size > 1:
            raise FrameRangeError(
                f"{{frame}} is one frame, but a chunk has up to {size}; use {{start}} and {{end}}, or {{frames}}"
            )

    def fill(self, chunk: Chunk) -> str | list[str]:
        """The command for some frames."""
        if isinstance(self._command, str):
            return self._filled(self._command, chunk)
        return [self._filled(part, chunk) for part in self._command]

    def fill_outputs(self, chunk: Chunk) -> list[str]:
        """The absolute paths of the outputs for some frames; relative ones start at the present directory."""
        return [os.path.abspath(self._filled(output, chunk)) for output in self._outputs]

    def _filled(self, text: str, chunk: Chunk) -> str:
        values = {"frame": chunk.first, "start": chunk.first, "end": chunk.last, "frames": chunk.text}
        try:
            return text.format(**values, **self._kept)
        except ValueError as error:
            raise FrameRangeError(f"a field in {text!r} cannot be filled: {error}") from error


def _fields(text: str) -> Iterator[str]:
    try:
        for _, name, layout, conversion in string.Formatter().parse(text):
            if name is not None:
                yield name if not conversion else f"{name}!{conversion}"
                # A format may hold fields itself.
                yield from _fields(layout or "")
    except ValueError as error:
        raise FrameRangeError(
            f"the braces in {text!r} do not match ({error}); a brace that is meant itself is doubled: {{{{ }}}}"
        ) from error


def add_frame_jobs(
    root: JobRoot, template: Template, pieces: list[Chunk], params: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Job]:
    """Makes a sub-job of ``root`` for each piece.

    Args:
        root: is run after all of them.
        template: their command.
        pieces: the frames of each.
        params: further parameters of the procedure ``command``; a label is followed by the frames.
        options: to be set on each (see `JobOptions`).

    Raises:
        FrameRangeError: two pieces have the same output.
    """
    made = []
    seen: set[str] = set()
    for piece in pieces:
        outputs = template.fill_outputs(piece)
        if doubles := seen.intersection(outputs):
            raise FrameRangeError(f"several sub-jobs would publish {doubles.pop()}; put {{frame}} or {{start}} into it")
        seen.update(outputs)
        own = {"outputs": outputs} if outputs else {}
        label = params.get("label") or ("frame" if piece.first == piece.last else "frames")
        job = root.createJob("command", cmd=template.fill(piece), **{**params, **own, "label": f"{label} {piece.text}"})
        for name, value in options.items():
            setattr(job.options, name, value)
        made.append(job)
    return made
