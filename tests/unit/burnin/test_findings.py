"""What a burn-in finds in a queue that somebody has damaged, without workers that are tormented."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import JobQueue
from jobqueue.burnin.camp import Camp, CampError
from jobqueue.burnin.findings import Tally, count_up, median_and_longest, recoveries
from jobqueue.burnin.plan import Plan, Shape
from jobqueue.burnin.victims import Struck
from jobqueue.clock import Clock
from jobqueue.share import Share
from jobqueue.store import Store

_SHAPE = Shape([[0.0, 0.0], [0.0]])


class Burned:
    """The queue of a burn-in in which one hierarchy has run, in this process."""

    def __init__(self, base: Path) -> None:
        self.camp = Camp(Share(), str(base))
        self.camp.pitch(Plan(seed=1))
        self.queue = JobQueue(self.camp.queue)
        self.number = self.camp.submit(self.queue, _SHAPE, 0)
        while self.queue.runNextAvailableJob():
            pass
        self.dir = Path(self.camp.queue)
        self.finished = self.dir / f"job{self.number}" / ".tokens" / "finished"

    def tally(self, blows: tuple[Struck, ...] = ()) -> Tally:
        return count_up(Store(self.camp.queue), [self.number], blows)

    def token(self, node: int) -> Path:
        (found,) = [path for path in self.finished.iterdir() if int(path.name.partition(".")[0]) == node]
        return found

    def with_field(self, path: Path, at: int, value: str) -> Path:
        fields = path.name.split(".")
        fields[at] = value
        return path.with_name(".".join(fields))


@pytest.fixture
def burned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Burned:
    # Nothing moves here, so that a check need not wait between its looks.
    monkeypatch.setattr(Clock, "sleep", lambda _clock, _seconds: None)
    return Burned(tmp_path)


def test_a_queue_in_order_is_sound(burned: Burned) -> None:
    tally = burned.tally()
    assert tally.is_sound, tally
    assert (tally.hierarchies, tally.jobs, tally.finished, tally.executions) == (1, 6, 6, 6)
    assert len(os.listdir(burned.camp.files)) == 6


def commit_twice(burned: Burned) -> None:
    path = burned.token(0)
    burned.with_field(path, 2, "9").touch()


def lose_a_result(burned: Burned) -> None:
    burned.token(1).unlink()


def lose_an_entry(burned: Burned) -> None:
    (path,) = (burned.dir / "index" / "done").iterdir()
    path.unlink()


def lose_everything(burned: Burned) -> None:
    lose_an_entry(burned)
    os.rename(burned.dir / "job1", burned.dir / "trash" / "1")


def lose_a_file(burned: Burned) -> None:
    (Path(burned.camp.files) / "0.0.1").unlink()


def overwrite_a_file(burned: Burned) -> None:
    (Path(burned.camp.files) / "0.0.1").write_text(".jq-0123456789.1-1.0000001.9\n")


def tear_a_file(burned: Burned) -> None:
    path = Path(burned.camp.files) / "0.0.1"
    path.write_text(path.read_text().removesuffix("\n"))


def name_another_attempt(burned: Burned) -> None:
    path = burned.token(1)
    path.rename(burned.with_field(path, 1, "2"))


def fail_one(burned: Burned) -> None:
    path = burned.token(1)
    path.rename(path.parent.with_name("failed") / path.name)


def leave_one_open(burned: Burned) -> None:
    (path,) = (burned.dir / "index" / "done").iterdir()
    path.rename(burned.dir / "index" / "waiting" / path.name)


@pytest.mark.parametrize(
    ("sabotage", "where", "word"),
    [
        (commit_twice, "twice", "job1/job0/job0 has 2 results"),
        (overwrite_a_file, "twice", "was written by '.jq-0123456789.1-1.0000001.9\\n'"),
        (tear_a_file, "twice", "0.0.1 was written by"),
        (name_another_attempt, "twice", "the result that counts is by"),
        (lose_a_result, "lost", "job1/job0/job1 has no result"),
        (lose_an_entry, "lost", "job1 has not come to its end"),
        (lose_everything, "lost", "job1 is gone"),
        (lose_a_file, "lost", "0.0.1 was not published"),
        (leave_one_open, "lost", "job1 has not come to its end"),
        (fail_one, "failed", "job1/job0/job1 has failed"),
    ],
)
def test_every_damage_is_found(burned: Burned, sabotage: Callable[[Burned], None], where: str, word: str) -> None:
    sabotage(burned)
    tally = burned.tally()
    assert not tally.is_sound
    assert any(word in text for text in getattr(tally, where)), tally


def test_what_a_check_finds_is_told_as_well(burned: Burned) -> None:
    commit_twice(burned)
    assert any("(two-tokens)" in text for text in burned.tally().other)


def test_what_nobody_has_submitted_is_told(burned: Burned) -> None:
    burned.queue.createJobRoot().activate()
    assert "job2 was never submitted" in burned.tally().other


def test_a_job_does_not_run_before_what_it_waits_for_is_published_whole(burned: Burned, tmp_path: Path) -> None:
    path = tmp_path / "torn"
    path.write_text("half")
    job = burned.queue.createJobRoot("burn", path=str(tmp_path / "out"), below=[str(path)]).activate()
    while burned.queue.runNextAvailableJob():
        pass
    assert job.error == f"RuntimeError: {path} is not whole"


def test_a_recovery_is_the_time_from_the_blow_to_the_next_start() -> None:
    starts = {(1, 0): {1: 10.0, 2: 14.5, 3: 20.0}, (1, 1): {1: 11.0}}
    blows = [
        Struck("kill", 12.0, 1.0, [(1, 0, 1), (1, 1, 1)]),
        Struck("stop", 15.0, 9.0, [(1, 0, 2)]),
        Struck("stop", 16.0, 9.0, [(2, 0, 1)]),
    ]
    assert recoveries(blows, starts) == {"kill": [2.5], "stop": [5.0], "stop supervisor": []}
    assert median_and_longest([3.0, 1.0, 8.0]) == (3.0, 8.0)
    assert median_and_longest([]) is None


def test_there_is_one_burn_in_in_a_directory(burned: Burned, tmp_path: Path) -> None:
    with pytest.raises(CampError, match="another burn-in is here"):
        Camp(Share(), str(tmp_path)).pitch(Plan(seed=1))
    burned.camp.strike()
    assert not os.path.exists(burned.camp.dir)
    with pytest.raises(CampError, match="there is no burn-in to join"):
        burned.camp.plan()
