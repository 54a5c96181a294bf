"""Many workers share a budget of calls, and nobody is taken for dead for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobqueue import overview
from jobqueue.names import FALSE_DEATH
from jobqueue.pace import BEAT_CALLS, LONGEST_POLL_S, LOOK_CALLS, MAX_DOUBLED
from jobqueue.store import Store
from tests.simulation.farm import Farm, new_farm
from tests.simulation.processes import QUEUE

_LIMIT = 30
_WORKERS = 60
_STRETCHED_BEAT_S = 5.0 * 2**MAX_DOUBLED


@pytest.fixture
def farm() -> Iterator[Farm]:
    """Sixty workers that ask more than they may, if nothing keeps them from it."""
    with new_farm(5_000, f"maxCallsPerSecond = {_LIMIT}") as farm:
        farm.start(_WORKERS, within_s=20)
        yield farm


def assert_all_live(farm: Farm, workers: int) -> None:
    assert farm.server.said.warnings == []
    assert len(farm.names("workers")) == workers
    assert not [name for name in farm.names("workers") if name.endswith(FALSE_DEATH)]


def test_without_a_limit_so_many_workers_ask_three_times_as_often() -> None:
    with new_farm(5_000, "maxCallsPerSecond = None") as farm:
        farm.start(_WORKERS)
        farm.calls_per_s(60)
        assert farm.calls_per_s(60) > 3 * _LIMIT


def test_all_workers_together_keep_to_the_limit(farm: Farm) -> None:
    # In the first minute they come.
    farm.calls_per_s(60)
    for _ in range(10):
        assert 0.5 * _LIMIT < farm.calls_per_s(60) <= _LIMIT
    assert_all_live(farm, _WORKERS)


def test_a_farm_that_grows_takes_nobody_for_dead_and_does_as_little_as_it_can() -> None:
    with new_farm(5_000, f"maxCallsPerSecond = {_LIMIT}") as farm:
        farm.start(8)
        farm.calls_per_s(120)
        assert farm.calls_per_s(60) <= _LIMIT
        farm.start(2 * _WORKERS, within_s=5)
        farm.calls_per_s(180)
        # Beats cannot be stretched any further, so that is what they cost, and a look every half a minute.
        assert farm.calls_per_s(300) < (8 + 2 * _WORKERS) * (
            BEAT_CALLS / _STRETCHED_BEAT_S + LOOK_CALLS / LONGEST_POLL_S
        )
        assert_all_live(farm, 8 + 2 * _WORKERS)


def test_what_workers_say_that_they_ask_is_what_the_server_is_asked(farm: Farm) -> None:
    # They say so at their second beat, and at every twelfth after that.
    farm.calls_per_s(14 * _STRETCHED_BEAT_S)
    asked = farm.calls_per_s(12 * _STRETCHED_BEAT_S)
    views = overview.workers(Store(QUEUE, farm.server.truth()))
    said = sum(view.calls_per_s or 0.0 for view in views)
    assert len(views) == _WORKERS
    # They count closing a file, which here asks nothing.
    assert asked < said < 1.3 * asked


def test_the_calls_of_jobs_are_counted_with_their_workers(farm: Farm) -> None:
    root = farm.queue.createJobRoot()
    for _ in range(600):
        root.createJob("tests.simulation.procedures:Works", seconds=1.0)
    job = root.activate()
    before = farm.server.calls
    farm.server.go_on(farm.server.time + 15 * _STRETCHED_BEAT_S)
    assert farm.states(job) == {"blocked": 0, "ready": 0, "finished": 601, "failed": 0}
    # A job costs about ten, and there is more to do than looking.
    assert farm.server.calls - before > 15 * _STRETCHED_BEAT_S * _LIMIT * 0.5 + 601 * 8
    views = overview.workers(Store(QUEUE, farm.server.truth()))
    assert sum(view.calls_per_s or 0.0 for view in views) * 12 * _STRETCHED_BEAT_S > 601 * 8
    assert_all_live(farm, _WORKERS)


def test_where_beats_are_stretched_a_dead_host_is_found_after_as_many_of_them(farm: Farm) -> None:
    root = farm.queue.createJobRoot()
    root.createJob("tests.simulation.procedures:Works", seconds=10_000.0)
    job = root.activate()
    farm.server.go_on(farm.server.time + 10 * _STRETCHED_BEAT_S)
    (worker,) = (name for name in farm.names("workers") if farm.names(f"workers/{name}/running"))
    farm.end(int(worker.partition("-")[0].removeprefix("w")))
    farm.server.go_on(farm.server.time + 3 * _STRETCHED_BEAT_S)
    assert worker in farm.names("workers")
    farm.server.go_on(farm.server.time + 3 * _STRETCHED_BEAT_S)
    assert worker not in farm.names("workers")
    assert [" is dead: " in words for words in farm.server.said.warnings].count(True) == 1
    farm.server.go_on(farm.server.time + 40)
    assert len([name for name in farm.names("workers") if farm.names(f"workers/{name}/running")]) == 1
    assert farm.states(job) == {"blocked": 1, "ready": 0, "finished": 0, "failed": 0}
