"""A queue for the tests of others."""

from __future__ import annotations

import os

from jobqueue.testing import temporary_queue

_PROC = """
from jobqueue import JobProc

class greet(JobProc):
    def run(self):
        return "hello"
"""


def test_a_temporary_queue_runs_jobs_and_is_gone_afterwards() -> None:
    with temporary_queue({"greet": _PROC}) as queue:
        job = queue.createJobRoot("greet").activate()
        while queue.runNextAvailableJob():
            pass
        assert job.result == "hello"
        assert queue.location is not None
        location = queue.location
        assert os.path.isdir(location)
    assert not os.path.exists(location)
