"""Attempts with outputs that were superseded and wake up late: they touch no final name, and leave nothing behind."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.attempt import Attempt
from jobqueue.hierarchy import Node
from jobqueue.names import Token, WonToken
from jobqueue.worker.runner import Step
from jobqueue.worker.settling import settle_from_record
from tests.races.conftest import sound_states
from tests.support_share import Call, HookedShare, QuickShare
from tests.support_worker import Worker, attached


class Slow(Worker):
    """A worker that sleeps between its claim and its job, and something happens meanwhile."""

    meanwhile: Callable[[Attempt], Any]
    # The same between the job's end and its commit.
    at_last: Callable[[], Any] | None = None

    def began(self, attempt: Attempt, node: Node, timeout_s: float | None) -> None:
        super().began(attempt, node, timeout_s)
        self.meanwhile(attempt)

    def returned(self) -> None:
        if self.at_last is not None:
            self.at_last()


class Race:
    """One job whose attempts write their numbers to one final name.

    Args:
        queue_dir: the queue.
        folder: of the final name.
    """

    def __init__(self, queue_dir: Path, folder: Path) -> None:
        self.queue_dir = queue_dir
        self.final = folder / "frame.exr"
        self.queue = attached(queue_dir, QuickShare())
        self.store = self.queue._store_or_raise()
        text = (
            "import os, pathlib\n"
            f"pathlib.Path(proc.output({str(self.final)!r})).write_text(os.environ['JOBQUEUE_ATTEMPT'])\n"
            "proc.stdout.write('written')"
        )
        self.job: jobqueue.JobHandle = self.queue.createJobRoot("code", text=text).activate()
        self.slow, self.quick = Slow(queue_dir, QuickShare(1), "slow"), Worker(queue_dir, QuickShare(2), "quick")

    def sweep(self, attempt: Attempt) -> Token:
        """What somebody does who takes the slow worker for dead."""
        token = self.store.tokens.give_back(attempt.token, self.slow.name, charge=True)
        assert token is not None
        return token

    def leftovers(self) -> list[str]:
        """The attempts whose temporary directories are there."""
        return sorted(path.name.rpartition(".")[2] for path in self.final.parent.glob(".jq-*"))

    def assert_ended(self) -> None:
        assert sound_states(self.queue_dir) == ["finished"]
        assert self.leftovers() == []


@pytest.fixture
def race(queue_dir: Path, tmp_path: Path) -> Iterator[Race]:
    (tmp_path / "frames").mkdir()
    race = Race(queue_dir, tmp_path / "frames")
    yield race
    # Nothing is owed by anybody in the end.
    assert race.slow.leave()
    assert race.quick.leave()


def test_one_that_wakes_up_when_another_has_won_touches_nothing_and_clears_up(race: Race) -> None:
    def meanwhile(attempt: Attempt) -> None:
        race.sweep(attempt)
        assert race.quick.run_all() == ["job1"]
        assert race.final.read_text() == "2"
        # The owner of the file has gone on with it.
        race.final.write_text("graded")

    race.slow.meanwhile = meanwhile
    assert race.slow.step() is Step.RAN
    assert race.final.read_text() == "graded"
    race.assert_ended()


def test_one_that_wakes_up_while_another_runs_leaves_its_files_to_the_one_that_wins(race: Race) -> None:
    def meanwhile(attempt: Attempt) -> None:
        token = race.sweep(attempt)
        assert race.store.tokens.try_claim(race.store.layout.job(1), token, race.quick.name, 1)

    race.slow.meanwhile = meanwhile
    race.slow.step()
    # No listing has shown that another attempt has won; this one may still be the only one that ever ends.
    assert race.leftovers() == ["1"]
    assert not race.final.exists()
    race.quick.runner.reconcile()
    race.quick.run_all()
    assert race.final.read_text() == "3"
    race.assert_ended()


def test_a_winner_that_wakes_up_when_it_was_settled_by_others_touches_nothing(
    race: Race, caplog: pytest.LogCaptureFixture
) -> None:
    commit = race.slow.store.tokens.try_commit

    def commit_and_sleep(*arguments: Any) -> WonToken:
        won = commit(*arguments)
        assert won is not None
        settle_from_record(race.store, race.slow.name, won)
        assert race.final.read_text() == "1"
        race.final.write_text("graded")
        return won

    race.slow.meanwhile = lambda _: None
    race.slow.store.tokens.try_commit = commit_and_sleep  # type: ignore[method-assign,assignment]
    with caplog.at_level(logging.WARNING, "jobqueue"):
        assert race.slow.step() is Step.RAN
    assert race.final.read_text() == "graded"
    assert caplog.messages == []
    race.assert_ended()


def test_an_attempt_whose_job_is_deleted_while_it_runs_publishes_nothing_and_clears_up(race: Race) -> None:
    def delete() -> None:
        assert race.leftovers() == ["1"]
        race.queue.deleteJobs(race.job)
        # As another worker does it that takes this one for dead.
        assert race.store.share.remove_tree(race.job.location)

    race.slow.meanwhile = lambda _: None
    race.slow.at_last = delete
    race.slow.step()
    assert not race.final.exists()
    assert race.leftovers() == []
    assert race.queue.listJobs() == []


@pytest.mark.usefixtures("watched_calls")
def test_one_that_cannot_look_who_has_won_leaves_its_files(queue_dir: Path, tmp_path: Path) -> None:
    race = Race(queue_dir, tmp_path)
    slow = Slow(queue_dir, share := HookedShare(), "blind")

    def meanwhile(attempt: Attempt) -> None:
        assert race.store.tokens.give_back(attempt.token, slow.name, charge=True)
        assert race.quick.run_all() == ["job1"]

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        # Among the listings of the job's folders this one is made for nothing else.
        if call.name == "listdir" and str(call.args[0]).endswith("/.tokens/blocked"):
            raise OSError(errno.EIO, "on purpose")
        return do()

    slow.meanwhile, share.hook = meanwhile, hook
    try:
        slow.step()
        assert race.final.read_text() == "2"
        assert race.leftovers() == ["1"]
    finally:
        share.hook = lambda _, do: do()
        for worker in (slow, race.slow, race.quick):
            worker.leave()
