"""Each flow with every fault at every one of its calls."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tests.faults.every_flow import FLOWS
from tests.faults.flows import Flow
from tests.faults.points import Stage, assert_none, points_of
from tests.support_faults import FAULTS, Fault, FaultyShare
from tests.support_points import PART, part_of

pytestmark = [pytest.mark.usefixtures("watched_calls"), pytest.mark.timeout(3600)]

_PARTS = 10


def _run_with_fault(flow_class: type[Flow], fault: Fault, nth: int, queue_dir: Path) -> None:
    share = FaultyShare()
    flow = flow_class(queue_dir)
    try:
        flow.act(share, lambda: share.meet(fault, nth))
        share.heal()
        flow.finish()
        assert share.befallen is not None, "the call was not made"
    finally:
        share.heal()
        flow.close()


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow.__name__}-{PART}")
def test_no_single_fault_breaks_an_invariant_or_leaves_work_undone(stage: Stage, flow: type[Flow]) -> None:
    """One call of the flow fails; then the share is well again, and all comes to its end."""
    points = part_of(points_of(stage, flow, FAULTS), f"faults {flow.__name__}", _PARTS)
    assert_none(
        stage.failure(point, functools.partial(_run_with_fault, flow, point.fate, point.nth)) for point in points
    )
