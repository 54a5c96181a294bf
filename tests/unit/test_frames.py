"""Frame ranges."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.errors import FrameRangeError
from jobqueue.frames import MAX_FRAMES, chunks, frame_parts, parse_frames

_FRAME = st.integers(min_value=-300, max_value=300)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("7", [7]),
        ("-3", [-3]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-10x3", [1, 4, 7, 10]),
        ("-2--1", [-2, -1]),
        ("3-1", [3, 2, 1]),
        ("10-1x4", [10, 6, 2]),
        ("1-3, 20 ,30-28", [1, 2, 3, 20, 30, 29, 28]),
        ("1-4,2-6,1", [1, 2, 3, 4, 5, 6]),
        (5, [5]),
        (-5, [-5]),
        ((1, 3), [1, 2, 3]),
        ([3, 1], [3, 2, 1]),
        (range(0, 9, 4), [0, 4, 8]),
    ],
)
def test_a_range_gives_its_frames_in_order(frames: Any, expected: list[int]) -> None:
    assert parse_frames(frames) == expected


@settings(max_examples=100, deadline=None)
@given(_FRAME, _FRAME, st.integers(min_value=1, max_value=20))
def test_a_range_counts_from_its_first_frame_towards_its_last(first: int, last: int, step: int) -> None:
    frames = parse_frames(f"{first}-{last}x{step}")
    assert frames[0] == first
    assert all(abs(two - one) == step for one, two in itertools.pairwise(frames))
    assert abs(last - frames[-1]) < step
    assert min(first, last) <= min(frames) <= max(frames) <= max(first, last)


@settings(max_examples=100, deadline=None)
@given(st.lists(_FRAME, min_size=1, max_size=12))
def test_each_frame_comes_once_at_its_first_place(frames: list[int]) -> None:
    assert parse_frames(",".join(map(str, frames))) == list(dict.fromkeys(frames))


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-", "1-2x", "1-2x-1", "1,,2", "1-2-3", "1.5", "1 - 5", "1-5\n,", "x2"]
)
def test_a_text_that_is_no_range_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(FrameRangeError) as caught:
        parse_frames(text)
    assert str(caught.value) == f"{text!r} is no frame range; write for example 1-100x2 or 1-10,20"


def test_a_step_of_0_is_an_error() -> None:
    with pytest.raises(FrameRangeError, match=r"^the frame range '1-5x0' has a step of 0$"):
        parse_frames("1-5x0")


@pytest.mark.parametrize("frames", [None, 1.5, (1,), (1, 2, 3), (1, 2.0), (True, 2), ["1", "2"], {1, 2}, b"1-5"])
def test_a_value_that_is_no_range_is_an_error(frames: Any) -> None:
    with pytest.raises(FrameRangeError) as caught:
        parse_frames(frames)
    assert str(caught.value).startswith(f"{frames!r} is no frame range; write for example 1-100x2, or give an int or")


@pytest.mark.parametrize("frames", [True, False])
def test_a_bool_is_no_frame(frames: bool) -> None:
    with pytest.raises(FrameRangeError, match=rf"^{frames} is no frame range; write for example 1-100x2$"):
        parse_frames(frames)


def test_an_empty_range_is_an_error() -> None:
    with pytest.raises(FrameRangeError, match=r"^the frame range range\(0, 0\) is empty$"):
        parse_frames(range(0))


@settings(max_examples=100, deadline=None)
@given(st.lists(_FRAME, max_size=40), st.integers(min_value=1, max_value=50))
def test_chunks_hold_all_frames_in_order_and_only_the_last_is_shorter(frames: list[int], size: int) -> None:
    pieces = chunks(frames, size)
    assert [frame for piece in pieces for frame in piece] == frames
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces[-1:])


@pytest.mark.parametrize("size", [0, -1])
def test_a_chunk_that_holds_nothing_is_an_error(size: int) -> None:
    with pytest.raises(FrameRangeError, match=rf"^a chunk of {size} frames holds nothing; use 1 or more$"):
        chunks([1, 2], size)


@pytest.mark.parametrize("frames", ["1-99999999999", (1, 10**30), range(10**8), "5,1-20000000x1"])
def test_a_range_of_more_frames_than_anybody_means_is_an_error_at_once(frames: Any) -> None:
    with pytest.raises(FrameRangeError, match="holds more than 10,000,000 frames"):
        parse_frames(frames)


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ("0-10000000", "the range from 0 to 10000000 holds more than 10,000,000 frames"),
        ("10000000-0", "the range from 10000000 to 0 holds more than 10,000,000 frames"),
        ("1-20000001x2", "the range from 1 to 20000001 holds more than 10,000,000 frames"),
    ],
)
def test_a_range_that_is_too_long_is_named_as_it_was_written(frames: str, told: str) -> None:
    with pytest.raises(FrameRangeError) as caught:
        frame_parts(frames)
    assert str(caught.value) == told


@pytest.mark.parametrize("frames", ["1-10000000", "10000000-1", "1-20000000x2"])
def test_the_longest_range_is_one(frames: str) -> None:
    (part,) = frame_parts(frames)
    assert len(part) == MAX_FRAMES


@pytest.mark.parametrize("frames", [5000 * "1", "1-" + 5000 * "9", "1-5x" + 5000 * "1"], ids=["one", "last", "step"])
def test_a_number_of_thousands_of_digits_is_an_error_that_says_so(frames: str) -> None:
    with pytest.raises(FrameRangeError, match=r"^the frame range '1.{58}\.\.\. has a number of more than 100 digits$"):
        parse_frames(frames)


def test_an_empty_range_is_not_called_long() -> None:
    with pytest.raises(FrameRangeError, match=r"is empty$"):
        parse_frames(range(10**8, 0))
