"""What the items of an array are: its frames, or its parameters' values; counted and named, never all listed."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jobqueue import params as codec
from jobqueue.errors import ArrayError, BrokenJobError, FrameRangeError
from jobqueue.fields import Chunk
from jobqueue.frames import frame_parts
from jobqueue.names import MAX_ITEMS, Span
from jobqueue.params import dumps, loads
from jobqueue.share import Share

if TYPE_CHECKING:
    from jobqueue.proc import JobProc

AUTO = "auto"
# So many items' values lie in one line of their file.
_BLOCK_ITEMS = 1024
_OFFSET_BYTES = 14
# A range of frames may have any number of parts, and its name stands in logs and in the environment.
_NAMED_PARTS = 8
_PARAMETERS = ("frame", "frames", "", "{}")
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class ArrayInfo(NamedTuple):
    """What a hierarchy says of an array.

    Attributes:
        length: how many items it has.
        chunk: how many a slot takes at once; ``None`` for as many as take about ten seconds.
        frames: the frames that are its items, as text; ``None`` where the items are values of parameters.
        parameter: by which parameter the procedure is told: ``frame`` (each item alone), ``frames`` (a chunk at once),
            ``""`` (fields of a command are filled in, for each item alone) or ``{}`` (the same, a chunk at once).
    """

    length: int
    chunk: int | None
    frames: str | None
    parameter: str

    @property
    def is_by_chunk(self) -> bool:
        """Whether the procedure runs once for a chunk, not for each item."""
        return self.parameter in ("frames", "{}")

    @property
    def has_fields(self) -> bool:
        """Whether the items are told by the fields of a command."""
        return self.frames is not None and self.parameter in ("", "{}")

    def stored(self) -> dict[str, Any]:
        return self._asdict()

    @staticmethod
    def read(stored: Any) -> ArrayInfo:
        """From a line of a hierarchy.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(stored, dict) or set(stored) != set(ArrayInfo._fields):
            raise ValueError(f"its array is {stored!r:.60}")
        info = ArrayInfo(**stored)
        counts = [info.length] if info.chunk is None else [info.length, info.chunk]
        texts = [info.parameter] if info.frames is None else [info.parameter, info.frames]
        if not all(type(count) is int and 0 < count <= MAX_ITEMS for count in counts):
            raise ValueError(f"its array is {stored!r:.60}")
        if not all(type(text) is str for text in texts) or info.parameter not in _PARAMETERS:
            raise ValueError(f"its array is {stored!r:.60}")
        return info


class Frames(Sequence[int]):
    """The frames of a range such as ``1-1000000x2,7``, by their place in it; holds the parts alone.

    Raises:
        FrameRangeError: it is none, is too long, or names a frame twice.
    """

    def __init__(self, text: str) -> None:
        self.parts = frame_parts(text)
        self._starts = [0, *itertools.accumulate(map(len, self.parts))]
        double = _double_in(self.parts)
        if double is not None:
            raise FrameRangeError(f"the frame range {text!r:.200} names frame {double} twice")
        if len(self) > MAX_ITEMS:
            raise FrameRangeError(f"an array holds at most {MAX_ITEMS:,} items, not {len(self):,}; submit several")

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, item: Any) -> Any:
        if not 0 <= item < len(self):
            raise IndexError(item)
        part = bisect.bisect_right(self._starts, item) - 1
        return self.parts[part][item - self._starts[part]]

    def find(self, frame: int) -> int | None:
        """The place of a frame, or ``None``."""
        for start, part in zip(self._starts, self.parts, strict=False):
            if frame in part:
                return start + part.index(frame)
        return None

    def until_gap(self, span: Span) -> int:
        """The end of a span that begins with the same item and in which each frame is one step after the one before."""
        part = bisect.bisect_right(self._starts, span.start) - 1
        return min(span.end, self._starts[part + 1])

    def text(self, span: Span, most: int | None = None) -> str:
        """Some frames as a range, which may have several parts.

        Args:
            span: their places.
            most: of more parts than so many only these and the last frame are named.
        """
        found: list[str] = []
        start = span.start
        while start < span.end:
            if len(found) == most:
                return ",".join([*found, "...", str(self[span.end - 1])])
            end = self.until_gap(Span(start, span.end))
            first, last = self[start], self[end - 1]
            step = abs(self[start + 1] - first) if end - start > 1 else 1
            found.append(str(first) if first == last else f"{first}-{last}" + (f"x{step}" if step > 1 else ""))
            start = end
        return ",".join(found)


def called(frames: Frames | None, span: Span) -> str:
    """What people call some items: by their frames, or else by their places, from 0; of very many not all."""
    if span.size == 1:
        return str(span.start if frames is None else frames[span.start])
    return f"{span.start}-{span.end - 1}" if frames is None else frames.text(span, most=_NAMED_PARTS)


def _double_in(parts: Sequence[range]) -> int | None:
    """A frame that is in two parts; there may be ten thousand parts, or two of five million frames."""
    rising = sorted((part if part.step > 0 else part[::-1] for part in parts), key=lambda part: part[0])
    # Those before that reach as far as the one that is looked at.
    reaching: list[range] = []
    for part in rising:
        reaching = [other for other in reaching if other[-1] >= part[0]]
        for other in reaching:
            common = _common(part, other)
            if common is not None:
                return common
        reaching.append(part)
    return None


def _common(part: range, other: range) -> int | None:
    """A frame that is in both of two rising ranges."""
    if (part[0] - other[0]) % math.gcd(part.step, other.step):
        return None
    sparse, dense = sorted((part, other), key=lambda one: -one.step)
    low, high = max(part[0], other[0]), min(part[-1], other[-1])
    # Where they have one in common, they have one among so many of the sparse one's as the other has steps.
    inside = sparse[max(0, -((sparse[0] - low) // sparse.step)) :]
    return next((frame for frame in itertools.takewhile(lambda frame: frame <= high, inside) if frame in dense), None)


# --- values -----------------------------------------------------------------------------------------------------------


def encode_values(over: Mapping[str, Sequence[Any]]) -> bytes:
    """The contents of an array's file: a line with the names, lines of values in blocks, and their offsets.

    Args:
        over: for each parameter its values, as many as there are items.

    Raises:
        TypeError: a value cannot be stored.
    """
    names = list(over)
    count = len(over[names[0]])
    lines = [dumps(names).encode("ascii") + b"\n"]
    for at in range(0, count, _BLOCK_ITEMS):
        block = [
            [
                codec.encode(f"over[{name!r}][{item}]", over[name][item])
                for item in range(at, min(count, at + _BLOCK_ITEMS))
            ]
            for name in names
        ]
        lines.append(dumps(block).encode("ascii") + b"\n")
    offsets = itertools.accumulate(map(len, lines))
    table = b"".join(b"%0*d\n" % (_OFFSET_BYTES - 1, offset) for offset in offsets)
    return b"".join(lines) + table


class Values:
    """The parameters of an array's items, read a block at a time.

    Args:
        share: to read with.
        path: of the file.
        count: how many items there are.

    Raises:
        BrokenJobError: the file is missing or cannot be read as one (from every method).
        OSError: the share is in trouble (the same).
    """

    def __init__(self, share: Share, path: str, count: int) -> None:
        self._share = share
        self._path = path
        self._blocks = -(-count // _BLOCK_ITEMS)
        self._at = -1
        self._block: list[list[Any]] = []
        try:
            size = share.size(path)
            table = (self._blocks + 1) * _OFFSET_BYTES
            if size < table:
                raise ValueError(f"it has {size} bytes")
            self._offsets = [int(line) for line in share.read_part(path, size - table, table).split()]
            bounds = [0, *self._offsets, size - table]
            if len(self._offsets) != self._blocks + 1 or bounds != sorted(bounds):
                raise ValueError("the table of offsets is damaged")
            self._names: list[str] = loads(share.read_part(path, 0, self._offsets[0]))
        except (*_MISSING, ValueError, IndexError) as error:
            raise BrokenJobError(f"the items' parameters cannot be read ({error})", path) from error

    def __getitem__(self, item: int) -> dict[str, Any]:
        block, place = divmod(item, _BLOCK_ITEMS)
        try:
            if block != self._at:
                at, end = self._offsets[block : block + 2]
                self._block, self._at = loads(self._share.read_part(self._path, at, end - at)), block
            return {name: codec.decode(values[place]) for name, values in zip(self._names, self._block, strict=True)}
        except (*_MISSING, ValueError, IndexError, TypeError) as error:
            raise BrokenJobError(f"the parameters of item {item} cannot be read ({error})", self._path) from error


# --- how a procedure is told ------------------------------------------------------------------------------------------


def parameter_of(procedure: type[JobProc], given: Mapping[str, Any]) -> str:
    """By what a procedure is told its frames; see `ArrayInfo`.

    Args:
        procedure: the class.
        given: its other parameters, to see which fields a command has.

    Raises:
        TypeError: it takes neither ``frame`` nor ``frames``.
    """
    fields = getattr(procedure, "array_fields", None)
    if fields is not None:
        return "{}" if fields(given) else ""
    # Late, since it takes long to load, and whoever only looks at a queue does not need it.
    from inspect import signature

    known = signature(procedure).parameters
    for name in ("frame", "frames"):
        if name in known:
            return name
    raise TypeError(
        f"{procedure.__name__} takes neither a parameter frame (one run for each) nor frames (one run for a chunk), so "
        "it cannot be told which frame to work on; give over= with the parameters that it has"
    )


class ArrayPlan(NamedTuple):
    """An array that is to be submitted.

    Attributes:
        info: what the hierarchy says of it.
        values: the contents of its items' file; empty for one of frames.
        first: the parameters of its first item, to try the procedure with.
    """

    info: ArrayInfo
    values: bytes
    first: dict[str, Any]

    def label(self, shown: str | None, given: str | None) -> str | None:
        """A label that is true of all items.

        Args:
            shown: that of the command with its fields, or else of the first item.
            given: the one that the submitter has given all items, if there is one.
        """
        if self.info.has_fields or self.info.length == 1 or shown == given or not isinstance(shown, str):
            return shown
        return f"{shown} and {self.info.length - 1:,} more"


def describe_array(
    procedure: type[JobProc],
    frames: str | None,
    over: Mapping[str, Sequence[Any]] | None,
    chunk: int | str,
    params: Mapping[str, Any],
) -> ArrayPlan:
    """Looks at what an array is to be; see `jobqueue.job.Job.createJobArray`.

    Raises:
        TypeError: a value cannot be stored, or the procedure cannot be told about frames.
        ValueError: the range is none, ``over`` holds nothing or unequally much, or ``chunk`` is no size.
    """
    size = _size(chunk)
    if (frames is None) == (over is None):
        raise ArrayError("an array is made for frames= or over=, one of the two")
    if frames is not None:
        if not isinstance(frames, str):
            raise TypeError(f"frames has to be a text such as 1-100, not {type(frames).__name__}")
        every = Frames(frames)
        parameter = parameter_of(procedure, params)
        if parameter in params:
            raise ArrayError(f"{parameter} is given by the array's frames and as a parameter of all; give it once")
        info = ArrayInfo(len(every), size, frames, parameter)
        # A range without a gap that is taken in one go is one run, however often it is tried.
        is_one_chunk = info.is_by_chunk and size is not None and size >= info.length and len(every.parts) == 1
        if info.length > 1 and not is_one_chunk:
            _check_outputs(procedure, params, None, f"put {'{start}' if info.is_by_chunk else '{frame}'} into it")
        return ArrayPlan(info, b"", _first(procedure, params, parameter, every))
    assert over is not None
    _check_kind(over)
    counts = {name: len(values) for name, values in over.items()}
    if doubles := sorted(set(over) & set(params)):
        raise ArrayError(f"{doubles[0]} is given for each item and for all of them; give it once")
    if len(set(counts.values())) != 1 or 0 in counts.values():
        told = ", ".join(f"{name} has {count}" for name, count in counts.items()) or "there is none"
        raise ArrayError(f"each parameter in over= has as many values as there are items, one or more; {told}")
    count = min(counts.values())
    if count > MAX_ITEMS:
        raise ArrayError(f"an array holds at most {MAX_ITEMS:,} items, not {count:,}; submit several")
    if count > 1:
        _check_outputs(procedure, params, over, "give each item outputs of its own in over=")
    first = {name: codec.decode(codec.encode(f"over[{name!r}][0]", values[0])) for name, values in over.items()}
    return ArrayPlan(ArrayInfo(count, size, None, ""), encode_values(over), first)


def _check_kind(over: Any) -> None:
    if not isinstance(over, Mapping) or not all(type(name) is str for name in over):
        raise TypeError("over has to be a dict: for the name of each parameter a sequence of values")
    for name, values in over.items():
        # Not Sequence alone: what numpy and its like call an array is none.
        if not (hasattr(values, "__len__") and hasattr(values, "__getitem__")) or isinstance(values, Mapping):
            raise TypeError(f"over[{name!r}] has to be a sequence of values, not {type(values).__name__}")


def _check_outputs(
    procedure: type[JobProc], params: Mapping[str, Any], over: Mapping[str, Sequence[Any]] | None, hint: str
) -> None:
    """Refuses an array of which several runs would publish the same file, each in place of the one before."""
    find = getattr(procedure, "array_output", None)
    path = find(params, over) if find is not None else None
    if path is not None:
        raise ArrayError(f"several items would publish {path}; {hint}")


def _size(chunk: int | str) -> int | None:
    if chunk == AUTO:
        return None
    if type(chunk) is not int or not 0 < chunk <= MAX_ITEMS:
        raise ArrayError(f"chunk is {chunk!r}, but has to be a whole number of items, 1 or more, or {AUTO!r}")
    return chunk


def _first(procedure: type[JobProc], params: Mapping[str, Any], parameter: str, frames: Frames) -> dict[str, Any]:
    if parameter in ("frame", "frames"):
        return {parameter: frames[0] if parameter == "frame" else str(frames[0])}
    template: Any = procedure
    filled: dict[str, Any] = template.filled(params, Chunk(frames[0], frames[0], 1))
    return filled
