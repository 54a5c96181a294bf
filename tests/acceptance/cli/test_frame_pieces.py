"""Frame ranges in pieces, for any range."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.errors import FrameRangeError
from jobqueue.fields import Chunk, Template
from jobqueue.framejobs import cut
from jobqueue.frames import parse_frames

frame = st.integers(-60, 60)
part = st.one_of(
    frame.map(str),
    st.tuples(frame, frame).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.tuples(frame, frame, st.integers(1, 9)).map(lambda ends: f"{ends[0]}-{ends[1]}x{ends[2]}"),
)
frame_range = st.lists(part, min_size=1, max_size=4).map(",".join)


@given(frames=frame_range, size=st.integers(1, 12))
def test_the_pieces_are_the_range_in_its_order_and_none_is_too_long(frames: str, size: int) -> None:
    pieces = [parse_frames(piece.text) for piece in cut(frames, size)]
    assert [frame for piece in pieces for frame in piece] == parse_frames(frames)
    assert all(1 <= len(piece) <= size for piece in pieces)


@given(frames=frame_range, size=st.integers(1, 12))
def test_no_piece_spans_a_gap(frames: str, size: int) -> None:
    for piece in cut(frames, size):
        every = parse_frames(piece.text)
        assert (every[0], every[-1]) == (piece.first, piece.last)
        assert {abs(b - a) for a, b in pairwise(every)} <= {piece.step}


@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [
        ("1-10", 4, ["1-4", "5-8", "9-10"]),
        ("1-10,20", 10, ["1-10", "20"]),
        ("10-1", 5, ["10-6", "5-1"]),
        ("1-9x4,2", 2, ["1-5x4", "9", "2"]),
        ("5-8,1-10", 10, ["5-8", "1-4", "9-10"]),
        ("-3--1", 2, ["-3--2", "-1"]),
    ],
)
def test_some_ranges(frames: str, size: int, expected: list[str]) -> None:
    assert [piece.text for piece in cut(frames, size)] == expected


def test_a_template_keeps_its_kind() -> None:
    chunk = Chunk(1, 9, 2)
    assert Template("{start}-{end} {frames}", 5).fill(chunk) == "1-9 1-9x2"
    assert Template(["{start}", "x", "{end:03d}"], 5).fill(chunk) == ["1", "x", "009"]
    assert not Template("plain", 5).fields


def test_outputs_have_the_same_fields_and_stay_one_in_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    template = Template("r {start} {output} {output2}", 5, ["f{start:03d}.exr", "/out/{frames}"])
    assert template.fill(Chunk(1, 9, 2)) == "r 1 {output} {output2}"
    assert template.fill_outputs(Chunk(1, 9, 2)) == [f"{tmp_path}/f001.exr", "/out/1-9x2"]
    # What the sub-jobs do differs in nothing but where it is written.
    assert not Template("r {output}", 1, ["{frame}"]).fields


@pytest.mark.parametrize(
    ("command", "outputs", "reason"),
    [
        ("r {output}", [], "{output} is none of"),
        ("r {output2}", ["/a"], "{output2} is none of"),
        ("r {output!r}", ["/a"], "{output!r} is none of"),
        ("r", ["/{output}"], "{output} is none of"),
        ("r", ["/{frame"], "do not match"),
        ("r", ["/{frame:q}"], "cannot be filled"),
        ("r", ["/{frame}"], "{frame} is one frame, but a chunk has up to 2"),
    ],
)
def test_wrong_fields_of_outputs_are_refused(command: str, outputs: list[str], reason: str) -> None:
    with pytest.raises(FrameRangeError, match=re.escape(reason)):
        Template(command, 2 if "up to 2" in reason else 1, outputs)


@pytest.mark.parametrize("field", ["{}", "{0}", "{frame.real}", "{frame!r}", "{frame:{width}}", "{Frame}"])
def test_other_fields_are_refused(field: str) -> None:
    with pytest.raises(FrameRangeError, match="is none of"):
        Template(f"render {field}", 1)
