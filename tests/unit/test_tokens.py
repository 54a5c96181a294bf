"""The moves of tokens, where a fault or somebody else comes in between; what they do on a calm day the others test."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.errors import JobNotFoundError, LostRaceError
from jobqueue.hierarchy import Hierarchy
from jobqueue.index import Index
from jobqueue.names import ClosedToken, Record, RunningToken, Token, WonToken
from jobqueue.params import dumps
from jobqueue.store import Store
from jobqueue.tokens import Tokens
from tests.soundness import assert_sound
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import attached

__all__ = ["watched_calls"]

_WORKER = "w-h-0"


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def store(queue_dir: Path, share: HookedShare) -> Store:
    """A queue with a worker, and job1: nodes 0 to 2 are needed by node 3."""
    root = attached(queue_dir, QuickShare()).createJobRoot("noop")
    for _ in range(3):
        root.createJob("noop")
    root.activate()
    found = Store(str(queue_dir), share)
    for directory in (found.layout.worker(_WORKER).running, found.layout.worker(_WORKER).won):
        os.makedirs(directory)
    return found


def _claim(store: Store, node: int = 0) -> RunningToken:
    token = store.tokens.try_claim(store.layout.job(1), Token(node, 0, 0, 0), _WORKER, 1)
    assert token is not None
    return token


def _win(store: Store, node: int = 0) -> WonToken:
    running = _claim(store, node)
    record = dumps({"event": "end", "node": node, "attempt": 1, "ok": True, "result": None}).encode() + b"\n"
    store.share.append_once(store.layout.job(1).journal(_WORKER, node + 1), record)
    won = store.tokens.try_commit(running, _WORKER, node + 1, 0)
    assert won is not None
    return won


def _settle(store: Store, won: WonToken) -> Any:
    node = Hierarchy(store.share, store.layout.job(1).hierarchy).node(won.node)
    return store.tokens.settle(won, _WORKER, node, ok=True)


def _names(store: Store, folder: str) -> list[str]:
    return sorted(os.listdir(store.layout.job(1).token_folder(folder)))


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_move_gives_a_name_that_was_never_used_before(store: Store) -> None:
    job = store.layout.job(1)
    running = _claim(store)
    assert running == RunningToken(1, 0, attempt=1, move=1, charged=0, slot=1)
    ready = store.tokens.give_back(running, _WORKER, charge=True)
    assert ready == Token(0, attempt=1, move=2, charged=1)
    again = store.tokens.try_claim(job, ready, _WORKER, 7)
    assert again == RunningToken(1, 0, attempt=2, move=3, charged=1, slot=7)
    won = store.tokens.try_commit(again, _WORKER, 9, 123)
    assert won == WonToken(1, 0, attempt=2, move=4, charged=1, slot=9, offset=123)
    _settle(store, won)
    assert _names(store, "finished") == ["0000000.2.5.1.w-h-0.9.123"]


def test_a_users_retry_charges_nothing_any_more(store: Store) -> None:
    job = store.layout.job(1)
    store.share.append_once(job.journal(_WORKER, 0), b'{"event":"end","node":0,"attempt":1,"ok":false}\n')
    assert store.tokens.fail_running(_claim(store), _WORKER, Record(_WORKER, 0, 0))
    closed = ClosedToken.parse(_names(store, "failed")[0])
    assert closed == ClosedToken(0, attempt=1, move=2, charged=1, worker=_WORKER, slot=0, offset=0)
    assert store.tokens.retry(job, closed, has_children=False)
    assert "0000000.1.3.0" in _names(store, "ready")
    # Once somebody has taken it up, a second try comes too late.
    assert store.tokens.try_claim(job, Token(0, 1, 3, 0), _WORKER, 1)
    assert not store.tokens.retry(job, closed, has_children=False)


def test_a_loss_tells_what_is_left(store: Store) -> None:
    _claim(store)
    left: list[str] = []
    assert store.tokens.try_claim(store.layout.job(1), Token(0, 0, 0, 0), "other", 1, left=left) is None
    assert sorted(left) == ["0000001.0.0.0", "0000002.0.0.0"]


def test_a_superseded_attempt_commits_nothing(store: Store) -> None:
    running = _claim(store)
    ready = store.tokens.give_back(running, _WORKER, charge=False)
    assert ready
    assert store.tokens.try_commit(running, _WORKER, 1, 0) is None
    assert store.tokens.give_back(running, _WORKER, charge=False) == ready, "done, by somebody"
    assert store.tokens.try_claim(store.layout.job(1), ready, _WORKER, 2)
    assert store.tokens.give_back(running, _WORKER, charge=False) is None
    assert not store.tokens.fail_running(running, _WORKER, Record(_WORKER, 0, 0))
    assert not store.tokens.cancel_running(running, _WORKER)
    assert assert_sound(store.layout.dir)[1] == ["running", "ready", "ready", "blocked"]


def test_foreign_names_in_the_folders_are_nobodys_tokens(store: Store) -> None:
    job = store.layout.job(1)
    _claim(store)
    foreign = (".nfs0001", "._0000001.0.0.0", ".DS_Store", "0000001.0.0", "0000001.0.0.0.tmp")
    for folder in (job.blocked, job.ready, store.layout.worker(_WORKER).running, store.layout.worker(_WORKER).won):
        for name in foreign:
            Path(folder, name).touch()
    assert store.tokens.counts(job) == {"blocked": 1, "ready": 2, "finished": 0, "failed": 0, "cancelled": 0}
    assert len(store.tokens.running_of(_WORKER)) == 1
    assert store.tokens.won_of(_WORKER) == []
    assert store.tokens.cancel_waiting(job) == 3
    assert set(_names(store, "ready")) == set(foreign)
    assert store.tokens.running_of("gone-h-0") == []


# --- settling ---------------------------------------------------------------------------------------------------------


def test_settling_tells_what_it_brought_about(store: Store) -> None:
    for node in (0, 1):
        settled = _settle(store, _win(store, node))
        assert (settled.unblocked, settled.entry, settled.done) == ([], None, False)
    settled = _settle(store, _win(store, 2))
    assert settled.unblocked == [Token(3, 0, 1, 0)]
    assert settled.entry == store.index.find(1, ("runnable",))
    assert not settled.done
    job = store.layout.job(1)
    root = store.tokens.try_claim(job, settled.unblocked[0], _WORKER, 1)
    assert root is not None
    record = b'{"event":"end","node":3,"attempt":1,"ok":true,"result":null}\n'
    store.share.append_once(job.journal(_WORKER, 9), record)
    won = store.tokens.try_commit(root, _WORKER, 9, 0)
    assert won is not None
    settled = _settle(store, won)
    assert settled.done
    assert settled.entry == store.index.find(1, ("done",))
    assert set(assert_sound(store.layout.dir)[1]) == {"finished"}


def test_a_look_into_a_latch_is_not_repeated_while_something_that_was_seen_in_it_waits(
    store: Store, share: HookedShare
) -> None:
    wons = [_win(store, node) for node in range(3)]
    share.seen.clear()
    for won in wons:
        _settle(store, won)
    latch = store.layout.job(1).latch(3)
    # The first settler looks; the second knows of the third; the third removes the latch.
    assert share.count("names_bit_by_bit") == 1
    assert share.count("rmdir", latch) == 3


def test_a_look_that_failed_is_made_again_before_the_job_is_parked(store: Store, share: HookedShare) -> None:
    """A leftover keeps the latch; the last settler was another worker, and the share is away when we look again."""
    job = store.layout.job(1)
    Path(job.latch(3), ".nfs0001").touch()
    other = Store(store.layout.dir, QuickShare())
    won = [_win(store, node) for node in range(3)]
    for settler, token in ((store, won[0]), (other, won[1]), (store, won[2])):
        _settle(settler, token)
    assert _names(store, "blocked") == ["0000003.0.0.0"]

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename":
            raise OSError(errno.ENOSPC, "No space left on device")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="No space"):
        store.tokens.retest(job)
    share.hook = lambda _, do: do()
    store.tokens.retest(job)
    assert _names(store, "ready") == ["0000003.0.1.0"]
    share.seen.clear()
    store.tokens.retest(job)
    assert share.seen == []


def test_a_latch_that_is_removed_while_it_is_read_is_an_empty_one(store: Store, share: HookedShare) -> None:
    """NFS answers a read of a directory that was removed meanwhile with a stale handle."""
    latch = Path(store.layout.job(1).latch(3))

    def stale(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "names_bit_by_bit":
            for entry in latch.iterdir():
                entry.unlink()
            latch.rmdir()
            raise OSError(errno.ESTALE, "stale file handle")
        return do()

    share.hook = stale
    assert store.tokens.is_unlatched(store.layout.job(1), 3)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_a_latch_that_cannot_be_read_is_an_error(store: Store, share: HookedShare, number: int) -> None:
    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "names_bit_by_bit":
            raise OSError(number, os.strerror(number))
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match=os.strerror(number)):
        store.tokens.is_unlatched(store.layout.job(1), 3)


def test_a_parent_that_cannot_move_since_its_ready_folder_is_gone_is_not_unblocked(store: Store) -> None:
    """It is being deleted: its token is still in blocked/, and nothing can come into ready/."""
    won = [_win(store, node) for node in range(3)]
    job = store.layout.job(1)
    store.share.remove_tree(job.ready)
    for token in won:
        assert _settle(store, token).unblocked == []
    assert _names(store, "blocked") == ["0000003.0.0.0"]


def test_a_root_whose_entry_is_in_trash_is_settled_without_it(store: Store) -> None:
    for node in range(3):
        _settle(store, _win(store, node))
    root = store.tokens.try_claim(store.layout.job(1), Token(3, 0, 1, 0), _WORKER, 1)
    assert root is not None
    won = store.tokens.try_commit(root, _WORKER, 9, 0)
    assert won is not None
    store.index.discard(1)
    assert _settle(store, won).entry is None
    with pytest.raises(JobNotFoundError):
        store.index.put(1, "done")


def test_a_result_of_a_deleted_job_goes_to_trash(store: Store) -> None:
    won = _win(store)
    job = store.layout.job(1)
    node = Hierarchy(store.share, job.hierarchy).node(0)
    store.index.discard(1)
    # Its finished/ went first, as a deleter may leave it; ready/ is what says that a job can still be settled.
    store.share.remove_tree(job.finished)
    store.tokens.settle(won, _WORKER, node, ok=True)
    assert store.tokens.won_of(_WORKER) == [won]
    store.share.remove_tree(job.dir)
    store.tokens.settle(won, _WORKER, node, ok=True)
    assert store.tokens.won_of(_WORKER) == []
    assert f"{won.name}.{_WORKER}" in os.listdir(store.layout.trash)


# --- giving back ------------------------------------------------------------------------------------------------------


def test_what_was_given_back_and_not_woken_is_woken_later(store: Store, share: HookedShare) -> None:
    running = _claim(store)
    for folder in ("ready", "blocked"):
        for name in _names(store, folder):
            os.rename(f"{store.layout.job(1).token_folder(folder)}/{name}", f"{store.layout.job(1).tokens}/{name}")
    entry = store.index.find(1)
    assert entry is not None
    assert store.index.try_park(entry, lambda: True)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "listdir" and str(call.args[0]).endswith("/runnable"):
            raise OSError(errno.EIO, "Input/output error")
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="Input/output"):
        store.tokens.give_back(running, _WORKER, charge=False)
    assert store.index.find(1, ("waiting",)) is not None
    share.hook = lambda _, do: do()
    store.tokens.wake_rest()
    assert store.index.find(1, ("runnable",)) is not None
    calls = len(share.seen)
    store.tokens.wake_rest()
    assert len(share.seen) > calls - 1
    assert store.index.find(1, ("runnable",)) == store.index.find(1)


def test_what_is_given_back_after_its_hierarchy_was_cancelled_is_cancelled(store: Store) -> None:
    running = _claim(store)
    control.cancel(store, 1)
    assert store.tokens.give_back(running, _WORKER, charge=False)
    assert assert_sound(store.layout.dir)[1] == ["cancelled"] * 4


def test_what_is_given_back_while_it_is_held_waits(store: Store) -> None:
    running = _claim(store)
    control.hold(store, 1)
    assert store.tokens.give_back(running, _WORKER, charge=False)
    assert assert_sound(store.layout.dir)[1] == ["ready", "ready", "ready", "blocked"]


def test_a_token_is_binned_only_where_its_job_is_deleted(store: Store) -> None:
    running = _claim(store)
    assert not store.tokens.bin_running(running, _WORKER)
    store.index.discard(1)
    assert not store.tokens.bin_running(running, _WORKER)
    store.share.remove_tree(store.layout.job(1).dir)
    assert store.tokens.bin_running(running, _WORKER)
    assert store.tokens.running_of(_WORKER) == []


def test_a_wake_that_is_owed_is_not_forgotten_over_a_token_that_was_gone(store: Store) -> None:
    first, second = _claim(store, 0), _claim(store, 1)
    store.tokens._unwoken.add(1)
    os.unlink(f"{store.layout.worker(_WORKER).running}/{second.name}")
    assert store.tokens.give_back(second, _WORKER, charge=False) is None
    before = store.index.find(1)
    store.tokens.wake_rest()
    assert before is not None
    assert store.index.find(1) == before.moved("runnable")
    assert store.tokens.give_back(first, _WORKER, charge=False)


# --- what people ask for ----------------------------------------------------------------------------------------------


def test_tokens_that_move_at_every_try_are_given_up_in_the_end(store: Store, share: HookedShare) -> None:
    job = store.layout.job(1)

    def move_on(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename":
            name = os.path.basename(call.args[0])
            token = Token.parse(name)
            assert token is not None
            os.rename(call.args[0], f"{job.ready}/{token._replace(move=token.move + 1).name}")
        return do()

    share.hook = move_on
    with pytest.raises(LostRaceError, match="its waiting jobs moved at every try; cancel it again"):
        store.tokens.cancel_waiting(job)


def test_a_retry_that_was_cut_short_before_it_unblocked_is_gone_on_with(store: Store) -> None:
    """The job lies in blocked/ under a name that shows that it was tried again, and waits for nothing."""
    job = store.layout.job(1)
    control.fail(store, 1, 3, "job1")
    for node in range(3):
        _settle(store, _win(store, node))
    closed = ClosedToken.parse(_names(store, "failed")[0])
    assert closed is not None
    os.rename(f"{job.failed}/{closed.name}", f"{job.blocked}/{Token(3, 0, closed.move + 1, 0).name}")
    entry = store.index.find(1)
    assert entry is not None
    assert store.index.try_park(entry, lambda: True)
    store.tokens.resume(job)
    assert _names(store, "ready") == [f"0000003.0.{closed.move + 2}.0"]
    assert assert_sound(store.layout.dir)[1] == ["finished", "finished", "finished", "ready"]


@pytest.mark.parametrize("folder", ["runnable", "waiting", "held"])
def test_a_second_retry_completes_one_that_was_cut_short_wherever_the_entry_is(store: Store, folder: str) -> None:
    """Whatever else became ready of the job since may have woken it, and the retried one would wait for ever."""
    job = store.layout.job(1)
    control.fail(store, 1, 3, "job1")
    for node in range(3):
        _settle(store, _win(store, node))
    closed = ClosedToken.parse(_names(store, "failed")[0])
    assert closed is not None
    os.rename(f"{job.failed}/{closed.name}", f"{job.blocked}/{Token(3, 0, closed.move + 1, 0).name}")
    if folder != "runnable":
        store.index.put(1, folder)
    before = store.index.find(1)
    assert before is not None
    assert control.retry(store, 1, None) == 0
    assert _names(store, "ready") == [f"0000003.0.{closed.move + 2}.0"]
    after = store.index.find(1)
    assert after is not None
    # It is woken after its token has come, so that whoever parks it just now loses.
    assert after == (before if folder == "held" else before.moved("runnable"))


def test_a_second_retry_tests_no_latch_but_those_of_jobs_that_were_tried_again(
    store: Store, share: HookedShare
) -> None:
    control.fail(store, 1, 3, "job1")
    assert control.retry(store, 1, [3]) == 1
    share.seen.clear()
    Path(store.layout.job(1).blocked, ".nfs0001").touch()
    assert control.retry(store, 1, None) == 0
    assert [call.args[0] for call in share.seen if call.name == "rmdir"] == [store.layout.job(1).latch(3)]
    assert assert_sound(store.layout.dir)[1] == ["ready", "ready", "ready", "blocked"]


def test_going_on_with_a_retry_leaves_what_is_blocked_for_good_reason(store: Store) -> None:
    job = store.layout.job(1)
    control.fail(store, 1, 3, "job1")
    assert control.retry(store, 1, [3]) == 1
    Path(job.blocked, ".nfs0001").touch()
    store.tokens.resume(job)
    assert assert_sound(store.layout.dir)[1] == ["ready", "ready", "ready", "blocked"]


def test_a_retry_under_another_name_is_unblocked_by_the_last_settler(store: Store) -> None:
    control.fail(store, 1, 3, "job1")
    control.retry(store, 1, None)
    for name in ("0000003.0.2.0.tmp", "0000003.0.2"):
        Path(store.layout.job(1).blocked, name).touch()
    settled = [_settle(store, _win(store, node)) for node in range(3)]
    assert settled[2].unblocked == [Token(3, 0, 3, 0)]


def test_a_parent_that_another_settler_has_unblocked_is_told_and_woken_again(queue_dir: Path, store: Store) -> None:
    """He may have died before he could wake it; found under whichever name."""
    control.fail(store, 1, 3, "job1")
    control.retry(store, 1, None)
    won = [_win(store, node) for node in range(3)]
    for token in won[:2]:
        _settle(store, token)
    node = Hierarchy(store.share, store.layout.job(1).hierarchy).node(2)

    class NoWake(Index):
        def wake(self, *_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

    dying = Tokens(store.share, store.layout, NoWake(store.share, store.layout))
    with pytest.raises(OSError, match="Input/output"):
        dying.settle(won[2], _WORKER, node, ok=True)
    before = store.index.find(1)
    settled = _settle(store, won[2])
    assert settled.unblocked == [Token(3, 0, 3, 0)]
    assert before is not None
    assert settled.entry == before.moved("runnable")
    assert assert_sound(queue_dir)[1] == ["finished", "finished", "finished", "ready"]
