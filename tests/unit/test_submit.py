"""What a submission writes, when it becomes visible, and what is left where it fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import DependencyError, JobStateError
from jobqueue.handle import reader_of
from jobqueue.names import Token, latch_entry
from jobqueue.store import Store
from tests.soundness import assert_sound
from tests.support import snapshot
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import attached, worker_on

__all__ = ["watched_calls"]

PREPARED = """
from jobqueue import JobProc

class prepared(JobProc):
    def postCreate(self, jobDir):
        open(jobDir + "/prepared", "x").close()
"""


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def queue(queue_dir: Path, share: HookedShare) -> jobqueue.JobQueue:
    return attached(queue_dir, share)


def _set(queue_dir: Path, *lines: str) -> jobqueue.JobQueue:
    """The queue with other settings under [main]."""
    path = queue_dir / "queue.cfg"
    path.write_text("[main]\nformatVersion = 1\n" + "\n".join(lines))
    return attached(queue_dir, QuickShare())


def _diamond(queue: jobqueue.JobQueue) -> jobqueue.JobRoot:
    root = queue.createJobRoot("noop")
    shared = root.createJob("noop").createJob("noop")
    root.createJob("noop").addDependency(shared)
    return root


def test_before_activation_there_is_nothing_in_the_queue(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    before = snapshot(queue_dir)
    _diamond(queue)
    assert snapshot(queue_dir) == before


def test_a_hierarchy_is_written_with_a_token_for_each_job_and_a_latch_for_each_that_waits(
    queue: jobqueue.JobQueue, queue_dir: Path
) -> None:
    handle = _diamond(queue).activate()
    job = Store(str(queue_dir), QuickShare()).layout.job(handle.number)
    assert sorted(os.listdir(job.dir)) == [".hierarchy", ".journal", ".tokens", ".waits"]
    assert os.listdir(job.ready) == [Token(0, 0, 0, 0).name]
    assert sorted(os.listdir(job.blocked)) == [Token(node, 0, 0, 0).name for node in (1, 2, 3)]
    latches = {name: sorted(os.listdir(f"{job.waits}/{name}")) for name in os.listdir(job.waits)}
    assert latches == {
        latch_entry(1): [latch_entry(0)],
        latch_entry(2): [latch_entry(0)],
        latch_entry(3): [latch_entry(1), latch_entry(2)],
    }
    assert assert_sound(queue_dir)[handle.number] == ["ready", "blocked", "blocked", "blocked"]


def test_everything_is_written_and_synced_before_the_one_rename_that_publishes(
    queue: jobqueue.JobQueue, share: HookedShare
) -> None:
    root = _diamond(queue)
    share.seen.clear()
    root.activate()
    names = [call.name for call in share.seen]
    assert names.count("rename") == 1
    published = names.index("rename")
    synced = names.index("sync_file_system")
    last_written = max(
        at for at, call in enumerate(share.seen[:published]) if call.writes and "/job1" in str(call.args[0])
    )
    assert last_written <= synced < published
    assert names[published:] == ["rename", "open", "fsync", "close"]


def test_a_hierarchy_can_be_activated_once(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = _diamond(queue)
    root.activate()
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="the hierarchy is active already"):
        root.activate()
    assert snapshot(queue_dir) == before


def test_a_cycle_is_found_and_nothing_is_written(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop")
    first, second = root.createJob("noop"), root.createJob("noop")
    first.addDependency(second)
    second.addDependency(first)
    before = snapshot(queue_dir)
    with pytest.raises(DependencyError, match="contains a cycle"):
        root.activate()
    assert snapshot(queue_dir) == before


@pytest.mark.parametrize("label", ["a lonely one", None])
def test_a_job_that_nobody_waits_for_is_an_error_that_names_it(
    queue: jobqueue.JobQueue, queue_dir: Path, label: str | None
) -> None:
    root = queue.createJobRoot("noop")
    jobqueue.Job(root, "noop", label=label)
    before = snapshot(queue_dir)
    with pytest.raises(DependencyError, match=f"the job {label or 'noop'!r} is no dependency of the root"):
        root.activate()
    assert snapshot(queue_dir) == before


def test_a_cycle_beside_the_root_is_called_a_cycle(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    first, second = jobqueue.Job(root, "noop"), jobqueue.Job(root, "noop")
    first.addDependency(second)
    second.addDependency(first)
    with pytest.raises(DependencyError, match="contains a cycle"):
        root.activate()


def test_more_jobs_than_numbers_are_an_error(queue: jobqueue.JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.submit.MAX_NODES", 3)
    with pytest.raises(DependencyError, match="a hierarchy holds at most 3 jobs, not 4; submit several"):
        _diamond(queue).activate()


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "section", "main", "expected"),
    [(7, 5, 3, 7), (None, 5, 3, 5), (None, None, 3, 3), (None, None, None, 0), (0, 5, 3, 0)],
)
def test_the_priority_is_the_roots_own_else_its_procedures_else_the_queues(
    queue_dir: Path, own: int | None, section: int | None, main: int | None, expected: int
) -> None:
    lines = [f"priority = {main}"] * (main is not None)
    lines += ["[noop proc]", f"priority = {section}"] * (section is not None)
    queue = _set(queue_dir, *lines)
    root = queue.createJobRoot("noop")
    root.options.priority = own
    root.activate()
    assert queue._store_or_raise().index.all()[0].priority == expected


def _places(queue: jobqueue.JobQueue) -> list[str]:
    handle = queue.listJobs()[0]
    return [node.place for node in reader_of(handle).hierarchy().nodes()]


def test_directories_are_nested_as_the_jobs_are_and_flat_below_a_depth_of_eight(queue: jobqueue.JobQueue) -> None:
    job: jobqueue.Job = queue.createJobRoot("noop")
    root = job
    for _ in range(10):
        job = job.createJob("noop")
    assert isinstance(root, jobqueue.JobRoot)
    root.activate()
    nested = ["/".join(["job0"] * depth) for depth in range(9)]
    assert _places(queue) == [".jobs/job10", ".jobs/job9", *reversed(nested)]


def test_directories_are_flat_where_the_queue_says_so(queue_dir: Path) -> None:
    queue = _set(queue_dir, "keepJobsInRepository = True")
    _diamond(queue).activate()
    assert _places(queue) == [".jobs/job2", ".jobs/job1", ".jobs/job3", ""]


def test_dependencies_that_lie_elsewhere_are_shown_as_links_which_lead_to_them(queue_dir: Path) -> None:
    queue = _set(queue_dir, "useSymLinks = True")
    handle = _diamond(queue).activate()
    top = Path(handle.location)
    assert os.readlink(top / "job1" / "job0") == "../job0/job0"
    with worker_on(queue_dir) as worker:
        worker.run_all()
    assert (top / "job1" / "job0").resolve() == top / "job0" / "job0"
    assert handle.isFinished()
    queue.deleteJobs(handle)
    assert not top.exists()


def test_links_take_no_name_that_a_sub_job_has(queue_dir: Path) -> None:
    """The other job has a sub-job of its own, which is its job0, so that the link becomes job1."""
    queue = _set(queue_dir, "useSymLinks = True")
    root = queue.createJobRoot("noop")
    shared = root.createJob("noop").createJob("noop")
    other = root.createJob("noop")
    other.addDependency(shared)
    other.createJob("noop")
    handle = root.activate()
    assert os.readlink(Path(handle.location, "job1", "job1")) == "../job0/job0"
    with worker_on(queue_dir) as worker:
        assert len(worker.run_all()) == 5
    assert set(assert_sound(queue_dir)[1]) == {"finished"}


@pytest.mark.parametrize("is_first", [True, False])
def test_links_take_no_name_of_a_sub_job_that_is_needed_by_another_one_as_well(queue_dir: Path, is_first: bool) -> None:
    """``below`` lies in ``upper``, which needs it by way of ``middle`` only: the edge between the two is dropped."""
    queue = _set(queue_dir, "useSymLinks = True")
    root = queue.createJobRoot("noop")
    upper = root.createJob("noop") if is_first else None
    elsewhere = root.createJob("noop").createJob("noop")
    upper = upper or root.createJob("noop")
    below, middle = upper.createJob("noop"), upper.createJob("noop")
    middle.addDependency(below)
    upper.addDependency(elsewhere)
    handle = root.activate()
    with worker_on(queue_dir) as worker:
        assert len(worker.run_all()) == 6
    assert set(assert_sound(queue_dir)[1]) == {"finished"}
    for job in (below, elsewhere):
        assert job._place is not None
        own = Path(handle.location, job._place)
        assert own.resolve() == own
        assert (own / ".attempt1").is_dir()


def test_links_of_a_flat_queue_stand_in_the_roots_directory(queue_dir: Path) -> None:
    queue = _set(queue_dir, "useSymLinks = True", "keepJobsInRepository = True")
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    root.createJob("noop")
    handle = root.activate()
    links = {name: os.readlink(Path(handle.location, name)) for name in ("job0", "job1")}
    assert links == {"job0": ".jobs/job1", "job1": ".jobs/job2"}


# --- directories of one's own -----------------------------------------------------------------------------------------


@pytest.fixture
def prepared(queue_dir: Path) -> None:
    """A procedure that wants to be called when its job is created."""
    path = queue_dir / "procs" / "prepared.py"
    path.write_text(PREPARED)
    path.chmod(0o644)


@pytest.mark.usefixtures("prepared")
def test_what_a_procedure_writes_when_it_is_created_lies_in_its_jobs_final_directory(
    queue: jobqueue.JobQueue, queue_dir: Path
) -> None:
    root = queue.createJobRoot("prepared")
    root.createJob("noop").createJob("prepared")
    assert sorted(str(path.relative_to(queue_dir)) for path in queue_dir.rglob("prepared")) == [
        "job1/job0/job0/prepared",
        "job1/prepared",
    ]
    assert queue.listJobs() == []
    other = queue.createJobRoot("noop").activate()
    assert other.number == 2
    assert root.activate().number == 1
    assert sorted(assert_sound(queue_dir)) == [1, 2]


@pytest.mark.usefixtures("prepared")
def test_a_failed_activation_keeps_what_a_procedure_has_written_and_can_be_repeated(
    queue: jobqueue.JobQueue, queue_dir: Path, share: HookedShare
) -> None:
    root = queue.createJobRoot("prepared")

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "sync_file_system":
            raise OSError(errno.EIO, "Input/output error")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="Input/output"):
        root.activate()
    assert sorted(os.listdir(queue_dir / "job1")) == ["prepared"]
    share.hook = lambda _, do: do()
    assert root.activate().number == 1


def test_a_failed_activation_leaves_nothing_and_gives_its_number_up(
    queue: jobqueue.JobQueue, queue_dir: Path, share: HookedShare
) -> None:
    root = _diamond(queue)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and "/blocked/" in str(call.args[0]):
            raise OSError(errno.ENOSPC, "No space left on device")
        return do()

    before = snapshot(queue_dir)
    share.hook = refuse
    with pytest.raises(OSError, match="No space left"):
        root.activate()
    assert snapshot(queue_dir) == before
    share.hook = lambda _, do: do()
    assert root.activate().number == 2


def test_a_job_that_was_published_although_its_submitter_was_told_an_error_is_acknowledged_at_the_second_try(
    queue: jobqueue.JobQueue, queue_dir: Path, share: HookedShare
) -> None:
    """Workers may have begun with it meanwhile; nothing of it is taken back."""
    root = _diamond(queue)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and str(call.args[0]).endswith("/index/runnable"):
            raise OSError(errno.EIO, "Input/output error")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="Input/output"):
        root.activate()
    share.hook = lambda _, do: do()
    with worker_on(queue_dir) as worker:
        worker.step()
    assert root.activate().number == 1
    with worker_on(queue_dir) as worker:
        worker.run_all()
    assert assert_sound(queue_dir) == {1: ["finished"] * 4}


def test_a_job_that_was_published_run_and_deleted_before_the_second_try_is_not_published_again(
    queue: jobqueue.JobQueue, queue_dir: Path, share: HookedShare
) -> None:
    root = _diamond(queue)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and str(call.args[0]).endswith("/index/runnable"):
            raise OSError(errno.EIO, "Input/output error")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="Input/output"):
        root.activate()
    share.hook = lambda _, do: do()
    queue.deleteJobs(queue.listJobs())
    assert root.activate().number == 1
    assert queue.listJobs() == []
    assert assert_sound(queue_dir) == {}


def test_without_a_number_nothing_is_left(queue: jobqueue.JobQueue, queue_dir: Path, share: HookedShare) -> None:
    root = _diamond(queue)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "mkdir":
            raise OSError(errno.EROFS, "Read-only file system")
        return do()

    before = snapshot(queue_dir)
    share.hook = refuse
    with pytest.raises(OSError, match="Read-only"):
        root.activate()
    assert snapshot(queue_dir) == before
    share.hook = lambda _, do: do()
    assert root.activate().number == 1
