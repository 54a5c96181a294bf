"""The races' own machinery: it tries every order that can make a difference, and no other."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.races.orders import Orders, Play, SteppedShare, Touch, _Choice

pytestmark = pytest.mark.usefixtures("watched_calls")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    directory = tmp_path / "template"
    for name in ("a", "b"):
        (directory / name).mkdir(parents=True)
    return directory


def _seen(template: Path, scratch: Path, *actors: Callable[[SteppedShare, str], Any]) -> tuple[int, set[Any]]:
    """How many orders there are, and what the actors returned in them."""
    seen = set()

    def write(directory: Path) -> Play:
        shares = [SteppedShare(number) for number, _ in enumerate(actors)]
        calls = [
            lambda actor=actor, share=share: actor(share, str(directory))
            for actor, share in zip(actors, shares, strict=True)
        ]
        return Play(calls, lambda results: seen.add(tuple(results)))

    return Orders(template, scratch).try_all(write), seen


def test_calls_that_touch_the_same_name_are_tried_in_all_orders(template: Path, scratch: Path) -> None:
    def look_twice(share: SteppedShare, directory: str) -> tuple[int, int]:
        return len(share.names(f"{directory}/a")), len(share.names(f"{directory}/a"))

    def make_two(share: SteppedShare, directory: str) -> None:
        share.make_dir(f"{directory}/a/x")
        share.make_dir(f"{directory}/a/y")

    count, seen = _seen(template, scratch, look_twice, make_two)
    assert count == 6
    assert {result[0] for result in seen} == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_of_several_orders_of_calls_that_have_nothing_to_do_with_one_another_one_is_tried(
    template: Path, scratch: Path
) -> None:
    def work_in(name: str) -> Callable[[SteppedShare, str], Any]:
        def work(share: SteppedShare, directory: str) -> None:
            share.make_dir(f"{directory}/{name}/x")
            share.names(f"{directory}/{name}")
            share.remove_dir(f"{directory}/{name}/x")

        return work

    with pytest.raises(AssertionError, match="only one order"):
        _seen(template, scratch, work_in("a"), work_in("b"))


def test_three_actors_that_want_one_name_are_tried_with_each_as_the_winner(template: Path, scratch: Path) -> None:
    def take(share: SteppedShare, directory: str) -> bool:
        return share.try_make_dir(f"{directory}/a/x")

    count, seen = _seen(template, scratch, take, take, take)
    assert count == 6
    assert seen == {(True, False, False), (False, True, False), (False, False, True)}


def test_a_failing_actor_fails_the_play_and_says_in_which_order(template: Path, scratch: Path) -> None:
    def move(share: SteppedShare, directory: str) -> None:
        error = share.swap(f"{directory}/a", f"{directory}/c")
        assert error is None or error.errno == errno.ENOENT

    def look(share: SteppedShare, directory: str) -> list[str]:
        return share.names(f"{directory}/a")

    with pytest.raises(AssertionError, match=r"(?s)in this one:.*rename.*listdir.*FileNotFoundError"):
        _seen(template, scratch, move, look)


class _Naive(Orders):
    """Tries all orders, whether they make a difference or not."""

    def _choose(self, depth: int, pending: dict[int, Touch]) -> int | None:
        if depth == len(self._choices):
            self._choices.append(_Choice(pending, {}, wanted=set(pending)))
            self._choices[-1].choose_next()
        return self._choices[depth].chosen


def _program(chance: random.Random, calls: int) -> Callable[[SteppedShare, str], Any]:
    """A few calls that have to do with those of others, and what they were answered."""
    kinds = [(chance.choice("lmur"), chance.choice("ab"), chance.choice("xy")) for _ in range(calls)]

    def run(share: SteppedShare, directory: str) -> tuple[Any, ...]:
        seen: list[Any] = []
        for kind, place, name in kinds:
            path = f"{directory}/{place}"
            if kind == "l":
                seen.append(tuple(sorted(share.names(path))))
            elif kind == "m":
                seen.append(share.try_make_dir(f"{path}/{name}"))
            elif kind == "u":
                seen.append(share.remove_dir(f"{path}/{name}").name)
            else:
                seen.append(share.swap(f"{path}/x", f"{path}/y") is None)
        return tuple(seen)

    return run


@pytest.mark.parametrize("seed", range(4))
def test_what_can_come_out_comes_out_also_where_not_all_orders_are_tried(
    template: Path, scratch: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    programs = [_program(chance, 2) for _ in range(3)]
    try:
        few, seen = _seen(template, scratch, *programs)
    except AssertionError as error:
        assert "only one order" in str(error)
        return
    monkeypatch.setattr("tests.races.test_orders.Orders", _Naive)
    all_of_them, seen_in_all = _seen(template, scratch, *programs)
    # Each program also begins, which is one more step.
    assert all_of_them == 1680
    assert few < all_of_them
    assert seen == seen_in_all
