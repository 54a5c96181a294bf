"""Each flow with the death of its process at every call that changes something, and with another in the repair."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.every_flow import FLOWS
from tests.faults.flows import Flow
from tests.faults.points import Stage, assert_none, points_of
from tests.soundness import assert_sound
from tests.support_faults import CountingShare, Death, Died, FaultyShare, Point
from tests.support_points import PART, part_of

pytestmark = [pytest.mark.usefixtures("watched_calls"), pytest.mark.timeout(3600)]

_DEATHS = tuple(Death)
_PARTS = 3
_PAIRS_PARTS = 10


def _act_and_die(flow: Flow, point: Point[Death]) -> None:
    """Acts until the process dies; even then nothing is broken, only undone."""
    share = FaultyShare()
    with contextlib.suppress(Died):
        flow.act(share, lambda: share.meet(point.fate, point.nth))
    assert share.is_dead, "the call was not made"
    flow.die(share)
    flow.has_died()
    assert_sound(flow.queue_dir, at_rest=False)


@contextlib.contextmanager
def _flow(flow_class: type[Flow], queue_dir: Path) -> Iterator[Flow]:
    flow = flow_class(queue_dir)
    try:
        yield flow
    finally:
        flow.close()


def _run_with_death(flow_class: type[Flow], point: Point[Death], queue_dir: Path) -> None:
    with _flow(flow_class, queue_dir) as flow:
        _act_and_die(flow, point)
        flow.repair(FaultyShare(5), lambda: None)
        flow.finish()


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow.__name__}-{PART}")
def test_wherever_a_process_dies_repair_and_one_living_worker_bring_all_to_its_end(
    stage: Stage, flow: type[Flow]
) -> None:
    points = part_of(points_of(stage, flow, _DEATHS), f"deaths {flow.__name__}", _PARTS)
    assert_none(stage.failure(point, functools.partial(_run_with_death, flow, point)) for point in points)


def _note_points_of_repair(
    flow_class: type[Flow], point: Point[Death], points: list[Point[Death]], queue_dir: Path
) -> None:
    with _flow(flow_class, queue_dir) as flow:
        _act_and_die(flow, point)
        share = CountingShare(5)
        flow.repair(share, share.begin)
        share.end()
        points.extend(share.points(_DEATHS))


def _run_with_two_deaths(flow_class: type[Flow], first: Point[Death], second: Point[Death], queue_dir: Path) -> None:
    with _flow(flow_class, queue_dir) as flow:
        _act_and_die(flow, first)
        share = FaultyShare(5)
        with contextlib.suppress(Died):
            flow.repair(share, lambda: share.meet(second.fate, second.nth))
        assert share.is_dead, "the call was not made"
        flow.die(share)
        flow.has_died()
        assert_sound(queue_dir, at_rest=False)
        flow.repair(FaultyShare(6), lambda: None)
        flow.finish()


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow.__name__}-{PART}")
def test_wherever_the_repairer_dies_too_the_next_one_completes_it(stage: Stage, flow: type[Flow]) -> None:
    firsts = part_of(points_of(stage, flow, _DEATHS), f"first deaths {flow.__name__}", _PAIRS_PARTS)

    def failures() -> Iterator[str | None]:
        for first in firsts:
            seconds: list[Point[Death]] = []
            yield stage.failure(first, functools.partial(_note_points_of_repair, flow, first, seconds))
            for second in part_of(seconds, f"second deaths {flow.__name__} {first}", _PAIRS_PARTS):
                what = f"{first}, and in the repair {second}"
                yield stage.failure(what, functools.partial(_run_with_two_deaths, flow, first, second))

    assert_none(failures())
