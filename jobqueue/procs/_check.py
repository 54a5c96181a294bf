"""What the built-in procedures check of their parameters, and what they make of frames. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobqueue.errors import FrameRangeError
from jobqueue.frames import parse_frames

MAX_LABEL = 80
# Bounded, so that no path becomes longer than memory.
PATTERN = re.compile(r"%(?:0[1-9][0-9]?)?d")
_T = TypeVar("_T")


# --- checks of parameters; each returns what it was given ------------------------------------------------------------


def check_text(name: str, value: Any) -> str:
    """A text that can be an argument of a program.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, or holds a NUL character.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} is empty")
    if "\0" in value:
        raise ValueError(f"{name} holds a NUL character")
    return value


def check_argument(name: str, value: Any) -> str:
    """A path or a word, in one line, that a program cannot take for an option.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, begins with a dash, or holds a NUL or a line end.
    """
    text = check_text(name, value)
    if text.startswith("-"):
        raise ValueError(f"{name} is {text!r}; the dash at its beginning would make it an option")
    if "\n" in text or "\r" in text:
        raise ValueError(f"{name} holds a line end")
    return text


def check_arguments(name: str, value: Any) -> list[str]:
    """A path or a word, or a list of them, as a list.

    Raises:
        TypeError: it is neither, or an item is no text.
        ValueError: the list is empty, or an item is wrong, see `check_argument`.
    """
    if isinstance(value, str):
        return [check_argument(name, value)]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be text or a list of texts, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} is an empty list")
    return [check_argument(f"{name}[{at}]", item) for at, item in enumerate(value)]


def check_int(name: str, value: Any, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``.

    Raises:
        TypeError: it is no int.
        ValueError: it is out of this range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be {low} to {high}")
    return value


def check_texts(name: str, value: Any) -> list[str]:
    """A list or tuple of texts, each an argument of a program that may be empty or an option.

    Raises:
        TypeError: it is none, or an item is no text.
        ValueError: an item holds a NUL character.
    """
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list of texts, not {type(value).__name__}")
    for at, item in enumerate(value):
        if item != "":
            check_text(f"{name}[{at}]", item)
    return list(value)


def check_frames(name: str, value: Any, lowest: int | None = None) -> list[int]:
    """The frames of a frame range, see `jobqueue.frames.parse_frames`.

    Args:
        name: the parameter's name.
        value: text, an int, or a pair of ints.
        lowest: the lowest frame number that the program takes; any by default.

    Raises:
        TypeError: it is none of these.
        FrameRangeError: it is no frame range, or holds a frame below ``lowest``.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, list, tuple)):
        raise TypeError(f"{name} must be text such as 1-100x2, an int or a pair of ints, not {type(value).__name__}")
    try:
        frames = parse_frames(value)
    except FrameRangeError as error:
        raise FrameRangeError(f"{name}: {error.reason}") from None
    if lowest is not None and min(frames) < lowest:
        raise FrameRangeError(f"{name} holds the frame {min(frames)}; this program takes none below {lowest}")
    return frames


def optional(check: Callable[..., _T], name: str, value: Any, *limits: int) -> _T | None:
    """``None``, or what ``check`` says of the value."""
    return None if value is None else check(name, value, *limits)


def options(*pairs: tuple[str, object]) -> list[str]:
    """Those options that have a value, each followed by it."""
    return [text for option, value in pairs if value is not None for text in (option, str(value))]


def choose_label(label: Any, shown: str) -> str:
    """The label that a user has given, or else a short form of ``shown``.

    Raises:
        TypeError: ``label`` is no text.
        ValueError: it is empty.
    """
    return shorten(shown) if label is None else check_text("label", label)


def shorten(text: str, limit: int = MAX_LABEL) -> str:
    """``text`` in one line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


# --- frames ----------------------------------------------------------------------------------------------------------


def ranges(frames: Sequence[int], *, steps: bool) -> list[range]:
    """``frames`` cut into runs that count upwards, for programs that take a first and a last frame.

    Args:
        frames: the frames, in order.
        steps: whether the program takes a step as well; otherwise each run counts by 1.
    """
    found: list[range] = []
    for frame in frames:
        last = found[-1] if found else None
        if last is not None and len(last) == 1 and (frame - last[0] == 1 or (steps and frame > last[0])):
            found[-1] = range(last[0], frame + 1, frame - last[0])
        elif last is not None and len(last) > 1 and frame == last[-1] + last.step:
            found[-1] = range(last[0], frame + 1, last.step)
        else:
            found.append(range(frame, frame + 1))
    return found


def expand(name: str, pattern: Any, frames: Sequence[int]) -> list[str]:
    """The paths that a pattern gives for ``frames``.

    Args:
        name: the parameter's name.
        pattern: a path with one ``%d`` or ``%04d`` in it.
        frames: the frames, in order.

    Raises:
        TypeError: it is no text.
        ValueError: it is no such pattern.
    """
    if check_argument(name, pattern).count("%") != 1 or not PATTERN.search(pattern):
        raise ValueError(f"{name} is {pattern!r}; it needs one %d or %04d for the frame number, and no other %")
    return [pattern % frame for frame in frames]


def title(name: str, path: str, frames: Sequence[int] | None) -> str:
    """A label: what is done to which file, and the frames."""
    return " ".join([name, os.path.basename(path), *([describe_frames(frames)] if frames else [])])


def describe_frames(frames: Sequence[int]) -> str:
    """``frames`` as people write them: ``1-100x2,200``."""
    parts = []
    for run in ranges(frames, steps=True):
        step = f"x{run.step}" if run.step > 1 else ""
        parts.append(f"{run[0]}-{run[-1]}{step}" if len(run) > 1 else str(run[0]))
    return shorten(",".join(parts), 40)
