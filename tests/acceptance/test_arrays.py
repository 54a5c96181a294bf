"""Arrays, as scripts make them and look at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import ArrayError, FrameRangeError, JobNotFoundError, JobStateError, ParameterError
from jobqueue.state import JobState
from tests.support import same, snapshot

RunAll = Callable[[], int]

# One is told a frame, one a range; both say what they were told.
PROCEDURES = {
    "oneframe": """
from jobqueue import JobProc
class oneframe(JobProc):
    def __init__(self, frame, size=1, label=None):
        super().__init__(label or f"frame {frame}")
        if size < 1:
            raise ValueError("size has to be 1 or more")
        self.frame = frame
    def run(self):
        print("frame", self.frame)
        return self.frame
""",
    "range": """
from jobqueue import JobProc
class range(JobProc):
    def __init__(self, frames, label=None):
        super().__init__(label)
        self.frames = frames
    def run(self):
        return self.frames
""",
    "labelled": """
from jobqueue import JobProc
class labelled(JobProc):
    def __init__(self, frames):
        super().__init__(f"frames {frames}")
""",
    "echo": """
from jobqueue import JobProc
class echo(JobProc):
    def __init__(self, value=None, other=None, label=None):
        super().__init__(label)
        self.told = value, other
    def run(self):
        return self.told
""",
}


@pytest.fixture(autouse=True)
def _procedures(queue_dir: Path) -> None:
    for name, text in PROCEDURES.items():
        path = queue_dir / "procs" / f"{name}.py"
        path.write_text(text)
        path.chmod(0o644)


def results(array: jobqueue.JobHandle) -> list[Any]:
    return [item.result for item in array.listItems()]


def states(array: jobqueue.JobHandle) -> list[str]:
    return [item.state.value for item in array.listItems()]


# --- what items are told ----------------------------------------------------------------------------------------------


def test_each_item_gets_its_frame(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "10-1x3,-5", chunk=2, size=3)
    array = root.activate().listSubJobs()[0]
    # Three chunks, and the root.
    assert run_all() == 4
    assert results(array) == [10, 7, 4, 1, -5]
    assert [item.frame for item in array.listItems()] == [10, 7, 4, 1, -5]
    assert [item.index for item in array.listItems()] == [0, 1, 2, 3, 4]


def test_a_procedure_for_ranges_gets_those_of_a_chunk(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    root.createJobArray("range", "1-5x2,8,20-18", chunk=10)
    array = root.activate().listSubJobs()[0]
    run_all()
    assert results(array) == ["1-5x2"] * 3 + ["8"] + ["20-18"] * 3


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ({"jobType": "command", "frames": "1-9", "cmd": ["echo", "a{frame}"]}, "echo 'a{frame}'"),
        ({"jobType": "command", "frames": "1-9", "cmd": "echo {start} {end}"}, "echo {start} {end}"),
        ({"jobType": "command", "frames": "1-9", "cmd": "echo {frame}", "label": "shot 7"}, "shot 7"),
        ({"jobType": "command", "over": {"cmd": ["echo a", "echo b"]}}, None),
        ({"jobType": "command", "over": {"env": [{"A": "1"}, {"A": "2"}]}, "cmd": "echo $A"}, "echo $A"),
        ({"jobType": "oneframe", "frames": "1-9"}, None),
        ({"jobType": "oneframe", "frames": "7"}, "frame 7"),
        ({"jobType": "oneframe", "frames": "1-9", "label": "shot 7"}, "shot 7"),
        # What the procedure says of the last one is said when that is run.
        ({"jobType": "oneframe", "over": {"frame": [1, 2], "size": [1, 0]}}, None),
        ({"jobType": "range", "frames": "1-9"}, None),
        ({"jobType": "labelled", "frames": "1-9,20"}, "frames 1-9,20"),
    ],
    ids=str,
)
def test_the_label_of_an_array_is_that_of_all_its_items(
    queue: jobqueue.JobQueue, asked: dict[str, Any], label: str | None
) -> None:
    root = queue.createJobRoot()
    root.createJobArray(**asked)
    assert root.activate().listSubJobs()[0].label == label


def test_values_come_back_equal_and_of_the_same_types(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    values: list[Any] = [None, True, 7, 1 << 200, 0.5, "\u00e4\ud800", b"\0", [1, (2, 3)], (1,), {"a": 1}, {2: [None]}]
    root = queue.createJobRoot()
    root.createJobArray(
        "echo", over={"value": values, "label": [f"item {n}" for n in range(len(values))]}, other="same"
    )
    array = root.activate().listSubJobs()[0]
    run_all()
    assert all(same(result, (value, "same")) for result, value in zip(results(array), values, strict=True))


@pytest.mark.parametrize(
    ("cmd", "chunk", "expected"),
    [
        ("echo {frame} {index}", 3, ["3 0", "2 1", "1 2", "0 3", "-1 4"]),
        ("echo {start}-{end}:{frames}:{index}", 3, ["3-1:3-1:0", "0--1:0--1:3"]),
        ("echo {frame:03d} {start}", 2, ["003 3", "002 2", "001 1", "000 0", "-01 -1"]),
        ("echo {{frame}} $((1+1))", 5, ["{frame} 2"] * 5),
        (["echo", "{frame}", "$HOME {{}}"], 5, ["3 $HOME {}", "2 $HOME {}", "1 $HOME {}", "0 $HOME {}", "-1 $HOME {}"]),
    ],
)
def test_a_commands_fields_are_filled_in(
    queue: jobqueue.JobQueue, run_all: RunAll, cmd: Any, chunk: int, expected: list[str]
) -> None:
    root = queue.createJobRoot()
    root.createJobArray("command", "3--1", chunk=chunk, cmd=cmd)
    array = root.activate().listSubJobs()[0]
    run_all()
    assert states(array) == ["finished"] * 5
    printed = "".join(
        printed.texts["stdout"].decode()
        for start in (range(5) if len(expected) == 5 else range(0, 5, chunk))
        if (printed := array.listItems()[start].reader.printed(start))
    )
    assert printed.splitlines() == expected


def test_a_command_publishes_an_output_for_each_frame(
    queue: jobqueue.JobQueue, run_all: RunAll, tmp_path: Path
) -> None:
    root = queue.createJobRoot()
    outputs = [f"{tmp_path}/f{{frame:03d}}.txt", f"{tmp_path}/log {{index}}"]
    root.createJobArray("command", "8-10", cmd="echo {frame} > {output1}; cp {output1} {output2}", outputs=outputs)
    array = root.activate().listSubJobs()[0]
    run_all()
    assert [(tmp_path / f"f{frame:03d}.txt").read_text() for frame in (8, 9, 10)] == ["8\n", "9\n", "10\n"]
    assert array.item(9).outputs == [f"{tmp_path}/f009.txt", f"{tmp_path}/log 1"]
    assert not list(tmp_path.glob(".jq-*"))


# --- dependencies -----------------------------------------------------------------------------------------------------


def test_an_array_waits_and_is_waited_for(queue: jobqueue.JobQueue, run_all: RunAll, tmp_path: Path) -> None:
    """An array in the middle: it waits for a job and for another array, and a job and a third array wait for it."""
    log = tmp_path / "log"
    path = str(log)
    root = queue.createJobRoot("note", path=path, text="root")
    last = root.createJobArray("note", over={"text": ["last"] * 2}, chunk=1, path=path)
    middle = last.createJobArray("note", over={"text": ["middle"] * 3}, chunk=2, path=path)
    root.createJob("note", path=path, text="beside").addDependency(middle)
    middle.createJob("note", path=path, text="first")
    middle.createJobArray("note", over={"text": ["early"] * 2}, chunk=2, path=path)
    handle = root.activate()
    assert [job.state.value for job in handle.listSubJobs()] == ["blocked", "blocked"]
    run_all()
    order = log.read_text().split()
    assert sorted(order[:3]) == ["early", "early", "first"]
    assert order[3:6] == ["middle"] * 3
    assert sorted(order[6:9]) == ["beside", "last", "last"]
    assert order[9:] == ["root"]
    assert handle.state is JobState.FINISHED


def test_what_waits_for_an_array_waits_for_its_last_item(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    texts = ["", "import os\nif os.environ['JOBQUEUE_ATTEMPT'] == '1': raise RuntimeError('not yet')", ""]
    root.createJobArray("code", over={"text": texts}, chunk=3)
    handle = root.activate()
    (array,) = handle.listSubJobs()
    run_all()
    assert (handle.state, states(array)) == (JobState.BLOCKED, ["finished", "failed", "finished"])
    assert (array.state, array.isFinished(), array.hasError(), handle.hasError(recursive=True)) == (
        JobState.FAILED, True, True, True)  # fmt: skip
    assert array.error == "1 of its items have failed"
    assert handle.retry() == 1
    run_all()
    assert (handle.state, array.state) == (JobState.FINISHED, JobState.FINISHED)


def test_a_failed_item_does_not_stop_the_others_nor_other_jobs(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot("noop")
    root.createJobArray("code", over={"text": ["raise RuntimeError('no')"] * 5}, chunk="auto")
    root.createJob("noop")
    handle = root.activate()
    run_all()
    array, job = handle.listSubJobs()
    assert (states(array), job.state) == (["failed"] * 5, JobState.FINISHED)
    assert {item.error for item in array.listItems()} == {"RuntimeError: no"}


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"jobType": "nothing", "frames": "1-3"}, ValueError, "nothing"),
        ({"jobType": "oneframe", "frames": ""}, FrameRangeError, "no frame range"),
        ({"jobType": "oneframe", "frames": "1-3,2-5"}, FrameRangeError, "twice"),
        ({"jobType": "oneframe", "frames": "1-10000001"}, FrameRangeError, "10,000,000"),
        ({"jobType": "oneframe", "frames": 7}, TypeError, "has to be a text"),
        ({"jobType": "oneframe"}, ArrayError, "one of the two"),
        ({"jobType": "oneframe", "frames": "1-3", "over": {"size": [1]}}, ArrayError, "one of the two"),
        ({"jobType": "echo", "frames": "1-3"}, TypeError, "takes neither"),
        ({"jobType": "oneframe", "frames": "1-3", "size": 0}, ValueError, "size has to be"),
        ({"jobType": "oneframe", "frames": "1-3", "other": 1}, TypeError, "other"),
        ({"jobType": "oneframe", "frames": "1-3", "frame": 1}, ArrayError, "frame"),
        ({"jobType": "range", "frames": "1-3", "frames_": "1"}, TypeError, "frames_"),
        ({"jobType": "echo", "over": {}}, ArrayError, "there is none"),
        ({"jobType": "echo", "over": {"value": []}}, ArrayError, "value has 0"),
        ({"jobType": "echo", "over": {"value": [1], "other": [1, 2]}}, ArrayError, "value has 1, other has 2"),
        ({"jobType": "echo", "over": {"value": [1]}, "value": 2}, ArrayError, "give it once"),
        ({"jobType": "echo", "over": {"value": [1, object()]}}, ParameterError, "object"),
        ({"jobType": "echo", "over": {"nonsense": [1]}}, TypeError, "nonsense"),
        ({"jobType": "echo", "over": {"value": [1]}, "chunk": 0}, ArrayError, "chunk"),
        ({"jobType": "echo", "over": {"value": [1]}, "chunk": "some"}, ArrayError, "chunk"),
        ({"jobType": "command", "frames": "1-3", "cmd": "r {nonsense}"}, FrameRangeError, "nonsense"),
        ({"jobType": "command", "frames": "1-3", "cmd": "r {frame"}, FrameRangeError, "braces"),
        ({"jobType": "command", "frames": "1-3", "cmd": ""}, ValueError, "cmd is empty"),
        ({"jobType": "command", "frames": "1-3"}, TypeError, "cmd"),
        ({"jobType": "command", "frames": "1-3", "cmd": 7}, TypeError, "cmd"),
        ({"jobType": None, "frames": "1-3"}, TypeError, "jobType has to be a text"),
    ],
)
def test_bad_input_changes_nothing(
    queue: jobqueue.JobQueue, queue_dir: Path, run_all: RunAll, arguments: dict[str, Any], kind: type, told: str
) -> None:
    root = queue.createJobRoot("noop")
    before = snapshot(queue_dir)
    with pytest.raises(kind, match=told):
        root.createJobArray(**arguments)
    assert snapshot(queue_dir) == before
    # The hierarchy is what it was, and can be submitted.
    root.createJobArray("echo", over={"value": [1]})
    handle = root.activate()
    assert len(handle.listSubJobs()) == 1
    run_all()
    assert handle.state is JobState.FINISHED


def test_nothing_is_added_to_what_was_submitted(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("noop")
    array = root.createJobArray("oneframe", "1-3")
    root.activate()
    before = snapshot(queue_dir)
    for job in (root, array):
        with pytest.raises(JobStateError, match="active"):
            job.createJobArray("oneframe", "1-3")
    assert snapshot(queue_dir) == before


# --- items ------------------------------------------------------------------------------------------------------------


def test_an_item_says_what_has_become_of_it(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    texts = ["print('hello'); result = {'a': 1}", "raise RuntimeError('no licence')", "proc.setStatusLine('there')"]
    root.createJobArray("code", over={"text": texts}, chunk=2)
    array = root.activate().listSubJobs()[0]
    assert (array.countItems(), array.progress) == (3, 0.0)
    item = array.item(0)
    assert (item.name, item.frame, item.index) == ("job1/job0:0", None, 0)
    assert (item.state, item.attempt, item.worker, item.error, item.outputs) == (JobState.READY, 0, None, None, [])
    assert (item.startTime, item.endTime) == (None, None)
    with pytest.raises(JobStateError, match="no result, it is ready"):
        _ = item.result
    run_all()
    good, bad, other = array.listItems()
    assert (good.result, good.error, good.attempt) == ({"a": 1}, None, 1)
    assert good.worker and good.worker.startswith("script-")
    assert good.startTime and good.endTime and good.startTime <= good.endTime
    assert (bad.state, bad.error) == (JobState.FAILED, "RuntimeError: no licence")
    with pytest.raises(JobStateError, match="no licence"):
        _ = bad.result
    assert other.state is JobState.FINISHED
    assert array.progress == pytest.approx(200 / 3)
    assert {state.value: count for state, count in array.countItemsByState().items() if count} == {
        "finished": 2, "failed": 1}  # fmt: skip
    assert [item.index for item in array.listItems(JobState.FAILED)] == [1]
    assert str(bad) == "job1/job0:1, failed"
    with pytest.raises(JobStateError, match=r"is an array.*item"):
        _ = array.result


def test_only_arrays_have_items(queue: jobqueue.JobQueue) -> None:
    handle = queue.createJobRoot("noop").activate()
    assert handle.countItems() == 0
    for ask in (handle.countItemsByState, handle.listItems, lambda: handle.item(0)):
        with pytest.raises(JobStateError, match="is no array"):
            ask()


def test_an_array_does_not_fail_as_a_whole_by_hand(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "1-3")
    array = root.activate().listSubJobs()[0]
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="is an array"):
        array.setError()
    with pytest.raises(JobStateError, match="no item of this array has failed"):
        array.retry()
    assert snapshot(queue_dir) == before


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("job1/job0:3", [3]), ("job1/job0:3-5", [3, 4, 5]), ("job1:5-3", [5, 4, 3]), ("job1/job0:2,4", [2, 4]),
        ("job1:1-5x2,2", [1, 3, 5, 2]), ("job1/job0:-1", [-1]), ("job1:-1-1x2", [-1, 1]),
    ],
)  # fmt: skip
def test_items_are_found_by_their_frames(queue: jobqueue.JobQueue, name: str, frames: list[int]) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "-1-9")
    root.activate()
    assert [item.frame for item in queue.findItems(name)] == frames


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("job1/job0:10", JobNotFoundError, "has no frame 10; there are 1-9"),
        ("job1:0", JobNotFoundError, "no frame 0"),
        ("job1/job0:", ValueError, "no frame range"), ("job1/job0:x", ValueError, "no frame range"),
        ("job1/job0:1:2", ValueError, "no frame range"), ("job2:1", JobNotFoundError, "job2"),
        ("job1/job7:1", JobNotFoundError, "job7"), ("job1/job1:1", JobStateError, "no array"),
        ("job1/job2:5", JobNotFoundError, "has no item 5; there are 0-4"),
    ],
)  # fmt: skip
def test_items_that_there_are_not(queue: jobqueue.JobQueue, name: str, kind: type[Exception], told: str) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "1-9")
    root.createJob("noop")
    if name == "job1/job2:5":
        root.createJobArray("echo", over={"value": range(5)})
    root.activate()
    with pytest.raises(kind, match=told):
        queue.findItems(name)


def test_of_several_arrays_one_has_to_be_named(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "1-9").createJobArray("oneframe", "1-9")
    root.activate()
    with pytest.raises(JobStateError, match="has 2 arrays"):
        queue.findItems("job1:1")
    assert [item.name for item in queue.findItems("job1/job0/job0:1")] == ["job1/job0/job0:1"]


# --- trying again -----------------------------------------------------------------------------------------------------


@pytest.fixture
def half_failed(queue: jobqueue.JobQueue, run_all: RunAll) -> jobqueue.JobHandle:
    """An array of six frames, of which every second one fails at its first attempt; a root that waits for it."""
    root = queue.createJobRoot("noop")
    root.createJobArray("command", "1-6", chunk=4, cmd="exit $(( {index} % 2 * (JOBQUEUE_ATTEMPT < 2) ))")
    array = root.activate().listSubJobs()[0]
    run_all()
    assert states(array) == ["finished", "failed"] * 3
    return array


def test_some_items_are_tried_again(queue: jobqueue.JobQueue, run_all: RunAll, half_failed: jobqueue.JobHandle) -> None:
    assert queue.retryItems(queue.findItems("job1:2,6")) == 2
    assert states(half_failed) == ["finished", "ready", "finished", "failed", "finished", "ready"]
    assert run_all() == 2
    assert states(half_failed) == ["finished", "finished", "finished", "failed", "finished", "finished"]
    assert [item.attempt for item in half_failed.listItems()] == [1, 2, 1, 1, 1, 2]
    assert half_failed.retry() == 1
    # The item, and the root.
    assert run_all() == 2
    assert queue.listJobs()[0].state is JobState.FINISHED


def test_what_cannot_be_tried_again_changes_nothing(
    queue: jobqueue.JobQueue, queue_dir: Path, run_all: RunAll, half_failed: jobqueue.JobHandle
) -> None:
    before = snapshot(queue_dir)
    with pytest.raises(JobStateError, match="job1/job0:1 has not failed"):
        queue.retryItems(queue.findItems("job1:1-6"))
    assert queue.retryItems([]) == 0
    assert snapshot(queue_dir) == before
    half_failed.retry()
    run_all()
    before = snapshot(queue_dir)
    # The root is done by now.
    with pytest.raises(JobStateError, match="job1 is done"):
        queue.retryItems(queue.findItems("job1:2"))
    with pytest.raises(JobStateError, match="job1 is done"):
        half_failed.retry()
    assert snapshot(queue_dir) == before


def test_items_of_two_arrays_are_not_tried_again_at_once(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    for _ in range(2):
        root.createJobArray("command", "1-2", cmd="exit 1")
    first, second = root.activate().listSubJobs()
    run_all()
    with pytest.raises(JobStateError, match="several arrays"):
        queue.retryItems([first.item(1), second.item(2)])
    assert (states(first), states(second)) == (["failed"] * 2, ["failed"] * 2)


# --- what an array costs ----------------------------------------------------------------------------------------------


def test_ten_million_items_are_one_job(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "-5000000-4999999", chunk=1000)
    array = root.activate().listSubJobs()[0]
    files = [path for path in (queue_dir / "job1").rglob("*") if path.is_file()]
    # The hierarchy, two tokens, an entry of a latch.
    assert len(files) == 4
    assert array.countItems() == 10_000_000
    assert queue.runNextAvailableJob()
    assert array.countItemsByState()[JobState.FINISHED] == 1000
    (last, first) = (array.item(4_999_999), array.item(-5_000_000))
    assert (last.state, last.index, first.result) == (JobState.READY, 9_999_999, -5_000_000)
    with pytest.raises(JobNotFoundError, match="no frame 5000000; there are -5000000-4999999"):
        array.item(5_000_000)
    assert len(array.listItems(JobState.FINISHED)) == 1000


def test_an_array_of_one_item_is_one(queue: jobqueue.JobQueue, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    root.createJobArray("oneframe", "7")
    array = root.activate().listSubJobs()[0]
    run_all()
    assert (array.countItems(), results(array)) == (1, [7])


def test_options_hold_for_each_item(queue: jobqueue.JobQueue, run_all: RunAll, tmp_path: Path) -> None:
    log = tmp_path / "log"
    cmd = f"echo $JOBQUEUE_ATTEMPT >> {log}; exit $(({{frame}} % 2))"
    root = queue.createJobRoot()
    array = root.createJobArray("command", "1-3", chunk=3, cmd=cmd)
    array.options.maxErrors = 3
    handle = root.activate()
    run_all()
    # The second one fails not at all, the others three times.
    assert sorted(log.read_text().split()) == sorted("1112233")
    assert states(handle.listSubJobs()[0]) == ["failed", "finished", "failed"]


# --- the rest of a queue ----------------------------------------------------------------------------------------------


def test_an_array_goes_on_in_a_queue_that_was_moved(queue: jobqueue.JobQueue, queue_dir: Path, tmp_path: Path) -> None:
    root = queue.createJobRoot()
    root.createJobArray("echo", over={"value": list("abcde")}, chunk=2)
    root.activate()
    assert queue.runNextAvailableJob()
    copy = tmp_path / "elsewhere"
    shutil.copytree(queue_dir, copy)
    moved = jobqueue.JobQueue(str(copy))
    while moved.runNextAvailableJob():
        pass
    (handle,) = moved.listJobs()
    assert [item.result[0] for item in handle.listSubJobs()[0].listItems()] == list("abcde")


def test_a_deleted_array_leaves_nothing(queue: jobqueue.JobQueue, queue_dir: Path, run_all: RunAll) -> None:
    root = queue.createJobRoot()
    array = root.createJobArray("echo", over={"value": range(3000)}, chunk=1500)
    array.createJobArray("command", "1-3", cmd="exit {index}")
    handle = root.activate()
    assert queue.runNextAvailableJob()
    items = handle.listSubJobs()[0].listSubJobs()[0].listItems()
    queue.deleteJobs(handle)
    assert not (queue_dir / "job1").exists()
    assert os.listdir(queue_dir / "trash") == []
    assert not run_all()
    with pytest.raises(JobNotFoundError):
        _ = items[0].state
    assert items[0].name == "job1/job0/job0:1"


def test_a_hierarchy_with_links_for_people_may_have_arrays(queue_dir: Path, run_all: RunAll) -> None:
    text = (queue_dir / "queue.cfg").read_text()
    (queue_dir / "queue.cfg").write_text(text.replace("useSymLinks = False", "useSymLinks = True"))
    queue = jobqueue.JobQueue(str(queue_dir))
    root = queue.createJobRoot("noop")
    array = root.createJobArray("oneframe", "1-3")
    root.createJob("noop").addDependency(array)
    handle = root.activate()
    while queue.runNextAvailableJob():
        pass
    assert handle.state is JobState.FINISHED
