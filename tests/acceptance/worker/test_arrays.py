"""Arrays and real workers: what is run how often when processes end in the middle of a chunk."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.state import JobState
from tests.acceptance.worker.driver import Gate, Queue, Worker, is_alive, lines, until
from tests.soundness import assert_sound

START = Callable[..., Worker]


class Scene:
    """An array of pieces of Python, each of which notes that it runs.

    Args:
        q: the queue.
        directory: where that is noted.
    """

    def __init__(self, q: Queue, directory: Path) -> None:
        self._q = q
        self.log = directory / "ran"

    def submit(self, texts: list[str], chunk: int | str = 100, **options: object) -> jobqueue.JobHandle:
        """The array's handle."""
        root = self._q.queue.createJobRoot()
        note = f"import os\nos.write(os.open({str(self.log)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT), b'%d\\n')\n"
        over = {"text": [note % item + text for item, text in enumerate(texts)]}
        array = root.createJobArray("code", over=over, chunk=chunk)
        for name, value in options.items():
            setattr(array.options, name, value)
        return root.activate().listSubJobs()[0]

    def runs(self) -> list[int]:
        """How often each item was run, as far as any was."""
        counts = Counter(int(line) for line in lines(self.log))
        return [counts[item] for item in range(max(counts, default=-1) + 1)]


@pytest.fixture
def scene(q: Queue, tmp_path: Path) -> Scene:
    return Scene(q, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def states(array: jobqueue.JobHandle) -> list[str]:
    return [item.state.value for item in array.listItems()]


# --- deaths -----------------------------------------------------------------------------------------------------------


def test_after_the_death_of_a_slot_only_what_was_not_finished_runs_again(
    q: Queue, scene: Scene, start: START, gate: Gate
) -> None:
    array = scene.submit(["print('printed')", "", f"{gate.code}", "", ""])
    worker = start("--slots", "1", "--exit-when-empty")
    slot = gate.wait_for()
    assert states(array) == ["running"] * 5
    os.kill(slot, signal.SIGKILL)
    gate.wait_for(2)
    gate.open()
    assert worker.ends() == 0
    assert scene.runs() == [1, 1, 2, 1, 1]
    assert states(array) == ["finished"] * 5
    assert [item.attempt for item in array.listItems()] == [1, 1, 2, 2, 2]
    printed = array.item(0).reader.printed(0)
    assert printed and printed.texts["stdout"] == b"printed\n"
    views = array.item(2).reader.attempts(2)
    assert [(view.attempt, view.state) for view in views] == [(1, "died"), (2, "finished")]
    # The others were only on their way.
    assert [view.state for view in array.item(3).reader.attempts(3)] == ["given back", "finished"]
    assert set(assert_sound(q.dir)[1]) == {"finished"}


def test_a_poison_item_fails_and_the_others_finish(q: Queue, scene: Scene, start: START) -> None:
    array = scene.submit(["", "", "os.kill(os.getpid(), 9)", "", ""], maxAttempts=3)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert worker.says("job1/job0:2 has failed") and worker.says("`jobqueue retry job1/job0:2` runs it again")
    assert scene.runs() == [1, 1, 3, 1, 1]
    assert states(array) == ["finished", "finished", "failed", "finished", "finished"]
    assert str(array.item(2).error).endswith("; 3 attempts have died")
    assert [view.state for view in array.item(2).reader.attempts(2)] == ["died"] * 3
    assert set(q.folder(1, "blocked")) == {"0000001.0.0.0"}
    assert_sound(q.dir)


def test_after_the_death_of_a_worker_another_commits_what_it_had_noted(
    q: Queue, scene: Scene, start: START, gate: Gate
) -> None:
    array = scene.submit(["result = 'noted'", "", gate.code, "", ""], chunk=4)
    first = start("--slots", "1")
    gate.wait_for()
    slots = first.slots()
    first.process.kill()
    first.process.communicate()
    until(lambda: not any(map(is_alive, slots)), "its slots are gone")
    ran = array.item(0).worker
    second = start("--slots", "1", "--exit-when-empty")
    gate.wait_for(2)
    gate.open()
    assert second.ends() == 0
    assert scene.runs() == [1, 1, 2, 1, 1]
    assert (states(array), array.item(0).result) == (["finished"] * 5, "noted")
    assert array.item(0).worker == ran != array.item(2).worker
    assert q.workers() == []
    assert set(assert_sound(q.dir)[1]) == {"finished"}


# --- ends that somebody wants -----------------------------------------------------------------------------------------


def test_a_timeout_is_each_items_own(q: Queue, scene: Scene, start: START) -> None:
    """Together they take longer than it, which no one of them does but the last but one."""
    short = "import time; time.sleep(0.3)"
    array = scene.submit([short, short, short, short, "import time; time.sleep(1000)", short], timeout=1.0)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert scene.runs() == [1] * 6
    assert states(array) == ["finished"] * 4 + ["failed", "finished"]
    assert array.item(4).error == "it ran longer than its timeout of 1 s"
    assert_sound(q.dir)


def test_a_cancelled_array_ends_in_the_middle_of_a_chunk(q: Queue, scene: Scene, start: START, gate: Gate) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=3)
    worker = start("--slots", "1", "--exit-when-empty")
    slot = gate.wait_for()
    q.queue.listJobs()[0].cancel()
    assert worker.ends() == 0
    assert not is_alive(slot)
    assert scene.runs() == [1, 1]
    # What had finished stays so.
    assert states(array) == ["finished", *["cancelled"] * 3]
    assert_sound(q.dir)


def test_a_deleted_array_ends_in_the_middle_of_a_chunk(q: Queue, scene: Scene, start: START, gate: Gate) -> None:
    scene.submit(["", gate.code, "", ""], chunk=3)
    worker = start("--slots", "1")
    slot = gate.wait_for()
    q.queue.deleteJobs(q.queue.listJobs())
    until(lambda: not (q.dir / "job1").exists(), "its directory is gone")
    assert not is_alive(slot)
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert scene.runs() == [1, 1]
    assert os.listdir(q.dir / "trash") == []
    assert q.workers() == []


def test_a_worker_that_drains_gives_back_the_rest_of_its_chunk(
    q: Queue, scene: Scene, start: START, gate: Gate
) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=4)
    worker = start("--slots", "1")
    gate.wait_for()
    worker.signal(signal.SIGTERM)
    worker.wait_to_say("finish")
    gate.open()
    assert worker.ends() == 0
    assert scene.runs() == [1, 1]
    assert states(array) == ["finished", "finished", "ready", "ready"]
    assert q.folder(1, "ready") == ["0000000-00000002-00000004.1.3.0"]
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert scene.runs() == [1] * 4
    assert set(assert_sound(q.dir)[1]) == {"finished"}


def test_a_worker_that_is_told_to_end_at_once_charges_nothing(q: Queue, scene: Scene, start: START, gate: Gate) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=4)
    worker = start("--slots", "1")
    gate.wait_for()
    worker.signal(signal.SIGTERM)
    worker.wait_to_say("finish")
    worker.signal(signal.SIGTERM)
    worker.ends()
    assert states(array) == ["finished", "ready", "ready", "ready"]
    assert all(name.endswith(".0") for name in q.folder(1, "ready"))
    assert_sound(q.dir)


# --- what an item finds -----------------------------------------------------------------------------------------------


def test_each_item_of_a_chunk_finds_its_own_name(q: Queue, scene: Scene, start: START) -> None:
    name = "import os; result = [os.environ['JOBQUEUE_JOB'], os.environ['JOBQUEUE_ATTEMPT']]"
    spoils = f"{name}; os.environ['JOBQUEUE_JOB'] = 'job9'; os.environ['MINE'] = '1'"
    array = scene.submit([name, spoils, name, f"{name}; result.append(os.environ.get('MINE'))"], chunk=3)
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    found = [item.result for item in array.listItems()]
    assert found == [*([f"job1/job0:{item}", "1"] for item in range(3)), ["job1/job0:3", "1", None]]


# --- what is held -----------------------------------------------------------------------------------------------------


def test_a_held_array_ends_in_the_middle_of_a_chunk_and_goes_on_when_it_is_released(
    q: Queue, scene: Scene, start: START, gate: Gate
) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=3)
    worker = start("--slots", "1")
    gate.wait_for()
    job = q.queue.listJobs()[0]
    job.hold()
    worker.wait_to_say("job1 is held; ending job1/job0:0-2 early")
    gate.open()
    until(lambda: states(array) == ["finished"] * 2 + ["ready"] * 2, "the rest is given back")
    worker.wait_for_beats(3)
    assert scene.runs() == [1, 1]
    assert worker.says("job1/job0:0-2: 2 of 3 items finished here, 1 not done here, after")
    assert worker.complaints() == []
    job.release()
    until(job.isFinished, "it goes on")
    assert scene.runs() == [1] * 4
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert worker.says("5 jobs finished, 0 attempts failed")
    assert set(assert_sound(q.dir)[1]) == {"finished"}


def test_a_hold_of_another_job_is_nothing_to_a_chunk(q: Queue, scene: Scene, start: START, gate: Gate) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=3)
    q.submit("").hold()
    worker = start("--slots", "1")
    gate.wait_for()
    worker.wait_for_beats(3)
    gate.open()
    until(lambda: states(array) == ["finished"] * 4, "all have run")
    assert not worker.says("is held")
    assert [item.attempt for item in array.listItems()] == [1] * 4


# --- what is told -----------------------------------------------------------------------------------------------------


def test_what_has_failed_in_a_chunk_is_told_and_counted_though_its_process_has_died_later(
    q: Queue, scene: Scene, start: START
) -> None:
    bad = "raise RuntimeError('no licence')"
    scene.submit(["", bad, "", "", "os._exit(3)", "", ""], maxAttempts=1)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    told = "job1/job0:0-6: 3 of 7 items finished here, 1 failed, 3 not done here (the last error was RuntimeError: no"
    assert worker.says(told)
    assert worker.says("`jobqueue show job1/job0` tells which, `jobqueue retry job1/job0` runs what has failed again.")
    assert worker.says("job1/job0:4 has failed")
    assert worker.says("job1/job0:5-6 has finished after")
    assert worker.says("5 jobs finished, 2 attempts failed")


def test_what_was_noted_and_not_committed_by_a_dead_process_is_counted(q: Queue, scene: Scene, start: START) -> None:
    scene.submit(["", "", "os._exit(3)", ""], maxAttempts=1)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert worker.says("job1/job0:0-3: 2 of 4 items finished here, 2 not done here, after")
    assert worker.says("3 jobs finished, 1 attempt failed")


def test_an_error_that_is_forgiven_in_a_chunk_is_not_told_as_a_failure(
    q: Queue, scene: Scene, start: START, tmp_path: Path
) -> None:
    marker = tmp_path / "failed once"
    once = f"import pathlib\npath = pathlib.Path({str(marker)!r})\n"
    once += "if not path.exists():\n    path.touch()\n    raise RuntimeError('not yet')\n"
    scene.submit(["", once, ""], maxErrors=2)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    told = "job1/job0:0-2: 2 of 3 items finished here, 1 to be tried again after an error (the last error was "
    assert worker.says(f"{told}RuntimeError: not yet), after")
    assert not worker.says("jobqueue retry")
    assert worker.says("4 jobs finished, 1 attempt failed")


# --- several at once --------------------------------------------------------------------------------------------------


def test_several_workers_run_each_item_once(q: Queue, scene: Scene, start: START) -> None:
    bad = "raise RuntimeError('no')"
    array = scene.submit([bad if item % 100 == 50 else f"result = {item}" for item in range(600)], chunk="auto")
    workers = [start("--slots", "2", "--exit-when-empty") for _ in range(2)]
    assert [worker.ends() for worker in workers] == [0, 0]
    assert scene.runs() == [1] * 600
    assert array.countItemsByState()[JobState.FINISHED] == 594
    assert [item.index for item in array.listItems(JobState.FAILED)] == [50, 150, 250, 350, 450, 550]
    assert [array.item(item).result for item in (0, 49, 51, 599)] == [0, 49, 51, 599]
    assert_sound(q.dir)
    # Nothing is left of what splits were prepared with.
    assert q.workers() == []


def test_an_idle_slot_takes_what_a_slow_chunk_has_not_begun(q: Queue, scene: Scene, start: START, gate: Gate) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=4)
    worker = start(
        "--slots", "2", "--exit-when-empty", after="import jobqueue.worker.chunks as chunks\nchunks.SLOW_S = 0.2"
    )
    gate.wait_for()
    until(lambda: states(array)[2:] == ["finished"] * 2, "the other slot has run the rest")
    assert states(array)[1] == "running"
    gate.open()
    assert worker.ends() == 0
    assert scene.runs() == [1] * 4
    assert [item.attempt for item in array.listItems()] == [1, 1, 2, 2]
    assert set(assert_sound(q.dir)[1]) == {"finished"}


def test_an_idle_worker_takes_what_a_slow_chunk_of_another_has_not_begun(
    q: Queue, scene: Scene, start: START, gate: Gate
) -> None:
    array = scene.submit(["", gate.code, "", ""], chunk=4)
    options = ("--slots", "1", "--exit-when-empty")
    slow = start(*options, after="import jobqueue.worker.chunks as chunks\nchunks.SLOW_S = 0.2")
    gate.wait_for()
    other = start(*options)
    until(lambda: states(array)[2:] == ["finished"] * 2, "the other worker has run the rest")
    assert states(array)[1] == "running"
    gate.open()
    assert [slow.ends(), other.ends()] == [0, 0]
    assert scene.runs() == [1] * 4
    assert [item.attempt for item in array.listItems()] == [1, 1, 2, 2]
    shard = q.dir / "job1" / ".tokens" / "finished" / "0000000-0000"
    assert len({name.split(".")[4] for name in os.listdir(shard)}) == 2
    assert set(assert_sound(q.dir)[1]) == {"finished"}
