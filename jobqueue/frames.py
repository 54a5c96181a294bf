"""Frame ranges: ``"1-100x2"``, an int, or a pair. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jobqueue.errors import FrameRangeError

# More than any range that somebody means: a slip of the hand must not fill the memory.
MAX_FRAMES = 10_000_000
# Nobody numbers frames so high, and Python refuses to read what has some thousand digits.
_MAX_DIGITS = 100
_PART = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?\Z")


def parse_frames(frames: Any) -> list[int]:
    """The frames of a range, in order, each once.

    Args:
        frames: ``"1-100"``, ``"1-100x2"`` (every second), ``"1-10,20,30-28"`` (several; backwards counts down), an int
            (one frame), a pair of ints (first and last), or a range.

    Raises:
        FrameRangeError: it is none of these, holds no frame, or more than 10,000,000.
    """
    if isinstance(frames, bool):
        raise FrameRangeError(f"{frames!r} is no frame range; write for example 1-100x2")
    if isinstance(frames, int):
        return [frames]
    if isinstance(frames, range):
        found = list(_bounded(frames))
    elif isinstance(frames, str):
        found = [frame for part in frame_parts(frames) for frame in part]
    elif isinstance(frames, Sequence) and len(frames) == 2 and all(type(frame) is int for frame in frames):
        found = list(_count(frames[0], frames[1], 1))
    else:
        raise FrameRangeError(f"{frames!r} is no frame range; write for example 1-100x2, or give an int or a pair")
    if not found:
        raise FrameRangeError(f"the frame range {frames!r} is empty")
    return list(dict.fromkeys(found))


def frame_parts(frames: str) -> list[range]:
    """What lies between the commas of a range, which is counted and not listed; a frame may be in several.

    Raises:
        FrameRangeError: it is no frame range, or a part holds more than 10,000,000 frames.
    """
    return [_part(frames, part.strip()) for part in frames.split(",")]


def _part(frames: str, part: str) -> range:
    match = _PART.match(part)
    if not match:
        raise FrameRangeError(f"{frames!r} is no frame range; write for example 1-100x2 or 1-10,20")
    if any(len(number) > _MAX_DIGITS for number in match.groups("")):
        raise FrameRangeError(f"the frame range {frames!r:.60}... has a number of more than {_MAX_DIGITS} digits")
    first, last, step = match.groups()
    if step is not None and int(step) == 0:
        raise FrameRangeError(f"the frame range {frames!r} has a step of 0")
    return _count(int(first), int(last if last is not None else first), int(step or 1))


def _count(first: int, last: int, step: int) -> range:
    return _bounded(range(first, last + 1, step) if last >= first else range(first, last - 1, -step))


def _bounded(frames: range) -> range:
    # Not len(): Python refuses to count what has more than 63 bits.
    if frames and -(-abs(frames.stop - frames.start) // abs(frames.step)) > MAX_FRAMES:
        last = frames.stop - 1 if frames.step > 0 else frames.stop + 1
        raise FrameRangeError(f"the range from {frames.start} to {last} holds more than {MAX_FRAMES:,} frames")
    return frames


def chunks(frames: Sequence[int], size: int) -> list[list[int]]:
    """``frames`` cut into pieces of ``size`` (at least 1), the last one may be shorter.

    Raises:
        FrameRangeError: ``size`` is below 1.
    """
    if size < 1:
        raise FrameRangeError(f"a chunk of {size} frames holds nothing; use 1 or more")
    return [list(frames[at : at + size]) for at in range(0, len(frames), size)]
