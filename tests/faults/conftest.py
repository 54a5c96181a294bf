"""Every call of these tests can be made to fail, in queues that are quick to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.points import Stage
from tests.support_share import scratch, watched_calls
from tests.support_worker import new_queue

__all__ = ["scratch", "watched_calls"]


@pytest.fixture(scope="session")
def empty_queue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A queue with nothing in it, to be copied."""
    return new_queue(tmp_path_factory.mktemp("empty") / "queue")


@pytest.fixture
def stage(empty_queue: Path, scratch: Path) -> Stage:
    return Stage(empty_queue, scratch)
