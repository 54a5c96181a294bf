"""What is wrong with published files is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.frames import Frames

_WHOLE = "2 host1\nhalf of it\nwhole\n"


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    (tmp_path / ".jq-worker.1-1.7.2").mkdir()
    (tmp_path / "frame0003.txt").write_text(_WHOLE)
    found = Frames(tmp_path)
    found.look()
    return found


def test_a_whole_file_of_the_winner_is_right(frames: Frames) -> None:
    assert frames.problems({"frame0003.txt": 2}) == []
    assert frames.left() == 1


def test_a_file_of_another_attempt_is_found(frames: Frames) -> None:
    why = f"frame0003.txt is not that of attempt 1: {_WHOLE!r}"
    assert frames.problems({"frame0003.txt": 1}) == [why]


def test_a_torn_file_is_found_though_it_is_whole_later(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "frame0006.txt").write_text("1 host2\nhalf of")
    frames.look()
    (tmp_path / "frame0006.txt").write_text(_WHOLE)
    assert any("is torn" in why for why in frames.problems({"frame0003.txt": 2, "frame0006.txt": 2}))


def test_a_file_that_is_replaced_is_found_though_it_comes_back(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "kept").hardlink_to(tmp_path / "frame0003.txt")
    (tmp_path / "other").write_text(_WHOLE)
    (tmp_path / "other").rename(tmp_path / "frame0003.txt")
    frames.look()
    (tmp_path / "kept").rename(tmp_path / "frame0003.txt")
    assert frames.problems({"frame0003.txt": 2})[0] == "frame0003.txt was there and was replaced"


def test_a_file_that_is_written_over_is_found(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "frame0003.txt").write_text(_WHOLE.replace("host1", "host2"))
    assert frames.problems({"frame0003.txt": 2}) == ["frame0003.txt is not what it was when it was published"]


def test_a_file_that_is_missing_and_one_of_nobodys_are_found(frames: Frames) -> None:
    assert frames.problems({"frame0009.txt": 1}) == [
        "frame0009.txt is not that of attempt 1: ''",
        "frame0003.txt was published by nobody's result",
    ]
