"""A slot's work on a chunk, item after item: what is noted, what is committed when, and what goes back."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue import control, layout, removal
from jobqueue.names import Span, Token
from jobqueue.proc import JobProc
from jobqueue.state import JobState
from jobqueue.worker import chunks
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.runner import Step
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_arrays import Shop, share, shop, submit_frames, theatre
from tests.support_share import Call, watched_calls
from tests.support_worker import worker_on

__all__ = ["share", "shop", "watched_calls"]

_DIED = Ending("died", "its process ended with signal 9")


def _say(text: str) -> None:
    sys.stdout.write(text)


def _fails(_: JobProc) -> None:
    raise RuntimeError("no licence")


# --- a calm day -------------------------------------------------------------------------------------------------------


def test_a_chunk_is_noted_item_by_item_and_committed_once(shop: Shop) -> None:
    array = shop.submit(5, 1.0, chunk=3)
    theatre.acts = {number: (lambda _, number=number: {"squared": number**2}) for number in range(4)}  # type: ignore[misc]
    assert shop.worker.step() is Step.RAN
    assert theatre.ran == [0, 1, 2]
    assert [note["item"] for note in shop.notes()] == [0, 1, 2]
    assert (shop.spans("finished"), shop.states(array)) == ([(0, 3)], ["finished"] * 3 + ["ready"] * 2)
    assert [event["items"] for event in shop.events("start")] == [[0, 3]]
    (record,) = shop.events("end")
    assert (record["items"], record["ok"], record["start"], record["end"]) == ([0, 3], True, 1_000_000.0, 1_000_003.0)
    shop.worker.run_all()
    assert theatre.ran == [0, 1, 2, 3, 4]
    assert [item.result for item in array.listItems()] == [{"squared": 0}, {"squared": 1}, {"squared": 4}, {
        "squared": 9}, None]  # fmt: skip
    item = array.item(1)
    assert (item.startTime, item.endTime, item.attempt) == (1_000_001.0, 1_000_002.0, 1)
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_each_item_has_its_own_part_of_what_the_chunk_has_printed(shop: Shop) -> None:
    array = shop.submit(6)

    def strays(_: JobProc) -> None:
        """Puts other streams in the place of its own, and does not come back."""
        os.write(1, b"to descriptor 1\n")
        sys.stdout = sys.stderr
        sys.stdout.write("astray")
        os.close(1)

    def prints(_: JobProc) -> None:
        sys.stdout.write("four\n")
        sys.stderr.write("more\n")

    theatre.acts = {
        0: lambda _: _say("zero\n"),
        2: lambda proc: [proc.stdout.write("zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf"), proc.stderr.write("err2")][
            2:
        ],
        3: strays,
        4: prints,
    }
    shop.worker.run_all()
    printed = [item.reader.printed(item.index) for item in array.listItems()]
    texts = [dict(one.texts) if one else {} for one in printed]
    assert [text["stdout"].decode() for text in texts] == [
        "zero\n",
        "",
        "zw\u00f6lf",
        "to descriptor 1\n",
        "four\n",
        "",
    ]
    assert [text["stderr"] for text in texts] == [b"", b"", b"err2", b"astray", b"more\n", b""]
    # Those that print nothing cost nothing.
    assert [set(note) & {"stdout", "stderr"} for note in shop.notes()][1] == set()
    chunk = shop.queue_dir / "job1/job0/.chunks/0000/00000000.1"
    assert (chunk / "stdout").read_bytes() == "zero\nzw\u00f6lfto descriptor 1\nfour\n".encode()


def test_an_item_is_told_which_one_it_is(shop: Shop) -> None:
    array = shop.submit(5, chunk=3)
    seen = []
    names = ("JOBQUEUE_JOB", "JOBQUEUE_ATTEMPT", "JOBQUEUE_RUNNING_DIR", "JOBQUEUE_QUEUE")
    look = lambda proc: seen.append([*(os.environ.get(name) for name in names), proc.runningDir, os.getcwd()])  # noqa: E731
    theatre.acts = dict.fromkeys(range(5), look)
    shop.worker.run_all()
    assert array.state is JobState.FINISHED
    for at, start in ((0, 0), (2, 0), (3, 3)):
        directory = str(shop.queue_dir / f"job1/job0/.chunks/0000/{start:08d}.1")
        assert seen[at] == [f"job1/job0:{at}", "1", directory, str(shop.queue_dir), directory, directory]
    assert "JOBQUEUE_JOB" not in os.environ


def test_a_status_line_is_that_of_its_own_item(shop: Shop) -> None:
    array = shop.submit(4)

    def fails(proc: JobProc) -> None:
        proc.setStatusLine("out of paint")
        proc.setError()

    theatre.acts = {0: lambda proc: proc.setStatusLine("zero"), 2: lambda proc: proc.setError(), 3: fails}
    shop.worker.run_all()
    assert [note.get("status") for note in shop.notes()] == ["zero", None, None, "out of paint"]
    assert [item.error for item in array.listItems()] == [None, None, "the procedure called setError", "out of paint"]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [{0}, {2}, {4}, {1, 2}, {0, 4}, {0, 1, 2, 3, 4}], ids=str)
def test_an_item_that_fails_stands_for_itself_and_the_others_go_on(shop: Shop, bad: set[int]) -> None:
    array = shop.submit(5)
    theatre.acts = dict.fromkeys(bad, _fails)
    shop.worker.run_all()
    assert theatre.ran == [0, 1, 2, 3, 4]
    assert shop.spans("failed") == [(item, item + 1) for item in sorted(bad)]
    assert shop.states(array) == ["failed" if item in bad else "finished" for item in range(5)]
    for item in array.listItems(JobState.FAILED):
        assert item.error == "RuntimeError: no licence"
        printed = item.reader.printed(item.index)
        assert printed and b"no licence" in printed.texts["traceback"]
    assert array.error == f"{len(bad)} of its items have failed"
    assert_sound(shop.queue_dir)
    theatre.acts, theatre.ran = {}, []
    assert array.retry() == len(bad)
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert theatre.ran == sorted(bad)
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_an_error_that_is_forgiven_charges_its_item_alone(shop: Shop) -> None:
    array = shop.submit(4, maxErrors=2)
    theatre.acts = {1: _fails, 2: lambda proc: _fails(proc) if theatre.ran.count(2) == 1 else "in time"}
    shop.worker.run_all()
    assert theatre.ran == [0, 1, 2, 3, 1, 2]
    assert shop.states(array) == ["finished", "failed", "finished", "finished"]
    assert [item.attempt for item in array.listItems()] == [1, 2, 2, 1]
    assert array.item(2).result == "in time"
    assert_sound(shop.queue_dir)


def test_deaths_of_an_item_are_not_its_errors(shop: Shop) -> None:
    """It may fail twice, and die twice: each has a limit of its own, as with a job."""
    array = shop.submit(1, maxErrors=3, maxAttempts=3)

    def act(_: JobProc) -> None:
        if theatre.ran.count(0) in (1, 3):
            raise RuntimeError("no licence")
        raise KeyboardInterrupt

    theatre.acts = {0: act}
    for _ in range(2):
        shop.worker.step()
        with pytest.raises(KeyboardInterrupt):
            shop.worker.step()
        (token,) = shop.worker.store.tokens.running_of(shop.worker.name)
        shop.worker.aftermath.end(shop.worker.name, token, _DIED)
    assert theatre.ran == [0] * 4
    assert (array.item(0).state, array.item(0).attempt) == (JobState.READY, 4)
    shop.worker.runner.chooser.look_again()
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    (token,) = shop.worker.store.tokens.running_of(shop.worker.name)
    shop.worker.aftermath.end(shop.worker.name, token, _DIED)
    assert array.item(0).state is JobState.FAILED
    assert "3 attempts have died" in str(array.item(0).error)


def test_an_error_that_is_forgiven_is_so_too_when_its_slot_dies_before_it_says_so(shop: Shop) -> None:
    array = shop.submit(4, maxErrors=2)
    theatre.acts = {1: lambda proc: _fails(proc) if theatre.ran.count(1) == 1 else None}

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    give_back = shop.worker.store.tokens.give_back
    shop.worker.store.tokens.give_back = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        shop.worker.step()
    shop.worker.store.tokens.give_back = give_back  # type: ignore[method-assign]
    for token in shop.worker.store.tokens.running_of(shop.worker.name):
        shop.worker.aftermath.end(shop.worker.name, token, _DIED)
    assert shop.spans("failed") == []
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert shop.states(array) == ["finished"] * 4
    assert array.item(1).attempt == 2


# --- some at a time ---------------------------------------------------------------------------------------------------


def test_what_is_done_is_committed_after_ten_seconds(shop: Shop) -> None:
    array = shop.submit(9, 4.0, chunk=8)
    seen = []
    theatre.acts = {number: lambda _: seen.append(shop.spans("finished")) for number in range(8)}
    shop.worker.step()
    assert seen[2:7] == [[], [(0, 3)], [(0, 3)], [(0, 3)], [(0, 3), (3, 6)]]
    assert shop.spans("finished") == [(0, 3), (3, 6), (6, 8)]
    assert shop.states(array) == ["finished"] * 8 + ["ready"]
    # They are of one attempt, whose beginning they share.
    assert [event["items"] for event in shop.events("start")] == [[0, 8]]


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (None, []),
        (lambda _: _say("hello"), ["stdout"]),
        (lambda proc: proc.stderr.write("hello"), ["stderr"]),
        (lambda _: os.mkdir("made"), ["made"]),
        (_fails, ["traceback"]),
    ],
    ids=["nothing", "stdout", "stderr", "a directory", "a failure"],
)
def test_a_chunk_leaves_its_directory_where_something_lies_in_it(
    shop: Shop, act: Callable[[JobProc], Any] | None, left: list[str]
) -> None:
    shop.submit(2, chunk=2)
    theatre.acts = {0: act} if act else {}
    shop.worker.run_all()
    shard = shop.queue_dir / "job1/job0/.chunks/0000"
    assert [name for chunk in shard.iterdir() for name in os.listdir(chunk)] == left
    assert len(list(shard.iterdir())) == bool(left)


def test_a_directory_that_cannot_be_removed_stays_and_harms_nobody(shop: Shop) -> None:
    array = shop.submit(2, chunk=1)

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rmdir" and "/.chunks/" in str(call.args[0]):
            raise OSError(errno.EBUSY, "Device or resource busy", call.args[0])
        return do()

    shop.share.hook = refuse
    shop.worker.run_all()
    assert shop.states(array) == ["finished"] * 2
    assert len(os.listdir(shop.queue_dir / "job1/job0/.chunks/0000")) == 2


def test_many_short_items_are_committed_together(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_COMMIT_ITEMS", 4)
    shop.submit(10)
    shop.worker.run_all()
    assert shop.spans("finished") == [(0, 4), (4, 8), (8, 10)]
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def _syncs(shop: Shop) -> int:
    return sum(call.name == "fsync" for call in shop.share.seen)


@pytest.mark.parametrize(("seconds", "syncs"), [(0.1, 0), (0.6, 4), (1.5, 9)])
def test_notes_are_synced_once_a_second(shop: Shop, seconds: float, syncs: int) -> None:
    shop.submit(10, seconds)
    shop.share.seen.clear()
    shop.worker.step()
    # The first note comes when a second has not passed yet.
    assert _syncs(shop) in (syncs, syncs + 1)


def _written(shop: Shop) -> list[str]:
    """What was written to the journal, in short, and when it was synced."""
    found: list[str] = []
    for call in shop.share.seen:
        line = bytes(call.args[1]) if call.name == "write" else b""
        if line.startswith(b"{"):
            event = json.loads(line)
            found.append(f"item {event['item']}" if "item" in event else f"{event['event']} {event['items']}")
        elif call.name == "fsync":
            found.append("sync")
    return found


def test_what_a_power_cut_must_not_take_is_synced(shop: Shop) -> None:
    """A failure, and a result; with a record all notes before it in the same file."""
    shop.submit(4, chunk=3)
    theatre.acts = {0: lambda _: 1, 3: lambda _: None}
    shop.share.seen.clear()
    shop.worker.step()
    assert _written(shop) == ["start [0, 3]", "item 0", "item 1", "item 2", "end [0, 3]", "sync"]
    shop.share.seen.clear()
    shop.worker.step()
    assert _written(shop) == ["start [3, 4]", "item 3", "end [3, 4]"]
    theatre.acts = {1: _fails}
    shop.submit(3)
    shop.worker.step()
    shop.worker.runner.chooser.look_again()
    shop.share.seen.clear()
    shop.worker.step()
    told = _written(shop)
    assert told[: told.index("end [2, 3]")] == [
        "start [0, 3]", "item 0", "item 1", "sync", "end [0, 1]", "end [1, 2]", "sync", "item 2",
    ]  # fmt: skip


# --- slow chunks ------------------------------------------------------------------------------------------------------


def test_a_slow_chunk_gives_back_what_it_has_not_begun(shop: Shop) -> None:
    array = shop.submit(6, 8.0)
    ready: list[list[str]] = []
    theatre.acts = {
        number: lambda _: ready.append(sorted(os.listdir(shop.store.layout.job(1).ready))) for number in range(6)
    }
    assert shop.worker.step() is Step.RAN
    # After 24 seconds it keeps the next item alone.
    assert theatre.ran == [0, 1, 2, 3]
    assert [len(names) for names in ready] == [0, 0, 0, 1]
    (token,) = shop.store.tokens.counts(shop.store.layout.job(1)) and os.listdir(shop.store.layout.job(1).ready)
    assert token == "0000000-00000004-00000006.1.3.0"
    assert shop.states(array) == ["finished"] * 4 + ["ready"] * 2
    assert_sound(shop.queue_dir)
    shop.worker.run_all()
    assert theatre.ran == [0, 1, 2, 3, 4, 5]
    assert [item.attempt for item in array.listItems()] == [1, 1, 1, 1, 2, 2]
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_a_slow_chunk_keeps_what_it_has_while_others_find_enough(shop: Shop) -> None:
    shop.submit(9, 8.0, chunk=6)
    assert shop.worker.step() is Step.RAN
    assert theatre.ran == [0, 1, 2, 3, 4, 5]
    assert os.listdir(shop.store.layout.job(1).ready) == ["0000000-00000006-00000009.0.1.0"]


def test_a_long_item_lets_the_others_go_while_it_runs(shop: Shop) -> None:
    """Another thread looks, since the slot is in the job's hands."""
    array = shop.submit(4)
    seen = []

    def act(_: JobProc) -> None:
        chunk = shop.worker.runner.chunk
        assert chunk is not None and theatre.clock is not None
        for _nth in range(3):
            thread = threading.Thread(target=chunk.give_back)
            thread.start()
            thread.join()
            seen.append(os.listdir(shop.store.layout.job(1).ready))
            theatre.clock.sleep(20.5)

    theatre.acts = {1: act}
    shop.worker.step()
    assert seen == [[], *[["0000000-00000002-00000004.1.2.0"]] * 2]
    assert theatre.ran == [0, 1]
    assert shop.states(array) == ["finished", "finished", "ready", "ready"]
    assert_sound(shop.queue_dir)


def test_what_was_split_off_and_not_born_is_born_as_soon_as_the_share_lets_it(shop: Shop) -> None:
    shop.submit(4)
    seen = []

    def refuse_once(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and "/spare/" in str(call.args[0]):
            shop.share.hook = lambda _, do: do()
            raise OSError(errno.ENOSPC, "No space left on device", call.args[0])
        return do()

    def act(_: JobProc) -> None:
        chunk = shop.worker.runner.chunk
        assert chunk is not None and theatre.clock is not None
        theatre.clock.sleep(20.5)
        shop.share.hook = refuse_once
        with pytest.raises(OSError, match="No space left"):
            chunk.give_back()
        seen.append(os.listdir(shop.store.layout.job(1).ready))
        # The thread comes by again, half a second later.
        theatre.clock.sleep(0.5)
        chunk.give_back()
        seen.append(os.listdir(shop.store.layout.job(1).ready))

    theatre.acts = {1: act}
    shop.worker.step()
    assert seen == [[], ["0000000-00000002-00000004.1.2.0"]]
    assert theatre.ran == [0, 1]
    assert_sound(shop.queue_dir)


def test_what_only_seems_to_have_been_made_ready_is_not_lost(shop: Shop) -> None:
    """NFS: the rename of a spare answers an error, and a listing that is too old does not show it."""
    array = shop.submit(4, 11.0)
    hits: list[str] = []

    def lie(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "rename" and "/spare/" in str(call.args[0]) and "/running/" in str(call.args[1]) and not hits:
            hits.append(str(call.args[0]))
            raise OSError(errno.EIO, "Input/output error", call.args[0])
        if call.name == "listdir" and str(call.args[0]).endswith("/spare") and len(hits) == 1:
            hits.append("hidden")
            return []
        return do()

    shop.share.hook = lie
    shop.worker.run_all()
    assert len(hits) == 2
    assert theatre.ran == [0, 1, 2, 3]
    assert set(shop.states(array)) == {"finished"}
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_a_thread_that_comes_late_gives_nothing_back(shop: Shop) -> None:
    shop.submit(2)
    late = []
    theatre.acts = {1: lambda _: late.append(shop.worker.runner.chunk)}
    shop.worker.step()
    assert theatre.clock is not None
    theatre.clock.sleep(100)
    shop.share.seen.clear()
    assert late[0] is not None
    late[0].give_back()
    assert shop.share.seen == []


def test_a_share_in_trouble_keeps_a_slow_chunk_as_it_is(shop: Shop) -> None:
    array = shop.submit(6, 8.0)

    def refuse_once(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and "/spare/" in str(call.args[0]):
            shop.share.hook = lambda _, do: do()
            raise OSError(errno.ENOSPC, "No space left on device", call.args[0])
        return do()

    theatre.acts = {2: lambda _: setattr(shop.share, "hook", refuse_once)}
    shop.worker.step()
    # It tries again after as long a time.
    assert theatre.ran == [0, 1, 2, 3, 4, 5]
    assert shop.states(array) == ["finished"] * 6
    shop.worker.run_all()
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


# --- others take it ---------------------------------------------------------------------------------------------------


def test_a_slot_that_was_taken_for_dead_commits_nothing_any_more(shop: Shop) -> None:
    array = shop.submit(5)
    theatre.acts = {2: lambda _: _sweep(shop)}
    shop.worker.step()
    # What it had noted is committed for it, and it is blamed for the item that it was at.
    assert theatre.ran == [0, 1, 2, 3, 4]
    assert (shop.spans("finished"), shop.states(array)) == ([(0, 2)], ["finished"] * 2 + ["ready"] * 3)
    found = filter(None, map(Token.parse, os.listdir(shop.store.layout.job(1).ready)))
    tokens = sorted(found, key=lambda token: token.span or Span(0, 1))
    assert [(token.span, token.attempt, token.charged) for token in tokens] == [
        (Span(2, 3), 1, 1),
        (Span(3, 5), 1, 0),
    ]
    assert [event["items"] for event in shop.events("alive")] == [[0, 5]]
    theatre.acts = {}
    with worker_on(shop.queue_dir, name="other") as other:
        other.run_all()
    assert theatre.ran == [0, 1, 2, 3, 4, 2, 3, 4]
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def _sweep(shop: Shop) -> None:
    with worker_on(shop.queue_dir, name="sweeper") as living:
        assert sweep(living.store, living.aftermath, shop.worker.name, "it was silent")


def test_a_deleted_job_ends_its_chunk(shop: Shop) -> None:
    shop.submit(5)
    theatre.acts = {2: lambda _: control.delete(shop.store, 1)}
    shop.worker.step()
    assert theatre.ran[:3] == [0, 1, 2]
    assert shop.worker.store.tokens.running_of(shop.worker.name) == []
    shop.worker.run_all()
    assert removal.remove_rest(shop.store, 1)
    assert not (shop.queue_dir / "job1").exists()
    assert os.listdir(shop.store.layout.trash) == []


def test_an_item_that_removes_its_own_directory_harms_nobody(shop: Shop) -> None:
    array = shop.submit(4)

    def act(proc: JobProc) -> None:
        _say("kept\n")
        shutil.rmtree(str(proc.runningDir))

    theatre.acts = {1: act, 3: act}
    shop.worker.run_all()
    assert theatre.ran == [0, 1, 2, 3]
    assert shop.states(array) == ["finished"] * 4
    printed = array.item(1).reader.printed(1)
    assert printed and printed.texts["stdout"] == b"kept\n"
    assert sorted(os.listdir(shop.queue_dir / "job1/job0")) == [".chunks"]


# --- a share in trouble -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", range(8))
def test_a_write_that_fails_is_made_again_in_another_journal(shop: Shop, nth: int) -> None:
    """The beginning, six notes of which the third is a failure, two records."""
    array = shop.submit(6)
    theatre.acts = {2: _fails}
    left = nth

    def refuse(call: Call, do: Callable[[], Any]) -> Any:
        nonlocal left
        if call.name == "write" and b'"node"' in bytes(call.args[1]):
            left -= 1
            if left == -1:
                os.write(call.args[0], bytes(call.args[1][:10]))
                raise OSError(errno.ENOSPC, "No space left on device")
        return do()

    shop.share.hook = refuse
    if nth == 0:
        # Nothing of it has begun.
        with pytest.raises(OSError, match="No space"):
            shop.worker.step()
        assert theatre.clock is not None
        theatre.clock.sleep(1)
        shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert left < 0
    assert theatre.ran == [0, 1, 2, 3, 4, 5]
    assert shop.states(array) == ["finished", "finished", "failed", "finished", "finished", "finished"]
    assert shop.worker.slots == 2
    assert_sound(shop.queue_dir)


@pytest.mark.parametrize("frames", ["1-x", "1-7"])
def test_an_array_whose_frames_cannot_be_read_is_set_aside(shop: Shop, frames: str) -> None:
    submit_frames(shop.queue, "1-6", chunk=3)
    path = shop.queue_dir / "job1/.hierarchy"
    path.write_bytes(path.read_bytes().replace(b'"frames":"1-6"', b'"frames":"%s"' % frames.encode()))
    assert shop.worker.run_all() == []
    (entry,) = shop.store.index.all()
    assert entry.folder == "held"
    assert len(os.listdir(shop.store.layout.job(1).ready)) == 1


def test_an_array_whose_values_cannot_be_read_is_set_aside(shop: Shop) -> None:
    shop.submit(3, chunk=1)
    shop.worker.step()
    (shop.queue_dir / "job1/.items-0000000").write_bytes(b"spoiled")
    shop.worker.runner.leave()
    with worker_on(shop.queue_dir, name="other") as other:
        assert other.run_all() == []
    (entry,) = shop.store.index.all()
    assert entry.folder == "held"
    assert shop.spans("finished") == [(0, 1)]
    assert len(os.listdir(shop.store.layout.job(1).ready)) == 1


def test_values_that_go_bad_in_the_middle_set_the_job_aside(shop: Shop) -> None:
    """They are read a block at a time, so that a chunk may have begun by then; what it has done stands."""
    array = shop.submit(1500, chunk=1500)
    items = shop.queue_dir / "job1/.items-0000000"
    theatre.acts = {5: lambda _: items.write_bytes(items.read_bytes().replace(b"[[1024,", b"[[x024,"))}
    shop.worker.run_all()
    assert theatre.ran == list(range(1024))
    assert shop.spans("finished") == [(0, 1024)]
    assert array.countItemsByState()[JobState.READY] == 1500 - 1024
    (entry,) = shop.store.index.all()
    assert entry.folder == "held"


# --- big directories --------------------------------------------------------------------------------------------------


def test_no_directory_grows_with_the_array(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is one item that prints, so that most is left of it; a shard is small, or it would take minutes."""
    monkeypatch.setattr(layout, "SHARD_ITEMS", 64)
    array = shop.submit(640, chunk=1)
    theatre.acts = dict.fromkeys(range(640), lambda _: _say("printed"))
    most: dict[str, int] = {}
    while shop.worker.step() is Step.RAN:
        for directory, folders, names in os.walk(shop.queue_dir) if len(theatre.ran) % 64 in (0, 1, 63) else ():
            most[directory] = max(most.get(directory, 0), len(folders) + len(names))
    assert array.countItemsByState()[JobState.FINISHED] == 640
    job = shop.store.layout.job(1)
    assert {directory for directory, count in most.items() if count >= 64} == {
        *(f"{job.finished}/0000000-{shard:04d}" for shard in range(10)),
        *(f"{job.dir}/job0/.chunks/{shard:04d}" for shard in range(10)),
    }
    assert max(most.values()) == 64
