"""Which queue is meant, what a command says when something is wrong, and with which exit code it ends."""

from __future__ import annotations

import importlib
import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import jobqueue
from jobqueue.cli import COMMANDS, _common, main
from jobqueue.errors import BrokenJobError, JobQueueError, LostRaceError
from jobqueue.system import counted_os
from tests.acceptance.cli.conftest import Cli
from tests.support import run_jobqueue, snapshot

NEEDS_A_JOB = ["show", "tree", "log", "wait", "retry", "cancel", "hold", "release", "archive"]


def call(command: str) -> list[str]:
    """A command with as many arguments as it needs."""
    extra = {"priority": ["job1", "5"], "delete": ["--yes", "job1"], "submit": ["--", "true"]}
    return [command, *(["job1"] if command in NEEDS_A_JOB else extra.get(command, []))]


OF_A_QUEUE = [name for name in COMMANDS if name not in ("create", "doctor", "burnin", "completion")]


@pytest.mark.parametrize("command", OF_A_QUEUE)
def test_without_a_queue_it_says_how_to_name_one(cli: Cli, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBQUEUE_QUEUE")
    assert cli.refused(*call(command)) == "no queue is named; give one with --queue DIR, or set JOBQUEUE_QUEUE"


@pytest.mark.parametrize("command", OF_A_QUEUE)
def test_a_directory_that_is_no_queue_is_left_alone(cli: Cli, command: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "precious").write_text("mine")
    before = snapshot(wrong)
    assert cli.refused("-q", str(wrong), *call(command)) == (
        f"{wrong}: this is not a job queue, it has no queue.cfg; `jobqueue create DIR` makes one in an empty directory"
    )
    assert snapshot(wrong) == before


def test_a_missing_directory_is_named(cli: Cli, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    told = cli.refused("-q", str(missing), "list")
    assert told == f"{missing}: there is no such directory; `jobqueue create DIR` makes a queue"


@pytest.mark.parametrize("command", OF_A_QUEUE)
def test_a_queue_of_a_newer_format_is_left_alone(cli: Cli, command: str, queue_dir: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text("[main]\nformatVersion = 2\nnewerSetting = 1\n")
    assert cli.refused(*call(command)) == (
        f"{config}: the queue has the format version 2, this jobqueue knows version 1; "
        "use the version of jobqueue that made it"
    )


def test_a_configuration_that_does_not_parse_is_told_in_one_line(cli: Cli, queue_dir: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text("what is this\n")
    told = cli.refused("list")
    assert told.startswith(f"{config}: this is no configuration file: File contains no section headers.; file: ")


def test_the_option_is_stronger_than_the_environment(cli: Cli, tmp_path: Path) -> None:
    jobqueue.createJobQueue(str(tmp_path / "other"))
    cli.good("-q", str(tmp_path / "other"), "submit", "--", "true")
    assert cli.good("list") == "0 jobs\n"


@pytest.mark.parametrize("name", ["-q", "--queue"])
def test_the_queue_may_stand_before_or_after_the_command(
    cli: Cli, name: str, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBQUEUE_QUEUE")
    assert cli.good(name, str(queue_dir), "list") == cli.good("list", name, str(queue_dir)) == "0 jobs\n"


def test_json_may_stand_before_or_after_the_command(cli: Cli) -> None:
    assert cli.good("--json", "list") == cli.good("list", "--json") == "[]\n"


def test_an_empty_name_is_no_queue(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBQUEUE_QUEUE", "")
    assert cli.refused("-q", "", "list") == "no queue is named; give one with --queue DIR, or set JOBQUEUE_QUEUE"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: COMMAND; `jobqueue --help` tells more"),
        (["show"], "the following arguments are required: JOB; `jobqueue show --help` tells more"),
        (["list", "--stat"], "unrecognized arguments: --stat; `jobqueue --help` tells more"),
        (["priority", "job1", "high"], "argument N: invalid int value: 'high'; `jobqueue priority --help` tells more"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(cli: Cli, arguments: list[str], told: str) -> None:
    assert cli.refused(*arguments) == told


def test_an_unknown_command_is_told_with_those_that_there_are(cli: Cli) -> None:
    told = cli.refused("lst")
    assert "invalid choice: 'lst'" in told
    assert all(name in told for name in COMMANDS)


def test_every_command_has_a_help_that_names_its_json(cli: Cli) -> None:
    overview = cli.good("--help")
    for name, what in COMMANDS.items():
        assert f"    {name}" in overview
        assert what.split()[0] in overview
        told = cli.good(name, "--help")
        assert told.startswith(f"usage: jobqueue {name} ")
        assert "With --json: an " in told


def test_the_version_is_told(cli: Cli) -> None:
    assert cli.good("--version") == f"jobqueue {jobqueue.__version__}\n"


@pytest.mark.parametrize("command", [*NEEDS_A_JOB, "priority", "delete"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("job7", "{queue}: there is no job7; it may have been deleted, `jobqueue list` shows what there is"),
        ("seven", "'seven' is no job's name; a name is for example job100 or job100/job3"),
        ("job1/job7", "job1 has no sub-job job7; `jobqueue tree job1` shows them all"),
    ],
)
def test_an_unknown_job_is_named(cli: Cli, command: str, name: str, told: str, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    arguments = [name if argument == "job1" else argument for argument in call(command)]
    assert cli.refused(*arguments) == told.format(queue=queue_dir)


def test_one_unknown_job_among_several_keeps_all_from_being_touched(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    for command in ("hold", "cancel"):
        assert "there is no job2" in cli.refused(command, "job1", "job2")
    assert "there is no job2" in cli.refused("delete", "--yes", "job1", "job2")


def test_a_job_that_cannot_be_read_went_wrong(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    path = queue_dir / "job1" / ".hierarchy"
    path.write_text("rubbish")
    for command in ("show", "tree", "log", "wait"):
        assert cli.refused(command, "job1", code=1).startswith(f"{path}: the hierarchy cannot be read")


def test_a_share_that_cannot_be_read_went_wrong(cli: Cli, queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_listing(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(counted_os, "listdir", no_listing)
    answer = cli("list")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"jobqueue: {queue_dir}/index/runnable: Permission denied\n"


def test_errors_of_the_system_are_told_with_what_they_have() -> None:
    assert _common.describe(OSError("no number")) == "no number"
    assert _common.describe(OSError(5, "Input/output error")) == "Input/output error"
    assert _common.describe(OSError(5, "Input/output error", "file")) == "file: Input/output error"
    assert _common.describe(OSError(28, "No space left on device", "file")) == (
        "file: No space left on device; make room there, then try again"
    )


def test_what_others_made_impossible_went_wrong_and_the_rest_is_refused() -> None:
    for error in (JobQueueError("moved"), LostRaceError("moved"), BrokenJobError("broken"), OSError(5, "Input error")):
        assert _common.exit_code(error) == 1
    assert _common.exit_code(_common.UsageError("no")) == 2


def test_a_text_that_the_output_has_no_word_for_is_escaped(queue_dir: Path) -> None:
    run_jobqueue("submit", "--label", "Straße", "--", "true", env={"PYTHONUTF8": "1"})
    answer = run_jobqueue("list", "--long", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Stra\\xdfe" in answer.stdout


def test_the_output_may_be_any_stream() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["list"]) == 0
    assert out.getvalue() == "0 jobs\n"


def test_the_module_does_nothing_when_it_is_imported() -> None:
    assert importlib.import_module("jobqueue.__main__").main is main


# --- as processes ----------------------------------------------------------------------------------------------------


def test_it_runs_as_a_process(queue_dir: Path) -> None:
    answer = run_jobqueue("list")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "0 jobs\n", "")
    answer = run_jobqueue("show", "job1")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "Traceback" not in answer.stderr


def test_start_up_loads_neither_rich_nor_argcomplete_nor_a_procedure() -> None:
    code = (
        "import sys; from jobqueue.cli import main; code = main(['list']); "
        "late = ('rich', 'argcomplete', 'jobqueue.job', 'jobqueue.cli.submit'); "
        "print([name for name in late if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "0 jobs\n[]\n"


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--json"], ["log", "job1"]])
def test_a_closed_pipe_is_no_error(cli: Cli, arguments: list[str]) -> None:
    cli.good("submit", "--", "echo seen")
    jobqueue.JobQueue(os.environ["JOBQUEUE_QUEUE"]).runNextAvailableJob()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as pipe:
        command = [sys.executable, "-m", "jobqueue", *arguments]
        # Buffered, as it is for everybody who has not asked for something else.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        answer = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert (answer.returncode, answer.stderr) == (141, "")


def test_ctrl_c_ends_it_with_130_and_no_traceback(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    command = [sys.executable, "-m", "jobqueue", "wait", "job1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "0 of 1 job finished, 0 running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "jobqueue: not waiting any more; the jobs go on, `jobqueue wait job1` waits again\n"
