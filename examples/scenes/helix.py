#!/usr/bin/env python3
"""A turning double helix as Tachyon scene files, one for each frame: what a modelling program's export would write.

python examples/scenes/helix.py 1 --total 48 > helix.dat && tachyon helix.dat -format PNG -o helix.png
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

Point = tuple[float, float, float]

STRANDS = ("blue", "coral")
PAIRS = (("gold", "teal"), ("teal", "gold"), ("rose", "leaf"), ("leaf", "rose"))
COLOURS = {
    "blue": (0.16, 0.34, 0.85),
    "coral": (0.95, 0.33, 0.22),
    "gold": (0.98, 0.72, 0.15),
    "teal": (0.08, 0.60, 0.58),
    "rose": (0.85, 0.22, 0.50),
    "leaf": (0.42, 0.70, 0.16),
}
STEPS = 41  # rungs
RISE = 0.36  # from rung to rung
TILT = math.radians(62)  # the axis lies across the wide picture
TWIST = math.radians(36)  # ten rungs are one winding
RADIUS = 1.25


def scene(frame: int, total: int, size: tuple[int, int]) -> str:
    """The scene of ``frame`` (from 1) of ``total``; the frame after the last would be the first again."""
    turn = 2 * math.pi * (frame - 1) / total
    return "\n".join([*_stage(turn, size), *_textures(), *_helix(turn), *_floor(), "END_SCENE", ""])


def _stage(turn: float, size: tuple[int, int]) -> Iterator[str]:
    width, height = size
    swing = 1.6 * math.sin(turn)
    eye: Point = (swing, 1.2, -9.0)
    look: Point = (-swing, -1.35, 9.0)
    yield "BEGIN_SCENE"
    yield f"RESOLUTION {width} {height}"
    yield "SHADER_MODE FULL"
    yield "AMBIENT_OCCLUSION AMBIENT_COLOR 0.60 0.66 0.80 RESCALE_DIRECT 0.85 SAMPLES 10"
    yield "END_SHADER_MODE"
    yield "CAMERA PROJECTION PERSPECTIVE ZOOM 1.75"
    yield f"ASPECTRATIO 1.0 ANTIALIASING 3 RAYDEPTH 8 CENTER {_point(eye)} VIEWDIR {_point(look)} UPDIR 0 1 0"
    yield "END_CAMERA"
    yield "LIGHT CENTER -9 12 -9 RAD 0.5 COLOR 1.0 0.92 0.80"
    yield "LIGHT CENTER 12 4 -6 RAD 0.5 COLOR 0.22 0.28 0.42"
    yield "BACKGROUND_GRADIENT SKY_SPHERE UPDIR 0 1 0 TOPVAL 0.40 BOTTOMVAL -0.05"
    yield "TOPCOLOR 0.03 0.05 0.16 BOTTOMCOLOR 0.55 0.62 0.80"


def _textures() -> Iterator[str]:
    for name, colour in COLOURS.items():
        yield (
            f"TEXDEF {name} AMBIENT 0.12 DIFFUSE 0.8 SPECULAR 0.1 OPACITY 1.0 "
            f"PHONG PLASTIC 0.6 PHONG_SIZE 80 COLOR {_point(colour)} TEXFUNC 0"
        )


def _helix(turn: float) -> Iterator[str]:
    before: dict[str, Point] = {}
    for step in range(STEPS):
        angle = turn + step * TWIST
        height = (step - STEPS // 2) * RISE
        # The grooves of the real molecule are of unequal width: the strands are not opposite to each other.
        ends = {
            name: _tilted((RADIUS * math.cos(angle + shift), height, RADIUS * math.sin(angle + shift)))
            for name, shift in zip(STRANDS, (0.0, math.radians(150)), strict=True)
        }
        for name, end in ends.items():
            yield f"SPHERE CENTER {_point(end)} RAD 0.25 {name}"
            if name in before:
                yield f"FCYLINDER BASE {_point(before[name])} APEX {_point(end)} RAD 0.13 {name}"
        middle = _between(*ends.values())
        for end, base in zip(ends.values(), PAIRS[step * 7 % 4], strict=True):
            yield f"FCYLINDER BASE {_point(end)} APEX {_point(middle)} RAD 0.09 {base}"
            yield f"SPHERE CENTER {_point(_between(end, middle))} RAD 0.16 {base}"
        before = ends


def _floor() -> Iterator[str]:
    yield "PLANE CENTER 0 -4.6 0 NORMAL 0 1 0 TEXTURE"
    yield "AMBIENT 0.1 DIFFUSE 0.6 SPECULAR 0.30 OPACITY 1.0 COLOR 0.22 0.27 0.38 TEXFUNC 0"


def _tilted(point: Point) -> Point:
    x, y, z = point
    return (x * math.cos(TILT) + y * math.sin(TILT), y * math.cos(TILT) - x * math.sin(TILT), z)


def _between(a: Point, b: Point) -> Point:
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)


def _point(values: Point) -> str:
    return " ".join(f"{value:.5f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the Tachyon scene of one frame to the standard output.")
    parser.add_argument("frame", type=int, help="the frame, from 1")
    parser.add_argument("--total", type=int, default=48, help="frames of one turn (default: %(default)s)")
    parser.add_argument("--size", default="320x180", help="WIDTHxHEIGHT (default: %(default)s)")
    arguments = parser.parse_args()
    width, _, height = arguments.size.partition("x")
    print(scene(arguments.frame, arguments.total, (int(width), int(height))), end="")


if __name__ == "__main__":
    main()
