"""JobQueue: attaching, location, createJobRoot, listJobs."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import jobqueue
from jobqueue.procs.command import command


def test_attaching_needs_a_queue(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such directory"):
        jobqueue.JobQueue(str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


def test_a_queue_of_none_is_empty_and_takes_no_jobs() -> None:
    queue = jobqueue.JobQueue(None)
    assert queue.location is None
    assert queue.listJobs() == []
    assert queue.runNextAvailableJob() is False
    queue.deleteJobs(None)
    with pytest.raises(jobqueue.JobQueueError, match="takes no jobs"):
        queue.createJobRoot("command", cmd="true")
    with pytest.raises(jobqueue.JobQueueError, match="takes no jobs"):
        jobqueue.JobRoot(queue, "command", cmd="true")


@pytest.mark.parametrize("location", [1, b"/queue", ["/queue"], True])
def test_a_location_of_another_type_is_a_type_error(location: object) -> None:
    with pytest.raises(TypeError, match=f"location has to be a path or None, not {type(location).__name__}"):
        jobqueue.JobQueue(location)  # type: ignore[arg-type]


def test_the_location_is_absolute(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(queue_dir.parent)
    queue = jobqueue.JobQueue("queue")
    monkeypatch.chdir("/")
    assert queue.location == str(queue_dir)
    assert queue.createJobRoot("noop").activate().location == str(queue_dir / "job1")


def test_a_logger_is_told_what_happens(queue_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a script's own")
    queue = jobqueue.JobQueue(str(queue_dir), logger=logger)
    queue.createJobRoot("noop").activate()
    with caplog.at_level(logging.INFO, "a script's own"):
        queue.runNextAvailableJob()
    assert {record.name for record in caplog.records} == {"a script's own"}
    assert any("job1 has finished" in record.getMessage() for record in caplog.records)


def test_each_queue_object_of_a_process_has_its_own_logger(queue_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "other", "one"):
        queue = jobqueue.JobQueue(str(queue_dir), logger=logging.getLogger(name))
        job = queue.createJobRoot("noop").activate()
        caplog.clear()
        with caplog.at_level(logging.INFO):
            queue.runNextAvailableJob()
        assert {record.name for record in caplog.records} == {name}
        assert any(f"{job.name} has finished" in record.getMessage() for record in caplog.records)


def test_a_queue_object_holds_nothing_in_memory(queue_dir: Path) -> None:
    handle = jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop", label="first").activate()
    gc.collect()
    one, other = jobqueue.JobQueue(str(queue_dir)), jobqueue.JobQueue(str(queue_dir))
    assert [job.label for job in one.listJobs()] == ["first"]
    other.createJobRoot("noop", label="second").activate()
    assert [job.label for job in one.listJobs()] == ["first", "second"]
    assert one.runNextAvailableJob()
    assert [job.isFinished() for job in other.listJobs()] == [True, False]
    assert handle.isFinished()
    one.deleteJobs(handle)
    assert [job.label for job in other.listJobs()] == ["second"]


def test_another_process_sees_the_same_queue(queue_dir: Path) -> None:
    queue = jobqueue.JobQueue(str(queue_dir))
    queue.createJobRoot("noop", label="from here").activate()
    code = (
        "import sys, jobqueue\n"
        "queue = jobqueue.JobQueue(sys.argv[1])\n"
        "queue.createJobRoot('noop', label='from there').activate()\n"
        "print([job.label for job in queue.listJobs()])\n"
    )
    seen = subprocess.run([sys.executable, "-c", code, str(queue_dir)], capture_output=True, text=True, check=True)
    assert seen.stdout == "['from here', 'from there']\n"
    assert [job.label for job in queue.listJobs()] == ["from here", "from there"]


def test_a_root_is_created_with_type_and_parameters(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("command", cmd=["true"], label="nothing much")
    assert isinstance(root, jobqueue.JobRoot)
    assert root.activate().label == "nothing much"


def test_create_job_is_the_same_as_create_job_root() -> None:
    assert jobqueue.JobQueue.createJob is jobqueue.JobQueue.createJobRoot


def test_a_root_needs_no_procedure(queue: jobqueue.JobQueue) -> None:
    job = queue.createJobRoot(label="only a group").activate()
    assert job.label == "only a group"
    assert queue.runNextAvailableJob()
    assert job.isFinished()
    assert not job.hasError()


def test_parameters_are_checked_at_once_by_making_the_procedure(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(ValueError, match="cmd names no program") as error:
        queue.createJobRoot("command", cmd=" ")
    with pytest.raises(ValueError, match="cmd names no program"):
        command(cmd=" ")
    assert any(entry.name == "__init__" for entry in error.traceback if str(entry.path).endswith("command.py"))
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        queue.createJobRoot("command", cmd="true", colour="red")
    assert queue.listJobs() == []


def test_an_unknown_type_is_a_value_error(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(ValueError, match=r"there is no procedure renderman; there are .*blender.*noop"):
        queue.createJobRoot("renderman")


def test_jobs_are_listed_in_processing_order(queue: jobqueue.JobQueue) -> None:
    for label, priority in (("first", 0), ("urgent", 5), ("second", 0), ("late", -3)):
        root = queue.createJobRoot("noop", label=label)
        root.options.priority = priority
        root.createJob("noop")
        root.activate()
    assert [job.label for job in queue.listJobs()] == ["urgent", "first", "second", "late"]
    # What is done keeps its place.
    for _ in range(3):
        assert queue.runNextAvailableJob()
    queue.listJobs()[3].hold()
    assert [job.isFinished() for job in queue.listJobs()] == [True, False, False, False]
    assert [job.label for job in queue.listJobs()] == ["urgent", "first", "second", "late"]
    queue.listJobs()[3].release()
    while queue.runNextAvailableJob():
        pass
    listed = queue.listJobs()
    assert [job.label for job in listed] == ["urgent", "first", "second", "late"]
    assert all(isinstance(job, jobqueue.JobHandle) for job in listed)


def test_numbers_are_compared_as_numbers(queue: jobqueue.JobQueue) -> None:
    for _ in range(11):
        queue.createJobRoot("noop").activate()
    assert [job.number for job in queue.listJobs()] == list(range(1, 12))


def test_only_what_is_published_is_listed(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    assert queue.listJobs() == []
    root.activate()
    assert len(queue.listJobs()) == 1


def test_every_error_of_the_project_is_a_job_queue_error() -> None:
    from jobqueue import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 10
    assert all(issubclass(kind, jobqueue.JobQueueError) for kind in kinds)
    assert issubclass(jobqueue.JobQueueError, Exception)
    assert jobqueue.JobQueueError("the disk is full", "/queue").args == ("/queue: the disk is full",)
