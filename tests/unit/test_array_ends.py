"""Closing the chunks of an array, and finding out that all of it has finished."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control, removal
from jobqueue.names import ClosedToken, Duty, Span, Token, WonToken, base_name
from jobqueue.store import Store
from jobqueue.worker.settling import settle_from_record
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_arrays import Stage, submit
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import worker_on

__all__ = ["watched_calls"]

_ROOT = Token(1, 0, 1, 0)


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def stage(queue_dir: Path, share: HookedShare) -> Stage:
    submit(queue_dir)
    return Stage(Store(str(queue_dir), share))


@pytest.fixture
def long(queue_dir: Path, share: HookedShare) -> Stage:
    """An array whose closed tokens lie in three shards."""
    submit(queue_dir, "1-10000")
    return Stage(Store(str(queue_dir), share))


def _ready(stage: Stage) -> list[str]:
    return sorted(os.listdir(stage.job.ready))


# --- closing ----------------------------------------------------------------------------------------------------------


def test_a_chunk_is_closed_under_a_name_without_what_it_owed(stage: Stage) -> None:
    won = stage.commit(stage.take(8), 2)
    assert stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1)
    assert stage.settle(won) == []
    closed = ClosedToken(0, attempt=1, move=3, charged=0, worker="w-h-0", slot=1, offset=0, span=Span(0, 2))
    assert stage.closed("finished") == [closed]
    assert os.listdir(stage.job.finished) == ["0000000-0000"]
    assert _ready(stage) == ["0000000-00000008-00000010.0.1.0"]


def test_the_last_chunk_frees_what_waits_for_the_array_and_wakes_it(stage: Stage) -> None:
    stage.finish(4)
    won = stage.commit(stage.take(10))
    stage.park()
    settled = stage.store.pieces.settle(won, "w-h-0", stage.node, ok=True)
    assert settled.unblocked == [_ROOT]
    assert settled.entry == stage.store.index.find(1, ("runnable",))
    assert not settled.done
    assert _ready(stage) == [_ROOT.name]
    # Done again it says so again, since whoever did it may not have come to tell anybody.
    assert stage.store.pieces.settle(won, "w-h-0", stage.node, ok=True).unblocked == [_ROOT]
    assert _ready(stage) == [_ROOT.name]
    assert stage.closed_spans("finished") == [(0, 4), (4, 10)]


def test_chunks_may_end_in_any_order(stage: Stage) -> None:
    first, second, third = stage.take(3), stage.take(6, slot=2), stage.take(10, slot=3)
    assert stage.settle(stage.commit(third)) == []
    assert stage.settle(stage.commit(first)) == []
    assert stage.settle(stage.commit(second)) == [_ROOT]


def test_while_some_of_it_is_ready_nobody_looks_whether_all_has_finished(stage: Stage, share: HookedShare) -> None:
    won = stage.commit(stage.take(3))
    share.seen.clear()
    stage.settle(won)
    assert share.count("listdir", "/finished") == 0
    assert share.count("listdir", "/ready") == 1


def test_a_chunk_that_has_failed_frees_nothing(stage: Stage) -> None:
    running = stage.take(1)
    stage.settle(stage.commit(running, ok=False), ok=False)
    assert stage.finish(10) == []
    assert (stage.closed_spans("failed"), stage.closed_spans("finished")) == ([(0, 1)], [(1, 10)])
    assert _ready(stage) == []
    (place, closed) = next(iter(stage.store.pieces.closed(stage.job, "failed", 0)))
    assert stage.store.pieces.retry(stage.job, place, closed)
    assert stage.finish(1) == [_ROOT]


def test_a_chunk_that_fails_when_its_job_has_been_cancelled_is_cancelled_with_the_others(stage: Stage) -> None:
    won = stage.commit(stage.take(3), ok=False)
    control.cancel(stage.store, 1)
    stage.settle(won, ok=False)
    assert set(assert_sound(stage.store.layout.dir)[1]) == {"cancelled"}


def test_a_chunk_of_a_deleted_job_goes_to_the_trash(stage: Stage) -> None:
    won = stage.commit(stage.take(3))
    control.delete(stage.store, 1)
    node = stage.node
    assert stage.store.pieces.settle(won, "w-h-0", node, ok=True).unblocked == []
    assert stage.won() == []
    stage.store.pieces.do_duties("w-h-0")
    assert os.listdir(stage.store.layout.worker("w-h-0").won) == []
    assert removal.remove_rest(stage.store, 1)
    assert os.listdir(stage.store.layout.trash) == []
    assert not os.path.exists(stage.job.dir)


# --- shards -----------------------------------------------------------------------------------------------------------


def test_a_token_lies_in_the_shard_of_its_first_item_and_may_reach_over_others(long: Stage) -> None:
    for end in (4095, 4097, 8193):
        assert long.finish(end) == []
    assert [base_name(path) for path in long.store.pieces.shards(long.job, "finished", 0)] == [
        "0000000-0000",
        "0000000-0001",
    ]
    assert long.finish(10000) == [_ROOT]
    assert sorted(os.listdir(long.job.finished)) == ["0000000-0000", "0000000-0001", "0000000-0002"]
    assert long.closed_spans("finished") == [(0, 4095), (4095, 4097), (4097, 8193), (8193, 10000)]


@pytest.mark.parametrize("late", range(4))
def test_whichever_chunk_is_missing_the_array_has_not_finished(long: Stage, late: int) -> None:
    running = [long.take(end, slot=slot) for slot, end in enumerate((4095, 4097, 8193, 10000), start=1)]
    last = running.pop(late)
    for token in running:
        assert long.settle(long.commit(token)) == []
        assert not long.store.pieces.is_finished(long.job, long.node)
    assert long.settle(long.commit(last)) == [_ROOT]
    assert long.store.pieces.is_finished(long.job, long.node)


def test_an_array_that_one_token_covers_has_finished(long: Stage) -> None:
    assert long.finish(10000) == [_ROOT]


def test_shards_of_other_arrays_and_foreign_names_are_not_its_own(stage: Stage) -> None:
    finished = Path(stage.job.finished)
    for name in ("0000001-0000", ".nfs0001", "0000000-0000.tmp"):
        (finished / name).mkdir()
        (finished / name / "0000000-00000000-00000010.1.3.0.w-h-0.1.0").touch()
    assert stage.finish(4) == []
    (finished / "0000000-0000" / ".nfs-00000004-00000010.1.3.0.w-h-0.1.0").touch()
    stage.take(10)
    assert not stage.store.pieces.is_finished(stage.job, stage.node)


# --- what a client remembers ------------------------------------------------------------------------------------------


class _Remembering:
    """Answers listings of some directories with what they held at first, until their time was set.

    Args:
        share: whose calls are answered.
        holds: which directories.
    """

    def __init__(self, share: HookedShare, holds: Callable[[str], bool]) -> None:
        self._old: dict[str, list[str]] = {}
        self._holds = holds
        share.hook = self._answer

    def _answer(self, call: Call, do: Callable[[], Any]) -> Any:
        path = str(call.args[0]) if call.args else ""
        if call.name == "utime":
            self._old.pop(path, None)
        if call.name == "listdir" and self._holds(path):
            return list(self._old.setdefault(path, do()))
        return do()


@pytest.mark.parametrize("what", ["/finished", "/0000000-0000", "/0000000-0001", "/0000000-0002", ""])
def test_what_this_host_does_not_see_any_more_has_finished_all_the_same(
    long: Stage, share: HookedShare, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """NFS: an entry that was made in the tick of an earlier listing can be missing from all later ones."""
    monkeypatch.setattr(share, "is_remote", lambda _: True)
    _Remembering(share, lambda path: path.endswith(what) and "/finished" in path)
    other = Store(long.store.layout.dir, QuickShare(1))
    running = [long.take(end, slot=slot) for slot, end in enumerate((4000, 8000, 8193, 10000), start=1)]
    assert not long.store.pieces.is_finished(long.job, long.node)
    last = long.commit(running.pop())
    for token in running:
        won = long.commit(token)
        other.pieces.settle(won, "w-h-0", long.node, ok=True)
        assert not long.store.pieces.is_finished(long.job, long.node)
    assert long.settle(last) == [_ROOT]


def test_nothing_is_asked_twice_where_all_is_seen(long: Stage, share: HookedShare) -> None:
    for end in (4000, 8000):
        long.finish(end)
    won = long.commit(long.take(10000))
    share.seen.clear()
    assert long.settle(won) == [_ROOT]
    assert share.count("listdir", "/finished") == 1
    assert sum("/finished/" in str(call.args[0]) for call in share.seen if call.name == "listdir") == 2


def test_ready_items_that_this_host_only_remembers_keep_the_duty(stage: Stage, share: HookedShare) -> None:
    stage.finish(4)
    won = stage.commit(stage.take(10))
    (job, ready) = stage.job.ready, ["0000000-00000004-00000010.0.1.0"]
    share.hook = lambda call, do: ready if call.name == "listdir" and call.args[0] == job else do()
    assert stage.settle(won) == []
    share.hook = lambda _, do: do()
    assert _ready(stage) == []
    stage.store.pieces.do_duties("w-h-0", {1})
    assert _ready(stage) == [_ROOT.name]


# --- duties -----------------------------------------------------------------------------------------------------------


def _duties(stage: Stage, worker: str = "w-h-0") -> list[Duty]:
    names = os.listdir(stage.store.layout.worker(worker).won)
    return sorted(duty for name in names if (duty := Duty.parse(name)))


def test_a_duty_is_noted_before_a_chunk_is_closed_and_once(stage: Stage, share: HookedShare) -> None:
    won = stage.commit(stage.take(3))
    share.seen.clear()
    stage.settle(won)
    changes = [call for call in share.seen if call.writes]
    assert [call.name for call in changes] == ["open", "mkdir", "rename"]
    assert base_name(str(changes[0].args[0])) == Duty(1, 0, 1).name
    assert _duties(stage) == [Duty(1, 0, 1)]
    won = stage.commit(stage.take(6))
    share.seen.clear()
    stage.settle(won)
    assert [call.name for call in share.seen if call.writes] == ["rename"]
    stage.settle(stage.commit(stage.take(8, slot=2)))
    assert _duties(stage) == [Duty(1, 0, 1), Duty(1, 0, 2)]


def test_no_chunk_is_closed_without_a_duty(stage: Stage, share: HookedShare) -> None:
    won = stage.commit(stage.take(3))

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and ".last." in str(call.args[0]):
            raise OSError(errno.ENOSPC, "No space left on device", call.args[0])
        return do()

    share.hook = refuse
    for _ in range(2):
        with pytest.raises(OSError, match="last"):
            stage.settle(won)
    assert (stage.won(), stage.closed("finished")) == ([won], [])
    share.hook = lambda _, do: do()
    stage.settle(won)
    assert _duties(stage) == [Duty(1, 0, 1)]


def test_a_failure_is_no_duty(stage: Stage) -> None:
    stage.settle(stage.commit(stage.take(3), ok=False), ok=False)
    assert _duties(stage) == []


def _close_and_die(stage: Stage, won: WonToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closes a chunk; the process is killed before it looks whether that was the last one."""

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(stage.store.pieces, "_has_ready", die)
        with pytest.raises(Killed):
            stage.settle(won)
    assert stage.won() == []


def test_whoever_clears_up_after_a_dead_slot_does_its_duty(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.finish(4)
    _close_and_die(stage, stage.commit(stage.take(10)), monkeypatch)
    assert _ready(stage) == []
    stage.store.pieces.do_duties("w-h-0", {2})
    assert (_duties(stage), _ready(stage)) == ([Duty(1, 0, 1)], [])
    stage.store.pieces.do_duties("w-h-0", {2, 1})
    assert (_duties(stage), _ready(stage)) == ([], [_ROOT.name])


def test_a_sweep_does_the_duties_of_a_dead_worker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.finish(4)
    _close_and_die(stage, stage.commit(stage.take(10)), monkeypatch)
    stage.park()
    with worker_on(stage.store.layout.dir) as living:
        assert sweep(living.store, living.aftermath, "w-h-0", "killed")
    assert (_ready(stage), stage.entry_folder()) == ([_ROOT.name], "runnable")
    assert_sound(stage.store.layout.dir)


def test_a_duty_that_could_not_be_done_stays(stage: Stage, share: HookedShare, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.finish(4)
    _close_and_die(stage, stage.commit(stage.take(10)), monkeypatch)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "listdir" and "/finished" in str(call.args[0]):
            raise OSError(errno.EIO, "Input/output error", call.args[0])
        return do()

    share.hook = refuse
    with pytest.raises(OSError, match="finished"):
        stage.store.pieces.do_duties("w-h-0")
    share.hook = lambda _, do: do()
    assert _duties(stage) == [Duty(1, 0, 1)]
    stage.store.pieces.do_duties("w-h-0")
    assert (_duties(stage), _ready(stage)) == ([], [_ROOT.name])


@pytest.mark.parametrize("is_executed", [True, False], ids=["executed", "not executed"])
def test_a_duty_is_noted_anew_after_an_answer_that_was_lost(
    stage: Stage, share: HookedShare, monkeypatch: pytest.MonkeyPatch, is_executed: bool
) -> None:
    """Whoever remembers a note that is gone closes the last chunk without one; a death there is noticed by nobody."""
    stage.finish(4)

    def lose(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "unlink":
            if is_executed:
                do()
            raise OSError(errno.EIO, "Input/output error", call.args[0])
        return do()

    share.hook = lose
    with pytest.raises(OSError, match="last"):
        stage.store.pieces.do_duties("w-h-0")
    share.hook = lambda _, do: do()
    _close_and_die(stage, stage.commit(stage.take(10)), monkeypatch)
    assert _duties(stage) == [Duty(1, 0, 1)]
    Store(stage.store.layout.dir, QuickShare(1)).pieces.do_duties("w-h-0")
    assert _ready(stage) == [_ROOT.name]


def test_foreign_names_in_won_are_no_duties(stage: Stage) -> None:
    names = (".nfs0001", "1.0000000.last", "x.0000000.last.1", "1.0000000.first.1")
    for name in names:
        Path(stage.store.layout.worker("w-h-0").won, name).touch()
    stage.store.pieces.do_duties("w-h-0")
    stage.store.pieces.do_duties("gone-h-0")
    assert sorted(os.listdir(stage.store.layout.worker("w-h-0").won)) == sorted(names)


# --- settling for others ----------------------------------------------------------------------------------------------


def test_whoever_settles_for_a_dead_slot_bears_what_it_owed(stage: Stage) -> None:
    won = stage.commit(stage.take(8), 2)
    settle_from_record(stage.store, "w-h-0", won)
    assert stage.spans("ready") == [(2, 8), (8, 10)]
    assert (stage.spares(), stage.closed_spans("finished")) == ([], [(0, 2)])
    settle_from_record(stage.store, "w-h-0", won)
    assert stage.spans("ready") == [(2, 8), (8, 10)]


def test_a_failed_item_is_settled_as_its_record_says(stage: Stage) -> None:
    won = stage.commit(stage.take(8), 2, ok=False)
    settle_from_record(stage.store, "w-h-0", won)
    assert (stage.closed_spans("failed"), stage.closed_spans("finished")) == ([(0, 2)], [])


def test_a_chunk_whose_record_a_power_cut_has_taken_has_succeeded(stage: Stage) -> None:
    won = stage.commit(stage.take(8), 2)
    os.unlink(stage.job.journal("w-h-0", 1))
    settle_from_record(stage.store, "w-h-0", won)
    assert stage.closed_spans("finished") == [(0, 2)]
