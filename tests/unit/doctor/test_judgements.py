"""What measured figures mean, without a share."""

from __future__ import annotations

import math

import pytest

from jobqueue.doctor.contest import judge_renames, judge_takers
from jobqueue.doctor.locking import judge_locks
from jobqueue.doctor.sight import Delays, judge_delays
from jobqueue.doctor.speed import Measured, judge_offset, settings_for
from jobqueue.mounts import Level

_NAMES = ["0", "1", "2"]


@pytest.mark.parametrize(
    ("told", "seen", "level", "word"),
    [
        ([["0", "1"], ["2"]], ["0.0", "1.0", "2.1"], Level.FULL, "each went to one"),
        # A winner may have been told ENOENT: the answer was lost, the rename was done.
        ([["0"], ["2"]], ["0.0", "1.0", "2.1"], Level.FULL, "each went to one"),
        ([["0", "1"], ["1", "2"]], ["0.0", "1.0", "2.1"], Level.REFUSED, "1 of 3 files went to more than one"),
        ([["0", "1"], ["2"]], ["0.0", "1.0", "1.1", "2.1"], Level.REFUSED, "1 of 3 files went to more than one"),
        ([["0", "1"], ["2"]], ["0.0", "2.1"], Level.REFUSED, "1 of 3 are gone"),
        ([["0", "1"], ["2"]], ["0.0", "1.0", "1", "2.1"], Level.REFUSED, "went to more than one"),
        ([["0"], ["2"]], ["0.0", "1", "2.1"], Level.REFUSED, "1 stay"),
        ([["0", "1"], ["2"]], ["0.0", "1.1", "2.1"], Level.REFUSED, "says done and is not: 1 of 3"),
    ],
)
def test_each_file_has_to_go_to_one(told: list[list[str]], seen: list[str], level: Level, word: str) -> None:
    remark = judge_renames(_NAMES, told, seen)
    assert (remark.level, remark.about) == (level, "rename")
    assert word in remark.says


def test_what_nobody_was_told_to_have_made_was_made_by_somebody() -> None:
    assert judge_takers("mkdir", [["0"], ["2"]], 3, Level.REFUSED, "so").level is Level.FULL
    assert judge_takers("mkdir", [["0"], ["0", "2"]], 3, Level.REFUSED, "so").level is Level.REFUSED
    assert "1 of 3 lock files" in judge_takers("exclusive", [["0"], ["0"]], 3, Level.WARNING, "so").says


@pytest.mark.parametrize(
    ("delays", "levels"),
    [
        (Delays(0.1, 0.0, 0.0), [Level.FULL, Level.FULL]),
        (Delays(3.5, 0.0, 0.0), [Level.WARNING, Level.FULL]),
        (Delays(3.5, 0.1, 0.0), [Level.REFUSED, Level.FULL]),
        (Delays(0.1, 0.0, 2.0), [Level.FULL, Level.WARNING]),
        (Delays(0.1, 0.0, 20.0), [Level.FULL, Level.REFUSED]),
    ],
)
def test_delays_are_judged(delays: Delays, levels: list[Level]) -> None:
    assert [remark.level for remark in judge_delays(delays, 20.0)] == levels


@pytest.mark.parametrize(
    ("counts", "level", "word"),
    [
        ((0, 0, 0), Level.FULL, "10 of 10 times"),
        ((0, 1, 0), Level.WARNING, "1 of 10 times two processes held it"),
        ((2, 0, 0), Level.WARNING, "takes no locks: 2 of 10"),
        ((0, 0, 3), Level.WARNING, "stays when it is released: 3 of 10"),
    ],
)
def test_locks_are_judged(counts: tuple[int, int, int], level: Level, word: str) -> None:
    untaken, shared, stuck = counts
    remark = judge_locks(10, untaken=untaken, shared=shared, stuck=stuck)
    assert remark.level is level
    assert word in remark.says


def test_clocks_may_differ_and_one_is_told_if_they_differ_much() -> None:
    assert judge_offset(-59.0).level is Level.FULL
    assert "3600 s ahead of the server's" in judge_offset(-3600.0).says
    assert "3600 s behind the server's" in judge_offset(3600.0).says
    assert judge_offset(3600.0).level is Level.WARNING
    assert judge_offset(math.nan).level is Level.FULL


def test_a_good_share_keeps_the_defaults() -> None:
    calls = {"create": 1000.0, "rename": 2000.0}
    measured = Measured(Delays(0.1, 0.0, 0.0), 0.0, calls)
    assert settings_for(measured) == {"poll": 1.0, "beat": 5.0, "deadAfter": 120.0}


@pytest.mark.parametrize(
    ("delays", "slowest", "settings"),
    [
        # Ten calls a second: polls and beats take a twentieth of the time.
        (Delays(0.1, 0.0, 0.0), 10.0, {"poll": 2.0, "beat": 12.0, "deadAfter": 288.0}),
        (Delays(2.5, 0.0, 0.0), 1000.0, {"poll": 2.5, "beat": 5.0, "deadAfter": 120.0}),
        (Delays(0.1, 0.0, 40.0), 1000.0, {"poll": 1.0, "beat": 5.0, "deadAfter": 160.0}),
        (Delays(0.1, 4.0, 0.0), 1000.0, {"poll": 1.0, "beat": 8.0, "deadAfter": 192.0}),
    ],
)
def test_a_slow_share_gets_longer_times(delays: Delays, slowest: float, settings: dict[str, float]) -> None:
    assert settings_for(Measured(delays, 0.0, {"create": slowest, "rename": 5000.0})) == settings
