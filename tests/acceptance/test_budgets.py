"""The budgets of calls on the share, counted on the real programs with `strace`.

The numbers are those of the table on the page "Costs". What is compared are counts, never times. Where a count is for
one job it is the difference of two runs, so that starting and ending is not in it; looks that are made once a second
may come on top, and are within the budget.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jobqueue
from jobqueue.layout import Entry
from jobqueue.registry import Registration
from jobqueue.store import Store
from tests import support_strace
from tests.acceptance.worker.driver import Queue, until
from tests.support_strace import Call

pytestmark = pytest.mark.needs_program("strace")

JOB_CALLS = 18
UNBLOCK_CALLS = 5
POLL_CALLS = 5
BEAT_CALLS = 6
CALLS_FOR_EACH_OTHER = 3
AFRESH_EVERY = 10
# Of the worker that is traced.
NAME = "m"
# After so many beats a worker has done everything that it does at its beats.
CYCLE = 12


def show(text: str) -> None:
    """Prints what was counted; `pytest -rP` tells it of tests that pass."""
    sys.stdout.write(f"{text}\n")


def listing(calls: list[Call]) -> str:
    """What a failed test shows."""
    return "\n".join(call.text for call in calls)


def fan(root: jobqueue.Job, count: int) -> None:
    for _ in range(count):
        root.createJob("noop")


def chain(root: jobqueue.Job, count: int) -> None:
    job = root
    for _ in range(count):
        job = job.createJob("noop")


def calls_of_a_run(location: Path, count: int, shape: Callable[[jobqueue.Job, int], None]) -> list[Call]:
    """Submits ``count`` sub-jobs to a queue, runs them in a worker, and tells the worker's calls on the queue."""
    root = jobqueue.JobQueue(str(location)).createJobRoot("noop")
    shape(root, count)
    root.activate()
    arguments = ("--slots", "1", "--exit-when-empty", "--quiet", "--poll", "0.1")
    trace = location.parent / f"{shape.__name__}{count}.trace"
    calls = support_strace.run(trace, "-m", "jobqueue.cli.runjobs", str(location), *arguments)
    return [call for call in calls if call.is_in(str(location))]


def calls_per_job(location: Path, shape: Callable[[jobqueue.Job, int], None]) -> tuple[float, str]:
    """How many calls each of 20 further jobs costs, and those between the last two claims."""
    few, many = (calls_of_a_run(location, count, shape) for count in (20, 40))
    claims = [
        at for at, call in enumerate(many) if call.name.startswith("rename") and "/.tokens/ready/" in call.paths[0]
    ]
    assert len(claims) == 41
    one = [call for call in many[claims[20] : claims[21]] if call.pid == many[claims[20]].pid]
    return (len(many) - len(few)) / 20, listing(one)


def test_a_job_that_does_nothing_stays_within_its_budget(queue_dir: Path) -> None:
    count, one = calls_per_job(queue_dir, fan)
    show(f"{count:g} calls a job:\n{one}")
    # The three renames, the two lines in the journal, and the two directories are certainly there.
    assert 7 <= count <= JOB_CALLS, one


def test_a_job_that_unblocks_its_parent_costs_little_more(queue_dir: Path) -> None:
    in_fan, _ = calls_per_job(queue_dir, fan)
    in_chain, one = calls_per_job(queue_dir, chain)
    show(f"{in_chain:g} calls a job in a chain, {in_fan:g} in a fan:\n{one}")
    assert in_fan < in_chain <= in_fan + UNBLOCK_CALLS, one


def test_a_sub_job_of_ten_thousand_is_submitted_with_two_files(queue_dir: Path, tmp_path: Path) -> None:
    code = """
import sys, jobqueue
root = jobqueue.JobQueue(sys.argv[1]).createJobRoot()
for _ in range(10_000):
    root.createJob("command", cmd="true")
root.activate()
"""
    calls = support_strace.run(tmp_path / "trace", "-c", code, str(queue_dir))
    ours = [call for call in calls if call.is_in(str(queue_dir))]
    metadata = [call for call in ours if call.name != "close"]
    show(f"{len(metadata)} calls and {len(ours) - len(metadata)} closes for 10,000 sub-jobs")
    rest = [call for call in metadata if "O_CREAT" not in call.text]
    assert 20_000 <= len(metadata) <= 20_100, listing(rest[:200])


# --- a worker that has nothing to do -----------------------------------------------------------------------------


def fill_index(queue: Queue, folder: str, numbers: range) -> None:
    for number in numbers:
        (queue.dir / "index" / folder / Entry(folder, 0, number, 1).name).touch()


def idle_worker(queue_dir: Path, trace: Path, is_enough: Callable[[list[Call]], bool], *arguments: str) -> list[Call]:
    """The calls on the queue of a worker's supervisor, from a start to an end by SIGTERM."""
    program = ("-m", "jobqueue.cli.runjobs", str(queue_dir), "--quiet", "--name", NAME, *arguments)
    process = subprocess.Popen(support_strace.command(trace, *program), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        (info,) = until(lambda: list(queue_dir.glob(f"workers/{NAME}-*/info.json")), "a worker")
        pid = json.loads(info.read_text())["pid"]

        def calls() -> list[Call]:
            found = support_strace.read(trace) if trace.exists() else []
            return [call for call in found if call.pid == pid and call.is_in(str(queue_dir))]

        until(lambda: is_enough(calls()), "enough calls")
        os.kill(pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return calls()
    finally:
        # The end of `strace` is not that of what it traces; that ends by its guard, or has ended.
        process.kill()
        process.communicate()


def begins(calls: list[Call], path: str) -> list[int]:
    """Where calls begin that look at, or touch, a path by its name."""
    names = ("open", "openat", "utimensat")
    return [at for at, call in enumerate(calls) if call.name in names and call.paths[0] == path]


def test_an_idle_look_is_one_listing_whatever_the_queue_holds(queue_dir: Path, tmp_path: Path) -> None:
    queue = Queue(queue_dir)
    fill_index(queue, "done", range(1, 10_001))
    fill_index(queue, "waiting", range(10_001, 11_001))
    runnable = str(queue_dir / "index" / "runnable")
    rounds = 3 * AFRESH_EVERY
    calls = idle_worker(
        queue_dir,
        tmp_path / "trace",
        lambda seen: len(begins(seen, runnable)) > rounds,
        "--slots",
        "2",
        "--poll",
        "0.01",
    )
    looks = begins(calls, runnable)
    between = [call for call in calls[looks[0] : looks[rounds]] if not call.is_in(str(queue_dir / "workers"))]
    show(listing(between[:POLL_CALLS]))
    # Where other hosts may share the directory, every tenth look asks the server anew.
    assert len(between) <= rounds * POLL_CALLS + rounds // AFRESH_EVERY, listing(between)
    assert all(call.is_in(runnable) for call in between), listing(between)


@pytest.mark.parametrize("slots", ["1", "4"])
def test_a_beat_costs_the_same_whatever_the_number_of_slots(queue_dir: Path, tmp_path: Path, slots: str) -> None:
    Queue(queue_dir).configure("beat = 0.1")

    def beats(calls: list[Call]) -> list[int]:
        return [at for at, call in enumerate(calls) if call.name == "utimensat" and call.paths[0].endswith("/beat")]

    calls = idle_worker(
        queue_dir, tmp_path / "trace", lambda seen: len(beats(seen)) > 5, "--slots", slots, "--poll", "1000"
    )
    at = beats(calls)
    one = calls[at[3] : at[4]]
    show(listing(one))
    assert len(one) <= BEAT_CALLS, listing(one)


@pytest.fixture
def others(queue_dir: Path) -> Iterator[Callable[[str], None]]:
    """Has another worker come by its name, and beat until the test is over."""
    store, end, came = Store(str(queue_dir)), threading.Event(), list[Registration]()

    def beat() -> None:
        while not end.wait(0.02):
            for other in came:
                other.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    yield lambda name: came.append(Registration(store, name, 1))
    end.set()
    thread.join()
    for other in came:
        assert other.leave()


@pytest.mark.parametrize(
    ("names", "limit"),
    [(["a", "b"], BEAT_CALLS), (["x", "y", "z"], BEAT_CALLS + 3 * CALLS_FOR_EACH_OTHER)],
    ids=["another is the sweeper", "it is the sweeper of three"],
)
def test_beats_beside_others_stay_within_the_budget(
    queue_dir: Path, tmp_path: Path, others: Callable[[str], None], names: list[str], limit: int
) -> None:
    Queue(queue_dir).configure("beat = 0.2")
    for name in names:
        others(name)

    def beats(calls: list[Call]) -> list[int]:
        return [at for at, call in enumerate(calls) if call.name == "utimensat" and call.paths[0].endswith("/beat")]

    calls = idle_worker(queue_dir, tmp_path / "trace", lambda seen: len(beats(seen)) > 3 * CYCLE, "--poll", "1000")
    # In the first cycle it reads who the others are, and tries the lock of each.
    at = beats(calls)
    cycle = calls[at[CYCLE] : at[3 * CYCLE]]
    show(f"{len(cycle) / (2 * CYCLE):g} calls a beat:\n{listing(cycle)}")
    looks = [call for call in cycle if call.name in ("open", "openat") and call.paths[0].endswith("/beat")]
    assert looks
    assert len(cycle) <= limit * 2 * CYCLE, listing(cycle)


# --- looking -----------------------------------------------------------------------------------------------------


def test_listing_a_thousand_jobs_takes_listings_alone(queue_dir: Path, tmp_path: Path) -> None:
    queue = Queue(queue_dir)
    for first, folder in enumerate(("runnable", "waiting", "held", "done")):
        numbers = range(250 * first + 1, 250 * first + 251)
        fill_index(queue, folder, numbers)
        for number in numbers:
            (queue_dir / f"job{number}").mkdir()
            (queue_dir / f"job{number}" / ".hierarchy").touch()
    trace = tmp_path / "trace"
    calls = support_strace.run(trace, "-m", "jobqueue", "-q", str(queue_dir), "list", "--json")
    ours = [call for call in calls if call.is_in(str(queue_dir))]
    show(f"{len(ours)} calls")
    assert not [call.text for call in ours if re.search(r"/job\d+(/|$)", " ".join(call.paths))]
    opened = [call for call in ours if call.name in ("open", "openat")]
    files = [call.paths[0] for call in opened if "O_DIRECTORY" not in call.text]
    assert files == [str(queue_dir / "queue.cfg")]
    assert 5 <= len(opened) <= 12, listing(opened)
    assert len(ours) <= 6 * len(opened), listing(ours)
