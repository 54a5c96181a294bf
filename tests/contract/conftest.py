"""The directories on which the share has to keep its contract."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.share import Share


def _places() -> list[str]:
    """The local disk, memory, and what the environment names: for a mounted share, JOBQUEUE_TEST_SHARES=DIR:DIR."""
    shares = os.environ.get("JOBQUEUE_TEST_SHARES", "")
    return [tempfile.gettempdir(), *filter(os.path.isdir, ["/dev/shm"]), *filter(None, shares.split(":"))]


@pytest.fixture(params=_places())
def place(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty directory on one of them."""
    with tempfile.TemporaryDirectory(dir=request.param, prefix="jobqueue-contract-") as directory:
        yield Path(directory)


@pytest.fixture
def share() -> Share:
    return Share()
