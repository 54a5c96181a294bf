"""Contact sheets: many pictures on one page, each with its name under it. Functions for `python` jobs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

PAPER = (24, 25, 28)
INK = (196, 198, 204)
MARGIN = 8
CAPTION = 16


def make_sheet(path: str, pictures: Sequence[str], columns: int = 4) -> str:
    """Lays pictures of one size out in rows and writes the page.

    Args:
        path: the page to write; its suffix says in which format.
        pictures: the files to show, in this order.
        columns: pictures in a row, at least 1.

    Returns:
        ``path``.
    """
    with Image.open(pictures[0]) as first:
        width, height = first.size
    rows = math.ceil(len(pictures) / columns)
    across, down = width + MARGIN, height + CAPTION + MARGIN
    page = Image.new("RGB", (columns * across + MARGIN, rows * down + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=11)
    for number, name in enumerate(pictures):
        left, top = MARGIN + number % columns * across, MARGIN + number // columns * down
        with Image.open(name) as picture:
            page.paste(picture.convert("RGB"), (left, top))
        caption = os.path.splitext(os.path.basename(name))[0]
        draw.text((left + 1, top + height + 1), caption, fill=INK, font=font)
    return _write(page, path)


def join_sheets(path: str, sheets: Sequence[str], columns: int = 2) -> str:
    """Puts whole sheets, each at half its size, on one page."""
    halves = []
    for sheet in sheets:
        with Image.open(sheet) as picture:
            halves.append(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS))
    width, height = (max(half.size[axis] for half in halves) for axis in (0, 1))
    columns = min(columns, len(halves))
    page = Image.new("RGB", (columns * width, math.ceil(len(halves) / columns) * height), PAPER)
    for number, half in enumerate(halves):
        page.paste(half, (number % columns * width, number // columns * height))
    return _write(page, path)


def _write(page: Image.Image, path: str) -> str:
    """Writes the page so that nobody ever sees half of it."""
    stem, suffix = os.path.splitext(path)
    part = f"{stem}.part{suffix}"
    page.save(part)
    os.replace(part, path)
    return path
