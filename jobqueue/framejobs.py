"""A command for each piece of a frame range: cuts the range, fills the fields of the command, makes the sub-jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobqueue.errors import FrameRangeError
from jobqueue.fields import Chunk, Template
from jobqueue.frames import chunks, parse_frames
from jobqueue.job import Job, JobRoot


def cut(frames: str, size: int) -> list[Chunk]:
    """A frame range in pieces of at most ``size`` frames, none of which spans a gap.

    A program that is given the first and the last frame would render a gap's frames, too. So what is between commas
    is cut by itself, and so is what is left when a frame was named before.

    Raises:
        FrameRangeError: ``frames`` is no frame range, or ``size`` is below 1.
    """
    parse_frames(frames)
    seen: set[int] = set()
    found: list[Chunk] = []
    index = 0
    for part in frames.split(","):
        every = parse_frames(part.strip())
        step = every[1] - every[0] if len(every) > 1 else 1
        for run in _runs([frame for frame in every if frame not in seen], step):
            for piece in chunks(run, size):
                found.append(Chunk(piece[0], piece[-1], abs(step), index))
                index += len(piece)
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
