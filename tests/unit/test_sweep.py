"""What lies in a dead worker's folder when it is swept, and what comes to lie there meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.layout import WorkerLayout
from jobqueue.names import RunningToken, Token
from jobqueue.share import Removal
from jobqueue.store import Store
from jobqueue.worker.aftermath import Aftermath
from jobqueue.worker.sweep import sweep
from tests.support_share import QuickShare
from tests.unit.choosing import submit

_DEAD = "dead-host-0000000000"


@pytest.fixture
def store(queue_dir: Path) -> Store:
    return Store(str(queue_dir), QuickShare())


@pytest.fixture
def files(store: Store) -> WorkerLayout:
    """The folder of a worker that owes nothing."""
    files = store.layout.worker(_DEAD)
    for directory in (files.running, files.won, files.inbox):
        os.makedirs(directory)
    for path in (files.beat, files.lock, files.info):
        Path(path).touch()
    return files


def _sweep(store: Store) -> bool:
    return sweep(store, Aftermath(store, "b", lambda: 9), _DEAD, "silent")


def _claim(store: Store, number: int) -> RunningToken:
    token = store.tokens.try_claim(store.layout.job(number), Token(0, 0, 0, 0), _DEAD, 1)
    assert token is not None
    return token


def test_who_was_swept_by_somebody_else_is_gone(store: Store) -> None:
    assert _sweep(store)
    assert os.listdir(store.layout.workers) == []


def test_nothing_is_left_of_one_that_owes_nothing(store: Store, files: WorkerLayout) -> None:
    assert _sweep(store)
    assert not Path(files.dir).exists()


def test_what_is_no_token_keeps_no_folder(store: Store, files: WorkerLayout, caplog: pytest.LogCaptureFixture) -> None:
    for directory in (files.running, files.won, files.inbox, files.dir):
        for name in (".DS_Store", "Thumbs.db", "1.2"):
            Path(directory, name).touch()
    assert _sweep(store)
    assert not Path(files.dir).exists()
    assert "still owes" not in caplog.text


def test_what_it_ran_says_of_which_worker_and_why_it_has_died(store: Store, files: WorkerLayout) -> None:
    number = submit(store, 2)
    _claim(store, number)
    assert _sweep(store)
    job = store.layout.job(number)
    (journal,) = Path(job.journals).iterdir()
    (event,) = map(json.loads, journal.read_text().splitlines())
    assert event["error"] == f"its worker {_DEAD} has died: silent"
    assert store.tokens.counts(job)["ready"] == 2


def test_what_moves_nowhere_is_told_and_kept_with_all_the_rest_and_the_worker_is_fenced(
    store: Store, files: WorkerLayout, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a job that is broken nobody knows who waits for it."""
    number = submit(store, 2)
    won = Path(files.won, _won(store, number))
    os.unlink(store.layout.job(number).hierarchy)
    for _ in range(2):
        caplog.clear()
        assert not _sweep(store)
        assert f"Worker {_DEAD} is dead and still owes won/{won.name}; trying again." in caplog.text
        assert won.exists()
        assert sorted(os.listdir(files.dir)) == ["fenced", "inbox", "info.json", "lock", "won"]
    control.delete(store, number)
    won.unlink()
    assert _sweep(store)
    assert not Path(files.dir).exists()


def _won(store: Store, number: int) -> str:
    """Has the dead worker commit something; the name in its won/."""
    assert store.tokens.try_commit(_claim(store, number), _DEAD, 1, 0)
    (name,) = os.listdir(store.layout.worker(_DEAD).won)
    return name


def test_what_comes_after_the_folders_were_closed_stays_until_the_next_sweep(
    store: Store, files: WorkerLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker lives, makes its folders again, and claims something."""
    number = submit(store, 2)
    remove_dir = store.share.remove_dir

    def come_again(path: str) -> Removal:
        removal = remove_dir(path)
        if path == files.won and removal is Removal.REMOVED:
            for directory in (files.running, files.won):
                os.mkdir(directory)
            _claim(store, number)
        return removal

    with monkeypatch.context() as patch:
        patch.setattr(store.share, "remove_dir", come_again)
        assert not _sweep(store)
    assert len(store.tokens.running_of(_DEAD)) == 1
    assert _sweep(store)
    assert store.tokens.counts(store.layout.job(number))["ready"] == 2
    assert not Path(files.dir).exists()


def test_who_is_overtaken_by_another_sweeper_finds_nothing_left(
    store: Store, files: WorkerLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_dir = store.share.remove_dir

    def overtake(path: str) -> Removal:
        removal = remove_dir(path)
        if path == files.won:
            shutil.rmtree(files.dir)
        return removal

    with monkeypatch.context() as patch:
        patch.setattr(store.share, "remove_dir", overtake)
        assert _sweep(store)
    assert not Path(files.dir).exists()


def test_a_request_that_another_sweeper_has_removed_keeps_nobody_from_the_others(
    store: Store, files: WorkerLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = submit(store, 2)
    _claim(store, number)
    control.delete(store, number)
    for name in ("!gone.json", "~gone.json"):
        Path(files.inbox, name).touch()
    read = store.share.read

    def overtaken(path: str) -> bytes:
        if path.endswith("gone.json"):
            os.unlink(path)
        return read(path)

    monkeypatch.setattr(store.share, "read", overtaken)
    assert _sweep(store)
    assert not Path(store.layout.job(number).dir).exists()


def test_a_worker_is_fenced_until_nothing_else_is_left(
    store: Store, files: WorkerLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(files.inbox, "a.json").write_text("{}")
    left: list[list[str]] = []
    try_unlink = store.share.try_unlink

    def watch(path: str) -> bool:
        if path == files.fenced:
            left.append(sorted(os.listdir(files.dir)))
        return try_unlink(path)

    monkeypatch.setattr(store.share, "try_unlink", watch)
    assert _sweep(store)
    assert left == [["fenced"]]


def test_a_deleted_job_that_was_left_to_it_is_removed(store: Store, files: WorkerLayout) -> None:
    number = submit(store, 2)
    _claim(store, number)
    control.delete(store, number)
    assert len(os.listdir(files.inbox)) == 1
    for name in ("!", "~"):
        # Before and after the one that counts.
        Path(files.inbox, f"{name}torn.json").write_text('{"action":')
        Path(files.inbox, f"{name}other.json").mkdir()
    assert _sweep(store)
    assert not Path(store.layout.job(number).dir).exists()
    assert not Path(files.dir).exists()


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "cancel", "job": 1}, {"action": "delete", "job": True}, {"action": "delete", "job": "1"},
        {"action": "delete"}, {"job": 1}, ["delete", 1],
    ],
    ids=str,
)  # fmt: skip
def test_no_other_request_removes_a_job(store: Store, files: WorkerLayout, request_: Any) -> None:
    submit(store, 2)
    Path(files.inbox, "a.json").write_text(json.dumps(request_))
    assert _sweep(store)
    assert len(os.listdir(store.layout.job(1).ready)) == 2
    assert not Path(files.dir).exists()
