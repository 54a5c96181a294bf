"""The entries of top-level jobs: looked for while they move, and moved by compare-and-swap."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import JobNotFoundError, JobStateError, LostRaceError
from jobqueue.index import Index
from jobqueue.layout import QueueLayout
from jobqueue.names import INDEX_FOLDERS, Entry
from tests.support_share import Call, HookedShare, QuickShare, WatchedShare, watched_calls

__all__ = ["watched_calls"]


@pytest.fixture
def layout(tmp_path: Path) -> QueueLayout:
    """The directories of a queue's index."""
    found = QueueLayout(str(tmp_path))
    for directory in (*map(found.index_folder, INDEX_FOLDERS), found.last, found.tmp, found.trash):
        os.makedirs(directory)
    return found


@pytest.fixture
def index(layout: QueueLayout) -> Index:
    return Index(QuickShare(), layout)


def put(layout: QueueLayout, *entries: Entry) -> None:
    for entry in entries:
        Path(layout.index_folder(entry.folder), entry.name).touch()


def entries_in(layout: QueueLayout) -> list[Entry]:
    """All entries, as they lie there."""
    return [
        entry
        for folder in INDEX_FOLDERS
        for name in os.listdir(layout.index_folder(folder))
        if (entry := Entry.parse(folder, name))
    ]


class Meddled(WatchedShare):
    """A share on which somebody else does something before certain calls.

    Args:
        when: which calls.
        meddle: what he does, given how often he did it before.
    """

    def __init__(self, when: Callable[[Call], bool], meddle: Callable[[int], Any]) -> None:
        super().__init__()
        self.count = 0
        self._when = when
        self._meddle = meddle

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        if self._when(call):
            self.count += 1
            self._meddle(self.count - 1)
        return do()


def _is_rename(call: Call) -> bool:
    return call.name == "rename"


def _is_listing_of(folder: str) -> Callable[[Call], bool]:
    return lambda call: call.name == "listdir" and str(call.args[0]).endswith(f"/{folder}")


# --- looking ----------------------------------------------------------------------------------------------------------


def test_entries_come_in_processing_order_and_foreign_names_are_ignored(layout: QueueLayout, index: Index) -> None:
    wanted = [Entry("runnable", 3, 9, 0), Entry("waiting", 0, 1, 2), Entry("done", 0, 2, 7), Entry("held", -1, 3, 1)]
    put(layout, *reversed(wanted))
    for name in (".nfs0001", "._x", ".DS_Store", "500-00000001", "500-00000001.x"):
        Path(layout.index_folder("runnable"), name).touch()
    assert index.all() == wanted
    assert index.folder("runnable") == [wanted[0]]
    assert index.find(2) == wanted[2]
    assert index.find(2, ("runnable", "waiting")) is None
    assert index.find(4) is None


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize("after", INDEX_FOLDERS)
@pytest.mark.parametrize("before", ["runnable", "waiting", "held"])
def test_an_entry_that_moves_while_it_is_looked_for_is_seen_once(layout: QueueLayout, before: str, after: str) -> None:
    """Whichever listing it moves before; there are six. What is done stays so."""
    for at in range(6):
        first, second = Entry(before, 0, 1, 0), Entry(after, 0, 1, 1)
        put(layout, first)

        def move(nth: int, at: int = at, first: Entry = first, second: Entry = second) -> None:
            if nth == at:
                os.rename(
                    f"{layout.index_folder(first.folder)}/{first.name}",
                    f"{layout.index_folder(second.folder)}/{second.name}",
                )

        share = Meddled(lambda call: call.name == "listdir", move)
        assert Index(share, layout).all() in ([first], [second])
        assert share.count == 6
        os.unlink(f"{layout.index_folder(after)}/{second.name}")


@pytest.mark.usefixtures("watched_calls")
def test_of_two_sightings_the_one_with_more_moves_is_told(layout: QueueLayout) -> None:
    put(layout, Entry("runnable", 0, 1, 4))

    def park(nth: int) -> None:
        if nth == 0:
            os.rename(
                f"{layout.index_folder('runnable')}/500-00000001.4", f"{layout.index_folder('held')}/510-00000001.5"
            )

    share = Meddled(_is_listing_of("waiting"), park)
    assert Index(share, layout).all() == [Entry("held", -10, 1, 5)]


@pytest.mark.usefixtures("watched_calls")
def test_an_old_listing_does_not_hide_where_an_entry_is_now(layout: QueueLayout) -> None:
    """It was seen in held/; a listing of runnable/ that is made later may be older."""

    class Old(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            return ["500-00000001.4"] if _is_listing_of("runnable")(call) else do()

    put(layout, Entry("held", 0, 1, 5))
    assert Index(Old(), layout).all() == [Entry("held", 0, 1, 5)]


@pytest.mark.usefixtures("watched_calls")
def test_on_a_server_an_entry_that_is_in_no_listing_is_looked_for_afresh(layout: QueueLayout) -> None:
    """NFSv3 can hide an entry from all later listings of a host, until the directory changes."""

    class Hiding(WatchedShare):
        is_afresh = False

        def _kind(self, path: str) -> str | None:
            return "nfs"

        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            self.is_afresh |= call.name == "utime"
            return [] if call.name == "listdir" and not self.is_afresh else do()

    put(layout, Entry("waiting", 0, 1, 4))
    assert Index(Hiding(), layout).find(1) == Entry("waiting", 0, 1, 4)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_number_is_one_above_the_highest_that_is_known_anywhere(layout: QueueLayout) -> None:
    assert Index(QuickShare(), layout).take_number() == 1
    put(layout, Entry("done", 0, 7, 3))
    assert Index(QuickShare(), layout).take_number() == 8
    os.mkdir(f"{layout.dir}/job12")
    os.mkdir(f"{layout.dir}/jobs99")
    assert Index(QuickShare(), layout).take_number() == 13
    Path(layout.last, "20").touch()
    Path(layout.last, ".nfs77").touch()
    Path(layout.last, "³").touch()
    assert Index(QuickShare(), layout).take_number() == 21


@pytest.mark.usefixtures("watched_calls")
def test_the_number_after_ones_own_last_one_costs_no_look_at_the_index(layout: QueueLayout) -> None:
    share = Meddled(_is_listing_of("runnable"), lambda _: None)
    index = Index(share, layout)
    assert [index.take_number() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert share.count == 1


def test_a_tombstone_of_the_highest_number_is_kept_and_lower_ones_go(layout: QueueLayout, index: Index) -> None:
    for number in (3, 2, 9, 4):
        index.bury(number)
    assert os.listdir(layout.last) == ["9"]


# --- publishing -------------------------------------------------------------------------------------------------------


def test_what_is_published_lies_in_runnable_and_nothing_is_left_of_its_draft(layout: QueueLayout, index: Index) -> None:
    assert index.publish(5, 7) == Entry("runnable", 7, 5, 0)
    assert entries_in(layout) == [Entry("runnable", 7, 5, 0)]
    assert os.listdir(layout.tmp) == []


@pytest.mark.usefixtures("watched_calls")
def test_a_job_that_has_moved_on_before_its_submitter_looks_is_published(layout: QueueLayout) -> None:
    """And it is made to outlast a power cut, like any other, before it is acknowledged."""
    opened: dict[int, str] = {}
    synced: list[str] = []

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "fsync":
            synced.append(opened[call.args[0]])
        answer = do()
        if call.name == "open":
            opened[answer] = call.args[0]
        elif call.name == "rename":
            os.rename(call.args[1], f"{layout.index_folder('waiting')}/500-00000005.1")
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return answer

    share = HookedShare()
    share.hook = hook
    assert Index(share, layout).publish(5, 0) == Entry("waiting", 0, 5, 1)
    assert synced == [layout.index_folder("runnable")]


@pytest.mark.usefixtures("watched_calls")
def test_a_job_whose_draft_is_gone_and_that_is_nowhere_was_not_published(layout: QueueLayout) -> None:
    share = Meddled(_is_rename, lambda _: os.unlink(f"{layout.tmp}/{os.listdir(layout.tmp)[0]}"))
    with pytest.raises(OSError, match="the job was not published; submit it again") as caught:
        Index(share, layout).publish(5, 0)
    assert caught.value.errno == errno.EIO


def test_a_withdrawn_job_cannot_be_published_by_a_rename_that_comes_late(layout: QueueLayout, index: Index) -> None:
    os.mkdir(f"{layout.dir}/job5")
    Path(layout.tmp, "500-00000005.0.abcdef01").touch()
    Path(layout.tmp, "500-00000006.0.abcdef01").touch()
    assert index.withdraw(5)
    assert os.listdir(layout.tmp) == ["500-00000006.0.abcdef01"]


def test_a_job_that_was_published_or_deleted_since_cannot_be_withdrawn(layout: QueueLayout, index: Index) -> None:
    os.mkdir(f"{layout.dir}/job5")
    put(layout, Entry("waiting", 0, 5, 3))
    assert not index.withdraw(5)
    assert not index.withdraw(6)


# --- moving -----------------------------------------------------------------------------------------------------------


def test_a_job_is_parked_if_nothing_of_it_is_ready_and_nobody_has_moved_it(layout: QueueLayout, index: Index) -> None:
    entry = Entry("runnable", 0, 1, 3)
    put(layout, entry)
    assert not index.try_park(entry, lambda: False)
    assert not index.try_park(entry._replace(moves=2), lambda: True)
    assert entries_in(layout) == [entry]
    assert index.try_park(entry, lambda: True)
    assert entries_in(layout) == [Entry("waiting", 0, 1, 4)]


@pytest.mark.parametrize("folder", ["runnable", "waiting"])
@pytest.mark.parametrize("knows", ["the latest", "an old one", "nothing"])
def test_a_wake_raises_k_also_where_the_job_is_runnable_already(
    layout: QueueLayout, index: Index, folder: str, knows: str
) -> None:
    entry = Entry(folder, 0, 1, 3)
    put(layout, entry)
    known = {"the latest": entry, "an old one": Entry("runnable", 0, 1, 1), "nothing": None}[knows]
    assert index.wake(1, known) == Entry("runnable", 0, 1, 4)
    assert entries_in(layout) == [Entry("runnable", 0, 1, 4)]


@pytest.mark.parametrize("folder", ["held", "done"])
def test_a_held_or_ended_job_is_not_woken(layout: QueueLayout, index: Index, folder: str) -> None:
    put(layout, Entry(folder, 0, 1, 3))
    assert index.wake(1) is None
    assert index.wake(2) is None
    assert entries_in(layout) == [Entry(folder, 0, 1, 3)]


@pytest.mark.usefixtures("watched_calls")
def test_whoever_wakes_may_rely_on_a_wake_that_came_after_he_had_looked(layout: QueueLayout) -> None:
    """Others were quicker, and have left it runnable: that is as good as one's own."""
    put(layout, Entry("waiting", 0, 1, 0))

    def be_quicker(nth: int) -> None:
        if nth == 0:
            os.rename(
                f"{layout.index_folder('waiting')}/500-00000001.0", f"{layout.index_folder('runnable')}/500-00000001.1"
            )

    share = Meddled(_is_rename, be_quicker)
    assert Index(share, layout).wake(1) == Entry("runnable", 0, 1, 1)
    assert share.count == 1


def _moving_on(layout: QueueLayout, folders: tuple[str, str]) -> Callable[[int], None]:
    """Somebody moves the entry to and fro, each time before the other one can."""

    def move(nth: int) -> None:
        before, after = folders[nth % 2], folders[(nth + 1) % 2]
        os.rename(
            f"{layout.index_folder(before)}/500-00000001.{nth}", f"{layout.index_folder(after)}/500-00000001.{nth + 1}"
        )

    return move


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize(
    ("act", "folders"),
    [
        (lambda index: index.put(1, "done"), ("held", "waiting")),
        (lambda index: index.set_priority(1, 3), ("held", "waiting")),
        (lambda index: index.discard(1), ("held", "waiting")),
        (lambda index: index.wake(1), ("waiting", "waiting")),
    ],
    ids=["put", "priority", "discard", "wake"],
)
def test_an_entry_that_moves_at_every_try_is_given_up_in_the_end(
    layout: QueueLayout, act: Callable[[Index], object], folders: tuple[str, str]
) -> None:
    put(layout, Entry(folders[0], 0, 1, 0))
    share = Meddled(_is_rename, _moving_on(layout, folders))
    with pytest.raises(LostRaceError, match="the entry of job1 moved at every try; try again"):
        act(Index(share, layout))
    # A wake that knows no entry has to look for it first.
    assert share.count >= 999


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize(
    "act",
    [
        lambda index: index.put(1, "held"),
        lambda index: index.set_priority(1, 3),
        lambda index: index.discard(1),
        lambda index: index.wake(1),
    ],
    ids=["put", "priority", "discard", "wake"],
)
def test_an_error_that_stays_is_raised_after_four_tries(layout: QueueLayout, act: Callable[[Index], object]) -> None:
    put(layout, Entry("waiting", 0, 1, 0))

    def refuse(_: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    share = Meddled(_is_rename, refuse)
    with pytest.raises(PermissionError):
        act(Index(share, layout))
    assert share.count == 4
    assert entries_in(layout) == [Entry("waiting", 0, 1, 0)]


def test_a_job_is_put_where_it_is_wanted_once(layout: QueueLayout, index: Index) -> None:
    put(layout, Entry("waiting", 4, 1, 0))
    assert index.put(1, "held") == Entry("held", 4, 1, 1)
    assert index.put(1, "held") == Entry("held", 4, 1, 1)
    with pytest.raises(JobStateError, match="job1 is held, not runnable or waiting"):
        index.put(1, "done", among=("runnable", "waiting"))
    with pytest.raises(JobNotFoundError, match="there is no job2 in the queue"):
        index.put(2, "held")
    assert index.set_priority(1, -499) == Entry("held", -499, 1, 2)
    assert index.set_priority(1, -499) == Entry("held", -499, 1, 2)


def test_a_discarded_entry_lies_in_trash(layout: QueueLayout, index: Index) -> None:
    put(layout, Entry("done", 0, 1, 6))
    assert index.discard(1)
    assert not index.discard(1)
    assert os.listdir(layout.trash) == ["500-00000001.6"]
    assert entries_in(layout) == []


def test_whether_a_confirming_rename_was_executed_is_asked_afresh(
    layout: QueueLayout, watched_calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: a host may remember a listing from before."""
    entry = Entry("done", 0, 1, 2)
    put(layout, entry)
    share = HookedShare()
    monkeypatch.setattr(share, "is_remote", lambda _: True)

    def hook(call: Call, do: Callable[[], Any]) -> Any:
        answer = do()
        if call.name == "rename":
            raise OSError(errno.EIO, "executed all the same")
        return answer

    share.hook = hook
    assert Index(share, layout).try_confirm(entry)
    folder = layout.index_folder("done")
    assert [call.name for call in share.seen if call.args[0] == folder] == ["utime", "listdir"]
    assert entries_in(layout) == [Entry("done", 0, 1, 3)]
