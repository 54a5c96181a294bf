"""`jobqueue log`: what a job has printed, at once or as it comes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import JobQueue
from jobqueue.handle import reader_of
from jobqueue.names import RunningToken
from tests.acceptance.cli.conftest import Cli, Hand
from tests.support import run_jobqueue


@pytest.fixture
def run_shell(cli: Cli, run_all: Callable[[], int]) -> Callable[[str], str]:
    """Submits a shell line and runs it; the job's name."""

    def run(line: str) -> str:
        name = cli.good("submit", "--", line).strip()
        run_all()
        return name

    return run


def test_a_single_stream_has_no_heading(cli: Cli, run_shell: Callable[[str], str]) -> None:
    assert cli.good("log", run_shell("echo out; echo more")) == "out\nmore\n"
    assert cli.good("log", run_shell("echo err >&2")) == "err\n"


def test_both_streams_have_headings_and_the_output_comes_first(cli: Cli, run_shell: Callable[[str], str]) -> None:
    name = run_shell("echo err >&2; echo out")
    assert cli.good("log", name) == "==> stdout <==\nout\n==> stderr <==\nerr\n"
    assert cli.good("log", "--stdout", name) == "out\n"
    assert cli.good("log", "--stderr", name) == "err\n"


def test_both_options_exclude_one_another(cli: Cli) -> None:
    told = cli.refused("log", "--stdout", "--stderr", "job1")
    assert told == "argument --stderr: not allowed with argument --stdout; `jobqueue log --help` tells more"


def test_a_traceback_is_shown(cli: Cli, queue: JobQueue, run_all: Callable[[], int]) -> None:
    queue.createJobRoot("code", text="print('before'); 1 / 0").activate()
    run_all()
    told = cli.good("log", "job1")
    assert told.startswith("==> stdout <==\nbefore\n==> traceback <==\nTraceback (most recent call last):\n")
    assert told.endswith("ZeroDivisionError: division by zero\n")
    assert cli.good("log", "--stdout", "job1") == "before\n"


def test_a_job_that_has_printed_nothing(cli: Cli, run_shell: Callable[[str], str]) -> None:
    for name, state in ((run_shell("true"), "finished"), (cli.good("submit", "--", "true").strip(), "ready")):
        answer = cli("log", name)
        assert (answer.code, answer.out) == (0, "")
        assert answer.err == f"jobqueue: {name} is {state} and has printed nothing\n"


def test_an_earlier_attempt(cli: Cli, tmp_path: Path, run_all: Callable[[], int]) -> None:
    mark = tmp_path / "mark"
    cli.good("submit", "--", f"test -e {mark} && echo second && exit 0; touch {mark}; echo first; exit 1")
    run_all()
    cli.good("retry", "job1")
    run_all()
    assert cli.good("log", "job1") == cli.good("log", "--attempt", "2", "job1") == "second\n"
    assert cli.good("log", "--attempt", "1", "--stdout", "job1") == "first\n"
    told = cli.refused("log", "--attempt", "3", "job1")
    assert told == "job1 has no attempt 3; `jobqueue show job1` lists those that it has"


def test_bytes_are_shown_as_they_were_printed(run_shell: Callable[[str], str], queue_dir: Path) -> None:
    name = run_shell("echo x")
    (queue_dir / name / ".attempt1" / "stdout").write_bytes(b"\xff\x00\n")
    answer = subprocess.run([sys.executable, "-m", "jobqueue", "log", name], stdout=subprocess.PIPE, check=True)
    assert answer.stdout == b"\xff\x00\n"


def test_a_long_log_comes_whole(cli: Cli, run_shell: Callable[[str], str]) -> None:
    name = run_shell("yes 0123456789 | head -n 250000; echo end >&2")
    text = cli.good("log", name)
    assert text == "==> stdout <==\n" + "0123456789\n" * 250_000 + "==> stderr <==\nend\n"


def test_the_json_of_log(cli: Cli, run_shell: Callable[[str], str]) -> None:
    name = run_shell("echo out; exit 3")
    told = cli("log", "--json", name).json
    assert told.pop("traceback").startswith("Traceback")
    assert told == {"job": name, "state": "failed", "attempt": 1, "stdout": "out\n", "stderr": None}
    assert cli("log", "--json", "--stderr", name).json["stdout"] is None


# --- follow ----------------------------------------------------------------------------------------------------------


class Writer:
    """A running job whose output a test writes by hand."""

    def __init__(self, hand: Hand, queue: JobQueue) -> None:
        self._hand = hand
        self._node = reader_of(queue.findJob("job1")).node()
        self._running: RunningToken | None = None

    def begin(self) -> None:
        self._running = self._hand.claim(1)
        self._directory.mkdir(parents=True)

    @property
    def _directory(self) -> Path:
        assert self._running is not None
        return Path(self._hand.store.layout.job(1).attempt("", self._running.attempt).dir)

    def print(self, name: str, text: str) -> None:
        with (self._directory / name).open("a") as file:
            file.write(text)

    def give_back(self) -> None:
        assert self._running is not None
        self._hand.store.tokens.give_back(self._running, self._hand.worker, charge=False)

    def end(self) -> None:
        assert self._running is not None
        won = self._hand.commit(self._running)
        self._hand.store.tokens.settle(won, self._hand.worker, self._node, ok=True)


@pytest.fixture
def writer(cli: Cli, hand: Hand, queue: JobQueue) -> Writer:
    cli.good("submit", "--", "true")
    return Writer(hand, queue)


def test_follow_shows_what_comes_until_the_job_ends(
    cli: Cli, writer: Writer, at_each_pause: Callable[..., list[float]]
) -> None:
    def last_words() -> None:
        writer.print("stdout", "c\n")
        writer.end()

    at_each_pause(
        lambda: None,
        writer.begin,
        lambda: writer.print("stdout", "a"),
        lambda: writer.print("stdout", "b\n"),
        lambda: writer.print("stderr", "oops\n"),
        last_words,
    )
    assert cli.good("log", "--follow", "job1") == "ab\n==> stderr <==\noops\n==> stdout <==\nc\n"


def test_follow_looks_less_often_when_nothing_comes(
    cli: Cli, writer: Writer, at_each_pause: Callable[..., list[float]]
) -> None:
    writer.begin()
    quiet = [lambda: None] * 12
    pauses = at_each_pause(*quiet, lambda: writer.print("stdout", "a\n"), writer.end)
    assert cli.good("log", "-f", "job1") == "a\n"
    assert pauses[:13] == sorted(pauses[:13])
    assert (pauses[12], pauses[13]) == (2.0, 0.2)
    assert 0.2 <= pauses[0] < 0.3


def test_follow_goes_on_with_a_new_attempt(cli: Cli, writer: Writer, at_each_pause: Callable[..., list[float]]) -> None:
    writer.begin()
    writer.print("stdout", "first\n")
    at_each_pause(writer.give_back, writer.begin, lambda: writer.print("stderr", "second\n"), writer.end)
    assert cli.good("log", "-f", "job1") == "first\n==> attempt 2 <==\nsecond\n"


def test_follow_of_one_stream(cli: Cli, writer: Writer, at_each_pause: Callable[..., list[float]]) -> None:
    writer.begin()
    at_each_pause(lambda: writer.print("stdout", "a\n"), lambda: writer.print("stderr", "b\n"), writer.end)
    assert cli.good("log", "-f", "--stderr", "job1") == "b\n"


def test_follow_of_a_job_that_has_ended_ends_at_once(cli: Cli, run_shell: Callable[[str], str]) -> None:
    assert cli.good("log", "--follow", run_shell("echo all")) == "all\n"


def test_follow_of_an_earlier_attempt_is_refused(cli: Cli) -> None:
    cli.good("submit", "--", "true")
    told = cli.refused("log", "--follow", "--attempt", "1", "job1")
    assert told == "--follow shows the latest attempt, so it takes no --attempt"


def test_follow_in_json_answers_at_the_end(cli: Cli, writer: Writer, at_each_pause: Callable[..., list[float]]) -> None:
    writer.begin()
    at_each_pause(lambda: writer.print("stdout", "a\n"), writer.end)
    assert cli("log", "-f", "--json", "job1").json == {
        "job": "job1", "state": "finished", "attempt": 1, "stdout": "a\n", "stderr": None, "traceback": None,
    }  # fmt: skip


@pytest.mark.parametrize("how", [(), ("--json",), ("--stdout",)])
def test_a_directory_in_the_place_of_a_stream_is_named(
    cli: Cli, queue_dir: Path, run_shell: Callable[[str], str], how: tuple[str, ...]
) -> None:
    name = run_shell("echo err >&2")
    path = queue_dir / name / ".attempt1" / "stdout"
    path.unlink(missing_ok=True)
    path.mkdir()
    told = cli.refused("log", name, *how, code=1)
    assert told == f"{path}: Is a directory; it is in the place of a file; move it away, then try again"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_fifo_in_the_place_of_a_stream_is_named_and_not_waited_for(
    cli: Cli, queue_dir: Path, run_shell: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    name = run_shell("echo out")
    path = queue_dir / name / ".attempt1" / "stdout"
    path.unlink()
    os.mkfifo(path)
    answer = cli("log", name, *arguments)
    told = f"{path}: it is no plain file; it is in the place of a file; move it away, then try again"
    assert (answer.code, answer.err) == (1, f"jobqueue: {told}\n")


def test_log_as_a_process(run_shell: Callable[[str], str]) -> None:
    answer = run_jobqueue("log", run_shell("echo out; echo err >&2"))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == "==> stdout <==\nout\n==> stderr <==\nerr\n"
