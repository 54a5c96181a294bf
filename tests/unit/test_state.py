"""Where jobs stand, also while their tokens move."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.errors import BrokenJobError, JobNotFoundError
from jobqueue.names import RunningToken, Token
from jobqueue.state import JobState, Sighting, look_up, scan, summarize
from jobqueue.store import Store
from jobqueue.worker.chooser import Candidate
from tests.support_share import Call, QuickShare, WatchedShare, watched_calls
from tests.support_worker import Worker, attached, worker_on

__all__ = ["watched_calls"]


class Hooked(WatchedShare):
    """Lets somebody act before a call."""

    def __init__(self) -> None:
        super().__init__()
        self.hook: Callable[[Call], object] = lambda _: None

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self.hook(call)
        return do()


@pytest.fixture
def share(watched_calls: None) -> Hooked:
    return Hooked()


@pytest.fixture
def store(queue_dir: Path, share: Hooked) -> Store:
    """A queue with job1: node 0 succeeds, node 1 fails, node 2 is their parent and the root."""
    root = attached(queue_dir, QuickShare()).createJobRoot("noop")
    root.createJob("noop")
    root.createJob("code", text="raise RuntimeError('never')")
    root.activate()
    return Store(str(queue_dir), share)


def _states(store: Store) -> list[str]:
    return [seen.state.value for seen in scan(store, store.layout.job(1), 3)]


def _claim(worker: Worker) -> RunningToken:
    candidate = worker.runner.chooser.next()
    assert candidate is not None
    token = worker.store.tokens.try_claim(candidate.job, candidate.token, worker.name, 1)
    assert token is not None
    return token


def test_every_state_is_told_by_the_place_of_the_token(store: Store) -> None:
    job = store.layout.job(1)
    with worker_on(store.layout.dir) as worker:
        assert _states(store) == ["ready", "ready", "blocked"]
        running = _claim(worker)
        assert _states(store) == ["running", "ready", "blocked"]
        seen = look_up(store, job, 0)
        assert (seen.state, seen.token, seen.worker, seen.attempt) == (JobState.RUNNING, running, worker.name, 1)
        assert not seen.has_ended
        won = store.tokens.try_commit(running, worker.name, 1, 0)
        assert look_up(store, job, 0)[:3] == (JobState.RUNNING, won, worker.name)
        os.rename(f"{worker.registration.files.won}/{won and won.name}", f"{job.ready}/{Token(0, 1, 3, 0).name}")
        worker.run_all()
        assert _states(store) == ["finished", "failed", "blocked"]
        seen = look_up(store, job, 1)
        assert (seen.worker, seen.attempt, seen.has_ended) == (worker.name, 1, True)
        assert look_up(store, job, 2).attempt == 0
        control.cancel(store, 1)
        assert _states(store) == ["finished", "cancelled", "cancelled"]


def test_foreign_names_are_no_tokens(store: Store) -> None:
    job = store.layout.job(1)
    for folder in (job.finished, job.failed, job.blocked, job.cancelled):
        for name in (".nfs0001", "0000000.1.2", "0000000.1.2.0.W.1.1", "0000000.x.0.0"):
            Path(folder, name).touch()
    assert _states(store) == ["ready", "ready", "blocked"]
    assert look_up(store, job, 0).state is JobState.READY


def test_a_token_that_moves_back_while_it_is_looked_for_is_found_by_the_second_scan(
    store: Store, share: Hooked
) -> None:
    """It runs when ready/ is listed, and is given back before the workers are."""
    job = store.layout.job(1)
    with worker_on(store.layout.dir) as worker:
        running = _claim(worker)

        def give_back(call: Call) -> None:
            if call.name == "listdir" and str(call.args[0]).endswith("/workers"):
                share.hook = lambda _: None
                worker.store.tokens.give_back(running, worker.name, charge=False)

        share.hook = give_back
        assert look_up(store, job, 0).state is JobState.READY


def test_what_runs_of_another_hierarchy_is_not_taken_for_ones_own(store: Store) -> None:
    root = attached(store.layout.dir, QuickShare()).createJobRoot("noop")
    root.options.priority = 1
    root.activate()
    with worker_on(store.layout.dir) as worker:
        other, own = _claim(worker), None
        assert other.job == 2
        worker.runner.chooser.won(Candidate(store.index.all()[0], store.layout.job(2), Token(0, 0, 0, 0)))
        own = _claim(worker)
        assert look_up(store, store.layout.job(1), 0).token == own
        assert _states(store) == ["running", "ready", "blocked"]
        for token in (other, own):
            assert worker.store.tokens.give_back(token, worker.name, charge=False)


def test_a_token_that_is_nowhere_in_two_scans_is_running(store: Store) -> None:
    job = store.layout.job(1)
    os.unlink(f"{job.ready}/{Token(0, 0, 0, 0).name}")
    assert look_up(store, job, 0) == Sighting(JobState.RUNNING, None, None)
    assert look_up(store, job, 0).attempt == 0
    assert _states(store) == ["running", "ready", "blocked"]


def test_a_deleted_job_is_not_found(store: Store) -> None:
    job = store.layout.job(1)
    control.delete(store, 1)
    with pytest.raises(JobNotFoundError, match="there is no such job; it may have been deleted"):
        look_up(store, job, 0)
    with pytest.raises(JobNotFoundError):
        scan(store, job, 3)
    with pytest.raises(BrokenJobError):
        summarize(store, job)


def test_a_hierarchy_whose_jobs_all_run_is_there(store: Store) -> None:
    """All its tokens are in workers' folders, so that its own are empty."""
    root = attached(store.layout.dir, QuickShare()).createJobRoot("noop").activate()
    control.hold(store, 1)
    with worker_on(store.layout.dir) as worker:
        running = _claim(worker)
        assert [seen.token for seen in scan(store, store.layout.job(root.number), 1)] == [running]
        summary = summarize(store, store.layout.job(root.number))
        assert summary.counts[JobState.RUNNING] == 1
        assert worker.store.tokens.give_back(running, worker.name, charge=False)


def test_a_hierarchy_at_a_glance(store: Store) -> None:
    job = store.layout.job(1)
    summary = summarize(store, job)
    assert (summary.total, summary.progress, summary.failed) == (3, 0.0, [])
    assert not (summary.is_stalled or summary.has_ended or summary.is_good)
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
        summary = summarize(store, job)
        assert (summary.failed, summary.is_stalled, summary.has_ended) == ([1], True, False)
        assert summary.progress == pytest.approx(100 / 3)
    control.cancel(store, 1)
    summary = summarize(store, job)
    assert (summary.is_stalled, summary.has_ended, summary.is_good) == (False, True, False)


def test_a_hierarchy_that_has_succeeded_is_good(store: Store) -> None:
    handle = attached(store.layout.dir, QuickShare()).createJobRoot("noop").activate()
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
    summary = summarize(store, store.layout.job(handle.number))
    assert (summary.is_good, summary.has_ended, summary.progress) == (True, True, 100.0)


def test_what_looks_stalled_while_a_token_moves_is_looked_at_again(store: Store, share: Hooked) -> None:
    """A scan that sees one job before it becomes ready and another one after it has ended is not believed."""
    job = store.layout.job(1)
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
        blocked: list[int] = []

        def retry(call: Call) -> None:
            if call.name == "listdir" and str(call.args[0]).endswith("/blocked"):
                blocked.append(1)
                if len(blocked) == 2:
                    control.retry(worker.store, 1, None)

        share.hook = retry
        assert not summarize(store, job).is_stalled
        assert len(blocked) == 2
