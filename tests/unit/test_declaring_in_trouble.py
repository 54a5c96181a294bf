"""Declaring an output on a share that is in trouble: the job waits and is not blamed; a refusal for good fails it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.outputs import Outputs, noted
from jobqueue.worker.runner import Step
from tests.support_share import Call, HookedShare, watched_calls
from tests.support_worker import attached, new_queue, worker_on

__all__ = ["watched_calls"]

pytestmark = pytest.mark.usefixtures("watched_calls")

_FOLDER = ".jq-4f0c12ab9d.1-7.0000003.2"


class Failing:
    """Answers the first calls that ``is_meant`` with an error."""

    def __init__(self, number: int, times: int, is_meant: Callable[[Call], bool]) -> None:
        self._number = number
        self._left = times
        self._is_meant = is_meant
        self.failed = 0

    def __call__(self, call: Call, do: Callable[[], Any]) -> Any:
        if not self._left or not self._is_meant(call):
            return do()
        self._left -= 1
        self.failed += 1
        raise OSError(self._number, os.strerror(self._number), str(call.args[0]))


def _makes_folder(call: Call) -> bool:
    return call.name == "mkdir" and "/.jq-" in str(call.args[0])


def _notes(call: Call) -> bool:
    return call.name == "open" and str(call.args[0]).endswith("/.outputs")


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    (tmp_path / "shot").mkdir()
    return tmp_path / "shot"


def _ran(tmp_path: Path, shot: Path, failing: Failing) -> jobqueue.JobHandle:
    """A job with an output, run by a worker whose share fails."""
    share = HookedShare()
    queue_dir = new_queue(tmp_path / "queue")
    root = attached(queue_dir, share).createJobRoot(
        "code", text=f"with open(proc.output({str(shot / 'f.exr')!r}), 'w') as file: file.write('whole')"
    )
    handle = root.activate()
    share.hook = failing
    with worker_on(queue_dir, share) as worker:
        assert worker.step() is Step.RAN
        share.hook = lambda _, do: do()
    return handle


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("is_meant", [_makes_folder, _notes])
def test_a_job_that_declares_an_output_waits_until_the_share_is_well(
    tmp_path: Path, shot: Path, number: int, is_meant: Callable[[Call], bool], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(number, 3, is_meant)
    handle = _ran(tmp_path, shot, failing)
    assert failing.failed == 3
    assert (handle.hasError(), handle.attempt) == (False, 1), handle.error
    assert (shot / "f.exr").read_text() == "whole"
    assert "keeping job1, which declares an output, and trying again in" in caplog.text
    assert os.strerror(number) in caplog.text


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_directory_that_goes_on_refusing_fails_the_job_and_says_what_to_do(
    tmp_path: Path, shot: Path, number: int
) -> None:
    failing = Failing(number, 1000, _makes_folder)
    handle = _ran(tmp_path, shot, failing)
    assert failing.failed == 1 + 6
    assert handle.hasError()
    assert "may not write beside it" in str(handle.error) and "then `jobqueue retry job1`" in str(handle.error)
    assert str(shot / "f.exr") in str(handle.error)
    assert os.listdir(shot) == []


def test_a_full_share_is_waited_for_longer_than_a_refusal_is_believed(tmp_path: Path, shot: Path) -> None:
    failing = Failing(errno.ENOSPC, 20, _makes_folder)
    handle = _ran(tmp_path, shot, failing)
    assert failing.failed == 20
    assert not handle.hasError()


def test_a_directory_that_this_host_takes_for_missing_is_looked_for_in_a_listing(tmp_path: Path, shot: Path) -> None:
    failing = Failing(errno.ENOENT, 1, _makes_folder)
    handle = _ran(tmp_path, shot, failing)
    assert failing.failed == 1
    assert (handle.hasError(), handle.attempt) == (False, 1), handle.error
    assert (shot / "f.exr").read_text() == "whole"


def test_a_note_that_was_cut_short_does_not_take_the_next_one_along(tmp_path: Path, shot: Path) -> None:
    share = HookedShare()
    notes = str(tmp_path / "notes")
    outputs = Outputs(share, str(tmp_path / "queue"), _FOLDER, notes)
    left = [1]

    def cut(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "write" and left:
            left.pop()
            return os.write(call.args[0], call.args[1][:9])
        return do()

    share.hook = cut
    with pytest.raises(OSError, match="9 of"):
        outputs.declare(f"{shot}/f.exr")
    assert not noted(share, notes, 7, 3, 2)
    assert outputs.declare(f"{shot}/f.exr") == f"{shot}/{_FOLDER}/f.exr"
    assert noted(share, notes, 7, 3, 2) == [f"{shot}/{_FOLDER}"]
