"""`jobqueue check` beside workers that are busy: no false findings, and a repair that disturbs nobody."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobqueue import JobHandle, JobQueue
from jobqueue.check.audit import Report, audit, repair
from jobqueue.clock import Clock
from jobqueue.errors import JobQueueError
from jobqueue.share import Share
from jobqueue.store import Store
from tests.soundness import assert_sound
from tests.support import end_started, run_jobqueue, start_runjobs, wait_until

_TIMES = 50


class HastyClock(Clock):
    """Waits a tenth between two looks, which makes it harder to tell a move from a fault."""

    pauses = 0

    def sleep(self, seconds: float) -> None:
        self.pauses += 1
        super().sleep(seconds / 10)


@pytest.fixture(autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    end_started()


def _submit(queue: JobQueue, width: int) -> None:
    root = queue.createJobRoot("noop")
    for nth in range(width):
        # One in ten fails at first, and one in ten dies.
        text = {3: "raise RuntimeError", 7: "import os; os._exit(1)"}.get(nth % 10, "raise SystemExit")
        first = "" if nth % 10 in (3, 7) else "result = 1"
        root.createJob("code", text=first or f"if proc.runningDir.endswith('attempt1'):\n    {text}").createJob("noop")
    root.activate()


def _do(what: str, queue: JobQueue, job: JobHandle) -> None:
    if what == "delete":
        queue.deleteJobs(job)
    elif what == "prefer":
        job.setPriority(job.number % 9)
    else:
        getattr(job, what)()


@contextmanager
def _people(queue_dir: Path) -> Iterator[None]:
    """Somebody who submits, retries, holds, releases, prefers, cancels and deletes, as fast as it goes."""
    is_over = threading.Event()
    told: list[BaseException] = []

    def act() -> None:
        queue, chance = JobQueue(str(queue_dir)), random.Random(1)
        try:
            while not is_over.is_set():
                # There is always something to run, and never more than one can look at quickly.
                while len(os.listdir(queue_dir / "index" / "runnable")) < 3:
                    _submit(queue, 20)
                jobs = queue.listJobs()
                job = chance.choice(jobs)
                what = "delete" if len(jobs) > 12 else chance.choice(["retry", "hold", "release", "prefer", "cancel"])
                try:
                    _do(what, queue, job)
                except JobQueueError:
                    # It has ended, or is gone, by then.
                    continue
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert not told, told


@pytest.mark.parametrize("act", [audit, repair])
def test_beside_busy_workers_nothing_is_found_fifty_times(queue_dir: Path, act: Callable[[Store], Report]) -> None:
    workers = [start_runjobs(queue_dir, "--slots", "2", "--quiet", "--poll", "0.05") for _ in range(2)]
    clock, busy = HastyClock(), 0
    store = Store(str(queue_dir), Share(clock))
    with _people(queue_dir):
        wait_until(lambda: [*queue_dir.glob("job*/.tokens/finished/*")], "a finished job")
        # Only those looks count at which something moved, so that they were followed by others.
        while busy < _TIMES:
            pauses = clock.pauses
            report = act(store)
            assert [finding for finding in report.found if not finding.is_note] == []
            busy += clock.pauses > pauses
    for job in JobQueue(str(queue_dir)).listJobs():
        if job.state.value not in ("finished", "cancelled"):
            job.release()
    for worker in workers:
        worker.terminate()
        worker.communicate()
    assert_sound(queue_dir, at_rest=False)


def test_the_command_finds_nothing_beside_busy_workers(queue_dir: Path) -> None:
    start_runjobs(queue_dir, "--slots", "2", "--quiet", "--poll", "0.05")
    with _people(queue_dir):
        for _ in range(3):
            answer = run_jobqueue("-q", str(queue_dir), "check", "--json")
            found = [row for row in json.loads(answer.stdout) if not row["note"]]
            assert (answer.returncode, found, answer.stderr) == (0, [], "")
