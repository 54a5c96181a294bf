"""A queue of format version 1, made by the first version of this project, is read and worked on for ever.

Where a test here fails, the code has to change, not the archive; a new format version gets an archive of its own.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import JobStateError
from jobqueue.handle import reader_of
from jobqueue.history import attempts
from jobqueue.overview import QueueState, top_jobs
from jobqueue.waiting import Outcome, look
from tests.compat.values import VALUES
from tests.soundness import assert_sound
from tests.support import run_jobqueue, same, snapshot, start_runjobs

_ARCHIVE = Path(__file__).with_name("format1.tar")
_BEGAN = 1_700_000_000


@pytest.fixture
def location(tmp_path: Path) -> Path:
    # By hand, since what extractall() has to be told differs from one Python to the next.
    with tarfile.open(_ARCHIVE) as tar:
        for member in tar:
            path = tmp_path / member.name
            if member.isdir():
                path.mkdir()
            elif member.issym():
                path.symlink_to(member.linkname)
            else:
                content = tar.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
    # The user's umask may let others write, and then code from procs/ would be refused.
    for path in (tmp_path / "queue" / "procs", tmp_path / "queue" / "procs" / "unsteady.py"):
        path.chmod(0o755)
    return tmp_path / "queue"


@pytest.fixture
def queue(location: Path) -> jobqueue.JobQueue:
    return jobqueue.JobQueue(str(location))


def _tree(job: jobqueue.JobHandle) -> dict[str, Any]:
    """Label, state and attempts of a job and of all below it, by name."""
    found = {job.name: (job.label, job.state.value, job.attempt)}
    for child in job.listSubJobs():
        found.update(_tree(child))
    return found


def test_the_top_level_jobs_are_listed_in_their_order(queue: jobqueue.JobQueue) -> None:
    assert queue._store
    assert [(job.name, job.entry.priority, job.state) for job in top_jobs(queue._store)] == [
        ("job2", 3, QueueState.DONE),
        ("job1", 0, QueueState.DONE),
        ("job3", 0, QueueState.STALLED),
        ("job4", 0, QueueState.DONE),
        ("job6", 0, QueueState.READY),
        ("job7", -7, QueueState.HELD),
    ]
    labels = [job.label for job in queue.listJobs()]
    assert labels == ["attempts", "results", "stalled", "cancelled", "depth 0", "held"]


def test_reading_changes_nothing(queue: jobqueue.JobQueue, location: Path) -> None:
    before = snapshot(location)
    for job in queue.listJobs():
        _tree(job)
        look(job)
    assert snapshot(location) == before
    assert_sound(location)


@pytest.mark.parametrize("name", VALUES)
def test_results_of_every_type_are_read(queue: jobqueue.JobQueue, name: str) -> None:
    jobs = {job.label: job for job in queue.findJob("job1").listSubJobs()}
    assert list(jobs) == list(VALUES)
    assert same(jobs[name].result, VALUES[name])


def test_the_result_of_the_whole_is_read(queue: jobqueue.JobQueue) -> None:
    assert queue.findJob("job1").result == list(VALUES)


def test_jobs_that_needed_several_attempts_are_read(queue: jobqueue.JobQueue) -> None:
    root = queue.findJob("job2")
    assert _tree(root) == {
        "job2": ("attempts", "finished", 1),
        "job2/job0": ("failed once", "finished", 2),
        "job2/job1": ("died twice", "finished", 3),
    }
    assert queue._store
    stories = {}
    for node, job in enumerate(root.listSubJobs()):
        story = attempts(queue._store, reader_of(root).job, node, reader_of(job).place, reader_of(job).look())
        stories[job.label] = [(view.state, view.reason) for view in story]
    assert stories == {
        "failed once": [("failed", "RuntimeError: out of paint"), ("finished", None)],
        "died twice": [
            ("died", "its process ended with exit code 9"),
            ("died", "its process ended with exit code 9"),
            ("finished", None),
        ],
    }
    printed = [Path(job.stdoutFile).read_text() for job in root.listSubJobs()]
    assert printed == ["attempt 2: good\n", "attempt 3: good\n"]
    assert [job.result for job in root.listSubJobs()] == ["good", "good"]


def test_a_stalled_hierarchy_is_read(queue: jobqueue.JobQueue) -> None:
    root = queue.findJob("job3")
    assert _tree(root) == {
        "job3": ("stalled", "blocked", 0),
        "job3/job0": ("middle", "blocked", 0),
        "job3/job0/job0": ("failed", "failed", 1),
        "job3/job0/job1": ("printed", "finished", 1),
        "job3/job1": ("made to fail", "failed", 0),
        "job3/job1/job0": ("below", "finished", 1),
    }
    assert look(root).outcome is Outcome.STALLED
    middle, early = root.listSubJobs()
    failed, printed = middle.listSubJobs()
    assert failed.error == "RuntimeError: out of paint"
    assert (failed.progress, failed.statusLine) == (50, "about to be fail")
    assert Path(failed.procTracebackFile).read_text().endswith("RuntimeError: out of paint\n")
    assert Path(printed.stdoutFile).read_text() == "hello\n"
    assert early.error == "made to fail by artist@farm1 before it began"
    assert (early.startTime, early.progress) == (None, 0)
    with pytest.raises(JobStateError, match="out of paint"):
        _ = failed.result


def test_times_and_names_are_read(queue: jobqueue.JobQueue) -> None:
    root = queue.findJob("job3")
    (failed, _) = root.listSubJobs()[0].listSubJobs()
    assert reader_of(root).hierarchy().submitter == "artist@farm1"
    assert failed.startTime is not None
    assert failed.endTime is not None
    assert _BEGAN < root.submitTime < failed.startTime < failed.endTime < _BEGAN + 10_000
    assert failed.worker is not None
    assert failed.worker.startswith("worker-farm1-")


def test_a_cancelled_hierarchy_is_read(queue: jobqueue.JobQueue) -> None:
    assert _tree(queue.findJob("job4")) == {
        "job4": ("cancelled", "cancelled", 0),
        "job4/job0": ("held back", "cancelled", 0),
    }


def test_a_chain_in_nested_and_flat_directories_is_read(queue: jobqueue.JobQueue, location: Path) -> None:
    tree = _tree(queue.findJob("job6"))
    assert [label for label, _, _ in tree.values()] == [f"depth {depth}" for depth in range(12)]
    assert [state for _, state, _ in tree.values()] == ["blocked"] * 6 + ["ready"] + ["finished"] * 5
    assert list(tree)[7:] == [
        "job6/job0/job0/job0/job0/job0/job0/job0", "job6/job0/job0/job0/job0/job0/job0/job0/job0",
        "job6/.jobs/job9", "job6/.jobs/job10", "job6/.jobs/job11",
    ]  # fmt: skip
    for name in list(tree)[7:]:
        assert Path(queue.findJob(name).stdoutFile).read_text() == f"{name}\n"
    assert (location / "job6" / ".jobs" / "job9" / "job0").resolve() == location / "job6" / ".jobs" / "job10"


def test_a_held_hierarchy_is_read_with_its_options(queue: jobqueue.JobQueue) -> None:
    root = queue.findJob("job7")
    assert _tree(root) == {
        "job7": ("held", "blocked", 0),
        "job7/job0": ("left", "blocked", 0),
        "job7/job0/job0": ("shared", "ready", 0),
        "job7/job1": ("right", "blocked", 0),
    }
    left, right = root.listSubJobs()
    assert left.listSubJobs() == right.listSubJobs()
    assert reader_of(left.listSubJobs()[0]).node().options == {"maxAttempts": 7}
    assert queue._store
    assert queue._store.config.proc_options("command") == {"timeout": 3600}
    assert queue._store.config.use_sym_links


def test_numbers_of_deleted_jobs_are_not_used_again(queue: jobqueue.JobQueue) -> None:
    assert queue.createJobRoot("command", cmd="true").activate().number == 9


def test_the_commands_read_it(location: Path) -> None:
    listed = run_jobqueue("-q", str(location), "list")
    assert listed.returncode == 0, listed.stderr
    names = [line.split(maxsplit=1)[0] for line in listed.stdout.splitlines()[1:7]]
    assert names == ["job2", "job1", "job3", "job4", "job6", "job7"]
    for name in ("job1", "job2", "job3", "job4", "job6", "job7", "job3/job0/job0", "job1/job4"):
        for command in ("show", "tree", "log"):
            done = run_jobqueue("-q", str(location), command, name)
            assert done.returncode == 0, (command, name, done.stderr)


def test_it_goes_on_to_its_end(queue: jobqueue.JobQueue, location: Path) -> None:
    stalled, held, cancelled = (queue.findJob(name) for name in ("job3", "job7", "job4"))
    assert stalled.retry() == 2
    held.release()
    worker = start_runjobs(location, "--slots", "2", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    for job in queue.listJobs():
        assert job.isFinished()
        assert job.hasError(recursive=True) is (job == cancelled)
    failed = stalled.listSubJobs()[0].listSubJobs()[0]
    assert (failed.attempt, failed.result) == (2, "good")
    assert Path(queue.findJob("job6").stdoutFile).read_text() == "job6\n"
    assert (Path(held.location) / "job0" / "job0" / "notes").read_text() == "made by postCreate"
    assert os.listdir(location / "workers") == []
    assert_sound(location)
    queue.deleteJobs(queue.listJobs())
    assert not [name for name in os.listdir(location) if name.startswith("job")]
