"""Fixtures for the tests of the built-in procedures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt, enter


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingAttempt:
    """An attempt with a directory of its own, which is the working directory, as it is when a job runs."""
    return enter(tmp_path, monkeypatch)


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., FakeProgram]:
    """Makes a program that is only a script: its name, and what it prints at each start."""

    def make(name: str, *outputs: Output) -> FakeProgram:
        return FakeProgram(tmp_path / name, outputs or (Output(),))

    return make
