"""What the items of an array are: their frames, their parameters' values, and what is no array."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobqueue import items
from jobqueue import params as codec
from jobqueue.errors import ArrayError, BrokenJobError, FrameRangeError, ParameterError
from jobqueue.fields import Chunk
from jobqueue.frames import parse_frames
from jobqueue.items import (
    ArrayInfo,
    Frames,
    Values,
    called,
    describe_array,
    encode_values,
    parameter_of,
)
from jobqueue.names import MAX_ITEMS, Span
from jobqueue.proc import JobProc
from jobqueue.procs.command import command
from jobqueue.share import Share
from tests.support import same
from tests.support_share import HookedShare, QuickShare, watched_calls

__all__ = ["watched_calls"]

_SOME = settings(max_examples=80, deadline=None)
_FRAME = st.integers(-40, 40)
_PART = st.one_of(
    _FRAME.map(str),
    st.tuples(_FRAME, _FRAME).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.tuples(_FRAME, _FRAME, st.integers(1, 9)).map(lambda three: f"{three[0]}-{three[1]}x{three[2]}"),
)
_RANGE = st.lists(_PART, min_size=1, max_size=4).map(",".join)


def _frames(text: str) -> Frames | None:
    """``None`` for a range that names a frame twice."""
    every = [frame for part in text.split(",") for frame in parse_frames(part)]
    if len(set(every)) == len(every):
        return Frames(text)
    with pytest.raises(FrameRangeError, match="twice"):
        Frames(text)
    return None


# --- frames -----------------------------------------------------------------------------------------------------------


@_SOME
@given(_RANGE)
def test_frames_are_those_of_the_range_in_its_order(text: str) -> None:
    frames = _frames(text)
    if frames is None:
        return
    every = parse_frames(text)
    assert list(frames) == [frames[at] for at in range(len(frames))] == every
    for frame in range(min(every) - 1, max(every) + 2):
        assert frames.find(frame) == (every.index(frame) if frame in every else None)
    for outside in (-1, len(every)):
        with pytest.raises(IndexError):
            frames[outside]


@_SOME
@given(_RANGE, st.data())
def test_some_frames_as_text_are_read_as_the_same_frames(text: str, data: st.DataObject) -> None:
    frames = _frames(text)
    assume(frames is not None)
    assert frames is not None
    start = data.draw(st.integers(0, len(frames) - 1))
    span = Span(start, data.draw(st.integers(start + 1, len(frames))))
    assert parse_frames(frames.text(span)) == parse_frames(text)[span.start : span.end]


def test_of_very_many_frames_not_all_are_named() -> None:
    """The name of a chunk stands in logs, and in the environment of its items."""
    frames = Frames(",".join(str(7 * frame) for frame in range(1000)))
    assert called(frames, Span(0, 3)) == "0,7,14"
    assert called(frames, Span(0, 8)) == "0,7,14,21,28,35,42,49"
    assert called(frames, Span(0, 1000)) == "0,7,14,21,28,35,42,49,...,6993"
    assert (called(None, Span(3, 4)), called(None, Span(3, 1000))) == ("3", "3-999")
    assert parse_frames(frames.text(Span(0, 1000))) == list(frames)


@_SOME
@given(_RANGE, st.data())
def test_what_is_taken_at_once_is_one_step_after_the_other(text: str, data: st.DataObject) -> None:
    """A program that is told the first frame, the last one and the step works on these, and on no others."""
    frames = _frames(text)
    assume(frames is not None)
    assert frames is not None
    span = Span(data.draw(st.integers(0, len(frames) - 1)), len(frames))
    end = frames.until_gap(span)
    assert span.start < end <= span.end
    taken = parse_frames(text)[span.start : end]
    step = abs(taken[1] - taken[0]) if len(taken) > 1 else 1
    assert parse_frames(Chunk(taken[0], taken[-1], step).text) == taken
    # The next frame would not fit.
    part = data.draw(st.integers(span.start + 1, span.end))
    assert frames.until_gap(Span(span.start, part)) == min(end, part)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5,5", "5 twice"), ("1-10,7", "7 twice"), ("7,1-10", "7 twice"), ("1-9x2,2-8x3", "5 twice"),
        ("10-1,3", "3 twice"), ("0-9999998x2,1-9999999x2,9999999", "9999999 twice"),
        ("", "no frame range"), ("x", "no frame range"), ("1-", "no frame range"), ("1,,2", "no frame range"),
        ("1-5x0", "step of 0"), ("1-10000001", "more than 10,000,000 frames"),
        ("1-5000000,6000000-20000000x2", "at most 10,000,000 items"),
        pytest.param("1-" + 5000 * "1", "a number of more than 100 digits", id="digits"),
        (f"1-{10**30}", "more than 10,000,000"), (f"-{10**30}-{10**30}x{10**29}", ""),
    ],
)  # fmt: skip
def test_what_is_no_array_of_frames(text: str, told: str) -> None:
    if not told:
        # Few frames that are far apart are as good as any.
        assert len(Frames(text)) == 21
        return
    with pytest.raises(FrameRangeError, match=told):
        Frames(text)


def test_ten_million_frames_are_counted_and_not_listed() -> None:
    frames = Frames("-5000000-4999999")
    assert (len(frames), frames[0], frames[MAX_ITEMS - 1], frames.find(-1)) == (MAX_ITEMS, -5000000, 4999999, 4999999)
    assert frames.text(Span(0, MAX_ITEMS)) == "-5000000-4999999"
    assert frames.until_gap(Span(17, 30)) == 30
    halves = Frames("1-9999999x2,2-10000000x2")
    assert (halves[4_999_999], halves[5_000_000], halves.find(10_000_000)) == (9_999_999, 2, 9_999_999)


def test_many_single_frames_are_told_apart_without_comparing_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of what is missing, say, as a script has put it together."""
    compared = []
    common = items._common

    def count_it(part: range, other: range) -> int | None:
        compared.append(part)
        return common(part, other)

    monkeypatch.setattr(items, "_common", count_it)
    count = 5_000
    singles = [str(7 * frame) for frame in range(count)]
    frames = Frames(",".join(reversed(singles)))
    assert (len(frames), frames[1], frames.find(7)) == (count, 7 * (count - 2), count - 2)
    with pytest.raises(FrameRangeError, match="frame 7 twice"):
        Frames(",".join([*singles, "7"]))
    assert len(compared) < count


@_SOME
@given(st.lists(st.tuples(_FRAME, _FRAME, st.integers(1, 30)), min_size=2, max_size=3))
def test_a_frame_that_is_in_two_parts_is_found(parts: list[tuple[int, int, int]]) -> None:
    _frames(",".join(f"{first}-{last}x{step}" for first, last, step in parts))


# --- values -----------------------------------------------------------------------------------------------------------

_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.lists(_VALUE, min_size=1, max_size=5), st.data())
def test_each_item_gets_its_own_values(tmp_path_factory: Any, count: int, some: list[Any], data: st.DataObject) -> None:
    over = {"one": [some[at % len(some)] for at in range(count)], "two": range(count)}
    path = tmp_path_factory.mktemp("items") / "items"
    path.write_bytes(encode_values(over))
    values = Values(QuickShare(), str(path), count)
    for item in {0, count - 1, data.draw(st.integers(0, count - 1)), min(1023, count - 1), min(1024, count - 1)}:
        assert same(values[item], {"one": some[item % len(some)], "two": item})


@pytest.fixture
def stored(tmp_path: Path) -> tuple[str, int]:
    """The file of an array of 3000 items, in three blocks."""
    path = tmp_path / ".items-0000000"
    path.write_bytes(encode_values({"n": range(3000), "text": [f"item {item}" for item in range(3000)]}))
    return str(path), 3000


def test_values_are_read_a_block_at_a_time(watched_calls: None, stored: tuple[str, int]) -> None:
    share = HookedShare()
    values = Values(share, *stored)
    share.seen.clear()
    for item in (0, 1, 1023, 500):
        assert values[item]["n"] == item
    assert share.count("open") == 1
    assert values[1024] == {"n": 1024, "text": "item 1024"}
    assert share.count("open") == 2
    assert max(call.args[1] for call in share.seen if call.name == "pread") < os.path.getsize(stored[0]) / 2


def _cut(data: bytes) -> bytes:
    return data[:-5]


def _emptied(_: bytes) -> bytes:
    return b""


def _block_spoiled(data: bytes) -> bytes:
    return data.replace(b"[[0,1,2,", b"[[0,1,x,", 1)


def _names_spoiled(data: bytes) -> bytes:
    return b"{" + data[1:]


def _table_spoiled(data: bytes) -> bytes:
    return data[:-20] + b"no number" + data[-11:]


def _table_turned(data: bytes) -> bytes:
    *lines, second, last = data.splitlines(keepends=True)
    return b"".join([*lines, last, second])


def _a_list_too_few(data: bytes) -> bytes:
    return data.replace(b'["n","text"]', b'["n","text","m"]')[: len(data) + 4]


@pytest.mark.parametrize(
    "damage", [_cut, _emptied, _block_spoiled, _names_spoiled, _table_spoiled, _table_turned, _a_list_too_few]
)
def test_a_damaged_file_of_values_is_a_broken_job(stored: tuple[str, int], damage: Callable[[bytes], bytes]) -> None:
    path = Path(stored[0])
    path.write_bytes(damage(path.read_bytes()))

    def read_all() -> None:
        values = Values(QuickShare(), *stored)
        assert [values[item]["n"] for item in (0, 1500, 2999)] == [0, 1500, 2999]

    with pytest.raises(BrokenJobError, match="cannot be read") as caught:
        read_all()
    assert caught.value.path == stored[0]


def test_trouble_of_the_share_is_no_broken_job(stored: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def read_part(_share: Share, path: str, _offset: int, _size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    values = Values(QuickShare(), *stored)
    monkeypatch.setattr(QuickShare, "read_part", read_part)
    for read in (lambda: values[0], lambda: Values(QuickShare(), *stored)):
        with pytest.raises(OSError, match="Input/output error"):
            read()


def test_values_that_are_missing_are_a_broken_job(stored: tuple[str, int]) -> None:
    os.unlink(stored[0])
    with pytest.raises(BrokenJobError, match="parameters cannot be read"):
        Values(QuickShare(), *stored)


def test_a_file_of_another_length_is_a_broken_job(stored: tuple[str, int]) -> None:
    with pytest.raises(BrokenJobError, match="cannot be read"):
        _ = Values(QuickShare(), stored[0], 5000)[4999]


def test_an_item_that_there_is_not_has_no_values(stored: tuple[str, int]) -> None:
    with pytest.raises(BrokenJobError, match="item 3000"):
        _ = Values(QuickShare(), *stored)[3000]


# --- what a hierarchy says --------------------------------------------------------------------------------------------

_INFO = ArrayInfo(10, 3, "1-10", "frame")


@_SOME
@given(
    st.integers(1, MAX_ITEMS), st.none() | st.integers(1, MAX_ITEMS), st.none() | st.text(), st.sampled_from(
        ["frame", "frames", "", "{}"])
)  # fmt: skip
def test_an_array_is_read_as_it_was_stored(length: int, chunk: int | None, frames: str | None, parameter: str) -> None:
    info = ArrayInfo(length, chunk, frames, parameter)
    assert ArrayInfo.read(info.stored()) == info
    assert info.is_by_chunk == (parameter in ("frames", "{}"))


@pytest.mark.parametrize(
    "stored",
    [
        None, 7, [], {}, "text", {**_INFO.stored(), "more": 1}, {**_INFO.stored(), "length": 0},
        {**_INFO.stored(), "length": MAX_ITEMS + 1}, {**_INFO.stored(), "length": "10"},
        {**_INFO.stored(), "length": True},
        {**_INFO.stored(), "length": 10.0}, {**_INFO.stored(), "length": None}, {**_INFO.stored(), "chunk": 0},
        {**_INFO.stored(), "chunk": -1}, {**_INFO.stored(), "chunk": "auto"}, {**_INFO.stored(), "frames": 7},
        {**_INFO.stored(), "parameter": None}, {**_INFO.stored(), "parameter": "other"},
        {"length": 10, "chunk": 3, "frames": "1-10"},
    ],
)  # fmt: skip
def test_what_says_nothing_of_an_array_is_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match="its array is"):
        ArrayInfo.read(stored)


# --- how a procedure is told ------------------------------------------------------------------------------------------


class _OneFrame(JobProc):
    def __init__(self, frame: int, label: str | None = None) -> None:
        super().__init__(label)


class _Range(JobProc):
    def __init__(self, frames: str, label: str | None = None) -> None:
        super().__init__(label)


class _Both(JobProc):
    def __init__(self, frames: str, frame: int = 0, label: str | None = None) -> None:
        super().__init__(label)


class _Neither(JobProc):
    def __init__(self, seed: int = 0, label: str | None = None) -> None:
        super().__init__(label)


@pytest.mark.parametrize(
    ("procedure", "given_", "told"),
    [
        (_OneFrame, {}, "frame"), (_Range, {}, "frames"), (_Both, {}, "frame"),
        (command, {"cmd": "true"}, ""), (command, {"cmd": "r {frame}"}, ""), (command, {"cmd": "r {index}"}, ""),
        (command, {"cmd": "r {start}"}, "{}"), (command, {"cmd": ["r", "{frames}"]}, "{}"),
        (command, {"cmd": "r {start} {end} {frame}"}, ""),
        (command, {"cmd": "r {output}", "outputs": "/o/{frames}"}, "{}"),
        (command, {"cmd": "r {output}", "outputs": ["/o/{frame:04d}"]}, ""),
    ],
)  # fmt: skip
def test_how_a_procedure_is_told_its_frames(procedure: type[JobProc], given_: dict[str, Any], told: str) -> None:
    assert parameter_of(procedure, given_) == told


def _describe(procedure: type[JobProc] = _Neither, **changed: Any) -> Any:
    asked: dict[str, Any] = {"frames": None, "over": None, "chunk": "auto", "params": {}, **changed}
    return describe_array(procedure, **asked)


def test_an_array_of_frames_is_described_by_the_range() -> None:
    plan = _describe(_OneFrame, frames="10-1x3", chunk=2)
    assert (plan.info, plan.values, plan.first) == (ArrayInfo(4, 2, "10-1x3", "frame"), b"", {"frame": 10})
    assert _describe(_Range, frames="-3--1").first == {"frames": "-3"}
    plan = _describe(command, frames="5-9", params={"cmd": "r {frame:03d} {index}", "outputs": "/o/{frame}"})
    assert plan.info == ArrayInfo(5, None, "5-9", "")
    assert plan.first == {"cmd": "r 005 0", "outputs": ["/o/5"]}


def test_an_array_of_values_is_described_by_its_first_item() -> None:
    plan = _describe(over={"seed": range(3), "label": ["a", b"b", (1,)]}, chunk=1)
    assert plan.info == ArrayInfo(3, 1, None, "")
    assert plan.first == {"seed": 0, "label": "a"}
    assert plan.values == encode_values({"seed": [0, 1, 2], "label": ["a", b"b", (1,)]})
    assert codec.decode(codec.encode("x", (1,))) == (1,)


class _Long(list[int]):
    """Says that it has more items than an array may hold."""

    def __len__(self) -> int:
        return MAX_ITEMS + 1


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({}, ArrayError, "one of the two"),
        ({"frames": "1-3", "over": {"seed": [1]}}, ArrayError, "one of the two"),
        ({"frames": "1-3"}, TypeError, "_Neither takes neither"),
        ({"frames": 3}, TypeError, "has to be a text"),
        ({"frames": ""}, FrameRangeError, "no frame range"),
        ({"frames": "1-3,2"}, FrameRangeError, "frame 2 twice"),
        ({"frames": "0-10000000"}, FrameRangeError, "10,000,000"),
        ({"over": {}}, ArrayError, "there is none"),
        ({"over": {"seed": []}}, ArrayError, "seed has 0"),
        ({"over": {"seed": [1], "label": []}}, ArrayError, "seed has 1, label has 0"),
        ({"over": {"seed": [1, 2], "label": ["a"]}}, ArrayError, "seed has 2, label has 1"),
        ({"over": {"seed": [1]}, "params": {"seed": 2}}, ArrayError, "seed is given for each item"),
        ({"over": {"seed": [object()]}}, ParameterError, r"over\['seed'\]\[0\] has the type object"),
        ({"over": {"seed": [1, 2, object()]}}, ParameterError, r"over\['seed'\]\[2\]"),
        ({"over": {"seed": _Long()}}, ArrayError, "10,000,001"),
        ({"over": {"seed": 5}}, TypeError, "over.* has to be a"),
        ({"over": {"seed": iter([1])}}, TypeError, "over.* has to be a"),
        ({"over": [("seed", [1])]}, TypeError, "over.* has to be a"),
        ({"over": {7: [1]}}, TypeError, "over.* has to be a"),
        ({"over": {"seed": {1, 2}}}, TypeError, "over.* has to be a"),
        *[({"over": {"seed": [1]}, "chunk": size}, ArrayError, "chunk is") for size in (0, -1, 1.5, True, "all", None)],
        ({"over": {"seed": [1]}, "chunk": MAX_ITEMS + 1}, ArrayError, "chunk is"),
    ],
)  # fmt: skip
def test_what_is_no_array(asked: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        _describe(**asked)


@pytest.mark.parametrize(
    ("params", "kind", "told"),
    [
        ({"cmd": "r {frames} {frame"}, FrameRangeError, "braces"),
        ({"cmd": "r {other}"}, FrameRangeError, "none of"),
        ({"cmd": "r {frame:x!}"}, FrameRangeError, "cannot be filled"),
        ({"cmd": "r {output}"}, FrameRangeError, "none of"),
        ({}, TypeError, "cmd"),
        ({"cmd": 7}, TypeError, "cmd must be"),
        ({"cmd": " "}, ValueError, "no program"),
        ({"cmd": "r", "frame": 1}, TypeError, "frame"),
        ({"cmd": "r {output}", "outputs": "o/{frame}"}, ValueError, "absolute"),
        ({"cmd": "r {output2}", "outputs": ["/o/{frame}"]}, ValueError, "only 1 outputs"),
        ({"cmd": "r {start.real}"}, FrameRangeError, "none of"),
    ],
)
def test_a_command_that_cannot_be_filled_in_is_refused(
    params: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        _describe(command, frames="1-3", params=params)
