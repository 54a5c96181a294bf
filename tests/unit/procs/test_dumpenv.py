"""The procedure dumpenv."""

from __future__ import annotations

import getpass
import os
import platform
import sys

import pytest

from jobqueue.procs.dumpenv import dumpenv
from tests.unit.procs.attempts import RecordingAttempt


def test_it_prints_where_and_how_the_job_runs(attempt: RecordingAttempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B_OURS", "two")
    monkeypatch.setenv("A_OURS", "one")
    attempt.run(dumpenv())
    lines = attempt.printed().splitlines()
    assert lines[0] == f"user: {getpass.getuser()}"
    assert lines[1] == f"host: {platform.node()}"
    assert f"python: {platform.python_version()} ({sys.executable})" in lines
    assert f"working directory: {attempt.running_dir}" in lines
    assert lines.index("sys.path:") < lines.index(f"    {sys.path[-1]}") < lines.index("environment:")
    assert lines.index("    A_OURS=one") < lines.index("    B_OURS=two")


def test_a_user_without_a_name_stops_nothing(attempt: RecordingAttempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    attempt.run(dumpenv())
    assert attempt.printed().startswith("user: unknown (it has no name on this host)\n")


def test_a_value_that_is_no_text_is_printed_so_that_any_stream_takes_it(
    attempt: RecordingAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environb, b"ODD", b"\xff")
    attempt.run(dumpenv())
    assert "    ODD=\\udcff\n" in attempt.printed()
