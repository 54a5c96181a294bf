"""Short ways to submit a job, and to see in what order jobs ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue


@pytest.fixture
def submit_code(queue: jobqueue.JobQueue) -> Callable[..., jobqueue.JobHandle]:
    """Submits a job that runs a piece of Python (see the procedure ``code`` of `tests.support`)."""

    def submit(text: str, label: str | None = None) -> jobqueue.JobHandle:
        return queue.createJobRoot("code", text=text, label=label).activate()

    return submit


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """The file to which the procedure ``note`` appends."""
    path = tmp_path / "diary"
    path.touch()
    return path


@pytest.fixture
def order(diary: Path) -> Callable[[], list[str]]:
    """What the procedure ``note`` has noted, in the order in which it ran."""
    return lambda: diary.read_text().split()
