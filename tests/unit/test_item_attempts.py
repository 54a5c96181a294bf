"""The attempts of an array's items: what became of each, who ran it, when, and what it printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import JobStateError
from jobqueue.proc import JobProc
from jobqueue.state import JobState
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.sweep import sweep
from tests.support_arrays import Shop, share, shop, submit_frames, theatre
from tests.support_share import watched_calls
from tests.support_worker import worker_on

__all__ = ["share", "shop", "watched_calls"]

_DIED = Ending("died", "its process ended with signal 9")
_TOO_LONG = Ending("timeout", "it ran longer than its timeout of 1 s")
_BEGAN = 1_000_000.0


def _says(proc: Any) -> None:
    sys.stdout.write(f"secret of {proc.number}\n")
    sys.stderr.write(f"sorrow of {proc.number}\n")


def _ends(proc: Any) -> None:
    """Has printed something when its process ends."""
    _says(proc)
    raise KeyboardInterrupt


def _fails(_: JobProc) -> None:
    raise RuntimeError("no licence")


def _is_ended(shop: Shop, ending: Ending = _DIED) -> None:
    """The process of a slot ends in the middle of an item, and its supervisor clears up."""
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    (token,) = shop.worker.store.tokens.running_of(shop.worker.name)
    shop.worker.aftermath.end(shop.worker.name, token, ending, shop.worker._spool)
    shop.worker.runner.chooser.look_again()


def _printed(array: jobqueue.JobHandle, attempt: int | None = None) -> list[str]:
    """What each item has printed."""
    found = [item.reader.printed(item.index, attempt) for item in array.listItems()]
    return [one.texts.get("stdout", b"").decode() if one else "none" for one in found]


def _told(array: jobqueue.JobHandle, item: int) -> list[tuple[str, str | None]]:
    return [(view.state, view.reason) for view in array.item(item).reader.attempts(item)]


# --- what it printed --------------------------------------------------------------------------------------------------


def test_an_item_is_shown_nothing_of_what_the_others_of_its_chunk_print(shop: Shop) -> None:
    array = shop.submit(6)
    seen: list[Any] = []

    def looks(proc: Any) -> None:
        _says(proc)
        shop.worker.runner.current.show()  # type: ignore[union-attr]
        seen.append(_printed(array))

    # The one before prints nothing.
    theatre.acts = {0: _says, 1: _says, 3: looks}
    shop.worker.step()
    assert seen == [["secret of 0\n", "secret of 1\n", "", "secret of 3\n", "", ""]]


def test_an_item_that_was_only_given_back_has_printed_nothing(shop: Shop) -> None:
    array = shop.submit(6)
    theatre.acts = {0: _says, 1: _says, 3: _ends}
    _is_ended(shop)
    assert _printed(array) == ["secret of 0\n", "secret of 1\n", "", "secret of 3\n", "", ""]
    theatre.acts = dict.fromkeys(range(4, 6), _says)
    shop.worker.run_all()
    assert _printed(array, 1) == ["secret of 0\n", "secret of 1\n", "", "secret of 3\n", "", ""]
    assert _printed(array)[3:] == ["", "secret of 4\n", "secret of 5\n"]


def test_what_runs_as_one_chunk_has_printed_as_one(shop: Shop) -> None:
    array = submit_frames(shop.queue, "1-4", chunk=4)

    def ends(_: JobProc) -> None:
        sys.stdout.write("of all")
        raise KeyboardInterrupt

    theatre.acts = {1: ends}
    _is_ended(shop)
    assert [_ and _.texts["stdout"] for _ in (item.reader.printed(item.index) for item in array.listItems())] == [
        b"of all"] * 4  # fmt: skip


def test_an_item_that_ends_while_it_is_looked_at_is_not_shown_what_the_next_one_prints(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = shop.submit(3)
    theatre.acts = {0: _says, 1: _ends}
    _is_ended(shop)
    reader = array.item(0).reader
    path = f"{reader.attempts(0)[0].directory}/stdout"
    attempts = reader._attempts
    # As if its note had not been there yet at the first look.
    answers: list[Callable[[Any], Any]] = [lambda one: one._replace(noted=one.noted._replace(note=None))]

    def first_late(item: int, piece: Any) -> list[Any]:
        change = answers.pop() if answers else lambda one: one
        return [change(one) for one in attempts(item, piece)]

    monkeypatch.setattr(reader, "_attempts", first_late)
    printed = reader.printed(0)
    assert printed and printed.texts["stdout"] == b"secret of 0\n"
    assert shop.share.read(path) == b"secret of 0\nsecret of 1\n"


# --- what became of it ------------------------------------------------------------------------------------------------


def test_an_attempt_that_has_failed_is_told_as_such_also_when_there_is_a_later_one(shop: Shop) -> None:
    array = shop.submit(3, maxErrors=2)
    theatre.acts = {1: _fails}
    shop.worker.run_all()
    failed = ("failed", "RuntimeError: no licence")
    assert _told(array, 1) == [failed, failed]
    assert array.retry() == 1
    assert (array.item(1).state, _told(array, 1)) == (JobState.READY, [failed, failed])
    views = array.item(1).reader.attempts(1)
    assert all(view.began == view.ended == _BEGAN for view in views)
    theatre.acts = {}
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert _told(array, 1) == [failed, failed, ("finished", None)]


def test_the_last_death_of_an_item_is_one_too(shop: Shop) -> None:
    array = shop.submit(3, 1.0, maxAttempts=2)
    theatre.acts = {1: _ends}
    _is_ended(shop)
    _is_ended(shop)
    shop.worker.run_all()
    assert [state for state, _ in _told(array, 1)] == ["died", "died"]
    assert _told(array, 2) == [("given back", None), ("finished", None)]
    item = array.item(1)
    assert item.state is JobState.FAILED
    # The one before had taken a second of its first attempt; the second attempt began with it, a second later.
    views = item.reader.attempts(1)
    assert [(view.began, view.ended) for view in views] == [
        (_BEGAN + 1, _BEGAN + 2), (_BEGAN + 2, _BEGAN + 3)]  # fmt: skip
    assert (item.startTime, item.endTime) == (_BEGAN + 2, _BEGAN + 3)


def test_an_item_at_its_timeout_has_failed_and_says_when_it_began(shop: Shop) -> None:
    array = shop.submit(4, 1.0, timeout=1.0)
    theatre.acts = {2: _ends}
    _is_ended(shop, _TOO_LONG)
    item = array.item(2)
    assert _told(array, 2) == [("failed", "it ran longer than its timeout of 1 s")]
    assert (item.state, item.startTime, item.endTime) == (JobState.FAILED, _BEGAN + 2, _BEGAN + 3)
    # What had not begun has no such time.
    assert (array.item(3).startTime, array.item(3).endTime) == (None, None)


def test_whoever_has_run_an_item_is_named_and_not_who_has_committed_it(shop: Shop) -> None:
    array = shop.submit(3)
    theatre.acts = {1: _ends}
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    with worker_on(shop.queue_dir, name="sweeper") as living:
        assert sweep(living.store, living.aftermath, shop.worker.name, "it was silent")
        theatre.acts = {}
        living.run_all()
        names = [array.item(item).worker for item in range(3)]
        assert names == [shop.worker.name, living.name, living.name]
        assert array.item(0).reader.find(0).worker == living.name
    assert [view.worker for view in array.item(1).reader.attempts(1)] == [shop.worker.name, living.name]


def test_a_finished_item_whose_note_is_lost_says_so(shop: Shop) -> None:
    array = shop.submit(2)
    shop.worker.run_all()
    journals = list((shop.queue_dir / "job1/.journal").iterdir())
    for journal in journals:
        lines = [line for line in journal.read_bytes().splitlines(keepends=True) if not line.startswith(b'{"item":1,')]
        journal.write_bytes(b"".join(lines))
    assert _told(array, 1) == [("finished", "record lost")]


# --- handles ----------------------------------------------------------------------------------------------------------


def test_a_script_reads_what_an_item_has_printed(shop: Shop) -> None:
    array = shop.submit(3)

    def says_and_fails(proc: Any) -> None:
        _says(proc)
        _fails(proc)

    assert (array.item(0).stdout, array.item(0).stderr, array.item(0).traceback) == ("", "", "")
    theatre.acts = {1: says_and_fails, 2: lambda _: sys.stdout.buffer.write(b"\xff\n")}
    shop.worker.run_all()
    silent, bad, odd = array.listItems()
    assert (silent.stdout, silent.stderr, silent.traceback) == ("", "", "")
    assert (bad.stdout, bad.stderr) == ("secret of 1\n", "sorrow of 1\n")
    assert bad.traceback.endswith("RuntimeError: no licence\n")
    assert (odd.stdout, odd.traceback) == ("\N{REPLACEMENT CHARACTER}\n", "")


def test_handles_of_one_item_are_equal(shop: Shop) -> None:
    first, second = shop.submit(3), shop.submit(3)
    assert first.item(1) == first.listItems()[1] == shop.queue.findItems("job1:1")[0]
    assert len({first.item(1), first.item(1), first.item(2), second.item(1)}) == 3
    assert first.item(1) != "job1/job0:1"
    assert repr(first.item(1)) == "<ItemHandle job1/job0:1>"


def test_items_that_run_are_listed_as_such(shop: Shop) -> None:
    array = shop.submit(6, chunk=4)
    seen = []

    def looks(_: JobProc) -> None:
        seen.append([item.index for item in array.listItems(JobState.RUNNING)])

    theatre.acts = {2: looks}
    assert array.listItems(JobState.RUNNING) == []
    shop.worker.step()
    assert seen == [[0, 1, 2, 3]]
    assert array.listItems(JobState.RUNNING) == []


def test_what_is_of_a_wrong_kind_is_said_to_be_so(shop: Shop) -> None:
    array = shop.submit(3)
    wrong: Any
    for wrong in ("1", 1.0, None, True):
        with pytest.raises(TypeError, match="an item's name has to be an int, not"):
            array.item(wrong)
    for wrong in ("failed", 1, [JobState.FAILED]):
        with pytest.raises(TypeError, match="state has to be a JobState, not"):
            array.listItems(wrong)
    for wrong in ([array], [array.item(1), "job1:2"], ["job1:1"]):
        with pytest.raises(TypeError, match="items has to be several ItemHandles, not"):
            shop.queue.retryItems(wrong)


@pytest.mark.parametrize(
    "name", ["runningDir", "progressFile", "statusLineFile", "procTracebackFile", "stdoutFile", "stderrFile"]
)
def test_an_array_has_no_files_of_an_attempt(shop: Shop, name: str) -> None:
    array = shop.submit(3)
    with pytest.raises(JobStateError, match=r"job1/job0 is an array.*item\(NAME\)\.stdout"):
        getattr(array, name)
