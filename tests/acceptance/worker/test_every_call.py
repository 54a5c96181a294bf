"""The real programs, with an error or their death at every call that changes something: strace puts it there.

So that each call can be found again by its path, chance is the same in all of them, and times have the same length.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import jobqueue
from jobqueue.registry import worker_names
from jobqueue.worker.sweep import sweep
from tests import support_strace
from tests.acceptance.worker.driver import Queue, end_processes, lines
from tests.soundness import assert_sound
from tests.support_points import PART, part_of
from tests.support_share import scratch
from tests.support_worker import new_queue, worker_on

__all__ = ["scratch"]

pytestmark = [pytest.mark.needs_program("strace"), pytest.mark.timeout(7200)]

_ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "EACCES", "EROFS", "EBUSY")
_FATES = ("signal=KILL", *(f"error={error}" for error in _ERRORS))
# So many days until all points had their turn.
_PARTS = 30
_PATIENCE_S = 60.0
_CHANGES = frozenset(
    {
        "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "symlink", "symlinkat",
        "write", "pwrite64", "writev", "fsync", "fdatasync", "syncfs", "utimensat", "ftruncate",
    }
)  # fmt: skip
# Where a record lies, which stands in names, must not depend on how many digits the time has either.
_SAME_CHANCE = """
import os, sys, time
os.urandom = lambda size: bytes([{seed}]) * size
real = time.time
time.time = lambda: int(real()) + 0.5
"""
_RUNJOBS = "from jobqueue.cli.runjobs import main\nsys.exit(main(sys.argv[1:]))\n"
_JOBQUEUE = "from jobqueue.cli import main\nsys.exit(main(sys.argv[1:]))\n"
_MAKES = "print('printed')\nwith open(proc.output({path!r}), 'w') as file: file.write('whole')\nresult = 1"


class Point(NamedTuple):
    """One call that is to go wrong, and how.

    Attributes:
        call: its name.
        path: that it is about.
        nth: of the calls of this name about this path by one process, from 1.
        fate: what strace has to do then.
    """

    call: str
    path: str
    nth: int
    fate: str

    @property
    def is_death(self) -> bool:
        return self.fate == "signal=KILL"

    @property
    def is_the_jobs_own(self) -> bool:
        """Whether it is the job's own code that is told the error: while it writes its output."""
        is_first = self.call == "write" or (self.call, self.nth) == ("openat", 1)
        return not self.is_death and "/.jq-" in self.path and is_first


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
        code = _SAME_CHANCE.format(seed=7) + _RUNJOBS
        return ["-c", code, str(self.queue_dir), "--slots", "1", "--exit-when-empty", "--poll", "0.1"]

    def submit_command(self) -> list[str]:
        arguments = ["submit", "-q", str(self.queue_dir), "--frames", "1-2", "--", "true"]
        return ["-c", _SAME_CHANCE.format(seed=9) + _JOBQUEUE, *arguments]

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


def environment() -> dict[str, str]:
    """For programs that make no calls but their own: Python would keep what it compiles, coverage its data."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1"}


def points(trace: Path, base: Path) -> list[Point]:
    """All that can befall the calls of a run in which nothing failed."""
    seen: Counter[tuple[int, str, str]] = Counter()
    calls: dict[tuple[str, str, int], None] = {}
    for call in support_strace.read(trace):
        paths = [path for path in call.paths if f"{path}/".startswith(f"{base}/")]
        makes = call.name == "openat" and any(flag in call.text for flag in ("O_CREAT", "O_WRONLY", "O_RDWR"))
        if not paths:
            continue
        # Where it only looks it is counted all the same, since strace does so, too.
        seen[call.pid, call.name, paths[0]] += 1
        if call.name in _CHANGES or makes:
            calls[call.name, paths[0], seen[call.pid, call.name, paths[0]]] = None
    return [Point(*call, fate) for call in calls for fate in _FATES]


def run(arguments: list[str], trace: Path, point: Point | None) -> tuple[int, str]:
    """Runs a program of ours to its end; its exit code, and what it said."""
    options = ["-f", "-qq", "-y", "-s", "0", "-o", str(trace)]
    if point is None:
        options += ["-e", "trace=%file,%desc,%process"]
    else:
        options += [f"--trace={point.call}", "-P", point.path, f"--inject={point.call}:{point.fate}:when={point.nth}"]
    process = subprocess.Popen(
        ["strace", *options, sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        _, said = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        # What strace runs does not end with it.
        end_processes({int(line.split()[0]) for line in lines(trace)})
        process.kill()
        process.communicate()
        raise
    return process.returncode, said


def was_hit(trace: Path) -> bool:
    text = trace.read_text()
    return "(INJECTED)" in text or "killed by SIGKILL" in text


def all_points(arguments: str, base: Path, trace: Path) -> list[Point]:
    scene = fresh(base)
    if arguments == "runjobs":
        scene.submit()
    code, said = run(getattr(scene, arguments)(), trace, None)
    assert code == 0, said
    return points(trace, base)


def tried_runjobs(base: Path, trace: Path, point: Point) -> None:
    """One run: whatever befalls the worker, the job comes to its end, and is not blamed for what the share does."""
    scene = fresh(base)
    handle = scene.submit()
    code, said = run(scene.runjobs(), trace, point)
    assert was_hit(trace), said
    if code == 0 and not point.is_death and not point.is_the_jobs_own:
        assert handle.isFinished(), said
    scene.repair()
    (job,) = handle.listSubJobs()
    if job.hasError():
        # A fate befalls each slot that takes the place of one that has died of it.
        assert point.is_the_jobs_own or (point.is_death and "3 attempts have died" in str(job.error)), job.error
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


def assert_all_end_well(chosen: list[Point], act: Callable[[Point], None]) -> None:
    failures = []
    for point in chosen:
        try:
            act(point)
        except Exception as error:
            failures.append(f"{point}: {error!r}")
    assert not failures, "\n".join(["", f"{len(failures)} of {len(chosen)}", *failures])


@pytest.mark.parametrize("part", [PART])
def test_whatever_befalls_a_worker_at_any_call_its_jobs_come_to_their_end(
    base: Path, tmp_path: Path, part: str
) -> None:
    found = all_points("runjobs", base, tmp_path / "trace")
    assert len(found) > 20 * len(_FATES)
    chosen = part_of(found, "runjobs", _PARTS)
    assert_all_end_well(chosen, lambda point: tried_runjobs(base, tmp_path / "trace", point))


@pytest.mark.parametrize("part", [PART])
def test_whatever_befalls_a_submission_at_any_call_it_is_whole_or_not_there(
    base: Path, tmp_path: Path, part: str
) -> None:
    found = all_points("submit_command", base, tmp_path / "trace")
    assert len(found) > 20 * len(_FATES)
    chosen = part_of(found, "submit", _PARTS)
    assert_all_end_well(chosen, lambda point: tried_submit(base, tmp_path / "trace", point))
