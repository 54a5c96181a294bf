"""Slots that stay warm, share the work, and end when they are to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import Gate, Queue, Worker, lines, until
from tests.soundness import assert_sound

START = Callable[..., Worker]
PID = "import os; result = os.getpid()"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def counting(path: Path) -> str:
    """A job that notes that it was executed."""
    return f"import os\nopen({str(path)!r}, 'a').write(os.environ['JOBQUEUE_JOB'] + f' {{os.getpid()}}\\n')"


def executions(path: Path) -> Counter[str]:
    return Counter(line.partition(" ")[0] for line in lines(path))


def test_a_slot_runs_one_job_after_the_other_in_the_same_process(q: Queue, start: START) -> None:
    handles = [q.submit(*[PID] * 10), q.submit(*[PID] * 10)]
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    pids = {job.result for handle in handles for job in handle.listSubJobs()}
    assert len(pids) == 1


def test_a_slot_stays_the_same_process_while_it_is_idle(q: Queue, start: START) -> None:
    worker = start("--slots", "1")
    pids = set()
    for _ in range(3):
        handle = q.submit(PID)
        until(handle.isFinished, "it has finished")
        pids.add(handle.listSubJobs()[0].result)
        worker.wait_to_say("has finished")
    assert len(pids) == 1


def test_modules_that_a_job_has_imported_are_there_for_the_next_one(q: Queue, start: START) -> None:
    handle = q.submit("import wave", "import sys; result = 'wave' in sys.modules")
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert handle.listSubJobs()[1].result is True


@pytest.mark.parametrize(("slots", "limit"), [(1, 1), (1, 3), (2, 5), (4, 5), (4, 2)])
def test_max_jobs_is_kept_exactly_and_ends_the_worker(
    q: Queue, start: START, tmp_path: Path, slots: int, limit: int
) -> None:
    ran = tmp_path / "ran"
    q.submit(*[counting(ran)] * 12)
    worker = start("--slots", str(slots), "--max-jobs", str(limit))
    assert worker.ends() == 0
    assert len(lines(ran)) == limit
    assert len(q.folder(1, "finished")) == limit
    assert worker.complaints() == []
    assert q.workers() == []
    assert_sound(q.dir)


def test_max_jobs_counts_attempts_of_jobs_that_fail_or_die(q: Queue, start: START, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    q.submit(f"{counting(ran)}\nraise RuntimeError", f"{counting(ran)}\nos._exit(1)", *[counting(ran)] * 5)
    worker = start("--slots", "1", "--max-jobs", "3")
    assert worker.ends() == 0
    assert len(lines(ran)) == 3


def test_max_jobs_waits_for_jobs_that_are_not_there_yet(q: Queue, start: START, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    # The roots, which do nothing, are jobs as well.
    worker = start("--slots", "2", "--max-jobs", "4")
    first = q.submit(counting(ran))
    until(first.isFinished, "the first two jobs")
    assert worker.process.poll() is None
    second = q.submit(counting(ran))
    assert worker.ends() == 0
    assert second.isFinished()
    assert len(lines(ran)) == 2


def test_a_worker_on_an_empty_queue_ends_when_told_to_end_with_it(q: Queue, start: START) -> None:
    worker = start("--slots", "2", "--exit-when-empty")
    assert worker.ends() == 0
    assert worker.says("Nothing is runnable or running; ending.")


def test_exit_when_empty_waits_for_what_another_worker_runs(q: Queue, start: START, gate: Gate) -> None:
    root = q.queue.createJobRoot("code", text=PID)
    root.createJob("code", text=gate.code)
    handle = root.activate()
    other = start("--slots", "1", "--max-jobs", "1")
    gate.wait_for()
    worker = start("--slots", "2", "--exit-when-empty", "--verbose")
    until(lambda: q.entries("waiting"), "it has looked, and there is nothing for it")
    # The other worker holds its job, so this one has to stay, however often it looks.
    worker.wait_for_beats(3)
    assert worker.process.poll() is None
    gate.open()
    assert other.ends() == 0
    assert worker.ends() == 0
    assert handle.result != gate.arrivals()[0], "the root became ready by the other worker's job, and was run here"


def test_exit_when_empty_ends_beside_hierarchies_that_are_stalled_or_held(q: Queue, start: START) -> None:
    q.submit("raise RuntimeError")
    held = q.submit("pass")
    held.hold()
    assert start("--slots", "2", "--exit-when-empty").ends() == 0
    assert [len(q.entries(folder)) for folder in ("runnable", "waiting", "held", "done")] == [0, 1, 1, 0]


def test_idle_slots_take_up_at_once_what_another_slot_has_unblocked(q: Queue, start: START, tmp_path: Path) -> None:
    """With a poll interval that no test outlasts, only the slot's own word can wake the others."""
    gates = [Gate(tmp_path, f"gate{n}") for n in range(3)]
    root = q.queue.createJobRoot()
    gate = Gate(tmp_path)
    first = root.createJob("code", text=gate.code)
    for each in gates:
        middle = root.createJob("code", text=each.code)
        middle.addDependency(first)
    handle = root.activate()
    worker = start("--slots", "3", "--poll", "1000")
    gate.wait_for()
    # By then the other two have polled once, and will not do so again.
    worker.wait_for_beats(3)
    gate.open()
    for each in gates:
        each.wait_for()
    assert len({each.arrivals()[0] for each in gates}) == 3
    for each in gates:
        each.open()
    until(handle.isFinished, "the root is run")
    assert worker.complaints() == []


def test_a_new_job_is_taken_up_by_an_idle_worker(q: Queue, start: START) -> None:
    start("--slots", "2")
    for _ in range(3):
        handle = q.submit(PID)
        until(handle.isFinished, "it has finished")


def test_retry_release_and_a_raised_priority_reach_a_worker_that_is_idle(
    q: Queue, start: START, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    failing = q.submit(f"open({str(marker)!r})")
    held = q.submit("pass")
    held.hold()
    start("--slots", "1")
    job = failing.listSubJobs()[0]
    until(job.isFinished, "it has failed")
    marker.touch()
    job.retry()
    until(failing.isFinished, "it has finished at the second try")
    held.release()
    until(held.isFinished, "it was released")


def test_two_workers_share_a_queue_and_both_work(q: Queue, start: START, tmp_path: Path) -> None:
    gates = [Gate(tmp_path, f"gate{n}") for n in range(2)]
    ran = tmp_path / "ran"
    q.submit(*(each.code for each in gates), *[counting(ran)] * 60)
    workers = [start("--slots", "1", "--exit-when-empty") for _ in gates]
    # Each is held by one job, so each has one; from there on they share the rest.
    pids = {each.wait_for() for each in gates}
    assert len(pids) == 2
    for each in gates:
        each.open()
    assert [worker.ends() for worker in workers] == [0, 0]
    assert set(executions(ran).values()) == {1}
    assert len(executions(ran)) == 60
    assert [worker.complaints() for worker in workers] == [[], []]
    assert len(q.entries("done")) == 1
    assert_sound(q.dir)


def test_four_slots_execute_each_of_many_jobs_exactly_once(q: Queue, start: START, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    root = q.queue.createJobRoot("code", text=counting(ran))
    for _ in range(8):
        group = root.createJob("code", text=counting(ran))
        for _ in range(40):
            group.createJob("code", text=counting(ran))
    root.activate()
    q.submit(*[counting(ran)] * 30)
    worker = start("--slots", "4", "--exit-when-empty")
    assert worker.ends() == 0
    assert set(executions(ran).values()) == {1}
    assert len(executions(ran)) == 1 + 8 * 41 + 30
    assert len({line.partition(" ")[2] for line in lines(ran)}) == 4
    assert worker.complaints() == []
    assert len(q.entries("done")) == 2
    assert_sound(q.dir)


def test_one_slot_runs_in_post_order(q: Queue, start: START, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    root = q.queue.createJobRoot("code", text=counting(ran))
    for _ in range(3):
        group = root.createJob("code", text=counting(ran))
        for _ in range(3):
            group.createJob("code", text=counting(ran))
    root.activate()
    q.submit(counting(ran))
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    order = [line.partition(" ")[0] for line in lines(ran)]
    groups = [[*(f"job1/job{group}/job{n}" for n in range(3)), f"job1/job{group}"] for group in range(3)]
    assert order == [*(name for group in groups for name in group), "job1", "job2/job0"]


def test_a_hierarchy_that_is_submitted_meanwhile_waits_its_turn_unless_it_is_preferred(
    q: Queue, start: START, gate: Gate, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    q.submit(gate.code, *[counting(ran)] * 2)
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    q.submit(counting(ran))
    preferred = q.queue.createJobRoot("code", text=counting(ran))
    preferred.options.priority = 100
    preferred.activate()
    # The slot lists anew what is older than a second, which is five beats.
    worker.wait_for_beats(6)
    gate.open()
    assert worker.ends() == 0
    assert [line.partition(" ")[0] for line in lines(ran)] == ["job3", "job1/job1", "job1/job2", "job2/job0"]
