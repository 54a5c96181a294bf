"""A worker does not die of what lies in the queue: broken jobs are named and set aside, and the others go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import BrokenJobError
from tests.acceptance.worker.driver import Gate, Queue, Worker, lines, until
from tests.soundness import assert_sound
from tests.support import run_jobqueue
from tests.support_worker import worker_on

START = Callable[..., Worker]


def _make_file(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_text("a file where a directory belongs")


def _replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _make_dir(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _first(directory: Path) -> Path:
    return min(directory.iterdir())


READ, READY = "the hierarchy cannot be read", "its ready/ is missing"
# What is done to a job's directory, and how the log calls it. In each case nothing of the job can be run.
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "the directory is missing": (shutil.rmtree, READY),
    "the directory is a file": (_make_file, READY),
    "the hierarchy is missing": (lambda job: (job / ".hierarchy").unlink(), READ),
    "the hierarchy is empty": (lambda job: os.truncate(job / ".hierarchy", 0), READ),
    "the hierarchy ends in its header": (lambda job: os.truncate(job / ".hierarchy", 100), READ),
    "the hierarchy ends after its header": (lambda job: os.truncate(job / ".hierarchy", 256), READ),
    "the hierarchy ends in the first job": (lambda job: os.truncate(job / ".hierarchy", 300), READ),
    "the hierarchy has lost its offsets": (
        lambda job: os.truncate(job / ".hierarchy", (job / ".hierarchy").stat().st_size - 60), READ,
    ),
    "the hierarchy is a directory": (lambda job: _make_dir(job / ".hierarchy"), READ),
    "the hierarchy is no text": (lambda job: (job / ".hierarchy").write_bytes(bytes(range(256)) * 10), READ),
    "the hierarchy is of another version": (
        lambda job: _replace(job / ".hierarchy", b'"format":1', b'"format":2'), "a format version that this jobqueue",
    ),
    "the hierarchy's jobs are no JSON": (
        lambda job: _replace(job / ".hierarchy", b'"place"', b'"plaice'), "job 0 of the hierarchy cannot be read",
    ),
    "the hierarchy's jobs lack a field": (
        lambda job: _replace(job / ".hierarchy", b'"params"', b'"parans"'), "job 0 of the hierarchy cannot be read",
    ),
    "the hierarchy's jobs have options of another kind": (
        lambda job: _replace(job / ".hierarchy", b'"options":{}', b'"options":[]'),
        "job 0 of the hierarchy cannot be read",
    ),
    "the hierarchy's jobs lead nowhere": (
        lambda job: _replace(job / ".hierarchy", b'"children":[]', b'"children":77'),
        "job 0 of the hierarchy cannot be read",
    ),
    "the tokens are missing": (lambda job: shutil.rmtree(job / ".tokens"), READY),
    "the tokens are a file": (lambda job: _make_file(job / ".tokens"), READY),
    "ready is missing": (lambda job: shutil.rmtree(job / ".tokens" / "ready"), READY),
    "ready is a file": (lambda job: _make_file(job / ".tokens" / "ready"), READY),
    "a token is of a job that is not there": (
        lambda job: _first(job / ".tokens/ready").rename(job / ".tokens/ready/0000009.0.0.0"),
        "there is no job 9 in the hierarchy",
    ),
    "the journal is a file": (lambda job: _make_file(job / ".journal"), ".journal"),
    "the journal is missing": (lambda job: shutil.rmtree(job / ".journal"), ".journal"),
    "a sub-job's directory is a file": (lambda job: _make_file(job / "job0"), "job0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("slots", ["1", "2"])
def test_a_broken_job_is_named_and_held_and_the_others_go_on(q: Queue, start: START, kind: str, slots: str) -> None:
    before = q.submit("result = 'before'")
    broken = q.submit("result = 'broken'", "result = 'broken'")
    after = q.submit("result = 'after'")
    spoil, words = DAMAGE[kind]
    spoil(Path(broken.location))
    worker = start("--slots", slots, "--exit-when-empty")
    assert worker.ends() == 0
    assert before.listSubJobs()[0].result == "before"
    assert after.listSubJobs()[0].result == "after"
    assert [name.partition(".")[0] for name in q.entries("held")] == ["500-00000002"]
    said = [line for line in worker.complaints() if "job2 is broken" in line]
    # Of two slots the other may have been quicker, and have found the same of another job.
    assert words in said[0].replace("job 1 of", "job 0 of"), worker.log_text()
    assert "it is held and the others go on. `jobqueue delete job2` removes it." in said[0]
    assert len(said) == 1 or slots == "2"
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
    DAMAGE[kind][0](Path(broken.location))
    gate.open()
    until(after.isFinished, "the other one has finished")
    assert after.listSubJobs()[0].result == "after"
    # What it owes of the broken one may keep it; told to end, it does.
    worker.signal(15)
    worker.signal(15)
    assert worker.ends() == 0


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_job_can_be_listed_and_deleted(q: Queue, kind: str, run_all: Callable[[], int]) -> None:
    broken, good = q.submit("pass"), q.submit("pass")
    DAMAGE[kind][0](Path(broken.location))
    assert q.queue.listJobs() == [broken, good]
    listed = run_jobqueue("-q", str(q.dir), "list")
    assert listed.returncode == 0, listed.stderr
    assert "job1" in listed.stdout
    q.queue.deleteJobs(broken)
    assert q.queue.listJobs() == [good]
    assert not os.path.exists(broken.location)
    assert run_all() == 2


def test_what_cannot_be_read_is_an_error_that_names_the_file(q: Queue) -> None:
    job = q.submit()
    (Path(job.location) / ".hierarchy").unlink()
    handle = q.queue.listJobs()[0]
    for question in (lambda: handle.label, handle.isFinished, handle.listSubJobs):
        with pytest.raises(BrokenJobError, match=f"^{job.location}/.hierarchy: the hierarchy cannot be read"):
            question()


def test_a_torn_line_in_a_journal_harms_no_other_record(q: Queue, run_all: Callable[[], int]) -> None:
    root = q.queue.createJobRoot("code", text="result = 'root'")
    root.createJob("code", text="result = 'child'")
    job = root.activate()
    assert run_all() == 2
    (child,) = job.listSubJobs()
    assert child.journalFile is not None
    path = Path(child.journalFile)
    first = path.read_bytes().index(b'{"event":"end"')
    path.write_bytes(path.read_bytes()[:first] + b"\0" * 20 + path.read_bytes()[first + 20 :])
    assert job.result == "root"
    assert child.isFinished()
    assert not child.hasError()
    assert child.endTime is None
    with pytest.raises(jobqueue.JobQueueError, match="the record of job1/job0 is lost, and its result with it"):
        _ = child.result


# --- names that nobody knows ------------------------------------------------------------------------------------------

FOREIGN = (
    ".nfs000000000000001", "._x", "._500-00000001.0", ".DS_Store", "Thumbs.db", "x.tmp", "500-00000001.0.orig",
    "0000000.0.0", "0000000.0.0.0.0", "0000000.0.0.0~", "1.2.3.x", "x y", "\u00e4", "K\u00e4se", "job1x", "job-1",
    "lost+found",
)  # fmt: skip


@pytest.mark.parametrize("parity", [0, 1])
def test_names_that_nobody_knows_are_ignored_everywhere(
    q: Queue, start: START, run_all: Callable[[], int], parity: int
) -> None:
    """Each is once a file and once a directory."""
    root = q.queue.createJobRoot("noop")
    root.createJob("noop").createJob("noop")
    job = root.activate()
    folders = [path for path in q.dir.rglob("*") if path.is_dir() and path.name != "procs"] + [q.dir]
    for folder in folders:
        for number, name in enumerate(FOREIGN):
            if number % 2 == parity:
                (folder / name).write_text("foreign")
            else:
                (folder / name).mkdir()
    assert len(folders) > 15
    assert run_all() == 3
    assert job.isFinished()
    assert not job.hasError(recursive=True)
    other = q.queue.createJobRoot("noop").activate()
    assert other.number == 2
    assert q.queue.listJobs() == [job, other]
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert worker.complaints() == []
    assert other.isFinished()
    q.queue.deleteJobs([job, other])
    assert not Path(job.location).exists()
    assert all((q.dir / folder / ".DS_Store").exists() for folder in ("index/runnable", "workers", "tmp"))


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
    until(lambda: all(job.isFinished() for job in second.listSubJobs()), "three have finished, and one has failed")
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


# --- broken procedures ------------------------------------------------------------------------------------------------


def test_a_procedures_file_that_is_removed_when_a_worker_knows_it_fails_its_jobs_and_nothing_else(q: Queue) -> None:
    with worker_on(q.dir) as worker:
        q.queue.createJobRoot("noop").activate()
        assert worker.run_all() == ["job1"]
        removed, other = q.queue.createJobRoot("noop").activate(), q.submit("result = 1")
        (q.dir / "procs" / "noop.py").unlink()
        # A worker believes for a while that a file is what it was.
        worker.store.share.clock.sleep(60)
        assert worker.run_all() == ["job2", "job3/job0", "job3"]
    assert "there is no procedure noop; there are" in (removed.error or "")
    assert other.listSubJobs()[0].result == 1
    assert_sound(q.dir)


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
