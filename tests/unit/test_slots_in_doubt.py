"""What a slot does that cannot rely on what it was told, or on what it has written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.journal import events
from jobqueue.names import ClosedToken
from jobqueue.store import Store
from jobqueue.worker.settling import settle_from_record
from tests.faults.flows_of_outputs import committed
from tests.soundness import assert_sound
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import Worker, attached

__all__ = ["watched_calls"]


@pytest.mark.usefixtures("watched_calls")
def test_a_busy_slot_gives_back_what_it_has_claimed_without_knowing(queue_dir: Path) -> None:
    """The rename is still on its way when the slot looks: neither the token nor its target is to be seen."""
    queue = attached(queue_dir, QuickShare())
    root = queue.createJobRoot("noop")
    for label in ("late", "next"):
        root.createJob("noop", label=label)
    handle = root.activate()
    share = HookedShare()
    late: list[Callable[[], Any]] = []

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and "/ready/0000000" in str(call.args[0]) and not late:
            late.append(do)
            raise FileNotFoundError(2, "No such file or directory", str(call.args[0]))
        names = do()
        is_on_its_way = call.name == "listdir" and str(call.args[0]).endswith("/ready") and late
        return [name for name in names if not name.startswith("0000000")] if is_on_its_way else names

    share.hook = hook
    worker = Worker(queue_dir, share)
    worker.step()
    assert len(late) == 1
    share.hook = lambda _, do: do()
    late[0]()
    assert worker.run_all()
    assert handle.isFinished()
    assert set(assert_sound(queue_dir)[1]) == {"finished"}
    assert [job.attempt for job in handle.listSubJobs()] == [2, 1]
    worker.leave()


@pytest.mark.usefixtures("watched_calls")
def test_after_a_torn_line_a_slot_goes_on_in_another_journal(queue_dir: Path) -> None:
    attached(queue_dir, QuickShare()).createJobRoot("noop").activate()
    share = HookedShare()
    torn: list[Call] = []

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "write" and b'"event":"end"' in bytes(call.args[1]).replace(b" ", b"") and not torn:
            torn.append(call)
            return os.write(call.args[0], bytes(call.args[1][:20]))
        return do()

    share.hook = hook
    worker = Worker(queue_dir, share)
    assert worker.run_all() == ["job1"]
    assert torn
    job = worker.store.layout.job(1)
    (name,) = os.listdir(job.finished)
    closed = ClosedToken.parse(name)
    assert closed is not None
    assert closed.slot != 1
    (record,) = [event for _, event in events(share, job.journal(worker.name, closed.slot))]
    assert record["ok"]
    assert_sound(queue_dir)
    worker.leave()


class Served(HookedShare):
    """A share that a server keeps."""

    def is_remote(self, path: str) -> bool:
        return True


@pytest.mark.usefixtures("watched_calls")
def test_a_job_whose_ready_token_a_server_hides_is_not_parked(queue_dir: Path) -> None:
    """What was made in the tick of an earlier listing is shown once the directory was touched."""
    handle = attached(queue_dir, QuickShare()).createJobRoot("noop").activate()
    share = Served()
    touched: list[str] = []

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        path = str(call.args[0])
        if call.name == "utime":
            touched.append(path)
        is_hidden = call.name == "listdir" and path.endswith("/ready") and path not in touched
        return [] if is_hidden else do()

    share.hook = hook
    worker = Worker(queue_dir, share)
    assert worker.run_all() == ["job1"]
    assert handle.isFinished()
    worker.leave()


@pytest.mark.usefixtures("watched_calls")
def test_a_failure_is_settled_as_one_where_its_journal_seems_to_be_missing_at_first(queue_dir: Path) -> None:
    """NFS: whoever settles for others has looked before the journal was there, and remembers that."""
    job = attached(queue_dir, QuickShare()).createJobRoot("code", text="raise RuntimeError('no licence')").activate()
    worker = Worker(queue_dir, QuickShare())
    won = committed(worker)
    share = HookedShare()
    remembered = [True]

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "listdir" and str(call.args[0]).endswith("/.journal"):
            remembered.clear()
        elif call.name == "open" and str(call.args[0]).endswith(".jsonl") and remembered:
            raise FileNotFoundError(2, "No such file or directory", str(call.args[0]))
        return do()

    share.hook = hook
    settle_from_record(Store(str(queue_dir), share), worker.name, won)
    assert job.hasError()
    assert not remembered
    worker.leave()
