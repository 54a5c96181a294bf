"""`jobqueue list`: where each top-level job stands, from listings alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import JobQueue, overview
from jobqueue.handle import reader_of
from jobqueue.overview import QueueState, top_jobs
from jobqueue.registry import owed
from jobqueue.share import Share
from jobqueue.store import Store
from tests.acceptance.cli.conftest import Cli, Hand


def states(cli: Cli) -> dict[str, str]:
    return {row["job"]: row["state"] for row in cli("list", "--json").json}


def test_an_empty_queue(cli: Cli) -> None:
    assert cli.good("list") == cli.good("list", "--long") == "0 jobs\n"
    assert cli("list", "--json").json == []


def test_the_table_is_in_processing_order_with_a_line_of_counts(cli: Cli, hand: Hand) -> None:
    for priority in ("0", "500", "-499"):
        cli.good("submit", "--priority", priority, "--", "true")
    cli.good("hold", "job3")
    hand.claim(1)
    assert cli.good("list").splitlines() == [
        "JOB   STATE    PRIORITY  RUNNING",
        "job2  ready         500        0",
        "job1  running         0        1",
        "job3  held         -499        0",
        "3 jobs: 1 ready, 1 running, 1 held",
    ]


def test_one_job_is_counted_as_one(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    assert cli.good("list").splitlines()[-1] == "1 job: 1 ready"


def test_the_json_of_list(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--priority", "7", "--", "true")
    hand.claim(1)
    assert cli("list", "--json").json == [{"job": "job1", "state": "running", "priority": 7, "running": 1}]


def test_every_state_on_the_way_of_a_job(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    assert states(cli) == {"job1": "ready"}
    running = hand.claim(1)
    assert states(cli) == {"job1": "running"}
    hand.park(1)
    assert states(cli) == {"job1": "running"}
    won = hand.commit(running)
    assert states(cli) == {"job1": "waiting"}
    hand.store.tokens.settle(
        won, hand.worker, reader_of(JobQueue(hand.store.layout.dir).findJob("job1")).node(), ok=False
    )
    assert states(cli) == {"job1": "stalled"}
    cli.good("hold", "job1")
    assert states(cli) == {"job1": "held"}
    cli.good("cancel", "job1")
    assert states(cli) == {"job1": "done"}


def test_a_job_that_is_woken_while_it_is_listed_is_not_called_stalled(
    cli: Cli, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.good("submit", "--", "true")
    hand.park(1)
    (stalled,) = top_jobs(hand.store)
    assert stalled.state is QueueState.STALLED

    def woken_meanwhile(store: Store) -> Iterator[Any]:
        store.index.wake(1)
        return owed(store)

    monkeypatch.setattr(overview, "owed", woken_meanwhile)
    (listed,) = top_jobs(hand.store)
    assert listed.state is QueueState.WAITING


def test_a_filter_leaves_the_counts_as_they_are(cli: Cli) -> None:
    for _ in range(3):
        cli.good("submit", "--", "true")
    cli.good("hold", "job2")
    assert cli.good("list", "--state", "held").splitlines() == [
        "JOB   STATE  PRIORITY  RUNNING",
        "job2  held          0        0",
        "3 jobs: 2 ready, 1 held",
    ]
    assert cli.good("list", "--state", "done") == "3 jobs: 2 ready, 1 held\n"
    assert [row["job"] for row in cli("list", "--json", "--state", "ready").json] == ["job1", "job3"]


def test_an_unknown_state_is_refused(cli: Cli) -> None:
    told = cli.refused("list", "--state", "lost")
    assert told.startswith("argument --state: invalid choice: 'lost'")


def test_the_cost_does_not_depend_on_the_number_of_jobs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    real = Share.names

    def names(share: Share, directory: str) -> list[str]:
        listed.append(directory)
        return real(share, directory)

    monkeypatch.setattr(Share, "names", names)
    counts = []
    for _ in range(2):
        for _ in range(5):
            cli.good("submit", "--", "true")
        listed.clear()
        cli.good("list")
        counts.append(len(listed))
    assert counts[0] == counts[1] <= 8


# --- long ------------------------------------------------------------------------------------------------------------


def test_long_looks_into_each_job(cli: Cli, failed_job: str) -> None:
    cli.good("submit", "--label", "one", "--", "true")
    lines = cli.good("list", "--long").splitlines()
    assert lines[0].split() == [
        "JOB", "STATE", "PRIORITY", "RUNNING", "DONE", "PROGRESS", "FAILED", "SUBMITTED", "LABEL"
    ]  # fmt: skip
    assert re.fullmatch(r"job1  stalled +0 +0 +3/5 +60 % +1  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  shot", lines[1])
    assert re.fullmatch(r"job2  ready +0 +0 +0/1 +0 % +0  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  one", lines[2])
    assert lines[3] == "2 jobs: 1 ready, 1 stalled"


def test_the_json_of_list_long(cli: Cli, failed_job: str, queue: JobQueue) -> None:
    assert cli("list", "--long", "--json").json == [
        {
            "job": "job1", "state": "stalled", "priority": 0, "running": 0, "label": "shot", "total": 5, "finished": 3,
            "failed": 1, "cancelled": 0, "progress": 60.0, "submitted": queue.findJob("job1").submitTime,
        }
    ]  # fmt: skip


def test_long_knows_a_stalled_job_before_a_worker_has_looked(
    cli: Cli, queue: JobQueue, run_all: Callable[[], int], hand: Hand
) -> None:
    queue.createJobRoot("code", text="raise RuntimeError").activate()
    queue.runNextAvailableJob()
    hand.store.index.put(1, "runnable")
    assert states(cli) == {"job1": "ready"}
    assert "job1  stalled" in cli.good("list", "-l")


def test_a_broken_job_does_not_hide_the_others(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--label", "good", "--", "true")
    cli.good("submit", "--", "true")
    (queue_dir / "job2" / ".hierarchy").write_text("rubbish")
    lines = cli.good("list", "--long").splitlines()
    assert lines[1].endswith("good")
    assert lines[2].split(maxsplit=8)[4:] == ["-", "-", "-", "-", "(its directory cannot be read)"]
    assert cli("list", "--long", "--json").json[1] == {
        "job": "job2", "state": "ready", "priority": 0, "running": 0, "label": None, "total": None, "finished": None,
        "failed": None, "cancelled": None, "progress": None, "submitted": None,
    }  # fmt: skip


def test_a_job_that_is_deleted_while_it_is_listed_is_left_out(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    cli.good("submit", "--", "true")
    for folder in ("ready", "finished", "blocked", "failed", "cancelled"):
        hand.store.share.remove_tree(hand.store.layout.job(1).token_folder(folder))
    assert [row["job"] for row in cli("list", "--long", "--json").json] == ["job2"]
