"""Makes a queue with jobs in every state, for `test_format1.py`: ``python -m tests.compat.make_queue FILE.tar``.

The archive that is checked in was made by the first version with this format. It is not made anew: what it holds is
what queues of this format may hold for ever.
"""

from __future__ import annotations

import io
import itertools
import logging
import os
import sys
import tarfile
import tempfile
import traceback
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jobqueue
from jobqueue.clock import Clock
from jobqueue.store import Store
from jobqueue.worker.crew import WorkerSettings
from jobqueue.worker.supervisor import Supervisor
from tests.compat.values import VALUES

HOST, USER, BEGAN = "farm1", "artist", 1_700_000_000.0

# Fails, dies or succeeds, as it is told for each attempt.
_UNSTEADY = '''"""A procedure that needs several attempts."""

import os

from jobqueue import JobProc


class unsteady(JobProc):
    """Ends its attempts as it is told: fail, die or good."""

    def __init__(self, ends, label=None):
        super().__init__(label)
        self.ends = ends

    def postCreate(self, jobDir):
        with open(os.path.join(jobDir, "notes"), "w") as file:
            file.write("made by postCreate")

    def run(self):
        end = self.ends[int(os.environ["JOBQUEUE_ATTEMPT"]) - 1]
        self.setProgress(50)
        self.setStatusLine(f"about to be {end}")
        print(f"attempt {os.environ['JOBQUEUE_ATTEMPT']}: {end}", flush=True)
        if end == "die":
            os._exit(9)
        if end == "fail":
            raise RuntimeError("out of paint")
        return end
'''


def _work(location: str, max_jobs: int | None = None) -> None:
    log = logging.getLogger("nobody")
    log.setLevel(logging.CRITICAL)
    settings = WorkerSettings(slots=1, poll_s=0.05, exit_when_empty=True, max_jobs=max_jobs)
    code = Supervisor(Store(location, log=log), "worker", settings).run()
    assert code == 0


def _submit_results(queue: jobqueue.JobQueue) -> None:
    """job1: results of every type."""
    root = queue.createJobRoot("python", function="copy:deepcopy", args=[list(VALUES)], label="results")
    for name, value in VALUES.items():
        root.createJob("python", function="copy:deepcopy", args=[value], label=name)
    root.activate()


def _submit_attempts(queue: jobqueue.JobQueue) -> jobqueue.JobHandle:
    """job2: several attempts."""
    root = queue.createJobRoot(label="attempts")
    root.createJob("unsteady", ends=["fail", "good"], label="failed once")
    root.createJob("unsteady", ends=["die", "die", "good"], label="died twice")
    root.options.priority = 3
    return root.activate()


def _submit_stalled(queue: jobqueue.JobQueue) -> None:
    """job3: will be stalled."""
    root = queue.createJobRoot(label="stalled")
    middle = root.createJob("command", cmd="echo never", label="middle")
    middle.createJob("unsteady", ends=["fail", "good"], label="failed")
    middle.createJob("command", cmd=["echo", "hello"], label="printed")
    failed_early = root.createJob("command", cmd="true", label="made to fail")
    failed_early.createJob("command", cmd="true", label="below")
    root.activate().listSubJobs()[1].setError()


def _submit_cancelled(queue: jobqueue.JobQueue) -> jobqueue.JobHandle:
    """job4: will be cancelled."""
    root = queue.createJobRoot("command", cmd="true", label="cancelled")
    root.createJob("command", cmd="true", label="held back").options.timeout = 60
    return root.activate()


def _submit_chain(queue: jobqueue.JobQueue) -> None:
    """job6: a chain that is deeper than directories are nested."""
    root = queue.createJobRoot("command", cmd="echo $JOBQUEUE_JOB", label="depth 0")
    job: jobqueue.Job = root
    for depth in range(1, 12):
        job = job.createJob("command", cmd="echo $JOBQUEUE_JOB", label=f"depth {depth}")
    root.activate()


def _submit_held(queue: jobqueue.JobQueue) -> None:
    """job7: held; two sub-jobs share a third."""
    root = queue.createJobRoot("command", cmd="true", label="held")
    left, right = (root.createJob("command", cmd="true", label=side) for side in ("left", "right"))
    shared = left.createJob("unsteady", ends=["good"], label="shared")
    shared.options.maxAttempts = 7
    right.addDependency(shared)
    held = root.activate()
    held.hold()
    held.setPriority(-7)


def _fill(location: str) -> None:
    queue = jobqueue.JobQueue(location)
    _submit_results(queue)
    retried = _submit_attempts(queue)
    _submit_stalled(queue)
    cancelled = _submit_cancelled(queue)
    cancelled.hold()
    deleted = queue.createJobRoot("command", cmd="true", label="deleted").activate()
    deleted.hold()
    _work(location)
    assert retried.retry() == 1
    _work(location)
    _submit_chain(queue)
    # Half of the chain is done.
    _work(location, max_jobs=5)
    _submit_held(queue)
    cancelled.release()
    cancelled.cancel()
    queue.deleteJobs(deleted)
    # job8: deleted, so that the highest number is a tombstone's.
    queue.deleteJobs(queue.createJobRoot("command", cmd="true").activate())


def _pack(location: Path, archive: Path) -> None:
    def neutral(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = int(BEGAN)
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in [location, *sorted(location.rglob("*"))]:
            tar.add(path, Path("queue") / path.relative_to(location), recursive=False, filter=neutral)
    archive.write_bytes(buffer.getvalue())


def main() -> None:
    """Makes the queue on the local disk, and packs it."""
    ticks = itertools.count()
    format_exc, library = traceback.format_exc, str(Path(jobqueue.__file__).parent)
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.object(os, "uname", return_value=SimpleNamespace(nodename=HOST)),
        mock.patch.dict(os.environ, LOGNAME=USER),
        mock.patch.object(Clock, "now", lambda _: BEGAN + next(ticks)),
        mock.patch.object(
            traceback,
            "format_exc",
            lambda: format_exc().replace(library, "/usr/jobqueue").replace(directory, "/share"),
        ),
    ):
        location = Path(directory) / "queue"
        jobqueue.createJobQueue(str(location), useSymLinks=True)
        (location / "procs" / "unsteady.py").write_text(_UNSTEADY)
        (location / "procs" / "unsteady.py").chmod(0o644)
        config = location / "queue.cfg"
        config.write_text(config.read_text() + "\n[command proc]\ntimeout = 3600\n")
        _fill(str(location))
        _pack(location, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
