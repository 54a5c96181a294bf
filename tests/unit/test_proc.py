"""JobProc without a worker: outside a run, with an attempt that remembers, and how output is cut into lines."""

from __future__ import annotations

import io
import re
import signal
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.errors import JobStateError
from jobqueue.proc import JobProc, _OneAtATime, _pump, _split
from tests.unit.procs.attempts import RecordingAttempt

# --- outside a run ----------------------------------------------------------------------------------------------------


def test_outside_a_run_a_procedure_is_quiet() -> None:
    proc = JobProc("a label")
    assert proc.label == "a label"
    assert proc.runningDir is None
    assert (proc.stdout, proc.stderr) == (sys.stdout, sys.stderr)
    proc.setProgress(50)
    proc.setStatusLine("nothing")
    proc.setError()
    proc.postCreate("/q/job1")
    proc.stdoutCallback(1, "line\n")
    proc.stderrCallback(1, "line\n")
    assert proc.run() is None


def test_outside_a_run_there_are_no_commands() -> None:
    class Paint(JobProc):
        pass

    with pytest.raises(JobStateError, match=r"^Paint\.execCmd works only while the job runs$"):
        Paint().execCmd("true")


def test_a_procedure_need_not_call_our_constructor() -> None:
    class Careless(JobProc):
        def __init__(self) -> None:
            pass

    proc = Careless()
    assert (proc.label, proc.runningDir) == (None, None)


# --- in a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def attempt(tmp_path: Path) -> RecordingAttempt:
    return RecordingAttempt(tmp_path)


class Listener(JobProc):
    """Keeps the lines that it is handed."""

    def __init__(self, attempt: RecordingAttempt) -> None:
        super().__init__()
        self.heard: dict[str, list[tuple[int, str]]] = {"stdout": [], "stderr": []}
        self._attach(attempt)

    def stdoutCallback(self, lineNr: int, line: str) -> None:
        self.heard["stdout"].append((lineNr, line))

    def stderrCallback(self, lineNr: int, line: str) -> None:
        self.heard["stderr"].append((lineNr, line))


def test_in_a_run_the_attempt_is_told(attempt: RecordingAttempt) -> None:
    proc = JobProc()
    proc._attach(attempt)
    assert (proc.runningDir, proc.stdout, proc.stderr) == (attempt.running_dir, attempt.stdout, attempt.stderr)
    proc.setStatusLine("painting")
    for value in (-1, 0, 12.5, 100, 101):
        proc.setProgress(value)
    assert not attempt.failed
    proc.setError()
    assert (attempt.failed, attempt.status, attempt.progress) == (True, ["painting"], [0.0, 0.0, 12.5, 100.0, 100.0])
    proc._attach(None)
    assert proc.runningDir is None


def test_a_commands_streams_are_copied_and_handed_over_by_lines(attempt: RecordingAttempt) -> None:
    proc = Listener(attempt)
    assert proc.execCmd("echo one; printf two; echo three >&2; exit 7") == 7
    assert proc.heard == {"stdout": [(1, "one\n"), (2, "two")], "stderr": [(1, "three\n")]}
    assert (attempt.printed(), attempt.complained()) == ("one\ntwo", "three\n")


def test_a_list_goes_through_no_shell(attempt: RecordingAttempt) -> None:
    proc = Listener(attempt)
    assert proc.execCmd(("echo", "$HOME;", "a  b")) == 0
    assert attempt.printed() == "$HOME; a  b\n"


def test_a_command_has_the_directory_and_environment_that_it_is_given(
    attempt: RecordingAttempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = Listener(attempt)
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("FRUIT", "plum")
    line = "pwd; echo $FRUIT $COLOUR"
    proc.execCmd(line)
    proc.execCmd(line, cwd=str(tmp_path / "below"), env={"COLOUR": "red"})
    assert attempt.printed() == f"{tmp_path}\nplum\n{tmp_path}/below\nred\n"


def test_a_command_that_cannot_be_started_is_an_error(attempt: RecordingAttempt) -> None:
    with pytest.raises(FileNotFoundError):
        Listener(attempt).execCmd(["/no/such/program"])


@pytest.mark.parametrize("error", [ValueError("enough"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_in_a_callback_ends_the_command_and_is_raised_here(
    attempt: RecordingAttempt, error: BaseException
) -> None:
    class Strict(Listener):
        def stdoutCallback(self, lineNr: int, line: str) -> None:
            super().stdoutCallback(lineNr, line)
            raise error

    proc = Strict(attempt)
    with pytest.raises(type(error)) as caught:
        proc.execCmd(["sh", "-c", "echo one; exec cat /dev/zero"])
    assert caught.value is error
    assert proc.heard["stdout"] == [(1, "one\n")]


def test_a_signal_is_a_negative_code(attempt: RecordingAttempt) -> None:
    assert Listener(attempt).execCmd("kill -TERM $$") == -signal.SIGTERM


def test_a_line_of_many_megabytes_is_one_line(attempt: RecordingAttempt) -> None:
    proc = Listener(attempt)
    size = 16 << 20
    assert proc.execCmd(f"head -c {size} /dev/zero | tr '\\0' x") == 0
    assert [(number, len(line)) for number, line in proc.heard["stdout"]] == [(1, size)]


# --- the pump ---------------------------------------------------------------------------------------------------------


class Pieces:
    """A pipe out of which the given blocks come, one at each read."""

    def __init__(self, *blocks: bytes) -> None:
        self._blocks = iter(blocks)
        self.closed = False

    def read1(self, size: int, /) -> bytes:
        assert size > 0
        return next(self._blocks, b"")

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closed = True


class Killable:
    """A process that can only be killed."""

    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


def _pumped(*blocks: bytes) -> tuple[str, list[str]]:
    into = io.StringIO(newline="")
    lines: list[str] = []
    pipe: Any = Pieces(*blocks)
    process: Any = Killable()

    def callback(number: int, line: str) -> bool:
        lines.append(line)
        # What a line holds was copied before it is handed over, so that the two have one order.
        assert into.getvalue().startswith("".join(lines))
        assert number == len(lines)
        return True

    _pump(pipe, into, callback, process)
    assert pipe.closed
    assert process.kills == 0
    return into.getvalue(), lines


_CUT = st.lists(st.text(alphabet="ab\r\n\x0b\x85\u2028ä☃", max_size=5).map(str.encode).filter(bool), max_size=8)


@settings(max_examples=300, deadline=None)
@given(_CUT)
def test_lines_are_the_same_however_the_output_was_cut(blocks: list[bytes]) -> None:
    whole = b"".join(blocks).decode()
    expected = re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", whole)
    assert _pumped(*blocks) == (whole, expected)
    single = [bytes([byte]) for byte in whole.encode()]
    assert _pumped(*single) == (whole, expected)


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    assert _pumped(b"K\xe4se\n", b"\xe2\x98") == ("K\\xe4se\n\\xe2\\x98", ["K\\xe4se\n", "\\xe2\\x98"])


def test_the_output_is_read_to_its_end_after_the_command_was_killed() -> None:
    pipe: Any = Pieces(b"one\ntwo\n", b"three\n")
    process: Any = Killable()
    into = io.StringIO()
    _pump(pipe, into, lambda number, _: number < 2, process)
    assert (into.getvalue(), pipe.closed, process.kills) == ("one\ntwo\nthree\n", True, 2)


@pytest.mark.parametrize(
    ("text", "final", "expected"),
    [
        ("", False, [""]), ("", True, [""]), ("ab", False, ["ab"]), ("ab", True, ["ab", ""]), ("a\r", False, ["a\r"]),
        ("a\r", True, ["a\r", ""]), ("a\nb\r", False, ["a\n", "b\r"]), ("a\n\r", False, ["a\n", "\r"]),
        ("a\r\r", False, ["a\r", "\r"]), ("a\r\nb", False, ["a\r\n", "b"]), ("\n", False, ["\n", ""]),
    ],
)  # fmt: skip
def test_what_has_no_end_yet_is_kept(text: str, final: bool, expected: list[str]) -> None:
    assert _split(text, final=final) == expected


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_two_callbacks_are_called_one_after_the_other() -> None:
    callbacks = _OneAtATime()
    inside, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def first(number: int, line: str) -> None:
        inside.set()
        go_on.wait(60)
        order.append("first")

    one = threading.Thread(target=callbacks.guard(first), args=(1, ""))
    one.start()
    assert inside.wait(60)
    assert callbacks._lock.locked()
    two = threading.Thread(target=callbacks.guard(lambda *_: order.append("second")), args=(1, ""))
    two.start()
    go_on.set()
    one.join()
    two.join()
    assert order == ["first", "second"]


def test_after_the_first_failure_no_callback_is_called() -> None:
    callbacks = _OneAtATime()
    called: list[int] = []

    def fail(number: int, line: str) -> None:
        raise ValueError(line)

    assert callbacks.guard(lambda number, _: called.append(number))(1, "fine")
    assert not callbacks.guard(fail)(1, "one")
    assert not callbacks.guard(fail)(2, "two")
    assert not callbacks.guard(lambda number, _: called.append(number))(2, "late")
    assert called == [1]
    assert str(callbacks.failure) == "one"
