#!/usr/bin/env python3
"""Looks at what `make demo` has made: every frame decodes and differs from its neighbour, and nothing is missing.

python examples/check_demo.py demo
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
from PIL import Image

from render_animation import FRAMES_A_SHEET, Shot, parse_count

# Mean difference of neighbouring frames, in steps of 255. The quietest scene here has about 2, noise alone below 0.5.
LEAST_CHANGE = 0.5
# Standard deviation of a frame's pixels: a picture that is all one colour has 0.
LEAST_CONTRAST = 10.0


def problems(shot: Shot) -> list[str]:
    """What is wrong, a sentence each."""
    found = []
    before = None
    for number in range(1, shot.frames + 1):
        path = shot.frame(number)
        try:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
        except OSError as error:
            found.append(f"{path} cannot be read: {error}")
            continue
        if pixels.std() < LEAST_CONTRAST:
            found.append(f"{path} is empty: its contrast is {pixels.std():.1f}")
        if before is not None and before.shape != pixels.shape:
            found.append(f"{path} has another size than the frame before")
        elif before is not None and np.abs(pixels - before).mean() < LEAST_CHANGE:
            found.append(f"{path} is the same picture as the frame before")
        before = pixels
    return found + movie_problems(shot) + sheet_problems(shot)


def movie_problems(shot: Shot) -> list[str]:
    """Decodes the whole movie: ffmpeg prints a line for each picture that is in it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", shot.movie, "-f", "framemd5", "-"]
    decoded = subprocess.run(command, capture_output=True, text=True, check=False)
    if decoded.returncode or decoded.stderr:
        why = (decoded.stderr.splitlines() or [f"exit code {decoded.returncode}"])[-1]
        return [f"{shot.movie} cannot be read: {why}"]
    pictures = [line for line in decoded.stdout.splitlines() if not line.startswith("#")]
    if len(pictures) != shot.frames:
        return [f"{shot.movie} has {len(pictures)} frames instead of {shot.frames}"]
    return []


def sheet_problems(shot: Shot) -> list[str]:
    """Decodes the contact sheets."""
    found = []
    count = -(-shot.frames // FRAMES_A_SHEET)
    for path in [*(shot.sheet(number) for number in range(1, count + 1)), shot.overview]:
        try:
            with Image.open(path) as sheet:
                sheet.load()
        except OSError as error:
            found.append(f"{path} cannot be read: {error}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Check what the demo has made.")
    parser.add_argument("folder", help="the demo's folder")
    parser.add_argument("--frames", type=parse_count, default=48, metavar="N", help="how many (default: %(default)s)")
    arguments = parser.parse_args()
    shot = Shot(os.path.abspath(arguments.folder), arguments.frames, 0, 0)
    found = problems(shot)
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{shot.frames} frames, their contact sheets and {shot.movie} are good.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
