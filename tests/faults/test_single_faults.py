"""Each flow with a fault at its first call, at its second, and so on until none is left to fail."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.faults.flows import Flow
from tests.faults.flows_of_outputs import RunWithOutputs, SettleOutputs
from tests.faults.flows_of_people import (
    Cancel,
    CancelRunning,
    Delete,
    DeleteRunning,
    Hold,
    Prefer,
    Release,
    Retry,
    RetryBlocked,
    RetryWithSubJobs,
    SetErrorBlocked,
    SetErrorReady,
    SetErrorRunning,
    SettleAfterRetry,
)
from tests.faults.flows_of_workers import (
    GiveBack,
    Park,
    Reap,
    ReapBeforeBegin,
    ReapTimeout,
    Run,
    SettleFromRecord,
    Submit,
    SubmitWithDirectory,
    Wake,
)
from tests.support_share import Fault, FaultyShare

FLOWS: tuple[type[Flow], ...] = (
    Submit, SubmitWithDirectory, Run, Park, Wake, SettleFromRecord, GiveBack, ReapBeforeBegin, Reap, ReapTimeout, Hold,
    Release, Prefer, Retry, RetryWithSubJobs, RetryBlocked, SettleAfterRetry, SetErrorReady, SetErrorBlocked,
    SetErrorRunning, Cancel, CancelRunning, Delete, DeleteRunning, RunWithOutputs, SettleOutputs,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("watched_calls")


def _run_with_fault(flow_class: type[Flow], queue_dir: Path, fault: Fault, nth: int) -> bool:
    """One run; whether there was an n-th call to fail."""
    share = FaultyShare()
    flow = flow_class(queue_dir)
    try:
        flow.act(share, lambda: share.fail(fault, nth))
        share.heal()
        flow.finish()
    except BaseException as error:
        raise AssertionError(f"{fault.name} at call {nth}, {share.failed}: {error!r}") from error
    finally:
        share.heal()
        flow.close()
    return share.failed is not None


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_no_single_fault_breaks_an_invariant_or_leaves_work_undone(
    empty_queue: Path, scratch: Path, flow: type[Flow], fault: Fault
) -> None:
    """The n-th call of the flow fails, for every n; then the share is well again, and all comes to its end."""
    for nth in itertools.count():
        queue_dir = scratch / f"queue{nth}"
        shutil.copytree(empty_queue, queue_dir)
        if not _run_with_fault(flow, queue_dir, fault, nth):
            assert nth >= 1
            return
        shutil.rmtree(queue_dir)
