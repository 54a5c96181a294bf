"""What becomes of a job whose slot's process has ended."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.names import ClosedToken, RunningToken, Token
from jobqueue.share import Appender
from jobqueue.state import look_up
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from tests.support_share import QuickShare
from tests.unit.choosing import submit

_WORKER, _SLOT = "w-h-0", 1


@pytest.fixture
def store(queue_dir: Path) -> Store:
    store = Store(str(queue_dir), QuickShare())
    files = store.layout.worker(_WORKER)
    for directory in (files.running, files.won):
        Path(directory).mkdir(parents=True)
    return store


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool()
    yield spool
    spool.close()


def _claim(store: Store, number: int, node: int = 0) -> RunningToken:
    claimed = store.tokens.try_claim(store.layout.job(number), Token(node, 0, 0, 0), _WORKER, _SLOT)
    assert claimed is not None
    return claimed


def _clear(store: Store, ending: Ending, spool: Spool) -> None:
    Aftermath(store, _WORKER, lambda: 99).clear({_SLOT}, ending, spool)


@pytest.mark.parametrize("action", ["fail", "cancel", "delete", "timeout"])
@pytest.mark.parametrize(("number", "node"), [(2, 0), (1, 1)], ids=["another hierarchy", "another job of its own"])
def test_an_ending_that_was_meant_for_the_job_before_gives_the_one_that_it_hits_back_uncharged(
    store: Store, spool: Spool, action: str, number: int, node: int
) -> None:
    for _ in range(2):
        submit(store, 2)
    _claim(store, number, node)
    meant_node = None if action in ("cancel", "delete") and number != 1 else 0
    _clear(store, Ending(action, "somebody asked", 1, meant_node), spool)
    assert look_up(store, store.layout.job(number), node).token == Token(node, 1, 2, 0)
    assert store.tokens.counts(store.layout.job(number))["ready"] == 2
    assert store.tokens.running_of(_WORKER) == []


@pytest.mark.parametrize(("action", "folder"), [("fail", "failed"), ("cancel", "cancelled"), ("timeout", "failed")])
@pytest.mark.parametrize("meant", [(1, 0), (1, None), (None, None)])
def test_an_ending_that_is_meant_for_a_job_ends_it(
    store: Store, spool: Spool, action: str, folder: str, meant: tuple[int | None, int | None]
) -> None:
    number = submit(store, 2)
    _claim(store, number)
    _clear(store, Ending(action, "somebody asked", *meant), spool)
    (name,) = store.share.names(store.layout.job(number).token_folder(folder))
    ended = ClosedToken.parse(name) if folder == "failed" else Token.parse(name)
    assert ended is not None
    assert (ended.node, ended.attempt) == (0, 1)


class _Refusing(QuickShare):
    """Does not take what a job has printed."""

    number = 0

    def append_to(self, path: str) -> Appender:
        if self.number and path.endswith("/stdout"):
            raise OSError(self.number, os.strerror(self.number), path)
        return super().append_to(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.ENAMETOOLONG])
def test_only_trouble_of_the_share_keeps_a_token_back_for_what_was_printed(
    queue_dir: Path, spool: Spool, number: int
) -> None:
    share = _Refusing()
    store = Store(str(queue_dir), share)
    for directory in (store.layout.worker(_WORKER).running, store.layout.worker(_WORKER).won):
        Path(directory).mkdir(parents=True)
    token = _claim(store, submit(store, 1))
    Path(store.layout.job(1).attempt("", token.attempt).dir).mkdir(parents=True)
    spool.stdout.write("last words")
    share.number = number
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="No space"):
            _clear(store, Ending("stop", "the worker ended"), spool)
        assert store.tokens.running_of(_WORKER) == [token]
        share.number = 0
    _clear(store, Ending("stop", "the worker ended"), spool)
    assert store.tokens.running_of(_WORKER) == []


def test_what_a_slot_gave_back_as_it_was_killed_for_a_cancel_is_cancelled_too(store: Store, spool: Spool) -> None:
    submit(store, 2)
    store.index.put(1, "done")
    # RACE: its last call was executed, and it could not look any more whether the job was cancelled meanwhile.
    _clear(store, Ending("cancel", "somebody asked", 1), spool)
    assert store.tokens.counts(store.layout.job(1))["ready"] == 0
    assert store.tokens.counts(store.layout.job(1))["cancelled"] == 3
