"""What people do to queued jobs: each request, what it is answered, and what it leaves behind."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control, removal
from jobqueue.errors import JobNotFoundError, JobQueueError, JobStateError, OptionError
from jobqueue.journal import read_record
from jobqueue.names import ClosedToken, RunningToken, Token
from jobqueue.store import Store
from tests.soundness import assert_sound
from tests.support import snapshot
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import Worker, attached, worker_on

__all__ = ["watched_calls"]


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def store(queue_dir: Path, share: HookedShare) -> Store:
    """A queue with job1: node 0 succeeds, node 1 fails, node 2 is their parent and the root."""
    root = attached(queue_dir, QuickShare()).createJobRoot("noop")
    root.createJob("noop")
    root.createJob("code", text="raise RuntimeError('never')")
    root.activate()
    return Store(str(queue_dir), share)


def _states(store: Store) -> list[str]:
    return assert_sound(store.layout.dir)[1]


def _claim(worker: Worker) -> RunningToken:
    candidate = worker.runner.chooser.next()
    assert candidate is not None
    token = worker.store.tokens.try_claim(candidate.job, candidate.token, worker.name, 1)
    assert token is not None
    return token


def _changes_nothing(store: Store, act: Callable[[], object]) -> None:
    before = snapshot(store.layout.dir)
    act()
    assert snapshot(store.layout.dir) == before


# --- failing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("node", "expected"), [(0, "failed ready blocked"), (2, "ready ready failed")])
def test_a_waiting_job_is_made_to_fail_with_a_record_that_says_by_whom(store: Store, node: int, expected: str) -> None:
    control.fail(store, 1, node, "job1/job0")
    assert _states(store) == expected.split()
    job = store.layout.job(1)
    closed = ClosedToken.parse(os.listdir(job.failed)[0])
    assert closed is not None
    record = read_record(store.share, job.journal(closed.worker, 0), closed.offset, node, 0)
    assert record is not None
    assert record["error"].startswith("made to fail by ")
    assert record["error"].endswith(" before it began")


def test_the_worker_of_a_running_job_is_told_to_make_it_fail(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        running = _claim(worker)
        control.fail(store, 1, 0, "job1/job0")
        request = worker.registration.requests()[0]
        assert (request["action"], request["job"], request["node"]) == ("fail", 1, 0)
        assert worker.store.tokens.give_back(running, worker.name, charge=False)


def test_a_job_that_has_ended_cannot_be_made_to_fail(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
    for node, state in ((0, "finished"), (1, "failed")):
        with pytest.raises(JobStateError, match=f"jobX is {state} already, so it cannot be made to fail"):
            control.fail(store, 1, node, "jobX")


def test_a_job_that_moves_at_every_try_is_given_up_in_the_end(store: Store, share: HookedShare) -> None:
    job = store.layout.job(1)

    def move_on(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and str(call.args[0]).startswith(job.ready):
            token = Token.parse(os.path.basename(call.args[0]))
            assert token is not None
            os.rename(call.args[0], f"{job.ready}/{token._replace(move=token.move + 1).name}")
        return do()

    share.hook = move_on
    with pytest.raises(JobQueueError, match="jobX moved at every try; try again"):
        control.fail(store, 1, 0, "jobX")


def test_a_job_whose_token_is_seen_nowhere_is_looked_for_again(store: Store) -> None:
    os.unlink(f"{store.layout.job(1).ready}/{Token(0, 0, 0, 0).name}")
    with pytest.raises(JobQueueError, match="jobX moved at every try; try again"):
        control.fail(store, 1, 0, "jobX")


@pytest.mark.parametrize("call_name", ["write", "rename"])
def test_where_there_is_no_room_no_record_is_left_behind(store: Store, share: HookedShare, call_name: str) -> None:
    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == call_name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="No space left"):
        control.fail(store, 1, 0, "job1/job0")
    assert os.listdir(store.layout.job(1).journals) == []
    assert _states(store) == ["ready", "ready", "blocked"]


def test_a_record_that_may_count_is_kept_where_the_answer_is_lost(store: Store, share: HookedShare) -> None:
    def lose(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "listdir" and str(call.args[0]).endswith("/failed"):
            raise OSError(errno.EIO, "Input/output error")
        if call.name == "rename":
            do()
            share.hook = lose
            raise OSError(errno.EIO, "Input/output error")
        return do()

    def arm(call: Call, do: Callable[[], Any]) -> Any:
        return lose(call, do) if call.name == "rename" else do()

    share.hook = arm
    with pytest.raises(OSError, match="Input/output"):
        control.fail(store, 1, 0, "job1/job0")
    assert _states(store) == ["failed", "ready", "blocked"]


# --- trying again -----------------------------------------------------------------------------------------------------


def test_failed_jobs_are_tried_again_all_or_some(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
        assert control.retry(store, 1, [1]) == 1
        assert _states(store) == ["finished", "ready", "blocked"]
        worker.runner.chooser.look_again()
        worker.run_all()
        assert control.retry(store, 1, None) == 1
        assert control.retry(store, 1, None) == 0
        for node, state in ((0, "finished"), (1, "ready"), (2, "blocked")):
            with pytest.raises(JobStateError, match=f"this job is {state}, only a failed one can be tried again"):
                control.retry(store, 1, [node])


def test_nothing_is_tried_again_of_what_is_done_or_gone(store: Store) -> None:
    control.cancel(store, 1)
    with pytest.raises(JobStateError, match="job1 is done, so nothing of it can be tried again; submit it anew"):
        control.retry(store, 1, None)
    control.delete(store, 1)
    with pytest.raises(JobNotFoundError, match="there is no job1; it may have been deleted"):
        control.retry(store, 1, None)
    os.mkdir(store.layout.job(9).dir)
    with pytest.raises(JobStateError):
        control.retry(store, 9, None)


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_a_cancelled_hierarchy_keeps_what_has_finished(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
    Path(store.layout.job(1).failed, ".nfs0001").touch()
    control.cancel(store, 1)
    assert _states(store) == ["finished", "cancelled", "cancelled"]
    with pytest.raises(JobStateError, match="job1 has ended already"):
        control.cancel(store, 1)


def test_workers_that_run_something_are_asked_to_end_it_as_often_as_it_is_cancelled(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        running = _claim(worker)
        control.cancel(store, 1)
        control.cancel(store, 1)
        actions = [(request["action"], request["job"], request["node"]) for request in worker.registration.requests()]
        assert actions == [("cancel", 1, None)] * 2
        assert worker.store.tokens.cancel_running(running, worker.name)
    assert _states(store) == ["cancelled"] * 3
    _changes_nothing(store, lambda: pytest.raises(JobStateError, control.cancel, store, 1))


def test_a_job_that_is_not_there_cannot_be_cancelled(store: Store) -> None:
    with pytest.raises(JobNotFoundError, match="there is no job7 in the queue"):
        control.cancel(store, 7)


# --- holding, releasing, preferring -----------------------------------------------------------------------------------


def test_a_hold_keeps_workers_away_until_it_is_taken_back(store: Store) -> None:
    control.hold(store, 1)
    _changes_nothing(store, lambda: control.hold(store, 1))
    with worker_on(store.layout.dir) as worker:
        assert worker.run_all() == []
    control.release(store, 1)
    _changes_nothing(store, lambda: control.release(store, 1))
    with worker_on(store.layout.dir) as worker:
        assert worker.run_all() == ["job1/job0", "job1/job1"]


@pytest.mark.parametrize("act", [control.hold, control.release])
def test_what_is_done_can_neither_be_held_nor_released(store: Store, act: Callable[[Store, int], None]) -> None:
    control.cancel(store, 1)
    _changes_nothing(store, lambda: pytest.raises(JobStateError, act, store, 1))
    with pytest.raises(JobStateError, match="job1 is done, not "):
        act(store, 1)


def test_a_priority_is_given_within_its_range(store: Store) -> None:
    control.set_priority(store, 1, 500)
    assert store.index.all()[0].priority == 500
    for priority in (501, -500, True, 1.0):
        with pytest.raises(OptionError, match="a whole number from -499 to 500"):
            control.set_priority(store, 1, priority)  # type: ignore[arg-type]


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_a_deleted_job_leaves_only_its_number(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
    assert control.delete(store, 1)
    assert not control.delete(store, 1)
    assert not os.path.exists(store.layout.job(1).dir)
    assert os.listdir(store.layout.trash) == []
    assert os.listdir(store.layout.last) == ["1"]
    assert assert_sound(store.layout.dir) == {}


def test_a_job_whose_directory_is_gone_is_deleted_all_the_same(store: Store) -> None:
    QuickShare().remove_tree(store.layout.job(1).dir)
    assert control.delete(store, 1)
    assert store.index.all() == []
    assert not control.delete(store, 1)


def test_what_still_runs_is_removed_by_its_worker(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        running = _claim(worker)
        assert control.delete(store, 1)
        assert worker.registration.requests()[0]["action"] == "delete"
        assert os.path.isdir(store.layout.job(1).dir)
        assert not removal.remove_rest(store, 1)
        assert worker.store.tokens.give_back(running, worker.name, charge=False) is None
        assert worker.store.tokens.bin_running(running, worker.name)
        assert sorted(os.listdir(store.layout.trash)) == sorted([f"{running.name}.{worker.name}", "500-00000001.0"])
        assert removal.remove_rest(store, 1)
    assert os.listdir(store.layout.trash) == []


def test_what_has_won_and_is_not_settled_keeps_the_rest_and_its_worker_is_told(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        won = worker.store.tokens.try_commit(_claim(worker), worker.name, 1, 0)
        assert won is not None
        assert control.delete(store, 1)
        assert worker.registration.requests()[0]["action"] == "delete"
        assert os.path.isdir(store.layout.job(1).dir)
        os.unlink(f"{worker.registration.files.won}/{won.name}")
        assert removal.remove_rest(store, 1)


def test_foreign_names_in_a_jobs_folders_go_with_it(store: Store) -> None:
    job = store.layout.job(1)
    Path(job.ready, ".DS_Store").touch()
    Path(job.blocked, "folder").mkdir()
    Path(job.blocked, "folder", "file").touch()
    Path(job.dir, "notes.txt").touch()
    assert control.delete(store, 1)
    assert not os.path.exists(job.dir)


def test_behind_a_link_in_the_place_of_a_deleted_job_nothing_is_removed(store: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(store.layout.job(1).dir, elsewhere)
    os.symlink(elsewhere, store.layout.job(1).dir)
    before = snapshot(elsewhere)
    removal.remove_rest(store, 1)
    assert not os.path.lexists(store.layout.job(1).dir)
    assert snapshot(elsewhere) == before


def test_what_a_link_in_a_deleted_jobs_directory_leads_to_stays(store: Store, tmp_path: Path) -> None:
    textures = tmp_path / "textures"
    textures.mkdir()
    (textures / "stone.tif").touch()
    job = store.layout.job(1)
    os.symlink(textures, f"{job.dir}/textures")
    os.symlink(textures, f"{job.ready}/textures")
    assert control.delete(store, 1)
    assert not os.path.lexists(job.dir)
    assert os.listdir(textures) == ["stone.tif"]


def test_other_jobs_leftovers_in_trash_stay(store: Store) -> None:
    for name in ("500-00000011.0", "11.0000001.1.1.0.1.w-h-0", ".nfs0001"):
        Path(store.layout.trash, name).touch()
    assert control.delete(store, 1)
    assert len(os.listdir(store.layout.trash)) == 3


def test_a_job_whose_tokens_come_back_at_every_try_cannot_be_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(store.tokens), "cancel_waiting", lambda *_: 0)
    with pytest.raises(OSError, match="its tokens moved at every try; delete it again"):
        control.delete(store, 1)


def test_a_file_that_somebody_holds_open_keeps_the_directory_and_nothing_else(store: Store, share: HookedShare) -> None:
    """NFS: it stays as .nfs..., until it is closed; whoever asks then removes the rest."""
    held = Path(store.layout.job(1).dir, "job0")
    held.mkdir()
    (held / "stdout").touch()

    def silly(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "unlink" and call.args[0] == str(held / "stdout"):
            return os.rename(held / "stdout", held / ".nfs0001")
        return do()

    share.hook = silly
    assert control.delete(store, 1)
    assert [path.name for path in Path(store.layout.job(1).dir).rglob("*")] == ["job0", ".nfs0001"]
    assert len(os.listdir(store.layout.trash)) == 1
    assert removal.remove_rest(store, 1)
    assert os.listdir(store.layout.trash) == []


def _half_written(store: Store, shot: Path, place: str, name: str) -> Path:
    """What an attempt has left that has died while it wrote: a directory beside the final name, and its note."""
    temporary = shot / name
    temporary.mkdir(parents=True)
    (temporary / "f1.exr").write_text("half a frame")
    attempt = Path(store.layout.job(1).attempt(place, 2).dir)
    attempt.mkdir(parents=True)
    noted_in = f"{attempt.stat().st_ino}-{zlib.crc32(os.fsencode(attempt)):08x}"
    (attempt / ".outputs").write_text(json.dumps({"temporary": str(temporary), "noted_in": noted_in}) + "\n")
    return temporary


def test_half_written_outputs_go_with_their_job(store: Store, tmp_path: Path) -> None:
    shot = tmp_path / "shot"
    left = [
        _half_written(store, shot, "job1", ".jq-4f0c12ab9d.1-1.0000001.2"),
        _half_written(store, shot, "", ".jq-4f0c12ab9d.1-1.0000002.2"),
    ]
    (shot / "f0.exr").touch()
    assert all(path.exists() for path in left)
    assert control.delete(store, 1)
    assert os.listdir(shot) == ["f0.exr"]


def test_a_note_of_what_is_another_attempts_removes_nothing(store: Store, tmp_path: Path) -> None:
    names = [".jq-4f0c12ab9d.1-2.0000001.2", ".jq-4f0c12ab9d.1-1.0000000.2", ".jq-4f0c12ab9d.1-1.0000001.3", "mine"]
    for nth, name in enumerate(names):
        temporary = _half_written(store, tmp_path / "shot", "job1", name)
        assert temporary.exists()
        os.rename(store.layout.job(1).attempt("job1", 2).dir, store.layout.job(1).attempt("job1", 20 + nth).dir)
    for nth in range(len(names)):
        directory = Path(store.layout.job(1).attempt("job1", 20 + nth).dir)
        # A directory of the job's own making, with a name like that of an attempt, is none.
        (directory / "x" / ".attempt2").mkdir(parents=True)
        (directory / "x" / ".attempt2" / ".outputs").write_bytes((directory / ".outputs").read_bytes())
    assert control.delete(store, 1)
    assert sorted(os.listdir(tmp_path / "shot")) == sorted(names)


@pytest.mark.parametrize("befalls", ["the outputs", "the notes", "the hierarchy"])
def test_outputs_that_cannot_be_removed_are_no_obstacle(
    store: Store, share: HookedShare, tmp_path: Path, caplog: pytest.LogCaptureFixture, befalls: str
) -> None:
    temporary = _half_written(store, tmp_path / "shot", "job1", ".jq-4f0c12ab9d.1-1.0000001.2")
    notes = store.layout.job(1).attempt("job1", 2).outputs
    paths = {"the outputs": str(temporary), "the notes": notes, "the hierarchy": store.layout.job(1).hierarchy}

    def failing(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and call.args[0] == paths[befalls]:
            raise OSError(errno.EIO, os.strerror(errno.EIO), call.args[0])
        return do()

    share.hook = failing
    with caplog.at_level(logging.INFO, logger="jobqueue"):
        assert control.delete(store, 1)
    assert not os.path.exists(store.layout.job(1).dir)
    assert temporary.exists()
    assert paths[befalls] in caplog.text


def test_a_deletion_that_dies_among_outputs_is_done_by_the_next_one(
    store: Store, share: HookedShare, tmp_path: Path
) -> None:
    temporary = _half_written(store, tmp_path / "shot", "job1", ".jq-4f0c12ab9d.1-1.0000001.2")

    def dies(call: Call, do: Callable[[], Any]) -> Any:
        if call.args and str(call.args[0]) == f"{temporary}/f1.exr":
            raise KeyboardInterrupt
        return do()

    share.hook = dies
    with pytest.raises(KeyboardInterrupt):
        control.delete(store, 1)
    assert removal.remove_rest(Store(store.layout.dir, QuickShare()), 1)
    assert not temporary.exists()


def test_a_job_without_outputs_is_deleted_without_a_look_at_its_hierarchy(store: Store, share: HookedShare) -> None:
    with worker_on(store.layout.dir) as worker:
        worker.run_all()
    share.seen.clear()
    assert control.delete(store, 1)
    assert not [call for call in share.seen if call.name == "open" and call.args[0] == store.layout.job(1).hierarchy]


def test_a_job_that_never_was_is_not_found(store: Store) -> None:
    assert not control.delete(store, 7)
    with pytest.raises(JobNotFoundError, match="there is no job7; it may have been deleted, `jobqueue list` shows"):
        control.raise_if_deleted(store, 7)
