"""Archiving: what may be archived, what is left at each moment, and what others do meanwhile."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue import control, removal
from jobqueue.archiving import archive
from jobqueue.errors import BrokenJobError, JobNotFoundError, JobStateError, LostRaceError
from jobqueue.item import ItemHandle
from jobqueue.share import TICK_S
from jobqueue.state import JobState
from jobqueue.store import Store
from jobqueue.waiting import Outcome, look
from tests.soundness import assert_sound
from tests.support import run_unprivileged, snapshot
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import attached, worker_on

__all__ = ["watched_calls"]

_ARRAY = ["print('hello')", "raise RuntimeError('never')", "result = {'squared': 4}", ""]


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def queue(queue_dir: Path) -> jobqueue.JobQueue:
    """A queue with job1: node 0 prints, node 1 is an array of which item 1 has failed, node 2 waits for them."""
    queue = attached(queue_dir, QuickShare())
    root = queue.createJobRoot("noop", label="study")
    root.createJob("code", text="proc.stdout.write('printed'); proc.setStatusLine('there'); result = (1, b'2')")
    root.createJobArray("code", over={"text": _ARRAY}, chunk=2)
    root.activate()
    with worker_on(queue_dir) as worker:
        worker.run_all()
    return queue


@pytest.fixture
def ended(queue: jobqueue.JobQueue) -> jobqueue.JobQueue:
    queue.findJob("job1").cancel()
    return queue


@pytest.fixture
def store(queue_dir: Path, ended: jobqueue.JobQueue, share: HookedShare) -> Store:
    return Store(str(queue_dir), share)


def _told(queue_dir: Path) -> dict[str, Any]:
    """All that is said of the job, by whoever knows nothing yet."""
    return _all_of(attached(queue_dir, QuickShare(5)).findJob("job1"))


def _all_of(job: jobqueue.JobHandle) -> dict[str, Any]:
    first, array = job.listSubJobs()
    return {
        **{name: getattr(job, name) for name in ("state", "label", "submitTime", "error", "attempt", "number")},
        "first": [getattr(first, name) for name in ("state", "result", "statusLine", "startTime", "endTime", "worker")],
        "counts": array.countItemsByState(),
        "items": [_of_item(item) for item in array.listItems()],
        "failed": [item.name for item in array.listItems(JobState.FAILED)],
        "bad": (job.hasError(), job.hasError(recursive=True)),
        "outcome": look(job)._replace(job=job),
    }  # fmt: skip


def _of_item(item: ItemHandle) -> list[Any]:
    printed = item.reader.printed(item.index)
    told = [item.state, item.attempt, item.worker, item.error, item.startTime, printed and printed.texts["stdout"]]
    return told + ([item.result] if item.state is JobState.FINISHED else [])


def _assert_archived(queue_dir: Path) -> None:
    assert os.listdir(queue_dir / "archive") == ["job1.zip"]
    assert not (queue_dir / "job1").exists()
    assert os.listdir(queue_dir / "trash") == os.listdir(queue_dir / "tmp") == []
    assert assert_sound(queue_dir) == {}


# --- what it does -----------------------------------------------------------------------------------------------------


def test_what_is_archived_is_known_as_before(store: Store, queue_dir: Path) -> None:
    before = _told(queue_dir)
    assert before["items"][0][-2:] == [b"hello\n", None]
    assert before["failed"] == ["job1/job1:1"]
    archive(store, 1)
    _assert_archived(queue_dir)
    assert _told(queue_dir) == before


def test_a_handle_from_before_finds_the_archive(store: Store, ended: jobqueue.JobQueue) -> None:
    job = ended.findJob("job1")
    first, array = job.listSubJobs()
    item = array.item(2)
    before = _all_of(job)
    assert (job.archiveFile, first.archiveFile) == (None, None)
    archive(store, 1)
    assert first.result == (1, b"2")
    assert item.result == {"squared": 4}
    assert array.listItems(JobState.FAILED)[0].error == "RuntimeError: never"
    assert _all_of(job) == before
    assert job.archiveFile == array.archiveFile == f"{store.layout.archives}/job1.zip"
    assert look(job).outcome is Outcome.CANCELLED


def test_the_list_of_jobs_is_without_it_and_another_list_has_it(store: Store, ended: jobqueue.JobQueue) -> None:
    assert ended.listArchivedJobs() == []
    archive(store, 1)
    assert ended.listJobs() == []
    assert [job.name for job in ended.listArchivedJobs()] == ["job1"]
    assert ended.findJob("job1/job1").countItems() == 4
    assert [item.index for item in ended.findItems("job1:1-2")] == [1, 2]
    with pytest.raises(JobNotFoundError, match="job1 has no sub-job job9"):
        ended.findJob("job1/job9")
    assert jobqueue.JobQueue(None).listArchivedJobs() == []


def test_its_number_is_not_used_again(store: Store, ended: jobqueue.JobQueue) -> None:
    archive(store, 1)
    assert ended.createJobRoot().activate().number == 2


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda job: job.cancel(), "cancelled"), (lambda job: job.hold(), "held"),
        (lambda job: job.release(), "released"), (lambda job: job.setPriority(3), "given a priority"),
        (lambda job: job.retry(), "tried again"), (lambda job: job.listSubJobs()[0].retry(), "tried again"),
        (lambda job: job.setError(), "made to fail"),
        (lambda job: jobqueue.item.retry_items([job.listSubJobs()[1].item(1)]), "tried again"),
    ],
)  # fmt: skip
def test_nothing_can_be_done_to_it(
    store: Store, ended: jobqueue.JobQueue, act: Callable[[jobqueue.JobHandle], object], what: str
) -> None:
    archive(store, 1)
    before = snapshot(store.layout.dir)
    for job in (ended.findJob("job1"), ended.listArchivedJobs()[0]):
        with pytest.raises(JobStateError, match=f"job1.zip: job1 is archived, so nothing of it can be {what}; it can"):
            act(job)
    assert snapshot(store.layout.dir) == before


def test_it_can_be_deleted(store: Store, ended: jobqueue.JobQueue) -> None:
    archive(store, 1)
    ended.deleteJobs(ended.listArchivedJobs())
    assert os.listdir(store.layout.archives) == []
    with pytest.raises(JobNotFoundError, match="there is no job1"):
        ended.findJob("job1")
    assert not control.delete(store, 1)
    assert ended.createJobRoot().activate().number == 2


def test_what_attempts_have_left_beside_outputs_goes(store: Store, tmp_path: Path) -> None:
    temporary = tmp_path / "shot/.jq-4f0c12ab9d.1-1.0000000.2"
    temporary.mkdir(parents=True)
    (temporary / "f1.exr").write_text("half a frame")
    attempt = Path(store.layout.job(1).attempt("job0", 2).dir)
    attempt.mkdir()
    noted_in = f"{attempt.stat().st_ino}-{zlib.crc32(os.fsencode(attempt)):08x}"
    (attempt / ".outputs").write_text(json.dumps({"temporary": str(temporary), "noted_in": noted_in}) + "\n")
    archive(store, 1)
    assert os.listdir(tmp_path / "shot") == []


# --- what it refuses --------------------------------------------------------------------------------------------------


def _refused(store: Store, kind: type[Exception], words: str, number: int = 1) -> None:
    before = snapshot(store.layout.dir)
    with pytest.raises(kind, match=words):
        archive(store, number)
    assert snapshot(store.layout.dir) == before


def test_only_what_has_ended_is_archived(queue_dir: Path, queue: jobqueue.JobQueue, share: HookedShare) -> None:
    store = Store(str(queue_dir), share)
    _refused(store, JobStateError, "job1 has not ended, and only what has can be archived; wait for it, or `jobqueue c")
    queue.findJob("job1").hold()
    _refused(store, JobStateError, "job1 has not ended")
    _refused(store, JobNotFoundError, "there is no job9", 9)
    with pytest.raises(JobStateError, match="job1/job0 is a sub-job; only a whole hierarchy can be archived: job1"):
        queue.findJob("job1/job0").archive()


def test_what_still_runs_of_a_cancelled_job_keeps_it(queue_dir: Path, share: HookedShare) -> None:
    job = attached(queue_dir, QuickShare()).createJobRoot("noop").activate()
    store = Store(str(queue_dir), share)
    with worker_on(queue_dir) as worker:
        candidate = worker.runner.chooser.next()
        assert candidate is not None
        token = worker.store.tokens.try_claim(candidate.job, candidate.token, worker.name, 1)
        assert token is not None
        job.cancel()
        _refused(store, JobStateError, "something of job1 still runs; archive it when that has ended")
        assert worker.store.tokens.cancel_running(token, worker.name)
    archive(store, 1)


def test_a_job_of_which_something_is_lost_is_not_archived(store: Store, queue_dir: Path) -> None:
    (token,) = Path(store.layout.job(1).finished).glob("0000000.*")
    token.unlink()
    _refused(store, JobStateError, "something of job1 has not ended; `jobqueue check` says what is wrong with it")
    os.unlink(store.layout.job(1).hierarchy)
    _refused(store, BrokenJobError, "the hierarchy cannot be read")
    shutil.rmtree(store.layout.job(1).dir)
    _refused(store, FileNotFoundError, "No such file or directory: .*/job1'")


def test_it_is_archived_once(store: Store) -> None:
    archive(store, 1)
    _refused(store, JobStateError, "job1.zip: job1 is archived already")


def test_what_is_being_deleted_or_was_never_published_is_not_archived(store: Store) -> None:
    assert store.index.discard(1)
    _refused(store, JobStateError, "job1 is not in the index: it is being deleted, or was never published")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_where_the_disk_is_full_the_job_is_as_it_was(store: Store, share: HookedShare, number: int) -> None:
    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "write":
            raise OSError(number, os.strerror(number), "draft")
        return do()

    share.hook = refuse
    before = snapshot(store.layout.dir)
    with pytest.raises(OSError, match=os.strerror(number)):
        archive(store, 1)
    assert {**snapshot(store.layout.dir)} == before
    share.hook = lambda _, do: do()
    archive(store, 1)


def test_a_disk_that_is_full_in_the_middle_of_a_write(store: Store, share: HookedShare) -> None:
    share.hook = lambda call, do: os.write(call.args[0], b"PK") if call.name == "write" else do()
    _refused(store, OSError, "only 2 of")


def test_whoever_may_not_read_or_write_changes_nothing(store: Store, queue_dir: Path) -> None:
    queue_dir.chmod(0o755)
    for directory in ("tmp", "trash", "index", "index/done"):
        (queue_dir / directory).chmod(0o755)
    code = """
        try:
            jobqueue.JobQueue(sys.argv[1]).findJob("job1").archive()
        except PermissionError as error:
            print(error)
    """
    for above in (queue_dir, *queue_dir.parents):
        above.chmod(above.stat().st_mode | 0o055)
        if above.name.startswith("pytest-of"):
            break
    before = snapshot(queue_dir)
    assert "Permission denied" in run_unprivileged(code, str(queue_dir))
    (queue_dir / "tmp").chmod(0o777)
    secret = queue_dir / "job1/job0/.attempt1/stdout"
    secret.chmod(0o600)
    assert "stdout" in run_unprivileged(code, str(queue_dir))
    assert snapshot(queue_dir) == before


def test_a_private_file_makes_the_archive_private(store: Store, queue_dir: Path) -> None:
    (queue_dir / "job1/job0/.attempt1/stdout").chmod(0o600)
    archive(store, 1)
    assert (queue_dir / "archive/job1.zip").stat().st_mode & 0o777 == 0o600


# --- what others do meanwhile -----------------------------------------------------------------------------------------


def _at(share: HookedShare, name: str, part: str, do_it: Callable[[], object]) -> None:
    """Has somebody do something before a call, once."""

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == name and any(part in str(arg) for arg in call.args):
            share.hook = lambda _, do: do()
            do_it()
        return do()

    share.hook = hook


_POINTS = [("open", "job1.zip."), ("open", "job1/.hierarchy"), ("open", ".attempt1/stdout"), ("write", ""),
           ("rename", "index/done"), ("rename", "tmp/job1.zip."), ("rename", "trash/"), ("rmdir", "/ready"),
           ("scandir", ""), ("unlink", ".hierarchy")]  # fmt: skip


@pytest.mark.parametrize(("name", "part"), _POINTS)
def test_two_archive_it_at_once(store: Store, share: HookedShare, queue_dir: Path, name: str, part: str) -> None:
    before = _told(queue_dir)
    other = Store(str(queue_dir), QuickShare(77))
    done = []

    def archive_too() -> None:
        done.append(True)
        try:
            archive(other, 1)
        except JobStateError as error:
            assert "archived already" in str(error)

    _at(share, name, part, archive_too)
    try:
        archive(store, 1)
    except JobStateError as error:
        assert "archived already" in str(error)
    assert done
    _assert_archived(queue_dir)
    assert _told(queue_dir) == before


@pytest.mark.parametrize(("name", "part"), _POINTS)
def test_it_is_deleted_meanwhile(store: Store, share: HookedShare, queue_dir: Path, name: str, part: str) -> None:
    other = Store(str(queue_dir), QuickShare(77))
    done = []
    _at(share, name, part, lambda: done.append(control.delete(other, 1)))
    with contextlib.suppress(JobNotFoundError):
        archive(store, 1)
    assert done == [True]
    assert not (queue_dir / "job1").exists()
    assert not (queue_dir / "archive").exists() or os.listdir(queue_dir / "archive") == []
    assert os.listdir(queue_dir / "trash") == os.listdir(queue_dir / "tmp") == []


def test_a_late_rename_brings_no_deleted_job_back(store: Store, share: HookedShare, queue_dir: Path) -> None:
    """RACE: its server executes it after the client was told that it is lost."""
    late: list[Callable[[], Any]] = []

    def hold_back(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and "/archive/" in str(call.args[1]):
            late.append(do)
            raise OSError(errno.EIO, "Input/output error", call.args[0])
        return do()

    share.hook = hold_back
    with pytest.raises(OSError, match="Input/output error"):
        archive(store, 1)
    control.delete(Store(str(queue_dir), QuickShare(7)), 1)
    for do in late:
        with pytest.raises(FileNotFoundError):
            do()
    assert os.listdir(queue_dir / "archive") == []


def test_somebody_who_moves_its_entry_has_it_packed_again(store: Store, share: HookedShare, queue_dir: Path) -> None:
    other = Store(str(queue_dir), QuickShare(77))
    _at(share, "rename", "index/done", lambda: control.set_priority(other, 1, 7))
    archive(store, 1)
    _assert_archived(queue_dir)


def test_an_entry_that_moves_at_every_try_is_given_up(store: Store, share: HookedShare, queue_dir: Path) -> None:
    other = Store(str(queue_dir), QuickShare(77))
    priorities = iter(range(1, 99))

    def move(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and "index/done" in str(call.args[1]):
            control.set_priority(other, 1, next(priorities))
        return do()

    share.hook = move
    with pytest.raises(LostRaceError, match="the entry of job1 moved at every try; try again"):
        archive(store, 1)
    assert os.listdir(queue_dir / "tmp") == []
    assert (queue_dir / "job1").exists()


def test_at_each_call_the_job_can_be_read_whole(store: Store, share: HookedShare, queue_dir: Path) -> None:
    before = _told(queue_dir)
    held = attached(queue_dir, QuickShare(6)).findJob("job1")
    assert _all_of(held) == before
    looks = 0

    def watch(call: Call, do: Callable[[], Any]) -> Any:
        nonlocal looks
        answer = do()
        if call.writes:
            looks += 1
            assert _told(queue_dir) == before, call
            assert _all_of(held) == before, call
        return answer

    share.hook = watch
    archive(store, 1)
    assert looks > 30


# --- going on ---------------------------------------------------------------------------------------------------------


class _Killed(BaseException):
    """The process is gone."""


def _die_at(share: HookedShare, name: str, part: str) -> None:
    def die(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == name and any(part in str(arg) for arg in call.args):
            share.hook = _dead
            raise _Killed
        return do()

    share.hook = die


def _dead(call: Call, do: Callable[[], Any]) -> Any:
    if call.name == "close":
        return do()
    raise _Killed


@pytest.mark.parametrize(("name", "part"), [("rename", "trash/"), ("rmdir", "/ready"), ("unlink", "/.journal/")])
def test_who_was_cut_short_goes_on(store: Store, share: HookedShare, queue_dir: Path, name: str, part: str) -> None:
    before = _told(queue_dir)
    _die_at(share, name, part)
    with pytest.raises(_Killed):
        archive(store, 1)
    made = (queue_dir / "archive/job1.zip").stat()
    assert _told(queue_dir) == before
    archive(Store(str(queue_dir), QuickShare(8)), 1)
    _assert_archived(queue_dir)
    assert _told(queue_dir) == before
    # It was not packed again.
    assert (queue_dir / "archive/job1.zip").stat().st_ino == made.st_ino


def test_an_archive_of_another_course_is_not_written_over(store: Store, share: HookedShare, queue_dir: Path) -> None:
    backup = shutil.copytree(queue_dir, f"{queue_dir}-backup")
    archive(store, 1)
    kept = (queue_dir / "archive/job1.zip").read_bytes()
    shutil.copytree(backup, queue_dir, dirs_exist_ok=True)
    (token,) = Path(store.layout.job(1).finished).glob("0000000.*")
    token.rename(token.with_name(token.name.replace(".3.0.", ".9.0.")))
    _refused(store, JobStateError, "job1.zip: it holds another course of job1, from before a backup was restored")
    (queue_dir / "archive/job1.zip").rename(queue_dir / "archive/before.zip")
    archive(store, 1)
    assert sorted(os.listdir(queue_dir / "archive")) == ["before.zip", "job1.zip"]
    assert (queue_dir / "archive/before.zip").read_bytes() == kept


def test_who_finds_another_at_it_is_told_so(store: Store, share: HookedShare, queue_dir: Path) -> None:
    """It looked at the entry before, and at the archive after the other one had begun to remove the job."""
    other = Store(str(queue_dir), QuickShare(77))
    _at(share, "listdir", "/workers", lambda: archive(other, 1))
    with pytest.raises(JobStateError, match="job1 is archived already"):
        archive(store, 1)
    _assert_archived(queue_dir)


def test_a_job_that_has_an_archive_of_another_course_is_not_deleted(store: Store, queue_dir: Path) -> None:
    backup = shutil.copytree(queue_dir, f"{queue_dir}-backup")
    archive(store, 1)
    shutil.copytree(backup, queue_dir, dirs_exist_ok=True)
    (token,) = Path(store.layout.job(1).finished).glob("0000000.*")
    token.rename(token.with_name(token.name.replace(".3.0.", ".9.0.")))
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="it holds another course of job1"):
        control.delete(store, 1)
    assert snapshot(queue_dir) == before
    (queue_dir / "archive/job1.zip").rename(queue_dir / "archive/before.zip")
    assert control.delete(store, 1)
    assert os.listdir(queue_dir / "archive") == ["before.zip"]


def test_a_damaged_archive_alone_can_be_deleted(store: Store, queue_dir: Path) -> None:
    archive(store, 1)
    path = queue_dir / "archive/job1.zip"
    path.write_bytes(path.read_bytes()[:-9])
    assert control.delete(store, 1)
    assert os.listdir(queue_dir / "archive") == []


def test_a_damaged_archive_keeps_what_is_left(store: Store, share: HookedShare, queue_dir: Path) -> None:
    _die_at(share, "unlink", "/.tokens/")
    with pytest.raises(_Killed):
        archive(store, 1)
    share.hook = lambda _, do: do()
    path = queue_dir / "archive/job1.zip"
    path.write_bytes(path.read_bytes()[:-9])
    _refused(store, BrokenJobError, "the archive cannot be read .*; restore the file from a backup")
    assert (queue_dir / "job1").exists()


def test_the_rest_can_be_left_to_a_worker(store: Store, share: HookedShare, queue_dir: Path) -> None:
    assert control.hand_on(store, 1) is None
    _die_at(share, "unlink", "/.journal/")
    with pytest.raises(_Killed):
        archive(store, 1)
    share.hook = lambda _, do: do()
    with worker_on(queue_dir) as worker:
        assert control.hand_on(store, 1) == worker.name
        (request,) = worker.registration.requests()
        assert (request["action"], request["job"]) == ("delete", 1)
        assert removal.remove_rest(worker.store, request["job"])
    _assert_archived(queue_dir)


# --- how many calls ---------------------------------------------------------------------------------------------------


def test_of_ten_thousand_items_only_what_has_a_name_costs_a_call(queue_dir: Path, share: HookedShare) -> None:
    queue = attached(queue_dir, QuickShare())
    for text in ("pass", "print('x')"):
        root = queue.createJobRoot(None)
        root.createJobArray("code", over={"text": [text] * 10_000}, chunk=20)
        root.activate()
    with worker_on(queue_dir) as worker:
        worker.run_all()
    store = Store(str(queue_dir), share)
    assert _calls(share, lambda: archive(store, 1)) < 500 + 250, "a call for each token, when that is removed"
    assert _calls(share, lambda: store.archives.open(1)) < 10
    assert _calls(share, lambda: control.delete(store, 1)) < 60
    # Of the 500 chunks that have printed each has a directory and a file.
    assert _calls(share, lambda: archive(store, 2)) < 500 * (1 + 4 + 4 + 4 + 2) + 250


def _calls(share: HookedShare, do: Callable[[], object]) -> int:
    before = len(share.seen)
    do()
    return len(share.seen) - before


def test_what_was_made_in_the_tick_of_an_earlier_listing_is_packed(
    store: Store, share: HookedShare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: a listing that is asked for afresh in that very tick is the old one."""
    monkeypatch.setattr(share, "is_remote", lambda _: True)
    began, listed = share.clock.monotonic(), list[float]()

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "scandir":
            listed.append(share.clock.monotonic() - began)
        return do()

    share.hook = hook
    archive(store, 1)
    assert listed[0] >= TICK_S
