"""What all tests share: queues to work on, and services that must be there in CI."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from tests.support import PROCS

# A shell starts its background jobs with SIGINT ignored, and whatever we start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _needs_program(request: pytest.FixtureRequest) -> None:
    """``needs_program("povray")``: skips here where the program is missing, and fails in CI."""
    for marker in request.node.iter_markers("needs_program"):
        for program in marker.args:
            if shutil.which(program) is None:
                if os.environ.get("CI"):
                    pytest.fail(f"{program} is missing, and CI has to have it")
                pytest.skip(f"{program} is not installed")


@pytest.fixture
def queue_dir(tmp_path: Path) -> Path:
    """A new queue with the procedures of `tests.support`."""
    location = tmp_path / "queue"
    jobqueue.createJobQueue(str(location))
    for name, text in PROCS.items():
        path = location / "procs" / f"{name}.py"
        path.write_text(text)
        path.chmod(0o644)
    return location


@pytest.fixture
def queue(queue_dir: Path) -> jobqueue.JobQueue:
    return jobqueue.JobQueue(str(queue_dir))


@pytest.fixture
def run_all(queue: jobqueue.JobQueue) -> Callable[[], int]:
    """Runs everything that is ready, in this process; how many jobs were run."""

    def run() -> int:
        count = 0
        while queue.runNextAvailableJob():
            count += 1
        return count

    return run
