"""`jobqueue check`: whether a queue is sound, and its repair."""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.cli import _common, main
from jobqueue.clock import Clock
from tests.acceptance.cli.conftest import Cli, Hand
from tests.support import snapshot


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks nothing happens here."""
    monkeypatch.setattr(Clock, "sleep", lambda _clock, _seconds: None)


@pytest.fixture
def asleep(queue_dir: Path, cli: Cli) -> str:
    """A job that is ready, and whose entry says that it is not; the path of the entry."""
    cli.good("submit", "--", "true")
    entry = "index/waiting/500-00000001.1"
    os.rename(queue_dir / "index/runnable/500-00000001.0", queue_dir / entry)
    return f"{queue_dir}/{entry}"


def test_a_sound_queue(cli: Cli) -> None:
    assert cli.good("check") == "0 jobs: sound\n"
    cli.good("submit", "--", "true")
    assert cli.good("check") == "1 job: sound\n"
    assert cli.good("check", "--repair") == "1 job: sound\n"
    assert cli("check", "--json").json == []


def test_a_finding_is_told_with_its_path_and_what_a_repair_does(cli: Cli, queue_dir: Path, asleep: str) -> None:
    before = snapshot(queue_dir)
    answer = cli("check")
    assert (answer.code, answer.err) == (1, "")
    assert answer.out == (
        "job1: jobs are ready, and the entry is in waiting/, where nobody looks (not-woken)\n"
        f"  {asleep}\n"
        "  repair: the entry is woken\n"
        "1 job: not sound, 1 finding; `jobqueue check --repair` does what it says under repair\n"
    )
    assert snapshot(queue_dir) == before


def test_a_repair_says_what_it_has_done_and_a_second_one_finds_nothing(cli: Cli, queue_dir: Path, asleep: str) -> None:
    assert cli.good("check", "--repair") == (
        "job1: jobs are ready, and the entry is in waiting/, where nobody looks (not-woken)\n"
        f"  {asleep}\n"
        "  repaired: the entry is woken\n"
        "1 job: sound, 1 finding, 1 repaired\n"
    )
    before = snapshot(queue_dir)
    assert cli.good("check", "--repair") == "1 job: sound\n"
    assert snapshot(queue_dir) == before


def test_the_json_of_a_finding(cli: Cli, asleep: str) -> None:
    expected = {
        "kind": "not-woken", "job": "job1", "path": asleep,
        "says": "jobs are ready, and the entry is in waiting/, where nobody looks", "repair": "the entry is woken",
        "repaired": None, "note": False,
    }  # fmt: skip
    answer = cli("check", "--json")
    assert (answer.code, answer.json) == (1, [expected])
    answer = cli("check", "--repair", "--json")
    assert (answer.code, answer.json) == (0, [{**expected, "repaired": True}])


def test_what_cannot_be_repaired_is_an_exit_code_of_1(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    (queue_dir / "job1/.hierarchy").write_text("torn")
    answer = cli("check", "--repair")
    assert answer.code == 1
    assert answer.out.endswith("1 job: not sound, 1 finding, 0 repaired\n")
    remedy = "restore the file from a backup and `jobqueue release job1`, or `jobqueue delete job1`"
    assert f"; {remedy}; what else is wrong with it shows only then (broken)\n" in answer.out
    for command in ("show", "tree", "log"):
        assert cli.refused(command, "job1", code=1).strip().endswith(f"; {remedy}")
    assert cli("list", "--json").json[0]["state"] == "held"
    (row,) = cli("check", "--repair", "--json").json
    assert (row["kind"], row["repair"], row["repaired"]) == ("broken", None, False)
    cli.good("delete", "--yes", "job1")
    assert cli.good("check") == "0 jobs: sound\n"


@pytest.mark.parametrize(
    ("folder", "commands"),
    [
        ("workers", ("list", "show job1", "workers", "cancel job1", "delete --yes job1")),
        ("index", ("list", "show job1", "submit -- true", "hold job1")),
        ("index/done", ("list", "submit -- true", "cancel job1")),
        ("index/last", ("submit -- true",)),
        ("tmp", ("submit -- true",)),
        ("trash", ("delete --yes job1",)),
    ],
)
def test_a_file_in_the_place_of_a_directory_is_named_by_whoever_needs_it_and_mended_by_a_repair(
    cli: Cli, queue_dir: Path, folder: str, commands: tuple[str, ...]
) -> None:
    cli.good("submit", "--", "true")
    shutil.rmtree(queue_dir / folder)
    (queue_dir / folder).touch()
    for command in commands:
        answer = cli(*command.split())
        assert answer.code == 1, command
        told = answer.err
        assert f"{queue_dir}/{folder}: it is not a directory; `jobqueue check --repair` mends it" in told, command
    assert "(not-a-directory)" in cli("check").out
    assert cli("check", "--repair").code == 0
    assert (queue_dir / folder).is_dir()
    cli.good("list")
    cli.good("submit", "--", "true")


def test_a_file_in_the_place_of_a_jobs_tokens_is_named_by_show(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    shutil.rmtree(queue_dir / "job1/.tokens")
    (queue_dir / "job1/.tokens").touch()
    told = cli.refused("show", "job1", code=1)
    assert told.strip() == f"{queue_dir}/job1/.tokens: it is not a directory; `jobqueue check --repair` mends it"
    assert cli("check", "--repair").code == 0
    assert "ready" in cli.good("show", "job1")


def test_what_is_no_directory_outside_the_queue_is_told_as_it_is(cli: Cli, queue_dir: Path) -> None:
    arguments = argparse.Namespace(queue=str(queue_dir))
    error = NotADirectoryError(20, "Not a directory", "/etc/passwd/x")
    assert _common.with_remedy(arguments, error) is error


def test_a_note_is_told_and_the_queue_is_sound(cli: Cli, queue_dir: Path, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    running = hand.claim(1)
    won = hand.commit(running)
    os.rename(
        f"{hand.registration.files.won}/{won.name}",
        queue_dir / f"job1/.tokens/finished/0000000.1.3.0.{hand.worker}.1.0",
    )
    os.rename(queue_dir / "index/runnable/500-00000001.0", queue_dir / "index/done/500-00000001.1")
    answer = cli("check")
    assert answer.code == 0
    assert answer.out.startswith("note: job1: record lost: the job is finished, and of its result nothing can be read")
    assert answer.out.endswith("1 job: sound, 1 note\n")
    (row,) = cli("check", "--json").json
    assert (row["kind"], row["note"]) == ("record-lost", True)


def test_what_a_worker_runs_is_no_finding(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    hand.claim(1)
    assert cli.good("check") == "1 job: sound\n"


def test_what_is_no_queue_or_one_of_another_format_is_an_exit_code_of_2(
    cli: Cli, queue_dir: Path, tmp_path: Path
) -> None:
    assert "there is no such directory" in cli.refused("check", "-q", str(tmp_path / "none"))
    assert "this is not a job queue" in cli.refused("check", "-q", str(tmp_path))
    path = queue_dir / "queue.cfg"
    path.write_text(path.read_text().replace("formatVersion = 1", "formatVersion = 7"))
    assert "format version 7" in cli.refused("check", "--repair")
    assert "unrecognized arguments: --mend" in cli.refused("check", "--mend")


def test_the_queue_is_named_in_the_next_command(
    cli: Cli, queue_dir: Path, asleep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBQUEUE_QUEUE")
    assert f"`jobqueue -q {queue_dir} check --repair` does" in cli("-q", str(queue_dir), "check").out


def test_a_bar_on_a_terminal_and_nothing_of_it_in_the_output(
    cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        cli.good("submit", "--", "true")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    capsys.readouterr()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["check"]) == 0
    assert "3/3 jobs" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert capsys.readouterr().out == "3 jobs: sound\n"


def test_other_commands_do_not_load_it(queue_dir: Path) -> None:
    code = (
        "import sys; from jobqueue.cli import main; main(['list']); "
        "print([name for name in sys.modules if 'check' in name and name.startswith('jobqueue')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 jobs\n[]\n"
