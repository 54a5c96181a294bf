"""Running jobs that are ended: by their timeout, or because somebody asks their worker to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from tests.acceptance.worker.driver import Gate, Queue, Worker, is_alive, lines, until
from tests.soundness import assert_sound

START = Callable[..., Worker]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def endless(pids: Path) -> str:
    """A job with a command and a grandchild, none of which ends by itself."""
    return (
        "import os, subprocess\n"
        f"subprocess.run(['sh', '-c', 'sleep 1000 & echo $$ $! {{}} >> {pids}; wait'.format(os.getpid())])\n"
    )


def started(pids: Path, count: int = 1) -> list[int]:
    """Waits for so many of these; the processes of all: shell, grandchild and slot of each."""
    until(lambda: len(lines(pids)) >= count, f"{count} endless jobs run")
    return [int(pid) for line in lines(pids) for pid in line.split()]


def test_a_timeout_ends_the_attempt_with_its_commands_and_the_job_has_failed(
    q: Queue, start: START, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    root = q.queue.createJobRoot()
    root.createJob("code", text="result = 1")
    root.createJob("code", text=endless(pids)).options.timeout = 0.5
    root.createJob("code", text="result = 2")
    handle = root.activate()
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    before, late, after = handle.listSubJobs()
    assert (before.result, after.result) == (1, 2)
    assert late.hasError()
    assert late.error == "it ran longer than its timeout of 0.5 s"
    assert late.endTime is not None
    assert (late.attempt, q.charged(1, 1)) == (1, 1)
    assert not any(map(is_alive, started(pids)))
    assert [line.partition("WARNING ")[2] for line in worker.complaints()] == [
        "job1/job1 has failed: it ran longer than its timeout of 0.5 s. `jobqueue retry job1/job1` runs it again."
    ]
    assert_sound(q.dir)


def test_a_timeout_ends_a_job_that_holds_the_interpreter(q: Queue, start: START) -> None:
    handle = q.submit("import ctypes\nctypes.PyDLL(None).sleep(1000)", options={"timeout": 0.3})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert handle.listSubJobs()[0].error == "it ran longer than its timeout of 0.3 s"


def test_a_timeout_ends_a_job_that_ignores_sigterm(q: Queue, start: START) -> None:
    text = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    handle = q.submit(text, options={"timeout": 0.3})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert handle.listSubJobs()[0].error == "it ran longer than its timeout of 0.3 s"


def test_a_timeout_comes_from_the_configuration_where_the_job_sets_none(q: Queue, start: START) -> None:
    q.configure("timeout = 0.3")
    handle = q.submit("import time; time.sleep(1000)")
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert handle.listSubJobs()[0].error == "it ran longer than its timeout of 0.3 s"


def test_a_job_within_its_timeout_is_left_alone_and_so_is_what_follows_it(q: Queue, start: START) -> None:
    """Thirty jobs in one slot, which together take longer than each may."""
    texts = ["import time; time.sleep(0.05); result = os.getpid()".replace("import time", "import os, time")] * 30
    handle = q.submit(*texts, options={"timeout": 1.0})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert len({job.result for job in handle.listSubJobs()}) == 1


def test_a_job_that_was_ended_by_its_timeout_can_be_retried(q: Queue, start: START, gate: Gate) -> None:
    handle = q.submit(f"{gate.code}result = 'at last'", options={"timeout": 0.3})
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    job = handle.listSubJobs()[0]
    assert job.hasError()
    q.configure("maxAttempts = 5")
    job.retry()
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for(2)
    gate.open()
    assert worker.ends() == 0
    assert job.result == "at last"


def test_set_error_ends_a_running_job_with_its_commands(q: Queue, start: START, gate: Gate, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    handle = q.submit(endless(pids), f"{gate.code}result = 'went on'", "result = 'is next'")
    worker = start("--slots", "2", "--exit-when-empty")
    gate.wait_for()
    processes = started(pids)
    ended, other, last = handle.listSubJobs()
    ended.setError()
    until(ended.isFinished, "it has failed")
    assert not any(map(is_alive, processes))
    assert "fail, asked by" in (ended.error or "")
    assert not other.isFinished()
    gate.open()
    assert worker.ends() == 0
    assert (other.result, last.result) == ("went on", "is next")
    assert not handle.isFinished()
    with pytest.raises(jobqueue.JobQueueError, match="failed already"):
        ended.setError()
    assert_sound(q.dir)


def test_set_error_ends_only_the_job_that_is_meant(q: Queue, start: START, tmp_path: Path) -> None:
    gates = [Gate(tmp_path, name) for name in ("one", "two")]
    handles = [q.submit(each.code) for each in gates]
    worker = start("--slots", "2", "--exit-when-empty")
    pids = [each.wait_for() for each in gates]
    handles[0].listSubJobs()[0].setError()
    until(handles[0].listSubJobs()[0].isFinished, "it has failed")
    assert [is_alive(pid) for pid in pids] == [False, True]
    gates[1].open()
    assert worker.ends() == 0
    assert not handles[1].hasError(recursive=True)


@pytest.mark.parametrize("action", ["setError", "cancel"])
def test_what_is_to_end_one_job_and_hits_the_next_one_in_its_slot_is_not_held_against_that_one(
    q: Queue, start: START, tmp_path: Path, action: str
) -> None:
    """The first one takes SIGTERM for a word to go on; when SIGKILL comes the slot runs another hierarchy's job."""
    gates = [Gate(tmp_path, name) for name in ("meant", "hit")]
    told = tmp_path / "told"
    listen = f"import signal\nsignal.signal(signal.SIGTERM, lambda *_: open({str(told)!r}, 'w').close())\n"
    meant, hit = q.submit(listen + gates[0].code), q.submit(f"{gates[1].code}result = 'went on'")
    worker = start("--slots", "1", "--exit-when-empty")
    gates[0].wait_for()
    job = meant.listSubJobs()[0]
    if action == "setError":
        job.setError()
    else:
        meant.cancel()
    until(told.exists, "it has been told to end")
    gates[0].open()
    gates[1].wait_for(2)
    gates[1].open()
    assert worker.ends() == 0
    other = hit.listSubJobs()[0]
    assert (other.result, other.attempt, q.charged(2, 0)) == ("went on", 2, 0)
    assert worker.says("its process was ended for another job's sake")
    # It had ended well before anybody could end it.
    assert job.isFinished()
    assert not job.hasError()
    assert_sound(q.dir)


def test_cancel_ends_what_runs_of_a_hierarchy_and_nothing_of_it_is_begun(
    q: Queue, start: START, gate: Gate, tmp_path: Path
) -> None:
    pids, notes = tmp_path / "pids", tmp_path / "notes"
    root = q.queue.createJobRoot("code", text=f"open({str(notes)!r}, 'a').write('x')")
    for _ in range(2):
        root.createJob("code", text=endless(pids))
    handle = root.activate()
    other = q.submit("result = 'is next'")
    worker = start("--slots", "2", "--exit-when-empty")
    processes = started(pids, 2)
    handle.cancel()
    assert worker.ends() == 0
    assert not any(map(is_alive, processes))
    assert not notes.exists()
    assert [job.error for job in (handle, *handle.listSubJobs())] == ["cancelled"] * 3
    assert handle.isFinished()
    assert handle.hasError()
    assert other.listSubJobs()[0].result == "is next"
    assert_sound(q.dir)


def test_delete_ends_what_runs_of_a_hierarchy_and_leaves_nothing(q: Queue, start: START, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    handle = q.submit(endless(pids), endless(pids), "pass")
    other = q.submit("result = 'is next'")
    worker = start("--slots", "2", "--exit-when-empty")
    processes = started(pids, 2)
    q.queue.deleteJobs(handle)
    assert worker.ends() == 0
    assert not any(map(is_alive, processes))
    assert other.listSubJobs()[0].result == "is next"
    assert not os.path.exists(handle.location)
    assert os.listdir(q.dir / "trash") == []
    assert q.workers() == []
    assert [job.name for job in q.queue.listJobs()] == [other.name]
    assert_sound(q.dir)


def test_a_deleted_job_whose_attempt_writes_on_leaves_nothing(q: Queue, start: START, gate: Gate) -> None:
    """Its directory goes away under it; there is nowhere left to put a result."""
    handle = q.submit(f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('x')\n{gate.code}")
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    q.queue.deleteJobs(handle)
    assert worker.ends() == 0
    assert not os.path.exists(handle.location)
    assert q.workers() == []


@pytest.mark.parametrize("action", ["delete", "cancel"])
def test_a_job_that_ends_before_its_worker_has_read_the_request_leaves_nothing_either(
    q: Queue, start: START, gate: Gate, action: str
) -> None:
    q.configure("beat = 1000")
    handle = q.submit(gate.code, "pass")
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    # At its first beat it reads what it is asked, and that comes after it has said who it is.
    files = q.dir / "workers" / q.workers()[0]
    until(lambda: (files / "beat").stat().st_mtime_ns > (files / "info.json").stat().st_mtime_ns, "its first beat")
    if action == "delete":
        q.queue.deleteJobs(handle)
    else:
        handle.cancel()
    gate.open()
    assert worker.ends() == 0
    assert q.workers() == []
    assert_sound(q.dir)
    if action == "delete":
        assert not os.path.exists(handle.location)
        assert os.listdir(q.dir / "trash") == []
    else:
        assert [job.state.name for job in handle.listSubJobs()] == ["FINISHED", "CANCELLED"]


def test_a_directory_in_the_inbox_is_nobodys_request(q: Queue, start: START, gate: Gate) -> None:
    q.submit(gate.code)
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    inbox = q.dir / "workers" / q.workers()[0] / "inbox"
    (inbox / "0.json").mkdir()
    (inbox / "1.json").write_text("no json")
    until(lambda: os.listdir(inbox) == ["0.json"], "the other request was read")
    gate.open()
    assert worker.ends() == 0
    assert q.workers() == []


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", "[]", '"x"', "{}", '{"action": "fail", "job": "x"}', '{"action": 3, "job": 1}',
        '{"action": "explode", "job": 1, "node": null}', '{"action": "fail", "job": 1, "node": "0"}',
        '{"action": "fail", "job": 2, "node": null}', '{"action": "fail", "job": 1, "node": 1}',
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_dropped(q: Queue, start: START, gate: Gate, text: str) -> None:
    handle = q.submit(gate.code)
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    inbox = q.dir / "workers" / q.workers()[0] / "inbox"
    (inbox / "0.json").write_text(text)
    (inbox / ".nfs0001").write_text(text)
    until(lambda: os.listdir(inbox) == [".nfs0001"], "the request was read")
    (inbox / ".nfs0001").unlink()
    gate.open()
    assert worker.ends() == 0
    assert not handle.hasError(recursive=True)
    assert handle.listSubJobs()[0].attempt == 1
    assert q.workers() == []
