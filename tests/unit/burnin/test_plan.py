"""The plan of a burn-in: the same seed gives the same, and all of it is in its bounds."""

from __future__ import annotations

from itertools import islice

from jobqueue.burnin.plan import DEAD_S, Action, Plan, blows, shapes


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert list(islice(blows("7 host", 3), 50)) == list(islice(blows("7 host", 3), 50))
    assert list(islice(blows("7 host", 3), 50)) != list(islice(blows("8 host", 3), 50))
    assert list(islice(shapes(7), 20)) == list(islice(shapes(7), 20))
    assert list(islice(shapes(7), 20)) != list(islice(shapes(8), 20))


def test_a_short_burn_in_has_seen_every_action_and_a_stop_beyond_the_dead_time() -> None:
    for seed in range(50):
        first = list(islice(blows(seed, 2), len(Action)))
        assert {blow.action for blow in first} == set(Action)
        assert all(blow.lasts_s > DEAD_S for blow in first if blow.action is not Action.KILL)


def test_a_long_one_hits_all_workers_and_stops_some_of_them_shortly() -> None:
    many = list(islice(blows(1, 3), 200))
    assert {blow.victim for blow in many} == {0, 1, 2}
    stops = [blow.lasts_s for blow in many if blow.action is not Action.KILL]
    assert any(lasts_s < DEAD_S / 2 for lasts_s in stops)
    assert any(lasts_s > DEAD_S for lasts_s in stops)
    assert all(0 < blow.pause_s < 2 for blow in many)


def test_a_shape_knows_how_many_jobs_it_is() -> None:
    for shape in islice(shapes(3), 50):
        assert shape.count == 1 + len(shape.groups) + sum(map(len, shape.groups))
        assert shape.count >= 7


def test_a_plan_comes_back_from_its_note() -> None:
    plan = Plan(seed=5, minutes=0.5, jobs=9, workers=2, slots=1)
    assert Plan(**plan.to_json()) == plan
