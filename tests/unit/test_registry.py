"""How workers come and go, and how they are told something."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.registry import Registration, owed, read_info, send_request, worker_names
from jobqueue.share import Share
from jobqueue.store import Store
from tests.support_faults import Fault, FaultyShare
from tests.support_share import Call, QuickShare, WatchedShare, watched_calls
from tests.support_worker import new_queue

__all__ = ["watched_calls"]


@pytest.fixture
def store(queue_dir: Path) -> Store:
    return Store(str(queue_dir), QuickShare())


def test_a_worker_that_has_come_has_all_its_places_and_says_who_it_is(store: Store) -> None:
    registration = Registration(store, "My Machine", 4)
    files = registration.files
    assert sorted(os.listdir(files.dir)) == ["beat", "inbox", "info.json", "lock", "running", "spare", "won"]
    info = read_info(store, registration.name)
    assert info is not None
    assert (info["name"], info["slots"], info["pid"]) == ("My Machine", 4, os.getpid())
    assert registration.name.startswith("my-machine-")
    assert worker_names(store) == [registration.name]
    assert registration.leave()
    assert worker_names(store) == []


def test_a_beat_changes_the_time_of_a_file(store: Store) -> None:
    registration = Registration(store, "w", 1)
    os.utime(registration.files.beat, (0, 0))
    registration.beat()
    assert os.stat(registration.files.beat).st_mtime > 1_000_000_000
    assert registration.leave()
    with pytest.raises(FileNotFoundError):
        registration.beat()


def test_a_share_without_locks_is_good_enough(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Share, path: str) -> None:
        raise OSError(errno.ENOLCK, "no locks available", path)

    monkeypatch.setattr(Share, "lock", refuse)
    registration = Registration(store, "w", 1)
    assert "takes no locks" in caplog.text
    assert "going on without" in caplog.text
    assert registration.leave()


def test_a_worker_that_owes_something_leaves_it_to_a_sweep(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("running", "won"):
        registration = Registration(store, "w", 1)
        owes = Path(registration.files.dir, folder, "1.0000000.1.1.0.1")
        owes.touch()
        assert not registration.leave()
        assert f"owes what lies in {owes.parent}; leaving it to a sweep" in caplog.text
        assert owes.exists()


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize("fault", [Fault(errno.EIO), Fault(errno.EIO, is_executed=True), Fault(errno.ENOSPC)], ids=str)
def test_a_worker_that_cannot_come_leaves_nothing_behind_and_is_told(tmp_path: Path, fault: Fault) -> None:
    queue_dir = new_queue(tmp_path / "queue")
    for nth in itertools.count():
        share = FaultyShare(nth)
        store = Store(str(queue_dir), share)
        share.meet(fault, nth)
        try:
            registration = Registration(store, "w", 1)
        except OSError:
            # Where the very first call was executed all the same, an empty directory is left.
            assert worker_names(store) == [] or nth == 0
        else:
            share.heal()
            assert read_info(store, registration.name) is not None
            assert registration.leave()
        for name in worker_names(store):
            store.share.remove_tree(store.layout.worker(name).dir)
        if share.befallen is None:
            assert nth > 5
            return


# --- requests ---------------------------------------------------------------------------------------------------------


def test_requests_are_taken_once(store: Store) -> None:
    registration = Registration(store, "w", 1)
    sent = [{"action": "fail", "job": number, "node": None, "by": "me"} for number in range(3)]
    for request in sent:
        assert send_request(store, registration.name, request)
    assert sorted(registration.requests(), key=lambda request: int(request["job"])) == sent
    assert registration.requests() == []
    assert registration.leave()


def test_a_worker_that_is_gone_is_told_nothing(store: Store) -> None:
    assert not send_request(store, "gone-h-0", {"action": "fail"})


def test_what_is_no_request_is_dropped_or_left_alone(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    registration = Registration(store, "w", 1)
    inbox = Path(registration.files.inbox)
    for name, text in (
        ("a.json", "{"),
        ("b.json", "[1]"),
        ("c.json", "\udcff"),
        (".new-d.json-01", "{}"),
        (".e.json", "{}"),
        ("f.txt", "{}"),
    ):
        (inbox / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    (inbox / "g.json").mkdir()
    send_request(store, registration.name, {"action": "cancel"})
    assert registration.requests() == [{"action": "cancel"}]
    assert caplog.text.count("does not parse") == 3
    assert sorted(os.listdir(inbox)) == [".e.json", ".new-d.json-01", "f.txt", "g.json"]
    assert registration.leave()
    assert registration.requests() == []


class _Unreadable(WatchedShare):
    """Cannot read certain files, or remove them."""

    def __init__(self, call: str = "open") -> None:
        super().__init__()
        self.refused = ""
        self._call = call

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        if call.name == self._call and self.refused and str(call.args[0]).endswith(self.refused):
            raise OSError(errno.EIO, "Input/output error")
        return do()


@pytest.mark.usefixtures("watched_calls")
def test_a_request_that_cannot_be_read_now_is_read_at_the_next_beat(queue_dir: Path) -> None:
    share = _Unreadable()
    store = Store(str(queue_dir), share)
    registration = Registration(store, "w", 1)
    for name in ("a", "b", "c"):
        Path(registration.files.inbox, f"{name}.json").write_text(json.dumps({"action": name}))
    share.refused = "/b.json"
    assert registration.requests() == [{"action": "a"}]
    with pytest.raises(OSError, match="Input/output"):
        registration.requests()
    share.refused = ""
    assert registration.requests() == [{"action": "b"}, {"action": "c"}]
    assert registration.leave()


@pytest.mark.usefixtures("watched_calls")
def test_a_request_that_cannot_be_removed_is_handed_on_once_with_those_before_it(queue_dir: Path) -> None:
    share = _Unreadable("unlink")
    registration = Registration(Store(str(queue_dir), share), "w", 1)
    for name in ("a", "b", "c"):
        Path(registration.files.inbox, f"{name}.json").write_text(json.dumps({"action": name}))
    share.refused = "/b.json"
    assert registration.requests() == [{"action": "a"}, {"action": "b"}]
    with pytest.raises(OSError, match="Input/output"):
        registration.requests()
    share.refused = ""
    assert registration.requests() == [{"action": "c"}]
    assert registration.leave()


# --- looking ----------------------------------------------------------------------------------------------------------


def test_foreign_names_among_the_workers_are_ignored(store: Store) -> None:
    registration = Registration(store, "w", 1)
    for name in (".nfs0001", "._x", ".DS_Store", "My.Worker"):
        Path(store.layout.workers, name).touch()
    Path(store.layout.workers, "a-file").touch()
    assert worker_names(store) == ["a-file", registration.name]
    assert read_info(store, "a-file") is None
    assert list(owed(store)) == []
    assert registration.leave()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_worker_whose_info_is_none_is_only_coming(store: Store, text: str) -> None:
    files = store.layout.worker("w-h-0")
    os.makedirs(files.dir)
    assert read_info(store, "w-h-0") is None
    Path(files.info).write_text(text)
    assert read_info(store, "w-h-0") is None


def test_all_that_workers_owe_is_found(store: Store) -> None:
    for worker, folder, token in (
        ("a-h-0", "running", "1.0000002.1.1.0.3"),
        ("b-h-0", "won", "4.0000005.6.7.0.8.9"),
        ("b-h-0", "running", ".nfs0001"),
    ):
        os.makedirs(f"{store.layout.worker(worker).dir}/{folder}", exist_ok=True)
        Path(store.layout.worker(worker).dir, folder, token).touch()
    assert [(files.worker, is_won, token.name) for files, is_won, token in owed(store)] == [
        ("a-h-0", False, "1.0000002.1.1.0.3"),
        ("b-h-0", True, "4.0000005.6.7.0.8.9"),
    ]


def test_a_lock_is_released_once_however_often_its_worker_gives_up(store: Store) -> None:
    """A worker that cannot come again, since the share is in trouble, gives up its old place at each try."""
    registration = Registration(store, "w", 1)
    released: list[int] = []
    lock = registration._lock
    assert lock is not None
    real = lock.release

    def release() -> None:
        released.append(1)
        real()

    lock.release = release  # type: ignore[method-assign]
    for _ in range(2):
        registration.release_lock()
    assert registration.leave()
    assert released == [1]
