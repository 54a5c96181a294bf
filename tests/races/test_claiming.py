"""One token, many that want it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.names import Record, RunningToken, Token, WonToken
from jobqueue.store import Store
from tests.races.conftest import Stage, sound_states, stepped
from tests.races.orders import Actor, Play
from tests.support_share import QuickShare

_MANY = 16


def _claiming(queue_dir: Path, worker: str, slot: int = 1) -> Actor:
    store = stepped(queue_dir)
    return lambda: store.tokens.try_claim(store.layout.job(1), Token(0, 0, 0, 0), worker, slot)


def test_of_three_that_claim_one_token_one_gets_it_in_every_order(stage: Stage) -> None:
    stage.submit_fan(0)
    workers = [stage.worker(name) for name in "abc"]

    def write(queue_dir: Path) -> Play:
        def check(results: list[Any]) -> None:
            assert sum(result is not None for result in results) == 1
            assert sound_states(queue_dir) == ["running"]

        return Play([_claiming(queue_dir, worker) for worker in workers], check)

    stage.try_all(write)


def test_of_two_slots_of_one_worker_that_claim_one_token_one_gets_it_in_every_order(stage: Stage) -> None:
    stage.submit_fan(0)
    worker = stage.worker("a")

    def write(queue_dir: Path) -> Play:
        def check(results: list[Any]) -> None:
            assert sum(result is not None for result in results) == 1
            (token,) = stepped(queue_dir).tokens.running_of(worker)
            assert token in results

        return Play([_claiming(queue_dir, worker, slot) for slot in (1, 2)], check)

    stage.try_all(write)


def _claim_at_once(queue_dir: str, worker: str, barrier: Any, won: Any) -> None:
    """Run by a process or thread: waits for all, then claims."""
    store = Store(queue_dir, QuickShare())
    barrier.wait()
    if store.tokens.try_claim(store.layout.job(1), Token(0, 0, 0, 0), worker, 1):
        won.append(worker)


def _run_all(things: Sequence[threading.Thread | multiprocessing.context.ForkProcess]) -> None:
    for thing in things:
        thing.start()
    for thing in things:
        thing.join()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_of_sixteen_that_claim_one_token_at_once_one_gets_it(stage: Stage, kind: str) -> None:
    stage.submit_fan(0)
    workers = [stage.worker(f"w{number}") for number in range(_MANY)]
    if kind == "threads":
        won: list[str] = []
        barrier = threading.Barrier(_MANY)
        _run_all(
            [
                threading.Thread(target=_claim_at_once, args=(str(stage.queue_dir), worker, barrier, won))
                for worker in workers
            ]
        )
    else:
        context = multiprocessing.get_context("fork")
        with context.Manager() as manager:
            shared = manager.list()
            gate = context.Barrier(_MANY)
            _run_all(
                [
                    context.Process(target=_claim_at_once, args=(str(stage.queue_dir), worker, gate, shared))
                    for worker in workers
                ]
            )
            won = list(shared)
    assert len(won) == 1
    assert sound_states(stage.queue_dir) == ["running"]
    assert stage.store.tokens.running_of(won[0]) == [RunningToken(1, 0, 1, 1, 0, 1)]


def test_a_job_that_is_made_to_fail_while_it_is_claimed_does_one_of_both(stage: Stage) -> None:
    stage.submit_fan(0)
    worker = stage.worker("a")

    def write(queue_dir: Path) -> Play:
        store = stepped(queue_dir)

        def check(results: list[Any]) -> None:
            assert sound_states(queue_dir) == ["running" if results[0] else "failed"]
            assert bool(results[0]) == bool(store.share.names(store.layout.worker(worker).inbox))

        return Play([_claiming(queue_dir, worker), lambda: control.fail(store, 1, 0, "job1")], check)

    stage.try_all(write)


def _both_ways(queue_dir: Path, running: RunningToken, other: Callable[[Store], Any]) -> list[Actor]:
    """A slot that commits, and somebody who takes it for dead."""
    slot, sweeper = stepped(queue_dir), stepped(queue_dir, 1)
    return [lambda: slot.tokens.try_commit(running, "a", 1, 0), lambda: other(sweeper)]


@pytest.mark.parametrize("what", ["give back", "fail", "cancel"])
def test_a_slot_that_is_wrongly_taken_for_dead_commits_or_is_superseded_and_never_both(stage: Stage, what: str) -> None:
    stage.submit_fan(0)
    running = stage.claim(stage.worker("a"), 0)
    record = b'{"event":"end","node":0,"attempt":1,"ok":false}\n'
    stage.store.share.append_once(stage.job().journal("a", 0), record)
    acts: dict[str, tuple[Callable[[Store], Any], str]] = {
        "give back": (lambda store: store.tokens.give_back(running, "a", charge=True), "ready"),
        "fail": (lambda store: store.tokens.fail_running(running, "a", Record("a", 0, 0)), "failed"),
        "cancel": (lambda store: store.tokens.cancel_running(running, "a"), "cancelled"),
    }
    act, superseded = acts[what]

    def write(queue_dir: Path) -> Play:
        def check(results: list[Any]) -> None:
            won, moved = results
            assert bool(won) != bool(moved)
            assert won is None or isinstance(won, WonToken)
            assert sound_states(queue_dir, at_rest=False) == ["won" if won else superseded]

        return Play(_both_ways(queue_dir, running, act), check)

    stage.try_all(write)
