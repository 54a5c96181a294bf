"""Which job is tried next, and what is looked at for that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.names import Token
from jobqueue.store import Store
from jobqueue.worker.chooser import Chooser, first_to_try
from tests.support_share import Call, QuickShare
from tests.unit.choosing import Seen, share, store, submit, take, watched_calls

__all__ = ["share", "store", "watched_calls"]


@given(st.integers(1, 10_000), st.integers(1, 5000), st.integers(0, 2**30))
def test_a_slot_begins_within_the_spread_and_alone_at_the_first(count: int, spread: int, dice: int) -> None:
    at = first_to_try(count, spread, dice)
    assert 0 <= at < min(count, spread)
    assert first_to_try(count, 1, dice) == 0


def test_an_empty_queue_has_nothing_and_costs_one_listing(store: Store, share: Seen) -> None:
    assert Chooser(store).next() is None
    assert share.listed == ["index/runnable"]


def test_a_candidate_is_the_same_until_it_is_won_or_lost(store: Store) -> None:
    submit(store, 2)
    chooser = Chooser(store)
    first = chooser.next()
    assert first is not None
    assert chooser.next() == first
    assert first.token == Token(0, 0, 0, 0)


def test_work_goes_on_from_one_listing_for_a_second(store: Store, share: Seen) -> None:
    submit(store, 50)
    chooser = Chooser(store)
    assert [take(store, chooser).token.node for _ in range(10)] == list(range(10))
    assert share.listed == ["index/runnable", ".tokens/ready"]
    share.clock.sleep(1.5)
    share.listed.clear()
    take(store, chooser)
    # The entries are the same, so nothing can have become ready but by ourselves.
    assert share.listed == ["index/runnable"]


def test_what_becomes_ready_by_others_is_seen_after_a_second(store: Store, share: Seen) -> None:
    submit(store, 2)
    chooser = Chooser(store)
    take(store, chooser)
    other = Store(store.layout.dir, QuickShare(1))
    running = other.tokens.running_of("w")[0]
    assert other.tokens.give_back(running, "w", charge=False)
    assert take(store, chooser).token.node == 1
    share.clock.sleep(1.5)
    assert take(store, chooser).token == Token(0, 1, 2, 0)


def test_a_look_again_lists_anew_at_once(store: Store) -> None:
    submit(store, 1)
    chooser = Chooser(store)
    assert chooser.next() is not None
    number = submit(store, 1, priority=5)
    chooser.look_again()
    candidate = chooser.next()
    assert candidate is not None
    assert candidate.entry.number == number


def test_after_its_last_job_a_slot_looks_once_more_before_it_is_idle(store: Store, share: Seen) -> None:
    submit(store, 1)
    chooser = Chooser(store)
    take(store, chooser)
    number = submit(store, 1)
    candidate = chooser.next()
    assert candidate is not None
    assert candidate.entry.number == number
    share.listed.clear()
    take(store, chooser)
    assert chooser.next() is None
    share.listed.clear()
    # Nothing was claimed since that look.
    assert chooser.next() is None
    assert share.listed == []


def test_slow_listings_are_made_less_often(store: Store, share: Seen) -> None:
    submit(store, 50)
    share.hook = lambda call: share.clock.sleep(1.0 if call.name == "listdir" else 0)
    chooser = Chooser(store)
    take(store, chooser)
    listed = len(share.listed)
    share.hook = lambda _: None
    share.clock.sleep(15)
    take(store, chooser)
    assert len(share.listed) == listed
    share.clock.sleep(6)
    take(store, chooser)
    assert len(share.listed) == listed + 1


def test_what_has_nothing_ready_is_parked_and_the_next_one_is_taken(store: Store) -> None:
    first, second = submit(store, 1), submit(store, 1)
    chooser = Chooser(store)
    assert take(store, chooser).entry.number == first
    assert take(store, chooser).entry.number == second
    assert chooser.next() is None
    assert {entry.folder for entry in store.index.all()} == {"waiting"}


def test_a_job_that_gets_something_ready_while_it_is_left_is_listed_again(store: Store, share: Seen) -> None:
    """At the first try to park it, somebody gives a job back."""
    submit(store, 1)
    chooser = Chooser(store)
    take(store, chooser)
    other = Store(store.layout.dir, QuickShare(1))

    def give_back(call: Call) -> None:
        if call.name == "rename" and str(call.args[1]).count("waiting"):
            share.hook = lambda _: None
            assert other.tokens.give_back(other.tokens.running_of("w")[0], "w", charge=False)

    share.hook = give_back
    candidate = chooser.next()
    assert candidate is not None
    assert candidate.token == Token(0, 1, 2, 0)


def test_a_job_that_moves_at_every_look_is_left_for_later(store: Store, share: Seen) -> None:
    """Entries that move under a choice let it begin anew a few times, not for ever."""
    submit(store, 1)
    chooser = Chooser(store)
    take(store, chooser)
    other = Store(store.layout.dir, QuickShare(1))
    woken: list[int] = []

    def wake(call: Call) -> None:
        if call.name == "rename":
            woken.append(1)
            other.index.wake(1)

    share.hook = wake
    assert chooser.next() is None
    assert 1 < len(woken) < 10
    share.hook = lambda _: None
    assert chooser.next() is None
    assert [entry.folder for entry in store.index.all()] == ["waiting"]


def test_foreign_names_in_ready_are_passed_over(store: Store) -> None:
    number = submit(store, 1)
    for name in (".nfs0001", "0000000.0.0.0.tmp", "._0000000.0.0.0", "zzz"):
        Path(store.layout.job(number).ready, name).touch()
    chooser = Chooser(store)
    assert take(store, chooser).token == Token(0, 0, 0, 0)
    assert chooser.next() is None
    assert [entry.folder for entry in store.index.all()] == ["waiting"]


# --- beside others ----------------------------------------------------------------------------------------------------


def test_after_a_loss_a_slot_goes_on_with_what_is_left_apart_from_the_others(store: Store, share: Seen) -> None:
    submit(store, 320)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    left = [Token(node, 0, 0, 0).name for node in range(1, 320)]
    listings = len(share.listed)
    begun = set()
    for _ in range(20):
        chooser.lost(candidate, left)
        candidate = chooser.next()
        assert candidate is not None
        begun.add(candidate.token.node)
    assert len(begun) > 10
    assert len(share.listed) == listings


def test_once_it_wins_all_the_time_a_slot_goes_depth_first_again(store: Store) -> None:
    submit(store, 400)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    # Somebody else is quicker.
    assert take(Store(store.layout.dir, QuickShare(1)), Chooser(store)).token.node == 0
    chooser.lost(candidate, os.listdir(candidate.job.ready))
    won = [take(store, chooser).token.node for _ in range(300)]
    assert won[:3] != [1, 2, 3]
    rest = sorted(set(range(1, 400)) - set(won))
    # Each win less makes it narrower; in the end it takes the first one each time.
    assert [take(store, chooser).token.node for _ in range(50)] == rest[:50]


def test_a_spread_shrinks_by_steps_while_a_slot_wins(store: Store) -> None:
    submit(store, 700)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    assert take(Store(store.layout.dir, QuickShare(1)), Chooser(store)).token.node == 0
    for _ in range(2):
        chooser.lost(candidate, os.listdir(candidate.job.ready))
    # 64 apart after two losses: so it wins 4 * 64 times, then 4 * 32 times, until it is alone again.
    won = [take(store, chooser).token.node for _ in range(4 * 64 + 4 * 32)]
    rest = sorted(set(range(1, 700)) - set(won))
    assert [take(store, chooser).token.node for _ in range(30)] == rest[:30]


def test_slots_of_one_worker_never_begin_all_at_the_first(store: Store) -> None:
    submit(store, 400)
    begun = set()
    for number in range(8):
        candidate = Chooser(Store(store.layout.dir, QuickShare(number)), rivals=8).next()
        assert candidate is not None
        begun.add(candidate.token.node)
    assert len(begun) > 2
    assert max(begun) < 8


def test_a_listing_that_shows_what_is_gone_is_made_afresh_next_time(store: Store, share: Seen) -> None:
    """NFS may list a token for seconds that somebody has claimed."""
    submit(store, 2)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    chooser.lost(candidate, [candidate.token.name])
    afresh: list[str] = []
    real = share.names_afresh
    share.names_afresh = lambda directory: afresh.append(directory) or real(directory)  # type: ignore[method-assign,func-returns-value,redundant-expr]
    assert chooser.next() is not None
    assert afresh == [candidate.job.ready]


def test_a_token_that_is_listed_for_ever_after_its_claim_costs_one_rename_and_the_others_get_their_turn(
    store: Store, share: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFSv3 shows an old listing until the directory changes in another tick than that of the claim."""
    haunted, other = submit(store, 1, priority=5), submit(store, 1)
    rival = Store(store.layout.dir, QuickShare(1))
    gone = take(rival, Chooser(rival)).token
    ready, real = store.layout.job(haunted).ready, share.names
    afresh = share.names_afresh

    def names(directory: str) -> list[str]:
        return sorted({*real(directory), gone.name}) if directory == ready else real(directory)

    def names_afresh(directory: str) -> list[str]:
        return real(directory) if directory == ready else afresh(directory)

    monkeypatch.setattr(share, "names", names)
    monkeypatch.setattr(share, "names_or_none", names)
    monkeypatch.setattr(share, "names_afresh", names_afresh)
    os.makedirs(store.layout.worker("own").running)
    chooser = Chooser(store)
    tried: list[tuple[int, Token]] = []
    while len(tried) < 10 and (candidate := chooser.next()):
        tried.append((candidate.entry.number, candidate.token))
        left: list[str] = []
        if store.tokens.try_claim(candidate.job, candidate.token, "own", 1, left=left):
            chooser.won(candidate)
        else:
            chooser.lost(candidate, left)
    assert tried == [(haunted, gone), (other, Token(0, 0, 0, 0))]
    assert {entry.folder for entry in store.index.all()} == {"waiting"}


# --- what settling brought --------------------------------------------------------------------------------------------


def test_what_oneself_has_unblocked_comes_next_without_a_listing(store: Store, share: Seen) -> None:
    submit(store, 3)
    chooser = Chooser(store)
    candidate = take(store, chooser)
    listings = len(share.listed)
    # As if node 0 had a parent with a number that comes before all that is ready.
    chooser.unblocked(1, [Token(0, 9, 9, 0)], candidate.entry.moved("runnable"))
    following = chooser.next()
    assert following is not None
    assert following.token == Token(0, 9, 9, 0)
    assert following.entry == candidate.entry.moved("runnable")
    assert len(share.listed) == listings


def test_news_of_another_hierarchy_or_of_none_change_nothing(store: Store) -> None:
    submit(store, 3)
    chooser = Chooser(store)
    chooser.unblocked(1, [Token(9, 9, 9, 0)], None)
    candidate = take(store, chooser)
    chooser.unblocked(2, [Token(0, 9, 9, 0)], None)
    chooser.unblocked(1, [], None)
    chooser.unblocked(1, [], candidate.entry._replace(folder="held"))
    chooser.forget(2)
    following = chooser.next()
    assert following is not None
    assert following.token.node == 1


def test_what_becomes_ready_of_a_job_that_is_to_be_listed_anyway_needs_no_place(store: Store) -> None:
    submit(store, 3)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    chooser._ready = None
    chooser.unblocked(1, [Token(9, 9, 9, 0)], candidate.entry.moved("runnable"))
    following = chooser.next()
    assert following is not None
    assert following.token.node == 0


def test_a_job_that_has_ended_is_forgotten(store: Store) -> None:
    first, second = submit(store, 3), submit(store, 1)
    chooser = Chooser(store)
    candidate = chooser.next()
    assert candidate is not None
    assert candidate.entry.number == first
    chooser.forget(first)
    chooser.unblocked(first, [Token(0, 9, 9, 0)], None)
    chooser.won(candidate)
    candidate = chooser.next()
    assert candidate is not None
    assert candidate.entry.number == second
