"""How seldom workers look and beat where there are many, and what the others make of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config import QueueConfig
from jobqueue.liveness import SILENT_BEATS
from jobqueue.pace import BEAT_CALLS, LONGEST_POLL_S, LOOK_CALLS, MAX_DOUBLED, Pace

BEAT_S, POLL_S = 5.0, 1.0
# Of a worker that is silent for so many beats of another one its lock is tried; and it is dead.
UNLOCKED_BEATS, DEAD_BEATS = 4, 24


def config_of(limit: str = "auto") -> QueueConfig:
    return QueueConfig("queue.cfg", f"[main]\nformatVersion = 1\nmaxCallsPerSecond = {limit}\n")


def pace_of(workers: int, limit: str = "auto") -> Pace:
    pace = Pace(config_of(limit))
    pace.seen(workers)
    return pace


def calls_per_s(pace: Pace) -> float:
    """What all workers together ask of the share, if each has nothing to run."""
    return pace.workers * (BEAT_CALLS / pace.beat_s + LOOK_CALLS / pace.poll_s(POLL_S))


@pytest.mark.parametrize(
    ("limit", "workers"), [("auto", 1), ("auto", 50), ("auto", 51), ("auto", 230), ("None", 10_000), ("3", 1)]
)
def test_where_all_calls_are_within_the_limit_nothing_is_stretched(limit: str, workers: int) -> None:
    pace = pace_of(workers, limit)
    assert (pace.beat_s, pace.poll_s(POLL_S)) == (BEAT_S, POLL_S)


@pytest.mark.parametrize("limit", ["auto", "50", "500", "5000"])
@pytest.mark.parametrize("workers", [51, 231, 240, 500, 1_000, 1_900, 5_000, 10_000])
def test_all_workers_together_stay_within_the_limit_or_do_as_little_as_they_may(limit: str, workers: int) -> None:
    pace = pace_of(workers, limit)
    allowed = 500.0 if limit == "auto" else float(limit)
    if calls_per_s(pace) > allowed * 1.000001:
        assert (pace.beat_s, pace.poll_s(POLL_S)) == (BEAT_S * 2**MAX_DOUBLED, LONGEST_POLL_S)
    elif pace.poll_s(POLL_S) > POLL_S:
        # And what is allowed is used.
        assert calls_per_s(pace) == pytest.approx(allowed) or pace.poll_s(POLL_S) == LONGEST_POLL_S


def test_more_workers_never_make_one_ask_more_often() -> None:
    paces = [pace_of(workers) for workers in range(1, 3_000)]
    for pick in (lambda pace: pace.poll_s(POLL_S) * 1e9 if pace.beat_s == 20 else 0, lambda pace: pace.beat_s):
        found = list(map(pick, paces))
        assert found == sorted(found)


def test_a_longer_poll_than_the_longest_is_left_alone() -> None:
    assert pace_of(10_000).poll_s(60.0) == 60.0


# --- one worker among others -------------------------------------------------------------------------------------


def test_at_first_a_worker_takes_the_pace_of_the_others_at_once() -> None:
    assert pace_of(1_000).beat_s == 4 * BEAT_S


def test_later_it_goes_up_step_by_step_and_down_when_it_has_seen_it_twice() -> None:
    pace = pace_of(1)
    beats = []
    for workers in (1_000, 1_000, 1_000, 1, 1, 1, 1, 1, 1):
        pace.seen(workers)
        beats.append(pace.beat_s / BEAT_S)
    assert beats == [2, 4, 4, 4, 2, 2, 1, 1, 1]


def test_what_is_seen_once_makes_it_go_down_no_step() -> None:
    pace = pace_of(1_000)
    for workers in (1, 1_000, 1, 1_000):
        pace.seen(workers)
        assert pace.beat_s == 4 * BEAT_S


class Beating:
    """A worker that beats by its pace, looks who is there at every fourth beat, and watches another one.

    Args:
        at: when it beats for the first time.
        is_old: it does not stretch its beats.

    Attributes:
        silence: for how many of its beats it has seen nothing of the other, at most.
    """

    def __init__(self, at: float, *, is_old: bool = False) -> None:
        self.pace = Pace(config_of("None" if is_old else "auto"))
        self.at = at
        self.silence = 0
        self._beats = 0
        self._beaten_at: float | None = None
        # Of the other: its beat that was seen last, and at which of ours that was.
        self._seen: float | None = None
        self._seen_at = 0

    def beat(self, workers: int, other: Beating) -> None:
        self._beats += 1
        self._beaten_at = self.at
        self.at += self.pace.beat_s
        if self._beats % 4 == 2:
            self.pace.seen(workers)
        if other._beaten_at is None or other._beaten_at != self._seen:
            self._seen, self._seen_at = other._beaten_at, self._beats
        self.silence = max(self.silence, self._beats - self._seen_at)


def longest_silence(one: Beating, other: Beating, count_at: Callable[[float], int], until: float) -> int:
    """For how many of its beats either of two living workers has seen nothing of the other, once that has come."""
    while (now := min(one.at, other.at)) < until:
        mine, its = (one, other) if one.at == now else (other, one)
        mine.beat(count_at(now), its)
    return max(one.silence, other.silence)


SIZES = st.sampled_from([1, 49, 60, 300, 600, 1_000, 5_000])
PHASES = st.floats(0.0, 20.0)


@pytest.mark.parametrize(("before", "after"), [(1, 5_000), (5_000, 1), (300, 1_000), (1_000, 300)])
def test_a_farm_that_grows_or_shrinks_makes_nobody_look_silent(before: int, after: int) -> None:
    """Whenever each beats and looks, and whenever it changes between these."""
    for change in range(80):
        for phase in range(0, 20, 2):
            change_at = 200.25 + change / 2
            one, other = Beating(0.0), Beating(phase + 0.5)
            silence = longest_silence(one, other, lambda now, at=change_at: before if now < at else after, 600.0)  # type: ignore[misc]
            assert silence <= SILENT_BEATS < UNLOCKED_BEATS, (change_at, phase)


@given(sizes=st.lists(SIZES, min_size=20, max_size=20), phases=st.tuples(PHASES, PHASES), each_s=st.floats(5.0, 200.0))
def test_whatever_becomes_of_a_farm_nobody_is_silent_for_as_long_as_the_dead(
    sizes: list[int], phases: tuple[float, float], each_s: float
) -> None:
    one, other = (Beating(at) for at in phases)
    silence = longest_silence(one, other, lambda now: sizes[min(19, int(now / each_s))], 20 * each_s)
    assert silence <= 2**MAX_DOUBLED + 1 < DEAD_BEATS


@given(phases=st.tuples(PHASES, PHASES))
def test_for_one_that_does_not_stretch_its_beats_the_others_live_too(phases: tuple[float, float]) -> None:
    silence = longest_silence(Beating(phases[0]), Beating(phases[1], is_old=True), lambda _: 5_000, 1_000)
    assert silence <= 2**MAX_DOUBLED + 1 < DEAD_BEATS
