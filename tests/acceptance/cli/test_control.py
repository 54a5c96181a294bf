"""`jobqueue retry`, `cancel`, `hold`, `release`, `priority`, `delete`: what changes, and what is refused."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import JobQueue
from jobqueue.share import Share
from jobqueue.state import JobState
from jobqueue.store import Store
from tests.acceptance.cli.conftest import Cli, Hand
from tests.support import snapshot


def state(queue_dir: Path, name: str = "job1") -> JobState:
    return JobQueue(str(queue_dir)).findJob(name).state


def folder(queue_dir: Path, number: int = 1) -> str:
    found = Store(str(queue_dir)).index.find(number)
    assert found is not None
    return found.folder


@pytest.fixture
def waiting_job(cli: Cli) -> str:
    return cli.good("submit", "--", "true").strip()


# --- retry -----------------------------------------------------------------------------------------------------------


def test_retry_of_a_hierarchy_takes_every_failed_job(
    cli: Cli, queue: JobQueue, run_all: Callable[[], int], queue_dir: Path
) -> None:
    root = queue.createJobRoot(None)
    for _ in range(2):
        root.createJob("code", text="1 / 0")
    root.activate()
    run_all()
    assert cli.good("retry", "job1") == "job1 is tried again: 2 failed jobs\n"
    assert state(queue_dir, "job1/job0") is state(queue_dir, "job1/job1") is JobState.READY


def test_retry_of_a_sub_job(cli: Cli, failed_job: str, queue_dir: Path) -> None:
    assert cli.good("retry", f"{failed_job}/job1") == "job1/job1 is tried again: 1 failed job\n"
    assert state(queue_dir, "job1/job1") is JobState.READY
    assert folder(queue_dir) == "runnable"


def test_retry_is_refused_where_nothing_has_failed(
    cli: Cli, queue_dir: Path, failed_job: str, run_all: Callable[[], int]
) -> None:
    cli.good("submit", "--", "true")
    told = cli.refused("retry", "job2")
    assert told == "job2: nothing of it has failed, so there is nothing to try again"
    told = cli.refused("retry", f"{failed_job}/job0")
    assert told.endswith("this job is finished, only a failed one can be tried again")
    run_all()
    told = cli.refused("retry", "job2")
    assert told.endswith("job2 is done, so nothing of it can be tried again; submit it anew")


# --- cancel, hold, release, priority ---------------------------------------------------------------------------------


def test_cancel(cli: Cli, waiting_job: str, queue_dir: Path) -> None:
    assert cli.good("cancel", waiting_job) == "job1 is cancelled; what still runs of it is being ended\n"
    assert state(queue_dir) is JobState.CANCELLED
    assert folder(queue_dir) == "done"
    told = cli.refused("cancel", waiting_job)
    assert told == f"job1: {queue_dir}/job1: job1 has ended already"


def test_hold_and_release(cli: Cli, waiting_job: str, queue_dir: Path, run_all: Callable[[], int]) -> None:
    assert cli.good("hold", waiting_job) == "job1 is held; `jobqueue release job1` lets it go on\n"
    assert folder(queue_dir) == "held"
    assert run_all() == 0
    assert cli.good("release", waiting_job) == "job1 is released\n"
    assert run_all() == 1
    assert cli.refused("hold", waiting_job) == f"job1: {queue_dir}: job1 is done, not runnable or waiting or held"
    assert cli.refused("release", waiting_job) == f"job1: {queue_dir}: job1 is done, not held or waiting"


def test_the_next_command_names_the_queue_as_it_was_named(cli: Cli, waiting_job: str, queue_dir: Path) -> None:
    told = cli.good("hold", "-q", str(queue_dir), waiting_job)
    assert told == f"job1 is held; `jobqueue -q {queue_dir} release job1` lets it go on\n"


def test_priority(cli: Cli, waiting_job: str) -> None:
    cli.good("submit", "--", "true")
    assert cli.good("priority", "job2", "10") == "job2 has the priority 10\n"
    assert cli.good("priority", "job1", "-499") == "job1 has the priority -499\n"
    assert [(row["job"], row["priority"]) for row in cli("list", "--json").json] == [("job2", 10), ("job1", -499)]
    told = cli.refused("priority", "job1", "501")
    assert told == "job1: option priority is 501, but has to be a whole number from -499 to 500"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["cancel"], "cancelled"),
        (["hold"], "held"),
        (["release"], "released"),
        (["priority"], "given a priority"),
    ],
)
def test_sub_jobs_go_with_their_hierarchy(cli: Cli, command: list[str], what: str) -> None:
    cli.good("submit", "--frames", "1", "--", "true")
    more = ["5"] if command == ["priority"] else []
    told = cli.refused(*command, "job1/job0", *more)
    assert told == f"job1/job0: job1/job0 is a sub-job; only a whole hierarchy can be {what}: job1"


def test_one_that_cannot_be_changed_does_not_keep_the_others(
    cli: Cli, waiting_job: str, queue_dir: Path, run_all: Callable[[], int]
) -> None:
    run_all()
    cli.good("submit", "--", "true")
    answer = cli("hold", "job1", "job2")
    assert answer.code == 2
    assert answer.out.startswith("job2 is held")
    assert answer.err.startswith("jobqueue: job1: ")
    assert folder(queue_dir, 2) == "held"


def test_the_json_of_what_changes_something(cli: Cli, waiting_job: str, run_all: Callable[[], int]) -> None:
    run_all()
    cli.good("submit", "--", "true")
    answer = cli("cancel", "--json", "job1", "job2")
    assert answer.code == 2
    refused, done = answer.json
    assert refused["text"].endswith("job1 has ended already")
    assert (refused["job"], refused["ok"]) == ("job1", False)
    assert done == {"job": "job2", "ok": True, "text": "is cancelled; what still runs of it is being ended"}
    for command in (["retry", "job2"], ["release", "job2"], ["delete", "--yes", "job2"], ["priority", "job1", "1"]):
        assert [set(row) for row in cli("--json", *command).json] == [{"job", "ok", "text"}]


# --- delete ----------------------------------------------------------------------------------------------------------


def test_delete_without_a_terminal_wants_yes(cli: Cli, waiting_job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    told = cli.refused("delete", waiting_job)
    assert told == "there is no terminal to ask at; `jobqueue delete --yes job1` deletes without asking"


def test_delete_of_an_unknown_job_does_not_ask_first(cli: Cli, queue_dir: Path) -> None:
    told = cli.refused("delete", "job7")
    assert told == f"{queue_dir}: there is no job7; it may have been deleted, `jobqueue list` shows what there is"


def test_delete(cli: Cli, waiting_job: str, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    assert cli.good("delete", "--yes", waiting_job) == "job1 is deleted\n"
    assert not (queue_dir / "job1").exists()
    assert [row["job"] for row in cli("list", "--json").json] == ["job2"]


def test_delete_of_a_sub_job_is_refused(cli: Cli) -> None:
    cli.good("submit", "--frames", "1", "--", "true")
    told = cli.refused("delete", "--yes", "job1/job0")
    assert told == "job1/job0: job1/job0 is a sub-job; only whole hierarchies can be deleted"


def test_what_cannot_be_deleted_went_wrong_and_the_others_go(
    cli: Cli, waiting_job: str, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.good("submit", "--", "true")
    real = Share.remove_tree

    def remove_tree(share: Share, path: str, **more: Any) -> Any:
        if "/job1/" in path:
            raise PermissionError(13, "Permission denied", path)
        return real(share, path)

    monkeypatch.setattr(Share, "remove_tree", remove_tree)
    answer = cli("delete", "--yes", "job1", "job2")
    assert (answer.code, answer.out) == (1, "job2 is deleted\n")
    assert answer.err.startswith(f"jobqueue: job1: {queue_dir}/job1/")
    assert answer.err.endswith(": Permission denied\n")


def test_delete_of_a_job_that_runs_keeps_what_it_needs(cli: Cli, waiting_job: str, hand: Hand) -> None:
    hand.claim(1)
    assert cli.good("delete", "-y", waiting_job) == "job1 is deleted\n"
    (request,) = hand.registration.requests()
    assert (request["action"], request["job"]) == ("delete", 1)
    assert cli.good("list") == "0 jobs\n"


@pytest.mark.parametrize(
    ("reply", "code", "is_there"), [("y", 0, False), ("YES", 0, False), ("n", 1, True), ("", 1, True)]
)
def test_delete_asks_on_a_terminal(
    cli: Cli, waiting_job: str, queue_dir: Path, reply: str, code: int, is_there: bool
) -> None:
    before = snapshot(queue_dir)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keys, os.fdopen(theirs, "rb", buffering=0) as terminal:
        keys.write(f"{reply}\n".encode())
        answer = subprocess.run(
            [sys.executable, "-m", "jobqueue", "delete", waiting_job],
            stdin=terminal, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert answer.returncode == code
    assert answer.stderr.startswith("Delete job1 with all files in the job directories? [y/N] ")
    assert (queue_dir / "job1").exists() == is_there
    if is_there:
        assert answer.stderr.endswith("Nothing is deleted.\n")
        assert snapshot(queue_dir) == before
