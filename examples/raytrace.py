#!/usr/bin/env python3
"""A small ray tracer: glossy balls that circle a chrome ball over a tiled floor, at sunset.

It needs numpy and pillow only. The scene loops: the frame after the last one is the first one again.

    python examples/raytrace.py --frames 1-48 --out frames
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array: TypeAlias = NDArray[Any]  # of float32 everywhere: half the memory traffic of Python's own floats

TOTAL_FRAMES = 48
SIZE = (320, 180)
ROWS_AT_ONCE = 12  # A band of rays stays in the processor's cache; the whole picture would not.
MAX_BOUNCES = 3
SUN_DISC = 0.055  # Tangent of the sun's radius in the sky. It is far larger than the real one, for soft shadows.
HORIZON_FOG = 0.00035
FLOOR_MIRROR = 0.09
FOOTPRINT = 0.0014
# Where the four rays of a pixel pass: a rotated grid, which smooths edges near the horizontal and the vertical best.
SAMPLES = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))


def vector(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


def unit(vectors: Array) -> Array:
    length = np.sqrt(dot(vectors, vectors))
    return vectors / length[..., None]


def dot(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


SUN = unit(vector(0.80, 0.46, 0.28))
SUN_LIGHT = vector(2.5, 1.75, 1.05)
ZENITH = vector(0.07, 0.16, 0.42)
HORIZON = vector(1.05, 0.56, 0.36)
TILES = (vector(0.56, 0.50, 0.44), vector(0.045, 0.06, 0.11))
JOINT = vector(0.12, 0.11, 0.10)


@dataclass(frozen=True)
class Ball:
    """A ball of the scene; ``mirror`` is the share of light that it reflects head-on (1: chrome)."""

    centre: Array
    radius: float
    colour: Array
    mirror: float


def balls_at(turn: float) -> list[Ball]:
    """The balls when ``turn`` of the loop is over (0 to 1)."""
    angle = 2 * np.pi * turn
    balls = [Ball(vector(0, 1.35 + 0.12 * np.sin(angle), 0), 1.35, vector(0.94, 0.95, 0.97), 0.92)]
    palette = [
        (0.80, 0.07, 0.06),
        (0.95, 0.45, 0.04),
        (0.92, 0.78, 0.10),
        (0.10, 0.55, 0.16),
        (0.05, 0.28, 0.75),
        (0.42, 0.10, 0.62),
    ]
    for number, colour in enumerate(palette):
        here = angle + 2 * np.pi * number / len(palette)
        # Two hops a round: |sin| touches the floor with the speed that a bouncing ball has there.
        height = 0.62 + 1.15 * abs(np.sin(here + number * np.pi / 3))
        balls.append(Ball(vector(3.1 * np.cos(here), height, 3.1 * np.sin(here)), 0.62, vector(*colour), 0.05))
    for number in range(5):
        # The small metal ones run the other way, on an outer path.
        here = -angle + 2 * np.pi * number / 5
        metal = vector(1.0, 0.72, 0.32) if number % 2 else vector(0.96, 0.55, 0.42)
        balls.append(Ball(vector(4.7 * np.cos(here), 0.3, 4.7 * np.sin(here)), 0.3, metal, 0.8))
    return balls


def camera_rays(turn: float, size: tuple[int, int], rows: range) -> tuple[Array, Array]:
    """The camera's place, and the directions of the rays of ``rows``, four a pixel."""
    width, height = size
    swing = 2 * np.pi * turn
    azimuth = -1.05 + 0.28 * np.sin(swing)
    place = vector(9.2 * np.cos(azimuth), 2.7 + 0.55 * np.cos(swing), 9.2 * np.sin(azimuth))
    forward = unit(vector(0, 1.05, 0) - place)
    right = unit(np.cross(forward, vector(0, 1, 0)).astype(np.float32))
    up = np.cross(right, forward).astype(np.float32)
    y, x = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(width), indexing="ij")
    shifts = np.array(SAMPLES, dtype=np.float32)
    scale = 2 * np.tan(np.radians(19.0)) / height
    across = ((x.reshape(-1, 1) + 0.5 + shifts[:, 0] - width / 2) * scale).astype(np.float32)
    down = ((y.reshape(-1, 1) + 0.5 + shifts[:, 1] - height / 2) * scale).astype(np.float32)
    rays = forward + across[..., None] * right - down[..., None] * up
    return place, unit(rays.reshape(-1, 3))


def sky(rays: Array) -> Array:
    height = np.clip(rays[:, 1], 0, 1)[:, None]
    to_sun = np.clip(dot(rays, SUN), 0, 1)[:, None]
    air = ZENITH + (HORIZON - ZENITH) * np.exp(-9 * height)
    glow = vector(0.9, 0.45, 0.18) * to_sun**6 * 0.55 + vector(1.6, 1.0, 0.5) * to_sun**90
    disc = np.clip((to_sun - 0.9982) * 1500, 0, 1) * vector(14, 10, 6)
    return air + glow + disc


def nearest_ball(places: Array, rays: Array, balls: list[Ball]) -> tuple[Array, NDArray[np.intp]]:
    """How far each ray goes to a ball (infinite: it hits none), and which ball it is."""
    distance = np.full(len(rays), np.inf, dtype=np.float32)
    which = np.full(len(rays), -1, dtype=np.intp)
    for number, ball in enumerate(balls):
        offset = places - ball.centre
        along = dot(offset, rays)
        square = along * along - dot(offset, offset) + np.float32(ball.radius**2)
        near = -along - np.sqrt(np.maximum(square, 0))
        hit = (square > 0) & (near > 1e-3) & (near < distance)
        distance[hit] = near[hit]
        which[hit] = number
    return distance, which


def sunlight(points: Array, normals: Array, balls: list[Ball]) -> Array:
    """The share of the sun that each point sees, times the cosine of its height over the surface."""
    light = np.clip(dot(normals, SUN), 0, 1)
    for ball in balls:
        offset = ball.centre - points
        along = dot(offset, SUN)
        gap = np.sqrt(np.maximum(dot(offset, offset) - along * along, 0)) - np.float32(ball.radius)
        # The ball's edge crosses the sun's disc, whose radius at that distance is along * SUN_DISC: soft shadow.
        seen = np.clip(gap / (np.maximum(along, 1e-3) * SUN_DISC) * 0.5 + 0.5, 0, 1)
        light *= np.where(along > 0, seen * seen * (3 - 2 * seen), 1)
    return light


def open_sky(points: Array, normals: Array, balls: list[Ball]) -> Array:
    """The share of the sky that each point sees: less under and between balls."""
    share = np.ones(len(points), dtype=np.float32)
    for ball in balls:
        offset = ball.centre - points
        square = dot(offset, offset)
        # A ball covers r²/d² of the half space, weighted with the cosine over the surface (Lambert's form factor).
        cover = dot(normals, offset) / np.sqrt(square) * np.float32(ball.radius**2) / square
        share *= 1 - np.clip(cover, 0, 0.95)
    return share


def floor_colour(points: Array, blur: Array) -> Array:
    """Tiles with joints; ``blur`` is the width of a ray's footprint there, which fades the pattern to its mean."""
    x, z = points[:, 0] / 1.3, points[:, 2] / 1.3
    odd: Array = ((np.floor(x) + np.floor(z)) % 2).astype(np.float32)
    keep = np.clip(1.6 - blur, 0, 1)
    odd = (0.5 + (odd - 0.5) * keep)[:, None]
    edge = np.minimum(np.abs(x - np.round(x)), np.abs(z - np.round(z)))
    joint = (np.clip(1 - edge / 0.018, 0, 1) * keep)[:, None]
    return (TILES[0] * odd + TILES[1] * (1 - odd)) * (1 - joint) + JOINT * joint


def shade(rays: Array, points: Array, normals: Array, base: Array, balls: list[Ball]) -> Array:
    """What a matt surface of colour ``base`` sends back, with the highlight of the sun."""
    sun = sunlight(points, normals, balls)[:, None]
    ambient = open_sky(points, normals, balls)[:, None]
    upward = (normals[:, 1:2] * 0.5 + 0.5).astype(np.float32)
    sky_light = (ZENITH * 1.1 + HORIZON * 0.35) * upward + vector(0.30, 0.22, 0.16) * (1 - upward)
    half = unit(SUN - rays)
    shine = np.clip(dot(normals, half), 0, 1)[:, None] ** 180 * 5.0
    return base * (SUN_LIGHT * sun + sky_light * ambient) + SUN_LIGHT * shine * (sun > 0.02) * sun


def nearest(places: Array, rays: Array, balls: list[Ball]) -> tuple[Array, NDArray[np.intp], NDArray[np.bool_]]:
    """How far each ray goes (infinite: into the sky), which ball it meets, and whether it meets the floor instead."""
    distance, which = nearest_ball(places, rays, balls)
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[:, 1] < -1e-5, -places[:, 1] / rays[:, 1], np.float32(np.inf))
    on_floor = to_floor < distance
    return np.where(on_floor, to_floor, distance), which, on_floor


def surface(
    points: Array, which: NDArray[np.intp], on_floor: NDArray[np.bool_], far: Array, balls: list[Ball]
) -> tuple[Array, Array, Array]:
    """Of what is at the points: the normals, the colours and the shares of light that are mirrored head-on."""
    centres = np.stack([ball.centre for ball in balls])
    normals = np.where(on_floor[:, None], vector(0, 1, 0), unit(points - centres[which]))
    base = np.stack([ball.colour for ball in balls])[which]
    mirror = np.array([ball.mirror for ball in balls], dtype=np.float32)[which]
    # A ray's footprint on the floor grows with the way it has come, and once more with the flat angle.
    base[on_floor] = floor_colour(points[on_floor], far[on_floor] ** 2 * FOOTPRINT)
    mirror[on_floor] = FLOOR_MIRROR
    return normals, base, mirror


def trace(places: Array, rays: Array, balls: list[Ball], bounces: int = 0, travelled: Array | None = None) -> Array:
    """The light that comes back along each ray, which was mirrored ``bounces`` times on the way it has come."""
    colours = sky(rays)
    distance, which, on_floor = nearest(places, rays, balls)
    hit = np.flatnonzero(np.isfinite(distance))
    if len(hit) == 0:
        return colours
    rays, which, on_floor = rays[hit], which[hit], on_floor[hit]
    points = places[hit] + rays * distance[hit][:, None]
    far = distance[hit] if travelled is None else travelled[hit] + distance[hit]
    normals, base, mirror = surface(points, which, on_floor, far, balls)
    metal = (mirror > 0.5)[:, None]
    # Schlick's approximation of Fresnel: every surface is a mirror at a grazing angle.
    facing = np.clip(-dot(rays, normals), 0, 1)
    reflected = (mirror + (1 - mirror) * (1 - facing) ** 5)[:, None]
    lit = shade(rays, points, normals, np.where(metal, base * 0.06, base), balls) * (1 - reflected)
    if bounces < MAX_BOUNCES:
        onward = np.flatnonzero(reflected[:, 0] > 0.03)
        back = rays[onward] - 2 * dot(rays[onward], normals[onward])[:, None] * normals[onward]
        echo = trace(points[onward] + normals[onward] * np.float32(2e-3), back, balls, bounces + 1, far[onward])
        lit[onward] += echo * reflected[onward] * np.where(metal[onward], base[onward], np.float32(1))
    fog = np.where(on_floor, 1 - np.exp(-HORIZON_FOG * far**2), 0)[:, None]
    colours[hit] = lit * (1 - fog) + sky(rays * vector(1, 0, 1)) * fog
    return colours


def develop(light: Array) -> NDArray[np.uint8]:
    """Light as a screen shows it: highlights rolled off, then gamma."""
    exposed = light * np.float32(0.72)
    film = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)
    return (np.clip(film, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def render(frame: int, *, total: int = TOTAL_FRAMES, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Frame ``frame`` (from 1) of ``total``, as rows of RGB pixels."""
    turn = (frame - 1) / total
    balls = balls_at(turn)
    width, height = size
    bands = []
    for top in range(0, height, ROWS_AT_ONCE):
        rows = range(top, min(top + ROWS_AT_ONCE, height))
        place, rays = camera_rays(turn, size, rows)
        light = trace(np.broadcast_to(place, rays.shape), rays, balls)
        # Bright samples are rolled off before they are averaged; else the sun would make jagged edges.
        pixels = np.minimum(light, 4).reshape(len(rows), width, len(SAMPLES), 3).mean(axis=2)
        bands.append(develop(pixels))
    return np.concatenate(bands)


def render_to_file(path: str, frame: int, total: int = TOTAL_FRAMES, size: tuple[int, int] = SIZE) -> str:
    """Renders one frame into a PNG file; a file of that name is replaced at once by the whole new picture."""
    part = f"{path}.part"
    Image.fromarray(render(frame, total=total, size=size)).save(part, format="PNG")
    os.replace(part, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Render frames of the looping animation into PNG files.")
    parser.add_argument("--frames", default=f"1-{TOTAL_FRAMES}", help="one frame or FIRST-LAST (default: %(default)s)")
    parser.add_argument("--total", type=int, default=TOTAL_FRAMES, help="frames of one loop (default: %(default)s)")
    parser.add_argument("--size", default="320x180", help="WIDTHxHEIGHT (default: %(default)s)")
    parser.add_argument("--out", default=".", help="the directory for frame0001.png, ... (default: the current one)")
    arguments = parser.parse_args()
    first, _, last = arguments.frames.partition("-")
    width, _, height = arguments.size.partition("x")
    os.makedirs(arguments.out, exist_ok=True)
    for frame in range(int(first), int(last or first) + 1):
        path = os.path.join(arguments.out, f"frame{frame:04d}.png")
        print(render_to_file(path, frame, arguments.total, (int(width), int(height))), flush=True)


if __name__ == "__main__":
    main()
