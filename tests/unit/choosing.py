"""What the tests of choosing share: a queue on a share that is watched, and a slot that only claims."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.store import Store
from jobqueue.worker.chooser import Candidate, Chooser
from tests.support_share import Call, QuickShare, WatchedShare, watched_calls
from tests.support_worker import attached

__all__ = ["watched_calls"]


class Seen(WatchedShare):
    """Remembers what is listed; a test may take part."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.hook: Callable[[Call], object] = lambda _: None

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self.hook(call)
        if call.name == "listdir":
            self.listed.append("/".join(str(call.args[0]).split("/")[-2:]))
        return do()


@pytest.fixture
def share(watched_calls: None) -> Seen:
    return Seen()


@pytest.fixture
def store(queue_dir: Path, share: Seen) -> Store:
    return Store(str(queue_dir), share)


def submit(store: Store, count: int, priority: int = 0) -> int:
    root = attached(store.layout.dir, QuickShare()).createJobRoot("noop")
    root.options.priority = priority
    for _ in range(count):
        root.createJob("noop")
    return root.activate().number


def take(store: Store, chooser: Chooser) -> Candidate:
    """Chooses and claims."""
    os.makedirs(store.layout.worker("w").running, exist_ok=True)
    candidate = chooser.next()
    assert candidate is not None
    assert store.tokens.try_claim(candidate.job, candidate.token, "w", 1)
    chooser.won(candidate)
    return candidate
