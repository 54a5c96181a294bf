"""Top-level jobs that are broken, deleted or cancelled while a slot looks for work."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import control
from jobqueue.store import Store
from jobqueue.worker.broken import set_aside
from jobqueue.worker.chooser import Chooser
from tests.soundness import assert_sound
from tests.support_share import Call, QuickShare
from tests.support_worker import worker_on
from tests.unit.choosing import Seen, share, store, submit, take, watched_calls

__all__ = ["share", "store", "watched_calls"]


def test_a_broken_job_is_held_and_the_others_go_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = submit(store, 1), submit(store, 1)
    shutil.rmtree(store.layout.job(first).ready)
    candidate = Chooser(store).next()
    assert candidate is not None
    assert candidate.entry.number == second
    assert [(entry.number, entry.folder) for entry in store.index.all()] == [(first, "held"), (second, "runnable")]
    assert f"job{first} is broken (its ready/ is missing); it is held and the others go on." in caplog.text
    assert f"`jobqueue delete job{first}` removes it." in caplog.text


def test_a_file_in_the_place_of_ready_is_a_broken_job(store: Store) -> None:
    number = submit(store, 1)
    shutil.rmtree(store.layout.job(number).ready)
    Path(store.layout.job(number).ready).touch()
    assert Chooser(store).next() is None
    assert [entry.folder for entry in store.index.all()] == ["held"]


def test_a_job_that_is_deleted_while_it_is_looked_at_is_passed_over(
    store: Store, share: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = submit(store, 1), submit(store, 1)
    other = Store(store.layout.dir, QuickShare(1))

    def delete(call: Call) -> None:
        if call.name == "listdir" and str(call.args[0]).endswith(f"job{first}/.tokens/ready"):
            share.hook = lambda _: None
            control.delete(other, first)

    share.hook = delete
    with caplog.at_level(logging.ERROR):
        candidate = Chooser(store).next()
    assert candidate is not None
    assert candidate.entry.number == second
    assert caplog.text == ""


def test_a_job_that_is_deleted_while_it_is_parked_is_passed_over(store: Store, share: Seen) -> None:
    first, second = submit(store, 1), submit(store, 1)
    chooser = Chooser(store)
    take(store, chooser)
    other = Store(store.layout.dir, QuickShare(1))
    looks: list[int] = []

    def delete(call: Call) -> None:
        if call.name == "listdir" and str(call.args[0]).endswith(f"job{first}/.tokens/ready"):
            looks.append(1)
            if len(looks) == 2:
                control.delete(other, first)

    share.hook = delete
    candidate = chooser.next()
    assert len(looks) == 2
    assert candidate is not None
    assert candidate.entry.number == second


@pytest.mark.parametrize("end", [control.cancel, control.delete])
def test_a_job_that_ends_while_it_is_set_aside_stays_as_it_is(
    store: Store, share: Seen, end: Callable[[Store, int], object], caplog: pytest.LogCaptureFixture
) -> None:
    number = submit(store, 1)
    other = Store(store.layout.dir, QuickShare(1))
    looks: list[int] = []

    def act(call: Call) -> None:
        if call.name == "listdir" and str(call.args[0]).endswith("index/runnable"):
            looks.append(1)
            if len(looks) == 2:
                end(other, number)

    share.hook = act
    set_aside(store, number, "of a test")
    assert [entry.folder for entry in other.index.all()] in (["done"], [])
    assert caplog.text == ""


def test_what_is_not_to_be_run_is_not_set_aside(store: Store) -> None:
    number = submit(store, 1)
    control.hold(store, number)
    set_aside(store, number, "of a test")
    set_aside(store, 77, "of a test")
    assert store.index.all()[0].moves == 1


def test_a_worker_gives_back_what_it_has_claimed_of_a_job_that_turns_out_to_be_broken(store: Store) -> None:
    number = submit(store, 1)
    os.rename(store.layout.job(number).hierarchy, f"{store.layout.dir}/hierarchy")
    with worker_on(store.layout.dir) as worker:
        assert worker.run_all() == []
        assert worker.store.tokens.running_of(worker.name) == []
    assert [entry.folder for entry in store.index.all()] == ["held"]
    os.rename(f"{store.layout.dir}/hierarchy", store.layout.job(number).hierarchy)
    control.release(store, number)
    with worker_on(store.layout.dir) as worker:
        assert len(worker.run_all()) == 2
    assert set(assert_sound(store.layout.dir)[number]) == {"finished"}
