#!/usr/bin/env python3
"""Submits an animation as a hierarchy of jobs: frames, contact sheets of twelve frames, one of all, and the movie.

    python examples/render_animation.py --queue QUEUE --out DIR --renderer povray
    PYTHONPATH=examples runjobs QUEUE

The workers find this folder's modules (raytrace, contact_sheet) through PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple

from jobqueue import Job, JobHandle, JobQueue, JobQueueError
from scenes import helix

SCENES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenes")
FRAMES_A_SHEET = 12
FRAMES_A_SECOND = 24


class Shot(NamedTuple):
    """What is to be rendered: ``frames`` pictures of ``width`` by ``height``, all below the folder ``out``."""

    out: str
    frames: int
    width: int
    height: int

    def frame(self, number: int) -> str:
        return os.path.join(self.out, "frames", f"frame{number:04d}.png")

    def sheet(self, number: int) -> str:
        return os.path.join(self.out, "sheets", f"sheet{number}.png")

    @property
    def overview(self) -> str:
        return os.path.join(self.out, "contact_sheet.png")

    @property
    def movie(self) -> str:
        return os.path.join(self.out, "movie.mp4")


class Renderer(NamedTuple):
    """How frames come about: the program, its Debian package, and the function that adds a frame's job to a sheet's."""

    program: str | None
    package: str
    add_frame: Callable[[Job, Shot, int], Job]

    def missing(self) -> str | None:
        """What to do if the program is not on this machine; ``None`` if it is."""
        if self.program is None or shutil.which(self.program):
            return None
        return f"{self.program} is not installed; on Debian or Ubuntu: sudo apt-get install {self.package}"


def add_embedded(sheet: Job, shot: Shot, number: int) -> Job:
    """With the ray tracer of this folder, called in the worker: no program is started at all."""
    return sheet.createJob(
        "python",
        function="raytrace:render_to_file",
        args=[shot.frame(number), number, shot.frames, (shot.width, shot.height)],
        label=f"frame {number}",
    )


def add_povray(sheet: Job, shot: Shot, number: int) -> Job:
    """With POV-Ray: ``animation`` says over which frames its clock runs, +KC that after the last one it starts over."""
    # POV-Ray adds the number to the name, with as many digits as the last frame has.
    zeros = "0" * (4 - len(str(shot.frames)))
    return sheet.createJob(
        "povray",
        sceneFile=os.path.join(SCENES, "gyroscope.pov"),
        output=os.path.join(shot.out, "frames", f"frame{zeros}.png"),
        frames=number,
        animation=(1, shot.frames),
        width=shot.width,
        height=shot.height,
        antialias=0.2,
        threads=1,
        args=["+KC"],
        label=f"frame {number}",
    )


def add_tachyon(sheet: Job, shot: Shot, number: int) -> Job:
    """With Tachyon, a plain command: the scene of each frame is exported now, and rendered later."""
    exported = os.path.join(shot.out, "exported", f"helix{number:04d}.dat")
    os.makedirs(os.path.dirname(exported), exist_ok=True)
    with open(exported, "w", encoding="ascii") as file:
        file.write(helix.scene(number, shot.frames, (shot.width, shot.height)))
    return sheet.createJob(
        "command",
        cmd=["tachyon", exported, "-numthreads", "1", "-format", "PNG", "-o", "{output}"],
        outputs=[shot.frame(number)],
        label=f"frame {number}",
    )


def add_blender(sheet: Job, shot: Shot, number: int) -> Job:
    """With Blender, whose frames come from one .blend file: a job of its own makes it, and all frames need that."""
    blend = os.path.join(shot.out, "ripple.blend")
    return sheet.createJob(
        "blender",
        blendFile=blend,
        frames=number,
        output=os.path.join(shot.out, "frames", "frame####"),
        format="PNG",
        threads=1,
        label=f"frame {number}",
    )


def make_scene(job: Job, shot: Shot) -> Job:
    """The job that builds the .blend file with a script, below the job that needs it first."""
    script = os.path.join(SCENES, "ripple.py")
    blender = ["blender", "--background", "--factory-startup", "--python-exit-code", "1", "--python", script, "--"]
    arguments = [os.path.join(shot.out, "ripple.blend"), str(shot.frames), f"{shot.width}x{shot.height}"]
    return job.createJob("command", cmd=[*blender, *arguments], label="scene")


RENDERERS = {
    "embedded": Renderer(None, "", add_embedded),
    "povray": Renderer("povray", "povray povray-includes", add_povray),
    "tachyon": Renderer("tachyon", "tachyon", add_tachyon),
    "blender": Renderer("blender", "blender", add_blender),
}


def submit(queue: JobQueue, shot: Shot, renderer: str) -> JobHandle:
    """Puts the whole hierarchy together and publishes it; nothing of it can be seen, or run, before the last line."""
    for folder in ("frames", "sheets"):
        os.makedirs(os.path.join(shot.out, folder), exist_ok=True)
    names = [shot.frame(number) for number in range(1, shot.frames + 1)]
    movie = queue.createJobRoot("ffmpeg", input=names, output=shot.movie, framerate=FRAMES_A_SECOND, label="movie")
    starts = range(0, shot.frames, FRAMES_A_SHEET)
    sheets = [shot.sheet(number) for number in range(1, len(starts) + 1)]
    join = {"function": "contact_sheet:join_sheets", "args": [shot.overview, sheets]}
    overview = movie.createJob("python", **join, label="contact sheet of all")
    scene = None
    for path, start in zip(sheets, starts, strict=True):
        pictures = names[start : start + FRAMES_A_SHEET]
        make = {"function": "contact_sheet:make_sheet", "args": [path, pictures]}
        sheet = overview.createJob("python", **make, label=f"contact sheet from frame {start + 1}")
        for number in range(start + 1, start + len(pictures) + 1):
            frame = RENDERERS[renderer].add_frame(sheet, shot, number)
            frame.options.timeout = 600
            if renderer == "blender":
                scene = scene or make_scene(frame, shot)
                frame.addDependency(scene)
    return movie.activate()


def parse_size(text: str) -> tuple[int, int]:
    """``320x180`` as two numbers; both even, since most players want a movie's size so."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write for example 320x180")
    if int(width) % 2 or int(height) % 2:
        raise argparse.ArgumentTypeError(f"{text}: a movie needs an even width and height")
    return int(width), int(height)


def parse_count(text: str) -> int:
    """A number of frames: two at least, or nothing would move."""
    if not text.isdecimal() or not 2 <= int(text) <= 9999:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of frames; write 2 to 9999")
    return int(text)


def add_shot_options(parser: argparse.ArgumentParser) -> None:
    """The options that this script and demo.py share."""
    parser.add_argument("--renderer", choices=RENDERERS, default="embedded", help="default: %(default)s")
    parser.add_argument("--frames", type=parse_count, default=48, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--size", type=parse_size, default=(320, 180), metavar="WxH", help="default: 320x180")


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit an animation to a job queue.")
    parser.add_argument("--queue", required=True, help="the queue's directory")
    parser.add_argument("--out", required=True, help="the folder for the frames, the sheets and the movie")
    add_shot_options(parser)
    arguments = parser.parse_args()
    shot = Shot(os.path.abspath(arguments.out), arguments.frames, *arguments.size)
    try:
        root = submit(JobQueue(arguments.queue), shot, arguments.renderer)
    except JobQueueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{root} makes {shot.movie}; `jobqueue -q {arguments.queue} tree {root.name}` shows how far it is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
