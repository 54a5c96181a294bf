"""No rights, a full disk, a share that is away: a clear error, nothing half done, and no job fails for it."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.store import Store
from tests.support import PROCS, run_unprivileged, snapshot
from tests.support_share import Call, WatchedShare, watched_calls

__all__ = ["watched_calls"]

pytestmark = pytest.mark.usefixtures("watched_calls")


# --- no rights --------------------------------------------------------------------------------------------------------


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory that every user may look into, which those of pytest are not."""
    directory = Path(tempfile.mkdtemp(prefix="jobqueue-test-"))
    directory.chmod(0o755)
    yield directory
    _set_writable(directory, is_writable=True)
    shutil.rmtree(directory)


def _errno_of(call: Callable[[], object]) -> int | None:
    """The number of the error that a call raises, or ``None``."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def _set_writable(directory: Path, *, is_writable: bool) -> None:
    for base, directories, files in os.walk(directory):
        for path in (Path(base), *(Path(base, name) for name in directories)):
            path.chmod(0o755 if is_writable else 0o555)
        for name in files:
            Path(base, name).chmod(0o644 if is_writable else 0o444)


@pytest.fixture
def foreign_queue(public_dir: Path) -> Path:
    """A queue with a waiting and a finished job, in which an unprivileged user may only read."""
    location = public_dir / "queue"
    jobqueue.createJobQueue(str(location))
    (location / "procs" / "noop.py").write_text(PROCS["noop"])
    queue = jobqueue.JobQueue(str(location))
    queue.createJobRoot("noop", label="done before").activate()
    assert queue.runNextAvailableJob()
    queue.createJobRoot("noop", label="not yet").activate()
    _set_writable(location, is_writable=False)
    return location


_FORBIDDEN = [
    ("queue.createJobRoot('noop').activate()", "'{dir}/job3'"),
    ("queue.runNextAvailableJob()", "'{dir}/workers/"),
    ("queue.deleteJobs(waiting)", "'{dir}/index/runnable/500-00000002.0' -> '{dir}/trash/500-00000002.0'"),
    ("waiting.setError()", "'{dir}/job2/.journal/user-"),
    ("waiting.hold()", "'{dir}/index/runnable/500-00000002.0' -> '{dir}/index/held/500-00000002.1'"),
    ("waiting.cancel()", "'{dir}/index/runnable/500-00000002.0' -> '{dir}/index/done/500-00000002.1'"),
    ("waiting.setPriority(7)", "'{dir}/index/runnable/500-00000002.0' -> '{dir}/index/runnable/493-00000002.1'"),
    ("jobqueue.createJobQueue(sys.argv[1] + '/tmp/another')", "'{dir}/tmp/another'"),
]


@pytest.mark.parametrize(("call", "path"), _FORBIDDEN, ids=[row[0] for row in _FORBIDDEN])
def test_without_rights_it_is_a_permission_error_that_names_the_path(foreign_queue: Path, call: str, path: str) -> None:
    before = snapshot(foreign_queue)
    code = f"""
import sys, jobqueue
queue = jobqueue.JobQueue(sys.argv[1])
waiting = queue.findJob("job2")
try:
    print("no error:", {call})
except PermissionError as error:
    print(error)
"""
    said = run_unprivileged(code, str(foreign_queue)).splitlines()[0]
    assert said.startswith(f"[Errno 13] Permission denied: {path.replace('{dir}', str(foreign_queue))}")
    assert snapshot(foreign_queue) == before


def test_without_rights_a_queue_can_still_be_looked_at(foreign_queue: Path) -> None:
    code = """
import sys, jobqueue
for job in jobqueue.JobQueue(sys.argv[1]).listJobs():
    print(job, job.label, job.progress, job.statusLine, job.hasError(recursive=True), job.startTime is None)
"""
    assert run_unprivileged(code, str(foreign_queue)).splitlines() == [
        "job1 (finished) done before 100.0  False False",
        "job2 (waiting) not yet 0.0  False True",
    ]


def test_without_rights_to_read_it_attaching_is_an_error_that_names_the_path(foreign_queue: Path) -> None:
    (foreign_queue / "queue.cfg").chmod(0)
    code = """
import sys, jobqueue
try:
    jobqueue.JobQueue(sys.argv[1])
except PermissionError as error:
    print(error)
"""
    said = run_unprivileged(code, str(foreign_queue))
    assert said == f"[Errno 13] Permission denied: '{foreign_queue}/queue.cfg'\n"


def test_without_rights_a_worker_says_so_in_one_sentence(foreign_queue: Path) -> None:
    before = snapshot(foreign_queue)
    code = """
import sys
from jobqueue.cli.runjobs import main
sys.stderr = sys.stdout
print(main([sys.argv[1], "--exit-when-empty"]))
"""
    said, code_line = run_unprivileged(code, str(foreign_queue)).splitlines()
    assert said.startswith(f"runjobs: {foreign_queue}/workers/runjobs-")
    assert said.endswith(": Permission denied")
    assert code_line == "1"
    assert snapshot(foreign_queue) == before


def test_a_job_that_cannot_be_deleted_is_an_os_error_and_is_not_run_any_more(
    queue: jobqueue.JobQueue, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = _Scarce()
    queue._store = Store(str(queue_dir), share=share)
    job = queue.createJobRoot("noop").activate()
    share.refused = str(queue_dir / "job1" / ".hierarchy")
    with pytest.raises(PermissionError, match=r"job1/\.hierarchy"):
        queue.deleteJobs(job)
    assert not queue.runNextAvailableJob()
    assert queue.listJobs() == []
    share.refused = ""
    queue.deleteJobs(job)
    assert not Path(job.location).exists()


# --- a full disk ------------------------------------------------------------------------------------------------------


_TAKES_ROOM = frozenset({"open", "mkdir", "write", "symlink", "rename"})


class _Scarce(WatchedShare):
    """A share with room for so many more calls that take some, where one file may not be removed, or that is away.

    Attributes:
        room: how many; ``None`` for any number.
        reach: how many calls of any kind are answered before the share is away; ``None`` for all.
        away: the error of a share that is away.
        refused: the path that may not be removed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room: int | None = None
        self.reach: int | None = None
        self.away = errno.ENOTCONN
        self.refused = ""

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        path = str(call.args[0])
        if self.reach is not None and call.name != "close":
            if self.reach == 0:
                raise OSError(self.away, os.strerror(self.away), path)
            self.reach -= 1
        if self.room is not None and call.writes and call.name in _TAKES_ROOM:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self.room -= 1
        if call.name == "unlink" and path == self.refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return do()


@pytest.fixture
def share(queue: jobqueue.JobQueue, queue_dir: Path) -> _Scarce:
    """The share that ``queue`` works on."""
    share = _Scarce()
    queue._store = Store(str(queue_dir), share=share)
    return share


@pytest.mark.parametrize("exists", [False, True])
def test_on_a_full_disk_no_queue_is_made_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    share = _Scarce()
    monkeypatch.setattr("jobqueue.queue.Share", lambda: share)
    location = tmp_path / "queue"
    if exists:
        location.mkdir()
    for room in itertools.count():
        share.room = room
        before = snapshot(tmp_path)
        failed = _errno_of(lambda: jobqueue.createJobQueue(str(location)))
        if failed is None:
            break
        assert failed == errno.ENOSPC
        assert snapshot(tmp_path) == before
    assert room > 10
    assert jobqueue.JobQueue(str(location)).listJobs() == []


def _hierarchy(queue: jobqueue.JobQueue) -> jobqueue.JobRoot:
    root = queue.createJobRoot("noop")
    root.createJob("noop").createJob("noop")
    return root


_CHANGES: list[tuple[str, Callable[[jobqueue.JobQueue], Any]]] = [
    ("activate", lambda queue: _hierarchy(queue).activate()),
    ("setError", lambda queue: queue.findJob("job2/job0/job0").setError()),
    ("hold", lambda queue: queue.findJob("job2").hold()),
    ("setPriority", lambda queue: queue.findJob("job2").setPriority(9)),
    ("runNextAvailableJob", lambda queue: queue.runNextAvailableJob()),
]


@pytest.mark.parametrize("change", [row[1] for row in _CHANGES], ids=[row[0] for row in _CHANGES])
def test_on_a_full_disk_it_is_an_error_and_nothing_has_changed(
    queue: jobqueue.JobQueue, queue_dir: Path, share: _Scarce, change: Callable[[jobqueue.JobQueue], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for _ in range(2):
        _hierarchy(queue).activate()
    # From the claim on there is a result to be kept; that is another test.
    monkeypatch.setattr("jobqueue.worker.inprocess.InProcessWorker.run_next", lambda *_given: True)
    for room in itertools.count():
        share.room = room
        before = snapshot(queue_dir)
        failed = _errno_of(lambda: change(queue))
        share.room = None
        if failed is None:
            break
        assert failed == errno.ENOSPC
        assert snapshot(queue_dir) == before, f"with room for {room} calls"
    assert room > 0
    assert len(queue.listJobs()) in (2, 3)


def test_an_activation_that_failed_on_a_full_disk_can_be_tried_again(
    queue: jobqueue.JobQueue, share: _Scarce, run_all: Callable[[], int]
) -> None:
    root = _hierarchy(queue)
    for room in itertools.count():
        share.room = room
        if _errno_of(root.activate) is None:
            break
    share.room = None
    assert len(queue.listJobs()) == 1
    assert run_all() == 3


def test_what_post_create_has_written_outlives_a_full_disk(
    queue: jobqueue.JobQueue, queue_dir: Path, share: _Scarce, run_all: Callable[[], int]
) -> None:
    path = queue_dir / "procs" / "prepared.py"
    path.write_text(
        "import jobqueue\n"
        "class prepared(jobqueue.JobProc):\n"
        "    def postCreate(self, jobDir):\n"
        "        with open(jobDir + '/notes', 'w') as file: file.write('ready')\n"
        "    def run(self):\n"
        "        with open('../notes') as file: return file.read()\n"
    )
    path.chmod(0o644)
    root = queue.createJobRoot("prepared")
    root.createJob("prepared")
    share.room = 12
    with pytest.raises(OSError, match="No space left"):
        root.activate()
    share.room = None
    job = root.activate()
    assert run_all() == 2
    assert [handle.result for handle in (job, *job.listSubJobs())] == ["ready", "ready"]


# --- trouble while a job runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EINTR]
)
def test_the_result_of_a_job_is_kept_until_the_share_takes_it(
    queue: jobqueue.JobQueue, share: _Scarce, tmp_path: Path, number: int, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    diary = tmp_path / "diary"
    root = queue.createJobRoot("note", path=str(diary), text="root")
    root.createJob("note", path=str(diary), text="child")
    job = root.activate()
    trouble = iter(range(0))
    troubles: list[str] = []

    def after_run(self: Any, **more: Any) -> Any:
        nonlocal trouble
        record = run(self, **more)
        trouble = iter(range(5))
        return record

    def on_call(self: _Scarce, call: Call, do: Callable[[], Any], /) -> Any:
        if call.writes and call.name != "utime" and next(trouble, None) is not None:
            troubles.append(call.name)
            raise OSError(number, os.strerror(number), str(call.args[0]))
        return do()

    from jobqueue.attempt import Attempt

    run = Attempt.run
    monkeypatch.setattr(Attempt, "run", after_run)
    monkeypatch.setattr(_Scarce, "on_call", on_call)
    with caplog.at_level(logging.WARNING, "jobqueue"):
        assert queue.runNextAvailableJob()
        assert queue.runNextAvailableJob()
    assert len(troubles) == 10
    assert "keeping the result of job1/job0 and trying again in 0.5 s" in caplog.text
    assert os.strerror(number) in caplog.text
    assert diary.read_text() == "child\nroot\n"
    assert job.isFinished()
    assert not job.hasError(recursive=True)
    assert [handle.attempt for handle in (job, *job.listSubJobs())] == [1, 1]


# --- a share that is away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EINTR])
def test_a_share_that_goes_away_during_a_submission_publishes_all_or_nothing(
    queue: jobqueue.JobQueue, queue_dir: Path, share: _Scarce, run_all: Callable[[], int], number: int
) -> None:
    share.away = number
    for reach in itertools.count():
        share.reach = reach
        failed = _errno_of(lambda: _hierarchy(queue).activate())
        share.reach = None
        if failed is None:
            break
        assert failed == number
        # The last calls come after the one that publishes: then it is published, and only the answer is lost.
        for job in jobqueue.JobQueue(str(queue_dir)).listJobs():
            (child,) = job.listSubJobs()
            assert child.listSubJobs()[0].isWaiting()
    assert reach > 10
    assert run_all() == 3 * len(queue.listJobs())


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO])
def test_an_activation_that_was_tried_again_publishes_once(
    queue: jobqueue.JobQueue, share: _Scarce, run_all: Callable[[], int], number: int
) -> None:
    share.away = number
    for reach in itertools.count():
        root = _hierarchy(queue)
        before = len(queue.listJobs())
        share.reach = reach
        failed = _errno_of(root.activate)
        share.reach = None
        if failed is None:
            break
        job = root.activate()
        assert len(queue.listJobs()) == before + 1
        assert job == queue.listJobs()[-1]
    assert reach > 10
    assert run_all() == 3 * len(queue.listJobs())


def test_a_share_that_is_away_is_an_os_error_that_names_the_path(
    queue: jobqueue.JobQueue, queue_dir: Path, share: _Scarce
) -> None:
    job = _hierarchy(queue).activate()
    share.reach = 0
    calls: list[Callable[[], object]] = [
        queue.listJobs, queue.runNextAvailableJob, lambda: queue.findJob("job1"), lambda: queue.deleteJobs(job),
        job.isFinished, job.setError, job.hold, lambda: _hierarchy(queue).activate(),
        lambda: Store(str(queue_dir), share=share),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(OSError, match=f"Transport endpoint is not connected: '{queue_dir}"):
            call()
    share.reach = None
    assert queue.listJobs() == [job]
    assert job.isWaiting()
