"""A share that does not give the values of an array's items: nobody is kept from work by that, and nothing is lost."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from jobqueue import items
from jobqueue.worker.runner import Step
from tests.soundness import assert_sound
from tests.support_arrays import Shop, share, shop, theatre
from tests.support_share import Call, watched_calls

__all__ = ["share", "shop", "watched_calls"]

T = TypeVar("T")


@contextmanager
def unreadable(shop: Shop, is_meant: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Files of values answer EIO meanwhile."""

    def answer(call: Call, do: Callable[[], T]) -> T:
        if call.name == "open" and "/.items-" in str(call.args[0]) and is_meant():
            raise OSError(errno.EIO, os.strerror(errno.EIO), call.args[0])
        return do()

    shop.share.hook = answer
    try:
        yield
    finally:
        shop.share.hook = lambda _, do: do()


def test_an_array_whose_values_cannot_be_read_keeps_no_other_job_from_being_run(shop: Shop) -> None:
    array = shop.submit(2)
    shop.queue.createJobRoot("noop").activate()
    with unreadable(shop):
        with pytest.raises(OSError, match="Input/output error"):
            shop.worker.step()
        assert not shop.worker.runner.is_in_doubt
        shop.worker.runner.chooser.look_again()
        assert shop.worker.run_all() == ["job2"]
    assert (shop.states(array), theatre.ran) == (["ready"] * 2, [])
    shop.share.clock.sleep(1.0)
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert theatre.ran == [0, 1]
    assert assert_sound(shop.queue_dir)[1] == ["finished"] * len(assert_sound(shop.queue_dir)[1])


def test_what_items_have_printed_outlasts_trouble_with_the_values_of_the_next_ones(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_BLOCK_ITEMS", 2)
    array = shop.submit(4, chunk=4)
    theatre.acts = {number: (lambda _, number=number: sys.stdout.write(f"item {number}\n")) for number in range(4)}  # type: ignore[misc]
    with unreadable(shop, lambda: len(theatre.ran) == 2), pytest.raises(OSError, match="Input/output error"):
        shop.worker.step()
    assert (theatre.ran, shop.states(array)) == ([0, 1], ["finished"] * 2 + ["ready"] * 2)
    shop.share.clock.sleep(1.0)
    shop.worker.runner.chooser.look_again()
    while shop.worker.step() is not Step.NOTHING:
        pass
    printed = [item.reader.printed(item.index) for item in array.listItems()]
    texts = [dict(one.texts).get("stdout") if one else None for one in printed]
    assert texts == [f"item {number}\n".encode() for number in range(4)]
    assert theatre.ran == [0, 1, 2, 3]
