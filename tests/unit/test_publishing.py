"""What becomes of jobs with outputs: a worker without processes runs them."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.attempt import Attempt
from jobqueue.errors import JobQueueError
from jobqueue.hierarchy import Hierarchy
from jobqueue.journal import read_record
from jobqueue.names import ClosedToken, RunningToken
from jobqueue.state import JobState, look_up
from jobqueue.streams import Spool
from jobqueue.worker.publishing import another_has_won
from jobqueue.worker.runner import Step
from jobqueue.worker.settling import settle_from_record
from jobqueue.worker.tidying import CallersProcess
from tests.faults.flows_of_outputs import committed
from tests.soundness import assert_sound
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import Worker, attached, worker_on

__all__ = ["watched_calls"]


class Shop:
    """A queue with one worker, and a directory for what comes out."""

    def __init__(self, queue_dir: Path, folder: Path) -> None:
        self.queue_dir = queue_dir
        self.final = folder / "frame.exr"
        self.queue = attached(queue_dir, QuickShare())
        self.share = HookedShare()
        self.worker = Worker(queue_dir, self.share)

    def submit(self, text: str) -> jobqueue.JobHandle:
        return self.queue.createJobRoot("code", text=text.format(final=str(self.final))).activate()

    def leftovers(self) -> list[str]:
        return [path.name for path in self.final.parent.glob(".jq-*")]


@pytest.fixture
def shop(queue_dir: Path, tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "frames").mkdir()
    shop = Shop(queue_dir, tmp_path / "frames")
    yield shop
    shop.share.hook = lambda _, do: do()
    shop.worker.leave()


WRITES = "__import__('pathlib').Path(proc.output({final!r})).write_text('whole')"


def test_a_job_publishes_what_it_has_declared_and_written(shop: Shop) -> None:
    job = shop.submit(f"{WRITES}\nassert __import__('os').listdir({{final!r}}[:-9])[0].startswith('.jq-')\nresult = 3")
    assert shop.worker.run_all() == ["job1"]
    assert shop.final.read_text() == "whole"
    assert shop.leftovers() == []
    assert (job.outputs, job.result) == ([str(shop.final)], 3)


def test_ones_own_result_is_nobody_elses(shop: Shop) -> None:
    shop.submit(WRITES)
    won = committed(shop.worker)
    store, token = shop.worker.store, RunningToken(1, 0, won.attempt, won.move - 1, 0, 1)
    node = Hierarchy(store.share, store.layout.job(1).hierarchy).node(0)
    with contextlib.closing(Spool()) as spool:
        attempt = Attempt(store, store.layout.job(1), node, token, shop.worker.name, spool)
        assert not another_has_won(store, shop.worker.name, attempt, node)
        assert another_has_won(store, "somebody-else", attempt, node)


def test_the_record_says_what_was_published_and_holds_no_path_of_the_queue(shop: Shop) -> None:
    job = shop.submit(WRITES)
    shop.worker.run_all()
    token = look_up(shop.worker.store, shop.worker.store.layout.job(1), 0).token
    assert isinstance(token, ClosedToken)
    path = job.journalFile
    assert path is not None
    record = read_record(QuickShare(), path, token.offset, 0, 1)
    assert record is not None
    (output,) = record["outputs"]
    seen = shop.final.stat()
    assert (output["path"], output["size"], output["mtime_ns"]) == (str(shop.final), 5, seen.st_mtime_ns)
    assert record["temporaries"] == [output["temporary"]]
    for file in shop.queue_dir.rglob("*"):
        assert not file.is_file() or str(shop.queue_dir).encode() not in file.read_bytes(), file


def test_an_output_that_was_not_written_fails_the_job_and_nothing_is_published(shop: Shop) -> None:
    shop.final.write_text("old")
    job = shop.submit(f"{WRITES}\nproc.output({{final!r}} + '.json')")
    shop.worker.run_all()
    assert job.state is JobState.FAILED
    assert (job.error or "").startswith(f"{shop.final}.json: it was declared as an output and not written; it belonged")
    assert shop.final.read_text() == "old"
    assert shop.leftovers() == []
    assert job.outputs == []


@pytest.mark.parametrize("ends", ["raise RuntimeError('no licence')", "proc.setError()"])
def test_a_job_that_fails_publishes_nothing_and_its_files_are_removed(shop: Shop, ends: str) -> None:
    shop.final.write_text("old")
    job = shop.submit(f"{WRITES}\n{ends}")
    shop.worker.run_all()
    assert job.state is JobState.FAILED
    assert shop.final.read_text() == "old"
    assert shop.leftovers() == []


def test_a_path_that_cannot_be_an_output_fails_the_job_with_the_reason(shop: Shop) -> None:
    job = shop.submit("proc.output('frame.exr')")
    shop.worker.run_all()
    assert "frame.exr: a relative path lies in the job's runningDir" in (job.error or "")


def test_a_retry_finds_nothing_of_the_attempt_before(shop: Shop) -> None:
    text = f"import os\nassert os.listdir(os.path.dirname(proc.output({{final!r}}))) == []\n{WRITES}\n"
    job = shop.submit(f"{text}if proc.runningDir.endswith('1'): raise RuntimeError('not yet')")
    shop.worker.run_all()
    assert job.retry() == 1
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert shop.final.read_text() == "whole"


@pytest.mark.usefixtures("watched_calls")
def test_what_may_not_have_been_written_to_the_disk_is_made_again(shop: Shop) -> None:
    job = shop.submit(WRITES)
    opened: dict[int, str] = {}
    failures = iter([True])

    def hook(call: Call, do: Any) -> Any:
        if call.name == "fsync" and opened[call.args[0]].endswith("frame.exr") and next(failures, False):
            raise OSError(errno.EIO, "Input/output error")
        answer = do()
        if call.name == "open" and isinstance(answer, int):
            opened[answer] = str(call.args[0])
        return answer

    shop.share.hook = hook
    with pytest.raises(JobQueueError, match=r"could not write it \(Input/output error\); job1 is given back"):
        shop.worker.step()
    token = look_up(shop.worker.store, shop.worker.store.layout.job(1), 0).token
    assert (job.state, token and token.charged) == (JobState.READY, 0)
    assert not shop.final.exists()
    # A disk that is going to die is not hammered.
    shop.worker.runner.chooser.look_again()
    assert shop.worker.run_all() == []
    shop.share.clock.sleep(1.0)
    shop.worker.runner.chooser.look_again()
    shop.worker.run_all()
    assert (shop.final.read_text(), job.attempt) == ("whole", 2)
    assert shop.leftovers() == []


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize(("text", "is_synced"), [(WRITES, True), ("pass", False)])
def test_a_record_with_outputs_is_on_the_disk_before_the_commit(shop: Shop, text: str, is_synced: bool) -> None:
    """Without it nobody could publish them; a plain success on a local disk has nothing to lose."""
    shop.submit(text)
    events: list[str] = []
    journals: set[int] = set()

    def hook(call: Call, do: Any) -> Any:
        answer = do()
        if call.name == "open" and str(call.args[0]).endswith(".jsonl"):
            journals.add(answer)
        elif call.name in ("write", "fsync") and call.args[0] in journals:
            events.append(call.name)
        elif call.name == "rename" and "/won/" in str(call.args[1]):
            events.append("commit")
        return answer

    shop.share.hook = hook
    shop.worker.step()
    assert events == ["write", "write", *(["fsync"] if is_synced else []), "commit"]


@pytest.mark.usefixtures("watched_calls")
def test_trouble_of_the_other_share_keeps_the_result_until_it_is_over(shop: Shop) -> None:
    job = shop.submit(WRITES)
    troubles = iter([errno.ENOSPC, errno.EACCES, errno.EIO] * 8)

    def hook(call: Call, do: Any) -> Any:
        if call.name == "rename" and str(call.args[1]) == str(shop.final) and (number := next(troubles, 0)):
            raise OSError(number, "on purpose")
        return do()

    shop.share.hook = hook
    assert shop.worker.step() is Step.RAN
    assert (shop.final.read_text(), job.state, job.attempt) == ("whole", JobState.FINISHED, 1)
    assert shop.share.clock.monotonic() > 1


def test_what_cannot_be_published_stays_in_won_and_is_tried_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    job = shop.submit(WRITES)
    won = committed(shop.worker)
    shop.final.mkdir()
    with caplog.at_level(logging.ERROR, "jobqueue"):
        settle_from_record(shop.worker.store, shop.worker.name, won)
    (message,) = caplog.messages
    assert message.startswith("job1: [Errno 21] Is a directory")
    assert "Its result stays unsettled in won/" in message
    assert shop.worker.store.tokens.won_of(shop.worker.name) == [won]
    assert job.state is JobState.RUNNING
    # The next job is run all the same.
    other = shop.submit("pass")
    shop.worker.runner.chooser.look_again()
    assert shop.worker.step() is Step.RAN
    assert other.isFinished()
    shop.final.rmdir()
    shop.worker.runner.reconcile()
    assert (shop.final.read_text(), job.state) == ("whole", JobState.FINISHED)
    assert_sound(shop.queue_dir)


@pytest.mark.usefixtures("watched_calls")
def test_a_slot_that_cannot_publish_goes_on_with_the_next_job(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    job, other = shop.submit(WRITES), shop.submit("pass")

    def hook(call: Call, do: Any) -> Any:
        if call.name == "rename" and "/won/" in str(call.args[1]):
            answer = do()
            # Somebody clears up in the directory of the frames, and takes too much.
            for path in shop.final.parent.glob(".jq-*/*"):
                path.unlink()
            return answer
        return do()

    shop.share.hook = hook
    with caplog.at_level(logging.ERROR, "jobqueue"):
        assert [shop.worker.step(), shop.worker.step()] == [Step.RAN, Step.RAN]
    assert f"job1: neither {shop.final} nor " in caplog.text
    assert (job.state, other.state) == (JobState.RUNNING, JobState.FINISHED)
    assert not shop.final.exists()


@pytest.mark.usefixtures("watched_calls")
def test_a_leftover_that_cannot_be_removed_keeps_no_result_back(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    job = shop.submit(WRITES)

    def hook(call: Call, do: Any) -> Any:
        if call.name == "rmdir" and ".jq-" in str(call.args[0]):
            raise OSError(errno.EACCES, "on purpose")
        return do()

    shop.share.hook = hook
    with caplog.at_level(logging.INFO, "jobqueue"):
        shop.worker.run_all()
    assert job.state is JobState.FINISHED
    assert "cannot be removed ([Errno 13] on purpose); it is left." in caplog.text
    assert len(shop.leftovers()) == 1


def test_a_job_without_outputs_makes_no_call_for_them(shop: Shop) -> None:
    shop.submit("pass")
    shop.worker.run_all()
    assert list(shop.queue_dir.rglob(".outputs")) == []


@pytest.mark.parametrize("is_copied", [True, False])
def test_the_directory_of_an_attempt_that_died_is_removed_but_by_no_copy_of_the_queue(
    shop: Shop, tmp_path: Path, is_copied: bool
) -> None:
    """In the original it may still run."""
    shop.submit(f"{WRITES}\nif proc.runningDir.endswith('1'): raise KeyboardInterrupt")
    shop.worker.runner.process = CallersProcess()
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    shop.worker.runner.reconcile()
    (left,) = shop.leftovers()
    queue_dir = tmp_path / "copy" if is_copied else shop.queue_dir
    if is_copied:
        shutil.copytree(shop.queue_dir, queue_dir)
    with worker_on(queue_dir, QuickShare(7), "other") as other:
        assert other.run_all() == ["job1"]
    assert shop.leftovers() == ([left] if is_copied else [])


@pytest.mark.usefixtures("watched_calls")
def test_notes_that_cannot_be_read_keep_no_result_back(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What they name is left where it is."""
    job = shop.submit(f"{WRITES}\nif proc.runningDir.endswith('1'): raise KeyboardInterrupt")
    shop.worker.runner.process = CallersProcess()
    with pytest.raises(KeyboardInterrupt):
        shop.worker.step()
    shop.worker.runner.reconcile()
    shop.worker.runner.chooser.look_again()

    def hook(call: Call, do: Any) -> Any:
        if call.name == "open" and str(call.args[0]).endswith(".attempt1/.outputs"):
            raise OSError(errno.EIO, "on purpose")
        return do()

    shop.share.hook = hook
    with caplog.at_level(logging.INFO, "jobqueue"):
        shop.worker.run_all()
    assert (job.state, shop.final.read_text()) == (JobState.FINISHED, "whole")
    assert ".attempt1/.outputs cannot be read ([Errno 5] on purpose: " in caplog.text
    assert "/.attempt1/.outputs'); what it names is left." in caplog.text
    assert [name.rpartition(".")[2] for name in shop.leftovers()] == ["1"]
