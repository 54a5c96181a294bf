"""JobProc without a worker: outside a run, with an attempt that remembers, and how output is cut into lines."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.errors import JobStateError
from jobqueue.proc import JobProc, _Pump, _read_all, _split
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


class Killable:
    """A process that can only be killed."""

    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


def _pumped(*blocks: bytes) -> tuple[str, list[str]]:
    into = io.StringIO(newline="")
    lines: list[str] = []

    def callback(number: int, line: str) -> None:
        lines.append(line)
        # What a line holds was copied before it is handed over, so that the two have one order.
        assert into.getvalue().startswith("".join(lines))
        assert number == len(lines)

    pump = _Pump(into, callback)
    for block in (*blocks, b""):
        pump.take(block)
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


# --- both streams -----------------------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """What became of two streams that were read to their ends."""

    failure: BaseException | None
    copied: list[str]
    kills: int


def _read(out: bytes, err: bytes, callback: Callable[[int, str], None]) -> _Read:
    copies = [io.StringIO(), io.StringIO()]
    pumps = {}
    for text, into in zip((out, err), copies, strict=True):
        fd, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        pumps[fd] = _Pump(into, callback)
    process: Any = Killable()
    failure = _read_all(process, pumps)
    for fd in pumps:
        os.close(fd)
    return _Read(failure, [into.getvalue() for into in copies], process.kills)


def test_both_streams_are_read_to_their_ends() -> None:
    lines: list[tuple[int, str]] = []
    read = _read(b"one\ntwo", b"three\n", lambda number, line: lines.append((number, line)))
    assert read == (None, ["one\ntwo", "three\n"], 0)
    assert sorted(lines) == [(1, "one\n"), (1, "three\n"), (2, "two")]


def test_after_the_first_failure_the_output_is_copied_and_no_callback_called() -> None:
    called: list[str] = []

    def fail(_number: int, line: str) -> None:
        called.append(line)
        raise ValueError(line)

    read = _read(b"one\ntwo\n", b"three\n", fail)
    assert str(read.failure) == "one\n"
    assert called == ["one\n"]
    assert read.copied == ["one\ntwo\n", "three\n"]
    assert read.kills == 1


def test_no_thread_is_started_for_a_command(attempt: RecordingAttempt) -> None:
    callers = set()

    class Curious(Listener):
        def stdoutCallback(self, lineNr: int, line: str) -> None:
            callers.add(threading.current_thread())

        stderrCallback = stdoutCallback

    Curious(attempt).execCmd("echo one; echo two >&2")
    assert callers == {threading.current_thread()}
