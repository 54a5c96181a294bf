"""Counts what the real programs call on a queue, with `strace`: one column of the table on the page "Costs".

Where a count is for one job it is the median of what lies between two claims, so that looks which are made once a
second are not in it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median

import jobqueue
from jobqueue.names import base_name
from tests import support_strace
from tests.acceptance.worker.driver import Queue, until
from tests.support_strace import Call

# After so many beats a worker has done everything that it does at its beats.
CYCLE = 12
# Of the worker that is traced.
NAME = "m"
_RUN = 30
_SUBMIT = """
import sys, jobqueue
root = jobqueue.JobQueue(sys.argv[1]).createJobRoot("noop")
for _ in range(int(sys.argv[2])):
    root.createJob("noop")
root.activate()
"""
_STILL = """
from jobqueue import JobProc

class still(JobProc):
    def __init__(self, frame, label=None):
        super().__init__(label)

    def run(self):
        pass
"""
_SUBMIT_ARRAY = """
import sys, jobqueue
queue = jobqueue.JobQueue(sys.argv[1])
for _ in range(int(sys.argv[3])):
    root = queue.createJobRoot("noop")
    root.createJobArray("still", frames=f"1-{sys.argv[2]}")
    root.activate()
"""


def listing(calls: list[Call]) -> str:
    """What a failed test shows."""
    return "\n".join(call.text for call in calls)


class Counting:
    """Traced programs on one queue.

    Args:
        queue_dir: the queue.
        traces: where the files of `strace` go.
    """

    def __init__(self, queue_dir: Path, traces: Path) -> None:
        self.dir = queue_dir
        (queue_dir / "procs" / "still.py").write_text(_STILL)
        self._queue = jobqueue.JobQueue(str(queue_dir))
        self._traces = traces
        self._runs = 0

    def column(self, count: int) -> dict[str, float]:
        """All rows of the table for hierarchies of ``count`` sub-jobs."""
        bare, submitted = self.submit(0), self.submit(count)
        of_array, of_two = self.submit_arrays(count, 1), self.submit_arrays(count, 2)
        self._hold()
        found = {
            "submit a hierarchy, besides its sub-jobs": bare,
            "submit, for each sub-job": (submitted - bare) / count,
            "submit a hierarchy with an array of as many items": of_array,
            "submit another one, by the same process": of_two - of_array,
            "claim, run, commit and settle a job": self.job(fan, count),
            "the same where it unblocks another one": self.job(chain, count),
            "claim, split, run, commit and close a chunk of one item": self.job(array, count),
            "`jobqueue list`": self.command("list"),
            "`jobqueue tree`": self.command("tree", "job2"),
        }
        self._hold()
        idle = self.idle("--poll", "0.02")
        looks = idle.begins(f"{self.dir}/index/runnable")
        cycle = idle.two_cycles()
        polls = idle.calls[looks[0] : looks[-1]]
        # Last, since what has failed is looked at again by whoever beats.
        return found | {
            "the same where it fails": self.job(failing, count),
            "look for work, idle": len(idle.of_polls(polls)) / (len(looks) - 1),
            "beat": (len(cycle) - len(idle.of_polls(cycle))) / (2 * CYCLE),
        }

    def submit(self, count: int) -> int:
        """All calls that submitting a root with so many sub-jobs makes."""
        return len(self.run("-c", _SUBMIT, str(self.dir), str(count)))

    def submit_arrays(self, items: int, count: int) -> int:
        """All calls that a process makes which submits so many hierarchies, each with an array of so many items."""
        return len(self.run("-c", _SUBMIT_ARRAY, str(self.dir), str(items), str(count)))

    def command(self, *words: str) -> int:
        """All calls that a command makes."""
        return len(self.run("-m", "jobqueue", "-q", str(self.dir), *words))

    def job(self, shape: Callable[[jobqueue.JobQueue, int], None], count: int) -> float:
        """What a slot calls for one job of hierarchies of a shape, from a claim to the next one."""
        shape(self._queue, count)
        arguments = ("--slots", "1", "--max-jobs", str(_RUN), "--quiet", "--poll", "0.1")
        calls = self.run("-m", "jobqueue.cli.runjobs", str(self.dir), *arguments)
        claims = [at for at, call in enumerate(calls) if _is_claim(call)]
        assert len(claims) == _RUN, listing(calls)
        slot = calls[claims[0]].pid
        ours = [call for call in calls[claims[0] : claims[-1] + 1] if call.pid == slot]
        at = [number for number, call in enumerate(ours) if _is_claim(call)]
        # Two by two, so that where a hierarchy has two jobs each pair holds one of either.
        return median(later - earlier for earlier, later in zip(at, at[2:], strict=False)) / 2

    def idle(self, *arguments: str, beat_s: float = 0.1, cycles: int = 3) -> Idle:
        """Lets a worker beat for so many cycles that has nothing to run."""
        Queue(self.dir).configure(f"beat = {beat_s}")
        trace = self._trace()
        program = ("-m", "jobqueue.cli.runjobs", str(self.dir), "--quiet", "--name", NAME, *arguments)
        process = subprocess.Popen(
            support_strace.command(trace, *program),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=support_strace.environment(),
        )
        try:
            (info,) = until(lambda: list(self.dir.glob(f"workers/{NAME}-*/info.json")), "a worker")
            pid, beat = json.loads(info.read_text())["pid"], info.with_name("beat")
            seen: set[int] = set()

            def has_beaten() -> bool:
                seen.add(beat.stat().st_mtime_ns)
                return len(seen) > cycles * CYCLE

            until(has_beaten, f"{cycles * CYCLE} beats")
            os.kill(pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        finally:
            # The end of `strace` is not that of what it traces; that ends by its guard, or has ended.
            process.kill()
            process.communicate()
        calls = [call for call in support_strace.read(trace) if call.pid == pid and call.is_in(str(self.dir))]
        return Idle(calls, f"{self.dir}/index/runnable")

    def run(self, *arguments: str) -> list[Call]:
        """Runs Python with ``arguments``; its calls on the queue, and those of its children."""
        return [call for call in support_strace.run(self._trace(), *arguments) if call.is_in(str(self.dir))]

    def _trace(self) -> Path:
        self._runs += 1
        return self._traces / f"{self._runs}.trace"

    def _hold(self) -> None:
        """So that there is nothing to run."""
        for entry in Queue(self.dir).entries("runnable"):
            self._queue.findJob(f"job{int(entry[4:12])}").hold()


class Idle:
    """What a supervisor calls while its slots are idle.

    Args:
        calls: in their order.
        runnable: the directory that it looks at.
    """

    def __init__(self, calls: list[Call], runnable: str) -> None:
        self.calls = calls
        self._runnable = runnable

    def beats(self) -> list[int]:
        """Where beats begin."""
        return [
            at for at, call in enumerate(self.calls) if call.name == "utimensat" and base_name(call.paths[0]) == "beat"
        ]

    def two_cycles(self) -> list[Call]:
        """What is called in two cycles of beats.

        In the first one it reads who the others are, and tries their locks; after the third it is told to end.
        """
        at = self.beats()
        return self.calls[at[CYCLE - 1] : at[3 * CYCLE - 1]]

    def begins(self, path: str) -> list[int]:
        """Where calls begin that look at a path by its name."""
        return [at for at, call in enumerate(self.calls) if call.name in ("open", "openat") and call.paths[0] == path]

    def of_polls(self, calls: list[Call]) -> list[Call]:
        """Those of some calls that belong to looks for work."""
        return [call for call in calls if call.is_in(self._runnable)]


def fan(queue: jobqueue.JobQueue, count: int) -> None:
    """One hierarchy of many jobs that are all ready at once; or many of one job."""
    for _ in range(_RUN if count == 1 else 1):
        root = queue.createJobRoot("noop")
        for _ in range(count if count > 1 else 0):
            root.createJob("noop")
        root.activate()


def array(queue: jobqueue.JobQueue, count: int) -> None:
    """The same as `fan`, with items of an array in chunks of one."""
    for _ in range(_RUN if count == 1 else 1):
        root = queue.createJobRoot("noop")
        # The fan's and the chain's jobs are still there.
        root.options.priority = 2
        root.createJobArray("still", frames=f"1-{count}", chunk=1)
        root.activate()


def failing(queue: jobqueue.JobQueue, count: int) -> None:
    """The same as `fan`, of jobs that fail."""
    for _ in range(_RUN if count == 1 else 1):
        root = queue.createJobRoot("code", text="raise ValueError")
        for _ in range(count if count > 1 else 0):
            root.createJob("code", text="raise ValueError")
        root.activate()


def chain(queue: jobqueue.JobQueue, count: int) -> None:
    """One hierarchy in which each job waits for the next one; or many of two jobs."""
    for _ in range(_RUN // 2 if count == 1 else 1):
        root = queue.createJobRoot("noop")
        job: jobqueue.Job = root
        # The fan's jobs are still there.
        root.options.priority = 1
        for _ in range(count):
            job = job.createJob("noop")
        root.activate()


def _is_claim(call: Call) -> bool:
    return call.name.startswith("rename") and "/.tokens/ready/" in call.paths[0]
