"""What a job has printed is for people: it keeps no result back for good."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobqueue.share import Appender
from tests.support_share import QuickShare
from tests.support_worker import attached, new_queue, worker_on


class _Refusing(QuickShare):
    """Does not take what a job has printed."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.refused = 0

    def append_to(self, path: str) -> Appender:
        if path.endswith("/stdout"):
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number), path)
        return super().append_to(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
def test_a_directory_that_takes_no_output_does_not_keep_the_result_for_ever(tmp_path: Path, number: int) -> None:
    queue_dir = new_queue(tmp_path / "q")
    handle = attached(queue_dir, QuickShare()).createJobRoot("code", text="print('out')").activate()
    share = _Refusing(number)
    with worker_on(queue_dir, share) as worker:
        assert worker.run_all() == ["job1"]
    assert handle.isFinished() and not handle.hasError()
    assert share.refused
    assert share.clock.monotonic() < 60
