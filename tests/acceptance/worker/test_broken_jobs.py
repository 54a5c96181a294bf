"""A worker does not die of what lies in the queue: broken jobs are named and set aside, and the others go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import Gate, Queue, Worker, lines, until
from tests.soundness import assert_sound

START = Callable[..., Worker]


def _make_file(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_text("a file where a directory belongs")


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _make_dir(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What is done to a job's directory. In each case nothing of it can be run.
DAMAGE: dict[str, Callable[[Path], object]] = {
    "the directory is missing": shutil.rmtree,
    "the directory is a file": _make_file,
    "the hierarchy is missing": lambda job: (job / ".hierarchy").unlink(),
    "the hierarchy is empty": lambda job: _cut(job / ".hierarchy", 0),
    "the hierarchy ends in its header": lambda job: _cut(job / ".hierarchy", 100),
    "the hierarchy ends after its header": lambda job: _cut(job / ".hierarchy", 256),
    "the hierarchy ends in the first job": lambda job: _cut(job / ".hierarchy", 300),
    "the hierarchy has lost its offsets": lambda job: _cut(
        job / ".hierarchy", (job / ".hierarchy").stat().st_size - 60
    ),
    "the hierarchy is a directory": lambda job: _make_dir(job / ".hierarchy"),
    "the hierarchy is no text": lambda job: (job / ".hierarchy").write_bytes(bytes(range(256)) * 10),
    "the hierarchy is of another version": lambda job: _replace(job / ".hierarchy", b'"format":1', b'"format":9'),
    "the hierarchy's jobs are no JSON": lambda job: _replace(job / ".hierarchy", b'{"place"', b'!"place"'),
    "the hierarchy's jobs lack a field": lambda job: _replace(job / ".hierarchy", b'"params"', b'"parans"'),
    "the tokens are missing": lambda job: shutil.rmtree(job / ".tokens"),
    "the tokens are a file": lambda job: _make_file(job / ".tokens"),
    "ready is missing": lambda job: shutil.rmtree(job / ".tokens" / "ready"),
    "ready is a file": lambda job: _make_file(job / ".tokens" / "ready"),
    "the journal is a file": lambda job: _make_file(job / ".journal"),
    "the journal is missing": lambda job: shutil.rmtree(job / ".journal"),
    "a sub-job's directory is a file": lambda job: _make_file(job / "job0"),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("slots", ["1", "2"])
def test_a_broken_job_is_named_and_held_and_the_others_go_on(q: Queue, start: START, kind: str, slots: str) -> None:
    before = q.submit("result = 'before'")
    broken = q.submit("result = 'broken'", "result = 'broken'")
    after = q.submit("result = 'after'")
    DAMAGE[kind](Path(broken.location))
    worker = start("--slots", slots, "--exit-when-empty")
    assert worker.ends() == 0
    assert before.listSubJobs()[0].result == "before"
    assert after.listSubJobs()[0].result == "after"
    assert [name.partition(".")[0] for name in q.entries("held")] == ["500-00000002"]
    assert any("job2 is broken" in line and "is held" in line for line in worker.complaints()), worker.log_text()
    assert len(worker.complaints()) <= 4, worker.log_text()
    assert q.workers() == []


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_job_that_breaks_while_it_runs_does_not_stop_the_worker(
    q: Queue, start: START, tmp_path: Path, kind: str
) -> None:
    gate = Gate(tmp_path)
    broken = q.submit(gate.code, "pass")
    after = q.submit("result = 'after'")
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    DAMAGE[kind](Path(broken.location))
    gate.open()
    until(after.isFinished, "the other one has finished")
    assert after.listSubJobs()[0].result == "after"
    # What it owes of the broken one may keep it; told to end, it does.
    worker.signal(15)
    worker.signal(15)
    assert worker.ends() == 0


FOREIGN = (
    ".nfs000000000000001",
    "._x",
    ".DS_Store",
    "Thumbs.db",
    "x.tmp",
    "0000000.0.0",
    "0000000.0.0.0.0",
    "\u00e4",
    "1.2.3.x",
)


def test_foreign_files_everywhere_change_nothing(q: Queue, start: START) -> None:
    handle = q.submit(*["result = 1"] * 3)
    worker = start("--slots", "2")
    until(handle.isFinished, "the first one has finished, so everything is there")
    second = q.submit(*["result = 1"] * 3, "raise RuntimeError")
    second.hold()
    for base, directories, _ in os.walk(q.dir):
        if Path(base).name != "procs" and "inbox" not in base:
            for name in FOREIGN:
                (Path(base) / name).write_text("foreign")
            (Path(base) / "foreign").mkdir()
            directories[:] = [name for name in directories if name != "foreign"]
    second.release()
    failing = second.listSubJobs()[3]
    until(failing.isFinished, "it has failed")
    worker.signal(15)
    assert worker.ends() == 0
    assert [job.state.name for job in second.listSubJobs()] == ["FINISHED"] * 3 + ["FAILED"]
    assert len(worker.complaints()) <= 3, worker.log_text()
    assert not any("broken" in line for line in worker.complaints())


def test_an_entry_without_a_job_does_not_stop_the_worker(q: Queue, start: START) -> None:
    (q.dir / "index" / "runnable" / "500-00000007.0").touch()
    handle = q.submit("result = 1")
    assert handle.name == "job8"
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert handle.listSubJobs()[0].result == 1
    assert [name.partition(".")[0] for name in q.entries("held")] == ["500-00000007"]


def test_a_token_of_a_job_that_is_not_in_the_hierarchy_sets_it_aside(q: Queue, start: START) -> None:
    broken, good = q.submit("raise RuntimeError"), q.submit("result = 1")
    (Path(broken.location) / ".tokens" / "ready" / "0000099.0.0.0").touch()
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert good.listSubJobs()[0].result == 1
    assert len(q.entries("held")) == 1


def test_procedures_that_cannot_be_made_fail_their_jobs_and_nothing_else(
    q: Queue, start: START, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    root = q.queue.createJobRoot()
    gone = root.createJob("noop")
    root.createJob("note", path=str(ran), text="x")
    handle = root.activate()
    (q.dir / "procs" / "noop.py").unlink()
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert gone is not None
    assert "there is no procedure noop" in (handle.listSubJobs()[0].error or "")
    assert lines(ran) == ["x"]
    assert_sound(q.dir)


@pytest.mark.parametrize(
    "text", ["raise SystemExit", "import os; os._exit(4)", "this is no Python", "while True: pass", "noop = 3"]
)
def test_a_procedure_file_that_misbehaves_when_it_is_loaded_harms_only_its_jobs(
    q: Queue, start: START, text: str
) -> None:
    root = q.queue.createJobRoot()
    job = root.createJob("noop")
    job.options.timeout = 1.0
    root.createJob("code", text="result = 1")
    handle = root.activate()
    (q.dir / "procs" / "noop.py").write_text(text)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert handle.listSubJobs()[0].hasError()
    assert handle.listSubJobs()[1].result == 1
    assert_sound(q.dir)
