"""Workers that die with what they owe, and workers that were only taken for dead."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import jobqueue
from jobqueue.handle import reader_of
from jobqueue.history import attempts
from jobqueue.worker.membership import Membership
from jobqueue.worker.sweep import sweep
from tests.acceptance.worker.driver import Gate, Queue, Worker, is_alive, until
from tests.soundness import assert_sound

START = Callable[..., Worker]


def story(job: jobqueue.JobHandle) -> list[tuple[int, str, str | None]]:
    """Number, state and reason of each attempt."""
    reader = reader_of(job)
    node = reader.node()
    return [
        (view.attempt, view.state, view.reason)
        for view in attempts(reader.store, reader.job, node.node, node.place, reader.look())
    ]


def kill(worker: Worker) -> None:
    """Kills a worker's supervisor; its slots end by its guard."""
    slots = worker.slots()
    worker.process.kill()
    worker.process.communicate()
    until(lambda: not any(map(is_alive, slots)), "its slots are gone")


def test_what_a_killed_worker_ran_is_run_by_another_on_its_host(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = int(os.environ['JOBQUEUE_ATTEMPT'])")
    first = start("--slots", "1")
    gate.wait_for()
    name = first.name()
    kill(first)
    second = start("--slots", "1", "--exit-when-empty")
    gate.wait_for(2)
    gate.open()
    assert second.ends() == 0
    (job,) = handle.listSubJobs()
    assert handle.isFinished()
    assert not handle.hasError(recursive=True)
    assert (job.attempt, q.charged(1, 0)) == (2, 1)
    (died, finished) = story(job)
    assert died[:2] == (1, "died")
    assert died[2] == f"its worker {name} has died: its process {first.process.pid} on this host is gone"
    assert finished[:2] == (2, "finished")
    assert q.workers() == []
    assert second.says(f"Worker {name} is dead")
    assert_sound(q.dir)


def test_a_worker_that_does_nothing_else_sweeps_a_dead_one_before_it_ends(
    q: Queue, start: START, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(gate.code, gate.code)
    handle.setPriority(10)
    workers = [start("--slots", "1"), start("--slots", "1")]
    gate.wait_for(2)
    for worker in workers:
        kill(worker)
    last = start("--slots", "2", "--exit-when-empty")
    gate.wait_for(4)
    gate.open()
    assert last.ends() == 0
    assert not handle.hasError(recursive=True)
    assert q.workers() == []


def test_a_job_that_kills_its_workers_has_failed_after_three_of_them(q: Queue, start: START, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(gate.code, "result = 'else'")
    names = []
    for count in range(1, 4):
        worker = start("--slots", "1")
        gate.wait_for(count)
        names.append(worker.name())
        kill(worker)
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    poison, other = handle.listSubJobs()
    assert poison.hasError()
    assert poison.error is not None
    assert poison.error.endswith("; 3 attempts have died")
    assert other.result == "else"
    assert [state for _, state, _ in story(poison)] == ["died", "died", "died"]
    assert len(set(names)) == 3
    assert_sound(q.dir)


def test_what_a_dead_worker_has_committed_is_settled(q: Queue, start: START) -> None:
    handle = q.submit("result = 5")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    # As if it had died between the commit and settling: the token is back in won/ of a worker that is gone.
    (closed,) = [name for name in q.folder(1, "finished") if name.startswith("0000000.")]
    node, attempt, move, charged, owner, slot, offset = closed.split(".")
    files = q.store.layout.worker(owner)
    for directory in (files.dir, files.inbox, files.running, files.won):
        os.mkdir(directory)
    Path(files.beat).touch()
    Path(files.info).write_text("{}")
    won = f"1.{node}.{attempt}.{int(move) + 1}.{charged}.{slot}.{offset}"
    os.rename(f"{q.store.layout.job(1).finished}/{closed}", f"{files.won}/{won}")
    q.configure("beat = 0.05")
    q.configure("deadAfter = 1.0")
    start("--slots", "1")
    until(lambda: owner not in q.workers(), "it is swept")
    (job,) = handle.listSubJobs()
    assert job.result == 5
    assert_sound(q.dir, at_rest=False)


def test_a_worker_that_was_stopped_and_swept_comes_again_and_changes_nothing(
    q: Queue, start: START, tmp_path: Path
) -> None:
    q.configure("beat = 0.05")
    q.configure("deadAfter = 1.5")
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = int(os.environ['JOBQUEUE_ATTEMPT'])")
    first = start("--slots", "1")
    gate.wait_for()
    old = first.name()
    (slot,) = first.slots()
    first.signal(signal.SIGSTOP)
    os.kill(slot, signal.SIGSTOP)
    second = start("--slots", "1")
    gate.wait_for(2)
    assert second.says(f"Worker {old} is dead: it has not beaten for")
    assert not (q.dir / "workers" / old).exists()
    first.signal(signal.SIGCONT)
    first.wait_to_say("goes on from here")
    until(lambda: not is_alive(slot), "the slot that ran what was given back is gone")
    assert (q.dir / "workers" / f"{old}.alive").exists()
    gate.open()
    until(handle.isFinished, "the hierarchy is finished")
    (job,) = handle.listSubJobs()
    assert (job.result, job.attempt) == (2, 2)
    names = [name for name in q.workers() if not name.endswith(".alive")]
    assert len(names) == 2
    assert old not in names
    for worker in (first, second):
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0
    assert_sound(q.dir)


def test_a_worker_whose_sweeper_died_in_the_middle_comes_again_and_sweeps_what_it_was(
    q: Queue, start: START, tmp_path: Path
) -> None:
    q.configure("beat = 0.05")
    q.configure("deadAfter = 1.5")
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = int(os.environ['JOBQUEUE_ATTEMPT'])")
    worker = start("--slots", "1")
    gate.wait_for()
    old = worker.name()
    files = q.store.layout.worker(old)
    Path(files.fenced).touch()
    os.unlink(files.beat)
    worker.wait_to_say("goes on from here")
    # What lies in its folder still is its own to give back.
    gate.wait_for(2)
    assert q.charged(1, 0) == 0
    gate.open()
    until(handle.isFinished, "the hierarchy is finished")
    (job,) = handle.listSubJobs()
    assert job.result == 2
    until(lambda: not Path(files.dir).exists(), "its old folder is swept")
    assert worker.says(f"Worker {old} is dead")


def test_a_false_suspicion_costs_a_job_none_of_its_attempts(q: Queue, start: START, tmp_path: Path) -> None:
    q.configure("beat = 0.05")
    q.configure("deadAfter = 1.5")
    gate = Gate(tmp_path)
    handle = q.submit(gate.code, options={"maxAttempts": 2})
    first = start("--slots", "1")
    gate.wait_for()
    (slot,) = first.slots()
    first.signal(signal.SIGSTOP)
    os.kill(slot, signal.SIGSTOP)
    second = start("--slots", "1")
    gate.wait_for(2)
    first.signal(signal.SIGCONT)
    first.wait_to_say("goes on from here")
    kill(second)
    # The first one takes it up: a second death is the first that counts.
    gate.wait_for(3)
    assert q.charged(1, 0) == 2
    gate.open()
    until(handle.isFinished, "the hierarchy is finished")
    assert not handle.hasError(recursive=True)


def test_a_job_that_a_dead_worker_was_to_delete_is_removed_by_who_sweeps_it(
    q: Queue, start: START, tmp_path: Path
) -> None:
    q.configure("beat = 1000")
    gate = Gate(tmp_path)
    handle = q.submit(gate.code)
    first = start("--slots", "1")
    gate.wait_for()
    files = q.store.layout.worker(first.name())
    # Its first beat, at which it reads its inbox; the next one is a quarter of an hour away.
    until(lambda: os.stat(files.beat).st_mtime_ns > os.stat(files.info).st_mtime_ns, "it has beaten")
    q.queue.deleteJobs(handle)
    kill(first)
    assert (q.dir / "job1").exists()
    q.configure("beat = 0.1")
    start("--slots", "1")
    until(lambda: not (q.dir / "job1").exists(), "the deleted job is gone")
    # Its directory goes before what names it.
    until(lambda: os.listdir(q.dir / "trash") == [], "nothing remembers it")


def _sweep(q: Queue, worker: str) -> None:
    """As another worker does that takes it for dead."""
    other = Membership(q.store.twin(), "other", 1, lambda: 1)
    assert sweep(q.store, other.aftermath, worker, "so says the test")
    other.leave()


def test_a_script_that_was_swept_between_two_jobs_registers_anew(q: Queue) -> None:
    handle = q.submit("result = 1", "result = 2")
    assert q.queue.runNextAvailableJob()
    (first,) = q.workers()
    _sweep(q, first)
    assert q.queue.runNextAvailableJob()
    assert [job.result for job in handle.listSubJobs()] == [1, 2]
    names = q.workers()
    assert f"{first}.alive" in names
    assert first not in names
    assert len(names) == 2


def test_what_a_script_runs_while_it_is_swept_is_run_again_and_its_own_result_dropped(q: Queue, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    handle = q.submit(f"{gate.code}result = int(os.environ['JOBQUEUE_ATTEMPT'])")
    thread = threading.Thread(target=q.queue.runNextAvailableJob)
    thread.start()
    gate.wait_for()
    (first,) = q.workers()
    _sweep(q, first)
    assert len(q.folder(1, "ready")) == 1
    until(lambda: f"{first}.alive" in q.workers(), "it has noticed")
    gate.open()
    thread.join()
    assert len(q.folder(1, "ready")) == 1
    again = threading.Thread(target=q.queue.runNextAvailableJob)
    again.start()
    gate.wait_for(2)
    gate.open()
    again.join()
    (job,) = handle.listSubJobs()
    assert job.result == 2
    assert_sound(q.dir, at_rest=False)
