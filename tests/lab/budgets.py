"""In the guest: what an NFS server is asked for, by its own count.

Run as `python -m tests.lab.budgets FILE --sizes 1,100`. FILE receives, as JSON, a column of numbers for each size:
calls that the server has answered, whatever their number of operations.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import jobqueue
from jobqueue.errors import JobStateError
from tests.lab.cluster import make_queue
from tests.lab.hosts import Host, host_names
from tests.support_queues import FINISHED, STALLED, Maker

_NOOP = """
from jobqueue import JobProc

class noop(JobProc):
    def run(self):
        pass
"""
_ITEM = """
from jobqueue import JobProc

class item(JobProc):
    def __init__(self, frame):
        pass

    def run(self):
        pass
"""
# Longer than all that three workers do at a beat, on a machine that is slow.
_BEAT_S = 0.4
# After so many beats a worker has done everything that it does at its beats.
_CYCLE = 12
# Jobs that are run before it is counted, and while it is.
_BEFORE, _JOBS = 20, 100
_LOOKS = 100
_PATIENCE_S = 300.0
_SUBMIT = """
import jobqueue
queue = jobqueue.JobQueue({queue!r})
def submit(count):
    root = queue.createJobRoot("noop")
    for _ in range(count):
        root.createJob("noop")
    root.activate()
def submit_array(items):
    root = queue.createJobRoot("noop")
    root.createJobArray("item", frames=f"1-{{items}}")
    root.activate()
"""
# The supervisor itself, with a slot that has nothing to do.
_LOOK = """
from jobqueue.store import Store
from jobqueue.worker.crew import WorkerSettings
from jobqueue.worker.slots import Slot
from jobqueue.worker.supervisor import Supervisor
supervisor = Supervisor(Store({queue!r}), "looker", WorkerSettings(1))
supervisor.crew.slots.append(Slot(1, 1))
supervisor.crew.slots[0].is_idle = True
def look(count):
    for _ in range(count):
        supervisor._poll_at = 0.0
        supervisor._poll(1.0)
"""


def answered() -> int:
    """How many calls the server has answered since it was started. Source: /proc/net/rpc/nfsd, the line ``rpc``."""
    return _counters()["rpc"][0]


def listed() -> int:
    """How many of them read a piece of a directory. Source: RFC 1813 and RFC 7862, the numbers of READDIR."""
    found = _counters()
    return sum(found["proc3"][16:18]) + found["proc4ops"][26]


def _counters() -> dict[str, list[int]]:
    lines = [line.split() for line in Path("/proc/net/rpc/nfsd").read_text().splitlines()]
    # Of the operations of a version the first number says how many there are.
    return {
        line[0]: [int(word) for word in line[1 if line[0] == "rpc" else 2 :]]
        for line in lines
        if line[0] in ("rpc", "proc3", "proc4ops")
    }


def until(holds: Callable[[], object], what: str) -> None:
    """Looks until something holds, on the server's own disk, which costs the server nothing."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not seen in {_PATIENCE_S:g} s: {what}"
        time.sleep(0.002)


class Budgets:
    """The counts on one queue.

    Args:
        size: how many sub-jobs the hierarchies have.
        is_full: whether many other jobs lie about that are over.
    """

    def __init__(self, size: int, *, is_full: bool) -> None:
        self._size = size
        self._here = make_queue(f"queue{size}{'full' * is_full}", settings="[main]\n")
        self._there = f"{os.environ['LAB_SHARE']}/{self._here.name}"
        (self._here / "procs" / "noop.py").write_text(_NOOP)
        (self._here / "procs" / "item.py").write_text(_ITEM)
        if is_full:
            Maker(self._here).leave_lying_about(finished=FINISHED, stalled=STALLED)
        # On the server itself: nothing of it is counted.
        self._queue = jobqueue.JobQueue(str(self._here))
        # The fan that was made last.
        self._fan = ""

    def column(self) -> dict[str, float]:
        # Last what opens many files: an NFSv4 client gives back what it holds of them when it comes to it.
        return {**self._submit(), **self._beat(), **self._look(), **self._run(), **self._commands()}

    # --- submitting

    def _submit(self) -> dict[str, float]:
        host = Host(host_names()[0])
        host.do(_SUBMIT.format(queue=self._there))
        # The first submission of a process, and of a host, looks for what is there.
        bare = self._count(lambda: host.do("submit(0)"))
        alone = self._count(lambda: host.do("submit(0)"))
        whole = self._count(lambda: host.do(f"submit({self._size})"))
        host.do("submit_array(1)")
        array = self._count(lambda: host.do(f"submit_array({self._size})"))
        host.close()
        # These five.
        self._hold(self._queue.listJobs()[-5:])
        return {
            "submit a hierarchy, besides its sub-jobs": bare,
            "submit, for each sub-job": (whole - alone) / self._size,
            "submit a hierarchy with an array of as many items, not the first of a process": array,
        }

    @staticmethod
    def _count(do: Callable[[], object]) -> int:
        before = answered()
        do()
        return answered() - before

    def _hold(self, jobs: list[jobqueue.JobHandle]) -> None:
        """So that nothing of them is run any more."""
        for job in jobs:
            # RACE: a worker may just have finished it.
            with suppress(JobStateError):
                job.hold()

    # --- running

    def _run(self) -> dict[str, float]:
        arrays, fan, chain = self._make_arrays(), self._make(is_chain=False), self._make(is_chain=True)
        self._fan = fan[-1].name
        with self._worker(host_names()[1]):
            # The chains have the highest priority, and the arrays the lowest.
            in_chain = self._cost_of_jobs(chain)
            self._hold(chain)
            in_fan = self._cost_of_jobs(fan)
            self._hold(fan)
            in_array = self._cost_of_jobs(arrays)
            self._hold(arrays)
        return {
            "claim, run, commit and settle a job": in_fan,
            "the same where it unblocks another one": in_chain,
            "claim, split, run, commit and close a chunk of one item": in_array,
        }

    def _beat(self) -> dict[str, float]:
        """A worker has nothing to do; then two others come."""
        config = self._here / "queue.cfg"
        text = config.read_text()
        config.write_text(text.replace("[main]\n", f"[main]\nbeat = {_BEAT_S}\n"))
        first, *others = host_names()
        with self._worker(first), ExitStack() as stack:
            alone = self._cost_of_beats()
            for host in others:
                stack.enter_context(self._worker(host))
            more = self._cost_of_beats() - alone
        config.write_text(text)
        return {"beat": alone, "beat, with what each further worker adds": more / len(others)}

    def _make(self, *, is_chain: bool) -> list[jobqueue.JobHandle]:
        """Hierarchies of the size of this column, with enough jobs to count."""
        made = []
        for _ in range(-(-(_BEFORE + 2 * _JOBS) // self._size)):
            root = self._queue.createJobRoot("noop")
            job: jobqueue.Job = root
            # Arrays have none.
            root.options.priority = 1 + int(is_chain)
            for _ in range(0 if self._size == 1 and not is_chain else self._size):
                job = job.createJob("noop") if is_chain else (root.createJob("noop"), root)[1]
            made.append(root.activate())
        return made

    def _make_arrays(self) -> list[jobqueue.JobHandle]:
        """The same, with items in place of sub-jobs, each of them a chunk."""
        made = []
        for _ in range(-(-(_BEFORE + 2 * _JOBS) // self._size)):
            root = self._queue.createJobRoot()
            root.createJobArray("item", frames=f"1-{self._size}", chunk=1)
            made.append(root.activate())
        return made

    def _cost_of_jobs(self, jobs: list[jobqueue.JobHandle]) -> float:
        """For one of many jobs, without the listings that are made once a second, however many jobs were run."""
        folders = [f"{job.location}/.tokens/finished" for job in jobs]

        def ended() -> int:
            return sum(len(files) for folder in folders for _, _, files in os.walk(folder))

        until(lambda: ended() >= _BEFORE, f"{_BEFORE} jobs")
        first, before = ended(), answered() - listed()
        until(lambda: ended() >= first + _JOBS, f"{_JOBS} more jobs")
        last, after = ended(), answered() - listed()
        return (after - before) / (last - first)

    @contextmanager
    def _worker(self, host: str) -> Iterator[None]:
        """A worker on a host."""
        arguments = [self._there, "--slots", "1", "--quiet", "--name", host, "--poll", "1000"]
        process = subprocess.Popen(["onhost", host, sys.executable, "-m", "jobqueue.cli.runjobs", *arguments])
        try:
            until(lambda: list(self._here.glob(f"workers/{host}-*/info.json")), f"a worker on {host}")
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(_PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()

    def _cost_of_beats(self) -> float:
        """Calls while the worker that came first beats once, in the middle of two cycles."""
        beat = min(self._here.glob("workers/*/beat"), key=lambda path: path.with_name("info.json").stat().st_mtime_ns)
        seen = {beat.stat().st_mtime_ns}

        def has_beaten() -> bool:
            seen.add(beat.stat().st_mtime_ns)
            return len(seen) > count

        # In the first cycle whoever is new is read of, and its lock is tried.
        count = _CYCLE + 1
        until(has_beaten, "a cycle of beats")
        before, count = answered(), len(seen) + 2 * _CYCLE - 1
        until(has_beaten, "two cycles of beats")
        return (answered() - before) / (2 * _CYCLE)

    # --- looking

    def _look(self) -> dict[str, float]:
        host = Host(host_names()[1])
        host.do(_LOOK.format(queue=self._there))
        host.do(f"look({_LOOKS})")
        found = self._count(lambda: host.do(f"look({_LOOKS})")) / _LOOKS
        host.do("supervisor.crew.place.leave()")
        host.close()
        return {"look for work, idle": found}

    def _commands(self) -> dict[str, float]:
        """By a host that remembers nothing."""
        return {f"`jobqueue {words[0]}`": self._command(*words) for words in (("list",), ("tree", self._fan))}

    def _command(self, *words: str) -> int:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
        command = ["onhost", host_names()[2], sys.executable, "-m", "jobqueue", "-q", self._there, *words]
        return self._count(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.budgets", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[1, 100, 10_000])
    parser.add_argument("--full", action="store_true", help="the last size once more, in a full queue")
    given = parser.parse_args()
    os.umask(0o022)
    found: dict[str, Any] = {}
    for size in given.sizes:
        found[f"{size:,}"] = Budgets(size, is_full=False).column()
    if given.full:
        found[f"{given.sizes[-1]:,} in a full queue"] = Budgets(given.sizes[-1], is_full=True).column()
    given.file.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
