"""The checks that the built-in procedures share, and what they make of frames."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.errors import FrameRangeError
from jobqueue.procs import _check


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        ("check_text", 3, TypeError, "size must be text, not int"),
        ("check_text", b"x", TypeError, "size must be text, not bytes"),
        ("check_text", "", ValueError, "size is empty"),
        ("check_text", "a\0b", ValueError, "size holds a NUL"),
        ("check_argument", "-P", ValueError, "size is '-P'; the dash"),
        ("check_argument", "a\nb", ValueError, "size holds a line end"),
        ("check_argument", "a\rb", ValueError, "size holds a line end"),
        ("check_arguments", 3, TypeError, "size must be text or a list of texts, not int"),
        ("check_arguments", [], ValueError, "size is an empty list"),
        ("check_arguments", ["a", 3], TypeError, r"size\[1\] must be text"),
        ("check_texts", "-x", TypeError, "size must be a list of texts, not str"),
        ("check_texts", ["a", None], TypeError, r"size\[1\] must be text, not NoneType"),
        ("check_texts", ["a\0"], ValueError, r"size\[0\] holds a NUL"),
        ("check_frames", True, TypeError, "size must be text such as 1-100x2"),
        ("check_frames", 1.5, TypeError, "an int or a pair of ints, not float"),
        ("check_frames", "a-b", FrameRangeError, "size: 'a-b' is no frame range"),
        ("check_frames", (1, 2, 3), FrameRangeError, "size: "),
        ("choose_label", 3, TypeError, "label must be text"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_parameter(
    check: str, value: Any, error: type[Exception], message: str
) -> None:
    name = "a frame" if check == "choose_label" else "size"
    with pytest.raises(error, match=message):
        getattr(_check, check)(*((value, name) if check == "choose_label" else (name, value)))


@pytest.mark.parametrize(
    ("value", "error"), [(True, TypeError), ("8", TypeError), (8.0, TypeError), (0, ValueError), (65, ValueError)]
)
def test_a_number_must_be_an_int_within_its_limits(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="threads"):
        _check.check_int("threads", value, 1, 64)


def test_what_is_right_comes_back() -> None:
    assert _check.check_argument("output", "//shots/a b_####") == "//shots/a b_####"
    assert _check.check_arguments("input", "a.png") == ["a.png"]
    assert _check.check_arguments("input", ("a.png", "b.png")) == ["a.png", "b.png"]
    assert _check.check_texts("args", ("-x", "", "1")) == ["-x", "", "1"]
    assert _check.check_int("threads", 64, 1, 64) == 64
    assert _check.check_frames("frames", "1-5x2") == [1, 3, 5]
    assert _check.check_frames("frames", (3, 1), 0) == [3, 2, 1]


def test_a_program_may_take_no_frames_below_a_number() -> None:
    with pytest.raises(FrameRangeError, match="frames holds the frame -2; this program takes none below 0"):
        _check.check_frames("frames", "-2-3", 0)


def test_an_optional_value_is_checked_only_if_it_is_given() -> None:
    assert _check.optional(_check.check_int, "threads", None, 1, 64) is None
    assert _check.optional(_check.check_int, "threads", 3, 1, 64) == 3
    assert _check.options(("-S", None), ("-t", 0), ("-o", "a")) == ["-t", "0", "-o", "a"]


def test_a_label_is_the_users_or_a_short_line() -> None:
    assert _check.choose_label("shot 12", "blender shot.blend") == "shot 12"
    assert _check.choose_label(None, "a\n  b\tc") == "a b c"
    shown = _check.choose_label(None, "x" * 500)
    assert shown == "x" * 77 + "..."


@pytest.mark.parametrize(
    ("frames", "steps", "expected"),
    [
        ([1, 2, 3], False, [(1, 3, 1)]),
        ([1, 3, 5], False, [(1, 1, 1), (3, 3, 1), (5, 5, 1)]),
        ([1, 3, 5], True, [(1, 5, 2)]),
        ([1, 2, 3, 7, 8], False, [(1, 3, 1), (7, 8, 1)]),
        ([3, 2, 1], True, [(3, 3, 1), (2, 2, 1), (1, 1, 1)]),
        ([-2, -1, 0, 1], False, [(-2, 1, 1)]),
        ([1, 2, 4, 6], True, [(1, 2, 1), (4, 6, 2)]),
        ([], True, []),
    ],
)
def test_frames_are_cut_where_a_program_cannot_go_on(
    frames: list[int], steps: bool, expected: list[tuple[int, int, int]]
) -> None:
    assert [(run[0], run[-1], run.step) for run in _check.ranges(frames, steps=steps)] == expected


@given(st.lists(st.integers(-50, 50), unique=True), st.booleans())
def test_cutting_loses_no_frame_and_keeps_the_order(frames: list[int], steps: bool) -> None:
    assert [frame for run in _check.ranges(frames, steps=steps) for frame in run] == frames


@pytest.mark.parametrize(
    ("frames", "expected"),
    [([5], "5"), ([1, 2, 3], "1-3"), ([1, 3, 5, 20], "1-5x2,20"), (list(range(0, 4000, 7)), "0-3997x7")],
)
def test_frames_are_described_as_people_write_them(frames: list[int], expected: str) -> None:
    assert _check.describe_frames(frames) == expected
    assert _check.title("blender", "/shots/a.blend", frames) == f"blender a.blend {expected}"


def test_scattered_frames_are_described_in_short() -> None:
    assert len(_check.describe_frames([number * number for number in range(100)])) == 40


def test_a_pattern_gives_a_path_for_each_frame() -> None:
    assert _check.expand("input", "/a b/f_%04d.png", [1, 20000, -3]) == [
        "/a b/f_0001.png",
        "/a b/f_20000.png",
        "/a b/f_-003.png",
    ]
    assert _check.expand("input", "f%d/x.png", [7]) == ["f7/x.png"]


@pytest.mark.parametrize("pattern", ["f.png", "f_%s.png", "f_%04d_%d.png", "f%%_%d.png", "f_%4d.png", "f_%0999d.png"])
def test_a_pattern_needs_just_one_number(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"input is .*; it needs one %d"):
        _check.expand("input", pattern, [1])
    with pytest.raises(TypeError, match="input must be text, not list"):
        _check.expand("input", [pattern], [1])
