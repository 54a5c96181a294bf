"""JobRoot and Job: a hierarchy under construction, and its activation."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import DependencyError, JobStateError
from jobqueue.share import Share
from jobqueue.submit import Submission
from tests.support import snapshot

Note = Callable[..., None]


def test_a_root_is_made_with_its_queue_type_and_parameters(
    queue: jobqueue.JobQueue, diary: Path, order: Callable[[], list[str]]
) -> None:
    root = jobqueue.JobRoot(queue, "note", path=str(diary), text="root")
    assert isinstance(root, jobqueue.Job)
    root.activate()
    queue.runNextAvailableJob()
    assert order() == ["root"]


def test_a_job_is_made_with_its_root_type_and_parameters(
    queue: jobqueue.JobQueue, diary: Path, order: Callable[[], list[str]], run_all: Callable[[], int]
) -> None:
    root = jobqueue.JobRoot(queue, "note", path=str(diary), text="root")
    job = jobqueue.Job(root, "note", path=str(diary), text="job")
    root.addDependency(job)
    root.activate()
    assert run_all() == 2
    assert order() == ["job", "root"]


def test_a_root_needs_a_queue_and_a_job_a_root(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(TypeError, match="jobQueue has to be a JobQueue, not str"):
        jobqueue.JobRoot("queue", "noop")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="jobRoot has to be a JobRoot, not JobQueue"):
        jobqueue.Job(queue, "noop")  # type: ignore[arg-type]
    root = queue.createJobRoot("noop")
    with pytest.raises(TypeError, match="jobRoot has to be a JobRoot, not Job"):
        jobqueue.Job(root.createJob("noop"), "noop")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="jobType has to be a text or None, not int"):
        root.createJob(3)  # type: ignore[arg-type]


def test_a_sub_job_is_one_that_this_job_depends_on(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop", label="root")
    child = root.createJob("noop", label="child")
    assert isinstance(child, jobqueue.Job)
    child.createJob("noop", label="grandchild")
    root.createJob(label="second")
    handle = root.activate()
    assert [job.label for job in handle.listSubJobs()] == ["child", "second"]
    assert [job.label for job in handle.listSubJobs()[0].listSubJobs()] == ["grandchild"]


def test_parameters_of_a_sub_job_are_checked_at_once(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    with pytest.raises(ValueError, match="there is no procedure nothing"):
        root.createJob("nothing")
    with pytest.raises(TypeError, match="parameter n has the type set"):
        root.createJob("noop", n=set())
    assert root.activate().listSubJobs() == []


def test_a_job_runs_after_those_that_it_depends_on(
    queue: jobqueue.JobQueue, diary: Path, order: Callable[[], list[str]], run_all: Callable[[], int]
) -> None:
    root = queue.createJobRoot("note", path=str(diary), text="root")
    early = root.createJob("note", path=str(diary), text="made-first")
    late = root.createJob("note", path=str(diary), text="made-last")
    early.addDependency(late)
    root.activate()
    assert run_all() == 3
    assert order() == ["made-last", "made-first", "root"]


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda _root, job, _other: job, "a job cannot depend on itself"),
        (lambda root, _job, _other: root, "a job cannot depend on the root of a hierarchy"),
        (lambda _root, _job, other: other, "a job cannot depend on a job of another hierarchy"),
    ],
    ids=["itself", "the root", "another hierarchy's job"],
)
def test_some_dependencies_are_value_errors(
    queue: jobqueue.JobQueue, choose: Callable[..., jobqueue.Job], words: str, run_all: Callable[[], int]
) -> None:
    root, other = queue.createJobRoot("noop"), queue.createJobRoot("noop").createJob("noop")
    job = root.createJob("noop")
    with pytest.raises(ValueError, match=words):
        job.addDependency(choose(root, job, other))
    root.activate()
    assert run_all() == 2


def test_a_root_cannot_depend_on_itself(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    with pytest.raises(ValueError, match="a job cannot depend on"):
        root.addDependency(root)


def test_a_dependency_is_a_job(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    handle = queue.createJobRoot("noop").activate()
    with pytest.raises(TypeError, match="a job can depend on a Job only, not on JobHandle"):
        root.addDependency(handle)  # type: ignore[arg-type]


def test_implied_dependencies_are_dropped_at_activation(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot("noop", label="root")
    middle = root.createJob("noop", label="middle")
    bottom = middle.createJob("noop", label="bottom")
    root.addDependency(bottom)
    middle.addDependency(bottom)
    handle = root.activate()
    assert [job.label for job in handle.listSubJobs()] == ["middle"]
    assert [job.label for job in handle.listSubJobs()[0].listSubJobs()] == ["bottom"]
    assert len(os.listdir(Path(handle.location) / ".waits")) == 2
    assert sum(len(files) for _, _, files in os.walk(Path(handle.location) / ".waits")) == 2
    assert run_all() == 3


def test_a_cycle_is_an_error_and_changes_nothing(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop")
    first = root.createJob("noop")
    third = first.createJob("noop").createJob("noop")
    third.addDependency(first)
    before = snapshot(queue_dir)
    with pytest.raises(jobqueue.JobQueueError, match="the hierarchy contains a cycle") as error:
        root.activate()
    assert isinstance(error.value, DependencyError)
    assert snapshot(queue_dir) == before


def test_a_cycle_beside_the_root_is_one_too(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop")
    first = jobqueue.Job(root, "noop")
    first.createJob("noop").addDependency(first)
    before = snapshot(queue_dir)
    with pytest.raises(jobqueue.JobQueueError, match="the hierarchy contains a cycle"):
        root.activate()
    assert snapshot(queue_dir) == before


def test_a_job_that_nobody_depends_on_is_an_error_and_changes_nothing(
    queue: jobqueue.JobQueue, queue_dir: Path
) -> None:
    root = queue.createJobRoot("noop")
    jobqueue.Job(root, "noop", label="forgotten")
    before = snapshot(queue_dir)
    with pytest.raises(jobqueue.JobQueueError, match="the job 'forgotten' is no dependency of the root"):
        root.activate()
    assert snapshot(queue_dir) == before


def test_before_activation_nothing_is_there_and_nothing_runs(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    before = snapshot(queue_dir)
    root = queue.createJobRoot("noop")
    root.createJob("noop").createJob("noop")
    assert snapshot(queue_dir) == before
    assert not queue.runNextAvailableJob()
    root.activate()
    assert queue.runNextAvailableJob()


def test_activation_publishes_the_whole_hierarchy_at_once(
    queue: jobqueue.JobQueue, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each call on the share another process sees either nothing of the job or all of it, ready to be run."""
    watcher = jobqueue.JobQueue(str(queue_dir))
    seen: list[int] = []

    def watch() -> None:
        jobs = watcher.listJobs()
        seen.append(len(jobs) and len(jobs[0].listSubJobs()))
        if jobs:
            assert [child.isWaiting() for child in jobs[0].listSubJobs()] == [True] * 3
        else:
            assert not watcher.runNextAvailableJob()

    def watched(name: str) -> Callable[..., Any]:
        call = getattr(Share, name)

        def inner(self: Share, *args: Any, **more: Any) -> Any:
            if self is not queue._store.share:  # type: ignore[union-attr]
                return call(self, *args, **more)
            watch()
            answer = call(self, *args, **more)
            watch()
            return answer

        return inner

    root = queue.createJobRoot("noop")
    for _ in range(3):
        root.createJob("noop")
    for name in ("make_dir", "write_new", "create", "sync_everything", "try_move"):
        monkeypatch.setattr(Share, name, watched(name))
    root.activate()
    assert seen[0] == 0
    assert seen[-1] == 3
    assert set(seen) == {0, 3}
    assert seen == sorted(seen)


def test_after_activation_nothing_changes_any_more(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop")
    first, second = root.createJob("noop"), root.createJob("noop")
    root.activate()
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        root.createJob("noop")
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        jobqueue.Job(root, "noop")
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        first.createJob("noop")
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        second.addDependency(first)
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        root.activate()
    assert snapshot(queue_dir) == before


def test_activation_gives_the_handle_of_the_new_job(queue: jobqueue.JobQueue) -> None:
    handle = queue.createJobRoot("noop", label="mine").activate()
    assert isinstance(handle, jobqueue.JobHandle)
    assert handle.label == "mine"
    assert handle == queue.listJobs()[0]


def test_several_submitters_at_once_get_numbers_of_their_own(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Barrier(8)
    nodes = Submission._nodes

    def together(self: Submission, root: jobqueue.JobRoot) -> Any:
        gate.wait()
        return nodes(self, root)

    monkeypatch.setattr(Submission, "_nodes", together)
    numbers: list[int] = []

    def submit() -> None:
        numbers.append(jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop").activate().number)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 9))
