"""The outputs of an array's items: each item's own, published with whatever commits it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.names import is_temporary_of
from jobqueue.proc import JobProc
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.settling import settle_from_record
from jobqueue.worker.sweep import sweep
from tests.soundness import assert_sound
from tests.support_arrays import Item, Shop, share, shop, submit_frames, theatre
from tests.support_share import watched_calls
from tests.support_worker import worker_on

__all__ = ["share", "shop", "watched_calls"]


class Killed(BaseException):
    """The process is killed."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the outputs belong."""
    folder = tmp_path / "frames"
    folder.mkdir()
    return folder


def writes(out: Path, then: Callable[[JobProc], Any] = lambda _: None, name: str = "") -> Callable[[JobProc], Any]:
    """Writes an output that is named after the item, and does something."""

    def act(proc: JobProc) -> Any:
        assert isinstance(proc, Item)
        path = proc.output(str(out / (name or f"f{proc.number}.exr")))
        Path(path).write_text(f"frame {proc.number}, attempt {proc.runningDir and proc.runningDir[-1]}")
        return then(proc)

    return act


def fails(_: JobProc) -> None:
    raise RuntimeError("no licence")


def dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def published(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(out.iterdir()) if not path.name.startswith(".jq-")}


def temporaries(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob(".jq-*"))


def kill(shop: Shop) -> None:
    """The slot's process is killed while an item runs; its supervisor clears up."""
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    for token in shop.worker.store.tokens.running_of(shop.worker.name):
        shop.worker.aftermath.end(shop.worker.name, token, Ending("died", "killed"))
    for won in shop.worker.store.tokens.won_of(shop.worker.name):
        settle_from_record(shop.worker.store, shop.worker.name, won)
    shop.worker.runner.chooser.look_again()


# --- a calm day -------------------------------------------------------------------------------------------------------


def test_each_item_publishes_what_it_has_declared(shop: Shop, out: Path) -> None:
    array = shop.submit(4)
    seen: list[tuple[list[str], list[str]]] = []
    look = lambda _: seen.append((temporaries(out), sorted(published(out))))  # noqa: E731
    theatre.acts = {0: writes(out, look), 2: writes(out, look), 3: look}
    shop.worker.step()
    # Until the chunk is committed each has a directory of its own.
    (first,), (same, second) = seen[0][0], seen[1][0]
    assert (first, seen[2]) == (same, ([first, second], []))
    assert [name.partition(".0000000-")[2] for name in (first, second)] == ["00000000.1", "00000002.1"]
    assert is_temporary_of(first, 1, 0, 1)
    assert published(out) == {"f0.exr": "frame 0, attempt 1", "f2.exr": "frame 2, attempt 1"}
    assert temporaries(out) == []
    assert [item.outputs for item in array.listItems()] == [[str(out / "f0.exr")], [], [str(out / "f2.exr")], []]


def test_only_items_that_have_succeeded_publish(shop: Shop, out: Path) -> None:
    array = shop.submit(3)
    theatre.acts = {0: writes(out), 1: writes(out, fails), 2: writes(out)}
    shop.worker.step()
    assert sorted(published(out)) == ["f0.exr", "f2.exr"]
    assert temporaries(out) == []
    assert array.item(1).outputs == []


def test_an_output_that_was_not_written_makes_its_item_fail_alone(shop: Shop, out: Path) -> None:
    array = shop.submit(3)
    theatre.acts = {0: writes(out), 1: lambda proc: proc.output(str(out / "never.exr")) and None, 2: writes(out)}
    shop.worker.step()
    assert [item.state.value for item in array.listItems()] == ["finished", "failed", "finished"]
    assert "was declared as an output and not written" in str(array.item(1).error)
    assert sorted(published(out)) == ["f0.exr", "f2.exr"]


def test_the_outputs_of_what_is_run_at_once_belong_to_each_of_its_frames(shop: Shop, out: Path) -> None:
    array = submit_frames(shop.queue, "1-4", chunk=2)

    def act(proc: JobProc) -> None:
        for frame in proc.frames:  # type: ignore[attr-defined]
            Path(proc.output(str(out / f"{frame}.exr"))).write_text("whole")

    theatre.acts = {1: act, 3: act}
    shop.worker.run_all()
    assert sorted(published(out)) == ["1.exr", "2.exr", "3.exr", "4.exr"]
    assert array.item(4).outputs == array.item(3).outputs == [str(out / "3.exr"), str(out / "4.exr")]


def test_items_that_write_one_file_do_so_one_after_the_other(shop: Shop, out: Path) -> None:
    """Published together, neither could be told from what the other has published, after a death in between."""
    shop.submit(4)
    theatre.acts = {number: writes(out, name="latest.exr") for number in (0, 2, 3)}
    shop.worker.step()
    assert shop.spans("finished") == [(0, 2), (2, 3), (3, 4)]
    assert published(out) == {"latest.exr": "frame 3, attempt 1"}
    assert temporaries(out) == []


# --- deaths -----------------------------------------------------------------------------------------------------------


def test_what_a_dead_process_had_noted_is_published_for_it(shop: Shop, out: Path) -> None:
    array = shop.submit(4)
    theatre.acts = {0: writes(out), 1: writes(out), 2: writes(out, dies), 3: writes(out)}
    kill(shop)
    assert published(out) == {"f0.exr": "frame 0, attempt 1", "f1.exr": "frame 1, attempt 1"}
    # What the item had begun to write is left until another attempt of it has succeeded.
    assert [name[-10:] for name in temporaries(out)] == ["00000002.1"]
    theatre.acts[2] = writes(out)
    shop.worker.run_all()
    assert published(out)["f2.exr"] == "frame 2, attempt 2"
    assert temporaries(out) == []
    assert [item.attempt for item in array.listItems()] == [1, 1, 2, 2]


def cancel(shop: Shop) -> None:
    """Somebody cancels the job; its slot's process is ended in the middle, and the supervisor clears up."""
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    control.cancel(shop.store, 1)
    with contextlib.closing(Spool()) as spool:
        Aftermath(Store(str(shop.queue_dir), shop.share), shop.worker.name, shop.worker.new_slot).clear(
            {1}, Ending("cancel", "asked by somebody", 1), spool
        )
    assert shop.store.tokens.running_of(shop.worker.name) == []


def test_what_has_finished_of_a_chunk_that_is_cancelled_is_published(shop: Shop, out: Path) -> None:
    array = shop.submit(5, chunk=4)
    theatre.acts = {0: writes(out, lambda _: "zero"), 1: writes(out), 2: writes(out, dies), 3: writes(out)}
    cancel(shop)
    assert [item.state.value for item in array.listItems()] == ["finished"] * 2 + ["cancelled"] * 3
    assert published(out) == {"f0.exr": "frame 0, attempt 1", "f1.exr": "frame 1, attempt 1"}
    assert (array.item(0).result, array.item(2).error) == ("zero", "cancelled")
    assert shop.store.index.find(1, ("done",))
    assert_sound(shop.queue_dir)


def test_an_error_that_was_forgiven_in_a_chunk_that_is_cancelled_is_not_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = shop.submit(4, maxErrors=2)
    theatre.acts = {1: fails}
    monkeypatch.setattr(shop.worker.store.pieces, "try_shorten", dies)
    cancel(shop)
    assert [item.state.value for item in array.listItems()] == ["finished"] + ["cancelled"] * 3
    assert_sound(shop.queue_dir)


def test_a_chunk_that_is_cancelled_when_all_of_it_is_noted_has_finished(
    shop: Shop, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = shop.submit(3)
    theatre.acts = {number: writes(out) for number in range(3)}
    monkeypatch.setattr(shop.worker.store.pieces, "try_commit", dies)
    cancel(shop)
    assert [item.state.value for item in array.listItems()] == ["finished"] * 3
    assert len(published(out)) == 3
    # What waits for it is cancelled all the same, and no duty is left.
    assert assert_sound(shop.queue_dir)[1] == ["finished", "cancelled"]
    assert os.listdir(shop.worker.registration.files.won) == []


def test_another_item_of_the_attempt_that_may_still_run_keeps_its_directory(shop: Shop, out: Path) -> None:
    """An error of an item is forgiven: it is run again elsewhere, while its first slot is at the next item."""
    shop.submit(3, maxErrors=2)

    def elsewhere(_: JobProc) -> None:
        with worker_on(shop.queue_dir, name="other") as other:
            theatre.acts[0] = writes(out)
            assert other.run_all() == ["job1/job0:0"]
        assert published(out) == {"f0.exr": "frame 0, attempt 2"}
        assert [name[-10:] for name in temporaries(out)] == ["00000001.1"]

    theatre.acts = {0: writes(out, fails), 1: writes(out, elsewhere), 2: writes(out)}
    shop.worker.step()
    assert sorted(published(out)) == ["f0.exr", "f1.exr", "f2.exr"]
    assert temporaries(out) == []


def test_a_death_between_commit_and_publishing_is_made_up_for(
    shop: Shop, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.submit(3)
    theatre.acts = {number: writes(out) for number in range(3)}

    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("jobqueue.worker.chunks.publish_outputs", die)
    with pytest.raises(Killed):
        shop.worker.step()
    assert published(out) == {}
    (won,) = shop.worker.store.tokens.won_of(shop.worker.name)
    for _ in range(2):
        settle_from_record(shop.worker.store, shop.worker.name, won)
        assert len(published(out)) == 3
    assert temporaries(out) == []
    assert shop.spans("finished") == [(0, 3)]


def test_an_attempt_that_was_superseded_publishes_nothing(shop: Shop, out: Path) -> None:
    array = shop.submit(4)

    def swept(_: JobProc) -> None:
        with worker_on(shop.queue_dir, name="sweeper") as living:
            assert sweep(living.store, living.aftermath, shop.worker.name, "silent")
        theatre.acts.update({number: writes(out) for number in (1, 2, 3)})

    theatre.acts = {0: writes(out), 1: writes(out, swept)}
    shop.worker.step()
    # The sweeper has committed what was noted, and nobody what was done after that.
    assert published(out) == {"f0.exr": "frame 0, attempt 1"}
    with worker_on(shop.queue_dir, name="other") as other:
        other.run_all()
    assert {text[-1] for name, text in published(out).items() if name != "f0.exr"} == {"2"}
    assert temporaries(out) == []
    assert [item.state.value for item in array.listItems()] == ["finished"] * 4
    assert set(assert_sound(shop.queue_dir)[1]) == {"finished"}


def test_what_items_of_a_deleted_job_have_left_is_removed_with_it(shop: Shop, out: Path) -> None:
    shop.submit(3)
    theatre.acts = {0: writes(out), 1: writes(out, fails), 2: writes(out, dies)}
    kill(shop)
    assert [name[-10:] for name in temporaries(out)] == ["00000002.1"]
    control.delete(shop.store, 1)
    assert not os.path.exists(shop.queue_dir / "job1")
    assert (sorted(published(out)), temporaries(out)) == (["f0.exr"], [])


def test_a_directory_of_another_attempt_or_item_is_not_taken_for_its_own() -> None:
    name = ".jq-0a.1-7.0000003-00000012.2"
    assert is_temporary_of(name, 7, 3, 2)
    for job, node, attempt in ((8, 3, 2), (7, 4, 2), (7, 3, 1)):
        assert not is_temporary_of(name, job, node, attempt)
    for other in (f"{name}x", name[1:], ".jq-0a.1-7.0000003-12.2", ".jq-0a.1-7.0000003-00000012-1.2", ".jq-"):
        assert not is_temporary_of(other, 7, 3, 2)
