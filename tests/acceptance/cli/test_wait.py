"""`jobqueue wait` and `jobqueue submit --wait`: until the end, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import JobQueue, reader
from jobqueue.clock import Clock
from jobqueue.handle import reader_of
from jobqueue.layout import JobLayout
from jobqueue.state import Sighting, scan
from jobqueue.store import Store
from tests.acceptance.cli.conftest import Cli, Hand
from tests.support import start_runjobs

Pauses = Callable[..., list[float]]


def test_waiting_for_what_has_finished(cli: Cli, run_all: Callable[[], int]) -> None:
    cli.good("submit", "--", "true")
    run_all()
    answer = cli("wait", "job1")
    assert (answer.code, answer.out, answer.err) == (0, "", "1 of 1 job finished, 0 running\n")


def test_it_shows_how_far_it_is_and_ends_with_the_job(cli: Cli, queue: JobQueue, at_each_pause: Pauses) -> None:
    cli.good("submit", "--frames", "1-4", "--", "true {frame}")
    pauses = at_each_pause(*[queue.runNextAvailableJob] * 5)
    answer = cli("wait", "job1")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.splitlines() == [f"{count} of 5 jobs finished, 0 running" for count in range(6)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.2)


def test_a_stalled_hierarchy_ends_with_1_and_names_the_failed_jobs(cli: Cli, failed_job: str) -> None:
    answer = cli("wait", failed_job)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "3 of 5 jobs finished, 0 running, 1 failed",
        "jobqueue: job1 is stalled: 1 of 5 jobs has failed",
        "  job1/job1 (frame 2): RuntimeError: no licence",
        "    jobqueue log job1/job1",
        "`jobqueue retry job1` runs what has failed again.",
    ]


def test_the_next_command_names_the_queue_as_it_was_named(cli: Cli, failed_job: str, tmp_path: Path) -> None:
    link = tmp_path / "my queue"
    link.symlink_to(tmp_path / "queue")
    told = cli("-q", str(link), "wait", failed_job).err
    assert f"    jobqueue -q '{link}' log job1/job1\n`jobqueue -q '{link}' retry job1` runs" in told


def test_only_some_of_many_failed_jobs_are_named(cli: Cli, queue: JobQueue, run_all: Callable[[], int]) -> None:
    root = queue.createJobRoot(None)
    for _ in range(12):
        root.createJob("code", text="1 / 0")
    root.activate()
    run_all()
    told = cli("wait", "job1").err.splitlines()
    assert told[1] == "jobqueue: job1 is stalled: 12 of 13 jobs have failed"
    assert sum("ZeroDivisionError" in line for line in told) == 10
    assert told[-2] == "  and 2 more; `jobqueue tree job1` shows all"
    assert len(cli("wait", "--json", "job1").json[0]["failed"]) == 12


def test_a_sub_job_is_waited_for_without_its_siblings(cli: Cli, failed_job: str) -> None:
    assert cli("wait", f"{failed_job}/job0").code == 0
    answer = cli("wait", f"{failed_job}/job1")
    assert answer.code == 1
    assert answer.err.splitlines()[1:] == [
        "jobqueue: job1/job1 is stalled: 1 of 1 job has failed",
        "  job1/job1 (frame 2): RuntimeError: no licence",
        "    jobqueue log job1/job1",
        "`jobqueue retry job1` runs what has failed again.",
    ]


def test_a_sub_job_that_moves_between_two_looks_is_not_stalled(
    cli: Cli, failed_job: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, at_each_pause: Pauses
) -> None:
    looks = 0

    def scan_twice(store: Store, job: JobLayout, count: int, _arrays: object) -> list[Sighting]:
        nonlocal looks
        looks += 1
        found = scan(store, job, count)
        # The second look of the first round sees other tokens.
        return found[::-1] if looks == 2 else found

    monkeypatch.setattr(reader, "scan", scan_twice)
    at_each_pause(lambda: None)
    assert cli("wait", f"{failed_job}/job1").code == 1
    # Two rounds of two, and one by what tells of the failures.
    assert looks == 5


def test_a_cancelled_job_ends_with_1(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    cli.good("cancel", "job1")
    answer = cli("wait", "job1")
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == "jobqueue: job1 was cancelled"


@pytest.mark.parametrize("name", ["job1", "job1/job0"])
def test_a_job_that_is_deleted_meanwhile_ends_with_1(
    cli: Cli, queue: JobQueue, at_each_pause: Pauses, name: str
) -> None:
    cli.good("submit", "--frames", "1", "--", "true")
    at_each_pause(lambda: queue.deleteJobs(queue.listJobs()))
    answer = cli("wait", name)
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == f"jobqueue: {name} was deleted"


def test_the_time_is_up_with_124(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.good("submit", "--", "true")
    now, pauses = [0.0], []

    def sleep(clock: Clock, seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(Clock, "sleep", sleep)
    monkeypatch.setattr(Clock, "monotonic", lambda _: now[0])
    answer = cli("wait", "--timeout", "20", "job1")
    assert (answer.code, answer.out) == (124, "")
    assert answer.err.splitlines()[-1] == "jobqueue: the time is up; job1 goes on: 0 of 1 job finished"
    assert sum(pauses) == pytest.approx(20)
    assert max(pauses) == 2.0
    assert cli("wait", "--timeout", "0", "job1").code == 124


@pytest.mark.parametrize("timeout", ["-1", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused(cli: Cli, timeout: str) -> None:
    cli.good("submit", "--", "true")
    told = cli.refused("wait", f"--timeout={timeout}", "job1")
    assert told == f"--timeout is {timeout}, but has to be a number of seconds, 0 or more"


def test_several_jobs_are_waited_for_to_the_last(
    cli: Cli, failed_job: str, queue: JobQueue, at_each_pause: Pauses
) -> None:
    cli.good("submit", "--", "true")
    cli.good("submit", "--", "true")
    at_each_pause(queue.runNextAvailableJob, queue.runNextAvailableJob)
    answer = cli("wait", "job3", failed_job, "job2")
    assert answer.code == 1
    assert "jobqueue: job1 is stalled" in answer.err
    assert "job2" not in answer.err
    assert cli("wait", "--timeout", "0", "job2", "job3").code == 0


def test_the_json_of_wait(cli: Cli, failed_job: str) -> None:
    answer = cli("wait", "--json", failed_job, "job1/job0")
    assert answer.code == 1
    assert answer.json == [
        {
            "job": "job1", "outcome": "stalled", "total": 5, "finished": 3, "running": 0,
            "failed": [
                {
                    "job": "job1/job1", "label": "frame 2", "error": "RuntimeError: no licence",
                    "log": "jobqueue log job1/job1",
                }
            ],
        },
        {"job": "job1/job0", "outcome": "finished", "total": 1, "finished": 1, "running": 0, "failed": []},
    ]  # fmt: skip


def test_ctrl_c_says_that_the_jobs_go_on(cli: Cli, at_each_pause: Pauses) -> None:
    cli.good("submit", "--", "true")
    cli.good("submit", "--", "true")

    def interrupt() -> None:
        raise KeyboardInterrupt

    at_each_pause(interrupt)
    answer = cli("wait", "job1", "job2")
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == (
        "jobqueue: not waiting any more; the jobs go on, `jobqueue wait job1 job2` waits again"
    )


# --- submit --wait ---------------------------------------------------------------------------------------------------


def test_submit_and_wait(cli: Cli, queue: JobQueue, at_each_pause: Pauses) -> None:
    at_each_pause(*[queue.runNextAvailableJob] * 3)
    answer = cli("submit", "--frames", "1-2", "--wait", "--", "true {frame}")
    assert (answer.code, answer.out) == (0, "job1\n")
    assert answer.err.splitlines()[-1] == "3 of 3 jobs finished, 0 running"


def test_submit_and_wait_for_what_fails(cli: Cli, queue: JobQueue, at_each_pause: Pauses) -> None:
    at_each_pause(queue.runNextAvailableJob)
    answer = cli("submit", "--wait", "--label", "bad", "--", "echo why >&2; exit 3")
    assert (answer.code, answer.out) == (1, "job1\n")
    assert answer.err.splitlines()[-4:] == [
        "jobqueue: job1 is stalled: 1 of 1 job has failed",
        "  job1 (bad): echo why >&2; exit 3 ended with exit code 3: why",
        "    jobqueue log job1",
        "`jobqueue retry job1` runs what has failed again.",
    ]


def test_the_json_of_submit_and_wait_is_one_object(cli: Cli, queue: JobQueue, at_each_pause: Pauses) -> None:
    at_each_pause(*[queue.runNextAvailableJob] * 3)
    answer = cli("submit", "--json", "--wait", "--frames", "1-2", "--", "true {frame}")
    assert answer.code == 0
    assert answer.json == {
        "job": "job1", "jobs": 3, "outcome": "finished", "total": 3, "finished": 3, "running": 0, "failed": [],
    }  # fmt: skip


def test_a_real_worker_is_waited_for(cli: Cli, queue_dir: Path) -> None:
    with start_runjobs(queue_dir, "--slots", "1", "--max-jobs", "3", "--poll", "0.1", "--quiet") as worker:
        answer = cli("submit", "--wait", "--frames", "1-2", "--", "echo {frame}")
        out, err = worker.communicate()
    assert (worker.returncode, out, err) == (0, "", "")
    assert (answer.code, answer.out) == (0, "job1\n")


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_a_terminal_shows_a_bar(
    cli: Cli, failed_job: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    answer = cli("wait", failed_job)
    assert answer.code == 1
    assert "━" in answer.err
    assert "0 running, 1 failed" in answer.err
    assert "jobqueue: job1 is stalled" in answer.err


def test_a_job_that_runs_is_waited_for(cli: Cli, hand: Hand, at_each_pause: Pauses) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    node = reader_of(JobQueue(hand.store.layout.dir).findJob("job1")).node()
    at_each_pause(lambda: hand.store.tokens.settle(hand.commit(running), hand.worker, node, ok=True))
    assert cli("wait", "job1").err.splitlines() == [
        "0 of 1 job finished, 1 running",
        "1 of 1 job finished, 0 running",
    ]
