"""What cannot be done for one job is no reason to leave the others, and nothing is removed while something is owed."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control, removal
from jobqueue.liveness import Death
from jobqueue.names import RunningToken, Token, Use, WonToken
from jobqueue.pace import Pace
from jobqueue.registry import use_of
from jobqueue.share import Removal
from jobqueue.store import Store
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.caretaker import Caretaker
from jobqueue.worker.crew import WorkerSettings
from jobqueue.worker.membership import Membership
from jobqueue.worker.supervisor import Supervisor
from jobqueue.worker.sweep import sweep
from tests.support_share import QuickShare
from tests.support_worker import Worker
from tests.unit.choosing import submit

DEAD = "w-h-0"
WHY = Ending("stop", "the worker ended")


class FailingShare(QuickShare):
    """Fails where the test says so; each removal takes a while.

    Attributes:
        fails: of a path, whether a move from or to it, or a sign of life, fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fails: Callable[[str], bool] = lambda _: False
        self.error = errno.EIO
        self.removal_s = 0.0

    def _try(self, *paths: str) -> None:
        if any(self.fails(path) for path in paths):
            raise OSError(self.error, os.strerror(self.error), paths[0])

    def try_move(self, source_dir: str, source: str, target_dir: str, target: str, **more: Any) -> bool:
        self._try(f"{source_dir}/{source}", target_dir)
        return super().try_move(source_dir, source, target_dir, target, **more)

    def touch(self, path: str) -> None:
        self._try(path)
        super().touch(path)

    def try_unlink(self, path: str) -> bool:
        self.clock.sleep(self.removal_s)
        return super().try_unlink(path)

    def remove_dir(self, path: str) -> Removal:
        self.clock.sleep(self.removal_s)
        return super().remove_dir(path)


@pytest.fixture
def share() -> FailingShare:
    return FailingShare()


@pytest.fixture
def store(queue_dir: Path, share: FailingShare) -> Store:
    store = Store(str(queue_dir), share)
    files = store.layout.worker(DEAD)
    for directory in (files.inbox, files.running, files.won):
        Path(directory).mkdir(parents=True)
    return store


@pytest.fixture
def worker(queue_dir: Path, store: Store, share: FailingShare) -> Iterator[Worker]:
    worker = Worker(queue_dir, share)
    yield worker
    worker.die()


def _claim(store: Store, worker: str, number: int) -> RunningToken:
    token = store.tokens.try_claim(store.layout.job(number), Token(0, 0, 0, 0), worker, 1)
    assert token is not None
    return token


def _win(store: Store, worker: str, number: int) -> WonToken:
    """A committed success whose record is lost."""
    won = store.tokens.try_commit(_claim(store, worker, number), worker, 1, 0)
    assert won is not None
    return won


# --- one in trouble, the others not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["sweep", "clear", "reconcile"])
def test_one_token_in_trouble_keeps_no_other_one_back(
    store: Store, share: FailingShare, worker: Worker, who: str
) -> None:
    for _ in range(4):
        submit(store, 1)
    name = DEAD if who == "sweep" else worker.name
    for number in (1, 3):
        _claim(worker.store, name, number)
    for number in (2, 4):
        _win(worker.store, name, number)
    doings = {
        "sweep": lambda: sweep(worker.store, worker.aftermath, DEAD, "test"),
        "clear": lambda: worker.aftermath.clear({1}, WHY, None),
        "reconcile": worker.runner.reconcile,
    }
    share.fails = lambda path: "/running/1." in path or "/won/2." in path
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            doings[who]()
    assert [token.job for token in store.tokens.running_of(name)] == [1]
    assert [token.job for token in store.tokens.won_of(name)] == [2]
    assert (
        store.tokens.counts(store.layout.job(3))["ready"] == store.tokens.counts(store.layout.job(4))["finished"] == 1
    )
    share.fails = lambda _: False
    doings[who]()
    assert (
        store.tokens.counts(store.layout.job(1))["ready"] == store.tokens.counts(store.layout.job(2))["finished"] == 1
    )


def test_nothing_of_a_dead_worker_is_removed_while_one_of_its_tokens_is_in_trouble(
    store: Store, share: FailingShare, worker: Worker
) -> None:
    submit(store, 1)
    _claim(store, DEAD, 1)
    share.fails = lambda path: "/running/1." in path
    with pytest.raises(OSError, match="Input/output"):
        sweep(worker.store, worker.aftermath, DEAD, "test")
    assert {"running", "won", "inbox"} <= set(share.names(store.layout.worker(DEAD).dir))


@pytest.mark.parametrize("place", ["running", "won", "."])
def test_a_directory_that_a_server_keeps_for_itself_does_not_keep_a_dead_worker(
    store: Store, worker: Worker, place: str
) -> None:
    inside = Path(store.layout.worker(DEAD).dir, place, "@eaDir", "SYNO@.attr")
    inside.parent.mkdir()
    inside.touch()
    assert sweep(worker.store, worker.aftermath, DEAD, "test")
    assert not os.path.exists(store.layout.worker(DEAD).dir)


@pytest.mark.parametrize("name", ["@eaDir", ".AppleDouble", "w-h-0.7.jsonl"])
def test_a_directory_among_the_journals_does_not_keep_a_job_from_failing(
    store: Store, worker: Worker, name: str
) -> None:
    submit(store, 1)
    os.mkdir(f"{store.layout.job(1).journals}/{name}")
    for _ in range(3):
        names = os.listdir(store.layout.job(1).ready)
        token = Token.parse(names[0])
        assert token is not None
        assert worker.store.tokens.try_claim(store.layout.job(1), token, worker.name, 1)
        worker.aftermath.clear({1}, Ending("died", "killed"), None)
    assert store.tokens.counts(store.layout.job(1))["failed"] == 1


@pytest.mark.parametrize("error", [errno.EKEYEXPIRED, errno.ENOKEY, errno.EUCLEAN, errno.EOPNOTSUPP, errno.EINVAL])
def test_no_answer_of_a_share_ends_a_supervisor(
    queue_dir: Path, share: FailingShare, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(Store(str(queue_dir), share), "w", WorkerSettings(1))
    share.fails, share.error = (lambda path: path.endswith("/beat")), error
    supervisor._do_chores(0.0)
    assert "does not answer as it should" in caplog.text
    share.fails = lambda _: False
    supervisor.crew.close()
    supervisor._selector.close()


# --- removing takes time ----------------------------------------------------------------------------------------------


def _delete_big(store: Store, worker: str, subjobs: int = 2000) -> RunningToken:
    """A job that was deleted while a worker ran something of it; its token, which has ended by now."""
    number = submit(store, 1)
    for n in range(subjobs):
        Path(store.layout.job(number).dir, f"job{n}", ".attempt1").mkdir(parents=True)
    token = _claim(store, worker, number)
    control.delete(store, number)
    return token


def test_removing_a_big_job_does_not_keep_a_worker_from_beating(store: Store, share: FailingShare) -> None:
    numbers = iter(range(1, 99))
    member = Membership(store, "w", 1, lambda: next(numbers))
    token = _delete_big(store, member.name)
    member.beat()
    member.beat()
    store.tokens.bin_running(token, member.name)
    share.removal_s = 0.001
    beats, longest = 0, 0.0
    while os.path.exists(store.layout.job(1).dir):
        before = share.clock.boottime()
        member.beat()
        beats, longest = beats + 1, max(longest, share.clock.boottime() - before)
    assert longest < 1.1
    assert beats == 5
    member.leave()


def test_a_worker_that_leaves_removes_what_was_left_to_it_and_beats_meanwhile(
    store: Store, share: FailingShare, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1, 99))
    member = Membership(store, "w", 1, lambda: next(numbers))
    token = _delete_big(store, member.name)
    store.tokens.bin_running(token, member.name)
    share.removal_s = 0.001
    beats = []
    monkeypatch.setattr(member._registration, "beat", lambda: beats.append(share.clock.boottime()))
    member.leave()
    assert not os.path.exists(store.layout.job(1).dir)
    assert not os.path.exists(member.files.dir)
    assert len(beats) == 4


def test_what_a_worker_says_of_its_calls_is_not_how_it_came(store: Store, share: FailingShare) -> None:
    numbers = iter(range(1, 99))
    member = Membership(store, "w", 1, lambda: next(numbers))

    def beat_twice(slots_calls: int) -> Use | None:
        for _ in range(2):
            member.jobs_calls += slots_calls
            share.clock.sleep(5)
            member.beat()
        return use_of(store, member.name)

    # Until it has looked who is there nothing keeps its slots back.
    assert beat_twice(1_000_000) is None
    use = beat_twice(10)
    assert use is not None
    assert 20 <= use.calls < 1000
    assert use.took_ms == 10_000
    for _ in range(6):
        use = beat_twice(20)
    assert use is not None
    assert 240 <= use.calls < 1000
    assert use.took_ms == 60_000
    member.leave()


def test_what_a_sweeper_has_no_time_to_remove_it_goes_on_with_later(store: Store, share: FailingShare) -> None:
    numbers = iter(range(1, 99))
    member = Membership(store, "w", 1, lambda: next(numbers))
    token = _delete_big(store, DEAD)
    store.tokens.bin_running(token, DEAD)
    share.removal_s = 0.001
    before = share.clock.boottime()
    assert sweep(store, member.aftermath, DEAD, "test")
    assert share.clock.boottime() - before < 1.1
    assert os.path.exists(store.layout.job(1).dir)
    for _ in range(6):
        member.beat()
    assert not os.path.exists(store.layout.job(1).dir)
    member.leave()


def test_a_removal_comes_further_at_each_call_however_long_its_listings_take(store: Store, share: FailingShare) -> None:
    token = _delete_big(store, DEAD, 10)
    store.tokens.bin_running(token, DEAD)
    calls = 0
    while not removal.remove_rest(store, 1, until=share.clock.monotonic()):
        calls += 1
        assert calls < 100
    assert calls > 10


# --- the log ----------------------------------------------------------------------------------------------------------


def test_what_a_dead_worker_owes_for_good_is_logged_every_tenth_minute(
    store: Store, share: FailingShare, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit(store, 1)
    running = _claim(store, DEAD, 1)
    directory = Path(store.layout.dir).parent / "out"
    directory.mkdir()
    temporary = directory / ".jq-0.1-1.0000000.1"
    output = {"path": f"{directory}/f", "temporary": str(temporary), "size": 1, "mtime_ns": 1}
    record = {
        "event": "end", "node": 0, "attempt": 1, "ok": True, "result": None, "temporaries": [str(temporary)],
        "outputs": [output],
    }  # fmt: skip
    share.append_once(store.layout.job(1).journal(DEAD, 1), json.dumps(record).encode() + b"\n")
    assert store.tokens.try_commit(running, DEAD, 1, 0)
    caretaker = Caretaker(worker.store, worker.name, worker.aftermath, Pace(worker.store.config))
    seconds = iter(range(120, 9999))
    monkeypatch.setattr(
        caretaker._watch,
        "beaten",
        lambda **_: [Death(DEAD, f"it has not beaten for {next(seconds)} s")],
    )
    for _ in range(130):
        caretaker.beaten(may_look=True)
        share.clock.sleep(5.0)
    said = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert len([text for text in said if "Its result stays unsettled" in text]) == 2
    assert len([text for text in said if "Taking up what it left" in text]) == 2
    assert len([text for text in said if "still owes" in text]) == 2
    assert share.has(store.layout.worker(DEAD).dir, "won")
