"""`runjobs` and `jobqueue submit`, with an error or their death at every call that changes something."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import jobqueue
from jobqueue.registry import worker_names
from jobqueue.worker.sweep import sweep
from tests.acceptance.worker.driver import Queue
from tests.soundness import assert_sound
from tests.support_injection import FATES, Point, assert_all_end_well, points, program, run, was_hit
from tests.support_points import PART, part_of
from tests.support_share import scratch
from tests.support_worker import new_queue, worker_on

__all__ = ["scratch"]

pytestmark = [pytest.mark.needs_program("strace"), pytest.mark.timeout(7200)]

# So many days until all points had their turn.
_PARTS = 30
_MAKES = "print('printed')\nwith open(proc.output({path!r}), 'w') as file: file.write('whole')\nresult = 1"


class Scene:
    """A queue at the same place each time, with the directory of an output beside it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.queue_dir = base / "queue"
        self.final = base / "out" / "file"
        new_queue(self.queue_dir)
        Queue(self.queue_dir).configure("beat = 0.2")
        self.final.parent.mkdir()
        self.queue = jobqueue.JobQueue(str(self.queue_dir))

    def submit(self) -> jobqueue.JobHandle:
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=_MAKES.format(path=str(self.final)))
        return root.activate()

    def runjobs(self) -> list[str]:
        arguments = [str(self.queue_dir), "--slots", "1", "--exit-when-empty", "--poll", "0.1"]
        return program("jobqueue.cli.runjobs", 7, *arguments)

    def submit_command(self) -> list[str]:
        arguments = ["submit", "-q", str(self.queue_dir), "--frames", "1-2", "--", "true"]
        return program("jobqueue.cli", 9, *arguments)

    def repair(self) -> None:
        """Another worker, when nothing else runs: sweeps whoever is left, and runs everything."""
        with worker_on(self.queue_dir) as worker:
            for name in set(worker_names(worker.store)) - {worker.name}:
                assert sweep(worker.store, worker.aftermath, name, "killed")
            for entry in worker.store.index.folder("waiting"):
                worker.store.tokens.resume(worker.store.layout.job(entry.number))
            worker.run_all()


@pytest.fixture
def base(scratch: Path) -> Path:
    return scratch / "base"


def fresh(base: Path) -> Scene:
    """A new scene at the place of the last one."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    return Scene(base)


def is_the_jobs_own(point: Point) -> bool:
    """Whether it is the job's own code that is told the error: while it writes its output."""
    is_first = point.call == "write" or (point.call, point.nth) == ("openat", 1)
    return not point.is_death and "/.jq-" in point.path and is_first


def all_points(arguments: str, base: Path, trace: Path) -> list[Point]:
    scene = fresh(base)
    if arguments == "runjobs":
        scene.submit()
    code, said = run(getattr(scene, arguments)(), trace, None)
    assert code == 0, said
    # The name of the file that tells how often the worker calls is a count and a time, at which strace cannot aim.
    return [point for point in points(trace, base) if "/used." not in point.path]


def tried_runjobs(base: Path, trace: Path, point: Point) -> None:
    """One run: whatever befalls the worker, the job comes to its end, and is not blamed for what the share does."""
    scene = fresh(base)
    handle = scene.submit()
    code, said = run(scene.runjobs(), trace, point)
    assert was_hit(trace), said
    if code == 0 and not point.is_death and not is_the_jobs_own(point):
        assert handle.isFinished(), said
    scene.repair()
    (job,) = handle.listSubJobs()
    if job.hasError():
        # A fate befalls each slot that takes the place of one that has died of it.
        assert is_the_jobs_own(point) or (point.is_death and "3 attempts have died" in str(job.error)), job.error
        job.retry()
        scene.repair()
    assert not job.hasError(), job.error
    assert handle.isFinished(), said
    assert job.result == 1
    assert scene.final.read_text() == "whole"
    assert set(assert_sound(scene.queue_dir)[1]) == {"finished"}
    charged = {int(name.split(".")[3]) for name in os.listdir(scene.queue_dir / "job1" / ".tokens" / "finished")}
    assert charged <= ({0, 1} if point.is_death else {0}), charged


def tried_submit(base: Path, trace: Path, point: Point) -> None:
    """One run: what was acknowledged is there, and whatever is there is whole."""
    scene = fresh(base)
    code, said = run(scene.submit_command(), trace, point)
    assert was_hit(trace), said
    assert "Traceback" not in said, said
    jobs = scene.queue.listJobs()
    assert len(jobs) == 1 if code == 0 else len(jobs) <= 1
    scene.queue.createJobRoot("noop").activate()
    scene.repair()
    states = assert_sound(scene.queue_dir)
    assert len(states) == len(jobs) + 1
    assert all(set(folders) == {"finished"} for folders in states.values())


@pytest.mark.parametrize("part", [PART])
def test_whatever_befalls_a_worker_at_any_call_its_jobs_come_to_their_end(
    base: Path, tmp_path: Path, part: str
) -> None:
    found = all_points("runjobs", base, tmp_path / "trace")
    assert len(found) > 20 * len(FATES)
    chosen = part_of(found, "runjobs", _PARTS)
    assert_all_end_well(chosen, lambda point: tried_runjobs(base, tmp_path / "trace", point))


@pytest.mark.parametrize("part", [PART])
def test_whatever_befalls_a_submission_at_any_call_it_is_whole_or_not_there(
    base: Path, tmp_path: Path, part: str
) -> None:
    found = all_points("submit_command", base, tmp_path / "trace")
    assert len(found) > 20 * len(FATES)
    chosen = part_of(found, "submit", _PARTS)
    assert_all_end_well(chosen, lambda point: tried_submit(base, tmp_path / "trace", point))
