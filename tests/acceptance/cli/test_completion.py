"""Completion in the shell: commands, options, jobs and queues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Cli

PROGRAM = {
    "jobqueue": "from jobqueue.cli import main",
    "runjobs": "from jobqueue.cli.runjobs import main",
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands on the PATH, as an installation makes them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in PROGRAM.items():
        program = folder / name
        program.write_text(f"#!{sys.executable}\nimport sys\n{line}\nsys.exit(main())\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])))


def offered(line: str) -> list[str]:
    """What bash offers after Tab at the end of a line."""
    script = """
        eval "$(jobqueue completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
        "_python_argcomplete" "${1%% *}" "" ""
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    answer = subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    return sorted(answer.stdout.split())


@pytest.mark.usefixtures("programs")
def test_bash_completes_commands_options_and_jobs(cli: Cli, failed_job: str) -> None:
    cli.good("submit", "--", "true")
    assert offered("jobqueue re") == ["release", "retry"]
    assert offered("jobqueue submit --max") == ["--max-attempts", "--max-errors"]
    assert offered("jobqueue show ") == ["job1", "job2"]
    assert offered("jobqueue wait job1/job") == ["job1/job0", "job1/job1", "job1/job2", "job1/job3"]
    assert offered("jobqueue list --state ") == ["archived", "done", "held", "ready", "running", "stalled", "waiting"]
    assert offered("runjobs --exit") == ["--exit-when-empty"]


@pytest.mark.usefixtures("programs")
def test_the_queue_of_the_line_is_asked(cli: Cli, tmp_path: Path, queue_dir: Path) -> None:
    other = str(tmp_path / "other")
    cli.good("create", other)
    cli.good("submit", "--", "true")
    assert offered(f"jobqueue -q {other} log job") == []
    assert offered(f"jobqueue log -q {queue_dir} job") == ["job1"]
    assert offered(f"jobqueue -q {tmp_path}/oth") == [f"{other}/"]
    assert offered(f"runjobs {tmp_path}/oth") == [f"{other}/"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(cli: Cli, shell: str) -> None:
    code = cli.good("completion", shell)
    assert "jobqueue" in code
    assert "runjobs" in code
    assert cli("completion", "--json", shell).json == {"shell": shell, "code": code.removesuffix("\n")}


def test_another_shell_is_refused(cli: Cli) -> None:
    assert "invalid choice: 'tcsh'" in cli.refused("completion", "tcsh")


# --- what is offered for a job's name, in this process ---------------------------------------------------------------


class Parsed:
    """The arguments before the one that is completed."""

    def __init__(self, queue: str | None) -> None:
        self.queue = queue


def jobs(prefix: str, queue: str | None = None) -> list[str]:
    from jobqueue.cli._common import _completer

    return _completer("jobs")(prefix=prefix, parsed_args=Parsed(queue), action=None, parser=None)


def test_sub_jobs_are_offered_one_level_at_a_time(cli: Cli, queue_dir: Path) -> None:
    from jobqueue import JobQueue

    root = JobQueue(str(queue_dir)).createJobRoot("noop")
    first = root.createJob("noop")
    root.createJob("noop")
    first.createJob("noop").createJob("noop")
    root.activate()
    assert jobs("job1/") == ["job1/job0", "job1/job1"]
    assert jobs("job1/job0") == ["job1/job0"]
    assert jobs("job1/job0/") == ["job1/job0/job0"]
    assert jobs("job1/job0/job0/j") == ["job1/job0/job0/job0"]
    assert jobs("x1/") == []


def test_archived_jobs_are_offered_where_no_other_has_such_a_name(cli: Cli, failed_job: str, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    cli.good("cancel", failed_job)
    cli.good("archive", failed_job)
    assert jobs("job") == ["job2"]
    assert jobs("job1") == ["job1"]
    assert jobs("job1/job3") == ["job1/job3"]


def test_flat_sub_jobs_are_offered_whole(cli: Cli, tmp_path: Path) -> None:
    flat = str(tmp_path / "flat")
    cli.good("create", "--keep-jobs-in-repository", flat)
    cli.good("-q", flat, "submit", "--frames", "1-2", "--", "true {frame}")
    assert jobs("job1/", flat) == ["job1/.jobs/job1", "job1/.jobs/job2"]


def test_without_a_queue_or_with_a_broken_one_nothing_is_offered(
    cli: Cli, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs("job", str(queue_dir.parent)) == []
    assert jobs("job9/") == []
    monkeypatch.delenv("JOBQUEUE_QUEUE")
    assert jobs("job") == []


def test_directories_are_offered_for_a_queue(queue_dir: Path) -> None:
    from jobqueue.cli._common import _completer

    assert _completer("directories")(prefix=str(queue_dir)[:-1]) == [f"{queue_dir}/"]


def test_with_the_shells_environment_the_parser_answers_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import argcomplete

    from jobqueue.cli import main, runjobs

    asked: list[str] = []

    def autocomplete(parser: object, **_: object) -> None:
        asked.append(getattr(parser, "prog", ""))
        raise SystemExit(0)

    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setattr(argcomplete, "autocomplete", autocomplete)
    for call in (main, runjobs.main):
        with pytest.raises(SystemExit):
            call([])
    assert asked == ["jobqueue", "runjobs"]
