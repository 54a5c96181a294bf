"""A worker never dies of a broken job directory: it says which, sets it aside, goes on. Foreign names are ignored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import BrokenJobError
from tests.support import run_jobqueue, start_runjobs


def _truncate(path: Path, size: int) -> None:
    os.truncate(path, size)


def _overwrite(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _put_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no hierarchy": (lambda job: (job / ".hierarchy").unlink(), "the hierarchy cannot be read"),
    "an empty hierarchy": (lambda job: _truncate(job / ".hierarchy", 0), "the hierarchy cannot be read"),
    "half a header": (lambda job: _truncate(job / ".hierarchy", 40), "the hierarchy cannot be read"),
    "half a hierarchy": (lambda job: _truncate(job / ".hierarchy", 300), "the hierarchy cannot be read"),
    "a hierarchy of noise": (lambda job: (job / ".hierarchy").write_bytes(os.urandom(2000)), "the hierarchy cannot"),
    "a spoiled line": (
        lambda job: _overwrite(job / ".hierarchy", b'"place"', b'"plaice'), "job 0 of the hierarchy cannot be read",
    ),
    "a hierarchy from the future": (
        lambda job: _overwrite(job / ".hierarchy", b'"format":1', b'"format":2'), "a format version that this jobqueue",
    ),
    "no tokens": (lambda job: shutil.rmtree(job / ".tokens"), "its ready/ is missing"),
    "no ready folder": (lambda job: shutil.rmtree(job / ".tokens" / "ready"), "its ready/ is missing"),
    "a token of a job that is not there": (
        lambda job: (job / ".tokens" / "ready" / "0000000.0.0.0").rename(job / ".tokens" / "ready" / "0000009.0.0.0"),
        "there is no job 9 in the hierarchy",
    ),
    "no job directory": (shutil.rmtree, "its ready/ is missing"),
    "a file for ready/": (lambda job: _put_a_file(job / ".tokens" / "ready"), "its ready/ is missing"),
}  # fmt: skip


@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_worker_sets_a_broken_job_aside_and_goes_on(
    queue: jobqueue.JobQueue, queue_dir: Path, tmp_path: Path, damage: str
) -> None:
    spoil, words = _DAMAGES[damage]
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    broken = root.activate()
    good = queue.createJobRoot("note", path=str(tmp_path / "diary"), text="good").activate()
    spoil(Path(broken.location))
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert "Traceback" not in log
    (line,) = (line for line in log.splitlines() if "is broken" in line)
    assert "job1 is broken" in line
    assert words in line
    assert "it is held and the others go on. `jobqueue delete job1` removes it." in line
    assert good.isFinished()
    assert not good.hasError()
    assert [name.split(".")[0] for name in os.listdir(queue_dir / "index" / "held")] == ["500-00000001"]
    assert os.listdir(queue_dir / "workers") == []


@pytest.mark.parametrize("damage", [damage for damage in _DAMAGES if damage != "a file for ready/"])
def test_a_broken_job_can_be_listed_and_deleted(queue: jobqueue.JobQueue, queue_dir: Path, damage: str) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    broken = root.activate()
    good = queue.createJobRoot("noop").activate()
    _DAMAGES[damage][0](Path(broken.location))
    assert queue.listJobs() == [broken, good]
    listed = run_jobqueue("-q", str(queue_dir), "list")
    assert listed.returncode == 0, listed.stderr
    assert "job1" in listed.stdout
    queue.deleteJobs(broken)
    assert queue.listJobs() == [good]
    assert not os.path.exists(broken.location)
    assert queue.runNextAvailableJob()
    assert not queue.runNextAvailableJob()


def test_what_cannot_be_read_is_an_error_that_names_the_file(queue: jobqueue.JobQueue) -> None:
    job = queue.createJobRoot("noop").activate()
    (Path(job.location) / ".hierarchy").unlink()
    handle = queue.listJobs()[0]
    for question in (lambda: handle.label, handle.isFinished, handle.listSubJobs):
        with pytest.raises(BrokenJobError, match=f"^{job.location}/.hierarchy: the hierarchy cannot be read"):
            question()


_FOREIGN = (
    ".nfs000000000001", "._500-00000001.0", ".DS_Store", "Thumbs.db", "500-00000001.0.orig", "0000000.0.0", "x y",
    "0000000.0.0.0~", "Käse", "job1x", "job-1", "lost+found",
)  # fmt: skip


def test_names_that_nobody_knows_are_ignored_everywhere(
    queue: jobqueue.JobQueue, queue_dir: Path, run_all: Callable[[], int]
) -> None:
    root = queue.createJobRoot("noop")
    root.createJob("noop").createJob("noop")
    job = root.activate()
    folders = [path for path in queue_dir.rglob("*") if path.is_dir() and path.name != "procs"] + [queue_dir]
    for folder in folders:
        for number, name in enumerate(_FOREIGN):
            if number % 2:
                (folder / name).write_text("foreign")
            else:
                (folder / name).mkdir()
    assert len(folders) > 15
    assert run_all() == 3
    assert job.isFinished()
    assert not job.hasError(recursive=True)
    other = queue.createJobRoot("noop").activate()
    assert other.number == 2
    assert queue.listJobs() == [job, other]
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert other.isFinished()
    queue.deleteJobs([job, other])
    assert not Path(job.location).exists()
    assert all((queue_dir / folder / ".DS_Store").exists() for folder in ("index/runnable", "workers", "tmp"))


def test_a_torn_line_in_a_journal_harms_no_other_record(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot("python", function="copy:copy", args=["root"])
    root.createJob("python", function="copy:copy", args=["child"])
    job = root.activate()
    run_all()
    (child,) = job.listSubJobs()
    assert child.journalFile is not None
    path = Path(child.journalFile)
    first = path.read_bytes().index(b'{"event":"end"')
    path.write_bytes(path.read_bytes()[:first] + b"\0" * 20 + path.read_bytes()[first + 20 :])
    assert job.result == "root"
    assert child.isFinished()
    assert not child.hasError()
    assert child.endTime is None
    with pytest.raises(jobqueue.JobQueueError, match="the record of job1/job0 is lost, and its result with it"):
        _ = child.result
