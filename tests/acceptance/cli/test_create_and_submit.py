"""`jobqueue create` and `jobqueue submit`: what comes to lie in the queue, and what is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import JobQueue
from jobqueue.handle import reader_of
from jobqueue.hierarchy import Node
from jobqueue.names import Entry
from jobqueue.store import Store
from jobqueue.system import counted_os
from tests.acceptance.cli.conftest import Cli
from tests.support import run_jobqueue, snapshot


def nodes(queue_dir: Path, number: int = 1) -> list[Node]:
    """What the jobs of a hierarchy are to do."""
    return list(reader_of(JobQueue(str(queue_dir)).findJob(f"job{number}")).hierarchy().nodes())


def entry(queue_dir: Path, number: int = 1) -> Entry:
    found = Store(str(queue_dir)).index.find(number)
    assert found is not None
    return found


# --- create ----------------------------------------------------------------------------------------------------------


def test_create_makes_a_queue_and_names_the_next_commands(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "my queue"
    assert cli.good("create", str(new)) == (
        f"The queue is made. `jobqueue -q '{new}' submit -- COMMAND` gives it a job, `runjobs '{new}'` runs what it "
        "has.\n"
    )
    config = Store(str(new)).config
    assert not config.keep_jobs_in_repository
    assert not config.use_sym_links


def test_create_takes_both_settings(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    answer = cli("create", "--keep-jobs-in-repository", "--use-symlinks", "--json", str(new))
    assert answer.json == {"queue": str(new)}
    config = Store(str(new)).config
    assert config.keep_jobs_in_repository
    assert config.use_sym_links


def test_create_refuses_a_directory_that_is_not_empty(cli: Cli, queue_dir: Path) -> None:
    told = cli.refused("create", str(queue_dir))
    assert told == f"{queue_dir}: the directory is not empty; name an empty or a missing one"


def test_create_refuses_a_missing_parent_and_a_file(cli: Cli, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    assert cli.refused("create", str(deep)) == f"{deep}: the parent directory is missing; make it first"
    assert not deep.parent.exists()
    file = tmp_path / "file"
    file.write_text("mine")
    assert cli.refused("create", str(file)) == f"{file}: there is a file of this name"
    assert file.read_text() == "mine"


# --- submit ----------------------------------------------------------------------------------------------------------


def test_submit_prints_the_name_and_nothing_else(cli: Cli) -> None:
    assert cli.good("submit", "--", "true") == "job1\n"
    assert cli.good("submit", "--", "true") == "job2\n"


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["echo 'a b' > c"], "echo 'a b' > c"),
        (["echo", "a b", "> c"], ["echo", "a b", "> c"]),
        (["git", "log", "--", "-q", "--json"], ["git", "log", "--", "-q", "--json"]),
    ],
)
def test_one_argument_is_a_shell_line_and_several_are_a_list(
    cli: Cli, queue_dir: Path, words: list[str], stored: str | list[str]
) -> None:
    cli.good("submit", "--", *words)
    assert nodes(queue_dir)[0].params == {"cmd": stored}


def test_all_options_are_stored(cli: Cli, queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(queue_dir.parent)
    cli.good(
        "submit", "--label", "shot 7", "--priority", "-5", "--max-attempts", "2", "--timeout", "1.5", "--cwd", "sub",
        "--env", "A=1", "--env", "B=x=y", "--env", "EMPTY=", "--", "true",
    )  # fmt: skip
    (node,) = nodes(queue_dir)
    assert (node.type, node.label) == ("command", "shot 7")
    assert node.options == {"maxAttempts": 2, "timeout": 1.5, "priority": -5}
    assert node.params == {
        "cmd": "true", "label": "shot 7", "cwd": str(queue_dir.parent / "sub"),
        "env": {"A": "1", "B": "x=y", "EMPTY": ""},
    }  # fmt: skip
    assert entry(queue_dir).priority == -5


def test_what_is_submitted_runs(cli: Cli, run_all: Callable[[], int], tmp_path: Path) -> None:
    out = tmp_path / "out"
    cli.good("submit", "--env", "WORD=hello", "--cwd", str(tmp_path), "--", 'echo "$WORD" > out')
    cli.good("submit", "--frames", "8-10", "--", "sh", "-c", f"echo {{frame:04d}} >> {out}")
    assert run_all() == 5
    assert out.read_text() == "hello\n0008\n0009\n0010\n"


def test_the_json_of_submit(cli: Cli) -> None:
    assert cli("submit", "--json", "--", "true").json == {"job": "job1", "jobs": 1}
    assert cli("submit", "--json", "--frames", "1-3", "--", "echo {frame}").json == {"job": "job2", "jobs": 4}


NO_COMMAND = "the command belongs after two dashes: jobqueue submit [OPTIONS] -- COMMAND"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], NO_COMMAND),
        (["--"], NO_COMMAND),
        (["true"], NO_COMMAND),
        (["true", "--", "true"], NO_COMMAND),
        (["--", ""], "cmd is empty"),
        (["--", " "], "cmd names no program"),
        (["--env", "A", "--", "true"], "--env A: write NAME=VALUE"),
        (["--env", "=A", "--", "true"], "--env =A: write NAME=VALUE"),
        (["--label", "", "--", "true"], "label is empty"),
        (["--priority", "501", "--", "true"], "option priority is 501, but has to be a whole number from -499 to 500"),
        (["--max-attempts", "0", "--", "true"], "option maxAttempts is 0, but has to be a whole number, 1 or more"),
        (["--timeout", "0", "--", "true"], "option timeout is 0.0, but has to be a number of seconds above 0"),
        (["--timeout", "nan", "--", "true"], "option timeout is nan, but has to be a number of seconds above 0"),
        (["--chunk", "5", "--", "true"], "--chunk cuts a frame range; give one with --frames or --array"),
        (
            ["--frames", "1-", "--", "true {frame}"],
            "'1-' is no frame range; write for example 1-100x2 or 1-10,20",
        ),
        (
            ["--frames", "1-9", "--chunk", "0", "--", "true {frames}"],
            "a chunk of 0 frames holds nothing; use 1 or more",
        ),
        (
            ["--frames", "1-9", "--", "echo ${HOME}"],
            (
                "{HOME} is none of {frame}, {start}, {end}, {frames}, {index}; "
                "a brace that is meant itself is doubled: {{ }}"
            ),
        ),
        (
            ["--frames", "1-9", "--chunk", "3", "--", "echo {frame}"],
            "{frame} is one frame, but a chunk has up to 3; use {start} and {end}, or {frames}",
        ),
        (
            ["--frames", "1-9", "--", "echo {frame"],
            (
                "the braces in 'echo {frame' do not match (expected '}' before end of string); "
                "a brace that is meant itself is doubled: {{ }}"
            ),
        ),
        (
            ["--frames", "1-9", "--", "echo {frames:d}"],
            "a field in 'echo {frames:d}' cannot be filled: Unknown format code 'd' for object of type 'str'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(cli: Cli, arguments: list[str], told: str) -> None:
    assert cli.refused("submit", *arguments) == told


# --- frames ----------------------------------------------------------------------------------------------------------


def test_frames_make_a_sub_job_for_each_piece(cli: Cli, queue_dir: Path) -> None:
    cli.good(
        "submit", "--frames", "1-100x2", "--chunk", "20", "--label", "shot", "--timeout", "60", "--max-attempts", "5",
        "--priority", "9", "--env", "A=1", "--", "render {start} {end} {frames}",
    )  # fmt: skip
    *pieces, root = nodes(queue_dir)
    expected = ["render 1 39 1-39x2", "render 41 79 41-79x2", "render 81 99 81-99x2"]
    assert [piece.params["cmd"] for piece in pieces] == expected
    assert [piece.label for piece in pieces] == ["shot 1-39x2", "shot 41-79x2", "shot 81-99x2"]
    assert all(piece.options == {"timeout": 60.0, "maxAttempts": 5} for piece in pieces)
    assert all(piece.params["env"] == {"A": "1"} for piece in pieces)
    assert (root.type, root.label, list(root.children), root.options) == (None, "shot", [0, 1, 2], {"priority": 9})
    assert entry(queue_dir).priority == 9


def test_frames_without_a_label_are_named(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--frames", "1-3", "--chunk", "2", "--", "echo {frames}")
    assert [node.label for node in nodes(queue_dir)] == ["frames 1-2", "frame 3", None]


def test_arguments_are_filled_one_by_one_and_doubled_braces_are_braces(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--frames", "7", "--", "render", "-f", "{frame:04d}", "a {{b}} {frame}")
    assert nodes(queue_dir)[0].params["cmd"] == ["render", "-f", "0007", "a {b} 7"]


def test_without_frames_braces_mean_nothing(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--", "awk '{print}' {{x}}")
    assert nodes(queue_dir)[0].params["cmd"] == "awk '{print}' {{x}}"


def test_a_command_without_a_field_is_submitted_with_a_word_of_warning(cli: Cli, queue_dir: Path) -> None:
    answer = cli("submit", "--frames", "1-3", "--", "true")
    assert (answer.code, answer.out) == (0, "job1\n")
    assert answer.err == (
        "jobqueue: the command has no {frame}, {start}, {end}, {frames} or {index}; all sub-jobs do the same\n"
    )
    assert len(nodes(queue_dir)) == 4
    # A single piece is nothing to warn of.
    assert cli.good("submit", "--frames", "1-3", "--chunk", "3", "--", "true") == "job2\n"


def test_a_share_that_takes_nothing_leaves_nothing(cli: Cli, queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobqueue.share import Share

    def full(share: Share, path: str, data: bytes, **_: Any) -> None:
        raise OSError(28, "No space left on device", path)

    before = snapshot(queue_dir)
    monkeypatch.setattr(Share, "write_new", full)
    answer = cli("submit", "--", "true")
    assert (answer.code, answer.out) == (1, "")
    assert (
        answer.err
        == f"jobqueue: {queue_dir}/job1/.hierarchy: No space left on device; make room there, then try again\n"
    )
    assert snapshot(queue_dir) == before


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_told_with_the_file_that_it_has_no_room_for(
    cli: Cli, queue_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    before = snapshot(queue_dir)
    monkeypatch.setattr(counted_os, call, full)
    submit, create = cli("submit", "--", "true"), cli("create", str(tmp_path / "new"))
    monkeypatch.undo()
    next_step = "No space left on device; make room there, then try again\n"
    assert (submit.code, create.code) == (1, 1)
    assert submit.err == f"jobqueue: {queue_dir}/job1/.hierarchy: {next_step}"
    assert create.err.startswith(f"jobqueue: {tmp_path}/new/.new-queue.cfg-")
    assert create.err.endswith(next_step)
    assert snapshot(queue_dir) == before
    assert not (tmp_path / "new").exists()


def test_submit_as_a_process(queue_dir: Path) -> None:
    answer = run_jobqueue("submit", "--label", "x", "--", "echo", "--", "-q")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "job1\n", "")
    assert nodes(queue_dir)[0].params["cmd"] == ["echo", "--", "-q"]
