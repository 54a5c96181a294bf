"""Tables, colours, times and JSON on the standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

# The commands take all that they print with from here.
from jobqueue.words import number_of as number_of  # noqa: PLC0414  mypy wants it of what is passed on
from jobqueue.words import plain as plain  # noqa: PLC0414  the same

_COLOURS = {
    "running": "36", "ready": "34", "finished": "32", "done": "32", "failed": "31", "stalled": "31", "died": "31",
    "broken": "31", "held": "33", "cancelled": "33",
}  # fmt: skip
_GAP = "  "
_NARROWEST = 8


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


# --- words -----------------------------------------------------------------------------------------------------------


def when(seconds: float | None) -> str:
    """A time of the day here; ``-`` for none."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def how_long(seconds: float | None) -> str:
    """A span of time in two figures or three; ``-`` for none."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# --- the terminal ----------------------------------------------------------------------------------------------------


def has_colours() -> bool:
    """Whether the standard output shows colours. Source: no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(state: str) -> str:
    """A state in its colour; to be used only where `has_colours`."""
    code = _COLOURS.get(state)
    return f"\x1b[{code}m{state}\x1b[0m" if code else state


def line_width() -> int | None:
    """How many characters a line may have; ``None`` where the output is no terminal."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns


def width_of(text: str) -> int:
    """How many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns (1 or more)."""
    if width_of(text) <= width:
        return text
    kept = text[: width - 1]
    while width_of(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…"


# --- tables ----------------------------------------------------------------------------------------------------------


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), wide: str | None = None
) -> None:
    """Prints rows in aligned columns.

    Args:
        head: the columns' names; the one that is called STATE is coloured.
        rows: of texts.
        right: the columns that are aligned to the right.
        wide: the column that is shortened where a line would not fit on the terminal.
    """
    cells = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*cells, strict=True)]
    limit = line_width()
    if limit is not None and wide is not None:
        at = head.index(wide)
        spare = limit - sum(widths) - len(_GAP) * (len(head) - 1)
        widths[at] = max(min(widths[at], _NARROWEST), widths[at] + min(0, spare))
        for row in cells:
            row[at] = shorten(row[at], widths[at])
    to_colour = head.index("STATE") if "STATE" in head and has_colours() else None
    # At once, since an unbuffered output would make a call of each line.
    print("\n".join(_line(row, widths, [name in right for name in head], to_colour) for row in cells))


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool], to_colour: int | None) -> str:
    found = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - width_of(cell))
        shown = coloured(cell) if at == to_colour else cell
        found.append(padding + shown if right[at] else shown + padding)
    return _GAP.join(found).rstrip()
