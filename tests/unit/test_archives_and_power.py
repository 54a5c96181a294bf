"""Archiving on a disk that loses its power at any moment: afterwards the job can be read, where it was or archived."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

import jobqueue
from jobqueue import queue as queue_module
from jobqueue.config import config_text
from jobqueue.errors import JobStateError
from jobqueue.layout import QueueLayout
from jobqueue.state import JobState
from jobqueue.store import Store
from jobqueue.testing import Fault, ModelCall, ModelHost, ModelServer, ModelShare, Watcher
from jobqueue.testing.process import ModelProcess, ProcessEnded

_QUEUE = "/q"
_PRINTED = b"something that the job has printed\n"


class _Ends(Watcher):
    """Ends a process before one of its calls."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.calls = 0

    def before(self, process: ModelProcess, call: ModelCall) -> Fault | None:
        self.calls += 1
        if self.calls == self._at:
            raise ProcessEnded
        return None


def _attached(share: ModelShare) -> jobqueue.JobQueue:
    queue = jobqueue.JobQueue(None)
    queue._store = Store(_QUEUE, share)
    return queue


def _disk(seed: int) -> ModelServer:
    """A queue with a hierarchy that was cancelled after it had printed something."""
    server = ModelServer(chance=random.Random(seed), kind="ext4")
    share = ModelShare(ModelHost(server))
    share.make_dir(_QUEUE)
    text = config_text(keep_jobs_in_repository=False, use_sym_links=False)
    queue_module._lay_out(share, QueueLayout(_QUEUE), text, [])
    root = _attached(share).createJobRoot()
    root.createJob()
    job = root.activate()
    share.make_dir(f"{_QUEUE}/job1/.attempt1")
    share.write_new(f"{_QUEUE}/job1/.attempt1/stdout", _PRINTED)
    job.cancel()
    server.sync_everything()
    return server


def _archive_until(server: ModelServer, at: int) -> bool:
    """Archives the job; whether that came to its end before a call."""
    watcher = _Ends(at)
    with suppress(ProcessEnded):
        _attached(ModelShare(ModelHost(server), watcher=watcher)).findJob("job1").archive()
    return watcher.calls < at


def test_whenever_the_power_goes_the_job_is_where_it_was_or_in_its_archive() -> None:
    at, is_over, seen = 0, False, set()
    while not is_over:
        at += 1
        for seed in range(6):
            server = _disk(1000 * at + seed)
            is_over = _archive_until(server, at)
            server.cut_power()
            # Another process, by whose chance no draft has the name of an earlier one.
            share = ModelShare(ModelHost(server), chance=random.Random(seed))
            queue = _attached(share)
            job = queue.findJob("job1")
            assert job.state is JobState.CANCELLED
            assert [sub.state for sub in job.listSubJobs()] == [JobState.CANCELLED]
            seen.add(job.archiveFile is not None)
            # By the share that it has just been looked at with, be it the archive's.
            assert job._reader.store.share.read(f"{_QUEUE}/job1/.attempt1/stdout") == _PRINTED
            if job.archiveFile is None:
                job.archive()
            archived = queue.findJob("job1")
            reader = archived._reader
            reader.summary()
            assert reader.store.share.read(f"{_QUEUE}/job1/.attempt1/stdout") == _PRINTED
            assert reader.packed is not None
            assert queue.createJobRoot().activate().number == 2
    # Calls of both kinds were cut.
    assert seen == {False, True}
    assert at > 50


def test_whenever_the_power_goes_while_another_goes_on_nothing_is_lost() -> None:
    """Somebody has died while he archived it; who archives it again is stopped by a power cut."""
    chance, first, is_over = random.Random(1), 0, False
    while not is_over:
        first += 1
        for second in chance.sample(range(1, 60), 6):
            server = _disk(1000 * first + second)
            is_over = _archive_until(server, first)
            with suppress(JobStateError):
                _archive_until(server, second)
            server.cut_power()
            queue = _attached(ModelShare(ModelHost(server), chance=random.Random(second)))
            job = queue.findJob("job1")
            assert job.state is JobState.CANCELLED
            assert job._reader.store.share.read(f"{_QUEUE}/job1/.attempt1/stdout") == _PRINTED
    assert first > 50


@pytest.mark.parametrize("action", ["archive", "delete"])
def test_a_number_that_was_used_is_not_used_again_after_a_power_cut(action: str) -> None:
    for seed in range(20):
        server = _disk(seed)
        queue = _attached(ModelShare(ModelHost(server)))
        if action == "archive":
            queue.findJob("job1").archive()
        else:
            queue.deleteJobs(queue.findJob("job1"))
        server.cut_power()
        again = _attached(ModelShare(ModelHost(server), chance=random.Random(seed)))
        assert again.createJobRoot().activate().number == 2
