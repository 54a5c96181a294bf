"""Drives one peer through a piece of work, in a process of its own, and prints what was measured as a line of JSON.

    python -m benchmarks.drive '{"peer": "jug", "work": "noops", "folder": "/dev/shm", "workers": 2, "sizes": [100]}'

A number of jobs is done in two ways:

- *free*: the workers wait for work; measured is from the first submission to the last job done;
- *at the gate*: each worker first gets a job that does not end before a gate is opened. Meanwhile all is submitted,
  which is measured; then the gate opens, and draining is measured alone, by workers that are all there.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import work
from benchmarks.peers import PEERS
from benchmarks.peers.base import Job, Peer

# A wait looks again after this time, or after this part of the time that it has taken, whichever is longer.
_LOOK_S, _LOOK_PART = 0.0005, 0.005
# Before a worker is killed, and for one that comes afterwards.
_CALM_S, _NEW_WORKER_S = 2.0, 20.0
# What takes longer at the gate is not done freely as well: there the submission is a small part of the whole.
_FREE_WITHIN_S = 15.0


class LateError(Exception):
    """A piece of work has not come to its end in the time that it is given."""


class Plan(NamedTuple):
    """What a process is to measure.

    Attributes:
        peer: its name.
        work: the name of one of the functions in `WORKS`.
        folder: where; a directory of its own is made there, and removed.
        workers: how many.
        sizes: the numbers of jobs, in rising order; for `busy`, see there.
        limit_s: what takes longer is not waited for, and larger sizes are not begun.
    """

    peer: str
    work: str
    folder: str
    workers: int
    sizes: tuple[int, ...] = ()
    limit_s: float = 120.0


class Ground:
    """What driver and jobs share: the gate, and the files that jobs append to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.environ[work.VARIABLE] = str(folder)
        self._numbers = itertools.count(1)

    def jobs(self, function: str, count: int, *args: int) -> list[Job]:
        """Jobs with numbers that no other job has, and further arguments."""
        return [Job(function, (next(self._numbers), *args)) for _ in range(count)]

    def lines(self, name: str) -> int:
        """How many jobs have appended to a file."""
        try:
            return (self._folder / name).stat().st_size // work.LINE_BYTES
        except FileNotFoundError:
            return 0

    def words(self, name: str) -> list[list[str]]:
        """The lines of a file, as words."""
        path = self._folder / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def clear(self, name: str) -> None:
        (self._folder / name).write_bytes(b"")

    def counts(self, jobs: Sequence[Job]) -> dict[str, int]:
        """How often jobs were executed: in all, how many more than once, and how many never."""
        seen = Counter(int(number) for (number,) in self.words("tally"))
        each = [seen[job.args[0]] for job in jobs]
        return {"executed": sum(each), "repeated": sum(count > 1 for count in each), "missing": each.count(0)}

    @contextmanager
    def shut(self) -> Iterator[Callable[[], None]]:
        """Shuts the gate; gives what opens it, which happens at the end in any case."""
        path = self._folder / "gate"
        # RACE: who waits at the gate that was opened last may not have passed it yet; so each time it is another file.
        path.unlink(missing_ok=True)
        with open(path, "wb") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield lambda: fcntl.flock(gate, fcntl.LOCK_UN)


def wait_until(is_so: Callable[[], bool], *, check: Callable[[], None], limit_s: float) -> float:
    """Waits; the time of a monotonic clock at which it was so.

    Raises:
        LateError: the time is up.
    """
    began = time.monotonic()
    while not is_so():
        passed_s = time.monotonic() - began
        if passed_s > limit_s:
            raise LateError
        check()
        time.sleep(max(_LOOK_S, passed_s * _LOOK_PART))
    return time.monotonic()


class Driver:
    """One peer with its workers.

    Args:
        peer: freshly made.
        ground: what is shared with its jobs.
        limit_s: for each wait.
    """

    def __init__(self, peer: Peer, ground: Ground, limit_s: float) -> None:
        self._peer = peer
        self._ground = ground
        self._limit_s = limit_s

    def start(self, workers: int) -> float:
        """Starts the workers and waits until each of them has had a job; the seconds that it took."""
        began = time.monotonic()
        with self._ground.shut() as open_gate:
            self._peer.start(workers)
            self._send_to_gate(workers)
            took_s = time.monotonic() - began
            open_gate()
            self._wait_until(self._peer.is_settled)
        return took_s

    def free(self, jobs: Sequence[Job]) -> float:
        """Seconds from the first submission to the last job done, by workers that wait for work."""
        done = self._will_be_done(jobs)
        began = time.monotonic()
        self._peer.submit(jobs)
        return done() - began

    def at_gate(self, workers: int, jobs: Sequence[Job], parent: Job | None = None) -> dict[str, float]:
        """Seconds for submitting and for draining jobs, and one that depends on all of them."""
        done = self._will_be_done([*jobs, parent] if parent else jobs)
        with self._ground.shut() as open_gate:
            if self._peer.has_warm_workers:
                self._send_to_gate(workers)
                began = time.monotonic()
                self._submit(jobs, parent)
            else:
                self._ground.clear("loading")
                self._send_to_gate(workers, jobs, parent)
                began = min(float(stamp) for (stamp,) in self._ground.words("loading"))
            opened = time.monotonic()
            open_gate()
            return {"submit_s": opened - began, "drain_s": done() - opened}

    def _send_to_gate(self, workers: int, jobs: Sequence[Job] = (), parent: Job | None = None) -> None:
        """Gives each worker a job that waits at the gate, and then the jobs; returns when all workers wait."""
        ground = self._ground
        expected = ground.lines("arrived") + workers
        self._submit([*ground.jobs("gate", workers), *jobs], parent)
        self._wait_until(lambda: ground.lines("arrived") >= expected)

    def _submit(self, jobs: Sequence[Job], parent: Job | None) -> None:
        if parent is None:
            self._peer.submit(jobs)
        else:
            self._peer.submit_below(parent, jobs)

    def _will_be_done(self, jobs: Sequence[Job]) -> Callable[[], float]:
        """What waits until jobs that are submitted from now on are done, and tells when that was."""
        counted = self._peer.counts and not (self._peer.has_commands and jobs[0].function == "true")
        expected = self._ground.lines("tally") + len(jobs) * counted

        def done() -> float:
            self._wait_until(lambda: self._ground.lines("tally") >= expected)
            return self._wait_until(self._peer.is_settled)

        return done

    def _wait_until(self, is_so: Callable[[], bool]) -> float:
        return wait_until(is_so, check=self._peer.check, limit_s=self._limit_s)


# --- the pieces of work ----------------------------------------------------------------------------------------------


class Stage(NamedTuple):
    """What a piece of work is done with."""

    plan: Plan
    ground: Ground
    peer: Peer
    driver: Driver


def noops(stage: Stage) -> dict[str, Any]:
    """Submits and drains jobs that do nothing."""
    plan, ground, peer, driver = stage
    found: dict[str, Any] = {"start_s": driver.start(plan.workers), "sizes": {}}
    for size in plan.sizes:
        seen: dict[str, Any] = {}
        found["sizes"][str(size)] = seen
        try:
            jobs = ground.jobs("noop", size)
            seen.update(driver.at_gate(plan.workers, jobs))
            if peer.has_warm_workers and seen["drain_s"] < _FREE_WITHIN_S:
                more = ground.jobs("noop", size)
                seen["free_s"] = driver.free(more)
                jobs += more
        except LateError:
            seen["late_s"] = plan.limit_s
            break
        if peer.counts:
            seen.update(ground.counts(jobs))
    return found


def counted(stage: Stage) -> dict[str, Any]:
    """Counts the executions of a peer whose no-ops cannot count themselves."""
    stage.driver.start(stage.plan.workers)
    jobs = stage.ground.jobs("counted", stage.plan.sizes[0])
    stage.driver.free(jobs)
    return stage.ground.counts(jobs)


def busy(stage: Stage) -> dict[str, Any]:
    """Drains jobs that keep a processor busy; the sizes are how many, and how many turns each of them takes."""
    stage.driver.start(stage.plan.workers)
    count, turns = stage.plan.sizes
    return stage.driver.at_gate(stage.plan.workers, stage.ground.jobs("busy", count, turns))


def commands(stage: Stage) -> dict[str, Any]:
    """Runs the command `true`."""
    stage.driver.start(stage.plan.workers)
    return _in_time(stage, stage.ground.jobs("true", stage.plan.sizes[0]))


def hierarchy(stage: Stage) -> dict[str, Any]:
    """Leaves, and a parent that runs after them and looks whether they have run."""
    stage.driver.start(stage.plan.workers)
    jobs = stage.ground.jobs("noop", stage.plan.sizes[0])
    (parent,) = stage.ground.jobs("parent", 1, len(jobs))
    return _in_time(stage, jobs, parent)


def _in_time(stage: Stage, jobs: Sequence[Job], parent: Job | None = None) -> dict[str, float]:
    try:
        return stage.driver.at_gate(stage.plan.workers, jobs, parent)
    except LateError:
        return {"late_s": stage.plan.limit_s}


def kill(stage: Stage) -> dict[str, Any]:
    """Kills the worker that runs a job, with all its processes, and looks when the job is begun again."""
    plan, ground, peer, _ = stage
    peer.is_to_be_killed = True
    peer.start(plan.workers)
    with ground.shut():
        peer.submit(ground.jobs("victim", 1))
        wait_until(lambda: bool(ground.words("begun")), check=peer.check, limit_s=60)
        # Whoever takes a job twice without any fault does it in this time.
        is_twice = _begins_again(ground, 1, _CALM_S)
        pid, _ = ground.words("begun")[0]
        begun = len(ground.words("begun"))
        _kill_worker_of(peer, int(pid))
        killed = time.monotonic()
        found: dict[str, Any] = {"twice_before": is_twice}
        if _begins_again(ground, begun, plan.limit_s):
            return {**found, "again_s": float(ground.words("begun")[begun][1]) - killed}
        found.update(late_s=plan.limit_s, fate=peer.fate())
        peer.start(1)
        return {**found, "with_new_worker": _begins_again(ground, begun, _NEW_WORKER_S)}


def _begins_again(ground: Ground, begun: int, limit_s: float) -> bool:
    """Whether the job that is killed has begun more often than so many times, within a time."""
    try:
        wait_until(lambda: len(ground.words("begun")) > begun, check=lambda: None, limit_s=limit_s)
    except LateError:
        return False
    return True


def _kill_worker_of(peer: Peer, pid: int) -> None:
    """Kills the worker that a process belongs to: all processes that it has started, the first one first."""
    (worker,) = [worker for worker in peer.workers if pid in _descendants(worker.pid)]
    # All are found before the first is killed, since orphans have no parent to be found by.
    for each in _descendants(worker.pid):
        os.kill(each, signal.SIGKILL)
    worker.wait()
    peer.workers.remove(worker)


def _descendants(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


WORKS: dict[str, Callable[[Stage], dict[str, Any]]] = {
    function.__name__: function for function in (noops, counted, busy, commands, hierarchy, kill)
}


def run(plan: Plan) -> dict[str, Any]:
    """Does what the plan says; what was measured."""
    shm = Path("/dev/shm")
    with ExitStack() as stack:
        folder, shared = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True)))
            for where in (plan.folder, shm if os.access(shm, os.W_OK) else None)
        )
        ground = Ground(shared)
        peer = PEERS[plan.peer](folder)
        stack.callback(peer.stop)
        return WORKS[plan.work](Stage(plan, ground, peer, Driver(peer, ground, plan.limit_s)))


def main(argv: Sequence[str]) -> int:
    fields = json.loads(argv[0])
    plan = Plan(**{**fields, "sizes": tuple(fields.get("sizes", ()))})
    sys.stdout.write(json.dumps(run(plan)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
