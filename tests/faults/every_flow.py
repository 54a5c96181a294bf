"""All flows."""

from __future__ import annotations

from tests.faults.flows import Flow
from tests.faults.flows_of_archives import Archive, ArchiveAndCheck, ArchiveCancelled, DeleteArchived
from tests.faults.flows_of_arrays import FLOWS_OF_ARRAYS
from tests.faults.flows_of_endings import (
    Backstop,
    ComeAndGo,
    ReapCancelled,
    ReapDeleted,
    ReapStopped,
    Sweep,
    TryAgain,
)
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

FLOWS: tuple[type[Flow], ...] = (
    Submit, SubmitWithDirectory, Run, Park, Wake, SettleFromRecord, GiveBack, ReapBeforeBegin, Reap, ReapTimeout, Hold,
    Release, Prefer, Retry, RetryWithSubJobs, RetryBlocked, SettleAfterRetry, SetErrorReady, SetErrorBlocked,
    SetErrorRunning, Cancel, CancelRunning, Delete, DeleteRunning, Archive, ArchiveAndCheck, ArchiveCancelled,
    DeleteArchived, RunWithOutputs, SettleOutputs,
    Sweep, TryAgain, ReapStopped, ReapCancelled, ReapDeleted, ComeAndGo, Backstop, *FLOWS_OF_ARRAYS,
)  # fmt: skip
