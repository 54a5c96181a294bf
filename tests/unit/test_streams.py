"""What a job prints: caught whoever prints it, and copied to the attempt's files without loss or repetition."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue import streams
from jobqueue.layout import AttemptLayout
from jobqueue.share import Appender, NotPlainError, Share
from jobqueue.streams import Spool, save_in_the_way


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool()
    yield spool
    spool.close()


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptLayout:
    (tmp_path / ".attempt1").mkdir()
    return AttemptLayout(f"{tmp_path}/.attempt1")


def _copied(attempt: AttemptLayout) -> tuple[bytes, bytes]:
    paths = Path(attempt.stdout), Path(attempt.stderr)
    out, err = (path.read_bytes() if path.exists() else b"" for path in paths)
    return out, err


class BreakingShare(Share):
    """Appends as many bytes as it has room for, and then fails."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append_to(self, path: str) -> Appender:
        return _BreakingAppender(path, self)


class _BreakingAppender(Appender):
    def __init__(self, path: str, share: BreakingShare) -> None:
        super().__init__(path)
        self._share = share

    def append(self, data: bytes) -> int:
        at = super().append(data[: self._share.room])
        self._share.room -= self.offset - at
        if self.offset - at < len(data):
            raise OSError(28, "there is no room", self.path)
        return at


# --- capturing --------------------------------------------------------------------------------------------------------


def test_output_is_caught_whoever_prints_it(spool: Spool, attempt: AttemptLayout) -> None:
    with spool.captured():
        print("print")  # noqa: T201  as a procedure does
        sys.stderr.write("print\n")
        os.write(1, b"os.write\n")
        os.write(2, b"os.write\n")
        subprocess.run("echo command; echo command >&2", shell=True, check=True)
        sys.stdout.write("no end")
    spool.copy(Share(), attempt)
    assert _copied(attempt) == (b"print\nos.write\ncommand\nno end", b"print\nos.write\ncommand\n")


def test_afterwards_the_streams_are_the_old_ones(spool: Spool, attempt: AttemptLayout) -> None:
    before = (sys.stdout, sys.stderr, os.fstat(1), os.fstat(2))
    with spool.captured():
        assert sys.stdout is spool.stdout
        assert sys.stderr is spool.stderr
    assert (sys.stdout, sys.stderr) == before[:2]
    assert [os.fstat(number).st_ino for number in (1, 2)] == [before[2].st_ino, before[3].st_ino]
    spool.copy(Share(), attempt)
    assert _copied(attempt) == (b"", b"")


def test_what_was_printed_before_is_not_the_jobs(
    spool: Spool, attempt: AttemptLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    class Buffer(io.StringIO):
        def flush(self) -> None:
            flushed.append("before" if not os.path.samestat(os.fstat(1), os.fstat(spool.fds()[0])) else "late")

    monkeypatch.setattr(sys, "stdout", Buffer())
    with spool.captured():
        assert flushed == ["before"]


def test_any_text_can_be_printed(spool: Spool, attempt: AttemptLayout) -> None:
    with spool.captured():
        sys.stdout.write("Käse ☃ \udcff\r\n")
    spool.copy(Share(), attempt)
    assert _copied(attempt)[0] == "Käse ☃ \\udcff\r\n".encode()


def test_a_job_may_close_its_streams(spool: Spool, attempt: AttemptLayout) -> None:
    with spool.captured():
        print("one")  # noqa: T201  as a procedure does
        sys.stdout.close()
        sys.stderr.close()
        spool.stdout.write("two\n")
        spool.stderr.write("three\n")
        # The same text file until it is closed again.
        assert spool.stdout is spool.stdout
    spool.copy(Share(), attempt)
    assert _copied(attempt) == (b"one\ntwo\n", b"three\n")


def test_streams_are_taken_back_whatever_a_job_has_put_in_their_place(spool: Spool, attempt: AttemptLayout) -> None:
    class Stubborn(io.StringIO):
        def flush(self) -> None:
            raise ValueError("not me")

    libc = ctypes.CDLL(None)
    with spool.captured():
        sys.stdout.write("one\n")
        libc.printf(b"two\n")  # kept by the C library until it is flushed
        sys.stdout = io.StringIO()
        sys.stderr = Stubborn()
        spool.take_back()
        os.write(1, b"three\n")
        os.close(1)
        os.close(2)
        spool.take_back()
        print("four")  # noqa: T201  as a procedure does
        sys.stderr.write("five\n")
        os.write(2, b"six\n")
    spool.copy(Share(), attempt)
    assert _copied(attempt) == (b"one\ntwo\nthree\nfour\n", b"five\nsix\n")


# --- copying ----------------------------------------------------------------------------------------------------------


def test_a_job_that_prints_nothing_costs_the_share_no_call(spool: Spool, attempt: AttemptLayout) -> None:
    share = BreakingShare(0)
    spool.begin()
    spool.copy(share, attempt)
    assert not Path(attempt.stdout).exists()
    assert not Path(attempt.stderr).exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.binary(min_size=1, max_size=50), st.sampled_from(["copy", "crash"]), st.integers(0, 60)),
        max_size=12,
    )
)
def test_nothing_is_lost_or_repeated_however_often_it_is_copied(
    attempt: AttemptLayout, steps: list[bytes | str | int]
) -> None:
    """Bytes are printed; a number is a copy on a share with room for so many; a crash forgets all."""
    for path in (attempt.stdout, attempt.stderr):
        Path(path).unlink(missing_ok=True)
    spool, printed, complained = Spool(), b"", b""
    for step in [*steps, "copy"]:
        if isinstance(step, bytes):
            os.write(spool.fds()[0], step)
            os.write(spool.fds()[1], step[:1])
            printed += step
            complained += step[:1]
        elif isinstance(step, int):
            try:
                spool.copy(BreakingShare(step), attempt)
            except OSError:
                assert printed.startswith(_copied(attempt)[0])
        else:
            spool.save(Share(), attempt, after_crash=step == "crash")
            assert _copied(attempt)[0] == printed
            assert _copied(attempt)[1] == complained
    spool.close()
    assert _copied(attempt) == (printed, complained)


def test_after_a_crash_copying_goes_on_where_the_file_ends(spool: Spool, attempt: AttemptLayout) -> None:
    os.write(spool.fds()[0], b"one two three")
    # The slot has copied a part before it died; the supervisor knows nothing of it.
    Path(attempt.stdout).write_bytes(b"one two")
    spool.save(Share(), attempt, after_crash=True)
    assert _copied(attempt)[0] == b"one two three"
    spool.save(Share(), attempt, after_crash=True)
    os.write(spool.fds()[0], b" four")
    spool.copy(Share(), attempt)
    assert _copied(attempt)[0] == b"one two three four"


@pytest.mark.parametrize(
    "made", ["a directory", "a full directory", "a FIFO", "a FIFO that is read", "a link", "a loop"]
)
@pytest.mark.parametrize("after_crash", [False, True])
def test_what_a_job_has_made_of_a_streams_name_is_set_aside_and_what_was_printed_is_saved(
    spool: Spool, attempt: AttemptLayout, tmp_path: Path, made: str, after_crash: bool
) -> None:
    reader = None
    if "directory" in made:
        os.mkdir(attempt.stdout)
        if "full" in made:
            Path(attempt.stdout, "file").touch()
    elif "FIFO" in made:
        os.mkfifo(attempt.stdout)
        reader = os.open(attempt.stdout, os.O_RDWR) if "read" in made else None
    else:
        os.symlink("stdout" if made == "a loop" else tmp_path / "elsewhere", attempt.stdout)
    os.write(spool.fds()[0], b"x" * 20_000)
    os.write(spool.fds()[1], b"errors")
    with pytest.raises(NotPlainError, match="it is no plain file"):
        # It may still be in use.
        spool.copy(Share(), attempt)
    (aside,) = spool.save(Share(), attempt, after_crash=after_crash)
    assert _copied(attempt) == (b"x" * 20_000, b"errors")
    assert os.path.lexists(aside) and aside.startswith(f"{attempt.stdout}.job-")
    assert not (tmp_path / "elsewhere").exists()
    if reader is not None:
        os.close(reader)


class _Denying(Share):
    """Answers as to somebody who is not the superuser."""

    def append_to(self, path: str) -> Appender:
        at = path if os.path.exists(path) else os.path.dirname(path)
        if not os.stat(at).st_mode & 0o200:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return super().append_to(path)


@pytest.mark.parametrize("denied", ["the directory", "the file", "both"])
def test_what_was_printed_is_saved_also_where_the_job_has_taken_away_the_right_to_write(
    spool: Spool, attempt: AttemptLayout, denied: str
) -> None:
    os.write(spool.fds()[0], b"one two")
    if denied != "the directory":
        Path(attempt.stdout).write_bytes(b"one")
        os.chmod(attempt.stdout, 0o444)
    if denied != "the file":
        os.chmod(attempt.dir, 0o555)
    moved = spool.save(_Denying(), attempt, after_crash=True)
    assert _copied(attempt)[0] == b"one two"
    assert [Path(path).read_bytes() for path in moved] == ([] if denied == "the directory" else [b"one"])


def test_a_share_that_lets_nobody_write_is_not_tried_for_ever(attempt: AttemptLayout) -> None:
    tries = []

    def write() -> None:
        tries.append(1)
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        save_in_the_way(Share(), attempt.dir, attempt.stdout, write)
    assert 1 < len(tries) < 10


def test_much_is_copied_in_blocks(spool: Spool, attempt: AttemptLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_BLOCK_BYTES", 1000)
    data = os.urandom(12_345)
    os.write(spool.fds()[1], data)
    spool.copy(Share(), attempt)
    assert _copied(attempt) == (b"", data)


def test_output_that_is_cut_short_while_it_is_copied_ends_the_copy(
    spool: Spool, attempt: AttemptLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`echo > /dev/stdout` in a shell empties the file that is its standard output."""
    monkeypatch.setattr(streams, "_BLOCK_BYTES", 4)

    class Cutting(Share):
        def append_to(self, path: str) -> Appender:
            os.ftruncate(spool.fds()[0], 6)
            return super().append_to(path)

    os.write(spool.fds()[0], b"one two three")
    spool.copy(Cutting(), attempt)
    assert _copied(attempt)[0] == b"one tw"
    os.write(spool.fds()[0], b"o four")
    spool.copy(Share(), attempt)
    assert _copied(attempt)[0] == b"one two four"


def test_each_attempt_begins_with_empty_files_and_no_null_bytes(spool: Spool, tmp_path: Path) -> None:
    share = Share()
    for number in range(3):
        spool.begin()
        attempt = AttemptLayout(f"{tmp_path}/.attempt{number}")
        os.mkdir(attempt.dir)
        with spool.captured():
            print(f"attempt {number}")  # noqa: T201  as a procedure does
            os.write(2, b"x" * 10 * (3 - number))
            subprocess.run(["echo", "command"], check=True)
        spool.copy(share, attempt)
        assert _copied(attempt) == (f"attempt {number}\ncommand\n".encode(), b"x" * 10 * (3 - number))


def test_the_text_files_append_also_after_the_files_were_emptied(spool: Spool, attempt: AttemptLayout) -> None:
    out = spool.stdout
    out.write("a long line of the first attempt\n")
    spool.begin()
    out.write("second\n")
    spool.copy(Share(), attempt)
    assert _copied(attempt)[0] == b"second\n"


def test_closing_gives_back_all_descriptors() -> None:
    before = set(os.listdir("/proc/self/fd"))
    spool = Spool()
    spool.stdout.write("text")
    spool.close()
    assert set(os.listdir("/proc/self/fd")) == before
