"""Splitting the tokens of arrays, where a fault, a death or somebody else comes in between."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue import control, removal
from jobqueue.names import (
    MAX_ITEMS,
    MAX_NODES,
    ClosedToken,
    Duty,
    Record,
    RunningToken,
    Span,
    Token,
    WonToken,
    parse_shard,
    spans_in,
)
from jobqueue.params import dumps
from jobqueue.pieces import rest_of, spare_name
from jobqueue.store import Store
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.salvage import isolate, salvage
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_arrays import Stage, submit
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import Worker, worker_on

__all__ = ["watched_calls"]

_SOME = settings(max_examples=100, deadline=None)
_NODES = st.integers(0, MAX_NODES - 1)
_COUNTS = st.integers(0, 10**12)
_JOBS = st.integers(1, 10**8)
_WORKERS = st.text(alphabet="abz09-", min_size=1, max_size=30)


@st.composite
def _spans(draw: st.DrawFn, *, owes: bool = True) -> Span:
    start = draw(st.integers(0, MAX_ITEMS - 2))
    end = draw(st.integers(start + 1, MAX_ITEMS - 1))
    if not owes or draw(st.booleans()):
        return Span(start, end)
    return Span(start, end, draw(st.integers(end + 1, MAX_ITEMS)), draw(st.booleans()))


# --- names ------------------------------------------------------------------------------------------------------------


@_SOME
@given(_JOBS, _NODES, st.tuples(_COUNTS, _COUNTS, _COUNTS), st.tuples(_COUNTS, _COUNTS), _spans(), _WORKERS)
def test_a_piece_is_read_as_it_was_named(
    job: int, node: int, counts: tuple[int, int, int], record: tuple[int, int], span: Span, worker: str
) -> None:
    slot, offset = record
    running = RunningToken(job, node, *counts, slot, span)
    won = WonToken(job, node, *counts, slot, offset, span)
    assert RunningToken.parse(running.name) == running
    assert WonToken.parse(won.name) == won
    plain = Span(span.start, span.end)
    token = Token(node, *counts, plain)
    closed = ClosedToken(node, *counts, worker, slot, offset, plain)
    assert Token.parse(token.name) == token
    assert ClosedToken.parse(closed.name) == closed
    # What lies in ready/ and in finished/ is counted by fixed places of these names.
    assert spans_in([token.name, ".nfs1", closed.name]) == [plain[:2]] * 2
    duty = Duty(job, node, slot)
    assert Duty.parse(duty.name) == duty
    for other in (RunningToken.parse, WonToken.parse, Token.parse, ClosedToken.parse):
        assert other(duty.name) is None


@pytest.mark.parametrize(
    "field",
    [
        "0000001-", "0000001-00000003", "-00000000-00000003", "0000001-00000003-00000003", "0000001-00000004-00000003",
        "0000001-00000000-00000003-00000003", "0000001-00000000-00000003-00000002",
        "0000001-00000000-00000003-00000000",
        "0000001-00000000-00000003-00000009-0", "0000001-00000000-00000003-00000009-2",
        "0000001-00000000-00000003-00000009-1-1", "0000001-00000000-00000003-", "0000001-00000000--00000003",
        "0000001-0000000x-00000003", "0000001-00000000-0000000\u0663", ".nfs0001-00000000-00000003",
    ],
)  # fmt: skip
def test_a_name_that_no_piece_has_is_nobodys(field: str) -> None:
    assert Token.parse(f"{field}.1.2.0") is None
    assert RunningToken.parse(f"7.{field}.1.2.0.4") is None
    assert WonToken.parse(f"7.{field}.1.2.0.4.55") is None
    assert ClosedToken.parse(f"{field}.1.2.0.w-h-0.4.55") is None


@pytest.mark.parametrize(
    "name", ["7.0000001.last", "7.0000001.last.", "7.0000001.first.4", "7.0000001.last.4.5", "x.0000001.last.4", ""]
)
def test_a_name_that_no_duty_has_is_nobodys(name: str) -> None:
    assert Duty.parse(name) is None


@pytest.mark.parametrize("name", ["", "0000001.1.2.0", "0000001-", "0000001-0000000x-00000003.1.2.0", ".nfs00000001"])
def test_a_name_without_items_counts_none(name: str) -> None:
    assert spans_in([name]) == []


@pytest.mark.parametrize("name", ["0000001-0001.tmp", "000001-0001", "0000001-001", "0000001-0001\n", ".nfs", "x"])
def test_a_name_that_no_shard_has_is_nobodys(name: str) -> None:
    assert parse_shard(name) is None
    assert parse_shard("0000001-0002") == (1, 2)


@_SOME
@given(_spans(), st.integers(0, 50))
def test_what_is_owed_has_a_name_that_was_never_used_before(span: Span, move: int) -> None:
    owing = RunningToken(7, 1, 5, move, 2, 4, span)
    rest = rest_of(owing)
    if span.owed is None:
        assert rest is None
        return
    # Those that were begun are tried again as another attempt; the others never were this one's.
    assert rest == Token(1, 5 if span.begun else 4, move, 2, Span(span.end, span.owed))
    won = WonToken(7, 1, 5, move, 2, 4, 123, span)
    assert spare_name(won) == spare_name(owing)
    others = (owing._replace(move=move + 1), owing._replace(slot=5), owing._replace(job=8), owing._replace(node=2))
    assert spare_name(owing) not in map(spare_name, others)


# --- the stage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


@pytest.fixture
def stage(queue_dir: Path, share: HookedShare) -> Stage:
    submit(queue_dir)
    return Stage(Store(str(queue_dir), share))


def _refuse(name: str, number: int, what: str = "") -> Callable[[Call, Callable[[], Any]], Any]:
    """Answers calls of a name, to a path that ends like this, with an error."""

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == name and (what in str(call.args[0]) or (len(call.args) > 1 and what in str(call.args[1]))):
            raise OSError(number, os.strerror(number), str(call.args[0]))
        return do()

    return hook


# --- taking -----------------------------------------------------------------------------------------------------------


def test_a_chunk_is_taken_and_what_is_left_is_born(stage: Stage, share: HookedShare) -> None:
    share.seen.clear()
    claimed = stage.claim(3)
    assert claimed == RunningToken(1, 0, attempt=1, move=1, charged=0, slot=1, span=Span(0, 3, 10))
    assert [call.name for call in share.seen if call.writes] == ["open", "rename"], "the spare is there first"
    assert stage.spans("ready") == []
    assert stage.spares() == [spare_name(claimed)] == ["1.0000000-00000003-00000010.1.1"]
    rest = stage.store.pieces.bear(claimed, "w-h-0")
    assert rest is not None
    assert rest.token == Token(0, attempt=0, move=1, charged=0, span=Span(3, 10))
    assert rest.entry == stage.store.index.find(1, ("runnable",))
    assert stage.tokens("ready") == [rest.token]
    assert stage.spares() == []
    # The first claim of those is their first attempt, too.
    assert stage.claim(10, slot=2) == RunningToken(1, 0, attempt=1, move=2, charged=0, slot=2, span=Span(3, 10))


def test_what_is_taken_whole_owes_nothing(stage: Stage, share: HookedShare) -> None:
    share.seen.clear()
    claimed = stage.claim(10)
    assert claimed.span == Span(0, 10)
    assert [call.name for call in share.seen if call.writes] == ["rename"]
    share.seen.clear()
    assert stage.store.pieces.bear(claimed, "w-h-0") is None
    assert share.seen == []


def test_a_claim_that_is_lost_leaves_a_spare_that_is_nobodys(stage: Stage) -> None:
    (token,) = stage.tokens("ready")
    stage.claim(3)
    left: list[str] = []
    assert stage.store.pieces.try_claim(stage.job, token, 5, "w-h-1", 1, left=left) is None
    assert left == []
    assert stage.running("w-h-1") == []
    # No token owes what it was made for, so nobody ever makes it one.
    assert stage.spares("w-h-1") == ["1.0000000-00000005-00000010.1.1"]
    with worker_on(stage.store.layout.dir) as sweeper:
        for worker in stage.workers:
            assert sweep(sweeper.store, sweeper.aftermath, worker, "killed")
    # The item that it was at is blamed alone.
    assert stage.spans("ready") == [(0, 1), (1, 3), (3, 10)]
    assert_sound(stage.store.layout.dir)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE])
def test_without_a_spare_nothing_is_split(stage: Stage, share: HookedShare, number: int) -> None:
    running = stage.take(5)
    share.hook = _refuse("open", number, "/spare/")
    with pytest.raises(OSError, match="spare"):
        stage.claim(7)
    with pytest.raises(OSError, match="spare"):
        stage.store.pieces.try_shorten(running, "w-h-0", 2)
    with pytest.raises(OSError, match="spare"):
        stage.commit(running, 2)
    assert (stage.spans("ready"), stage.running(), stage.won()) == ([(5, 10)], [running], [])
    # What needs none goes on.
    share.hook = lambda _, do: do()
    assert stage.closed_spans("finished") == []
    stage.settle(stage.commit(running))
    assert stage.closed_spans("finished") == [(0, 5)]


def test_a_worker_whose_folder_was_swept_splits_nothing(stage: Stage) -> None:
    running = stage.take(5)
    os.rmdir(stage.store.layout.worker("w-h-0").spare)
    with pytest.raises(FileNotFoundError):
        stage.store.pieces.try_shorten(running, "w-h-0", 2)
    with pytest.raises(FileNotFoundError):
        stage.claim(7)
    assert (stage.spans("ready"), stage.running()) == ([(5, 10)], [running])


# --- births -----------------------------------------------------------------------------------------------------------


def test_what_is_owed_is_born_once_whoever_does_it(stage: Stage) -> None:
    claimed = stage.claim(3)
    other = Store(stage.store.layout.dir, QuickShare(1)).pieces
    assert other.bear(claimed, "w-h-0")
    # It lies there, so that it cannot be told who has done it.
    assert stage.store.pieces.bear(claimed, "w-h-0")
    assert stage.spans("ready") == [(3, 10)]
    taken = stage.claim(10, worker="w-h-1")
    assert stage.store.pieces.bear(claimed, "w-h-0") is None
    assert stage.spans("ready") == []
    assert stage.running("w-h-1") == [taken]


def test_a_birth_wakes_a_job_that_was_parked_meanwhile(stage: Stage) -> None:
    claimed = stage.claim(3)
    stage.park()
    assert stage.store.pieces.bear(claimed, "w-h-0")
    assert stage.entry_folder() == "runnable"


def test_a_birth_whose_wake_was_refused_is_made_up_for(stage: Stage, share: HookedShare) -> None:
    """CRASH: whoever has died there, or was kept from it, has left a ready token in a parked job."""
    claimed = stage.claim(3)
    stage.park()
    share.hook = _refuse("rename", errno.EACCES, "/index/")
    with pytest.raises(OSError, match="index"):
        stage.store.pieces.bear(claimed, "w-h-0")
    assert (stage.spans("ready"), stage.entry_folder()) == ([(3, 10)], "waiting")
    share.hook = lambda _, do: do()
    stage.store.pieces.bear(claimed, "w-h-0")
    assert stage.entry_folder() == "runnable"


def test_what_is_born_of_a_cancelled_job_is_cancelled(stage: Stage) -> None:
    claimed = stage.claim(3)
    control.cancel(stage.store, 1)
    stage.store.pieces.bear(claimed, "w-h-0")
    assert (stage.spans("ready"), stage.spans("cancelled")) == ([], [(3, 10)])
    assert stage.store.tokens.cancel_running(claimed, "w-h-0")
    assert stage.spans("cancelled") == [(0, 3), (3, 10)]
    assert set(assert_sound(stage.store.layout.dir)[1]) == {"cancelled"}


def test_nothing_is_born_of_a_deleted_job(stage: Stage) -> None:
    claimed = stage.claim(3)
    control.delete(stage.store, 1)
    assert stage.store.pieces.bear(claimed, "w-h-0") is None
    assert stage.store.tokens.bin_running(claimed, "w-h-0")
    assert removal.remove_rest(stage.store, 1)
    assert not os.path.exists(stage.job.dir)
    assert os.listdir(stage.store.layout.trash) == []


def test_that_it_was_born_already_is_never_concluded_from_an_error(
    stage: Stage, share: HookedShare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: this host may remember the folder of the spares as it was before, and the rename may be answered EIO."""
    claimed = stage.claim(3)
    spare = stage.store.layout.worker("w-h-0").spare

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and str(call.args[0]).startswith(spare):
            raise OSError(errno.EIO, "Input/output error", call.args[0])
        is_old = call.name == "listdir" and call.args[0] == spare and not share.count("utime", "/spare")
        return [] if is_old else do()

    share.hook = hook
    monkeypatch.setattr(share, "is_remote", lambda _: True)
    share.seen.clear()
    with pytest.raises(OSError, match="cannot be moved"):
        stage.store.pieces.bear(claimed, "w-h-0")
    share.hook = lambda _, do: do()
    assert stage.store.pieces.bear(claimed, "w-h-0")
    assert stage.spans("ready") == [(3, 10)]


# --- shortening and committing ----------------------------------------------------------------------------------------


def test_what_runs_is_shortened_and_the_others_go_on_as_another_attempt(stage: Stage) -> None:
    running = stage.take(8)
    shorter = stage.store.pieces.try_shorten(running, "w-h-0", 5)
    assert shorter == running._replace(move=2, span=Span(0, 5, 8, True))
    assert stage.running() == [shorter]
    rest = stage.store.pieces.bear(shorter, "w-h-0")
    assert rest is not None
    assert rest.token == Token(0, attempt=1, move=2, charged=0, span=Span(5, 8))
    assert stage.claim(8, slot=2).attempt == 2
    # The old name is nobody's any more.
    assert stage.store.pieces.try_shorten(running, "w-h-0", 2) is None


def test_a_part_is_committed_and_the_slot_goes_on_with_the_rest(stage: Stage) -> None:
    running = stage.take(8)
    won = stage.commit(running, 2)
    assert won == WonToken(1, 0, attempt=1, move=2, charged=0, slot=1, offset=0, span=Span(0, 2, 8, True))
    assert (stage.running(), stage.won()) == ([], [won])
    rest = stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1)
    assert rest == RunningToken(1, 0, attempt=1, move=2, charged=0, slot=1, span=Span(2, 8))
    assert (stage.running(), stage.spares()) == ([rest], [])
    # Done before: it cannot be told from having done it now.
    assert stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1) == rest
    assert stage.store.pieces.bear(won, "w-h-0") is None
    stage.settle(won)
    assert stage.closed_spans("finished") == [(0, 2)]
    assert stage.running() == [rest]
    assert stage.store.pieces.try_commit(running, "w-h-0", stage.record(running, 2), 2) is None


def test_of_two_who_split_a_dead_slots_token_one_succeeds(stage: Stage) -> None:
    """Both have listed it; the second one comes when what was split off is taken already."""
    running = stage.take(8)
    one, other = (Store(stage.store.layout.dir, QuickShare(seed)) for seed in (1, 2))
    shorter = isolate(one, "w-h-0", running, 1)
    assert shorter is not None
    taken = stage.claim(8, "w-h-1")
    assert isolate(other, "w-h-0", running, 1) is None
    assert sorted(token.span for token in (*stage.running(), *stage.running("w-h-1")) if token.span) == [
        Span(0, 1, 8, True),
        taken.span,
    ]
    assert stage.spans("ready") == [(8, 10)]


def test_a_commit_that_is_tried_again_prepares_nothing_anew(stage: Stage) -> None:
    """The answer to the first one was lost, and somebody has made the rest ready since."""
    running = stage.take(8)
    record = stage.record(running, 2)
    won = stage.store.pieces.try_commit(running, "w-h-0", record, 2)
    assert won is not None
    assert Store(stage.store.layout.dir, QuickShare(1)).pieces.bear(won, "w-h-0")
    assert stage.store.pieces.try_commit(running, "w-h-0", record, 2) == won
    assert stage.spares() == []
    assert stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1) is None
    assert stage.spans("ready") == [(2, 8), (8, 10)]


def test_whoever_clears_up_once_more_by_an_old_listing_makes_no_second_token_possible(stage: Stage) -> None:
    """He had died at the spare of the rest, which somebody has made ready since; another one goes on in his place."""
    running = stage.take(8)
    note = {"item": 0, "node": running.node, "attempt": running.attempt, "ok": True, "start": 1.5, "end": 2.5}
    stage.store.share.append_once(stage.job.journal("w-h-0", running.slot), dumps(note).encode() + b"\n")

    def append(_job: int, record: dict[str, Any]) -> Record:
        assert record["items"] == [0, 1]
        return stage.record(running, 1)

    def clear_up(seed: int) -> None:
        share = HookedShare(seed)
        share.hook = _refuse("rename", errno.EIO, f".{running.node:07d}-00000001")
        with suppress(OSError):
            salvage(Store(stage.store.layout.dir, share), "w-h-0", running, append)

    clear_up(1)
    (won,) = stage.won()
    assert stage.store.pieces.bear(won, "w-h-0")
    assert stage.take(8, "w-h-1").span == Span(1, 8)
    clear_up(2)
    assert stage.store.pieces.bear(won, "w-h-0") is None
    assert stage.spans("ready") == [(8, 10)]


def test_duties_are_done_only_when_no_chunk_can_be_closed_any_more(stage: Stage, share: HookedShare) -> None:
    """The worker lives: it takes the last chunk, and closes it, while others sweep it."""
    stage.finish(8)
    assert stage.spans("ready") == [(8, 10)]
    taken: list[RunningToken] = []

    with worker_on(stage.store.layout.dir, HookedShare(5)) as sweeper:
        theirs = sweeper.store.share
        assert isinstance(theirs, HookedShare)

        def goes_on(call: Call, do: Callable[[], Any]) -> Any:
            if call.name == "rmdir" and str(call.args[0]).endswith("w-h-0/running") and not taken:
                taken.append(stage.take(10))
                # It believes that its duty is noted, closes its chunk, and dies before it looks.
                won = stage.commit(taken[0])
                share.hook = _refuse("listdir", errno.EIO, "/ready")
                with pytest.raises(OSError, match="Input"):
                    stage.settle(won)
                share.hook = lambda _, then: then()
            return do()

        theirs.hook = goes_on
        assert sweep(sweeper.store, sweeper.aftermath, "w-h-0", "it seemed dead")
        theirs.hook = lambda _, do: do()
    assert taken
    assert stage.closed_spans("finished") == [(0, 8), (8, 10)]
    assert [token.node for name in os.listdir(stage.job.ready) if (token := Token.parse(name))] == [1]


@pytest.mark.parametrize(("item", "is_blamed"), [(0, True), (1, False), (None, True)])
def test_a_timeout_is_held_against_the_item_that_it_was_for(queue_dir: Path, item: int | None, is_blamed: bool) -> None:
    submit(queue_dir)
    worker = Worker(queue_dir)
    try:
        stage = Stage(Store(str(queue_dir), QuickShare(3)), ("w-h-0",))
        running = stage.take(8)
        ending = Ending("timeout", "it ran too long", running.job, running.node, item)
        worker.aftermath.end("w-h-0", running, ending)
        failed, ready = ([(0, 1)], [(1, 8), (8, 10)]) if is_blamed else ([], [(0, 8), (8, 10)])
        assert (stage.closed_spans("failed"), stage.spans("ready")) == (failed, ready)
        assert [token.charged for token in stage.tokens("ready")] == [0, 0]
    finally:
        worker.leave()


def test_whoever_made_the_rest_ready_keeps_the_slot_from_going_on_with_it(stage: Stage) -> None:
    running = stage.take(8)
    won = stage.commit(running, 2)
    assert Store(stage.store.layout.dir, QuickShare(1)).pieces.bear(won, "w-h-0")
    assert stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1) is None
    assert stage.running() == []
    assert stage.spans("ready") == [(2, 8), (8, 10)]


def test_a_sweeper_commits_with_a_spare_and_a_record_of_its_own(stage: Stage) -> None:
    running = stage.take(8)
    record = stage.record(running, 2, "w-h-1")
    won = stage.store.pieces.try_commit(running, "w-h-0", record, 2)
    assert won is not None
    assert (stage.spares(), stage.spares("w-h-1")) == ([], [spare_name(won)])
    assert (stage.won(), stage.won("w-h-1")) == ([], [won])
    left = stage.store.pieces.bear_here(won, "w-h-1", "w-h-0", running.slot)
    assert left is not None
    assert (stage.running(), stage.spares("w-h-1")) == ([left], [])


def test_what_covers_nothing_or_too_much_is_not_split_off(stage: Stage) -> None:
    running = stage.take(8)
    for end in (0, 9):
        with pytest.raises(AssertionError):
            stage.store.pieces.try_shorten(running, "w-h-0", end)
    whole = stage.store.pieces.try_shorten(running, "w-h-0", 8)
    assert whole == running._replace(move=2, span=Span(0, 8))
    assert stage.spares() == []


# --- deaths, by hand --------------------------------------------------------------------------------------------------


def _spare_alone(stage: Stage) -> None:
    (token,) = stage.tokens("ready")
    lost = RunningToken(1, 0, 1, 1, 0, 1, Span(0, 3, 10))
    Path(stage.store.layout.worker("w-h-0").spare, spare_name(lost)).touch()
    assert token.span == Span(0, 10)


def _claimed(stage: Stage) -> None:
    stage.claim(3)


def _claimed_and_born(stage: Stage) -> None:
    stage.take(3)


def _shortened(stage: Stage) -> None:
    assert stage.store.pieces.try_shorten(stage.take(8), "w-h-0", 5)


def _shortened_and_born(stage: Stage) -> None:
    shorter = stage.store.pieces.try_shorten(stage.take(8), "w-h-0", 5)
    assert shorter and stage.store.pieces.bear(shorter, "w-h-0")


def _committed(stage: Stage) -> None:
    stage.commit(stage.take(8), 2)


def _committed_and_born(stage: Stage) -> None:
    assert stage.store.pieces.bear_here(stage.commit(stage.take(8), 2), "w-h-0", "w-h-0", 1)


def _settled(stage: Stage) -> None:
    won = stage.commit(stage.take(8), 2)
    assert stage.store.pieces.bear_here(won, "w-h-0", "w-h-0", 1)
    stage.settle(won)


_DEATHS: list[tuple[Callable[[Stage], None], list[tuple[int, int]], list[tuple[int, int]]]] = [
    (_spare_alone, [(0, 10)], []),
    (_claimed, [(0, 1), (1, 3), (3, 10)], []),
    (_claimed_and_born, [(0, 1), (1, 3), (3, 10)], []),
    (_shortened, [(0, 1), (1, 5), (5, 8), (8, 10)], []),
    (_shortened_and_born, [(0, 1), (1, 5), (5, 8), (8, 10)], []),
    (_committed, [(2, 8), (8, 10)], [(0, 2)]),
    (_committed_and_born, [(2, 3), (3, 8), (8, 10)], [(0, 2)]),
    (_settled, [(2, 3), (3, 8), (8, 10)], [(0, 2)]),
]


@pytest.mark.parametrize(
    ("dies", "ready", "finished"), _DEATHS, ids=lambda value: value.__name__ if callable(value) else ""
)
def test_a_sweep_leaves_each_item_with_one_token(
    stage: Stage,
    dies: Callable[[Stage], None],
    ready: list[tuple[int, int]],
    finished: list[tuple[int, int]],
) -> None:
    """The item that a dead slot was at is blamed alone; of what it had not begun nothing is held against any."""
    dies(stage)
    assert_sound(stage.store.layout.dir, at_rest=False)
    for sweeper in ("one", "another"):
        with worker_on(stage.store.layout.dir, name=sweeper) as living:
            assert sweep(living.store, living.aftermath, "w-h-0", "killed")
    assert (stage.spans("ready"), stage.closed_spans("finished")) == (ready, finished)
    charged = [token.span for token in stage.tokens("ready") if token.charged]
    assert charged == [Span(*span) for span in ready if span[1] - span[0] == 1]
    assert_sound(stage.store.layout.dir)
    with worker_on(stage.store.layout.dir) as living:
        living.run_all()
    assert set(assert_sound(stage.store.layout.dir)[1]) == {"finished"}


@pytest.mark.parametrize(
    ("dies", "ready", "finished"), _DEATHS, ids=lambda value: value.__name__ if callable(value) else ""
)
def test_the_supervisor_of_a_dead_slot_leaves_each_item_with_one_token(
    queue_dir: Path,
    dies: Callable[[Stage], None],
    ready: list[tuple[int, int]],
    finished: list[tuple[int, int]],
) -> None:
    submit(queue_dir)
    worker = Worker(queue_dir)
    try:
        stage = Stage(Store(str(queue_dir), QuickShare(3)), ("w-h-0",))
        dies(stage)
        for token in stage.running():
            worker.aftermath.end("w-h-0", token, Ending("died", "killed"))
        for won in stage.won():
            stage.store.pieces.bear(won, "w-h-0")
            stage.settle(won)
        assert (stage.spans("ready"), stage.closed_spans("finished")) == (ready, finished)
    finally:
        worker.leave()


# --- retry ------------------------------------------------------------------------------------------------------------


def test_items_that_are_tried_again_charge_nothing_any_more(stage: Stage) -> None:
    job = stage.job
    running = stage.take(1)
    assert stage.store.tokens.fail_running(running, "w-h-0", stage.record(running, 1, ok=False))
    (place, closed) = next(iter(stage.store.pieces.closed(job, "failed", 0)))
    assert closed == ClosedToken(0, attempt=1, move=2, charged=1, worker="w-h-0", slot=1, offset=0, span=Span(0, 1))
    assert place == f"{job.failed}/0000000-0000"
    stage.finish(10)
    stage.park()
    assert stage.store.pieces.retry(job, place, closed)
    assert stage.tokens("ready") == [Token(0, attempt=1, move=3, charged=0, span=Span(0, 1))]
    assert stage.entry_folder() == "runnable"
    stage.claim(1, slot=2)
    # Once somebody has taken it up, a second try comes too late.
    assert not stage.store.pieces.retry(job, place, closed)
    assert list(stage.store.pieces.closed(job, "failed", 0)) == []
