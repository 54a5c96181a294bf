"""A worker that is swept while it lives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobqueue.names import Token
from jobqueue.store import Store
from jobqueue.worker.aftermath import Aftermath
from jobqueue.worker.sweep import sweep
from tests.races.conftest import Stage, sound_states, stepped
from tests.races.orders import Play

_TRIES = 5


def _sweeping(store: Store) -> Callable[[], bool]:
    aftermath = Aftermath(store, "b", lambda: 9)
    return lambda: any(sweep(store, aftermath, "a", "silent") for _ in range(_TRIES))


def test_what_a_worker_claims_while_it_is_swept_is_claimed_in_vain_or_given_back(stage: Stage) -> None:
    stage.submit_fan(0)
    stage.worker("a")

    def write(queue_dir: Path) -> Play:
        slot, sweeper = stepped(queue_dir), stepped(queue_dir, 1)

        def check(results: list[Any]) -> None:
            assert results[1]
            assert not (queue_dir / "workers" / "a").exists()
            assert sound_states(queue_dir) == ["ready"]

        return Play(
            [lambda: slot.tokens.try_claim(slot.layout.job(1), Token(0, 0, 0, 0), "a", 1), _sweeping(sweeper)], check
        )

    stage.try_all(write)


def test_what_a_worker_commits_while_it_is_swept_is_settled_or_superseded(stage: Stage) -> None:
    stage.submit_fan(0)
    running = stage.claim(stage.worker("a"), 0)
    record = b'{"event":"end","node":0,"attempt":1,"ok":true,"result":null}\n'
    stage.store.share.append_once(stage.job().journal("a", 1), record)
    seen = set()

    def write(queue_dir: Path) -> Play:
        slot, sweeper = stepped(queue_dir), stepped(queue_dir, 1)

        def check(results: list[Any]) -> None:
            assert results[1]
            assert not (queue_dir / "workers" / "a").exists()
            (state,) = sound_states(queue_dir)
            assert state == ("finished" if results[0] else "ready")
            seen.add(state)

        return Play([lambda: slot.tokens.try_commit(running, "a", 1, 0), _sweeping(sweeper)], check)

    stage.try_some(write, 1000)
    assert seen == {"finished", "ready"}
