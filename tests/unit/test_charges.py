"""What is held against a job: deaths and errors are counted apart, and a death that was none does not count."""

from __future__ import annotations

from pathlib import Path

import pytest

import jobqueue
from jobqueue.attempt import Attempt
from jobqueue.hierarchy import Node
from jobqueue.journal import Journal
from jobqueue.names import ClosedToken, RunningToken
from jobqueue.store import Store
from jobqueue.worker.aftermath import Aftermath, Ending, Lost
from jobqueue.worker.charges import NOTHING, Charges, charges
from jobqueue.worker.runner import Step
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached, worker_on

_FAILS = "raise RuntimeError('no licence')"


@pytest.fixture
def queue(queue_dir: Path) -> jobqueue.JobQueue:
    return attached(queue_dir, QuickShare(1))


def _submit(queue: jobqueue.JobQueue, text: str = "result = 1", **options: int) -> jobqueue.JobHandle:
    root = queue.createJobRoot("code", text=text)
    for name, value in options.items():
        setattr(root.options, name, value)
    return root.activate()


def _claim(worker: Worker) -> RunningToken:
    """Takes the next job as a slot does, and begins it."""
    candidate = worker.runner.chooser.next()
    assert candidate is not None
    token = worker.store.tokens.try_claim(candidate.job, candidate.token, worker.name, 1)
    assert token is not None
    worker.runner.chooser.look_again()
    return token


def _die(worker: Worker, action: str = "died") -> None:
    """A slot of a worker ends in the middle of the next job."""
    worker.aftermath.end(worker.name, _claim(worker), Ending(action, "its process ended"))


def _held(store: Store) -> Charges:
    (name,) = store.share.names(store.layout.job(1).ready)
    return charges(store, store.layout.job(1), 0, int(name.split(".")[3]))


def test_a_job_against_which_nothing_is_held_costs_no_look(queue_dir: Path) -> None:
    class Blind(QuickShare):
        def names_or_none(self, directory: str) -> list[str] | None:
            raise AssertionError(directory)

    store = Store(str(queue_dir), Blind())
    assert charges(store, store.layout.job(1), 0, 0) == NOTHING


def test_deaths_and_errors_are_told_apart(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    _submit(queue, _FAILS, maxErrors=9, maxAttempts=9)
    with worker_on(queue_dir) as worker:
        assert worker.step() is Step.RAN
        assert _held(worker.store) == (0, 1)
        _die(worker)
        assert _held(worker.store) == (1, 1)
        _die(worker, "timeout")
        assert _held(worker.store) == (1, 2)
        assert worker.step() is Step.RAN
        assert _held(worker.store) == (1, 3)


def test_errors_do_not_use_up_deaths(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, _FAILS, maxErrors=3, maxAttempts=2)
    with worker_on(queue_dir) as worker:
        worker.step()
        worker.step()
        _die(worker)
        assert not handle.hasError()
        _die(worker)
        assert handle.error == "its process ended; 2 attempts have died"


def test_deaths_do_not_use_up_errors(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, _FAILS, maxErrors=2, maxAttempts=3)
    with worker_on(queue_dir) as worker:
        _die(worker)
        _die(worker)
        worker.step()
        assert not handle.hasError()
        worker.step()
        assert handle.hasError()
        assert handle.attempt == 4


def test_a_retry_forgives_both(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, _FAILS, maxErrors=2)
    with worker_on(queue_dir) as worker:
        worker.run_all()
        assert handle.retry() == 1
        worker.runner.chooser.look_again()
        worker.step()
        assert not handle.hasError()
        assert _held(worker.store) == (0, 1)


def test_what_no_journal_knows_counts_as_either(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    """CRASH: a power cut takes what was not synced; a poison job must come to its end all the same."""
    _submit(queue, maxAttempts=9)
    with worker_on(queue_dir) as worker:
        _die(worker)
        _die(worker)
        for name in worker.store.share.names(worker.store.layout.job(1).journals):
            Path(worker.store.layout.job(1).journals, name).unlink()
        assert _held(worker.store) == (2, 2)


def test_a_directory_among_the_journals_is_nobodys(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, maxAttempts=2)
    (queue_dir / "job1" / ".journal" / "@eaDir").mkdir()
    with worker_on(queue_dir) as worker:
        _die(worker)
        _die(worker)
    assert handle.hasError()


# --- false suspicions -------------------------------------------------------------------------------------------------


class Slow(Worker):
    """A worker that is stopped between its claim and its job, and swept meanwhile by others."""

    def began(self, attempt: Attempt, node: Node, timeout_s: float | None) -> None:
        super().began(attempt, node, timeout_s)
        with worker_on(self.store.layout.dir, QuickShare(7), "other") as other:
            assert sweep(other.store, other.aftermath, self.name, "it has not beaten")


def _run_slowly(queue_dir: Path) -> Slow:
    slow = Slow(queue_dir, QuickShare(3), "slow")
    assert slow.step() is Step.RAN
    slow.die()
    return slow


def _come_again(queue_dir: Path, lost: list[Lost]) -> bool:
    """What a worker does at its beats under its new name."""
    store = Store(str(queue_dir), QuickShare(4))
    aftermath = Aftermath(store, "slow-host-1", lambda: 99)
    return [aftermath.revive(one) for one in lost] == [True] * len(lost)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_job_that_failed_of_a_death_that_was_none_is_ready_again(
    queue: jobqueue.JobQueue, queue_dir: Path, limit: int
) -> None:
    handle = _submit(queue, maxAttempts=limit)
    with worker_on(queue_dir) as worker:
        for _ in range(limit - 1):
            _die(worker)
    slow = _run_slowly(queue_dir)
    # Of the last one nobody could know yet that it was none.
    assert handle.hasError()
    assert _come_again(queue_dir, slow.lost)
    assert not handle.isFinished()
    with worker_on(queue_dir) as worker:
        assert worker.run_all() == ["job1"]
    assert (handle.result, handle.attempt) == (1, limit + 1)
    assert_sound(queue_dir)


def test_a_job_that_has_really_died_too_often_stays_failed(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, maxAttempts=1)
    with worker_on(queue_dir) as worker:
        token = _claim(worker)
        worker.aftermath.end(worker.name, token, Ending("died", "its process ended"))
        # Nobody says that it had lived.
        assert _come_again(queue_dir, [Lost(worker.name, token.job, token.node, token.attempt)])
    assert handle.hasError()


def test_what_somebody_has_made_to_fail_is_not_revived(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue)
    with worker_on(queue_dir) as worker:
        token = _claim(worker)
        journal = Journal(worker.store.share, worker.store.layout.job(1), worker.name, 1)
        journal.append({"event": "alive", "node": 0, "attempt": 1}, sync=True)
        journal.close()
        worker.aftermath.end(worker.name, token, Ending("fail", "root said so"))
        assert _come_again(queue_dir, [Lost(worker.name, token.job, token.node, token.attempt)])
    assert handle.hasError()


def test_while_a_sweep_is_under_way_it_is_waited_for(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    _submit(queue)
    with worker_on(queue_dir) as worker:
        token = _claim(worker)
        assert not _come_again(queue_dir, [Lost(worker.name, token.job, token.node, token.attempt)])
        worker.runner.reconcile()


def test_of_a_deleted_job_nothing_is_left_to_be_done(queue_dir: Path) -> None:
    assert _come_again(queue_dir, [Lost("slow-host-0", 7, 0, 1)])


def test_what_somebody_else_has_tried_again_is_not_revived_as_well(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    handle = _submit(queue, maxAttempts=1)
    _run_slowly(queue_dir)
    store = Store(str(queue_dir), QuickShare(5))
    (name,) = store.share.names(store.layout.job(1).failed)
    closed = ClosedToken.parse(name)
    assert closed is not None
    # RACE: a person has retried it after it was seen in failed/.
    assert handle.retry() == 1
    assert not store.tokens.revive(store.layout.job(1), closed)
    with worker_on(queue_dir) as worker:
        worker.run_all()
    assert handle.attempt == 2
    assert_sound(queue_dir)
