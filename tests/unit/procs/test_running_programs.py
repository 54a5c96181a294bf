"""Starting a program, and reading its progress and its errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.errors import JobQueueError
from jobqueue.proc import JobProc
from jobqueue.procs._program import (
    NOTHING,
    Log,
    ProgramError,
    ProgramProc,
    Run,
    Seen,
    Tally,
    how_ended,
    percentage,
    start,
)
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt


def look(line: str) -> Seen:
    """A little language for what a program prints."""
    word, _, rest = line.strip().partition(" ")
    match word:
        case "part":
            return Seen(part=float(rest))
        case "frame":
            return Seen(frame=int(rest))
        case "done":
            return Seen(done=True)
        case "bad" if rest:
            return Seen(error=line)
        case "hm":
            return Seen(reason=line)
    return NOTHING


def proc(program: str, args: list[str] | None = None) -> ProgramProc:
    return ProgramProc(program, args or [], None, "testing")


# --- progress --------------------------------------------------------------------------------------------------------


def test_parts_and_frames_add_up_to_the_progress_of_all_runs() -> None:
    tally = Tally(4)
    seen = []
    for frames, events in (
        ([1, 2], [Seen(part=0.5), Seen(done=True), Seen(part=0.25), Seen(part=0.75)]),
        ([7, 9], [Seen(frame=9), Seen(part=0.5), Seen(done=True), Seen(done=True)]),
    ):
        tally.begin(frames)
        for event in events:
            tally.take(event)
            seen.append((tally.percent, tally.status))
    assert seen == [
        (12.5, "frame 1 (1 of 4)"),
        (25.0, "frame 2 (2 of 4)"),
        (31.25, "frame 2 (2 of 4)"),
        (43.75, "frame 2 (2 of 4)"),
        (75.0, "frame 9 (4 of 4)"),
        (87.5, "frame 9 (4 of 4)"),
        (100.0, "frame 9 (4 of 4)"),
        (100.0, "frame 9 (4 of 4)"),
    ]
    assert tally.finished == 4


def test_progress_never_goes_back() -> None:
    tally = Tally(2)
    tally.begin([1, 2])
    for event in (Seen(frame=2, part=0.5), Seen(frame=1, part=0.9), Seen(part=0.1), Seen(finished=0), Seen(frame=99)):
        tally.take(event)
        assert (tally.percent, tally.status) == (75.0, "frame 2 (2 of 2)")


def test_a_frame_that_is_named_as_done_counts_once() -> None:
    tally = Tally(3)
    tally.begin([10, 11, 12])
    tally.take(Seen(frame=11, done=True))
    tally.take(Seen(frame=11, done=True))
    assert tally.finished == 2


def test_without_known_frames_there_is_a_status_but_no_percentage() -> None:
    tally = Tally(0)
    tally.begin([])
    assert (tally.percent, tally.status) == (0.0, "")
    tally.take(Seen(frame=12, part=0.5))
    tally.take(Seen(done=True))
    assert (tally.percent, tally.status) == (0.0, "frame 12")


def test_a_single_image_has_its_name_as_the_status() -> None:
    tally = Tally(1)
    tally.begin(["scene.pov"])
    tally.take(Seen(part=2.0))
    assert (tally.percent, tally.status) == (100.0, "scene.pov")


def test_the_last_percentage_of_a_line_counts() -> None:
    pattern = re.compile(r"a(\d+)%|b(\d+)%")
    assert percentage(pattern, "a10% b20%") == Seen(part=0.2)
    assert percentage(pattern, "c30%") is NOTHING


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reason_is_the_first_error_then_a_hint_then_the_last_line_of_stderr_then_of_stdout() -> None:
    log = Log(look)
    assert log.why() == "it printed nothing"
    log.take("stdout", "  printed \n")
    assert log.why() == "printed"
    log.take("stderr", "complained\n")
    log.take("stderr", "\n")
    assert log.why() == "complained"
    for number in (1, 2):
        log.take("stderr", f"hm {number}\n")
        assert log.why() == "hm 1"
    for number in (1, 2):
        log.take("stderr", f"bad {number}\n")
        assert log.why() == log.error == "bad 1"


@pytest.mark.parametrize(
    "lines",
    [
        ["before", "bad luck", " with", " it", "", " statistics"],
        ["hm odd", "bad luck", " with", " it", "  Table:  1"],
        # The word that tells it is in the second part.
        ["", "bad", " luck", " with", " it", "last", " one"],
    ],
)
def test_a_message_that_the_program_has_broken_is_put_together(lines: list[str]) -> None:
    log = Log(look, wraps=True)
    for line in lines:
        log.take("stderr", f"{line}\n")
    assert log.why() == log.error == "bad luck with it"


def test_a_hint_is_put_together_too() -> None:
    log = Log(look, wraps=True)
    for line in ("hm is it", " all", "hm or", " not"):
        log.take("stderr", f"{line}\n")
    assert log.why() == "hm is it all"


def test_a_program_that_does_not_break_lines_keeps_them_apart() -> None:
    log = Log(look)
    log.take("stderr", "bad luck\n")
    log.take("stderr", " with it\n")
    assert log.why() == "bad luck"


@pytest.mark.parametrize(
    ("code", "shell", "expected"),
    [
        (1, False, "exit code 1"),
        (-9, False, "SIGKILL"),
        (-9, True, "SIGKILL"),
        (137, True, "exit code 137 (SIGKILL)"),
        (137, False, "exit code 137"),
        (128, True, "exit code 128"),
        (255, True, "exit code 255"),
        (-99, False, "signal 99"),
    ],
)
def test_an_exit_code_is_told_with_the_signals_name(code: int, shell: bool, expected: str) -> None:
    assert how_ended(code, shell=shell) == expected


# --- running ---------------------------------------------------------------------------------------------------------


def test_all_runs_are_made_and_shown(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("render", Output(stdout="part 0.5\rdone\r\n"), Output(stderr="frame 5\npart 0.5\n"))
    attempt.run(_Runs(program.path, [["-a", "x y"], [""]], [[1], [4, 5]]))
    assert program.calls == [["-a", "x y"], [""]]
    assert attempt.steps() == [0.0, 16.7, 33.3, 66.7, 83.3]
    assert list(dict.fromkeys(attempt.status)) == ["frame 1 (1 of 3)", "frame 4 (2 of 3)", "frame 5 (3 of 3)"]
    assert "part 0.5\rdone" in attempt.printed()
    assert "frame 5\n" in attempt.complained()


def test_a_run_that_fails_is_the_last_one(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("render", Output(stderr="part 0.1\nno licence\n", code=7))
    with pytest.raises(ProgramError, match=r"render ended with exit code 7: no licence$"):
        attempt.run(_Runs(program.path, [["1"], ["2"]], [[1], [2]]))
    assert program.calls == [["1"]]
    assert attempt.status[-1] == f"{program.path} ended with exit code 7: no licence"


def test_a_hint_explains_an_exit_code_but_fails_nothing(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    program = fake("render", Output(stderr="hm odd\nlast\n"), Output(stderr="hm odd\nlast\n", code=1))
    attempt.run(_Runs(program.path, [[]], [[1]]))
    with pytest.raises(ProgramError, match=r"exit code 1: hm odd$"):
        attempt.run(_Runs(program.path, [[]], [[1]]))


def test_an_error_line_fails_the_job_with_exit_code_0_too(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    program = fake("render", Output(stdout="bad things\nlast\n"))
    with pytest.raises(ProgramError, match=r"exit code 0: bad things$"):
        attempt.run(_Runs(program.path, [[], []], [[1], [2]]))
    assert len(program.calls) == 1


def test_an_error_of_the_run_before_is_not_kept(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("render", Output(stdout="hm before\n"), Output(stderr="mine\n", code=1))
    with pytest.raises(ProgramError, match=r"exit code 1: mine$"):
        attempt.run(_Runs(program.path, [[], []], [[1], [2]]))


def test_a_signal_is_told_by_its_name(attempt: RecordingAttempt, tmp_path: Path) -> None:
    script = tmp_path / "crash"
    script.write_text("#!/bin/sh\nkill -SEGV $$\n")
    script.chmod(0o755)
    with pytest.raises(ProgramError, match="ended with SIGSEGV: it printed nothing"):
        attempt.run(_Runs(str(script), [[]], [[1]]))


@pytest.mark.parametrize("program", ["no-such-program-of-ours", "/nowhere/at/all"])
def test_a_missing_program_is_named_with_the_remedy(attempt: RecordingAttempt, program: str) -> None:
    expected = f"{program} cannot be started on this host (No such file or directory); install it, or give program="
    with pytest.raises(ProgramError) as caught:
        attempt.run(_Runs(program, [[]], [[1]]))
    assert str(caught.value) == attempt.status[-1] == expected
    assert isinstance(caught.value, JobQueueError)


def test_a_program_that_may_not_be_run_is_named(attempt: RecordingAttempt, tmp_path: Path) -> None:
    (tmp_path / "render").write_text("")
    with pytest.raises(ProgramError, match=r"render cannot be started on this host \(Permission denied\)"):
        attempt.run(_Runs(str(tmp_path / "render"), [[]], [[1]]))


def test_a_missing_running_directory_is_no_fault_of_the_program(attempt: RecordingAttempt, tmp_path: Path) -> None:
    attempt.running_dir = str(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="gone"):
        attempt.run(_Runs("true", [[]], [[1]]))


def test_a_directory_that_cannot_be_entered_is_named(attempt: RecordingAttempt) -> None:
    class Elsewhere(JobProc):
        def run(self) -> None:
            start(self, ["true"], hint="", cwd="/nowhere")

    with pytest.raises(ProgramError, match=r"the directory /nowhere \(cwd\) cannot be entered on this host"):
        attempt.run(Elsewhere())


def test_the_program_and_its_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="program is empty"):
        proc("")
    with pytest.raises(TypeError, match=r"args\[0\] must be text"):
        proc("render", [3])  # type: ignore[list-item]


def test_lines_that_come_when_nothing_runs_are_ignored() -> None:
    idle = proc("render")
    idle.stdoutCallback(1, "part 0.5\n")
    idle.stderrCallback(1, "bad\n")
    assert idle.label == "testing"


class _Runs(ProgramProc):
    """Starts a program once for each list of arguments."""

    def __init__(self, program: str, args: list[list[str]], frames: list[list[int]]) -> None:
        super().__init__(program, [], None, "testing")
        self._runs = [Run([program, *arguments], numbers) for arguments, numbers in zip(args, frames, strict=True)]

    def run(self) -> None:
        self.run_all(self._runs, look)
