"""`jobqueue show` and `jobqueue tree`: one job and its attempts, and a hierarchy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Job, JobQueue
from jobqueue.handle import reader_of
from jobqueue.journal import Journal
from jobqueue.names import Record
from tests.acceptance.cli.conftest import Cli, Hand

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def facts(text: str) -> dict[str, str]:
    """The lines before the attempts, by their names."""
    lines = text.partition("\n\n")[0].splitlines()
    return {name.strip(): value for line in lines for name, value in [re.split(r"  +", line.strip(), maxsplit=1)]}


def write_event(hand: Hand, number: int, slot: int, **event: Any) -> None:
    journal = Journal(hand.store.share, hand.store.layout.job(number), hand.worker, slot)
    journal.append(event, sync=False)
    journal.close()


def journal_end(hand: Hand, worker: str, *, start: float | None, error: str) -> Record:
    """Writes how the first attempt of job1 has ended, as that worker's supervisor."""
    journal = Journal(hand.store.share, hand.store.layout.job(1), worker, 0)
    event = {"event": "end", "node": 0, "attempt": 1, "ok": False, "start": start, "end": 103.0, "error": error}
    offset = journal.append(event, sync=False)
    journal.close()
    return Record(worker, 0, offset)


def attempts(cli: Cli, name: str = "job1") -> list[tuple[int, str, str | None]]:
    return [(row["attempt"], row["state"], row["reason"]) for row in cli("show", "--json", name).json["attempts"]]


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_of_a_waiting_job(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--label", "one", "--priority", "3", "--timeout", "9", "--env", "A=1", "--", "echo", "a b")
    told = facts(cli.good("show", "job1"))
    assert re.fullmatch(rf"{TIME} by \S+@\S+", told.pop("submitted"))
    assert told == {
        "job": "job1", "label": "one", "state": "ready", "hierarchy": "ready: 1 ready", "priority": "3",
        "type": "command", "cmd": "['echo', 'a b']", "env": "{'A': '1'}", "maxAttempts": "3", "maxErrors": "1",
        "timeout": "9.0",
        "progress": "0 %", "directory": f"{queue_dir}/job1",
    }  # fmt: skip


def test_show_of_a_stalled_hierarchy_and_its_failed_job(cli: Cli, failed_job: str) -> None:
    top = facts(cli.good("show", failed_job))
    assert top["state"] == "blocked"
    assert top["hierarchy"] == "stalled: 1 blocked, 3 finished, 1 failed"
    assert top["type"] == "none, it groups others"
    assert top["waits for"] == "job1/job0, job1/job1, job1/job2, job1/job3"
    text = cli.good("show", f"{failed_job}/job1")
    told = facts(text)
    assert told["error"] == "RuntimeError: no licence"
    assert told["needed by"] == "job1"
    assert "hierarchy" not in told
    assert re.fullmatch(rf"{TIME} on script-\S+", told["began"])
    assert re.fullmatch(rf"{TIME} after \d\.\d s", told["ended"])
    head, row = text.split("\n\n")[1].splitlines()
    assert head.split() == ["ATTEMPT", "STATE", "WORKER", "BEGAN", "TOOK", "DIRECTORY", "REASON"]
    assert re.fullmatch(rf" +1  failed  script-\S+  {TIME}  \d\.\d s  \.attempt1  RuntimeError: no licence", row)
    assert text.endswith("\n\n`jobqueue log job1/job1` shows what it has printed.\n")


def test_show_names_only_some_of_many_jobs(cli: Cli) -> None:
    cli.good("submit", "--frames", "1-12", "--", "echo {frame}")
    told = facts(cli.good("show", "job1"))["waits for"]
    assert told.startswith("job1/job0, job1/job1, ")
    assert told.endswith(", job1/job9 and 2 more")


def test_show_of_a_result(cli: Cli, queue: JobQueue, run_all: Callable[[], int]) -> None:
    queue.createJobRoot("code", text="proc.setStatusLine('half way'); result = (1, b'x')").activate()
    run_all()
    told = facts(cli.good("show", "job1"))
    assert (told["result"], told["progress"], told["status"]) == ("(1, b'x')", "100 %", "half way")
    assert cli("show", "--json", "job1").json["result"] == {"$tuple": [1, {"$bytes": "eA=="}]}


def test_the_json_of_show(cli: Cli, failed_job: str, queue_dir: Path, queue: JobQueue) -> None:
    told = cli("show", "--json", f"{failed_job}/job1").json
    job = queue.findJob("job1/job1")
    (attempt,) = told.pop("attempts")
    assert told == {
        "job": "job1/job1", "label": "frame 2", "state": "failed", "type": "code",
        "parameters": {"text": "raise RuntimeError('no licence')", "label": "frame 2"},
        "options": {"maxAttempts": 3, "maxErrors": 1, "timeout": None}, "submitted": job.submitTime,
        "submitter": reader_of(job).hierarchy().submitter, "attempt": 1, "worker": job.worker, "began": job.startTime,
        "ended": job.endTime, "progress": 0.0, "status": "", "error": "RuntimeError: no licence", "result": None,
        "outputs": [],
        "items": None, "archive": None,
        "directory": f"{queue_dir}/job1/job1", "waits_for": [], "needed_by": ["job1"], "hierarchy": None,
    }  # fmt: skip
    assert attempt == {
        "attempt": 1, "state": "failed", "worker": job.worker, "began": job.startTime, "ended": job.endTime,
        "reason": "RuntimeError: no licence", "directory": f"{queue_dir}/job1/job1/.attempt1",
    }  # fmt: skip
    assert cli("show", "--json", failed_job).json["hierarchy"] == {
        "state": "stalled", "priority": 0, "blocked": 1, "ready": 0, "running": 0, "finished": 3, "failed": 1,
        "cancelled": 0,
    }  # fmt: skip


def test_show_of_a_job_that_is_not_published(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    hand.store.index.discard(1)
    assert facts(cli.good("show", "job1"))["hierarchy"] == "not in the index: 1 ready"
    assert cli("show", "--json", "job1").json["hierarchy"]["state"] is None


def test_a_text_that_would_steer_the_terminal_is_made_plain(cli: Cli) -> None:
    cli.good("submit", "--label", "a\x1b[2Jb", "--", "true")
    assert facts(cli.good("show", "job1"))["label"] == "a?[2Jb"
    assert cli.good("tree", "job1") == "job1  ready  a?[2Jb\n"
    assert cli.good("list", "--long").splitlines()[1].endswith("  a?[2Jb")


# --- attempts --------------------------------------------------------------------------------------------------------


def test_each_way_an_attempt_can_end(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    tokens = hand.store.tokens
    # Given back with nothing said; its process died; its result came too late; and one that runs.
    first = hand.claim(1)
    tokens.give_back(first, hand.worker, charge=False)
    second = hand.claim(1)
    write_event(hand, 1, 1, event="start", node=0, attempt=2, time=100.0)
    write_event(hand, 1, 0, event="died", node=0, attempt=2, end=103.0, error="its process ended with signal 11")
    tokens.give_back(second, hand.worker, charge=True)
    third = hand.claim(1)
    write_event(hand, 1, 1, event="start", node=0, attempt=3, time=200.0)
    tokens.give_back(third, hand.worker, charge=False)
    write_event(hand, 1, 1, event="end", node=0, attempt=3, ok=True, start=200.0, end=201.0)
    hand.claim(1)
    write_event(hand, 1, 1, event="start", node=0, attempt=4, time=300.0)
    assert attempts(cli) == [
        (1, "given back", None),
        (2, "died", "its process ended with signal 11"),
        (3, "superseded", None),
        (4, "running", None),
    ]
    rows = cli("show", "--json", "job1").json["attempts"]
    assert [(row["began"], row["ended"]) for row in rows] == [
        (None, None),
        (100.0, 103.0),
        (200.0, 201.0),
        (300.0, None),
    ]
    assert [row["worker"] for row in rows] == [None, hand.worker, hand.worker, hand.worker]
    told = facts(cli.good("show", "job1"))
    assert told["state"] == "running"
    assert told["hierarchy"] == "running: 1 running"


def test_a_failed_attempt_stays_one_after_a_retry(cli: Cli, failed_job: str, run_all: Callable[[], int]) -> None:
    name = f"{failed_job}/job1"
    cli.good("retry", name)
    assert attempts(cli, name) == [(1, "failed", "RuntimeError: no licence")]
    run_all()
    assert attempts(cli, name) == [(1, "failed", "RuntimeError: no licence"), (2, "failed", "RuntimeError: no licence")]


def test_who_ran_a_job_that_is_tried_again_is_known_and_nobody_is_none(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    write_event(hand, 1, 1, event="start", node=0, attempt=1, time=100.0)
    failed = journal_end(hand, "w3-host-0", start=100.0, error="no licence")
    hand.store.tokens.fail_running(running, hand.worker, failed)
    cli.good("retry", "job1")
    assert facts(cli.good("show", "job1"))["began"].endswith(f" on {hand.worker}")
    assert cli("show", "--json", "job1").json["worker"] == hand.worker


def test_a_job_that_was_swept_began_on_the_worker_that_died_and_has_died(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    write_event(hand, 1, 1, event="start", node=0, attempt=1, time=100.0)
    why = f"its worker {hand.worker} has died: no beat; 1 attempts have died"
    died = journal_end(hand, "sweeper-host-0", start=None, error=why)
    hand.store.tokens.fail_running(running, hand.worker, died)
    told = cli("show", "--json", "job1").json
    assert (told["state"], told["worker"], told["began"]) == ("failed", hand.worker, 100.0)
    assert [(row["worker"], row["state"]) for row in told["attempts"]] == [(hand.worker, "died")]
    assert facts(cli.good("show", "job1"))["began"].endswith(f" on {hand.worker}")


def test_a_swept_job_of_which_nobody_knows_who_began_it_names_no_worker(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    died = journal_end(hand, "sweeper-host-0", start=None, error="its worker has died; 1 attempts have died")
    hand.store.tokens.fail_running(running, hand.worker, died)
    told = cli("show", "--json", "job1").json
    assert (told["worker"], told["attempts"][0]["worker"]) == (None, None)


def test_an_attempt_that_ran_too_long_has_failed_also_where_that_is_forgiven(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    why = "it ran longer than its timeout of 9 s"
    write_event(hand, 1, 0, event="died", node=0, attempt=1, end=103.0, error=why)
    hand.store.tokens.give_back(running, hand.worker, charge=True)
    assert attempts(cli) == [(1, "failed", why)]


def test_a_cancelled_attempt(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    hand.store.tokens.cancel_running(hand.claim(1), hand.worker)
    assert attempts(cli) == [(1, "cancelled", None)]


def test_a_result_whose_record_is_lost(cli: Cli, hand: Hand, queue: JobQueue) -> None:
    cli.good("submit", "--", "true")
    won = hand.commit(hand.claim(1))
    assert attempts(cli) == [(1, "running", None)]
    hand.store.tokens.settle(won, hand.worker, reader_of(queue.findJob("job1")).node(), ok=True)
    assert attempts(cli) == [(1, "finished", "record lost")]


def test_a_job_that_was_made_to_fail_before_it_began_has_no_attempt(cli: Cli, queue: JobQueue) -> None:
    cli.good("submit", "--", "true")
    queue.findJob("job1").setError()
    text = cli.good("show", "job1")
    assert attempts(cli) == []
    assert "ATTEMPT" not in text
    assert facts(text)["error"].startswith("made to fail by ")


def test_foreign_names_and_lines_are_passed_over(cli: Cli, failed_job: str, queue_dir: Path) -> None:
    journals = queue_dir / "job1" / ".journal"
    (journals / ".nfs0001").write_text("x")
    (journals / "notes.jsonl").write_text("x")
    (journals / "a-b-c.1.jsonl").write_text('torn\n{"node":1,"attempt":"x"}\n[1]\n')
    assert attempts(cli, "job1/job1") == [(1, "failed", "RuntimeError: no licence")]


def test_a_status_that_cannot_be_read_leaves_the_progress_open(cli: Cli, hand: Hand, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    hand.claim(1)
    status = queue_dir / "job1" / ".attempt1" / "status.json"
    status.parent.mkdir()
    status.write_text("rubbish")
    assert "progress" not in facts(cli.good("show", "job1"))
    assert cli("show", "--json", "job1").json["progress"] is None


# --- tree ------------------------------------------------------------------------------------------------------------


def test_tree_shows_each_job_below_the_one_that_waits_for_it(cli: Cli, failed_job: str) -> None:
    assert cli.good("tree", failed_job).splitlines() == [
        "job1  blocked  shot",
        "  job1/job0  finished  frame 1",
        "  job1/job1  failed  frame 2",
        "  job1/job2  finished  frame 3",
        "  job1/job3  finished  frame 4",
    ]
    assert cli.good("tree", "job1/job1") == "job1/job1  failed  frame 2\n"


def test_tree_shows_a_shared_job_once_with_a_note(cli: Cli, queue: JobQueue) -> None:
    root = queue.createJobRoot("noop", label="movie")
    frames = [root.createJob("noop", label=f"frame {n}") for n in range(6)]
    scene = frames[0].createJob("noop", label="scene")
    for frame in frames[1:]:
        frame.addDependency(scene)
    root.activate()
    lines = cli.good("tree", "job1").splitlines()
    assert lines[:4] == [
        "job1  blocked  movie",
        "  job1/job0  blocked  frame 0",
        "    job1/job0/job0  ready  scene  (also for job1/job1, job1/job2, job1/job3 and 2 others)",
        "  job1/job1  blocked  frame 1",
    ]
    assert len(lines) == 8
    # As the root of a tree of its own it stands below nobody.
    assert cli.good("tree", "job1/job0/job0") == "job1/job0/job0  ready  scene\n"


def test_tree_collapses_many_equal_jobs(cli: Cli) -> None:
    cli.good("submit", "--frames", "1-21", "--", "echo {frame}")
    assert cli.good("tree", "job1").splitlines() == [
        "job1  blocked",
        "  job1/job0  ready  frame 1",
        "  ... and 20 more like this one",
    ]
    assert len(cli.good("tree", "--all", "job1").splitlines()) == 22


def test_tree_does_not_collapse_twenty_nor_what_differs(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--frames", "1-20", "--", "echo {frame}")
    assert len(cli.good("tree", "job1").splitlines()) == 21
    cli.good("submit", "--frames", "1-30", "--", "echo {frame}")
    hand.claim(2, node=4)
    assert cli.good("tree", "job2").splitlines() == [
        "job2  blocked",
        "  job2/job0  ready  frame 1",
        "  ... and 28 more like this one",
        "  job2/job4  running  frame 5",
    ]


def test_tree_collapses_whole_branches_that_are_equal(cli: Cli, queue: JobQueue) -> None:
    root = queue.createJobRoot("noop")
    for number in range(25):
        sheet = root.createJob("noop", label=f"sheet {number}")
        for _ in range(2 if number == 7 else 3):
            sheet.createJob("noop")
    root.activate()
    lines = cli.good("tree", "job1").splitlines()
    assert [line for line in lines if "more" in line] == ["  ... and 23 more like this one"]
    assert [line for line in lines if "sheet" in line] == [
        "  job1/job0  blocked  sheet 0",
        "  job1/job7  blocked  sheet 7",
    ]


def test_tree_of_a_long_chain_is_no_staircase(cli: Cli, queue: JobQueue) -> None:
    root = queue.createJobRoot("noop")
    job: Job = root
    for _ in range(3000):
        job = job.createJob("noop")
    root.activate()
    lines = cli.good("tree", "job1").splitlines()
    assert len(lines) == 3001
    assert lines[20].startswith(" " * 40 + "job1/")
    assert lines[3000].startswith(" " * 40 + "[3000] job1/.jobs/job")
    assert max(map(len, lines)) < 120


def test_the_json_of_tree(cli: Cli, failed_job: str) -> None:
    told = cli("tree", "--json", failed_job).json
    assert [row["job"] for row in told] == ["job1/job0", "job1/job1", "job1/job2", "job1/job3", "job1"]
    assert told[1] == {
        "job": "job1/job1", "state": "failed", "label": "frame 2", "type": "code", "waits_for": [],
        "needed_by": ["job1"],
    }  # fmt: skip
    assert told[4]["waits_for"] == ["job1/job0", "job1/job1", "job1/job2", "job1/job3"]
    assert [row["job"] for row in cli("tree", "--json", "job1/job2").json] == ["job1/job2"]


@pytest.mark.parametrize("command", ["tree", "show"])
def test_a_flat_queue_names_sub_jobs_by_their_place(cli: Cli, command: str, tmp_path: Path) -> None:
    cli.good("create", "--keep-jobs-in-repository", str(tmp_path / "flat"))
    cli.good("-q", str(tmp_path / "flat"), "submit", "--frames", "1-2", "--", "echo {frame}")
    assert "job1/.jobs/job2" in cli.good("-q", str(tmp_path / "flat"), command, "job1")
