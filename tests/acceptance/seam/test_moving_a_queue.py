"""No absolute path of the queue is stored in it, so that it can be moved or be mounted elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import jobqueue
from tests.support import PROCS


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A queue with symbolic links."""
    location = tmp_path / "first" / "farm"
    location.parent.mkdir()
    jobqueue.createJobQueue(str(location), useSymLinks=True)
    for name, text in PROCS.items():
        path = location / "procs" / f"{name}.py"
        path.write_text(text)
        path.chmod(0o644)
    return location


def _submit(queue: jobqueue.JobQueue) -> jobqueue.JobHandle:
    root = queue.createJobRoot("command", cmd="pwd", label="root")
    left, right = (root.createJob("command", cmd="pwd", label=side) for side in ("left", "right"))
    right.addDependency(left.createJob("code", text="result = proc.runningDir", label="shared"))
    return root.activate()


def _mentions(directory: Path, what: str) -> list[str]:
    found = []
    for path in directory.rglob("*"):
        if path.is_symlink():
            text = os.readlink(path)
        elif path.is_file():
            text = path.read_bytes().decode("latin-1")
        else:
            continue
        # What a job prints is the job's own; so is a traceback, which tells people where its code lies.
        if what in text and path.name not in ("stdout", "stderr"):
            found.append(str(path))
    return found


def test_a_queue_that_was_moved_in_the_middle_goes_on(linked: Path, tmp_path: Path) -> None:
    queue = jobqueue.JobQueue(str(linked))
    _submit(queue)
    other = queue.createJobRoot("noop").activate()
    other.setPriority(-5)
    for _ in range(2):
        assert queue.runNextAvailableJob()
    shutil.move(linked, tmp_path / "second")
    moved = jobqueue.JobQueue(str(tmp_path / "second"))
    job, noop = moved.listJobs()
    left, right = job.listSubJobs()
    assert [handle.isFinished() for handle in (left, right, job)] == [True, False, False]
    for _ in range(3):
        assert moved.runNextAvailableJob()
    assert not moved.runNextAvailableJob()
    assert noop.isFinished()
    assert not job.hasError(recursive=True)
    assert Path(left.stdoutFile).read_text().startswith(str(linked))
    assert Path(right.stdoutFile).read_text() == f"{right.runningDir}\n"
    assert right.runningDir.startswith(str(tmp_path / "second"))


def test_no_file_of_the_queue_holds_its_path(linked: Path) -> None:
    queue = jobqueue.JobQueue(str(linked))
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    root.createJob("code", text="proc.setStatusLine('half way'); proc.setError()")
    job = root.activate()
    _submit_only_noops(queue)
    assert queue.runNextAvailableJob()
    assert queue.runNextAvailableJob()
    assert job.hasError(recursive=True)
    # The worker is still registered here, so that its own files are looked at, too.
    assert os.listdir(linked / "workers")
    assert _mentions(linked, str(linked)) == []


def _submit_only_noops(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    left, right = root.createJob("noop"), root.createJob("noop")
    right.addDependency(left.createJob("noop"))
    root.activate()
