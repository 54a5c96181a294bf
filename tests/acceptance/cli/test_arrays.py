"""Arrays from the command line: submitted, shown item by item, waited for, tried again."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from tests.acceptance.cli.conftest import Cli

RunAll = Callable[[], int]
_OF_WHOLE_JOBS = ("cancel", "hold", "release", "delete", "archive", "wait", "tree")
# Every second frame says something, and fails at its first attempt.
_HALF = "echo frame {frame}; echo warn >&2; exit $(( {frame} % 2 * (JOBQUEUE_ATTEMPT < 2) ))"


@pytest.fixture
def half_failed(cli: Cli, run_all: RunAll) -> str:
    """An array of frames 1 to 4, of which 1 and 3 have failed: job1/job0."""
    name = cli.good("submit", "--array", "1-4", "--chunk", "3", "--label", "shot 7", "--", _HALF).strip()
    assert name == "job1"
    run_all()
    return f"{name}/job0"


# --- submit -----------------------------------------------------------------------------------------------------------


def test_an_array_is_submitted_as_two_jobs(cli: Cli, queue: jobqueue.JobQueue) -> None:
    answer = cli("submit", "--json", "--array=-10-9x2", "--", "render", "{frame:04d}", "{index}")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["job"] == "job1"
    (array,) = queue.listJobs()[0].listSubJobs()
    assert array.countItems() == 10
    told = cli("show", "--json", "job1/job0").json
    assert told["type"] == "command"
    assert told["items"] == {
        "blocked": 0, "ready": 10, "running": 0, "finished": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "runs", "printed"),
    [
        (["--array", "1-3", "--", "echo {frame}/{index}"], 3, ["1/0\n", "2/1\n", "3/2\n"]),
        (["--array", "3-1", "--chunk", "3", "--", "echo {start}..{end}"], 2, ["3..1\n"] * 3),
        (["--array", "1-3", "--chunk", "auto", "--", "echo", "{frame}", "{{}}"], 3, ["1 {}\n", "2 {}\n", "3 {}\n"]),
        (["--array", "1,5,9", "--chunk", "1", "--", "echo same"], 4, ["same\n"] * 3),
    ],
)
def test_a_command_is_run_for_each_frame_or_each_chunk(
    cli: Cli, run_all: RunAll, arguments: list[str], runs: int, printed: list[str]
) -> None:
    cli("submit", *arguments)
    assert run_all() == runs
    frames = {"1-3": (1, 2, 3), "3-1": (3, 2, 1), "1,5,9": (1, 5, 9)}[arguments[1]]
    assert [cli.good("log", f"job1/job0:{frame}") for frame in frames] == printed


def test_outputs_of_an_array(cli: Cli, run_all: RunAll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli.good("submit", "--array", "7-8", "--output", "f{frame:03d}.txt", "--", "echo {frame} > {output}")
    run_all()
    assert [(tmp_path / f"f{frame:03d}.txt").read_text() for frame in (7, 8)] == ["7\n", "8\n"]
    assert cli("show", "--json", "job1:8").json["outputs"] == [f"{tmp_path}/f008.txt"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--array", "", "--", "true"], "no frame range"),
        (["--array", "x", "--", "true"], "no frame range"),
        (["--array", "1-5,3", "--", "true"], "names frame 3 twice"),
        (["--array", "1-10000001", "--", "true"], "10,000,000"),
        (["--array", "1-3", "--frames", "1-3", "--", "true"], "give one of them"),
        (["--array", "1-3", "--chunk", "0", "--", "true"], "chunk is 0"),
        (
            ["--array", "1-3", "--chunk", "x", "--", "true"],
            "argument --chunk: 'x' is no number of frames, and not auto",
        ),
        (
            ["--array", "1-3", "--output", "o", "--", "sh", "-c", "echo {frame} > {output}"],
            "several items would publish",
        ),
        (["--chunk", "auto", "--", "true"], "--chunk cuts a frame range"),
        (["--frames", "1-3", "--chunk", "auto", "--", "true"], "--chunk auto is for --array"),
        (["--array", "1-3", "--", "echo {nonsense}"], "{nonsense} is none of"),
        (["--array", "1-3", "--", "echo {frame"], "do not match"),
        (["--array", "1-3", "--output", "o{nonsense}", "--", "echo {output}"], "{nonsense} is none of"),
        (["--array", "1-3", "--", ""], "cmd is empty"),
        (["--array", "1-3"], "command"),
    ],
)
def test_what_cannot_be_submitted_changes_nothing(cli: Cli, arguments: list[str], told: str) -> None:
    if "argument" in told:
        answer = cli("submit", *arguments)
        assert answer.code == 2 and told in answer.err
        return
    assert told in cli.refused("submit", *arguments)


def test_an_array_whose_items_do_the_same_is_submitted_with_a_word_of_warning(cli: Cli) -> None:
    answer = cli("submit", "--array", "1-3", "--output", "o{frame}", "--", "render {output}")
    assert (answer.code, answer.out) == (0, "job1\n")
    assert answer.err == (
        "jobqueue: the command has no {frame}, {start}, {end}, {frames} or {index}; all items do the same\n"
    )
    # A single one is nothing to warn of.
    assert cli.good("submit", "--array", "7", "--", "render") == "job2\n"
    assert "render {output}\n" in cli.good("tree", "job1")


# --- show, log --------------------------------------------------------------------------------------------------------


def test_an_array_is_shown_with_its_items(cli: Cli, half_failed: str) -> None:
    text = cli.good("show", half_failed)
    assert "2 finished, 2 failed" in text
    assert "2 of its items have failed" in text
    told = cli("show", "--json", half_failed).json
    assert (told["state"], told["items"]["failed"], told["attempts"], told["progress"]) == ("failed", 2, [], 50.0)


def test_an_item_is_shown(cli: Cli, half_failed: str) -> None:
    told = cli("show", "--json", f"{half_failed}:3").json
    assert {key: told[key] for key in ("item", "index", "frame", "state", "attempt", "result", "outputs")} == {
        "item": "job1/job0:3", "index": 2, "frame": 3, "state": "failed", "attempt": 1, "result": None, "outputs": [],
    }  # fmt: skip
    assert told["error"].endswith("ended with exit code 1: warn")
    (attempt,) = told["attempts"]
    assert (attempt["attempt"], attempt["state"], attempt["worker"]) == (1, "failed", told["worker"])
    assert told["began"] <= told["ended"]
    text = cli.good("show", "job1:3")
    assert "job1/job0:3" in text and "failed" in text and "jobqueue log job1/job0:3" in text
    assert "finished" in cli.good("show", "job1/job0:2")


def test_what_an_item_has_printed_is_shown(cli: Cli, half_failed: str, run_all: RunAll) -> None:
    assert cli.good("log", "job1:2") == "==> stdout <==\nframe 2\n==> stderr <==\nwarn\n"
    assert cli.good("log", "--stdout", f"{half_failed}:3") == "frame 3\n"
    told = cli("log", "--json", f"{half_failed}:1").json
    assert (told["job"], told["state"], told["attempt"], told["stdout"], told["stderr"]) == (
        "job1/job0:1", "failed", 1, "frame 1\n", "warn\n")  # fmt: skip
    cli.good("retry", "job1:1")
    answer = cli("log", "job1:4")
    assert answer.out.count("frame 4") == 1
    run_all()
    assert cli("log", "--json", "job1:1").json["attempt"] == 2
    assert cli("log", "--json", "--attempt", "1", "job1:1").json["attempt"] == 1
    assert "has no attempt 3" in cli.refused("log", "--attempt", "3", "job1:1")


def test_what_a_worker_has_taken_with_it_is_named(cli: Cli, half_failed: str, queue_dir: Path) -> None:
    """As if it had been killed before it copied what the last item had printed."""
    (stdout,) = queue_dir.glob("job1/job0/.chunks/*/00000000.1/stdout")
    stdout.write_bytes(stdout.read_bytes()[:-3])
    worker = cli("show", "--json", "job1:3").json["worker"]
    (queue_dir / "workers" / worker).mkdir(exist_ok=True)
    answer = cli("log", "--stdout", "job1:3")
    assert (answer.code, answer.out) == (0, "frame")
    assert answer.err == "jobqueue: 3 bytes that job1/job0:3 has printed have not been copied yet\n"
    shutil.rmtree(queue_dir / "workers" / worker)
    lost = f"that job1/job0:3 has printed were lost with the worker {worker}\n"
    assert cli("log", "--stdout", "job1:3").err == f"jobqueue: 3 bytes {lost}"
    stdout.unlink()
    answer = cli("log", "--stdout", "job1:3")
    assert (answer.code, answer.out, answer.err) == (0, "", f"jobqueue: 8 bytes {lost}")
    told = cli("log", "--json", "job1:3").json
    assert (told["stdout"], told["stderr"], told["missing"]) == ("", "warn\n", 8)
    assert cli("log", "--json", "job1:2").json["missing"] == 8
    assert cli("log", "--json", "job1:4").json["missing"] == 0


def test_an_item_that_has_not_run_has_printed_nothing(cli: Cli) -> None:
    cli.good("submit", "--array", "1-3", "--", "true {frame}")
    answer = cli("log", "job1:2")
    assert (answer.code, answer.out) == (0, "")
    assert "job1/job0:2 is ready and has printed nothing" in answer.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "job1:9"], "has no frame 9; there are 1-4"),
        (["show", "job1:1-2"], "are 2 items; name one"),
        (["log", "job1:1-2"], "are 2 items; name one"),
        (["log", "job1:x"], "no frame range"),
        (["log", "--follow", "job1:1"], "--follow is for jobs, not for items"),
        (["log", "job1/job0"], "is an array"),
        (["log", "--follow", "job1/job0"], "is an array"),
        (["log", "--attempt", "1", "job1/job0"], "is an array"),
        (["show", "job1/job1:1"], "no sub-job job1"),
        (["show", "job7:1"], "job7"),
        (["retry", "job1:9"], "has no frame 9"),
        (["retry", "job1:"], "'job1:': '' is no frame range"),
        *(([command, "job1:1"], "only for whole jobs, such as job1") for command in _OF_WHOLE_JOBS),
        (
            ["wait", "job1/job0:1"],
            "'job1/job0:1' names items of an array; this is only for whole jobs, such as job1/job0",
        ),
        (["priority", "job1:1", "7"], "only for whole jobs, such as job1"),
        (["hold", "jobX:1"], "'jobX:1' is no job's name"),
    ],
)
def test_what_is_asked_of_items_wrongly(cli: Cli, half_failed: str, arguments: list[str], told: str) -> None:
    answer = cli(*arguments)
    assert answer.code in (1, 2)
    assert answer.err.count("\n") == 1
    assert told in answer.err


# --- retry, wait, list, tree ------------------------------------------------------------------------------------------


def test_a_job_without_arrays_has_no_items(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    for command in ("show", "log", "retry"):
        assert "job1 has no array, so it has no items" in cli.refused(command, "job1:3")


def test_ten_million_items_are_refused_without_being_listed(cli: Cli) -> None:
    name = cli.good("submit", "--array", "1-10000000", "--", "true {frame}").strip()
    tracemalloc.start()
    try:
        assert "job1/job0:1 has not failed" in cli.refused("retry", f"{name}:1-10000000")
        assert "are 10000000 items; name one" in cli.refused("log", f"{name}:1-10000000")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A list of the numbers alone would be ten times as large.
    assert most < 8 << 20


def test_items_are_tried_again(cli: Cli, half_failed: str, run_all: RunAll) -> None:
    answer = cli("retry", "--json", f"{half_failed}:1")
    assert answer.json == [{"job": "job1/job0:1", "ok": True, "text": "is tried again: 1 failed item"}]
    assert "job1/job0:1 has not failed" in cli.refused("retry", f"{half_failed}:1")
    assert cli.good("retry", "job1") == "job1 is tried again: 1 failed job\n"
    run_all()
    assert cli("show", "--json", "job1").json["state"] == "finished"
    assert "job1 is done" in cli.refused("retry", f"{half_failed}:1")


def test_a_hierarchy_with_failed_items_is_stalled_and_says_which(cli: Cli, half_failed: str) -> None:
    answer = cli("wait", "job1")
    assert answer.code == 1
    told = answer.err.splitlines()
    assert told[0] == "2 of 5 jobs finished, 0 running, 2 failed"
    assert told[1] == "jobqueue: job1 is stalled: 2 of 5 jobs have failed"
    assert told[2].startswith("  job1/job0 (shot 7): 2 items failed, job1/job0:1 with ")
    assert told[3:] == ["    jobqueue log job1/job0:1", "`jobqueue retry job1` runs what has failed again."]
    told = cli("wait", "--json", "job1").json
    assert (told[0]["job"], told[0]["outcome"], told[0]["failed"][0]["log"]) == (
        "job1", "stalled", "jobqueue log job1/job0:1")  # fmt: skip


def test_items_count_as_jobs_in_lists(cli: Cli, half_failed: str, run_all: RunAll) -> None:
    told = cli("list", "--long", "--json").json[0]
    assert (told["total"], told["finished"], told["failed"], told["state"]) == (5, 2, 2, "stalled")
    assert "2/5" in cli.good("list", "--long")
    cli.good("retry", "job1")
    run_all()
    told = cli("list", "--long", "--json").json[0]
    assert (told["finished"], told["failed"], told["state"]) == (5, 0, "done")


def test_an_array_is_one_line_of_a_tree(cli: Cli, half_failed: str) -> None:
    lines = cli.good("tree", "job1").splitlines()
    assert len([line for line in lines if "job0" in line]) == 1
    (line,) = [line for line in lines if "job0" in line]
    assert "failed" in line


def test_a_command_waits_for_an_array_that_others_run(cli: Cli, at_each_pause: Any, queue: jobqueue.JobQueue) -> None:
    def run() -> None:
        while queue.runNextAvailableJob():
            pass

    at_each_pause(run)
    answer = cli("submit", "--wait", "--array", "1-3", "--chunk", "2", "--", "true")
    assert (answer.code, answer.out) == (0, "job1\n")
    at_each_pause(run)
    answer = cli("submit", "--wait", "--array", "1-3", "--", "exit {index}")
    assert answer.code == 1
    assert "2 items failed, job2/job0:2 with" in answer.err


def test_a_cancelled_array_is_told_as_such(cli: Cli, queue: jobqueue.JobQueue) -> None:
    cli.good("submit", "--array", "1-3", "--chunk", "1", "--", "true {frame}")
    assert queue.runNextAvailableJob()
    cli.good("cancel", "job1")
    told = cli("show", "--json", "job1/job0").json
    assert (told["state"], told["items"]["finished"], told["items"]["cancelled"]) == ("cancelled", 1, 2)
    assert cli("show", "--json", "job1:2").json["state"] == "cancelled"
    assert cli("wait", "job1").code == 1
