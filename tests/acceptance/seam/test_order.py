"""Depth-first: the order of execution, failures, stalled hierarchies, and size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.waiting import Outcome, look
from tests.support import run_jobqueue, start_runjobs

Order = Callable[[], list[str]]
RunAll = Callable[[], int]


@pytest.fixture
def note(diary: Path) -> Callable[..., jobqueue.Job]:
    """Makes a sub-job that writes its name into the diary."""

    def make(parent: Any, text: str, **more: Any) -> jobqueue.Job:
        job: jobqueue.Job = parent.createJob("note", path=str(diary), text=text, **more)
        return job

    return make


Note = Callable[..., jobqueue.Job]


def _run_with_a_worker(queue_dir: Path) -> None:
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log


@pytest.mark.parametrize("way", ["in this process", "runjobs"])
def test_the_order_is_post_order(
    queue: jobqueue.JobQueue, queue_dir: Path, note: Note, order: Order, run_all: RunAll, way: str
) -> None:
    first = note(queue, "1")
    for group in "ab":
        parent = note(first, f"1{group}")
        for leaf in "xyz":
            note(parent, f"1{group}{leaf}")
    second = note(queue, "2")
    note(note(second, "2a"), "2ax")
    # Published the other way round: the number decides, not the time at which it was put together.
    second.activate()  # type: ignore[attr-defined]
    first.activate()  # type: ignore[attr-defined]
    if way == "runjobs":
        _run_with_a_worker(queue_dir)
    else:
        run_all()
    assert order() == ["2ax", "2a", "2", "1ax", "1ay", "1az", "1a", "1bx", "1by", "1bz", "1b", "1"]


def test_siblings_run_in_the_order_in_which_they_were_made_dependencies(
    queue: jobqueue.JobQueue, note: Note, order: Order, run_all: RunAll, diary: Path
) -> None:
    root = note(queue, "root")
    late = jobqueue.Job(root, "note", path=str(diary), text="made-first")  # type: ignore[arg-type]
    note(root, "a")
    note(root, "b")
    root.addDependency(late)
    root.activate()  # type: ignore[attr-defined]
    run_all()
    assert order() == ["a", "b", "made-first", "root"]


@pytest.mark.parametrize("way", ["in this process", "runjobs"])
def test_a_parent_that_becomes_ready_in_the_middle_runs_next(
    queue: jobqueue.JobQueue, queue_dir: Path, note: Note, order: Order, run_all: RunAll, way: str
) -> None:
    root = note(queue, "root")
    for group in "abc":
        note(note(root, group), f"{group}1")
    root.activate()  # type: ignore[attr-defined]
    if way == "runjobs":
        _run_with_a_worker(queue_dir)
    else:
        run_all()
    assert order() == ["a1", "a", "b1", "b", "c1", "c", "root"]


def test_a_job_that_was_retried_takes_its_old_place(
    queue: jobqueue.JobQueue, note: Note, order: Order, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    root = note(queue, "root")
    root.createJob("command", cmd=f"test -e '{flag}' && echo first >> '{tmp_path}/diary'")
    for text in "abc":
        note(root, text)
    job = root.activate()  # type: ignore[attr-defined]
    for _ in range(2):
        queue.runNextAvailableJob()
    flag.touch()
    job.retry()
    while queue.runNextAvailableJob():
        pass
    assert order() == ["a", "first", "b", "c", "root"]


def test_a_priority_that_changes_in_the_middle_holds_from_the_next_job_on(
    queue: jobqueue.JobQueue, queue_dir: Path, note: Note, order: Order, run_all: RunAll
) -> None:
    root = note(queue, "late")
    root.createJob(
        "code", text=f"import jobqueue; jobqueue.JobQueue({str(queue_dir)!r}).findJob('job1').setPriority(-5)"
    )
    root.activate()  # type: ignore[attr-defined]
    note(queue, "early").activate()  # type: ignore[attr-defined]
    run_all()
    assert order() == ["early", "late"]


def test_a_job_that_is_retried_in_the_middle_runs_next(
    queue: jobqueue.JobQueue, queue_dir: Path, note: Note, order: Order, run_all: RunAll, tmp_path: Path
) -> None:
    root = note(queue, "root")
    root.createJob("command", cmd=f"test -e '{tmp_path}/flag' && echo first >> '{tmp_path}/diary'")
    middle = note(root, "middle")
    retry = f"jobqueue.JobQueue({str(queue_dir)!r}).findJob('job1').retry()"
    middle.createJob("code", text=f"import jobqueue; open({str(tmp_path / 'flag')!r}, 'w').close(); {retry}")
    note(root, "last")
    root.activate()  # type: ignore[attr-defined]
    run_all()
    assert order() == ["first", "middle", "last", "root"]


def test_a_failed_sub_job_keeps_its_ancestors_waiting_and_its_siblings_go_on(
    queue: jobqueue.JobQueue, note: Note, order: Order, run_all: RunAll
) -> None:
    root = note(queue, "root")
    left, right = note(root, "left"), note(root, "right")
    note(left, "bad", fail=True)
    note(left, "good")
    note(right, "fine")
    job = root.activate()  # type: ignore[attr-defined]
    run_all()
    assert order() == ["bad", "good", "fine", "right"]
    left_handle, right_handle = job.listSubJobs()
    assert job.isWaiting()
    assert left_handle.isWaiting()
    assert right_handle.isFinished()
    assert not right_handle.hasError()
    assert job.hasError(recursive=True)


def test_a_hierarchy_is_stalled_when_nothing_is_left_but_failures(queue: jobqueue.JobQueue, note: Note) -> None:
    root = note(queue, "root")
    note(root, "bad", fail=True)
    note(root, "good")
    job = root.activate()  # type: ignore[attr-defined]
    assert look(job).outcome is Outcome.OPEN
    queue.runNextAvailableJob()
    assert job.listSubJobs()[0].hasError()
    assert look(job).outcome is Outcome.OPEN
    queue.runNextAvailableJob()
    assert look(job).outcome is Outcome.STALLED
    job.retry()
    assert look(job).outcome is Outcome.OPEN


def test_whoever_waits_for_a_stalled_hierarchy_is_told_which_jobs_have_failed(
    queue: jobqueue.JobQueue, queue_dir: Path, note: Note, run_all: RunAll
) -> None:
    root = note(queue, "root")
    middle = note(root, "middle")
    for text in ("bad", "worse"):
        note(middle, text, fail=True)
    note(root, "good")
    root.activate()  # type: ignore[attr-defined]
    run_all()
    done = run_jobqueue("-q", str(queue_dir), "wait", "job1")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "stalled" in said
    assert "job1/job0/job0" in said
    assert "job1/job0/job1" in said
    assert "job1/job1" not in said


def test_a_stalled_hierarchy_does_not_keep_others_waiting(
    queue: jobqueue.JobQueue, note: Note, order: Order, run_all: RunAll
) -> None:
    root = note(queue, "root")
    note(root, "bad", fail=True)
    root.activate()  # type: ignore[attr-defined]
    note(queue, "next").activate()  # type: ignore[attr-defined]
    run_all()
    assert order() == ["bad", "next"]


def test_below_a_depth_of_8_sub_jobs_lie_flat(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    job, chain = root, []
    for _ in range(12):
        job = job.createJob("noop")  # type: ignore[assignment]
    handle = root.activate()
    assert run_all() == 13
    below = handle
    while below.listSubJobs():
        (below,) = below.listSubJobs()
        chain.append(below)
    places = [Path(link.location).relative_to(handle.location) for link in chain]
    assert [len(place.parts) for place in places] == [1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 2, 2]
    assert all(place.parent == Path(".jobs") for place in places[8:])
    assert len(set(places)) == 12
    assert all(Path(link.runningDir).is_dir() for link in chain)


def test_a_chain_of_10000_jobs_is_ordinary(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    job: jobqueue.Job = root
    for _ in range(9_999):
        job = job.createJob("noop")
    assert sys.getrecursionlimit() < 10_000
    handle = root.activate()
    assert run_all() == 10_000
    assert handle.isFinished()
    assert not handle.hasError(recursive=True)


def test_a_fan_of_10000_jobs_is_ordinary(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    for _ in range(9_999):
        root.createJob("noop")
    handle = root.activate()
    assert len(handle.listSubJobs()) == 9_999
    assert run_all() == 10_000
    assert handle.isFinished()
    assert not handle.hasError(recursive=True)
