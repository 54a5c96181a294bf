"""`runjobs`: its options, what it logs, and what it shows on a terminal."""

from __future__ import annotations

import errno
import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobqueue import JobQueue, __version__
from jobqueue.cli import runjobs
from jobqueue.cli._slots import SlotsView
from jobqueue.clock import Clock
from jobqueue.store import Store
from jobqueue.worker import supervisor
from jobqueue.worker.crew import WorkerSettings
from tests.acceptance.cli.conftest import Answer, Cli
from tests.support import snapshot, start_runjobs

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


class FakeSlot:
    """What the view shows of a slot."""

    def __init__(self, job: str = "", label: str = "", status: str = "", attempt: int = 1) -> None:
        self.job, self.label, self.status, self.attempt = job, label, status, attempt
        self.number, self.progress, self.began = 1, 40.0, 0.0


def _end_at_once(_: FakeSupervisor) -> int:
    return 0


class FakeCrew:
    """What is shown of the slots."""

    def __init__(self) -> None:
        self.finished, self.failed, self.is_draining = 3, 1, False
        self.slots = [FakeSlot()]


class FakeSupervisor:
    """Notes how it was made; its ``run`` can be told what to do."""

    made: FakeSupervisor
    on_run: Callable[[FakeSupervisor], int] = staticmethod(_end_at_once)

    def __init__(self, store: Store, name: str, settings: WorkerSettings, on_tick: Any = None) -> None:
        self.store, self.name, self.settings, self.on_tick = store, name, settings, on_tick
        self.crew = FakeCrew()
        FakeSupervisor.made = self

    def run(self) -> int:
        return FakeSupervisor.on_run(self)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "Supervisor", FakeSupervisor)


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        code = runjobs.main(arguments)
        return Answer(code, *capsys.readouterr())

    return call


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
def test_the_options_reach_the_supervisor(call: Call, tmp_path: Path, cli: Cli) -> None:
    other = str(tmp_path / "other")
    cli.good("create", other)
    call(other, "--slots", "3", "--exit-when-empty", "--max-jobs", "7", "--poll", "0.5", "--name", "farm")
    made = FakeSupervisor.made
    assert (made.store.layout.dir, made.name) == (other, "farm")
    assert made.settings == WorkerSettings(slots=3, poll_s=0.5, exit_when_empty=True, max_jobs=7)
    assert made.store.log.level == logging.INFO


@pytest.mark.usefixtures("fake")
def test_the_defaults(call: Call, queue_dir: Path) -> None:
    assert call() == (0, "", "")
    made = FakeSupervisor.made
    assert (made.store.layout.dir, made.name, made.on_tick) == (str(queue_dir), "runjobs", None)
    assert made.settings == WorkerSettings(slots=len(os.sched_getaffinity(0)))


@pytest.mark.usefixtures("fake")
def test_its_exit_code_is_the_supervisors(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSupervisor, "on_run", lambda _: 1)
    assert call().code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--slots", "0"], "argument --slots: '0' has to be a whole number, 1 or more"),
        (["--slots", "x"], "argument --slots: 'x' has to be a whole number, 1 or more"),
        (["--max-jobs", "-1"], "argument --max-jobs: '-1' has to be a whole number, 1 or more"),
        (["--poll", "0"], "argument --poll: '0' has to be a number of seconds above 0"),
        (["--poll", "soon"], "argument --poll: 'soon' has to be a number of seconds above 0"),
        (["--poll", "inf"], "argument --poll: 'inf' has to be a number of seconds above 0"),
        (["--quiet", "--verbose"], "argument --verbose: not allowed with argument --quiet"),
        (["a", "b"], "unrecognized arguments: b"),
    ],
)
@pytest.mark.usefixtures("fake")
def test_wrong_options_are_told_in_one_line(call: Call, arguments: list[str], told: str, queue_dir: Path) -> None:
    before = snapshot(queue_dir)
    assert call(*arguments) == (2, "", f"runjobs: {told}; `runjobs --help` tells more\n")
    assert snapshot(queue_dir) == before


def test_without_a_queue_or_with_a_wrong_one_it_ends_with_2(
    call: Call, tmp_path: Path, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = call(str(tmp_path))
    assert told.code == 2
    assert told.err == (
        f"runjobs: {tmp_path}: this is not a job queue, it has no queue.cfg; `jobqueue create DIR` makes one in an "
        "empty directory\n"
    )
    (queue_dir / "queue.cfg").write_text("[main]\nformatVersion = 9\n")
    told = call()
    assert told.code == 2
    assert "the queue has the format version 9, this jobqueue knows version 1" in told.err
    monkeypatch.delenv("JOBQUEUE_QUEUE")
    told = call()
    assert told == (2, "", "runjobs: no queue is named; give it after runjobs, or set JOBQUEUE_QUEUE\n")


def test_a_log_file_that_cannot_be_opened_is_refused(call: Call, tmp_path: Path, queue_dir: Path) -> None:
    before = snapshot(queue_dir)
    told = call("--log", str(tmp_path))
    assert told == (2, "", f"runjobs: --log {tmp_path}: Is a directory\n")
    assert snapshot(queue_dir) == before


def test_version_and_help(call: Call) -> None:
    assert call("--version").out == f"runjobs {__version__}\n"
    assert call("--help").out.startswith("usage: runjobs ")


# --- the log ---------------------------------------------------------------------------------------------------------


def test_each_event_is_a_line_with_a_time_stamp(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--label", "good", "--", "true")
    cli.good("submit", "--", "exit 3")
    with start_runjobs(queue_dir, "--slots", "1", "--max-jobs", "2", "--poll", "0.1", "--name", "farm") as worker:
        out, err = worker.communicate()
    assert (worker.returncode, out) == (0, "")
    lines = err.splitlines()
    assert all(re.match(rf"{STAMP} (INFO|WARNING) \S", line) for line in lines)
    assert "INFO Worker farm-" in lines[0]
    assert any(line.endswith("INFO slot 1: running job1 (good), attempt 1.") for line in lines)
    assert any("WARNING slot 1: job2 has failed" in line and "`jobqueue log job2`" in line for line in lines)


def test_quiet_tells_only_what_went_wrong(cli: Cli, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    cli.good("submit", "--", "exit 3")
    with start_runjobs(queue_dir, "--slots", "1", "--max-jobs", "2", "--poll", "0.1", "--quiet") as worker:
        out, err = worker.communicate()
    assert (worker.returncode, out) == (0, "")
    assert err.count("\n") == 1
    assert "job2 has failed" in err


@pytest.mark.usefixtures("fake")
def test_a_log_file_is_appended_to(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(fake: FakeSupervisor) -> int:
        fake.store.log.debug("odd \udc80")
        fake.store.log.info("next")
        return 0

    monkeypatch.setattr(FakeSupervisor, "on_run", run)
    log = tmp_path / "worker.log"
    log.write_text("before\n")
    assert call("--log", str(log), "--verbose") == (0, "", "")
    before, odd, following = log.read_text().splitlines()
    assert before == "before"
    assert re.fullmatch(rf"{STAMP} DEBUG odd \\udc80", odd)
    assert re.fullmatch(rf"{STAMP} INFO next", following)


# --- the view --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
def test_the_view_is_drawn_without_any_thread(
    call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(fake: FakeSupervisor) -> int:
        fake.crew.slots = [FakeSlot("job1/job2", "frame 7", "tile 3 of 9", attempt=2), FakeSlot()]
        fake.on_tick(fake)
        fake.crew.is_draining = True
        fake.on_tick(fake)
        assert set(threading.enumerate()) == before
        assert sys.stderr is stream
        fake.store.log.info("it runs")
        fake.store.log.warning("it [bold]failed[/bold]\x1b[2J")
        return 0

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(FakeSupervisor, "on_run", run)
    before, stream = set(threading.enumerate()), sys.stderr
    answer = call("--name", "farm")
    assert (answer.code, answer.out) == (0, "")
    assert "1 of 2 slots busy, 3 finished, 1 attempt failed" in answer.err
    assert "ending: finishing what runs" in answer.err
    assert "job1/job2 (attempt 2)" in answer.err
    assert "frame 7  tile 3 of 9" in answer.err
    assert "idle" in answer.err
    # What begins and ends is seen in the view; what went wrong stays to be read.
    assert "it runs" not in answer.err
    assert "it [bold]failed[/bold]?[2J" in answer.err


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
def test_on_a_terminal_quiet_has_no_view_and_verbose_more_lines(
    call: Call, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def run(fake: FakeSupervisor) -> int:
        fake.store.log.debug("a detail")
        return 0

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(FakeSupervisor, "on_run", run)
    answer = call(option)
    assert (FakeSupervisor.made.on_tick is None) == (option == "--quiet")
    assert ("a detail" in answer.err) == (option == "--verbose")


@pytest.mark.usefixtures("fake")
def test_with_a_log_file_the_view_stays_alone(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(fake: FakeSupervisor) -> int:
        fake.store.log.warning("it failed")
        return 0

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(FakeSupervisor, "on_run", run)
    answer = call("--log", str(tmp_path / "log"))
    assert "it failed" not in answer.err
    assert (tmp_path / "log").read_text().endswith(" WARNING it failed\n")


def test_many_slots_fit_a_small_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, height=10)
    monkeypatch.setattr("jobqueue.cli._slots.Console", lambda **_: console)
    log = logging.Logger("test")  # noqa: LOG001
    log.addHandler(logging.NullHandler())
    fake = FakeSupervisor(None, "farm", WorkerSettings(slots=64))  # type: ignore[arg-type]
    fake.crew.slots = [FakeSlot(f"job{n}", "x" * 100) for n in range(64)]
    with SlotsView(Clock(), log, has_log_file=True) as show:
        show(fake)  # type: ignore[arg-type]
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert max(map(len, plain.splitlines())) <= 60
    assert "…" in plain


class _ClosedTerminal(io.StringIO):
    """Takes nothing any more, from a certain moment on; counts how often it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed_now = False
        self.asked = 0

    def write(self, text: str) -> int:
        if self.is_closed_now:
            self.asked += 1
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_terminal_that_is_closed_while_it_is_drawn_on_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = _ClosedTerminal()
    console = Console(file=out, force_terminal=True, width=60, height=10)
    monkeypatch.setattr("jobqueue.cli._slots.Console", lambda **_: console)
    log = logging.Logger("test")  # noqa: LOG001
    log.addHandler(logging.NullHandler())
    fake = FakeSupervisor(None, "farm", WorkerSettings(slots=1))  # type: ignore[arg-type]
    fake.crew.slots = [FakeSlot("job1", "x")]
    with SlotsView(Clock(), log, has_log_file=True) as show:
        show(fake)  # type: ignore[arg-type]
        out.is_closed_now = True
        show(fake)  # type: ignore[arg-type]
        asked = out.asked
        show(fake)  # type: ignore[arg-type]
        assert out.asked == asked > 0


def test_a_real_terminal_shows_the_slots_and_is_left_clean(cli: Cli, queue_dir: Path, queue: JobQueue) -> None:
    cli.good("submit", "--label", "long one", "--", "sleep 0.6")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "jobqueue.cli.runjobs", "--slots", "1", "--max-jobs", "1", "--poll", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs) as worker:
        os.close(theirs)
        shown = b""
        # Reading from a terminal that nobody holds open any more is an error. Source: pty(7).
        while block := _read(ours):
            shown += block
        worker.communicate()
    os.close(ours)
    assert worker.returncode == 0
    assert b"1 of 1 slot busy" in shown
    assert b"long one" in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    assert queue.findJob("job1").isFinished()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""
